//! The place at which a list goes on: the last line of the answer before.

use super::{
    answer::Trouble,
    database::{Archive, ID_DIGITS},
};
use crate::error::{Failure, Kind};

/// Reads a cursor of archives: the time and the identifier of the last one.
pub fn read(text: &str) -> Option<(i64, String)> {
    let (time, id) = text.rsplit_once('-')?;
    let is_digit = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    let is_id = id.len() == ID_DIGITS && id.bytes().all(is_digit);
    Some((time.parse().ok()?, id.to_owned())).filter(|_| is_id)
}

/// Writes the cursor after an archive.
pub fn after(archive: &Archive) -> String {
    format!("{}-{}", archive.created_at, archive.id)
}

/// Reads a cursor of names: the last one, in hexadecimal digits.
pub fn read_name(text: &str) -> Option<String> {
    String::from_utf8(hex::decode(text).ok()?).ok()
}

/// Writes the cursor after a name.
pub fn after_name(name: &str) -> String {
    hex::encode(name)
}

/// Reads the cursor of a request, if there is one.
///
/// Errors: [`Kind::Usage`] if it is none that this server gave.
pub fn given<T>(
    text: Option<&str>,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, Trouble> {
    let Some(text) = text else {
        return Ok(None);
    };
    let failure = Failure::new(Kind::Usage, "this is not a cursor of this list");
    let found = read(text).ok_or_else(|| failure.hint("take `next` of the answer before"))?;
    Ok(Some(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_another_text_is_refused() {
        let id = "0123456789abcdef0123";
        let read_back = read(&format!("-5-{id}"));
        assert_eq!(read_back, Some((-5, id.to_owned())));
        for text in [
            "",
            "5",
            "x-0123456789abcdef0123",
            "5-0123",
            "5-0123456789ABCDEF0123",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        let name = "data/\u{1f980} x";
        assert_eq!(read_name(&after_name(name)).as_deref(), Some(name));
        assert_eq!(read_name("ff"), None);
        assert_eq!(read_name("xyz"), None);
        assert!(given(Some("xyz"), read_name).is_err());
        assert_eq!(given(None, read_name).ok(), Some(None));
    }
}
