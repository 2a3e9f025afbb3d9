//! `[backup] include`: files of what several services share, such as destinations, retention and notifications.
//!
//! The service's own file is read first. What it does not say comes from the files that it includes; the last of them
//! that says a key counts. Tables are merged key by key, lists are not.

use std::path::{Path, PathBuf};

use anyhow::Result;
use toml::{Table, Value};

use super::{
    reader::{self, Completeness},
    schema::{self, Schema},
    text::{parse_toml, read_text},
};
use crate::{
    disk::folder_of,
    model::written::unexpanded,
    store::{Word, address},
};

/// The text of a reference to a file, before its path.
const FILE: &str = "file:";

/// A configuration file and the files that it includes.
pub struct Layers {
    /// The service's own file.
    own: Table,
    /// The included files, in the order in which they are named. Their paths are absolute.
    included: Vec<(PathBuf, Table)>,
}

/// The meaning of an included file that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// A fault.
    Refused,
    /// Nothing: the configuration comes from an archive, and its shared files are not here yet.
    LeftOut,
}

impl Layers {
    /// Reads a configuration and the files that it includes. `folder` has the configuration; `place` returns the place
    /// of a path that it names. The inner error has every fault of the files; the outer one is a file that cannot be
    /// read.
    pub fn read(
        text: &str,
        folder: &Path,
        place: &dyn Fn(PathBuf) -> PathBuf,
        missing: Missing,
    ) -> Result<Result<Layers, Vec<String>>> {
        let own = match parse_toml(text) {
            Ok(own) => own,
            Err(fault) => return Ok(Err(vec![fault])),
        };
        let (mut included, mut faults) = (Vec::new(), Vec::new());
        for name in schema::included_by(&own) {
            if let Some(fault) = unexpanded(name, "in the configuration") {
                faults.push(format!("`include` under [backup]: {fault}"));
                continue;
            }
            let path = place(folder.join(name));
            let shown = path.display();
            let Some(text) = read_text(&path)? else {
                if missing == Missing::Refused {
                    faults.push(format!("the included file {shown} does not exist"));
                }
                continue;
            };
            match shared(&text, &path) {
                Ok(table) => included.push((path, table)),
                Err(found) => {
                    faults.extend(found.into_iter().map(|fault| format!("{shown}: {fault}")));
                }
            }
        }
        let layers = Layers { own, included };
        if faults.is_empty() {
            return Ok(Ok(layers));
        }
        let own = layers.written().err().unwrap_or_default();
        faults.splice(0..0, own);
        Ok(Err(faults))
    }

    /// Returns the content of the service's own file alone. What an included file may say is not missed.
    pub fn written(&self) -> Result<Schema, Vec<String>> {
        schema::read_table(&self.own)
    }

    /// Returns what the files say together.
    pub fn schema(&self) -> Result<Schema, Vec<String>> {
        match self.included.is_empty() {
            true => self.written(),
            false => reader::read_table(&self.merged(), Completeness::Whole, schema::read),
        }
    }

    /// Returns the paths of the included files.
    pub fn paths(&self) -> Vec<PathBuf> {
        let included = self.included.iter();
        included.map(|(path, _)| path.clone()).collect()
    }

    /// Returns the service's own table, and the included ones with their paths, the one that counts most first.
    pub fn by_rank(&self) -> impl Iterator<Item = (Option<&Path>, &Table)> {
        let included = self.included.iter().rev();
        let included = included.map(|(path, table)| (Some(path.as_path()), table));
        std::iter::once((None, &self.own)).chain(included)
    }

    fn merged(&self) -> Table {
        let mut merged = self.own.clone();
        for (_, table) in self.included.iter().rev() {
            add_missing(&mut merged, table);
        }
        merged
    }
}

/// Reads an included file, or names its faults. Its paths become absolute.
fn shared(text: &str, path: &Path) -> Result<Table, Vec<String>> {
    let mut table = parse_toml(text).map_err(|fault| vec![fault])?;
    let mut faults = Vec::new();
    for key in table.keys().filter(|key| *key != "backup") {
        faults.push(format!(
            "an included file has [backup] alone, and not `{key}`"
        ));
    }
    let backup = table.get("backup").and_then(Value::as_table);
    for (key, reason) in [
        ("include", "included files include no others"),
        (
            "sources",
            "the sources of a service stand in its own file, which its archives hold",
        ),
    ] {
        if backup.is_some_and(|backup| backup.contains_key(key)) {
            faults.push(format!(
                "`{key}` under [backup] of an included file: {reason}"
            ));
        }
    }
    let read = reader::read_table(&table, Completeness::Part, schema::read);
    faults.extend(read.err().unwrap_or_default());
    if !faults.is_empty() {
        return Err(faults);
    }
    let paths = reader::paths(schema::read);
    let folder = folder_of(path);
    for (key, value) in &mut table {
        anchor(key, value, &paths, &folder);
    }
    let backup = table.get_mut("backup").and_then(Value::as_table_mut);
    let destinations = backup.and_then(|backup| backup.get_mut("destinations")?.as_table_mut());
    for (_, destination) in destinations.into_iter().flatten() {
        if let Some(Value::String(url)) = destination.get_mut("url")
            && matches!(address::read(url), Ok(Word::Path))
        {
            *url = folder.join(&*url).display().to_string();
        }
    }
    Ok(table)
}

/// Makes the relative paths of a value absolute: of keys that are paths, and of references to files.
fn anchor(key: &str, value: &mut Value, paths: &[&str], folder: &Path) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                anchor(key, value, paths, folder);
            }
        }
        Value::Array(values) => {
            for value in values {
                anchor(key, value, paths, folder);
            }
        }
        Value::String(text) => {
            let (kind, path) = match text.strip_prefix(FILE) {
                Some(path) => (FILE, path),
                None => ("", text.as_str()),
            };
            if kind == FILE || paths.contains(&key) {
                *text = format!("{kind}{}", folder.join(path).display());
            }
        }
        _ => {}
    }
}

/// Adds what a table does not say.
fn add_missing(into: &mut Table, from: &Table) {
    for (key, value) in from {
        match (into.get_mut(key), value) {
            (Some(Value::Table(into)), Value::Table(from)) => add_missing(into, from),
            (Some(_), _) => {}
            (None, value) => drop(into.insert(key.clone(), value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        archive::writer::Level,
        disk::publish::{Existing, publish},
        store::Address,
    };

    /// Reads a configuration in a folder with the files `common.toml` and `more.toml`.
    fn read(own: &str, common: &str, more: &str) -> Result<(Schema, PathBuf), Vec<String>> {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in [("common.toml", common), ("more.toml", more)] {
            let path = folder.path().join(name);
            publish(&path, text.as_bytes(), Existing::Keep).expect("written");
        }
        let here = |path| path;
        let layers = Layers::read(own, folder.path(), &here, Missing::Refused).expect("readable");
        Ok((layers?.schema()?, folder.path().to_owned()))
    }

    const INCLUDE: &str = "[backup]\ninclude = [\"common.toml\", \"more.toml\"]\n";

    #[test]
    fn the_own_file_wins_tables_merge_and_lists_do_not() {
        let own = format!(
            "{INCLUDE}to = [\"usb\"]\n[backup.retention]\nkeep_daily = 3\n[backup.destinations.usb]\ntimeout = \"7s\"\n"
        );
        let common = "[backup]\nto = [\"usb\", \"nas\"]\nprefix = \"shared\"\nlevel = 9\n[backup.retention]\n\
            keep_daily = 9\nkeep_weekly = 4\n[backup.destinations.usb]\nurl = \"usb\"\ntimeout = \"60s\"\n\
            [backup.destinations.nas]\nurl = \"s3://b/x\"\nsecret_access_key = \"file:key\"\nca_file = \"ca.pem\"\n";
        let (schema, folder) = read(&own, common, "[backup]\nprefix = \"later\"\n").expect("good");
        assert_eq!(schema.to, ["usb"]);
        assert_eq!(schema.prefix, "later");
        assert_eq!(schema.level, Level::new(9).expect("a level"));
        let policy = serde_json::to_value(schema.retention.policy)
            .expect("JSON")
            .to_string();
        assert!(policy.contains('3') && policy.contains('4'), "{policy}");
        assert!(!policy.contains('9'), "{policy}");
        let usb = &schema.destinations["usb"];
        assert_eq!(usb.options.transfer.timeout.as_secs(), 7);
        assert_eq!(usb.address, Address::Folder(folder.join("usb")));
        let nas = &schema.destinations["nas"];
        let key = format!("file:{}", folder.join("key").display());
        assert!(
            nas.options
                .secrets()
                .iter()
                .any(|secret| secret.text.reveal() == key)
        );
    }

    #[test]
    fn every_fault_of_an_included_file_is_named_with_the_file() {
        let own = format!("{INCLUDE}prefx = \"a\"\n");
        let common = "[server]\nlisten = 1\n[backup]\ninclude = [\"x\"]\nlevl = 1\n[[backup.sources]]\nname = \"a\"\n";
        let faults = read(&own, common, "a = \n").expect_err("bad");
        let all = faults.join("\n");
        for says in [
            "unknown key `prefx` under [backup]",
            "common.toml: an included file has [backup] alone, and not `server`",
            "common.toml: `include` under [backup] of an included file",
            "common.toml: `sources` under [backup] of an included file",
            "common.toml: unknown key `levl` under [backup]; did you mean `level`?",
            "more.toml: line 1: not valid TOML",
        ] {
            assert!(all.contains(says), "{says}: {all}");
        }
        let gone = read("[backup]\ninclude = [\"gone.toml\"]\n", "", "").expect_err("missing");
        assert!(gone[0].contains("gone.toml does not exist"), "{gone:?}");
    }

    #[test]
    fn a_file_alone_does_not_miss_what_an_included_one_may_say() {
        let own = format!("{INCLUDE}to = [\"nas\"]\n[backup.destinations.nas]\nenabled = false\n");
        assert!(Schema::parse(&own).is_ok());
        let alone = own.replace("include", "exclude");
        assert_eq!(Schema::parse(&alone).expect_err("bad").len(), 1);
        let faults = read(&own, "", "").expect_err("no file says where it is");
        assert!(faults[0].contains("`url` is missing"), "{faults:?}");
    }
}
