//! A directory out of an archive: built as an import builds it, and as whole.

use std::{borrow::Cow, io, path::Path};

use anyhow::{Context as _, Result};

use super::report::Extracted;
use crate::{
    context::Context,
    disk::{
        in_real_folder,
        staging::Staging,
        tree::{
            Privilege, Restoring, Taking,
            foresight::Foresight,
            links::{LinkPolicy, OutsideLinks},
            publish, restore,
        },
    },
    error::{Failure, Kind},
    machine::{refused::remark_refused, staged::staged_files},
    model::{
        entry_name::EntryName, manifest::Manifest, named::Named, tree::files_of, written::escaped,
    },
    work::{remark::RemarkKind, remarks::Remarks},
};

/// Bytes of the files of a directory.
pub fn total_bytes(name: &EntryName, manifest: &Manifest) -> u64 {
    let sizes = files_of(name, &manifest.files).map(|(_, _, record)| record.size);
    sizes.fold(0, u64::saturating_add)
}

/// Builds the directory called `name` below `folder`, of files that were proven and lie in `staging` with their
/// attributes, but for those that were `refused`.
///
/// Modes, times, attributes and the links that stay inside are those of the archive; what is left out is remarked.
/// Everything belongs to the caller, so that set-id bits and attributes of root's stay away.
pub fn extract(
    context: &Context,
    name: &EntryName,
    manifest: &Manifest,
    staging: &Staging,
    refused: &[String],
    folder: &Path,
    remarks: &mut Remarks,
) -> Result<Extracted> {
    let target = folder.join(name.as_str());
    let tree = manifest.trees.get(name);
    let tree = tree.context("a directory that the archive does not have")?;
    let tree = &match tree.secret {
        true => Cow::Owned(tree.closed()),
        false => Cow::Borrowed(tree),
    };
    let files = staged_files(name, manifest, staging)?;
    context.begin("building the directory", None);
    let place = staging.sibling();
    let shown_target = in_real_folder(&target);
    let outside = OutsideLinks::plan(tree, &shown_target, LinkPolicy::AsHere, &[])
        .with_context(|| format!("cannot look at {}", target.display()))?;
    let mut foresight = Foresight::at(&shown_target, Privilege::Ours)?;
    let mut lost = Named::default();
    for file in &files {
        for said in foresight.of_file(file.record) {
            lost.add(|| format!("{}/{}: {said}", shown_target.display(), file.name));
        }
    }
    let unrestored = restore(&Restoring {
        tree,
        files: &files,
        place: &place,
        target: &shown_target,
        taking: Taking::Move {
            folder: &staging.place(name),
            refused,
        },
        privilege: Privilege::Ours,
        outside: &outside.made,
    })?;
    match publish(&place, &target) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(taken(&target).into());
        }
        result => result.with_context(|| format!("cannot write {}", target.display()))?,
    }
    for link in outside.left.into_iter().chain(unrestored.links) {
        remarks.undone(RemarkKind::Link, name, link);
    }
    for attribute in lost.finish() {
        remarks.undone(RemarkKind::Attribute, name, attribute);
    }
    for attribute in unrestored.attributes {
        remark_refused(remarks, name, attribute);
    }
    Ok(Extracted {
        entry: name.as_str().to_owned(),
        path: Some(target.display().to_string()),
        path_escaped: escaped(&target),
        size_bytes: total_bytes(name, manifest),
    })
}

/// The failure for a directory whose place is taken.
pub fn taken(target: &Path) -> Failure {
    Failure::new(Kind::Usage, format!("{} exists already", target.display()))
        .hint("name another folder with -o: a directory that is there is never replaced")
}
