//! `diff`: what differs between an archive and this machine's state, or between two archives.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
};

use anyhow::Result;
use serde::Serialize;
use similar::TextDiff;

use super::{Context, archive_input::Location, entries::Role};
use crate::{
    archive::Sink,
    config::Settings,
    disk::survey,
    error::{Failure, Kind},
    model::{
        digest::Digest,
        entry_name::EntryName,
        limits::SMALL_SOURCE_BYTES,
        manifest::{FileRecord, Manifest},
        plan::Privacy,
    },
};

/// What an archive is compared with.
pub enum Other<'a> {
    /// This machine's state.
    Machine(&'a Settings),
    /// Another archive.
    Archive(&'a Location),
}

/// Whether text files are compared line by line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// They are.
    Shown,
    /// Only whether they differ.
    Hidden,
}

/// What differs.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Entry by entry, sorted by name.
    pub entries: Vec<Entry>,
}

/// How one entry compares. `here` is the machine, or the first of two archives; `there` is the other.
#[derive(Debug, Serialize)]
pub struct Entry {
    /// Its name.
    pub entry: String,
    /// `unchanged`, `changed`, `only_here` or `only_there`.
    pub state: &'static str,
    /// Its size here.
    pub here_bytes: Option<u64>,
    /// Its size there.
    pub there_bytes: Option<u64>,
    /// The lines that differ, as a unified diff.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl Report {
    /// Whether anything differs.
    pub fn differs(&self) -> bool {
        self.entries.iter().any(|entry| entry.state != "unchanged")
    }
}

/// One side of the comparison.
#[derive(Default)]
struct Side {
    files: BTreeMap<EntryName, (Digest, u64)>,
    texts: BTreeMap<EntryName, Vec<u8>>,
}

/// Compares an archive with something else.
pub fn diff(
    context: &Context,
    archive: &Location,
    other: &Other<'_>,
    text: Text,
) -> Result<Report> {
    if *archive == Location::Stdin && matches!(other, Other::Archive(Location::Stdin)) {
        return Err(Failure::new(Kind::Usage, "standard input is one archive, not two").into());
    }
    let (here, there) = match other {
        Other::Machine(settings) => (
            machine(context, settings, text)?,
            read(context, archive, text)?,
        ),
        Other::Archive(second) => (read(context, archive, text)?, read(context, second, text)?),
    };
    let names: BTreeSet<&EntryName> = here.files.keys().chain(there.files.keys()).collect();
    Ok(Report {
        entries: names
            .into_iter()
            .map(|name| compare(name, &here, &there))
            .collect(),
    })
}

fn compare(name: &EntryName, here: &Side, there: &Side) -> Entry {
    let (one, two) = (here.files.get(name), there.files.get(name));
    let state = match (one, two) {
        (Some(one), Some(two)) if one == two => "unchanged",
        (Some(_), Some(_)) => "changed",
        (Some(_), None) => "only_here",
        (None, _) => "only_there",
    };
    let text = match (state, here.texts.get(name), there.texts.get(name)) {
        ("changed", Some(one), Some(two)) => unified(name, one, two),
        _ => None,
    };
    Entry {
        entry: name.as_str().to_owned(),
        state,
        here_bytes: one.map(|(_, size)| *size),
        there_bytes: two.map(|(_, size)| *size),
        text,
    }
}

fn unified(name: &EntryName, here: &[u8], there: &[u8]) -> Option<String> {
    let (here, there) = (
        std::str::from_utf8(here).ok()?,
        std::str::from_utf8(there).ok()?,
    );
    let (here, there) = (masked(here), masked(there));
    let diff = TextDiff::from_lines(&here, &there);
    Some(
        diff.unified_diff()
            .context_radius(3)
            .header(&format!("here/{name}"), &format!("there/{name}"))
            .to_string(),
    )
}

/// The text without the values of keys that sound like secrets: they may stand in a configuration, and a diff is
/// pasted into chats. Whether such a value changed is told by the entry's state.
fn masked(text: &str) -> String {
    const WORDS: [&str; 9] = [
        "secret",
        "password",
        "passwd",
        "passphrase",
        "token",
        "api_key",
        "apikey",
        "private_key",
        "access_key",
    ];
    let line = |line: &str| match line.split_once('=') {
        Some((key, value))
            if WORDS
                .iter()
                .any(|word| key.to_ascii_lowercase().replace('-', "_").contains(word)) =>
        {
            let end = if value.ends_with('\n') { "\n" } else { "" };
            format!("{key}= ***{end}")
        }
        _ => crate::model::entry_name::printable_lines(line),
    };
    text.split_inclusive('\n').map(line).collect()
}

/// Whether the content of an entry may be looked at.
fn is_text(name: &EntryName, record_kind: Option<&str>) -> bool {
    let role = Role::of(name);
    let private = role.is_some_and(|role| role.privacy() == Privacy::Private)
        || name.as_str().contains("secret");
    !private && role != Some(Role::Database) && record_kind != Some("redb")
}

fn machine(context: &Context, settings: &Settings, text: Text) -> Result<Side> {
    let mut side = Side::default();
    for role in Role::ALL {
        let (name, path) = (role.name(), role.path(settings));
        let Some(present) = survey::present(&path, |file| Box::new(context.watch(file)))? else {
            continue;
        };
        let size = path.metadata()?.len();
        if text == Text::Shown && is_text(&name, None) && size <= SMALL_SOURCE_BYTES {
            side.texts.insert(name.clone(), std::fs::read(&path)?);
        }
        side.files.insert(name, (present.digest, size));
    }
    Ok(side)
}

fn read(context: &Context, archive: &Location, text: Text) -> Result<Side> {
    let mut texts = Texts {
        text,
        kept: BTreeMap::new(),
    };
    let verified = archive.read(context, "reading", &mut texts)?;
    let files = verified
        .manifest()
        .files
        .iter()
        .map(|(name, record)| (name.clone(), (record.checksum, record.size)));
    Ok(Side {
        files: files.collect(),
        texts: texts.kept,
    })
}

/// Keeps the text files of an archive in memory, as far as somebody wants to see them.
struct Texts {
    text: Text,
    kept: BTreeMap<EntryName, Vec<u8>>,
}

impl Sink for Texts {
    fn begin(&mut self, _: &Manifest) -> Result<()> {
        Ok(())
    }

    fn entry(&mut self, name: &EntryName, record: &FileRecord) -> Result<Box<dyn Write + '_>> {
        if self.text == Text::Shown
            && is_text(name, record.kind.as_deref())
            && record.size <= SMALL_SOURCE_BYTES
        {
            return Ok(Box::new(self.kept.entry(name.clone()).or_default()));
        }
        Ok(Box::new(io::sink()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_sound_like_secrets_are_masked() {
        let text = masked(
            "listen = \"x\"\nhmac_secret = \"hunter2\"\nAPI-Key= \"hunter2\"\n[a]\ntoken=\"hunter2\"",
        );
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("listen = \"x\"\n"), "{text}");
    }
}
