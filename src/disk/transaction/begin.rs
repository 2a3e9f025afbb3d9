//! The transaction up to its commit point: new files are placed beside their targets, and nothing that was there
//! changes.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{
    backup::Known,
    change::{Change, Names, New, PlacementMethod},
    copy::copy_private,
    home::Home,
    journal::{FolderMarks, Identity, Journal, Phase, Replaces, TransactionStep},
    redo, swap,
};
use crate::disk::{
    NewFolders, NewItem, create_folders, exists, folder_of,
    mounts::is_mount_point,
    publish::{Existing, publish},
    remove_file, survey, sync_folder, sync_folders,
    tree::{Privilege, attributes},
    volume::Volume,
};
use crate::{
    error::{Failure, Kind},
    model::{entry_name::EntryName, plan::FileAttributes, rules::Rules, tree::Modified},
    work::remark::RemarkKind,
};

/// A transaction that has begun. Dropped before [`Transaction::commit`], it leaves nothing behind.
#[must_use]
pub struct Transaction {
    home: Home,
    journal: Journal,
    names: Names,
    folders: NewFolders,
    /// The places of new files and folders, by their targets.
    placed: HashMap<PathBuf, PathBuf>,
    committed: bool,
}

impl Transaction {
    /// Begins: records the files that would have to be removed if we were killed right now. `folders` were made for it,
    /// and go again if nothing comes of it.
    pub fn begin(
        home: Home,
        names: Names,
        mut journal: Journal,
        targets: &[PathBuf],
        mut folders: NewFolders,
    ) -> Result<Transaction> {
        journal
            .litter
            .extend(targets.iter().map(|target| names.beside(target, "new")));
        let volumes = targets.iter().filter(|target| is_mount_point(target));
        journal
            .litter
            .extend(volumes.map(|target| names.whole(target)));
        folders
            .create(home.folder())
            .with_context(|| format!("cannot create {}", home.folder().display()))?;
        if home.is_unsettled() {
            let failure = Failure::new(Kind::Blocked, "an earlier import is not finished");
            return Err(failure
                .hint("run hookshot again: it finishes the work first")
                .into());
        }
        let transaction = Transaction {
            home,
            journal,
            names,
            folders,
            placed: HashMap::new(),
            committed: false,
        };
        // If even this fails half-way, dropping the value cleans up.
        transaction.home.write(&transaction.journal)?;
        Ok(transaction)
    }

    /// Places the new files beside their targets and makes them durable. Nothing that was there changes, but for
    /// folders that a rollback brings back: what the work adds to them is named in the journal before. Returns what the
    /// file system refused of owners, times and attributes.
    pub fn prepare(&mut self, changes: &[Change<'_>]) -> Result<Vec<Refused>> {
        let mut refused = Vec::new();
        let made = changes
            .iter()
            .filter(|change| matches!(change.new, New::File { .. } | New::Folder { .. }));
        let placed = made.map(|change| self.names.beside(&change.target, "new"));
        // The new files of the plan are named in the journal as well, before they are made.
        let named: BTreeSet<&PathBuf> = self.journal.litter.iter().collect();
        let news: Vec<PathBuf> = placed.filter(|path| !named.contains(path)).collect();
        if !news.is_empty() {
            self.journal.litter.extend(news);
            self.home.write(&self.journal)?;
        }
        for change in changes {
            let folder = folder_of(&change.target);
            self.folders
                .create(&folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
            let placing = || format!("cannot place the new {}", change.target.display());
            let placed = self.names.beside(&change.target, "new");
            let mut syncing = None;
            let staged = match &change.new {
                New::Nothing | New::Backup { .. } => None,
                New::Folder { build, within } => {
                    syncing = build(&placed).with_context(placing)?;
                    for inner in within {
                        let found =
                            place_within(inner, &change.target, &placed).with_context(placing)?;
                        refused.extend(Refused::all(inner, found));
                    }
                    // A child of a mount point may be nothing: a link that is not restored, say.
                    exists(&placed).then_some(placed)
                }
                New::File {
                    source,
                    origin,
                    attributes,
                    mtime,
                    ..
                } => {
                    let found = place(source, *origin, &placed, attributes, *mtime);
                    refused.extend(Refused::all(change, found.with_context(placing)?));
                    Some(placed)
                }
            };
            if let Some(staged) = &staged {
                self.placed.insert(change.target.clone(), staged.clone());
            }
            // The new folder is read while it is synced. If both fail, the error of the sync is the cause.
            let step = self.step(change, staged);
            if let Some(syncing) = syncing {
                syncing.finish().with_context(placing)?;
            }
            self.journal.steps.push(step?);
            if !matches!(change.new, New::Backup { .. }) {
                self.mark(self.journal.steps.len() - 1)?;
            }
        }
        self.carry(changes)?;
        let steps = self.journal.steps.iter();
        sync_folders(steps.map(|step| step.target.clone()))?;
        let steps = &self.journal.steps;
        let replaced = steps.iter().filter(|step| step.before.is_some());
        let replaced: HashSet<&PathBuf> = replaced.map(|step| &step.backup).collect();
        self.journal
            .backups
            .retain(|backup| !replaced.contains(&backup.path));
        self.settle_folders(changes)?;
        Ok(refused)
    }

    /// Prepares the backups that a rollback brings back. The journal names all of them before the first one changes: a
    /// mount point may have thousands.
    fn carry(&mut self, changes: &[Change<'_>]) -> Result<()> {
        let is_backup = |change: &Change<'_>| matches!(change.new, New::Backup { .. });
        if changes.iter().any(is_backup) {
            self.home.write(&self.journal)?;
        }
        for (at, change) in changes.iter().enumerate() {
            let New::Backup { carry } = &change.new else {
                continue;
            };
            let backup = change.backup();
            carry(&backup).with_context(|| format!("cannot prepare {}", backup.display()))?;
            let whole = survey::listing(&backup, &Rules::everything())?;
            let step = self.journal.steps.get_mut(at);
            if let Some(folder) = step.and_then(|step| step.folder.as_mut()) {
                folder.whole = whole;
            }
            self.mark(at)?;
        }
        Ok(())
    }

    /// Gives the folders that were made owners and modes by what comes to lie in them.
    fn settle_folders(&self, changes: &[Change<'_>]) -> Result<()> {
        let mut placed = Vec::new();
        // A file that hookshot keeps for itself lets no other user in.
        for change in changes.iter().filter(|change| !change.form.is_kept()) {
            if let Some(staged) = self.placed(&change.target) {
                let is_database = change.form.engine().is_some();
                placed.push(NewItem::look(&change.target, staged, is_database)?);
            }
        }
        let settled = self.folders.settle(&placed, self.home.folder());
        settled.context("cannot give a new folder its owner and mode")
    }

    /// Makes the step of a change whose new file or folder is at `staged`.
    fn step(&self, change: &Change<'_>, staged: Option<PathBuf>) -> Result<TransactionStep> {
        let new = match &change.new {
            New::Backup { .. } => Some(change.backup()),
            _ => staged.clone(),
        };
        let is_folder = change.form.is_folder();
        let (after, whole) = match (&change.new, &new, &staged) {
            (New::File { digest, .. }, ..) => (Some(digest.to_string()), None),
            (_, _, Some(staged)) => {
                let digests = survey::listing_and_whole(staged, &change.rules())?;
                digests.unzip()
            }
            (_, Some(new), None) => (survey::listing(new, &change.rules())?, None),
            (_, None, None) => (None, None),
        };
        Ok(TransactionStep {
            entry: change.entry.as_str().to_owned(),
            target: change.target.clone(),
            backup: change.backup(),
            fresh_backup: self.names.beside(&change.target, "old"),
            earlier_backup: self.names.beside(&change.target, "earlier"),
            replaces: match &change.backup {
                Some((_, replaces)) => *replaces,
                None => Replaces::Nothing,
            },
            old: match is_folder {
                true => None,
                false => Identity::of(&change.target),
            },
            before: change.before.map(|digest| digest.to_string()),
            kept: change.form.is_kept(),
            after,
            folder: match is_folder {
                true => Some(FolderMarks {
                    old: swap::place_of(&change.target)?,
                    new: match &new {
                        Some(new) => swap::place_of(new)?,
                        None => None,
                    },
                    marker: None,
                    whole,
                    rules: change.rules.as_ref().map(Rules::written),
                }),
                false => None,
            },
            staged,
        })
    }

    /// Marks the new folder of the step at this place, if nothing else tells it from the old one.
    fn mark(&mut self, at: usize) -> Result<()> {
        let marker = self.names.marker();
        let Some(step) = self.journal.steps.get_mut(at) else {
            return Ok(());
        };
        let place = step.staged.as_ref().unwrap_or(&step.backup).clone();
        let Some(folder) = &mut step.folder else {
            return Ok(());
        };
        if folder.old.is_none() || folder.old != folder.new {
            return Ok(());
        }
        folder.marker = Some(marker.clone());
        let marker = place.join(marker);
        self.journal.litter.push(marker.clone());
        self.home.write(&self.journal)?;
        publish(&marker, b"", Existing::Keep)
    }

    /// Names the entries that are given to commands in the end: after a crash it is not known whether they
    /// were.
    pub fn announce_commands<'a>(&mut self, entries: impl Iterator<Item = &'a str>) {
        self.journal.commands = entries.map(str::to_owned).collect();
    }

    /// Names the sources that were searched for processes at work, for a rollback.
    pub fn announce_sources<'a>(&mut self, sources: impl Iterator<Item = &'a str>) {
        self.journal.sources = Some(sources.map(str::to_owned).collect());
    }

    /// Names the mount points whose children are replaced.
    pub fn announce_volumes(&mut self, volumes: impl Iterator<Item = Volume>) {
        self.journal.volumes = volumes.collect();
    }

    /// Keeps what is known of backups that earlier imports made.
    pub fn remember(&mut self, known: &Known) {
        self.journal.backups = known.list();
    }

    /// Returns the verb that began it.
    pub fn verb(&self) -> &str {
        &self.journal.verb
    }

    /// Returns the place of the new file for `target`, so that it can be locked before it gets its name.
    pub fn placed(&self, target: &Path) -> Option<&Path> {
        self.placed.get(target).map(PathBuf::as_path)
    }

    /// Passes the commit point: from here on the work is finished, by us or by the next hookshot.
    pub fn commit(mut self) -> Result<Committed> {
        self.journal.phase = Phase::Committed;
        if let Err(error) = self.home.write(&self.journal) {
            // The journal may have its new phase all the same: it must be taken back before anything else is.
            self.journal.phase = Phase::Preparing;
            if self.home.write(&self.journal).is_err() && self.home.forget().is_err() {
                self.committed = true;
                return Err(error.context("it is not known whether the commit point was reached; any hookshot verb finishes the work"));
            }
            return Err(error);
        }
        self.committed = true;
        Ok(Committed {
            home: self.home.clone(),
            journal: self.journal.clone(),
        })
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        if let Err(error) = redo::forget(&self.home, &self.journal) {
            tracing::warn!(%error, "What was prepared cannot be removed now; the next hookshot removes it");
        }
    }
}

/// A transaction behind its commit point.
#[must_use]
pub struct Committed {
    home: Home,
    journal: Journal,
}

impl Committed {
    /// Puts everything in its place. May be repeated.
    pub fn apply(&self) -> Result<()> {
        redo::apply(&self.journal)
    }

    /// Ends the transaction: from here on only `rollback` brings the old state back. If that fails, it is not ended
    /// and can be undone.
    pub fn finish(&self) -> Result<()> {
        redo::finish(&self.home, &self.journal)
    }

    /// Brings the old state back.
    pub fn undo(mut self) -> Result<()> {
        self.journal.phase = Phase::Undoing;
        self.home.write(&self.journal)?;
        redo::undo(&self.home, self.journal)
    }
}

/// Something of a new file that the file system refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The entry.
    pub entry: EntryName,
    /// The place at which it will lie.
    pub target: PathBuf,
    /// Its kind.
    pub kind: RemarkKind,
    /// The refusal and its reason, in words.
    pub what: String,
}

impl Refused {
    fn all(change: &Change<'_>, refused: Vec<String>) -> impl Iterator<Item = Refused> {
        refused.into_iter().map(|what| Refused {
            entry: change.entry.clone(),
            target: change.target.clone(),
            kind: attributes::kind_of(&what),
            what,
        })
    }
}

/// Makes a change in the new folder that will be at `target` and lies at `placed`. Returns what was refused.
fn place_within(change: &Change<'_>, target: &Path, placed: &Path) -> Result<Vec<String>> {
    let mut refused = Vec::new();
    let inside = change.target.strip_prefix(target);
    let at = placed.join(inside.context("a change that lies elsewhere")?);
    remove_file(&at)?;
    if let New::File {
        source,
        origin,
        attributes,
        mtime,
        ..
    } = &change.new
    {
        let folder = folder_of(&at);
        create_folders(&folder)?;
        refused = place(source, *origin, &at, attributes, *mtime)?;
    }
    sync_folder(&folder_of(&at))?;
    Ok(refused)
}

/// Puts a new file beside its target: 0600 until its owner is right, durable when this returns. Returns what the file
/// system refused of its owner, its time and its attributes.
fn place(
    source: &Path,
    origin: PlacementMethod,
    placed: &Path,
    planned: &FileAttributes,
    mtime: Option<Modified>,
) -> Result<Vec<String>> {
    let renamed = match origin {
        PlacementMethod::Moved => fs::rename(source, placed),
        PlacementMethod::Linked => fs::hard_link(source, placed),
        PlacementMethod::Copied => Err(io::ErrorKind::CrossesDevices.into()),
    };
    let is_second_name = origin == PlacementMethod::Linked && renamed.is_ok();
    match renamed {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error.into()),
        // Another file system, or one without links: the copy is compared with the digest after it is in place.
        Err(_) => copy_private(source, placed)?,
    }
    let file = File::open(placed)?;
    let mut refused = Vec::new();
    // A second name of a file has its attributes already.
    if !is_second_name {
        let privilege = match planned.owner {
            Some(_) => Privilege::Root,
            None => Privilege::Ours,
        };
        refused = attributes::AttributeWriter::new(privilege).set_planned(&file, planned, mtime)?;
    }
    file.sync_all()?;
    Ok(refused)
}
