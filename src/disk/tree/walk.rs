//! A walk over a folder and everything below it that the rules keep; links are not followed.

use std::{
    ffi::OsStr,
    io,
    os::{fd::BorrowedFd, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::beneath::{Folders, Look, NodeKind, Top, is_gone, join, names};
use crate::{
    disk::in_real_folder,
    model::{
        relative::{RelativeFault, RelativeName},
        rules::{Decision, Rules},
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

/// A file or a link that a walk meets.
#[derive(Debug)]
pub struct Leaf<'a> {
    /// Its kind.
    pub what: NodeKind,
    /// The file system of its folder, and its number as the folder tells it.
    pub inode: (u64, u64),
    folder: BorrowedFd<'a>,
    name: &'a OsStr,
}

impl Leaf<'_> {
    /// Inspects it; by now it may be something else.
    pub fn look(&self) -> io::Result<Look> {
        Look::at(self.folder, self.name)
    }
}

/// Tells `visit` of the top (an empty path), and of everything below it: in each folder in the order of names, and
/// folders after the files beside them. A file that vanishes meanwhile was never there.
pub fn walk(
    top: &Top,
    rules: &Rules,
    visit: &mut dyn FnMut(&[u8], Met<'_>) -> Result<()>,
) -> Result<()> {
    let ahead = vec![(Vec::new(), rules.of_top())];
    walk_from(top, rules, ahead, &mut |_| true, visit)
}

/// Does the same for the folders `ahead`, each with the verdict of the rules, the last one first. Goes below them only
/// into folders for which `descend` returns true. A missing folder is skipped.
pub fn walk_from(
    top: &Top,
    rules: &Rules,
    mut ahead: Vec<(Vec<u8>, Decision)>,
    descend: &mut dyn FnMut(&[u8]) -> bool,
    visit: &mut dyn FnMut(&[u8], Met<'_>) -> Result<()>,
) -> Result<()> {
    let mut folders = Folders::new(top);
    while let Some((folder, verdict)) = ahead.pop() {
        let opened = folders.at(&folder).and_then(|fd| {
            let look = Look::of(fd)?;
            Ok((fd, look, names(fd)?))
        });
        let (fd, look, names) = match opened {
            Ok(opened) => opened,
            Err(error) if is_gone(&error) && !folder.is_empty() => continue,
            Err(error) => {
                visit(&folder, Met::Failed(error.to_string()))?;
                continue;
            }
        };
        match verdict {
            Decision::Searched | Decision::Crossed if !folder.is_empty() => {
                visit(&folder, Met::Searched(look, fd))?;
            }
            _ => visit(&folder, Met::Folder(look, fd))?,
        }
        let below = ahead.len();
        for (name, what, inode) in names {
            let relative = join(&folder, &name);
            let name = OsStr::from_bytes(&name);
            let what = match what {
                Some(what) => what,
                None => match Look::at(fd, name) {
                    Ok(look) => look.what,
                    Err(error) if is_gone(&error) => continue,
                    Err(error) => {
                        visit(&relative, Met::Failed(error.to_string()))?;
                        continue;
                    }
                },
            };
            let verdict = rules.below(verdict, &relative, what == NodeKind::Folder);
            let met = match (RelativeName::new(&relative), verdict, what) {
                (Err(RelativeFault::Own), ..) => Met::Own,
                (_, Decision::Excluded, _) => Met::Excluded,
                (Err(fault), ..) => Met::Failed(format!("its path {fault}")),
                (Ok(_), _, NodeKind::Special(kind)) => Met::Special(kind),
                (Ok(_), _, NodeKind::Folder) => {
                    if descend(&relative) {
                        ahead.push((relative, verdict));
                    }
                    continue;
                }
                (Ok(_), _, what) => Met::Leaf(Leaf {
                    what,
                    inode: (look.inode.0, inode),
                    folder: fd,
                    name,
                }),
            };
            visit(&relative, met)?;
        }
        ahead[below..].reverse();
    }
    Ok(())
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
