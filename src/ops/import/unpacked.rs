//! An archive in staging: unpacked, proven, and looked at before anything moves.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{
    ImportRequest, KeepStaging,
    archived_config::{Archived, ArchivedConfig, Beside},
    targets::Targets,
    unpacking::Unpack,
};
use crate::{
    archive::Verified,
    config::{
        Settings,
        schema::Schema,
        sources::{CONFIG, Source},
    },
    context::Context,
    disk::{folder_of, staging::Staging, tree::unpack::Unpacking},
    machine::{
        app_version, contents,
        obstacle::{Obstacle, ObstacleKind},
        preflight::Force,
        rehearsal::Rehearsal,
    },
    model::{
        engine::Engine,
        entry_name::EntryName,
        manifest::FileRecord,
        version::{Compatibility, compatibility, incompatible},
    },
    source::{database::DatabaseVerdict, engines},
    work::{events::RestoreEvent, remark::RemarkKind, remarks::Remarks},
};

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
    /// The requested directories, in the order of their names.
    pub directories: Vec<EntryName>,
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
    /// Unpacks and proves the archive that `request` names, in the first of `places` that can be made and has room. An
    /// import that cannot begin is a `rehearsal`, whatever was requested.
    pub fn new(
        context: &Context,
        settings: &'a Settings,
        request: &ImportRequest,
        rehearsal: Rehearsal,
        places: &[PathBuf],
        targets: &Targets,
    ) -> Result<Unpacked<'a>> {
        let mut sink = Unpack {
            unpacking: Unpacking::new(context.privilege(), context.threads),
            settings,
            places,
            staging: None,
            bytes: 0,
            rooms: None,
            home: &settings.home(),
            selection: &request.selection,
            targets,
            listings: BTreeSet::new(),
            largest: 0,
            steps: Vec::new(),
            keep: request.staging,
            is_rehearsed: false,
        };
        match (rehearsal, request.staging) {
            (Rehearsal::Real, KeepStaging::No) => sink.finish_directories(),
            (Rehearsal::DryRun, KeepStaging::No) => sink.is_rehearsed = true,
            _ => {}
        }
        let verified = request.archive.read(context, "unpacking", &mut sink)?;
        let bytes = sink.bytes;
        let finished = sink.unpacking.finish()?;
        let staging = sink.staging.context("the archive has no manifest")?;
        let manifest = verified.manifest();
        context.tell(RestoreEvent::Unpacked {
            version: manifest.hookshot_version.clone(),
            created_at: manifest.created_at,
            files: usize::try_from(manifest.count()).unwrap_or(usize::MAX),
        });
        let selected: Vec<EntryName> = manifest
            .files
            .keys()
            .filter(|name| request.selection.has(name) && manifest.listed_by(name).is_none())
            .cloned()
            .collect();
        let directories = manifest.trees.keys().chain(manifest.directories.keys());
        let directories = directories.filter(|name| request.selection.has(name));
        let mut directories: Vec<EntryName> = directories.cloned().collect();
        directories.sort_unstable();
        let mut unpacked = Unpacked {
            verified,
            settings,
            staging,
            bytes,
            selected,
            directories,
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
            self.beside = Beside::find(target, &self.settings.written, &bytes)?;
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
            true => self.directories.contains(&source.name),
            false => self.selected.binary_search(&source.name).is_ok(),
        })
    }

    /// Returns the manifest's record of an entry.
    pub fn record(&self, name: &EntryName) -> Option<&FileRecord> {
        self.verified.manifest().files.get(name)
    }

    /// The entries of the manifest that are asked for and torn.
    pub fn torn(&self) -> impl Iterator<Item = (&EntryName, &FileRecord)> {
        let torn = self.verified.manifest().torn();
        torn.filter(|(name, _)| self.selected.binary_search(name).is_ok())
    }

    /// Returns true if the database at `target` holds what the archived one does, of which the archive has this `record`,
    /// although the files differ.
    pub fn is_held_by(
        &self,
        context: &Context,
        engine: Engine,
        (name, record): (&EntryName, &FileRecord),
        target: &Path,
    ) -> Result<bool> {
        let place = self.staging.place(name);
        let step = context.step();
        let source = context.source(&step);
        engines::engine(engine).holds_same(target, &place, Some(record), &source)
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
    pub fn faults(
        &self,
        context: &Context,
        force: Force,
        remarks: &mut Remarks,
    ) -> Result<Vec<Obstacle>> {
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
        if force != Force::Rollback {
            blocked.extend(app_version::obstacle(
                context,
                self.settings,
                manifest.app_version.as_ref(),
            )?);
        }
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
    // The service will know the places by their names in the root.
    let inside = |path: &Path| settings.elsewhere.inside(path);
    let folder = folder_of(&inside(&settings.config));
    let data_dir = schema.data_dir.as_ref().map_or_else(
        || PathBuf::from(crate::config::DEFAULT_DATA_DIR),
        |path| folder.join(path),
    );
    let (own_data_dir, own_secrets) = (inside(&settings.data_dir), inside(&settings.secrets));
    if data_dir != own_data_dir {
        warning(format!(
            "The archive's config.toml names another data_dir: the service would look in {}, and the database is restored in {}",
            data_dir.display(),
            own_data_dir.display()
        ));
    }
    let secrets = schema
        .secrets_file
        .as_ref()
        .map_or_else(|| folder.join("secrets"), |path| folder.join(path));
    if secrets != own_secrets {
        warning(format!(
            "The archive's config.toml names another secrets file: the service would look for {}, and the secrets are restored to {}",
            secrets.display(),
            own_secrets.display()
        ));
    }
}
