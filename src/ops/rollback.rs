//! `rollback`: undoes the last import, by the same transaction; a second rollback undoes the first.

use std::{io, path::PathBuf};

use anyhow::{Context as _, Result};
use tracing::{info, warn};

use super::{
    Context,
    companion::removal,
    form::form_of,
    places,
    preflight::{self, Blocked, Force, Locks},
    recovery::Entered,
    remark::Remarks,
    replace::{self, Databases, Rehearsal, Report},
};
use crate::{
    config::Settings,
    disk::{
        NewFolders,
        journal::{self, Home, Journal},
        survey,
        transaction::{Change, Form, New, Origin, Transaction},
    },
    error::{Failure, Kind},
    model::{
        digest::Digest,
        entry_name::EntryName,
        plan::{Action, Attributes, Step},
    },
    source::sqlite,
};

/// Brings back what the last import or rollback replaced, and takes away what it created.
pub fn rollback(
    context: &Context,
    entered: &Entered,
    rehearsal: Rehearsal,
    force: Force,
) -> Result<Report> {
    let settings = &entered.settings;
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
    let mut blocked = places::of_the_journal(settings);
    let mut steps = Vec::new();
    let mut changes = Vec::new();
    for done in &record.steps {
        let (step, change) = reverse(done, &record.verb, &mut blocked)?;
        steps.push(step);
        changes.extend(change);
    }
    let locks = if rehearsal == Rehearsal::Real {
        Locks::Held
    } else {
        Locks::Asked
    };
    // What a service has begun to write beside the database that goes does not belong to the one that comes.
    let databases: Vec<(EntryName, PathBuf)> = changes
        .iter()
        .filter(|change| change.form == Form::Sqlite)
        .map(|change| (change.entry.clone(), change.target.clone()))
        .collect();
    for (entry, target) in databases {
        for companion in sqlite::companions(&target) {
            if changes.iter().any(|change| change.target == companion) {
                continue;
            }
            if let Some((step, change)) = removal(&entry, &companion)? {
                steps.push(step);
                changes.push(change);
            }
        }
    }
    let mut remarks = Remarks::default();
    preflight::services(
        context,
        settings,
        settings.sources.iter(),
        force,
        &mut blocked,
        &mut remarks,
    )?;
    let mut _held = Vec::new();
    for change in &changes {
        _held.extend(preflight::target(
            &change.target,
            change.form,
            force,
            locks,
            &mut blocked,
        )?);
    }
    if !record.commands.is_empty() {
        warn!(entries = %record.commands.join(", "), "What import commands did with these entries is not undone");
    }
    let mut remarks = Remarks::default();
    places::of_changes(context, &changes, &mut blocked, &mut remarks)?;
    let mut report = Report::new(rehearsal, &steps, blocked);
    report.remarks.extend(remarks);
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
        replace::carry_out(
            context,
            transaction,
            &changes,
            Databases::AsTheyWere,
            || Ok(()),
        )?;
        info!(
            files = changes.len(),
            "Rollback completed successfully, what it replaced stays as .bak (a second rollback brings it back)"
        );
    }
    Ok(report)
}

fn nothing_to_undo(settings: &Settings) -> Failure {
    if !settings.config_exists {
        let config = settings.config.display();
        let message = format!(
            "there is no {config}, and no import that could be undone is recorded beside it"
        );
        return Failure::new(Kind::NotFound, message)
            .hint("name the --config that the import was run with");
    }
    let message = format!(
        "there is no import to undo: nothing was imported into the state of {}, or the last import changed nothing",
        settings.config.display()
    );
    Failure::new(Kind::NotFound, message).hint("is this the --config that the import was run with?")
}

/// What undoes one step.
fn reverse(
    done: &journal::Step,
    verb: &str,
    blocked: &mut Vec<Blocked>,
) -> Result<(Step, Option<Change<'static>>)> {
    let entry = EntryName::new(&done.entry)
        .with_context(|| format!("the record of the last import names {:?}", done.entry))?;
    if done.folder.is_some() {
        return reverse_folder(done, entry, verb, blocked);
    }
    let target = survey::resolve(&done.target)?;
    let stamp = survey::stamp(&target)?;
    let now = survey::present(&target, |file| Box::new(file))?;
    let before = now.map(|now| now.digest);
    let step = |action| Step {
        entry: entry.clone(),
        target: Some(target.clone()),
        action,
    };
    // What it was, or else what it is: the configuration may have changed since.
    let form = [&done.backup, &target]
        .into_iter()
        .find_map(|path| form_of(path));
    let change = |new| Change {
        entry: entry.clone(),
        target: target.clone(),
        before,
        stamp,
        new,
        form: form.unwrap_or(Form::Plain),
    };
    let Some(wanted) = &done.before else {
        // It was created: it goes, and stays as .bak.
        return Ok(match now {
            Some(_) => (step(Action::Remove), Some(change(New::Nothing))),
            None => (step(Action::Unchanged), None),
        });
    };
    let wanted: Digest = wanted.parse().map_err(anyhow::Error::msg)?;
    let action = if now.is_some() {
        Action::Replace
    } else {
        Action::Create
    };
    let mut block = |message: String| {
        blocked.push(Blocked {
            kind: "backup",
            message,
            failure: Kind::Blocked,
            hint: "a rollback brings back everything or nothing: import an archive instead, or copy the .bak files by hand",
        });
        Ok((step(action), None))
    };
    let shown = done.backup.display();
    match done.backup.symlink_metadata() {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return block(format!("{shown} is not a regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return block(format!("{shown} is gone"));
        }
        Err(error) => return Err(error).with_context(|| format!("cannot look at {shown}")),
    }
    let kept = survey::present(&done.backup, |file| Box::new(file))?;
    let Some(kept) = kept.filter(|kept| kept.digest == wanted) else {
        return block(format!(
            "{shown} is not the file that the last {verb} replaced any more"
        ));
    };
    let file = New::File {
        source: done.backup.clone(),
        origin: Origin::Linked,
        digest: kept.digest,
        attributes: Attributes {
            mode: kept.mode,
            owner: Some(kept.owner),
        },
        mtime: None,
    };
    Ok((step(action), Some(change(file))))
}

/// What undoes the replacement of a folder: it and its backup change places.
fn reverse_folder(
    done: &journal::Step,
    entry: EntryName,
    verb: &str,
    blocked: &mut Vec<Blocked>,
) -> Result<(Step, Option<Change<'static>>)> {
    let target = survey::resolve_folder(&done.target)?;
    let now = survey::listing(&target)?;
    let (action, new) = match (&done.before, &now) {
        (None, None) => (Action::Unchanged, None),
        (None, Some(_)) => (Action::Remove, Some(New::Nothing)),
        (Some(_), None) => (Action::Create, Some(New::Backup)),
        (Some(_), Some(_)) => (Action::Replace, Some(New::Backup)),
    };
    let step = Step {
        entry: entry.clone(),
        target: Some(target.clone()),
        action,
    };
    if done.before.is_some() && survey::listing(&done.backup)? != done.before {
        blocked.push(Blocked {
            kind: "backup",
            message: format!(
                "{} is not the folder that the last {verb} replaced any more",
                done.backup.display()
            ),
            failure: Kind::Blocked,
            hint: "a rollback brings back everything or nothing: import an archive instead, or move the .bak folder by hand",
        });
        return Ok((step, None));
    }
    let before = now.map(|digest| digest.parse().map_err(anyhow::Error::msg));
    let before = before.transpose()?;
    let change = new.map(|new| Change {
        entry,
        target,
        before,
        stamp: None,
        new,
        form: Form::Folder,
    });
    Ok((step, change))
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
