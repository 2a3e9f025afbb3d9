//! The text of a manifest: a line for each record, so that people and line tools can read it.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, ser::Formatter};

use super::{
    FileRecord, Manifest,
    file_json::{WrittenFile, put},
    listed::DIRECTORIES,
    read::SECRETS_FINGERPRINT,
    record_json,
};
use crate::model::{entry_name::EntryName, tree::Tree};

impl Manifest {
    /// Returns the manifest as JSON.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(Written(self)).expect("keys are strings, and numbers are integers")
    }

    /// Returns the bytes of `manifest.json` (docs/format.md, "manifest.json").
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut text, Lines::default());
        let written = Written(self).serialize(&mut serializer);
        written.expect("keys are strings, and numbers are integers");
        text.push(b'\n');
        text
    }
}

/// A manifest that is written record by record: all records as JSON values take many times the memory of their text.
struct Written<'a>(&'a Manifest);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Written(manifest) = self;
        let mut top = serializer.serialize_map(None)?;
        put(&mut top, "app", &manifest.app)?;
        put(&mut top, "app_version", &manifest.app_version)?;
        put(&mut top, "compression", &manifest.compression)?;
        top.serialize_entry("created_at", &manifest.created_at)?;
        if !manifest.directories.is_empty() {
            let directories = manifest.directories.iter();
            let directories = directories.map(|(name, listed)| (name.as_str(), listed.to_json()));
            let directories: BTreeMap<&str, Value> = directories.collect();
            top.serialize_entry(DIRECTORIES, &directories)?;
        }
        top.serialize_entry("files", &WrittenFiles(&manifest.files))?;
        let writer = manifest.hookshot_version.to_string();
        top.serialize_entry("hookshot_version", &writer)?;
        put(&mut top, "hostname", &manifest.hostname)?;
        put(&mut top, "root", &manifest.root)?;
        let fingerprint = manifest.secrets_fingerprint.map(|found| found.to_string());
        put(&mut top, SECRETS_FINGERPRINT, &fingerprint)?;
        if !manifest.tags.is_empty() {
            top.serialize_entry("tags", &manifest.tags)?;
        }
        if !manifest.trees.is_empty() {
            top.serialize_entry(TREES, &WrittenTrees(&manifest.trees))?;
        }
        top.serialize_entry("version", &manifest.version.to_string())?;
        top.end()
    }
}

struct WrittenFiles<'a>(&'a BTreeMap<EntryName, FileRecord>);

impl Serialize for WrittenFiles<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let files = self.0.iter();
        serializer.collect_map(files.map(|(name, file)| (name.as_str(), WrittenFile(file))))
    }
}

struct WrittenTrees<'a>(&'a BTreeMap<EntryName, Tree>);

impl Serialize for WrittenTrees<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let trees = self.0.iter();
        serializer.collect_map(
            trees.map(|(name, tree)| (name.as_str(), record_json::tree_to_json(tree, name))),
        )
    }
}

const TREES: &str = "trees";

/// A layout of an object: each member of the objects at the top has its own line, indented by two spaces a level;
/// deeper members stay in one line.
#[derive(Default)]
struct Lines {
    /// The number of objects that have begun.
    depth: usize,
    /// The greatest depth at which members have lines.
    deepest: usize,
    is_key: bool,
    is_empty: bool,
}

/// The deepest level with lines in `files`, whose members are records.
const DEEPEST: usize = 2;
/// The deepest level with lines in directories, which have lists of records.
const DEEPEST_IN_TREES: usize = 4;

impl Lines {
    fn line<W: ?Sized + Write>(&self, writer: &mut W) -> io::Result<()> {
        write!(writer, "\n{:1$}", "", 2 * self.depth)
    }
}

impl Formatter for Lines {
    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        self.is_empty = true;
        writer.write_all(b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        if self.depth < self.deepest && !self.is_empty {
            self.line(writer)?;
        }
        self.is_empty = false;
        writer.write_all(b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.is_key = true;
        self.is_empty = false;
        if self.depth == 1 {
            self.deepest = DEEPEST;
        }
        if !first {
            writer.write_all(b",")?;
        }
        match self.depth <= self.deepest {
            true => self.line(writer),
            false if first => Ok(()),
            false => writer.write_all(b" "),
        }
    }

    fn end_object_key<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.is_key = false;
        Ok(())
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if self.is_key && self.depth == 1 && fragment == TREES {
            self.deepest = DEEPEST_IN_TREES;
        }
        writer.write_all(fragment.as_bytes())
    }
}
