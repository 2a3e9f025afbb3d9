//! The record of a file as JSON, written and read (docs/format.md, "manifest.json").

use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use super::{
    FileRecord,
    fields::{Fields, OWNER_NAME, is_owner_name, read_id, read_mode},
    record_json,
};
use crate::model::{
    digest::Digest,
    entry_name::{EntryName, printable},
    limits::MAX_ENTRY_BYTES,
};

/// The manifest's name inside the root folder; no entry may have it.
pub const MANIFEST_NAME: &str = "manifest.json";

/// The known keys in a record of a file.
pub(super) const FILE_KEYS: &[&str] = &[
    "path", "checksum", "size", "mode", "user", "group", "uid", "gid", "mtime", "kind", "target",
    "snapshot", "name", "mtime_ns", "xattrs", "sparse", "torn", "secret",
];

/// Texts that many records have, each kept once: owners and kinds.
#[derive(Debug, Default)]
pub(super) struct Texts(Vec<Arc<str>>);

impl Texts {
    /// The most texts that are remembered: they are compared one by one.
    const MOST: usize = 16;

    pub(super) fn share(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.iter().find(|known| ***known == *text) {
            return known.clone();
        }
        let text: Arc<str> = text.into();
        if self.0.len() < Texts::MOST {
            self.0.push(text.clone());
        }
        text
    }
}

/// Reads the record of a file. `name` is its entry if that is known already.
pub(super) fn read_file(
    fields: &mut Fields<'_>,
    name: Option<&EntryName>,
    texts: &mut Texts,
) -> Option<FileRecord> {
    let mut share = |value: &Value| value.as_str().map(|text| texts.share(text));
    let path = fields.required(
        "path",
        |value| value.as_str().map(str::to_owned),
        "a string",
    );
    let path = path.and_then(|path| match entry_name(&path) {
        // Most entries have one text for both.
        Ok(path) => Some(name.filter(|name| **name == path).cloned().unwrap_or(path)),
        Err(fault) => {
            fields.fault(format!("its path {} {fault}", printable(&path)));
            None
        }
    });
    let checksum = fields.required(
        "checksum",
        |value| value.as_str()?.parse::<Digest>().ok(),
        "64 hex characters (SHA-256)",
    );
    let size = fields.required(
        "size",
        |value| value.as_u64().filter(|size| *size <= MAX_ENTRY_BYTES),
        "a number of bytes from 0 to 2^60",
    );
    let mode = fields.optional("mode", read_mode, "an octal string, as in \"0600\"");
    let mut share_owner = |value: &Value| match value.as_str() {
        Some(name) if is_owner_name(name) => share(value),
        _ => None,
    };
    let user = fields.optional("user", &mut share_owner, OWNER_NAME);
    let group = fields.optional("group", &mut share_owner, OWNER_NAME);
    let uid = fields.optional("uid", read_id, "a number from 0 to 2^32 - 2");
    let gid = fields.optional("gid", read_id, "a number from 0 to 2^32 - 2");
    let mtime = fields.optional("mtime", Value::as_i64, "a time in Unix seconds");
    let kind = fields.optional("kind", &mut share, "a string");
    let target = fields.optional("target", read_string, "a string");
    let snapshot = fields.optional(
        "snapshot",
        |value| value.is_object().then(|| value.clone()),
        "an object",
    );
    Some(FileRecord {
        path: path?,
        checksum: checksum?,
        size: size?,
        mode,
        user,
        group,
        uid,
        gid,
        mtime,
        kind,
        target,
        snapshot,
        name: fields.optional("name", record_json::read_hex, "a string of hex"),
        mtime_ns: fields.optional(
            "mtime_ns",
            record_json::read_nanoseconds,
            "a number below 10^9",
        ),
        xattrs: fields
            .optional("xattrs", record_json::read_xattrs, record_json::XATTRS)
            .unwrap_or_default(),
        sparse: fields
            .optional("sparse", Value::as_bool, "true or false")
            .unwrap_or_default(),
        torn: fields
            .optional("torn", Value::as_bool, "true or false")
            .unwrap_or_default(),
        secret: record_json::read_secret(fields),
    })
}

/// Reads the name of an entry, which is not that of the manifest.
pub(super) fn entry_name(text: &str) -> Result<EntryName, String> {
    let name = EntryName::new(text).map_err(|fault| fault.to_string())?;
    if name.as_str() == MANIFEST_NAME {
        return Err("is the manifest's own".to_owned());
    }
    Ok(name)
}

/// Reads a string.
pub(super) fn read_string(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// A record that is written with its keys in an order that shrinks well: values that differ from file to file come
/// first.
pub(super) struct WrittenFile<'a>(pub(super) &'a FileRecord);

impl Serialize for WrittenFile<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let WrittenFile(file) = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("path", file.path.as_str())?;
        map.serialize_entry("size", &file.size)?;
        map.serialize_entry("checksum", &file.checksum.to_string())?;
        put(&mut map, "kind", &file.kind.as_deref())?;
        put(
            &mut map,
            "mode",
            &file.mode.map(|mode| format!("{mode:04o}")),
        )?;
        put(&mut map, "user", &file.user.as_deref())?;
        put(&mut map, "group", &file.group.as_deref())?;
        put(&mut map, "uid", &file.uid)?;
        put(&mut map, "gid", &file.gid)?;
        put(&mut map, "mtime", &file.mtime)?;
        put(&mut map, "mtime_ns", &file.mtime_ns.filter(|ns| *ns != 0))?;
        put(&mut map, "target", &file.target)?;
        put(&mut map, "snapshot", &file.snapshot)?;
        put(&mut map, "name", &file.name.as_ref().map(hex::encode))?;
        put(
            &mut map,
            "xattrs",
            &record_json::xattrs_to_json(&file.xattrs),
        )?;
        put(&mut map, "sparse", &file.sparse.then_some(true))?;
        put(&mut map, "torn", &file.torn.then_some(true))?;
        put(&mut map, "secret", &file.secret.then_some(true))?;
        map.end()
    }
}

/// Writes a key, or nothing if the value is absent.
pub(super) fn put<M: SerializeMap>(
    map: &mut M,
    key: &str,
    value: &Option<impl Serialize>,
) -> Result<(), M::Error> {
    match value {
        Some(value) => map.serialize_entry(key, value),
        None => Ok(()),
    }
}
