//! The manifest: an archive's table of contents with the digest of every entry (docs/format.md, "manifest.json").

use std::collections::BTreeMap;

use semver::Version;
use serde_json::{Map, Value, json};

use super::{
    digest::Digest,
    entry_name::{EntryName, printable},
    json,
    limits::{LAST_SECOND, MAX_ENTRIES, MAX_ENTRY_BYTES, MAX_FAULTS, MAX_TREES},
    relative::{RelativeName, is_tree_name},
    tree::{self, Tree, Xattrs},
    version::FormatVersion,
};

/// The manifest's name inside the root folder; no entry may have it.
pub const MANIFEST_NAME: &str = "manifest.json";

/// The keys that mean something.
const KEYS: json::Keys = json::Keys {
    top: &[
        "version",
        "created_at",
        "hookshot_version",
        "files",
        "root",
        "hostname",
        "app",
        "app_version",
        "compression",
        "tags",
    ],
    entries: "files",
    entry: &[
        "path", "checksum", "size", "mode", "user", "group", "uid", "gid", "mtime", "kind",
        "target", "snapshot", "name", "mtime_ns", "xattrs", "sparse",
    ],
    trees: "trees",
    lists: &[tree::FOLDERS, tree::LINKS],
    root: tree::ROOT,
    record: tree::RECORD_KEYS,
};

/// An archive's table of contents.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The version of the format.
    pub version: FormatVersion,
    /// Time of the snapshot, Unix seconds.
    pub created_at: i64,
    /// The hookshot that wrote the archive.
    pub hookshot_version: Version,
    /// The entries by name, in the order in which they stand in the archive.
    pub files: BTreeMap<EntryName, FileRecord>,
    /// The root folder's name; absent in version 1.0.
    pub root: Option<String>,
    /// Where the archive was made.
    pub hostname: Option<String>,
    /// Name of what was exported.
    pub app: Option<String>,
    /// Its version.
    pub app_version: Option<String>,
    /// How its blocks are compressed. The same hookshot that compresses in the same way writes the same bytes.
    pub compression: Option<String>,
    /// Free labels.
    pub tags: BTreeMap<String, String>,
    /// Directory sources by name; their files are entries.
    pub trees: BTreeMap<EntryName, Tree>,
}

/// What the manifest says of one entry.
#[derive(Debug, Clone, PartialEq)]
pub struct FileRecord {
    /// Where it lies below the root folder.
    pub path: EntryName,
    /// SHA-256 of the content.
    pub checksum: Digest,
    /// Size of the content in bytes.
    pub size: u64,
    /// Permission bits, at most `0o7777`.
    pub mode: Option<u32>,
    /// Name of the owner.
    pub user: Option<String>,
    /// Name of the group.
    pub group: Option<String>,
    /// Number of the owner.
    pub uid: Option<u32>,
    /// Number of the group.
    pub gid: Option<u32>,
    /// Time of the last change, Unix seconds.
    pub mtime: Option<i64>,
    /// What it is: `redb`, `file`; unknown kinds are plain files.
    pub kind: Option<String>,
    /// Where it came from; information only, an import never follows it.
    pub target: Option<String>,
    /// How a database's copy was taken and proven.
    pub snapshot: Option<Value>,
    /// The path below its directory source, where the entry's name cannot say it.
    pub name: Option<Vec<u8>>,
    /// Nanoseconds of [`FileRecord::mtime`], below 10^9.
    pub mtime_ns: Option<u32>,
    /// Extended attributes.
    pub xattrs: Xattrs,
    /// Whether it had holes, so that blocks of zeros need not be stored.
    pub sparse: bool,
}

impl FileRecord {
    /// A record with the three keys of version 1.0.
    pub fn new(path: EntryName, checksum: Digest, size: u64) -> FileRecord {
        FileRecord {
            path,
            checksum,
            size,
            mode: None,
            user: None,
            group: None,
            uid: None,
            gid: None,
            mtime: None,
            kind: None,
            target: None,
            snapshot: None,
            name: None,
            mtime_ns: None,
            xattrs: Xattrs::new(),
            sparse: false,
        }
    }

    /// Whether the archive says that this database was checked page by page before it was archived.
    pub fn is_proven_database(&self) -> bool {
        let checked = self
            .snapshot
            .as_ref()
            .and_then(|snapshot| snapshot.get("check_integrity"));
        checked == Some(&Value::Bool(true))
    }
}

impl Manifest {
    /// Bytes of all entries together. Never overflows: both factors are bounded on reading.
    pub fn total_bytes(&self) -> u64 {
        self.files
            .values()
            .fold(0, |sum, file| sum.saturating_add(file.size))
    }

    /// The manifest as JSON.
    pub fn to_json(&self) -> Value {
        let mut top = Map::new();
        top.insert("version".into(), self.version.to_string().into());
        top.insert("created_at".into(), self.created_at.into());
        top.insert(
            "hookshot_version".into(),
            self.hookshot_version.to_string().into(),
        );
        let files = self
            .files
            .iter()
            .map(|(name, file)| (name.as_str().to_owned(), file.to_json()));
        top.insert("files".into(), Value::Object(files.collect()));
        put(&mut top, "root", self.root.as_deref());
        put(&mut top, "hostname", self.hostname.as_deref());
        put(&mut top, "app", self.app.as_deref());
        put(&mut top, "app_version", self.app_version.as_deref());
        put(&mut top, "compression", self.compression.as_deref());
        if !self.tags.is_empty() {
            top.insert("tags".into(), json!(self.tags));
        }
        if !self.trees.is_empty() {
            let trees = self.trees.iter();
            let trees = trees.map(|(name, tree)| (name.as_str().to_owned(), tree.to_json(name)));
            top.insert("trees".into(), Value::Object(trees.collect()));
        }
        Value::Object(top)
    }

    /// The bytes of `manifest.json`: indented, ended by a line feed.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{:#}", self.to_json());
        text.push('\n');
        text.into_bytes()
    }

    /// Reads a manifest and names every fault in it.
    pub fn parse(bytes: &[u8]) -> Result<Manifest, Vec<ManifestFault>> {
        let mut faults = Vec::new();
        let (mut files, mut trees) = (Files::default(), Trees::default());
        let value = json::parse(bytes, &KEYS, &mut |item, value| match item {
            json::Item::Entry(name) => files.add(name, &value),
            json::Item::Listed { tree, list, name } => trees.list(tree, list, name, &value),
            json::Item::Tree(name) => trees.add(name, &value),
        });
        let value = value
            .map_err(|error| vec![ManifestFault::Malformed(format!("is not JSON: {error}"))])?;
        let Value::Object(top) = value else {
            return Err(vec![ManifestFault::Malformed(
                "is not a JSON object".into(),
            )]);
        };
        let manifest = read_manifest(&top, files, trees, &mut faults);
        match manifest {
            Some(manifest) if faults.is_empty() => Ok(manifest),
            _ => Err(faults),
        }
    }
}

impl FileRecord {
    fn to_json(&self) -> Value {
        let mut map = Map::new();
        map.insert("path".into(), self.path.as_str().into());
        map.insert("checksum".into(), self.checksum.to_string().into());
        map.insert("size".into(), self.size.into());
        put(
            &mut map,
            "mode",
            self.mode.map(|mode| format!("{mode:04o}")),
        );
        put(&mut map, "user", self.user.as_deref());
        put(&mut map, "group", self.group.as_deref());
        put(&mut map, "uid", self.uid);
        put(&mut map, "gid", self.gid);
        put(&mut map, "mtime", self.mtime);
        put(&mut map, "kind", self.kind.as_deref());
        put(&mut map, "target", self.target.as_deref());
        put(&mut map, "snapshot", self.snapshot.clone());
        put(&mut map, "name", self.name.as_ref().map(hex::encode));
        put(&mut map, "mtime_ns", self.mtime_ns.filter(|ns| *ns != 0));
        put(&mut map, "xattrs", tree::xattrs_to_json(&self.xattrs));
        put(&mut map, "sparse", self.sparse.then_some(true));
        Value::Object(map)
    }
}

/// What is wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManifestFault {
    /// It says something that no manifest may say.
    Malformed(String),
    /// It is a manifest of another major version.
    Version(String),
}

pub(super) fn put(map: &mut Map<String, Value>, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        map.insert(key.to_owned(), value.into());
    }
}

fn read_manifest(
    top: &Map<String, Value>,
    files: Files,
    trees: Trees,
    faults: &mut Vec<ManifestFault>,
) -> Option<Manifest> {
    let mut keys = Keys {
        map: top,
        of: String::new(),
        faults,
    };
    let version = keys.required(
        "version",
        |value| value.as_str()?.parse::<FormatVersion>().ok(),
        "a version, as in \"1.1\"",
    );
    if let Some(version) = version.filter(|version| !version.is_readable()) {
        keys.faults.push(ManifestFault::Version(format!(
            "version incompatibility: the archive's format {version} cannot be read by this hookshot, which reads {}.x",
            FormatVersion::CURRENT.major
        )));
        return None;
    }
    let created_at = keys.required(
        "created_at",
        |value| {
            value
                .as_i64()
                .filter(|time| (0..=LAST_SECOND).contains(time))
        },
        "a time in Unix seconds",
    );
    let hookshot_version = keys.required(
        "hookshot_version",
        |value| Version::parse(value.as_str()?).ok(),
        "a semantic version, as in \"1.2.3\"",
    );
    let root = keys.optional("root", is_string, "a string");
    let hostname = keys.optional("hostname", is_string, "a string");
    let app = keys.optional("app", is_string, "a string");
    let app_version = keys.optional("app_version", is_string, "a string");
    let compression = keys.optional("compression", is_string, "a string");
    let tags = keys
        .optional("tags", read_tags, "an object of strings")
        .unwrap_or_default();
    let listed = keys.required("files", |value| value.as_object().map(drop), "an object");
    keys.optional("trees", |value| value.as_object().map(drop), "an object");
    if files.count + trees.count > MAX_ENTRIES {
        faults.push(ManifestFault::Malformed(format!(
            "lists more than {MAX_ENTRIES} entries"
        )));
        return None;
    }
    faults.extend(files.faults);
    faults.extend(trees.faults);
    listed?;
    if trees.records.len() > MAX_TREES {
        let fault = format!("lists more than {MAX_TREES} directories");
        faults.push(ManifestFault::Malformed(fault));
        return None;
    }
    disputed_paths(&trees.records, &files.records, faults);
    shared_paths(&files.records, faults);
    Some(Manifest {
        version: version?,
        created_at: created_at?,
        hookshot_version: hookshot_version?,
        files: files.records,
        root,
        hostname,
        app,
        app_version,
        compression,
        tags,
        trees: trees.records,
    })
}

/// The entries as they are read, with the faults of each.
#[derive(Default)]
struct Files {
    records: BTreeMap<EntryName, FileRecord>,
    faults: Vec<ManifestFault>,
    count: usize,
}

impl Files {
    fn add(&mut self, name: String, value: &Value) {
        self.count += 1;
        // What is refused anyway need not be kept.
        if self.count > MAX_ENTRIES || self.faults.len() > MAX_FAULTS {
            return;
        }
        let shown = printable(&name);
        let Some(map) = value.as_object() else {
            self.faults.push(ManifestFault::Malformed(format!(
                "entry {shown}: is not an object"
            )));
            return;
        };
        let key = entry_name(&name)
            .map_err(|fault| ManifestFault::Malformed(format!("entry {shown}: its name {fault}")));
        let record = read_file(&shown, map, &mut self.faults);
        match (key, record) {
            (Ok(key), Some(record)) => drop(self.records.insert(key, record)),
            (Err(fault), _) => self.faults.push(fault),
            (Ok(_), None) => {}
        }
    }
}

/// The directories as they are read, with the faults of each.
#[derive(Default)]
struct Trees {
    records: BTreeMap<EntryName, Tree>,
    faults: Vec<ManifestFault>,
    /// Folders and links of all of them.
    count: usize,
}

impl Trees {
    fn list(&mut self, tree: &str, list: &str, name: String, value: &Value) {
        self.count += 1;
        // What is refused anyway need not be kept.
        if self.count > MAX_ENTRIES || self.faults.len() > MAX_FAULTS {
            return;
        }
        // A bad name is a fault of the directory, and named where that ends.
        let Some(tree_name) = self.entry(tree) else {
            return;
        };
        let shown = format!("{list} of {}: {}", printable(tree), printable(&name));
        let Some(map) = value.as_object() else {
            return self.fault(&shown, "is not an object");
        };
        let mut keys = Keys {
            map,
            of: format!("{shown}: "),
            faults: &mut self.faults,
        };
        let escaped = keys.optional("name", tree::read_hex, "a string of hex");
        let relative = RelativeName::of_key(&name, escaped.as_deref(), &tree_name)
            .map_err(|fault| keys.fault(format!("its path {fault}")))
            .ok();
        let (folder, link) = match list {
            tree::FOLDERS => (Some(tree::read_folder(&mut keys)), None),
            _ => (None, tree::read_link(&mut keys)),
        };
        let Some(relative) = relative else { return };
        let tree = self.records.entry(tree_name).or_default();
        match (folder, link) {
            (Some(folder), _) => drop(tree.folders.insert(relative, folder)),
            (_, Some(link)) => drop(tree.links.insert(relative, link)),
            _ => {}
        }
    }

    fn add(&mut self, name: String, value: &Value) {
        if self.records.len() > MAX_TREES || self.faults.len() > MAX_FAULTS {
            return;
        }
        let shown = format!("directory {}", printable(&name));
        let Some(tree_name) = self.entry(&name) else {
            return self.fault(&shown, "its name is none that a directory may have");
        };
        let Some(map) = value.as_object() else {
            return self.fault(&shown, "is not an object");
        };
        let mut keys = Keys {
            map,
            of: format!("{shown}: "),
            faults: &mut self.faults,
        };
        let is_object = |value: &Value| value.as_object().cloned();
        for list in [tree::FOLDERS, tree::LINKS] {
            keys.optional(list, is_object, "an object");
        }
        let root = keys.required(tree::ROOT, is_object, "an object");
        let root = root.map(|map| {
            tree::read_folder(&mut Keys {
                map: &map,
                of: format!("{shown}: {}: ", tree::ROOT),
                faults: &mut self.faults,
            })
        });
        self.records.entry(tree_name).or_default().root = root.unwrap_or_default();
    }

    fn entry(&self, name: &str) -> Option<EntryName> {
        entry_name(name).ok().filter(is_tree_name)
    }

    fn fault(&mut self, shown: &str, fault: &str) {
        let fault = format!("{shown}: {fault}");
        self.faults.push(ManifestFault::Malformed(fault));
    }
}

/// Paths in directories that two things have, or that lie below what is no folder.
fn disputed_paths(
    trees: &BTreeMap<EntryName, Tree>,
    files: &BTreeMap<EntryName, FileRecord>,
    faults: &mut Vec<ManifestFault>,
) {
    let mut found = Vec::new();
    for (name, tree) in trees {
        if files.contains_key(name) {
            found.push(format!("{name} is both an entry and a directory"));
        }
        tree.faults(name, files, &mut found);
    }
    found.truncate(MAX_FAULTS);
    faults.extend(found.into_iter().map(ManifestFault::Malformed));
}

/// Two entries that would be one file, or one of which would be the folder of the other.
fn shared_paths(records: &BTreeMap<EntryName, FileRecord>, faults: &mut Vec<ManifestFault>) {
    let mut paths: BTreeMap<&str, &EntryName> = BTreeMap::new();
    for (name, record) in records {
        if let Some(other) = paths.insert(record.path.as_str(), name) {
            faults.push(ManifestFault::Malformed(format!(
                "entries {other} and {name} have the same path {}",
                record.path
            )));
        }
    }
    for (path, name) in &paths {
        let folders = path.match_indices('/').map(|(at, _)| &path[..at]);
        for other in folders.filter_map(|folder| paths.get(folder)) {
            faults.push(ManifestFault::Malformed(format!(
                "{other} is both an entry and the folder of {name}"
            )));
        }
    }
    faults.truncate(MAX_FAULTS);
}

fn read_file(
    shown: &str,
    map: &Map<String, Value>,
    faults: &mut Vec<ManifestFault>,
) -> Option<FileRecord> {
    let mut keys = Keys {
        map,
        of: format!("entry {shown}: "),
        faults,
    };
    let path = keys.required(
        "path",
        |value| value.as_str().map(str::to_owned),
        "a string",
    );
    let path = path.and_then(|path| match entry_name(&path) {
        Ok(path) => Some(path),
        Err(fault) => {
            keys.fault(format!("its path {} {fault}", printable(&path)));
            None
        }
    });
    let checksum = keys.required(
        "checksum",
        |value| value.as_str()?.parse::<Digest>().ok(),
        "64 hex characters (SHA-256)",
    );
    let size = keys.required(
        "size",
        |value| value.as_u64().filter(|size| *size <= MAX_ENTRY_BYTES),
        "a number of bytes from 0 to 2^60",
    );
    let mode = keys.optional("mode", read_mode, "an octal string, as in \"0600\"");
    let user = keys.optional("user", is_string, "a string");
    let group = keys.optional("group", is_string, "a string");
    let uid = keys.optional("uid", read_id, "a number from 0 to 2^32 - 2");
    let gid = keys.optional("gid", read_id, "a number from 0 to 2^32 - 2");
    let mtime = keys.optional("mtime", Value::as_i64, "a time in Unix seconds");
    let kind = keys.optional("kind", is_string, "a string");
    let target = keys.optional("target", is_string, "a string");
    let snapshot = keys.optional(
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
        name: keys.optional("name", tree::read_hex, "a string of hex"),
        mtime_ns: keys.optional("mtime_ns", tree::read_nanoseconds, "a number below 10^9"),
        xattrs: keys
            .optional("xattrs", tree::read_xattrs, tree::XATTRS)
            .unwrap_or_default(),
        sparse: keys
            .optional("sparse", Value::as_bool, "true or false")
            .unwrap_or_default(),
    })
}

fn entry_name(text: &str) -> Result<EntryName, String> {
    let name = EntryName::new(text).map_err(|fault| fault.to_string())?;
    if name.as_str() == MANIFEST_NAME {
        return Err("is the manifest's own".to_owned());
    }
    Ok(name)
}

fn is_string(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

pub(super) fn read_mode(value: &Value) -> Option<u32> {
    let text = value.as_str()?;
    let octal =
        !text.is_empty() && text.len() <= 5 && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| octal && *mode <= 0o7777)
}

pub(super) fn read_id(value: &Value) -> Option<u32> {
    // 2^32 - 1 means "do not change" to chown(2).
    u32::try_from(value.as_u64()?)
        .ok()
        .filter(|id| *id != u32::MAX)
}

fn read_tags(value: &Value) -> Option<BTreeMap<String, String>> {
    let tags = value.as_object()?.iter();
    tags.map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// The keys of one object, read one by one, with what is wrong with each.
pub(super) struct Keys<'a> {
    map: &'a Map<String, Value>,
    of: String,
    faults: &'a mut Vec<ManifestFault>,
}

impl Keys<'_> {
    pub(super) fn fault(&mut self, fault: String) {
        let fault = format!("{}{fault}", self.of);
        self.faults.push(ManifestFault::Malformed(fault));
    }

    fn required<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&Value) -> Option<T>,
        expected: &str,
    ) -> Option<T> {
        let Some(value) = self.map.get(key) else {
            self.fault(format!("the key `{key}` is missing"));
            return None;
        };
        let value = read(value);
        if value.is_none() {
            self.fault(format!("`{key}` must be {expected}"));
        }
        value
    }

    pub(super) fn optional<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&Value) -> Option<T>,
        expected: &str,
    ) -> Option<T> {
        match self.map.get(key) {
            None | Some(Value::Null) => None,
            Some(_) => self.required(key, read, expected),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GUIDE: &str = r#"{"version":"1.0","created_at":1738252822,"hookshot_version":"0.0.1","files":{"state.redb":
        {"path":"state.redb","checksum":"a3b2c1d4e5f67890abcdef1234567890abcdef1234567890abcdef1234567890","size":98304}}}"#;

    fn faults(text: &str) -> String {
        let faults = Manifest::parse(text.as_bytes()).expect_err(text);
        format!("{faults:?}")
    }

    #[test]
    fn a_manifest_of_version_1_0_is_read() {
        let manifest = Manifest::parse(GUIDE.as_bytes()).expect("a good manifest");
        assert_eq!(manifest.version.to_string(), "1.0");
        assert_eq!(manifest.files["state.redb"].size, 98304);
    }

    #[test]
    fn keys_that_are_not_known_are_ignored_in_every_1_x() {
        let text = GUIDE.replace("\"1.0\"", "\"1.7\",\"later\":{\"x\":[1]}");
        assert!(Manifest::parse(text.as_bytes()).is_ok());
    }

    #[test]
    fn another_major_version_is_its_own_fault() {
        let found =
            Manifest::parse(GUIDE.replace("\"1.0\"", "\"2.0\"").as_bytes()).expect_err("refused");
        assert!(
            matches!(found[..], [ManifestFault::Version(_)]),
            "{found:?}"
        );
    }

    #[test]
    fn each_broken_value_is_named() {
        for (good, bad, says) in [
            ("\"1.0\"", "\"one\"", "`version` must be"),
            ("\"0.0.1\"", "\"latest\"", "`hookshot_version` must be"),
            ("1738252822", "-1", "`created_at` must be"),
            ("1738252822", "1e300", "`created_at` must be"),
            ("98304", "-98304", "`size` must be"),
            ("98304", "98304.5", "`size` must be"),
            ("98304", "18446744073709551616", "`size` must be"),
            ("98304", "1152921504606846977", "`size` must be"),
            ("a3b2", "a3b", "`checksum` must be 64 hex"),
            ("a3b2", "zzzz", "`checksum` must be 64 hex"),
            (
                "\"path\":\"state.redb\"",
                "\"path\":\"../state.redb\"",
                "climbs",
            ),
            (
                "\"path\":\"state.redb\"",
                "\"path\":\"/state.redb\"",
                "absolute",
            ),
            (
                "\"path\":\"state.redb\"",
                "\"path\":\"manifest.json\"",
                "manifest's own",
            ),
            ("\"size\":98304", "\"sise\":98304", "`size` is missing"),
            (
                "\"size\":98304",
                "\"size\":98304,\"mode\":\"0999\"",
                "`mode` must be",
            ),
            (
                "\"size\":98304",
                "\"size\":98304,\"size\":98304",
                "stands twice",
            ),
            ("{\"version\"", "[{\"version\"", "is not JSON"),
        ] {
            let text = GUIDE.replacen(good, bad, 1);
            assert_ne!(text, GUIDE);
            assert!(faults(&text).contains(says), "{bad}: {}", faults(&text));
        }
    }

    #[test]
    fn every_fault_is_named_and_not_only_the_first() {
        let text = GUIDE
            .replace("98304", "-1")
            .replace("a3b2", "xxxx")
            .replace("\"0.0.1\"", "1");
        let found = faults(&text);
        for key in ["`size`", "`checksum`", "`hookshot_version`"] {
            assert!(found.contains(key), "{found}");
        }
    }

    #[test]
    fn two_entries_cannot_share_a_path_nor_lie_below_one_another() {
        let file = r#"{"path":"P","checksum":"a3b2c1d4e5f67890abcdef1234567890abcdef1234567890abcdef1234567890","size":1}"#;
        let with = |one: &str, two: &str| {
            let files = format!(
                r#"{{"a":{},"b":{}}}"#,
                file.replace('P', one),
                file.replace('P', two)
            );
            faults(&format!(
                r#"{{"version":"1.1","created_at":0,"hookshot_version":"0.1.0","files":{files}}}"#
            ))
        };
        assert!(with("x", "x").contains("same path"));
        assert!(with("x", "x/y").contains("both an entry and the folder"));
    }

    prop_compose! {
        fn record()(
            size in 0..MAX_ENTRY_BYTES, content in any::<[u8; 4]>(), mode in proptest::option::of(0..0o10000u32),
            uid in proptest::option::of(0..u32::MAX), user in proptest::option::of("\\PC{0,8}"), mtime in any::<Option<i64>>(),
        ) -> FileRecord {
            let path = EntryName::new("placeholder").expect("a good name");
            FileRecord { mode, uid, user, mtime, ..FileRecord::new(path, Digest::of(&content), size) }
        }
    }

    proptest! {
        #[test]
        fn a_manifest_reads_back_as_it_was_written(
            created_at in 0..=LAST_SECOND,
            files in proptest::collection::btree_map("[a-z\\\\ \"é\n]{1,12}", record(), 0..8),
            tags in proptest::collection::btree_map("\\PC{0,8}", "\\PC{0,8}", 0..4),
            root in proptest::option::of("[a-z]{1,8}"),
        ) {
            let files = files.into_iter().filter_map(|(name, mut file)| {
                let name = EntryName::new(&name).ok()?;
                file.path = name.clone();
                Some((name, file))
            });
            let manifest = Manifest {
                version: FormatVersion::CURRENT, created_at, hookshot_version: Version::new(0, 1, 0), files: files.collect(),
                root, hostname: None, app: None, app_version: None, compression: None, tags, trees: BTreeMap::new(),
            };
            prop_assert_eq!(Manifest::parse(&manifest.to_bytes()), Ok(manifest));
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Manifest::parse(&bytes);
        }

        #[test]
        fn no_mutation_of_a_good_manifest_makes_the_parser_panic(at in 0..GUIDE.len(), byte in any::<u8>()) {
            let mut bytes = GUIDE.as_bytes().to_vec();
            bytes[at] = byte;
            let _ = Manifest::parse(&bytes);
        }
    }
}
