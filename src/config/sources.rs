//! The sources of the state: those of `[[backup.sources]]`, or else the four files of a hookshot service.

use std::path::{Path, PathBuf};

use super::elsewhere::Elsewhere;
use crate::{
    model::{entry_name::EntryName, plan::Privacy},
    source::{
        SourceKind,
        behavior::Order,
        file_source::{FileSource, TextSource},
        redb::source::RedbSource,
        service::is_unit,
    },
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
    pub kind: SourceKind,
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
    /// False if exports leave it out, and imports leave its place alone.
    pub enabled: bool,
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

/// The fate of an export without a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It fails.
    Required,
    /// It archives the other sources.
    Optional,
}

impl Source {
    /// Returns a source that has to be there, and that others may read as far as its mode says.
    pub fn new(name: EntryName, kind: SourceKind) -> Source {
        let order = kind.order();
        Source {
            name,
            kind,
            presence: Presence::Required,
            privacy: Privacy::Ordinary,
            active_command: None,
            service: None,
            order,
            prepare: None,
            cleanup: None,
            shell: None,
            expected: Expected::default(),
            enabled: true,
        }
    }

    /// Returns its path on this machine; `None` if it has none.
    pub fn path(&self) -> Option<&Path> {
        self.kind.path()
    }

    /// Returns one of its commands, with its shell.
    pub fn line<'a>(&'a self, command: &'a str) -> Line<'a> {
        Line::new(command, self.shell.as_deref())
    }

    /// Returns its commands, each with its key.
    pub fn commands(&self) -> Vec<(&'static str, Line<'_>)> {
        let service = self.service.as_deref();
        let all = [
            ("service", service.filter(|service| !is_unit(service))),
            ("export", self.kind.export_command()),
            ("import", self.kind.import_command()),
            ("active_command", self.active_command.as_deref()),
            ("prepare", self.prepare.as_deref()),
            ("cleanup", self.cleanup.as_deref()),
        ];
        let written = all.into_iter();
        let written = written.filter_map(|(key, command)| Some((key, self.line(command?))));
        written.collect()
    }

    /// Returns true if it is a directory.
    pub fn is_directory(&self) -> bool {
        self.kind.is_directory()
    }

    /// Returns the same source as the entry `name` at `path`.
    pub(super) fn at(&self, name: EntryName, path: PathBuf) -> Source {
        let mut source = self.clone();
        source.name = name;
        if let Some(place) = source.kind.path_mut() {
            *place = path;
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
        if let Some(path) = source.kind.path_mut() {
            *path = folder.join(&*path);
        }
        source
    }

    /// Returns the same source at the place where `elsewhere` puts it. Below another root its commands do not run: they
    /// would ask this machine. `elsewhere` may say that its import command does.
    pub(super) fn moved(mut self, elsewhere: &Elsewhere) -> Source {
        if let Some(path) = self.kind.path_mut() {
            *path = elsewhere.target(path);
        }
        if elsewhere.root.is_some() {
            if !elsewhere.runs_commands {
                self.kind.forget_import_command();
            }
            self.active_command = None;
            self.service = None;
        }
        self
    }
}

/// Returns the sources of a hookshot service, in the order in which they are exported.
pub(super) fn defaults(services: PathBuf, secrets: PathBuf, database: PathBuf) -> [Source; 3] {
    [
        Source::new(
            plain(DATABASE),
            SourceKind::Redb(RedbSource { path: database }),
        ),
        Source::new(
            plain(SERVICES),
            SourceKind::Text(TextSource::toml(services)),
        ),
        Source {
            presence: Presence::Optional,
            privacy: Privacy::Private,
            ..Source::new(
                plain(SECRETS),
                SourceKind::File(FileSource { path: secrets }),
            )
        },
    ]
}

/// Returns the source of the configuration file.
pub(super) fn config(path: PathBuf) -> Source {
    Source::new(
        plain(CONFIG),
        SourceKind::Text(TextSource::configuration(path)),
    )
}

fn plain(name: &str) -> EntryName {
    EntryName::new(name).expect("a plain name")
}
