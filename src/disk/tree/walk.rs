//! A walk over a folder and everything below it that the rules keep; links are not followed.

use std::{
    ffi::OsStr,
    io,
    os::{fd::BorrowedFd, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{
    beneath::{Folders, Look, NodeKind, Top, is_gone, split},
    names::{FolderNames, Name, make_room},
};
use crate::{
    disk::in_real_folder,
    model::{
        relative::{RelativeFault, RelativeName},
        rules::{Decision, Rules},
        tree::Modified,
    },
};

/// A thing that a walk meets.
#[derive(Debug)]
pub enum Met<'a> {
    /// A folder, open; the walk goes on below it.
    Folder(Look, BorrowedFd<'a>),
    /// A folder that is only searched for what is kept.
    Searched(Look, BorrowedFd<'a>),
    /// A regular file or a symbolic link.
    Leaf(Leaf<'a>),
    /// A socket, a fifo, a device.
    Special(&'static str),
    /// Something that the rules exclude; the walk goes not below it.
    Excluded,
    /// Something that is called as hookshot calls what it makes; the walk goes not below it.
    Own,
    /// Something that cannot be looked at, and why.
    Failed(String),
}

impl<'a> Met<'a> {
    /// Returns what the open folder at `relative` is, of which the rules say `verdict`.
    pub fn of_folder(
        relative: &[u8],
        verdict: Decision,
        look: Look,
        fd: BorrowedFd<'a>,
    ) -> Met<'a> {
        match verdict {
            Decision::Searched | Decision::Crossed if !relative.is_empty() => {
                Met::Searched(look, fd)
            }
            _ => Met::Folder(look, fd),
        }
    }
}

/// A file or a link that a walk meets.
#[derive(Debug)]
pub struct Leaf<'a> {
    /// Its kind.
    pub what: NodeKind,
    /// The file system of its folder, and its number as the folder tells it.
    pub inode: (u64, u64),
    /// A moment at which it was there, by the clock of its file system.
    pub existed: Modified,
    folder: BorrowedFd<'a>,
    name: &'a OsStr,
}

impl Leaf<'_> {
    /// Inspects it; by now it may be something else.
    pub fn look(&self) -> io::Result<Look> {
        Look::at(self.folder, self.name)
    }

    /// Returns the target of the link.
    pub fn target(&self) -> io::Result<Vec<u8>> {
        let target = rustix::fs::readlinkat(self.folder, self.name, Vec::new())?;
        Ok(target.into_bytes())
    }
}

/// Tells `visit` of the top (an empty path), and of everything below it, in the order of a listing
/// ([`by_component`](crate::model::relative::by_component)): each folder right before what lies in it, and in each
/// folder in the order of names. A file that vanishes meanwhile was never there.
///
/// Memory is bounded, however many names a folder has ([`FolderNames`]); a few folders are open at a time, however deep
/// they lie.
pub fn walk(
    top: &Top,
    rules: &Rules,
    visit: &mut dyn FnMut(&[u8], Met<'_>) -> Result<()>,
) -> Result<()> {
    walk_from(top, rules, b"", rules.of_top(), visit)
}

/// Does the same for `folder` and everything below it; `verdict` is what the rules say of it. A missing folder is
/// skipped, but the top itself.
pub fn walk_from(
    top: &Top,
    rules: &Rules,
    folder: &[u8],
    verdict: Decision,
    visit: &mut dyn FnMut(&[u8], Met<'_>) -> Result<()>,
) -> Result<()> {
    Walking::new(top, Some(rules), folder, visit).run(verdict)
}

/// Does the same for `folder` and everything below it, whatever it is called: nothing is excluded, and hookshot's own
/// folders are walked as well.
pub fn walk_all(
    top: &Top,
    folder: &[u8],
    visit: &mut dyn FnMut(&[u8], Met<'_>) -> Result<()>,
) -> Result<()> {
    Walking::new(top, None, folder, visit).run(Decision::Kept)
}

/// A folder that a walk is in.
struct Level {
    verdict: Decision,
    /// The length of its path.
    length: usize,
    /// Its file system.
    device: u64,
    names: FolderNames,
}

struct Walking<'a> {
    folders: Folders<'a>,
    /// `None` if everything is kept, hookshot's own as well.
    rules: Option<&'a Rules>,
    visit: &'a mut dyn FnMut(&[u8], Met<'_>) -> Result<()>,
    /// The path of what is visited.
    path: Vec<u8>,
    levels: Vec<Level>,
}

impl<'a> Walking<'a> {
    fn new(
        top: &'a Top,
        rules: Option<&'a Rules>,
        folder: &[u8],
        visit: &'a mut dyn FnMut(&[u8], Met<'_>) -> Result<()>,
    ) -> Walking<'a> {
        Walking {
            folders: Folders::new(top),
            rules,
            visit,
            path: folder.to_vec(),
            levels: Vec::new(),
        }
    }

    fn run(mut self, verdict: Decision) -> Result<()> {
        self.enter(verdict)?;
        while self.step()? {}
        Ok(())
    }

    /// Visits the folder at `path`, and goes into it.
    fn enter(&mut self, verdict: Decision) -> Result<()> {
        let room = make_room(self.levels.iter_mut().map(|level| &mut level.names));
        let opened = self.folders.at(&self.path).and_then(|fd| {
            let look = Look::of(fd)?;
            Ok((fd, look, FolderNames::read(fd, room)?))
        });
        let (fd, look, names) = match opened {
            Ok(opened) => opened,
            Err(error) if is_gone(&error) && !self.path.is_empty() => return Ok(()),
            Err(error) => return (self.visit)(&self.path, Met::Failed(error.to_string())),
        };
        self.levels.push(Level {
            verdict,
            length: self.path.len(),
            device: look.inode.0,
            names,
        });
        (self.visit)(&self.path, Met::of_folder(&self.path, verdict, look, fd))
    }

    /// Visits the next thing; returns false if there is none.
    fn step(&mut self) -> Result<bool> {
        let Some(level) = self.levels.last_mut() else {
            return Ok(false);
        };
        self.path.truncate(level.length);
        let fd = self.folders.at(&self.path).and_then(|fd| {
            if level.names.is_short() {
                level.names.read_on(fd)?;
            }
            Ok(fd)
        });
        let fd = match (fd, level.names.peek()) {
            (_, None) if !level.names.is_short() => {
                self.levels.pop();
                return Ok(true);
            }
            (Ok(fd), _) => fd,
            (Err(error), _) => {
                self.levels.pop();
                return match is_gone(&error) {
                    true => Ok(true),
                    false => {
                        (self.visit)(&self.path, Met::Failed(error.to_string())).map(|()| true)
                    }
                };
            }
        };
        let Some(name) = level.names.peek() else {
            return Ok(true);
        };
        if level.length > 0 {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name.bytes);
        let (rules, verdict, device) = (self.rules, level.verdict, level.device);
        let met = meet_in(rules, verdict, device, fd, &self.path, name);
        level.names.skip();
        match met {
            Some(Encounter::Folder(verdict)) => self.enter(verdict)?,
            Some(Encounter::Met(met)) => (self.visit)(&self.path, met)?,
            None => {}
        }
        Ok(true)
    }
}

/// The result of looking at one name.
pub enum Encounter<'a> {
    /// It is a folder that a walk goes into.
    Folder(Decision),
    /// It is something else.
    Met(Met<'a>),
}

/// Decides what the `name` in an open `folder` is, of the file system `device` and with the `verdict` of the rules;
/// `relative` is its path below the top. `None` if it vanished.
pub fn meet<'a>(
    rules: &Rules,
    verdict: Decision,
    device: u64,
    folder: BorrowedFd<'a>,
    relative: &'a [u8],
    name: Name<'_>,
) -> Option<Encounter<'a>> {
    meet_in(Some(rules), verdict, device, folder, relative, name)
}

fn meet_in<'a>(
    rules: Option<&Rules>,
    verdict: Decision,
    device: u64,
    folder: BorrowedFd<'a>,
    relative: &'a [u8],
    name: Name<'_>,
) -> Option<Encounter<'a>> {
    let last = OsStr::from_bytes(split(relative).1);
    let what = match name.what {
        Some(what) => what,
        None => match Look::at(folder, last) {
            Ok(look) => look.what,
            Err(error) if is_gone(&error) => return None,
            Err(error) => return Some(Encounter::Met(Met::Failed(error.to_string()))),
        },
    };
    let fault = RelativeName::new(relative).err();
    let (fault, verdict) = match rules {
        Some(rules) => {
            let is_folder = what == NodeKind::Folder;
            (fault, rules.below(verdict, relative, is_folder))
        }
        None => (
            fault.filter(|fault| *fault != RelativeFault::Own),
            Decision::Kept,
        ),
    };
    Some(Encounter::Met(match (fault, verdict, what) {
        (Some(RelativeFault::Own), ..) => Met::Own,
        (_, Decision::Excluded, _) => Met::Excluded,
        (Some(fault), ..) => Met::Failed(format!("its path {fault}")),
        (None, _, NodeKind::Special(kind)) => Met::Special(kind),
        (None, _, NodeKind::Folder) => return Some(Encounter::Folder(verdict)),
        (None, _, what) => Met::Leaf(Leaf {
            what,
            inode: (device, name.inode),
            existed: name.existed,
            folder,
            name: last,
        }),
    }))
}

/// Returns those of `places` that lie below the folder `top`, by their paths there, as [`Rules::without`] takes them.
pub fn below(top: &Path, places: &[PathBuf]) -> Result<Vec<Vec<u8>>> {
    let real = match top.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        real => real.with_context(|| format!("cannot look at {}", top.display()))?,
    };
    let below = places.iter().filter_map(|place| {
        let absolute = std::path::absolute(place).ok()?;
        let place = in_real_folder(&absolute);
        let relative = place.strip_prefix(&real).ok()?;
        let relative = relative.as_os_str().as_bytes().to_vec();
        (!relative.is_empty()).then_some(relative)
    });
    Ok(below.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::relative::by_component;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Returns the paths that a walk visits, and the most folders that were open meanwhile.
    fn visited(top: &Path) -> (Vec<Vec<u8>>, usize) {
        let top = Top::open(top).expect("open");
        let (mut found, mut most) = (Vec::new(), 0);
        let rules = Rules::everything();
        let mut visit = |relative: &[u8], met: Met<'_>| {
            assert!(!matches!(met, Met::Failed(_)), "{met:?}");
            found.push(relative.to_vec());
            Ok(())
        };
        let mut walking = Walking::new(&top, Some(&rules), b"", &mut visit);
        walking.enter(Decision::Kept).expect("entered");
        while walking.step().expect("walked") {
            most = most.max(walking.folders.open_count());
        }
        (found, most)
    }

    #[test]
    fn a_folder_that_moves_away_takes_no_other_names_along() {
        const DEPTH: usize = 14;
        let path = |depth: usize| vec!["d"; depth].join("/");
        let steps = (1..3 * DEPTH).step_by(4);
        for (moved, step) in steps.flat_map(|step| [1, 2, 6, 13].map(|moved| (moved, step))) {
            let folder = tempfile::tempdir().expect("a folder");
            std::fs::create_dir_all(folder.path().join(path(DEPTH))).expect("made");
            let mut expected = Vec::new();
            for depth in 0..DEPTH {
                for name in ["a", "z"] {
                    let file = [path(depth), name.to_owned()].join("/");
                    let file = file.trim_start_matches('/').to_owned();
                    std::fs::File::create_new(folder.path().join(&file)).expect("made");
                    expected.extend((depth < moved).then_some(file));
                }
            }
            let top = Top::open(folder.path()).expect("open");
            let rules = Rules::everything();
            let mut found = Vec::new();
            let mut visit = |relative: &[u8], met: Met<'_>| {
                assert!(!matches!(met, Met::Failed(_)), "{met:?}");
                found.push(String::from_utf8(relative.to_vec())?);
                Ok(())
            };
            let mut walking = Walking::new(&top, Some(&rules), b"", &mut visit);
            walking.enter(Decision::Kept).expect("entered");
            for _ in 0..step {
                walking.step().expect("walked");
            }
            let (from, to) = (folder.path().join(path(moved)), folder.path().join("away"));
            rustix::fs::rename(from, to).expect("renamed");
            while walking.step().expect("walked") {}
            for file in expected {
                let count = found.iter().filter(|found| **found == file).count();
                assert_eq!(count, 1, "{file}, {moved}, {step}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
        #[test]
        fn a_walk_visits_everything_once_in_the_order_of_a_listing(
            files in proptest::collection::btree_set("[a-c.!~-]{1,2}(/[a-c.!~-]{1,2}){0,4}", 0..40),
        ) {
            let folder = tempfile::tempdir().expect("a folder");
            let mut expected = BTreeSet::from([Vec::new()]);
            for file in &files {
                let path = folder.path().join(file);
                let folders = std::fs::create_dir_all(path.parent().expect("a folder"));
                if RelativeName::new(file.as_bytes()).is_ok()
                    && folders.is_ok()
                    && std::fs::File::create_new(&path).is_ok()
                {
                    let name = RelativeName::new(file.as_bytes()).expect("good");
                    expected.extend(name.folders().map(<[u8]>::to_vec));
                    expected.insert(file.clone().into_bytes());
                }
            }
            let (found, _) = visited(folder.path());
            let found: Vec<Vec<u8>> = found
                .into_iter()
                .filter(|path| path.is_empty() || expected.contains(path))
                .collect();
            let mut expected: Vec<Vec<u8>> = expected.into_iter().collect();
            expected.sort_by(|one, other| by_component(one, other));
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_walk_of_deep_folders_has_few_folders_open() {
        let folder = tempfile::tempdir().expect("a folder");
        let top = Top::open(folder.path()).expect("open");
        let (mut folders, mut path) = (Folders::new(&top), Vec::new());
        let mut expected = vec![Vec::new()];
        while path.len() < 1200 {
            for name in [b"b", b"a"] {
                let child = super::super::beneath::join(&path, name);
                let (parent, name) = folders.parent(&child).expect("there");
                rustix::fs::mkdirat(parent, name, rustix::fs::Mode::RWXU).expect("made");
                expected.push(child);
            }
            path = expected.last().expect("made").clone();
        }
        expected.sort_by(|one, other| by_component(one, other));
        let (found, most) = visited(folder.path());
        assert!(found == expected);
        assert!(most < 64, "{most}");
        // The standard library's removal has a folder open for each level.
        for path in expected.iter().skip(1).rev() {
            let (parent, name) = folders.parent(path).expect("there");
            rustix::fs::unlinkat(parent, name, rustix::fs::AtFlags::REMOVEDIR).expect("removed");
        }
    }
}
