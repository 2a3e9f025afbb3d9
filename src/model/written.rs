//! Paths and texts as people write them, with words that a shell would expand, and bytes that are not UTF-8.

use std::{fmt::Write as _, os::unix::ffi::OsStrExt as _, path::Path};

use chrono::{DateTime, SecondsFormat, Utc};

/// Formats a time for reports: RFC 3339, UTC, whole seconds.
pub fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A path for reports.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShownPath {
    /// The path as text, with a replacement character for bytes that are not UTF-8.
    pub text: String,
    /// See [`escaped`].
    pub escaped: Option<String>,
}

impl ShownPath {
    /// Makes the path for reports.
    pub fn path(path: &Path) -> ShownPath {
        ShownPath {
            text: path.display().to_string(),
            escaped: escaped(path),
        }
    }
}

/// Returns the bytes of a path that is not UTF-8, percent-encoded (RFC 3986, section 2.1); `None` if the text
/// represents the path exactly.
pub fn escaped(path: &Path) -> Option<String> {
    if path.to_str().is_some() {
        return None;
    }
    Some(percent_encoded(path.as_os_str().as_bytes()))
}

/// Returns bytes of a path, percent-encoded.
pub fn percent_encoded(bytes: &[u8]) -> String {
    let mut out = String::new();
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(byte.into());
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Returns the fault of a path that only a shell would expand; `place` names the place where the path is written.
pub fn unexpanded(path: &str, place: &str) -> Option<String> {
    let what = expansion(path)?;
    Some(format!(
        "`{what}` is not expanded {place}: write the whole path, such as /home/NAME/backups"
    ))
}

/// Returns the part of a path that a shell would expand. A folder whose name really is `~` may be written as `./~`.
fn expansion(path: &str) -> Option<String> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let first = path.split('/').next().unwrap_or_default();
    if let Some(user) = first.strip_prefix('~')
        && user.bytes().all(is_word)
    {
        return Some(first.to_owned());
    }
    let variable = |component: &str| -> Option<String> {
        if let Some(start) = component.find("${") {
            let end = component[start..].find('}')?;
            return Some(component[start..=start + end].to_owned());
        }
        let name = component.strip_prefix('$')?;
        let is_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        (!name.is_empty() && name.bytes().all(is_name)).then(|| component.to_owned())
    };
    path.split('/').find_map(variable)
}

/// Returns the text of a file, or its fault: the line of the first byte that is not UTF-8.
pub fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| {
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            return "not UTF-8, but UTF-16".to_owned();
        }
        let before = &bytes[..error.valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("not UTF-8: line {line} has a byte of another encoding")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_expand_is_told_from_names() {
        for (path, what) in [
            ("~", "~"),
            ("~/data", "~"),
            ("~backup/data", "~backup"),
            ("$HOME/data", "$HOME"),
            ("/home/$USER/data", "$USER"),
            ("/home/${USER}/data", "${USER}"),
            ("x${A}y/b", "${A}"),
        ] {
            assert_eq!(expansion(path).as_deref(), Some(what), "{path}");
        }
        for path in [
            "/data",
            "./~/x",
            "/a/~",
            "/srv/$RECYCLE.BIN",
            "/srv/a$B",
            "/a/$",
            "/a~b",
            "data",
        ] {
            assert_eq!(expansion(path), None, "{path}");
        }
    }

    #[test]
    fn a_byte_of_another_encoding_is_told_by_its_line() {
        assert_eq!(utf8("ä\n".as_bytes()), Ok("ä\n"));
        let fault = utf8(b"a\nb\n\xe4\n").expect_err("Latin-1");
        assert!(fault.contains("line 3"), "{fault}");
        let fault = utf8(b"\xff\xfea\0").expect_err("UTF-16");
        assert!(fault.contains("UTF-16"), "{fault}");
    }
}
