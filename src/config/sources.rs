//! The sources of the state: those of `[[backup.sources]]`, or else the four files of a hookshot service.

use std::path::{Path, PathBuf};

use super::elsewhere::Elsewhere;
use crate::{
    model::{entry_name::EntryName, plan::Privacy},
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

/// The place and the kind of an entry on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The entry's name.
    pub name: EntryName,
    /// Its kind and its place.
    pub content: SourceKind,
    /// Required if an export fails without it.
    pub presence: Presence,
    /// Private if others may never read it.
    pub privacy: Privacy,
    /// A command that reports active work; an import is blocked meanwhile.
    pub active_command: Option<String>,
    /// The systemd unit (a name that ends in `.service`, say), or the command, that tells whether the service runs: an
    /// import is refused while it does.
    pub service: Option<String>,
    /// The moment at which an export reads it.
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

/// The moment at which an export reads a source.
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

/// The kind of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKind {
    /// hookshot's own configuration file.
    Config(PathBuf),
    /// A file of TOML, which has to be good.
    Toml(PathBuf),
    /// A redb database.
    Redb(PathBuf),
    /// A SQLite database.
    Sqlite {
        /// Its path.
        path: PathBuf,
        /// A query that reports active work in it, row by row.
        active_query: Option<String>,
    },
    /// A plain file.
    File(PathBuf),
    /// A folder with everything in it.
    Directory {
        /// Its path.
        path: PathBuf,
        /// Its archived part: patterns as in gitignore(5); everything if there are none.
        include: Vec<String>,
        /// The part that is left out.
        exclude: Vec<String>,
        /// The links that an import restores.
        links: Links,
    },
    /// The output of a command.
    Command {
        /// Prints the entry.
        export: String,
        /// Takes the entry on its standard input.
        import: Option<String>,
    },
}

/// The fate of an export without a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It fails.
    Required,
    /// It archives the other sources.
    Optional,
}

impl SourceKind {
    /// Returns the order unless the configuration says otherwise.
    pub(super) fn default_order(&self) -> Order {
        match self {
            SourceKind::Redb(_) | SourceKind::Sqlite { .. } | SourceKind::Command { .. } => {
                Order::BeforeFiles
            }
            SourceKind::Config(_)
            | SourceKind::Toml(_)
            | SourceKind::File(_)
            | SourceKind::Directory { .. } => Order::WithFiles,
        }
    }
}

impl Source {
    /// Returns a source that has to be there, and that others may read as far as its mode says.
    pub fn new(name: EntryName, content: SourceKind) -> Source {
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

    /// Returns its path on this machine; `None` for a command.
    pub fn path(&self) -> Option<&Path> {
        match &self.content {
            SourceKind::Config(path)
            | SourceKind::Toml(path)
            | SourceKind::Redb(path)
            | SourceKind::Sqlite { path, .. }
            | SourceKind::Directory { path, .. }
            | SourceKind::File(path) => Some(path),
            SourceKind::Command { .. } => None,
        }
    }

    /// Returns its kind in a manifest.
    pub fn kind(&self) -> &'static str {
        match &self.content {
            SourceKind::Config(_) | SourceKind::Toml(_) | SourceKind::File(_) => "file",
            SourceKind::Redb(_) => "redb",
            SourceKind::Sqlite { .. } => "sqlite",
            SourceKind::Directory { .. } => "directory",
            SourceKind::Command { .. } => "command",
        }
    }

    /// Returns one of its commands, with its shell.
    pub fn line<'a>(&'a self, command: &'a str) -> Line<'a> {
        Line::new(command, self.shell.as_deref())
    }

    /// Returns its commands, each with its key.
    pub fn commands(&self) -> Vec<(&'static str, Line<'_>)> {
        let (export, import) = match &self.content {
            SourceKind::Command { export, import } => (Some(export), import.as_ref()),
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
            SourceKind::Redb(_) | SourceKind::Sqlite { .. } | SourceKind::Command { .. } => true,
            SourceKind::Config(_)
            | SourceKind::Toml(_)
            | SourceKind::File(_)
            | SourceKind::Directory { .. } => false,
        }
    }

    /// Returns true if it is a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self.content, SourceKind::Directory { .. })
    }

    /// Returns the same source as the entry `name` at `path`.
    pub(super) fn at(&self, name: EntryName, path: PathBuf) -> Source {
        let mut source = self.clone();
        source.name = name;
        match &mut source.content {
            SourceKind::Config(place)
            | SourceKind::Toml(place)
            | SourceKind::Redb(place)
            | SourceKind::Sqlite { path: place, .. }
            | SourceKind::Directory { path: place, .. }
            | SourceKind::File(place) => *place = path,
            SourceKind::Command { .. } => {}
        }
        source
    }

    /// Returns the same source at the folder above its pattern.
    pub fn above(&self, folder: &Path) -> Source {
        self.at(self.name.clone(), folder.to_owned())
    }

    /// Returns the same source, with a relative path taken from `folder`.
    pub(super) fn within(&self, folder: &Path) -> Source {
        let mut source = self.clone();
        match &mut source.content {
            SourceKind::Config(path)
            | SourceKind::Toml(path)
            | SourceKind::Redb(path)
            | SourceKind::Sqlite { path, .. }
            | SourceKind::Directory { path, .. }
            | SourceKind::File(path) => *path = folder.join(&*path),
            SourceKind::Command { .. } => {}
        }
        source
    }
}

impl Source {
    /// Returns the same source at the place where `elsewhere` puts it. Below another root its commands do not run: they
    /// would ask this machine.
    pub(super) fn moved(mut self, elsewhere: &Elsewhere) -> Source {
        match &mut self.content {
            SourceKind::Config(path)
            | SourceKind::Toml(path)
            | SourceKind::Redb(path)
            | SourceKind::Sqlite { path, .. }
            | SourceKind::Directory { path, .. }
            | SourceKind::File(path) => *path = elsewhere.target(path),
            SourceKind::Command { import, .. } => {
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

/// Returns the sources of a hookshot service, in the order in which they are exported.
pub(super) fn defaults(services: PathBuf, secrets: PathBuf, database: PathBuf) -> [Source; 3] {
    [
        Source::new(plain(DATABASE), SourceKind::Redb(database)),
        Source::new(plain(SERVICES), SourceKind::Toml(services)),
        Source {
            presence: Presence::Optional,
            privacy: Privacy::Private,
            ..Source::new(plain(SECRETS), SourceKind::File(secrets))
        },
    ]
}

/// Returns the source of the configuration file.
pub(super) fn config(path: PathBuf) -> Source {
    Source::new(plain(CONFIG), SourceKind::Config(path))
}

fn plain(name: &str) -> EntryName {
    EntryName::new(name).expect("a plain name")
}
