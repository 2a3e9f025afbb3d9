//! An archive that a command reads: a file, standard input, or an archive of a repository.

use std::{
    fs::File,
    io::{self, Read, Seek as _},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};

use super::{
    archive_file::open_archive,
    counted::Counted,
    folder_tree::FolderTree,
    known::KnownArchives,
    opening::{as_file, opened_at, opened_file, opened_stream},
    patient::Patient,
    repository::Repository,
};
use crate::{
    archive::{
        Input, Sink, Verified, read,
        reader::Discard,
        select::{Selected, select},
        tree,
    },
    disk::{folder_of, tree::beneath::Top},
    error::{Failure, Kind},
    model::{
        entry_name::EntryName, known_archive::KnownArchive, manifest::Manifest, written::escaped,
    },
    store::{Address, Options, is_cold},
};
use crate::{
    context::Context,
    work::{
        ReadAt,
        events::{ArchiveFlaw, CatalogEvent, NextArchive},
    },
};

/// The size from which an archive counts as large. A smaller one is always read completely: that is cheap, and verifies
/// all of it.
const LARGE_ARCHIVE_BYTES: u64 = 16 << 20;

/// An archive that a command reads.
#[derive(Clone)]
pub enum ArchiveInput {
    /// `-`.
    Stdin,
    /// The content of standard input, in a file without a name.
    Copied(Arc<File>),
    /// A file.
    File(PathBuf),
    /// A folder in which an archive was unpacked.
    Folder(PathBuf),
    /// An archive in a repository.
    Stored(Candidates),
}

/// An archive in a repository, and those that may replace it.
#[derive(Clone)]
pub struct Candidates {
    repository: Arc<dyn Repository>,
    /// Its name. If the newest was requested, also the names of the older ones that may replace it, the newest first.
    names: Arc<[String]>,
    /// The index of the current name.
    at: usize,
}

impl Candidates {
    /// Takes the first of `names`; the others may replace it, in their order. There must be at least one.
    pub fn new(repository: Arc<dyn Repository>, names: Vec<String>) -> Candidates {
        Candidates {
            repository,
            names: names.into(),
            at: 0,
        }
    }

    fn name(&self) -> &str {
        &self.names[self.at]
    }
}

impl ArchiveInput {
    /// Returns the next older archive, to try if this one is damaged; only if the newest was requested.
    pub fn older(&self) -> Option<ArchiveInput> {
        let ArchiveInput::Stored(kept) = self else {
            return None;
        };
        let at = kept.at + 1;
        let kept = (at < kept.names.len()).then(|| kept.clone())?;
        Some(ArchiveInput::Stored(Candidates { at, ..kept }))
    }

    /// Returns true if the newest archive was requested and there are several, so that an older one may replace a
    /// damaged one.
    pub fn is_replaceable(&self) -> bool {
        matches!(self, ArchiveInput::Stored(kept) if kept.names.len() > 1)
    }

    /// Does `work` with the archive. If the newest was requested and `damage` returns a failure, tries the next older
    /// one. If none is good, returns the result of the newest.
    pub fn first_good<T>(
        &self,
        context: &Context,
        damage: impl Fn(&Result<T>) -> Option<Failure>,
        mut work: impl FnMut(&ArchiveInput) -> Result<T>,
    ) -> Result<T> {
        let mut newest = None;
        let mut input = self.clone();
        loop {
            let result = work(&input);
            let Some(fault) = damage(&result) else {
                return result;
            };
            let older = input.older();
            if older.is_some() || newest.is_some() {
                context.tell(CatalogEvent::PassedOver {
                    archive: input.shown(),
                    flaw: match is_cold(&fault) {
                        true => ArchiveFlaw::Cold,
                        false => ArchiveFlaw::Damaged,
                    },
                    next: match older {
                        Some(_) => NextArchive::Older,
                        None => NextArchive::None,
                    },
                    reason: Some(fault.message),
                });
            }
            let first = newest.take().unwrap_or(result);
            match older {
                Some(older) => (input, newest) = (older, Some(first)),
                None => return first,
            }
        }
    }

    /// Returns the same archive in a form that can be read more than once: standard input is copied to a file.
    pub fn repeatable(&self, context: &Context) -> Result<ArchiveInput> {
        let ArchiveInput::Stdin = self else {
            return Ok(self.clone());
        };
        context.begin("reading", None);
        let shown = context.scratch.display();
        let mut file = tempfile::tempfile_in(&context.scratch)
            .with_context(|| format!("cannot make a temporary file in {shown}"))?;
        let inner = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let mut stdin = context.watch(Patient::new(inner, &context.stop));
        let length = io::copy(&mut stdin, &mut file).with_context(|| {
            format!("cannot copy standard input to a temporary file in {shown}")
        })?;
        if length == 0 {
            return Err(nothing_came().into());
        }
        Ok(ArchiveInput::Copied(Arc::new(file)))
    }

    /// Returns the archive's manifest; reads all of the archive if that is the only way.
    pub fn manifest(&self, context: &Context) -> Result<Manifest> {
        if let Some(selected) = self.select(context, &[], "reading", &mut Discard)? {
            return Ok(selected.manifest);
        }
        let verified = self.read(context, "reading", &mut Discard)?;
        Ok(verified.manifest().clone())
    }

    /// Returns the location for messages.
    pub fn shown(&self) -> String {
        match self {
            ArchiveInput::Stdin | ArchiveInput::Copied(_) => "-".to_owned(),
            ArchiveInput::File(path) | ArchiveInput::Folder(path) => path.display().to_string(),
            ArchiveInput::Stored(kept) => format!("{}/{}", kept.repository.shown(), kept.name()),
        }
    }

    /// Returns the percent-encoded path of a file that is not UTF-8.
    pub fn escaped(&self) -> Option<String> {
        match self {
            ArchiveInput::File(path) | ArchiveInput::Folder(path) => escaped(path),
            _ => None,
        }
    }

    /// Returns the name of the archive's file.
    pub fn file_name(&self) -> Option<&str> {
        match self {
            ArchiveInput::Stdin | ArchiveInput::Copied(_) => None,
            ArchiveInput::File(path) | ArchiveInput::Folder(path) => path.file_name()?.to_str(),
            ArchiveInput::Stored(kept) => Some(kept.name()),
        }
    }

    /// Returns its bytes as they are stored; `None` for standard input and for a folder.
    pub fn bytes(&self) -> Result<Option<Arc<dyn ReadAt + Send + Sync>>> {
        Ok(match self {
            ArchiveInput::Stdin | ArchiveInput::Copied(_) | ArchiveInput::Folder(_) => None,
            ArchiveInput::File(path) => Some(Arc::new(open_archive(path)?)),
            ArchiveInput::Stored(kept) => Some(kept.repository.open(kept.name())?),
        })
    }

    /// Returns the size of an archive of a repository as that tells it, without reading it.
    pub fn stored_bytes(&self) -> Result<Option<u64>> {
        let ArchiveInput::Stored(kept) = self else {
            return Ok(None);
        };
        let stored = kept.repository.find(kept.name())?;
        Ok(stored.map(|stored| stored.size_bytes))
    }

    /// Returns the record of the archive if this machine proved it. Those of files are among `known`.
    pub fn record(&self, known: Option<&KnownArchives>) -> Option<KnownArchive> {
        match self {
            ArchiveInput::Stdin | ArchiveInput::Copied(_) | ArchiveInput::Folder(_) => None,
            ArchiveInput::File(path) => {
                let folder = Address::Folder(folder_of(path));
                let records = known?.at(&folder, &Options::<()>::of(&folder));
                records.get(self.file_name()?).cloned()
            }
            ArchiveInput::Stored(kept) => kept.repository.records()?.get(kept.name()).cloned(),
        }
    }

    /// Gives single entries, or only the manifest, of a large file to `sink` without reading all of it. Returns `None`
    /// if that is impossible: then the file must be read completely.
    pub fn select(
        &self,
        context: &Context,
        names: &[EntryName],
        what: &'static str,
        sink: &mut dyn Sink,
    ) -> Result<Option<Selected>> {
        match self {
            ArchiveInput::Stdin | ArchiveInput::Copied(_) => Ok(None),
            ArchiveInput::File(path) => {
                let file = open_archive(path)?;
                let metadata = file.metadata()?;
                if !metadata.is_file() || metadata.len() < LARGE_ARCHIVE_BYTES {
                    return Ok(None);
                }
                context.begin(what, None);
                let Some(source) = opened_at(&context.keys, &self.shown(), Arc::new(file))? else {
                    return Ok(None);
                };
                select(
                    &context.watch(&*source),
                    names,
                    &context.scratch_folders(),
                    sink,
                )
            }
            ArchiveInput::Folder(path) => {
                select_in_folder(context, &self.shown(), path, names, what, sink)
            }
            ArchiveInput::Stored(kept) => {
                kept.repository
                    .select(context, what, kept.name(), names, sink)
            }
        }
    }

    /// Reads and verifies the archive; its entries go to `sink`.
    pub fn read(
        &self,
        context: &Context,
        what: &'static str,
        sink: &mut dyn Sink,
    ) -> Result<Verified> {
        let mut sink = Counted::new(sink, &context.events);
        let verified = self.read_through(context, what, &mut sink)?;
        if verified.is_plain() {
            let archive = self.shown();
            context.tell(CatalogEvent::PlainTar { archive });
        }
        Ok(verified)
    }

    fn read_through(
        &self,
        context: &Context,
        what: &'static str,
        sink: &mut dyn Sink,
    ) -> Result<Verified> {
        match self {
            ArchiveInput::Stdin => {
                context.begin(what, None);
                // Unbuffered, so that poll(2) sees all the bytes that wait.
                let inner = File::from(io::stdin().as_fd().try_clone_to_owned()?);
                let mut stdin = context.watch(Patient::new(inner, &context.stop));
                let mut first = Vec::new();
                (&mut stdin)
                    .take(1)
                    .read_to_end(&mut first)
                    .context("cannot read standard input")?;
                if first.is_empty() {
                    return Err(nothing_came().into());
                }
                let stdin = io::Cursor::new(first).chain(stdin);
                let input = opened_stream(&context.keys, "-", stdin, context.scratch_folders())?;
                read("-", input, context.threads, sink).map_err(|error| as_file("-", error))
            }
            ArchiveInput::Copied(file) => {
                let mut file = file.try_clone()?;
                file.rewind()?;
                context.begin(what, Some(file.metadata()?.len()));
                let file = opened_file(&context.keys, "-", context.watch(file))?;
                let input = Input::Seekable(file, context.scratch_folders());
                read("-", input, context.threads, sink)
            }
            ArchiveInput::File(path) => {
                let file = open_archive(path)?;
                let metadata = file.metadata()?;
                context.begin(what, Some(metadata.len()));
                let (keys, shown) = (&context.keys, self.shown());
                let input: Input = if metadata.is_file() {
                    let file = opened_file(keys, &shown, context.watch(file))?;
                    Input::Seekable(file, context.scratch_folders())
                } else {
                    let stream = context.watch(Patient::new(file, &context.stop));
                    opened_stream(keys, &shown, stream, context.scratch_folders())?
                };
                read(&shown, input, context.threads, sink).map_err(|error| as_file(&shown, error))
            }
            ArchiveInput::Folder(path) => {
                let shown = self.shown();
                let top = open_folder(path)?;
                let mut tree = FolderTree::new(context, &top);
                context.begin(what, tree.promised_bytes());
                tree::read(&shown, &mut tree, context.scratch_folders(), sink)
            }
            ArchiveInput::Stored(kept) => kept.repository.read(context, what, kept.name(), sink),
        }
    }
}

/// Returns the failure if an older archive may replace this one: it does not match its manifest, or must be thawed
/// first. An archive of another version, a missing one or an unreadable one is not damaged.
pub fn damage<T>(result: &Result<T>) -> Option<Failure> {
    let failure = Failure::of(result.as_ref().err()?);
    (failure.kind == Kind::Refused || is_cold(&failure)).then_some(failure)
}

/// Returns the failure of an empty standard input.
fn nothing_came() -> Failure {
    let message = "nothing came on standard input (truncated: the file ends at byte 0)";
    Failure::new(Kind::Refused, message).hint(
        "look at the command before the pipe: it failed, or wrote nothing; nothing was changed",
    )
}

fn open_folder(path: &Path) -> Result<Top> {
    Top::open(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Does what [`ArchiveInput::select`] does, for a folder.
fn select_in_folder(
    context: &Context,
    shown: &str,
    path: &Path,
    names: &[EntryName],
    what: &'static str,
    sink: &mut dyn Sink,
) -> Result<Option<Selected>> {
    let top = open_folder(path)?;
    let mut tree = FolderTree::new(context, &top);
    let is_large = |bytes: u64| bytes >= LARGE_ARCHIVE_BYTES;
    if !tree.promised_bytes().is_some_and(is_large) {
        return Ok(None);
    }
    context.begin(what, None);
    tree::select(shown, &mut tree, names, sink)
}
