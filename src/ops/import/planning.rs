//! The effects of an import on each target, decided for all of them before anything moves.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::{
    attributes::{self, OwnerNames},
    directory::{Directory, TornFiles},
    request::KeepStaging,
    targets::Targets,
    unpacked::Unpacked,
    volume::children,
};
use crate::{
    config::Settings,
    context::Context,
    disk::{
        mounts::is_mount_point,
        survey,
        transaction::{Change, Form, New, PlacementMethod, backup::Known},
        tree::owners::Owners,
        volume::Volume,
    },
    machine::{
        apply::names,
        companion::removal,
        form::{form_for, form_of},
        obstacle::Obstacle,
    },
    model::{
        engine::Engine,
        entry_name::EntryName,
        plan::{self, Action, PlanStep},
    },
    work::{remark::RemarkKind, remarks::Remarks},
};

/// The plan of an import.
pub struct ImportPlan<'a> {
    /// The fate of each target.
    pub steps: Vec<PlanStep>,
    /// The changes of files and folders that bring it about.
    pub changes: Vec<Change<'a>>,
    /// Mount points whose children are among the changes.
    pub volumes: Vec<Volume>,
    /// The torn files of each directory that has a listing.
    pub torn: Vec<(EntryName, TornFiles)>,
}

/// Returns what happens to each target, and how. What is left undone goes to `remarks`.
pub fn plan<'a>(
    context: &'a Context,
    settings: &'a Settings,
    keep: KeepStaging,
    unpacked: &'a Unpacked<'a>,
    targets: &'a Targets,
    known: &Known,
    (blocked, remarks): (&mut Vec<Obstacle>, &mut Remarks),
) -> Result<ImportPlan<'a>> {
    let mut owners = OwnerNames::new(context);
    let mut planned = Planned::default();
    let mut volumes = Vec::new();
    let mut torn = Vec::new();
    files(
        context,
        settings,
        keep,
        unpacked,
        targets,
        (&mut planned, &mut owners),
    )?;
    for name in &unpacked.directories {
        let source = settings
            .source_of(name)
            .filter(|source| source.is_directory());
        let (Some(source), Some(target)) = (source, targets.paths.get(name)) else {
            planned.skip(name);
            continue;
        };
        let Some(mut directory) = Directory::find(context, settings, unpacked, source, target)?
        else {
            continue;
        };
        let is_unchanged = directory.is_unchanged(&mut owners)?;
        torn.push((name.clone(), directory.take_torn()));
        let action = match (is_unchanged, target.is_dir()) {
            (true, _) => Action::Unchanged,
            (false, true) => Action::Replace,
            (false, false) => Action::Create,
        };
        planned.steps.push(PlanStep {
            entry: name.clone(),
            target: Some(target.clone()),
            action,
        });
        if action.changes() && action != Action::Create && is_mount_point(target) {
            let within = planned.take_within_children(target);
            let names = names(context);
            let made = children(directory, &names, known, within, blocked, remarks)?;
            if !made.changes.is_empty() {
                volumes.push(made.volume);
            } else if made.volume.before != made.volume.after {
                // Its attributes are journalled with the steps of its children.
                let message = format!(
                    "{} is a mount point in which nothing changes: its own mode, owner and attributes are not restored",
                    target.display()
                );
                remarks.undone(RemarkKind::Attribute, name, message);
            }
            let changes = made.changes.into_iter();
            planned
                .changes
                .extend(changes.map(|change| (change, action)));
        } else if action.changes() {
            let within = planned.take_within(target);
            let change = directory.change(within)?;
            planned.changes.push((change, action));
        }
    }
    owners.announce(remarks);
    planned
        .steps
        .sort_by(|one, other| one.entry.cmp(&other.entry));
    for step in planned
        .steps
        .iter()
        .filter(|step| step.action == Action::Skip)
    {
        match &unpacked.beside {
            Some(beside) if step.target.is_some() => {
                remarks.undone(RemarkKind::Configuration, &step.entry, beside.message.clone());
            }
            _ if is_command(settings, &step.entry) => remarks.undone(
                RemarkKind::Command,
                &step.entry,
                format!(
                    "{} is left out: with --root no import command runs, because it would work on this machine \
                    (`hookshot extract` takes it out)",
                    step.entry
                ),
            ),
            _ => remarks.undone(
                RemarkKind::NoPlace,
                &step.entry,
                format!(
                    "{} is left out: this machine has no place for it (`hookshot extract` takes it out)",
                    step.entry
                ),
            ),
        }
    }
    let changes = planned.changes.into_iter();
    let changes = changes.filter(|(_, action)| action.changes());
    Ok(ImportPlan {
        steps: planned.steps,
        changes: changes.map(|(change, _)| change).collect(),
        volumes,
        torn,
    })
}

/// Returns true if a command would take the entry if the import went to this machine itself.
fn is_command(settings: &Settings, name: &EntryName) -> bool {
    let source = settings.source_of(name);
    settings.elsewhere.root.is_some() && source.is_some_and(|source| source.kind.is_command())
}

/// A plan while it is made.
#[derive(Default)]
struct Planned<'a> {
    steps: Vec<PlanStep>,
    /// The changes that would make each target the archive's, even if it is that already.
    changes: Vec<(Change<'a>, Action)>,
}

impl<'a> Planned<'a> {
    /// Takes the changes whose targets lie in the directory `folder` and are made anew there. What does not change
    /// stays as it is, as everything else does that is not part of the directory.
    fn take_within(&mut self, folder: &Path) -> Vec<Change<'a>> {
        let (inside, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.changes)
            .into_iter()
            .partition(|(change, _)| change.target.starts_with(folder));
        self.changes = others;
        let changing = inside.iter().filter(|(_, action)| action.changes());
        let changing: Vec<PathBuf> = changing.map(|(change, _)| change.target.clone()).collect();
        // A database whose log goes is made anew as well.
        let is_made = |change: &Change<'_>| {
            let mut engines = Engine::ALL.into_iter();
            changing.contains(&change.target)
                || engines.any(|engine| {
                    let mut companions = engine.companions_of(&change.target);
                    companions.any(|path| changing.contains(&path))
                })
        };
        let made = inside.into_iter().map(|(change, _)| change);
        made.filter(|change| is_made(change)).collect()
    }

    /// The same for a mount point, whose children are replaced: what lies directly in it is replaced by itself.
    fn take_within_children(&mut self, volume: &Path) -> Vec<Change<'a>> {
        let (direct, deep): (Vec<_>, Vec<_>) = std::mem::take(&mut self.changes)
            .into_iter()
            .partition(|(change, _)| change.target.parent() == Some(volume));
        self.changes = deep;
        let within = self.take_within(volume);
        self.changes.extend(direct);
        within
    }

    fn skip(&mut self, name: &EntryName) {
        self.steps.push(PlanStep {
            entry: name.clone(),
            target: None,
            action: Action::Skip,
        });
    }
}

/// Plans the changes of single files.
fn files(
    context: &Context,
    settings: &Settings,
    keep: KeepStaging,
    unpacked: &Unpacked<'_>,
    targets: &Targets,
    (planned, names): (&mut Planned<'_>, &mut OwnerNames),
) -> Result<()> {
    let mut owners = Owners::default();
    let trees = &unpacked.verified.manifest().trees;
    let is_in_tree = |name: &EntryName| {
        let first = name.as_str().split_once('/').map(|(first, _)| first);
        first.is_some_and(|first| trees.contains_key(first))
    };
    for name in unpacked.selected.iter().filter(|name| !is_in_tree(name)) {
        let source = settings
            .source_of(name)
            .filter(|source| source.name == *name);
        let placed = source.and_then(|source| targets.paths.get(&source.name));
        if let Some(record) = unpacked.record(name).filter(|_| placed.is_some()) {
            names.see(&record.owner());
        }
        let (Some(target), Some(source)) = (placed, source) else {
            let action = match source.and_then(|source| source.kind.import_command()) {
                Some(_) => Action::Feed,
                None => Action::Skip,
            };
            planned.steps.push(PlanStep {
                entry: name.clone(),
                target: None,
                action,
            });
            continue;
        };
        if source.kind.is_own_configuration() && unpacked.beside.is_some() {
            planned.steps.push(PlanStep {
                entry: name.clone(),
                target: Some(target.clone()),
                action: Action::Skip,
            });
            continue;
        }
        let form = form_for(&source.kind);
        let Some(record) = unpacked.record(name) else {
            continue;
        };
        let digest = record.checksum;
        context.begin(
            "comparing",
            target.metadata().ok().map(|metadata| metadata.len()),
        );
        let stamp = survey::stamp(target)?;
        let mut present = survey::present(target, |file| Box::new(context.watch(file)))?;
        if let Some(present) = &mut present
            && present.digest != digest
            && let Some(engine) = form.engine()
            && unpacked.is_held_by(context, engine, (name, record), target)?
        {
            present.digest = digest;
        }
        let attributes = attributes::wanted(
            context,
            unpacked,
            source,
            target,
            present.as_ref(),
            &mut owners,
        )?;
        let action = plan::decide(digest, &attributes, present.as_ref());
        planned.steps.push(PlanStep {
            entry: name.clone(),
            target: Some(target.clone()),
            action,
        });
        let unpacked_form = form_of(&unpacked.staging.place(name));
        let engines = [unpacked_form, Some(form)].into_iter().flatten();
        let engines: BTreeSet<Engine> = engines.filter_map(Form::engine).collect();
        // The companions of the old database may hold changes that it had not taken in yet. They do not belong to the
        // new one, of whatever kind its source is.
        for companion in engines.iter().flat_map(|one| one.companions_of(target)) {
            if targets.paths.values().any(|other| *other == companion) {
                continue;
            }
            if let Some((step, change)) = removal(name, &companion)? {
                planned.steps.push(step);
                planned.changes.push((change, Action::Remove));
            }
        }
        let origin = if keep == KeepStaging::Yes {
            PlacementMethod::Copied
        } else {
            PlacementMethod::Moved
        };
        let source = unpacked.staging.place(name);
        let change = Change {
            entry: name.clone(),
            target: target.clone(),
            before: present.map(|present| present.digest),
            stamp,
            rules: None,
            backup: None,
            new: New::File {
                source,
                origin,
                digest,
                attributes,
                mtime: record.modified(),
            },
            form,
        };
        planned.changes.push((change, action));
    }
    Ok(())
}
