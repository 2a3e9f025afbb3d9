//! The processes that use a database.

use std::{collections::BTreeMap, io, path::Path};

use anyhow::{Context as _, Result};

use super::{companions::companions, lock};
use crate::disk::holder::{self, Holder};

/// Returns the other processes that have the database at `path` or one of its companions open, as far as hookshot may
/// see them; a link at `path` is followed.
pub fn holders(path: &Path) -> Result<Vec<Holder>> {
    let asking = || {
        format!(
            "cannot find the processes that have {} open",
            path.display()
        )
    };
    let real = match path.canonicalize() {
        // Its companions may exist nevertheless.
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        result => result.with_context(asking)?,
    };
    let mut found = BTreeMap::new();
    for file in [real.clone()].into_iter().chain(companions(&real)) {
        match holder::open_by(&file) {
            Ok(open) => found.extend(open.into_iter().map(|(holder, _)| (holder.pid, holder))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(asking),
        }
    }
    Ok(found.into_values().collect())
}

/// Returns the other processes that use the database at `path`: those that are seen to have it open, or else one that
/// holds a lock.
///
/// The locks of other users and containers are seen; a connection in rollback mode without a transaction has none.
pub fn users(path: &Path) -> Result<Vec<Holder>> {
    let seen = holders(path)?;
    if !seen.is_empty() {
        return Ok(seen);
    }
    let asking = || {
        format!(
            "cannot find the processes that have {} locked",
            path.display()
        )
    };
    let real = match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        result => result.with_context(asking)?,
    };
    let user = lock::user(&real).with_context(asking)?;
    Ok(user.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_a_companion_open_holds_the_database() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("app.db");
        assert_eq!(holders(&path).expect("asked"), vec![]);
        let log = tempfile::Builder::new()
            .make_in(folder.path(), |_| {
                std::fs::File::create_new(&companions(&path)[0])
            })
            .expect("a file");
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .stdout(log.as_file().try_clone().expect("a handle"))
            .spawn()
            .expect("sleep");
        let found = holders(&path).expect("asked");
        child.kill().expect("killed");
        child.wait().expect("gone");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].pid, Some(child.id()));
    }
}
