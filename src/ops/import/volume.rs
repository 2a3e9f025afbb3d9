//! A directory that is a mount point (a container's volume): it cannot be renamed, so that each of its children is
//! replaced by a change of its own.

use std::{
    cell::Cell, collections::BTreeSet, ffi::OsStr, os::unix::ffi::OsStrExt as _, path::PathBuf,
    rc::Rc,
};

use anyhow::{Context as _, Result};

use super::{
    children::{MAX_CHILDREN, first_names},
    directory::Directory,
};
use crate::{
    disk::{
        survey,
        syncing::Syncing,
        transaction::{
            Change, Form, Names, New,
            backup::{Known, replaced_at},
        },
        tree::take,
        volume::{Own, Volume, is_replaced},
    },
    machine::obstacle::{Obstacle, ObstacleKind},
    model::{entry_name::EntryName, rules::Rules},
    work::{remark::RemarkKind, remarks::Remarks},
};

/// The changes of a mount point's children, and of itself.
pub struct Children<'a> {
    pub changes: Vec<Change<'a>>,
    pub volume: Volume,
}

/// The new directory as a whole, which is built when the first child is taken out of it.
struct Whole<'a> {
    directory: Directory<'a>,
    place: PathBuf,
    made: Vec<EntryName>,
    rules: Rules,
    is_built: Cell<bool>,
}

impl Whole<'_> {
    fn take(&self, name: &OsStr, place: &std::path::Path) -> Result<Option<Syncing>> {
        if !self.is_built.get() {
            self.directory
                .build_in_volume(&self.place, &self.made, &self.rules)?
                .finish()?;
            self.is_built.set(true);
        }
        take(&self.place, name, place)
            .with_context(|| format!("cannot create {}", place.display()))?;
        Ok(None)
    }
}

/// The changes that give the mount point of `directory` the archive's children. `within` are those of other sources
/// that lie in children of it.
pub fn children<'a>(
    directory: Directory<'a>,
    names: &Names,
    known: &Known,
    within: Vec<Change<'a>>,
    blocked: &mut Vec<Obstacle>,
    remarks: &mut Remarks,
) -> Result<Children<'a>> {
    let target = directory.target().to_owned();
    let made: Vec<EntryName> = within.iter().map(|change| change.entry.clone()).collect();
    let rules = directory.rules(&made)?;
    let mut all: BTreeSet<Vec<u8>> = BTreeSet::new();
    // Entries that are excluded here stay, whatever the archive has.
    let is_child =
        |name: &Vec<u8>| is_replaced(&rules, name, &target.join(OsStr::from_bytes(name)));
    for name in first_names(directory.lines()?) {
        let name = name?;
        if all.len() <= MAX_CHILDREN && is_child(&name) {
            all.insert(name);
        }
    }
    let inner = within.iter().filter_map(|change| {
        let inside = change.target.strip_prefix(&target).ok()?;
        Some(inside.iter().next()?.as_bytes().to_vec())
    });
    all.extend(inner.filter(is_child));
    let listing = || format!("cannot read {}", target.display());
    for entry in target.read_dir().with_context(listing)? {
        let entry = entry.with_context(listing)?;
        let name = entry.file_name().as_bytes().to_vec();
        if all.len() <= MAX_CHILDREN && is_child(&name) {
            all.insert(name);
        }
    }
    let mut block = |message: String, hint| {
        blocked.push(Obstacle {
            kind: ObstacleKind::Mount,
            message,
            hint,
        });
    };
    if let Some(name) = all.iter().find(|name| std::str::from_utf8(name).is_err()) {
        block(
            format!(
                "{} is a mount point, and the name of {} in it is not UTF-8: it cannot be replaced there",
                target.display(),
                String::from_utf8_lossy(name)
            ),
            "rename it, or name a folder inside the mount point as the source",
        );
    }
    if all.len() > MAX_CHILDREN {
        block(
            format!(
                "{} is a mount point, and more than {MAX_CHILDREN} files and folders lie directly in it",
                target.display()
            ),
            "name a folder inside it as the source",
        );
    }
    let chosen = known.choose_within(&target)?;
    if !chosen.foreign.is_empty() {
        let foreign = chosen.foreign.iter().map(|path| path.display().to_string());
        let message = format!(
            "{} is not of an earlier import and stays as it is: what {} holds is kept in {}",
            foreign.collect::<Vec<_>>().join(", "),
            directory.name(),
            chosen.path.display()
        );
        remarks.warning(RemarkKind::Backup, directory.name(), message);
    }
    let volume = Volume {
        before: Own::of(&target).with_context(listing)?,
        after: directory
            .own(Own::of(&target).with_context(listing)?)
            .with_context(listing)?,
        path: target.clone(),
    };
    let entry = directory.name().clone();
    let whole = Rc::new(Whole {
        place: names.whole(&target),
        directory,
        made,
        rules: rules.clone(),
        is_built: Cell::new(false),
    });
    let mut within = within;
    let mut changes = Vec::new();
    for name in all {
        let os_name = OsStr::from_bytes(&name).to_owned();
        let child = target.join(&os_name);
        let (inside, others) = within
            .into_iter()
            .partition(|change: &Change<'_>| change.target.starts_with(&child));
        within = others;
        let rules = rules.of_child(&name);
        let before = survey::listing(&child, &rules)?;
        let before = before.map(|digest| digest.parse().map_err(anyhow::Error::msg));
        let backup = chosen.path.join(&os_name);
        let whole = Rc::clone(&whole);
        changes.push(Change {
            entry: entry.clone(),
            target: child,
            before: before.transpose()?,
            stamp: None,
            rules: Some(rules),
            backup: Some((backup.clone(), replaced_at(&backup))),
            new: New::Folder {
                build: Box::new(move |place| whole.take(&os_name, place)),
                within: inside,
            },
            form: Form::Folder,
        });
    }
    Ok(Children { changes, volume })
}
