//! Directories as sources: every file with its digest, and folders, links and attributes for the manifest.
//!
//! Files are hashed in place, by several threads, and opened again when they are packed; a file that changed by then is
//! an error. A file that was touched in the last seconds, or changes while it is read, is first copied into one file
//! without a name. It is hashed on the way, and the copy does not change.

mod content;
mod context;
pub mod database;
mod folders;
mod found;
mod hash;
mod hashed;
pub mod listed;
mod opened;
mod reading;
mod seen;
pub mod source;
mod spool;
mod staged;
mod tape;
mod watch;
mod whereabouts;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Result, bail};

pub use self::{
    content::{ContentChanged, Reopened, Spooled},
    context::{QUIET, TreeContext},
    listed::StagedListing,
    staged::StagedTree,
};
use self::{hash::Recent, opened::OpenDirectory, reading::Reading, spool::Spool};
use crate::{
    disk::{dangling, tree::beneath::Top},
    error::{Failure, Kind},
    model::{entry_name::EntryName, relative::is_tree_name, rules::Rules},
};

/// Reads the directory at `path` for the archive, as the source `name`. If files cannot be read, all of them are named,
/// and it fails.
///
/// A file that begins like a database is copied as one, and its engine's companion files are left out. If that fails,
/// it is copied as a plain file.
///
/// A file that exists before and after is read, whatever its name meanwhile; one that vanished before it was read is
/// named. Each file is as it was at one moment; not promised is that all of them are of the same moment. A file that is
/// written in place is as any reader may see it, even in the middle of a write(2). A file that is written through a
/// shared memory map may change without a sign; then the archive's writer compares the digest.
pub fn stage(
    path: &Path,
    name: &EntryName,
    rules: &Rules,
    caller: &TreeContext<'_>,
) -> Result<StagedTree> {
    if !is_tree_name(name) {
        bail!(
            "{name} cannot be the name of a directory: it must be one component of up to 255 bytes"
        );
    }
    let top = open(path, name)?;
    let spool = Spool::create(caller.scratch)?;
    let begun = spool.moment_before(Duration::ZERO)?;
    let recent = spool.moment_before(caller.quiet)?;
    let recent = Recent {
        files: recent,
        // Only after a failed attempt: most names in a busy folder stay.
        folders: (caller.quiet > QUIET).then_some(recent),
    };
    let origin = Arc::new(OpenDirectory::new(top, name.clone(), rules.clone()));
    Reading::new(path, origin, caller, recent, spool).stage(begun)
}

fn open(path: &Path, name: &EntryName) -> Result<Top> {
    Top::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => dangling(path)
            .unwrap_or_else(|| {
                let message = format!("{name} is missing: {} does not exist", path.display());
                Failure::new(Kind::NotFound, message).hint(
                    "is this the right machine, and does the configuration name the right place?",
                )
            })
            .into(),
        std::io::ErrorKind::NotADirectory => Failure::new(
            Kind::Usage,
            format!("{} is not a directory", path.display()),
        )
        .hint("name a directory")
        .into(),
        _ => anyhow::Error::new(error).context(format!("cannot open {}", path.display())),
    })
}
