//! The destinations of an archive on this machine, checked before any work is done.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{
    lost::{FailedAt, decisive},
    report::{OutputReport, failed_by},
    request::{Encryption, ExportRequest, Overwrite},
};
use crate::{
    archive::head::is_archive,
    catalog::{
        destination::recipients,
        output::{ArchiveOutput, SealedFor, UploadSlot, ending, require_ending},
    },
    config::{Settings, encryption::EncryptionSettings, sources::Source},
    context::Context,
    crypt::{Recipients, header::form_of},
    disk::{
        NewFolders, folder_of, in_real_folder,
        publish::{Draft, Existing},
        transaction::{backup_path, home::Home},
    },
    error::{Failure, Kind},
    model::{
        archive_name::{ArchiveName, MOST_NUMBER, is_archive_file},
        limits::HEAD_BYTES,
        written::{ShownPath, unexpanded},
    },
    work::stdout::Stdout,
};

/// The destinations of the archive, on this machine and elsewhere.
pub struct Outputs {
    pub here: Vec<LocalPlace>,
    pub away: Vec<UploadSlot>,
    /// The destinations that cannot be used; not all of them.
    pub missed: Vec<OutputReport>,
}

impl Outputs {
    /// Finds the destinations of the archive. Wrong usage is an error; another failure is one only if no destination is
    /// left.
    pub fn find(
        context: &Context,
        settings: &Settings,
        request: &ExportRequest,
    ) -> Result<Outputs> {
        let mut known = Vec::new();
        let mut recipients_of = |encryption: &EncryptionSettings| match &request.encryption {
            Encryption::Never => Ok(None),
            Encryption::For(recipients) => Ok(Some(recipients.clone())),
            Encryption::AsConfigured => resolved(context, settings, encryption, &mut known),
        };
        let mut outputs = Outputs {
            here: Vec::new(),
            away: Vec::new(),
            missed: Vec::new(),
        };
        let mut failures = Vec::new();
        for output in &request.outputs {
            let (shown, error) = match output {
                ArchiveOutput::Stdout => {
                    let seal = recipients_of(&settings.schema.encryption)?;
                    let spot = Spot::Stdout;
                    outputs.here.push(LocalPlace { spot, seal });
                    continue;
                }
                ArchiveOutput::Path(path, own) => {
                    let found = recipients_of(match own {
                        SealedFor::Shared => &settings.schema.encryption,
                        SealedFor::By(encryption) => encryption,
                    });
                    let found = found
                        .and_then(|seal| LocalPlace::find(path, seal, settings, request.overwrite));
                    match found {
                        Ok(place) => {
                            outputs.here.push(place);
                            continue;
                        }
                        Err(error) if Failure::of(&error).kind == Kind::Usage => return Err(error),
                        Err(error) => (path.display().to_string(), error),
                    }
                }
                ArchiveOutput::Stored(slot, encryption) => match recipients_of(encryption) {
                    Ok(seal) => {
                        if let Some(name) = &slot.name {
                            require_ending(name, seal.as_ref())?;
                        }
                        let slot = slot.clone();
                        outputs.away.push(UploadSlot { seal, ..slot });
                        continue;
                    }
                    Err(error) => (slot.repository.shown(), error),
                },
                ArchiveOutput::Unusable(shown, failure) => (shown.clone(), failure.clone().into()),
            };
            outputs.missed.push(failed_by(shown, &error));
            failures.push((FailedAt::Opening, error));
        }
        match decisive(failures) {
            Some((_, error)) if outputs.here.is_empty() && outputs.away.is_empty() => Err(error),
            _ => Ok(outputs),
        }
    }
}

/// Returns the recipients that `encryption` names. Each is resolved once in an export: it may take a command.
fn resolved(
    context: &Context,
    settings: &Settings,
    encryption: &EncryptionSettings,
    known: &mut Vec<(EncryptionSettings, Option<Recipients>)>,
) -> Result<Option<Recipients>> {
    if let Some((_, found)) = known.iter().find(|(written, _)| written == encryption) {
        return Ok(found.clone());
    }
    let found = recipients(context, settings, encryption)?;
    known.push((encryption.clone(), found.clone()));
    Ok(found)
}

/// A place on this machine, and for whom the archive there is sealed.
pub struct LocalPlace {
    spot: Spot,
    pub seal: Option<Recipients>,
}

enum Spot {
    Stdout,
    /// A folder, and what was made of it.
    Folder(PathBuf, NewFolders),
    File {
        path: PathBuf,
        existing: Existing,
    },
}

impl LocalPlace {
    /// Looks whether the archive may go there; folders that it names are made.
    pub fn find(
        path: &Path,
        seal: Option<Recipients>,
        settings: &Settings,
        overwrite: Overwrite,
    ) -> Result<LocalPlace> {
        let spot = Spot::find(path, seal.as_ref(), settings, overwrite)?;
        Ok(LocalPlace { spot, seal })
    }

    /// The place for messages.
    pub fn shown(&self) -> String {
        match &self.spot {
            Spot::Stdout => "-".to_owned(),
            Spot::Folder(folder, _) => folder.display().to_string(),
            Spot::File { path, .. } => path.display().to_string(),
        }
    }

    /// The folder in which the archive will be; standard output has none.
    pub fn folder(&self) -> Option<PathBuf> {
        match &self.spot {
            Spot::Stdout => None,
            Spot::Folder(folder, _) => Some(folder.clone()),
            Spot::File { path, .. } => Some(folder_of(path)),
        }
    }

    /// A draft of the archive, on the file system where it will be.
    pub fn draft(&self, context: &Context) -> Result<Draft> {
        let folder = self.folder().unwrap_or_else(|| context.scratch.clone());
        Draft::create(&folder).with_context(|| format!("cannot write in {}", folder.display()))
    }

    /// Gives the archive its name, or passes it on; returns its name.
    pub fn publish(
        self,
        context: &Context,
        mut draft: Draft,
        name: &ArchiveName,
    ) -> Result<ShownPath> {
        context.stop.check()?;
        let shown = self.shown();
        let publishing = || format!("cannot write {shown}");
        let ending = ending(self.seal.as_ref());
        match self.spot {
            Spot::Stdout => {
                let file = draft.file();
                file.rewind()?;
                let mut out = Stdout::open(&context.stop)?;
                context.begin("writing", Some(file.metadata()?.len()));
                io::copy(&mut context.watch(file), &mut out).with_context(publishing)?;
                out.flush().with_context(publishing)?;
                Ok(ShownPath::path(Path::new(&shown)))
            }
            Spot::File { path, existing } => {
                draft.publish(&path, existing).map_err(|error| match error.kind() {
                    io::ErrorKind::AlreadyExists => {
                        let failure = Failure::new(Kind::Blocked, format!("{shown} has appeared meanwhile"));
                        anyhow::Error::new(failure.hint("another export may have made it; name another output, or try again"))
                    }
                    _ => anyhow::Error::new(error).context(publishing()),
                })?;
                Ok(ShownPath::path(&path))
            }
            Spot::Folder(folder, _made) => {
                // Two archives of one second are two archives, even if both are given their names at once.
                let names =
                    (0..=MOST_NUMBER).map(|number| folder.join(name.file_name(number, ending)));
                let path = draft.publish_first(names).with_context(publishing)?;
                Ok(ShownPath::path(&path))
            }
        }
    }
}

impl Spot {
    fn find(
        path: &Path,
        seal: Option<&Recipients>,
        settings: &Settings,
        overwrite: Overwrite,
    ) -> Result<Spot> {
        if let Some(fault) = unexpanded(&path.to_string_lossy(), "there") {
            return Err(Failure::new(Kind::Usage, fault)
                .hint("a shell expands it only where it stands without quotes")
                .into());
        }
        belongs_to_state(path, settings)?;
        let wants_folder = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        if path.is_dir() {
            return Ok(Spot::Folder(path.to_owned(), NewFolders::default()));
        }
        if wants_folder {
            let mut folders = NewFolders::default();
            folders
                .create(path)
                .with_context(|| format!("cannot create {}", path.display()))?;
            return Ok(Spot::Folder(path.to_owned(), folders));
        }
        let folder = folder_of(path);
        if !folder.is_dir() {
            let failure = Failure::new(
                Kind::NotFound,
                format!("the archive's folder {} does not exist", folder.display()),
            );
            return Err(failure
                .hint(format!("create it first: mkdir -p {}", folder.display()))
                .into());
        }
        require_ending(&path.to_string_lossy(), seal)?;
        let existing = match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Existing::Keep,
            Err(error) => {
                return Err(error).with_context(|| format!("cannot look at {}", path.display()));
            }
            Ok(metadata) => {
                may_replace(path, &metadata, settings, overwrite)?;
                Existing::Replace
            }
        };
        Ok(Spot::File {
            path: path.to_owned(),
            existing,
        })
    }
}

/// Refuses the places of the state itself, empty or not: targets, their backups, and what hookshot keeps for itself.
fn belongs_to_state(path: &Path, settings: &Settings) -> Result<()> {
    let place = in_real_folder(&std::path::absolute(path)?);
    let is_target = |path: &Path| {
        let target = in_real_folder(path);
        place == target || place == backup_path(&target)
    };
    let is_directory = |source: &&Source| source.is_directory();
    let mut directories = settings.sources.iter().filter(is_directory);
    let is_in = |source: &Source| {
        let folder = source.path().map(in_real_folder);
        folder.is_some_and(|folder| place.starts_with(folder))
    };
    let home = Home::beside(&settings.config);
    if settings
        .sources
        .iter()
        .filter_map(Source::path)
        .any(is_target)
        || directories.any(is_in)
        || place.starts_with(home.folder())
        || place
            .components()
            .any(|part| part.as_os_str() == ".hookshot")
    {
        let failure = Failure::new(
            Kind::Usage,
            format!("{} is a place of this machine's state", path.display()),
        );
        return Err(failure.hint("name another output").into());
    }
    Ok(())
}

/// Refuses to replace a file that is not an archive, or that belongs to the state itself.
fn may_replace(
    path: &Path,
    metadata: &std::fs::Metadata,
    settings: &Settings,
    overwrite: Overwrite,
) -> Result<()> {
    let refuse =
        |message: String, hint: &str| Err(Failure::new(Kind::Usage, message).hint(hint).into());
    if !metadata.is_file() {
        return refuse(
            format!("{} is not a regular file", path.display()),
            "name a file or a folder; `-` is standard output",
        );
    }
    let is_this = |source: &&Source| {
        let source = source.path().and_then(|path| path.metadata().ok());
        source
            .is_some_and(|source| (source.dev(), source.ino()) == (metadata.dev(), metadata.ino()))
    };
    if let Some(source) = settings.sources.iter().find(is_this) {
        return refuse(
            format!("{} is this machine's {}", path.display(), source.name),
            "name another output",
        );
    }
    if overwrite == Overwrite::AnyFile {
        return Ok(());
    }
    let mut head = Vec::new();
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    file.take(HEAD_BYTES as u64)
        .read_to_end(&mut head)
        .with_context(|| format!("cannot read {}", path.display()))?;
    // What a sealed file holds is not seen: its name has to say that it is an archive.
    let is_sealed =
        form_of(&head).is_some() && is_archive_file(path.as_os_str().as_encoded_bytes());
    if !is_archive(&head) && !is_sealed {
        return refuse(
            format!("{} exists and is not a hookshot archive", path.display()),
            "name another output, or replace it with --overwrite",
        );
    }
    Ok(())
}
