//! The layout of an archive's tar: the headers of its members, and their places (docs/format.md, "The tar").

use std::sync::Arc;

use anyhow::Result;
use tar::{EntryType, Header};

use crate::model::manifest::{FileRecord, MANIFEST_NAME};

/// The unit of a tar: headers have one, contents are padded to a multiple of it.
pub const BLOCK: u64 = 512;

/// The place of an entry in a tar, in bytes from its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryOffsets {
    /// Its header.
    pub header: u64,
    /// Its content.
    pub content: u64,
}

/// The places of the members of a tar, one after the other.
pub struct MemberPlaces<'a> {
    root: &'a str,
    at: u64,
}

impl<'a> MemberPlaces<'a> {
    /// Begins with the first member after the manifest, whose text has `manifest_bytes`.
    pub fn new(root: &'a str, created_at: i64, manifest_bytes: u64) -> Result<MemberPlaces<'a>> {
        let folder = folder_header(root, created_at)?;
        let head = manifest_header(root, created_at, manifest_bytes)?;
        let at = (folder.len() + head.len()) as u64 + manifest_bytes.next_multiple_of(BLOCK);
        Ok(MemberPlaces { root, at })
    }

    /// Returns the place of the next member, which has this record.
    pub fn next(&mut self, record: &FileRecord) -> Result<EntryOffsets> {
        let place = EntryOffsets {
            header: self.at,
            content: self
                .at
                .saturating_add(entry_header_bytes(self.root, record)?),
        };
        let content = record.size.next_multiple_of(BLOCK);
        self.at = place.content.saturating_add(content);
        Ok(place)
    }
}

/// Returns the length of the header of an entry, without making it if it is an ordinary one.
fn entry_header_bytes(root: &str, record: &FileRecord) -> Result<u64> {
    let path = record.path.as_str();
    let is_short = |name: &Option<Arc<str>>| name.as_deref().is_none_or(fits_owner);
    let is_small = |id: Option<u32>| id.unwrap_or(0) < OCTAL_7;
    let mtime = u64::try_from(record.mtime.unwrap_or(0));
    let is_ordinary = root.len() + 1 + path.len() <= 100
        && root.is_ascii()
        && path.is_ascii()
        && record.size < OCTAL_11
        && mtime.is_ok_and(|mtime| mtime < OCTAL_11)
        && is_small(record.uid)
        && is_small(record.gid)
        && is_short(&record.user)
        && is_short(&record.group);
    Ok(match is_ordinary {
        true => BLOCK,
        false => entry_header(root, record)?.len() as u64,
    })
}

/// Returns true if ustar can hold the name of an owner: 32 bytes with a NUL at the end, ASCII.
fn fits_owner(name: &str) -> bool {
    name.len() < 32 && name.is_ascii()
}

/// Returns the header of the root folder.
pub fn folder_header(root: &str, created_at: i64) -> Result<Vec<u8>> {
    let attributes = Attributes::own(0o700, created_at);
    header_blocks(&format!("{root}/"), EntryType::Directory, 0, &attributes)
}

/// Returns the header of the manifest, whose text has `bytes`.
pub fn manifest_header(root: &str, created_at: i64, bytes: u64) -> Result<Vec<u8>> {
    let attributes = Attributes::own(0o600, created_at);
    let path = format!("{root}/{MANIFEST_NAME}");
    header_blocks(&path, EntryType::Regular, bytes, &attributes)
}

/// Returns the header of an entry.
pub fn entry_header(root: &str, record: &FileRecord) -> Result<Vec<u8>> {
    let path = format!("{root}/{}", record.path.as_str());
    header_blocks(
        &path,
        EntryType::Regular,
        record.size,
        &Attributes::of(record),
    )
}

/// The attributes in a tar header, beside path, kind and size.
struct Attributes<'a> {
    mode: u32,
    mtime: i64,
    owner: Option<(&'a FileRecord, u32, u32)>,
}

impl Attributes<'_> {
    /// Returns the attributes of a member that hookshot itself makes: no owner.
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

/// Makes a ustar header, preceded by a pax record for values that ustar cannot hold.
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
    if let Some(user) = record.user.as_deref() {
        if fits_owner(user) {
            header.set_username(user)?;
        } else {
            pax.push(("uname", user.to_owned()));
        }
    }
    if let Some(group) = record.group.as_deref() {
        if fits_owner(group) {
            header.set_groupname(group)?;
        } else {
            pax.push(("gname", group.to_owned()));
        }
    }
    Ok(())
}

/// Puts a path into the 100 bytes of `name`, or the 155 of `prefix` and those; false if it does not fit.
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

/// Makes `LENGTH KEY=VALUE\n`; the length counts itself (pax, "pax Extended Header").
fn pax_record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    format!("{length} {key}={value}\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{digest::Digest, entry_name::EntryName};

    proptest! {
        #[test]
        fn the_length_of_a_header_is_known_before_it_is_made(
            path in prop_oneof!["[a-z/]{1,40}", "[a-z]{60,120}", "\\PC{1,40}", "[a-z]{90}/[a-z]{1,90}"],
            size in prop_oneof![0..5000u64, OCTAL_11 - 2..OCTAL_11 + 2],
            mtime in prop::option::of(prop_oneof![Just(-1i64), 0..9i64, (1i64 << 33) - 2..(1i64 << 33) + 2]),
            ids in prop::option::of(OCTAL_7 - 2..OCTAL_7 + 2),
            user in prop::option::of("[a-z]{0,40}|\\PC{0,8}"),
        ) {
            if let Ok(name) = EntryName::new(&path) {
                let mut record = FileRecord::new(name, Digest::of(b""), size);
                (record.mtime, record.uid, record.gid) = (mtime, ids, ids);
                record.user = user.map(Arc::from);
                // A name with a NUL makes no header.
                if let Ok(header) = entry_header("root-20260101-000000", &record) {
                    let bytes = entry_header_bytes("root-20260101-000000", &record);
                    prop_assert_eq!(bytes.ok(), Some(header.len() as u64));
                }
            }
        }
    }
}
