//! A directory that stays open, in which files are found by what they were called, or by their inodes.

use std::{
    collections::VecDeque,
    ffi::OsStr,
    fs::File,
    io,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    folders::ListedFolders,
    whereabouts::{Relisted, Whereabouts},
};
use crate::{
    disk::tree::beneath::{Folders, Look, Top, open_file, split},
    model::{entry_name::EntryName, rules::Rules},
};

/// A directory that stays open until its files are packed.
#[derive(Debug)]
pub struct OpenDirectory {
    pub top: Top,
    pub name: EntryName,
    pub rules: Rules,
    /// The folders in it in which files were opened last: the next ones are likely to lie there as well.
    last: Mutex<VecDeque<(Vec<u8>, Arc<OwnedFd>)>>,
    whereabouts: Mutex<Whereabouts>,
}

/// The folders that are kept open while many files are packed: each thread that reads files is in one of two.
pub const KEPT_FOLDERS: usize = 16;
/// The most searches for a file that lost its name: it may get yet another one meanwhile.
const SEARCHES: usize = 8;

impl OpenDirectory {
    pub fn new(top: Top, name: EntryName, rules: Rules) -> OpenDirectory {
        OpenDirectory {
            top,
            name,
            rules,
            last: Mutex::default(),
            whereabouts: Mutex::new(Whereabouts::new(ListedFolders::default(), Path::new(""))),
        }
    }

    /// Stores the folders that were listed, so that a file can be looked for in those with new names. Files without
    /// names that this needs lie in the folder `scratch`.
    pub fn remember(&self, listed: ListedFolders, scratch: &Path) {
        *self.whereabouts() = Whereabouts::new(listed, scratch);
    }

    fn whereabouts(&self) -> MutexGuard<'_, Whereabouts> {
        self.whereabouts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the open folder at a path, and keeps it and the last ones open: at most `most`.
    pub fn folder(&self, folder: &[u8], most: usize) -> io::Result<Arc<OwnedFd>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, fd)) = last.iter().find(|(path, _)| path == folder) {
            return Ok(fd.clone());
        }
        let fd = Folders::new(&self.top).at(folder)?.try_clone_to_owned()?;
        let fd = Arc::new(fd);
        last.push_front((folder.to_owned(), fd.clone()));
        last.truncate(most);
        Ok(fd)
    }

    /// Opens the file with this inode, which was in `folder`, whatever its name now; returns `None` if it is not found.
    pub fn find(&self, inode: (u64, u64), folder: &[u8]) -> anyhow::Result<Option<File>> {
        let mut whereabouts = self.whereabouts();
        let mut is_last = false;
        for search in 0..=SEARCHES {
            let (paths, are_all) = whereabouts.paths(&self.top, inode)?;
            for path in paths {
                if let Some(file) = self.open(&path, inode) {
                    return Ok(Some(file));
                }
            }
            if is_last && are_all {
                break;
            }
            is_last = match search {
                // Most files stay in their folder.
                0 => {
                    whereabouts.list_folder(&self.top, &self.rules, folder)?;
                    false
                }
                _ => match whereabouts.list_changed(&self.top, &self.rules)? {
                    Relisted::Nothing | Relisted::Surely => true,
                    Relisted::Unsurely => false,
                },
            };
        }
        Ok(None)
    }

    /// Opens the file at a path if it has this inode.
    fn open(&self, path: &[u8], inode: (u64, u64)) -> Option<File> {
        let (folder, name) = split(path);
        let open = |folder: BorrowedFd<'_>| {
            let file = open_file(folder, OsStr::from_bytes(name)).ok()?;
            let look = Look::of(&file).ok()?;
            (look.inode == inode).then_some(file)
        };
        let kept = self.folder(folder, KEPT_FOLDERS).ok();
        let opened = kept.and_then(|folder| open(folder.as_fd()));
        // The path of a folder that is kept open may lead to another one by now.
        opened.or_else(|| open(Folders::new(&self.top).at(folder).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::PathBuf};

    use tempfile::TempDir;

    use super::{
        super::{folders::FolderWriter, seen::Seen, watch::is_local},
        *,
    };

    /// A directory of folders `f0` to `f9`, each with files `0` to `39`, as it was when it was read.
    struct Directory {
        folder: TempDir,
        open: OpenDirectory,
        inodes: BTreeMap<String, (u64, u64)>,
    }

    impl Directory {
        fn new(is_blind: bool) -> Directory {
            let folder = tempfile::tempdir().expect("a folder");
            let (top, scratch) = (folder.path().join("top"), folder.path().join("scratch"));
            let make = |path: &Path| rustix::fs::mkdir(path, rustix::fs::Mode::RWXU);
            for folder in [&top, &scratch] {
                make(folder).expect("made");
            }
            let mut inodes = BTreeMap::new();
            for number in 0..10 {
                make(&top.join(format!("f{number}"))).expect("made");
                for file in 0..40 {
                    let name = format!("f{number}/{file}");
                    let file = File::create_new(top.join(&name)).expect("made");
                    inodes.insert(name, Look::of(&file).expect("looked").inode);
                }
            }
            let mut listed = FolderWriter::new(&scratch);
            for name in std::iter::once(String::new()).chain((0..10).map(|at| format!("f{at}"))) {
                let look = Look::of(File::open(top.join(&name)).expect("open")).expect("looked");
                listed
                    .push(name.as_bytes(), &Seen::of(&look))
                    .expect("written");
            }
            let name = EntryName::new("data").expect("good");
            let opened = Top::open(&top).expect("open");
            let open = OpenDirectory::new(opened, name, Rules::everything());
            let whereabouts = Whereabouts::new(listed.finish().expect("written"), &scratch);
            *open.whereabouts() = match is_blind {
                true => whereabouts.blind(),
                false => whereabouts,
            };
            Directory {
                folder,
                open,
                inodes,
            }
        }

        fn at(&self, name: &str) -> PathBuf {
            self.folder.path().join("top").join(name)
        }

        fn rename(&self, from: &str, to: &str) {
            rustix::fs::rename(self.at(from), self.at(to)).expect("renamed");
        }

        /// Returns true if the file that once had this name is found, whatever its name now.
        fn finds(&self, name: &str) -> bool {
            let (folder, _) = split(name.as_bytes());
            let inode = self.inodes[name];
            let found = self.open.find(inode, folder).expect("looked for");
            if let Some(file) = &found {
                assert_eq!(Look::of(file).expect("looked").inode, inode);
            }
            found.is_some()
        }

        fn listings(&self) -> usize {
            self.open.whereabouts().listings()
        }

        /// Closes the folders that are kept open, as many others do that are opened.
        fn close(&self) {
            self.open.last.lock().expect("no panic").clear();
        }
    }

    #[test]
    fn files_that_get_new_names_are_found_and_folders_are_not_listed_for_each() {
        for is_blind in [false, true] {
            let directory = Directory::new(is_blind);
            // On a file system of which the kernel does not see each change, as overlayfs, each search lists again.
            let is_unbounded = is_blind || !is_local(directory.open.top.as_fd());
            let is_bounded = |most: usize| is_unbounded || directory.listings() <= most;
            for file in 0..30 {
                directory.rename(&format!("f0/{file}"), &format!("f0/{file}:S"));
                assert!(directory.finds(&format!("f0/{file}")), "{file}");
            }
            assert!(is_bounded(1), "{}", directory.listings());
            // Into another folder; the times of all are so young that each is listed once.
            for file in 0..30 {
                directory.rename(&format!("f1/{file}"), &format!("f2/{file}:S"));
                assert!(directory.finds(&format!("f1/{file}")), "{file}");
            }
            assert!(is_bounded(14), "{}", directory.listings());
            // A folder, and then its files in it.
            directory.rename("f3", "f2/g3");
            for file in 0..40 {
                assert!(directory.finds(&format!("f3/{file}")), "{file}");
            }
            assert!(is_bounded(18), "{}", directory.listings());
            for file in 0..40 {
                directory.rename(&format!("f2/g3/{file}"), &format!("f2/g3/{file}-"));
                assert!(directory.finds(&format!("f3/{file}")), "{file}");
            }
            assert!(is_bounded(20), "{}", directory.listings());
            // Two folders change places, and are open.
            assert!(directory.finds("f4/1") && directory.finds("f5/1"));
            directory.rename("f4", "f6/x");
            directory.rename("f5", "f4");
            directory.rename("f6/x", "f5");
            assert!(directory.finds("f4/1") && directory.finds("f5/1"));
            // One that is gone.
            rustix::fs::unlink(directory.at("f7/7")).expect("removed");
            let before = directory.listings();
            assert!(!directory.finds("f7/7"));
            let listed = directory.listings() - before;
            assert!(is_unbounded || listed < 8, "{listed}");
            assert_eq!(
                directory
                    .at("../scratch")
                    .read_dir()
                    .expect("there")
                    .count(),
                0
            );
        }
    }

    #[test]
    fn files_are_found_in_folders_that_get_the_path_of_another() {
        for is_blind in [false, true] {
            let directory = Directory::new(is_blind);
            // From now on all folders are watched.
            directory.rename("f0/1", "f1/x");
            assert!(directory.finds("f0/1"));
            // Two change places.
            directory.rename("f4", "f6/x");
            directory.rename("f5", "f4");
            directory.rename("f6/x", "f5");
            directory.close();
            assert!(directory.finds("f4/1"));
            directory.close();
            assert!(directory.finds("f5/1"));
            directory.rename("f4/2", "f5/y");
            directory.close();
            assert!(directory.finds("f5/2"));
        }
    }

    #[test]
    fn files_are_found_in_a_folder_that_is_removed_and_made_again() {
        for is_blind in [false, true] {
            let directory = Directory::new(is_blind);
            // From now on all folders are watched.
            directory.rename("f0/1", "f1/x");
            assert!(directory.finds("f0/1"));
            directory.close();
            let inode = |name: &str| {
                let folder = File::open(directory.at(name)).expect("open");
                Look::of(folder).expect("looked").inode
            };
            let before = inode("f7");
            for file in 0..40 {
                rustix::fs::unlink(directory.at(&format!("f7/{file}"))).expect("removed");
            }
            rustix::fs::rmdir(directory.at("f7")).expect("removed");
            // Some file systems use inodes again: it gets the same one there.
            let make = |number: &usize| {
                let name = format!("new{number}");
                rustix::fs::mkdir(directory.at(&name), rustix::fs::Mode::RWXU).expect("made");
                inode(&name) == before
            };
            let made = (0..100).find(make).unwrap_or(0);
            directory.rename(&format!("new{made}"), "f7");
            directory.rename("f8/3", "f7/3");
            directory.close();
            assert!(directory.finds("f8/3"));
            assert!(!directory.finds("f7/3"));
        }
    }

    #[test]
    fn files_are_found_although_the_kernel_could_not_tell_of_all() {
        let directory = Directory::new(false);
        directory.rename("f0/1", "f0/x");
        assert!(directory.finds("f0/1"));
        let queued = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events");
        let most: usize = queued.expect("told").trim().parse().expect("a number");
        assert!(most <= 1 << 20, "too many for this test");
        for number in 0..most / 2 + 10 {
            let (from, to) = (number % 2, (number + 1) % 2);
            directory.rename(
                &format!("f0/x{}", "y".repeat(from)),
                &format!("f0/x{}", "y".repeat(to)),
            );
            directory.rename(
                &format!("f0/2{}", "y".repeat(from)),
                &format!("f0/2{}", "y".repeat(to)),
            );
        }
        directory.rename("f0/3", "f0/z");
        for file in 0..40 {
            assert!(directory.finds(&format!("f0/{file}")), "{file}");
        }
    }
}
