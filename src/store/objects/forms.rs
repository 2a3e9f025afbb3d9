//! The forms of options and variables that only object stores have.

use std::collections::BTreeMap;

use object_store::aws::AmazonS3Builder;

use crate::store::{
    secret::Secret,
    shape::Shape::{self, Host, Text, Url, UrlWithQuery},
};

/// Reads a value of the form `shape`. Also refuses values that only the library's parser refuses, such as a host in
/// invalid punycode: object_store panics at them.
pub fn formed(shape: Shape, value: &str) -> Result<Option<String>, String> {
    let read = shape.read(value)?;
    let url = match (shape, &read) {
        (Url | UrlWithQuery, Some(url)) => url.clone(),
        (Host, Some(host)) => format!("http://{host}"),
        _ => return Ok(read),
    };
    // The builder accepts no such URL for a bucket, but it checks first that it is a URL.
    let error = AmazonS3Builder::new().with_url(url).build().err();
    if error.is_some_and(|error| error.to_string().contains("Unable parse source url")) {
        return Err("names a host that is none".to_owned());
    }
    Ok(read)
}

/// The faults in the options of a destination, each found as its option is read.
#[derive(Default)]
pub struct OptionFaults(pub Vec<String>);

impl OptionFaults {
    fn read(&mut self, key: &str, shape: Shape, value: &str) -> Option<String> {
        formed(shape, value).unwrap_or_else(|fault| {
            self.0.push(format!("`{key}` {fault}"));
            None
        })
    }

    /// Reads the value of an option.
    pub fn text(&mut self, key: &str, shape: Shape, value: &Option<String>) -> Option<String> {
        self.read(key, shape, value.as_ref()?)
    }

    /// Reads a secret.
    pub fn secret(&mut self, key: &str, shape: Shape, value: &Option<Secret>) -> Option<Secret> {
        let value = self.read(key, shape, value.as_ref()?.reveal())?;
        Some(Secret::new(value))
    }

    /// Reads tags, which go to the store as they are written.
    pub fn tags(&mut self, tags: &BTreeMap<String, String>) {
        for text in tags.iter().flat_map(|(key, value)| [key, value]) {
            self.read("tags", Text, text);
        }
    }
}
