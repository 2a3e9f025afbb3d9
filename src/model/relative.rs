//! Names of the contents of a directory source: paths below its top, as bytes, and the entry names that carry them.

use std::{borrow::Borrow, cmp::Ordering, fmt};

use memchr::{memchr, memchr_iter};

use super::{
    digest::Digest,
    entry_name::{EntryName, can_follow, printable},
    limits::{MAX_COMPONENT_BYTES, MAX_NAME_BYTES, MAX_RELATIVE_BYTES},
};

/// The name of hookshot's own folder, and the beginning of its other names: no directory source holds such a component.
const OWN: &[u8] = b".hookshot";
/// The folder of the entries whose names are escaped. No real file lies there, because its name is one of hookshot's
/// own.
pub const ESCAPED: &str = ".hookshot-name";

/// A path below the top of a directory source: any bytes, normal components only, at most [`MAX_RELATIVE_BYTES`].
///
/// `Display` escapes characters that could drive a terminal, and bytes that are not UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelativeName(Vec<u8>);

/// Returns true if a component is one of hookshot's own names: `.hookshot`, or a name that begins with `.hookshot-`.
pub fn is_own(component: &[u8]) -> bool {
    component
        .strip_prefix(OWN)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"-"))
}

/// Returns true if an entry name can be that of a directory source: one component.
pub fn is_tree_name(name: &EntryName) -> bool {
    let name = name.as_str();
    name.len() <= MAX_COMPONENT_BYTES && !name.contains('/') && !is_own(name.as_bytes())
}

impl RelativeName {
    /// Checks `bytes` against every rule for these paths.
    pub fn new(bytes: &[u8]) -> Result<RelativeName, RelativeFault> {
        if bytes.is_empty() {
            return Err(RelativeFault::Empty);
        }
        if bytes.len() > MAX_RELATIVE_BYTES {
            return Err(RelativeFault::TooLong);
        }
        if memchr(0, bytes).is_some() {
            return Err(RelativeFault::Nul);
        }
        let mut start = 0;
        for end in memchr_iter(b'/', bytes).chain([bytes.len()]) {
            let component = &bytes[start..end];
            start = end + 1;
            match component {
                b"" | b"." => return Err(RelativeFault::Component),
                b".." => return Err(RelativeFault::Climbs),
                _ if component.len() > MAX_COMPONENT_BYTES => {
                    return Err(RelativeFault::LongComponent);
                }
                _ if is_own(component) => return Err(RelativeFault::Own),
                _ => {}
            }
        }
        Ok(RelativeName(bytes.to_owned()))
    }

    /// Returns the path as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns its components, from the top.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/')
    }

    /// Returns the paths of the folders above it, the nearest first; the top itself is not among them.
    pub fn folders(&self) -> impl Iterator<Item = &[u8]> {
        let slashes = self.0.iter().enumerate().rev();
        slashes
            .filter(|(_, byte)| **byte == b'/')
            .map(|(at, _)| &self.0[..at])
    }

    /// Returns the key by which the manifest lists it as a part of `tree`, and true if that key is escaped.
    ///
    /// The key is the path itself if `TREE/PATH` is an entry name. Else it is `.hookshot-name/` and the SHA-256 of the
    /// path in hex, and the record holds the path.
    pub fn key(&self, tree: &EntryName) -> (String, bool) {
        match self.plain_key(tree) {
            Some(text) => (text.to_owned(), false),
            None => (format!("{ESCAPED}/{}", Digest::of(&self.0)), true),
        }
    }

    /// Returns the path itself if it is its own key.
    fn plain_key(&self, tree: &EntryName) -> Option<&str> {
        let text = std::str::from_utf8(&self.0).ok()?;
        let longest = MAX_NAME_BYTES.checked_sub(tree.as_str().len() + 1)?;
        can_follow(text, longest).then_some(text)
    }

    /// Returns the entry that holds the file of this path in `tree`, and true if the name of the entry is escaped.
    pub fn entry(&self, tree: &EntryName) -> (EntryName, bool) {
        let (key, is_escaped) = self.key(tree);
        let entry = EntryName::new(&format!("{}/{key}", tree.as_str()))
            .expect("a key that is not escaped was found good, and an escaped one is short ASCII");
        (entry, is_escaped)
    }

    /// Returns the path that `key` and the `name` of the record represent in `tree`. Each path has one key only, so
    /// another key is a fault.
    pub fn of_key(
        key: &str,
        name: Option<&[u8]>,
        tree: &EntryName,
    ) -> Result<RelativeName, RelativeFault> {
        let relative = RelativeName::new(name.unwrap_or(key.as_bytes()))?;
        if name.is_none() && relative.plain_key(tree).is_some() {
            return Ok(relative);
        }
        let (expected, is_escaped) = relative.key(tree);
        if expected != key || is_escaped != name.is_some() {
            return Err(RelativeFault::OtherKey);
        }
        Ok(relative)
    }
}

impl Borrow<[u8]> for RelativeName {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for RelativeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

impl fmt::Debug for RelativeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// Compares two paths component by component, each by its bytes: the order of a walk that takes the names of each folder
/// in order, and goes into a folder right after it.
pub fn by_component(one: &[u8], other: &[u8]) -> Ordering {
    let common = common_bytes(one, other);
    // No path has a NUL, so that a slash may come first.
    let next = |path: &[u8]| {
        let byte = path.get(common).copied();
        byte.map(|byte| if byte == b'/' { 0 } else { byte })
    };
    next(one).cmp(&next(other))
}

/// Returns the number of bytes with which both begin.
fn common_bytes(one: &[u8], other: &[u8]) -> usize {
    const STEP: usize = 8;
    // Neighbours in a listing have long common beginnings.
    let (steps, other_steps) = (one.as_chunks::<STEP>().0, other.as_chunks::<STEP>().0);
    let mut same = 0;
    for (one, other) in steps.iter().zip(other_steps) {
        let difference = u64::from_le_bytes(*one) ^ u64::from_le_bytes(*other);
        if difference != 0 {
            return same + difference.trailing_zeros() as usize / 8;
        }
        same += STEP;
    }
    for (one, other) in one[same..].iter().zip(&other[same..]) {
        if one != other {
            break;
        }
        same += 1;
    }
    same
}

/// Returns true if `path` is `folder` or lies below it; everything lies below the top, an empty path.
pub fn is_at_or_above(folder: &[u8], path: &[u8]) -> bool {
    let rest = path.strip_prefix(folder);
    rest.is_some_and(|rest| folder.is_empty() || rest.is_empty() || rest[0] == b'/')
}

/// Returns the bytes of a path for messages: bytes that are not UTF-8 are escaped.
pub fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.push_str(&chunk.invalid().escape_ascii().to_string());
    }
    printable(&text)
}

/// The reason for which bytes are not a path below a directory source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelativeFault {
    /// Is empty.
    Empty,
    /// Longer than [`MAX_RELATIVE_BYTES`].
    TooLong,
    /// Contains a NUL byte.
    Nul,
    /// Has an empty or a `.` component.
    Component,
    /// Has a `..` component.
    Climbs,
    /// Has a component longer than [`MAX_COMPONENT_BYTES`].
    LongComponent,
    /// Has a component that is one of hookshot's own names.
    Own,
    /// Is listed by a key that is not its own.
    OtherKey,
}

impl fmt::Display for RelativeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RelativeFault::Empty => "is empty",
            RelativeFault::TooLong => "is longer than 4095 bytes",
            RelativeFault::Nul => "contains a NUL byte",
            RelativeFault::Component => "has an empty or `.` component",
            RelativeFault::Climbs => "climbs out of its folder with `..`",
            RelativeFault::LongComponent => "has a component longer than 255 bytes",
            RelativeFault::Own => "has a component that is hookshot's own",
            RelativeFault::OtherKey => "is not listed by the key that its `name` has",
        })
    }
}

impl std::error::Error for RelativeFault {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tree() -> EntryName {
        EntryName::new("uploads").expect("a good name")
    }

    #[test]
    fn each_kind_of_bad_path_has_its_own_fault() {
        let long = "a".repeat(MAX_COMPONENT_BYTES + 1);
        let deep = "a/".repeat(MAX_RELATIVE_BYTES / 2 + 1) + "a";
        for (bytes, fault) in [
            ("", RelativeFault::Empty),
            (deep.as_str(), RelativeFault::TooLong),
            ("a\0", RelativeFault::Nul),
            ("/a", RelativeFault::Component),
            ("a//b", RelativeFault::Component),
            ("a/", RelativeFault::Component),
            ("a/./b", RelativeFault::Component),
            ("a/..", RelativeFault::Climbs),
            (&long, RelativeFault::LongComponent),
            (".hookshot/journal.json", RelativeFault::Own),
            ("a/.hookshot-1-2.new", RelativeFault::Own),
        ] {
            assert_eq!(RelativeName::new(bytes.as_bytes()), Err(fault), "{bytes:?}");
        }
        for good in [".hookshotrc", "a\n", "..a", "\\", "x/.hook"] {
            assert!(RelativeName::new(good.as_bytes()).is_ok(), "{good}");
        }
    }

    #[test]
    fn names_that_no_entry_can_have_are_escaped() {
        let long = "a/".repeat(600) + "b";
        for (bytes, is_escaped) in [
            (b"a/b".as_slice(), false),
            (b"a\\b", false),
            (b"c:/x", false),
            (b"new\nline", false),
            (b"a\\..\\b", true),
            (b"\xff", true),
            (long.as_bytes(), true),
        ] {
            let relative = RelativeName::new(bytes).expect("good");
            assert_eq!(relative.entry(&tree()).1, is_escaped, "{relative}");
        }
    }

    #[test]
    fn a_path_has_one_key_only() {
        let relative = RelativeName::new(b"\xff").expect("good");
        let (key, _) = relative.key(&tree());
        for (key, name) in [
            ("a", Some(b"a".as_slice())),
            ("a", Some(b"b")),
            ("a", Some(b"\xff")),
            (key.as_str(), None),
            (key.as_str(), Some(b"\xfe")),
            (key.as_str(), Some(b"a")),
        ] {
            RelativeName::of_key(key, name, &tree()).expect_err(key);
        }
    }

    #[test]
    fn what_is_not_utf_8_is_shown_escaped() {
        assert_eq!(shown(b"a\xff\x1b"), "a\\xff\\u{1b}");
    }

    proptest! {
        #[test]
        fn paths_are_compared_component_by_component(
            one in "[ab/.-]{1,40}", other in "[ab/.-]{1,40}", same in "[a/]{0,40}",
        ) {
            let (one, other) = (format!("{same}{one}"), format!("{same}{other}"));
            let parts = |path: &str| -> Vec<Vec<u8>> {
                path.split('/').map(|part| part.as_bytes().to_vec()).collect()
            };
            let expected = parts(&one).cmp(&parts(&other));
            prop_assert_eq!(by_component(one.as_bytes(), other.as_bytes()), expected);
        }

        #[test]
        fn every_path_comes_back_from_its_entry(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..9), 1..400),
        ) {
            if let Ok(relative) = RelativeName::new(&parts.join(&b'/')) {
                let (entry, is_escaped) = relative.entry(&tree());
                let key = entry.as_str().strip_prefix("uploads/").expect("below the directory");
                let name = is_escaped.then_some(relative.as_bytes());
                prop_assert_eq!(RelativeName::of_key(key, name, &tree()), Ok(relative.clone()));
                for folder in relative.folders() {
                    prop_assert!(RelativeName::new(folder).is_ok());
                }
            }
        }
    }
}
