//! The names that come into folders, as inotify(7) tells them.
//!
//! A file system that other machines change, or that lies on another one, tells only a part of them.

use std::{
    collections::HashMap,
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
    .union(WatchFlags::MOVE_SELF)
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

/// The file system of a folder, and its number in it.
type Inode = (u64, u64);

/// A function that is told of the folder and the name of a file.
pub type TellFile<'a> = dyn FnMut(&[u8], &[u8]) -> Result<()> + 'a;

/// Folders that are watched.
#[derive(Debug)]
pub struct Watch {
    inotify: Option<OwnedFd>,
    /// Their paths and inodes by the kernel's numbers.
    watched: HashMap<i32, (Vec<u8>, Inode)>,
    /// The inodes, by their paths, of those of which every new file is told, but for the last ones that [`Watch::each`]
    /// has yet to tell. Another folder may have the path by now.
    sure: HashMap<Vec<u8>, Inode>,
    most_folders: usize,
}

impl Default for Watch {
    fn default() -> Watch {
        Watch {
            inotify: None,
            watched: HashMap::new(),
            sure: HashMap::new(),
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

    /// Watches the open `folder` at a path, with its inode. Returns true if each file that comes from now on will be
    /// told.
    pub fn add(&mut self, path: &[u8], inode: Inode, folder: BorrowedFd<'_>) -> bool {
        self.doubt(path);
        if self.watched.len() >= self.most_folders {
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
        if let Some((old, inode)) = self.watched.insert(number, (path.to_vec(), inode)) {
            doubt_if(&mut self.sure, &old, inode);
        }
        let is_sure = is_local(folder);
        if is_sure {
            self.sure.insert(path.to_vec(), inode);
        }
        is_sure
    }

    /// Notes that what comes into the folder at a path is not all that must be known of it.
    pub fn doubt(&mut self, path: &[u8]) {
        self.sure.remove(path);
    }

    /// Returns true if every file is told that comes into the folder at a path, which has this inode now, and no folder
    /// came.
    pub fn is_sure_of(&self, path: &[u8], inode: Inode) -> bool {
        self.sure.get(path) == Some(&inode)
    }

    /// Tells `visit` of the folder and the name of each file that came since the last call. Returns false if there may
    /// be more: a folder came or went, or some were lost. Then nothing is watched any more.
    pub fn each(&mut self, visit: &mut TellFile<'_>) -> Result<bool> {
        let Some(inotify) = &self.inotify else {
            return Ok(true);
        };
        let mut buffer = Vec::with_capacity(READ_BYTES);
        let mut events = Reader::new(inotify, buffer.spare_capacity_mut());
        let mut is_all = true;
        loop {
            let event = match events.next() {
                Ok(event) if !event.events().contains(ReadFlags::QUEUE_OVERFLOW) => event,
                Err(Errno::AGAIN) => return Ok(is_all),
                Err(Errno::INTR) => continue,
                Ok(_) | Err(_) => break,
            };
            let Some((folder, inode)) = self.watched.get(&event.wd()) else {
                continue;
            };
            match event.file_name() {
                Some(name) if !event.events().contains(ReadFlags::ISDIR) => {
                    visit(folder, name.to_bytes())?;
                }
                // A folder came into it, or it was moved or removed itself.
                _ => {
                    is_all = false;
                    doubt_if(&mut self.sure, folder, *inode);
                }
            }
            if event.events().contains(ReadFlags::IGNORED) {
                self.watched.remove(&event.wd());
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

/// Gives up what is known of the folder with this inode at a path, but not of another one that has the path.
fn doubt_if(sure: &mut HashMap<Vec<u8>, Inode>, path: &[u8], inode: Inode) {
    if sure.get(path) == Some(&inode) {
        sure.remove(path);
    }
}

/// Returns true if the kernel sees each change in a folder.
pub fn is_local(folder: BorrowedFd<'_>) -> bool {
    fstatfs(folder).is_ok_and(|found| LOCAL.contains(&i128::from(found.f_type)))
}
