//! Files and folders that a service made directly in a mount point after an import: they belong to the state that goes.
//!
//! A directory that is renamed as a whole takes them along. The children of a mount point are exchanged one by one, so
//! that a rollback has to look for them: a log that a database began then would spoil the database that comes back.

use std::{collections::BTreeSet, os::unix::ffi::OsStrExt as _, path::PathBuf};

use anyhow::{Context as _, Result};

use crate::{
    config::Settings,
    disk::{
        mounts::is_mount_point,
        survey,
        transaction::{
            Change, Form, New,
            backup::{Known, replaced_at},
            journal::{Journal, TransactionStep as Done},
            names::volume_of,
        },
        volume::{Volume, is_replaced},
    },
    machine::form::form_of,
    model::{
        engine::Engine,
        entry_name::EntryName,
        plan::{Action, PlanStep},
        rules::Rules,
    },
};

/// Returns the removals of all arrivals in the mount points of `record`. `taken` are the targets of other changes.
pub fn removals(
    settings: &Settings,
    record: &Journal,
    known: &Known,
    taken: &BTreeSet<PathBuf>,
) -> Result<Vec<(PlanStep, Change<'static>)>> {
    let mut found = Vec::new();
    for volume in &record.volumes {
        let is_child = |done: &&Done| volume_of(&done.backup) == Some(volume.path.as_path());
        let children: Vec<&Done> = record.steps.iter().filter(is_child).collect();
        let entry = children
            .first()
            .and_then(|done| EntryName::new(&done.entry).ok());
        let source = entry.as_ref().and_then(|entry| settings.source_of(entry));
        let (Some(entry), Some(source)) = (entry, source.filter(|source| source.is_directory()))
        else {
            continue;
        };
        if !is_mount_point(&volume.path) {
            continue;
        }
        let rules = settings.rules(source)?.claiming(logs(&children));
        in_volume(volume, &entry, &rules, known, taken, &mut found)?;
    }
    Ok(found)
}

/// Adds the removals of the arrivals in one mount point.
fn in_volume(
    volume: &Volume,
    entry: &EntryName,
    rules: &Rules,
    known: &Known,
    taken: &BTreeSet<PathBuf>,
    found: &mut Vec<(PlanStep, Change<'static>)>,
) -> Result<()> {
    let listing = || format!("cannot read {}", volume.path.display());
    let kept = known.choose_within(&volume.path)?.path;
    for child in volume.path.read_dir().with_context(listing)? {
        let child = child.with_context(listing)?;
        let (path, name) = (child.path(), child.file_name());
        if taken.contains(&path) || !is_replaced(rules, name.as_bytes(), &path) {
            continue;
        }
        let rules = rules.of_child(name.as_bytes());
        let Some(digest) = survey::listing(&path, &rules)? else {
            continue;
        };
        let backup = kept.join(&name);
        let step = PlanStep {
            entry: entry.clone(),
            target: Some(path.clone()),
            action: Action::Remove,
        };
        let change = Change {
            entry: entry.clone(),
            target: path,
            before: Some(digest.parse().map_err(anyhow::Error::msg)?),
            stamp: None,
            rules: Some(rules),
            backup: Some((backup.clone(), replaced_at(&backup))),
            new: New::Nothing,
            form: Form::Folder,
        };
        found.push((step, change));
    }
    Ok(())
}

/// Returns the names of the logs of databases among the children: they go with the database even if a pattern excludes
/// them.
fn logs(children: &[&Done]) -> Vec<Vec<u8>> {
    let engines = |done: &&Done| -> BTreeSet<Engine> {
        let forms = [&done.backup, &done.target].into_iter();
        let forms = forms.filter_map(|path| form_of(path));
        forms.filter_map(Form::engine).collect()
    };
    let databases = children.iter().map(|done| (engines(done), &done.target));
    databases
        .flat_map(|(engines, target)| {
            let companions = engines
                .into_iter()
                .map(|engine| engine.companions_of(target));
            companions.flatten().collect::<Vec<_>>()
        })
        .filter_map(|log| Some(log.file_name()?.as_bytes().to_vec()))
        .collect()
}
