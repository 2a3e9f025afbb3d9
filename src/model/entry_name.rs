//! Names of entries: the valid paths inside the root folder of an archive.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use memchr::{memchr, memchr2_iter};

use super::limits::MAX_NAME_BYTES;

/// The name of an entry: UTF-8, relative, normal components only, at most [`MAX_NAME_BYTES`] bytes.
///
/// `Display` escapes control characters, so that a hostile name cannot drive a terminal. Copies share their text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryName(Arc<str>);

impl EntryName {
    /// Checks `text` against every rule for names.
    pub fn new(text: &str) -> Result<EntryName, NameFault> {
        if text.is_empty() {
            return Err(NameFault::Empty);
        }
        let bytes = text.as_bytes();
        if bytes.len() > MAX_NAME_BYTES {
            return Err(NameFault::TooLong);
        }
        if memchr(0, bytes).is_some() {
            return Err(NameFault::Nul);
        }
        if matches!(bytes[0], b'/' | b'\\') {
            return Err(NameFault::Absolute);
        }
        if bytes.len() >= 2
            && bytes[0].is_ascii_alphabetic()
            && bytes[1] == b':'
            && matches!(bytes.get(2), None | Some(b'\\' | b'/'))
        {
            return Err(NameFault::Drive);
        }
        check_components(text)?;
        Ok(EntryName(text.into()))
    }

    /// Returns the name as it stands in the archive; not escaped.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns true if `text`, which is not a name by itself, can follow a name and a slash. `longest` is the most bytes
/// that `text` may have.
pub(super) fn can_follow(text: &str, longest: usize) -> bool {
    !text.is_empty()
        && text.len() <= longest
        && memchr(0, text.as_bytes()).is_none()
        && check_components(text).is_ok()
}

fn check_components(text: &str) -> Result<(), NameFault> {
    let bytes = text.as_bytes();
    // The beginnings of the part that any separator ends, and of the component.
    let (mut part, mut component) = (0, 0);
    let mut is_bad = false;
    // A backslash separates nothing here, but it does on other systems that unpack the same archive.
    for end in memchr2_iter(b'/', b'\\', bytes).chain([bytes.len()]) {
        if bytes[part..end] == *b".." {
            return Err(NameFault::Climbs);
        }
        if bytes.get(end) != Some(&b'\\') {
            is_bad |= matches!(&bytes[component..end], b"" | b".");
            component = end + 1;
        }
        part = end + 1;
    }
    match is_bad {
        true => Err(NameFault::Component),
        false => Ok(()),
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.0))
    }
}

impl fmt::Debug for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl Borrow<str> for EntryName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for EntryName {
    type Err = NameFault;

    fn from_str(text: &str) -> Result<EntryName, NameFault> {
        EntryName::new(text)
    }
}

/// Returns `text` with control characters escaped, and cut if it is absurdly long: for messages.
pub fn printable(text: &str) -> String {
    const LONGEST: usize = 256;
    let mut out = String::with_capacity(text.len());
    for (count, character) in text.chars().enumerate() {
        if count == LONGEST {
            out.push('…');
            break;
        }
        if drives(character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// Returns `text` with every character escaped that could drive a terminal or begin a line: for messages and paths of
/// any length.
pub fn printable_line(text: &str) -> String {
    escaped_but(text, |_| false)
}

/// Returns lines of text with every character escaped that could drive a terminal, except tabs and line feeds.
pub fn printable_lines(lines: &str) -> String {
    escaped_but(lines, |character| matches!(character, '\t' | '\n'))
}

/// Returns JSON with every character escaped that could drive a terminal, as JSON escapes it.
pub fn printable_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        // Line feeds stand between values; those in strings are escaped already. All other such characters fit one
        // unit.
        if character == '\n' || !drives(character) {
            out.push(character);
        } else {
            out.push_str(&format!("\\u{:04x}", u32::from(character)));
        }
    }
    out
}

fn escaped_but(text: &str, may_stay: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if drives(character) && !may_stay(character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// Returns true if a terminal obeys the character, or displays other text because of it.
fn drives(character: char) -> bool {
    character.is_control() || is_invisible(character)
}

/// Returns true if the character reorders or hides text around it (Unicode TR 36, "bidirectional text spoofing").
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The reason for which a text is not an entry name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameFault {
    /// Is empty.
    Empty,
    /// Longer than [`MAX_NAME_BYTES`].
    TooLong,
    /// Contains a NUL byte.
    Nul,
    /// Starts at the root.
    Absolute,
    /// Starts with a drive letter.
    Drive,
    /// Has a `..` component.
    Climbs,
    /// Has an empty or a `.` component.
    Component,
}

impl fmt::Display for NameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NameFault::Empty => "is empty",
            NameFault::TooLong => "is longer than 1024 bytes",
            NameFault::Nul => "contains a NUL byte",
            NameFault::Absolute => "is an absolute path",
            NameFault::Drive => "starts with a drive letter",
            NameFault::Climbs => "climbs out of its folder with `..`",
            NameFault::Component => "has an empty or `.` component",
        })
    }
}

impl std::error::Error for NameFault {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::{Component, Path};

    #[test]
    fn each_kind_of_bad_name_has_its_own_fault() {
        let long = "a".repeat(MAX_NAME_BYTES + 1);
        for (text, fault) in [
            ("", NameFault::Empty),
            (long.as_str(), NameFault::TooLong),
            ("a\0b", NameFault::Nul),
            ("/etc/passwd", NameFault::Absolute),
            ("\\\\server\\share", NameFault::Absolute),
            ("C:\\windows", NameFault::Drive),
            ("c:/windows", NameFault::Drive),
            ("..", NameFault::Climbs),
            ("a/../b", NameFault::Climbs),
            ("a\\..\\b", NameFault::Climbs),
            ("a//b", NameFault::Component),
            ("a/", NameFault::Component),
            ("./a", NameFault::Component),
        ] {
            assert_eq!(EntryName::new(text), Err(fault), "{text:?}");
        }
    }

    #[test]
    fn ordinary_names_are_accepted_as_they_are() {
        let longest = "a".repeat(MAX_NAME_BYTES);
        for text in [
            "state.redb",
            "a/b/c",
            "..a",
            "a..",
            "dev\\x2dsda.mount",
            "x: y",
            "ä ö\n",
            &longest,
        ] {
            assert_eq!(EntryName::new(text).expect("a good name").as_str(), text);
        }
    }

    #[test]
    fn a_name_cannot_drive_the_terminal() {
        let name = EntryName::new("a\u{1b}[2J\u{202e}b").expect("a good name");
        assert_eq!(name.to_string(), "a\\u{1b}[2J\\u{202e}b");
    }

    proptest! {
        #[test]
        fn an_accepted_name_never_leaves_its_folder(text in "[a-c./\\\\:\\x00]{0,12}|\\PC{0,40}") {
            if let Ok(name) = EntryName::new(&text) {
                let path = Path::new(name.as_str());
                prop_assert!(path.components().all(|part| matches!(part, Component::Normal(_))));
                let rebuilt: std::path::PathBuf = path.components().collect();
                prop_assert_eq!(rebuilt.as_os_str(), path.as_os_str());
            }
        }
    }
}
