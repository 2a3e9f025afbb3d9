//! What the state of a service consists of: `[[backup.sources]]`, or else the four files of a hookshot service.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{elsewhere::Elsewhere, nearest::nearest, schema::Reader};
use crate::{
    model::{
        entry_name::EntryName, manifest::MANIFEST_NAME, plan::Privacy, relative::is_tree_name,
        rules::Rules,
    },
    source::service::is_unit,
    work::shell::Line,
};

/// The entry of the configuration file.
pub const CONFIG: &str = "config.toml";
/// The entry of the services of a hookshot service.
pub const SERVICES: &str = "services.toml";
/// The entry of its secrets.
pub const SECRETS: &str = "secrets";
/// The entry of its database.
pub const DATABASE: &str = "state.redb";

/// The keys of every source.
const COMMON: [&str; 10] = [
    "name",
    "kind",
    "optional",
    "secret",
    "active_command",
    "service",
    "order",
    "prepare",
    "cleanup",
    "shell",
];
/// The keys of what lies at a path.
const AT_PATH: [&str; 4] = ["path", "min_files", "min_bytes", "mounted"];
const SQLITE: [&str; 5] = ["path", "active_query", "min_files", "min_bytes", "mounted"];
const DIRECTORY: [&str; 7] = [
    "path",
    "include",
    "exclude",
    "links",
    "min_files",
    "min_bytes",
    "mounted",
];
const COMMAND: [&str; 3] = ["export", "import", "min_bytes"];

/// Where an entry comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The entry's name.
    pub name: EntryName,
    /// What it is, and where.
    pub content: Content,
    /// Whether an export goes on without it.
    pub presence: Presence,
    /// Whether others may ever read it.
    pub privacy: Privacy,
    /// A command that says whether somebody is at work: if it ends well, an import is blocked.
    pub active_command: Option<String>,
    /// The systemd unit (a name that ends in `.service`, say), or the command, that tells whether the service runs: an
    /// import is refused while it does.
    pub service: Option<String>,
    /// When an export reads it.
    pub order: Order,
    /// A command that an export runs before it reads the source.
    pub prepare: Option<String>,
    /// A command that an export runs after it has read the source, whatever became of it.
    pub cleanup: Option<String>,
    /// The shell that runs the source's commands, with its options if it has any; `/bin/sh` if there is none.
    pub shell: Option<String>,
    /// The conditions under which an export believes that it is there.
    pub expected: Expected,
}

/// When an export reads a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// Before files and directories, so that the files that it names are there later.
    BeforeFiles,
    /// With the files.
    WithFiles,
    /// After files and directories.
    AfterFiles,
}

/// The conditions under which an export believes that a source is there: an empty mount point is not an empty source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expected {
    /// At least so many files.
    pub min_files: u64,
    /// At least so many bytes.
    pub min_bytes: u64,
    /// Another file system than the one of `/` holds it.
    pub mounted: bool,
}

/// The symbolic links of a directory that an import restores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Links {
    /// Those that stay inside; one that leads out stays if the same link is on this machine.
    #[default]
    Keep,
    /// All of them.
    All,
}

/// What a source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// hookshot's own configuration file.
    Config(PathBuf),
    /// A file of TOML, which has to be good.
    Toml(PathBuf),
    /// A redb database.
    Redb(PathBuf),
    /// A SQLite database.
    Sqlite {
        /// Where it is.
        path: PathBuf,
        /// A query that says who is at work in it, row by row.
        active_query: Option<String>,
    },
    /// A plain file.
    File(PathBuf),
    /// A folder with everything in it.
    Directory {
        /// Where it is.
        path: PathBuf,
        /// What of it goes along: patterns as in gitignore(5); everything where there are none.
        include: Vec<String>,
        /// What of it does not.
        exclude: Vec<String>,
        /// The links that an import restores.
        links: Links,
    },
    /// What a command prints.
    Command {
        /// Prints the entry.
        export: String,
        /// Takes the entry on its standard input.
        import: Option<String>,
    },
}

/// Whether a source has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// An export without it fails.
    Required,
    /// An export without it is one without it.
    Optional,
}

impl Content {
    /// When an export reads it unless the configuration says otherwise.
    fn default_order(&self) -> Order {
        match self {
            Content::Redb(_) | Content::Sqlite { .. } | Content::Command { .. } => {
                Order::BeforeFiles
            }
            Content::Config(_)
            | Content::Toml(_)
            | Content::File(_)
            | Content::Directory { .. } => Order::WithFiles,
        }
    }
}

impl Source {
    /// A source that has to be there, and that others may read as far as its mode says.
    pub fn new(name: EntryName, content: Content) -> Source {
        let order = content.default_order();
        Source {
            name,
            content,
            presence: Presence::Required,
            privacy: Privacy::Ordinary,
            active_command: None,
            service: None,
            order,
            prepare: None,
            cleanup: None,
            shell: None,
            expected: Expected::default(),
        }
    }

    /// Where this machine has it; nothing for a command.
    pub fn path(&self) -> Option<&Path> {
        match &self.content {
            Content::Config(path)
            | Content::Toml(path)
            | Content::Redb(path)
            | Content::Sqlite { path, .. }
            | Content::Directory { path, .. }
            | Content::File(path) => Some(path),
            Content::Command { .. } => None,
        }
    }

    /// Its kind in a manifest.
    pub fn kind(&self) -> &'static str {
        match &self.content {
            Content::Config(_) | Content::Toml(_) | Content::File(_) => "file",
            Content::Redb(_) => "redb",
            Content::Sqlite { .. } => "sqlite",
            Content::Directory { .. } => "directory",
            Content::Command { .. } => "command",
        }
    }

    /// One of its commands, with its shell.
    pub fn line<'a>(&'a self, command: &'a str) -> Line<'a> {
        Line::new(command, self.shell.as_deref())
    }

    /// Its commands, each with its key.
    pub fn commands(&self) -> Vec<(&'static str, Line<'_>)> {
        let (export, import) = match &self.content {
            Content::Command { export, import } => (Some(export), import.as_ref()),
            _ => (None, None),
        };
        let service = self.service.as_ref();
        let all = [
            ("service", service.filter(|service| !is_unit(service))),
            ("export", export),
            ("import", import),
            ("active_command", self.active_command.as_ref()),
            ("prepare", self.prepare.as_ref()),
            ("cleanup", self.cleanup.as_ref()),
        ];
        let written = all.into_iter();
        let written = written.filter_map(|(key, command)| Some((key, self.line(command?))));
        written.collect()
    }

    /// Returns true if an export takes a copy of it before anything is packed; else it is read where it lies.
    pub fn is_copied(&self) -> bool {
        match self.content {
            Content::Redb(_) | Content::Sqlite { .. } | Content::Command { .. } => true,
            Content::Config(_)
            | Content::Toml(_)
            | Content::File(_)
            | Content::Directory { .. } => false,
        }
    }

    /// Whether it is a folder with everything in it.
    pub fn is_directory(&self) -> bool {
        matches!(self.content, Content::Directory { .. })
    }

    /// The same source, as the entry `name` at `path`.
    pub(super) fn at(&self, name: EntryName, path: PathBuf) -> Source {
        let mut source = self.clone();
        source.name = name;
        match &mut source.content {
            Content::Config(place)
            | Content::Toml(place)
            | Content::Redb(place)
            | Content::Sqlite { path: place, .. }
            | Content::Directory { path: place, .. }
            | Content::File(place) => *place = path,
            Content::Command { .. } => {}
        }
        source
    }

    /// The same source, at the folder above what its pattern matches.
    pub fn above(&self, folder: &Path) -> Source {
        self.at(self.name.clone(), folder.to_owned())
    }

    /// The same source, with a path that is relative taken from `folder`.
    pub(super) fn within(&self, folder: &Path) -> Source {
        let mut source = self.clone();
        match &mut source.content {
            Content::Config(path)
            | Content::Toml(path)
            | Content::Redb(path)
            | Content::Sqlite { path, .. }
            | Content::Directory { path, .. }
            | Content::File(path) => *path = folder.join(&*path),
            Content::Command { .. } => {}
        }
        source
    }
}

impl Source {
    /// The same source at the place where `elsewhere` puts it. Below another root, what its commands say is not asked: they
    /// would ask this machine.
    pub(super) fn moved(mut self, elsewhere: &Elsewhere) -> Source {
        match &mut self.content {
            Content::Config(path)
            | Content::Toml(path)
            | Content::Redb(path)
            | Content::Sqlite { path, .. }
            | Content::Directory { path, .. }
            | Content::File(path) => *path = elsewhere.target(path),
            Content::Command { import, .. } => {
                if elsewhere.root.is_some() {
                    *import = None;
                }
            }
        }
        if elsewhere.root.is_some() {
            self.active_command = None;
            self.service = None;
        }
        self
    }
}

/// The sources of a hookshot service, in the order in which they are exported.
pub(super) fn defaults(services: PathBuf, secrets: PathBuf, database: PathBuf) -> [Source; 3] {
    [
        Source::new(plain(DATABASE), Content::Redb(database)),
        Source::new(plain(SERVICES), Content::Toml(services)),
        Source {
            presence: Presence::Optional,
            privacy: Privacy::Private,
            ..Source::new(plain(SECRETS), Content::File(secrets))
        },
    ]
}

/// The source of the configuration file.
pub(super) fn config(path: PathBuf) -> Source {
    Source::new(plain(CONFIG), Content::Config(path))
}

fn plain(name: &str) -> EntryName {
    EntryName::new(name).expect("a plain name")
}

/// Reads `[[backup.sources]]`; nothing where there are none.
pub(super) fn read(reader: &mut Reader<'_>, backup: &Table) -> Option<Vec<Source>> {
    let tables = match backup.get("sources")? {
        Value::Array(tables) => tables,
        _ => {
            reader.fault("`sources` under [backup] must be sections, [[backup.sources]]");
            return None;
        }
    };
    let mut sources: Vec<Source> = Vec::new();
    for (number, value) in tables.iter().enumerate() {
        let Value::Table(table) = value else {
            reader.fault("`sources` under [backup] must be sections, [[backup.sources]]");
            continue;
        };
        let Some(source) = one(reader, table, number + 1) else {
            continue;
        };
        let clash = sources.iter().find(|other| {
            is_within(&other.name, &source.name) || is_within(&source.name, &other.name)
        });
        if let Some(other) = clash {
            reader.fault(format!(
                "the sources {} and {} cannot both have their names",
                other.name, source.name
            ));
        }
        sources.push(source);
    }
    Some(sources)
}

/// Whether one entry has the name of another, or one below it.
fn is_within(outer: &EntryName, inner: &EntryName) -> bool {
    let rest = inner.as_str().strip_prefix(outer.as_str());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn one(reader: &mut Reader<'_>, table: &Table, number: usize) -> Option<Source> {
    let section = format!("backup.sources {number}");
    let every: Vec<&str> = COMMON
        .iter()
        .chain(&AT_PATH)
        .chain(&SQLITE)
        .chain(&DIRECTORY)
        .chain(&COMMAND)
        .copied()
        .collect();
    let name = reader.required(table, &section, "name", &every);
    let section = match &name {
        Some(name) => format!("backup.sources {name}"),
        None => section,
    };
    let Some(kind) = reader.required(table, &section, "kind", &every) else {
        reader.unknown(table, &section, &every);
        return None;
    };
    let own: &[&str] = match kind.as_str() {
        "redb" | "file" => &AT_PATH,
        "sqlite" => &SQLITE,
        "directory" => &DIRECTORY,
        "command" => &COMMAND,
        _ => {
            const KINDS: [&str; 5] = ["redb", "sqlite", "file", "directory", "command"];
            let meant = nearest(&kind, &KINDS)
                .map(|name| format!("; did you mean `{name}`?"))
                .unwrap_or_default();
            reader.fault(format!(
                "`kind` under [{section}] must be one of {}{meant}",
                KINDS.join(", ")
            ));
            return None;
        }
    };
    let known: Vec<&str> = COMMON.iter().chain(own).copied().collect();
    let kinds: [(&str, &[&str]); 5] = [
        ("redb", &AT_PATH),
        ("file", &AT_PATH),
        ("sqlite", &SQLITE),
        ("directory", &DIRECTORY),
        ("command", &COMMAND),
    ];
    let named = reader.misplaced(table, &section, &known, ("sources", &kind), &kinds);
    reader.unknown(table, &section, &named);
    let path = |reader: &mut Reader<'_>| match table.contains_key("path") {
        true => reader.path(table, &section, "path"),
        false => {
            let missing = reader.required(table, &section, "path", &known);
            missing.map(PathBuf::from)
        }
    };
    let content = match kind.as_str() {
        "redb" => Content::Redb(path(reader)?),
        "file" => Content::File(path(reader)?),
        "sqlite" => Content::Sqlite {
            path: path(reader)?,
            active_query: reader.text(table, &section, "active_query"),
        },
        "directory" => {
            let path = path(reader)?;
            let include = reader.list(table, &section, "include");
            let exclude = reader.list(table, &section, "exclude");
            for fault in Rules::new(&include, &exclude).err().unwrap_or_default() {
                reader.fault(format!("under [{section}]: {fault}"));
            }
            let links = reader.word(
                table,
                &section,
                "links",
                &[("keep", Links::Keep), ("all", Links::All)],
            );
            Content::Directory {
                path,
                include,
                exclude,
                links: links.unwrap_or_default(),
            }
        }
        _ => Content::Command {
            export: reader.required(table, &section, "export", &known)?,
            import: reader.text(table, &section, "import"),
        },
    };
    let presence = match reader.flag(table, &section, "optional") {
        true => Presence::Optional,
        false => Presence::Required,
    };
    let privacy = match reader.flag(table, &section, "secret") {
        true => Privacy::Private,
        false => Privacy::Ordinary,
    };
    let name = match EntryName::new(&name?) {
        Ok(name) if [CONFIG, MANIFEST_NAME].contains(&name.as_str()) => {
            reader.fault(format!("no source may be called {name}"));
            return None;
        }
        Ok(name) if kind == "directory" && !is_tree_name(&name) => {
            reader.fault(format!("the name of a directory has no slash: {name}"));
            return None;
        }
        Ok(name) => name,
        Err(fault) => {
            reader.fault(format!("`name` under [{section}] {fault}"));
            return None;
        }
    };
    let order = reader.word(
        table,
        &section,
        "order",
        &[
            ("before-files", Order::BeforeFiles),
            ("after-files", Order::AfterFiles),
        ],
    );
    Some(Source {
        order: order.unwrap_or_else(|| content.default_order()),
        name,
        content,
        presence,
        privacy,
        active_command: reader.text(table, &section, "active_command"),
        service: reader.text(table, &section, "service"),
        prepare: reader.text(table, &section, "prepare"),
        cleanup: reader.text(table, &section, "cleanup"),
        shell: reader.text(table, &section, "shell"),
        expected: Expected {
            min_files: reader.count(table, &section, "min_files"),
            min_bytes: reader.size(table, &section, "min_bytes"),
            mounted: reader.flag(table, &section, "mounted"),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema::Schema;

    fn sources(text: &str) -> Result<Option<Vec<Source>>, Vec<String>> {
        Schema::parse(text).map(|schema| schema.sources)
    }

    #[test]
    fn each_kind_is_read_with_its_keys() {
        let text = r#"
[[backup.sources]]
name = "db.sqlite3"
kind = "sqlite"
path = "data/db.sqlite3"
active_query = "SELECT name FROM jobs WHERE running"
[[backup.sources]]
name = "keys/rsa.pem"
kind = "file"
path = "/srv/rsa.pem"
optional = true
secret = true
[[backup.sources]]
name = "app.dump"
kind = "command"
export = "pg_dump -Fc app"
import = "pg_restore -d app"
active_command = "pgrep vacuum"
"#;
        let sources = sources(text).expect("good").expect("some");
        assert_eq!(sources.len(), 3);
        let first = sources[0].within(Path::new("/etc/app"));
        assert_eq!(first.path(), Some(Path::new("/etc/app/data/db.sqlite3")));
        assert_eq!(sources[1].presence, Presence::Optional);
        assert_eq!(sources[1].privacy, Privacy::Private);
        assert_eq!(sources[2].path(), None);
        assert_eq!(sources[2].active_command.as_deref(), Some("pgrep vacuum"));
    }

    #[test]
    fn every_fault_is_named() {
        let source = |text: &str| format!("[[backup.sources]]\n{text}\n");
        let file = |name: &str| {
            source(&format!(
                "name = \"{name}\"\nkind = \"file\"\npath = \"/x\""
            ))
        };
        for (text, says) in [
            (
                "[backup]\nsources = 1".to_owned(),
                "must be sections, [[backup.sources]]",
            ),
            (
                source("kind = \"file\"\npath = \"/x\""),
                "`name` is missing",
            ),
            (
                source("name = \"a\""),
                "`kind` is missing under [backup.sources a]",
            ),
            (
                source("name = \"a\"\nkind = \"sqlit\"\npath = \"/x\""),
                "did you mean `sqlite`?",
            ),
            (
                source("name = \"a\"\nkind = \"file\""),
                "`path` is missing under [backup.sources a]",
            ),
            (
                source("name = \"a\"\nkind = \"command\""),
                "`export` is missing",
            ),
            (
                source("name = \"a\"\nkind = \"file\"\npath = \"/x\"\nactive_query = \"x\""),
                "`active_query` under [backup.sources a] is a key of sources of the kind `sqlite`, and this one is of the kind `file`",
            ),
            (
                source("name = \"a\"\nkind = \"command\"\nexport = \"x\"\nlinks = \"all\""),
                "`links` under [backup.sources a] is a key of sources of the kind `directory`, and this one is of the kind `command`",
            ),
            (
                source("name = \"a\"\nkind = \"command\"\nexport = \"x\"\nmin_files = 1"),
                "of the kind `redb`, `file`, `sqlite`, `directory`, and this one",
            ),
            (
                source("name = \"a\"\nkind = \"file\"\npath = \"/x\"\nlinsk = \"all\""),
                "unknown key `linsk`",
            ),
            (file("../a"), "climbs out"),
            (file("config.toml"), "no source may be called config.toml"),
            (
                file("manifest.json"),
                "no source may be called manifest.json",
            ),
            (file("a") + &file("a"), "cannot both have their names"),
            (file("a") + &file("a/b"), "cannot both have their names"),
            (
                source("name = \"a/b\"\nkind = \"directory\"\npath = \"/x\""),
                "has no slash",
            ),
            (
                source("name = \"a\"\nkind = \"directory\"\npath = \"/x\"\nexclude = \"x\""),
                "`exclude` under [backup.sources a] must be a list",
            ),
            (
                source("name = \"a\"\nkind = \"directory\"\npath = \"/x\"\nexclude = [\"[a\"]"),
                "under [backup.sources a]",
            ),
        ] {
            let faults = sources(&text).expect_err(&text).join("\n");
            assert!(faults.contains(says), "{says}: {faults}");
        }
        assert!(sources(&(file("a") + &file("ab"))).is_ok());
    }
}
