//! A directory of an archive against the one on this machine: whether they are the same, and the change that makes them
//! so.

mod compare;

use std::{
    cell::Cell,
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use self::compare::DirectorySides;
pub use self::compare::TornFiles;
use super::{attributes::OwnerNames, unpacked::Unpacked};
use crate::{
    archive::contents::{DirectoryContents, DirectoryLines},
    config::{Settings, sources::Source},
    context::Context,
    disk::{
        exists, survey,
        syncing::Syncing,
        transaction::{Change, Form, New},
        tree::{
            self as built, Privilege, Restoring, Taking,
            foresight::Foresight,
            links::{LinkPolicy, OutsideLinks},
        },
        volume::Own,
    },
    machine::refused::{is_owner, remark_refused},
    model::{
        entry_name::EntryName, manifest::ListingLine, plan::Privacy, rules::Rules, tree::Tree,
    },
    work::remark::RemarkKind,
};

/// An archive's directory, and where this machine has it.
pub struct Directory<'a> {
    context: &'a Context,
    settings: &'a Settings,
    unpacked: &'a Unpacked<'a>,
    source: &'a Source,
    contents: DirectoryContents<'a>,
    /// Its top folder and its links.
    tree: Tree,
    target: &'a Path,
    outside: OutsideLinks,
    /// The companions of its databases that go with them although the rules exclude them.
    companions: Vec<Vec<u8>>,
    torn: TornFiles,
    /// True if owners that the file system refuses were named when the directory was compared.
    has_named_owners: Cell<bool>,
}

impl<'a> Directory<'a> {
    /// Returns the directory that `source` describes; nothing if the archive has none of this name.
    pub fn find(
        context: &'a Context,
        settings: &'a Settings,
        unpacked: &'a Unpacked<'a>,
        source: &'a Source,
        target: &'a Path,
    ) -> Result<Option<Directory<'a>>> {
        let Some(contents) = unpacked.verified.directory(&source.name) else {
            return Ok(None);
        };
        let mut tree = contents.top()?;
        let wish = match source.kind.restores_all_links() {
            true => LinkPolicy::All,
            false => LinkPolicy::AsHere,
        };
        let within = settings.within(source).into_iter();
        let within = within.filter(|(other, _)| unpacked.record(&other.name).is_some());
        let taken: Vec<PathBuf> = within.map(|(_, inside)| inside).collect();
        if source.privacy == Privacy::Private || tree.secret {
            tree = tree.closed();
        }
        let outside = OutsideLinks::plan(&tree, target, wish, &taken)
            .with_context(|| format!("cannot look at {}", target.display()))?;
        Ok(Some(Directory {
            context,
            settings,
            unpacked,
            source,
            contents,
            tree,
            target,
            outside,
            companions: Vec::new(),
            torn: TornFiles::default(),
            has_named_owners: Cell::new(false),
        }))
    }

    /// Returns true if this machine's directory is already what an import makes of the archive's: files, folders,
    /// links, modes, and owners and attributes as far as they can be restored. What cannot be restored is remarked, and
    /// makes no difference. `owners` sees everything that is restored.
    pub fn is_unchanged(&mut self, owners: &mut OwnerNames) -> Result<bool> {
        let sides = DirectorySides {
            context: self.context,
            settings: self.settings,
            unpacked: self.unpacked,
            source: self.source,
            contents: &self.contents,
            tree: &self.tree,
            target: self.target,
            outside: &self.outside,
        };
        let found = sides.compare(owners)?;
        let (is_unchanged, lost) = (found.is_unchanged, found.lost);
        (self.companions, self.torn) = (found.companions, found.torn);
        let name = &self.source.name;
        let mut remarks = self.unpacked.unrestored.borrow_mut();
        for link in &self.outside.announced {
            remarks.warning(RemarkKind::Link, name, link);
        }
        for link in &self.outside.left {
            let advice = match self.source.kind.restores_all_links() {
                true => "import all entries together, or make it by hand",
                false => {
                    "make it by hand if it is right here, or set `links = \"all\"` for the source and import again"
                }
            };
            remarks.undone(RemarkKind::Link, name, format!("{link}; {advice}"));
        }
        for owner in &lost.owners {
            remarks.warning(
                RemarkKind::Owner,
                name,
                format!("{}: {owner}", self.target.display()),
            );
        }
        self.has_named_owners.set(!lost.owners.is_empty());
        let lost = match is_unchanged {
            true => lost.everywhere,
            false => lost.in_the_archive,
        };
        for attribute in lost.finish() {
            remarks.undone(RemarkKind::Attribute, name, attribute);
        }
        Ok(is_unchanged)
    }

    /// The name of its source.
    pub fn name(&self) -> &EntryName {
        &self.source.name
    }

    /// Returns where this machine has it.
    pub fn target(&self) -> &Path {
        self.target
    }

    /// Takes its torn files, if a listing has their records.
    pub fn take_torn(&mut self) -> TornFiles {
        std::mem::take(&mut self.torn)
    }

    /// Returns the records of the archive's directory.
    pub fn lines(&self) -> Result<DirectoryLines> {
        self.contents.lines()
    }

    /// Returns the attributes that the directory itself gets; what the archive does not tell, or this process may not
    /// change, is as it is `now`.
    pub fn own(&self, now: Own) -> io::Result<Own> {
        let root = &self.tree.root;
        let (uid, gid) = match self.context.privileged {
            true => built::owners::Owners::default().find(&root.owner),
            false => (None, None),
        };
        let mut foresight = Foresight::at(self.target, self.context.privilege())?;
        let (uid, gid) = match foresight.refused_owner(&root.owner) {
            Some(_) => (None, None),
            None => (uid, gid),
        };
        let replaced = foresight.restored(&now.xattrs);
        let mut xattrs = now.xattrs;
        xattrs.retain(|name, _| !replaced.contains_key(name));
        xattrs.extend(foresight.restored(&root.xattrs));
        Ok(Own {
            mode: foresight.mode_of_folder(root).unwrap_or(now.mode),
            uid: uid.unwrap_or(now.uid),
            gid: gid.unwrap_or(now.gid),
            xattrs,
        })
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

    /// Builds the new directory at `place`, and begins its sync; what is `made` comes there by changes of its own.
    fn build(&self, place: &Path, made: &[EntryName], rules: &Rules) -> Result<Option<Syncing>> {
        self.build_with(place, made, rules, built::carry_excluded)
            .map(Some)
    }

    /// The same for a mount point, whose children are taken out of it: what is excluded of it directly stays there.
    pub fn build_in_volume(
        &self,
        place: &Path,
        made: &[EntryName],
        rules: &Rules,
    ) -> Result<Syncing> {
        self.build_with(place, made, rules, built::carry_excluded_in_children)
    }

    fn build_with(
        &self,
        place: &Path,
        made: &[EntryName],
        rules: &Rules,
        keep: impl Fn(&Path, &Path, &Rules, Privilege) -> Result<Vec<String>>,
    ) -> Result<Syncing> {
        let privilege = self.context.privilege();
        let staged = self.unpacked.staging.place(&self.source.name);
        let events = &self.context.events;
        events.begin_files("building the directory", self.contents.files());
        let restoring = Restoring {
            name: &self.source.name,
            tree: &self.tree,
            staged: &staged,
            place,
            target: self.target,
            taking: match self.unpacked.finished.get(&self.source.name) {
                Some(refused) => Taking::Move { refused },
                None => Taking::Copy,
            },
            privilege,
            outside: &self.outside.made,
        };
        let is_file =
            |line: &Result<ListingLine>| line.as_ref().is_ok_and(|line| line.file().is_some());
        let mut lines = events.count(self.contents.lines()?, is_file);
        let (refused, top) = built::restore_unsynced(&restoring, &mut lines)?;
        let mut remarks = self.unpacked.unrestored.borrow_mut();
        let name = &self.source.name;
        for link in refused.links {
            remarks.undone(RemarkKind::Link, name, link);
        }
        let is_named = |refused: &String| self.has_named_owners.get() && is_owner(refused);
        for attribute in refused.attributes {
            if is_named(&attribute) {
                continue;
            }
            remark_refused(&mut remarks, name, attribute);
        }
        if exists(self.target) {
            self.make_room(place, made)?;
            for left in keep(self.target, place, rules, privilege)? {
                remarks.warning(RemarkKind::Excluded, name, left);
            }
        }
        Syncing::begin(top)
    }

    /// Returns what of the directory is replaced: what its rules keep, and the sources of their own in it that are
    /// `made` anew.
    pub fn rules(&self, made: &[EntryName]) -> Result<Rules> {
        let rules = self.settings.rules(self.source)?;
        let others = self.settings.within(self.source).into_iter();
        let claimed = others.filter(|(other, _)| self.is_made(other, made));
        let claimed = claimed.flat_map(|(other, inside)| parts(other, &inside));
        let mut claimed: Vec<Vec<u8>> = claimed
            .map(|path| path.into_os_string().into_encoded_bytes())
            .collect();
        claimed.extend(self.companions.iter().cloned());
        Ok(rules.claiming(claimed))
    }

    fn is_made(&self, other: &Source, made: &[EntryName]) -> bool {
        made.contains(&other.name) && self.unpacked.record(&other.name).is_some()
    }

    /// Removes what the archive's directory has at the places of sources of their own: those that are `made` come there
    /// by changes of their own, and the others stay as they are on this machine.
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

/// The files of a source that lies at `inside` in a directory.
fn parts(source: &Source, inside: &Path) -> Vec<PathBuf> {
    let mut files = vec![inside.to_owned()];
    if let Some(engine) = source.kind.engine() {
        files.extend(engine.companions_of(inside));
    }
    files
}
