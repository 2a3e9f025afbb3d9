//! `extract`: single entries and whole directories out of an archive. They are given away only when the whole archive
//! is proven; single entries of a large one, when they themselves are.

mod directory;
mod report;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, IsTerminal as _, Read, Seek as _, Write},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
};

use anyhow::{Context as _, Result};

pub use self::report::{ExtractOutput, ExtractReport, Extracted};
use super::{
    entries::no_such_entry,
    patterns::{EntryPatterns, Parts},
};
use crate::{
    archive::{Sink, contents::DirectoryContents, listing::Listing},
    catalog::input::{ArchiveInput, damage},
    config::sources::SECRETS,
    context::Context,
    disk::{
        NewFolders, folder_of, in_real_folder,
        publish::{ClosedDraft, Draft, Existing},
        staging::{self, EXTRACT, Staging},
        tree::{Privilege, unpack::Unpacking},
    },
    error::{Failure, Kind},
    model::{
        entry_name::EntryName,
        manifest::{FileRecord, Manifest},
        plan::{Privacy, restored_mode},
        tree::Modified,
        written::ShownPath,
    },
    store::address::require_path,
    work::{space, stdout::Stdout},
};

/// The most drafts that are open at a time; those of further entries are closed until the archive is proven.
const MOST_OPEN: usize = 100;

/// Takes the entries and directories that `wanted` names or describes out of an archive; all of them without a word.
pub fn extract(
    context: &Context,
    location: &ArchiveInput,
    wanted: &EntryPatterns,
    output: &ExtractOutput,
    existing: Existing,
) -> Result<ExtractReport> {
    if let ExtractOutput::Folder(folder) = output {
        require_path(folder)?;
    }
    if let Some(names) = wanted.plain().filter(|names| !names.is_empty()) {
        return location.first_good(context, damage, |location| {
            extract_from(context, location, names, output, existing)
        });
    }
    // Patterns need the manifest first, and the archive once more.
    location
        .repeatable(context)?
        .first_good(context, damage, |location| {
            let names = wanted.resolve(context, location, Parts::Files)?;
            extract_from(context, location, &names, output, existing)
        })
}

fn extract_from(
    context: &Context,
    location: &ArchiveInput,
    names: &[EntryName],
    output: &ExtractOutput,
    existing: Existing,
) -> Result<ExtractReport> {
    let folder = match output {
        ExtractOutput::Stdout => context.scratch.clone(),
        ExtractOutput::Folder(folder) => folder.clone(),
    };
    let begin = || Selected {
        names,
        wanted: names.iter().collect(),
        folder: folder.clone(),
        output,
        existing,
        bytes: 0,
        listed: BTreeSet::new(),
        drafts: BTreeMap::new(),
        closed: BTreeMap::new(),
        unpacking: Unpacking::new(Privilege::Ours, context.threads),
        staging: None,
        folders: NewFolders::default(),
    };
    let mut sink = begin();
    let selected = location.select(context, names, "extracting", &mut sink)?;
    let (manifest, verified) = match &selected {
        Some(selected) => (selected.manifest.clone(), None),
        None => {
            sink = begin();
            let verified = location.read(context, "extracting", &mut sink)?;
            (verified.manifest().clone(), Some(verified))
        }
    };
    context.stop.check()?;
    // Folders that receive a file stay; empty ones go, after the drafts in them.
    let _folders = sink.folders;
    let (mut drafts, mut closed) = (sink.drafts, sink.closed);
    let (directories, staging) = (sink.unpacking.finish()?, sink.staging);
    let mut entries = Vec::new();
    let mut remarks = context.remarks();
    for name in names {
        if let (Some(staging), Some(refused)) = (&staging, directories.get(name)) {
            let contents = match &verified {
                Some(verified) => verified.directory(name),
                None => selected
                    .as_ref()
                    .and_then(|selected| selected.directory(name)),
            };
            entries.push(directory::extract(
                context,
                &contents.context("a directory that the archive does not have")?,
                staging,
                refused,
                &folder,
                &mut remarks,
            )?);
            continue;
        }
        let open = |(draft, record): (ClosedDraft, FileRecord)| {
            let draft = draft.open();
            draft.map(|draft| (draft, record))
        };
        let draft = match drafts.remove(name) {
            Some(draft) => Some(draft),
            None => closed.remove(name).map(open).transpose()?,
        };
        let Some((mut draft, record)) = draft else {
            continue;
        };
        let path = match output {
            ExtractOutput::Stdout => {
                draft.file().rewind()?;
                if io::stdout().is_terminal() && is_binary(draft.file())? {
                    let message = format!("{name} is not text: it is nothing for a terminal");
                    return Err(Failure::new(Kind::Usage, message)
                        .hint("send it on with a pipe or a redirection, or extract it to a folder")
                        .into());
                }
                draft.file().rewind()?;
                let mut out = Stdout::open(&context.stop)?;
                // A reader that ends early does not have the entry.
                io::copy(draft.file(), &mut out)
                    .and_then(|_| out.flush())
                    .context("cannot write to standard output")?;
                None
            }
            ExtractOutput::Folder(folder) => {
                let path = folder.join(name.as_str());
                let is_secret = record.secret || manifest.is_secret(name);
                let privacy = match is_secret || name.as_str() == SECRETS {
                    true => Privacy::Private,
                    false => Privacy::Ordinary,
                };
                // An archive whose manifest leaves the mode to the tar is always read completely.
                let in_tar = verified.as_ref().and_then(|all| all.header(name).mode);
                let mode = restored_mode(record.mode, in_tar, 0o600, privacy);
                draft
                    .file()
                    .set_permissions(std::fs::Permissions::from_mode(mode))
                    .with_context(|| format!("cannot set the mode of {}", path.display()))?;
                if let Some(time) = record.modified().and_then(Modified::time) {
                    let setting = || format!("cannot set the time of {}", path.display());
                    draft.file().set_modified(time).with_context(setting)?;
                }
                draft
                    .publish(&path, existing)
                    .map_err(|error| refuse_existing(error, &path))?;
                Some(ShownPath::path(&path))
            }
        };
        entries.push(Extracted {
            entry: name.as_str().to_owned(),
            path_escaped: path.as_ref().and_then(|path| path.escaped.clone()),
            path: path.map(|path| path.text),
            size_bytes: record.size,
        });
    }
    Ok(ExtractReport {
        archive: location.shown(),
        archive_escaped: location.escaped(),
        entries,
        remarks,
    })
}

struct Selected<'a> {
    names: &'a [EntryName],
    /// The same, to be found fast: an archive may have millions of entries.
    wanted: BTreeSet<&'a EntryName>,
    folder: PathBuf,
    output: &'a ExtractOutput,
    existing: Existing,
    /// The bytes of the requested files, as far as they are known.
    bytes: u64,
    /// The requested files that a listing has to name.
    listed: BTreeSet<EntryName>,
    drafts: BTreeMap<EntryName, (Draft, FileRecord)>,
    closed: BTreeMap<EntryName, (ClosedDraft, FileRecord)>,
    /// Those of the names that are directories. It goes before the folder in which threads make files.
    unpacking: Unpacking,
    /// The place of the files of directories, and of closed drafts, until all are there.
    staging: Option<Staging>,
    folders: NewFolders,
}

impl Selected<'_> {
    /// Returns the folder for directories and for drafts that are closed; makes it when there is something for it.
    fn stage(&mut self) -> Result<&Staging> {
        if self.staging.is_none() {
            let folder = &self.folder;
            self.folders
                .create(folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
            staging::sweep(folder);
            self.staging = Some(Staging::scratch(folder, EXTRACT)?);
        }
        self.staging.as_ref().context("no staging folder")
    }

    /// Notes that `name` is a directory; one that is there already is never replaced.
    fn add_directory(&mut self, name: &EntryName) -> Result<()> {
        if matches!(self.output, ExtractOutput::Stdout) {
            let message = format!("{name} is a directory, which standard output cannot take");
            return Err(Failure::new(Kind::Usage, message)
                .hint("name a folder with -o")
                .into());
        }
        let path = self.folder.join(name.as_str());
        if crate::disk::exists(&path) {
            return Err(directory::taken(&path).into());
        }
        let target = in_real_folder(&path);
        self.unpacking.add(name.clone(), target);
        self.stage().map(drop)
    }

    /// Notes that `name` is a file; one that is there already is not replaced unless the caller says so.
    fn add_file(&self, name: &EntryName) -> Result<()> {
        let path = self.folder.join(name.as_str());
        if self.existing == Existing::Keep
            && matches!(self.output, ExtractOutput::Folder(_))
            && crate::disk::exists(&path)
        {
            return Err(refuse_existing(io::ErrorKind::AlreadyExists.into(), &path));
        }
        Ok(())
    }
}

impl Sink for Selected<'_> {
    fn begin(&mut self, manifest: &Manifest) -> Result<()> {
        for name in self.names {
            let listed = manifest.directories.get(name).map(|listed| listed.bytes);
            let unlisted = || Some(DirectoryContents::in_manifest(manifest, name)?.bytes());
            if let Some(bytes) = listed.or_else(unlisted) {
                self.bytes = self.bytes.saturating_add(bytes);
                self.add_directory(name)?;
                continue;
            }
            let first = name.as_str().split_once('/').map(|(first, _)| first);
            match manifest.files.get(name) {
                Some(record) => self.bytes = self.bytes.saturating_add(record.size),
                None if first.is_some_and(|first| manifest.directories.contains_key(first)) => {
                    self.listed.insert(name.clone());
                    continue;
                }
                None => {
                    return Err(no_such_part(
                        name,
                        first.filter(|first| manifest.trees.contains_key(*first)),
                    )
                    .into());
                }
            }
            self.add_file(name)?;
        }
        space::require(&self.folder, self.bytes, "the entries")
    }

    fn listing(&mut self, directory: &EntryName, listing: &Listing) -> Result<()> {
        let is_in = |name: &&EntryName| {
            let rest = name.as_str().strip_prefix(directory.as_str());
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        let wanted: Vec<EntryName> = self.listed.iter().filter(is_in).cloned().collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let mut left: BTreeSet<&EntryName> = wanted.iter().collect();
        for line in listing.lines() {
            if let Some(record) = line?.file()
                && left.remove(&record.path)
            {
                self.bytes = self.bytes.saturating_add(record.size);
            }
            if left.is_empty() {
                break;
            }
        }
        let absent = self.names.iter().find(|name| left.contains(name));
        if let Some(name) = absent {
            return Err(no_such_part(name, Some(directory.as_str())).into());
        }
        for name in &wanted {
            self.add_file(name)?;
        }
        space::require(&self.folder, self.bytes, "the entries")
    }

    fn end(&mut self, name: &EntryName, record: &FileRecord) -> Result<()> {
        if self.drafts.len() > MOST_OPEN
            && let Some((draft, record)) = self.drafts.remove(name)
        {
            let closed = draft.close(self.stage()?.path());
            let closed = closed.with_context(|| format!("cannot keep a draft of {name}"))?;
            self.closed.insert(name.clone(), (closed, record));
        }
        self.unpacking.end(name, record)
    }

    fn entry(&mut self, name: &EntryName, record: &FileRecord) -> Result<Box<dyn Write + '_>> {
        if let Some(staging) = &self.staging
            && let Some(writer) = self.unpacking.begin(staging, name, record)?
        {
            return Ok(writer);
        }
        if !self.wanted.contains(name) {
            return Ok(Box::new(io::sink()));
        }
        let folder = match self.output {
            ExtractOutput::Stdout => self.folder.clone(),
            ExtractOutput::Folder(_) => folder_of(&self.folder.join(name.as_str())),
        };
        self.folders
            .create(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let draft = Draft::create(&folder)
            .with_context(|| format!("cannot write in {}", folder.display()))?;
        let draft = (draft, record.clone());
        let (draft, _) = self.drafts.entry(name.clone()).or_insert(draft);
        Ok(Box::new(draft.file()))
    }
}

/// Returns the failure for a name that the archive does not have. It may be that of a folder or a link in a directory,
/// which comes with all of it.
fn no_such_part(name: &EntryName, directory: Option<&str>) -> Failure {
    let failure = no_such_entry(name);
    match directory {
        Some(directory) => failure.hint(format!(
            "folders and links come with the whole directory: hookshot extract ARCHIVE {directory}"
        )),
        None => failure,
    }
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

/// Returns true if the first 8192 bytes contain a zero byte, which a text does not have.
fn is_binary(file: impl Read) -> io::Result<bool> {
    let mut beginning = Vec::new();
    file.take(8192).read_to_end(&mut beginning)?;
    Ok(beginning.contains(&0))
}
