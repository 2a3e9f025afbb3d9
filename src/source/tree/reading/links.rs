//! The symbolic links of a directory while it is put together: those that lead outside are named.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    path::Path,
};

use anyhow::Result;

use super::super::tape::TapeWriter;
use crate::{
    disk::tree::beneath::Top,
    model::{named::Named, relative::shown, tree::way_out},
};

/// Links of a directory, on a tape; some 20 bytes of each are in memory.
pub(super) struct LinkTargets {
    /// The path and the target of each, one after the other.
    tape: TapeWriter<'static>,
    /// The places of the paths, by their hashes.
    places: HashMap<u64, u64>,
    hasher: RandomState,
}

impl LinkTargets {
    /// Creates an empty collection; its file lies in the folder `scratch`.
    pub(super) fn new(scratch: &Path) -> LinkTargets {
        LinkTargets {
            tape: TapeWriter::owned(scratch.to_owned()),
            places: HashMap::new(),
            hasher: RandomState::new(),
        }
    }

    pub(super) fn add(&mut self, path: &[u8], target: &[u8]) -> Result<()> {
        let hash = self.hasher.hash_one(path);
        self.places.insert(hash, self.tape.end());
        self.tape.push(path)?;
        self.tape.push(target)
    }

    /// Names those that lead out of the directory `top`: their targets are not in the archive.
    pub(super) fn outside(&self, top: &Top) -> Result<Vec<String>> {
        let place = top.path().canonicalize();
        let place = place.unwrap_or_else(|_| top.path().to_owned());
        let mut outside = Named::default();
        let mut failed = None;
        let mut at = 0;
        while at < self.tape.end() {
            let (link, next) = self.tape.read_on(at)?;
            let (target, next) = self.tape.read_on(next)?;
            at = next;
            let out = way_out(&link, &place, &mut |path| {
                self.target(path).unwrap_or_else(|error| {
                    failed = Some(error);
                    None
                })
            });
            if let Some(error) = failed.take() {
                return Err(error);
            }
            if out.is_some() {
                outside.add(|| {
                    let (link, to) = (top.shown(&link), shown(&target));
                    format!("{link} is a link that leads out of the directory, to {to}: the archive has the link, not what it leads to")
                });
            }
        }
        Ok(outside.finish())
    }

    fn target(&self, path: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(at) = self.places.get(&self.hasher.hash_one(path)) else {
            return Ok(None);
        };
        let (link, next) = self.tape.read_on(*at)?;
        if link != path {
            return Ok(None);
        }
        Ok(Some(self.tape.read(next)?))
    }
}
