//! Directories of many files: what the manifest says of them, while a listing has their records (docs/format.md,
//! "Listings").

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    FileRecord, ListedNode, ListingLine, ManifestFault,
    fields::Fields,
    file_json::entry_name,
    record::FolderRecord,
    record_json::{self, folder_to_json, put, read_folder, read_secret},
};
use crate::model::{
    entry_name::{EntryName, printable},
    limits::{MAX_COMPONENT_BYTES, MAX_ENTRY_BYTES, MAX_FAULTS, MAX_LISTED, MAX_TREES},
    relative::is_tree_name,
    tree::Tree,
};

/// The key at the top of the manifest whose value is an object of these directories.
pub(super) const DIRECTORIES: &str = "directories";
/// The end of the name of a listing, behind the name of its directory.
const ENDING: &str = ".files.jsonl";
/// The longest name, in bytes, of a directory that can have a listing.
pub const MAX_LISTED_NAME_BYTES: usize = MAX_COMPONENT_BYTES - ENDING.len();
/// The kind in the record of a listing.
pub const LISTING_KIND: &str = "listing";

/// A directory source whose files, folders and links have their records in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedDirectory {
    /// The entry with the records.
    pub listing: EntryName,
    /// The number of its files.
    pub files: u64,
    /// The number of the folders below its top folder.
    pub folders: u64,
    /// The number of its symbolic links.
    pub links: u64,
    /// The bytes of its files.
    pub bytes: u64,
    /// The number of its files whose content may be a state that they never had.
    pub torn: u64,
    /// The number of databases among these.
    pub torn_databases: u64,
    /// The top folder.
    pub root: FolderRecord,
    /// True if the configuration of the exporting machine marks the source as secret.
    pub secret: bool,
}

impl ListedDirectory {
    /// Returns a directory without files; `None` if its name is too long for one with a listing.
    pub fn new(name: &EntryName, root: FolderRecord) -> Option<ListedDirectory> {
        Some(ListedDirectory::empty(
            ListedDirectory::listing_of(name)?,
            root,
            false,
        ))
    }

    fn empty(listing: EntryName, root: FolderRecord, secret: bool) -> ListedDirectory {
        ListedDirectory {
            listing,
            files: 0,
            folders: 0,
            links: 0,
            bytes: 0,
            torn: 0,
            torn_databases: 0,
            root,
            secret,
        }
    }

    /// Returns the same directory of which no line was counted.
    pub fn uncounted(&self) -> ListedDirectory {
        ListedDirectory::empty(self.listing.clone(), self.root.clone(), self.secret)
    }

    /// Counts a line of its listing.
    pub fn count(&mut self, line: &ListingLine) {
        match &line.node {
            ListedNode::File(record) => {
                self.files += 1;
                self.bytes = self.bytes.saturating_add(record.size);
                self.torn += u64::from(record.torn);
                let is_database = record.torn && record.engine().is_some();
                self.torn_databases += u64::from(is_database);
            }
            ListedNode::Folder(_) => self.folders += 1,
            ListedNode::Link(_) => self.links += 1,
        }
    }

    /// Returns the name of the listing of the directory called `name`; `None` if that name is too long for one.
    pub fn listing_of(name: &EntryName) -> Option<EntryName> {
        let listing = format!("{name}{ENDING}");
        let fits = listing.len() <= MAX_COMPONENT_BYTES;
        EntryName::new(&listing).ok().filter(|_| fits)
    }

    /// Returns the number of lines in its listing.
    pub fn lines(&self) -> u64 {
        self.files
            .saturating_add(self.folders)
            .saturating_add(self.links)
    }

    /// Returns the value of the directory in the manifest.
    pub(super) fn to_json(&self) -> Value {
        let mut map = Map::new();
        put(&mut map, "listing", Some(self.listing.as_str()));
        put(&mut map, "files", Some(self.files));
        put(&mut map, "folders", Some(self.folders));
        put(&mut map, "links", Some(self.links));
        put(&mut map, "bytes", Some(self.bytes));
        let some = |count: u64| Some(count).filter(|count| *count > 0);
        put(&mut map, "torn", some(self.torn));
        put(&mut map, "torn_databases", some(self.torn_databases));
        let mut root = folder_to_json(&self.root);
        put(&mut root, record_json::SECRET, self.secret.then_some(true));
        map.insert(record_json::ROOT.into(), Value::Object(root));
        Value::Object(map)
    }
}

/// Reads the directories that have listings.
pub(super) fn read_directories(
    value: &Map<String, Value>,
    faults: &mut Vec<ManifestFault>,
) -> BTreeMap<EntryName, ListedDirectory> {
    let mut directories = BTreeMap::new();
    for (name, value) in value.iter().take(MAX_TREES + 1) {
        let of = || format!("directory {}: ", printable(name));
        let mut refuse = |fault: &str| {
            let fault = format!("{}{fault}", of());
            faults.push(ManifestFault::Malformed(fault));
        };
        let Some(entry) = entry_name(name).ok().filter(is_tree_name) else {
            refuse("its name is none that a directory may have");
            continue;
        };
        let Some(map) = value.as_object() else {
            refuse("is not an object");
            continue;
        };
        if let Some(directory) = read_directory(&entry, map, &of, faults) {
            directories.insert(entry, directory);
        }
    }
    directories
}

fn read_directory(
    name: &EntryName,
    map: &Map<String, Value>,
    of: &dyn Fn() -> String,
    faults: &mut Vec<ManifestFault>,
) -> Option<ListedDirectory> {
    let mut fields = Fields {
        object: map,
        of,
        faults,
    };
    let own = ListedDirectory::listing_of(name);
    let listing = fields.required(
        "listing",
        |value| own.filter(|own| value.as_str() == Some(own.as_str())),
        &format!("\"{name}{ENDING}\""),
    );
    let count = |value: &Value| value.as_u64().filter(|count| *count <= MAX_LISTED);
    let expected = format!("a number from 0 to {MAX_LISTED}");
    let files = fields.required("files", count, &expected);
    let folders = fields.required("folders", count, &expected);
    let links = fields.optional("links", count, &expected);
    let torn = fields.optional("torn", count, &expected);
    let torn_databases = fields.optional("torn_databases", count, &expected);
    let bytes = fields.required(
        "bytes",
        |value| value.as_u64().filter(|bytes| *bytes <= MAX_ENTRY_BYTES),
        "a number of bytes from 0 to 2^60",
    );
    let root = fields.required(
        record_json::ROOT,
        |value| value.as_object().cloned(),
        "an object",
    );
    let of_root = || format!("{}{}: ", of(), record_json::ROOT);
    let root = root.map(|root| {
        let mut fields = Fields {
            object: &root,
            of: &of_root,
            faults: fields.faults,
        };
        (read_folder(&mut fields), read_secret(&mut fields))
    });
    let (root, secret) = root?;
    Some(ListedDirectory {
        listing: listing?,
        files: files?,
        folders: folders?,
        links: links.unwrap_or(0),
        bytes: bytes?,
        torn: torn.unwrap_or(0),
        torn_databases: torn_databases.unwrap_or(0),
        root,
        secret,
    })
}

/// Finds directories that contradict the rest of the manifest: their names are those of something else, their listings
/// are missing, or the manifest itself has files of them.
pub(super) fn disputed_directories(
    directories: &BTreeMap<EntryName, ListedDirectory>,
    trees: &BTreeMap<EntryName, Tree>,
    files: &BTreeMap<EntryName, FileRecord>,
    faults: &mut Vec<ManifestFault>,
) {
    if directories.is_empty() {
        return;
    }
    let mut refuse = |fault: String| faults.push(ManifestFault::Malformed(fault));
    for (name, directory) in directories {
        if trees.contains_key(name) {
            refuse(format!("{name} is listed as a directory twice"));
        }
        let listing = &directory.listing;
        match files.get(listing) {
            None => refuse(format!("{listing} is not among the entries")),
            Some(record) if record.path != *listing => {
                refuse(format!("{listing} is a listing, and its path is another"));
            }
            Some(_) => {}
        }
    }
    let claims = |path: &EntryName| {
        let first = path.as_str().split('/').next();
        first.is_some_and(|first| directories.contains_key(first))
    };
    let claimed = files.iter();
    let claimed = claimed.filter(|(name, record)| claims(name) || claims(&record.path));
    for (name, _) in claimed.take(MAX_FAULTS) {
        refuse(format!(
            "entry {name} lies in a directory that has a listing"
        ));
    }
}
