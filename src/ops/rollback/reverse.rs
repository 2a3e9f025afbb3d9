//! The steps and changes that undo those of the record.

use std::{io, path::Path};

use anyhow::{Context as _, Result};

use crate::{
    context::Context,
    disk::{
        folder_of, in_real_folder, survey,
        transaction::{
            Carry, Change, Form, New, PlacementMethod,
            backup::replaced_at,
            journal::{self, Identity, Replaces},
            names::volume_of,
        },
        tree::keep_excluded,
    },
    machine::{
        form::form_of,
        obstacle::{Obstacle, ObstacleKind},
    },
    model::{
        digest::Digest,
        entry_name::EntryName,
        plan::{Action, FileAttributes, PlanStep},
        rules::Rules,
    },
    work::events::RestoreEvent,
};

/// Returns the step that undoes one step.
pub fn reverse(
    context: &Context,
    done: &journal::TransactionStep,
    verb: &str,
    blocked: &mut Vec<Obstacle>,
) -> Result<(PlanStep, Option<Change<'static>>)> {
    let entry = EntryName::new(&done.entry)
        .with_context(|| format!("the record of the last import names {:?}", done.entry))?;
    if done.folder.is_some() {
        return reverse_folder(context, done, entry, verb, blocked);
    }
    let target = survey::resolve(&done.target)?;
    let stamp = survey::stamp(&target)?;
    let now = survey::present(&target, |file| Box::new(file))?;
    let before = now.as_ref().map(|now| now.digest);
    let step = |action| PlanStep {
        entry: entry.clone(),
        target: Some(target.clone()),
        action,
    };
    // The form of the backup, or else of the target: the configuration may have changed since.
    let form = [&done.backup, &target]
        .into_iter()
        .find_map(|path| form_of(path));
    let change = |new| Change {
        entry: entry.clone(),
        target: target.clone(),
        before,
        stamp,
        rules: None,
        backup: None,
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
        blocked.push(Obstacle {
            kind: ObstacleKind::Backup,
            message,
            hint: "a rollback brings back everything or nothing: import an archive instead, or copy the .bak files by hand",
        });
        Ok((step(action), None))
    };
    let shown = done.backup.display();
    match done.backup.symlink_metadata() {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return block(format!("{shown} is not a regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return block(match is_folder(&folder_of(&done.backup)) {
                true => format!("{shown} is gone"),
                false => format!("{shown} is gone, and so is its folder (is its disk mounted?)"),
            });
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
        origin: PlacementMethod::Linked,
        digest: kept.digest,
        attributes: FileAttributes {
            mode: kept.mode,
            owner: Some(kept.owner),
            xattrs: kept.xattrs,
        },
        mtime: None,
    };
    // The replaced file moves to the place of the backup.
    let inode = Identity::of(&done.backup).map(|file| Replaces::Inode(file.inode));
    let change = Change {
        backup: Some((done.backup.clone(), inode.unwrap_or(Replaces::Nothing))),
        ..change(file)
    };
    Ok((step(action), Some(change)))
}

/// Undoes the replacement of a folder: it and its backup change places.
fn reverse_folder(
    context: &Context,
    done: &journal::TransactionStep,
    entry: EntryName,
    verb: &str,
    blocked: &mut Vec<Obstacle>,
) -> Result<(PlanStep, Option<Change<'static>>)> {
    let is_child = volume_of(&done.backup).is_some();
    let target = match is_child {
        // Any kind of thing, and a link is not followed.
        true => in_real_folder(&done.target),
        false => survey::resolve_folder(&done.target)?,
    };
    let folder = done.folder.as_ref();
    let covered = folder.map_or_else(|| Ok(Rules::everything()), |folder| folder.rules())?;
    // A journal of version 1 has no rules: its records cover excluded files as well, and nothing is carried along.
    let rules = folder.is_some_and(|folder| folder.rules.is_some());
    let rules = rules.then(|| covered.clone());
    let now = survey::listing(&target, &covered)?;
    let back = || New::Backup {
        carry: carry(context, &target, rules.clone()),
    };
    let (action, new) = match (&done.before, &now) {
        (None, None) => (Action::Unchanged, None),
        (None, Some(_)) => (Action::Remove, Some(New::Nothing)),
        (Some(_), None) => (Action::Create, Some(back())),
        (Some(_), Some(_)) => (Action::Replace, Some(back())),
    };
    let step = PlanStep {
        entry: entry.clone(),
        target: Some(target.clone()),
        action,
    };
    if done.before.is_some() && survey::listing(&done.backup, &covered)? != done.before {
        blocked.push(Obstacle {
            kind: ObstacleKind::Backup,
            message: format!(
                "{} is not the folder that the last {verb} replaced any more",
                done.backup.display()
            ),
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
        backup: match new {
            New::Nothing if is_child => Some((done.backup.clone(), replaced_at(&done.backup))),
            New::Nothing => None,
            _ => Some((done.backup.clone(), Replaces::Nothing)),
        },
        rules,
        new,
        form: Form::Folder,
    });
    Ok((step, change))
}

fn is_folder(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|metadata| metadata.is_dir())
}

/// Brings what is excluded of the folder at `target`, as it is now, into the one that comes back.
fn carry(context: &Context, target: &Path, rules: Option<Rules>) -> Carry<'static> {
    let (target, privilege) = (target.to_owned(), context.privilege());
    let events = context.events.clone();
    Box::new(move |backup: &Path| {
        if let Some(rules) = rules
            .as_ref()
            .filter(|_| is_folder(&target) && is_folder(backup))
        {
            for message in keep_excluded(&target, backup, rules, privilege)? {
                events.send(RestoreEvent::ExcludedLeft { message });
            }
        }
        Ok(())
    })
}
