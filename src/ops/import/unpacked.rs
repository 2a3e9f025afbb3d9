//! An archive in staging: unpacked, proven, and looked at before anything moves.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{
    ImportRequest, KeepStaging,
    archived_config::{Archived, ArchivedConfig, Beside},
    selection::Selection,
};
use crate::work::events::RestoreEvent;
use crate::{
    archive::{Sink, Verified},
    config::{
        Settings,
        schema::Schema,
        sources::{CONFIG, Source},
    },
    context::Context,
    disk::{
        folder_of,
        mounts::{anchor, is_mount_point},
        space,
        staging::Staging,
        survey,
        transaction::{backup_path, journal::Journal},
        tree::unpack::Unpacking,
    },
    error::{Failure, Kind},
    machine::{
        app_version,
        apply::Rehearsal,
        contents,
        obstacle::{Obstacle, ObstacleKind},
    },
    model::{
        engine::Engine,
        entry_name::EntryName,
        limits::MAX_CONFIG_BYTES,
        manifest::{FileRecord, Manifest},
        version::{Compatibility, compatibility, incompatible},
    },
    source::{database::DatabaseVerdict, engines},
    work::{remark::RemarkKind, remarks::Remarks},
};

/// The files that entries replace on this machine, links resolved.
pub struct Targets {
    /// By the entry's name.
    pub paths: BTreeMap<EntryName, PathBuf>,
}

impl Targets {
    /// Finds them, and refuses places that would get in each other's way.
    pub fn find(settings: &Settings, selection: &Selection) -> Result<Targets> {
        let mut paths = BTreeMap::new();
        for source in &settings.sources {
            if let Some(path) = source.path().filter(|_| selection.has(&source.name)) {
                let resolved = match source.is_directory() {
                    true => survey::resolve_folder(path)?,
                    false => survey::resolve(path)?,
                };
                paths.insert(source.name.clone(), resolved);
            }
        }
        for (name, path) in &paths {
            let clash = paths.iter().find(|(other, place)| {
                *other != name && (*place == path || **place == backup_path(path))
            });
            if let Some((other, _)) = clash {
                let failure = Failure::new(
                    Kind::Usage,
                    format!(
                        "{name} and {other} cannot both be kept at {}",
                        path.display()
                    ),
                );
                return Err(failure
                    .hint(
                        "give each entry a place of its own: --config, --services, --secrets and \
                    --data-dir, or [[backup.sources]]",
                    )
                    .into());
            }
        }
        Ok(Targets { paths })
    }
}

/// An archive that was proven and lies in staging.
pub struct Unpacked<'a> {
    /// The archive.
    pub verified: Verified,
    /// The settings that name the state of this machine.
    settings: &'a Settings,
    /// The place of the unpacked archive.
    pub staging: Staging,
    /// So many bytes were unpacked, or were to be.
    pub bytes: u64,
    /// The requested entries, in the order of their names.
    pub selected: Vec<EntryName>,
    /// The requested directories.
    pub trees: Vec<EntryName>,
    /// The directories whose files have their attributes already, and what the file system refused of each.
    pub finished: BTreeMap<EntryName, Vec<String>>,
    /// The archive's configuration, if it does not replace this machine's.
    pub beside: Option<Beside>,
    /// Links and attributes that are not restored; known when targets are planned, or when directories are built.
    pub unrestored: RefCell<Remarks>,
    broken: Vec<Obstacle>,
    remarks: Remarks,
}

impl<'a> Unpacked<'a> {
    /// Unpacks and proves the archive that `request` names, in the first of `places` that can be made and has room.
    pub fn new(
        context: &Context,
        settings: &'a Settings,
        request: &ImportRequest,
        places: &[PathBuf],
        targets: &Targets,
    ) -> Result<Unpacked<'a>> {
        let mut sink = Unpack {
            settings,
            places,
            staging: None,
            bytes: 0,
            home: &settings.home(),
            selection: &request.selection,
            targets,
            unpacking: Unpacking::new(context.privilege()),
        };
        if (request.rehearsal, request.staging) == (Rehearsal::Real, KeepStaging::No) {
            sink.finish_directories();
        }
        let verified = request.archive.read(context, "unpacking", &mut sink)?;
        let bytes = sink.bytes;
        let staging = sink.staging.context("the archive has no manifest")?;
        let finished = sink.unpacking.finish();
        let manifest = verified.manifest();
        context.tell(RestoreEvent::Unpacked {
            version: manifest.hookshot_version.clone(),
            created_at: manifest.created_at,
            files: manifest.files.len(),
        });
        let selected: Vec<EntryName> = manifest
            .files
            .keys()
            .filter(|name| request.selection.has(name))
            .cloned()
            .collect();
        let trees = manifest.trees.keys();
        let trees = trees.filter(|name| request.selection.has(name));
        let trees = trees.cloned().collect();
        let mut unpacked = Unpacked {
            verified,
            settings,
            staging,
            bytes,
            selected,
            trees,
            finished,
            beside: None,
            unrestored: RefCell::new(context.remarks()),
            broken: Vec::new(),
            remarks: context.remarks(),
        };
        context.stop.check()?;
        if !settings.is_described {
            unpacked.can_be_placed(request)?;
        }
        unpacked.keep_own_config(request, targets)?;
        unpacked.open_databases(context)?;
        Ok(unpacked)
    }

    /// Refuses an archive whose own configuration alone says where its entries go, on a machine that has none.
    fn can_be_placed(&self, request: &ImportRequest) -> Result<()> {
        let Some(bytes) = self.config_bytes()? else {
            return Ok(());
        };
        let name = EntryName::new(CONFIG).expect("a plain name");
        let config = ArchivedConfig {
            text: String::from_utf8(bytes).unwrap_or_default(),
            target: self.record(&name).and_then(|record| record.target.clone()),
        };
        let said = request.said_config.as_deref();
        let archive = request.archive.shown();
        match config.is_needed(said, &archive, &request.said_places) {
            Some(failure) => Err(failure.into()),
            None => Ok(()),
        }
    }

    /// Decides whether the archive's configuration replaces this machine's.
    fn keep_own_config(&mut self, request: &ImportRequest, targets: &Targets) -> Result<()> {
        let name = EntryName::new(CONFIG).expect("a plain name");
        // Whoever names it wants it.
        if request.archived == Archived::Put || request.selection.names(CONFIG) {
            return Ok(());
        }
        let target = targets
            .paths
            .get(&name)
            .filter(|_| self.selected.contains(&name));
        if let Some(target) = target
            && let Some(bytes) = self.config_bytes()?
        {
            self.beside = Beside::find(target, &self.settings.schema, &bytes)?;
        }
        Ok(())
    }

    /// The archive's configuration as it was unpacked, if it was.
    fn config_bytes(&self) -> Result<Option<Vec<u8>>> {
        let name = EntryName::new(CONFIG).expect("a plain name");
        match std::fs::read(self.staging.place(&name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            result => Ok(Some(
                result.context("cannot read the unpacked config.toml")?,
            )),
        }
    }

    /// The sources whose entries are there and asked for.
    pub fn sources(&self) -> impl Iterator<Item = &'a Source> {
        let sources = self.settings.sources.iter();
        sources.filter(|source| match source.is_directory() {
            true => self.trees.contains(&source.name),
            false => self.selected.binary_search(&source.name).is_ok(),
        })
    }

    /// Returns the manifest's record of an entry.
    pub fn record(&self, name: &EntryName) -> Option<&FileRecord> {
        self.verified.manifest().files.get(name)
    }

    /// The entries that are asked for and torn.
    pub fn torn(&self) -> impl Iterator<Item = (&EntryName, &FileRecord)> {
        let torn = self.verified.manifest().torn();
        torn.filter(|(name, _)| self.selected.binary_search(name).is_ok())
    }

    /// Returns true if the database at `target` holds what the archived one does, although the files differ.
    pub fn is_held_by(
        &self,
        context: &Context,
        engine: Engine,
        name: &EntryName,
        target: &Path,
    ) -> Result<bool> {
        let place = self.staging.place(name);
        let step = context.step();
        let source = context.source(&step);
        engines::engine(engine).holds_same(target, &place, self.record(name), &source)
    }

    /// Makes sure that the archived databases open cleanly. They go into place as they are in the archive.
    fn open_databases(&mut self, context: &Context) -> Result<()> {
        let sources: Vec<&Source> = self.sources().collect();
        for source in sources {
            let name = &source.name;
            let Some(engine) = source.kind.engine() else {
                continue;
            };
            let place = self.staging.place(name);
            let engine = engines::engine(engine);
            let extent = match engine.judge(&place, self.record(name), &context.step())? {
                DatabaseVerdict::Good(extent) => extent,
                DatabaseVerdict::Index {
                    fault,
                    remedy,
                    extent,
                } => {
                    let message = format!("{name}: {fault}; it is restored as it is: {remedy}");
                    self.remarks.undone(RemarkKind::Index, name, message);
                    Some(extent)
                }
                DatabaseVerdict::Damaged(finding) => {
                    self.broken.push(broken(name, &finding));
                    None
                }
            };
            if let Some(extent) = extent {
                contents::say_checked(&extent, name, &name.to_string(), &mut self.remarks);
            }
        }
        Ok(())
    }

    /// Returns the faults of the archive's content, although its bytes are intact.
    pub fn faults(&self, context: &Context, remarks: &mut Remarks) -> Result<Vec<Obstacle>> {
        let mut blocked = self.broken.clone();
        remarks.extend(self.remarks.clone());
        let manifest = self.verified.manifest();
        match compatibility(&manifest.hookshot_version, &context.version) {
            Compatibility::Same => {}
            Compatibility::Newer => {
                context.tell(RestoreEvent::NewerArchive {
                    archive: manifest.hookshot_version.clone(),
                    here: context.version.clone(),
                });
            }
            Compatibility::Incompatible => blocked.push(Obstacle {
                kind: ObstacleKind::Version,
                message: incompatible(&manifest.hookshot_version, &context.version),
                hint: "use a hookshot of the archive's version; --force does not override this",
            }),
        }
        blocked.extend(app_version::obstacle(context, self.settings, manifest)?);
        for source in self.sources().filter(|source| contents::is_checked(source)) {
            let bytes = std::fs::read(self.staging.place(&source.name))?;
            let faults = match contents::check(source.kind.text_rule(), &bytes) {
                Ok(schema) => {
                    let put = schema.iter().filter(|_| self.beside.is_none());
                    put.for_each(|schema| warn_of_moves(schema, self.settings, remarks));
                    Vec::new()
                }
                Err(faults) => faults,
            };
            for fault in faults {
                blocked.push(Obstacle {
                    kind: ObstacleKind::Configuration,
                    message: format!("{} in the archive: {fault}", source.name),
                    hint: "leave the file out with --except, or use another archive",
                });
            }
        }
        Ok(blocked)
    }
}

/// The reason of a database that is not good although its bytes are what they should be.
fn broken(name: &EntryName, finding: &str) -> Obstacle {
    Obstacle {
        kind: ObstacleKind::RestoredDatabase,
        message: format!("the database {name} in the archive does not open cleanly: {finding}"),
        hint: "use another archive; --force does not override this",
    }
}

/// Warns if the restored configuration sends the service, or the next export, to other places than those that were
/// restored to.
fn warn_of_moves(schema: &Schema, settings: &Settings, remarks: &mut Remarks) {
    let mut warning = |message: String| remarks.warning(RemarkKind::Configuration, CONFIG, message);
    if schema.sources.is_some() || settings.schema.sources.is_some() {
        if schema.sources != settings.schema.sources {
            warning("The archive's config.toml describes other sources than this machine's: this import goes where \
                this machine's say, the next export and import go where the archive's say".to_owned());
        }
        return;
    }
    let folder = folder_of(&settings.config);
    let data_dir = schema.data_dir.as_ref().map_or_else(
        || PathBuf::from(crate::config::DEFAULT_DATA_DIR),
        |path| folder.join(path),
    );
    if data_dir != settings.data_dir {
        warning(format!(
            "The archive's config.toml names another data_dir: the service would look in {}, and the database is restored in {}",
            data_dir.display(),
            settings.data_dir.display()
        ));
    }
    let secrets = schema
        .secrets_file
        .as_ref()
        .map_or_else(|| folder.join("secrets"), |path| folder.join(path));
    if secrets != settings.secrets {
        warning(format!(
            "The archive's config.toml names another secrets file: the service would look for {}, and the secrets are restored to {}",
            secrets.display(),
            settings.secrets.display()
        ));
    }
}

/// The unpacking of the requested entries that have a target into staging; the rest is only verified.
struct Unpack<'a> {
    settings: &'a Settings,
    /// The folders that may hold it, in order of preference.
    places: &'a [PathBuf],
    /// The folder that holds it, once its size is known.
    staging: Option<Staging>,
    bytes: u64,
    home: &'a Path,
    selection: &'a Selection,
    targets: &'a Targets,
    unpacking: Unpacking,
}

impl Unpack<'_> {
    /// Sets the attributes of files of directories while they are unpacked, if the staged files themselves are moved
    /// into place.
    fn finish_directories(&mut self) {
        let sources = self.settings.sources.iter();
        for source in sources.filter(|source| source.is_directory()) {
            let target = self.targets.paths.get(&source.name);
            let is_moved =
                |target: &&PathBuf| survey::share_file_system(&anchor(target), self.home);
            if let Some(target) = target.filter(is_moved) {
                self.unpacking.add(source.name.clone(), target.clone());
            }
        }
    }
}

impl Unpack<'_> {
    /// Returns true if something of an entry is written here.
    fn has_place(&self, name: &EntryName) -> bool {
        let source = self.settings.source_of(name);
        source.is_some_and(|source| {
            let is_fed = source.kind.is_command();
            is_fed || self.targets.paths.contains_key(&source.name)
        })
    }

    /// Makes sure that this process may write files as large as the largest entry and the journal.
    fn require_files(&self, manifest: &Manifest) -> Result<()> {
        let files = manifest.files.iter();
        let files = files.filter(|(name, _)| self.selection.has(name) && self.has_place(name));
        if let Some((name, record)) = files.max_by_key(|(_, record)| record.size) {
            space::require_file(record.size, &format!("{name} of the archive"))?;
        }
        let mut targets: Vec<PathBuf> = Vec::new();
        for (name, target) in &self.targets.paths {
            targets.push(target.clone());
            if manifest.trees.contains_key(name) && is_mount_point(target) {
                // Each of its children is a step.
                let prefix = format!("{name}/");
                let below = manifest.files.keys();
                let below = below.filter_map(|entry| entry.as_str().strip_prefix(&prefix));
                let children: BTreeSet<&str> =
                    below.filter_map(|rest| rest.split('/').next()).collect();
                targets.extend(children.iter().map(|child| target.join(child)));
            }
        }
        let bytes = Journal::bytes_for(targets.iter().map(PathBuf::as_path));
        space::require_file(bytes, "the journal of the import")
    }
}

impl Sink for Unpack<'_> {
    fn begin(&mut self, manifest: &Manifest) -> Result<()> {
        self.selection.check(self.settings, manifest)?;
        contents::check_sizes(self.settings, manifest, |name| self.selection.has(name))?;
        let wanted = manifest
            .files
            .iter()
            .filter(|(name, _)| self.selection.has(name));
        self.require_files(manifest)?;
        // A directory is one target of many entries. Free pages of a database are holes where it is unpacked.
        let mut placed: BTreeMap<&PathBuf, u64> = BTreeMap::new();
        let mut total = 0u64;
        for (name, record) in wanted {
            let source = self.settings.source_of(name);
            let target = source.and_then(|source| self.targets.paths.get(&source.name));
            if let Some(target) = target {
                let bytes = placed.entry(target).or_default();
                *bytes = bytes.saturating_add(record.size);
                total = total.saturating_add(record.stored_bytes());
            }
        }
        let sum = |sizes: &mut dyn Iterator<Item = u64>| sizes.fold(0u64, u64::saturating_add);
        self.bytes = total;
        self.staging = Some(Staging::with_room(
            self.places,
            total,
            "the unpacked archive",
        )?);
        // A rehearsal stages elsewhere, and still tells whether there would be room.
        space::require(self.home, total, "the unpacked archive")?;
        // On the file system where it is staged a file is moved; on another one it needs room as well.
        for target in placed
            .keys()
            .filter(|target| !survey::share_file_system(target, self.home))
        {
            let beside = placed
                .iter()
                .filter(|(other, _)| anchor(other) == anchor(target));
            space::require(
                &anchor(target),
                sum(&mut beside.map(|(_, bytes)| *bytes)),
                "the new files",
            )?;
        }
        Ok(())
    }

    fn entry(&mut self, name: &EntryName, record: &FileRecord) -> Result<Box<dyn Write + '_>> {
        // A machine without a configuration asks the archive's own, whatever was asked for.
        let is_asked = !self.settings.is_described
            && name.as_str() == CONFIG
            && record.size <= MAX_CONFIG_BYTES;
        if !(is_asked || self.selection.has(name) && self.has_place(name)) {
            return Ok(Box::new(io::sink()));
        }
        let staging = self
            .staging
            .as_ref()
            .context("an entry before the manifest")?;
        match self.unpacking.begin(staging, name, record)? {
            Some(writer) => Ok(writer),
            None if record.leaves_holes() => staging.sparse_writer(name, record.size),
            None => staging.writer(name),
        }
    }

    fn end(&mut self, name: &EntryName, record: &FileRecord) -> Result<()> {
        self.unpacking.end(name, record)
    }
}
