//! Everything that goes into an archive, and the manifest that describes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::{amount::Amount, request::ExportRequest};
use crate::{
    archive::writer::Level,
    config::{Settings, sources::Source},
    context::Context,
    disk::{
        holder::{self, Holder, OpenMode},
        open_regular,
    },
    error::{Failure, Kind},
    machine::contents,
    model::{
        archive_name::ArchiveName,
        entry_name::EntryName,
        manifest::{FileRecord, Manifest},
        plan::Privacy,
        secrets_fingerprint::SecretsFingerprint,
        tree::Tree,
        version::FormatVersion,
    },
    source::{
        redb::snapshot,
        sqlite::verdict::CheckExtent,
        staged::{Staged, StagedContent},
        tree::{StagedListing, StagedTree},
    },
    work::{
        events::{Events, ExportEvent},
        remark::RemarkKind,
        remarks::Remarks,
    },
};

/// Everything that goes into an archive.
pub struct Gathered {
    /// The records of its entries in the manifest.
    pub records: BTreeMap<EntryName, FileRecord>,
    /// The content of its entries.
    pub contents: BTreeMap<EntryName, StagedContent>,
    /// The parts of directories that are not entries.
    pub trees: BTreeMap<EntryName, Tree>,
    /// The directories of many files.
    pub listings: BTreeMap<EntryName, StagedListing>,
    /// The databases in these, with their records.
    pub listed_databases: BTreeMap<EntryName, FileRecord>,
    /// Sources that are secret, among these directories.
    secret_listings: BTreeSet<EntryName>,
    /// Files that changed each time they were read.
    pub torn: Vec<EntryName>,
    /// Databases that lie in directories, and were copied as such.
    pub databases: Vec<EntryName>,
    /// Remarks about what was left undone, and what is worth knowing.
    pub remarks: Remarks,
    events: Events,
}

impl Gathered {
    /// Returns nothing yet.
    pub fn new(events: &Events) -> Gathered {
        Gathered {
            records: BTreeMap::new(),
            contents: BTreeMap::new(),
            trees: BTreeMap::new(),
            listings: BTreeMap::new(),
            listed_databases: BTreeMap::new(),
            secret_listings: BTreeSet::new(),
            torn: Vec::new(),
            databases: Vec::new(),
            remarks: Remarks::new(events),
            events: events.clone(),
        }
    }

    /// Marks what comes from secret sources.
    fn mark_secrets(&mut self, settings: &Settings) {
        let sources = settings.sources.iter();
        for source in sources.filter(|source| source.privacy == Privacy::Private) {
            if let Some(tree) = self.trees.get_mut(&source.name) {
                tree.secret = true;
            }
            if self.listings.contains_key(&source.name) {
                self.secret_listings.insert(source.name.clone());
            }
            if let Some(record) = self.records.get_mut(&source.name) {
                record.secret = true;
            }
        }
    }

    /// Returns the fingerprint of the machine's secrets file, also if the archive does not hold it. `None` if there is
    /// none that can be read.
    fn fingerprint(&self, settings: &Settings, root: &str) -> Option<SecretsFingerprint> {
        let path = settings.secrets_file();
        let source = settings
            .sources
            .iter()
            .find(|source| source.path() == Some(path));
        // The content that the archive gets counts, whatever the file becomes meanwhile.
        let staged = source.and_then(|source| self.contents.get(&source.name));
        match staged {
            Some(staged) => SecretsFingerprint::of(root, staged.open().ok()?).ok(),
            None => SecretsFingerprint::of(root, open_regular(path).ok()?).ok(),
        }
    }

    /// Says what was not checked of the databases.
    pub fn say_checks(&mut self) {
        for (name, record) in self.records.iter().chain(&self.listed_databases) {
            if let Some(checked) = CheckExtent::of(record) {
                self.events.send(ExportEvent::DatabaseChecked {
                    entry: name.clone(),
                    check: checked.check.pragma(),
                });
                contents::say_checked(&checked, name, &name.to_string(), &mut self.remarks);
            }
            if let Some(bytes) = snapshot::without_redb(record) {
                let message = format!(
                    "{name} has a page of {bytes} bytes: hookshot checked every page of the copy itself; redb, which \
                    would need as much memory, neither checked nor compacted it"
                );
                self.remarks.warning(RemarkKind::LargePages, name, message);
            }
        }
    }

    pub fn add(&mut self, staged: Staged) -> Amount {
        let amount = Amount::of([&staged.record].into_iter());
        self.records.insert(staged.name.clone(), staged.record);
        self.contents.insert(staged.name, staged.content);
        amount
    }

    /// Adds a directory, and says what was left out of it and what is odd about it.
    pub fn add_directory(&mut self, source: &Source, staged: StagedTree) -> Amount {
        for own in &staged.own {
            self.events.send(ExportEvent::OwnFileLeftOut {
                description: own.to_string(),
            });
        }
        for special in &staged.special {
            let message = format!("{special}: it is left out, no archive holds one");
            self.remarks
                .warning(RemarkKind::Special, &source.name, message);
        }
        for vanished in &staged.vanished {
            self.remarks
                .undone(RemarkKind::Vanished, &source.name, vanished);
        }
        for stripped in &staged.stripped {
            self.remarks
                .undone(RemarkKind::Attribute, &source.name, stripped);
        }
        for entry in &staged.torn {
            self.events.send(ExportEvent::EntryTorn {
                entry: entry.clone(),
            });
        }
        for link in staged.outside {
            self.remarks.warning(RemarkKind::Link, &source.name, link);
        }
        let path = source.path().unwrap_or(Path::new(""));
        for (entry, record) in &staged.databases {
            if record.snapshot.is_some() {
                self.events.send(ExportEvent::DatabaseCopied {
                    entry: entry.clone(),
                });
                self.databases.push(entry.clone());
            }
        }
        let written: Vec<(Holder, PathBuf)> = holder::deleted_below(path)
            .into_iter()
            .filter(|(_, _, mode)| *mode == OpenMode::Writes)
            .map(|(holder, path, _)| (holder, path))
            .collect();
        let top = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        for (entry, _) in &staged.databases {
            if written.is_empty() {
                break;
            }
            let key = &entry.as_str()[source.name.as_str().len() + 1..];
            let place = top.join(key);
            let holders = written.iter().filter(|(_, path)| *path == place);
            let holders: Vec<Holder> = holders.map(|(holder, _)| holder.clone()).collect();
            warn_of_deleted(entry, &place, &holders, &mut self.remarks);
        }
        for (entry, reason) in staged.unproven {
            let message = format!(
                "{entry} begins like a database, and no consistent copy of it could be made: the archive has it as a \
                plain file, marked as torn ({reason}); fix it, or exclude it if it is not a database"
            );
            self.remarks.undone(RemarkKind::Database, entry, message);
        }
        self.torn.extend(staged.torn);
        if let Some(listing) = staged.listing {
            let amount = Amount::listed(listing.directory());
            self.listed_databases.extend(staged.databases);
            self.listings.insert(source.name.clone(), listing);
            return amount;
        }
        self.trees.insert(source.name.clone(), staged.tree);
        // Maps that are built in one go of what is in order have no gaps.
        let (records, contents) = (staged.records, staged.contents);
        let amount = Amount::of(records.iter().map(|(_, record)| record));
        self.records.append(&mut records.into_iter().collect());
        self.contents.append(&mut contents.into_iter().collect());
        amount
    }
}

/// A service that writes to a file that was deleted has its state there, whatever lies at the path now.
pub fn warn_of_deleted(name: &EntryName, path: &Path, holders: &[Holder], remarks: &mut Remarks) {
    if !holders.is_empty() {
        let message = format!(
            "{} has an earlier {} open, deleted: what it writes is not in the archive; restart the service and export again",
            holder::describe(holders),
            path.display()
        );
        remarks.undone(RemarkKind::OpenDeleted, name, message);
    }
}

/// The manifest of the archive that will hold what is staged.
pub fn describe(
    context: &Context,
    settings: &Settings,
    request: &ExportRequest,
    name: &ArchiveName,
    level: Level,
    gathered: &mut Gathered,
    app_version: Option<String>,
) -> Result<Manifest> {
    let mut tags = settings.schema.tags.clone();
    tags.extend(request.tags.clone());
    gathered.mark_secrets(settings);
    let created_at = context.now.timestamp();
    let mut files = std::mem::take(&mut gathered.records);
    let mut directories = BTreeMap::new();
    for (name, listing) in &gathered.listings {
        let mut directory = listing.directory().clone();
        directory.secret = gathered.secret_listings.contains(name);
        let entry = directory.listing.clone();
        let is_taken = |other: &EntryName| {
            gathered.trees.contains_key(other) || gathered.listings.contains_key(other)
        };
        if is_taken(&entry) || files.insert(entry, listing.record(created_at)).is_some() {
            return Err(taken(name, &directory.listing).into());
        }
        directories.insert(name.clone(), directory);
    }
    let version = match directories.is_empty() {
        true => FormatVersion::PLAIN,
        false => FormatVersion::CURRENT,
    };
    let root = name.to_string();
    Ok(Manifest {
        version,
        directories,
        secrets_fingerprint: gathered.fingerprint(settings, &root),
        root: Some(root),
        hostname: context.hostname.clone(),
        app: Some(settings.schema.app.clone()),
        app_version,
        compression: Some(level.name()),
        tags,
        trees: std::mem::take(&mut gathered.trees),
        ..Manifest::new(created_at, context.version.clone(), files)
    })
}

/// Returns the failure of a source whose name is that of the listing of a directory.
fn taken(directory: &EntryName, listing: &EntryName) -> Failure {
    let message = format!(
        "the source {listing} has the name that the list of files of the directory {directory} needs"
    );
    Failure::new(Kind::Usage, message).hint("give that source another name; nothing was written")
}
