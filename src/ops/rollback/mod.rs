//! `rollback`: undoes the last import, by the same transaction; a second rollback undoes the first.

mod arrivals;
mod nothing;
mod reverse;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use self::{nothing::nothing_to_undo, reverse::reverse};
use crate::{
    config::{Settings, sources::Source},
    context::Context,
    disk::{
        NewFolders, in_real_folder,
        mounts::is_mount_point,
        survey,
        transaction::{
            Change, Form, Transaction,
            backup::Known,
            home::Home,
            journal::{self, Journal},
            names::volume_of,
        },
        volume::Volume,
    },
    machine::{
        apply::{self, DatabaseCheck},
        companion::removal,
        enter::Entered,
        form::form_for,
        kept::{Exports, Fed, feed},
        obstacle::{Obstacle, ObstacleKind},
        places,
        planned::{PlanDemand, PlanSource, Undone},
        preflight::{self, Force},
        rehearsal::Rehearsal,
        report::ApplyReport,
    },
    model::{
        engine::Engine,
        entry_name::EntryName,
        plan::{Action, PlanStep},
    },
    source::{database::Locking, redb::lock::DatabaseLock},
    work::{events::RestoreEvent, remark::RemarkKind, remarks::Remarks, space},
};

/// Brings back what the last import or rollback replaced, and takes away what it created.
pub fn rollback(
    context: &Context,
    entered: &Entered,
    rehearsal: Rehearsal,
    force: Force,
    plan: Option<PlanDemand>,
) -> Result<ApplyReport> {
    let settings = &entered.settings;
    settings.mask_secrets(&context.runner.masks);
    let home = Home::beside(&settings.config);
    let record = home.record()?;
    let known = Known::of(record.as_ref());
    let record = record
        .filter(|record| !record.steps.is_empty() || !record.commands.is_empty())
        .ok_or_else(|| nothing_to_undo(settings, &home, &known))?;
    context.tell(RestoreEvent::Undoing {
        verb: record.verb.clone(),
        time: record.time.clone(),
        archive: record.archive.clone(),
    });
    let targets = record.steps.iter().map(|done| done.target.as_path());
    space::require_file(Journal::bytes_for(targets), "the journal of the rollback")?;
    let mut blocked = places::of_the_journal(settings);
    let mut remarks = context.remarks();
    let mut steps = Vec::new();
    let mut changes = Vec::new();
    let unmounted = unmounted(&record, &mut blocked);
    let is_out_of_reach = |done: &journal::TransactionStep| {
        let volume = volume_of(&done.backup);
        volume.is_some_and(|volume| unmounted.contains(volume))
    };
    for done in record.steps.iter().filter(|done| !done.kept) {
        if is_out_of_reach(done) {
            continue;
        }
        let (step, change) = reverse(context, done, &record.verb, &mut blocked)?;
        steps.push(step);
        changes.extend(change);
    }
    // A file that a service has begun to write beside the outgoing database does not belong to the restored one.
    let databases: Vec<(EntryName, PathBuf, Engine)> = changes
        .iter()
        .filter_map(|change| {
            let engine = change.form.engine()?;
            Some((change.entry.clone(), change.target.clone(), engine))
        })
        .collect();
    for (entry, target, engine) in databases {
        for companion in engine.companions_of(&target) {
            let mut sources = settings.sources.iter().filter_map(Source::path);
            let is_another = sources.any(|path| in_real_folder(path) == companion);
            if is_another || changes.iter().any(|change| change.target == companion) {
                continue;
            }
            if let Some((step, change)) = removal(&entry, &companion)? {
                steps.push(step);
                changes.push(change);
            }
        }
    }
    let mut taken: BTreeSet<PathBuf> = record
        .steps
        .iter()
        .map(|done| done.target.clone())
        .collect();
    taken.extend(changes.iter().map(|change| change.target.clone()));
    for (step, change) in arrivals::removals(settings, &record, &known, &taken)? {
        steps.push(step);
        changes.push(change);
    }
    let mut commands = given_back(settings, &record, &mut steps, &mut blocked, &mut remarks)?;
    let locks = if rehearsal == Rehearsal::Real {
        Locking::Held
    } else {
        Locking::Asked
    };
    let _held = ask(
        context,
        settings,
        &record,
        &changes,
        (force, locks),
        &mut blocked,
        &mut remarks,
    )?;
    apply::choose_backups(&mut changes, &known, &mut remarks)?;
    places::of_changes(context, &changes, &mut blocked, &mut remarks)?;
    let mut report = ApplyReport::new(context, rehearsal, &steps, blocked);
    report.changed = changes.len();
    report.name_backups(&changes);
    name_origins(&mut report, &record);
    if let Some(demand) = plan {
        let source = PlanSource::Record(Undone {
            verb: record.verb.clone(),
            time: record.time.clone(),
            archive: record.archive.clone(),
        });
        let named = demand.meet(source, &report.steps, &changes, &report.blocked)?;
        report.plan = Some(named);
    }
    let is_blocked = !report.blocked.is_empty();
    let is_empty = changes.is_empty() && commands.is_empty();
    let transaction = match rehearsal {
        Rehearsal::Real if !is_blocked && !is_empty => {
            Some(begin(context, &home, &record, &known, &changes)?)
        }
        _ => None,
    };
    let mut exports = Exports::new(context, &home, &known, rehearsal, force);
    if !is_blocked {
        let kept = exports.keep(&mut commands, &mut remarks)?;
        for fed in &mut commands {
            // A restored file makes room for the present content of the commands.
            let mut kept = kept.iter().filter(|kept| kept.before.is_some());
            if let Some(kept) = kept.find(|kept| kept.target == fed.content) {
                fed.content = kept.backup();
            }
        }
        changes.extend(kept);
        report.name_kept(&commands);
    }
    report.remarks = remarks;
    if rehearsal == Rehearsal::Real && !is_blocked {
        report.applied = true;
    }
    if let Some(transaction) = transaction {
        let last = || feed(context, &commands);
        let databases = DatabaseCheck::AsTheyWere;
        let refused = apply::carry_out(context, transaction, &changes, databases, last)?;
        report.remarks.extend(refused);
    }
    Ok(report)
}

/// Begins the transaction of a rollback.
fn begin(
    context: &Context,
    home: &Home,
    record: &Journal,
    known: &Known,
    changes: &[Change<'_>],
) -> Result<Transaction> {
    let journal = Journal::new(
        journal::ROLLBACK,
        context.time(),
        record.archive.clone(),
        Vec::new(),
    );
    let paths: Vec<PathBuf> = changes.iter().map(|change| change.target.clone()).collect();
    let names = apply::names(context);
    let folders = NewFolders::default();
    let mut transaction = Transaction::begin(home.clone(), names, journal, &paths, folders)?;
    transaction.announce_volumes(record.volumes.iter().map(Volume::reversed));
    transaction.remember(known);
    transaction.announce_commands(record.commands.iter().map(String::as_str));
    if let Some(sources) = &record.sources {
        transaction.announce_sources(sources.iter().map(String::as_str));
    }
    Ok(transaction)
}

/// The entries that import commands get back, as they were before the last import.
fn given_back<'a>(
    settings: &'a Settings,
    record: &Journal,
    steps: &mut Vec<PlanStep>,
    blocked: &mut Vec<Obstacle>,
    remarks: &mut Remarks,
) -> Result<Vec<Fed<'a>>> {
    let mut commands = Vec::new();
    let verb = &record.verb;
    for name in &record.commands {
        let entry = EntryName::new(name)
            .with_context(|| format!("the record of the last import names {name:?}"))?;
        let mut kept = record.steps.iter().filter(|done| done.kept);
        let Some(done) = kept.find(|done| done.entry == *name) else {
            remarks.undone(RemarkKind::Command, &entry, format!(
                "{entry} was given to its import command by the last {verb}, and what was there before was not kept: this is not undone"
            ));
            continue;
        };
        let mut sources = settings.sources.iter();
        let source = sources.find(|source| source.name == entry);
        let Some(fed) = source.and_then(|source| Fed::new(source, done.target.clone())) else {
            remarks.undone(RemarkKind::Command, &entry, format!(
                "{entry} is not given back: this machine has no import command for it any more; what was there before is {}",
                done.target.display()
            ));
            continue;
        };
        let there = match done.target.symlink_metadata() {
            Ok(metadata) if metadata.is_file() => {
                survey::present(&done.target, |file| Box::new(file))?
            }
            _ => None,
        };
        if there.map(|there| there.digest.to_string()) != done.after {
            blocked.push(Obstacle {
                kind: ObstacleKind::Backup,
                message: format!(
                    "{} is not what the commands of {entry} held before the last {verb}",
                    done.target.display()
                ),
                hint: "a rollback brings back everything or nothing: import an archive instead, or give the .bak files back by hand",
            });
        }
        steps.push(PlanStep {
            entry,
            target: None,
            action: Action::Feed,
        });
        commands.push(fed);
    }
    Ok(commands)
}

/// Asks which processes are at work, in everything that the import asked about: a service counts, whichever of its
/// files change. Locks are held until the returned value is dropped.
fn ask(
    context: &Context,
    settings: &Settings,
    record: &Journal,
    changes: &[Change<'_>],
    (force, locks): (Force, Locking),
    blocked: &mut Vec<Obstacle>,
    remarks: &mut Remarks,
) -> Result<Vec<DatabaseLock>> {
    let mut held = Vec::new();
    let mut asked = BTreeSet::new();
    let volumes: Vec<&Path> = record
        .volumes
        .iter()
        .map(|volume| volume.path.as_path())
        .collect();
    let mut look = |target: PathBuf, form: Form, blocked: &mut Vec<Obstacle>| -> Result<()> {
        // The children of a mount point are asked about at once, as the source that it is.
        let is_child = volumes
            .iter()
            .any(|volume| target.parent() == Some(*volume));
        if !(is_child && form.is_folder()) && asked.insert(target.clone()) {
            held.extend(preflight::target(
                context, &target, form, force, locks, blocked,
            )?);
        }
        Ok(())
    };
    for volume in &volumes {
        look((*volume).to_owned(), Form::Folder, blocked)?;
    }
    for change in changes {
        look(change.target.clone(), change.form, blocked)?;
    }
    let is_asked = |source: &&Source| match &record.sources {
        Some(names) => names.iter().any(|name| name == source.name.as_str()),
        None => true,
    };
    let sources = settings.sources.iter().filter(is_asked);
    preflight::services(context, settings, sources.clone(), force, blocked, remarks)?;
    for source in sources {
        preflight::activity(context, source, force, blocked)?;
        let resolved = source.path().map(|path| match source.is_directory() {
            true => survey::resolve_folder(path),
            false => survey::resolve(path),
        });
        // A target that does not resolve any more is passed over: a rollback of other files does not need it.
        if let Some(Ok(target)) = resolved {
            look(target, form_for(&source.kind), blocked)?;
        }
    }
    Ok(held)
}

/// Names the mount points in which something was replaced, and at which nothing is mounted now: what was replaced is in
/// what was mounted.
fn unmounted<'a>(record: &'a Journal, blocked: &mut Vec<Obstacle>) -> BTreeSet<&'a Path> {
    let volumes = record.steps.iter();
    let volumes = volumes.filter_map(|done| volume_of(&done.backup));
    let unmounted: BTreeSet<&Path> = volumes.filter(|volume| !is_mount_point(volume)).collect();
    for volume in &unmounted {
        blocked.push(Obstacle {
            kind: ObstacleKind::Mount,
            message: format!(
                "{} was a mount point when the last {} replaced what is in it, and nothing is mounted there now",
                volume.display(),
                record.verb
            ),
            hint: "mount it again, then roll back",
        });
    }
    unmounted
}

/// Adds to each step the file whose content comes back.
fn name_origins(report: &mut ApplyReport, record: &Journal) {
    for step in &mut report.steps {
        let is_its = |done: &&journal::TransactionStep| done.entry == step.entry;
        let at_target = |done: &&journal::TransactionStep| {
            is_its(done) && Some(done.target.display().to_string()) == step.target
        };
        let mut steps = record.steps.iter();
        let done = record.steps.iter().find(at_target);
        step.origin = done
            .or_else(|| steps.find(is_its))
            .map(|done| match done.kept {
                true => done.target.clone(),
                false => done.backup.clone(),
            });
    }
}
