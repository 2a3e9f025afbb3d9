//! Folders that changed are listed again, while the findings of the round before pass by in order.
//!
//! A file that lost its name stays among the findings without one: its new name is read as any other, and in the end
//! only one of them is kept.

use std::io;

use anyhow::Result;

use super::{
    super::{
        folders::{FoundFile, OpenListing},
        found::{Finding, FolderState, FoundNode, Place, ReadFile, marks},
        hash::Outcome,
        seen::Seen,
        tape::{Tape, TapeCursor},
    },
    Reading, named,
};
use crate::{
    disk::tree::{
        beneath::{Folders, Look, NodeKind, is_gone, join, split},
        names::{FolderNames, Name, make_room},
        walk::{Encounter, Met, meet, walk_from},
    },
    model::rules::Decision,
};

/// The folders above a finding that were listed again, and the paths of those that come.
struct Relisting<'a> {
    folders: Folders<'a>,
    levels: Vec<Level>,
    changed: TapeCursor,
    next_changed: Option<Vec<u8>>,
}

struct Level {
    listing: OpenListing,
    /// The last name that a finding has: names that are read again after it may lack it.
    covered: Vec<u8>,
}

/// The present state of the name of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Its folder did not change.
    Unasked,
    /// Its folder has no such name any more.
    Absent,
    /// Its folder has the name, of something of this kind, with this inode as the folder tells it.
    Present(NodeKind, (u64, u64)),
}

impl Relisting<'_> {
    /// Returns true if the folder at `path` is the next one of those that changed, and goes on to the one after it.
    fn is_changed(&mut self, path: &[u8]) -> Result<bool> {
        if self.next_changed.as_deref() != Some(path) {
            return Ok(false);
        }
        self.next_changed = self.changed.next()?.map(<[u8]>::to_vec);
        Ok(true)
    }

    fn push(&mut self, listing: OpenListing) {
        self.levels.push(Level {
            listing,
            covered: Vec::new(),
        });
    }

    /// Marks the next name of the innermost listing as one that a finding has; returns false if another one has it.
    fn cover(&mut self) -> bool {
        let Some(level) = self.levels.last_mut() else {
            return false;
        };
        let Some(name) = level.listing.names.peek() else {
            return false;
        };
        let is_free = level.covered != name.bytes;
        level.covered.clear();
        level.covered.extend_from_slice(name.bytes);
        is_free
    }

    /// Returns the next name of the innermost listing.
    fn peek(&mut self) -> io::Result<Option<Name<'_>>> {
        let Some(Level { listing, .. }) = self.levels.last_mut() else {
            return Ok(None);
        };
        if listing.names.is_short() {
            let read = self.folders.at(&listing.path);
            match read.and_then(|fd| listing.names.read_on(fd)) {
                // It has changed again, which the next round sees.
                Err(error) if is_gone(&error) => listing.names = FolderNames::none(),
                read => read?,
            }
        }
        Ok(listing.names.peek())
    }
}

impl Reading<'_> {
    /// Writes the findings of `old` again, with what is in the `changed` folders now.
    pub(super) fn list_again(&mut self, old: &Tape, changed: &Tape) -> Result<()> {
        let origin = self.origin.clone();
        let mut changed = changed.cursor();
        let next_changed = changed.next()?.map(<[u8]>::to_vec);
        let mut relisting = Relisting {
            folders: Folders::new(&origin.top),
            levels: Vec::new(),
            changed,
            next_changed,
        };
        let mut old = old.cursor();
        while let Some(bytes) = old.next()? {
            let finding = Finding::of_bytes(bytes)?;
            self.leave(&mut relisting, Some(finding.path))?;
            let standing = self.standing(&mut relisting, &finding)?;
            self.follow(&mut relisting, bytes, &finding, standing)?;
        }
        self.leave(&mut relisting, None)
    }

    /// Leaves the listings that `next` does not lie in: names that are left in them are new.
    fn leave(&mut self, relisting: &mut Relisting<'_>, next: Option<&[u8]>) -> Result<()> {
        while let Some(level) = relisting.levels.last() {
            let folder = &level.listing.path;
            if next.is_some_and(|next| is_below(next, folder)) {
                return Ok(());
            }
            self.take_names(relisting, None)?;
            relisting.levels.pop();
        }
        Ok(())
    }

    /// Reads the new names of the innermost listing that come before `until`.
    fn take_names(&mut self, relisting: &mut Relisting<'_>, until: Option<&[u8]>) -> Result<()> {
        loop {
            let Some(name) = relisting.peek()? else {
                return Ok(());
            };
            if until.is_some_and(|until| name.bytes >= until) {
                return Ok(());
            }
            self.take_name(relisting)?;
        }
    }

    /// Reads the next name of the innermost listing, unless a finding has it.
    fn take_name(&mut self, relisting: &mut Relisting<'_>) -> Result<()> {
        let origin = self.origin.clone();
        let Some(Level { listing, covered }) = relisting.levels.last_mut() else {
            return Ok(());
        };
        let next = listing.names.peek();
        if let Some(name) = next.filter(|next| next.bytes != covered.as_slice()) {
            let relative = join(&listing.path, name.bytes);
            let fd = match relisting.folders.at(&listing.path) {
                Err(error) if is_gone(&error) => {
                    listing.names = FolderNames::none();
                    return Ok(());
                }
                fd => fd?,
            };
            let rules = &origin.rules;
            match meet(rules, listing.verdict, listing.device, fd, &relative, name) {
                Some(Encounter::Folder(verdict)) => {
                    self.is_new = true;
                    walk_from(
                        &origin.top,
                        rules,
                        &relative,
                        verdict,
                        &mut |relative, met| self.visit(relative, met),
                    )?;
                }
                Some(Encounter::Met(met)) => self.visit(&relative, met)?,
                None => {}
            }
        }
        listing.names.skip();
        Ok(())
    }

    /// Returns the standing of the name of a finding, after what comes before it.
    fn standing(
        &mut self,
        relisting: &mut Relisting<'_>,
        finding: &Finding<'_>,
    ) -> Result<Standing> {
        let (folder, name) = split(finding.path);
        let innermost = relisting.levels.last();
        let is_asked = innermost.is_some_and(|level| level.listing.path == folder);
        if finding.path.is_empty() || !is_asked {
            return Ok(Standing::Unasked);
        }
        self.take_names(relisting, Some(name))?;
        let device = relisting
            .levels
            .last()
            .map_or(0, |level| level.listing.device);
        let (what, inode) = match relisting.peek()? {
            Some(next) if next.bytes == name => (next.what, (device, next.inode)),
            _ => return Ok(Standing::Absent),
        };
        if let Some(what) = what {
            return Ok(Standing::Present(what, inode));
        }
        let looked = relisting
            .folders
            .parent(finding.path)
            .and_then(|(parent, name)| Look::at(parent, name));
        Ok(looked.map_or(Standing::Absent, |look| {
            Standing::Present(look.what, look.inode)
        }))
    }

    fn follow(
        &mut self,
        relisting: &mut Relisting<'_>,
        bytes: &[u8],
        finding: &Finding<'_>,
        standing: Standing,
    ) -> Result<()> {
        match (finding.node, standing) {
            (FoundNode::Folder(state, seen, text), standing) => {
                self.follow_folder(relisting, finding.path, (state, seen, text), standing)
            }
            // After a long reading, all files are inspected once, in the end.
            (FoundNode::File(file), Standing::Present(NodeKind::File, inode))
                if self.is_long && inode == file.seen.inode =>
            {
                match relisting.cover() {
                    true => self.keep_file(bytes, finding.path, file),
                    false => Ok(()),
                }
            }
            (FoundNode::File(file), Standing::Present(..)) => {
                self.follow_file(relisting, bytes, finding.path, file)
            }
            (FoundNode::File(file), Standing::Absent) => self.lose(finding.path, file, 0),
            (FoundNode::File(file), Standing::Unasked) => {
                if file.is(marks::HOMELESS) {
                    self.remember_lost(file.seen.inode, file.since);
                }
                self.put_bytes(bytes)
            }
            (FoundNode::Missed(inode, since, _), Standing::Unasked | Standing::Absent) => {
                self.remember_lost(inode, since);
                self.put_bytes(bytes)
            }
            (_, Standing::Unasked) => self.put_bytes(bytes),
            // It is read again with its name.
            (_, Standing::Absent | Standing::Present(..)) => Ok(()),
        }
    }

    /// Follows a file whose folder still has its name, but perhaps of another file.
    fn follow_file(
        &mut self,
        relisting: &mut Relisting<'_>,
        bytes: &[u8],
        path: &[u8],
        file: ReadFile<'_>,
    ) -> Result<()> {
        let looked = relisting
            .folders
            .parent(path)
            .and_then(|(parent, name)| Look::at(parent, name));
        let look = match looked {
            Ok(look) if look.what == NodeKind::File && look.inode == file.seen.inode => look,
            Ok(_) => return self.lose(path, file, marks::TAKEN),
            // It lost the name right now. Whatever gets it meanwhile comes before the file without a name.
            Err(_) => {
                self.take_name(relisting)?;
                return self.lose(path, file, 0);
            }
        };
        // A file that lost its name for a moment was read again under it.
        if !relisting.cover() {
            return Ok(());
        }
        if file.place == Place::Reopened && !file.seen.is_content_of(&look) {
            // It was written since it was hashed.
            let found = FoundFile {
                name: named(path),
                inode: look.inode,
                existed: look.ctime,
            };
            let outcome = self.copy(&mut relisting.folders, &found.name)?;
            let is_read = matches!(
                outcome,
                Outcome::Copied(..) | Outcome::Torn(..) | Outcome::Database(_)
            );
            if is_read {
                let finding = self.finding(&mut relisting.folders, &found, outcome)?;
                return finding.map_or(Ok(()), |finding| self.put_bytes(&finding));
            }
        }
        self.keep_file(bytes, path, file)
    }

    /// Stores a file under the name that it still has, or has again.
    fn keep_file(&mut self, bytes: &[u8], path: &[u8], file: ReadFile<'_>) -> Result<()> {
        match file.is(marks::HOMELESS) {
            true => {
                self.is_new = true;
                let marks = file.marks & !(marks::HOMELESS | marks::TAKEN);
                let node = FoundNode::File(ReadFile { marks, ..file });
                self.put(path, node)
            }
            false => self.put_bytes(bytes),
        }
    }

    /// Stores a file as one without a name.
    fn lose(&mut self, path: &[u8], file: ReadFile<'_>, taken: u8) -> Result<()> {
        let since = match file.is(marks::HOMELESS) {
            true => file.since,
            false => {
                self.is_new = true;
                self.round
            }
        };
        self.remember_lost(file.seen.inode, since);
        let marks = (file.marks & !marks::TAKEN) | marks::HOMELESS | taken;
        let node = FoundNode::File(ReadFile {
            marks,
            since,
            ..file
        });
        self.put(path, node)
    }

    /// Follows a folder, and lists it again if it changed.
    fn follow_folder(
        &mut self,
        relisting: &mut Relisting<'_>,
        path: &[u8],
        (state, seen, text): (FolderState, Seen, &[u8]),
        standing: Standing,
    ) -> Result<()> {
        let is_changed = relisting.is_changed(path)?;
        let is_back = state == FolderState::Gone
            && matches!(standing, Standing::Present(NodeKind::Folder, _));
        match standing {
            Standing::Present(NodeKind::Folder, _) => {
                relisting.cover();
            }
            Standing::Present(..) => {
                // It is something else now, which comes before what was in it.
                self.is_new = true;
                self.take_name(relisting)?;
                relisting.push(OpenListing::none(path));
                return Ok(());
            }
            Standing::Absent => self.is_new |= state != FolderState::Gone,
            Standing::Unasked => {}
        }
        if !is_changed && !is_back {
            if state != FolderState::Gone {
                self.out.folders.push(path, &seen)?;
            }
            return self.put(path, FoundNode::Folder(state, seen, text));
        }
        let origin = self.origin.clone();
        let verdict = match path {
            b"" => origin.rules.of_top(),
            path => origin.rules.decide(path, true),
        };
        if verdict == Decision::Excluded {
            relisting.push(OpenListing::none(path));
            return Ok(());
        }
        let above = relisting.levels.iter_mut();
        let room = make_room(above.map(|level| &mut level.listing.names));
        match OpenListing::open(&mut relisting.folders, path, verdict, room) {
            Ok((listing, look, fd)) => {
                self.visit(path, Met::of_folder(path, verdict, look, fd))?;
                relisting.push(listing);
                Ok(())
            }
            Err(error) if is_gone(&error) && !path.is_empty() => {
                relisting.push(OpenListing::none(path));
                self.put(path, FoundNode::Folder(FolderState::Gone, seen, text))
            }
            Err(error) => {
                relisting.push(OpenListing::none(path));
                self.fault(path, &error)
            }
        }
    }
}

/// Returns true if `path` lies below `folder`; everything lies below the top.
fn is_below(path: &[u8], folder: &[u8]) -> bool {
    match path.strip_prefix(folder) {
        Some(rest) if folder.is_empty() => !rest.is_empty(),
        Some(rest) => rest.first() == Some(&b'/'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::{disk::tree::beneath::Top, source::tree::tape::Tape};

    #[test]
    fn a_name_that_went_covers_no_other_when_names_are_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        for number in 0..3_000 {
            File::create_new(folder.path().join(format!("{number:04}"))).expect("made");
        }
        let top = Top::open(folder.path()).expect("open");
        let mut relisting = Relisting {
            folders: Folders::new(&top),
            levels: Vec::new(),
            changed: Tape::default().cursor(),
            next_changed: None,
        };
        let opened = OpenListing::open(&mut relisting.folders, b"", Decision::Kept, 1 << 20);
        let (mut listing, ..) = opened.expect("open");
        for _ in 0..7 {
            listing.names.skip();
        }
        relisting.push(listing);
        assert!(relisting.cover() && !relisting.cover());
        for is_gone in [false, true] {
            if is_gone {
                rustix::fs::unlink(folder.path().join("0007")).expect("removed");
            }
            relisting.levels[0].listing.names.let_go();
            let expected = format!("000{}", 7 + usize::from(is_gone));
            let next = relisting.peek().expect("read").expect("there");
            assert_eq!(next.bytes, expected.as_bytes());
            assert_eq!(relisting.cover(), is_gone);
        }
    }
}
