//! The mounts of other mount namespaces, and the overlays: a replaced folder goes on being seen there.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::table::Mounts;
use crate::disk::holder::Holder;

/// A mount that shows something by itself, so that it goes on showing the old one when a new one takes its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OtherMount {
    /// In our own mount namespace, at this path.
    Here(PathBuf),
    /// In the namespace of these processes, at this path there.
    Process(Vec<Holder>, PathBuf),
    /// As a layer of an overlay file system, or a part of one.
    Layer {
        /// The layer.
        layer: PathBuf,
        /// The place at which the overlay is mounted.
        point: PathBuf,
        /// The processes in whose namespace it is; none if it is in our own.
        holders: Vec<Holder>,
    },
}

/// The mounts of every namespace that can be seen from here.
///
/// Not promised: that processes are found whose numbers this process does not see (another PID namespace).
#[derive(Debug)]
pub struct Namespaces {
    ours: Mounts,
    others: Vec<(Vec<u32>, Mounts)>,
}

impl Namespaces {
    /// Reads them, each once.
    pub fn read() -> Result<Namespaces> {
        let ours = Mounts::ours()?;
        let here = namespace_of(std::process::id());
        let mut members: BTreeMap<PathBuf, Vec<u32>> = BTreeMap::new();
        for (pid, namespace) in processes()? {
            if Some(&namespace) != here.as_ref() {
                members.entry(namespace).or_default().push(pid);
            }
        }
        let others = members.into_values().filter_map(|pids| {
            // One that has ended shows nothing any more.
            let mut read = pids.iter().map(|pid| Mounts::of(&pid.to_string()));
            let mounts = read.find_map(Result::ok)?;
            Some((pids, mounts))
        });
        let others = others.collect();
        Ok(Namespaces { ours, others })
    }

    /// Returns the mounts of this process.
    pub fn ours(&self) -> &Mounts {
        &self.ours
    }

    /// Finds the other mounts that show what is at `path`, or something below it, by itself.
    pub fn elsewhere(&self, path: &Path) -> Vec<OtherMount> {
        let Some(inner) = self.ours.inner(path) else {
            return Vec::new();
        };
        let own = self.ours.showing(path).map(|mount| mount.id);
        let here = self
            .ours
            .showing_alone(&inner)
            .filter(|mount| Some(mount.id) != own && !mount.point.starts_with(path))
            .map(|mount| OtherMount::Here(mount.point.clone()));
        let there = self.others.iter().filter_map(|(pids, mounts)| {
            let mount = mounts.showing_alone(&inner).next()?;
            let holders = pids.iter().map(|pid| Holder::of(*pid)).collect();
            Some(OtherMount::Process(holders, mount.point.clone()))
        });
        here.chain(there).chain(self.overlays(path)).collect()
    }

    /// Finds the overlays of which `path`, or something in it, is a layer, and those that have it in one: our own
    /// first, else the first one of each other namespace.
    fn overlays(&self, path: &Path) -> Vec<OtherMount> {
        let found = |mounts: &Mounts, pids: &[u32]| {
            let (mount, layer) = mounts.0.iter().find_map(|mount| {
                let mut layers = mount.layers.iter();
                let layer = layers.find(|layer| is_around(layer, path))?;
                Some((mount, layer))
            })?;
            Some(OtherMount::Layer {
                layer: layer.clone(),
                point: mount.point.clone(),
                holders: pids.iter().map(|pid| Holder::of(*pid)).collect(),
            })
        };
        if let Some(ours) = found(&self.ours, &[]) {
            return vec![ours];
        }
        let others = self.others.iter();
        others
            .filter_map(|(pids, mounts)| found(mounts, pids))
            .collect()
    }
}

/// Returns true if one of two places lies in the other; every place is in `/`, which tells nothing.
fn is_around(layer: &Path, path: &Path) -> bool {
    let layer = match layer.canonicalize() {
        Ok(layer) if layer != Path::new("/") => layer,
        _ => return false,
    };
    layer.starts_with(path) || path.starts_with(&layer)
}

/// Lists the processes whose mount namespace we may see, by their numbers.
fn processes() -> Result<BTreeMap<u32, PathBuf>> {
    let entries = fs::read_dir("/proc").context("cannot read /proc: is it mounted?")?;
    let numbers = entries.flatten().filter_map(|entry| {
        let name = entry.file_name();
        name.to_str()?.parse::<u32>().ok()
    });
    let known = numbers.filter_map(|pid| Some((pid, namespace_of(pid)?)));
    Ok(known.collect())
}

/// Returns the name of the mount namespace of a process, if we may see it.
pub fn namespace_of(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/mnt")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_that_is_the_root_tells_nothing() {
        assert!(!is_around(Path::new("/"), Path::new("/srv")));
    }
}
