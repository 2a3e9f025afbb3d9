//! Signs of life: what tells a run of hookshot from every other, and whether it still lives, seen from another run.
//!
//! The number of a process does not tell that: other machines, and containers beside this one, have the same numbers,
//! and a container's first process is number 1 each time. So a run is known by the start of its machine, its PID
//! namespace, its number there and the moment in which it began. It also keeps a lock in the folders of its state
//! (fcntl(2), "Open file description locks"), which a run in another namespace sees if it works on the same folders.
//!
//! Not promised: a verdict. Whatever cannot be known is [`Liveness::Unknown`].

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use rustix::{
    io::Errno,
    process::{Pid, test_kill_process},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::range_lock::{self, Range};

/// The first PID namespace of a machine, which sees all others (linux/proc_ns.h, `PROC_PID_INIT_INO`).
const FIRST_NAMESPACE: u64 = 4_026_531_836;
/// The digits of the mark of a machine's start, and of a folder.
const BOOT_DIGITS: usize = 12;
const FOLDER_DIGITS: usize = 8;

/// The signs by which a process is known, beside its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// Tells one start of one machine from all others (random(4), `boot_id`).
    pub boot: String,
    /// The inode of its PID namespace (namespaces(7)).
    pub namespace: u64,
    /// When it began, in ticks since the start of the machine (proc_pid_stat(5), field 22).
    pub started: u64,
    /// The marks of the folders in which it keeps a lock.
    pub folders: Vec<String>,
}

/// The state of a process, as far as that can be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// It lives.
    Alive,
    /// It has ended.
    Dead,
    /// It runs, or ran, where we cannot look.
    Unknown,
}

/// The signs that this process gives: the locks that it keeps as long as it lives.
#[derive(Debug, Clone, Default)]
pub struct Signs {
    kept: Arc<Mutex<Vec<Kept>>>,
}

#[derive(Debug)]
struct Kept {
    folder: PathBuf,
    mark: String,
    _lock: File,
}

impl Signs {
    /// Keeps a lock in each of `folders`, as far as that goes: it is there for others alone.
    pub fn keep_in(&self, folders: &[PathBuf]) {
        let Some(life) = Life::here() else { return };
        let range = range(std::process::id(), &life);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for folder in folders {
            if let Ok(lock) = File::open(folder)
                && let Ok(mark) = mark_of(&lock)
                && kept.iter().all(|kept| kept.mark != mark)
                && range_lock::share(&lock, range).unwrap_or(false)
            {
                let folder = folder.clone();
                kept.push(Kept {
                    folder,
                    mark,
                    _lock: lock,
                });
            }
        }
    }

    /// Returns the signs of this process, and the folders that it keeps a lock in; `None` if /proc does not show it.
    pub fn life(&self) -> (Option<Life>, Vec<PathBuf>) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let life = Life::here().map(|life| Life {
            folders: kept.iter().map(|kept| kept.mark.clone()).collect(),
            ..life
        });
        (life, kept.iter().map(|kept| kept.folder.clone()).collect())
    }
}

impl Life {
    /// Returns the signs of this process, without folders; `None` if /proc is missing, or shows another namespace.
    pub fn here() -> Option<Life> {
        let shown = fs::read_link("/proc/self").ok()?;
        if shown != Path::new(&std::process::id().to_string()) {
            return None;
        }
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(Life {
            boot: mark(boot.trim().as_bytes(), BOOT_DIGITS),
            namespace: namespace_of("self").ok()?,
            started: started("self")?,
            folders: Vec::new(),
        })
    }

    /// Tells whether the process `pid` with the signs `self` lives, seen from this process, whose signs are `here`, and
    /// which works on `folders`.
    pub fn standing(&self, pid: u32, here: &Life, folders: &[PathBuf]) -> Liveness {
        if self.boot != here.boot {
            return Liveness::Unknown;
        }
        // Numbers of namespaces are used again, but those of processes that live are not: one that is found nowhere in
        // this namespace has ended, and so has a namespace whose number is ours.
        if self.namespace == here.namespace {
            return self.standing_here(pid);
        }
        for folder in folders {
            if let Ok(file) = File::open(folder)
                && mark_of(&file).is_ok_and(|mark| self.folders.contains(&mark))
                && let Ok(is_locked) = range_lock::is_locked(&file, range(pid, self))
            {
                return match is_locked {
                    true => Liveness::Alive,
                    false => Liveness::Dead,
                };
            }
        }
        self.standing_below(pid, here).unwrap_or(Liveness::Unknown)
    }

    fn standing_here(&self, pid: u32) -> Liveness {
        if started(&pid.to_string()) == Some(self.started) {
            return Liveness::Alive;
        }
        let is_shown = Path::new(&format!("/proc/{pid}")).exists();
        // /proc may hide the processes of others (proc(5), `hidepid`).
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
        match number.map(test_kill_process) {
            Some(Ok(()) | Err(Errno::PERM)) if !is_shown => Liveness::Unknown,
            _ => Liveness::Dead,
        }
    }

    /// Looks for the process in all namespaces, which root sees from the first one; `None` if we do not see everything.
    fn standing_below(&self, pid: u32, here: &Life) -> Option<Liveness> {
        let sees_all = here.namespace == FIRST_NAMESPACE && nix::unistd::geteuid().is_root();
        if !sees_all || hides_processes()? {
            return None;
        }
        for entry in fs::read_dir("/proc").ok()? {
            let name = entry.ok()?.file_name();
            let Some(number) = name.to_str().filter(|name| name.parse::<u32>().is_ok()) else {
                continue;
            };
            // Which namespace it is in is not always shown. One that only looks like it counts as it.
            if started(number) == Some(self.started) && inner_number(number) == Some(pid) {
                return Some(Liveness::Alive);
            }
        }
        Some(Liveness::Dead)
    }
}

/// Returns true if /proc hides the processes of others from some (proc(5), `hidepid`).
fn hides_processes() -> Option<bool> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mut lines = mounts.lines();
    Some(lines.any(|line| line.contains(" /proc proc ") && line.contains("hidepid=")))
}

/// Reads the inode of the PID namespace of a process.
fn namespace_of(process: &str) -> io::Result<u64> {
    let link = fs::read_link(format!("/proc/{process}/ns/pid"))?;
    let number = link.to_str().and_then(|link| {
        let number = link.strip_prefix("pid:[")?.strip_suffix(']')?;
        number.parse().ok()
    });
    number.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Reads when a process began; `None` if it has ended.
fn started(process: &str) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in brackets may hold anything; behind it comes field 3, the state.
    let mut fields = stat.rsplit(')').next()?.split_whitespace();
    let state = fields.next()?;
    let started = fields.nth(18)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(started)
}

/// Reads the number of a process in its own PID namespace (proc_pid_status(5), `NSpid`).
fn inner_number(process: &str) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let numbers = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))?;
    numbers.split_whitespace().last()?.parse().ok()
}

/// Returns the byte that a run locks in the folders that it works on: far behind whatever others may lock.
fn range(pid: u32, life: &Life) -> Range {
    let run = format!("{}-{pid}-{}", life.namespace, life.started);
    let hash = Sha256::digest(run);
    let begin = hash[..7]
        .iter()
        .fold(1_i64, |begin, byte| begin << 8 | i64::from(*byte));
    (begin, 1)
}

/// Tells folders apart, as long as they are in use.
fn mark_of(folder: &File) -> io::Result<String> {
    let metadata = folder.metadata()?;
    let place = format!("{}-{}", metadata.dev(), metadata.ino());
    Ok(mark(place.as_bytes(), FOLDER_DIGITS))
}

fn mark(bytes: &[u8], digits: usize) -> String {
    let mut mark = hex::encode(Sha256::digest(bytes));
    mark.truncate(digits);
    mark
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> Life {
        Life::here().expect("/proc shows us")
    }

    #[test]
    fn a_process_is_known_by_its_number_and_its_beginning() {
        let (pid, here) = (std::process::id(), here());
        assert_eq!(here.standing(pid, &here, &[]), Liveness::Alive);
        let earlier = Life {
            started: here.started - 1,
            ..here.clone()
        };
        assert_eq!(
            earlier.standing(pid, &here, &[]),
            Liveness::Dead,
            "a number that is used again"
        );
        let elsewhere = Life {
            boot: "other".to_owned(),
            ..earlier
        };
        assert_eq!(elsewhere.standing(pid, &here, &[]), Liveness::Unknown);
    }

    #[test]
    fn a_process_that_nobody_waited_for_is_dead() {
        let mut child = std::process::Command::new("true")
            .spawn()
            .expect("a process");
        let process = child.id().to_string();
        while started(&process).is_some() {
            std::thread::yield_now();
        }
        assert_eq!(here().standing(child.id(), &here(), &[]), Liveness::Dead);
        child.wait().expect("its end");
    }

    #[test]
    fn a_lock_in_a_common_folder_is_seen_from_another_namespace() {
        let folder = tempfile::tempdir().expect("a folder");
        let folders = [folder.path().to_owned()];
        let signs = Signs::default();
        signs.keep_in(&folders);
        signs.keep_in(&folders);
        let (life, kept) = signs.life();
        let life = life.expect("/proc shows us");
        assert_eq!(kept, folders);
        let pid = std::process::id();
        // Another namespace that is not the first one of a machine.
        let beside = Life {
            namespace: 1,
            ..life.clone()
        };
        assert_eq!(life.standing(pid, &beside, &folders), Liveness::Alive);
        assert_eq!(life.standing(pid, &beside, &[]), Liveness::Unknown);
        drop(signs);
        assert_eq!(life.standing(pid, &beside, &folders), Liveness::Dead);
    }
}
