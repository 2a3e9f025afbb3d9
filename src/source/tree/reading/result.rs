//! The result of reading a directory: records and contents in order, and everything that is not in the archive by name.

use anyhow::Result;

use super::{
    super::{
        StagedTree,
        folders::FoundFile,
        found::{Finding, FolderState, FoundNode, Place, ReadFile, marks},
        hash::Outcome,
    },
    Reading, Round,
    building::Building,
    named,
};
use crate::{
    disk::tree::beneath::{Folders, Look},
    error::{Failure, Kind},
    model::{named::Named, tree::Modified},
};

impl Reading<'_> {
    /// Reads the directory, and returns all of it in order. Vanished files are named; `begun` is the time when the
    /// first listing began.
    pub fn stage(mut self, begun: Modified) -> Result<StagedTree> {
        let found = self.read(begun)?;
        let mut vanished = Named::default();
        let dropped = self.resolve(&found, &mut vanished)?;
        self.refuse_faults(&found)?;
        let (mut special, mut own) = (Named::default(), Named::default());
        let origin = self.origin.clone();
        let mut building = Building::new(&origin, self.root.clone(), self.caller);
        let mut folders = Folders::new(&origin.top);
        let mut number = 0;
        let mut cursor = found.tape.cursor();
        while let Some(bytes) = cursor.next()? {
            let Finding { path, node } = Finding::of_bytes(bytes)?;
            let shown = || origin.top.shown(path);
            let is_dropped = dropped.contains(number);
            number += 1;
            let is_placed = match node {
                FoundNode::Folder(FolderState::Found, _, text) => building.folder(path, text)?,
                FoundNode::Folder(_, _, text) => {
                    building.pending_folder(path, text);
                    true
                }
                FoundNode::Link(text) => building.link(path, text)?,
                FoundNode::File(_) if is_dropped || self.is_companion(path, &node) => true,
                FoundNode::File(file) => match self.renewed(&mut folders, path, &file)? {
                    Some(finding) => match Finding::of_bytes(&finding)?.node {
                        FoundNode::File(renewed) => self.add(&mut building, path, &renewed)?,
                        // The packing code finds that it changed.
                        _ => self.add(&mut building, path, &file)?,
                    },
                    None => self.add(&mut building, path, &file)?,
                },
                FoundNode::Special(kind) => {
                    special.add(|| format!("{} is {kind}", shown()));
                    true
                }
                FoundNode::Own => {
                    own.add(|| format!("{} is hookshot's own", shown()));
                    true
                }
                FoundNode::Missed(..) | FoundNode::Fault(_) => true,
            };
            // Its folder is gone, and so late that it could not be followed.
            if !is_placed {
                vanished.add(|| self.say_vanished(path));
            }
        }
        let Round { folders, .. } = found;
        origin.remember(folders, self.caller.scratch);
        let mut staged = building.finish(self.kept, self.spool.file())?;
        staged.special = special.finish();
        staged.own = own.finish();
        staged.vanished = vanished.finish();
        Ok(staged)
    }

    fn is_companion(&self, path: &[u8], node: &FoundNode<'_>) -> bool {
        let is_database = matches!(node, FoundNode::File(file) if file.is(marks::DATABASE));
        !is_database && self.companions.contains(path)
    }

    fn add(&self, building: &mut Building<'_>, path: &[u8], file: &ReadFile<'_>) -> Result<bool> {
        let reason = self.unproven.get(path).filter(|_| file.is(marks::UNPROVEN));
        building.file(path, file, reason.cloned())
    }

    /// Copies a file that was written while the others were read, which took long; `None` if it stays as it is. A file
    /// that was untouched for longer than that is rarely touched now, and the packing code checks as well.
    fn renewed(
        &mut self,
        folders: &mut Folders<'_>,
        path: &[u8],
        file: &ReadFile<'_>,
    ) -> Result<Option<Vec<u8>>> {
        if !self.is_long || file.place != Place::Reopened || file.is(marks::HOMELESS) {
            return Ok(None);
        }
        let now = folders
            .parent(path)
            .and_then(|(parent, name)| Look::at(parent, name));
        let is_stale =
            now.is_ok_and(|now| now.inode == file.seen.inode && !file.seen.is_content_of(&now));
        if !is_stale {
            return Ok(None);
        }
        let found = FoundFile {
            name: named(path),
            inode: file.seen.inode,
            existed: file.seen.ctime,
        };
        let outcome = self.copy(folders, &found.name)?;
        match outcome {
            Outcome::Copied(..) | Outcome::Torn(..) | Outcome::Database(_) => {
                self.finding(folders, &found, outcome)
            }
            _ => Ok(None),
        }
    }

    fn refuse_faults(&self, found: &Round) -> Result<()> {
        if found.faults == 0 {
            return Ok(());
        }
        let all = match found.faults {
            1 => "1 file or folder".to_owned(),
            count => format!("{count} files and folders"),
        };
        let mut named = Named::default();
        let mut cursor = found.tape.cursor();
        while let Some(bytes) = cursor.next()? {
            let Finding { path, node } = Finding::of_bytes(bytes)?;
            if let FoundNode::Fault(reason) = node {
                named.add(|| format!("{}: {reason}", self.origin.top.shown(path)));
            }
        }
        let faults = named.finish();
        let message = match faults.as_slice() {
            [only] => format!("cannot read {only}"),
            _ => format!("{all} of {} cannot be read", self.top.display()),
        };
        let is_long = faults.iter().any(|fault| fault.contains("is longer than"));
        let hint = match is_long {
            true => {
                "exclude what has a longer path than any program can open, or give its folders shorter names"
            }
            false => "run as a user that may read them, or exclude them",
        };
        Err(Failure::new(Kind::Failed, message)
            .hint(hint)
            .faults(faults)
            .into())
    }
}
