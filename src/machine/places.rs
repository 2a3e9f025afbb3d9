//! Obstacles in the places that a plan changes: mounts, read-only file systems, attributes and permissions. Whatever
//! would end a rename with an error is found here, before anything is replaced, and by a rehearsal too.

use std::{
    fs, io,
    ops::ControlFlow,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::Result;
use rustix::{
    fs::{Access, AtFlags, CWD, StatxAttributes, StatxFlags, accessat, statx},
    io::Errno,
};

use super::obstacle::{Obstacle, ObstacleKind};
use crate::{
    config::Settings,
    disk::{
        below::visit_below,
        exists, folder_of, holder,
        mounts::{Mounts, Namespaces, OtherMount},
        overlay::is_fixed_by_overlay,
        transaction::{Change, New, journal::Replaces},
    },
};
use crate::{
    context::Context,
    work::{remark::RemarkKind, remarks::Remarks},
};

/// Finds the obstacles of an import or a rollback whatever it changes: the journal and the staging folder need their
/// places.
pub fn of_the_journal(settings: &Settings) -> Vec<Obstacle> {
    let mut blocked = Vec::new();
    let mut folders = vec![folder_of(&settings.config), settings.home()];
    folders.dedup();
    for folder in folders {
        if let Some(reason) = unwritable(&folder) {
            let message = format!("{reason}: an import needs a place in it for its own files");
            blocked.push(target(message, PERMISSIONS));
        }
    }
    blocked
}

/// Finds the obstacles of `changes`, and names the mounts and processes that go on with the replaced files.
pub fn of_changes(
    context: &Context,
    changes: &[Change<'_>],
    blocked: &mut Vec<Obstacle>,
    remarks: &mut Remarks,
) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let namespaces = Namespaces::read()?;
    let mounts = namespaces.ours();
    let mut folders: Vec<PathBuf> = Vec::new();
    for change in changes {
        let before = blocked.len();
        let folder = folder_of(&change.target);
        if !folders.contains(&folder) {
            let reason = unwritable(&folder);
            let is_news = |reason: &String| {
                let mut said = blocked.iter();
                !said.any(|blocked| blocked.message.starts_with(reason.as_str()))
            };
            if let Some(reason) = reason.filter(is_news) {
                let message = format!("{reason}: {} cannot be replaced", change.target.display());
                blocked.push(target(message, PERMISSIONS));
            }
            folders.push(folder);
        }
        of_mounts(context, change, mounts, blocked)?;
        of_attributes(change, blocked);
        of_backup(change, mounts, blocked);
        if blocked.len() == before {
            name_others(change, &namespaces, remarks);
            name_workers(change, remarks);
        }
    }
    Ok(())
}

/// The hint for most of these.
const PERMISSIONS: &str = "mount it writable, take the attribute away (chattr -i -a), or run as a user with permission to write there";

fn target(message: String, hint: &'static str) -> Obstacle {
    Obstacle {
        kind: ObstacleKind::Target,
        message,
        hint,
    }
}

fn mount(message: String, hint: &'static str) -> Obstacle {
    Obstacle {
        kind: ObstacleKind::Mount,
        message,
        hint,
    }
}

fn of_mounts(
    context: &Context,
    change: &Change<'_>,
    mounts: &Mounts,
    blocked: &mut Vec<Obstacle>,
) -> Result<()> {
    let path = &change.target;
    let shown = path.display();
    if !exists(path) {
        return Ok(());
    }
    if !change.form.is_folder() {
        if mounts.is_point(path) {
            blocked.push(mount(
                format!("{shown} is mounted by itself: no other file can take its place"),
                "mount the folder that it lies in (docker: -v DIR:DIR), import where the file really lies, or leave it out with --except",
            ));
        }
        return Ok(());
    }
    if let Some(inside) = mounts.below(path).first() {
        blocked.push(mount(
            format!(
                "something is mounted at {}: {shown} cannot be replaced as one, the mount would stay with the old folder",
                inside.display()
            ),
            "unmount it for the import, or name folders beside it as the sources",
        ));
    } else if mounts.is_point(path) {
        blocked.push(mount(
            format!("{shown} is mounted by itself: no other folder can take its place"),
            "unmount it for the import, or exclude it",
        ));
    } else if is_fixed_by_overlay(path, &context.scratch)? {
        blocked.push(mount(
            format!(
                "{shown} comes from a lower layer of an overlay file system (a container's image): no other folder can take its place"
            ),
            "keep it in a volume, or name folders inside it that are not part of the image",
        ));
    }
    Ok(())
}

/// Looks for attributes that forbid to rename or remove (ioctl_iflags(2)), and for sticky folders that allow it only to
/// another user.
fn of_attributes(change: &Change<'_>, blocked: &mut Vec<Obstacle>) {
    let path = &change.target;
    if let Some(attribute) = fixed(path) {
        let message = format!("{} is {attribute}: it cannot be replaced", path.display());
        blocked.push(target(message, ATTRIBUTE));
    }
    let folder = folder_of(path);
    if let (Ok(above), Ok(there)) = (folder.metadata(), path.symlink_metadata()) {
        let us = nix::unistd::geteuid();
        let may = us.is_root() || [above.uid(), there.uid()].contains(&us.as_raw());
        if above.mode() & 0o1000 != 0 && !may {
            let message = format!(
                "{} belongs to another user, and {} is sticky: only its owner can replace it",
                path.display(),
                folder.display()
            );
            blocked.push(target(message, PERMISSIONS));
        }
    }
}

/// Looks at the backup of an earlier import, which goes when this one is over.
fn of_backup(change: &Change<'_>, mounts: &Mounts, blocked: &mut Vec<Obstacle>) {
    let backup = match &change.backup {
        Some((backup, Replaces::Inode(_))) if !matches!(change.new, New::Backup { .. }) => backup,
        _ => return,
    };
    let shown = backup.display();
    let is_point = exists(backup) && mounts.is_point(backup);
    let inside = mounts.below(backup);
    if let Some(place) = inside
        .first()
        .copied()
        .or(is_point.then_some(backup.as_path()))
    {
        blocked.push(mount(
            format!(
                "something is mounted at {}: {shown} cannot give way to the new backup",
                place.display()
            ),
            "unmount it, or move the old backup away",
        ));
    } else if let Some(reason) = unremovable(backup) {
        let message = format!("{reason}: {shown} cannot give way to the new backup");
        blocked.push(target(message, ATTRIBUTE));
    }
}

const ATTRIBUTE: &str =
    "take the attribute away (chattr -i -a), or give yourself the permission, and try again";

/// Returns what forbids to remove `path` and everything in it, if anything does.
fn unremovable(path: &Path) -> Option<String> {
    let metadata = path.symlink_metadata().ok()?;
    let mut reason = unremovable_one(path, metadata.is_dir());
    if reason.is_none() && metadata.is_dir() {
        visit_below(path, &|_, _| true, &mut |path, metadata| {
            reason = unremovable_one(path, metadata.is_dir());
            match reason {
                Some(_) => ControlFlow::Break(()),
                None => ControlFlow::Continue(()),
            }
        });
    }
    reason
}

/// Returns what forbids to remove the file, or what lies in the folder, at `path`.
fn unremovable_one(path: &Path, is_folder: bool) -> Option<String> {
    if let Some(attribute) = fixed(path) {
        return Some(format!("{} is {attribute}", path.display()));
    }
    if !is_folder {
        return None;
    }
    match path.read_dir() {
        Ok(mut entries) => entries.next().and_then(|_| unwritable(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(format!("cannot read {}: {error}", path.display())),
    }
}

/// Returns the attribute that keeps what is at `path` from being renamed or removed, if it has one.
fn fixed(path: &Path) -> Option<&'static str> {
    let found = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty()).ok()?;
    if found.stx_attributes.contains(StatxAttributes::IMMUTABLE) {
        return Some("immutable");
    }
    found
        .stx_attributes
        .contains(StatxAttributes::APPEND)
        .then_some("append-only")
}

/// Returns what forbids to make, rename and remove names in `folder`, or in the nearest folder above it that is there.
pub fn unwritable(folder: &Path) -> Option<String> {
    let there = folder.ancestors().find_map(|ancestor| {
        let ancestor = match ancestor.as_os_str().is_empty() {
            true => Path::new("."),
            false => ancestor,
        };
        match fs::metadata(ancestor) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            result => Some((ancestor, result)),
        }
    });
    let (at, metadata) = there?;
    let shown = at.display();
    match metadata {
        Err(error) => return Some(format!("cannot look at {shown}: {error}")),
        Ok(metadata) if !metadata.is_dir() => return Some(format!("{shown} is not a folder")),
        Ok(_) => {}
    }
    let wanted = Access::WRITE_OK | Access::EXEC_OK;
    let asked = match accessat(CWD, at, wanted, AtFlags::EACCESS) {
        // Before Linux 5.8.
        Err(Errno::NOSYS | Errno::INVAL) => accessat(CWD, at, wanted, AtFlags::empty()),
        asked => asked,
    };
    match asked {
        Err(Errno::ROFS) => Some(format!(
            "{shown} is on a file system that is mounted read-only"
        )),
        Err(Errno::ACCESS) => Some(format!("we may not write in {shown}")),
        Err(Errno::PERM) => Some(match fixed(at) {
            Some(attribute) => format!("{shown} is {attribute}"),
            // As below /proc, to root.
            None => format!("nothing can be made in {shown}, its file system forbids it"),
        }),
        // The attempt itself reports every other fault.
        _ => fixed(at).map(|attribute| format!("{shown} is {attribute}")),
    }
}

/// Names the other mounts that show the target by itself, and their processes: they go on with the old one.
fn name_others(change: &Change<'_>, namespaces: &Namespaces, remarks: &mut Remarks) {
    let path = &change.target;
    if !exists(path) {
        return;
    }
    let (shown, backup) = (path.display(), change.backup());
    for other in namespaces.elsewhere(path) {
        let message = match &other {
            OtherMount::Here(place) => format!(
                "{shown} is mounted at {} as well: what is seen there stays the old one, {}, until it is mounted again",
                place.display(),
                backup.display()
            ),
            OtherMount::Process(holders, place) => format!(
                "{shown} is mounted at {} for {}, in a mount namespace of its own (a container): it goes on with the \
                old one, which is {} after this, until it is restarted",
                place.display(),
                holder::describe(&holders[..holders.len().min(MOST_NAMED)]),
                backup.display()
            ),
            OtherMount::Layer {
                layer,
                point,
                holders,
            } => {
                let whose = match &holders[..holders.len().min(MOST_NAMED)] {
                    [] => String::new(),
                    some => format!(" for {}", holder::describe(some)),
                };
                format!(
                    "{shown} is, or lies in, the layer {} of the overlay file system at {}{whose}: what is seen there \
                    stays the old one, {}, or is undefined, until the overlay is mounted again",
                    layer.display(),
                    point.display(),
                    backup.display()
                )
            }
        };
        remarks.warning(RemarkKind::MountedElsewhere, &change.entry, message);
    }
}

/// Names the processes that work in a folder that is replaced: they go on in the old one, though they have nothing open
/// there.
fn name_workers(change: &Change<'_>, remarks: &mut Remarks) {
    if !change.form.is_folder() {
        return;
    }
    let holders = holder::working_below(&change.target);
    if holders.is_empty() {
        return;
    }
    let message = format!(
        "{} has its working directory in {}: it goes on in the old folder, which is {} after this, until it is \
        restarted (a shell: until it changes there again)",
        holder::describe(&holders[..holders.len().min(MOST_NAMED)]),
        change.target.display(),
        change.backup().display()
    );
    remarks.warning(RemarkKind::WorkingDirectory, &change.entry, message);
}

/// The most processes of one container that are named.
const MOST_NAMED: usize = 4;
