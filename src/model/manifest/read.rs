//! Reads a manifest, and names every fault in it, not only the first.

use std::collections::BTreeMap;

use semver::Version;
use serde_json::{Map, Value};

use super::{
    FileRecord, Manifest, ManifestFault,
    fields::Fields,
    file_json::{FILE_KEYS, Texts, entry_name, read_file, read_string},
    json::{self, Item, Record},
    listed::{DIRECTORIES, disputed_directories, read_directories},
    record_json,
};
use crate::model::{
    entry_name::{EntryName, printable},
    limits::{LAST_SECOND, MAX_ENTRIES, MAX_FAULTS, MAX_TREES},
    nesting::{Disputed, disputed},
    relative::{RelativeName, is_tree_name, shown},
    tree::Tree,
    version::FormatVersion,
};

/// The key of the fingerprint of the secrets file.
pub(super) const SECRETS_FINGERPRINT: &str = "secrets_fingerprint";

/// The known keys.
const KEYS: json::KnownKeys = json::KnownKeys {
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
        SECRETS_FINGERPRINT,
        DIRECTORIES,
    ],
    entries: "files",
    entry: FILE_KEYS,
    trees: "trees",
    lists: &[record_json::FOLDERS, record_json::LINKS],
    root: record_json::ROOT,
    record: record_json::RECORD_KEYS,
};

impl Manifest {
    /// Reads a manifest and names every fault in it.
    pub fn parse(bytes: &[u8]) -> Result<Manifest, Vec<ManifestFault>> {
        let mut faults = Vec::new();
        let (mut files, mut trees) = (Files::default(), Trees::default());
        let value = json::parse(bytes, &KEYS, &mut |item| match item {
            Item::Entry(name, record) => files.add(name, record.as_ref()),
            Item::Listed {
                tree,
                list,
                name,
                record,
            } => trees.list(tree, list, name, record.as_ref()),
            Item::Root { tree, record } => trees.root(tree, &record),
            Item::Tree(name, rest) => trees.add(name, &rest),
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

fn read_manifest(
    top: &Map<String, Value>,
    files: Files,
    trees: Trees,
    faults: &mut Vec<ManifestFault>,
) -> Option<Manifest> {
    let mut fields = Fields {
        object: top,
        of: &String::new,
        faults,
    };
    let version = fields.required(
        "version",
        |value| value.as_str()?.parse::<FormatVersion>().ok(),
        "a version, as in \"1.1\"",
    );
    if let Some(version) = version.filter(|version| !version.is_readable()) {
        fields.faults.push(ManifestFault::Version(format!(
            "version incompatibility: the archive's format {version} cannot be read by this hookshot, which reads {}.x",
            FormatVersion::CURRENT.major
        )));
        return None;
    }
    let created_at = fields.required(
        "created_at",
        |value| {
            value
                .as_i64()
                .filter(|time| (0..=LAST_SECOND).contains(time))
        },
        "a time in Unix seconds",
    );
    let hookshot_version = fields.required(
        "hookshot_version",
        |value| Version::parse(value.as_str()?).ok(),
        "a semantic version, as in \"1.2.3\"",
    );
    let root = fields.optional("root", read_string, "a string");
    let hostname = fields.optional("hostname", read_string, "a string");
    let app = fields.optional("app", read_string, "a string");
    let app_version = fields.optional("app_version", read_string, "a string");
    let compression = fields.optional("compression", read_string, "a string");
    let secrets_fingerprint = fields.optional(
        SECRETS_FINGERPRINT,
        |value| value.as_str()?.parse().ok(),
        "32 hex characters (HMAC-SHA-256)",
    );
    let tags = fields
        .optional("tags", read_tags, "an object of strings")
        .unwrap_or_default();
    let listed = fields.required("files", |value| value.as_object().map(drop), "an object");
    let directories = fields.optional(DIRECTORIES, |value| value.as_object().cloned(), "an object");
    fields.optional("trees", |value| value.as_object().map(drop), "an object");
    if files.count + trees.count > MAX_ENTRIES {
        faults.push(ManifestFault::Malformed(format!(
            "lists more than {MAX_ENTRIES} entries"
        )));
        return None;
    }
    faults.extend(files.faults);
    faults.extend(trees.faults);
    listed?;
    let directories = read_directories(&directories.unwrap_or_default(), faults);
    if let Some(version) =
        version.filter(|version| !directories.is_empty() && *version < FormatVersion::LISTINGS)
    {
        let fault = format!("has `{DIRECTORIES}`, which format {version} does not know");
        faults.push(ManifestFault::Malformed(fault));
    }
    if trees.records.len() + directories.len() > MAX_TREES {
        let fault = format!("lists more than {MAX_TREES} directories");
        faults.push(ManifestFault::Malformed(fault));
        return None;
    }
    disputed_paths(&trees.records, &files.records, faults);
    shared_paths(&files.records, faults);
    disputed_directories(&directories, &trees.records, &files.records, faults);
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
        secrets_fingerprint,
        tags,
        trees: trees.records,
        directories,
    })
}

/// The entries as they are read, with the faults of each.
#[derive(Default)]
struct Files {
    records: BTreeMap<EntryName, FileRecord>,
    faults: Vec<ManifestFault>,
    count: usize,
    texts: Texts,
}

impl Files {
    fn add(&mut self, name: &str, record: Option<&Record>) {
        self.count += 1;
        // A manifest that is refused anyway need not be kept.
        if self.count > MAX_ENTRIES || self.faults.len() > MAX_FAULTS {
            return;
        }
        let of = || format!("entry {}: ", printable(name));
        let Some(record) = record else {
            let fault = format!("{}is not an object", of());
            self.faults.push(ManifestFault::Malformed(fault));
            return;
        };
        let key = entry_name(name)
            .map_err(|fault| ManifestFault::Malformed(format!("{}its name {fault}", of())));
        let mut fields = Fields {
            object: record,
            of: &of,
            faults: &mut self.faults,
        };
        let record = read_file(&mut fields, key.as_ref().ok(), &mut self.texts);
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
    fn list(&mut self, tree: &str, list: &str, name: &str, record: Option<&Record>) {
        self.count += 1;
        // A manifest that is refused anyway need not be kept.
        if self.count > MAX_ENTRIES || self.faults.len() > MAX_FAULTS {
            return;
        }
        // A bad name is a fault of the directory, and is reported at its end.
        let Some(tree_name) = self.entry(tree) else {
            return;
        };
        let of = || format!("{list} of {}: {}: ", printable(tree), printable(name));
        let Some(record) = record else {
            return self.fault(&of(), "is not an object");
        };
        let mut fields = Fields {
            object: record,
            of: &of,
            faults: &mut self.faults,
        };
        let escaped = fields.optional("name", record_json::read_hex, "a string of hex");
        let relative = RelativeName::of_key(name, escaped.as_deref(), &tree_name)
            .map_err(|fault| fields.fault(format!("its path {fault}")))
            .ok();
        let (folder, link) = match list {
            record_json::FOLDERS => (Some(record_json::read_folder(&mut fields)), None),
            _ => (None, record_json::read_link(&mut fields)),
        };
        let Some(relative) = relative else { return };
        let tree = self.records.entry(tree_name).or_default();
        match (folder, link) {
            (Some(folder), _) => drop(tree.folders.insert(relative, folder)),
            (_, Some(link)) => drop(tree.links.insert(relative, link)),
            _ => {}
        }
    }

    /// Reads the record of the top folder, which comes before the rest of its directory.
    fn root(&mut self, tree: &str, record: &Record) {
        if self.is_full() {
            return;
        }
        let of = || format!("directory {}: {}: ", printable(tree), record_json::ROOT);
        let mut fields = Fields {
            object: record,
            of: &of,
            faults: &mut self.faults,
        };
        let root = record_json::read_folder(&mut fields);
        let secret = record_json::read_secret(&mut fields);
        // A bad name is a fault of the directory, and is reported at its end.
        if let Some(name) = self.entry(tree) {
            let tree = self.records.entry(name).or_default();
            (tree.root, tree.secret) = (root, secret);
        }
    }

    fn add(&mut self, name: &str, rest: &Value) {
        if self.is_full() {
            return;
        }
        let of = || format!("directory {}: ", printable(name));
        let Some(tree_name) = self.entry(name) else {
            return self.fault(&of(), "its name is none that a directory may have");
        };
        let Some(map) = rest.as_object() else {
            return self.fault(&of(), "is not an object");
        };
        let mut fields = Fields {
            object: map,
            of: &of,
            faults: &mut self.faults,
        };
        let is_object = |value: &Value| value.as_object().map(drop);
        for list in [record_json::FOLDERS, record_json::LINKS] {
            fields.optional(list, is_object, "an object");
        }
        fields.required(record_json::ROOT, is_object, "an object");
        self.records.entry(tree_name).or_default();
    }

    /// Returns true if the manifest is refused anyway: then no more of it need be kept.
    fn is_full(&self) -> bool {
        self.records.len() > MAX_TREES || self.faults.len() > MAX_FAULTS
    }

    fn entry(&self, name: &str) -> Option<EntryName> {
        entry_name(name).ok().filter(is_tree_name)
    }

    fn fault(&mut self, of: &str, fault: &str) {
        let fault = format!("{of}{fault}");
        self.faults.push(ManifestFault::Malformed(fault));
    }
}

/// Finds paths in directories that two things have, or that lie below something other than a folder.
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

/// Finds two entries that would be one file, or one of which would be the folder of the other.
fn shared_paths(records: &BTreeMap<EntryName, FileRecord>, faults: &mut Vec<ManifestFault>) {
    let records = records.iter();
    let paths = records.map(|(name, record)| (record.path.as_str().as_bytes(), name));
    let mut paths: Vec<(&[u8], &EntryName)> = paths.collect();
    for disputed in disputed(&mut paths, |_| true).take(MAX_FAULTS) {
        faults.push(ManifestFault::Malformed(match disputed {
            Disputed::Twice(path, one, other) => {
                format!(
                    "entries {one} and {other} have the same path {}",
                    shown(path)
                )
            }
            Disputed::Below { name, leaf, .. } => {
                format!("{leaf} is both an entry and the folder of {name}")
            }
        }));
    }
    faults.truncate(MAX_FAULTS);
}

fn read_tags(value: &Value) -> Option<BTreeMap<String, String>> {
    let tags = value.as_object()?.iter();
    tags.map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}
