//! The files of locks, as restic writes them (its design document, "Locks"): a text of JSON, sealed by the key of the
//! repository, under the digest of its bytes.

use std::sync::Arc;

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use nix::{errno::Errno, sys::signal::kill, unistd::Pid};
use rustic_core::{Id, repofile::MasterKey};
use serde::{Deserialize, Serialize};

use super::{listing::files, sealing::Sealing};
use crate::{
    archive::zstd_stream::unpack_small,
    disk::life::Liveness,
    error::{Failure, Kind},
    model::digest::Digest,
    store::{Maker, Sent, Store, Stored, require_arrived},
};

/// The age from which a lock counts as left behind, if its process cannot be seen. A process renews its lock long before.
const PATIENCE: TimeDelta = TimeDelta::minutes(30);
/// The largest lock that is read, in bytes.
const MAX_BYTES: u64 = 64 << 10;
/// The first byte of a text that is compressed by zstd.
const COMPRESSED: u8 = 2;
/// The longest text of a lock, in bytes.
const MAX_TEXT_BYTES: usize = 1 << 20;

/// The text of a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockText {
    /// The time at which it was written.
    pub time: DateTime<Utc>,
    /// True if its process has the repository alone.
    pub exclusive: bool,
    /// The machine of the process.
    #[serde(default)]
    pub hostname: String,
    /// The user of the process.
    #[serde(default)]
    pub username: String,
    /// The process.
    #[serde(default)]
    pub pid: u32,
    /// The signs by which a process of hookshot is known. Other programs ignore them, and write none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maker: Option<Maker>,
}

impl LockText {
    /// Returns true if `now` finds that a process of hookshot left it behind. A process that lives never did, and one
    /// that cannot be seen did if it has not renewed its lock for long.
    pub fn is_dead(&self, now: &Maker) -> bool {
        self.maker.as_ref().is_some_and(|maker| {
            maker.run != now.run
                && match maker.standing(now) {
                    Liveness::Alive => false,
                    Liveness::Dead => true,
                    Liveness::Unknown => self.is_old(),
                }
        })
    }

    /// Returns true if it was left behind by the rule of restic, which `restic unlock` goes by: it is old, or its process
    /// is not on this machine.
    pub fn is_stale(&self, now: &Maker) -> bool {
        if self.maker.is_some() {
            return self.is_dead(now);
        }
        let is_here = !self.hostname.is_empty() && self.hostname == now.host;
        self.is_old() || (is_here && !lives(self.pid))
    }

    fn is_old(&self) -> bool {
        Utc::now() - self.time > PATIENCE
    }
}

/// Returns true if a process of this machine has the number `pid`. /proc may hide those of other users (proc(5), hidepid).
fn lives(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().filter(|pid| *pid > 0);
    pid.is_some_and(|pid| kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH))
}

/// The name of a lock, and its text; `None` if it cannot be read.
pub type FoundLock = (String, Option<LockText>);

/// The locks that a listing shows.
pub struct FoundLocks {
    /// Those of others.
    pub others: Vec<FoundLock>,
    /// True if the own one is among them.
    pub has_own: bool,
}

/// A lock that was written.
pub struct WrittenLock {
    /// Its name.
    pub name: String,
    /// Its size in bytes, if the store acknowledged it, and it has to be seen there.
    unseen: Option<u64>,
}

/// The folder of locks, and the key that seals them.
#[derive(Clone)]
pub struct LockFolder {
    store: Arc<dyn Store>,
    key: Sealing,
}

impl LockFolder {
    /// Returns the locks in `store`, sealed by the key of the repository.
    pub fn new(store: Arc<dyn Store>, master: &MasterKey) -> Result<LockFolder> {
        let key = Sealing::by(master)?;
        Ok(LockFolder { store, key })
    }

    /// Returns its address, for messages.
    pub fn shown(&self) -> String {
        self.store.shown()
    }

    /// Returns true if the lock is there.
    pub fn has(&self, name: &str) -> Result<bool> {
        Ok(self.store.find(name)?.is_some())
    }

    /// Removes a lock, even while the process is asked to end.
    pub fn remove(&self, name: &str) -> Result<()> {
        self.store.clear_away(name)
    }

    /// Fails unless the store has the lock.
    pub fn require(&self, written: &WrittenLock) -> Result<()> {
        match written.unseen {
            Some(size_bytes) => require_arrived(&*self.store, &written.name, size_bytes),
            None => Ok(()),
        }
    }

    /// Returns the locks but the one called `own`.
    pub fn others(&self, own: Option<&str>) -> Result<FoundLocks> {
        let mut listed: Vec<Stored> = Vec::new();
        let mut has_own = false;
        files(&*self.store, &mut |stored| {
            let is_own = Some(&*stored.name) == own;
            has_own |= is_own;
            // Other files are not locks.
            if stored.name.parse::<Id>().is_ok() && !is_own {
                listed.push(stored);
            }
            Ok(())
        })?;
        let mut found = Vec::new();
        for stored in listed {
            if stored.size_bytes > MAX_BYTES {
                found.push((stored.name, None));
                continue;
            }
            match self.read(&stored.name) {
                Ok(sealed) => found.push((stored.name, self.unsealed(&sealed))),
                // Its process has ended.
                Err(error) if Failure::of(&error).kind == Kind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let others = found;
        Ok(FoundLocks { others, has_own })
    }

    /// Writes a lock. It has to be seen in a listing, or by [`require`](LockFolder::require).
    pub fn write(&self, text: &LockText, maker: &Maker) -> Result<WrittenLock> {
        let bytes = self.key.seal(&serde_json::to_vec(text)?)?;
        let name = Digest::of(&bytes).to_string();
        let unseen = match self.store.send(&name, &[&bytes], maker)? {
            Sent::Proven(_) => None,
            Sent::Acknowledged => Some(bytes.len() as u64),
        };
        Ok(WrittenLock { name, unseen })
    }

    fn read(&self, name: &str) -> Result<Vec<u8>> {
        let file = self.store.open(name)?;
        let length = usize::try_from(file.length()?.min(MAX_BYTES))?;
        let mut sealed = vec![0; length];
        file.read_exact_at(&mut sealed, 0)?;
        Ok(sealed)
    }

    fn unsealed(&self, sealed: &[u8]) -> Option<LockText> {
        let text = self.key.unseal(sealed)?;
        // restic compresses what is not in a pack, too.
        let text = match text.split_first() {
            Some((&COMPRESSED, packed)) => unpack_small(packed, MAX_TEXT_BYTES)?,
            _ => text,
        };
        serde_json::from_slice(&text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maker(host: &str, pid: u32, run: &str) -> Maker {
        Maker {
            host: host.to_owned(),
            pid,
            begun: Utc::now(),
            run: run.to_owned(),
            life: None,
            folders: Vec::new(),
        }
    }

    fn lock(age: i64, maker: Option<Maker>, pid: u32) -> LockText {
        LockText {
            time: Utc::now() - TimeDelta::minutes(age),
            exclusive: true,
            hostname: "web1".to_owned(),
            username: String::new(),
            pid,
            maker,
        }
    }

    #[test]
    fn a_lock_of_another_program_is_left_to_its_user_unless_that_asks() {
        let now = maker("web1", 1, "a");
        let lives = std::process::id();
        for (text, is_stale) in [
            (lock(0, None, lives), false),
            (lock(0, None, u32::MAX), true),
            (lock(31, None, lives), true),
        ] {
            assert!(!text.is_dead(&now), "{text:?}");
            assert_eq!(text.is_stale(&now), is_stale, "{text:?}");
        }
    }

    #[test]
    fn a_lock_of_a_run_that_cannot_be_seen_is_dead_once_it_is_old() {
        let now = maker("web1", 1, "a");
        // Both are number 1 of a container, on a machine of the same name.
        let other = || Some(maker("web1", 1, "b"));
        assert!(!lock(29, other(), 1).is_dead(&now));
        assert!(lock(31, other(), 1).is_dead(&now));
        assert!(!lock(31, Some(now.clone()), 1).is_dead(&now), "its own");
    }
}
