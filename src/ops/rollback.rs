//! `rollback`: undoes the last import, by the same transaction; a second rollback undoes the first.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use tracing::info;

use super::{
    Context,
    entries::Role,
    preflight::{self, Blocked, Force, Locks},
    replace::{self, Databases, Rehearsal, Report},
};
use crate::{
    config::Settings,
    disk::{
        NewFolders,
        journal::{self, Home, Journal},
        lock::{Hold, StateLock},
        survey,
        transaction::{Change, New, Origin, Transaction},
    },
    error::{Failure, Kind},
    model::{
        digest::Digest,
        entry_name::EntryName,
        plan::{Action, Attributes, Step},
    },
};

/// Brings back what the last import or rollback replaced, and takes away what it created.
pub fn rollback(
    context: &Context,
    settings: &Settings,
    rehearsal: Rehearsal,
    force: Force,
) -> Result<Report> {
    let hold = match rehearsal {
        Rehearsal::Real => Hold::Exclusive,
        Rehearsal::DryRun => Hold::Shared,
    };
    let _lock = StateLock::acquire(&settings.folders(), hold)?;
    let home = Home::beside(&settings.config);
    let record = home
        .record()?
        .filter(|record| !record.steps.is_empty())
        .ok_or_else(|| nothing_to_undo(settings))?;
    info!(
        verb = record.verb,
        time = record.time,
        archive = record.archive.as_deref().unwrap_or("-"),
        "Undoing"
    );
    let mut blocked = Vec::new();
    let mut steps = Vec::new();
    let mut changes = Vec::new();
    for done in &record.steps {
        let (step, change) = reverse(done, &mut blocked)?;
        steps.push(step);
        changes.extend(change);
    }
    let locks = if rehearsal == Rehearsal::Real {
        Locks::Held
    } else {
        Locks::Asked
    };
    let database = changes
        .iter()
        .find(|change| Role::of(&change.entry) == Some(Role::Database));
    let _database_lock = match database {
        Some(change) => preflight::database(&change.target, force, locks, &mut blocked)?,
        None => None,
    };
    let mut report = Report::new(rehearsal, &steps, blocked);
    announce(&report);
    if rehearsal == Rehearsal::Real && report.blocked.is_empty() {
        report.applied = true;
        if changes.is_empty() {
            info!("Nothing to bring back: every file is what it was before");
            return Ok(report);
        }
        let journal = Journal::new(
            "rollback",
            context.time(),
            record.archive.clone(),
            Vec::new(),
        );
        let paths: Vec<PathBuf> = changes.iter().map(|change| change.target.clone()).collect();
        let transaction = Transaction::begin(
            home,
            replace::names(context),
            journal,
            &paths,
            NewFolders::default(),
        )?;
        replace::carry_out(context, transaction, &changes, Databases::AsTheyWere)?;
        info!(
            files = changes.len(),
            "Rollback completed successfully, what it replaced stays as .bak (a second rollback brings it back)"
        );
    }
    Ok(report)
}

fn nothing_to_undo(settings: &Settings) -> Failure {
    let message = format!(
        "there is no import to undo: nothing was imported into the state of {}, or the last import changed nothing",
        settings.config.display()
    );
    Failure::new(Kind::NotFound, message).hint("is this the --config that the import was run with?")
}

/// What undoes one step.
fn reverse(done: &journal::Step, blocked: &mut Vec<Blocked>) -> Result<(Step, Option<Change>)> {
    let entry = EntryName::new(&done.entry)
        .with_context(|| format!("the record of the last import names {:?}", done.entry))?;
    let target = done.target.clone();
    let now = survey::present(&target, |file| Box::new(file))?;
    let step = |action| Step {
        entry: entry.clone(),
        target: Some(target.clone()),
        action,
    };
    let Some(before) = &done.before else {
        // It was created: it goes, and stays as .bak.
        let change = now.map(|now| Change {
            entry: entry.clone(),
            target: target.clone(),
            before: Some(now.digest),
            new: New::Nothing,
        });
        let action = if change.is_some() {
            Action::Remove
        } else {
            Action::Unchanged
        };
        return Ok((step(action), change));
    };
    let before: Digest = before.parse().map_err(anyhow::Error::msg)?;
    let kept = survey::present(&done.backup, |file| Box::new(file))?;
    let action = if now.is_some() {
        Action::Replace
    } else {
        Action::Create
    };
    let Some(kept) = kept.filter(|kept| kept.digest == before) else {
        blocked.push(Blocked {
            kind: "backup",
            message: format!("{} is not the file that the last {} replaced any more", done.backup.display(), "import"),
            failure: Kind::Blocked,
            hint: "a rollback brings back everything or nothing: import an archive instead, or copy the .bak files by hand",
        });
        return Ok((step(action), None));
    };
    let change = Change {
        entry: entry.clone(),
        target: target.clone(),
        before: now.map(|now| now.digest),
        new: New::File {
            source: done.backup.clone(),
            origin: Origin::Linked,
            digest: kept.digest,
            attributes: Attributes {
                mode: kept.mode,
                owner: Some(kept.owner),
            },
            mtime: None,
        },
    };
    Ok((step(action), Some(change)))
}

fn announce(report: &Report) {
    if !report.dry_run {
        return;
    }
    info!("DRY RUN MODE - No changes will be made");
    for step in &report.steps {
        let target = step.target.as_deref().unwrap_or_default();
        match step.action {
            "remove" => info!("  {target} would go (it stays as .bak)"),
            "unchanged" => info!("  {target} is gone already"),
            _ => info!("  {target}.bak -> {target}"),
        }
    }
    info!("DRY RUN COMPLETE - No changes were made");
}
