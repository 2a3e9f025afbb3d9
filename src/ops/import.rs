//! `import`: replaces this machine's state by an archive's: all of it, or nothing.
//!
//! Everything is checked before anything moves, and every reason that stands in the way is named at once.

mod archived_config;
mod directory;
mod feeding;
mod planning;
mod unpacked;

use std::path::{Path, PathBuf};

use anyhow::Result;
use tracing::{info, warn};

pub use self::archived_config::archived_config;
use self::{
    feeding::{Fed, feed},
    planning::plan,
    unpacked::{RESTORED_DATABASE, Targets, Unpacked, VERSION},
};

use super::{
    Context,
    archive_input::{self, Location},
    form::form_for,
    preflight::{self, Force, Locks},
    recovery::Entered,
    replace::{self, Databases, Rehearsal, Report},
};
use crate::{
    config::DEFAULT_DATA_DIR,
    disk::{
        journal::{Home, Journal},
        staging::{self, Staging},
        transaction::{Change, Transaction},
    },
    error::Failure,
    model::entry_name::EntryName,
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

/// What is wrong with the archive of an import that came to nothing, where it is the archive's own bytes or database. A
/// database that another version of hookshot wrote need not open here.
pub fn damage(result: &Result<Report>) -> Option<Failure> {
    let Ok(report) = result else {
        return archive_input::damage(result);
    };
    report.refusal().filter(|_| is_damaged(report))
}

fn is_damaged(report: &Report) -> bool {
    let has = |kind: &str| report.blocked.iter().any(|blocked| blocked.kind == kind);
    has(RESTORED_DATABASE) && !has(VERSION)
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
    let staging = Staging::create(&place)?;
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
    report.archive = Some(request.archive.shown());
    // Only what the report names stays: it holds secrets, and that of an archive that gives way to another is not shown.
    if request.staging == Keep::Yes && !(is_damaged(&report) && request.archive.is_replaceable()) {
        staging.keep();
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
    let entries: Vec<&str> = changes
        .iter()
        .flat_map(Change::entries)
        .map(EntryName::as_str)
        .collect();
    info!("Restoring {}", entries.join(", "));
    replace::carry_out(context, transaction, changes, Databases::Open, feed)?;
    info!(
        entries = entries.len(),
        "Restore completed successfully, what was replaced stays as .bak (`hookshot rollback` brings it back)"
    );
    Ok(())
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
