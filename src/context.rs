//! What a verb is told by its caller: time, place, and when to stop.

use std::{path::PathBuf, sync::Arc};

use chrono::{DateTime, Utc};
use semver::Version;

use crate::{
    disk::{life::Signs, tree::Privilege},
    store::Environment,
    work::{
        Threads,
        cancel::{Stop, Watched},
        events::Progress,
    },
};

/// Everything that a verb may know of the world beside files.
#[derive(Clone)]
pub struct Context {
    /// The time, once for the whole run.
    pub now: DateTime<Utc>,
    /// The name of this machine.
    pub hostname: Option<String>,
    /// The version of this hookshot.
    pub version: Version,
    /// Where copies that nobody keeps may lie.
    pub scratch: PathBuf,
    /// This program, for the helpers that it starts.
    pub program: PathBuf,
    /// Tells the files of this run apart from those of any other.
    pub unique: String,
    /// The signs by which other runs see that this one lives.
    pub signs: Signs,
    /// The variables of the environment.
    pub environment: Environment,
    /// Whether we may give files away.
    pub privileged: bool,
    /// How many threads compress and inflate.
    pub threads: Threads,
    /// When to stop.
    pub stop: Stop,
    /// Who wants to know how far we are.
    pub progress: Arc<dyn Progress>,
}

impl Context {
    /// The time in RFC 3339, UTC.
    pub fn time(&self) -> String {
        self.now.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    }

    /// Whether what is restored can be given to its owners.
    pub fn privilege(&self) -> Privilege {
        match self.privileged {
            true => Privilege::Root,
            false => Privilege::Ours,
        }
    }

    /// A reader that reports what passes and ends when we are to stop.
    pub fn watch<R>(&self, inner: R) -> Watched<R> {
        Watched::new(inner, self.stop.clone(), self.progress.clone())
    }

    /// Reports bytes that were read, and ends the work when we are to stop.
    pub fn step(&self) -> impl Fn(u64) -> anyhow::Result<()> + '_ {
        |bytes| {
            self.progress.advance(bytes);
            Ok(self.stop.check()?)
        }
    }

    /// Says what begins, and over how many bytes it goes.
    pub fn begin(&self, what: &'static str, total: Option<u64>) {
        self.progress.begin(what, total);
    }
}
