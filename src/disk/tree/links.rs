//! Symbolic links that lead out of a directory: which of them are made again, and what is said of the others.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use rustix::fs as sys;

use super::beneath::{Folders, Look, NodeKind, Top, is_gone};
use crate::model::{
    named::Named,
    relative::{RelativeName, shown},
    tree::{LinkRecord, Owner, Tree},
};

/// The links that are made among those that lead out of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkPolicy {
    /// Those that this machine has already. If its own link leads to another place, its own stays.
    AsHere,
    /// All of them.
    All,
}

/// The links of a directory that lead out of it, sorted by their fate.
#[derive(Debug, Default)]
pub struct OutsideLinks {
    /// The links that are made, and as what.
    pub made: BTreeMap<RelativeName, LinkRecord>,
    /// A message for each link that is made.
    pub announced: Vec<String>,
    /// A message for each link of the directory that is not made.
    pub left: Vec<String>,
}

impl OutsideLinks {
    /// Decides for the links of `tree`, which will lie at `target`; what lies there now is looked at. The paths `taken`
    /// below it belong to sources of their own: no link is made there or above them.
    pub fn plan(
        tree: &Tree,
        target: &Path,
        wish: LinkPolicy,
        taken: &[PathBuf],
    ) -> io::Result<OutsideLinks> {
        let mut outside = OutsideLinks::default();
        let (mut announced, mut left) = (Named::default(), Named::default());
        let top = match Top::open(target) {
            Ok(top) => Some(top),
            Err(error) if is_nothing(&error) => None,
            Err(error) => return Err(error),
        };
        for (name, record) in tree.outside(target) {
            let path = Path::new(OsStr::from_bytes(name.as_bytes()));
            let is_taken = taken.iter().any(|taken| taken.starts_with(path));
            let here = match &top {
                Some(top) => link_at(top, name)?,
                None => None,
            };
            let at = format!("{}/{name}", target.display());
            let to = shown(&record.target);
            let made = match here {
                Some(here) if here.target == record.target => Some(record.clone()),
                _ if wish == LinkPolicy::All && !is_taken => Some(record.clone()),
                Some(here) if wish == LinkPolicy::AsHere => {
                    let own = shown(&here.target);
                    left.add(|| {
                        format!(
                            "{}; this machine's own link there, to {own}, stays",
                            unrestored(&at, &to)
                        )
                    });
                    outside.made.insert(name.clone(), here);
                    continue;
                }
                _ => None,
            };
            match made {
                Some(made) => {
                    announced
                        .add(|| format!("{at} is a link that leads out of the directory, to {to}"));
                    outside.made.insert(name.clone(), made);
                }
                None if is_taken => {
                    left.add(|| format!("{}; a source of its own lies there", unrestored(&at, &to)))
                }
                None => left.add(|| unrestored(&at, &to)),
            }
        }
        (outside.announced, outside.left) = (announced.finish(), left.finish());
        Ok(outside)
    }
}

fn unrestored(at: &str, to: &str) -> String {
    format!("{at} is not restored: it is a link that leads out of the directory, to {to}")
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Returns the link at a path below `top`, if one is there.
fn link_at(top: &Top, name: &RelativeName) -> io::Result<Option<LinkRecord>> {
    let mut folders = Folders::new(top);
    let mut read = || -> io::Result<Option<LinkRecord>> {
        let (parent, name) = folders.parent(name.as_bytes())?;
        let look = Look::at(parent, name)?;
        if look.what != NodeKind::Link {
            return Ok(None);
        }
        Ok(Some(LinkRecord {
            target: sys::readlinkat(parent, name, Vec::new())?.into_bytes(),
            owner: Owner {
                uid: Some(look.uid),
                gid: Some(look.gid),
                ..Owner::default()
            },
            mtime: Some(look.mtime),
        }))
    };
    match read() {
        Err(error) if is_gone(&error) => Ok(None),
        result => result,
    }
}
