//! The processes that have a file, or anything in a folder, open (proc_pid_fd(5)).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ffi::OsStr,
    fs::{self, Metadata},
    io,
    ops::ControlFlow,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use super::process::{Holder, OpenMode};
use crate::disk::{
    below::visit_below,
    folder_of,
    mounts::{is_same_mount, namespace_of},
};

/// Finds the other processes that have the file at `path` open, as far as we may see them.
pub fn open_by(path: &Path) -> io::Result<Vec<(Holder, OpenMode)>> {
    let metadata = path.metadata()?;
    let mut found = BTreeMap::new();
    for process in fs::read_dir("/proc")? {
        let name = process?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if pid != std::process::id()
            && let Some(mode) = has_open(pid, metadata.dev(), metadata.ino())
        {
            found.insert(pid, mode);
        }
    }
    Ok(found
        .into_iter()
        .map(|(pid, mode)| (Holder::of(pid), mode))
        .collect())
}

/// Returns the other processes that have open what was at `path` until it was deleted, as far as we may see them: they
/// work on a file that has no name any more, whatever is at `path` now.
pub fn open_deleted(path: &Path) -> Vec<(Holder, OpenMode)> {
    let (Ok(folder), Some(name)) = (folder_of(path).canonicalize(), path.file_name()) else {
        return Vec::new();
    };
    let Ok(place) = folder.metadata() else {
        return Vec::new();
    };
    let is_folder = |path: &Path| {
        let is_it = |other: fs::Metadata| (other.dev(), other.ino()) == (place.dev(), place.ino());
        path.metadata().is_ok_and(is_it)
    };
    let mut deleted = folder.join(name).into_os_string();
    deleted.push(DELETED);
    let mut found = BTreeMap::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = process.file_name();
        let Some(pid) = pid.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if pid == std::process::id() {
            continue;
        }
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"));
        for entry in descriptors.into_iter().flatten().flatten() {
            let Ok(link) = fs::read_link(entry.path()) else {
                continue;
            };
            if link.file_name() != Path::new(&deleted).file_name() {
                continue;
            }
            // In a container the folder may have another path, seen from the process's root.
            let seen = link
                .parent()
                .and_then(|parent| parent.strip_prefix("/").ok());
            let is_there = link.as_os_str() == deleted
                || seen.is_some_and(|seen| {
                    is_folder(&Path::new(&format!("/proc/{pid}/root")).join(seen))
                });
            let metadata = fs::metadata(entry.path()).ok().filter(|_| is_there);
            if metadata.is_some_and(|found| found.nlink() == 0 && found.dev() == place.dev()) {
                let mode = mode_of(&entry);
                let known = found.entry(pid).or_insert(mode);
                *known = mode.max(*known);
            }
        }
    }
    found
        .into_iter()
        .map(|(pid, mode)| (Holder::of(pid), mode))
        .collect()
}

/// The text that the kernel puts behind the path of a file that was deleted (proc_pid_fd(5)).
const DELETED: &str = " (deleted)";

/// Finds the files that lay in the folder at `folder`, or below it, and were deleted while other processes have them
/// open, as far as we may see them: each process, the path that the file had, and the mode.
///
/// Not promised: that a process is found to which the folder has another path, as in a container.
pub fn deleted_below(folder: &Path) -> Vec<(Holder, PathBuf, OpenMode)> {
    let Ok(folder) = folder.canonicalize() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = process.file_name();
        let Some(pid) = pid.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if pid == std::process::id() {
            continue;
        }
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"));
        for entry in descriptors.into_iter().flatten().flatten() {
            let Ok(link) = fs::read_link(entry.path()) else {
                continue;
            };
            let bytes = link.as_os_str().as_bytes();
            let Some(path) = bytes.strip_suffix(DELETED.as_bytes()) else {
                continue;
            };
            let path = Path::new(OsStr::from_bytes(path));
            let is_file = |metadata: fs::Metadata| metadata.is_file() && metadata.nlink() == 0;
            if path.starts_with(&folder) && fs::metadata(entry.path()).is_ok_and(is_file) {
                found.push((Holder::of(pid), path.to_owned(), mode_of(&entry)));
            }
        }
    }
    found
}

/// Finds the other processes that have anything open in the folder at `path`, a deleted file too, as far as we may see
/// them. One of another mount namespace, a container's, also counts if it has its working directory there: it would go
/// on in the old folder.
pub fn open_below(path: &Path) -> io::Result<Vec<Holder>> {
    let top = path.metadata()?;
    let top_inode = (top.dev(), top.ino());
    let here = namespace_of(std::process::id());
    // What all processes have open is less than what the folder may hold.
    let mut open: HashMap<(u64, u64), Vec<u32>> = HashMap::new();
    let mut pids = BTreeSet::new();
    for process in fs::read_dir("/proc")?.flatten() {
        let name = process.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if pid == std::process::id() {
            continue;
        }
        let inode = |path: PathBuf| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.dev(), metadata.ino()))
        };
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"));
        let descriptors = descriptors.into_iter().flatten().flatten();
        let mut inodes: Vec<_> = descriptors
            .filter_map(|entry| inode(entry.path()))
            .collect();
        if namespace_of(pid).is_some_and(|its| Some(its) != here) {
            let places = ["cwd", "root"].map(|what| PathBuf::from(format!("/proc/{pid}/{what}")));
            let places = places.into_iter().filter_map(inode);
            for place in places {
                if place == top_inode {
                    pids.insert(pid);
                }
                inodes.push(place);
            }
        }
        for inode in inodes {
            open.entry(inode).or_default().push(pid);
        }
    }
    // A subvolume has another device, and is a part of the folder.
    let is_part = |below: &Path, metadata: &Metadata| {
        metadata.dev() == top.dev() || is_same_mount(path, below)
    };
    visit_below(path, &is_part, &mut |_, metadata| {
        let holders = open.get(&(metadata.dev(), metadata.ino()));
        pids.extend(holders.into_iter().flatten());
        ControlFlow::Continue(())
    });
    let mut found: Vec<Holder> = pids.into_iter().map(Holder::of).collect();
    let deleted = deleted_below(path).into_iter();
    found.extend(deleted.map(|(holder, _, _)| holder));
    found.sort_by_key(|holder| holder.pid);
    found.dedup();
    Ok(found)
}

/// Finds the other processes of our mount namespace that have their working directory, or their root, in the folder at
/// `path`, as far as we may see them: they go on in that folder if another one takes its place.
pub fn working_below(path: &Path) -> Vec<Holder> {
    let Ok(top) = path.canonicalize() else {
        return Vec::new();
    };
    let here = namespace_of(std::process::id());
    let mut found = BTreeSet::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = process.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if pid == std::process::id() || namespace_of(pid) != here {
            continue;
        }
        let is_below = |what: &str| {
            let place = fs::read_link(format!("/proc/{pid}/{what}"));
            place.is_ok_and(|place| place.starts_with(&top) && place.exists())
        };
        if is_below("cwd") || is_below("root") {
            found.insert(pid);
        }
    }
    found.into_iter().map(Holder::of).collect()
}

/// Returns the mode in which a process has a file open, if it has.
pub fn has_open(pid: u32, device: u64, inode: u64) -> Option<OpenMode> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let matching = descriptors.flatten().filter(|entry| {
        fs::metadata(entry.path())
            .is_ok_and(|metadata| metadata.dev() == device && metadata.ino() == inode)
    });
    matching.map(|entry| mode_of(&entry)).max()
}

/// Returns the mode in which a descriptor was opened. The link's own mode tells: its owner write bit is set for
/// writers.
fn mode_of(descriptor: &fs::DirEntry) -> OpenMode {
    match descriptor.path().symlink_metadata() {
        Ok(link) if link.mode() & 0o200 == 0 => OpenMode::Reads,
        _ => OpenMode::Writes,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn a_process_is_seen_with_a_file_that_was_deleted() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.redb");
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .stdout(File::create(&path).expect("a file"))
            .spawn()
            .expect("sleep");
        let before = open_deleted(&path);
        fs::remove_file(&path).expect("removed");
        let gone = open_deleted(&path);
        fs::write(&path, "another").expect("written");
        let replaced = open_deleted(&path);
        let elsewhere = tempfile::tempdir().expect("a folder");
        let other = open_deleted(&elsewhere.path().join("state.redb"));
        child.kill().expect("killed");
        child.wait().expect("gone");
        assert_eq!(before, vec![]);
        assert_eq!(
            (gone[0].0.pid, gone[0].1),
            (Some(child.id()), OpenMode::Writes)
        );
        assert_eq!(gone, replaced);
        assert_eq!(other, vec![], "a file of the same name in another folder");
    }

    /// Starts a process in a mount namespace of its own, which sees `folder` as `there` and writes `there/state.redb`;
    /// the line that it prints says that the file is open.
    fn contained(folder: &Path, there: &Path) -> std::process::Child {
        let mut child = std::process::Command::new("unshare")
            .args(["--mount", "sh", "-c"])
            .arg("mount --bind \"$0\" \"$1\" && exec 3>\"$1/state.redb\" && echo open && exec sleep 60")
            .args([folder, there])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("unshare");
        let mut line = [0; 5];
        let stdout = child.stdout.as_mut().expect("a pipe");
        io::Read::read_exact(stdout, &mut line).expect("open");
        child
    }

    #[test]
    #[expect(clippy::print_stderr, reason = "what is left out is said")]
    fn of_files_of_one_name_that_were_deleted_in_containers_only_ours_is_seen() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("left out: only root makes mount namespaces");
            return;
        }
        let folder = || tempfile::tempdir().expect("a folder");
        let (ours, other, there) = (folder(), folder(), folder());
        let path = ours.path().join("state.redb");
        let mut same = contained(ours.path(), there.path());
        let mut namesake = contained(other.path(), there.path());
        fs::remove_file(&path).expect("removed");
        fs::remove_file(other.path().join("state.redb")).expect("removed");
        let found = open_deleted(&path);
        for child in [&mut same, &mut namesake] {
            child.kill().expect("killed");
            child.wait().expect("gone");
        }
        let found: Vec<Option<u32>> = found.iter().map(|(holder, _)| holder.pid).collect();
        assert_eq!(found, vec![Some(same.id())]);
    }

    #[test]
    fn a_process_is_seen_with_the_file_that_it_has_open() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let path = file.path().to_owned();
        assert_eq!(open_by(&path).expect("readable"), vec![]);
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .stdout(file.as_file_mut().try_clone().expect("a handle"))
            .spawn()
            .expect("sleep");
        let found = open_by(&path).expect("readable");
        child.kill().expect("killed");
        child.wait().expect("gone");
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].0.pid, found[0].1),
            (Some(child.id()), OpenMode::Writes)
        );
    }
}
