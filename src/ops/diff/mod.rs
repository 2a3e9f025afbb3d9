//! `diff`: what differs between an archive and this machine's state, or between two archives.

mod report;
mod text;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    io::{self, Write},
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

use anyhow::Result;

pub use self::report::{DiffReport, DiffState, EntryDiff};
use self::text::unified;
use crate::{
    archive::Sink,
    catalog::input::{ArchiveInput, damage},
    config::{Settings, sources::DATABASE},
    context::Context,
    disk::survey,
    error::{Failure, Kind},
    model::{
        digest::Digest,
        engine::Engine,
        entry_name::EntryName,
        limits::SMALL_SOURCE_BYTES,
        manifest::{FileRecord, Manifest},
        plan::Privacy,
        tree::{Tree, relative_of},
    },
    source::{database::HEAD_BYTES, engines},
    work::events::ArchiveEvent,
};

/// The other side of a comparison with an archive.
pub enum DiffSide<'a> {
    /// This machine's state.
    Machine(&'a Settings),
    /// Another archive.
    Archive(&'a ArchiveInput),
}

/// The choice to compare text files line by line or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// They are.
    Shown,
    /// Only whether they differ.
    Hidden,
}

/// One side of the comparison.
#[derive(Default)]
struct Side {
    files: BTreeMap<EntryName, (Digest, u64)>,
    texts: BTreeMap<EntryName, Vec<u8>>,
    /// The databases, each with its engine, its record and its first bytes.
    databases: BTreeMap<EntryName, (Engine, FileRecord, Vec<u8>)>,
}

impl Side {
    /// Returns the digest that a file of this machine counts with: a database that holds what the archived one does
    /// counts as the same, although its file differs.
    fn counts_as(
        &self,
        context: &Context,
        name: &EntryName,
        digest: Digest,
        path: &Path,
    ) -> Result<Digest> {
        let Some((there, _)) = self.files.get(name) else {
            return Ok(digest);
        };
        let database = self.databases.get(name);
        // Commits that are not in the database's file yet.
        let has_log = database.is_some_and(|(engine, ..)| {
            let mut logs = engine.logs_of(path);
            logs.any(|path| path.metadata().is_ok_and(|found| found.len() > 0))
        });
        if *there == digest && !has_log {
            return Ok(digest);
        }
        let is_same = match database {
            Some((engine, record, head)) => {
                let step = context.step();
                let engine = engines::engine(*engine);
                engine.holds_tables(path, record, head, &context.source(&step))?
            }
            None => false,
        };
        Ok(match is_same {
            true => *there,
            // The file is the archive's, and its log has more.
            false if *there == digest => Digest::of(there.to_string().as_bytes()),
            false => digest,
        })
    }

    /// Adds the symbolic links of the directory called `name`: what they hold is where they lead.
    fn add_links(&mut self, name: &EntryName, tree: &Tree) {
        let links = tree.links.iter().map(|(relative, link)| {
            // Never what a file of the same bytes has.
            let digest = Digest::of(&[b"symbolic link\0", &link.target[..]].concat());
            (relative.entry(name).0, (digest, link.target.len() as u64))
        });
        self.files.extend(links);
    }
}

/// Compares an archive with something else.
pub fn diff(
    context: &Context,
    archive: &ArchiveInput,
    other: &DiffSide<'_>,
    text: Text,
) -> Result<DiffReport> {
    if matches!(
        (archive, other),
        (ArchiveInput::Stdin, DiffSide::Archive(ArchiveInput::Stdin))
    ) {
        return Err(Failure::new(Kind::Usage, "standard input is one archive, not two").into());
    }
    let (here, there) = match other {
        DiffSide::Machine(settings) => {
            let mut there = read(context, archive, text)?;
            let here = machine(context, settings, text, &there)?;
            there.files.retain(|name, _| {
                let is_compared = settings
                    .source_of(name)
                    .is_none_or(|source| source.path().is_some());
                if !is_compared {
                    context.tell(ArchiveEvent::NotCompared {
                        entry: name.clone(),
                    });
                }
                is_compared
            });
            (here, there)
        }
        DiffSide::Archive(second) => (read(context, archive, text)?, read(context, second, text)?),
    };
    let names: BTreeSet<&EntryName> = here.files.keys().chain(there.files.keys()).collect();
    Ok(DiffReport {
        entries: names
            .into_iter()
            .map(|name| compare(name, &here, &there))
            .collect(),
    })
}

fn compare(name: &EntryName, here: &Side, there: &Side) -> EntryDiff {
    let (one, two) = (here.files.get(name), there.files.get(name));
    let state = match (one, two) {
        (Some((one, _)), Some((two, _))) if one == two => DiffState::Unchanged,
        (Some(_), Some(_)) => DiffState::Changed,
        (Some(_), None) => DiffState::OnlyHere,
        (None, _) => DiffState::OnlyThere,
    };
    let text = match (state, here.texts.get(name), there.texts.get(name)) {
        (DiffState::Changed, Some(one), Some(two)) => unified(name, one, two),
        _ => None,
    };
    EntryDiff {
        entry: name.as_str().to_owned(),
        state,
        here_bytes: one.map(|(_, size)| *size),
        there_bytes: two.map(|(_, size)| *size),
        text,
    }
}

/// Returns true if the content of an entry may be shown.
fn is_text(name: &EntryName, kind: Option<&str>) -> bool {
    let is_file = kind.is_none_or(|kind| kind == "file");
    is_file && !name.as_str().contains("secret") && name.as_str() != DATABASE
}

/// Reads the state of the machine. A database whose tables are those of `archived` counts as the same, although its
/// file differs.
fn machine(context: &Context, settings: &Settings, text: Text, archived: &Side) -> Result<Side> {
    let mut side = Side::default();
    for source in &settings.sources {
        let (name, Some(path)) = (source.name.clone(), source.path()) else {
            continue;
        };
        if source.is_directory() {
            if path.is_dir() {
                let looked = crate::machine::look::read_directory(context, settings, source, path)?;
                side.add_links(&name, &looked.tree);
                for (entry, record) in looked.records {
                    let key = &entry.as_str()[name.as_str().len() + 1..];
                    let relative = relative_of(key, &record, &name).map_err(anyhow::Error::msg)?;
                    let place = path.join(OsStr::from_bytes(relative.as_bytes()));
                    let digest = archived.counts_as(context, &entry, record.checksum, &place)?;
                    side.files.insert(entry, (digest, record.size));
                }
            }
            continue;
        }
        let Some(present) = survey::present(path, |file| Box::new(context.watch(file)))? else {
            continue;
        };
        let size = path.metadata()?.len();
        let may_show =
            source.privacy == Privacy::Ordinary && is_text(&name, Some(source.kind.name()));
        if text == Text::Shown && may_show && size <= SMALL_SOURCE_BYTES {
            side.texts.insert(name.clone(), std::fs::read(path)?);
        }
        let digest = archived.counts_as(context, &name, present.digest, path)?;
        side.files.insert(name, (digest, size));
    }
    Ok(side)
}

fn read(context: &Context, archive: &ArchiveInput, text: Text) -> Result<Side> {
    archive.first_good(context, damage, |archive| {
        read_archive(context, archive, text)
    })
}

fn read_archive(context: &Context, archive: &ArchiveInput, text: Text) -> Result<Side> {
    let mut kept = Kept {
        text,
        secret: BTreeSet::new(),
        texts: BTreeMap::new(),
        heads: BTreeMap::new(),
    };
    let verified = archive.read(context, "reading", &mut kept)?;
    let files = verified
        .manifest()
        .files
        .iter()
        .map(|(name, record)| (name.clone(), (record.checksum, record.size)));
    let mut side = Side {
        files: files.collect(),
        texts: kept.texts,
        databases: kept
            .heads
            .into_iter()
            .filter_map(|(name, head)| {
                let record = verified.manifest().files.get(&name)?;
                Some((name, (record.engine()?, record.clone(), head.0)))
            })
            .collect(),
    };
    for (name, tree) in &verified.manifest().trees {
        side.add_links(name, tree);
    }
    Ok(side)
}

/// A sink that keeps the heads of databases, and the text files of an archive that are to be shown, in memory.
struct Kept {
    text: Text,
    /// The entries that the archive says are secret.
    secret: BTreeSet<EntryName>,
    texts: BTreeMap<EntryName, Vec<u8>>,
    heads: BTreeMap<EntryName, Head>,
}

/// The first bytes of what is written to it.
#[derive(Default)]
struct Head(Vec<u8>);

impl Write for Head {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = HEAD_BYTES - self.0.len();
        self.0.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Kept {
    fn begin(&mut self, manifest: &Manifest) -> Result<()> {
        let names = manifest.files.keys();
        let secret = names.filter(|name| manifest.is_secret(name));
        self.secret = secret.cloned().collect();
        Ok(())
    }

    fn entry(&mut self, name: &EntryName, record: &FileRecord) -> Result<Box<dyn Write + '_>> {
        if self.text == Text::Shown
            && !self.secret.contains(name)
            && is_text(name, record.kind.as_deref())
            && record.size <= SMALL_SOURCE_BYTES
        {
            return Ok(Box::new(self.texts.entry(name.clone()).or_default()));
        }
        if record.engine().is_some() {
            return Ok(Box::new(self.heads.entry(name.clone()).or_default()));
        }
        Ok(Box::new(io::sink()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let name = EntryName::new("config.toml").expect("a name");
        unified(&name, b"", text.as_bytes()).expect("TOML")
    }

    #[test]
    fn no_secret_is_shown_however_it_is_written() {
        for text in [
            "hmac_key = \"hunter2\"",
            "db = { user = \"x\", password = \"hunter2\" }",
            "url = \"postgres://u:hunter2@host/db\"",
            "private_key = \"\"\"\nhunter2\n\"\"\"",
            "tokens = [\n  \"hunter2\",\n]",
            "[secrets.deep]\nvalue = \"hunter2\"",
            "\"API-Key\" = 'hunter2'",
            "x = 1 # hunter2",
            "header = \"X-hunter2aaaaaaaaaa1234567890\"",
        ] {
            assert!(!shown(text).contains("hunter2"), "{}", shown(text));
        }
    }

    #[test]
    fn ordinary_values_are_shown() {
        let text = shown(
            "[server]\nlisten = \"127.0.0.1:8080\"\nworkers = 4\npath = \"/var/lib/hookshot\"\n",
        );
        for line in [
            "+server.listen = \"127.0.0.1:8080\"\n",
            "+server.workers = 4\n",
            "+server.path = \"/var/lib/hookshot\"\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
