//! Lines of ordinary files, as an export writes them: read without a JSON value for each field, because a listing has
//! millions of them. Every other text is left to the reader of all lines, which names what is wrong.

use memchr::memchr2;

use super::{
    FileRecord,
    fields::{is_owner_name, octal},
    file_json::{Texts, entry_name},
};
use crate::model::{
    digest::Digest, entry_name::EntryName, limits::MAX_ENTRY_BYTES, relative::RelativeName,
};

/// Reads the line of a file of the directory called `directory`; `None` if it is not an ordinary line, or not good.
pub(super) fn read_ordinary(
    text: &[u8],
    directory: &EntryName,
    texts: &mut Texts,
) -> Option<(RelativeName, Box<FileRecord>)> {
    let mut scan = Scan {
        rest: std::str::from_utf8(text).ok()?,
    };
    scan.literal("{\"path\":")?;
    let path = scan.string()?;
    scan.literal(",\"size\":")?;
    let size = scan.number().filter(|size| *size <= MAX_ENTRY_BYTES)?;
    scan.literal(",\"checksum\":")?;
    let checksum = scan.string()?.parse::<Digest>().ok()?;
    let kind = scan.optional(",\"kind\":", Scan::string)?;
    let mode = scan.optional(",\"mode\":", |scan| octal(scan.string()?))?;
    let user = scan.optional(",\"user\":", Scan::owner_name)?;
    let group = scan.optional(",\"group\":", Scan::owner_name)?;
    let uid = scan.optional(",\"uid\":", Scan::id)?;
    let gid = scan.optional(",\"gid\":", Scan::id)?;
    let mtime = scan.optional(",\"mtime\":", |scan| i64::try_from(scan.number()?).ok())?;
    let mtime_ns = scan.optional(",\"mtime_ns\":", |scan| {
        let nanoseconds = u32::try_from(scan.number()?).ok();
        nanoseconds.filter(|nanoseconds| *nanoseconds < 1_000_000_000)
    })?;
    scan.literal("}")?;
    if !scan.rest.is_empty() {
        return None;
    }
    let below = path.strip_prefix(directory.as_str())?.strip_prefix('/')?;
    let name = RelativeName::of_key(below, None, directory).ok()?;
    let record = FileRecord {
        mode,
        user: user.map(|text| texts.share(text)),
        group: group.map(|text| texts.share(text)),
        uid,
        gid,
        mtime,
        kind: kind.map(|text| texts.share(text)),
        mtime_ns,
        ..FileRecord::new(entry_name(path).ok()?, checksum, size)
    };
    Some((name, Box::new(record)))
}

/// A text of JSON without spaces, read from its beginning. Only what this hookshot writes is known.
struct Scan<'a> {
    rest: &'a str,
}

impl<'a> Scan<'a> {
    fn literal(&mut self, literal: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(literal)?;
        Some(())
    }

    /// Reads a key and its value, or nothing if another key follows.
    fn optional<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&mut Scan<'a>) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.literal(key) {
            Some(()) => read(self).map(Some),
            None => Some(None),
        }
    }

    /// Reads a string in which nothing is escaped.
    fn string(&mut self) -> Option<&'a str> {
        let text = after(b'"', self.rest)?;
        let end = memchr2(b'"', b'\\', text.as_bytes())?;
        let (text, rest) = text.split_at(end);
        self.rest = after(b'"', rest)?;
        // Without an early end this takes many bytes at a time.
        let is_control = |found: bool, byte: &u8| found | (*byte <= 0x1f);
        (!text.as_bytes().iter().fold(false, is_control)).then_some(text)
    }

    /// Reads the name of a user or a group.
    fn owner_name(&mut self) -> Option<&'a str> {
        self.string().filter(|name| is_owner_name(name))
    }

    /// Reads a whole number that is not negative.
    fn number(&mut self) -> Option<u64> {
        let is_other = |byte: &u8| !byte.is_ascii_digit();
        let bytes = self.rest.as_bytes();
        let end = bytes.iter().position(is_other).unwrap_or(bytes.len());
        let (digits, rest) = self.rest.split_at(end);
        if digits.len() > 1 && digits.as_bytes()[0] == b'0' {
            return None;
        }
        self.rest = rest;
        digits.parse().ok()
    }

    /// Reads the number of a user or a group.
    fn id(&mut self) -> Option<u32> {
        // 2^32 - 1 means "do not change" to chown(2).
        let id = u32::try_from(self.number()?).ok();
        id.filter(|id| *id != u32::MAX)
    }
}

/// Returns the rest of a text that begins with `first`, which is ASCII.
fn after(first: u8, text: &str) -> Option<&str> {
    match text.as_bytes().first() {
        Some(byte) if *byte == first => text.get(1..),
        _ => None,
    }
}
