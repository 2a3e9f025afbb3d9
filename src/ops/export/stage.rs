//! The content of an archive: the copies of the databases, the files, the output of commands, and the manifest that
//! describes them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;

use super::{
    amount::{Amount, require_mount},
    around::Around,
    request::{ExportRequest, Secrets},
};
use crate::{
    archive::writer::Level,
    config::{
        Settings,
        sources::{Presence, Source},
    },
    context::Context,
    disk::holder::{self, Holder, OpenMode},
    error::{Failure, Kind},
    machine::contents,
    model::{
        archive_name::ArchiveName,
        entry_name::EntryName,
        limits::MAX_MANIFEST_BYTES,
        manifest::{FileRecord, Manifest},
        named::Named,
        plan::Privacy,
        relative::shown,
        tree::Tree,
    },
    source::{
        behavior::{StageRequest, StagedSource},
        files,
        redb::{
            options::{Compaction, SnapshotOptions},
            snapshot,
        },
        sqlite::verdict::CheckExtent,
        staged::{Staged, StagedContent},
        tree::StagedTree,
    },
    work::{
        events::{Events, ExportEvent},
        remark::RemarkKind,
        remarks::Remarks,
    },
};

/// Copies the databases and runs the commands, then reads the files, unless sources say another order: everything that
/// the archive will hold, with its digest. What is copied has its cleanup at once; what is read where it lies, when the
/// archive is made. A file that a database refers to is there when the database is copied; it is still there, or in a
/// later state, when it is read.
///
/// A directory's file that was not touched for `quiet` is read where it lies, others are copied aside. A source that
/// lost much since the `newest` archive is warned of; one that has less than is expected of it is an error.
pub fn stage(
    context: &Context,
    settings: &Settings,
    request: &ExportRequest,
    quiet: Duration,
    newest: Option<&Manifest>,
    around: &mut Around<'_>,
) -> Result<Gathered> {
    let mut gathered = Gathered::new(&context.events);
    patterns(settings, newest, &mut gathered.remarks)?;
    let turn = |source: &&Source| source.order;
    let mut sources: Vec<&Source> = settings.sources.iter().collect();
    sources.sort_by_key(turn);
    for source in sources {
        context.stop.check()?;
        if source.privacy == Privacy::Private && request.secrets == Secrets::Excluded {
            context.tell(ExportEvent::SecretLeftOut {
                source: source.name.clone(),
            });
            continue;
        }
        around.prepare(Some(source))?;
        require_mount(source)?;
        let before = newest.and_then(|newest| Amount::archived(source, newest));
        let is_there = |path: &Path| path.symlink_metadata().is_ok();
        if source.presence == Presence::Optional && !source.path().is_none_or(is_there) {
            context.tell(ExportEvent::SourceAbsent {
                source: source.name.clone(),
                looked_at: source.path().unwrap_or(Path::new("")).to_owned(),
            });
            if before.is_some() {
                gathered
                    .remarks
                    .warning(RemarkKind::Empty, &source.name, gone(source));
            }
            around.end(source);
            continue;
        }
        if let Some(export) = source.kind.export_command()
            && let Some(pitfall) = source.line(export).pitfall(&context.runner.starter)
        {
            let message = format!("the export command of {}: {pitfall}", source.name);
            gathered
                .remarks
                .warning(RemarkKind::Pipe, &source.name, message);
        }
        let amount = match read(context, settings, request, source, quiet)? {
            StagedSource::Entry(staged) => gathered.add(*staged),
            StagedSource::Directory(staged) => gathered.add_directory(source, *staged),
        };
        amount.suffices(source)?;
        if let Some(message) = amount.is_odd(source, before)
            && !may_be_empty(settings, source, before)
        {
            gathered
                .remarks
                .warning(RemarkKind::Empty, &source.name, message);
        }
        if source.kind.is_copied() {
            around.end(source);
        }
        if let Some(path) = source.path().filter(|_| !source.is_directory()) {
            let holders = files::deleted_holders(path);
            warn_of_deleted(&source.name, path, &holders, &mut gathered.remarks);
        }
        context.tell(ExportEvent::SourceAdded {
            source: source.name.clone(),
            is_config: source.kind.is_own_configuration(),
        });
    }
    gathered.say_checks();
    Ok(gathered)
}

/// Looks at the sources whose paths are patterns: one that nothing matches is missing, and what has vanished is warned
/// of.
fn patterns(
    settings: &Settings,
    newest: Option<&Manifest>,
    remarks: &mut Remarks,
) -> Result<(), Failure> {
    for glob in &settings.globs {
        let source = &glob.template;
        let shown = source.path().unwrap_or(Path::new("")).display();
        let here: BTreeSet<&EntryName> = settings.matching(glob).map(|one| &one.name).collect();
        for path in &glob.unnamed {
            let message = format!(
                "{} is left out: its name cannot be that of an entry",
                path.display()
            );
            remarks.undone(RemarkKind::Name, &source.name, message);
        }
        require_mount(&source.above(glob.base()))?;
        let found = here.len() as u64;
        if here.is_empty() && !glob.is_optional() {
            let message = format!("{} is missing: nothing matches {shown}", source.name);
            return Err(Failure::new(Kind::NotFound, message)
                .hint("is this the right machine, and does the configuration name the right place? `optional = true` if it may be so"));
        }
        if found < source.expected.min_files {
            let least = source.expected.min_files;
            let message = format!(
                "{} has {found} files, and `min_files` asks for {least}: {shown}",
                source.name
            );
            return Err(Failure::new(Kind::NotFound, message)
                .hint("is everything mounted? nothing was written"));
        }
    }
    if let Some(newest) = newest {
        warn_of_gone(settings, newest, remarks);
    }
    Ok(())
}

/// Warns of the files of patterns that the `newest` archive has and this machine has not.
fn warn_of_gone(settings: &Settings, newest: &Manifest, remarks: &mut Remarks) {
    for glob in &settings.globs {
        let here: BTreeSet<&EntryName> = settings.matching(glob).map(|one| &one.name).collect();
        let archived: Vec<&EntryName> = match glob.template.is_directory() {
            true => newest.trees.keys().collect(),
            false => newest.files.keys().collect(),
        };
        for name in archived.into_iter().filter(|name| !here.contains(name)) {
            if let Some(path) = glob.path_of(name) {
                let message = format!(
                    "{name} is gone: the newest archive has it, and {} does not exist",
                    path.display()
                );
                remarks.warning(RemarkKind::Gone, name, message);
            }
        }
    }
}

/// Warns of what has changed for the worse between an archive that was made and the `newest` one before it, as
/// [`stage`] does if it knows that one.
pub fn look_back(
    settings: &Settings,
    request: &ExportRequest,
    made: &Manifest,
    newest: &Manifest,
    remarks: &mut Remarks,
) {
    for source in &settings.sources {
        let is_left_out =
            source.privacy == Privacy::Private && request.secrets == Secrets::Excluded;
        let name = source.name.as_str();
        let mut said = remarks.warnings.iter();
        let is_said = said.any(|remark| remark.kind == RemarkKind::Empty && remark.entry == name);
        let before = Amount::archived(source, newest);
        if is_left_out || is_said || before.is_none() {
            continue;
        }
        let message = match Amount::archived(source, made) {
            Some(amount) => amount.is_odd(source, before),
            None => Some(gone(source)),
        };
        if let Some(message) = message {
            remarks.warning(RemarkKind::Empty, name, message);
        }
    }
    warn_of_gone(settings, newest, remarks);
}

/// Returns true if a directory may be empty as it was `before`, because other sources lie in it.
fn may_be_empty(settings: &Settings, source: &Source, before: Option<Amount>) -> bool {
    let lies_in = |other: &Source| {
        let paths = other.path().zip(source.path());
        paths.is_some_and(|(inside, folder)| {
            inside != folder && inside.starts_with(folder) && inside.symlink_metadata().is_ok()
        })
    };
    source.is_directory()
        && before.is_none_or(Amount::has_no_files)
        && settings.sources.iter().any(lies_in)
}

fn gone(source: &Source) -> String {
    let name = &source.name;
    format!("{name} is not there any more, and the newest archive has it")
}

/// Everything that goes into an archive.
pub struct Gathered {
    /// The records of its entries in the manifest.
    records: BTreeMap<EntryName, FileRecord>,
    /// The content of its entries.
    pub contents: BTreeMap<EntryName, StagedContent>,
    /// The parts of directories that are not entries.
    pub trees: BTreeMap<EntryName, Tree>,
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
    fn new(events: &Events) -> Gathered {
        Gathered {
            records: BTreeMap::new(),
            contents: BTreeMap::new(),
            trees: BTreeMap::new(),
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
            if let Some(record) = self.records.get_mut(&source.name) {
                record.secret = true;
            }
        }
    }

    /// Says what was not checked of the databases.
    fn say_checks(&mut self) {
        for (name, record) in &self.records {
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

    fn add(&mut self, staged: Staged) -> Amount {
        let amount = Amount::of([&staged.record].into_iter());
        self.records.insert(staged.name.clone(), staged.record);
        self.contents.insert(staged.name, staged.content);
        amount
    }

    /// Adds a directory, and says what was left out of it and what is odd about it.
    fn add_directory(&mut self, source: &Source, staged: StagedTree) -> Amount {
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
        for entry in &staged.torn {
            self.events.send(ExportEvent::EntryTorn {
                entry: entry.clone(),
            });
        }
        let path = source.path().unwrap_or(Path::new(""));
        announce_links(source, path, &staged.tree, &mut self.remarks);
        for (entry, record) in &staged.records {
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
        for (entry, record) in &staged.records {
            let key = &entry.as_str()[source.name.as_str().len() + 1..];
            if written.is_empty() || record.kind.as_deref().is_none_or(|kind| kind == "file") {
                continue;
            }
            let place = top.join(key);
            let holders = written.iter().filter(|(_, path)| *path == place);
            let holders: Vec<Holder> = holders.map(|(holder, _)| holder.clone()).collect();
            warn_of_deleted(entry, &place, &holders, &mut self.remarks);
        }
        for (entry, reason) in staged.unproven {
            let message = format!(
                "{entry} begins like a database, and no consistent copy of it could be made: the archive has it as a \
                plain file, marked as torn ({reason}); mend it, or exclude it if it is not a database"
            );
            self.remarks.undone(RemarkKind::Database, entry, message);
        }
        self.torn.extend(staged.torn);
        self.trees.insert(source.name.clone(), staged.tree);
        // Maps that are built in one go of what is in order have no gaps.
        let (records, contents) = (staged.records, staged.contents);
        let amount = Amount::of(records.iter().map(|(_, record)| record));
        self.records.append(&mut records.into_iter().collect());
        self.contents.append(&mut contents.into_iter().collect());
        amount
    }
}

/// Warns of the links that lead out of a directory: their targets are not in the archive.
fn announce_links(source: &Source, path: &Path, tree: &Tree, remarks: &mut Remarks) {
    let place = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut links = Named::default();
    for (link, record) in tree.outside(&place) {
        links.add(|| {
            let (path, to) = (path.display(), shown(&record.target));
            format!("{path}/{link} is a link that leads out of the directory, to {to}: the archive has the link, not what it leads to")
        });
    }
    for link in links.finish() {
        remarks.warning(RemarkKind::Link, &source.name, link);
    }
}

/// Reads a source. The content of a configuration file is checked.
fn read(
    context: &Context,
    settings: &Settings,
    request: &ExportRequest,
    source: &Source,
    quiet: Duration,
) -> Result<StagedSource> {
    let stage = StageRequest {
        name: &source.name,
        shell: source.shell.as_deref(),
        now: context.now.timestamp(),
        snapshot: SnapshotOptions {
            method: request.snapshot.unwrap_or(settings.schema.snapshot),
            timeout: request.snapshot_timeout,
            compaction: if settings.schema.compact {
                Compaction::Compact
            } else {
                Compaction::Keep
            },
        },
        rules: &settings.rules(source)?,
        quiet,
        manifest_bytes: MAX_MANIFEST_BYTES,
    };
    let staged = source
        .kind
        .stage(&stage, &context.source(&context.step()))?;
    if let StagedSource::Entry(staged) = &staged
        && let StagedContent::Bytes(bytes) = &staged.content
        && let Some(path) = source.path().filter(|_| contents::is_checked(source))
    {
        contents::require(source, bytes, path)?;
    }
    Ok(staged)
}

/// A service that writes to a file that was deleted has its state there, whatever lies at the path now.
fn warn_of_deleted(name: &EntryName, path: &Path, holders: &[Holder], remarks: &mut Remarks) {
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
) -> Manifest {
    let mut tags = settings.schema.tags.clone();
    tags.extend(request.tags.clone());
    gathered.mark_secrets(settings);
    let files = std::mem::take(&mut gathered.records);
    Manifest {
        root: Some(name.to_string()),
        hostname: context.hostname.clone(),
        app: Some(settings.schema.app.clone()),
        app_version,
        compression: Some(level.name()),
        tags,
        trees: std::mem::take(&mut gathered.trees),
        ..Manifest::new(context.now.timestamp(), context.version.clone(), files)
    }
}
