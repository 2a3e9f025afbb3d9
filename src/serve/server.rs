//! The server: what its routes share.

use std::{
    path::{Path, PathBuf},
    sync::Mutex,
};

use chrono::{DateTime, Utc};

use super::{
    database::{Database, id_of},
    origin::Origin,
    password::Checks,
    program::Program,
    runs::Runs,
    tries::Tries,
};

/// The time at which the last look at the destinations began, in Unix seconds.
#[derive(Debug, Default)]
pub struct Looking(pub Mutex<Option<i64>>);

/// The server at work.
pub struct Server {
    /// Its state.
    pub database: Database,
    /// The verbs.
    pub program: Program,
    /// Its names and addresses.
    pub origin: Origin,
    /// The configurations that it looks after.
    pub configs: Vec<PathBuf>,
    /// The checks of passwords.
    pub checks: Checks,
    /// The tries of passwords.
    pub tries: Tries,
    /// The runs at work.
    pub runs: Runs,
    /// The looks at the destinations.
    pub looking: Looking,
    /// The clock.
    pub clock: fn() -> DateTime<Utc>,
    /// The name of this machine.
    pub host: String,
    /// Held while a plan is applied: one at a time.
    pub applying: tokio::sync::Mutex<()>,
}

impl Server {
    /// Returns the time.
    pub fn now(&self) -> DateTime<Utc> {
        (self.clock)()
    }

    /// Returns the configuration of this identifier.
    pub fn config_of(&self, id: &str) -> Option<&Path> {
        let mut configs = self.configs.iter();
        let config = configs.find(|config| id_of(&config.display().to_string(), "") == id);
        config.map(PathBuf::as_path)
    }

    /// Returns the configuration of this name, if it is one of ours.
    pub fn config(&self, name: &str) -> Option<&Path> {
        let mut configs = self.configs.iter();
        let config = configs.find(|config| config.display().to_string() == name);
        config.map(PathBuf::as_path)
    }
}
