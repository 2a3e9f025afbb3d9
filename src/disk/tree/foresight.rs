//! The modes and extended attributes that cannot be restored at a destination: known before anything is tried, so that
//! a dry run says the same as the import.

use std::{collections::HashMap, io, path::Path};

use super::{
    attributes::{AttributeWriter, Privilege},
    beneath::{ACLS, Look, Top, has_xattr_support},
    given::{GROUP_CLOSED, ORDINARY_BITS, OTHER_OWNER, unknown_ids, unsupported, without_acl},
};
use crate::{
    disk::publish::Draft,
    model::{
        limits::MAX_OWNERS,
        manifest::FileRecord,
        tree::{FolderRecord, Owner, Xattrs},
    },
};

/// The attributes that can be restored at a place.
pub struct Foresight {
    attributes: AttributeWriter,
    nearest: Top,
    /// The kinds of attributes that were asked for, each with true if the file system has it.
    supported: HashMap<String, bool>,
    /// A file without a name, which is given to owners to learn what the file system says, and the file as it was made;
    /// made when it is needed.
    probe: Option<(Draft, Look)>,
    /// Its refusal of each owner that was asked for, by their numbers; `None` for an owner that it allows.
    refused: HashMap<(Option<u32>, Option<u32>), Option<String>>,
}

impl Foresight {
    /// Creates the foresight for files that will lie at `target`, and a process of this privilege.
    pub fn at(target: &Path, privilege: Privilege) -> io::Result<Foresight> {
        let mut ancestors = target.ancestors();
        let nearest = ancestors.find_map(|ancestor| Top::open(ancestor).ok());
        Ok(Foresight {
            attributes: AttributeWriter::new(privilege),
            nearest: match nearest {
                Some(top) => top,
                None => Top::open(Path::new("."))?,
            },
            supported: HashMap::new(),
            probe: None,
            refused: HashMap::new(),
        })
    }

    /// Returns what of a file's mode and attributes is not restored, in words.
    pub fn of_file(&mut self, record: &FileRecord) -> Vec<String> {
        let owner = record.owner();
        let mode = record
            .mode
            .and_then(|mode| self.attributes.unrestored_mode(mode, &owner));
        let is_special = record.mode.is_some_and(|mode| mode & !ORDINARY_BITS != 0);
        let is_others = mode.is_none() && is_special && self.refused_owner(&owner).is_some();
        let mut said: Vec<String> = mode.into_iter().collect();
        said.extend(is_others.then(|| OTHER_OWNER.to_owned()));
        said.extend(self.of_xattrs(&record.xattrs, record.mode));
        said
    }

    /// Returns what of a folder's attributes is not restored, in words.
    pub fn of_folder(&mut self, record: &FolderRecord) -> Vec<String> {
        self.of_xattrs(&record.xattrs, record.mode)
    }

    /// Returns the mode that a file gets of the archive's `mode`.
    pub fn mode_of_file(&mut self, mode: u32, owner: &Owner, xattrs: &Xattrs) -> u32 {
        let mut mode = self.attributes.mode_of_file(mode, owner);
        if mode & !ORDINARY_BITS != 0 && self.refused_owner(owner).is_some() {
            mode &= ORDINARY_BITS;
        }
        self.without_lost_acl(mode, xattrs)
    }

    /// Returns the mode that a folder gets.
    pub fn mode_of_folder(&mut self, record: &FolderRecord) -> Option<u32> {
        let mode = record.mode.map(AttributeWriter::mode_of_folder)?;
        Some(self.without_lost_acl(mode, &record.xattrs))
    }

    /// Returns those of the attributes that are restored.
    pub fn restored(&mut self, xattrs: &Xattrs) -> Xattrs {
        let each = xattrs.iter().filter(|(name, value)| {
            self.attributes.powers().have_all_of(name, value) && self.can_restore(name)
        });
        each.map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    fn without_lost_acl(&mut self, mode: u32, xattrs: &Xattrs) -> u32 {
        let is_lost = |value: &[u8]| {
            !self.attributes.powers().have_all_of(ACLS[0], value) || !self.can_restore(ACLS[0])
        };
        match xattrs
            .get(ACLS[0])
            .map(|value| value.as_ref())
            .is_some_and(is_lost)
        {
            true => without_acl(mode),
            false => mode,
        }
    }

    /// Returns the file system's message if it does not let root give files to an owner (a network share that squashes
    /// root, FAT): asked with a file that has no name.
    pub fn refused_owner(&mut self, owner: &Owner) -> Option<String> {
        let numbers = self.attributes.owner(owner);
        if self.refused.len() >= MAX_OWNERS {
            self.refused.clear();
        }
        if let Some(known) = self.refused.get(&numbers) {
            return known.clone();
        }
        if numbers != (None, None) && self.probe.is_none() {
            self.probe = Draft::create(self.nearest.path())
                .ok()
                .and_then(|mut draft| {
                    let look = Look::of(&*draft.file()).ok()?;
                    Some((draft, look))
                });
        }
        let refused = self
            .probe
            .as_mut()
            .and_then(|(draft, look)| self.attributes.try_owner(&*draft.file(), look, owner));
        self.refused.insert(numbers, refused.clone());
        refused
    }

    /// Returns true if `found` is the owner that `wanted` gets; every owner is if owners are not given.
    pub fn is_same_owner(&mut self, wanted: &Owner, found: &Owner) -> bool {
        if self.refused_owner(wanted).is_some() {
            return true;
        }
        let (uid, gid) = self.attributes.owner(wanted);
        let is_same = |wanted: Option<u32>, found: Option<u32>| wanted.is_none() || wanted == found;
        is_same(uid, found.uid) && is_same(gid, found.gid)
    }

    /// Returns true if two sets of attributes are the same, as far as this process and the file system restore them.
    pub fn are_same_xattrs(&mut self, wanted: &Xattrs, found: &Xattrs) -> bool {
        if wanted.is_empty() && found.is_empty() {
            return true;
        }
        self.restored(wanted) == self.restored(found)
    }

    fn of_xattrs(&mut self, xattrs: &Xattrs, mode: Option<u32>) -> Vec<String> {
        if xattrs.is_empty() {
            return Vec::new();
        }
        let mut said = self.attributes.unrestored(xattrs);
        for (name, value) in xattrs {
            let is_known = self.attributes.powers().have_all_of(name, value);
            if self.attributes.may_set(name) && !(is_known && self.can_restore(name)) {
                said.push(match is_known {
                    true => unsupported(name),
                    false => unknown_ids(name),
                });
                let is_closed = mode.is_some_and(|mode| without_acl(mode) != mode);
                said.extend((name == ACLS[0] && is_closed).then(|| GROUP_CLOSED.to_owned()));
            }
        }
        said
    }

    fn can_restore(&mut self, name: &str) -> bool {
        if !self.attributes.may_set(name) {
            return false;
        }
        // The answer of a file system for one name of users or of root holds for all.
        let kind = match name.split_once('.') {
            Some((space @ ("user" | "trusted"), _)) => format!("{space}.hookshot"),
            _ => name.to_owned(),
        };
        match self.supported.get(&kind) {
            Some(is_supported) => *is_supported,
            None => {
                let is_supported = has_xattr_support(&self.nearest, &kind);
                self.supported.insert(kind, is_supported);
                is_supported
            }
        }
    }
}
