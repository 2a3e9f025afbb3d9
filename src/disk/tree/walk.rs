//! A walk over a folder and everything below it that the rules keep; links are not followed.

use std::{io, os::fd::BorrowedFd, path::Path, path::PathBuf};

use anyhow::{Context as _, Result};

use super::beneath::{Folders, Look, Top, What, is_gone, join, names};
use crate::{
    disk::survey::in_real_folder,
    model::{
        relative::{RelativeFault, RelativeName},
        rules::{Rules, Verdict},
    },
};

/// What a walk meets.
#[derive(Debug)]
pub enum Met<'a> {
    /// A folder, open; the walk goes on below it.
    Folder(Look, BorrowedFd<'a>),
    /// A folder that is only searched for what is kept.
    Searched(Look, BorrowedFd<'a>),
    /// A regular file or a symbolic link.
    Leaf(Look),
    /// A socket, a fifo, a device.
    Special(&'static str),
    /// Something that the rules exclude; the walk goes not below it.
    Excluded,
    /// Something that is called as hookshot calls what it makes; the walk goes not below it.
    Own,
    /// Something that cannot be looked at, and why.
    Failed(String),
}

/// Tells `visit` of the top (an empty path), and of everything below it: in each folder in the order of names, and
/// folders after what lies beside them. What vanishes meanwhile was never there.
pub fn walk(
    top: &Top,
    rules: &Rules,
    visit: &mut dyn FnMut(&[u8], Met<'_>) -> Result<()>,
) -> Result<()> {
    let mut folders = Folders::new(top);
    let mut ahead = vec![(Vec::new(), rules.of_top())];
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
            Verdict::Searched if !folder.is_empty() => visit(&folder, Met::Searched(look, fd))?,
            _ => visit(&folder, Met::Folder(look, fd))?,
        }
        let below = ahead.len();
        for name in names {
            let relative = join(&folder, &name);
            let (met, verdict) = meet(fd, &relative, &name, rules, verdict);
            match met {
                Some(Met::Leaf(look)) if look.what == What::Folder => {
                    ahead.push((relative, verdict))
                }
                Some(met) => visit(&relative, met)?,
                None => {}
            }
        }
        ahead[below..].reverse();
    }
    Ok(())
}

/// What `name` is, a folder as a leaf; nothing where it has vanished.
fn meet<'a>(
    folder: BorrowedFd<'_>,
    relative: &[u8],
    name: &[u8],
    rules: &Rules,
    above: Verdict,
) -> (Option<Met<'a>>, Verdict) {
    use std::os::unix::ffi::OsStrExt as _;
    let look = match Look::at(folder, std::ffi::OsStr::from_bytes(name)) {
        Err(error) if is_gone(&error) => return (None, Verdict::Excluded),
        Err(error) => return (Some(Met::Failed(error.to_string())), Verdict::Excluded),
        Ok(look) => look,
    };
    let verdict = rules.below(above, relative, look.what == What::Folder);
    let met = match (RelativeName::new(relative), verdict, look.what) {
        (Err(RelativeFault::Own), ..) => Met::Own,
        (_, Verdict::Excluded, _) => Met::Excluded,
        (Err(fault), ..) => Met::Failed(format!("its path {fault}")),
        (Ok(_), _, What::Special(kind)) => Met::Special(kind),
        (Ok(_), ..) => Met::Leaf(look),
    };
    (Some(met), verdict)
}

/// Which of `places` lie below the folder `top`, by their paths there: what [`Rules::without`] takes.
pub fn below(top: &Path, places: &[PathBuf]) -> Result<Vec<Vec<u8>>> {
    use std::os::unix::ffi::OsStrExt as _;
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
