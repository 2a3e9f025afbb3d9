//! Advice about failures that the surroundings cause: the kernel's file systems, and the folder for temporary files.

use std::path::Path;

use crate::{
    catalog::archive_file::is_of_word,
    error::{Failure, Kind},
};

/// Adds advice if the failure is about a new file in a file system of the kernel.
pub fn explained(failure: &Failure) -> Failure {
    let is_writing = ["cannot create", "cannot write", "cannot make"]
        .iter()
        .any(|begun| failure.message.starts_with(begun));
    let mut words = failure
        .message
        .split(|next: char| next.is_whitespace() || "\"':".contains(next));
    let found = words.find_map(|word| {
        let roots = ["/proc", "/sys"];
        let is_below = |root: &&str| {
            let rest = word.strip_prefix(*root);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        roots.into_iter().find(is_below)
    });
    match found {
        Some(root) if is_writing && failure.kind.is_failed() => failure.clone().hint(format!(
            "{root} is a view of the kernel and takes no files; name a folder on a disk"
        )),
        _ => failure.clone(),
    }
}

/// Returns true if a message is about the folder for temporary files, or about a file that hookshot makes there.
pub fn names_scratch(message: &str, scratch: &Path) -> bool {
    let folder = scratch.display().to_string();
    let folder = folder.trim_end_matches('/');
    // The folder itself, or a file that hookshot makes there; not other files below it.
    let is_meant = |rest: &str| {
        let ours = ["/.hookshot-", "/.tmp", "/hookshot-staging-"];
        !rest
            .starts_with(|next: char| next == '/' || next.is_alphanumeric() || "-_.".contains(next))
            || ours.iter().any(|ours| rest.starts_with(ours))
    };
    let mut places = message.match_indices(folder);
    places.any(|(at, _)| is_meant(&message[at + folder.len()..]))
}

/// Names the folder for temporary files in the hint if the failure is about it.
pub fn about_scratch(failure: Failure, scratch: &Path) -> Failure {
    let folder = scratch.display().to_string();
    let folder = folder.trim_end_matches('/');
    let may_be = failure.kind.is_failed() || matches!(failure.kind, Kind::Space | Kind::NotFound);
    // Another folder takes no more open files than this one.
    let is_of_process = failure
        .hint
        .as_ref()
        .is_some_and(|hint| hint.contains("ulimit -n"));
    if !may_be || is_of_process || is_of_word(&failure) || !names_scratch(&failure.message, scratch)
    {
        return failure;
    }
    failure.hint(format!(
        "temporary files go to {folder}, as TMPDIR says (/tmp if it says nothing): it must be there, writable, and \
            have room for the largest database and 400 bytes for each file of a large directory; or set TMPDIR to \
            another folder"
    ))
}
