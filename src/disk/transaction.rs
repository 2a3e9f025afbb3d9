//! Several files replaced as one: all of them or none, whenever the process or the machine dies.
//!
//! A redo journal; `redo` is what happens behind the commit point. Every new file is placed beside its target and synced, then the journal is: the commit point.
//! After it the backups get their names, then the new files theirs; each step may be repeated, and at no instant is a
//! replaced target missing. Until the caller has looked at the result it can still be undone.
//!
//! Not promised: that nobody sees the new first file beside the old second one between two renames; the lock of the
//! database keeps the service out meanwhile.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

pub use super::backup::backup_path;
use super::{
    NewFolders, Placed,
    backup::{Backup, Identity, Known, Replaces},
    create_folders, exists, folder_of,
    journal::{Folder, Home, Journal, Phase, Step},
    mounts::is_mount_point,
    publish::{Existing, publish},
    redo,
    staging::{LOCKED, REHEARSAL},
    survey::{self, Stamp},
    swap, sync_folder, sync_folders,
    tree::{Privilege, attributes},
    volume::Volume,
};
use crate::{
    error::{Failure, Kind},
    model::{
        digest::Digest, entry_name::EntryName, plan::Attributes, rules::Rules, tree::Modified,
    },
};

/// Names of the files that a transaction makes, told apart from those of any other.
#[derive(Debug, Clone)]
pub struct Names {
    unique: String,
}

impl Names {
    /// `unique` tells this transaction apart: file name characters only.
    pub fn new(unique: &str) -> Names {
        Names {
            unique: unique.to_owned(),
        }
    }

    /// The staging folder in `folder`.
    pub fn staging(&self, folder: &Path) -> PathBuf {
        folder.join(format!(".hookshot-{}.staging", self.unique))
    }

    /// The staging folder of a rehearsal in `folder`.
    pub fn rehearsal(&self, folder: &Path) -> PathBuf {
        folder.join(format!(".hookshot-{}{LOCKED}.{REHEARSAL}", self.unique))
    }

    /// The folder in which the new children of the mount point `volume` are made.
    pub fn whole(&self, volume: &Path) -> PathBuf {
        volume.join(format!(".hookshot-{}.new", self.unique))
    }

    /// A staging folder that somebody wants to look at: nobody takes it for litter.
    pub fn kept_staging(&self, folder: &Path) -> PathBuf {
        folder.join(format!("hookshot-staging-{}", self.unique))
    }

    /// A file of this transaction beside `target`: `new`, `old` or `earlier`. The name is short whatever the
    /// target's, and known before anything is made.
    fn beside(&self, target: &Path, what: &str) -> PathBuf {
        let tag = Digest::of(target.as_os_str().as_encoded_bytes()).to_string();
        folder_of(target).join(format!(".hookshot-{}-{}.{what}", self.unique, &tag[..8]))
    }

    /// The file that tells a new folder from an old one that has the same number.
    fn marker(&self) -> String {
        format!(".hookshot-{}", self.unique)
    }
}

/// What becomes of one target.
pub struct Change<'a> {
    /// The entry.
    pub entry: EntryName,
    /// The target, links resolved.
    pub target: PathBuf,
    /// SHA-256 of what is there now; of a folder, its listing.
    pub before: Option<Digest>,
    /// What tells whether it is still the same when it is replaced.
    pub stamp: Option<Stamp>,
    /// The part of a folder that is replaced; everything of one that a hookshot of version 1 of the journal has replaced.
    pub rules: Option<Rules>,
    /// The place at which the old file stays, if it is not beside the target with `.bak` at its end, and its present state.
    pub backup: Option<(PathBuf, Replaces)>,
    /// What comes there.
    pub new: New<'a>,
    /// What the file is, for those who lock it and look at it.
    pub form: Form,
}

impl Change<'_> {
    /// Returns where the old file stays, if there is one.
    pub fn backup(&self) -> PathBuf {
        let chosen = self.backup.as_ref();
        chosen.map_or_else(|| backup_path(&self.target), |(path, _)| path.clone())
    }

    /// Returns what of a folder is replaced.
    pub fn rules(&self) -> Rules {
        self.rules.clone().unwrap_or_else(Rules::everything)
    }

    /// The entry, and those of what lies in a folder that comes there.
    pub fn entries(&self) -> impl Iterator<Item = &EntryName> {
        let within = match &self.new {
            New::Folder { within, .. } => within.as_slice(),
            _ => &[],
        };
        std::iter::once(&self.entry).chain(within.iter().map(|change| &change.entry))
    }
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A redb database.
    Redb,
    /// A SQLite database.
    Sqlite,
    /// A folder that is replaced as one.
    Folder,
    /// An entry that a command held before an import gave it another.
    Kept,
    /// Anything else.
    Plain,
}

/// What comes to a target's place.
pub enum New<'a> {
    /// This file, with these attributes.
    File {
        /// Where the content lies now.
        source: PathBuf,
        /// Whether the source may be used up or must stay.
        origin: Origin,
        /// SHA-256 of it.
        digest: Digest,
        /// Owner and permissions.
        attributes: Attributes,
        /// Time of the last change.
        mtime: Option<Modified>,
    },
    /// A folder, which `build` makes at the path that it is given, durable when it returns.
    Folder {
        /// Makes it.
        build: Build<'a>,
        /// Changes whose targets lie in it: they are made in the new folder.
        within: Vec<Change<'a>>,
    },
    /// The folder that stays as the target's backup. What is excluded of the one at the target comes along.
    Backup {
        /// Brings it into the folder at the path that it is given, durable when it returns.
        carry: Build<'a>,
    },
    /// Nothing.
    Nothing,
}

/// Makes a folder at a path that nothing has.
pub type Build<'a> = Box<dyn Fn(&Path) -> Result<()> + 'a>;

/// What may happen to the file that a new one is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It is renamed: what was proven is what comes into place.
    Moved,
    /// It is copied, and stays as it is.
    Copied,
    /// It gets a second name, or a copy where the file system has no links.
    Linked,
}

/// A transaction that has begun. Dropped before [`Transaction::commit`], it leaves nothing behind.
#[must_use]
pub struct Transaction {
    home: Home,
    journal: Journal,
    names: Names,
    folders: NewFolders,
    committed: bool,
}

impl Transaction {
    /// Begins: writes down what would have to be removed if we were killed right now. `folders` were made for it, and
    /// go again if nothing comes of it.
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
            committed: false,
        };
        // Where even this fails half-way, dropping the value cleans up.
        transaction.home.write(&transaction.journal)?;
        Ok(transaction)
    }

    /// Places the new files beside their targets and makes them durable. Nothing that was there changes, but for folders
    /// that a rollback brings back: what the work adds to them is named in the journal before. Returns what the file system
    /// refused of owners, times and attributes.
    pub fn prepare(&mut self, changes: &[Change<'_>]) -> Result<Vec<Refused>> {
        let mut refused = Vec::new();
        let made = changes
            .iter()
            .filter(|change| matches!(change.new, New::File { .. } | New::Folder { .. }));
        let placed = made.map(|change| self.names.beside(&change.target, "new"));
        // What a plan has made of the targets is named as well, before it is made.
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
            let staged = match &change.new {
                New::Nothing | New::Backup { .. } => None,
                New::Folder { build, within } => {
                    build(&placed).with_context(placing)?;
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
            let step = self.step(change, staged)?;
            self.journal.steps.push(step);
            if let New::Backup { carry } = &change.new {
                self.home.write(&self.journal)?;
                let backup = change.backup();
                carry(&backup).with_context(|| format!("cannot prepare {}", backup.display()))?;
                let whole = survey::listing(&backup, &Rules::everything())?;
                if let Some(folder) = last_folder(&mut self.journal) {
                    folder.whole = whole;
                }
            }
            self.mark()?;
        }
        let steps = self.journal.steps.iter();
        sync_folders(steps.map(|step| step.target.clone()))?;
        let steps = &self.journal.steps;
        let is_replaced = |backup: &Backup| {
            let mut steps = steps.iter().filter(|step| step.before.is_some());
            steps.any(|step| step.backup == backup.path)
        };
        self.journal.backups.retain(|backup| !is_replaced(backup));
        self.settle_folders(changes)?;
        Ok(refused)
    }

    /// Gives the folders that were made owners and modes by what comes to lie in them.
    fn settle_folders(&self, changes: &[Change<'_>]) -> Result<()> {
        let mut placed = Vec::new();
        // What hookshot keeps for itself lets no other user in.
        for change in changes.iter().filter(|change| change.form != Form::Kept) {
            if let Some(staged) = self.placed(&change.target) {
                let is_database = matches!(change.form, Form::Redb | Form::Sqlite);
                placed.push(Placed::look(&change.target, staged, is_database)?);
            }
        }
        let settled = self.folders.settle(&placed, self.home.folder());
        settled.context("cannot give a new folder its owner and mode")
    }

    /// The step of a change whose new file or folder is at `staged`.
    fn step(&self, change: &Change<'_>, staged: Option<PathBuf>) -> Result<Step> {
        let new = match &change.new {
            New::Backup { .. } => Some(change.backup()),
            _ => staged.clone(),
        };
        let is_folder = change.form == Form::Folder;
        Ok(Step {
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
            kept: change.form == Form::Kept,
            after: match (&change.new, &new) {
                (New::File { digest, .. }, _) => Some(digest.to_string()),
                (_, Some(new)) => survey::listing(new, &change.rules())?,
                _ => None,
            },
            folder: match is_folder {
                true => Some(Folder {
                    old: swap::place_of(&change.target)?,
                    new: match &new {
                        Some(new) => swap::place_of(new)?,
                        None => None,
                    },
                    marker: None,
                    whole: match &staged {
                        Some(staged) => survey::listing(staged, &Rules::everything())?,
                        None => None,
                    },
                    rules: change.rules.as_ref().map(Rules::written),
                }),
                false => None,
            },
            staged,
        })
    }

    /// Marks the new folder of the last step, if nothing else tells it from the old one.
    fn mark(&mut self) -> Result<()> {
        let marker = self.names.marker();
        let Some(step) = self.journal.steps.last_mut() else {
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

    /// Names the entries that are given to commands in the end: who finishes the work after a crash cannot tell whether
    /// they were.
    pub fn announce_commands<'a>(&mut self, entries: impl Iterator<Item = &'a str>) {
        self.journal.commands = entries.map(str::to_owned).collect();
    }

    /// Names the sources that were asked who is at work in them, for a rollback.
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

    /// The verb that began it.
    pub fn verb(&self) -> &str {
        &self.journal.verb
    }

    /// Where the new file for `target` was placed, for those who want to lock it before it gets its name.
    pub fn placed(&self, target: &Path) -> Option<&Path> {
        let step = self
            .journal
            .steps
            .iter()
            .find(|step| step.target == target)?;
        step.staged.as_deref()
    }

    /// The commit point: from here on the work is finished, by us or by the next hookshot.
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

    /// Ends the transaction: from here on only `rollback` brings the old state back. Where that fails, it is not ended
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
    /// One of the kinds of [`attributes`].
    pub kind: &'static str,
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

fn last_folder(journal: &mut Journal) -> Option<&mut Folder> {
    journal.steps.last_mut()?.folder.as_mut()
}

/// Makes a change in the new folder that will be at `target` and lies at `placed`. Returns what was refused.
fn place_within(change: &Change<'_>, target: &Path, placed: &Path) -> Result<Vec<String>> {
    let mut refused = Vec::new();
    let inside = change.target.strip_prefix(target);
    let at = placed.join(inside.context("a change that lies elsewhere")?);
    super::remove_file(&at)?;
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

/// Puts a new file beside its target: 0600 until its owner is right, durable when this returns. Returns what the file system
/// refused of its owner, its time and its attributes.
fn place(
    source: &Path,
    origin: Origin,
    placed: &Path,
    planned: &Attributes,
    mtime: Option<Modified>,
) -> Result<Vec<String>> {
    let renamed = match origin {
        Origin::Moved => fs::rename(source, placed),
        Origin::Linked => fs::hard_link(source, placed),
        Origin::Copied => Err(io::ErrorKind::CrossesDevices.into()),
    };
    let is_second_name = origin == Origin::Linked && renamed.is_ok();
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
        refused = attributes::Attributes::new(privilege).set_planned(&file, planned, mtime)?;
    }
    file.sync_all()?;
    Ok(refused)
}

/// A copy of a file's content, 0600.
pub(super) fn copy_private(source: &Path, to: &Path) -> io::Result<()> {
    let mut from = File::open(source)?;
    let mut copy = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)?;
    io::copy(&mut from, &mut copy)?;
    Ok(())
}
