//! Archives made by hand, block by block: good ones as other tools make them, and hostile ones that no tool makes.
//!
//! The `tar` crate's builder refuses most of what a hostile archive needs, so only its headers are used, and paths go
//! into them as bytes.

use std::{
    collections::BTreeMap,
    io::{Cursor, Read as _, Write},
    ops::Range,
};

use anyhow::Result;
use flate2::{Compression, bufread::MultiGzDecoder, write::GzEncoder};
use hookshot::{
    archive::{self, Input, Sink, Verified, reader::Discard, writer::Level},
    error::Failure,
    model::{
        digest::Digest,
        entry_name::EntryName,
        manifest::{FileRecord, Manifest},
    },
    work::Threads,
};
use serde_json::{Map, Value, json};
pub use tar::EntryType;
use tar::Header;

/// The root folder of every archive that is made here.
pub const ROOT: &str = "hookshot-state-20250130-143022";

const BLOCK: usize = 512;

/// An entry: its name and its content.
pub type Entry<'a> = (&'a str, &'a [u8]);

/// Two entries that an import accepts on any machine.
pub const ENTRIES: [Entry<'static>; 2] = [
    ("secrets", b"hmac_key = forged\n"),
    ("services.toml", b"[services.web]\nbranch = \"forged\"\n"),
];

/// A tar under construction.
#[derive(Clone, Default)]
pub struct Tar {
    bytes: Vec<u8>,
}

impl Tar {
    /// A tar with nothing in it.
    pub fn new() -> Tar {
        Tar::default()
    }

    /// A tar with the root folder, a manifest and entries, in this order; not ended yet.
    pub fn packed(manifest: &[u8], entries: &[Entry<'_>]) -> Tar {
        let mut tar = Tar::new();
        tar.folder(&format!("{ROOT}/"))
            .entry("manifest.json", manifest)
            .entries(entries);
        tar
    }

    /// A good tar of version 1.0; not ended yet.
    pub fn good(entries: &[Entry<'_>]) -> Tar {
        Tar::packed(&text(&manifest(entries)), entries)
    }

    /// A header with every byte of `path` as it is; what is longer than its field stands in a pax record before it.
    pub fn header(&mut self, path: &[u8], kind: EntryType, size: u64) -> &mut Tar {
        if path.len() > 100 {
            self.pax(&[("path", path)]);
        }
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(if kind == EntryType::Directory {
            0o755
        } else {
            0o644
        });
        header.set_size(size);
        header.set_mtime(1_738_252_822);
        header.set_uid(0);
        header.set_gid(0);
        let kept = &path[..path.len().min(100)];
        header.as_old_mut().name[..kept.len()].copy_from_slice(kept);
        self.raw_header(header)
    }

    /// A header as it is given, with a right checksum.
    pub fn raw_header(&mut self, mut header: Header) -> &mut Tar {
        header.set_cksum();
        self.bytes.extend_from_slice(header.as_bytes());
        self
    }

    /// Content, padded to whole blocks.
    pub fn content(&mut self, content: &[u8]) -> &mut Tar {
        self.bytes.extend_from_slice(content);
        self.bytes
            .resize(self.bytes.len().next_multiple_of(BLOCK), 0);
        self
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Tar {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// A member of any kind with content.
    pub fn member(&mut self, path: impl AsRef<[u8]>, kind: EntryType, content: &[u8]) -> &mut Tar {
        self.header(path.as_ref(), kind, content.len() as u64)
            .content(content)
    }

    /// A folder.
    pub fn folder(&mut self, path: &str) -> &mut Tar {
        self.member(path, EntryType::Directory, b"")
    }

    /// A regular file at a path as it is.
    pub fn file(&mut self, path: impl AsRef<[u8]>, content: &[u8]) -> &mut Tar {
        self.member(path, EntryType::Regular, content)
    }

    /// A regular file below the root folder.
    pub fn entry(&mut self, name: &str, content: &[u8]) -> &mut Tar {
        self.file(format!("{ROOT}/{name}"), content)
    }

    /// Regular files below the root folder.
    pub fn entries(&mut self, entries: &[Entry<'_>]) -> &mut Tar {
        for (name, content) in entries {
            self.entry(name, content);
        }
        self
    }

    /// A link of either kind.
    pub fn link(&mut self, path: &str, kind: EntryType, to: &str) -> &mut Tar {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(0o777);
        header.set_size(0);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..to.len()].copy_from_slice(to.as_bytes());
        self.raw_header(header)
    }

    /// A pax extended header for the member that follows.
    pub fn pax(&mut self, records: &[(&str, &[u8])]) -> &mut Tar {
        let content: Vec<u8> = records
            .iter()
            .flat_map(|(key, value)| pax_record(key, value))
            .collect();
        self.member("pax", EntryType::XHeader, &content)
    }

    /// A GNU long name for the member that follows, as GNU tar writes it but for the closing NUL.
    pub fn gnu_long_name(&mut self, path: &[u8]) -> &mut Tar {
        self.member("././@LongLink", EntryType::GNULongName, path)
    }

    /// The bytes so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes.clone()
    }

    /// The whole tar, with its two closing blocks.
    pub fn ended(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes.resize(bytes.len() + 2 * BLOCK, 0);
        bytes
    }

    /// The whole tar as one gzip member.
    pub fn gzip(&self) -> Vec<u8> {
        gzip(&self.ended())
    }
}

/// One record of a pax extended header; the length counts itself.
pub fn pax_record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let length = (rest + 1..)
        .find(|length| *length == rest + length.to_string().len())
        .expect("a length");
    let mut record = format!("{length} {key}=").into_bytes();
    record.extend_from_slice(value);
    record.push(b'\n');
    record
}

/// One gzip member without any field of ours.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("written to memory");
    encoder.finish().expect("written to memory")
}

/// Everything that an archive inflates to.
pub fn inflate(archive: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    MultiGzDecoder::new(archive)
        .read_to_end(&mut bytes)
        .expect("good gzip");
    bytes
}

/// `mebibytes` MiB of zeros as gzip members of 1 MiB each, which take about 1 KiB each.
pub fn gzip_zeros(mebibytes: usize) -> Vec<u8> {
    gzip(&vec![0; 1 << 20]).repeat(mebibytes)
}

/// Returns the ranges of the gzip members of an archive of our own: each states its size.
pub fn members(archive: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    while start < archive.len() {
        let header = &archive[start..];
        assert_eq!(header[..4], [0x1f, 0x8b, 8, 4], "a member at {start}");
        assert_eq!(
            header[12..16],
            *b"IG\x04\0",
            "its size comes first, at {start}"
        );
        let size = u32::from_le_bytes(header[16..20].try_into().expect("four bytes"));
        found.push(start..start + size as usize);
        start += size as usize;
    }
    assert_eq!(start, archive.len());
    found
}

/// Returns the range of a member's deflate data.
pub fn deflated(archive: &[u8], member: &Range<usize>) -> Range<usize> {
    let extra = usize::from(u16::from_le_bytes([
        archive[member.start + 10],
        archive[member.start + 11],
    ]));
    member.start + 12 + extra..member.end - 8
}

/// A manifest of version 1.0, as the guide has it.
pub fn manifest(entries: &[Entry<'_>]) -> Value {
    let file = |(name, content): &Entry<'_>| {
        let record = json!({ "path": name, "checksum": digest(content), "size": content.len() });
        ((*name).to_owned(), record)
    };
    let files: Map<String, Value> = entries.iter().map(file).collect();
    json!({ "version": "1.0", "created_at": 1_738_252_822, "hookshot_version": "0.0.1", "files": files })
}

/// The bytes of a JSON value.
pub fn text(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// The SHA-256 of `content`, in hex.
pub fn digest(content: &[u8]) -> String {
    Digest::of(content).to_string()
}

/// An archive of the current version, as the library writes it.
pub fn written(entries: &[Entry<'_>]) -> Vec<u8> {
    let record = |(name, content): &Entry<'_>| {
        let name = EntryName::new(name).expect("a good name");
        let record = FileRecord::new(name.clone(), Digest::of(content), content.len() as u64);
        (name, record)
    };
    write(&current(entries.iter().map(record).collect()), entries)
}

/// A manifest of the current version.
pub fn current(files: BTreeMap<EntryName, FileRecord>) -> Manifest {
    Manifest {
        root: Some(ROOT.to_owned()),
        ..Manifest::new(1_738_252_822, semver::Version::new(0, 1, 0), files)
    }
}

/// The archive of `manifest`, its contents taken from `entries`.
pub fn write(manifest: &Manifest, entries: &[Entry<'_>]) -> Vec<u8> {
    let open = |name: &EntryName| {
        let entry = entries.iter().find(|(other, _)| *other == name.as_str());
        Ok(entry.expect("a content for each entry").1)
    };
    archive::writer::write(
        Vec::new(),
        manifest,
        Level::DEFAULT,
        Threads::ONE,
        None,
        open,
    )
    .expect("written to memory")
    .out
}

/// A sink that keeps everything in memory.
#[derive(Default)]
pub struct Collect {
    /// The contents, once for each time that an entry was given.
    pub contents: BTreeMap<String, Vec<u8>>,
    /// The number of entries that were given.
    pub given: usize,
}

impl Sink for Collect {
    fn begin(&mut self, _: &Manifest) -> Result<()> {
        Ok(())
    }

    fn entry(&mut self, name: &EntryName, _: &FileRecord) -> Result<Box<dyn Write + '_>> {
        self.given += 1;
        Ok(Box::new(
            self.contents.entry(name.as_str().to_owned()).or_default(),
        ))
    }
}

/// Reads an archive in memory, as a file or as a stream, with one thread and with several: they must agree.
pub fn read(archive: &[u8], seekable: bool, sink: &mut dyn Sink) -> Result<Verified> {
    let input = || -> Input {
        let bytes = Cursor::new(archive.to_vec());
        if seekable {
            Input::Seekable(Box::new(bytes), tempfile::env::temp_dir().into())
        } else {
            Input::Stream(Box::new(bytes), tempfile::env::temp_dir().into())
        }
    };
    let several = Threads::new(3).expect("some");
    let again = archive::read("archive", input(), several, &mut Discard);
    let once = archive::read("archive", input(), Threads::ONE, sink);
    let said = |result: &Result<Verified>| match result {
        Ok(verified) => Ok(verified.manifest().clone()),
        Err(error) => {
            let failure = Failure::of(error);
            Err((failure.message, failure.faults))
        }
    };
    assert_eq!(
        said(&once),
        said(&again),
        "with one thread, and with several"
    );
    once
}

/// Numbers that look random and are the same in every run (Marsaglia, "Xorshift RNGs", 2003).
pub struct Xorshift(u64);

impl Xorshift {
    /// Starts at `seed`, which is not zero.
    pub fn new(seed: u64) -> Xorshift {
        assert_ne!(seed, 0);
        Xorshift(seed)
    }

    /// The next number.
    pub fn next_number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next_number() % bound.max(1) as u64) as usize
    }

    /// Bytes that do not compress.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count)
            .map(|_| (self.next_number() >> 32) as u8)
            .collect()
    }
}
