//! What hookshot reads of config.toml, with every fault named and no value ever repeated: it may be a secret.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use toml::{Table, Value};

use super::{
    destinations::{self, Destination},
    nearest::nearest,
    quantity,
    retention::{self, Retention},
    sources::{self, Source},
};
use crate::{
    archive::writer::Level,
    model::{
        archive_name::{DEFAULT_PREFIX, is_prefix},
        method::Method,
        rules::Rules,
        version::VersionRule,
        written::unexpanded,
    },
    store::{Word, address},
};

/// The keys under `[backup]`.
const BACKUP_KEYS: [&str; 19] = [
    "app",
    "app_version",
    "app_version_command",
    "cleanup",
    "compact",
    "destinations",
    "exclude",
    "include_config",
    "level",
    "prefix",
    "prepare",
    "prepare_timeout",
    "retention",
    "service",
    "snapshot",
    "sources",
    "tags",
    "to",
    "version_rule",
];

/// What the file says; what it does not say has its default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// `[storage] data_dir`.
    pub data_dir: Option<PathBuf>,
    /// `[secrets] file`.
    pub secrets_file: Option<PathBuf>,
    /// `[logging] level`.
    pub log_level: Option<String>,
    /// `[logging] format`.
    pub log_format: Option<String>,
    /// `[backup] app`: the name of what is exported.
    pub app: String,
    /// `[backup] app_version`.
    pub app_version: Option<String>,
    /// `[backup] app_version_command`: prints it.
    pub app_version_command: Option<String>,
    /// `[backup] version_rule`: which versions of it an import accepts.
    pub version_rule: VersionRule,
    /// `[backup] service`: the systemd unit, or the command, that tells whether the service runs.
    pub service: Option<String>,
    /// `[backup] prefix`: what names of archives start with.
    pub prefix: String,
    /// `[backup] level`: how hard to compress.
    pub level: Level,
    /// `[backup] snapshot`: how the database is copied.
    pub snapshot: Method,
    /// `[backup] compact`: whether its copy is made as small as redb can make it.
    pub compact: bool,
    /// `[backup.tags]`: labels of every archive.
    pub tags: BTreeMap<String, String>,
    /// `[backup.destinations.NAME]`: where archives are kept.
    pub destinations: BTreeMap<String, Destination>,
    /// `[backup.retention]`: which archives stay, where a destination does not say otherwise.
    pub retention: Retention,
    /// `[[backup.sources]]`: what the state consists of, where it is not that of a hookshot service.
    pub sources: Option<Vec<Source>>,
    /// `[backup] include_config`: whether the configuration file goes along.
    pub include_config: bool,
    /// `[backup] to`: the destinations that exports and backups go to unless something else is said.
    pub to: Vec<String>,
    /// `[backup] exclude`: what goes along of no directory, as patterns; those of the directory come after them.
    pub exclude: Vec<String>,
    /// `[backup] prepare`: a command that an export runs before anything else.
    pub prepare: Option<String>,
    /// `[backup] cleanup`: a command that it runs at its end, whatever became of it.
    pub cleanup: Option<String>,
    /// `[backup] prepare_timeout`: how long each command around an export may take.
    pub prepare_timeout: Duration,
    /// True if there is a section `[backup]` at all.
    pub has_backup: bool,
}

/// The time that a command around an export may take, unless the configuration says otherwise.
const PREPARE_TIMEOUT: Duration = Duration::from_secs(600);

impl Schema {
    /// Reads the text of a configuration file, or names every fault in it.
    pub fn parse(text: &str) -> Result<Schema, Vec<String>> {
        let table = parse_toml(text).map_err(|fault| vec![fault])?;
        let mut faults = Vec::new();
        let mut reader = Reader {
            faults: &mut faults,
        };
        let storage = reader.section(&table, "storage");
        let secrets = reader.section(&table, "secrets");
        let logging = reader.section(&table, "logging");
        let backup = reader.section(&table, "backup");
        reader.unknown(&backup, "backup", &BACKUP_KEYS);
        let retention = reader.section(&backup, "retention");
        let retention = retention::read(&mut reader, &retention, "backup.retention");
        let destinations = destinations::read(&mut reader, &backup);
        let to = destinations::read_to(&mut reader, &backup, &destinations);
        let schema = Schema {
            data_dir: reader.path(&storage, "storage", "data_dir"),
            secrets_file: reader.path(&secrets, "secrets", "file"),
            // The service may know more levels and formats than hookshot: those are its own affair.
            log_level: logging
                .get("level")
                .and_then(Value::as_str)
                .map(str::to_owned),
            log_format: logging
                .get("format")
                .and_then(Value::as_str)
                .map(str::to_owned),
            app: reader
                .text(&backup, "backup", "app")
                .unwrap_or_else(|| "hookshot".to_owned()),
            app_version: reader.text(&backup, "backup", "app_version"),
            app_version_command: reader.text(&backup, "backup", "app_version_command"),
            version_rule: reader
                .word(&backup, "backup", "version_rule", &VersionRule::NAMES)
                .unwrap_or(VersionRule::Any),
            service: reader.text(&backup, "backup", "service"),
            prefix: reader.prefix(&backup),
            level: reader.level(&backup),
            snapshot: reader
                .word(&backup, "backup", "snapshot", &Method::NAMES)
                .unwrap_or(Method::Auto),
            compact: reader.flag(&backup, "backup", "compact"),
            tags: reader.strings(&backup, "backup", "tags"),
            sources: sources::read(&mut reader, &backup),
            include_config: !backup.contains_key("include_config")
                || reader.flag(&backup, "backup", "include_config"),
            destinations,
            retention,
            to,
            exclude: reader.patterns(&backup, "backup", "exclude"),
            prepare: reader.text(&backup, "backup", "prepare"),
            cleanup: reader.text(&backup, "backup", "cleanup"),
            prepare_timeout: reader.time(&backup, "backup", "prepare_timeout", PREPARE_TIMEOUT),
            has_backup: table.contains_key("backup"),
        };
        if faults.is_empty() {
            Ok(schema)
        } else {
            Err(faults)
        }
    }
}

impl Schema {
    /// The keys under `[backup]` that say something else here than in `other`; `None` if all say the same.
    pub fn backup_differences(&self, other: &Schema) -> Option<Vec<&'static str>> {
        // What is not under [backup] counts as the same, and so does a section that says nothing.
        let alike = Schema {
            data_dir: self.data_dir.clone(),
            secrets_file: self.secrets_file.clone(),
            log_level: self.log_level.clone(),
            log_format: self.log_format.clone(),
            has_backup: self.has_backup,
            ..other.clone()
        };
        if alike == *self {
            return None;
        }
        let keys = [
            ("app", self.app != other.app),
            ("app_version", self.app_version != other.app_version),
            (
                "app_version_command",
                self.app_version_command != other.app_version_command,
            ),
            ("version_rule", self.version_rule != other.version_rule),
            ("prefix", self.prefix != other.prefix),
            ("level", self.level != other.level),
            ("snapshot", self.snapshot != other.snapshot),
            ("compact", self.compact != other.compact),
            ("tags", self.tags != other.tags),
            ("destinations", self.destinations != other.destinations),
            ("retention", self.retention != other.retention),
            ("sources", self.sources != other.sources),
            (
                "include_config",
                self.include_config != other.include_config,
            ),
            ("to", self.to != other.to),
            ("exclude", self.exclude != other.exclude),
            ("prepare", self.prepare != other.prepare),
            ("cleanup", self.cleanup != other.cleanup),
            (
                "prepare_timeout",
                self.prepare_timeout != other.prepare_timeout,
            ),
        ];
        let differing = keys.into_iter().filter(|(_, differs)| *differs);
        Some(differing.map(|(key, _)| key).collect())
    }
}

/// Parses TOML. The fault names the line and not its content.
pub fn parse_toml(text: &str) -> Result<Table, String> {
    text.parse::<Table>().map_err(|error| {
        let line = error
            .span()
            .map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        let line = line
            .map(|line| format!("line {line}: "))
            .unwrap_or_default();
        format!("{line}not valid TOML: {}", without_quotes(error.message()))
    })
}

/// The parser's message up to the first thing that it repeats from the file.
fn without_quotes(message: &str) -> &str {
    message
        .split(['\n', '`', '"', '\''])
        .next()
        .unwrap_or_default()
        .trim_end()
        .trim_end_matches(':')
}

/// Takes values out of sections, and collects what is wrong with them.
pub(super) struct Reader<'a> {
    faults: &'a mut Vec<String>,
}

impl Reader<'_> {
    fn section(&mut self, table: &Table, name: &str) -> Table {
        match table.get(name) {
            None => Table::new(),
            Some(Value::Table(section)) => section.clone(),
            Some(_) => {
                self.faults
                    .push(format!("`{name}` must be a section, [{name}]"));
                Table::new()
            }
        }
    }

    pub(super) fn text(&mut self, section: &Table, name: &str, key: &str) -> Option<String> {
        match section.get(key)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            _ => {
                self.faults.push(format!(
                    "`{key}` under [{name}] must be a string that is not empty"
                ));
                None
            }
        }
    }

    /// A path, which no shell expands.
    pub(super) fn path(&mut self, section: &Table, name: &str, key: &str) -> Option<PathBuf> {
        let path = self.text(section, name, key)?;
        if let Some(fault) = unexpanded(&path, "in the configuration") {
            self.fault(format!("`{key}` under [{name}]: {fault}"));
        } else if !matches!(address::read(&path), Ok(Word::Path)) {
            self.fault(format!(
                "`{key}` under [{name}] looks like a place elsewhere, and must be a path: with ./ before it, it is one"
            ));
        }
        Some(PathBuf::from(path))
    }

    /// A text that has to be there. If one of the other keys is a slip of it, that is said elsewhere: see
    /// [`Reader::unknown`].
    pub(super) fn required(
        &mut self,
        table: &Table,
        section: &str,
        key: &str,
        known: &[&str],
    ) -> Option<String> {
        if table.contains_key(key) {
            return self.text(table, section, key);
        }
        let mut others = table
            .keys()
            .filter(|other| !known.contains(&other.as_str()));
        if !others.any(|other| nearest(other, known) == Some(key)) {
            self.fault(format!("`{key}` is missing under [{section}]"));
        }
        None
    }

    fn prefix(&mut self, backup: &Table) -> String {
        let prefix = self
            .text(backup, "backup", "prefix")
            .unwrap_or_else(|| DEFAULT_PREFIX.to_owned());
        if !is_prefix(&prefix) {
            self.faults.push(
                "`prefix` under [backup] may have letters, digits, `.`, `_` and `-`, at most 100"
                    .to_owned(),
            );
        }
        prefix
    }

    fn level(&mut self, backup: &Table) -> Level {
        let Some(value) = backup.get("level") else {
            return Level::DEFAULT;
        };
        let level = value
            .as_integer()
            .and_then(|level| Level::new(u8::try_from(level).ok()?));
        if level.is_none() {
            self.faults.push(format!(
                "`level` under [backup] must be a number from 0 to {}",
                Level::MAX
            ));
        }
        level.unwrap_or(Level::DEFAULT)
    }

    /// One of the words that have a meaning.
    pub(super) fn word<T: Copy>(
        &mut self,
        table: &Table,
        section: &str,
        key: &str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let word = self.text(table, section, key)?;
        let found = words.iter().find(|(known, _)| *known == word);
        if found.is_none() {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let words = words.join(", ");
            self.fault(format!("`{key}` under [{section}] must be one of {words}"));
        }
        found.map(|(_, value)| *value)
    }

    /// A number of things; 0 if it is not there.
    pub(super) fn count(&mut self, table: &Table, section: &str, key: &str) -> u64 {
        let Some(value) = table.get(key) else {
            return 0;
        };
        let count = value
            .as_integer()
            .and_then(|number| u64::try_from(number).ok());
        if count.is_none() {
            self.fault(format!("`{key}` under [{section}] must be a number"));
        }
        count.unwrap_or(0)
    }

    /// A size in bytes; 0 if it is not there.
    pub(super) fn size(&mut self, table: &Table, section: &str, key: &str) -> u64 {
        let Some(value) = table.get(key) else {
            return 0;
        };
        let size = quantity::size(value);
        if size.is_none() {
            self.fault(format!(
                "`{key}` under [{section}] must be a size, as in \"10 MB\""
            ));
        }
        size.unwrap_or(0)
    }

    pub(super) fn flag(&mut self, section: &Table, name: &str, key: &str) -> bool {
        match section.get(key) {
            None => false,
            Some(Value::Boolean(flag)) => *flag,
            Some(_) => {
                self.faults
                    .push(format!("`{key}` under [{name}] must be true or false"));
                false
            }
        }
    }

    /// A list of strings.
    pub(super) fn list(&mut self, section: &Table, name: &str, key: &str) -> Vec<String> {
        let texts: Option<Vec<String>> = match section.get(key) {
            None => return Vec::new(),
            Some(Value::Array(values)) => {
                let texts = values.iter().map(|value| value.as_str().map(str::to_owned));
                texts.collect()
            }
            Some(_) => None,
        };
        if texts.is_none() {
            self.fault(format!("`{key}` under [{name}] must be a list of strings"));
        }
        texts.unwrap_or_default()
    }

    /// A list of patterns as in gitignore(5).
    fn patterns(&mut self, section: &Table, name: &str, key: &str) -> Vec<String> {
        let patterns = self.list(section, name, key);
        for fault in Rules::new(&[], &patterns).err().unwrap_or_default() {
            self.fault(format!("under [{name}]: {fault}"));
        }
        patterns
    }

    /// A time that is not zero.
    fn time(&mut self, section: &Table, name: &str, key: &str, default: Duration) -> Duration {
        let Some(value) = section.get(key) else {
            return default;
        };
        let time = quantity::duration(value).filter(|time| !time.is_zero());
        if time.is_none() {
            self.fault(format!(
                "`{key}` under [{name}] must be a time, as in \"90s\""
            ));
        }
        time.unwrap_or(default)
    }

    /// A table of strings.
    pub(super) fn strings(
        &mut self,
        section: &Table,
        name: &str,
        key: &str,
    ) -> BTreeMap<String, String> {
        let mut strings = BTreeMap::new();
        match section.get(key) {
            None => {}
            Some(Value::Table(table)) => {
                for (word, value) in table {
                    match value {
                        Value::String(text) => drop(strings.insert(word.clone(), text.clone())),
                        _ => self.fault(format!("`{word}` under [{name}.{key}] must be a string")),
                    }
                }
            }
            Some(_) => self.fault(format!(
                "`{key}` under [{name}] must be a section, [{name}.{key}]"
            )),
        }
        strings
    }

    /// Names the keys that are not known, with the nearest that is.
    pub(super) fn unknown(&mut self, section: &Table, name: &str, known: &[&str]) {
        for key in section.keys().filter(|key| !known.contains(&key.as_str())) {
            let meant = nearest(key, known)
                .map(|name| format!("; did you mean `{name}`?"))
                .unwrap_or_default();
            self.fault(format!("unknown key `{key}` under [{name}]{meant}"));
        }
    }

    /// Names the keys that only other kinds of such a section have. `what` are the sections in words, `kinds` every kind with its
    /// keys. Returns the keys that are known or named.
    pub(super) fn misplaced<'a>(
        &mut self,
        section: &'a Table,
        name: &str,
        known: &[&'a str],
        (what, own): (&str, &str),
        kinds: &[(&str, &[&str])],
    ) -> Vec<&'a str> {
        let mut named = known.to_vec();
        let others = section.keys().map(String::as_str);
        for key in others.filter(|key| !known.contains(key)) {
            let kinds = kinds.iter().filter(|(_, keys)| keys.contains(&key));
            let kinds: Vec<String> = kinds.map(|(kind, _)| format!("`{kind}`")).collect();
            if !kinds.is_empty() {
                named.push(key);
                let kinds = kinds.join(", ");
                self.fault(format!(
                    "`{key}` under [{name}] is a key of {what} of the kind {kinds}, and this one is of the kind `{own}`"
                ));
            }
        }
        named
    }

    /// Something that is not right.
    pub(super) fn fault(&mut self, fault: impl Into<String>) {
        self.faults.push(fault.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sections_of_the_service_are_let_be() {
        let schema = Schema::parse(
            "[server]\nlisten = \"x\"\n[storage]\ndata_dir = \"/srv\"\nother = 1\n[logging]\nformat = \"pretty\"\n",
        );
        assert_eq!(schema.expect("good").data_dir, Some(PathBuf::from("/srv")));
        assert_eq!(Schema::parse("").expect("good").prefix, DEFAULT_PREFIX);
    }

    #[test]
    fn only_what_stands_under_backup_makes_a_difference_there() {
        let schema = |text: &str| Schema::parse(text).expect("good");
        let here = schema("[storage]\ndata_dir = \"/a\"\n[backup]\nprefix = \"x\"\n");
        assert!(here.has_backup && !schema("[storage]\n").has_backup);
        let same = "[storage]\ndata_dir = \"/b\"\n[logging]\nlevel = \"debug\"\n[backup]\nprefix = 'x'\nlevel = 5\n";
        let same = Schema {
            level: here.level,
            ..schema(same)
        };
        assert_eq!(here.backup_differences(&same), None);
        let other = "[backup]\nto = [\"y\"]\n[backup.destinations.y]\nurl = \"/y\"\n";
        assert_eq!(
            here.backup_differences(&schema(other)),
            Some(vec!["prefix", "destinations", "to"])
        );
    }

    #[test]
    fn every_fault_is_named_with_the_nearest_right_key() {
        let faults = Schema::parse("storage = 1\n[backup]\nprefx = \"a\"\nlevel = 13\nprefix = \"a/b\"\ntags = { a = 1 }\n").expect_err("bad");
        let all = faults.join("\n");
        for says in [
            "`storage` must be a section",
            "unknown key `prefx` under [backup]; did you mean `prefix`?",
            "`level`",
            "`prefix` under",
            "`a` under [backup.tags]",
        ] {
            assert!(all.contains(says), "{says}: {all}");
        }
        assert_eq!(faults.len(), 5);
    }

    #[test]
    fn a_fault_names_the_line_and_never_the_value() {
        for text in [
            "a = 1\nkey = hunter2\n",
            "a = 1\nkey = \"hunter2\n",
            "a = 1\nhunter2\n",
            "a = 1\n[hunter2\n",
            "x = 1\nhunter2 = 1\nhunter2 = 2\n",
        ] {
            let fault = parse_toml(text).expect_err(text);
            assert!(!fault.contains("hunter2"), "{fault}");
            assert!(fault.starts_with("line "), "{fault}");
        }
    }
}
