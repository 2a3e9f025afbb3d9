//! A directory to stage, and a place to restore it: what is there is looked at with the standard library alone.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    io::Read,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use hookshot::{
    archive::ahead::FileContent as _,
    disk::{
        staging::Staging,
        tree::{Privilege, Restoring, Taking, restore, unpack::Unpacking},
    },
    model::{
        digest::Digest,
        entry_name::EntryName,
        limits::UNLISTED_FILES,
        manifest::{FileRecord, ListedNode, ListingCheck, ListingLine, Manifest},
        rules::Rules,
        tree::Tree,
    },
    source::{
        staged::StagedContent,
        tree::{StagedTree, TreeContext, database::DatabaseHandling, listed::ListedContent, stage},
    },
    work::{Threads, events::Events},
};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, XattrFlags};
use tempfile::TempDir;

/// An item that a test puts into a directory.
#[derive(Debug, Clone)]
pub enum Thing {
    File {
        content: Vec<u8>,
        mode: u32,
        mtime: (i64, u32),
        xattr: Option<Vec<u8>>,
    },
    Sparse {
        blocks: u64,
        byte: u8,
        mtime: (i64, u32),
    },
    Folder {
        mode: u32,
        mtime: (i64, u32),
        xattr: Option<Vec<u8>>,
    },
    /// `@` is the directory itself.
    Link { target: String },
}

const AS_FILES: DatabaseHandling<'static> = DatabaseHandling::AsFiles;

/// The state of a path: kind, mode, owner, time, content or target, an extended attribute.
pub type State = (char, u32, (u32, u32), (i64, i64), Vec<u8>, Option<Vec<u8>>);

/// A folder with a directory `data`, a place for a new one, and a folder for scratch.
pub struct Bench {
    folder: TempDir,
    unlisted_files: u64,
}

/// A file that was staged.
pub struct BenchFile<'a> {
    pub name: EntryName,
    pub record: FileRecord,
    pub content: BenchContent<'a>,
}

/// Its content, from a directory without a listing and from one with it.
pub enum BenchContent<'a> {
    Unlisted(&'a StagedContent),
    Listed(ListedContent),
}

impl BenchContent<'_> {
    pub fn open(&self) -> Result<Box<dyn Read + '_>> {
        match self {
            BenchContent::Unlisted(content) => content.open(),
            BenchContent::Listed(content) => content.open(),
        }
    }
}

/// Returns the files of a directory that was staged, in order; a listing must be a good one.
pub fn files(staged: &StagedTree) -> Vec<BenchFile<'_>> {
    let Some(listing) = &staged.listing else {
        let all = staged.records.iter().zip(&staged.contents);
        let all = all.map(|((name, record), (other, content))| {
            assert_eq!((name, &record.path), (other, other));
            BenchFile {
                name: name.clone(),
                record: record.clone(),
                content: BenchContent::Unlisted(content),
            }
        });
        return all.collect();
    };
    assert!(staged.records.is_empty() && staged.contents.is_empty());
    let mut check = ListingCheck::new(name(), listing.directory().clone());
    let mut text = Vec::new();
    listing.text().read_to_end(&mut text).expect("read");
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n").expect("a whole line");
        check.line(line).expect("a good line");
    }
    assert_eq!(check.finish(), []);
    let record = listing.record(0);
    assert_eq!(record.checksum, Digest::of(&text));
    assert_eq!(record.size, text.len() as u64);
    let all = listing.files().map(|file| {
        let (record, content) = file.expect("read");
        BenchFile {
            name: record.path.clone(),
            record,
            content: BenchContent::Listed(content),
        }
    });
    all.collect()
}

/// Returns the top folder and the links of a directory that was staged, with its folders if it has no listing.
fn tree_with_links(staged: &StagedTree) -> Tree {
    let mut tree = staged.tree.clone();
    for line in staged.lines(&name()).expect("lines") {
        let ListingLine { name, node } = line.expect("read");
        if let ListedNode::Link(record) = node {
            tree.links.insert(name, record);
        }
    }
    tree
}

/// The way of the staged files: they come into place themselves, or copies of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Move,
    Copy,
}

/// Files in staging, with what was refused of their attributes where they have them.
pub struct Unpacked {
    pub staging: Staging,
    refused: Option<Vec<String>>,
}

pub fn name() -> EntryName {
    EntryName::new("data").expect("a good name")
}

impl Default for Bench {
    fn default() -> Bench {
        Bench::new()
    }
}

impl Bench {
    pub fn new() -> Bench {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("data")).expect("made");
        fs::create_dir(folder.path().join("scratch")).expect("made");
        Bench {
            folder,
            unlisted_files: UNLISTED_FILES,
        }
    }

    /// Returns the same one, in which directories of more than three files get a listing.
    pub fn with_listings(self) -> Bench {
        Bench {
            unlisted_files: 3,
            ..self
        }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn source(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// Returns the place at which it is restored.
    pub fn place(&self) -> PathBuf {
        self.folder().join("new")
    }

    pub fn privilege(&self) -> Privilege {
        match nix::unistd::geteuid().is_root() {
            true => Privilege::Root,
            false => Privilege::Ours,
        }
    }

    pub fn stage(&self, rules: &Rules) -> Result<StagedTree> {
        self.stage_at(&self.source(), rules)
    }

    pub fn stage_at(&self, path: &Path, rules: &Rules) -> Result<StagedTree> {
        self.stage_with(path, rules, Duration::ZERO, AS_FILES, &|_| Ok(()))
    }

    pub fn stage_quiet(&self, quiet: Duration) -> Result<StagedTree> {
        let rules = Rules::everything();
        self.stage_with(&self.source(), &rules, quiet, AS_FILES, &|_| Ok(()))
    }

    pub fn stage_until(&self, step: impl Fn(u64) -> Result<()>) -> Result<StagedTree> {
        self.stage_as(AS_FILES, &step)
    }

    pub fn stage_as(
        &self,
        databases: DatabaseHandling<'_>,
        step: &dyn Fn(u64) -> Result<()>,
    ) -> Result<StagedTree> {
        let rules = Rules::everything();
        self.stage_with(&self.source(), &rules, Duration::ZERO, databases, step)
    }

    fn stage_with(
        &self,
        path: &Path,
        rules: &Rules,
        quiet: Duration,
        databases: DatabaseHandling<'_>,
        step: &dyn Fn(u64) -> Result<()>,
    ) -> Result<StagedTree> {
        let caller = TreeContext {
            step,
            events: &Events::default(),
            scratch: &self.folder().join("scratch"),
            threads: Threads::new(3).expect("some"),
            quiet,
            unlisted_files: self.unlisted_files,
            databases,
        };
        stage(path, &name(), rules, &caller)
    }

    /// Waits until what was written so far is as old as a file must be to be read where it lies.
    pub fn wait_for_a_tick(&self) {
        let written = |name: &str| {
            let path = self.folder().join(name);
            fs::write(&path, "").expect("written");
            path.metadata().expect("there").modified().expect("told")
        };
        let begun = written("begun");
        let tick = Duration::from_millis(21);
        while written("now").duration_since(begun).expect("later") < tick {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Writes every file as an import would have it in its staging folder.
    pub fn unpack(&self, staged: &StagedTree, how: How) -> Unpacked {
        let staging = Staging::create(&self.folder().join("staging")).expect("made");
        let mut unpacking = Unpacking::new(self.privilege(), Threads::new(3).expect("some"));
        if how == How::Move {
            unpacking.add(name(), self.source());
        }
        for BenchFile {
            name,
            record,
            content,
        } in &files(staged)
        {
            let begun = unpacking.begin(&staging, name, record);
            let mut out = match begun.expect("made") {
                Some(out) => out,
                None => staging.writer(name).expect("made"),
            };
            let size = std::io::copy(&mut content.open().expect("open"), &mut out);
            assert_eq!(size.expect("copied"), record.size);
            drop(out);
            unpacking.end(name, record).expect("finished");
        }
        Unpacked {
            staging,
            refused: unpacking.finish().expect("made").remove(&name()),
        }
    }

    pub fn try_restore(&self, staged: &StagedTree, unpacked: &Unpacked) -> Result<Vec<String>> {
        let folder = unpacked.staging.place(&name());
        let source = self.source();
        let tree = tree_with_links(staged);
        let left = tree.outside(&source);
        let mut left: Vec<String> = left
            .map(|(link, _)| format!("{}/{link} is not restored", source.display()))
            .collect();
        let restoring = Restoring {
            name: &name(),
            tree: &tree,
            staged: &folder,
            place: &self.place(),
            target: &self.source(),
            taking: match &unpacked.refused {
                Some(refused) => Taking::Move { refused },
                None => Taking::Copy,
            },
            privilege: self.privilege(),
            outside: &BTreeMap::new(),
        };
        let unrestored = restore(&restoring, &mut staged.lines(&name())?)?;
        left.extend(unrestored.links.into_iter().chain(unrestored.attributes));
        Ok(left)
    }

    /// Restores what was staged, by way of the manifest's bytes; returns its folders and links, and the warnings.
    pub fn restore(&self, mut staged: StagedTree, how: How) -> (Tree, Vec<String>) {
        let unpacked = self.unpack(&staged, how);
        if staged.listing.is_some() {
            let warnings = self.try_restore(&staged, &unpacked).expect("restored");
            return (tree_with_links(&staged), warnings);
        }
        let files = staged.records.iter().cloned().collect();
        let manifest = Manifest {
            trees: BTreeMap::from([(name(), staged.tree)]),
            ..Manifest::new(0, semver::Version::new(0, 1, 0), files)
        };
        let read = Manifest::parse(&manifest.to_bytes()).expect("a good manifest");
        assert_eq!(read, manifest);
        staged.tree = read.trees[&name()].clone();
        let warnings = self.try_restore(&staged, &unpacked).expect("restored");
        (staged.tree, warnings)
    }

    /// Makes `things`, as far as they go together: what does not is left out.
    pub fn build(&self, things: &BTreeMap<Vec<u8>, Thing>) {
        let source = self.source();
        let real = source.canonicalize().expect("there");
        let at = |path: &[u8]| source.join(OsStr::from_bytes(path));
        let mut made = Vec::new();
        for (path, thing) in things {
            let place = at(path);
            let parent = place.parent().expect("a folder").to_owned();
            // Nothing is made through a link, which may lead outside.
            let is_linked = parent.ancestors().any(Path::is_symlink);
            if is_linked
                || fs::create_dir_all(&parent).is_err()
                || !parent.canonicalize().expect("there").starts_with(&real)
                || place.symlink_metadata().is_ok()
            {
                continue;
            }
            match thing {
                Thing::File { content, xattr, .. } => {
                    fs::write(&place, content).expect("written");
                    set_xattr(&place, xattr);
                }
                Thing::Sparse { blocks, byte, .. } => {
                    let file = fs::File::create(&place).expect("made");
                    file.set_len(blocks * 4096).expect("long");
                    file.write_all_at(&[*byte], blocks * 2048).expect("written");
                }
                Thing::Folder { xattr, .. } => {
                    fs::create_dir(&place).expect("made");
                    set_xattr(&place, xattr);
                }
                Thing::Link { target } => {
                    let target = target.replace('@', source.to_str().expect("UTF-8"));
                    symlink(target, &place).expect("linked");
                }
            }
            made.push((place, thing));
        }
        for (place, thing) in made.iter().rev() {
            let (mode, (seconds, nanoseconds)) = match thing {
                Thing::File { mode, mtime, .. } | Thing::Folder { mode, mtime, .. } => {
                    (*mode, *mtime)
                }
                Thing::Sparse { mtime, .. } => (0o640, *mtime),
                Thing::Link { .. } => continue,
            };
            let is_root = nix::unistd::geteuid().is_root();
            let mode = if is_root { mode } else { mode | 0o400 };
            fs::set_permissions(place, fs::Permissions::from_mode(mode)).expect("set");
            let time = Timespec {
                tv_sec: seconds,
                tv_nsec: nanoseconds.into(),
            };
            let times = Timestamps {
                last_access: time,
                last_modification: time,
            };
            rustix::fs::utimensat(CWD, place, &times, AtFlags::empty()).expect("set");
        }
    }

    /// Everything in `folder`, by path.
    pub fn snapshot(&self, folder: &Path) -> BTreeMap<Vec<u8>, State> {
        let mut found = BTreeMap::new();
        let mut ahead = vec![folder.to_owned()];
        while let Some(path) = ahead.pop() {
            let metadata = path.symlink_metadata().expect("there");
            let mode = metadata.mode() & 0o7777;
            let owner = (metadata.uid(), metadata.gid());
            let time = (metadata.mtime(), metadata.mtime_nsec());
            let (kind, mode, content, xattr) = if metadata.is_symlink() {
                let target = fs::read_link(&path).expect("a link");
                ('l', 0, target.as_os_str().as_bytes().to_vec(), None)
            } else if metadata.is_dir() {
                let entries = path.read_dir().expect("readable");
                ahead.extend(entries.map(|entry| entry.expect("readable").path()));
                ('d', mode, Vec::new(), get_xattr(&path))
            } else if metadata.is_file() {
                let content = fs::read(&path).expect("readable");
                ('f', mode, content, get_xattr(&path))
            } else {
                ('s', mode, Vec::new(), None)
            };
            let relative = path.strip_prefix(folder).expect("below");
            let relative = relative.as_os_str().as_bytes().to_vec();
            found.insert(relative, (kind, mode, owner, time, content, xattr));
        }
        found
    }
}

/// A file system without them has none.
fn set_xattr(path: &Path, value: &Option<Vec<u8>>) {
    if let Some(value) = value {
        let _ = rustix::fs::setxattr(path, "user.hookshot", value, XattrFlags::empty());
    }
}

fn get_xattr(path: &Path) -> Option<Vec<u8>> {
    let mut value = vec![0; 4096];
    let length = rustix::fs::getxattr(path, "user.hookshot", &mut value[..]).ok()?;
    value.truncate(length);
    Some(value)
}
