//! The content of an archive: the copies of the databases, the files, the output of commands, and the manifest that
//! describes them.

use std::{collections::BTreeSet, path::Path, time::Duration};

use anyhow::Result;

use super::{
    amount::{Amount, require_mount},
    around::Around,
    gathered::{Gathered, warn_of_deleted},
    request::{ExportRequest, Secrets},
};
use crate::{
    config::{
        Settings,
        sources::{Presence, Source},
    },
    context::Context,
    error::{Failure, Kind},
    machine::contents,
    model::{
        copy_form::CopyForm,
        entry_name::EntryName,
        known_archive::{ArchivedSources, sources_of},
        manifest::Manifest,
        plan::Privacy,
    },
    source::{
        behavior::{StageRequest, StagedSource},
        files,
        redb::options::{Compaction, SnapshotOptions},
        staged::StagedContent,
    },
    work::{events::ExportEvent, remark::RemarkKind, remarks::Remarks},
};

/// The choices that an export makes before it reads the sources.
#[derive(Debug, Clone, Copy)]
pub struct HowToRead {
    /// The form of the copies of databases.
    pub form: CopyForm,
    /// A file that was not modified for this long is read in place.
    pub quiet: Duration,
}

/// Copies the databases and runs the commands, then reads the files, unless sources say another order: everything that
/// the archive will hold, with its digest. What is copied has its cleanup at once; what is read where it lies, when the
/// archive is made. A file that a database refers to is there when the database is copied; it is still there, or in a
/// later state, when it is read.
///
/// A directory's file that was not touched for the quiet time is read where it lies, others are copied aside. A source that
/// lost much since the `newest` archive is warned of; one that has less than is expected of it is an error.
pub fn stage(
    context: &Context,
    settings: &Settings,
    request: &ExportRequest,
    reading: HowToRead,
    newest: Option<&ArchivedSources>,
    around: &mut Around<'_>,
) -> Result<Gathered> {
    let mut gathered = Gathered::new(&context.events);
    patterns(settings, newest, &mut gathered.remarks)?;
    let turn = |source: &&Source| source.order;
    let mut sources: Vec<&Source> = settings.sources.iter().collect();
    sources.sort_by_key(turn);
    for source in sources {
        context.stop.check()?;
        if !source.enabled {
            context.tell(ExportEvent::SourceDisabled {
                source: source.name.clone(),
            });
            continue;
        }
        if source.privacy == Privacy::Private && request.secrets == Secrets::Excluded {
            context.tell(ExportEvent::SecretLeftOut {
                source: source.name.clone(),
            });
            continue;
        }
        around.prepare(Some(source))?;
        require_mount(source)?;
        let before = newest.and_then(|newest| Amount::archived(source, newest));
        let is_there = |path: &Path| path.symlink_metadata().is_ok();
        if source.presence == Presence::Optional && !source.path().is_none_or(is_there) {
            context.tell(ExportEvent::SourceAbsent {
                source: source.name.clone(),
                looked_at: source.path().unwrap_or(Path::new("")).to_owned(),
            });
            if before.is_some() {
                gathered
                    .remarks
                    .warning(RemarkKind::Empty, &source.name, gone(source));
            }
            around.end(source);
            continue;
        }
        if let Some(export) = source.kind.export_command()
            && let Some(pitfall) = source.line(export).pitfall(&context.runner.starter)
        {
            let message = format!("the export command of {}: {pitfall}", source.name);
            gathered
                .remarks
                .warning(RemarkKind::Pipe, &source.name, message);
        }
        let amount = match read(context, settings, request, source, reading)? {
            StagedSource::Entry(staged) => gathered.add(*staged),
            StagedSource::Directory(staged) => gathered.add_directory(source, *staged),
        };
        amount.suffices(source)?;
        if let Some(message) = amount.is_odd(source, before)
            && !may_be_empty(settings, source, before)
        {
            gathered
                .remarks
                .warning(RemarkKind::Empty, &source.name, message);
        }
        if source.kind.is_copied() {
            around.end(source);
        }
        if let Some(path) = source.path().filter(|_| !source.is_directory()) {
            let holders = files::deleted_holders(path);
            warn_of_deleted(&source.name, path, &holders, &mut gathered.remarks);
        }
        context.tell(ExportEvent::SourceAdded {
            source: source.name.clone(),
            is_config: source.kind.is_own_configuration(),
        });
    }
    gathered.say_checks();
    Ok(gathered)
}

/// Looks at the sources whose paths are patterns: one that nothing matches is missing, and what has vanished is warned
/// of.
fn patterns(
    settings: &Settings,
    newest: Option<&ArchivedSources>,
    remarks: &mut Remarks,
) -> Result<(), Failure> {
    for glob in settings.globs.iter().filter(|glob| glob.template.enabled) {
        let source = &glob.template;
        let shown = source.path().unwrap_or(Path::new("")).display();
        let here: BTreeSet<&EntryName> = settings.matching(glob).map(|one| &one.name).collect();
        for path in &glob.unnamed {
            let message = format!(
                "{} is left out: its name cannot be that of an entry",
                path.display()
            );
            remarks.undone(RemarkKind::Name, &source.name, message);
        }
        require_mount(&source.above(glob.base()))?;
        let found = here.len() as u64;
        if here.is_empty() && !glob.is_optional() {
            let message = format!("{} is missing: nothing matches {shown}", source.name);
            return Err(Failure::new(Kind::NotFound, message)
                .hint("is this the right machine, and does the configuration name the right place? `optional = true` if it may be so"));
        }
        if found < source.expected.min_files {
            let least = source.expected.min_files;
            let message = format!(
                "{} has {found} files, and `min_files` asks for {least}: {shown}",
                source.name
            );
            return Err(Failure::new(Kind::NotFound, message)
                .hint("is everything mounted? nothing was written"));
        }
    }
    if let Some(newest) = newest {
        warn_of_gone(settings, newest, remarks);
    }
    Ok(())
}

/// Warns of the files of patterns that the `newest` archive has and this machine has not.
fn warn_of_gone(settings: &Settings, newest: &ArchivedSources, remarks: &mut Remarks) {
    for glob in settings.globs.iter().filter(|glob| glob.template.enabled) {
        let here: BTreeSet<&EntryName> = settings.matching(glob).map(|one| &one.name).collect();
        let is_directory = glob.template.is_directory();
        let archived = newest
            .iter()
            .filter(|(_, one)| one.is_directory == is_directory);
        let archived = archived.filter_map(|(name, _)| name.parse::<EntryName>().ok());
        for name in archived.filter(|name| !here.contains(name)) {
            if let Some(path) = glob.path_of(&name) {
                let message = format!(
                    "{name} is gone: the newest archive has it, and {} does not exist",
                    path.display()
                );
                remarks.warning(RemarkKind::Gone, &name, message);
            }
        }
    }
}

/// Warns of what has changed for the worse between an archive that was made and the `newest` one before it, as
/// [`stage`] does if it knows that one.
pub fn look_back(
    settings: &Settings,
    request: &ExportRequest,
    made: &Manifest,
    newest: &ArchivedSources,
    remarks: &mut Remarks,
) {
    let made = sources_of(made);
    for source in &settings.sources {
        let is_left_out = !source.enabled
            || source.privacy == Privacy::Private && request.secrets == Secrets::Excluded;
        let name = source.name.as_str();
        let mut said = remarks.warnings.iter();
        let is_said = said.any(|remark| remark.kind == RemarkKind::Empty && remark.entry == name);
        let before = Amount::archived(source, newest);
        if is_left_out || is_said || before.is_none() {
            continue;
        }
        let message = match Amount::archived(source, &made) {
            Some(amount) => amount.is_odd(source, before),
            None => Some(gone(source)),
        };
        if let Some(message) = message {
            remarks.warning(RemarkKind::Empty, name, message);
        }
    }
    warn_of_gone(settings, newest, remarks);
}

/// Returns true if a directory may be empty as it was `before`, because other sources lie in it.
fn may_be_empty(settings: &Settings, source: &Source, before: Option<Amount>) -> bool {
    let lies_in = |other: &Source| {
        let paths = other.path().zip(source.path());
        paths.is_some_and(|(inside, folder)| {
            inside != folder && inside.starts_with(folder) && inside.symlink_metadata().is_ok()
        })
    };
    source.is_directory()
        && before.is_none_or(Amount::has_no_files)
        && settings.sources.iter().any(lies_in)
}

fn gone(source: &Source) -> String {
    let name = &source.name;
    format!("{name} is not there any more, and the newest archive has it")
}

/// Reads a source. The content of a configuration file is checked.
fn read(
    context: &Context,
    settings: &Settings,
    request: &ExportRequest,
    source: &Source,
    reading: HowToRead,
) -> Result<StagedSource> {
    let stage = StageRequest {
        name: &source.name,
        shell: source.shell.as_deref(),
        now: context.now.timestamp(),
        snapshot: SnapshotOptions {
            method: request.snapshot.unwrap_or(settings.schema.snapshot),
            timeout: request.snapshot_timeout,
            compaction: if settings.schema.compact {
                Compaction::Compact
            } else {
                Compaction::Keep
            },
            form: reading.form,
        },
        rules: &settings.rules(source)?,
        quiet: reading.quiet,
        unlisted_files: context.unlisted_files,
    };
    let staged = source
        .kind
        .stage(&stage, &context.source(&context.step()))?;
    if let StagedSource::Entry(staged) = &staged
        && let StagedContent::Bytes(bytes) = &staged.content
        && let Some(path) = source.path().filter(|_| contents::is_checked(source))
    {
        contents::require(source, bytes, path)?;
    }
    Ok(staged)
}
