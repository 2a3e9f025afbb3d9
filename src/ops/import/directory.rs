//! A directory of an archive against the one on this machine: whether they are the same, and the change that makes them so.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, Result};
use tracing::warn;

use super::unpacked::Unpacked;
use crate::{
    config::{
        Settings,
        sources::{Content, Source},
    },
    disk::{
        exists, survey,
        transaction::{Change, Form, New, separate},
        tree::{self as built, Restoring, StagedFile, Taking},
    },
    model::{
        digest::Digest,
        entry_name::EntryName,
        relative::RelativeName,
        tree::{Tree, relative_of},
    },
    ops::{Context, look::look, staged::staged_files},
    source::sqlite,
};

/// An archive's directory, and where this machine has it.
pub struct Directory<'a> {
    context: &'a Context,
    settings: &'a Settings,
    unpacked: &'a Unpacked<'a>,
    source: &'a Source,
    tree: &'a Tree,
    target: &'a Path,
    files: Vec<StagedFile<'a>>,
}

impl<'a> Directory<'a> {
    /// The directory that `source` describes; nothing where the archive has none of this name.
    pub fn find(
        context: &'a Context,
        settings: &'a Settings,
        unpacked: &'a Unpacked<'a>,
        source: &'a Source,
        target: &'a Path,
    ) -> Result<Option<Directory<'a>>> {
        let manifest = unpacked.verified.manifest();
        let Some(tree) = manifest.trees.get(&source.name) else {
            return Ok(None);
        };
        let files = staged_files(&source.name, manifest, unpacked.staging)?;
        Ok(Some(Directory {
            context,
            settings,
            unpacked,
            source,
            tree,
            target,
            files,
        }))
    }

    /// Whether this machine's directory is the archive's already: files, folders, links, and modes.
    pub fn is_unchanged(&self) -> Result<bool> {
        if !self.target.is_dir() {
            return Ok(false);
        }
        let here = look(self.context, self.settings, self.source, self.target)?;
        let mut files: BTreeMap<RelativeName, (Digest, Option<u32>)> = BTreeMap::new();
        for (entry, record) in &here.records {
            let key = &entry.as_str()[self.source.name.as_str().len() + 1..];
            let name = relative_of(key, record, &self.source.name);
            let name = name.map_err(anyhow::Error::msg)?;
            files.insert(name, (record.checksum, record.mode));
        }
        let wanted = self.files.iter().map(|file| {
            let (record, name) = (file.record, file.name.clone());
            (name, (record.checksum, record.mode))
        });
        let folders = |tree: &Tree| -> BTreeMap<RelativeName, Option<u32>> {
            let folders = tree.folders.iter();
            folders
                .map(|(name, folder)| (name.clone(), folder.mode))
                .collect()
        };
        let links = |tree: &Tree| -> BTreeMap<RelativeName, Vec<u8>> {
            let links = tree.links.iter();
            links
                .map(|(name, link)| (name.clone(), link.target.clone()))
                .collect()
        };
        Ok(wanted.collect::<BTreeMap<_, _>>() == files
            && self.tree.root.mode == here.tree.root.mode
            && folders(self.tree) == folders(&here.tree)
            && links(self.tree) == links(&here.tree))
    }

    /// The change that puts the archive's directory in place, with the changes whose targets lie in it.
    pub fn change(self, within: Vec<Change<'a>>) -> Result<Change<'a>> {
        let before = survey::listing(self.target)?;
        let before = before.map(|digest| digest.parse().map_err(anyhow::Error::msg));
        let (entry, target) = (self.source.name.clone(), self.target.to_owned());
        let made: Vec<EntryName> = within.iter().map(|change| change.entry.clone()).collect();
        let build = move |place: &Path| self.build(place, &made);
        Ok(Change {
            entry,
            target,
            before: before.transpose()?,
            stamp: None,
            new: New::Folder {
                build: Box::new(build),
                within,
            },
            form: Form::Folder,
        })
    }

    /// Builds the new directory at `place`; what is `made` comes there by changes of its own.
    fn build(&self, place: &Path, made: &[EntryName]) -> Result<()> {
        let privilege = self.context.privilege();
        let staged = self.unpacked.staging.place(&self.source.name);
        self.context.begin("building the directory", None);
        let mut warnings = built::restore(&Restoring {
            tree: self.tree,
            files: &self.files,
            place,
            target: self.target,
            taking: match self.unpacked.finished.get(&self.source.name) {
                Some(refused) => Taking::Move {
                    folder: &staged,
                    refused,
                },
                None => Taking::Copy,
            },
            privilege,
        })?;
        if exists(self.target) {
            let rules = self.settings.rules(self.source)?;
            warnings.extend(built::keep_excluded(self.target, place, &rules, privilege)?);
            self.keep_others(place, made)?;
        }
        for warning in warnings {
            warn!("{}: {warning}", self.source.name);
        }
        Ok(())
    }

    /// Sources of their own that no change makes anew stay as they are, each in a file of its own: the old directory is
    /// what a rollback brings back.
    fn keep_others(&self, place: &Path, made: &[EntryName]) -> Result<()> {
        for (other, inside) in self.settings.within(self.source) {
            let (old, new) = (self.target.join(&inside), place.join(&inside));
            let mut files = vec![(old.clone(), new.clone())];
            if let Content::Sqlite { .. } = other.content {
                let companions = sqlite::companions(&old).into_iter();
                files.extend(companions.zip(sqlite::companions(&new)));
            }
            let is_made = made.contains(&other.name) && self.unpacked.record(&other.name).is_some();
            for (old, new) in files {
                let result = match is_made {
                    true => crate::disk::remove_file(&new),
                    false if exists(&old) => separate(&old, &new).map_err(std::io::Error::other),
                    false => Ok(()),
                };
                result.with_context(|| format!("cannot keep {}", old.display()))?;
            }
        }
        Ok(())
    }
}
