//! The check of every database that was restored: single ones, and those among the files of directories.

use std::{
    fs::Metadata,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::{
    context::Context,
    disk::below::visit_below,
    machine::contents,
    model::{engine::Engine, entry_name::EntryName},
    source::{database::DatabaseVerdict, engines},
    work::remarks::Remarks,
};

/// A restored database.
struct Database<'a> {
    entry: &'a EntryName,
    engine: Engine,
    path: PathBuf,
    /// Its name, for messages.
    shown: String,
}

/// Checks the databases among `entries` as `verify --deep` does, and returns every fault.
pub fn check(
    context: &Context,
    entries: &[(EntryName, PathBuf)],
    remarks: &mut Remarks,
) -> Result<Vec<String>> {
    let mut databases = Vec::new();
    for (entry, path) in entries {
        find(context, entry, path, &mut databases)?;
    }
    let size = |database: &Database<'_>| database.path.metadata().map_or(0, |one| one.len());
    context.begin(
        "looking into databases",
        Some(databases.iter().map(size).sum()),
    );
    let mut faults = Vec::new();
    for database in &databases {
        context.stop.check()?;
        let engine = engines::engine(database.engine);
        let shown = &database.shown;
        let extent = match engine.judge_thoroughly(&database.path, &context.step())? {
            DatabaseVerdict::Good(extent) => extent,
            DatabaseVerdict::Index {
                fault,
                remedy,
                extent,
            } => {
                faults.push(format!(
                    "the database {shown} in the archive: {fault}; {remedy}"
                ));
                Some(extent)
            }
            DatabaseVerdict::Damaged(finding) => {
                faults.push(format!(
                    "the database {shown} in the archive does not open cleanly: {finding}"
                ));
                None
            }
        };
        if let Some(extent) = &extent {
            contents::say_checked(extent, database.entry, shown, remarks);
        }
    }
    Ok(faults)
}

/// Adds the databases of an entry. Links are not followed: what they lead to is not part of it.
fn find<'a>(
    context: &Context,
    entry: &'a EntryName,
    top: &Path,
    databases: &mut Vec<Database<'a>>,
) -> Result<()> {
    let mut stopped = Ok(());
    let mut look = |path: &Path, metadata: &Metadata| {
        stopped = context.stop.check();
        if stopped.is_err() {
            return ControlFlow::Break(());
        }
        let found = match metadata.is_file() {
            true => engines::recognize(path).flatten(),
            false => None,
        };
        databases.extend(found.map(|engine| Database {
            entry,
            engine,
            path: path.to_owned(),
            shown: match path.strip_prefix(top) {
                Ok(inside) if !inside.as_os_str().is_empty() => {
                    format!("{entry}/{}", inside.display())
                }
                _ => entry.to_string(),
            },
        }));
        ControlFlow::Continue(())
    };
    let metadata = top.symlink_metadata()?;
    let _ = look(top, &metadata);
    if metadata.is_dir() {
        visit_below(top, &|_, _| true, &mut look);
    }
    Ok(stopped?)
}
