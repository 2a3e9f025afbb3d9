//! The forms of values that configuration and environment provide: trimmed at their ends, and checked inside.
//!
//! Line breaks in values come from secrets of Kubernetes, from `echo` and from editors; libraries panic at them. A
//! fault repeats a value only if it is the address of a server without a user in it.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The longest key, token or text. Azure's tokens have a few KB.
const MAX_BYTES: usize = 64 << 10;
/// The longest address of a server.
const MAX_URL_BYTES: usize = 2 << 10;
/// The character that replaces bytes that are not UTF-8.
pub const NOT_UTF8: char = char::REPLACEMENT_CHARACTER;

/// A form of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Letters, digits, `.`, `_` and `-`: a region, a class of storage; it becomes a part of URLs.
    Name,
    /// Printable ASCII without blanks: a key or a token; it becomes a part of headers.
    Key,
    /// The address of a server: `https://HOST:PORT/PATH`.
    Url,
    /// The address of a server, with a query.
    UrlWithQuery,
    /// A server: `HOST:PORT`.
    Host,
    /// The path of a URL, which begins with a slash.
    UrlPath,
    /// Yes or no.
    Flag,
    /// One line of text, such as a path.
    Text,
    /// Text of several lines.
    Lines,
}

impl Shape {
    /// Returns a value without the blanks and line breaks at its ends, and `None` if nothing is left. The error says
    /// what is wrong with it.
    pub fn read(self, value: &str) -> Result<Option<String>, String> {
        let value = value.trim();
        if value.is_empty() {
            return Ok(None);
        }
        if !matches!(self, Shape::Text | Shape::Lines) {
            is_bare(value)?;
        }
        let value = match self {
            Shape::Url | Shape::UrlWithQuery => url(value, self == Shape::UrlWithQuery)?,
            Shape::Flag => flag(value)?.to_owned(),
            _ => {
                self.look_inside(value)?;
                value.to_owned()
            }
        };
        Ok(Some(value))
    }

    fn look_inside(self, value: &str) -> Result<(), String> {
        let refuse = |why: &str| Err(why.to_owned());
        if value.len() > MAX_BYTES {
            return refuse("is longer than 64 KiB");
        }
        if value.contains(NOT_UTF8) {
            return refuse("holds bytes that are not UTF-8");
        }
        let is_line_break = |letter: char| matches!(letter, '\n' | '\r');
        if self != Shape::Lines && value.contains(is_line_break) {
            return refuse("holds a line break");
        }
        let is_control =
            |letter: char| letter.is_control() && !is_line_break(letter) && letter != '\t';
        if value.contains(is_control) || self != Shape::Lines && value.contains('\t') {
            return refuse("holds a control character");
        }
        match self {
            Shape::Text | Shape::Lines => return Ok(()),
            _ if value.contains(char::is_whitespace) => return refuse("holds a blank"),
            _ if !value.is_ascii() => return refuse("holds a character that is not ASCII"),
            _ => {}
        }
        match self {
            Shape::Name if !value.bytes().all(is_of_name) => {
                refuse("may have letters, digits, `.`, `_` and `-`")
            }
            Shape::Host => authority(value).map_err(|why| format!("is not HOST:PORT: {why}")),
            Shape::UrlPath if !value.starts_with('/') => refuse("does not begin with a slash"),
            Shape::UrlPath if !is_path(value, true) => refuse("is not the path of a URL"),
            _ => Ok(()),
        }
    }
}

/// Refuses a value in quotes, which some programs do not remove when they read a file of variables, and one that ends
/// in the letters `\n`.
fn is_bare(value: &str) -> Result<(), String> {
    let is_in = |quote: char| value.len() > 1 && value.starts_with(quote) && value.ends_with(quote);
    if is_in('"') || is_in('\'') {
        return Err(
            "stands in quotes, and they would be a part of it: leave them out (`docker --env-file` does not drop them)"
                .to_owned(),
        );
    }
    if value.ends_with("\\n") {
        return Err(
            "ends with a backslash and an n, which are not a line break: leave them out".to_owned(),
        );
    }
    Ok(())
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

fn flag(value: &str) -> Result<&'static str, String> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "true" | "on" | "yes" | "y" => Ok("true"),
        "0" | "false" | "off" | "no" | "n" => Ok("false"),
        _ => Err("must be true or false".to_owned()),
    }
}

/// Reads the address of a server; its scheme comes back in lower case.
fn url(value: &str, has_query: bool) -> Result<String, String> {
    if value.len() > MAX_URL_BYTES {
        return Err("is longer than any address of a server".to_owned());
    }
    // The fault repeats nothing of a value that may contain a password.
    if value.contains('@') {
        return Err("holds a user (`@`): keys have keys of their own".to_owned());
    }
    if !has_query && value.contains(['?', '#']) {
        return Err(
            "holds a `?` or a `#`: name the server alone, as in https://HOST:PORT".to_owned(),
        );
    }
    Shape::Key.look_inside(value)?;
    let Some((scheme, rest)) = value.split_once("://") else {
        return Err(without_scheme(value));
    };
    let scheme = scheme.to_ascii_lowercase();
    if scheme != "https" && scheme != "http" {
        return Err("must begin with https://".to_owned());
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (server, path) = rest.split_at(end);
    authority(server).map_err(|why| format!("is not https://HOST:PORT: {why}"))?;
    if !is_path(path, has_query) {
        return Err("has a path that no URL has".to_owned());
    }
    Ok(format!("{scheme}://{rest}"))
}

/// Returns the fault of an address without a scheme, with the right spelling if it can be guessed.
fn without_scheme(value: &str) -> String {
    let lower = value.to_ascii_lowercase();
    let begins = ["https", "http"].into_iter().find(|scheme| {
        let rest = lower.strip_prefix(scheme);
        rest.is_some_and(|rest| rest.starts_with([':', '/']))
    });
    // `https:host`, `https//host`.
    let rest = value[begins.map_or(0, str::len)..].trim_start_matches([':', '/']);
    let server = rest.split('/').next().unwrap_or_default();
    if authority(server).is_err() || !is_path(&rest[server.len()..], false) {
        return "does not begin with https://, as in https://HOST:PORT".to_owned();
    }
    let scheme = begins.unwrap_or("https");
    format!("does not begin with https://: write {scheme}://{rest}")
}

/// Refuses a text that is not `HOST` or `HOST:PORT`.
fn authority(text: &str) -> Result<(), String> {
    let refuse = |why: &str| Err(why.to_owned());
    let (host, port) = if let Some(inside) = text.strip_prefix('[') {
        let Some((address, behind)) = inside.split_once(']') else {
            return refuse("a `]` is missing");
        };
        if address.parse::<Ipv6Addr>().is_err() {
            return refuse("what stands in brackets is not an IPv6 address");
        }
        match (behind, behind.strip_prefix(':')) {
            ("", _) => return Ok(()),
            (_, Some(port)) => (None, Some(port)),
            _ => return refuse("behind `]` stands `:PORT` or nothing"),
        }
    } else {
        match text.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return refuse("an IPv6 address stands in brackets, as in [::1]:9000");
            }
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(text), None),
        }
    };
    if let Some(port) = port {
        let number = port.parse::<u16>().ok().filter(|number| *number > 0);
        if number.is_none() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return refuse("a port is a number from 1 to 65535");
        }
    }
    host.map_or(Ok(()), is_host)
}

fn is_host(host: &str) -> Result<(), String> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let is_label = |label: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        (1..=63).contains(&label.len()) && label.bytes().all(is_plain)
    };
    if host.is_empty() {
        return Err("it names no host".to_owned());
    }
    if host.len() > 253 || !host.split('.').all(is_label) {
        return Err("the host's name is not one".to_owned());
    }
    // A name that ends in a number is an IPv4 address (URL Standard, "ends in a number").
    let last = host.rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let ends_in_number = last.bytes().all(|byte| byte.is_ascii_digit())
        || hexadecimal.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if ends_in_number && host.parse::<Ipv4Addr>().is_err() {
        return Err("the host is not an IPv4 address".to_owned());
    }
    Ok(())
}

/// Returns true for the path of a URL (RFC 3986, section 3.3), with a query if `has_query`.
fn is_path(path: &str, has_query: bool) -> bool {
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let is_fine = match byte {
            b'%' => {
                let mut digits = [bytes.next(), bytes.next()].into_iter();
                digits.all(|digit| digit.is_some_and(|digit| digit.is_ascii_hexdigit()))
            }
            b'?' => has_query,
            byte => byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte),
        };
        if !is_fine {
            return false;
        }
    }
    true
}

/// Returns true for names of buckets and containers, including `$root` and `$web` of Azure.
pub fn is_bucket(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let name = name.strip_prefix('$').unwrap_or(name);
    (1..=255).contains(&name.len())
        && name.bytes().all(is_plain)
        && name.bytes().any(|byte| byte != b'.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_address_without_a_scheme_is_refused_with_the_right_spelling() {
        for (written, says) in [
            ("minio.example:9000", "write https://minio.example:9000"),
            ("s3.example.org", "write https://s3.example.org"),
            ("[::1]:9000", "write https://[::1]:9000"),
            ("https:/minio.example", "write https://minio.example"),
            ("http//127.0.0.1:9000", "write http://127.0.0.1:9000"),
            ("//minio.example/b", "write https://minio.example/b"),
            ("mailto:x", "https://HOST:PORT"),
            ("s3://bucket", "must begin with https://"),
            ("https://me:hunter2@host", "holds a user"),
            ("me:hunter2@host:9000", "holds a user"),
            ("https://host?sig=hunter2", "`?`"),
            ("https://host:99999", "1 to 65535"),
            ("https://host:", "1 to 65535"),
            ("https://host:+1", "1 to 65535"),
            ("https://", "no host"),
            ("https://::1:9000", "brackets"),
            ("https://[::1", "missing"),
            ("https://[x]", "IPv6"),
            ("https://256.1.1.1", "IPv4"),
            ("https://ho st", "blank"),
            ("https://h\nst", "line break"),
            ("https://h\u{fffd}st", "not UTF-8"),
            ("https://bücher.example", "not ASCII"),
            ("https://host/%zz", "path"),
        ] {
            let fault = Shape::Url.read(written).expect_err(written);
            assert!(fault.contains(says), "{written}: {fault}");
            assert!(!fault.contains("hunter2"), "{fault}");
        }
    }

    #[test]
    fn blanks_at_the_ends_go_and_nothing_is_none() {
        for (written, value) in [
            ("", None),
            (" \r\n", None),
            (" https://h:9000/b/\n", Some("https://h:9000/b/")),
            ("HTTPS://h", Some("https://h")),
            ("http://[::1]:9000", Some("http://[::1]:9000")),
            ("https://127.0.0.1", Some("https://127.0.0.1")),
        ] {
            assert_eq!(Shape::Url.read(written).expect(written).as_deref(), value);
        }
        for (written, value) in [("AK\n", Some("AK")), ("\t", None)] {
            assert_eq!(Shape::Key.read(written).expect(written).as_deref(), value);
        }
        assert_eq!(
            Shape::Flag.read("Yes").expect("a flag").as_deref(),
            Some("true")
        );
        for wrong in ["A K", "A\nK", "A\0K", "Ä", "A\u{7f}"] {
            Shape::Key.read(wrong).expect_err(wrong);
        }
        assert!(Shape::Lines.read("{\n\t\"a\": 1\n}\n").is_ok());
        assert!(Shape::Name.read("eu/central").is_err());
        assert!(Shape::Key.read(&"k".repeat(70_000)).is_err());
    }

    proptest! {
        #[test]
        fn nothing_panics_and_what_is_taken_stays(text in "(https?:?/{0,2})?[\\[\\]a-z0-9.:@%/?#ü \\n-]{0,24}") {
            for shape in [
                Shape::Name, Shape::Key, Shape::Url, Shape::UrlWithQuery, Shape::Host, Shape::UrlPath,
                Shape::Flag, Shape::Text, Shape::Lines,
            ] {
                if let Ok(Some(value)) = shape.read(&text) {
                    prop_assert_eq!(shape.read(&value), Ok(Some(value.clone())));
                }
            }
        }
    }
}
