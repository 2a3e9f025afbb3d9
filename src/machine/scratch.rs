//! The folder for temporary files of verbs that change the state: `TMPDIR`, or the state's own folder if that cannot be
//! used.

use std::path::{Path, PathBuf};

use crate::context::Context;
use crate::disk::staging;
use crate::work::{events::RestoreEvent, space};

/// Returns the context with a folder in which temporary files can be made: its own, else the state's `home`, in which
/// an import stages anyway. If neither can be used, it stays as it is, and the error of the first use names it. A listing
/// that does not fit in its own folder is kept in `home`.
pub fn usable(context: &Context, home: &Path) -> Context {
    let beside = at_home(home);
    let Err(error) = tempfile::tempfile_in(&context.scratch) else {
        return Context {
            spare: Some(beside),
            ..context.clone()
        };
    };
    if tempfile::tempfile_in(&beside).is_err() {
        return context.clone();
    }
    context.tell(RestoreEvent::ScratchUnusable {
        scratch: context.scratch.clone(),
        reason: error.to_string(),
        instead: beside.clone(),
    });
    staging::sweep(&beside);
    Context {
        scratch: beside,
        ..context.clone()
    }
}

/// Returns the context with a folder that has room for `bytes`, if its own does not have it and the state's `home`
/// does.
pub fn roomy(context: &Context, home: &Path, bytes: u64) -> Context {
    let beside = at_home(home);
    let lacks = |folder: &Path| space::require(folder, bytes, "temporary files").is_err();
    if !lacks(&context.scratch) || lacks(&beside) {
        return context.clone();
    }
    Context {
        scratch: beside,
        ..context.clone()
    }
}

/// Returns the folder `home`, or the next one above it that is there: a rehearsal makes no folder of the state.
pub fn at_home(home: &Path) -> PathBuf {
    let mut folders = home.ancestors();
    let there = folders.find(|folder| folder.is_dir());
    there.unwrap_or(Path::new("/")).to_owned()
}
