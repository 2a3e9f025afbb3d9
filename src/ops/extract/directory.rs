//! A directory out of an archive: built as an import builds it, and as whole.

use std::{io, path::Path};

use anyhow::{Context as _, Result};

use super::report::Extracted;
use crate::{
    archive::contents::DirectoryContents,
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
    machine::refused::remark_refused,
    model::{manifest::ListingLine, named::Named, written::escaped},
    work::{remark::RemarkKind, remarks::Remarks},
};

/// Builds the directory with these `contents` below `folder`, of files that were proven and lie in `staging` with their
/// attributes, but for those that were `refused`.
///
/// Modes, times, attributes and the links that stay inside are those of the archive; what is left out is remarked.
/// Everything belongs to the caller, so that set-id bits and attributes of root's stay away.
pub fn extract(
    context: &Context,
    contents: &DirectoryContents<'_>,
    staging: &Staging,
    refused: &[String],
    folder: &Path,
    remarks: &mut Remarks,
) -> Result<Extracted> {
    let name = contents.name();
    let target = folder.join(name.as_str());
    let mut tree = contents.top()?;
    if tree.secret {
        tree = tree.closed();
    }
    let events = &context.events;
    events.begin_files("building the directory", contents.files());
    let place = staging.sibling();
    let shown_target = in_real_folder(&target);
    let outside = OutsideLinks::plan(&tree, &shown_target, LinkPolicy::AsHere, &[])
        .with_context(|| format!("cannot look at {}", target.display()))?;
    let mut foresight = Foresight::at(&shown_target, Privilege::Ours)?;
    let mut lost = Named::default();
    let is_file =
        |line: &Result<ListingLine>| line.as_ref().is_ok_and(|line| line.file().is_some());
    let mut lines = events.count(contents.lines()?, is_file).inspect(|line| {
        let Ok(line) = line else { return };
        let said = line.file().map(|record| foresight.of_file(record));
        for said in said.unwrap_or_default() {
            lost.add(|| format!("{}/{}: {said}", shown_target.display(), line.name));
        }
    });
    let restoring = Restoring {
        name,
        tree: &tree,
        staged: &staging.place(name),
        place: &place,
        target: &shown_target,
        taking: Taking::Move { refused },
        privilege: Privilege::Ours,
        outside: &outside.made,
    };
    let unrestored = restore(&restoring, &mut lines)?;
    drop(lines);
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
        size_bytes: contents.bytes(),
    })
}

/// The failure for a directory whose place is taken.
pub fn taken(target: &Path) -> Failure {
    Failure::new(Kind::Usage, format!("{} exists already", target.display()))
        .hint("name another folder with -o: a directory that is there is never replaced")
}
