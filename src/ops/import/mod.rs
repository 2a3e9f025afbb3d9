//! `import`: replaces this machine's state by an archive's: all of it, or nothing.
//!
//! Everything is checked before anything moves, and every reason that stands in the way is named at once.

mod archived_config;
mod attributes;
mod children;
mod directory;
mod lost;
mod planning;
mod present;
mod request;
mod room;
mod secrets;
mod selection;
mod targets;
mod told;
mod unpacked;
mod unpacking;
mod unresolved;
mod volume;
mod waiting;

use std::path::{Path, PathBuf};

use anyhow::Result;

use self::{
    archived_config::Laid,
    planning::plan,
    targets::Targets,
    told::{name_absent, warn_of_maps, warn_of_strays},
    unpacked::Unpacked,
    unresolved::name_unresolved,
};
pub use self::{
    archived_config::{Archived, ArchivedConfig, archived_config},
    present::is_present,
    request::{ImportRequest, KeepStaging},
    selection::Selection,
    waiting::{is_busy, wait_until_idle},
};
pub use crate::model::shell_word::quoted;
use crate::{
    catalog::{
        dates,
        input::{self, ArchiveInput},
    },
    config::DEFAULT_DATA_DIR,
    context::Context,
    disk::{
        staging,
        transaction::{Change, Transaction, home::Home, journal::Journal},
    },
    error::{Failure, Kind},
    machine::{
        apply::{self, DatabaseCheck},
        enter::Entered,
        form::form_for,
        kept::{Exports, Fed, feed},
        obstacle::ObstacleKind,
        places,
        planned::PlanSource,
        preflight,
        rehearsal::Rehearsal,
        report::ApplyReport,
        scratch,
    },
    model::{entry_name::EntryName, state_digest::state_digest, written::escaped},
    source::database::Locking,
    work::{events::RestoreEvent, remark::RemarkKind, remarks::Remarks},
};

/// Returns the failure if the import was refused because the archive's own bytes or database are damaged. A database
/// that another version of hookshot wrote need not open here.
pub fn damage(result: &Result<ApplyReport>) -> Option<Failure> {
    match result {
        Ok(report) => damage_of(report),
        Err(_) => input::damage(result),
    }
}

/// Returns the same failure of an import that has a report.
pub fn damage_of(report: &ApplyReport) -> Option<Failure> {
    report.refusal().filter(|_| is_damaged(report))
}

fn is_damaged(report: &ApplyReport) -> bool {
    let has = |kind: ObstacleKind| report.blocked.iter().any(|blocked| blocked.kind == kind);
    has(ObstacleKind::RestoredDatabase) && !has(ObstacleKind::Version)
}

/// Finds the places that only the archive tells: of entries whose sources are patterns, also of those that this machine
/// has lost, and of sources behind links that are restored. Returns the archive, to be read again.
pub fn find_places(
    context: &Context,
    entered: &mut Entered,
    archive: &ArchiveInput,
    selection: &Selection,
) -> Result<ArchiveInput> {
    let settings = &mut entered.settings;
    let (has_globs, has_links) = (!settings.globs.is_empty(), settings.may_lie_behind_links());
    if !has_globs && !has_links {
        return Ok(archive.clone());
    }
    let archive = archive.repeatable(context)?;
    let manifest = archive.manifest(context)?;
    if has_globs {
        settings.add_archived(&manifest)?;
    }
    if has_links {
        let mut listed = |name: &EntryName| archive.listed_links(context, &manifest, name);
        settings.follow_archived_links(&manifest, &mut listed, |name| selection.has(name))?;
    }
    Ok(archive)
}

/// Imports an archive into the state that was entered.
pub fn import(
    context: &Context,
    entered: &mut Entered,
    request: &ImportRequest,
) -> Result<ApplyReport> {
    let settings = &entered.settings;
    settings.mask_secrets(&context.runner.masks);
    if !settings.is_described {
        context.tell(RestoreEvent::DefaultPlaces {
            config: settings.config.clone(),
            data_dir: settings.data_dir.clone(),
        });
    }
    if settings.config_exists
        && settings.schema.sources.is_none()
        && settings.schema.data_dir.is_none()
        && settings.data_dir == Path::new(DEFAULT_DATA_DIR)
    {
        context.tell(RestoreEvent::DefaultDataDir {
            data_dir: settings.data_dir.clone(),
        });
    }
    for source in &request.selection.disabled {
        let source = source.clone();
        context.tell(RestoreEvent::SourceDisabled { source });
    }
    let targets = Targets::find(settings, &request.selection)?;
    if let Some(root) = &settings.elsewhere.root {
        context.tell(RestoreEvent::Below { root: root.clone() });
    }
    let names = apply::names(context);
    let mut transaction = None;
    let home = settings.home();
    let mut blocked = places::of_the_journal(settings);
    // An import that cannot begin is examined like a rehearsal, so that every other obstacle is named as well.
    let rehearsal = match blocked.is_empty() {
        true => request.rehearsal,
        false => Rehearsal::DryRun,
    };
    // A rehearsal leaves the folders of the state alone, unless there is room nowhere else.
    let spare = scratch::at_home(&home);
    let places = match (request.staging, rehearsal) {
        (KeepStaging::Yes, Rehearsal::Real) => vec![names.kept_staging(&home)],
        (KeepStaging::No, Rehearsal::Real) => vec![names.staging(&home)],
        (KeepStaging::Yes, Rehearsal::DryRun) => vec![
            names.kept_staging(&context.scratch),
            names.kept_staging(&spare),
        ],
        (KeepStaging::No, Rehearsal::DryRun) => {
            staging::sweep(&context.scratch);
            staging::sweep(&spare);
            vec![names.rehearsal(&context.scratch), names.rehearsal(&spare)]
        }
    };
    if rehearsal == Rehearsal::Real {
        let litter = if request.staging == KeepStaging::Yes {
            Vec::new()
        } else {
            places.clone()
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
    let unpacked = Unpacked::new(context, settings, request, rehearsal, &places, &targets)?;
    let staging = &unpacked.staging;
    let context = &scratch::roomy(context, &home, unpacked.bytes);
    let mut remarks = context.remarks();
    let created = unpacked.verified.manifest().created_at;
    let digest = state_digest(unpacked.verified.manifest());
    if request.expected.is_some_and(|expected| expected != digest) {
        let archive = request.archive.shown();
        let message = format!("{archive} holds another state than it did");
        return Err(Failure::new(Kind::Refused, message)
            .hint("something has replaced the archive: look what is there now")
            .into());
    }
    if let Some(odd) = dates::odd(request.archive.file_name(), created, context.now) {
        let message = format!("{}: {odd}", request.archive.shown());
        remarks.warning(RemarkKind::Date, "", message);
    }
    warn_of_strays(settings, &unpacked, &request.selection, &mut remarks);
    name_absent(settings, &unpacked, &request.selection, &mut remarks);
    secrets::warn_of_others(settings, &unpacked, &mut remarks);
    blocked.extend(unpacked.faults(context, request.force, &mut remarks)?);
    let locks = if transaction.is_some() {
        Locking::Held
    } else {
        Locking::Asked
    };
    preflight::services(
        context,
        settings,
        unpacked.sources(),
        request.force,
        &mut blocked,
        &mut remarks,
    )?;
    let mut _held = Vec::new();
    for source in unpacked.sources() {
        if !settings.elsewhere.is_elsewhere() {
            preflight::mounted(context, source, request.force, &mut blocked);
        }
        preflight::activity(context, source, request.force, &mut blocked)?;
        if let Some(path) = targets.paths.get(&source.name) {
            let form = form_for(&source.kind);
            _held.extend(preflight::target(
                context,
                path,
                form,
                request.force,
                locks,
                &mut blocked,
            )?);
        }
    }
    let home = Home::beside(&settings.config);
    let known = apply::known_backups(context, &home);
    let mut plan = plan(
        context,
        settings,
        request.staging,
        &unpacked,
        &targets,
        &known,
        (&mut blocked, &mut remarks),
    )?;
    apply::choose_backups(&mut plan.changes, &known, &mut remarks)?;
    places::of_changes(context, &plan.changes, &mut blocked, &mut remarks)?;
    let fed = |source| Fed::new(source, staging.place(&source.name));
    let mut commands: Vec<Fed> = unpacked.sources().filter_map(fed).collect();
    warn_of_maps(settings, &unpacked, &commands, &mut remarks);
    let changed = plan.changes.len();
    let exports = Exports::new(context, &home, &known, rehearsal, request.force);
    let mut exports = exports.spare(&request.archive.shown());
    let mut report = ApplyReport::new(context, request.rehearsal, &plan.steps, blocked);
    report.changed = changed;
    report.name_backups(&plan.changes);
    if let Some(demand) = request.plan {
        let source = PlanSource::Archive {
            archive: request.archive.shown(),
            state: digest.to_string(),
            hostname: unpacked.verified.manifest().hostname.clone(),
            only: words(&request.selection.only),
            except: words(&request.selection.except),
        };
        let named = demand.meet(source, &report.steps, &plan.changes, &report.blocked)?;
        report.plan = Some(named);
    }
    // Below another root, commands hold nothing that a rollback would bring back.
    if report.blocked.is_empty() && settings.elsewhere.root.is_none() {
        plan.changes
            .extend(exports.keep(&mut commands, &mut remarks)?);
        report.name_kept(&commands);
    }
    report.remarks = remarks;
    report.archive = Some(request.archive.shown());
    report.hostname = unpacked.verified.manifest().hostname.clone();
    report.state_digest = Some(digest);
    report.app_version = unpacked.verified.manifest().app_version.clone();
    report.archive_escaped = request.archive.escaped();
    report
        .remarks
        .extend(unpacked.unrestored.borrow_mut().take());
    let listed = plan.torn.iter().flat_map(|(_, torn)| &torn.named);
    for entry in unpacked.torn().map(|(entry, _)| entry).chain(listed) {
        let message = format!(
            "{entry} is torn: it changed while it was exported, or is a database that was damaged or locked; what the \
            archive has may be no state that it ever had"
        );
        report.remarks.undone(RemarkKind::Torn, entry, message);
    }
    for (directory, torn) in plan.torn.iter().filter(|(_, torn)| torn.more > 0) {
        let message = format!("{} more files of {directory} are torn", torn.more);
        report.remarks.undone(RemarkKind::Torn, directory, message);
    }
    // Only what the report names stays: it holds secrets, and that of an archive that gives way to another is not
    // shown.
    if request.staging == KeepStaging::Yes
        && !(is_damaged(&report) && request.archive.is_replaceable())
    {
        staging.keep();
        report.staging = Some(staging.path().display().to_string());
        report.staging_escaped = escaped(staging.path());
    }
    if let Some(mut transaction) = transaction
        && report.blocked.is_empty()
    {
        transaction.announce_commands(commands.iter().map(|fed| fed.entry.as_str()));
        transaction.announce_sources(unpacked.sources().map(|source| source.name.as_str()));
        transaction.announce_volumes(plan.volumes.drain(..));
        transaction.remember(&known);
        let last = || {
            let laid = unpacked
                .beside
                .as_ref()
                .map(|beside| beside.lay(&context.events))
                .transpose()?;
            feed(context, &commands)?;
            Ok(laid)
        };
        let (laid, refused) = carry_out(context, transaction, &plan.changes, last)?;
        report.remarks.extend(refused);
        laid.into_iter().for_each(Laid::keep);
        report.applied = true;
        report
            .remarks
            .extend(unpacked.unrestored.borrow_mut().take());
    }
    name_unresolved(context, settings, &mut report)?;
    Ok(report)
}

fn words(names: &[EntryName]) -> Vec<&str> {
    names.iter().map(EntryName::as_str).collect()
}

/// Replaces what differs, and then does `last`.
fn carry_out<'a>(
    context: &Context,
    transaction: Transaction,
    changes: &[Change<'_>],
    last: impl FnOnce() -> Result<Option<Laid<'a>>>,
) -> Result<(Option<Laid<'a>>, Remarks)> {
    if changes.is_empty() {
        // No file changes: there is nothing to bring back if a command fails.
        let laid = last()?;
        // It is the last import all the same: a rollback must not undo another one.
        transaction.commit()?.finish()?;
        return Ok((laid, context.remarks()));
    }
    let entries: Vec<EntryName> = changes
        .iter()
        .filter(|change| !change.form.is_kept())
        .flat_map(Change::entries)
        .cloned()
        .collect();
    if !entries.is_empty() {
        context.tell(RestoreEvent::Restoring { entries });
    }
    let mut laid = None;
    let last = || {
        laid = last()?;
        Ok(())
    };
    let remarks = apply::carry_out(context, transaction, changes, DatabaseCheck::Open, last)?;
    Ok((laid, remarks))
}
