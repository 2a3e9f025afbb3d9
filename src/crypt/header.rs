//! The header of a sealed file, read without a key: the kinds of its recipients, and the offset of its content
//! (age-encryption.org/v1, "Header").

use age::{Decryptor, Identity};
use age_core::format::{FileKey, Stanza};
use memchr::memmem;
use std::{
    cell::RefCell,
    io::{self, BufRead, Read as _},
};

use super::set_stanza;

/// The bytes from which a sealed file is recognized.
pub const MAGIC_BYTES: usize = 34;
/// The kind of recipient that is a passphrase.
pub const PASSPHRASE: &str = "passphrase";
/// The most bytes of a header: those of thousands of recipients.
pub const MAX_HEADER_BYTES: u64 = 64 << 10;
/// The size of a piece of content that is sealed at once.
pub const CHUNK_BYTES: u64 = 64 << 10;
/// The growth of each piece by sealing: the tag of Poly1305.
pub const TAG_BYTES: u64 = 16;

const BINARY: &[u8] = b"age-encryption.org/";
/// The first line of the version that is known.
pub(super) const VERSION_1: &[u8] = b"age-encryption.org/v1\n";
const ARMORED: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
/// The beginning of a header's last line, which has a MAC of 43 characters.
const LAST_LINE: &[u8] = b"\n--- ";
const MAC_CHARACTERS: u64 = 43;
const NONCE_BYTES: u64 = 16;

/// The form of a sealed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Bytes.
    Binary,
    /// Text between two lines, as mail programs carry it.
    Armored,
}

/// Returns the form of a sealed file, from its first [`MAGIC_BYTES`] bytes; `None` if it is not sealed.
pub fn form_of(beginning: &[u8]) -> Option<Form> {
    if beginning.starts_with(BINARY) {
        return Some(Form::Binary);
    }
    beginning.starts_with(ARMORED).then_some(Form::Armored)
}

/// Returns the offset of the content in a sealed file of binary form, if these first bytes hold all of its header.
pub fn content_offset(beginning: &[u8]) -> Option<u64> {
    let last = memmem::find(beginning, LAST_LINE)?;
    let line_feed = 1;
    Some(last as u64 + LAST_LINE.len() as u64 + MAC_CHARACTERS + line_feed + NONCE_BYTES)
}

/// Returns the number of bytes of content in `sealed_bytes` of sealed pieces; `None` if no content is sealed to as many.
pub fn content_bytes(sealed_bytes: u64) -> Option<u64> {
    let chunks = sealed_bytes.div_ceil(CHUNK_BYTES + TAG_BYTES);
    let last = sealed_bytes.checked_sub((chunks.max(1) - 1) * (CHUNK_BYTES + TAG_BYTES))?;
    // Only an empty file has an empty last piece.
    let least = if chunks > 1 { TAG_BYTES + 1 } else { TAG_BYTES };
    (last >= least).then(|| sealed_bytes - chunks * TAG_BYTES)
}

/// Returns the most bytes of a sealed file with so many bytes of content, for so many recipients.
pub fn sealed_bytes(content_bytes: u64, recipients: usize) -> u64 {
    let chunks = content_bytes / CHUNK_BYTES + 1;
    // A recipient takes some 150 bytes, and the rest of a header far less than 1 KiB.
    let header = 2048 + 256 * recipients as u64;
    content_bytes
        .saturating_add(chunks * TAG_BYTES)
        .saturating_add(header)
}

/// Reads the header of a sealed file of binary form, and returns the kinds of its recipients. Returns `None` if it is not
/// a header of this format.
pub fn recipients_of(beginning: impl BufRead) -> Option<Vec<String>> {
    let kinds = Kinds::default();
    let decryptor = Decryptor::new_buffered(beginning).ok()?;
    // No recipient fits: what is wanted are their names.
    drop(decryptor.decrypt(std::iter::once(&kinds as &dyn Identity)));
    Some(kinds.0.into_inner())
}

/// Reads the beginning of a file for [`form_of`]; fewer bytes if it ends before.
pub fn beginning(input: &mut impl io::Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(MAGIC_BYTES);
    input.take(MAGIC_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// An identity that opens nothing, and notes the kinds of the recipients.
#[derive(Default)]
struct Kinds(RefCell<Vec<String>>);

impl Identity for Kinds {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, age::DecryptError>> {
        self.0.borrow_mut().extend(kind_of(stanza));
        None
    }
}

/// Returns the kind of a recipient; `None` for stanzas that are none: the one that names the set, and those that programs
/// add so that readers ignore unknown ones.
pub(super) fn kind_of(stanza: &Stanza) -> Option<String> {
    let tag = &stanza.tag;
    let kind = if tag == "scrypt" { PASSPHRASE } else { tag };
    (!tag.ends_with("-grease") && tag != set_stanza::TAG).then(|| kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_the_content_follows_from_that_of_the_file() {
        for bytes in [
            0,
            1,
            CHUNK_BYTES - 1,
            CHUNK_BYTES,
            CHUNK_BYTES + 1,
            5 * CHUNK_BYTES,
        ] {
            let chunks = bytes.div_ceil(CHUNK_BYTES).max(1);
            assert_eq!(content_bytes(bytes + chunks * TAG_BYTES), Some(bytes));
        }
        for sealed in [0, 15, CHUNK_BYTES + 17, CHUNK_BYTES + 32] {
            assert_eq!(content_bytes(sealed), None, "{sealed}");
        }
    }
}
