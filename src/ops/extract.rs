//! `extract`: single entries out of an archive. Out of one that is not large they are given away only when the whole
//! archive is proven; of a large one, when they themselves are.

use std::{
    collections::BTreeMap,
    io::{self, Seek as _, Write},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::{
    Context,
    archive_input::{Location, damage},
    stdout::Stdout,
};
use crate::{
    archive::Sink,
    config::sources::SECRETS,
    disk::{
        NewFolders, folder_of,
        publish::{Draft, Existing},
        space,
    },
    error::{Failure, Kind},
    model::{
        entry_name::EntryName,
        manifest::{FileRecord, Manifest},
        plan::{Privacy, restored_mode},
    },
};

/// Where entries go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// One after the other to standard output.
    Stdout,
    /// Under their names into a folder.
    Folder(PathBuf),
}

/// What was done.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The archive.
    pub archive: String,
    /// The entries.
    pub entries: Vec<Extracted>,
}

/// One entry.
#[derive(Debug, Serialize)]
pub struct Extracted {
    /// Its name.
    pub entry: String,
    /// The file that it became; absent for standard output.
    pub path: Option<String>,
    /// Its size.
    pub size_bytes: u64,
}

/// Takes the entries called `names` out of an archive.
pub fn extract(
    context: &Context,
    location: &Location,
    names: &[EntryName],
    output: &Output,
    existing: Existing,
) -> Result<Report> {
    // The same name twice is asked for once.
    let mut unique: Vec<EntryName> = Vec::new();
    for name in names {
        if !unique.contains(name) {
            unique.push(name.clone());
        }
    }
    location.newest_good(damage, |location| {
        one(context, location, &unique, output, existing)
    })
}

fn one(
    context: &Context,
    location: &Location,
    names: &[EntryName],
    output: &Output,
    existing: Existing,
) -> Result<Report> {
    let folder = match output {
        Output::Stdout => context.scratch.clone(),
        Output::Folder(folder) => folder.clone(),
    };
    let begin = || Selected {
        names,
        folder: folder.clone(),
        output,
        existing,
        drafts: BTreeMap::new(),
        folders: NewFolders::default(),
    };
    let mut sink = begin();
    let (manifest, verified) = match location.select(context, names, "extracting", &mut sink)? {
        Some(selected) => (selected.manifest, None),
        None => {
            sink = begin();
            let verified = location.read(context, "extracting", &mut sink)?;
            (verified.manifest().clone(), Some(verified))
        }
    };
    context.stop.check()?;
    let mut drafts = sink.drafts;
    // What gets a file stays, and what stays empty goes.
    let _folders = sink.folders;
    let mut entries = Vec::new();
    for name in names {
        let (Some(mut draft), Some(record)) = (drafts.remove(name), manifest.files.get(name))
        else {
            continue;
        };
        let path = match output {
            Output::Stdout => {
                draft.file().rewind()?;
                let mut out = Stdout::open(&context.stop)?;
                match io::copy(draft.file(), &mut out).and_then(|_| out.flush()) {
                    // Who closes the pipe has read enough.
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                    result => result.context("cannot write to standard output")?,
                }
                None
            }
            Output::Folder(folder) => {
                let path = folder.join(name.as_str());
                let privacy = match name.as_str() {
                    SECRETS => Privacy::Private,
                    _ => Privacy::Ordinary,
                };
                // What leaves the mode to the tar is always read through.
                let in_tar = verified.as_ref().and_then(|all| all.header(name).mode);
                let mode = restored_mode(record.mode, in_tar, 0o600, privacy);
                draft
                    .file()
                    .set_permissions(std::fs::Permissions::from_mode(mode))?;
                draft
                    .publish(&path, existing)
                    .map_err(|error| refuse_existing(error, &path))?;
                Some(path.display().to_string())
            }
        };
        entries.push(Extracted {
            entry: name.as_str().to_owned(),
            path,
            size_bytes: record.size,
        });
    }
    Ok(Report {
        archive: location.shown(),
        entries,
    })
}

struct Selected<'a> {
    names: &'a [EntryName],
    folder: PathBuf,
    output: &'a Output,
    existing: Existing,
    drafts: BTreeMap<EntryName, Draft>,
    folders: NewFolders,
}

impl Sink for Selected<'_> {
    fn begin(&mut self, manifest: &Manifest) -> Result<()> {
        let mut bytes = 0u64;
        for name in self.names {
            let record = manifest
                .files
                .get(name)
                .ok_or_else(|| no_such_entry(name))?;
            bytes = bytes.saturating_add(record.size);
            let path = self.folder.join(name.as_str());
            if self.existing == Existing::Keep
                && matches!(self.output, Output::Folder(_))
                && crate::disk::exists(&path)
            {
                return Err(refuse_existing(io::ErrorKind::AlreadyExists.into(), &path));
            }
        }
        space::require(&self.folder, bytes, "the entries")
    }

    fn entry(&mut self, name: &EntryName, _: &FileRecord) -> Result<Box<dyn Write + '_>> {
        if !self.names.contains(name) {
            return Ok(Box::new(io::sink()));
        }
        let folder = match self.output {
            Output::Stdout => self.folder.clone(),
            Output::Folder(_) => folder_of(&self.folder.join(name.as_str())),
        };
        self.folders
            .create(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let draft = Draft::create(&folder)
            .with_context(|| format!("cannot write in {}", folder.display()))?;
        let draft = self.drafts.entry(name.clone()).or_insert(draft);
        Ok(Box::new(draft.file()))
    }
}

/// The failure for an entry that an archive does not have.
pub fn no_such_entry(name: &EntryName) -> Failure {
    Failure::new(Kind::NotFound, format!("the archive has no entry {name}"))
        .hint("`hookshot inspect` lists its entries")
}

fn refuse_existing(error: io::Error, path: &std::path::Path) -> anyhow::Error {
    if error.kind() == io::ErrorKind::AlreadyExists {
        let failure = Failure::new(Kind::Usage, format!("{} exists already", path.display()));
        return failure
            .hint("name another folder with -o, or replace it with --overwrite")
            .into();
    }
    anyhow::Error::new(error).context(format!("cannot write {}", path.display()))
}
