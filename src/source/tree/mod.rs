//! Directories as sources: every file with its digest, and folders, links and attributes for the manifest.
//!
//! Files are hashed where they lie, by several threads, and opened again when they are packed: what has changed by then
//! is an error. What was touched in the last seconds, or changes while it is read, is copied into one file without a
//! name first, and hashed on the way: the copy stays as it is.

mod content;
pub mod database;
mod hash;
mod spool;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

pub use self::content::{Changed, Reopened, Spooled};
use self::{
    content::Origin,
    database::{Databases, Found},
    hash::{Hashed, Outcome},
    spool::{Kinds, Spool},
};
use crate::{
    archive::{Threads, manifest_text},
    disk::{
        dangling,
        tree::{
            beneath::{Folders, Look, Top, What, is_gone, xattrs},
            owners::Owners,
            walk::{Leaf, Met, walk},
        },
    },
    error::{Failure, Kind},
    model::{
        entry_name::EntryName,
        limits::MAX_LINK_BYTES,
        manifest::FileRecord,
        named::Named,
        relative::{RelativeName, is_tree_name},
        rules::Rules,
        tree::{FolderRecord, LinkRecord, Tree},
    },
    source::{files::Content, redb::walk::Step},
};

/// A directory that is ready for the archive.
pub struct StagedTree {
    /// What the manifest will say of its files, in the order of their names.
    pub records: Vec<(EntryName, FileRecord)>,
    /// What they hold, in the same order.
    pub contents: Vec<(EntryName, Content)>,
    /// Everything else.
    pub tree: Tree,
    /// What does not go along although no rule excludes it, and why: sockets, fifos, devices, hookshot's own files.
    pub left_out: Vec<String>,
    /// Files that changed each time they were read: the archive has them as they were read last, which may be no state
    /// that they ever had.
    pub torn: Vec<EntryName>,
    /// Files that begin as databases do and of which no consistent copy could be made, and why: the archive has them as plain
    /// files.
    pub unproven: Vec<(EntryName, String)>,
}

/// What staging a directory needs of its caller.
pub struct Caller<'a> {
    /// Is told how many bytes were read, and may end the work with an error.
    pub step: &'a Step<'a>,
    /// The folder for the copies, which get no name in it.
    pub scratch: &'a Path,
    /// How many threads read.
    pub threads: Threads,
    /// How long nobody must have touched a file that is read where it lies; [`QUIET`], if nothing speaks against it.
    pub quiet: Duration,
    /// How many bytes of a manifest the files may take; [`u64::MAX`] where no archive is made of them.
    pub manifest_bytes: u64,
    /// What becomes of databases.
    pub databases: Databases<'a>,
}

/// File systems give times of up to two seconds' coarseness, and whoever writes a file writes it again soon.
pub const QUIET: Duration = Duration::from_secs(3);

/// Reads the directory at `path` for the archive, as the source `name`. Every file that cannot be read is named, and
/// then nothing comes of it. More files than the manifest has room for are refused before any is read.
///
/// A file that begins as a database does is copied as one, and what its engine keeps beside it stays out; if that cannot be done,
/// it is copied as the file that it is.
///
/// Each file is as it was at one moment; not promised is that all of them are of the same one. A file that is written
/// in place is as any reader may see it, in the middle of a write(2) even; one that is written through a shared memory
/// map may change without a sign of it, and the archive's writer compares the digest then.
pub fn stage(
    path: &Path,
    name: &EntryName,
    rules: &Rules,
    caller: &Caller<'_>,
) -> Result<StagedTree> {
    if !is_tree_name(name) {
        bail!(
            "{name} cannot be the name of a directory: it must be one component of up to 255 bytes"
        );
    }
    let top = open(path, name)?;
    let collected = collect(&top, rules)?;
    refuse_too_many(&collected.files, name, caller.manifest_bytes)?;
    let mut faults = collected.faults;
    let mut left_out = collected.left_out;
    let origin = Arc::new(Origin::new(top, name.clone()));
    let spool = Spool::create(caller.scratch)?;
    let recent = spool.moment_before(caller.quiet)?;
    let begun = Instant::now();
    let outcomes = hash::all(&origin.top, &collected.files, recent, caller)?;
    // What nobody had touched for longer than that is hardly touched now, and who packs it asks as well.
    let is_soon = begun.elapsed() < caller.quiet;
    let mut read = Read {
        name,
        owners: Owners::default(),
        kind: "file".into(),
        records: Vec::with_capacity(collected.files.len()),
        contents: Vec::with_capacity(collected.files.len()),
    };
    let mut staging = Staging {
        path,
        real: path.canonicalize().ok(),
        name,
        caller,
        spool,
        kept: 0,
        companions: BTreeSet::new(),
        torn: Vec::new(),
        unproven: Vec::new(),
    };
    let mut folders = Folders::new(&origin.top);
    for (relative, outcome) in collected.files.iter().zip(outcomes) {
        let shown = || origin.top.shown(relative.as_bytes());
        if staging.companions.contains(relative.as_bytes())
            && !matches!(outcome, Outcome::Database(_))
        {
            continue;
        }
        let outcome = match outcome {
            // It may have changed while the others were read.
            Outcome::Hashed(hashed)
                if !is_soon && !hash::is_unchanged(&mut folders, relative, &hashed) =>
            {
                staging.copy(&mut folders, relative)?
            }
            Outcome::Unsettled => staging.copy(&mut folders, relative)?,
            outcome => outcome,
        };
        match outcome {
            Outcome::Hashed(hashed) => {
                let content = Content::Reopened(Reopened::new(&origin, relative, &hashed));
                read.add(relative, hashed, content);
            }
            Outcome::Copied(hashed, content) => {
                read.add(relative, hashed, Content::Spooled(content));
            }
            Outcome::Torn(hashed, content) => {
                staging.torn.push(relative.entry(name).0);
                let mut record = read.describe(relative, hashed);
                record.torn = true;
                read.push(record, Content::Spooled(content));
            }
            Outcome::Database(found) => {
                if let Err(error) = staging.database(&mut folders, relative, found, &mut read)? {
                    faults.add(|| format!("{}: {error}", shown()));
                }
            }
            Outcome::Gone | Outcome::Unsettled => {}
            Outcome::Special(kind) => left_out.add(|| format!("{} is {kind}", shown())),
            Outcome::Failed(error) => faults.add(|| format!("{}: {error}", shown())),
        }
    }
    let (mut torn, unproven) = (staging.torn, staging.unproven);
    if faults.count() > 0 {
        let all = count(faults.count(), "file or folder", "files and folders");
        let faults = faults.finish();
        let message = match faults.as_slice() {
            [only] => format!("cannot read {only}"),
            _ => format!("{all} of {} cannot be read", path.display()),
        };
        let is_long = faults.iter().any(|fault| fault.contains("is longer than"));
        let hint = match is_long {
            true => {
                "exclude what has a longer path than any program can open, or give its folders shorter names"
            }
            false => "run as a user who may read them, or exclude them",
        };
        return Err(Failure::new(Kind::Failed, message)
            .hint(hint)
            .faults(faults)
            .into());
    }
    let (mut records, mut contents) = (read.records, read.contents);
    records.sort_by(|(one, _), (other, _)| one.cmp(other));
    contents.sort_by(|(one, _), (other, _)| one.cmp(other));
    torn.sort();
    Ok(StagedTree {
        records,
        contents,
        tree: collected.tree,
        left_out: left_out.finish(),
        torn,
        unproven,
    })
}

/// What no archive can hold is refused before any of it is read. Whoever writes the manifest counts more exactly.
fn refuse_too_many(
    files: &[RelativeName],
    name: &EntryName,
    most_bytes: u64,
) -> Result<(), Failure> {
    let below = name.as_str().len() + 1;
    let names = files.iter().map(|file| below + file.as_bytes().len());
    if manifest_text::least_bytes(names) > most_bytes {
        return Err(manifest_text::too_large(Some((name.as_str(), files.len()))));
    }
    Ok(())
}

fn count(count: usize, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {many}"),
    }
}

fn open(path: &Path, name: &EntryName) -> Result<Top> {
    Top::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => dangling(path)
            .unwrap_or_else(|| {
                let message = format!("{name} is missing: there is no {}", path.display());
                Failure::new(Kind::NotFound, message).hint(
                    "is this the right machine, and does the configuration name the right place?",
                )
            })
            .into(),
        std::io::ErrorKind::NotADirectory => Failure::new(
            Kind::Usage,
            format!("{} is not a directory", path.display()),
        )
        .hint("name a directory")
        .into(),
        _ => anyhow::Error::new(error).context(format!("cannot open {}", path.display())),
    })
}

/// A larger copy of a database keeps a file of its own.
const SMALL_COPY_BYTES: u64 = 16 << 20;
/// At most so many copies do: each is an open file until the archive is made.
const MOST_COPIES: usize = 64;

/// Files of a directory that are copied.
struct Staging<'a> {
    path: &'a Path,
    /// The directory without links.
    real: Option<PathBuf>,
    name: &'a EntryName,
    caller: &'a Caller<'a>,
    spool: Spool,
    /// Copies of databases that have files of their own.
    kept: usize,
    /// What lies beside the databases that were found, and is part of them.
    companions: BTreeSet<Vec<u8>>,
    torn: Vec<EntryName>,
    unproven: Vec<(EntryName, String)>,
}

impl Staging<'_> {
    fn copy(&mut self, folders: &mut Folders<'_>, relative: &RelativeName) -> Result<Outcome> {
        let kinds = match self.caller.databases {
            Databases::AsFiles => Kinds::Any,
            Databases::Copied(_) => Kinds::Plain,
        };
        self.spool.copy(folders, relative, kinds, self.caller.step)
    }

    /// Copies a database as one, or else as the file that it is; the inner error is one of reading it.
    fn database(
        &mut self,
        folders: &mut Folders<'_>,
        relative: &RelativeName,
        found: Found,
        read: &mut Read<'_>,
    ) -> Result<std::io::Result<()>> {
        let entry = relative.entry(self.name).0;
        let reason = match self.consistent(relative, &entry, &found)? {
            Ok((staged, content)) => {
                for ending in found.engine.companions() {
                    let companion = [relative.as_bytes(), ending.as_bytes()].concat();
                    self.companions.insert(companion);
                }
                let hashed = Hashed {
                    look: found.look,
                    xattrs: found.xattrs,
                    digest: staged.checksum,
                    size: staged.size,
                };
                let mut record = read.describe(relative, hashed);
                (record.kind, record.snapshot) = (staged.kind, staged.snapshot);
                read.push(record, content);
                return Ok(Ok(()));
            }
            Err(reason) => reason,
        };
        let step = self.caller.step;
        let (hashed, content) = match self.spool.copy(folders, relative, Kinds::Any, step)? {
            Outcome::Copied(hashed, content) | Outcome::Torn(hashed, content) => (hashed, content),
            Outcome::Failed(error) => return Ok(Err(error)),
            _ => return Ok(Ok(())),
        };
        let mut record = read.describe(relative, hashed);
        record.kind = Some(found.engine.kind().into());
        record.torn = true;
        read.push(record, Content::Spooled(content));
        self.unproven.push((entry, reason));
        Ok(Ok(()))
    }

    /// One consistent copy, or why there is none. Fails only if the work ends.
    fn consistent(
        &mut self,
        relative: &RelativeName,
        entry: &EntryName,
        found: &Found,
    ) -> Result<Result<(FileRecord, Content), String>> {
        let Databases::Copied(take) = self.caller.databases else {
            return Ok(Err("it is read as a file".to_owned()));
        };
        let below = Path::new(OsStr::from_bytes(relative.as_bytes()));
        let path = self.path.join(below);
        // A link that was put in the way would lead to a database of somebody else.
        let is_in_place = || {
            let expected = self.real.as_ref().map(|real| real.join(below));
            expected.is_some() && path.canonicalize().ok() == expected
        };
        if !is_in_place() {
            return Ok(Err("it is replaced while it is read".to_owned()));
        }
        let staged = match take(&path, entry, found.engine) {
            Ok(staged) if is_in_place() => staged,
            Ok(_) => return Ok(Err("it is replaced while it is read".to_owned())),
            Err(error) => {
                let failure = Failure::of(&error);
                return match failure.kind {
                    Kind::Interrupted(_) => Err(error),
                    _ => Ok(Err(failure.message)),
                };
            }
        };
        let size = staged.record.size;
        let content = match self.kept < MOST_COPIES && size > SMALL_COPY_BYTES {
            true => {
                self.kept += 1;
                staged.content
            }
            false => {
                let copy = self
                    .spool
                    .keep(&mut *staged.content.open()?, self.caller.step)?;
                Content::Spooled(copy)
            }
        };
        Ok(Ok((staged.record, content)))
    }
}

/// The files of a directory that were read.
struct Read<'a> {
    name: &'a EntryName,
    owners: Owners,
    /// Each record says it.
    kind: Arc<str>,
    records: Vec<(EntryName, FileRecord)>,
    contents: Vec<(EntryName, Content)>,
}

impl Read<'_> {
    fn add(&mut self, relative: &RelativeName, hashed: Hashed, content: Content) {
        let record = self.describe(relative, hashed);
        self.push(record, content);
    }

    /// What the manifest will say of a file.
    fn describe(&mut self, relative: &RelativeName, hashed: Hashed) -> FileRecord {
        let (name, is_escaped) = relative.entry(self.name);
        let look = &hashed.look;
        let mut record = FileRecord::new(name, hashed.digest, hashed.size);
        let owner = self.owners.describe(look.uid, look.gid);
        record.mode = Some(look.mode);
        record.user = owner.user;
        record.group = owner.group;
        record.uid = owner.uid;
        record.gid = owner.gid;
        record.mtime = Some(look.mtime.seconds);
        record.mtime_ns = Some(look.mtime.nanoseconds).filter(|ns| *ns != 0);
        record.kind = Some(self.kind.clone());
        record.name = is_escaped.then(|| relative.as_bytes().to_vec());
        record.xattrs = hashed.xattrs;
        record.sparse = look.has_holes();
        record
    }

    fn push(&mut self, record: FileRecord, content: Content) {
        self.contents.push((record.path.clone(), content));
        self.records.push((record.path.clone(), record));
    }
}

/// What a walk has found.
#[derive(Default)]
struct Collected {
    files: Vec<RelativeName>,
    tree: Tree,
    /// Folders that were searched, and in which nothing was found so far.
    searched: BTreeMap<Vec<u8>, FolderRecord>,
    left_out: Named,
    faults: Named,
}

fn collect(top: &Top, rules: &Rules) -> Result<Collected> {
    let mut collected = Collected::default();
    let mut owners = Owners::default();
    let mut folders = Folders::new(top);
    walk(top, rules, &mut |relative, met| {
        let shown = || top.shown(relative);
        match met {
            Met::Folder(look, fd) | Met::Searched(look, fd)
                if relative.is_empty() || matches!(met, Met::Searched(..)) =>
            {
                match folder(&look, fd, &mut owners) {
                    Ok(record) if relative.is_empty() => collected.tree.root = record,
                    Ok(record) => drop(collected.searched.insert(relative.to_vec(), record)),
                    Err(error) => collected.faults.add(|| format!("{}: {error}", shown())),
                }
            }
            Met::Folder(look, fd) => match folder(&look, fd, &mut owners) {
                Ok(record) => {
                    let relative = named(relative);
                    collected.found(&relative);
                    collected.tree.folders.insert(relative, record);
                }
                Err(error) => collected.faults.add(|| format!("{}: {error}", shown())),
            },
            Met::Leaf(leaf) if leaf.what == What::Link => {
                match link(&mut folders, relative, &leaf, &mut owners) {
                    Ok(record) => {
                        let relative = named(relative);
                        collected.found(&relative);
                        collected.tree.links.insert(relative, record);
                    }
                    Err(error) if is_gone(&error) => {}
                    Err(error) => collected.faults.add(|| format!("{}: {error}", shown())),
                }
            }
            Met::Leaf(_) => {
                let name = named(relative);
                collected.found(&name);
                collected.files.push(name);
            }
            Met::Special(kind) => collected.left_out.add(|| format!("{} is {kind}", shown())),
            Met::Own => collected
                .left_out
                .add(|| format!("{} is hookshot's own", shown())),
            Met::Excluded => {}
            Met::Failed(reason) => collected.faults.add(|| format!("{}: {reason}", shown())),
            Met::Searched(..) => {}
        }
        Ok(())
    })?;
    Ok(collected)
}

impl Collected {
    /// The searched folders above `relative` go along.
    fn found(&mut self, relative: &RelativeName) {
        for folder in relative.folders() {
            let Some(record) = self.searched.remove(folder) else {
                break;
            };
            self.tree.folders.insert(named(folder), record);
        }
    }
}

fn named(relative: &[u8]) -> RelativeName {
    RelativeName::new(relative).expect("a walk goes only where names are good")
}

fn folder(
    look: &Look,
    fd: std::os::fd::BorrowedFd<'_>,
    owners: &mut Owners,
) -> std::io::Result<FolderRecord> {
    Ok(FolderRecord {
        mode: Some(look.mode),
        owner: owners.describe(look.uid, look.gid),
        mtime: Some(look.mtime),
        xattrs: xattrs(fd)?,
    })
}

fn link(
    folders: &mut Folders<'_>,
    relative: &[u8],
    leaf: &Leaf<'_>,
    owners: &mut Owners,
) -> std::io::Result<LinkRecord> {
    let look = leaf.look()?;
    let (parent, name) = folders.parent(relative)?;
    let target = rustix::fs::readlinkat(parent, name, Vec::new())?.into_bytes();
    if target.is_empty() || target.len() > MAX_LINK_BYTES {
        return Err(std::io::Error::other(
            "its target is empty, or longer than 4095 bytes",
        ));
    }
    Ok(LinkRecord {
        target,
        owner: owners.describe(look.uid, look.gid),
        mtime: Some(look.mtime),
    })
}
