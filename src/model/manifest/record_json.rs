//! The records of folders and symbolic links as JSON, written and read (docs/format.md, "Directories").

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{
    fields::{Fields, OWNER_NAME, is_owner_name, read_id, read_mode},
    record::{FolderRecord, LinkRecord, Modified, Owner, Xattrs},
};
use crate::model::{
    entry_name::EntryName,
    limits::{MAX_COMPONENT_BYTES, MAX_LINK_BYTES, MAX_XATTR_BYTES},
    relative::RelativeName,
    tree::Tree,
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

/// Returns the value of a directory in the manifest.
pub(super) fn tree_to_json(tree: &Tree, name: &EntryName) -> Value {
    let mut top = Map::new();
    let mut root = folder_to_json(&tree.root);
    put(&mut root, SECRET, tree.secret.then_some(true));
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
    let folders = tree.folders.iter();
    let folders = folders.map(|(relative, folder)| keyed(relative, folder_to_json(folder)));
    top.insert(FOLDERS.into(), Value::Object(folders.collect()));
    let links = tree.links.iter();
    let links = links.map(|(relative, link)| keyed(relative, link_to_json(link)));
    top.insert(LINKS.into(), Value::Object(links.collect()));
    Value::Object(top)
}

pub(super) fn folder_to_json(folder: &FolderRecord) -> Map<String, Value> {
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

pub(super) fn link_to_json(link: &LinkRecord) -> Map<String, Value> {
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

pub(super) fn put(map: &mut Map<String, Value>, key: &str, value: Option<impl Into<Value>>) {
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
    let read_name = |value: &Value| {
        let name = value.as_str().filter(|name| is_owner_name(name));
        name.map(Arc::from)
    };
    Owner {
        user: fields.optional("user", read_name, OWNER_NAME),
        group: fields.optional("group", read_name, OWNER_NAME),
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
