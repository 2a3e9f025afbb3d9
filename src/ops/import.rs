//! `import`: replaces this machine's state by an archive's: all of it, or nothing.
//!
//! Everything is checked before anything moves, and every reason that stands in the way is named at once.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use nix::unistd::{Group, User};
use tracing::{info, warn};

use super::{
    Context,
    archive_input::Location,
    directory::Directory,
    form::form_for,
    preflight::{self, Blocked, Force, Locks},
    recovery::Entered,
    replace::{self, Databases, Rehearsal, Report},
    unpacked::{Targets, Unpacked},
};
use crate::{
    archive::Sink,
    config::{
        DEFAULT_DATA_DIR, Settings,
        sources::{CONFIG, Content, Source},
    },
    disk::{
        journal::{Home, Journal},
        staging::{self, Staging},
        survey,
        transaction::{Change, Form, New, Origin, Transaction, backup_path},
    },
    error::{Failure, Kind},
    model::{
        entry_name::EntryName,
        limits::MAX_CONFIG_BYTES,
        manifest::{FileRecord, Manifest},
        plan::{self, Action, Attributes, Present, Step},
    },
    source::{command, sqlite},
};

/// What is asked for.
pub struct Request {
    /// The archive.
    pub archive: Location,
    /// Whether it is carried out.
    pub rehearsal: Rehearsal,
    /// Which reasons count.
    pub force: Force,
    /// These entries only; all where it is empty.
    pub only: Vec<EntryName>,
    /// What becomes of the unpacked archive.
    pub staging: Keep,
}

/// What becomes of the unpacked archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// It goes.
    No,
    /// It stays for somebody to look at.
    Yes,
}

/// The configuration file in an archive, for a machine that has none.
pub fn archived_config(context: &Context, archive: &Location) -> Result<String> {
    if matches!(archive, Location::Stdin) {
        let message = "an archive on standard input cannot be asked for its configuration first";
        return Err(Failure::new(Kind::Usage, message)
            .hint("save it to a file, or name where it is")
            .into());
    }
    let name = EntryName::new(CONFIG).expect("a plain name");
    let mut taken = Taken(Vec::new());
    let names = std::slice::from_ref(&name);
    if archive
        .select(context, names, "reading", &mut taken)?
        .is_none()
    {
        taken = Taken(Vec::new());
        archive.read(context, "reading", &mut taken)?;
    }
    let text = String::from_utf8(taken.0)
        .ok()
        .filter(|text| !text.is_empty());
    Ok(text.ok_or_else(|| {
        Failure::new(
            Kind::NotFound,
            "the archive has no config.toml that could be read",
        )
        .hint("write one for this machine; `hookshot init` makes a first one")
    })?)
}

/// Keeps the configuration file of an archive.
struct Taken(Vec<u8>);

impl Sink for Taken {
    fn begin(&mut self, _: &Manifest) -> Result<()> {
        Ok(())
    }

    fn entry(&mut self, name: &EntryName, record: &FileRecord) -> Result<Box<dyn Write + '_>> {
        if name.as_str() == CONFIG && record.size <= MAX_CONFIG_BYTES {
            return Ok(Box::new(&mut self.0));
        }
        Ok(Box::new(io::sink()))
    }
}

/// Imports an archive into the state that was entered.
pub fn import(context: &Context, entered: &mut Entered, request: &Request) -> Result<Report> {
    let settings = &entered.settings;
    if !settings.is_described {
        warn!(config = %settings.config.display(), data_dir = %settings.data_dir.display(), "This machine has no configuration yet, the places are the default ones");
    }
    if settings.config_exists
        && settings.schema.sources.is_none()
        && settings.schema.data_dir.is_none()
        && settings.data_dir == Path::new(DEFAULT_DATA_DIR)
    {
        warn!(data_dir = %settings.data_dir.display(), "The configuration does not say [storage] data_dir, the place of the database is the default one");
    }
    let targets = Targets::find(settings, &request.only)?;
    let names = replace::names(context);
    let mut transaction = None;
    let home = settings.home();
    let place = match (request.staging, request.rehearsal) {
        (Keep::Yes, Rehearsal::Real) => names.kept_staging(&home),
        (Keep::Yes, Rehearsal::DryRun) => names.kept_staging(&context.scratch),
        (Keep::No, Rehearsal::Real) => names.staging(&home),
        // A rehearsal leaves the folders of the state alone.
        (Keep::No, Rehearsal::DryRun) => {
            staging::sweep(&context.scratch);
            names.rehearsal(&context.scratch)
        }
    };
    if request.rehearsal == Rehearsal::Real {
        let litter = if request.staging == Keep::Yes {
            Vec::new()
        } else {
            vec![place.clone()]
        };
        let journal = Journal::new(
            "import",
            context.time(),
            Some(request.archive.shown()),
            litter,
        );
        let paths: Vec<PathBuf> = targets.paths.values().cloned().collect();
        let home = Home::beside(&settings.config);
        transaction = Some(Transaction::begin(
            home,
            names,
            journal,
            &paths,
            std::mem::take(&mut entered.folders),
        )?);
    }
    let mut staging = Staging::create(&place)?;
    if request.staging == Keep::Yes {
        staging.keep();
    }
    let unpacked = Unpacked::new(context, settings, request, &staging, &targets)?;
    let mut blocked = unpacked.faults(context)?;
    let locks = if transaction.is_some() {
        Locks::Held
    } else {
        Locks::Asked
    };
    let mut _held = Vec::new();
    for source in unpacked.sources() {
        preflight::activity(context, source, request.force, &mut blocked)?;
        if let Some(path) = targets.paths.get(&source.name) {
            let form = form_for(&source.content);
            _held.extend(preflight::target(
                path,
                form,
                request.force,
                locks,
                &mut blocked,
            )?);
        }
    }
    let (steps, changes) = plan(
        context,
        settings,
        request.staging,
        &unpacked,
        &targets,
        &mut blocked,
    )?;
    let commands: Vec<Fed> = unpacked.sources().filter_map(Fed::of).collect();
    let mut report = Report::new(request.rehearsal, &steps, blocked);
    if request.staging == Keep::Yes {
        report.staging = Some(staging.path().display().to_string());
    }
    announce(&unpacked, &report);
    if let Some(mut transaction) = transaction
        && report.blocked.is_empty()
    {
        transaction.announce_commands(commands.iter().map(|fed| fed.entry.as_str()));
        let feed = || feed(context, &staging, &commands);
        carry_out(context, transaction, &changes, feed)?;
        report.applied = true;
    }
    Ok(report)
}

/// An entry that a command takes.
struct Fed<'a> {
    entry: &'a EntryName,
    command: &'a str,
}

impl Fed<'_> {
    fn of(source: &Source) -> Option<Fed<'_>> {
        match &source.content {
            Content::Command {
                import: Some(command),
                ..
            } => Some(Fed {
                entry: &source.name,
                command,
            }),
            _ => None,
        }
    }
}

/// Gives the entries of commands to them, one after the other.
fn feed(context: &Context, staging: &Staging, commands: &[Fed<'_>]) -> Result<()> {
    for fed in commands {
        context.stop.check()?;
        let place = staging.place(fed.entry);
        let length = place.metadata().ok().map(|metadata| metadata.len());
        context.begin("importing by command", length);
        command::feed(fed.command, &place, &context.step()).with_context(|| {
            let entry = fed.entry;
            format!(
                "the import command of {entry} failed, and what it did up to then is not undone"
            )
        })?;
        info!("  {} -> its import command", fed.entry);
    }
    Ok(())
}

fn carry_out(
    context: &Context,
    transaction: Transaction,
    changes: &[Change<'_>],
    feed: impl FnOnce() -> Result<()>,
) -> Result<()> {
    if changes.is_empty() {
        info!("Nothing to restore: every file is what the archive holds");
        // No file changes: there is nothing to bring back where a command fails.
        let fed = feed();
        drop(transaction);
        return fed;
    }
    info!("Restoring {} files", changes.len());
    replace::carry_out(context, transaction, changes, Databases::Open, feed)?;
    info!(
        files = changes.len(),
        "Restore completed successfully, what was replaced stays as .bak (`hookshot rollback` brings it back)"
    );
    Ok(())
}

/// What happens to each target, and how.
fn plan<'a>(
    context: &'a Context,
    settings: &'a Settings,
    keep: Keep,
    unpacked: &'a Unpacked<'a>,
    targets: &'a Targets,
    blocked: &mut Vec<Blocked>,
) -> Result<(Vec<Step>, Vec<Change<'a>>)> {
    let mut planned = Planned::default();
    files(
        context,
        settings,
        keep,
        unpacked,
        targets,
        blocked,
        &mut planned,
    )?;
    for name in &unpacked.trees {
        let source = settings
            .source_of(name)
            .filter(|source| source.is_directory());
        let (Some(source), Some(target)) = (source, targets.paths.get(name)) else {
            warn!("  {name} is left out: this machine has no place for it");
            planned.skip(name);
            continue;
        };
        let Some(directory) = Directory::find(context, settings, unpacked, source, target)? else {
            continue;
        };
        let action = match (directory.is_unchanged()?, target.is_dir()) {
            (true, _) => Action::Unchanged,
            (false, true) => Action::Replace,
            (false, false) => Action::Create,
        };
        planned.steps.push(Step {
            entry: name.clone(),
            target: Some(target.clone()),
            action,
        });
        if action.changes() {
            // What lies in a directory that is replaced comes into the new one, changed or not.
            let (within, others) = std::mem::take(&mut planned.changes)
                .into_iter()
                .partition(|(change, _)| change.target.starts_with(target));
            planned.changes = others;
            let within: Vec<(Change<'a>, Action)> = within;
            let within = within.into_iter().map(|(change, _)| change).collect();
            planned
                .changes
                .push((directory.change(keep, within)?, action));
        }
    }
    planned
        .steps
        .sort_by(|one, other| one.entry.cmp(&other.entry));
    let changes = planned.changes.into_iter();
    let changes = changes.filter(|(_, action)| action.changes());
    Ok((planned.steps, changes.map(|(change, _)| change).collect()))
}

/// A plan while it is made.
#[derive(Default)]
struct Planned<'a> {
    steps: Vec<Step>,
    /// What would make each target the archive's, also where it is that already.
    changes: Vec<(Change<'a>, Action)>,
}

impl Planned<'_> {
    fn skip(&mut self, name: &EntryName) {
        self.steps.push(Step {
            entry: name.clone(),
            target: None,
            action: Action::Skip,
        });
    }
}

/// What happens to single files.
fn files(
    context: &Context,
    settings: &Settings,
    keep: Keep,
    unpacked: &Unpacked<'_>,
    targets: &Targets,
    blocked: &mut Vec<Blocked>,
    planned: &mut Planned<'_>,
) -> Result<()> {
    let trees = &unpacked.verified.manifest().trees;
    let is_in_tree = |name: &EntryName| {
        let first = name.as_str().split_once('/').map(|(first, _)| first);
        first.is_some_and(|first| trees.contains_key(first))
    };
    for name in unpacked.selected.iter().filter(|name| !is_in_tree(name)) {
        let source = settings
            .source_of(name)
            .filter(|source| source.name == *name);
        let (Some(target), Some(source)) = (targets.paths.get(name), source) else {
            let action = match source.and_then(Fed::of) {
                Some(_) => Action::Feed,
                None => Action::Skip,
            };
            if action == Action::Skip {
                warn!("  {name} is left out: this machine has no place for it");
            }
            planned.steps.push(Step {
                entry: name.clone(),
                target: None,
                action,
            });
            continue;
        };
        let form = form_for(&source.content);
        let (Some(record), Some(digest)) =
            (unpacked.record(name), unpacked.digests.get(name).copied())
        else {
            continue;
        };
        context.begin(
            "comparing",
            target.metadata().ok().map(|metadata| metadata.len()),
        );
        let stamp = survey::stamp(target)?;
        let mut present = survey::present(target, |file| Box::new(context.watch(file)))?;
        if let Some(present) = &mut present
            && present.digest != digest
            && form == Form::Redb
            && unpacked.is_held_by(context, name, target)?
        {
            present.digest = digest;
        }
        let attributes = attributes(context, unpacked, source, present);
        let action = plan::decide(digest, attributes, present);
        planned.steps.push(Step {
            entry: name.clone(),
            target: Some(target.clone()),
            action,
        });
        if form == Form::Sqlite {
            // What the old database had not taken in yet is not the new one's.
            for companion in sqlite::companions(target) {
                if let Some((step, change)) = removal(name, &companion)? {
                    planned.steps.push(step);
                    planned.changes.push((change, Action::Remove));
                }
            }
        }
        if action.changes() && backup_path(target).is_dir() {
            blocked.push(Blocked {
                kind: "target",
                message: format!(
                    "{} is a folder, and the old {name} has to stay there",
                    backup_path(target).display()
                ),
                failure: Kind::Blocked,
                hint: "move the folder away",
            });
        }
        let origin = if keep == Keep::Yes {
            Origin::Copied
        } else {
            Origin::Moved
        };
        let source = unpacked.staging.place(name);
        let change = Change {
            entry: name.clone(),
            target: target.clone(),
            before: present.map(|present| present.digest),
            stamp,
            new: New::File {
                source,
                origin,
                digest,
                attributes,
                mtime: record.mtime,
            },
            form,
        };
        planned.changes.push((change, action));
    }
    Ok(())
}

/// Takes away a file that belongs to a database which is replaced; nothing where it is not there.
pub fn removal(database: &EntryName, companion: &Path) -> Result<Option<(Step, Change<'static>)>> {
    let stamp = survey::stamp(companion)?;
    let Some(present) = survey::present(companion, |file| Box::new(file))? else {
        return Ok(None);
    };
    let ending = companion.as_os_str().to_string_lossy();
    let ending = ending.rsplit('-').next().unwrap_or_default();
    let entry = EntryName::new(&format!("{}-{ending}", database.as_str()))
        .with_context(|| format!("cannot name what belongs to {database}"))?;
    let step = Step {
        entry: entry.clone(),
        target: Some(companion.to_owned()),
        action: Action::Remove,
    };
    let change = Change {
        entry,
        target: companion.to_owned(),
        before: Some(present.digest),
        stamp,
        new: New::Nothing,
        form: Form::Plain,
    };
    Ok(Some((step, change)))
}

/// Mode and owner of a restored file: what the manifest says, else what the target has, else what the tar says.
fn attributes(
    context: &Context,
    unpacked: &Unpacked<'_>,
    source: &Source,
    present: Option<Present>,
) -> Attributes {
    let name = &source.name;
    let record = unpacked.record(name);
    let header = unpacked.verified.header(name);
    let mode = plan::restored_mode(
        record.and_then(|record| record.mode),
        present.map(|present| present.mode),
        header.mode.unwrap_or(0o600),
        source.privacy,
    );
    if !context.privileged {
        return Attributes { mode, owner: None };
    }
    let user = |name: Option<&String>| {
        name.and_then(|name| User::from_name(name).ok().flatten())
            .map(|user| user.uid.as_raw())
    };
    let group = |name: Option<&String>| {
        name.and_then(|name| Group::from_name(name).ok().flatten())
            .map(|group| group.gid.as_raw())
    };
    let named = (
        user(record.and_then(|record| record.user.as_ref())),
        group(record.and_then(|record| record.group.as_ref())),
    );
    if let (None, Some(unknown)) = (named.0, record.and_then(|record| record.user.as_ref())) {
        let unknown = crate::model::entry_name::printable(unknown);
        warn!(
            "{name} belonged to {unknown}, whom this machine does not know: it gets the owner of the file that it replaces, or ours"
        );
    }
    let there = present.map(|present| present.owner);
    let uid = named
        .0
        .or(there.map(|owner| owner.0))
        .or_else(|| user(header.user.as_ref()))
        .unwrap_or(0);
    let gid = named
        .1
        .or(there.map(|owner| owner.1))
        .or_else(|| group(header.group.as_ref()))
        .unwrap_or(0);
    Attributes {
        mode,
        owner: Some((uid, gid)),
    }
}

/// The lines that people know from the guide.
fn announce(unpacked: &Unpacked<'_>, report: &Report) {
    if !report.dry_run {
        return;
    }
    let hostname = unpacked
        .verified
        .manifest()
        .hostname
        .as_deref()
        .unwrap_or("an unknown host");
    info!("DRY RUN MODE - No changes will be made");
    info!(
        "The following files of {} would be restored:",
        crate::model::entry_name::printable(hostname)
    );
    for step in &report.steps {
        let target = step.target.as_deref().unwrap_or("(no place)");
        info!(
            "  {} -> {target} ({})",
            crate::model::entry_name::printable(&step.entry),
            step.description
        );
    }
    info!("DRY RUN COMPLETE - No changes were made");
}
