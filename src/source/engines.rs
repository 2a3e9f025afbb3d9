//! The engines of databases: one arm each.

use std::path::Path;

use super::{database::DatabaseEngine, redb::source::RedbEngine, sqlite::source::SqliteEngine};
use crate::{disk::open_regular, model::engine::Engine};

/// Returns the implementation of an engine.
pub fn engine(engine: Engine) -> &'static dyn DatabaseEngine {
    match engine {
        Engine::Redb => &RedbEngine,
        Engine::Sqlite => &SqliteEngine,
    }
}

/// Returns the engine of the database at `path`; `None` inside if it is not a database, and outside if it cannot be
/// opened.
pub fn recognize(path: &Path) -> Option<Option<Engine>> {
    let file = open_regular(path).ok()?;
    let mut all = Engine::ALL.into_iter();
    Some(all.find(|one| engine(*one).owns(&file)))
}
