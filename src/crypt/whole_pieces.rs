//! The size of a sealed file tells if its end is missing: without a key, nothing else does.
//!
//! An armored file is text of 64 characters a line between two marks (RFC 7468, as age-encryption.org/v1 takes it).

use std::io::{self, Cursor, Read as _};

use age::armor::ArmoredReader;

use super::header::{Form, MAX_HEADER_BYTES, content_bytes, content_offset, form_of};
use crate::work::ReadAt;

const BEGIN: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
const END: &[u8] = b"-----END AGE ENCRYPTED FILE-----";
/// The characters of a line.
const LINE: u64 = 64;
/// The characters that stand for three bytes.
const GROUP: u64 = 4;
/// The bytes at the end of the file in which the last line and the last mark are.
const TAIL_BYTES: u64 = 256;

/// Returns false if the size of a sealed file is not that of whole pieces: then its end is missing.
pub fn has_whole_pieces(file: &(impl ReadAt + ?Sized)) -> io::Result<bool> {
    // Text is longer than the bytes for which it stands.
    let first = part(file, 0, 2 * MAX_HEADER_BYTES)?;
    let (length, header) = match form_of(&first) {
        Some(Form::Armored) => {
            let mut header = Vec::new();
            // The end of this part is an error; what comes before it is the header.
            let _ = ArmoredReader::new(Cursor::new(first)).read_to_end(&mut header);
            (armored_bytes(file)?, header)
        }
        _ => (Some(file.length()?), first),
    };
    let sealed = content_offset(&header).zip(length);
    let sealed = sealed.and_then(|(offset, length)| length.checked_sub(offset));
    Ok(sealed.and_then(content_bytes).is_some())
}

/// Returns the number of bytes for which the text stands; `None` if it has no end, or not whole lines.
fn armored_bytes(file: &(impl ReadAt + ?Sized)) -> io::Result<Option<u64>> {
    let length = file.length()?;
    let first = part(file, 0, BEGIN.len() as u64 + 2)?;
    let line_end: &[u8] = match first.strip_prefix(BEGIN) {
        Some(rest) if rest.starts_with(b"\r\n") => b"\r\n",
        _ => b"\n",
    };
    let eol = line_end.len() as u64;
    let begin = BEGIN.len() as u64 + eol;
    let tail_at = length.saturating_sub(TAIL_BYTES);
    let tail = part(file, tail_at, TAIL_BYTES)?;
    let Some(text) = tail.trim_ascii_end().strip_suffix(END) else {
        return Ok(None);
    };
    let end = tail_at + text.len() as u64;
    let Some(last) = text.strip_suffix(line_end) else {
        return Ok(None);
    };
    let padding = last.iter().rev().take_while(|byte| **byte == b'=').count() as u64;
    let Some(body) = end.checked_sub(begin) else {
        return Ok(None);
    };
    let (lines, rest) = (body / (LINE + eol), body % (LINE + eol));
    let characters = lines * LINE + rest.saturating_sub(eol);
    let is_whole = characters.is_multiple_of(GROUP) && padding < 3;
    Ok(is_whole.then(|| (characters / GROUP * 3).saturating_sub(padding)))
}

/// Reads `count` bytes from `offset` on; fewer at the end.
fn part(file: &(impl ReadAt + ?Sized), offset: u64, count: u64) -> io::Result<Vec<u8>> {
    let count = count.min(file.length()?.saturating_sub(offset));
    let mut bytes = vec![0; usize::try_from(count).unwrap_or_default()];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use age::armor::{ArmoredWriter, Format};

    use super::*;
    use crate::crypt::{PublicKey, Recipients, generate};

    /// Bytes as a source.
    struct Bytes<'a>(&'a [u8]);

    impl ReadAt for Bytes<'_> {
        fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
            let end = offset as usize + buffer.len();
            let found = self.0.get(offset as usize..end);
            buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        }

        fn length(&self) -> io::Result<u64> {
            Ok(self.0.len() as u64)
        }
    }

    fn is_whole(bytes: &[u8]) -> bool {
        has_whole_pieces(&Bytes(bytes)).expect("read")
    }

    fn sealed(length: usize) -> Vec<u8> {
        let key = PublicKey::parse(&generate().public).expect("a key");
        let recipients = Recipients::keys(vec![key]).expect("recipients");
        let (mut sealing, _) = recipients.seal(Vec::new()).expect("a header");
        sealing.write_all(&vec![7; length]).expect("sealed");
        sealing.finish().expect("an end")
    }

    fn armored(bytes: &[u8]) -> Vec<u8> {
        let mut writer = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor).expect("text");
        writer.write_all(bytes).expect("written");
        writer.finish().expect("an end")
    }

    #[test]
    fn an_armored_file_of_any_length_is_whole_and_one_that_was_cut_is_not() {
        // Each length of the last line comes up.
        for length in (0..100).chain([65_536, 65_537, 150_000]) {
            let text = armored(&sealed(length));
            assert!(is_whole(&text), "{length}");
            let dos = String::from_utf8(text.clone()).expect("text");
            assert!(is_whole(dos.replace('\n', "\r\n").as_bytes()), "{length}");
            let end = text.trim_ascii_end().len();
            for cut in [1, 10, 40, 100, 200] {
                assert!(!is_whole(&text[..end - cut]), "{length} cut by {cut}");
            }
        }
    }

    #[test]
    fn a_piece_is_never_so_short() {
        let whole = sealed(65_540);
        assert!(is_whole(&whole));
        for cut in [4, 5, 10, 19] {
            assert!(!is_whole(&whole[..whole.len() - cut]), "{cut}");
            assert!(!is_whole(&armored(&whole[..whole.len() - cut])), "{cut}");
        }
    }
}
