//! zstd (RFC 8878), in which other programs pack: the only module that knows the crate.

use std::io::{self, BufRead, BufReader, Read};

use zstd::stream::read::Decoder;

use super::{Fault, fault::fault_of};
use crate::{error::Failure, model::limits::BUFFER_BYTES};

/// The first bytes of a frame.
const MAGIC: &[u8] = b"\x28\xb5\x2f\xfd";

/// Returns true if a file that begins with these bytes is packed with zstd.
pub fn is_packed(first: &[u8]) -> bool {
    first.starts_with(MAGIC)
}

/// Returns the content of a small frame; `None` if it is damaged, or larger than `most_bytes`.
pub fn unpack_small(packed: &[u8], most_bytes: usize) -> Option<Vec<u8>> {
    zstd::bulk::decompress(packed, most_bytes).ok()
}

/// The content of all frames, one after the other. A frame whose window is larger than 128 MiB is refused.
///
/// A damaged frame, and one that ends too early, come out as errors that carry a [`Fault`].
pub struct Unpacked<R: Read> {
    decoder: Decoder<'static, BufReader<R>>,
}

impl<R: Read> Unpacked<R> {
    /// Makes a reader that unpacks `packed`.
    pub fn new(packed: R) -> io::Result<Unpacked<R>> {
        let packed = BufReader::with_capacity(BUFFER_BYTES, packed);
        let decoder = Decoder::with_buffer(packed)?;
        Ok(Unpacked { decoder })
    }
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.decoder.read(buffer).map_err(|error| {
            let is_below = error.raw_os_error().is_some()
                || error.kind() == io::ErrorKind::Interrupted
                || fault_of(&error).is_some()
                || (error.get_ref()).is_some_and(|inner| inner.is::<Failure>());
            match is_below {
                true => error,
                false => self.fault(&error).into(),
            }
        })
    }
}

impl<R: Read> Unpacked<R> {
    fn fault(&mut self, error: &io::Error) -> Fault {
        let rest = self.decoder.get_mut().fill_buf();
        let why = match rest {
            Ok([]) => "it ends in the middle of what zstd packed".to_owned(),
            _ => format!("what zstd packed is damaged: {error}"),
        };
        Fault::NotAnArchive(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpacked(packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        Unpacked::new(packed)?.read_to_end(&mut content)?;
        Ok(content)
    }

    #[test]
    fn frames_are_unpacked_to_the_last_and_a_cut_one_is_a_fault() {
        let content = b"content ".repeat(1000);
        let mut frame = zstd::stream::Encoder::new(Vec::new(), 3).expect("an encoder");
        frame.include_checksum(true).expect("a checksum");
        io::Write::write_all(&mut frame, &content).expect("written");
        let frame = frame.finish().expect("packed");
        assert!(is_packed(&frame));
        let twice = [&frame[..], &frame].concat();
        assert!(unpacked(&twice).expect("good") == content.repeat(2));
        let cut = unpacked(&frame[..frame.len() - 2]).expect_err("it is cut");
        assert!(fault_of(&cut).is_some(), "{cut}");
        let mut flipped = frame.clone();
        let last = flipped.len() - 1;
        flipped[last] ^= 1;
        let damaged = unpacked(&flipped).expect_err("it is damaged");
        assert!(fault_of(&damaged).is_some(), "{damaged}");
    }
}
