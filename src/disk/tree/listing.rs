//! A digest over a directory as it looks from outside, to find changes by other processes.

use std::{
    io::{self, Write as _},
    os::fd::AsFd as _,
    path::Path,
};

use anyhow::{Context as _, Result, bail};

use super::{
    beneath::{Look, NodeKind, Top, is_gone},
    walk::{Met, walk},
};
use crate::model::{
    digest::{Digest, Hashing},
    relative::is_at_or_above,
    rules::{Decision, Rules},
};

/// Returns a digest over everything in the directory at `path` that `rules` keep, in the order of a [`walk`]: paths,
/// kinds, owners and modes of all, and sizes and times of all but folders. (A folder's own time changes with excluded
/// files as well.) Sockets, fifos and devices, which no archive holds, are excluded.
///
/// Not promised: that a change through a shared memory map is seen, whose time comes later.
pub fn listing(path: &Path, rules: &Rules) -> Result<Digest> {
    let top = Top::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut hashing = Hashing::new(io::sink());
    walk(&top, rules, &mut |relative, met| {
        let met = match met {
            Met::Folder(look, _) => describe(&look),
            Met::Leaf(leaf) => match leaf.look() {
                Ok(look) => describe(&look),
                Err(error) if is_gone(&error) => return Ok(()),
                Err(error) => bail!("cannot look at {}: {error}", top.shown(relative)),
            },
            Met::Special(kind) if rules.takes_special() => kind.to_owned(),
            Met::Special(_) | Met::Searched(..) | Met::Excluded | Met::Own => return Ok(()),
            Met::Failed(reason) => bail!("cannot look at {}: {reason}", top.shown(relative)),
        };
        // No path has a NUL.
        hashing.write_all(relative)?;
        write!(hashing, "\0{met}\0")?;
        Ok(())
    })?;
    Ok(hashing.finish().0)
}

/// Returns the same digest, and that over everything in the directory, in one walk.
pub fn listing_and_whole(path: &Path, rules: &Rules) -> Result<(Digest, Digest)> {
    let top = Top::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let (mut kept, mut whole) = (Hashing::new(io::sink()), Hashing::new(io::sink()));
    // The folders above what the walk visits: the lengths of their paths, and what the rules say of them.
    let (mut at, mut above): (Vec<u8>, Vec<(usize, Decision)>) = (Vec::new(), Vec::new());
    walk(&top, &Rules::everything(), &mut |relative, met| {
        let is_below = |(length, _): &(usize, Decision)| is_at_or_above(&at[..*length], relative);
        while above.pop_if(|folder| !is_below(folder)).is_some() {}
        let is_folder = matches!(met, Met::Folder(..) | Met::Searched(..));
        let verdict = match above.last() {
            None => rules.of_top(),
            // A walk by the rules goes into the top, whatever they say of it.
            Some((1.., Decision::Excluded)) => Decision::Excluded,
            Some((_, verdict)) => rules.below(*verdict, relative, is_folder),
        };
        let (met, is_kept) = match met {
            Met::Folder(look, _) | Met::Searched(look, _) => {
                at.clear();
                at.extend_from_slice(relative);
                above.push((relative.len(), verdict));
                let is_kept = verdict == Decision::Kept || relative.is_empty();
                (describe(&look), is_kept)
            }
            Met::Leaf(leaf) => match leaf.look() {
                Ok(look) => (describe(&look), verdict != Decision::Excluded),
                Err(error) if is_gone(&error) => return Ok(()),
                Err(error) => bail!("cannot look at {}: {error}", top.shown(relative)),
            },
            Met::Special(kind) => {
                let is_kept = verdict != Decision::Excluded && rules.takes_special();
                (kind.to_owned(), is_kept)
            }
            Met::Excluded | Met::Own => return Ok(()),
            Met::Failed(reason) => bail!("cannot look at {}: {reason}", top.shown(relative)),
        };
        let both = [Some(&mut whole), Some(&mut kept).filter(|_| is_kept)];
        for hashing in both.into_iter().flatten() {
            hashing.write_all(relative)?;
            write!(hashing, "\0{met}\0")?;
        }
        Ok(())
    })?;
    Ok((kept.finish().0, whole.finish().0))
}

/// Returns the same for a file or a link at `path`, which is not followed.
pub fn listing_of_one(path: &Path) -> Result<Digest> {
    let looking = || format!("cannot look at {}", path.display());
    let top = Top::open(&crate::disk::folder_of(path)).with_context(looking)?;
    let name = path.file_name().unwrap_or_default();
    let look = Look::at(top.as_fd(), name).with_context(looking)?;
    let mut text = describe(&look).into_bytes();
    if look.what == NodeKind::Link {
        let target = rustix::fs::readlinkat(top.as_fd(), name, Vec::new()).with_context(looking)?;
        text.extend_from_slice(target.as_bytes());
    }
    Ok(Digest::of(&text))
}

fn describe(look: &Look) -> String {
    let what = format!("{:?} {:o} {}:{}", look.what, look.mode, look.uid, look.gid);
    match look.what {
        NodeKind::Folder => what,
        _ => {
            let time = look.mtime;
            let (seconds, nanoseconds) = (time.seconds, time.nanoseconds);
            format!("{what} {} {seconds}.{nanoseconds:09}", look.size)
        }
    }
}
