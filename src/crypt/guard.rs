//! Care for the memory that holds key material.

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

/// Keeps the memory of this process out of core dumps and away from other processes of the same user (prctl(2),
/// `PR_SET_DUMPABLE`). What refuses it, such as a sandbox, leaves things as they are.
pub fn forbid_core_dumps() {
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}
