//! The settings as an archive adds to them: sources of its entries, and places behind the links that it restores.

use std::borrow::Cow;

use anyhow::Result;

use super::{
    apart::{Gone, below, directories_lie_apart},
    settings::Settings,
    sources::Source,
};
use crate::{
    disk::real,
    model::{
        entry_name::EntryName,
        manifest::{ListedDirectory, Manifest},
        tree::Tree,
    },
};

impl Settings {
    /// Adds the sources of an archive's entries whose files are not here, and match a pattern.
    pub fn add_archived(&mut self, manifest: &Manifest) -> Result<()> {
        let names = manifest.files.keys();
        let names = names.filter(|name| !manifest.is_listing(name));
        let names = names.map(|name| (name, false));
        let directories = manifest.trees.keys().chain(manifest.directories.keys());
        let directories = directories.map(|name| (name, true));
        for (name, is_directory) in names.chain(directories) {
            let mut globs = self.globs.iter();
            let found = globs.find_map(|glob| {
                let is_kind = glob.template.is_directory() == is_directory;
                let path = glob.path_of(name).filter(|_| is_kind)?;
                Some(glob.template.at(name.clone(), path))
            });
            if let Some(source) = found.filter(|_| self.source_of(name).is_none()) {
                if let Some(path) = source.path() {
                    self.elsewhere.stays_inside(path)?;
                }
                self.sources.push(source);
            }
        }
        directories_lie_apart(&self.config, &self.sources, Gone::MayBeLinks)
    }

    /// Returns true if a source lies in a directory whose links an import restores: its place may be behind one of
    /// them.
    pub fn may_lie_behind_links(&self) -> bool {
        let mut directories = self
            .sources
            .iter()
            .filter(|source| source.kind.restores_all_links());
        directories.any(|directory| {
            let is_below = |other: &Source| below(directory, other).is_some();
            self.sources.iter().any(is_below)
        })
    }

    /// Moves each source to the place to which the archive's links lead, if an import restores these links
    /// (`links = "all"`). Otherwise the source would be put in the link's own place. Both entries are among those that
    /// are `asked` for. `listed` reads the links of a directory that has a listing; it is called only if a source lies
    /// in one with links.
    pub fn follow_archived_links(
        &mut self,
        manifest: &Manifest,
        listed: &mut dyn FnMut(&EntryName) -> Result<Tree>,
        asked: impl Fn(&EntryName) -> bool,
    ) -> Result<()> {
        // The home is locked: it does not change.
        self.home = Some(self.home());
        let mut moved = Vec::new();
        for directory in self
            .sources
            .iter()
            .filter(|source| source.kind.restores_all_links())
        {
            let name = &directory.name;
            if !manifest.has_directory(name) || !asked(name) {
                continue;
            }
            let top = directory.path().map(real).unwrap_or_default();
            let inside = self.elsewhere.inside(&top);
            let is_there = |source: &Source| {
                let name = &source.name;
                manifest.files.contains_key(name) || manifest.has_directory(name)
            };
            let sources = self.sources.iter().enumerate();
            let sources = sources.filter(|(_, source)| asked(&source.name) && is_there(source));
            let mut within = sources
                .filter_map(|(at, source)| Some((at, below(directory, source)?)))
                .peekable();
            if within.peek().is_none() {
                continue;
            }
            let has_listed_links = |found: &&ListedDirectory| found.links > 0;
            let tree = match manifest.directories.get(name).filter(has_listed_links) {
                Some(_) => Some(Cow::Owned(listed(name)?)),
                None => manifest.trees.get(name).map(Cow::Borrowed),
            };
            let Some(tree) = tree else { continue };
            for (at, rest) in within {
                let out = tree.way_out(rest.as_os_str().as_encoded_bytes(), &inside);
                if let Some(out) = out {
                    moved.push((at, self.elsewhere.led(&out)));
                }
            }
        }
        for (at, path) in moved {
            self.elsewhere.stays_inside(&path)?;
            let source = &self.sources[at];
            self.sources[at] = source.at(source.name.clone(), path);
        }
        directories_lie_apart(&self.config, &self.sources, Gone::AreFolders)
    }
}
