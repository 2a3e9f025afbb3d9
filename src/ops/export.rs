//! `export`: the whole state into one archive, read back and proven before it has its name.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter, Read, Seek as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::Value;
use tracing::{info, warn};

use super::{Context, contents, entries::Role, recovery::Entered};
use crate::{
    archive::{
        Input,
        head::is_archive,
        reader::{Discard, read},
        reuse::Earlier,
        writer::{self, Level},
    },
    config::Settings,
    disk::{
        NewFolders, folder_of,
        journal::Home,
        open_regular,
        publish::{Draft, Existing},
        survey,
        transaction::backup_path,
    },
    error::{Failure, Kind},
    model::{
        archive_name::{ArchiveName, SUFFIX},
        digest::{Digest, HashingReader},
        limits::{BUFFER_BYTES, HEAD_BYTES},
        manifest::Manifest,
        method::Method,
        version::FormatVersion,
    },
    source::{
        files::{self, Content, Staged},
        redb::snapshot::{self, Caller, Compaction, Wish},
    },
};

/// What is asked for.
pub struct Request {
    /// Where the archive goes.
    pub output: Output,
    /// What may happen to a file that is there already.
    pub overwrite: Overwrite,
    /// Which secrets go along.
    pub secrets: Secrets,
    /// Further labels.
    pub tags: BTreeMap<String, String>,
    /// Which earlier archive may save compressing again what has not changed.
    pub since: Since,
    /// How hard to compress; `None` as configured.
    pub level: Option<Level>,
    /// How the database is copied; `None` as configured.
    pub snapshot: Option<Method>,
    /// How long its copy beside a writing service may take.
    pub snapshot_timeout: Duration,
}

/// Where an archive goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// A file, or a folder in which it gets its default name.
    Path(PathBuf),
}

/// What may happen to a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// Only an archive is replaced.
    Archives,
    /// Any regular file is replaced.
    AnyFile,
}

/// Which earlier archive may save compressing again what has not changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// The newest one in the folder that the new one goes to.
    Newest,
    /// This one.
    Archive(PathBuf),
    /// None.
    Nothing,
}

/// Which secrets go along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// The secrets file, if there is one.
    Included,
    /// None.
    Excluded,
}

/// What was done.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The archive, `-` for standard output.
    pub archive: String,
    /// How many entries it has.
    pub files: usize,
    /// Its size.
    pub size_bytes: u64,
    /// SHA-256 of the whole file.
    pub sha256: String,
    /// Its root folder.
    pub root: String,
    /// Bytes of content that were not compressed again, because an earlier archive had them.
    pub reused_bytes: u64,
    /// How the database was copied.
    pub snapshot: Value,
    /// That it was read back and found good. Never false: an archive that is not good is an error.
    pub verified: bool,
    /// How long it took.
    pub duration_seconds: f64,
}

/// Exports the state that `settings` describe. `begun` is when the run began, for the report.
pub fn export(
    context: &Context,
    entered: &Entered,
    request: &Request,
    begun: Instant,
) -> Result<Report> {
    info!("Starting state export");
    let settings = &entered.settings;
    if !settings.config_exists {
        return Err(no_config(&settings.config).into());
    }
    let name = ArchiveName::new(&settings.schema.prefix, context.now)
        .map_err(|fault| Failure::new(Kind::Usage, fault))?;
    let place = Place::find(&request.output, settings, request.overwrite)?;
    let level = request.level.unwrap_or(settings.schema.level);
    let earlier = place.earlier(context, &request.since, level, &settings.schema.prefix)?;
    let staged = stage(context, settings, request)?;
    let manifest = describe(context, settings, request, &name, level, &staged);
    let snapshot = manifest
        .files
        .values()
        .find_map(|file| file.snapshot.clone())
        .unwrap_or(Value::Null);

    let mut draft = place.draft(context)?;
    context.begin("compressing", Some(manifest.total_bytes()));
    let out = BufWriter::with_capacity(BUFFER_BYTES, draft.file());
    let earlier = earlier.as_ref();
    let written = writer::write(out, &manifest, level, context.threads, earlier, |entry| {
        let source = staged
            .iter()
            .find(|staged| staged.name == *entry)
            .context("an entry without a source")?;
        Ok(context.watch(source.content.open()?))
    })
    .with_context(|| format!("cannot write {}", place.shown()))?;
    let reused_bytes = written.reused_bytes;
    drop((written, staged));

    let (digest, size_bytes) = prove(context, &place.shown(), draft.file(), &manifest)?;
    let archive = place.publish(context, draft, &name)?;
    info!(output = %archive, files = manifest.files.len(), size_bytes, "Backup created successfully");
    Ok(Report {
        archive,
        files: manifest.files.len(),
        size_bytes,
        sha256: digest.to_string(),
        root: name.to_string(),
        reused_bytes,
        snapshot,
        verified: true,
        duration_seconds: begun.elapsed().as_secs_f64(),
    })
}

fn no_config(path: &Path) -> Failure {
    Failure::new(
        Kind::NotFound,
        format!("config.toml is missing: there is no {}", path.display()),
    )
    .hint("name it with --config, or make a first one with `hookshot init`")
}

/// Copies the database and reads the files: everything that the archive will hold, with its digest.
fn stage(context: &Context, settings: &Settings, request: &Request) -> Result<Vec<Staged>> {
    let database = settings.database();
    context.begin(
        "copying the database",
        database.metadata().ok().map(|metadata| metadata.len()),
    );
    let caller = Caller {
        step: &context.step(),
        scratch: &context.scratch,
        program: &context.program,
    };
    let wish = Wish {
        method: request.snapshot.unwrap_or(settings.schema.snapshot),
        timeout: request.snapshot_timeout,
        compaction: if settings.schema.compact {
            Compaction::Compact
        } else {
            Compaction::Keep
        },
    };
    let snapshot = snapshot::take(&database, &Role::Database.name(), wish, &caller)?;
    info!("Added database to backup");
    match &snapshot.active {
        Ok(active) if active.is_empty() => {}
        Ok(active) => {
            warn!(deployments = %active.describe().join("; "), "The archive holds deployments that are at work")
        }
        Err(reason) => info!(%reason, "The database does not tell whether deployments are at work"),
    }
    let mut staged = vec![snapshot.staged];
    for (role, message) in [
        (Role::Config, "Added system config to backup"),
        (Role::Services, "Added services config to backup"),
    ] {
        context.stop.check()?;
        let path = role.path(settings);
        let file = files::stage(&path, role.name())?;
        if let Content::Bytes(bytes) = &file.content {
            contents::require(role, bytes, &path)?;
        } else {
            let message = format!(
                "{} is larger than 1 MiB, which no configuration is",
                path.display()
            );
            return Err(Failure::new(Kind::Usage, message)
                .hint("is this the right file?")
                .into());
        }
        staged.push(file);
        info!("{message}");
    }
    match request.secrets {
        Secrets::Excluded => info!("Left the secrets file out, as asked"),
        Secrets::Included if settings.secrets.symlink_metadata().is_ok() => {
            staged.push(files::stage(&settings.secrets, Role::Secrets.name())?);
            info!("Added secrets file to backup");
        }
        Secrets::Included => {
            warn!(looked_at = %settings.secrets.display(), "No secrets file found, the archive has none (--secrets FILE, HOOKSHOT_SECRETS or [secrets] file name it)");
        }
    }
    Ok(staged)
}

fn describe(
    context: &Context,
    settings: &Settings,
    request: &Request,
    name: &ArchiveName,
    level: Level,
    staged: &[Staged],
) -> Manifest {
    let mut tags = settings.schema.tags.clone();
    tags.extend(request.tags.clone());
    Manifest {
        version: FormatVersion::CURRENT,
        created_at: context.now.timestamp(),
        hookshot_version: context.version.clone(),
        files: staged
            .iter()
            .map(|staged| (staged.name.clone(), staged.record.clone()))
            .collect(),
        root: Some(name.to_string()),
        hostname: context.hostname.clone(),
        app: Some(settings.schema.app.clone()),
        app_version: settings.schema.app_version.clone(),
        compression: Some(level.name()),
        tags,
    }
}

/// Reads the archive back, as any reader would, and compares it with what was meant.
fn prove(
    context: &Context,
    shown: &str,
    file: &mut File,
    manifest: &Manifest,
) -> Result<(Digest, u64)> {
    file.rewind()?;
    context.begin("reading back", Some(file.metadata()?.len()));
    let hashing = std::rc::Rc::new(std::cell::RefCell::new(HashingReader::new(
        context.watch(file.try_clone()?),
    )));
    let verified = read(
        shown,
        Input::Stream(Box::new(Shared(hashing.clone())), context.scratch.clone()),
        context.threads,
        &mut Discard,
    )
    .map_err(|error| unlike(&error))?;
    if verified.manifest() != manifest {
        return Err(Failure::new(
            Kind::Failed,
            "the archive that was just written has another manifest when it is read back",
        )
        .into());
    }
    let hashing = std::rc::Rc::into_inner(hashing).context("the archive is still being read")?;
    Ok(hashing.into_inner().finish())
}

/// The failure where the archive does not hold what was read at first.
fn unlike(error: &anyhow::Error) -> Failure {
    let found = Failure::of(error);
    if found.kind != Kind::Refused {
        return found;
    }
    let message = "the archive that was just written does not hold what its manifest says: a file changed while it was exported, or this machine's memory or disk fails";
    Failure::new(Kind::Failed, message)
        .hint("export again when nobody is editing the files; nothing was written")
        .faults(found.faults)
}

struct Shared<R>(std::rc::Rc<std::cell::RefCell<R>>);

impl<R: Read> Read for Shared<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(buffer)
    }
}

/// Where exactly the archive goes, found fit before any work is done.
enum Place {
    Stdout,
    /// A folder, and what was made of it.
    Folder(PathBuf, NewFolders),
    File {
        path: PathBuf,
        existing: Existing,
    },
}

impl Place {
    fn find(output: &Output, settings: &Settings, overwrite: Overwrite) -> Result<Place> {
        let Output::Path(path) = output else {
            return Ok(Place::Stdout);
        };
        belongs_to_state(path, settings)?;
        let wants_folder = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        if path.is_dir() {
            return Ok(Place::Folder(path.clone(), NewFolders::default()));
        }
        if wants_folder {
            let mut folders = NewFolders::default();
            folders
                .create(path)
                .with_context(|| format!("cannot create {}", path.display()))?;
            return Ok(Place::Folder(path.clone(), folders));
        }
        let folder = folder_of(path);
        if !folder.is_dir() {
            let failure = Failure::new(
                Kind::NotFound,
                format!("there is no folder {} for the archive", folder.display()),
            );
            return Err(failure
                .hint(format!("create it first: mkdir -p {}", folder.display()))
                .into());
        }
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
        Ok(Place::File {
            path: path.clone(),
            existing,
        })
    }

    /// The earlier archive whose members may be taken over, where there is one.
    fn earlier(
        &self,
        context: &Context,
        since: &Since,
        level: Level,
        prefix: &str,
    ) -> Result<Option<Earlier>> {
        let open = |path: &Path| -> Result<Option<Earlier>> {
            let file = open_regular(path).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => {
                    let message = format!("there is no archive {}", path.display());
                    let failure = Failure::new(Kind::NotFound, message);
                    anyhow::Error::new(failure.hint("leave out --since, or name an archive"))
                }
                _ => anyhow::Error::new(error).context(format!("cannot read {}", path.display())),
            })?;
            Ok(Earlier::open(file, &context.version, &level.name()))
        };
        let folder = match (since, self) {
            (Since::Archive(path), _) => {
                let earlier = open(path)?;
                if earlier.is_none() {
                    warn!(archive = %path.display(), "Nothing can be taken over from this file: it is no archive of this hookshot at this level");
                }
                return Ok(earlier);
            }
            (Since::Nothing, _) | (Since::Newest, Place::Stdout) => return Ok(None),
            (Since::Newest, Place::Folder(folder, _)) => folder.clone(),
            (Since::Newest, Place::File { path, .. }) => folder_of(path),
        };
        let newest = newest_in(&folder, prefix);
        Ok(newest.and_then(|path| open(&path).ok().flatten()))
    }

    fn shown(&self) -> String {
        match self {
            Place::Stdout => "-".to_owned(),
            Place::Folder(folder, _) => folder.display().to_string(),
            Place::File { path, .. } => path.display().to_string(),
        }
    }

    fn draft(&self, context: &Context) -> Result<Draft> {
        let folder = match self {
            Place::Stdout => context.scratch.clone(),
            Place::Folder(folder, _) => folder.clone(),
            Place::File { path, .. } => folder_of(path),
        };
        Draft::create(&folder).with_context(|| format!("cannot write in {}", folder.display()))
    }

    /// Gives the archive its name, or passes it on; returns what it is called.
    fn publish(self, context: &Context, mut draft: Draft, name: &ArchiveName) -> Result<String> {
        context.stop.check()?;
        let shown = self.shown();
        let publishing = || format!("cannot write {shown}");
        match self {
            Place::Stdout => {
                let file = draft.file();
                file.rewind()?;
                let mut out = io::stdout().lock();
                io::copy(&mut context.watch(file), &mut out).with_context(publishing)?;
                out.flush().with_context(publishing)?;
                Ok(shown)
            }
            Place::File { path, existing } => {
                draft.publish(&path, existing).map_err(|error| match error.kind() {
                    io::ErrorKind::AlreadyExists => {
                        let failure = Failure::new(Kind::Usage, format!("{shown} has appeared meanwhile"));
                        anyhow::Error::new(failure.hint("another export may have made it; name another output, or try again"))
                    }
                    _ => anyhow::Error::new(error).context(publishing()),
                })?;
                Ok(shown)
            }
            Place::Folder(folder, _made) => {
                // Two archives of one second are two archives.
                let free = (0..1000)
                    .map(|number| folder.join(name.file_name(number)))
                    .find(|path| !crate::disk::exists(path));
                let path = free.with_context(publishing)?;
                draft
                    .publish(&path, Existing::Keep)
                    .with_context(publishing)?;
                Ok(path.display().to_string())
            }
        }
    }
}

/// The archive with the latest time in its name, among those in a folder that have this prefix and are ours or root's:
/// who else may write there does not choose what we take over.
fn newest_in(folder: &Path, prefix: &str) -> Option<PathBuf> {
    let names = folder.read_dir().ok()?.flatten();
    let archives = names.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let is_named = name.ends_with(SUFFIX) && ArchiveName::parse(&name)?.prefix() == prefix;
        let metadata = is_named.then(|| entry.metadata().ok())??;
        let is_ours = metadata.uid() == 0 || metadata.uid() == nix::unistd::geteuid().as_raw();
        (metadata.is_file() && is_ours).then_some(name)
    });
    archives.max().map(|name| folder.join(name))
}

/// Refuses the places of the state itself, empty or not: targets, their backups, and what hookshot keeps for itself.
fn belongs_to_state(path: &Path, settings: &Settings) -> Result<()> {
    let place = survey::in_real_folder(&std::path::absolute(path)?);
    let is_target = |role: &Role| {
        let target = survey::in_real_folder(&role.path(settings));
        place == target || place == backup_path(&target)
    };
    let home = Home::beside(&settings.config);
    if Role::ALL.iter().any(is_target)
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

/// Refuses to replace what is no archive, and whatever belongs to the state itself.
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
    let is_source = |role: &Role| {
        let source = role.path(settings).metadata();
        source.is_ok_and(|source| (source.dev(), source.ino()) == (metadata.dev(), metadata.ino()))
    };
    if let Some(role) = Role::ALL.iter().find(|role| is_source(role)) {
        return refuse(
            format!("{} is this machine's {}", path.display(), role.name()),
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
    if !is_archive(&head) {
        return refuse(
            format!("{} exists and is no hookshot archive", path.display()),
            "name another output, or replace it with --overwrite",
        );
    }
    Ok(())
}
