//! Writes an archive: root folder, manifest, entries in the manifest's order (docs/format.md, "The tar").

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
};

use anyhow::{Context as _, Result};
use tar::{EntryType, Header};

pub use super::members::Level;
use super::{manifest_text, members::MemberWriter, reuse::Earlier};
use crate::work::workers::Threads;
use crate::{
    error::{Failure, Kind},
    model::{
        entry_name::EntryName,
        limits::{MEMBER_BYTES, TAR_OVERHEAD_BYTES},
        manifest::{FileRecord, MANIFEST_NAME, Manifest},
    },
};

const BLOCK: u64 = 512;

/// Writes the archive that `manifest` describes to `out`; `open` gives the content of each entry.
///
/// Blocks that `earlier` has compressed already are taken over from it; that changes nothing of what is written. An entry of another size than the manifest says is an error: its source changed meanwhile. Digests are not computed
/// here; who reads the archive back finds content that changed. A manifest that no reader would take is
/// [`Kind::Usage`], before anything is written.
pub fn write<W: Write, R: Read>(
    out: W,
    manifest: &Manifest,
    level: Level,
    threads: Threads,
    earlier: Option<&Earlier>,
    mut open: impl FnMut(&EntryName) -> Result<R>,
) -> Result<Written<W>> {
    let root = manifest
        .root
        .as_deref()
        .context("an archive needs a root folder")?;
    let mut writer = Writer {
        members: MemberWriter::new(out, level, threads),
    };
    let bytes = manifest_text::of(manifest)?;
    writer.header(
        &format!("{root}/"),
        EntryType::Directory,
        0,
        &Attributes::own(0o700, manifest.created_at),
    )?;
    writer.header(
        &format!("{root}/{MANIFEST_NAME}"),
        EntryType::Regular,
        bytes.len() as u64,
        &Attributes::own(0o600, manifest.created_at),
    )?;
    writer.members.write_all(&bytes)?;
    writer.pad(bytes.len() as u64)?;
    drop(bytes);
    for (name, record) in &manifest.files {
        let content = open(name)?;
        writer
            .entry(root, name, record, earlier, content)
            .with_context(|| format!("cannot archive {name}"))?;
    }
    writer.members.write_all(&[0; 2 * BLOCK as usize])?;
    let (out, reused_bytes) = writer.members.finish()?;
    Ok(Written { out, reused_bytes })
}

/// The most bytes that the archive of `manifest` can have: nothing shrinks, and every header is a long one.
pub fn most_bytes(manifest: &Manifest) -> u64 {
    let text = manifest.to_bytes().len() as u64;
    let headers = TAR_OVERHEAD_BYTES.saturating_mul(manifest.files.len() as u64 + 2);
    let tar = manifest
        .total_bytes()
        .saturating_add(headers)
        .saturating_add(2 * text);
    // Stored blocks, members and index add far less than a hundredth.
    tar.saturating_add(tar / 100).saturating_add(1 << 20)
}

/// An archive that was written.
#[derive(Debug)]
pub struct Written<W> {
    /// Where it was written to.
    pub out: W,
    /// Bytes of content whose compressed form was taken over from an earlier archive.
    pub reused_bytes: u64,
}

struct Writer<W> {
    members: MemberWriter<W>,
}

/// What a tar header says beside path, kind and size.
struct Attributes<'a> {
    mode: u32,
    mtime: i64,
    owner: Option<(&'a FileRecord, u32, u32)>,
}

impl Attributes<'_> {
    /// For what hookshot itself makes: no owner.
    fn own(mode: u32, mtime: i64) -> Attributes<'static> {
        Attributes {
            mode,
            mtime,
            owner: None,
        }
    }

    fn of(record: &FileRecord) -> Attributes<'_> {
        Attributes {
            mode: record.mode.unwrap_or(0o600),
            mtime: record.mtime.unwrap_or(0),
            owner: Some((record, record.uid.unwrap_or(0), record.gid.unwrap_or(0))),
        }
    }
}

impl<W: Write> Writer<W> {
    fn entry(
        &mut self,
        root: &str,
        name: &EntryName,
        record: &FileRecord,
        earlier: Option<&Earlier>,
        mut content: impl Read,
    ) -> Result<()> {
        let path = format!("{root}/{}", record.path.as_str());
        self.header(
            &path,
            EntryType::Regular,
            record.size,
            &Attributes::of(record),
        )?;
        if record.size > MEMBER_BYTES as u64 {
            let blocks = earlier.map(|earlier| earlier.blocks(name, record));
            self.members.begin_entry(blocks.unwrap_or_default())?;
        }
        let mut left = record.size;
        loop {
            let count = match self.members.take(&mut content) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            left = left
                .checked_sub(count as u64)
                .ok_or_else(|| changed(name))?;
        }
        if left > 0 {
            return Err(changed(name));
        }
        self.members.end_entry();
        Ok(self.pad(record.size)?)
    }

    fn header(
        &mut self,
        path: &str,
        kind: EntryType,
        size: u64,
        attributes: &Attributes<'_>,
    ) -> Result<()> {
        let blocks = header_blocks(path, kind, size, attributes)?;
        Ok(self.members.write_all(&blocks)?)
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let padding = size.next_multiple_of(BLOCK) - size;
        self.members
            .write_all(&[0; BLOCK as usize][..padding as usize])
    }
}

/// A ustar header, with a pax record before it for what ustar cannot say.
fn header_blocks(
    path: &str,
    kind: EntryType,
    size: u64,
    attributes: &Attributes<'_>,
) -> Result<Vec<u8>> {
    let mut header = Header::new_ustar();
    let mut pax: Vec<(&str, String)> = Vec::new();
    header.set_entry_type(kind);
    header.set_mode(attributes.mode & 0o7777);
    match u64::try_from(attributes.mtime) {
        Ok(mtime) if mtime < OCTAL_11 => header.set_mtime(mtime),
        _ => {
            header.set_mtime(0);
            pax.push(("mtime", attributes.mtime.to_string()));
        }
    }
    if size < OCTAL_11 {
        header.set_size(size);
    } else {
        header.set_size(0);
        pax.push(("size", size.to_string()));
    }
    set_owner(&mut header, attributes, &mut pax)?;
    if !set_ustar_path(&mut header, path) {
        pax.push(("path", path.to_owned()));
        set_ustar_path(&mut header, "pax-long-name");
    }
    header.set_cksum();
    let mut blocks = if pax.is_empty() {
        Vec::new()
    } else {
        pax_blocks(&pax)
    };
    blocks.extend_from_slice(header.as_bytes());
    Ok(blocks)
}

fn pax_blocks(records: &[(&str, String)]) -> Vec<u8> {
    let content: String = records
        .iter()
        .map(|(key, value)| pax_record(key, value))
        .collect();
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::XHeader);
    header.set_mode(0o600);
    header.set_size(content.len() as u64);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    set_ustar_path(&mut header, "pax-header");
    header.set_cksum();
    let mut blocks = header.as_bytes().to_vec();
    blocks.extend_from_slice(content.as_bytes());
    blocks.resize(blocks.len().next_multiple_of(BLOCK as usize), 0);
    blocks
}

/// Where an entry stands in a tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Its header.
    pub header: u64,
    /// Its content.
    pub content: u64,
}

/// Where each entry stands in the tar that [`write`] makes of `manifest`, whose text has `manifest_bytes`.
pub(super) fn places<'a>(
    manifest: &'a Manifest,
    root: &str,
    manifest_bytes: u64,
) -> Result<BTreeMap<&'a EntryName, Place>> {
    let own = |mode| Attributes::own(mode, manifest.created_at);
    let folder = header_blocks(&format!("{root}/"), EntryType::Directory, 0, &own(0o700))?;
    let path = format!("{root}/{MANIFEST_NAME}");
    let head = header_blocks(&path, EntryType::Regular, manifest_bytes, &own(0o600))?;
    let mut at = (folder.len() + head.len()) as u64 + manifest_bytes.next_multiple_of(BLOCK);
    let mut places = BTreeMap::new();
    for (name, record) in &manifest.files {
        let path = format!("{root}/{}", record.path.as_str());
        let attributes = Attributes::of(record);
        let header = header_blocks(&path, EntryType::Regular, record.size, &attributes)?;
        let content = at.saturating_add(header.len() as u64);
        places.insert(
            name,
            Place {
                header: at,
                content,
            },
        );
        at = content.saturating_add(record.size.next_multiple_of(BLOCK));
    }
    Ok(places)
}

/// The first number that eleven octal digits cannot say.
const OCTAL_11: u64 = 1 << 33;
/// The first number that seven octal digits cannot say.
const OCTAL_7: u32 = 1 << 21;

fn set_owner(
    header: &mut Header,
    attributes: &Attributes<'_>,
    pax: &mut Vec<(&'static str, String)>,
) -> Result<()> {
    let (record, uid, gid) = match attributes.owner {
        Some((record, uid, gid)) => (Some(record), uid, gid),
        None => (None, 0, 0),
    };
    header.set_uid(if uid < OCTAL_7 { uid.into() } else { 0 });
    header.set_gid(if gid < OCTAL_7 { gid.into() } else { 0 });
    if uid >= OCTAL_7 {
        pax.push(("uid", uid.to_string()));
    }
    if gid >= OCTAL_7 {
        pax.push(("gid", gid.to_string()));
    }
    let Some(record) = record else {
        return Ok(());
    };
    // ustar: 32 bytes with a NUL at the end, ASCII.
    let fits = |name: &str| name.len() < 32 && name.is_ascii();
    if let Some(user) = record.user.as_deref() {
        if fits(user) {
            header.set_username(user)?;
        } else {
            pax.push(("uname", user.to_owned()));
        }
    }
    if let Some(group) = record.group.as_deref() {
        if fits(group) {
            header.set_groupname(group)?;
        } else {
            pax.push(("gname", group.to_owned()));
        }
    }
    Ok(())
}

/// Puts a path into the 100 bytes of `name`, or the 155 of `prefix` and those; false where it does not fit.
fn set_ustar_path(header: &mut Header, path: &str) -> bool {
    let Some(ustar) = header.as_ustar_mut() else {
        return false;
    };
    let bytes = path.as_bytes();
    let split = if bytes.len() <= 100 {
        Some((&b""[..], bytes))
    } else {
        // The prefix is as long as it can be; the slash between the two is not stored.
        let mut slashes = bytes
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(at, _)| at);
        slashes
            .rfind(|at| {
                *at > 0 && *at <= 155 && bytes.len() - at - 1 <= 100 && at + 1 < bytes.len()
            })
            .map(|at| (&bytes[..at], &bytes[at + 1..]))
    };
    let Some((prefix, name)) = split.filter(|_| path.is_ascii()) else {
        return false;
    };
    ustar.prefix = [0; 155];
    ustar.name = [0; 100];
    ustar.prefix[..prefix.len()].copy_from_slice(prefix);
    ustar.name[..name.len()].copy_from_slice(name);
    true
}

/// `LENGTH KEY=VALUE\n`, where the length counts itself (pax, "pax Extended Header").
fn pax_record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    format!("{length} {key}={value}\n")
}

fn changed(name: &EntryName) -> anyhow::Error {
    Failure::new(
        Kind::Failed,
        format!("{name} changed while it was exported"),
    )
    .hint("export again when nobody is editing the file")
    .into()
}
