//! The files that SQLite keeps beside a database.

use std::path::{Path, PathBuf};

use crate::model::engine::SQLITE_COMPANIONS;

/// Returns the paths of the files that SQLite keeps beside the database at `path`: write-ahead log, its index, rollback
/// journal.
///
/// They lie beside the file itself: a link at `path` is not followed here. A caller that replaces a database has to
/// move them away as well, because SQLite would apply them to the new file.
pub fn companions(path: &Path) -> [PathBuf; 3] {
    SQLITE_COMPANIONS.map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}
