//! The names that come into folders, as inotify(7) tells them.
//!
//! A file system that other machines change, or that lies on another one, tells only a part of them.

use std::{
    collections::{HashMap, HashSet},
    os::fd::{AsRawFd as _, BorrowedFd, OwnedFd},
    path::Path,
};

use anyhow::Result;
use rustix::{
    fs::{
        fstatfs,
        inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init},
    },
    io::Errno,
};

/// The most folders that are watched: the kernel has a limit for all processes of a user.
const MOST_FOLDERS: usize = 8192;
/// The buffer for events.
const READ_BYTES: usize = 32 << 10;
const NAMES: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::ONLYDIR);

/// File systems of which the kernel sees each change, as statfs(2) names them: ext4, xfs, btrfs, f2fs, zfs, bcachefs,
/// tmpfs.
const LOCAL: [i128; 7] = [
    0xef53,
    0x5846_5342,
    0x9123_683e,
    0xf2f5_2010,
    0x2fc1_2fc1,
    0xca45_1a4e,
    0x0102_1994,
];

/// A function that is told of the folder and the name of a file.
pub type TellFile<'a> = dyn FnMut(&[u8], &[u8]) -> Result<()> + 'a;

/// Folders that are watched.
#[derive(Debug)]
pub struct Watch {
    inotify: Option<OwnedFd>,
    /// Their paths by the kernel's numbers.
    paths: HashMap<i32, Vec<u8>>,
    /// Those of which every new file is told, but for the last ones that [`Watch::each`] has yet to tell.
    sure: HashSet<Vec<u8>>,
    most_folders: usize,
}

impl Default for Watch {
    fn default() -> Watch {
        Watch {
            inotify: None,
            paths: HashMap::new(),
            sure: HashSet::new(),
            most_folders: MOST_FOLDERS,
        }
    }
}

impl Watch {
    /// Returns a watch that sees nothing.
    #[cfg(test)]
    pub fn blind() -> Watch {
        Watch {
            most_folders: 0,
            ..Watch::default()
        }
    }

    /// Watches the open `folder` at a path. Returns true if each file that comes from now on will be told.
    pub fn add(&mut self, path: &[u8], folder: BorrowedFd<'_>) -> bool {
        self.doubt(path);
        if self.paths.len() >= self.most_folders {
            return false;
        }
        if self.inotify.is_none() {
            self.inotify = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok();
        }
        let added = self.inotify.as_ref().and_then(|inotify| {
            let open = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string());
            add_watch(inotify, open, NAMES).ok()
        });
        let Some(number) = added else {
            return false;
        };
        if let Some(old) = self.paths.insert(number, path.to_vec()) {
            self.sure.remove(&old);
        }
        let is_local = fstatfs(folder).is_ok_and(|found| LOCAL.contains(&i128::from(found.f_type)));
        is_local && self.sure.insert(path.to_vec())
    }

    /// Notes that what comes into the folder at a path is not all that must be known of it.
    pub fn doubt(&mut self, path: &[u8]) {
        self.sure.remove(path);
    }

    /// Returns true if every file is told that comes into the folder at a path, and no folder came.
    pub fn is_sure_of(&self, path: &[u8]) -> bool {
        self.sure.contains(path)
    }

    /// Tells `visit` of the folder and the name of each file that came since the last call. Returns false, and watches
    /// nothing any more, if some were lost.
    pub fn each(&mut self, visit: &mut TellFile<'_>) -> Result<bool> {
        let Some(inotify) = &self.inotify else {
            return Ok(true);
        };
        let mut buffer = Vec::with_capacity(READ_BYTES);
        let mut events = Reader::new(inotify, buffer.spare_capacity_mut());
        loop {
            let event = match events.next() {
                Ok(event) if !event.events().contains(ReadFlags::QUEUE_OVERFLOW) => event,
                Err(Errno::AGAIN) => return Ok(true),
                Err(Errno::INTR) => continue,
                Ok(_) | Err(_) => break,
            };
            let Some(folder) = self.paths.get(&event.wd()) else {
                continue;
            };
            match event.file_name() {
                Some(_) if event.events().contains(ReadFlags::ISDIR) => {
                    self.sure.remove(folder);
                }
                Some(name) => visit(folder, name.to_bytes())?,
                None => {}
            }
        }
        self.forget();
        Ok(false)
    }

    /// Watches nothing any more.
    pub fn forget(&mut self) {
        let most_folders = self.most_folders;
        *self = Watch {
            most_folders,
            ..Watch::default()
        };
    }
}
