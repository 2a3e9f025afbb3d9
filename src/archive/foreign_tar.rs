//! A tar of another program, with all that its headers tell of a file: to make an archive of it.

use std::{
    io::{self, BufRead as _, BufReader, Read},
    sync::Arc,
};

use anyhow::Result;
use tar::EntryType;

#[cfg(feature = "restic")]
use super::zstd_stream;
use super::{
    fault::{Fault, fault_of, refusal},
    foreign::met,
    gzip::inflate::Inflated,
    tar::stream::{Extended, TarStream},
};
use crate::{
    error::{Failure, Kind},
    model::{
        limits::{BUFFER_BYTES, MAX_ENTRY_BYTES, MAX_OWNER_NAME_BYTES},
        manifest::record::{Modified, Owner, Xattrs},
    },
    work::workers::Threads,
};

/// The beginning of the pax keys of extended attributes (GNU tar, bsdtar, star).
const XATTR: &str = "SCHILY.xattr.";

/// The beginning of the pax keys of access control lists in text form (GNU tar, star).
const ACL: &str = "SCHILY.acl.";

/// The hint for a file of another format.
const READ: &str = if cfg!(feature = "restic") {
    "tar, tar.gz and tar.zst are read; `-` reads what another program unpacks before the pipe"
} else {
    "tar and tar.gz are read; `-` reads what another program unpacks before the pipe"
};

/// A member of a tar of another program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignMember {
    /// The path as it stands in the tar.
    pub path: Vec<u8>,
    /// Its kind.
    pub what: ForeignKind,
    /// Bytes of content.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// Its owner and group.
    pub owner: Owner,
    /// The time of its last change.
    pub mtime: Modified,
    /// Its extended attributes.
    pub xattrs: Xattrs,
    /// True if it has an access control list in text form.
    pub has_acl: bool,
}

/// The kind of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForeignKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link, and its target.
    Link(Vec<u8>),
    /// A further name of a file that came before, and the path of that.
    SameAs(Vec<u8>),
    /// A file of which only the parts that are not holes are stored.
    Sparse,
    /// Anything else, by its kind.
    Special(&'static str),
}

/// The members of a tar, packed with gzip, zstd or not at all; reading gives the content of the current one.
pub struct ForeignTar<R: Read> {
    shown: String,
    stream: TarStream<Inflated<BufReader<Outer<R>>>>,
}

impl<R: Read> ForeignTar<R> {
    /// Reads the tar called `shown`. `first` are its first bytes, and `reader` gives all of it.
    pub fn open(
        shown: &str,
        first: &[u8],
        reader: R,
        threads: Threads,
    ) -> Result<ForeignTar<R>, Failure> {
        let reader = outer(shown, first, reader)?;
        let reader = BufReader::with_capacity(BUFFER_BYTES, reader);
        Ok(ForeignTar {
            shown: shown.to_owned(),
            stream: TarStream::new(Inflated::new(reader, threads)),
        })
    }

    /// Returns the next member; `None` after the last one.
    pub fn next_member(&mut self) -> Result<Option<ForeignMember>> {
        self.next_one().map_err(|error| self.explained(error))
    }

    /// Reads the content of the current member, and passes it on piece by piece.
    pub fn content(&mut self, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        loop {
            let count = match self.stream.fill_buf() {
                Ok([]) => return Ok(()),
                Ok(bytes) => {
                    take(bytes)?;
                    bytes.len()
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.explained(error)),
            };
            self.stream.consume(count);
        }
    }

    fn explained(&self, error: io::Error) -> anyhow::Error {
        match fault_of(&error) {
            Some(Fault::NotAnArchive(what)) => no_tar(&self.shown, &what).into(),
            Some(fault) => refusal(&self.shown, &[fault]).into(),
            None => anyhow::Error::new(error).context(format!("cannot read {}", self.shown)),
        }
    }

    fn next_one(&mut self) -> io::Result<Option<ForeignMember>> {
        let Some(next) = self.stream.next_header()? else {
            return Ok(None);
        };
        let path = next.path();
        let what = kind_of(&next, &path);
        let size = match what {
            ForeignKind::File
            | ForeignKind::Sparse
            | ForeignKind::Special("of an unknown kind") => {
                next.extensions.size.unwrap_or(next.stated)
            }
            _ => 0,
        };
        if size > MAX_ENTRY_BYTES {
            return Err(Fault::Tar("a header states an absurd size".to_owned()).into());
        }
        self.stream.set_content(size);
        Ok(Some(ForeignMember {
            size,
            mode: next.header.mode().unwrap_or(0o600) & 0o7777,
            owner: owner_of(&next),
            mtime: mtime_of(&next),
            xattrs: xattrs_of(&next),
            has_acl: (next.extensions.others.iter()).any(|(key, _)| key.starts_with(ACL)),
            path,
            what,
        }))
    }
}

/// The bytes of a file, without the layer of zstd if it has one.
enum Outer<R: Read> {
    /// As they are.
    AsTheyAre(R),
    /// Packed with zstd.
    #[cfg(feature = "restic")]
    Zstd(Box<zstd_stream::Unpacked<R>>),
}

impl<R: Read> Read for Outer<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Outer::AsTheyAre(reader) => reader.read(buffer),
            #[cfg(feature = "restic")]
            Outer::Zstd(unpacked) => unpacked.read(buffer),
        }
    }
}

/// Returns the bytes of a file that begins with `first`. One of another format is refused.
fn outer<R: Read>(shown: &str, first: &[u8], reader: R) -> Result<Outer<R>, Failure> {
    #[cfg(feature = "restic")]
    if zstd_stream::is_packed(first) {
        let unpacked = zstd_stream::Unpacked::new(reader);
        let unpacked = unpacked.map_err(|error| no_tar(shown, &error.to_string()))?;
        return Ok(Outer::Zstd(Box::new(unpacked)));
    }
    match met(first) {
        Some(what) => Err(no_tar(shown, what)),
        None => Ok(Outer::AsTheyAre(reader)),
    }
}

/// Returns the failure of a file of another format.
fn no_tar(shown: &str, what: &str) -> Failure {
    Failure::new(Kind::Refused, format!("{shown} is not a tar: {what}")).hint(READ)
}

fn kind_of(next: &Extended, path: &[u8]) -> ForeignKind {
    let link = || {
        let link = next.extensions.link.clone();
        link.or_else(|| Some(next.header.link_name_bytes()?.into_owned()))
            .unwrap_or_default()
    };
    match next.kind {
        EntryType::GNUSparse => ForeignKind::Sparse,
        _ if next.extensions.sparse => ForeignKind::Sparse,
        EntryType::Regular | EntryType::Continuous if path.ends_with(b"/") => ForeignKind::Folder,
        EntryType::Regular | EntryType::Continuous => ForeignKind::File,
        EntryType::Directory => ForeignKind::Folder,
        EntryType::Symlink => ForeignKind::Link(link()),
        EntryType::Link => ForeignKind::SameAs(link()),
        EntryType::Char | EntryType::Block => ForeignKind::Special("a device"),
        EntryType::Fifo => ForeignKind::Special("a fifo"),
        _ => ForeignKind::Special("of an unknown kind"),
    }
}

fn owner_of(next: &Extended) -> Owner {
    let others = &next.extensions.others;
    let text = |key: &str| std::str::from_utf8(others.get(key)?).ok();
    let number = |key: &str, header: io::Result<u64>| {
        let told = text(key).and_then(|text| text.parse().ok());
        // The greatest number means "none" to the kernel (chown(2)).
        told.or_else(|| u32::try_from(header.ok()?).ok())
            .filter(|id| *id < u32::MAX)
    };
    let name = |key: &str, header: Option<&[u8]>| {
        let told = text(key).or_else(|| std::str::from_utf8(header?).ok());
        let is_good = |name: &&str| !name.is_empty() && name.len() <= MAX_OWNER_NAME_BYTES;
        told.filter(is_good).map(Arc::from)
    };
    Owner {
        user: name("uname", next.header.username_bytes()),
        group: name("gname", next.header.groupname_bytes()),
        uid: number("uid", next.header.uid()),
        gid: number("gid", next.header.gid()),
    }
}

/// Returns the time of a member: pax may tell it with a fraction (IEEE Std 1003.1, pax).
fn mtime_of(next: &Extended) -> Modified {
    let told = next.extensions.others.get("mtime");
    let told = told.and_then(|text| decimal(std::str::from_utf8(text).ok()?));
    told.unwrap_or_else(|| Modified {
        seconds: next
            .header
            .mtime()
            .ok()
            .and_then(|time| i64::try_from(time).ok())
            .unwrap_or(0),
        nanoseconds: 0,
    })
}

/// Reads a decimal number of seconds. One before 1970 counts back from the second before it.
fn decimal(text: &str) -> Option<Modified> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let digits: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let nanoseconds: u32 = digits.parse().ok()?;
    Some(match whole.starts_with('-') && nanoseconds > 0 {
        false => Modified {
            seconds,
            nanoseconds,
        },
        true => Modified {
            seconds: seconds.checked_sub(1)?,
            nanoseconds: 1_000_000_000 - nanoseconds,
        },
    })
}

fn xattrs_of(next: &Extended) -> Xattrs {
    let others = next.extensions.others.iter();
    others
        .filter_map(|(key, value)| Some((key.strip_prefix(XATTR)?.to_owned(), value.clone())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_times_are_read_to_the_nanosecond() {
        let time = |seconds, nanoseconds| {
            Some(Modified {
                seconds,
                nanoseconds,
            })
        };
        assert_eq!(decimal("5"), time(5, 0));
        assert_eq!(decimal("5.25"), time(5, 250_000_000));
        assert_eq!(decimal("5.1234567899"), time(5, 123_456_789));
        assert_eq!(decimal("-1.25"), time(-2, 750_000_000));
        assert_eq!(decimal("-0.5"), time(-1, 500_000_000));
        for bad in ["", "x", "1.x", "1.-2"] {
            assert_eq!(decimal(bad), None, "{bad}");
        }
    }
}
