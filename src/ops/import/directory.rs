//! A directory of an archive against the one on this machine: whether they are the same, and the change that makes them so.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

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
        transaction::{Change, Form, New},
        tree::{self as built, Restoring, StagedFile, Taking},
    },
    model::{
        digest::Digest,
        entry_name::EntryName,
        relative::RelativeName,
        rules::Rules,
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
        let made: Vec<EntryName> = within.iter().map(|change| change.entry.clone()).collect();
        let rules = self.rules(&made)?;
        let before = survey::listing(self.target, &rules)?;
        let before = before.map(|digest| digest.parse().map_err(anyhow::Error::msg));
        let (entry, target) = (self.source.name.clone(), self.target.to_owned());
        let kept = rules.clone();
        let build = move |place: &Path| self.build(place, &made, &kept);
        Ok(Change {
            entry,
            target,
            before: before.transpose()?,
            stamp: None,
            rules: Some(rules),
            backup: None,
            new: New::Folder {
                build: Box::new(build),
                within,
            },
            form: Form::Folder,
        })
    }

    /// Builds the new directory at `place`; what is `made` comes there by changes of its own.
    fn build(&self, place: &Path, made: &[EntryName], rules: &Rules) -> Result<()> {
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
            self.make_room(place, made)?;
            warnings.extend(built::keep_excluded(self.target, place, rules, privilege)?);
        }
        for warning in warnings {
            warn!("{}: {warning}", self.source.name);
        }
        Ok(())
    }

    /// What of the directory is replaced: what its rules keep, and the sources of their own in it that are `made` anew.
    fn rules(&self, made: &[EntryName]) -> Result<Rules> {
        let rules = self.settings.rules(self.source)?;
        let others = self.settings.within(self.source).into_iter();
        let claimed = others.filter(|(other, _)| self.is_made(other, made));
        let claimed = claimed.flat_map(|(other, inside)| parts(other, &inside));
        let mut claimed: Vec<Vec<u8>> = claimed
            .map(|path| path.into_os_string().into_encoded_bytes())
            .collect();
        // The log of another state of a database would spoil it: it goes with the database, although patterns exclude it.
        for database in self.files.iter().filter(|file| is_sqlite(file)) {
            let logs = sqlite::companions(Path::new(OsStr::from_bytes(database.name.as_bytes())));
            let logs = logs
                .into_iter()
                .map(|path| path.into_os_string().into_encoded_bytes());
            claimed.extend(logs.filter(|log| !rules.keeps(log, false)));
        }
        Ok(rules.claiming(claimed))
    }

    fn is_made(&self, other: &Source, made: &[EntryName]) -> bool {
        made.contains(&other.name) && self.unpacked.record(&other.name).is_some()
    }

    /// Removes what the archive's directory has at the places of sources of their own: those that are `made` come there by
    /// changes of their own, and the others stay as they are on this machine.
    fn make_room(&self, place: &Path, made: &[EntryName]) -> Result<()> {
        for (other, inside) in self.settings.within(self.source) {
            for part in parts(other, &inside) {
                if self.is_made(other, made) || exists(&self.target.join(&part)) {
                    let new = place.join(&part);
                    crate::disk::remove_file(&new)
                        .with_context(|| format!("cannot remove {}", new.display()))?;
                }
            }
        }
        Ok(())
    }
}

/// Whether a file is a SQLite database, as the manifest or else its name says.
fn is_sqlite(file: &StagedFile<'_>) -> bool {
    const ENDINGS: [&[u8]; 3] = [b".db", b".sqlite", b".sqlite3"];
    let name = file.name.as_bytes();
    match file.record.kind.as_deref() {
        Some("sqlite") => true,
        _ => ENDINGS.iter().any(|ending| name.ends_with(ending)),
    }
}

/// The files of a source that lies at `inside` in a directory.
fn parts(source: &Source, inside: &Path) -> Vec<PathBuf> {
    let mut files = vec![inside.to_owned()];
    if let Content::Sqlite { .. } = source.content {
        files.extend(sqlite::companions(inside));
    }
    files
}
