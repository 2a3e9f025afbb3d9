//! The part of the manifest about a directory source beyond its files: folders, symbolic links, owners, attributes
//! (docs/format.md, "Directories").

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    ops::Bound,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde_json::{Map, Value};

use super::{
    entry_name::EntryName,
    fields::{Fields, read_id, read_mode},
    limits::{MAX_COMPONENT_BYTES, MAX_FAULTS, MAX_LINK_BYTES, MAX_XATTR_BYTES},
    manifest::FileRecord,
    nesting::{Disputed, disputed},
    relative::{RelativeName, shown},
};

/// The key of the top folder's record in a directory's object.
pub(super) const ROOT: &str = "root";
/// The key of the list of folders.
pub(super) const FOLDERS: &str = "folders";
/// The key of the list of links.
pub(super) const LINKS: &str = "links";
/// The key that marks a source as secret, in the record of the top folder and in that of a file.
pub(super) const SECRET: &str = "secret";
/// The known keys in a record of a folder or a link.
pub(super) const RECORD_KEYS: &[&str] = &[
    "name",
    "target",
    "target_hex",
    "mode",
    "user",
    "group",
    "uid",
    "gid",
    "mtime",
    "mtime_ns",
    "xattrs",
    SECRET,
];

/// Extended attributes by name; POSIX ACLs are among them.
pub type Xattrs = BTreeMap<String, Vec<u8>>;

/// A directory source: everything but its files, which are entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// The top folder.
    pub root: FolderRecord,
    /// The folders below it, empty ones among them. If a folder above an entry is missing here, it is created like the
    /// top folder.
    pub folders: BTreeMap<RelativeName, FolderRecord>,
    /// The symbolic links.
    pub links: BTreeMap<RelativeName, LinkRecord>,
    /// True if the configuration of the exporting machine marks the source as secret.
    pub secret: bool,
}

/// The owner and group of a file, folder or link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owner {
    /// Name of the owner.
    pub user: Option<Arc<str>>,
    /// Name of the group.
    pub group: Option<Arc<str>>,
    /// Number of the owner.
    pub uid: Option<u32>,
    /// Number of the group.
    pub gid: Option<u32>,
}

/// Time of the last change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Modified {
    /// Unix seconds.
    pub seconds: i64,
    /// Nanoseconds since then, below 10^9.
    pub nanoseconds: u32,
}

impl Modified {
    /// The latest possible time.
    pub const LATEST: Modified = Modified {
        seconds: i64::MAX,
        nanoseconds: 999_999_999,
    };

    /// Returns the same time as the standard library represents it; `None` if it cannot.
    pub fn time(self) -> Option<SystemTime> {
        let span = Duration::from_secs(self.seconds.unsigned_abs());
        let second = match self.seconds < 0 {
            true => SystemTime::UNIX_EPOCH.checked_sub(span),
            false => SystemTime::UNIX_EPOCH.checked_add(span),
        };
        second?.checked_add(Duration::from_nanos(self.nanoseconds.into()))
    }
}

/// The manifest's record of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FolderRecord {
    /// Permission bits, at most `0o7777`.
    pub mode: Option<u32>,
    /// Its owner and group.
    pub owner: Owner,
    /// The time at which an entry of it was last created or removed.
    pub mtime: Option<Modified>,
    /// Its extended attributes.
    pub xattrs: Xattrs,
}

/// The manifest's record of a symbolic link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkRecord {
    /// The target: 1 to [`MAX_LINK_BYTES`] bytes without NUL.
    pub target: Vec<u8>,
    /// Its owner and group.
    pub owner: Owner,
    /// The time at which it was created.
    pub mtime: Option<Modified>,
}

impl FileRecord {
    /// Returns the owner and group of the file.
    pub fn owner(&self) -> Owner {
        Owner {
            user: self.user.clone(),
            group: self.group.clone(),
            uid: self.uid,
            gid: self.gid,
        }
    }

    /// Returns its time to the nanosecond, as far as the manifest has it.
    pub fn modified(&self) -> Option<Modified> {
        Some(Modified {
            seconds: self.mtime?,
            nanoseconds: self.mtime_ns.unwrap_or(0),
        })
    }
}

/// Returns the files of the directory `tree` among `files`: the name below the directory, the entry and the record.
pub fn files_of<'a>(
    tree: &'a EntryName,
    files: &'a BTreeMap<EntryName, FileRecord>,
) -> impl Iterator<Item = (&'a str, &'a EntryName, &'a FileRecord)> {
    let below = format!("{}/", tree.as_str());
    files
        .range::<str, _>((Bound::Included(below.as_str()), Bound::Unbounded))
        .take_while(move |(name, _)| name.as_str().starts_with(&below))
        .map(move |(name, record)| (&name.as_str()[tree.as_str().len() + 1..], name, record))
}

/// Returns the path of an entry below its directory; `key` is the name of the entry without that of the directory.
pub fn relative_of(
    key: &str,
    record: &FileRecord,
    tree: &EntryName,
) -> Result<RelativeName, String> {
    RelativeName::of_key(key, record.name.as_deref(), tree)
        .map_err(|fault| format!("entry {}/{}: its path {fault}", tree, shown(key.as_bytes())))
}

impl Tree {
    /// Returns the value of a directory in the manifest.
    pub(super) fn to_json(&self, name: &EntryName) -> Value {
        let mut top = Map::new();
        let mut root = folder_to_json(&self.root);
        put(&mut root, SECRET, self.secret.then_some(true));
        top.insert(ROOT.into(), Value::Object(root));
        let keyed = |relative: &RelativeName, mut map: Map<String, Value>| {
            let (key, is_escaped) = relative.key(name);
            put(
                &mut map,
                "name",
                is_escaped.then(|| hex::encode(relative.as_bytes())),
            );
            (key, Value::Object(map))
        };
        let folders = self.folders.iter();
        let folders = folders.map(|(relative, folder)| keyed(relative, folder_to_json(folder)));
        top.insert(FOLDERS.into(), Value::Object(folders.collect()));
        let links = self.links.iter();
        let links = links.map(|(relative, link)| keyed(relative, link_to_json(link)));
        top.insert(LINKS.into(), Value::Object(links.collect()));
        Value::Object(top)
    }

    /// Returns the directory as it is restored if its source is secret: only owner and group may enter its top folder.
    /// The mode of that folder is 0700 if the archive has none.
    pub fn closed(&self) -> Tree {
        let mut closed = self.clone();
        closed.root.mode = Some(self.root.mode.map_or(0o700, |mode| mode & !0o007));
        closed
    }

    /// Returns the symbolic links that lead out of the directory if it lies at `place`.
    pub fn outside<'a>(
        &'a self,
        place: &'a Path,
    ) -> impl Iterator<Item = (&'a RelativeName, &'a LinkRecord)> {
        let links = self.links.iter();
        links.filter(move |(link, _)| !self.is_inside(link, place))
    }

    /// Returns true if a symbolic link stays inside the directory: no step of its target leads above the top, even
    /// through links of the directory itself. `place` is the destination of the directory; a target that begins with it
    /// is inside.
    pub fn is_inside(&self, link: &RelativeName, place: &Path) -> bool {
        self.way_out(link.as_bytes(), place).is_none()
    }

    /// Returns the destination of a path below the top if links lead it out of the directory at `place`. The result is
    /// absolute and keeps the `..` of the links.
    ///
    /// Resolved by names alone, against the directory as it will be. A link to a missing file, or in a circle, does not
    /// lead outside.
    pub fn way_out(&self, relative: &[u8], place: &Path) -> Option<PathBuf> {
        // The kernel follows at most this many links in one path (path_resolution(7)).
        const MOST_LINKS: usize = 40;
        let mut at: Vec<&[u8]> = Vec::new();
        // The components that remain to be resolved, the next one last.
        let mut ahead: Vec<&[u8]> = relative.split(|byte| *byte == b'/').rev().collect();
        let mut path = Vec::new();
        let mut links = 0;
        let outside = |from: PathBuf, ahead: &[&[u8]]| {
            let rest = ahead.iter().rev().filter(|part| !part.is_empty());
            rest.fold(from, |path, part| path.join(OsStr::from_bytes(part)))
        };
        while let Some(component) = ahead.pop() {
            match component {
                b"" | b"." => continue,
                b".." => {
                    if at.pop().is_none() {
                        return Some(outside(place.join(".."), &ahead));
                    }
                    continue;
                }
                _ => at.push(component),
            }
            path.clear();
            path.extend_from_slice(&at.join(&b'/'));
            let found = RelativeName::new(&path).ok();
            let Some(next) = found.and_then(|relative| self.links.get(&relative)) else {
                continue;
            };
            links += 1;
            if links > MOST_LINKS {
                return None;
            }
            let mut target = next.target.as_slice();
            at.pop();
            if target.first() == Some(&b'/') {
                let place = place.as_os_str().as_bytes();
                let place = place.strip_suffix(b"/").unwrap_or(place);
                match target.strip_prefix(place) {
                    Some(rest) if rest.is_empty() || rest[0] == b'/' => target = rest,
                    _ => return Some(outside(OsStr::from_bytes(target).into(), &ahead)),
                }
                at.clear();
            }
            ahead.extend(target.split(|byte| *byte == b'/').rev());
        }
        None
    }

    /// Adds a fault for each conflict: two things of the same path, or something below a file or a link.
    pub(super) fn faults(
        &self,
        name: &EntryName,
        files: &BTreeMap<EntryName, FileRecord>,
        faults: &mut Vec<String>,
    ) {
        let mut parts: Vec<(&[u8], &str)> = Vec::new();
        for (key, _, record) in files_of(name, files) {
            match relative_of(key, record, name) {
                Err(fault) if faults.len() <= MAX_FAULTS => faults.push(fault),
                _ => {}
            }
            parts.push((record.name.as_deref().unwrap_or(key.as_bytes()), "a file"));
        }
        let folders = self.folders.keys();
        parts.extend(folders.map(|folder| (folder.as_bytes(), "a folder")));
        let links = self.links.keys();
        parts.extend(links.map(|link| (link.as_bytes(), "a link")));
        for disputed in disputed(&mut parts, |what| what != "a folder") {
            if faults.len() > MAX_FAULTS {
                return;
            }
            faults.push(match disputed {
                Disputed::Twice(path, one, other) => {
                    format!("{name}: {} is {one} and {other}", shown(path))
                }
                Disputed::Below {
                    path,
                    leaf_path,
                    leaf,
                    ..
                } => {
                    let (path, leaf_path) = (shown(path), shown(leaf_path));
                    format!("{name}: {path} lies below {leaf_path}, which is {leaf}")
                }
            });
        }
    }
}

fn folder_to_json(folder: &FolderRecord) -> Map<String, Value> {
    let mut map = Map::new();
    put(
        &mut map,
        "mode",
        folder.mode.map(|mode| format!("{mode:04o}")),
    );
    owner_to_json(&folder.owner, folder.mtime, &mut map);
    put(&mut map, "xattrs", xattrs_to_json(&folder.xattrs));
    map
}

fn link_to_json(link: &LinkRecord) -> Map<String, Value> {
    let mut map = Map::new();
    match std::str::from_utf8(&link.target) {
        Ok(target) => put(&mut map, "target", Some(target)),
        Err(_) => put(&mut map, "target_hex", Some(hex::encode(&link.target))),
    }
    owner_to_json(&link.owner, link.mtime, &mut map);
    map
}

fn owner_to_json(owner: &Owner, mtime: Option<Modified>, map: &mut Map<String, Value>) {
    put(map, "user", owner.user.as_deref());
    put(map, "group", owner.group.as_deref());
    put(map, "uid", owner.uid);
    put(map, "gid", owner.gid);
    put(map, "mtime", mtime.map(|time| time.seconds));
    let nanoseconds = mtime.map(|time| time.nanoseconds);
    put(map, "mtime_ns", nanoseconds.filter(|ns| *ns != 0));
}

fn put(map: &mut Map<String, Value>, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        map.insert(key.to_owned(), value.into());
    }
}

/// Returns extended attributes as an object of hex strings; `None` if there are none.
pub(super) fn xattrs_to_json(xattrs: &Xattrs) -> Option<Value> {
    let each = xattrs.iter();
    let each = each.map(|(name, value)| (name.clone(), hex::encode(value).into()));
    (!xattrs.is_empty()).then(|| Value::Object(each.collect()))
}

/// Reads extended attributes; `None` if they are malformed.
pub(super) fn read_xattrs(value: &Value) -> Option<Xattrs> {
    let each = value.as_object()?.iter();
    each.map(|(name, value)| {
        let is_name = !name.is_empty() && name.len() <= MAX_COMPONENT_BYTES && !name.contains('\0');
        let value = read_hex(value).filter(|value| value.len() <= MAX_XATTR_BYTES);
        is_name.then_some((name.clone(), value?))
    })
    .collect()
}

/// The expected form of extended attributes, for messages.
pub(super) const XATTRS: &str = "an object of names and hex strings of up to 64 KiB";

/// Reads the nanoseconds of a second.
pub(super) fn read_nanoseconds(value: &Value) -> Option<u32> {
    u32::try_from(value.as_u64()?)
        .ok()
        .filter(|nanoseconds| *nanoseconds < 1_000_000_000)
}

/// Reads bytes in hex.
pub(super) fn read_hex(value: &Value) -> Option<Vec<u8>> {
    hex::decode(value.as_str()?).ok()
}

/// Reads the record of a folder.
pub(super) fn read_folder(fields: &mut Fields<'_>) -> FolderRecord {
    FolderRecord {
        mode: fields.optional("mode", read_mode, "an octal string, as in \"0755\""),
        owner: read_owner(fields),
        mtime: read_modified(fields),
        xattrs: fields
            .optional("xattrs", read_xattrs, XATTRS)
            .unwrap_or_default(),
    }
}

/// Reads the mark that the source of a file or of a directory is secret.
pub(super) fn read_secret(fields: &mut Fields<'_>) -> bool {
    let secret = fields.optional(SECRET, Value::as_bool, "true or false");
    secret.unwrap_or_default()
}

/// Reads the record of a link.
pub(super) fn read_link(fields: &mut Fields<'_>) -> Option<LinkRecord> {
    let text = |value: &Value| value.as_str().map(|text| text.as_bytes().to_vec());
    let target = fields.optional("target", text, "a string");
    let target_hex = fields.optional("target_hex", read_hex, "a string of hex");
    let good =
        |target: &Vec<u8>| (1..=MAX_LINK_BYTES).contains(&target.len()) && !target.contains(&0);
    let target = match (target, target_hex) {
        (Some(target), None) | (None, Some(target)) if good(&target) => Some(target),
        _ => {
            fields.fault(
                "one of `target` and `target_hex` must be 1 to 4095 bytes without NUL".into(),
            );
            None
        }
    };
    let (owner, mtime) = (read_owner(fields), read_modified(fields));
    Some(LinkRecord {
        target: target?,
        owner,
        mtime,
    })
}

fn read_owner(fields: &mut Fields<'_>) -> Owner {
    let is_string = |value: &Value| value.as_str().map(Arc::from);
    Owner {
        user: fields.optional("user", is_string, "a string"),
        group: fields.optional("group", is_string, "a string"),
        uid: fields.optional("uid", read_id, "a number from 0 to 2^32 - 2"),
        gid: fields.optional("gid", read_id, "a number from 0 to 2^32 - 2"),
    }
}

fn read_modified(fields: &mut Fields<'_>) -> Option<Modified> {
    let seconds = fields.optional("mtime", Value::as_i64, "a time in Unix seconds");
    let nanoseconds = fields.optional("mtime_ns", read_nanoseconds, "a number below 10^9");
    Some(Modified {
        seconds: seconds?,
        nanoseconds: nanoseconds.unwrap_or(0),
    })
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
