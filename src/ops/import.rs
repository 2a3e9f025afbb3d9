//! `import`: replaces this machine's state by an archive's: all of it, or nothing.
//!
//! Everything is checked before anything moves, and every reason that stands in the way is named at once.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use nix::unistd::{Group, User};
use tracing::{info, warn};

use super::{
    Context,
    archive_input::Location,
    entries::Role,
    preflight::{self, Blocked, Force, Locks},
    replace::{self, Rehearsal, Report},
};
use crate::{
    archive::{Sink, Verified},
    config::{Settings, schema::Schema, schema::parse_toml},
    disk::{
        NewFolders, folder_of,
        journal::{Home, Journal},
        lock::{Hold, StateLock},
        space,
        staging::Staging,
        survey,
        transaction::{Change, New, Origin, Transaction, backup_path},
    },
    error::{Failure, Kind},
    model::{
        digest::Digest,
        entry_name::EntryName,
        manifest::{FileRecord, Manifest},
        plan::{self, Action, Attributes, Present, Step},
        version::{Compatibility, compatibility, incompatible},
    },
    source::redb::{header::Header, judge},
};

/// What is asked for.
pub struct Request {
    /// The archive.
    pub archive: Location,
    /// Whether it is carried out.
    pub rehearsal: Rehearsal,
    /// Which reasons count.
    pub force: Force,
    /// These entries only; all where it is empty.
    pub only: Vec<EntryName>,
    /// What becomes of the unpacked archive.
    pub staging: Keep,
}

/// What becomes of the unpacked archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// It goes.
    No,
    /// It stays for somebody to look at.
    Yes,
}

/// Imports an archive into the state that `settings` describe.
pub fn import(context: &Context, settings: &Settings, request: &Request) -> Result<Report> {
    let hold = match request.rehearsal {
        Rehearsal::Real => Hold::Exclusive,
        Rehearsal::DryRun => Hold::Shared,
    };
    let mut folders = NewFolders::default();
    if request.rehearsal == Rehearsal::Real {
        // What is locked must be there; on a machine that has nothing yet it is made, and goes again if nothing comes
        // of it.
        for folder in settings.folders() {
            folders
                .create(&folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
    }
    let _lock = StateLock::acquire(&settings.folders(), hold)?;
    if !settings.config_exists {
        warn!(config = %settings.config.display(), data_dir = %settings.data_dir.display(), "This machine has no configuration yet, the places are the default ones");
    }
    let targets = Targets::find(settings)?;
    let names = replace::names(context);
    let mut transaction = None;
    let mut staging = match request.rehearsal {
        // A rehearsal leaves the folders of the state alone.
        Rehearsal::DryRun => Staging::create(&names.staging(&context.scratch))?,
        Rehearsal::Real => {
            let folder = names.staging(&settings.data_dir);
            let litter = if request.staging == Keep::Yes {
                Vec::new()
            } else {
                vec![folder.clone()]
            };
            let journal = Journal::new(
                "import",
                context.time(),
                Some(request.archive.shown()),
                litter,
            );
            let paths: Vec<PathBuf> = targets.paths.values().cloned().collect();
            let home = Home::beside(&settings.config);
            transaction = Some(Transaction::begin(
                home,
                names,
                journal,
                &paths,
                std::mem::take(&mut folders),
            )?);
            Staging::create(&folder)?
        }
    };
    if request.staging == Keep::Yes {
        staging.keep();
    }
    let unpacked = Unpacked::new(context, request, &staging, &targets)?;
    let mut blocked = unpacked.faults(context, settings)?;
    let database = targets
        .path(Role::Database)
        .filter(|_| unpacked.wants(Role::Database));
    let locks = if transaction.is_some() {
        Locks::Held
    } else {
        Locks::Asked
    };
    let _database_lock = match database {
        Some(path) => preflight::database(path, request.force, locks, &mut blocked)?,
        None => None,
    };
    let (steps, changes) = plan(context, &unpacked, &targets, &mut blocked)?;
    let mut report = Report::new(request.rehearsal, &steps, blocked);
    if request.staging == Keep::Yes {
        report.staging = Some(staging.path().display().to_string());
    }
    announce(&unpacked, &report);
    if let Some(transaction) = transaction
        && report.blocked.is_empty()
    {
        info!("Restoring {} of {} files", changes.len(), steps.len());
        replace::carry_out(context, transaction, &changes)?;
        report.applied = true;
        info!(
            files = changes.len(),
            "Restore completed successfully, what was replaced stays as .bak (`hookshot rollback` brings it back)"
        );
    }
    Ok(report)
}

/// The files that entries replace on this machine, links resolved.
struct Targets {
    paths: BTreeMap<EntryName, PathBuf>,
}

impl Targets {
    fn find(settings: &Settings) -> Result<Targets> {
        let mut paths = BTreeMap::new();
        for role in Role::ALL {
            paths.insert(role.name(), survey::resolve(&role.path(settings))?);
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
                return Err(failure.hint("give each entry a place of its own with --config, --services, --secrets and --data-dir").into());
            }
        }
        Ok(Targets { paths })
    }

    fn path(&self, role: Role) -> Option<&Path> {
        self.paths.get(&role.name()).map(PathBuf::as_path)
    }
}

/// An archive that was proven and lies in staging.
struct Unpacked<'a> {
    verified: Verified,
    staging: &'a Staging,
    selected: Vec<EntryName>,
    keep: Keep,
    /// Digest of each staged entry: the manifest's, unless a database had to be repaired.
    digests: BTreeMap<EntryName, Digest>,
    broken: Vec<Blocked>,
}

impl<'a> Unpacked<'a> {
    fn new(
        context: &Context,
        request: &Request,
        staging: &'a Staging,
        targets: &Targets,
    ) -> Result<Unpacked<'a>> {
        let mut sink = Unpack {
            staging,
            only: &request.only,
            targets,
        };
        let verified = request.archive.read(context, "unpacking", &mut sink)?;
        let manifest = verified.manifest();
        info!(
            version = %manifest.hookshot_version, created_at = manifest.created_at, files = manifest.files.len(),
            "Backup validated successfully"
        );
        let selected: Vec<EntryName> = manifest
            .files
            .keys()
            .filter(|name| is_selected(&request.only, name))
            .cloned()
            .collect();
        let digests = selected
            .iter()
            .filter_map(|name| Some((name.clone(), manifest.files.get(name)?.checksum)))
            .collect();
        let mut unpacked = Unpacked {
            verified,
            staging,
            selected,
            keep: request.staging,
            digests,
            broken: Vec::new(),
        };
        context.stop.check()?;
        unpacked.open_database()?;
        Ok(unpacked)
    }

    fn wants(&self, role: Role) -> bool {
        self.selected.contains(&role.name())
    }

    fn record(&self, name: &EntryName) -> Option<&FileRecord> {
        self.verified.manifest().files.get(name)
    }

    /// Makes sure that the archived database opens cleanly; one that nobody had closed is repaired here, in staging.
    fn open_database(&mut self) -> Result<()> {
        let name = Role::Database.name();
        if !self.wants(Role::Database) {
            return Ok(());
        }
        let place = self.staging.place(&name);
        let proven = self
            .record(&name)
            .is_some_and(FileRecord::is_proven_database);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&place)
            .with_context(|| format!("cannot open {}", place.display()))?;
        let result = match Header::read(File::open(&place)?)? {
            None => Err(anyhow::anyhow!("it is not a redb database")),
            Some(header) if header.needs_repair => judge::repair(file).map(|()| warn!("The archived database had not been closed: repaired it before it is put in place")),
            Some(_) if proven => judge::peek(file).map(drop),
            Some(_) => judge::examine(file).map(drop),
        };
        match result {
            Ok(()) => {
                let (digest, _) = Digest::of_reader(File::open(&place)?)?;
                self.digests.insert(name, digest);
            }
            Err(error) => self.broken.push(Blocked {
                kind: "restored_database",
                message: format!("the database in the archive does not open cleanly: {error:#}"),
                failure: Kind::Refused,
                hint: "use another archive; --force does not override this",
            }),
        }
        Ok(())
    }

    /// What is wrong with the archive's content although its bytes are what they should be.
    fn faults(&self, context: &Context, settings: &Settings) -> Result<Vec<Blocked>> {
        let mut blocked = self.broken.clone();
        let manifest = self.verified.manifest();
        match compatibility(&manifest.hookshot_version, &context.version) {
            Compatibility::Same => {}
            Compatibility::Newer => {
                warn!(archive = %manifest.hookshot_version, here = %context.version, "The archive is of a newer hookshot")
            }
            Compatibility::Incompatible => blocked.push(Blocked {
                kind: "version",
                message: incompatible(&manifest.hookshot_version, &context.version),
                failure: Kind::Version,
                hint: "use a hookshot of the archive's version; --force does not override this",
            }),
        }
        for role in [Role::Config, Role::Services] {
            if !self.wants(role) {
                continue;
            }
            let text = std::fs::read(self.staging.place(&role.name()))?;
            for fault in self.toml_faults(role, text, settings) {
                blocked.push(Blocked {
                    kind: "configuration",
                    message: format!("{} in the archive: {fault}", role.name()),
                    failure: Kind::Refused,
                    hint: "leave the file out with --only, or use another archive",
                });
            }
        }
        Ok(blocked)
    }

    fn toml_faults(&self, role: Role, text: Vec<u8>, settings: &Settings) -> Vec<String> {
        let Ok(text) = String::from_utf8(text) else {
            return vec!["not UTF-8".to_owned()];
        };
        match role {
            Role::Config => match Schema::parse(&text) {
                Ok(schema) => {
                    warn_of_moves(&schema, settings);
                    Vec::new()
                }
                Err(faults) => faults,
            },
            _ => parse_toml(&text).err().into_iter().collect(),
        }
    }
}

/// The restored configuration may send the service to other places than those that were restored to.
fn warn_of_moves(schema: &Schema, settings: &Settings) {
    let folder = folder_of(&settings.config);
    let data_dir = schema.data_dir.as_ref().map_or_else(
        || PathBuf::from(crate::config::DEFAULT_DATA_DIR),
        |path| folder.join(path),
    );
    if data_dir != settings.data_dir {
        warn!(
            archive = %data_dir.display(), here = %settings.data_dir.display(),
            "The archive's config.toml names another data_dir: the service would look there, and the database is restored here"
        );
    }
    let secrets = schema
        .secrets_file
        .as_ref()
        .map_or_else(|| folder.join("secrets"), |path| folder.join(path));
    if secrets != settings.secrets {
        warn!(archive = %secrets.display(), here = %settings.secrets.display(), "The archive's config.toml names another secrets file");
    }
}

fn is_selected(only: &[EntryName], name: &EntryName) -> bool {
    only.is_empty() || only.contains(name)
}

/// Unpacks into staging what is asked for and has a target; the rest is only proven.
struct Unpack<'a> {
    staging: &'a Staging,
    only: &'a [EntryName],
    targets: &'a Targets,
}

impl Sink for Unpack<'_> {
    fn begin(&mut self, manifest: &Manifest) -> Result<()> {
        for name in self.only {
            if !manifest.files.contains_key(name) {
                return Err(super::extract::no_such_entry(name).into());
            }
        }
        let wanted = manifest
            .files
            .iter()
            .filter(|(name, _)| is_selected(self.only, name));
        let bytes = wanted
            .clone()
            .fold(0u64, |sum, (_, file)| sum.saturating_add(file.size));
        space::require(self.staging.path(), bytes, "the unpacked archive")?;
        // A target on another file system needs room there as well.
        for (name, record) in wanted {
            if let Some(target) = self.targets.paths.get(name) {
                space::require(&folder_of(target), record.size, "the new file")?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, name: &EntryName, _: &FileRecord) -> Result<Box<dyn Write + '_>> {
        if is_selected(self.only, name) && self.targets.paths.contains_key(name) {
            self.staging.writer(name)
        } else {
            Ok(Box::new(io::sink()))
        }
    }
}

/// What happens to each target, and how.
fn plan(
    context: &Context,
    unpacked: &Unpacked<'_>,
    targets: &Targets,
    blocked: &mut Vec<Blocked>,
) -> Result<(Vec<Step>, Vec<Change>)> {
    let mut steps = Vec::new();
    let mut changes = Vec::new();
    for name in &unpacked.selected {
        let (Some(target), Some(role)) = (targets.paths.get(name), Role::of(name)) else {
            warn!("  {name} is left out: this machine has no place for it");
            steps.push(Step {
                entry: name.clone(),
                target: None,
                action: Action::Skip,
            });
            continue;
        };
        let (Some(record), Some(digest)) =
            (unpacked.record(name), unpacked.digests.get(name).copied())
        else {
            continue;
        };
        context.begin(
            "comparing",
            target.metadata().ok().map(|metadata| metadata.len()),
        );
        let present = survey::present(target, |file| Box::new(context.watch(file)))?;
        let attributes = attributes(context, unpacked, name, role, present);
        let action = plan::decide(digest, attributes, present);
        steps.push(Step {
            entry: name.clone(),
            target: Some(target.clone()),
            action,
        });
        if !action.changes() {
            continue;
        }
        if backup_path(target).is_dir() {
            blocked.push(Blocked {
                kind: "target",
                message: format!(
                    "{} is a folder, and the old {name} has to stay there",
                    backup_path(target).display()
                ),
                failure: Kind::Blocked,
                hint: "move the folder away",
            });
        }
        let origin = if unpacked.keep == Keep::Yes {
            Origin::Copied
        } else {
            Origin::Moved
        };
        let source = unpacked.staging.place(name);
        changes.push(Change {
            entry: name.clone(),
            target: target.clone(),
            before: present.map(|present| present.digest),
            new: New::File {
                source,
                origin,
                digest,
                attributes,
                mtime: record.mtime,
            },
        });
    }
    Ok((steps, changes))
}

/// Mode and owner of a restored file: what the manifest says, else what the target has, else what the tar says.
fn attributes(
    context: &Context,
    unpacked: &Unpacked<'_>,
    name: &EntryName,
    role: Role,
    present: Option<Present>,
) -> Attributes {
    let record = unpacked.record(name);
    let header = unpacked.verified.header(name);
    let mode = plan::restored_mode(
        record.and_then(|record| record.mode),
        present.map(|present| present.mode),
        header.mode.unwrap_or(0o600),
        role.privacy(),
    );
    if !context.privileged {
        return Attributes { mode, owner: None };
    }
    let user = |name: Option<&String>| {
        name.and_then(|name| User::from_name(name).ok().flatten())
            .map(|user| user.uid.as_raw())
    };
    let group = |name: Option<&String>| {
        name.and_then(|name| Group::from_name(name).ok().flatten())
            .map(|group| group.gid.as_raw())
    };
    let named = (
        user(record.and_then(|record| record.user.as_ref())),
        group(record.and_then(|record| record.group.as_ref())),
    );
    if let (None, Some(unknown)) = (named.0, record.and_then(|record| record.user.as_ref())) {
        let unknown = crate::model::entry_name::printable(unknown);
        warn!(
            "{name} belonged to {unknown}, whom this machine does not know: it gets the owner of the file that it replaces, or ours"
        );
    }
    let there = present.map(|present| present.owner);
    let uid = named
        .0
        .or(there.map(|owner| owner.0))
        .or_else(|| user(header.user.as_ref()))
        .unwrap_or(0);
    let gid = named
        .1
        .or(there.map(|owner| owner.1))
        .or_else(|| group(header.group.as_ref()))
        .unwrap_or(0);
    Attributes {
        mode,
        owner: Some((uid, gid)),
    }
}

/// The lines that people know from the guide.
fn announce(unpacked: &Unpacked<'_>, report: &Report) {
    if !report.dry_run {
        return;
    }
    let hostname = unpacked
        .verified
        .manifest()
        .hostname
        .as_deref()
        .unwrap_or("an unknown host");
    info!("DRY RUN MODE - No changes will be made");
    info!(
        "The following files of {} would be restored:",
        crate::model::entry_name::printable(hostname)
    );
    for step in &report.steps {
        let target = step.target.as_deref().unwrap_or("(no place)");
        info!(
            "  {} -> {target} ({})",
            crate::model::entry_name::printable(&step.entry),
            step.description
        );
    }
    info!("DRY RUN COMPLETE - No changes were made");
}
