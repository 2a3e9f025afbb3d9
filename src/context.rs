//! The facts that a caller gives to a verb: time, paths, and when to stop.

use std::{path::PathBuf, time::Instant};

use anyhow::Result;
use chrono::{DateTime, Utc};
use semver::Version;

use crate::{
    archive::scratch::ScratchFolders,
    crypt::Keys,
    disk::{life::Signs, tree::Privilege},
    model::{limits::UNLISTED_FILES, retention::Zone},
    source::behavior::SourceContext,
    store::{Environment, Maker},
    work::{
        Advance, Threads,
        cancel::{Stop, Watched},
        events::{Event, Events},
        read_clock::ReadClock,
        remarks::Remarks,
        shell::Runner,
    },
};

/// Everything that a verb may know of the world beside files.
#[derive(Clone)]
pub struct Context {
    /// The time, once for the whole run.
    pub now: DateTime<Utc>,
    /// The time zone of this machine.
    pub zone: Zone,
    /// The time at which the run began, for durations in reports.
    pub begun: Instant,
    /// The name of this machine.
    pub hostname: Option<String>,
    /// The version of this hookshot.
    pub version: Version,
    /// The folder for temporary copies.
    pub scratch: PathBuf,
    /// The folder for listings of archives if that one lacks room for them; `None` if they have nowhere else to go.
    pub spare: Option<PathBuf>,
    /// This program, for the helpers that it starts; `None` in a program that is not hookshot.
    pub program: Option<PathBuf>,
    /// Tells the files of this run apart from those of any other.
    pub unique: String,
    /// The signs by which other runs see that this one lives.
    pub signs: Signs,
    /// The variables of the environment.
    pub environment: Environment,
    /// True if we may give files away.
    pub privileged: bool,
    /// The threads that compress and inflate.
    pub threads: Threads,
    /// The most files of a directory source that has no listing ([`UNLISTED_FILES`]).
    pub unlisted_files: u64,
    /// The request to stop.
    pub stop: Stop,
    /// The private keys that open sealed archives.
    pub keys: Keys,
    /// The runner of the user's commands.
    pub runner: Runner,
    /// The receiver of our events.
    pub events: Events,
    /// The clock that runs while bytes are waited for.
    pub read_clock: ReadClock,
    /// The use of copies of indexes and records of repositories on this machine.
    pub copies: Copies,
}

/// The use of copies that this machine keeps of files elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Copies {
    /// They are read and written.
    #[default]
    Kept,
    /// They are neither read nor written.
    Unused,
}

impl Context {
    /// Returns the facts for one run in a program that links this library. `scratch` is the folder for temporary
    /// copies.
    ///
    /// The name of the machine and the variables of the environment are unknown, the zone is UTC, and events go nowhere. Set the
    /// fields to change that.
    pub fn new(now: DateTime<Utc>, scratch: PathBuf) -> Result<Context> {
        let nanoseconds = now.timestamp_nanos_opt().unwrap_or_default();
        Ok(Context {
            now,
            zone: Zone::UTC,
            begun: Instant::now(),
            hostname: None,
            version: Version::parse(env!("CARGO_PKG_VERSION"))?,
            scratch,
            spare: None,
            program: None,
            unique: format!("{:x}-{nanoseconds:x}", std::process::id()),
            signs: Signs::default(),
            environment: Environment::default(),
            privileged: nix::unistd::geteuid().is_root(),
            threads: Threads::available(),
            unlisted_files: UNLISTED_FILES,
            stop: Stop::default(),
            keys: Keys::default(),
            runner: Runner::default(),
            events: Events::default(),
            read_clock: ReadClock::default(),
            copies: Copies::default(),
        })
    }

    /// Returns the same facts with variables of the environment: names and values. The secrets among them are masked in
    /// the words of commands.
    #[must_use]
    pub fn with_variables(mut self, variables: Vec<(String, String)>) -> Context {
        self.environment.variables = variables;
        self.environment.mask_secrets(&self.runner.masks);
        self
    }

    /// Returns the time in RFC 3339, UTC.
    pub fn time(&self) -> String {
        self.now.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    }

    /// Returns the right of this process to give restored files to their owners.
    pub fn privilege(&self) -> Privilege {
        match self.privileged {
            true => Privilege::Root,
            false => Privilege::Ours,
        }
    }

    /// Returns the folders for temporary files of a reader of archives.
    pub fn scratch_folders(&self) -> ScratchFolders {
        ScratchFolders::new(self.scratch.clone(), self.spare.clone())
    }

    /// Returns a reader that reports the bytes that pass, and ends when we are to stop.
    pub fn watch<R>(&self, inner: R) -> Watched<R> {
        let clock = self.read_clock.clone();
        Watched::new(inner, self.stop.clone(), self.events.clone(), clock)
    }

    /// Reports bytes that were read, and ends the work when we are to stop.
    pub fn step(&self) -> impl Fn(u64) -> anyhow::Result<()> + '_ {
        |bytes| {
            self.events.advance(bytes);
            Ok(self.stop.check()?)
        }
    }

    /// Returns the identity of this run, for the uploads and markers that it writes to stores.
    pub fn maker(&self) -> Maker {
        let (life, folders) = self.signs.life();
        Maker {
            host: self.hostname.clone().unwrap_or_default(),
            pid: std::process::id(),
            begun: self.now,
            run: self.unique.clone(),
            life,
            folders,
        }
    }

    /// Returns the parts of the caller in reading a source.
    pub fn source<'a>(&'a self, step: &'a Advance<'a>) -> SourceContext<'a> {
        SourceContext {
            step,
            events: &self.events,
            runner: &self.runner,
            scratch: &self.scratch,
            program: self.program.as_deref(),
            threads: self.threads,
        }
    }

    /// Sends an event.
    pub fn tell(&self, event: impl Into<Event>) {
        self.events.send(event);
    }

    /// Returns an empty list of remarks that are sent as events.
    pub fn remarks(&self) -> Remarks {
        Remarks::new(&self.events)
    }

    /// Reports that a stage of the work begins, over `total` bytes if that is known.
    pub fn begin(&self, what: &'static str, total: Option<u64>) {
        self.events.begin(what, total);
    }
}
