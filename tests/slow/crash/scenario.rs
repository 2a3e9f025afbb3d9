//! A machine before a verb, which can be had again and again, and what the verb makes of it.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use hookshot::model::digest::Digest;
use nix::unistd::geteuid;
use serde_json::Value;

use super::injection::{Calls, traced};
use support::{Machine, Run, Targets, finish, listed::export_listed};

/// The four files of a hookshot service.
const FILES: &[&str] = &[
    "etc/config.toml",
    "etc/secrets",
    "etc/services.toml",
    "etc/services.toml.bak",
    "data/state.redb",
];
/// The files of two directories that are replaced as one each, of the database in one of them, and the configuration.
const DIRECTORIES: &[&str] = &[
    "etc/config.toml",
    "data/app/one",
    "data/app/deep/two",
    "data/app/new",
    "data/app/gone",
    "data/app/link",
    "data/app/state.redb",
    "data/app/cache/big",
    "data/app/closed/own.tmp",
    "data/web/page",
    "data/web/stray",
    "data/web.bak/mine",
];

/// A machine before the verb, and what the verb makes of it.
pub struct Scenario {
    pub machine: Machine,
    template: PathBuf,
    arguments: Vec<String>,
    pub files: &'static [&'static str],
    pub old: Targets,
    pub new: Targets,
    /// Operations that this file system cannot do: strace(1) injects their errors into every run.
    weather: &'static [&'static str],
    /// If there are any, nothing is injected into calls that name none of these paths.
    places: &'static [&'static str],
}

impl Scenario {
    fn new(machine: Machine, arguments: &[&str], files: &'static [&'static str]) -> Scenario {
        let template = machine.path("template");
        let old = machine.files(files);
        fs::create_dir(&template).expect("a folder");
        for name in ["etc", "data"] {
            copy(&machine.path(name), &template.join(name));
        }
        let arguments: Vec<String> = arguments
            .iter()
            .map(|&argument| argument.to_owned())
            .collect();
        let mut scenario = Scenario {
            machine,
            template,
            arguments,
            files,
            old,
            new: Targets::new(),
            weather: &[],
            places: &[],
        };
        scenario.verb(None).exits(0);
        scenario.new = scenario.machine.files(files);
        assert_ne!(scenario.old, scenario.new, "the verb must change something");
        scenario
    }

    /// Old state B, archive of state A with one file more and one mode other: something is replaced, created and kept. One
    /// `.bak` is of an earlier import, another one is the user's own.
    pub fn import() -> Scenario {
        let machine = Machine::new();
        let archive = machine.export("a.tar.gz");
        machine.write("etc/config.toml", machine.config_text("# before\n"), 0o600);
        plainly(&machine, &["import", &archive]).exits(0);
        machine.fill_database(40);
        machine.write("etc/config.toml", machine.config_text("# changed\n"), 0o600);
        machine.write("etc/services.toml", "", 0o644);
        fs::remove_file(machine.path("etc/secrets")).expect("removed");
        machine.write("etc/services.toml.bak", "my own copy", 0o644);
        Scenario::new(machine, &["import", &archive], FILES)
    }

    /// Two directories, one with a database in it, and a file: files are replaced, created, removed and kept.
    pub fn directories() -> Scenario {
        Scenario::directories_of(|machine| machine.export("a.tar.gz"))
    }

    /// The same of an archive in which both directories have listings.
    pub fn listed_directories() -> Scenario {
        Scenario::directories_of(|machine| export_listed(machine, "a.tar.gz", 0))
    }

    fn directories_of(export: impl Fn(&Machine) -> String) -> Scenario {
        let machine = Machine::new();
        let sources = r#"
[[backup.sources]]
name = "app"
kind = "directory"
path = "../data/app"
exclude = ["/cache/", "*.tmp"]
[[backup.sources]]
name = "state.redb"
kind = "redb"
path = "../data/app/state.redb"
[[backup.sources]]
name = "web"
kind = "directory"
path = "../data/web"
"#;
        machine.write("etc/config.toml", machine.config_text(sources), 0o600);
        for folder in ["data/app/deep", "data/app/cache", "data/web"] {
            fs::create_dir_all(machine.path(folder)).expect("a folder");
        }
        let database = machine.path("data/state.redb");
        fs::rename(database, machine.path("data/app/state.redb")).expect("moved");
        machine.write("data/app/one", "1", 0o640);
        machine.write("data/app/deep/two", "22", 0o600);
        machine.write("data/app/gone", "again", 0o600);
        machine.write("data/app/cache/big", "cached", 0o600);
        // A folder whose mode forbids changes keeps something excluded, too. Only root removes it at the end.
        fs::create_dir(machine.path("data/app/closed")).expect("a folder");
        machine.write("data/app/closed/own.tmp", "excluded", 0o600);
        let mode = if geteuid().is_root() { 0o555 } else { 0o755 };
        let closed = fs::Permissions::from_mode(mode);
        fs::set_permissions(machine.path("data/app/closed"), closed).expect("set");
        machine.write("data/web/page", "first", 0o644);
        std::os::unix::fs::symlink("one", machine.path("data/app/link")).expect("a link");
        let archive = export(&machine);
        machine.write("data/app/one", "before", 0o600);
        plainly(&machine, &["import", &archive]).exits(0);
        fs::remove_file(machine.path("data/app/gone")).expect("removed");
        machine.write("data/app/one", "changed", 0o600);
        machine.write("data/app/new", "new", 0o600);
        machine.write("data/web/page", "second", 0o600);
        machine.write("data/web/stray", "left by an upgrade", 0o600);
        let changed = machine.config_text(&format!("{sources}# changed\n"));
        machine.write("etc/config.toml", changed, 0o600);
        fs::create_dir(machine.path("data/web.bak")).expect("a folder");
        machine.write("data/web.bak/mine", "copied before an upgrade", 0o600);
        Scenario::new(machine, &["import", &archive], DIRECTORIES)
    }

    /// The state that such an import leaves, about to be rolled back.
    pub fn rollback(of: Scenario) -> Scenario {
        let Scenario {
            machine,
            template,
            arguments,
            files,
            ..
        } = of;
        fs::remove_dir_all(template).expect("removed");
        assert_eq!(arguments[0], "import");
        Scenario::new(machine, &["rollback"], files)
    }

    /// The same on a file system in which two folders cannot change places, nor be renamed only where nothing is.
    pub fn without_exchange(self) -> Scenario {
        Scenario {
            weather: &["renameat2:error=EINVAL"],
            ..self
        }
    }

    /// The same, and excluded files cannot have a second name. Only calls that carry them along are met by anything.
    pub fn without_links(self) -> Scenario {
        Scenario {
            weather: &["linkat:error=EPERM"],
            places: &[
                "data/app/cache",
                "data/app/closed",
                "data/app.bak",
                "data/app.bak/cache",
                "data/app.bak/cache/big",
                "data/app.bak/closed",
                "data/app.bak/closed/own.tmp",
            ],
            ..self
        }
    }

    /// Returns true if two folders can exchange places here.
    pub fn has_exchange(&self) -> bool {
        !self.weather.iter().any(|met| met.starts_with("renameat2"))
    }

    pub fn reset(&self) {
        for name in ["etc", "data", "tmp"] {
            fs::remove_dir_all(self.machine.path(name)).expect("removed");
        }
        for name in ["etc", "data"] {
            copy(&self.template.join(name), &self.machine.path(name));
        }
        fs::create_dir(self.machine.path("tmp")).expect("a folder");
        self.adopt_folders();
    }

    /// Gives the record of the last import the inode numbers that the copied folders have. Otherwise the backup of an earlier
    /// import is a stranger in some runs and ours in others, as the file system hands numbers out again; it is moved away only
    /// in the latter, and the n-th call of a run is then another one in the next.
    fn adopt_folders(&self) {
        let path = self.machine.path("etc/.hookshot/last-import.json");
        let Ok(text) = fs::read(&path) else {
            return;
        };
        let mut sealed: Value = serde_json::from_slice(&text).expect("JSON");
        let adopt = |record: &mut Value, old: &str, new: &str| {
            for (which, place) in [("old", old), ("new", new)] {
                let inode = record[place].as_str().and_then(|path| {
                    let metadata = Path::new(path).symlink_metadata().ok()?;
                    Some(metadata.ino())
                });
                if let (Some(inode), Some(known)) =
                    (inode, record.pointer_mut(&format!("/folder/{which}/inode")))
                {
                    *known = inode.into();
                }
            }
        };
        let journal = &mut sealed["journal"];
        let mut all = |list: &str, old: &str, new: &str| {
            let records = journal.get_mut(list).and_then(Value::as_array_mut);
            for record in records.into_iter().flatten() {
                adopt(record, old, new);
            }
        };
        all("steps", "backup", "target");
        all("backups", "path", "target");
        let sha256 = Digest::of(sealed["journal"].to_string().as_bytes()).to_string();
        sealed["sha256"] = sha256.into();
        fs::write(&path, sealed.to_string()).expect("written");
    }

    /// Runs hookshot, with one thing more that it meets.
    pub fn run(&self, arguments: &[&str], inject: Option<&str>) -> Run {
        let met: Vec<&str> = self.weather.iter().copied().chain(inject).collect();
        traced(&self.machine, arguments, (&met, self.places), None).0
    }

    /// The verb.
    pub fn arguments(&self) -> Vec<&str> {
        self.arguments.iter().map(String::as_str).collect()
    }

    /// Runs the verb, with one thing more that it meets.
    pub fn verb(&self, inject: Option<&str>) -> Run {
        self.run(&self.arguments(), inject)
    }

    /// Runs hookshot, with one thing more that it meets, and tells which calls of `kind` it made.
    pub fn watched(&self, arguments: &[&str], kind: &str, inject: Option<&str>) -> (Run, Calls) {
        let met: Vec<&str> = self.weather.iter().copied().chain(inject).collect();
        traced(&self.machine, arguments, (&met, self.places), Some(kind))
    }

    /// The verb as a command of its own.
    pub fn command(&self) -> Command {
        let mut command = self.machine.command();
        command.args(&self.arguments);
        command
    }

    /// Returns the path of the journal.
    pub fn journal(&self) -> String {
        fs::read_to_string(self.machine.path("etc/.hookshot/journal.json")).unwrap_or_default()
    }

    /// Targets that both states have, and that are not there.
    pub fn missing(&self) -> Vec<&'static str> {
        let now = self.machine.files(self.files);
        let in_both = |name: &&str| self.old[*name].is_some() && self.new[*name].is_some();
        let names = self.files.iter().copied().filter(in_both);
        names.filter(|name| now[name].is_none()).collect()
    }

    /// Checks the targets right after a kill, before any repair. If folders cannot exchange places, one of them may be
    /// missing, as docs/architecture/transaction.md says.
    #[track_caller]
    pub fn no_target_is_missing(&self, at: &str) {
        let mut missing = self.missing();
        if !self.has_exchange() {
            missing.retain(|name| name.starts_with("etc/"));
        }
        assert_eq!(missing, [""; 0], "{at}: missing");
    }

    /// Checks the state after one more run of any verb. Returns true if it is the new one.
    #[track_caller]
    pub fn all_or_nothing(&self, at: &str) -> bool {
        let now = self.machine.files(self.files);
        let is_new = now == self.new;
        assert!(
            is_new || now == self.old,
            "{at}: a mixture: {}",
            self.describe(&now)
        );
        assert_eq!(self.litter(), Vec::<PathBuf>::new(), "{at}: litter");
        // What stays with the folder in use has one name: no backup shares it.
        if let Ok(cached) = self.machine.path("data/app/cache/big").metadata() {
            assert_eq!(cached.nlink(), 1, "{at}: shared with a backup");
        }
        is_new
    }

    /// Returns hookshot's own files that must not stay.
    pub fn litter(&self) -> Vec<PathBuf> {
        let mut names: Vec<PathBuf> = self.machine.state().into_keys().collect();
        names.retain(|name| {
            name.to_string_lossy().contains(".hookshot-")
                || name.ends_with(".hookshot/journal.json")
        });
        names
    }

    fn describe(&self, now: &Targets) -> String {
        let which = |name: &&'static str| match &now[name] {
            found if *found == self.old[name] => "old",
            found if *found == self.new[name] => "new",
            None => "missing",
            Some(_) => "neither",
        };
        now.keys()
            .map(|name| format!("{name} {} ", which(name)))
            .collect()
    }
}

/// Runs hookshot as it is.
pub fn plainly(machine: &Machine, arguments: &[&str]) -> Run {
    let mut command = machine.command();
    command.args(arguments);
    finish(command, b"")
}

pub fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp")
        .arg("-a")
        .arg(from)
        .arg(to)
        .status()
        .expect("cp");
    assert!(status.success());
}

/// Returns the leftovers beside targets with that ending.
pub fn leftovers(machine: &Machine, end: &str) -> Vec<PathBuf> {
    let folders = ["etc", "data"].map(|name| machine.path(name));
    let entries = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).expect("a folder"));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .filter(|path| {
            path.to_string_lossy().contains(".hookshot-") && path.to_string_lossy().ends_with(end)
        })
        .collect()
}
