//! The comparison of an archive's directory with the one on this machine: one pass over the records of both.

use std::{collections::BTreeSet, ffi::OsStr, os::unix::ffi::OsStrExt as _, path::Path};

use anyhow::Result;

use crate::{
    archive::contents::DirectoryContents,
    config::{Settings, sources::Source},
    context::Context,
    disk::tree::{attributes::AttributeWriter, foresight::Foresight, links::OutsideLinks},
    machine::look::read_directory,
    model::{
        engine::Engine,
        entry_name::EntryName,
        limits::MAX_FAULTS,
        manifest::{FileRecord, ListedNode, ListingLine},
        pairs::{Pair, Pairs},
        relative::{RelativeName, shown},
        rules::Rules,
        tree::{FolderRecord, LinkRecord, Tree},
    },
    ops::import::{attributes::OwnerNames, lost::LostAttributes, unpacked::Unpacked},
};

/// The result of a comparison.
#[derive(Default)]
pub struct DirectoryFindings {
    /// True if this machine's directory is already what an import makes of the archive's.
    pub is_unchanged: bool,
    /// The attributes that cannot be restored.
    pub lost: LostAttributes,
    /// The companions of the archive's databases that the rules exclude, by their paths in the directory.
    pub companions: Vec<Vec<u8>>,
    /// The torn files of a directory that has a listing.
    pub torn: TornFiles,
}

/// Torn files, of which only some are named.
#[derive(Default)]
pub struct TornFiles {
    /// The first of them.
    pub named: Vec<EntryName>,
    /// The number of the others.
    pub more: u64,
}

/// An archive's directory, and the place at which this machine has it, or would have it.
pub struct DirectorySides<'a> {
    pub context: &'a Context,
    pub settings: &'a Settings,
    pub unpacked: &'a Unpacked<'a>,
    pub source: &'a Source,
    pub contents: &'a DirectoryContents<'a>,
    /// The top folder and the links of the archive's.
    pub tree: &'a Tree,
    pub target: &'a Path,
    /// The links that lead out of it, by their fate.
    pub outside: &'a OutsideLinks,
}

struct Comparison<'c, 'a> {
    directory: &'c DirectorySides<'a>,
    rules: Rules,
    foresight: Foresight,
    owners: &'c mut OwnerNames,
    /// True if the file system has refused something already: it would refuse it again.
    is_lenient: bool,
    /// True if the directory's records are in a listing.
    is_listed: bool,
    /// Logs with content that lie beside the archive's databases on this machine, and are not in the archive so far.
    logs: BTreeSet<Vec<u8>>,
    findings: DirectoryFindings,
}

impl DirectorySides<'_> {
    /// Compares the archive's directory with this machine's, and shows `owners` everything that is restored.
    pub fn compare(&self, owners: &mut OwnerNames) -> Result<DirectoryFindings> {
        let name = &self.source.name;
        let here = match self.target.is_dir() {
            true => Some(read_directory(
                self.context,
                self.settings,
                self.source,
                self.target,
            )?),
            false => None,
        };
        let refused = self.unpacked.finished.get(name);
        let manifest = self.unpacked.verified.manifest();
        let mut comparison = Comparison {
            directory: self,
            rules: self.settings.rules(self.source)?,
            foresight: Foresight::at(self.target, self.context.privilege())?,
            owners,
            is_lenient: refused.is_some_and(|said| !said.is_empty()),
            is_listed: manifest.directories.contains_key(name),
            logs: BTreeSet::new(),
            findings: DirectoryFindings {
                is_unchanged: here.is_some(),
                ..DirectoryFindings::default()
            },
        };
        let root = here.as_ref().map(|here| &here.tree.root);
        comparison.folder(b"", &self.tree.root, root);
        match &here {
            Some(here) => {
                comparison.all(here.lines(name)?)?;
            }
            None => comparison.all(std::iter::empty())?,
        }
        comparison.findings.is_unchanged &= comparison.logs.is_empty();
        Ok(comparison.findings)
    }

    /// Returns true if a database of the archive's directory holds what the one here does, although the files differ.
    fn is_held_here(&self, name: &RelativeName, record: &FileRecord) -> Result<bool> {
        let Some(engine) = record.engine() else {
            return Ok(false);
        };
        let here = self.target.join(path_of(name));
        let (entry, _) = name.entry(&self.source.name);
        self.unpacked
            .is_held_by(self.context, engine, (&entry, record), &here)
    }
}

impl Comparison<'_, '_> {
    fn all(&mut self, here: impl Iterator<Item = Result<ListingLine>>) -> Result<()> {
        let mut pairs = Pairs::new(self.directory.contents.lines()?, here);
        while let Some(pair) = pairs.next() {
            let Pair { one, other } = pair?;
            let found = other.as_ref().map(|line| &line.node);
            let mut is_met = false;
            if let Some(line) = &one {
                is_met = self.line(line, found)?;
            }
            if let Some(more) = other.as_ref().filter(|_| !is_met) {
                let path = more.name.as_bytes();
                self.findings.is_unchanged &= match &more.node {
                    ListedNode::File(_) => false,
                    // The archive may have something below it, although it does not list it.
                    ListedNode::Folder(_) => pairs.first_has_below(path),
                    ListedNode::Link(_) => false,
                };
            }
        }
        Ok(())
    }

    /// Compares a record of the archive with that of the same name here; returns true if they are of one kind.
    fn line(&mut self, line: &ListingLine, found: Option<&ListedNode>) -> Result<bool> {
        let name = &line.name;
        Ok(match &line.node {
            ListedNode::File(record) => {
                let found = match found {
                    Some(ListedNode::File(found)) => Some(&**found),
                    _ => None,
                };
                self.file(name, record, found)?;
                found.is_some()
            }
            ListedNode::Folder(record) => {
                let found = match found {
                    Some(ListedNode::Folder(found)) => Some(found),
                    _ => None,
                };
                self.folder(name.as_bytes(), record, found);
                found.is_some()
            }
            ListedNode::Link(record) => {
                self.owners.see(&record.owner);
                let refused = self.foresight.refused_owner(&record.owner);
                self.findings.lost.add_owner(refused);
                let found = match found {
                    Some(ListedNode::Link(found)) => Some(found.target.as_slice()),
                    _ => None,
                };
                self.findings.is_unchanged &= self.made_target(name, record) == found;
                found.is_some()
            }
        })
    }

    fn file(
        &mut self,
        name: &RelativeName,
        record: &FileRecord,
        found: Option<&FileRecord>,
    ) -> Result<()> {
        let owner = record.owner();
        self.owners.see(&owner);
        let refused = self.foresight.refused_owner(&owner);
        self.findings.lost.add_owner(refused);
        for said in self.foresight.of_file(record) {
            let is_here = found
                .is_some_and(|found| found.mode == record.mode && found.xattrs == record.xattrs);
            let target = self.directory.target.display();
            let say = || format!("{target}/{name}: {said}");
            self.findings.lost.add(is_here, say);
        }
        if self.is_listed && record.torn {
            self.findings.torn.add(name, &self.directory.source.name);
        }
        self.database(name, record);
        let Some(found) = found else {
            // Entries that are excluded here are not part of the comparison.
            self.findings.is_unchanged &= !self.rules.keeps(name.as_bytes(), false);
            return Ok(());
        };
        let is_unchanged = self.findings.is_unchanged
            && (found.checksum == record.checksum || self.directory.is_held_here(name, record)?)
            && record.mode.is_none_or(|mode| {
                let given = self.foresight.mode_of_file(mode, &owner, &record.xattrs);
                found.mode == Some(mode) || found.mode == Some(given)
            })
            && (self.is_lenient
                || self.foresight.is_same_owner(&owner, &found.owner())
                    && self
                        .foresight
                        .are_same_xattrs(&record.xattrs, &found.xattrs));
        self.findings.is_unchanged = is_unchanged;
        Ok(())
    }

    /// Notes what lies, or may come to lie, beside a database of the archive. A log or a journal there, excluded or not,
    /// makes another database of it: SQLite would play what is in it into the database.
    fn database(&mut self, name: &RelativeName, record: &FileRecord) {
        // The logs of a database come after it.
        self.logs.remove(name.as_bytes());
        let Some(engine) = engine_of(name, record) else {
            return;
        };
        let path = path_of(name);
        // The log of another state of a database would spoil it: it goes with the database, although patterns exclude
        // it.
        for log in engine.companions_of(path) {
            let log = log.into_os_string().into_encoded_bytes();
            if !self.rules.keeps(&log, false) {
                self.findings.companions.push(log);
            }
        }
        if !self.findings.is_unchanged {
            return;
        }
        for log in engine.logs_of(path) {
            let there = self.directory.target.join(&log).symlink_metadata();
            if there.is_ok_and(|it| it.len() > 0) {
                self.logs.insert(log.into_os_string().into_encoded_bytes());
            }
        }
    }

    fn folder(&mut self, name: &[u8], wanted: &FolderRecord, found: Option<&FolderRecord>) {
        self.owners.see(&wanted.owner);
        let refused = self.foresight.refused_owner(&wanted.owner);
        self.findings.lost.add_owner(refused);
        for said in self.foresight.of_folder(wanted) {
            let is_here = found.is_some_and(|found| found.xattrs == wanted.xattrs);
            let target = self.directory.target.display();
            let say = || format!("{target}/{}: {said}", shown(name));
            self.findings.lost.add(is_here, say);
        }
        let Some(found) = found else {
            self.findings.is_unchanged &= !self.rules.keeps(name, true);
            return;
        };
        let found_mode = found.mode.map(AttributeWriter::mode_of_folder);
        self.findings.is_unchanged &= wanted
            .mode
            .is_none_or(|_| self.foresight.mode_of_folder(wanted) == found_mode)
            && (self.is_lenient
                || self.foresight.is_same_owner(&wanted.owner, &found.owner)
                    && self
                        .foresight
                        .are_same_xattrs(&wanted.xattrs, &found.xattrs));
    }

    /// Returns the target of a link of the archive if an import makes it, and it is not excluded here.
    fn made_target<'r>(&'r self, name: &RelativeName, record: &'r LinkRecord) -> Option<&'r [u8]> {
        let directory = self.directory;
        let record = match directory.outside.made.get(name) {
            Some(record) => record,
            None if directory.tree.is_inside(name, directory.target) => record,
            None => return None,
        };
        let is_kept = self.rules.keeps(name.as_bytes(), false);
        is_kept.then_some(record.target.as_slice())
    }
}

impl TornFiles {
    fn add(&mut self, name: &RelativeName, directory: &EntryName) {
        match self.named.len() < MAX_FAULTS {
            true => self.named.push(name.entry(directory).0),
            false => self.more += 1,
        }
    }
}

/// Returns the engine of a file, if it is a database, as the manifest or else its name says.
fn engine_of(name: &RelativeName, record: &FileRecord) -> Option<Engine> {
    const ENDINGS: [&[u8]; 3] = [b".db", b".sqlite", b".sqlite3"];
    let name = name.as_bytes();
    let named = || ENDINGS.iter().any(|ending| name.ends_with(ending));
    let known = record.engine();
    let known = known.filter(|engine| !engine.companions().is_empty());
    known.or_else(|| named().then_some(Engine::Sqlite))
}

fn path_of(name: &RelativeName) -> &Path {
    Path::new(OsStr::from_bytes(name.as_bytes()))
}
