//! The processes that hold a lock on a file, from the kernel's list (proc_locks(5)).

use std::{
    collections::{BTreeSet, HashMap},
    fs::{self, File, Metadata},
    io,
    ops::ControlFlow,
    os::{fd::AsRawFd as _, unix::fs::MetadataExt as _},
    path::Path,
};

use super::{open::has_open, process::Holder};
use crate::disk::{below::visit_below, open_regular, range_lock::locked_by};

/// The first PID namespace of a machine, which sees all others (linux/proc_ns.h, `PROC_PID_INIT_INO`).
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// A whole-file lock of the kind flock(2) makes, as /proc/locks lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Listed {
    pid: Option<u32>,
    flock: bool,
    inode: u64,
    device: (u64, u64),
}

/// Finds the processes that hold a flock(2) lock on `file`, ourselves left out unless no other does.
pub fn lock_holders(file: &File) -> io::Result<Vec<Holder>> {
    let mut pids: Vec<u32> = flocks_on(file)?
        .into_iter()
        .filter_map(|lock| lock.pid)
        .collect();
    pids.sort_unstable();
    pids.dedup();
    Ok(pids.into_iter().map(Holder::of).collect())
}

/// Returns true if any process holds a flock(2) lock on `file`. A pure query: nothing is locked for it.
///
/// Except in a container: there the kernel's list leaves out the locks of processes of other PID namespaces, so the
/// lock is taken for an instant. A process that wants it in that instant does not get it.
pub fn is_flocked(file: &File) -> io::Result<bool> {
    if !flocks_on(file)?.is_empty() {
        return Ok(true);
    }
    if lists_all_locks() {
        return Ok(false);
    }
    // Locks belong to an open file description: one of our own, which ends here.
    let own = File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    match fs2::FileExt::try_lock_exclusive(&own) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        // Some network file systems lock only what is open for writing.
        _ => Ok(false),
    }
}

/// Returns true if /proc/locks has the locks of every process: it leaves out what lies beyond its PID namespace.
fn lists_all_locks() -> bool {
    let namespace = fs::read_link("/proc/self/ns/pid");
    namespace.is_ok_and(|namespace| namespace == Path::new(FIRST_PID_NAMESPACE))
}

/// Finds the processes that hold any lock on a file of the folder at `path`, or below it.
///
/// The kernel's list of locks names files by device and number. What it leaves out in a container is asked of each
/// file.
pub fn locked_below(path: &Path) -> io::Result<Vec<Holder>> {
    let device = path.metadata()?.dev();
    let table = fs::read_to_string("/proc/locks")?;
    let mut locks: HashMap<u64, Vec<Listed>> = HashMap::new();
    for lock in table.lines().filter_map(parse_lock) {
        locks.entry(lock.inode).or_default().push(lock);
    }
    let is_part = |_: &Path, metadata: &Metadata| metadata.dev() == device;
    let mut pids = BTreeSet::new();
    visit_below(path, &is_part, &mut |_, metadata| {
        let on_it = locks.get(&metadata.ino()).into_iter().flatten();
        let on_it = on_it.filter(|lock| {
            metadata.is_file()
                && numbers(metadata.dev()) == lock.device
                && lock.pid != Some(std::process::id())
        });
        pids.extend(on_it.map(|lock| lock.pid));
        ControlFlow::Continue(())
    });
    let mut found: Vec<Holder> = pids
        .into_iter()
        .map(|pid| pid.map_or_else(Holder::unknown, Holder::of))
        .collect();
    if found.is_empty() && !lists_all_locks() {
        visit_below(path, &is_part, &mut |path, metadata| {
            // A file that we may not read cannot be asked for locks.
            let file = match metadata.is_file() {
                true => open_regular(path).ok(),
                false => None,
            };
            let holder = file.and_then(|file| locked_by(&file, (0, 0)).ok().flatten());
            found.extend(holder);
            match found.is_empty() {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
    }
    Ok(found)
}

/// Returns a process that has a lock of any kind on the file at `path`, from the kernel's list: it names the locks on
/// files that we may not open, too.
pub fn listed_on(path: &Path) -> io::Result<Option<Holder>> {
    let metadata = path.metadata()?;
    let table = fs::read_to_string("/proc/locks")?;
    let lock = table.lines().filter_map(parse_lock).find(|lock| {
        lock.inode == metadata.ino()
            && lock.device == numbers(metadata.dev())
            && lock.pid != Some(std::process::id())
    });
    Ok(lock.map(|lock| lock.pid.map_or_else(Holder::unknown, Holder::of)))
}

/// Returns a device as /proc/locks writes it.
fn numbers(device: u64) -> (u64, u64) {
    let (major, minor) = (nix::libc::major(device), nix::libc::minor(device));
    (major.into(), minor.into())
}

fn flocks_on(file: &File) -> io::Result<Vec<Listed>> {
    let metadata = file.metadata()?;
    let device = numbers(metadata.dev());
    let table = fs::read_to_string("/proc/locks")?;
    let candidates = table
        .lines()
        .filter_map(parse_lock)
        .filter(|lock| lock.flock && lock.inode == metadata.ino());
    // btrfs and overlayfs give files another device than the one their locks are listed under: there the process
    // must really have the file open.
    Ok(candidates
        .filter(|lock| {
            lock.device == device
                || lock
                    .pid
                    .is_some_and(|pid| has_open(pid, metadata.dev(), metadata.ino()).is_some())
        })
        .collect())
}

/// Reads a line: `1: FLOCK  ADVISORY  WRITE 123 08:01:456 0 EOF`; waiting locks (`->`) hold nothing.
fn parse_lock(line: &str) -> Option<Listed> {
    let mut fields = line.split_whitespace().skip(1);
    let kind = fields.next().filter(|kind| *kind != "->")?;
    let pid: i64 = fields.nth(2)?.parse().ok()?;
    let mut place = fields.next()?.split(':');
    let mut hex = || u64::from_str_radix(place.next()?, 16).ok();
    let device = (hex()?, hex()?);
    let inode = place.next()?.parse().ok()?;
    Some(Listed {
        pid: u32::try_from(pid).ok().filter(|pid| *pid > 0),
        flock: kind == "FLOCK",
        inode,
        device,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_lock_table_are_understood() {
        let lock = parse_lock("12: FLOCK  ADVISORY  WRITE 2345 fe:01:1311 0 EOF").expect("a lock");
        assert_eq!(
            lock,
            Listed {
                pid: Some(2345),
                flock: true,
                inode: 1311,
                device: (0xfe, 1)
            }
        );
        let lock = parse_lock("3: OFDLCK ADVISORY  READ -1 00:2a:77 0 4611686018427387904")
            .expect("a lock");
        assert_eq!((lock.pid, lock.flock), (None, false));
        for line in [
            "",
            "1: -> FLOCK ADVISORY WRITE 7 fe:01:1311 0 EOF",
            "1: FLOCK ADVISORY WRITE x fe:01:1 0 EOF",
            "1: FLOCK",
        ] {
            assert_eq!(parse_lock(line), None, "{line}");
        }
    }
}
