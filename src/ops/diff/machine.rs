//! This machine's state as one side of a comparison.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::{
    archived::ArchivedSide,
    part::{Content, SidePart, SideParts, in_order, of_line},
    text::is_text,
};
use crate::{
    config::{Settings, sources::Source},
    context::Context,
    disk::survey,
    machine::look::read_directory,
    model::{
        digest::Digest, entry_name::EntryName, limits::SMALL_SOURCE_BYTES, plan::Privacy,
        relative::RelativeName,
    },
    source::{engines, tree::StagedTree},
};

/// The state of this machine, as its settings describe it.
#[derive(Clone, Copy)]
pub struct Machine<'a> {
    /// The caller.
    pub context: &'a Context,
    /// The settings.
    pub settings: &'a Settings,
}

impl<'a> Machine<'a> {
    /// Returns its sources, without disabled ones.
    fn sources(&self) -> impl Iterator<Item = &'a Source> {
        let sources = self.settings.sources.iter();
        sources.filter(|source| source.enabled)
    }

    /// Returns the names of its directories.
    pub fn directories(&self) -> impl Iterator<Item = &'a EntryName> {
        let sources = self.sources().filter(|source| source.is_directory());
        let there = sources.filter(|source| source.path().is_some_and(Path::is_dir));
        there.map(|source| &source.name)
    }

    /// Returns the names of its files that lie in none of `directories`.
    pub fn entries(
        &self,
        directories: &'a BTreeSet<EntryName>,
    ) -> impl Iterator<Item = &'a EntryName> {
        let is_apart = move |name: &&EntryName| {
            let first = name.as_str().split_once('/').map(|(first, _)| first);
            !first.is_some_and(|first| directories.contains(first))
        };
        let files = self.files().map(|(source, _)| &source.name);
        files.filter(is_apart)
    }

    /// Returns the sources that are files, and their places.
    fn files(&self) -> impl Iterator<Item = (&'a Source, &'a Path)> {
        let files = self.sources().filter(|source| !source.is_directory());
        files.filter_map(|source| Some((source, source.path()?)))
    }

    fn file(&self, name: &EntryName) -> Option<(&'a Source, &'a Path)> {
        self.files().find(|(source, _)| source.name == *name)
    }

    /// Returns true if `name` in an archive can be compared: no command makes it, and its source is not disabled.
    pub fn is_compared(&self, name: &EntryName) -> bool {
        let source = self.settings.source_of(name);
        source.is_none_or(|source| source.path().is_some() && source.enabled)
    }

    /// Returns true if a command makes an entry in the folder called `directory`.
    pub fn has_commands_in(&self, directory: &EntryName) -> bool {
        let mut sources = self.settings.sources.iter();
        sources.any(|source| {
            let rest = source.name.as_str().strip_prefix(directory.as_str());
            source.path().is_none() && rest.is_some_and(|rest| rest.starts_with('/'))
        })
    }

    /// Returns a file outside directories, if it is there.
    pub fn entry(&self, name: &EntryName) -> Result<Option<Content>> {
        let Some((_, path)) = self.file(name) else {
            return Ok(None);
        };
        let present = survey::present(path, |file| Box::new(self.context.watch(file)))?;
        let Some(present) = present else {
            return Ok(None);
        };
        Ok(Some(Content {
            digest: present.digest,
            size: path.metadata()?.len(),
            database: None,
        }))
    }

    /// Returns the text of a file outside directories, if it is one that may be shown.
    pub fn text(&self, name: &EntryName) -> Result<Option<Vec<u8>>> {
        let Some((source, path)) = self.file(name) else {
            return Ok(None);
        };
        let may_show =
            source.privacy == Privacy::Ordinary && is_text(name, Some(source.kind.name()));
        if !may_show || path.metadata()?.len() > SMALL_SOURCE_BYTES {
            return Ok(None);
        }
        Ok(Some(std::fs::read(path)?))
    }

    /// Reads the directory called `name`; `None` if there is none of that name.
    pub fn directory(&self, name: &EntryName) -> Result<Option<StagedTree>> {
        let source = self
            .sources()
            .find(|source| source.is_directory() && source.name == *name);
        let Some(source) = source else {
            return Ok(None);
        };
        match source.path().filter(|path| path.is_dir()) {
            Some(path) => read_directory(self.context, self.settings, source, path).map(Some),
            None => Ok(None),
        }
    }

    /// Returns the parts of the directory called `name`, in the order of a listing. What the archive has as a directory
    /// may be single files on this machine.
    pub fn parts<'b>(
        &self,
        name: &'b EntryName,
        staged: Option<&'b StagedTree>,
    ) -> Result<SideParts<'b>> {
        if let Some(staged) = staged {
            let lines = staged.lines(name)?;
            return Ok(Box::new(lines.filter_map(move |line| of_line(name, line))));
        }
        let mut parts = Vec::new();
        for (source, _) in self.files() {
            let rest = source.name.as_str().strip_prefix(name.as_str());
            let Some(rest) = rest.and_then(|rest| rest.strip_prefix('/')) else {
                continue;
            };
            if let Some(content) = self.entry(&source.name)? {
                let entry = source.name.clone();
                parts.push(Ok(SidePart {
                    name: RelativeName::new(rest.as_bytes())?,
                    entry,
                    content,
                }));
            }
        }
        in_order(parts.into_iter())
    }

    /// Returns the place of a part of the directory called `directory`.
    pub fn place(&self, directory: &EntryName, part: &SidePart) -> Option<PathBuf> {
        let source = self
            .sources()
            .find(|source| source.is_directory() && source.name == *directory);
        match source {
            Some(source) => Some(source.path()?.join(OsStr::from_bytes(part.name.as_bytes()))),
            None => self.place_of(&part.entry),
        }
    }

    /// Returns the place of a file outside directories.
    pub fn place_of(&self, name: &EntryName) -> Option<PathBuf> {
        self.file(name).map(|(_, path)| path.to_owned())
    }

    /// Returns the digest that a file of this machine counts with: a database that holds what the archived one does
    /// counts as the same, although its file differs.
    pub fn counts_as(
        &self,
        archived: &ArchivedSide,
        name: &EntryName,
        path: &Path,
        here: Digest,
        there: &Content,
    ) -> Result<Digest> {
        let Some(record) = &there.database else {
            return Ok(here);
        };
        let Some(engine) = record.engine() else {
            return Ok(here);
        };
        // Commits that are not in the database's file yet.
        let mut logs = engine.logs_of(path);
        let has_log = logs.any(|path| path.metadata().is_ok_and(|found| found.len() > 0));
        if there.digest == here && !has_log {
            return Ok(here);
        }
        let step = self.context.step();
        let context = self.context.source(&step);
        let head = archived.head(name);
        let is_same = engines::engine(engine).holds_tables(path, record, head, &context)?;
        Ok(match is_same {
            true => there.digest,
            // The file is the archive's, and its log has more.
            false if there.digest == here => Digest::of(there.digest.to_string().as_bytes()),
            false => here,
        })
    }
}
