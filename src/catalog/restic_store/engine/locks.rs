//! Locks of restic's kind: processes that add content share a repository; one that removes something has it alone.
//!
//! A lock holds as long as its file exists. Another process may take a lock for left behind, after the sleep of a laptop
//! for example, and remove it. So the holder looks for its file again before a step that relies on it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};
use rustic_core::repofile::MasterKey;

use super::lock_file::{FoundLock, FoundLocks, LockFolder, LockText};
use crate::{
    error::{Failure, Kind},
    store::{Maker, Store},
};

/// The folder of locks.
pub const LOCKS: &str = "locks";
/// The time between writing a lock and looking for others, so that of two at the same time at least one sees the other.
const SETTLING: Duration = Duration::from_millis(200);
/// The time after which a lock is renewed.
const RENEWAL: Duration = Duration::from_secs(5 * 60);
/// The time for which a lock is believed to be there without another look.
const TRUST: Duration = Duration::from_secs(30);

/// The right that a lock gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// To read and to add, beside others.
    Shared,
    /// To remove, alone.
    Exclusive,
}

/// The locks of one repository.
#[derive(Clone)]
pub struct Locks {
    folder: LockFolder,
    maker: Maker,
}

/// A lock that is held, and renewed, until it is dropped.
pub struct Lock {
    held: Arc<HeldLock>,
    end: Option<Sender<()>>,
    renewal: Option<JoinHandle<()>>,
}

/// The file of a lock that is held.
pub struct HeldLock {
    locks: Locks,
    right: Right,
    files: Mutex<LockFiles>,
}

/// The names of a lock's files.
struct LockFiles {
    /// The one that holds; `None` if another process removed it.
    name: Option<String>,
    /// Earlier ones that could not be removed.
    old: Vec<String>,
    /// The time of the last look.
    seen: Instant,
    /// The same by the clock on the wall: the other one stands still while the machine sleeps.
    seen_at: DateTime<Utc>,
}

impl Locks {
    /// Returns the locks in `folder`, sealed by the key of the repository.
    pub fn new(folder: Arc<dyn Store>, master: &MasterKey, maker: Maker) -> Result<Locks> {
        let folder = LockFolder::new(folder, master)?;
        Ok(Locks { folder, maker })
    }

    /// Takes a lock. Fails with [`Kind::Blocked`] if the lock of another process is in the way.
    pub fn take(&self, right: Right) -> Result<Lock> {
        let mut others = Vec::new();
        for (name, text) in self.folder.others(None)?.others {
            match &text {
                Some(text) if text.is_dead(&self.maker) => self.folder.remove(&name)?,
                _ => others.push((name, text)),
            }
        }
        self.require_free(right, others)?;
        let written = self.folder.write(&self.text(right), &self.maker)?;
        let name = written.name.clone();
        let held = Arc::new(HeldLock {
            locks: self.clone(),
            right,
            files: Mutex::new(LockFiles {
                name: Some(name.clone()),
                old: Vec::new(),
                seen: Instant::now(),
                seen_at: Utc::now(),
            }),
        });
        let mut lock = Lock {
            held: held.clone(),
            end: None,
            renewal: None,
        };
        thread::sleep(SETTLING);
        let FoundLocks { others, has_own } = self.folder.others(Some(&name))?;
        self.require_free(right, others)?;
        if !has_own {
            self.folder.require(&written)?;
        }
        let (end, ended) = channel();
        let thread = thread::Builder::new().name("lock".to_owned());
        let renewal = thread.spawn(move || {
            while ended.recv_timeout(RENEWAL) == Err(RecvTimeoutError::Timeout) {
                held.renew();
            }
        });
        lock.end = Some(end);
        lock.renewal = Some(renewal.context("cannot start a thread")?);
        Ok(lock)
    }

    /// Removes locks that processes left behind by the rule of restic, or all, and returns their number.
    pub fn remove(&self, all: bool) -> Result<usize> {
        let mut removed = 0;
        for (name, text) in self.folder.others(None)?.others {
            if all || text.is_some_and(|text| text.is_stale(&self.maker)) {
                self.folder.remove(&name)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Fails if one of the locks `others` is in the way.
    fn require_free(&self, right: Right, others: Vec<FoundLock>) -> Result<()> {
        for (name, text) in others {
            let place = self.folder.shown();
            let message = match text {
                Some(text) if right == Right::Shared && !text.exclusive => continue,
                Some(text) => format!(
                    "{place} has the lock of process {} of {}, written at {}",
                    text.pid,
                    text.hostname,
                    text.time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
                ),
                // It may give the right to remove.
                None => format!("{place} has a lock that cannot be read, {name}"),
            };
            return Err(Failure::new(Kind::Blocked, message)
                .hint("wait for that process; `hookshot repo unlock` removes locks that are half an hour old or whose process is gone, `--all` every lock")
                .into());
        }
        Ok(())
    }

    fn text(&self, right: Right) -> LockText {
        LockText {
            time: Utc::now(),
            exclusive: right == Right::Exclusive,
            hostname: self.maker.host.clone(),
            username: String::new(),
            pid: self.maker.pid,
            maker: Some(self.maker.clone()),
        }
    }
}

impl HeldLock {
    /// Fails with [`Kind::Blocked`] if another process removed the lock.
    pub fn require(&self) -> Result<()> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let is_there = match &files.name {
            Some(name) => self.locks.folder.has(name)?,
            None => false,
        };
        if is_there {
            files.seen = Instant::now();
            files.seen_at = Utc::now();
            return Ok(());
        }
        files.name = None;
        let message = format!(
            "{} has lost the lock of this process: another one removed it",
            self.locks.folder.shown()
        );
        Err(Failure::new(Kind::Blocked, message)
            .hint(
                "run it again; `repo unlock --all` is for the time in which no process works there",
            )
            .into())
    }

    /// Returns true if the lock has a name for which `is_there` is true: it was just listed.
    pub fn is_named(&self, is_there: impl Fn(&str) -> bool) -> bool {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let is_there = files.name.as_deref().is_some_and(is_there);
        if is_there {
            files.seen = Instant::now();
            files.seen_at = Utc::now();
        }
        is_there
    }

    /// Does the same, unless it was there a moment ago.
    pub fn require_lately(&self) -> Result<()> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = (Utc::now() - files.seen_at).abs().to_std();
        let is_late = files.name.is_none()
            || files.seen.elapsed() > TRUST
            || passed.is_ok_and(|passed| passed > TRUST);
        drop(files);
        match is_late {
            true => self.require(),
            false => Ok(()),
        }
    }

    /// Writes the lock anew if it is still there. The old file holds until the new one is there.
    fn renew(&self) {
        if self.require().is_err() {
            return;
        }
        let locks = &self.locks;
        let Ok(written) = locks.folder.write(&locks.text(self.right), &locks.maker) else {
            return;
        };
        let is_there = locks.folder.require(&written).is_ok();
        let renewed = written.name;
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        // Another process may have taken the old one for left behind meanwhile, and have begun to remove content.
        let held = files.name.as_ref().map(|old| locks.folder.has(old));
        if !is_there || !matches!(held, Some(Ok(true))) {
            files.old.push(renewed);
            files.old.retain(|name| locks.folder.remove(name).is_err());
            return;
        }
        let old = files.name.replace(renewed);
        files.old.extend(old);
        files.old.retain(|name| locks.folder.remove(name).is_err());
    }
}

impl Lock {
    /// Returns what tells if it still holds.
    pub fn held(&self) -> Arc<HeldLock> {
        self.held.clone()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.end = None;
        if let Some(renewal) = self.renewal.take() {
            drop(renewal.join());
        }
        let files = self.held.files.lock();
        let mut files = files.unwrap_or_else(PoisonError::into_inner);
        let names = files.name.take().into_iter().chain(files.old.drain(..));
        for name in names.collect::<Vec<String>>() {
            drop(self.held.locks.folder.remove(&name));
        }
    }
}
