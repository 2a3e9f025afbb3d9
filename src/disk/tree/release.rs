//! The end of the two names of what an import carried over: the old directory, which stays as a backup, loses them.

use std::{ffi::OsStr, io, os::unix::ffi::OsStrExt as _, path::Path};

use anyhow::{Context as _, Result};
use rustix::{
    fs::{self as sys, AtFlags, Mode},
    io::Errno,
};

use super::{
    beneath::{Folders, Look, NodeKind, Top, is_gone, split},
    given::timestamps,
    keep::{allow_changes, is_gone_or_in_the_way, next_below},
    walk::{Met, walk, walk_all},
};
use crate::model::{relative::is_at_or_above, rules::Rules};

/// Takes from the directory `kept`, which stays as a backup, what [`keep_excluded`](super::keep_excluded) gave the
/// directory `live` of it: second names, and originals of copies that were not changed since. Folders that become empty
/// go. What only `kept` has stays.
///
/// May be repeated. Durable when this returns. Not promised: that what an ordinary user may not remove goes.
pub fn release(kept: &Path, live: &Path, rules: &Rules) -> Result<()> {
    let open =
        |path: &Path| Top::open(path).with_context(|| format!("cannot open {}", path.display()));
    let (kept, live) = (open(kept)?, open(live)?);
    let mut releasing = Releasing {
        kept: &kept,
        from: Folders::new(&kept),
        live: Folders::new(&live),
        searched: Vec::new(),
        blocked: None,
        entered: Vec::new(),
    };
    let walked = walk(&kept, rules, &mut |relative, met| match met {
        Met::Excluded | Met::Own | Met::Special(_) => releasing.release(relative),
        Met::Failed(_) | Met::Folder(..) | Met::Searched(..) | Met::Leaf(_) => Ok(()),
    });
    let left = releasing.leave_to(None);
    walked?;
    Ok(left?)
}

struct Releasing<'a> {
    kept: &'a Top,
    from: Folders<'a>,
    live: Folders<'a>,
    /// The folders that go if they become empty, each in the one before it.
    searched: Vec<Vec<u8>>,
    /// The last folder that stays: nothing below it goes.
    blocked: Option<Vec<u8>>,
    /// Folders from which something may go, each in the one before it.
    entered: Vec<EnteredFolder>,
}

/// A folder from which something may go.
struct EnteredFolder {
    path: Vec<u8>,
    /// The folder as it was.
    look: Look,
    /// True if something went.
    is_changed: bool,
}

impl Releasing<'_> {
    /// Takes away `first` and everything below it, as far as the live directory has it.
    fn release(&mut self, first: &[u8]) -> Result<()> {
        self.try_one(first)?;
        if !self.searched.is_empty() {
            let kept = self.kept;
            walk_all(kept, first, &mut |relative, met| match relative == first {
                true => Ok(()),
                false => self.below(relative, met),
            })?;
            self.finish_to(None)?;
        }
        Ok(())
    }

    fn below(&mut self, relative: &[u8], met: Met<'_>) -> Result<()> {
        let blocked = self.blocked.as_ref();
        if blocked.is_some_and(|blocked| is_at_or_above(blocked, relative)) {
            return Ok(());
        }
        self.finish_to(Some(relative))?;
        match met {
            Met::Failed(_) => Ok(()),
            _ => self.try_one(relative),
        }
    }

    /// Takes something away; a folder goes when everything below it was looked at.
    fn try_one(&mut self, relative: &[u8]) -> Result<()> {
        match self.release_one(relative) {
            Err(error) if is_gone_or_in_the_way(&error) => {
                self.blocked = Some(relative.to_vec());
                Ok(())
            }
            result => {
                result.with_context(|| format!("cannot remove {}", self.kept.shown(relative)))
            }
        }
    }

    fn release_one(&mut self, relative: &[u8]) -> io::Result<()> {
        let (folder, name) = split(relative);
        let name = OsStr::from_bytes(name);
        let twin = Look::at(self.live.at(folder)?, name)?;
        let look = Look::at(self.from.at(folder)?, name)?;
        match (look.what, twin.what) {
            (NodeKind::Folder, NodeKind::Folder) => self.searched.push(relative.to_vec()),
            (NodeKind::Folder, _) => self.blocked = Some(relative.to_vec()),
            _ if is_twin(&look, &twin) => {
                self.enter(folder)?;
                sys::unlinkat(self.from.at(folder)?, name, AtFlags::empty())?;
                self.changed(folder);
            }
            _ => {}
        }
        Ok(())
    }

    /// Removes the folders that were searched, unless something stayed in them, but for those above `relative`.
    fn finish_to(&mut self, relative: Option<&[u8]>) -> Result<()> {
        let is_above =
            |folder: &Vec<u8>| relative.is_some_and(|relative| is_at_or_above(folder, relative));
        while let Some(folder) = self.searched.pop_if(|folder| !is_above(folder)) {
            match self.remove_folder(&folder) {
                Err(error) if is_gone_or_in_the_way(&error) => {}
                result => {
                    result.with_context(|| format!("cannot remove {}", self.kept.shown(&folder)))?
                }
            }
        }
        Ok(())
    }

    fn remove_folder(&mut self, folder: &[u8]) -> io::Result<()> {
        let (above, name) = split(folder);
        self.enter_within(above, folder)?;
        let parent = self.from.at(above)?;
        match sys::unlinkat(parent, OsStr::from_bytes(name), AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY | Errno::EXIST) => return Ok(()),
            result => result?,
        }
        // Its attributes went with it.
        let is_gone = |entered: &mut EnteredFolder| is_at_or_above(folder, &entered.path);
        while self.entered.pop_if(is_gone).is_some() {}
        self.changed(above);
        Ok(())
    }

    /// Makes sure that something may be taken from `folder`.
    fn enter(&mut self, folder: &[u8]) -> io::Result<()> {
        self.enter_within(folder, folder)
    }

    /// Does the same, and keeps the folders on the way to `inner`, which lies in it, entered.
    fn enter_within(&mut self, folder: &[u8], inner: &[u8]) -> io::Result<()> {
        self.leave_to(Some(inner))?;
        loop {
            let done = self.entered.last().map(|entered| entered.path.len());
            let path = match done {
                None => b"".as_slice(),
                Some(done) if done >= folder.len() => return Ok(()),
                Some(done) => next_below(folder, done),
            };
            let fd = self.from.at(path)?;
            let look = Look::of(fd)?;
            allow_changes(fd, &look)?;
            self.entered.push(EnteredFolder {
                path: path.to_vec(),
                look,
                is_changed: false,
            });
        }
    }

    /// Notes that something went from `folder`, which was entered.
    fn changed(&mut self, folder: &[u8]) {
        let mut entered = self.entered.iter_mut().rev();
        if let Some(entered) = entered.find(|entered| entered.path == folder) {
            entered.is_changed = true;
        }
    }

    /// Gives the folders that were entered their mode and their time back, but for those that are, or are above,
    /// `folder`.
    fn leave_to(&mut self, folder: Option<&[u8]>) -> io::Result<()> {
        while let Some(entered) = self.entered.last()
            && !folder.is_some_and(|folder| is_at_or_above(&entered.path, folder))
        {
            let mut leave = || -> io::Result<()> {
                let (fd, look) = (self.from.at(&entered.path)?, &entered.look);
                if look.mode & 0o700 != 0o700 {
                    sys::fchmod(fd, Mode::from_raw_mode(look.mode))?;
                }
                if !entered.is_changed {
                    return Ok(());
                }
                sys::futimens(fd, &timestamps(look.mtime))?;
                match sys::fsync(fd) {
                    Err(Errno::INVAL | Errno::NOTSUP) => Ok(()),
                    result => Ok(result?),
                }
            };
            match leave() {
                Err(error) if is_gone(&error) => {}
                result => result.map_err(|error| {
                    let path = self.kept.shown(&entered.path);
                    io::Error::new(error.kind(), format!("cannot restore {path}: {error}"))
                })?,
            }
            self.entered.pop();
        }
        Ok(())
    }
}

/// Returns true if two are one file, or one is the copy that was made of the other.
fn is_twin(look: &Look, twin: &Look) -> bool {
    let shape = |look: &Look| {
        (
            look.what, look.size, look.mtime, look.mode, look.uid, look.gid,
        )
    };
    let is_copied = matches!(look.what, NodeKind::File | NodeKind::Link);
    look.inode == twin.inode || (is_copied && shape(look) == shape(twin))
}
