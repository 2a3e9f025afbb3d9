//! Failures that lie in the place where hookshot stands, and not in what it was asked for.

use crate::error::{Failure, Kind};

/// Says what is odd about the place, if the failure comes from that.
pub fn explained(failure: &Failure) -> Failure {
    about_kernel(failure.clone())
}

/// Says that no file can be made there, if the failure is about a path in a file system of the kernel's.
fn about_kernel(failure: Failure) -> Failure {
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
        Some(root) if is_writing && failure.kind == Kind::Failed => failure.hint(format!(
            "{root} is a view of the kernel, in which no file can be made; name a folder on a disk"
        )),
        _ => failure,
    }
}
