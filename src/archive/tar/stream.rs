//! Reads a tar member by member. Every extension record is inspected and bounded.
//!
//! The `tar` crate's own iterator applies extensions before a caller can bound them, so only its header parser is used.
//! Formats: POSIX ustar and pax (IEEE Std 1003.1, pax), GNU long names, v7.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Read},
};

use tar::{EntryType, Header};

use crate::archive::Fault;
use crate::model::limits::{MAX_ENTRY_BYTES, MAX_TAR_EXTENSION_BYTES};

const BLOCK: usize = 512;

/// A member of the tar, as its header describes it.
#[derive(Debug, Clone)]
pub struct Member {
    /// The path as it stands in the tar.
    pub path: String,
    /// Bytes of content.
    pub size: u64,
    /// The kind of file.
    pub what: MemberKind,
    header: Header,
}

impl Member {
    /// Makes a member that stands in no tar: what lies at `path` in a tree of files.
    pub fn of_tree(
        path: String,
        size: u64,
        what: MemberKind,
        attributes: &HeaderAttributes,
    ) -> Member {
        let mut header = Header::new_ustar();
        header.set_mode(attributes.mode.unwrap_or(0o600));
        // A name that does not fit into a header is not told, as in a tar.
        if let Some(user) = &attributes.user {
            let _ = header.set_username(user);
        }
        if let Some(group) = &attributes.group {
            let _ = header.set_groupname(group);
        }
        Member {
            path,
            size,
            what,
            header,
        }
    }

    /// Returns true if `blocks`, a header with the extension records before it, end with the header of this member.
    pub fn has_header(&self, blocks: &[u8]) -> bool {
        blocks.ends_with(self.header.as_bytes())
    }

    /// Returns the time in the header.
    pub fn mtime(&self) -> Option<i64> {
        i64::try_from(self.header.mtime().ok()?).ok()
    }

    /// Returns owner and permissions.
    pub fn attributes(&self) -> HeaderAttributes {
        let text = |bytes: Option<&[u8]>| {
            bytes
                .and_then(|bytes| std::str::from_utf8(bytes).ok())
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        HeaderAttributes {
            mode: self.header.mode().ok(),
            user: text(self.header.username_bytes()),
            group: text(self.header.groupname_bytes()),
        }
    }
}

/// The kind of file of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// Any kind that no archive may hold.
    Special(&'static str),
}

/// Owner and permissions as a tar header has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderAttributes {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Name of the owner.
    pub user: Option<String>,
    /// Name of the group.
    pub group: Option<String>,
}

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

/// A header with the extension records before it.
pub struct Extended {
    /// The header itself.
    pub header: Header,
    /// The kind that it states.
    pub kind: EntryType,
    /// The size that the header itself states.
    pub stated: u64,
    /// The records before it.
    pub extensions: Extensions,
}

impl Extended {
    /// Returns the path as it stands in the tar.
    pub fn path(&self) -> Vec<u8> {
        let path = self.extensions.path.clone();
        path.unwrap_or_else(|| self.header.path_bytes().into_owned())
    }
}

/// The values of extension records that replace those of a header.
#[derive(Default)]
pub struct Extensions {
    /// The path.
    pub path: Option<Vec<u8>>,
    /// The target of a link.
    pub link: Option<Vec<u8>>,
    /// The bytes of content.
    pub size: Option<u64>,
    /// True if the holes of the file are not stored.
    pub sparse: bool,
    /// The other records of pax, by key.
    pub others: BTreeMap<String, Vec<u8>>,
    any: bool,
}

impl Extensions {
    fn is_empty(&self) -> bool {
        !self.any && self.path.is_none()
    }

    fn add_pax(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.any = true;
        let mut rest = bytes;
        while !rest.is_empty() {
            let record = first_record(rest);
            let (key, value, length) =
                record.ok_or_else(|| tar_fault("a pax record is malformed"))?;
            rest = &rest[length..];
            match std::str::from_utf8(key) {
                Ok("path") => self.path = Some(value.to_vec()),
                Ok("linkpath") => self.link = Some(value.to_vec()),
                Ok("size") => {
                    let size = std::str::from_utf8(value).ok();
                    let size = size.and_then(|size| size.parse().ok());
                    self.size = Some(size.ok_or_else(|| tar_fault("a pax record states no size"))?);
                }
                Ok(key) if key.starts_with("GNU.sparse.") => self.sparse = true,
                Ok(key) => {
                    self.others.insert(key.to_owned(), value.to_vec());
                }
                Err(_) => {}
            }
        }
        Ok(())
    }
}

/// Returns key and value of the first record, `LENGTH KEY=VALUE\n`, and its length. A value may have line feeds, as those
/// of extended attributes do: the parser of the `tar` crate refuses them.
fn first_record(bytes: &[u8]) -> Option<(&[u8], &[u8], usize)> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], length))
}

/// Returns a GNU long name without its final NUL.
fn without_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
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

fn tar_fault(reason: &str) -> io::Error {
    Fault::Tar(reason.to_owned()).into()
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
