//! The checks of an archive's entries: its databases are opened and checked, its configuration is parsed, as an import
//! does before it replaces anything.
//!
//! The manifest, the first bytes or the archive's own configuration tell which entries are databases. So archives that
//! other programs packed are inspected as well.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Write},
    path::Path,
};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::{
    archive::Sink,
    config::{
        schema::Schema,
        sources::{CONFIG, DATABASE, SERVICES, Source},
    },
    disk::staging::{self, EXTRACT, Staging},
    error::Failure,
    model::{
        engine::Engine,
        entry_name::EntryName,
        limits::MAX_CONFIG_BYTES,
        manifest::{FileRecord, Manifest},
    },
    source::{behavior::TextRule, database::DatabaseVerdict, engines, sqlite::verdict::CheckDepth},
};
use crate::{
    context::Context,
    machine::contents,
    work::{remarks::Remarks, space},
};

/// So many first bytes tell what a file is.
const HEAD_BYTES: usize = 16;

/// The kind as which an entry is checked. The names in JSON are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InspectedKind {
    /// A configuration of hookshot.
    Config,
    /// Another TOML file.
    Toml,
    /// A database.
    #[serde(untagged)]
    Database(Engine),
}

impl InspectedKind {
    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            InspectedKind::Config => "config",
            InspectedKind::Toml => "toml",
            InspectedKind::Database(engine) => engine.kind(),
        }
    }
}

/// An entry that was inspected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Looked {
    /// The entry.
    pub entry: String,
    /// The kind as which it was checked.
    pub kind: InspectedKind,
    /// True if it is good.
    pub good: bool,
    /// The check that SQLite made: `integrity` or `quick`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckDepth>,
}

/// The entries of an archive that can be inspected.
pub struct Looking<'a> {
    context: &'a Context,
    /// The name of the archive, for warnings.
    archive: String,
    staging: Staging,
    /// Files that belong to a database beside them: each an entry whose name without the suffix is an entry, too.
    companions: BTreeSet<EntryName>,
    /// The names of the databases so far.
    bases: BTreeSet<EntryName>,
    /// Databases in staging, with their sizes in bytes.
    databases: Vec<(EntryName, Engine, u64)>,
    /// Entries of no directory that are not known as databases.
    others: BTreeSet<EntryName>,
    /// The directories whose files are in the manifest.
    trees: BTreeSet<EntryName>,
    /// Those that have listings.
    listed: BTreeSet<EntryName>,
    texts: BTreeMap<EntryName, Vec<u8>>,
    now: Now,
}

/// The fate of the entry that is read.
enum Now {
    /// Nothing yet: its first bytes.
    Beginning(Vec<u8>),
    /// It is laid in staging.
    Staged(File),
    /// It is kept in memory.
    Text(Vec<u8>),
    /// It is passed over.
    Passed,
}

impl<'a> Looking<'a> {
    /// Nothing was read yet. What lies in the temporary folder goes with this value.
    pub fn new(context: &'a Context, archive: String) -> Result<Looking<'a>> {
        staging::sweep(&context.scratch);
        Ok(Looking {
            context,
            archive,
            staging: Staging::scratch(&context.scratch, EXTRACT)?,
            companions: BTreeSet::new(),
            bases: BTreeSet::new(),
            databases: Vec::new(),
            others: BTreeSet::new(),
            trees: BTreeSet::new(),
            listed: BTreeSet::new(),
            texts: BTreeMap::new(),
            now: Now::Passed,
        })
    }

    /// Looks into everything that was taken out. Returns what was looked at, and every fault.
    pub fn look(mut self, remarks: &mut Remarks) -> Result<(Vec<Looked>, Vec<String>)> {
        let (mut looked, mut faults) = (Vec::new(), Vec::new());
        let config = self.configuration(&mut looked, &mut faults);
        // Entries that the archive's configuration calls databases, but that do not begin as one.
        for (name, engine) in expected(config.as_ref()) {
            if self.others.contains(&name) {
                looked.push(Looked::of(&name, InspectedKind::Database(engine), false));
                let what = format!("it is not a database of {}", engine.name());
                faults.push(not_opened(&name, &what));
            }
        }
        self.databases
            .sort_by(|(one, ..), (other, ..)| one.cmp(other));
        let total = self.databases.iter().map(|(.., bytes)| bytes).sum();
        self.context.begin("looking into databases", Some(total));
        for (name, engine, _) in &self.databases {
            self.context.stop.check()?;
            let place = self.staging.place(name);
            let fault = self.database(name, *engine, &place, &mut looked, remarks)?;
            faults.extend(fault);
        }
        self.context.stop.check()?;
        Ok((looked, faults))
    }

    /// Checks a database, with what lies beside it in the archive. Returns the fault, in words.
    fn database(
        &self,
        name: &EntryName,
        engine: Engine,
        place: &Path,
        looked: &mut Vec<Looked>,
        remarks: &mut Remarks,
    ) -> Result<Option<String>> {
        let verdict = engines::engine(engine).judge_thoroughly(place, &self.context.step())?;
        let (extent, fault) = match verdict {
            DatabaseVerdict::Good(extent) => (extent, None),
            DatabaseVerdict::Index {
                fault,
                remedy,
                extent,
            } => {
                let fault = format!("the database {name} in the archive: {fault}; {remedy}");
                (Some(extent), Some(fault))
            }
            DatabaseVerdict::Damaged(finding) => (None, Some(not_opened(name, &finding))),
        };
        if let Some(extent) = &extent {
            let shown = format!("{name} in {}", self.archive);
            contents::say_checked(extent, name, &shown, remarks);
        }
        looked.push(Looked {
            check: extent.map(|extent| extent.check),
            ..Looked::of(name, InspectedKind::Database(engine), fault.is_none())
        });
        Ok(fault)
    }

    /// Parses what must be configuration; returns the configuration itself.
    fn configuration(&self, looked: &mut Vec<Looked>, faults: &mut Vec<String>) -> Option<Schema> {
        let mut schema = None;
        // `config.toml` comes before `services.toml`, and says whether that one is hookshot's.
        for (name, bytes) in &self.texts {
            let is_config = name.as_str() == CONFIG;
            let own_sources = |schema: &Option<Schema>| {
                let schema: Option<&Schema> = schema.as_ref();
                schema.is_some_and(|schema| schema.sources.is_some())
            };
            if !is_config && own_sources(&schema) {
                continue;
            }
            let (kind, rule) = match is_config {
                true => (InspectedKind::Config, TextRule::Configuration),
                false => (InspectedKind::Toml, TextRule::Toml),
            };
            let found = match contents::check(rule, bytes) {
                Ok(found) => {
                    schema = found.or(schema);
                    Vec::new()
                }
                Err(found) => found,
            };
            looked.push(Looked::of(name, kind, found.is_empty()));
            faults.extend(
                found
                    .iter()
                    .map(|fault| format!("{name} in the archive: {fault}")),
            );
        }
        schema
    }

    /// Lays the entry in staging, beginning with what was read of it.
    fn stage(&mut self, name: &EntryName, record: &FileRecord, head: &[u8]) -> Result<()> {
        space::require(self.staging.path(), record.size, "a copy of the database")?;
        let mut file = self.staging.file(name)?;
        file.write_all(head)
            .with_context(|| format!("cannot write {}", self.staging.place(name).display()))?;
        self.now = Now::Staged(file);
        Ok(())
    }

    /// Returns true if the entry belongs to a database beside it. In a listed directory the database comes before it.
    fn is_companion(&self, name: &EntryName) -> bool {
        let first = name.as_str().split_once('/').map(|(first, _)| first);
        let is_listed = first.is_some_and(|first| self.listed.contains(first));
        let is_beside = |base: &str| self.bases.contains(base);
        is_listed && base_of(name).is_some_and(is_beside) || self.companions.contains(name)
    }

    /// Notes a database.
    fn add_database(&mut self, name: &EntryName, engine: Engine, size: u64) {
        self.bases.insert(name.clone());
        self.databases.push((name.clone(), engine, size));
    }

    /// Decides about an entry whose first bytes are there.
    fn decide(&mut self, name: &EntryName, record: &FileRecord, head: &[u8]) -> Result<()> {
        if let Some(engine) = Engine::of(head) {
            self.add_database(name, engine, record.size);
            return self.stage(name, record, head);
        }
        let first = name.as_str().split_once('/').map(|(first, _)| first);
        let is_part = |first: &str| self.trees.contains(first) || self.listed.contains(first);
        if !first.is_some_and(is_part) {
            self.others.insert(name.clone());
        }
        self.now = Now::Passed;
        Ok(())
    }
}

impl Looked {
    fn of(entry: &EntryName, kind: InspectedKind, good: bool) -> Looked {
        Looked {
            entry: entry.as_str().to_owned(),
            kind,
            good,
            check: None,
        }
    }
}

/// The databases that the archive's configuration names; those of a hookshot service if there is none.
fn expected(config: Option<&Schema>) -> Vec<(EntryName, Engine)> {
    let Some(sources) = config.and_then(|schema| schema.sources.as_ref()) else {
        let name = EntryName::new(DATABASE).expect("a plain name is an entry's name");
        return vec![(name, Engine::Redb)];
    };
    let database = |source: &Source| Some((source.name.clone(), source.kind.engine()?));
    sources.iter().filter_map(database).collect()
}

/// Returns the name of the database to which an entry belongs, if its name is that of a companion.
fn base_of(name: &EntryName) -> Option<&str> {
    let mut endings = Engine::ALL.into_iter().flat_map(Engine::logs);
    endings.find_map(|ending| name.as_str().strip_suffix(ending))
}

fn not_opened(name: &EntryName, reason: &str) -> String {
    format!("the database {name} in the archive does not open cleanly: {reason}")
}

impl Sink for Looking<'_> {
    fn begin(&mut self, manifest: &Manifest) -> Result<()> {
        self.trees = manifest.trees.keys().cloned().collect();
        self.listed = manifest.directories.keys().cloned().collect();
        for name in manifest.files.keys() {
            if base_of(name).is_some_and(|base| manifest.files.contains_key(base)) {
                self.companions.insert(name.clone());
            }
        }
        Ok(())
    }

    fn entry(&mut self, name: &EntryName, record: &FileRecord) -> Result<Box<dyn Write + '_>> {
        self.now = Now::Beginning(Vec::new());
        if let Some(engine) = record.engine() {
            self.add_database(name, engine, record.size);
            self.stage(name, record, &[])?;
        } else if self.is_companion(name) {
            self.stage(name, record, &[])?;
        } else if [CONFIG, SERVICES].contains(&name.as_str()) {
            self.now = Now::Text(Vec::new());
        }
        Ok(Box::new(Taking {
            looking: self,
            name: name.clone(),
            record: record.clone(),
        }))
    }

    fn end(&mut self, name: &EntryName, record: &FileRecord) -> Result<()> {
        match std::mem::replace(&mut self.now, Now::Passed) {
            Now::Beginning(head) => self.decide(name, record, &head)?,
            Now::Text(text) => {
                self.texts.insert(name.clone(), text);
            }
            Now::Staged(_) | Now::Passed => {}
        }
        self.now = Now::Passed;
        Ok(())
    }
}

/// The writer of one entry.
struct Taking<'a, 'b> {
    looking: &'a mut Looking<'b>,
    name: EntryName,
    record: FileRecord,
}

impl Write for Taking<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.looking.now {
            Now::Beginning(head) => {
                let taken = bytes.len().min(HEAD_BYTES - head.len());
                head.extend_from_slice(&bytes[..taken]);
                if head.len() == HEAD_BYTES {
                    let head = std::mem::take(head);
                    self.looking
                        .decide(&self.name, &self.record, &head)
                        .map_err(|error| io::Error::from(Failure::of(&error)))?;
                }
                Ok(taken)
            }
            Now::Staged(file) => file.write(bytes).map_err(|error| {
                let place = self.looking.staging.place(&self.name);
                let writing = format!("cannot write {}", place.display());
                io::Error::from(Failure::of(&anyhow::Error::new(error).context(writing)))
            }),
            Now::Text(text) => {
                // One byte more than may be: then it is too large, whatever follows.
                let most = usize::try_from(MAX_CONFIG_BYTES).unwrap_or(usize::MAX) + 1;
                let room = most.saturating_sub(text.len());
                text.extend_from_slice(&bytes[..bytes.len().min(room)]);
                Ok(bytes.len())
            }
            Now::Passed => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
