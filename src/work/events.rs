//! Events: what a verb tells while it works. They are facts, and a face turns them into words, a bar or log lines.

mod agent;
mod archives;
mod catalog;
mod export;
mod guard;
mod job;
mod notify;
mod restore;

use std::{fmt, sync::Arc};

pub use self::{
    agent::{AgentEvent, AgentRun},
    archives::ArchiveEvent,
    catalog::{ArchiveFlaw, CatalogEvent, NextArchive},
    export::{ExportEvent, NoReuse},
    guard::{GuardEvent, GuardNote, GuardPhase, KilledGuard},
    job::JobEvent,
    notify::NotifyEvent,
    restore::{Recovery, RestoreEvent},
};
use super::remark::Remark;

/// One event.
#[derive(Debug, Clone)]
pub enum Event {
    /// A stage of the work begins, over `total` bytes if that is known.
    Stage {
        /// Its name.
        what: &'static str,
        /// The bytes that it goes over.
        total: Option<u64>,
        /// The files that it goes over.
        files: Option<u64>,
    },
    /// Further bytes and files of the stage are done.
    Progress {
        /// The number of bytes.
        bytes: u64,
        /// The number of files; only directories are counted by files.
        files: u64,
    },
    /// A part was left undone.
    LeftUndone(Remark),
    /// A warning was recorded.
    Warning(Remark),
    /// A step of a verb that works with archives.
    Archive(ArchiveEvent),
    /// A step of work with the archives of a destination.
    Catalog(CatalogEvent),
    /// A step of an export.
    Export(ExportEvent),
    /// A step of an import or a rollback, or of the recovery of one.
    Restore(RestoreEvent),
    /// An event of the agent.
    Agent(AgentEvent),
    /// A step of a notification.
    Notify(NotifyEvent),
    /// A step of an unattended job.
    Job(JobEvent),
    /// A step of work that stops the service.
    Guard(GuardEvent),
}

impl From<AgentEvent> for Event {
    fn from(event: AgentEvent) -> Event {
        Event::Agent(event)
    }
}

impl From<ArchiveEvent> for Event {
    fn from(event: ArchiveEvent) -> Event {
        Event::Archive(event)
    }
}

impl From<CatalogEvent> for Event {
    fn from(event: CatalogEvent) -> Event {
        Event::Catalog(event)
    }
}

impl From<ExportEvent> for Event {
    fn from(event: ExportEvent) -> Event {
        Event::Export(event)
    }
}

impl From<GuardEvent> for Event {
    fn from(event: GuardEvent) -> Event {
        Event::Guard(event)
    }
}

impl From<JobEvent> for Event {
    fn from(event: JobEvent) -> Event {
        Event::Job(event)
    }
}

impl From<RestoreEvent> for Event {
    fn from(event: RestoreEvent) -> Event {
        Event::Restore(event)
    }
}

impl From<NotifyEvent> for Event {
    fn from(event: NotifyEvent) -> Event {
        Event::Notify(event)
    }
}

/// A receiver of events. The work waits for it, and several threads may send at once.
pub trait Receiver: Send + Sync {
    /// Takes an event.
    fn receive(&self, event: Event);
}

/// A handle to the receiver of events; without a receiver, events go nowhere.
#[derive(Clone, Default)]
pub struct Events(Option<Arc<dyn Receiver>>);

impl Events {
    /// Returns the handle to `receiver`.
    pub fn new(receiver: impl Receiver + 'static) -> Events {
        Events(Some(Arc::new(receiver)))
    }

    /// Sends an event.
    pub fn send(&self, event: impl Into<Event>) {
        if let Some(receiver) = &self.0 {
            receiver.receive(event.into());
        }
    }

    /// Reports that a stage of the work begins, over `total` bytes if that is known.
    pub fn begin(&self, what: &'static str, total: Option<u64>) {
        let files = None;
        self.send(Event::Stage { what, total, files });
    }

    /// Reports that a stage of the work begins, over this number of files.
    pub fn begin_files(&self, what: &'static str, files: u64) {
        let (total, files) = (None, Some(files));
        self.send(Event::Stage { what, total, files });
    }

    /// Adds `bytes` to those that are done.
    pub fn advance(&self, bytes: u64) {
        self.send(Event::Progress { bytes, files: 0 });
    }

    /// Adds `files` of a directory, and `bytes`, to those that are done.
    pub fn advance_files(&self, files: u64, bytes: u64) {
        self.send(Event::Progress { bytes, files });
    }

    /// Returns `items`, and adds each file among them to those that are done; many of them at a time.
    pub fn count<T>(
        &self,
        items: impl Iterator<Item = T>,
        is_file: impl Fn(&T) -> bool,
    ) -> impl Iterator<Item = T> {
        let mut files = 0;
        items.inspect(move |item| {
            if is_file(item) {
                files += 1;
                self.count_one(files);
            }
        })
    }

    /// Adds a file to those that are done, the last of `files` so far; many of them at a time.
    pub fn count_one(&self, files: u64) {
        const STEP: u64 = 256;
        if files.is_multiple_of(STEP) {
            self.advance_files(STEP, 0);
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}
