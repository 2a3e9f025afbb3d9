//! The content of a sealed file, from its beginning on or at any place.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
};

use age::{armor::ArmoredReader, stream::StreamReader};

use super::{bounded::Bounded, header::Form, key_name::KeyName};
use crate::error::{Failure, Kind};

/// The content of a sealed file. A read fails with [`Kind::Refused`] if the file is damaged or ends too early; what was
/// read before is unchanged.
pub struct Opened<R> {
    inner: StreamReader<Source<R>>,
    shown: String,
    key: KeyName,
}

impl<R> Opened<R> {
    pub(super) fn new(inner: StreamReader<Source<R>>, shown: &str, key: KeyName) -> Opened<R> {
        let shown = shown.to_owned();
        Opened { inner, shown, key }
    }

    /// Returns the name of the key that opened it.
    pub fn key(&self) -> &KeyName {
        &self.key
    }

    fn told(&self, error: io::Error) -> io::Error {
        match is_fault(&error) {
            true => damaged(&self.shown, &error).into(),
            false => error,
        }
    }
}

impl<R: Read> Read for Opened<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer);
        read.map_err(|error| self.told(error))
    }
}

impl<R: Read + Seek> Seek for Opened<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let sought = self.inner.seek(to);
        sought.map_err(|error| self.told(error))
    }
}

/// The bytes of a sealed file, without armor.
pub enum Source<R> {
    Binary(BufReader<Bounded<R>>),
    Armored(Box<ArmoredReader<BufReader<Bounded<R>>>>),
}

impl<R: Read> Source<R> {
    pub(super) fn new(form: Form, input: Bounded<R>) -> Source<R> {
        match form {
            Form::Binary => Source::Binary(BufReader::new(input)),
            Form::Armored => Source::Armored(Box::new(ArmoredReader::new(input))),
        }
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Source::Binary(inner) => inner.read(buffer),
            Source::Armored(inner) => inner.read(buffer),
        }
    }
}

impl<R: Read> BufRead for Source<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self {
            Source::Binary(inner) => inner.fill_buf(),
            Source::Armored(inner) => inner.fill_buf(),
        }
    }

    fn consume(&mut self, count: usize) {
        match self {
            Source::Binary(inner) => inner.consume(count),
            Source::Armored(inner) => inner.consume(count),
        }
    }
}

impl<R: Read + Seek> Seek for Source<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Source::Binary(inner) => inner.seek(to),
            Source::Armored(inner) => inner.seek(to),
        }
    }
}

/// Returns true if an error says that the bytes are not those that were sealed, and not that they cannot be read.
pub(super) fn is_fault(error: &io::Error) -> bool {
    let is_kind = matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    );
    let inner = error.get_ref();
    is_kind && inner.is_none_or(|inner| !inner.is::<Failure>())
}

/// Returns the failure of a sealed file that is not as it was sealed.
pub(super) fn damaged(shown: &str, why: &dyn fmt::Display) -> Failure {
    let why = why.to_string();
    let why = why.trim_end_matches('.').to_lowercase();
    Failure::new(
        Kind::Refused,
        format!("{shown} is damaged, cut off or changed: it cannot be decrypted ({why})"),
    )
    .hint("take another copy of it, or another archive; nothing was changed")
}
