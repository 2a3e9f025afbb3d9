//! The facts that `main` reads and hands to a run.

use std::{ffi::OsString, path::PathBuf, time::Instant};

use anyhow::Result;
use chrono::{DateTime, Utc};

use super::local_zone::local_zone;
use crate::{
    config::Choices,
    context::Context,
    store::Environment,
    work::{
        Threads,
        cancel::Stop,
        events::Events,
        session::SessionStarter,
        shell::{Masks, Runner},
    },
};

/// The facts that the process knows when it starts. The variables hold secrets, so they are never printed.
#[derive(Clone)]
pub struct World {
    /// The command line, the program's name first.
    pub arguments: Vec<OsString>,
    /// The paths of the state that the environment names.
    pub environment: Choices,
    /// Every variable of the environment; in values, U+FFFD stands for what is not UTF-8.
    pub variables: Vec<(String, String)>,
    /// The time.
    pub now: DateTime<Utc>,
    /// Tells the time at any moment.
    pub clock: fn() -> DateTime<Utc>,
    /// The start of the process.
    pub begun: Instant,
    /// The folder for temporary files.
    pub scratch: PathBuf,
    /// False if the working folder was removed.
    pub has_folder: bool,
    /// This program.
    pub executable: PathBuf,
    /// A word that no other run on this machine has.
    pub unique: String,
}

impl World {
    /// Returns the folder that `~` stands for, if the environment names one.
    pub fn home(&self) -> Option<&str> {
        let home = self.variables.iter().find(|(name, _)| name == "HOME");
        home.map(|(_, home)| home.as_str())
    }

    /// Returns what a verb may know of the world.
    pub fn context(self, threads: Threads, stop: Stop, events: Events) -> Result<Context> {
        let zone = self.variables.iter().find(|(name, _)| name == "TZ");
        let zone = local_zone(zone.map(|(_, zone)| zone.as_str()));
        let starter = SessionStarter::new(self.executable.clone());
        let environment = Environment {
            starter: starter.clone(),
            ..Environment::default()
        };
        let runner = Runner {
            starter,
            masks: Masks::default(),
            variables: Vec::new(),
        };
        let context = Context {
            zone,
            begun: self.begun,
            hostname: nix::unistd::gethostname()
                .ok()
                .and_then(|name| name.into_string().ok()),
            program: Some(self.executable),
            unique: self.unique,
            environment,
            threads,
            stop,
            runner,
            events,
            ..Context::new(self.now, self.scratch)?
        };
        Ok(context.with_variables(self.variables))
    }
}
