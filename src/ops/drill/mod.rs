//! The rehearsal of a restore: an archive is imported into a sandbox, by the same steps as a real import.
//!
//! The archive is read once: fetched, verified and unpacked in one pass, as an import does. The clock of the reader tells
//! for how long it waited for bytes.

mod databases;
mod timing;

use std::path::{Path, PathBuf};

use anyhow::Result;

use self::timing::Timing;
use crate::{
    catalog::input::ArchiveInput,
    config::{Choices, Settings, elsewhere::Elsewhere, read_text},
    context::Context,
    disk::{exists, real, sandbox::Sandbox},
    error::{Failure, Kind},
    machine::{
        app_version,
        enter::{StateAccess, enter},
        scratch::usable,
    },
    model::{drill_record::DrillSeconds, entry_name::EntryName},
    ops::import::{Archived, ImportRequest, archived_config, find_places, import},
    work::remark::{Remark, RemarkKind},
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
    /// The parts of the state that the archive does not bring back, in words. None if it is whole.
    pub gaps: Vec<String>,
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
    let restored = restore(context, choices, sandbox, archive, commands);
    restored.map_err(|error| {
        let failure = Failure::of(&error);
        // Room is lacking where the sandbox lies.
        if !matches!(failure.kind, Kind::Refused | Kind::Version) {
            return error;
        }
        let said = |text: String| outside(sandbox, &text);
        Failure {
            message: said(failure.message),
            hint: failure.hint.map(|hint| said(without_force(&hint))),
            faults: failure.faults.into_iter().map(said).collect(),
            ..failure
        }
        .into()
    })
}

/// Returns advice without the words about `--force`: a rehearsal has no such option.
fn without_force(hint: &str) -> String {
    hint.replace("; --force does not override this", "")
        .replace(
            " (--force alone does not suffice: it does not override every reason)",
            "",
        )
}

fn restore(
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
    let own = own_settings(&choices)?;
    let mut gaps = databases_gone(&entered.settings);
    let mut warnings = Vec::new();
    for remark in remarks.left_undone.into_iter().chain(remarks.warnings) {
        let said = outside(sandbox, &words(&own, commands, &remark));
        match remark.kind {
            RemarkKind::Absent | RemarkKind::NoPlace | RemarkKind::Torn => gaps.push(said),
            _ => warnings.push(said),
        }
    }
    if report.steps.is_empty() && gaps.is_empty() {
        gaps.push("the archive is empty".to_owned());
    }
    // No command of an archive's configuration runs.
    if choices.archived.is_none() {
        let obstacle = app_version::obstacle(&context, &own, report.app_version.as_ref())?;
        warnings.extend(obstacle.map(|obstacle| obstacle.message));
    }
    Ok(RestoredState {
        entries,
        seconds,
        gaps,
        warnings,
    })
}

/// Returns the facts of a run in the sandbox: its temporary files lie there, and its commands know it.
fn inside(context: &Context, sandbox: &Sandbox) -> Context {
    let mut context = context.clone();
    context.scratch = sandbox.scratch();
    context.spare = None;
    context.runner.variables.extend([
        (SANDBOX.to_owned(), sandbox.root().into_os_string()),
        ("HOOKSHOT_OPERATION".to_owned(), "drill".into()),
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

/// Returns the settings of a restore to this machine itself.
fn own_settings(choices: &Choices) -> Result<Settings> {
    Settings::load(&Choices {
        elsewhere: Elsewhere::default(),
        ..choices.clone()
    })
}

/// Returns the gaps of a service without `[[backup.sources]]`: its database is its state.
fn databases_gone(settings: &Settings) -> Vec<String> {
    if settings.schema.sources.is_some() {
        return Vec::new();
    }
    let databases = (settings.sources.iter()).filter(|source| source.kind.engine().is_some());
    let gone = databases.filter(|source| source.path().is_none_or(|path| !exists(path)));
    gone.map(|source| not_in_the_archive(&source.name))
        .collect()
}

fn not_in_the_archive(entry: &dyn std::fmt::Display) -> String {
    format!("{entry} is a part of the state, and is not in the archive")
}

/// Returns a remark in the words of a rehearsal. `settings` are those of a restore to this machine itself.
fn words(settings: &Settings, commands: ImportCommands, remark: &Remark) -> String {
    let entry = &remark.entry;
    match remark.kind {
        RemarkKind::Absent => not_in_the_archive(entry),
        RemarkKind::NoPlace => {
            format!("{entry} was not restored: the configuration has no place for it")
        }
        RemarkKind::Command => {
            let mut sources = settings.sources.iter();
            let source = sources.find(|source| source.name.as_str() == *entry);
            let has_import = source.is_some_and(|source| source.kind.import_command().is_some());
            match (commands, has_import) {
                (ImportCommands::LeftOut, true) => format!(
                    "the import command of {entry} did not run: `commands = true` under [backup.drill] lets it"
                ),
                _ => format!("{entry} was not restored: its source has no import command"),
            }
        }
        _ => remark.message.clone(),
    }
}

/// Returns a message with paths as the configuration names them.
fn outside(sandbox: &Sandbox, message: &str) -> String {
    let root = sandbox.root();
    // Folders above it may be links.
    let shown = |root: &Path| root.display().to_string();
    message
        .replace(&shown(&real(&root)), "")
        .replace(&shown(&root), "")
}
