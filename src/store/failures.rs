//! The failures that all stores have in common, and how to tell them.

use std::fmt::Display;

use crate::error::{Failure, Kind};

/// The end of the message of a name that is taken.
const TAKEN: &str = " already; archives are never overwritten";

/// Returns true if a failure says that the name is taken.
pub(crate) fn is_taken(failure: &Failure) -> bool {
    failure.message.ends_with(TAKEN)
}

/// Returns the failure of a name that is taken.
pub(crate) fn taken(place: &str, name: &str) -> Failure {
    let message = format!("{place} has {name}{TAKEN}");
    Failure::new(Kind::Failed, message).hint("give the archive another name, or another `prefix`")
}

/// The words of a message about an archive in cold storage.
pub(super) const FROZEN: &str = "it lies in cold storage, and cannot be read before it is thawed";

/// Returns true if a failure is about an archive in cold storage: it exists, but cannot be read now.
pub(crate) fn is_cold(failure: &Failure) -> bool {
    failure.message.contains(FROZEN)
}

/// Returns the failure of a missing object.
pub(super) fn missing(place: &str, name: &str) -> Failure {
    Failure::new(Kind::NotFound, format!("{place} has no {name}"))
        .hint("`hookshot list` shows what is there")
}

/// Returns the failure of options that are not those of the kind of store that `address` names.
pub(super) fn mismatched(address: &impl Display) -> Failure {
    let message = format!("the options for {address} are those of another kind of store");
    Failure::new(Kind::Usage, message)
}

/// Returns the failure of an object in `place` that has more than `most_bytes`.
pub(super) fn too_large(place: &str, name: &str, most_bytes: u64) -> Failure {
    let message = format!("{name} in {place} has more than {most_bytes} bytes");
    Failure::new(Kind::Refused, message)
        .hint("hookshot made no such object: look for another program that writes there")
}
