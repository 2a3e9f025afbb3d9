//! `import`: replaces this machine's state by an archive's: all of it, or nothing.
//!
//! Everything is checked before anything moves, and every reason that stands in the way is named at once.

use std::path::{Path, PathBuf};

use anyhow::Result;
use nix::unistd::{Group, User};
use tracing::{info, warn};

use super::{
    Context,
    archive_input::Location,
    entries::Role,
    preflight::{self, Blocked, Force, Locks},
    recovery::Entered,
    replace::{self, Databases, Rehearsal, Report},
    unpacked::{Targets, Unpacked},
};
use crate::{
    config::DEFAULT_DATA_DIR,
    disk::{
        journal::{Home, Journal},
        staging::{self, Staging},
        survey,
        transaction::{Change, New, Origin, Transaction, backup_path},
    },
    error::Kind,
    model::{
        entry_name::EntryName,
        plan::{self, Action, Attributes, Present, Step},
    },
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

/// Imports an archive into the state that was entered.
pub fn import(context: &Context, entered: &mut Entered, request: &Request) -> Result<Report> {
    let settings = &entered.settings;
    if !settings.config_exists {
        warn!(config = %settings.config.display(), data_dir = %settings.data_dir.display(), "This machine has no configuration yet, the places are the default ones");
    }
    if settings.config_exists
        && settings.schema.data_dir.is_none()
        && settings.data_dir == Path::new(DEFAULT_DATA_DIR)
    {
        warn!(data_dir = %settings.data_dir.display(), "The configuration does not say [storage] data_dir, the place of the database is the default one");
    }
    let targets = Targets::find(settings, &request.only)?;
    let names = replace::names(context);
    let mut transaction = None;
    let place = match (request.staging, request.rehearsal) {
        (Keep::Yes, Rehearsal::Real) => names.kept_staging(&settings.data_dir),
        (Keep::Yes, Rehearsal::DryRun) => names.kept_staging(&context.scratch),
        (Keep::No, Rehearsal::Real) => names.staging(&settings.data_dir),
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
    let unpacked = Unpacked::new(context, request, &staging, &settings.data_dir, &targets)?;
    let mut blocked = unpacked.faults(context, settings)?;
    let locks = if transaction.is_some() {
        Locks::Held
    } else {
        Locks::Asked
    };
    let database = targets
        .path(Role::Database)
        .filter(|_| unpacked.wants(Role::Database));
    let _database_lock = match database {
        Some(path) => preflight::database(path, request.force, locks, &mut blocked)?,
        None => None,
    };
    let (steps, changes) = plan(context, request.staging, &unpacked, &targets, &mut blocked)?;
    let mut report = Report::new(request.rehearsal, &steps, blocked);
    if request.staging == Keep::Yes {
        report.staging = Some(staging.path().display().to_string());
    }
    announce(&unpacked, &report);
    if let Some(transaction) = transaction
        && report.blocked.is_empty()
    {
        carry_out(context, transaction, &changes)?;
        report.applied = true;
    }
    Ok(report)
}

fn carry_out(context: &Context, transaction: Transaction, changes: &[Change]) -> Result<()> {
    if changes.is_empty() {
        info!("Nothing to restore: every file is what the archive holds");
        return Ok(());
    }
    info!("Restoring {} files", changes.len());
    replace::carry_out(context, transaction, changes, Databases::Open)?;
    info!(
        files = changes.len(),
        "Restore completed successfully, what was replaced stays as .bak (`hookshot rollback` brings it back)"
    );
    Ok(())
}

/// What happens to each target, and how.
fn plan(
    context: &Context,
    keep: Keep,
    unpacked: &Unpacked<'_>,
    targets: &Targets,
    blocked: &mut Vec<Blocked>,
) -> Result<(Vec<Step>, Vec<Change>)> {
    let mut steps = Vec::new();
    let mut changes = Vec::new();
    for name in &unpacked.selected {
        let (Some(target), Some(role)) = (targets.paths.get(name), Role::of(name)) else {
            warn!("  {name} is left out: this machine has no place for it");
            steps.push(Step {
                entry: name.clone(),
                target: None,
                action: Action::Skip,
            });
            continue;
        };
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
            && role == Role::Database
            && unpacked.is_held_by(context, name, target)?
        {
            present.digest = digest;
        }
        let attributes = attributes(context, unpacked, name, role, present);
        let action = plan::decide(digest, attributes, present);
        steps.push(Step {
            entry: name.clone(),
            target: Some(target.clone()),
            action,
        });
        if !action.changes() {
            continue;
        }
        if backup_path(target).is_dir() {
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
        changes.push(Change {
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
        });
    }
    Ok((steps, changes))
}

/// Mode and owner of a restored file: what the manifest says, else what the target has, else what the tar says.
fn attributes(
    context: &Context,
    unpacked: &Unpacked<'_>,
    name: &EntryName,
    role: Role,
    present: Option<Present>,
) -> Attributes {
    let record = unpacked.record(name);
    let header = unpacked.verified.header(name);
    let mode = plan::restored_mode(
        record.and_then(|record| record.mode),
        present.map(|present| present.mode),
        header.mode.unwrap_or(0o600),
        role.privacy(),
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
