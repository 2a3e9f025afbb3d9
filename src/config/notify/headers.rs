//! Further headers of a webhook.

use std::collections::BTreeMap;

use crate::{
    config::{
        reader::Section,
        secret::{SecretForm, WrittenSecret, is_reference},
    },
    store::Secret,
};

/// Headers that the connection sets itself.
const OF_THE_WIRE: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Parts of the names of headers whose values are secrets.
const SECRET_NAMES: [&str; 8] = [
    "auth",
    "cookie",
    "credential",
    "key",
    "password",
    "secret",
    "signature",
    "token",
];

/// Reads the further headers of a webhook.
pub(super) fn headers(section: &Section<'_>) -> BTreeMap<String, WrittenSecret> {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let mut headers: BTreeMap<String, WrittenSecret> = BTreeMap::new();
    for (name, value) in section.strings("headers") {
        let lower = name.to_ascii_lowercase();
        if name.is_empty() || !name.bytes().all(is_of_name) {
            section.fault("headers", "has a name that a header cannot have");
        } else if OF_THE_WIRE.contains(&lower.as_str()) {
            section.fault(
                "headers",
                format!("has `{lower}`, which belongs to the connection"),
            );
        } else if headers
            .keys()
            .any(|known| known.eq_ignore_ascii_case(&name))
        {
            section.fault("headers", format!("has `{lower}` twice"));
        } else {
            // Any other literal is as open as the rest of the configuration.
            let is_secret = SECRET_NAMES.iter().any(|part| lower.contains(part));
            let form = match is_secret || is_reference(&value) {
                true => SecretForm::Header,
                false => SecretForm::Plain,
            };
            if value.contains(char::is_control) {
                section.fault("headers", "has a value that a header cannot have");
            }
            let text = Secret::new(value);
            let key = "headers";
            headers.insert(name, WrittenSecret { key, form, text });
        }
    }
    headers
}
