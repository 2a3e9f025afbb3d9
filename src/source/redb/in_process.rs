//! The snapshot that a service takes of its own database, from inside.

use std::{
    fs::File,
    io::{self, Seek as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result};
use redb::{Database, ReadableDatabase as _};

use super::{
    header::Seal,
    judge,
    live::{self, RoundsEnd},
    walk::{Scope, Walk, Walked},
};
use crate::work::events::Events;
use crate::{
    disk::{
        folder_of,
        holder::{self, OpenMode},
        open_regular,
        publish::{Draft, Existing},
    },
    error::{Failure, Kind},
};

/// The longest time that commits may keep a snapshot from being whole; a pinned one needs one or two rounds.
const TIMEOUT: Duration = Duration::from_secs(60);

/// One verified commit of a database, in a file without a name until it is saved.
pub struct DatabaseCopy {
    file: File,
    walked: Walked,
}

/// Copies the last durable commit of `database`, which this process has open, from its file at `path`.
///
/// A read transaction pins the pages of its tables meanwhile. Commits go on, and the file grows by the pages they free.
/// redb verifies the copy. Persistent savepoints are left out.
///
/// Fails with [`Kind::Snapshot`] if this process does not have `path` open, or the file is damaged.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let (path, copy) = (folder.path().join("state.redb"), folder.path().join("copy.redb"));
/// let database = redb::Database::create(&path)?;
/// hookshot::snapshot(&database, &path)?.save(&copy)?;
/// redb::Database::open(&copy)?;
/// # Ok::<(), anyhow::Error>(())
/// ```
pub fn snapshot(database: &Database, path: &Path) -> Result<DatabaseCopy> {
    let copying = || format!("cannot copy {}", path.display());
    let source = open_regular(path).with_context(copying)?;
    let place = source.metadata()?;
    let ours = holder::has_open(std::process::id(), place.dev(), place.ino());
    if ours != Some(OpenMode::Writes) {
        let message = format!("{} is not open in this process", path.display());
        return Err(Failure::new(Kind::Snapshot, message)
            .hint("name the file of the database that is given")
            .into());
    }
    let mut file = tempfile::tempfile().context("cannot make a temporary file")?;
    let pin = database.begin_read()?;
    let go_on = |_| Ok(());
    let mut walk = Walk::new(&source, &file, Scope::Tables, &go_on);
    match live::rounds(&mut walk, path, TIMEOUT, None, &Events::default())? {
        RoundsEnd::Copied { .. } => {}
        RoundsEnd::GaveUp(missed) => {
            let message = format!(
                "no consistent snapshot of {}: after {} s, {} pages of it still do not match",
                path.display(),
                TIMEOUT.as_secs(),
                missed.pages
            );
            return Err(Failure::new(Kind::Snapshot, message)
                .hint("is it the file of this database?")
                .into());
        }
    }
    drop(pin);
    let walked = walk.finish(Seal::Verify)?;
    // If a page is too large for redb to read, the copy stays as the walk verified it: redb closes it when it is
    // opened.
    if judge::fits_redb(&walked) {
        judge::close(file.try_clone()?).map_err(|error| {
            Failure::new(
                Kind::Snapshot,
                format!("the copy of {} is not good: {error:#}", path.display()),
            )
        })?;
    }
    file.rewind()?;
    Ok(DatabaseCopy { file, walked })
}

impl DatabaseCopy {
    /// Returns the transaction id of the commit that it holds.
    pub fn transaction_id(&self) -> u64 {
        self.walked.transaction_id
    }

    /// Returns the figures of the walk that made it.
    pub fn walked(&self) -> Walked {
        self.walked
    }

    /// Returns the copy itself, a redb database, positioned at its beginning.
    pub fn into_file(self) -> File {
        self.file
    }

    /// Saves it as `path`, mode 0600 and synced, in one step; an existing file is replaced.
    pub fn save(mut self, path: &Path) -> Result<()> {
        let saving = || format!("cannot write {}", path.display());
        let mut draft = Draft::create(&folder_of(path)).with_context(saving)?;
        io::copy(&mut self.file, draft.file()).with_context(saving)?;
        draft.publish(path, Existing::Replace).with_context(saving)
    }
}
