//! The rehearsal of a restore: an archive is imported into a sandbox, by the same steps as a real import.
//!
//! The archive is read once: fetched, verified and unpacked in one pass, as an import does. The clock of the reader tells
//! for how long it waited for bytes.

mod databases;
mod timing;

use std::path::PathBuf;

use anyhow::Result;

use self::timing::Timing;
use crate::{
    catalog::input::ArchiveInput,
    config::{Choices, Settings, elsewhere::Elsewhere, read_text},
    context::Context,
    disk::{exists, sandbox::Sandbox},
    error::{Failure, Kind},
    machine::{
        app_version,
        enter::{StateAccess, enter},
        report::ApplyReport,
        scratch::usable,
    },
    model::{drill_record::DrillSeconds, entry_name::EntryName},
    ops::import::{Archived, ImportRequest, archived_config, find_places, import},
    work::{
        remark::{Remark, RemarkKind},
        remarks::Remarks,
    },
};

/// The variable that names the folder which stands for `/`.
pub const SANDBOX: &str = "HOOKSHOT_SANDBOX";

/// The fate of sources whose entries commands take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportCommands {
    /// They are left out.
    LeftOut,
    /// Their import commands run, with [`SANDBOX`] in their environment.
    Run,
}

/// A state that was restored into a sandbox.
#[derive(Debug)]
pub struct RestoredState {
    /// The restored entries, and their places in the sandbox.
    pub entries: Vec<(EntryName, PathBuf)>,
    /// The durations of the parts; that of a probe is not known.
    pub seconds: DrillSeconds,
    /// Remarks about what this user or this machine could not restore or check.
    pub warnings: Vec<String>,
}

/// Imports `archive` into `sandbox`, and checks all databases in it. Paths of this machine's configuration lie below the
/// sandbox; if there is none, the archive's own says where things go. The state of this machine is neither read nor
/// locked.
///
/// Errors: [`Kind::Refused`] if the archive cannot be restored or a database in it is damaged.
pub fn rehearse(
    context: &Context,
    choices: &Choices,
    sandbox: &Sandbox,
    archive: &ArchiveInput,
    commands: ImportCommands,
) -> Result<RestoredState> {
    let (timing, context) = Timing::begin(&inside(context, sandbox));
    let archive = archive.repeatable(&context)?;
    let choices = below(&context, choices, sandbox, &archive, commands)?;
    let mut entered = enter(&choices, StateAccess::Write, &context.events)?;
    let context = usable(&context, &entered.settings.home());
    let mut request = ImportRequest {
        archived: Archived::Put,
        ..ImportRequest::new(archive)
    };
    request.selection.leave_disabled(&entered.settings);
    request.archive = find_places(&context, &mut entered, &request.archive, &request.selection)?;
    request.selection.leave_disabled(&entered.settings);
    let report = import(&context, &mut entered, &request).map_err(not_restored)?;
    if let Some(failure) = report.refusal() {
        return Err(failure.into());
    }
    timing.restored();
    let entries = entries(&entered.settings);
    let mut remarks = context.remarks();
    let faults = databases::check(&context, &entries, &mut remarks)?;
    if let Some(first) = faults.first() {
        return Err(Failure::new(Kind::Refused, first.clone())
            .hint("every byte is what the manifest says: the archive was made of something that was not good; use another one")
            .faults(faults)
            .into());
    }
    let seconds = timing.end();
    remarks.extend(report.remarks.clone());
    let mut warnings = warnings(sandbox, remarks);
    warnings.extend(other_version(&context, &choices, &report)?);
    Ok(RestoredState {
        entries,
        seconds,
        warnings,
    })
}

/// Returns the facts of a run in the sandbox: its temporary files lie there, and its commands know it.
fn inside(context: &Context, sandbox: &Sandbox) -> Context {
    let mut context = context.clone();
    context.scratch = sandbox.scratch();
    context.spare = None;
    context.runner.variables.extend([
        (SANDBOX, sandbox.root().display().to_string()),
        ("HOOKSHOT_OPERATION", "drill".to_owned()),
    ]);
    context
}

/// Returns the choices that put everything into the sandbox.
fn below(
    context: &Context,
    choices: &Choices,
    sandbox: &Sandbox,
    archive: &ArchiveInput,
    commands: ImportCommands,
) -> Result<Choices> {
    let mut choices = choices.clone();
    choices.elsewhere = Elsewhere {
        runs_commands: commands == ImportCommands::Run,
        ..Elsewhere::below(&sandbox.root())?
    };
    if read_text(&choices.said_config()?)?.is_none() {
        choices.archived = match archived_config(context, archive) {
            Ok(config) => Some(config.text),
            Err(error) if Failure::of(&error).kind == Kind::NotFound => None,
            Err(error) => return Err(error),
        };
    }
    Ok(choices)
}

/// Says of an import that went back in the sandbox that the archive cannot be restored.
fn not_restored(error: anyhow::Error) -> anyhow::Error {
    let failure = Failure::of(&error);
    if failure.kind != Kind::RolledBack {
        return error;
    }
    Failure {
        kind: Kind::Refused,
        hint: Some("every byte of the archive is good, and it cannot be restored: correct the cause, or use another one".to_owned()),
        ..failure
    }
    .into()
}

/// Returns the restored entries, without those that commands took.
fn entries(settings: &Settings) -> Vec<(EntryName, PathBuf)> {
    let placed = settings.sources.iter().filter_map(|source| {
        let path = source.path().filter(|path| exists(path))?;
        settings.elsewhere.stays_inside(path).ok()?;
        Some((source.name.clone(), path.to_owned()))
    });
    let mut entries: Vec<(EntryName, PathBuf)> = placed.collect();
    entries.sort();
    entries
}

/// Returns the remarks as a restore on this machine would have them: with paths as the configuration names them.
fn warnings(sandbox: &Sandbox, remarks: Remarks) -> Vec<String> {
    let root = sandbox.root().display().to_string();
    let said = |remark: Remark| match remark.kind {
        RemarkKind::Command => format!(
            "the import command of {} did not run: `commands = true` under [backup.drill] lets it",
            remark.entry
        ),
        _ => remark.message.replace(&root, ""),
    };
    let all = remarks.left_undone.into_iter().chain(remarks.warnings);
    all.map(said).collect()
}

/// Returns the reason for which this machine's own import would refuse the archive, if the version of the application is
/// another one.
fn other_version(
    context: &Context,
    choices: &Choices,
    report: &ApplyReport,
) -> Result<Option<String>> {
    // No command of an archive's configuration runs.
    if choices.archived.is_some() {
        return Ok(None);
    }
    let mut choices = choices.clone();
    choices.elsewhere = Elsewhere::default();
    let settings = Settings::load(&choices)?;
    let obstacle = app_version::obstacle(context, &settings, report.app_version.as_ref())?;
    Ok(obstacle.map(|obstacle| obstacle.message))
}
