//! Writing a sealed file.

use std::io::{self, Write};

use age::stream::StreamWriter;

use super::{keyring::Keyring, recipients::Recipients};

/// A file that is being sealed; [`Sealing::finish`] ends it. Without that, every reader finds that its end is missing.
#[must_use = "a sealed file without its end is refused by every reader"]
pub struct Sealing<W: Write>(StreamWriter<W>);

impl Recipients {
    /// Begins to seal what is written, and returns the keyring that opens this one file, for the proof of what was written.
    pub fn seal<W: Write>(&self, out: W) -> io::Result<(Sealing<W>, Keyring)> {
        let (encryptor, memory) = self.encryptor()?;
        let writer = encryptor.wrap_output(out)?;
        Ok((Sealing(writer), Keyring::of_one_file(memory)))
    }
}

impl<W: Write> Sealing<W> {
    /// Writes the end, and returns the output.
    pub fn finish(self) -> io::Result<W> {
        self.0.finish()
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
