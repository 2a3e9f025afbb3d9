//! `export`: the whole state into one archive, read back and proven before it has its name.

mod amount;
mod around;
mod attempt;
mod earlier;
mod gathered;
mod held;
mod lost;
mod making;
mod packing;
mod place;
mod present;
mod report;
mod request;
mod stage;
mod untouched;

use std::{path::Path, time::Instant};

use anyhow::{Result, anyhow};
use chrono::DateTime;
use serde_json::Value;

use self::{
    around::Around,
    attempt::{Attempt, Attempted, Goal, once},
    held::{mark_everywhere, note_sealed},
    report::nowhere,
};
pub use self::{
    lost::{FailedAt, kind_of_all},
    present::{PresentDatabase, PresentState, present_state, read_state},
    report::{ExportReport, OutputReport},
    request::{Encryption, ExportRequest, Overwrite, Reuse, Secrets},
};
use crate::{
    context::Context,
    error::{Failure, Kind},
    machine::{app_version, enter::Entered},
    model::{
        archive_name::ArchiveName, copy_form::CopyForm, digest::Digest, entry_name::EntryName,
        retention::Mark, written::rfc3339,
    },
    source::{
        sqlite::verdict::CheckExtent,
        tree::{self, ContentChanged},
    },
    work::{events::ExportEvent, remarks::Remarks},
};

/// The outcome of an export that may find nothing to do.
pub enum Exported {
    /// An archive.
    Made(Box<ExportReport>),
    /// No archive: the state has the digest that the caller named. The remarks are those about the state.
    Unchanged(Remarks),
}

/// Exports the state that was entered.
///
/// With a file or folder of this machine among the outputs, the archive is proven there before it goes anywhere else;
/// without one it is sent while it is made, and has no name anywhere before it is proven.
pub fn export(
    context: &Context,
    entered: &Entered,
    request: ExportRequest,
) -> Result<ExportReport> {
    match export_unless(context, entered, request, None)? {
        Exported::Made(report) => Ok(*report),
        Exported::Unchanged(_) => Err(anyhow!("no digest was named that the state could have")),
    }
}

/// Exports the state that was entered, unless its digest ([`state_digest`](crate::model::state_digest::state_digest)) is `same`: then no archive is made.
pub fn export_unless(
    context: &Context,
    entered: &Entered,
    request: ExportRequest,
    same: Option<Digest>,
) -> Result<Exported> {
    entered.settings.mask_secrets(&context.runner.masks);
    request.require_feasible(context, &entered.settings)?;
    if context.now < DateTime::UNIX_EPOCH {
        let message = format!(
            "this machine's clock says {}, before 1970",
            rfc3339(context.now)
        );
        return Err(Failure::new(Kind::Failed, message)
            .hint("set the clock (a board without a battery has none at its start: wait for NTP), and export again; nothing was written")
            .into());
    }
    context.tell(ExportEvent::Begun);
    let settings = &entered.settings;
    if !settings.config_exists {
        return Err(no_config(&settings.config).into());
    }
    let name = ArchiveName::new(&settings.schema.prefix, context.now)
        .map_err(|fault| Failure::new(Kind::Usage, fault))?;
    let level = request.level.unwrap_or(settings.schema.level);
    let mut about_version = context.remarks();
    let app_version = app_version::for_archive(context, settings, &mut about_version)?;
    let mut around = Around::enter(context, settings)?;
    around.prepare(None)?;
    let mut further = FURTHER_ATTEMPTS.into_iter();
    let mut quiet = tree::QUIET;
    let form = request.copy_form();
    let attempted = loop {
        let (started, app_version) = (Instant::now(), app_version.clone());
        let request = Attempt {
            request: &request,
            name: &name,
            level,
            form,
            app_version,
            quiet,
            goal: same.map_or(Goal::Archive, Goal::ArchiveUnless),
        };
        let made = once(&mut around, request);
        around.end_sources();
        match (made, further.next()) {
            (Err(error), Some(times)) if ContentChanged::of(&error).is_some() => {
                quiet = quiet.max(started.elapsed().saturating_mul(times));
                let reason = format!("{error:#}");
                context.tell(ExportEvent::StartedOver { reason });
            }
            (made, _) => break made.map_err(|error| cut_short(error, form))?,
        }
    };
    around.end_all();
    let Attempted {
        made,
        manifest,
        mut gathered,
        changes,
    } = attempted;
    let mut remarks = std::mem::replace(&mut gathered.remarks, context.remarks());
    remarks.extend(around.remarks.take());
    remarks.extend(about_version);
    untouched::note(settings, &manifest, &mut remarks);
    let Some(made) = made else {
        return Ok(Exported::Unchanged(remarks));
    };
    let named = |entries: &[EntryName]| entries.iter().map(ToString::to_string).collect();
    // The database of the service comes before those that lie in its directories.
    let snapshot_of = |is_apart: bool| {
        let mut files = manifest.files.iter().chain(&gathered.listed_databases);
        files.find_map(|(name, file)| {
            let is_it = gathered.databases.contains(name) != is_apart;
            file.snapshot.clone().filter(|_| is_it)
        })
    };
    let snapshot = snapshot_of(true).or_else(|| snapshot_of(false));
    let databases = manifest.files.iter().chain(&gathered.listed_databases);
    let checks = databases.filter_map(|(name, record)| {
        let checked = CheckExtent::of(record)?;
        Some((name.to_string(), checked.check))
    });
    let checks = checks.collect();
    let arrived = made.outputs.iter().find(|arrival| arrival.good);
    let archive_escaped = arrived.and_then(|arrival| arrival.archive_escaped.clone());
    let size_bytes = arrived.and_then(|arrival| arrival.size_bytes);
    let sha256 = arrived.and_then(|arrival| arrival.sha256.clone());
    let archive = arrived.map(|arrival| arrival.archive.clone());
    let archive = archive.ok_or_else(|| nowhere(&made.outputs))?;
    note_sealed(context, settings, &made.outputs, &manifest);
    if let Some(mark) = request.keep {
        mark_everywhere(context, settings, &made.outputs, mark, &mut remarks);
    }
    Ok(Exported::Made(Box::new(ExportReport {
        archive,
        archive_escaped,
        verified: made.outputs.iter().all(|arrival| arrival.good),
        outputs: made.outputs,
        files: usize::try_from(manifest.count()).unwrap_or(usize::MAX),
        size_bytes: size_bytes.unwrap_or_default(),
        sha256: sha256.unwrap_or_default(),
        root: name.to_string(),
        reused_bytes: made.reused_bytes,
        snapshot: snapshot.unwrap_or(Value::Null),
        checks,
        databases: named(&gathered.databases),
        torn: named(&gathered.torn),
        remarks,
        content_bytes: manifest.total_bytes(),
        changes,
        mark: request.keep.map(Mark::text),
        duration_seconds: context.begun.elapsed().as_secs_f64(),
    })))
}

/// Returns the error of an export. A repository keeps content that came before an interruption.
fn cut_short(error: anyhow::Error, form: CopyForm) -> anyhow::Error {
    let failure = Failure::of(&error);
    match (failure.kind, form) {
        (Kind::Interrupted(_), CopyForm::PageExact) => failure
            .hint("no state of it stays; content that a repository got stays there until the next `hookshot prune`")
            .into(),
        _ => error,
    }
}

/// Retry factors. If a file changes before it is packed, the export starts over. In each retry, files modified within
/// this factor times the duration of the last attempt are first copied aside, because they may change again.
const FURTHER_ATTEMPTS: [u32; 2] = [20, 400];

fn no_config(path: &Path) -> Failure {
    Failure::new(
        Kind::NotFound,
        format!("config.toml is missing: {} does not exist", path.display()),
    )
    .hint("name it with --config, or make a first one with `hookshot init`")
}
