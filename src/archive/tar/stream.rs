//! Reads a tar member by member. Every extension record is inspected and bounded.
//!
//! The `tar` crate's own iterator applies extensions before a caller can bound them, so only its header parser is used.
//! Formats: POSIX ustar and pax (IEEE Std 1003.1, pax), GNU long names, v7.

use std::io::{self, BufRead, Read};

use tar::{EntryType, Header};

use super::extension::{Extensions, tar_fault, without_nul};
pub use super::{
    extension::Extended,
    member::{HeaderAttributes, Member, MemberKind},
};
use crate::archive::Fault;
use crate::model::limits::{MAX_ENTRY_BYTES, MAX_TAR_EXTENSION_BYTES};

const BLOCK: usize = 512;

/// The members of a tar, in order; reading from it gives the content of the current one.
pub struct TarStream<R> {
    inner: R,
    remaining: u64,
    padding: u64,
}

impl<R: Read> TarStream<R> {
    /// Reads the tar that `inner` gives.
    pub fn new(inner: R) -> TarStream<R> {
        TarStream {
            inner,
            remaining: 0,
            padding: 0,
        }
    }

    /// Returns the reader of the tar.
    pub fn inner(&self) -> &R {
        &self.inner
    }

    /// Returns the same, to change it.
    pub fn inner_mut(&mut self) -> &mut R {
        &mut self.inner
    }

    /// Returns the next member; `None` after the two closing blocks if only zeros follow them.
    pub fn next_member(&mut self) -> io::Result<Option<Member>> {
        let next = self.next_header()?;
        next.map(|next| self.member(next)).transpose()
    }

    /// Returns the next header with its extension records; `None` after the two closing blocks.
    pub fn next_header(&mut self) -> io::Result<Option<Extended>> {
        let mut extensions = Extensions::default();
        loop {
            self.skip_rest()?;
            let Some(header) = self.header()? else {
                return if extensions.is_empty() {
                    Ok(None)
                } else {
                    Err(tar_fault("an extension record describes nothing"))
                };
            };
            let stated = header
                .entry_size()
                .map_err(|_| tar_fault("a header states no size"))?;
            match header.entry_type() {
                EntryType::XHeader => extensions.add_pax(&self.extension(stated)?)?,
                EntryType::GNULongName => {
                    extensions.path = Some(without_nul(self.extension(stated)?));
                }
                EntryType::GNULongLink => {
                    extensions.link = Some(without_nul(self.extension(stated)?));
                }
                // Global headers (git archive writes one) may not name a single file; nothing in them matters here.
                EntryType::XGlobalHeader => drop(self.extension(stated)?),
                kind => {
                    return Ok(Some(Extended {
                        header,
                        kind,
                        stated,
                        extensions,
                    }));
                }
            }
        }
    }

    fn member(&mut self, next: Extended) -> io::Result<Member> {
        let path = utf8(next.path())?;
        let Extended {
            header,
            kind,
            stated,
            extensions,
        } = next;
        let what = match kind {
            _ if extensions.sparse => MemberKind::Special("a sparse file"),
            EntryType::Regular if path.ends_with('/') => MemberKind::Folder,
            EntryType::Regular => MemberKind::File,
            EntryType::Directory => MemberKind::Folder,
            EntryType::Symlink => MemberKind::Special("a symbolic link"),
            EntryType::Link => MemberKind::Special("a hard link"),
            EntryType::Char => MemberKind::Special("a character device"),
            EntryType::Block => MemberKind::Special("a block device"),
            EntryType::Fifo => MemberKind::Special("a fifo"),
            EntryType::GNUSparse => MemberKind::Special("a sparse file"),
            _ => MemberKind::Special("of an unknown kind"),
        };
        // Links and devices have no content, whatever their size says (pax, "ustar Interchange Format").
        let has_content = matches!(
            kind,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse
        ) || what == MemberKind::Special("of an unknown kind");
        let size = if has_content {
            extensions.size.unwrap_or(stated)
        } else {
            0
        };
        if size > MAX_ENTRY_BYTES {
            return Err(tar_fault("a header states an absurd size"));
        }
        self.set_content(size);
        Ok(Member {
            path,
            size,
            what,
            header,
        })
    }

    /// Lets `size` bytes of content follow the header that came last.
    pub fn set_content(&mut self, size: u64) {
        self.remaining = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
    }

    fn extension(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > MAX_TAR_EXTENSION_BYTES {
            return Err(tar_fault("an extension record is larger than 1 MiB"));
        }
        self.set_content(size);
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn skip_rest(&mut self) -> io::Result<()> {
        if self.remaining > 0 {
            io::copy(self, &mut io::sink())?;
        }
        let mut block = [0; BLOCK];
        let padding = std::mem::take(&mut self.padding) as usize;
        fill(&mut self.inner, &mut block[..padding])
    }

    /// Returns the next header; `None` at the closing blocks.
    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut header = Header::new_old();
        fill(&mut self.inner, header.as_mut_bytes())?;
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            let mut second = [0; BLOCK];
            fill(&mut self.inner, &mut second)?;
            if second.iter().any(|byte| *byte != 0) {
                return Err(tar_fault(
                    "a single block of zeros stands among its members",
                ));
            }
            self.closing_zeros()?;
            return Ok(None);
        }
        // POSIX: the sum of the header's bytes, its own field taken as spaces.
        let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
        let bytes = header.as_bytes();
        let found = sum(&bytes[..148]) + 8 * 32 + sum(&bytes[156..]);
        if header.cksum().ok() != Some(found) {
            return Err(tar_fault("a header does not match its checksum"));
        }
        Ok(Some(header))
    }

    fn closing_zeros(&mut self) -> io::Result<()> {
        let mut buffer = [0; 8192];
        loop {
            match self.inner.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) if buffer[..count].iter().all(|byte| *byte == 0) => {}
                Ok(_) => return Err(tar_fault("something follows its closing blocks")),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl<R: Read> Read for TarStream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.remaining == 0 || buffer.is_empty() {
            return Ok(0);
        }
        let most = usize::try_from(self.remaining)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let count = self.inner.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(tar_fault("it ends in the middle of a file"));
        }
        self.remaining -= count as u64;
        Ok(count)
    }
}

impl<R: BufRead> BufRead for TarStream<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.remaining == 0 {
            return Ok(&[]);
        }
        let buffer = self.inner.fill_buf()?;
        if buffer.is_empty() {
            return Err(tar_fault("it ends in the middle of a file"));
        }
        let most = usize::try_from(self.remaining).unwrap_or(usize::MAX);
        Ok(&buffer[..buffer.len().min(most)])
    }

    fn consume(&mut self, amount: usize) {
        self.inner.consume(amount);
        self.remaining = self.remaining.saturating_sub(amount as u64);
    }
}

fn utf8(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let path = String::from_utf8_lossy(error.as_bytes()).into_owned();
        Fault::Path {
            path,
            reason: "is not UTF-8".into(),
        }
        .into()
    })
}

fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<()> {
    reader
        .read_exact(buffer)
        .map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                tar_fault("it ends without its two closing blocks of zeros")
            }
            _ => error,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic_or_loop(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..2048),
            kind in any::<u8>(),
            fix in any::<bool>(),
        ) {
            if fix && bytes.len() >= BLOCK {
                // A header whose checksum is right, so that the test reaches the code after that check.
                let mut header = Header::new_ustar();
                header.as_mut_bytes().copy_from_slice(&bytes[..BLOCK]);
                header.as_mut_bytes()[156] = kind;
                header.set_size(700);
                header.set_cksum();
                bytes[..BLOCK].copy_from_slice(header.as_bytes());
            }
            let mut tar = TarStream::new(bytes.as_slice());
            for _ in 0..10 {
                if !matches!(tar.next_member(), Ok(Some(_))) {
                    break;
                }
            }
        }
    }
}
