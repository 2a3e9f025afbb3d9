//! The verbs as a library: a request goes in, a report comes out, and nothing is printed.
//!
//! Each call is one run. [`Context`] has what a run may know of the world: the time, a folder for temporary copies, the
//! request to cancel, and the receiver of events. [`Choices`] name the configuration, [`Settings`] are what it says.
//!
//! - **Failures** are [`anyhow::Error`]; [`Failure::of`] tells the kind, and [`Kind::code`] the
//!   exit code that the program has for it. A report of work that was done in part has a failure of its own:
//!   [`ExportReport::failure`], [`ApplyReport::failure`], [`VerifyReport::worst`], [`ListReport::failure`],
//!   [`PruneReport::failure`], [`CopyReport::failure`].
//! - **Cancellation**: [`Stop::cancel`] of [`Context::stop`], from any thread, ends the work with
//!   [`Kind::Interrupted`]; nothing half-done stays.
//! - **Events** go to [`Context::events`]: stages, progress, warnings, and the steps of each verb. A few remarks of
//!   the layers below go to `tracing`.
//! - **Commands** of the configuration stay in the session of this program. If it has a terminal, a command can wait
//!   for input there; a `prepare` command that outlives a killed program is not found by the next run. Programs that
//!   have no terminal, as services, meet neither. [`Method::Pause`] is refused: its guard is the program hookshot.
//!
//! ```no_run
//! use hookshot::verbs::{self, Choices, Context, ExportRequest, Settings};
//!
//! # fn main() -> anyhow::Result<()> {
//! let now = std::time::SystemTime::now().into();
//! let context = Context::new(now, std::env::temp_dir())?;
//! let choices = Choices {
//!     config: Some("/etc/shop/config.toml".into()),
//!     ..Choices::default()
//! };
//! let settings = Settings::load(&choices)?;
//! let output = verbs::output(&context, &settings, "@offsite")?;
//! let report = verbs::export(&context, &choices, ExportRequest::new(vec![output]))?;
//! if let Some(failure) = report.failure() {
//!     println!("{failure}, exit code {}", failure.kind.code());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Destinations that take their keys from variables, such as `AWS_PROFILE`, need [`Context::with_variables`].
//!
//! `examples/embed.rs` uses every verb but copy and rollback. Requests and reports follow the semantic version of this
//! crate; the modules that the documentation does not show do not.

use std::ffi::OsStr;

use anyhow::Result;

pub use crate::{
    archive::writer::Level,
    catalog::{
        destination::ReadBack,
        each::{FailedDestination, Hosts},
        input::ArchiveInput,
        output::{ArchiveOutput, SealedFor},
    },
    config::{Choices, Settings, elsewhere::Elsewhere},
    context::Context,
    error::{Failure, Kind},
    machine::{
        obstacle::{Obstacle, ObstacleKind},
        planned::{PlanDemand, PlanReport, PlanScope, Undone},
        preflight::Force,
        rehearsal::Rehearsal,
        report::{ApplyReport, StepReport},
    },
    model::{
        entry_name::EntryName,
        method::Method,
        plan::Action,
        retention::{Count, Counts, Period, Policy, Rule, Share, Span, Zone},
    },
    ops::{
        copy::{CopiedArchive, CopyReport, CopyRequest, FailedCopy, SkippedArchive, copy},
        export::{ExportReport, ExportRequest, OutputReport, Overwrite, Reuse, Secrets},
        import::{Archived, ImportRequest, KeepStaging, Selection},
        list::{
            ArchiveRow, Archives, Detail, Direction, ListDepth, ListProof, ListReport, ListRequest,
            ListVerdict, PassedFile, Sort, TimeFrom, list,
        },
        prune::{
            ArchiveToRemove, DestinationPrune, InspectFirst, KeptArchive, LateArchive, NotRemoved,
            OtherName, PruneMode, PruneReport, PruneRequest, RemovalLimit, prune,
        },
        verify::{ArchiveReport, InspectedKind, Looked, VerifyDepth, VerifyReport, verify},
    },
    store::Environment,
    work::{
        Threads,
        cancel::Stop,
        events::{
            ArchiveEvent, ArchiveFlaw, CatalogEvent, Event, Events, ExportEvent, NextArchive,
            NoReuse, Receiver, Recovery, RestoreEvent,
        },
        remark::{Remark, RemarkKind},
        remarks::Remarks,
    },
};
use crate::{
    catalog::target::Target,
    config::read_text,
    machine::{
        enter::{Need, StateAccess, enter, recover},
        scratch::usable,
    },
    ops::{self, import::damage},
};

/// Resolves a word as the command line does, as an archive to read: `@DESTINATION/ARCHIVE`, `@DESTINATION/latest`, a
/// URL, a path, or `-`.
pub fn input(
    context: &Context,
    settings: &Settings,
    word: impl AsRef<OsStr>,
) -> Result<ArchiveInput> {
    Target::read(word)?.input(context, || Ok(settings))
}

/// Resolves a word as the command line does, as an output of an export: `@DESTINATION`, a URL, a path, or `-`.
pub fn output(
    context: &Context,
    settings: &Settings,
    word: impl AsRef<OsStr>,
) -> Result<ArchiveOutput> {
    Target::read(word)?.output(context, || Ok(settings), ReadBack::AsConfigured)
}

/// Exports the state that the configuration describes.
pub fn export(
    context: &Context,
    choices: &Choices,
    request: ExportRequest,
) -> Result<ExportReport> {
    let entered = enter(choices, StateAccess::Read, &context.events)?;
    ops::export::export(context, &entered, request)
}

/// Imports an archive into the state that the configuration describes: all of it, or nothing. If the newest archive is
/// requested and is damaged, takes the next older one.
pub fn import(
    context: &Context,
    choices: &Choices,
    request: &ImportRequest,
) -> Result<ApplyReport> {
    let mut attempts = 0;
    request.archive.first_good(context, damage, |archive| {
        let context = for_attempt(context, attempts);
        attempts += 1;
        let request = ImportRequest {
            archive: archive.clone(),
            ..request.clone()
        };
        import_archive(&context, choices, request)
    })
}

/// Returns the context of one attempt: leftovers of one are not in the way of the next.
pub(crate) fn for_attempt(context: &Context, number: usize) -> Context {
    Context {
        unique: format!("{}-{number}", context.unique),
        ..context.clone()
    }
}

/// Imports one archive.
pub(crate) fn import_archive(
    context: &Context,
    choices: &Choices,
    request: ImportRequest,
) -> Result<ApplyReport> {
    choices.elsewhere.stays_inside(&choices.config_path()?)?;
    require_config(context, choices)?;
    let access = match request.rehearsal {
        Rehearsal::DryRun => StateAccess::Read,
        Rehearsal::Real => StateAccess::Write,
    };
    let mut entered = enter(choices, access, &context.events)?;
    let context = &usable(context, &entered.settings.home());
    let mut request = request;
    request.selection.leave_disabled(&entered.settings);
    let archive =
        ops::import::find_places(context, &mut entered, &request.archive, &request.selection)?;
    // Files that this machine has lost, and that match a pattern, are sources by now.
    request.selection.leave_disabled(&entered.settings);
    let request = ImportRequest { archive, ..request };
    ops::import::import(context, &mut entered, &request)
}

/// Refuses an import whose configuration was named and does not exist, unless the place of the database was named too:
/// a mistyped path must not send the database to the default folder.
fn require_config(context: &Context, choices: &Choices) -> Result<()> {
    let config = choices.config_path()?;
    let is_told = choices.archived.is_some() || choices.pinned.is_some();
    if choices.config.is_none() || choices.data_dir.is_some() || is_told {
        return Ok(());
    }
    // A killed import may still have to restore it.
    recover(&config, Need::State, &context.events)?;
    let is_rooted = choices.elsewhere.root.is_some();
    if read_text(&config)?.is_some() || is_rooted && read_text(&choices.said_config()?)?.is_some() {
        return Ok(());
    }
    let message = format!("{} does not exist", config.display());
    let hint = "name the right --config; on a machine that has nothing yet, let the archive's own say where files go \
        with --use-archive-config, or say with --data-dir where the database goes";
    Err(Failure::new(Kind::Usage, message).hint(hint).into())
}

/// Brings back what the last import or rollback replaced.
pub fn rollback(
    context: &Context,
    choices: &Choices,
    rehearsal: Rehearsal,
    force: Force,
) -> Result<ApplyReport> {
    rollback_planned(context, choices, rehearsal, force, None)
}

/// Brings back what the last import or rollback replaced, if the plan is the demanded one.
pub fn rollback_planned(
    context: &Context,
    choices: &Choices,
    rehearsal: Rehearsal,
    force: Force,
    plan: Option<PlanDemand>,
) -> Result<ApplyReport> {
    let access = match rehearsal {
        Rehearsal::DryRun => StateAccess::Read,
        Rehearsal::Real => StateAccess::Undo,
    };
    let entered = enter(choices, access, &context.events)?;
    let context = usable(context, &entered.settings.home());
    ops::rollback::rollback(&context, &entered, rehearsal, force, plan)
}
