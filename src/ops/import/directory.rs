//! A directory of an archive against the one on this machine: whether they are the same, and the change that makes them
//! so.

use std::{
    borrow::Cow,
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{lost::LostAttributes, unpacked::Unpacked};
use crate::{
    config::{Settings, sources::Source},
    context::Context,
    disk::{
        exists, survey,
        transaction::{Change, Form, New},
        tree::{
            self as built, Privilege, Restoring, StagedFile, Taking,
            attributes::AttributeWriter,
            foresight::Foresight,
            links::{LinkPolicy, OutsideLinks},
        },
        volume::Own,
    },
    machine::{
        look::read_directory,
        refused::{is_owner, remark_refused},
        staged::staged_files,
    },
    model::{
        engine::Engine,
        entry_name::EntryName,
        manifest::FileRecord,
        plan::Privacy,
        relative::{RelativeName, shown},
        rules::Rules,
        tree::{FolderRecord, Tree, relative_of},
    },
    work::remark::RemarkKind,
};

/// An archive's directory, and where this machine has it.
pub struct Directory<'a> {
    context: &'a Context,
    settings: &'a Settings,
    unpacked: &'a Unpacked<'a>,
    source: &'a Source,
    tree: Cow<'a, Tree>,
    target: &'a Path,
    files: Vec<StagedFile<'a>>,
    outside: OutsideLinks,
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
        let manifest = unpacked.verified.manifest();
        let Some(tree) = manifest.trees.get(&source.name) else {
            return Ok(None);
        };
        let files = staged_files(&source.name, manifest, &unpacked.staging)?;
        let wish = match source.kind.restores_all_links() {
            true => LinkPolicy::All,
            false => LinkPolicy::AsHere,
        };
        let within = settings.within(source).into_iter();
        let within = within.filter(|(other, _)| unpacked.record(&other.name).is_some());
        let taken: Vec<PathBuf> = within.map(|(_, inside)| inside).collect();
        let tree = match source.privacy == Privacy::Private || tree.secret {
            true => Cow::Owned(tree.closed()),
            false => Cow::Borrowed(tree),
        };
        let outside = OutsideLinks::plan(&tree, target, wish, &taken)
            .with_context(|| format!("cannot look at {}", target.display()))?;
        Ok(Some(Directory {
            context,
            settings,
            unpacked,
            source,
            tree,
            target,
            files,
            outside,
            has_named_owners: Cell::new(false),
        }))
    }

    /// Returns true if this machine's directory is already what an import makes of the archive's: files, folders,
    /// links, modes, and owners and attributes as far as they can be restored. What cannot be restored is remarked, and
    /// makes no difference.
    pub fn is_unchanged(&self) -> Result<bool> {
        let mut foresight = Foresight::at(self.target, self.context.privilege())?;
        let mut lost = LostAttributes::default();
        let is_unchanged = self.compare(&mut foresight, &mut lost)?;
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

    /// Returns true if a database of the archive's directory holds what the one here does, although the files differ.
    fn is_held_here(&self, name: &RelativeName, record: &FileRecord) -> Result<bool> {
        let Some(engine) = record.engine() else {
            return Ok(false);
        };
        let here = self.target.join(OsStr::from_bytes(name.as_bytes()));
        let (entry, _) = name.entry(&self.source.name);
        self.unpacked
            .is_held_by(self.context, engine, &entry, &here)
    }

    fn compare(&self, foresight: &mut Foresight, lost: &mut LostAttributes) -> Result<bool> {
        let rules = self.settings.rules(self.source)?;
        let is_there = self.target.is_dir();
        let here = match is_there {
            true => Some(read_directory(
                self.context,
                self.settings,
                self.source,
                self.target,
            )?),
            false => None,
        };
        let (records, there) = match here {
            Some(here) => (here.records, here.tree),
            None => (Vec::new(), Tree::default()),
        };
        let mut files: BTreeMap<RelativeName, FileRecord> = BTreeMap::new();
        for (entry, record) in records {
            let key = &entry.as_str()[self.source.name.as_str().len() + 1..];
            let name = relative_of(key, &record, &self.source.name);
            files.insert(name.map_err(anyhow::Error::msg)?, record);
        }
        // The file system has refused something already: it would refuse it again.
        let is_refused = |name| {
            self.unpacked
                .finished
                .get(name)
                .is_some_and(|said| !said.is_empty())
        };
        let is_lenient = is_refused(&self.source.name);
        let mut is_same = is_there;
        let shown = |relative: &[u8], said: &str| {
            format!("{}/{}: {said}", self.target.display(), shown(relative))
        };
        for file in &self.files {
            let (name, record) = (&file.name, file.record);
            let found = files.remove(name);
            lost.owners.extend(foresight.refused_owner(&record.owner()));
            for said in foresight.of_file(record) {
                let is_here = found.as_ref().is_some_and(|found| {
                    found.mode == record.mode && found.xattrs == record.xattrs
                });
                lost.add(is_here, || shown(name.as_bytes(), &said));
            }
            let Some(found) = found else {
                // Entries that are excluded here are not part of the comparison.
                is_same &= !rules.keeps(name.as_bytes(), false);
                continue;
            };
            let owner = record.owner();
            is_same = is_same
                && (found.checksum == record.checksum || self.is_held_here(name, record)?)
                && record.mode.is_none_or(|mode| {
                    let given = foresight.mode_of_file(mode, &owner, &record.xattrs);
                    found.mode == Some(mode) || found.mode == Some(given)
                })
                && (is_lenient
                    || foresight.is_same_owner(&owner, &found.owner())
                        && foresight.are_same_xattrs(&record.xattrs, &found.xattrs));
        }
        is_same &= files.is_empty() && !self.has_foreign_log();
        for link in self.tree.links.values() {
            lost.owners.extend(foresight.refused_owner(&link.owner));
        }
        let mut same_folder = |name: &[u8], wanted: &FolderRecord, found: Option<&FolderRecord>| {
            lost.owners.extend(foresight.refused_owner(&wanted.owner));
            for said in foresight.of_folder(wanted) {
                let is_here = found.is_some_and(|found| found.xattrs == wanted.xattrs);
                lost.add(is_here, || shown(name, &said));
            }
            let Some(found) = found else {
                return !rules.keeps(name, true);
            };
            let found_mode = found.mode.map(AttributeWriter::mode_of_folder);
            wanted
                .mode
                .is_none_or(|_| foresight.mode_of_folder(wanted) == found_mode)
                && (is_lenient
                    || foresight.is_same_owner(&wanted.owner, &found.owner)
                        && foresight.are_same_xattrs(&wanted.xattrs, &found.xattrs))
        };
        is_same &= same_folder(b"", &self.tree.root, Some(&there.root).filter(|_| is_there));
        for (name, wanted) in &self.tree.folders {
            is_same &= same_folder(name.as_bytes(), wanted, there.folders.get(name));
        }
        let listed = &self.tree.folders;
        let more = there
            .folders
            .keys()
            .filter(|name| !listed.contains_key(*name));
        let mut more = more.filter(|name| !self.is_implied(name));
        Ok(is_same && more.next().is_none() && self.has_same_links(&there, &rules))
    }

    /// Returns true if a log or a journal lies beside a database of the archive, excluded or not: SQLite would play
    /// what is in it into the database, which then is another one.
    fn has_foreign_log(&self) -> bool {
        let mut beside = self.files.iter().flat_map(|file| {
            let engine = engine_of(file).into_iter();
            engine.flat_map(|engine| engine.logs_of(relative_path(file)))
        });
        beside.any(|path| {
            let name = path.as_os_str().as_bytes();
            let is_archived = || self.files.iter().any(|file| file.name.as_bytes() == name);
            let there = self.target.join(&path).symlink_metadata();
            there.is_ok_and(|it| it.len() > 0) && !is_archived()
        })
    }

    /// Returns true if the archive has something below `folder`, although it does not list it.
    fn is_implied(&self, folder: &RelativeName) -> bool {
        let is_below = |name: &RelativeName| name.folders().any(|above| above == folder.as_bytes());
        self.files.iter().any(|file| is_below(&file.name))
            || self.tree.links.keys().any(is_below)
            || self.tree.folders.keys().any(is_below)
    }

    fn has_same_links(&self, there: &Tree, rules: &Rules) -> bool {
        let made = self.tree.links.iter().filter_map(|(name, record)| {
            let is_kept = rules.keeps(name.as_bytes(), false);
            let record = match self.outside.made.get(name) {
                Some(record) => record,
                None if self.tree.is_inside(name, self.target) => record,
                None => return None,
            };
            is_kept.then_some((name, &record.target))
        });
        let made: BTreeMap<_, _> = made.collect();
        let there = there.links.iter();
        made == there.map(|(name, record)| (name, &record.target)).collect()
    }

    /// The name of its source.
    pub fn name(&self) -> &EntryName {
        &self.source.name
    }

    /// Returns where this machine has it.
    pub fn target(&self) -> &Path {
        self.target
    }

    /// The names of what lies directly in the archive's directory.
    pub fn children(&self) -> BTreeSet<Vec<u8>> {
        let files = self.files.iter().map(|file| &file.name);
        let all = files
            .chain(self.tree.folders.keys())
            .chain(self.tree.links.keys());
        let first = |name: &RelativeName| {
            let mut parts = name.as_bytes().split(|byte| *byte == b'/');
            parts.next().unwrap_or_default().to_vec()
        };
        all.map(first).collect()
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

    /// Builds the new directory at `place`; what is `made` comes there by changes of its own.
    fn build(&self, place: &Path, made: &[EntryName], rules: &Rules) -> Result<()> {
        self.build_with(place, made, rules, built::keep_excluded)
    }

    /// The same for a mount point, whose children are taken out of it: what is excluded of it directly stays there.
    pub fn build_in_volume(&self, place: &Path, made: &[EntryName], rules: &Rules) -> Result<()> {
        self.build_with(place, made, rules, built::keep_excluded_in_children)
    }

    fn build_with(
        &self,
        place: &Path,
        made: &[EntryName],
        rules: &Rules,
        keep: impl Fn(&Path, &Path, &Rules, Privilege) -> Result<Vec<String>>,
    ) -> Result<()> {
        let privilege = self.context.privilege();
        let staged = self.unpacked.staging.place(&self.source.name);
        self.context.begin("building the directory", None);
        let refused = built::restore(&Restoring {
            tree: &self.tree,
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
            outside: &self.outside.made,
        })?;
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
        Ok(())
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
        // The log of another state of a database would spoil it: it goes with the database, although patterns exclude
        // it.
        let logs = self.files.iter().flat_map(|file| {
            let engine = engine_of(file).into_iter();
            engine.flat_map(|engine| engine.companions_of(relative_path(file)))
        });
        let logs = logs.map(|path| path.into_os_string().into_encoded_bytes());
        claimed.extend(logs.filter(|log| !rules.keeps(log, false)));
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

/// Returns the engine of a file, if it is a database, as the manifest or else its name says.
fn engine_of(file: &StagedFile<'_>) -> Option<Engine> {
    const ENDINGS: [&[u8]; 3] = [b".db", b".sqlite", b".sqlite3"];
    let name = file.name.as_bytes();
    let named = || ENDINGS.iter().any(|ending| name.ends_with(ending));
    let known = file.record.engine();
    let known = known.filter(|engine| !engine.companions().is_empty());
    known.or_else(|| named().then_some(Engine::Sqlite))
}

fn relative_path<'a>(file: &'a StagedFile<'_>) -> &'a Path {
    Path::new(OsStr::from_bytes(file.name.as_bytes()))
}

/// The files of a source that lies at `inside` in a directory.
fn parts(source: &Source, inside: &Path) -> Vec<PathBuf> {
    let mut files = vec![inside.to_owned()];
    if let Some(engine) = source.kind.engine() {
        files.extend(engine.companions_of(inside));
    }
    files
}
