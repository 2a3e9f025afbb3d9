//! An import or a rollback that is killed at any system call, or that meets an error at any: all or nothing.
//!
//! strace(1) kills the real binary, or lets a call fail, at its n-th mutating system call, for every n. Afterwards one
//! more run of any verb must leave the old state or the new one, byte for byte and with modes; and at no instant is a
//! target missing.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "how much was tried is said; tests may do what hookshot may not"
)]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use support::{Machine, Run, Targets, finish};

/// System calls that change something that lasts, and those that make it last.
const MUTATING: [&str; 22] = [
    "openat",
    "write",
    "pwrite64",
    "copy_file_range",
    "sendfile",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "rmdir",
    "fsync",
    "fdatasync",
    "ftruncate",
    "fchmod",
    "fchown",
    "utimensat",
    "chmod",
];
/// Calls whose failure is worth a try of its own: reading a library that is not there proves nothing.
const FAILING: [&str; 14] = [
    "write",
    "pwrite64",
    "copy_file_range",
    "rename",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "mkdir",
    "fsync",
    "fdatasync",
    "fchmod",
    "fchown",
    "utimensat",
];

/// Calls that a directory's replacement makes of those that change something; the many that only read are left out.
const OF_DIRECTORIES: [&str; 12] = [
    "rename",
    "renameat2",
    "linkat",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "symlinkat",
    "fsync",
    "syncfs",
    "fchmod",
    "utimensat",
];

/// The four files of a hookshot service.
const FILES: &[&str] = &[
    "etc/config.toml",
    "etc/secrets",
    "etc/services.toml",
    "data/state.redb",
];
/// The files of a directory that is replaced as one, and of the databases in it.
const DIRECTORY: &[&str] = &[
    "etc/config.toml",
    "data/app/one",
    "data/app/deep/two",
    "data/app/new",
    "data/app/gone",
    "data/app/state.redb",
    "data/app/cache/big",
];

/// A machine before the verb, which can be had again and again, and what the verb makes of it.
struct Scenario {
    machine: Machine,
    template: PathBuf,
    arguments: Vec<String>,
    files: &'static [&'static str],
    old: Targets,
    new: Targets,
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
        };
        scenario.command(None).exits(0);
        scenario.new = scenario.machine.files(files);
        assert_ne!(scenario.old, scenario.new, "the verb must change something");
        scenario
    }

    /// Old state B, archive of state A with one file more and one mode other: something is replaced, created and kept.
    fn import() -> Scenario {
        let machine = Machine::new();
        let archive = machine.export("a.tar.gz");
        machine.fill_database(40);
        machine.write("etc/config.toml", machine.config_text("# changed\n"), 0o600);
        machine.write("etc/services.toml", "", 0o644);
        fs::remove_file(machine.path("etc/secrets")).expect("removed");
        machine.write(
            "etc/config.toml.bak",
            "the backup of an earlier import",
            0o644,
        );
        Scenario::new(machine, &["import", &archive], FILES)
    }

    /// A directory with a database in it: files are replaced, created, removed and kept.
    fn directory() -> Scenario {
        let machine = Machine::new();
        let sources = r#"
[[backup.sources]]
name = "app"
kind = "directory"
path = "../data/app"
exclude = ["/cache/"]
[[backup.sources]]
name = "state.redb"
kind = "redb"
path = "../data/app/state.redb"
"#;
        machine.write("etc/config.toml", machine.config_text(sources), 0o600);
        for folder in ["data/app/deep", "data/app/cache"] {
            fs::create_dir_all(machine.path(folder)).expect("a folder");
        }
        let database = machine.path("data/state.redb");
        fs::rename(database, machine.path("data/app/state.redb")).expect("moved");
        machine.write("data/app/one", "1", 0o640);
        machine.write("data/app/deep/two", "22", 0o600);
        machine.write("data/app/gone", "again", 0o600);
        machine.write("data/app/cache/big", "cached", 0o600);
        std::os::unix::fs::symlink("one", machine.path("data/app/link")).expect("a link");
        let archive = machine.export("a.tar.gz");
        fs::remove_file(machine.path("data/app/gone")).expect("removed");
        machine.write("data/app/one", "changed", 0o600);
        machine.write("data/app/new", "new", 0o600);
        fs::create_dir(machine.path("data/app.bak")).expect("a folder");
        machine.write("data/app.bak/earlier", "of an earlier import", 0o600);
        Scenario::new(machine, &["import", &archive], DIRECTORY)
    }

    /// The state that such an import leaves, about to be rolled back.
    fn rollback(of: Scenario) -> Scenario {
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

    fn reset(&self) {
        for name in ["etc", "data", "tmp"] {
            fs::remove_dir_all(self.machine.path(name)).expect("removed");
        }
        for name in ["etc", "data"] {
            copy(&self.template.join(name), &self.machine.path(name));
        }
        fs::create_dir(self.machine.path("tmp")).expect("a folder");
    }

    /// Runs the verb, under strace where something is to be injected.
    fn command(&self, inject: Option<&str>) -> Run {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        traced(&self.machine, &arguments, inject)
    }

    /// What must hold right after a kill, before anybody repairs anything.
    #[track_caller]
    fn no_target_is_missing(&self, at: &str) {
        let now = self.machine.files(self.files);
        for (name, old) in &self.old {
            let gone = old.is_some() && self.new[name].is_some() && now[name].is_none();
            assert!(!gone, "{at}: {name} is missing");
        }
    }

    /// What must hold after one more run of any verb. Tells whether the state is the new one.
    #[track_caller]
    fn all_or_nothing(&self, at: &str) -> bool {
        let now = self.machine.files(self.files);
        let is_new = now == self.new;
        assert!(
            is_new || now == self.old,
            "{at}: a mixture: {}",
            self.describe(&now)
        );
        let mut names: Vec<PathBuf> = self.machine.state().into_keys().collect();
        names.retain(|name| {
            name.to_string_lossy().contains(".hookshot-")
                || name.ends_with(".hookshot/journal.json")
        });
        assert_eq!(names, Vec::<PathBuf>::new(), "{at}: litter");
        is_new
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

fn traced(machine: &Machine, arguments: &[&str], inject: Option<&str>) -> Run {
    let plain = machine.command();
    let Some(inject) = inject else {
        let mut command = plain;
        command.args(arguments);
        return finish(command, b"");
    };
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        &format!("inject={inject}"),
        "-e",
    ]);
    let (call, _) = inject.split_once(':').expect("a call");
    command
        .arg(format!("trace={call}"))
        .arg(plain.get_program())
        .args(plain.get_args())
        .args(arguments);
    for (key, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(key, value),
            None => command.env_remove(key),
        };
    }
    command.current_dir(plain.get_current_dir().expect("a folder"));
    finish(command, b"")
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp")
        .arg("-a")
        .arg(from)
        .arg(to)
        .status()
        .expect("cp");
    assert!(status.success());
}

/// Whether strace can be used here; says why if not. A complete run insists.
fn can_trace() -> bool {
    let works = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let works = works.is_ok_and(|status| status.success());
    assert!(
        works || std::env::var_os("HOOKSHOT_TESTS_COMPLETE").is_none(),
        "strace is missing, or may not trace"
    );
    if !works {
        println!("skipped: strace is missing, or may not trace; tests/run installs it");
    }
    works
}

/// Kills the verb at every mutating call; after each, `healer` is run once.
fn kill_everywhere(scenario: &Scenario, healer: &[&str], calls: &[&str]) -> (usize, usize) {
    let (mut points, mut finished) = (0, 0);
    for call in calls {
        for number in 1.. {
            scenario.reset();
            let run = scenario.command(Some(&format!("{call}:signal=KILL:when={number}")));
            if run.code != -1 {
                // It came to its end: this call is not made so often. An unknown call (a machine without it) is none.
                break;
            }
            let at = format!("killed at {call} {number}");
            points += 1;
            scenario.no_target_is_missing(&at);
            scenario.machine.run(healer);
            if scenario.all_or_nothing(&at) {
                finished += 1;
                // The old state is still there for the asking.
                scenario.machine.run(&["rollback", "--force"]).exits(0);
                assert_eq!(
                    scenario.machine.files(scenario.files),
                    scenario.old,
                    "{at}, then rolled back"
                );
            }
        }
    }
    (points, finished)
}

#[test]
fn an_import_that_is_killed_at_any_call_is_all_or_nothing() {
    if !can_trace() {
        return;
    }
    let scenario = Scenario::import();
    let (points, finished) = kill_everywhere(&scenario, &["version"], &MUTATING);
    println!("import: killed at {points} points, {finished} of them behind the commit point");
    assert!(points > 100 && finished > 5, "{points} {finished}");
}

#[test]
fn a_rollback_that_is_killed_at_any_call_is_all_or_nothing() {
    if !can_trace() {
        return;
    }
    let scenario = Scenario::rollback(Scenario::import());
    let (points, finished) = kill_everywhere(&scenario, &["validate"], &MUTATING);
    println!("rollback: killed at {points} points, {finished} of them behind the commit point");
    assert!(points > 100 && finished > 5, "{points} {finished}");
}

#[test]
fn a_directory_whose_import_is_killed_at_any_call_is_the_old_or_the_new_one() {
    if !can_trace() {
        return;
    }
    let scenario = Scenario::directory();
    let (points, finished) = kill_everywhere(&scenario, &["version"], &OF_DIRECTORIES);
    println!("directory: killed at {points} points, {finished} of them behind the commit point");
    assert!(points > 40 && finished > 3, "{points} {finished}");
}

#[test]
fn a_directory_whose_rollback_is_killed_at_any_call_is_the_old_or_the_new_one() {
    if !can_trace() {
        return;
    }
    let scenario = Scenario::rollback(Scenario::directory());
    let (points, finished) = kill_everywhere(&scenario, &["version"], &OF_DIRECTORIES);
    println!(
        "directory, back: killed at {points} points, {finished} of them behind the commit point"
    );
    assert!(points > 10 && finished > 2, "{points} {finished}");
}

#[test]
fn a_recovery_that_is_killed_at_any_call_is_finished_by_the_next() {
    if !can_trace() {
        return;
    }
    let scenario = Scenario::import();
    let mut points = 0;
    for first in scenario.interesting_kills() {
        let first = first.as_str();
        // What an `openat` made is seen by the kill at the call behind it.
        for call in MUTATING.into_iter().filter(|call| *call != "openat") {
            for number in 1.. {
                scenario.reset();
                assert_eq!(scenario.command(Some(first)).code, -1, "{first} must kill");
                let run = traced(
                    &scenario.machine,
                    &["version"],
                    Some(&format!("{call}:signal=KILL:when={number}")),
                );
                if run.code != -1 {
                    break;
                }
                let at = format!("{first}, then recovery killed at {call} {number}");
                points += 1;
                scenario.no_target_is_missing(&at);
                scenario.machine.run(&["version"]).exits(0);
                scenario.all_or_nothing(&at);
            }
        }
    }
    println!("recovery: killed at {points} points");
    assert!(points > 100, "{points}");
}

#[test]
fn an_import_that_meets_an_error_at_any_call_leaves_the_old_state_or_succeeds() {
    if !can_trace() {
        return;
    }
    let scenario = Scenario::import();
    let (mut points, mut undone) = (0, 0);
    for error in ["EIO", "ENOSPC"] {
        for call in FAILING {
            let mut untouched = 0;
            for number in 1.. {
                scenario.reset();
                let run = scenario.command(Some(&format!("{call}:error={error}:when={number}")));
                let at = format!(
                    "{call} {number} fails with {error}: exit {} {}",
                    run.code, run.stderr
                );
                assert!([0, 1, 18, 20].contains(&run.code), "{at}");
                // No second run here: what failed has put itself in order.
                let is_new = scenario.all_or_nothing_or_unfinished(&at);
                assert_eq!(is_new, run.code == 0, "{at}");
                undone += usize::from(run.code == 20);
                // A call that is not made so often changes nothing; a few in a row mean that there are no more.
                untouched = if run.code == 0 { untouched + 1 } else { 0 };
                if untouched > 12 {
                    break;
                }
                points += 1;
            }
        }
    }
    println!("import: {points} failing calls, {undone} of them behind the commit point and undone");
    assert!(points > 50 && undone > 3, "{points} {undone}");
}

impl Scenario {
    /// Kills that leave something to do: one before the commit point, every third behind it, and the last.
    fn interesting_kills(&self) -> Vec<String> {
        let mut preparing = None;
        let mut committed = Vec::new();
        for call in ["rename", "unlink", "unlinkat"] {
            for number in 1.. {
                self.reset();
                let inject = format!("{call}:signal=KILL:when={number}");
                if self.command(Some(&inject)).code != -1 {
                    break;
                }
                let journal = fs::read_to_string(self.machine.path("etc/.hookshot/journal.json"))
                    .unwrap_or_default();
                match journal {
                    journal if journal.contains("\"phase\": \"preparing\"") => {
                        preparing = Some(inject)
                    }
                    journal if journal.contains("\"phase\": \"committed\"") => {
                        committed.push(inject)
                    }
                    _ => {}
                }
            }
        }
        let preparing = preparing.expect("the phase can be met");
        assert!(committed.len() > 6, "{committed:?}");
        let last = committed.pop();
        [preparing]
            .into_iter()
            .chain(committed.into_iter().step_by(3))
            .chain(last)
            .collect()
    }

    /// As [`Scenario::all_or_nothing`]; but where even the removal of litter was made to fail, the next run does it.
    #[track_caller]
    fn all_or_nothing_or_unfinished(&self, at: &str) -> bool {
        if at.contains("cannot be removed") || at.contains("could not be") {
            self.machine.run(&["version"]);
        }
        self.all_or_nothing(at)
    }
}

/// An import that was killed between its renames: some targets are new, some old.
fn between_the_renames(scenario: &Scenario) {
    for number in 1.. {
        scenario.reset();
        assert_eq!(
            scenario
                .command(Some(&format!("rename:signal=KILL:when={number}")))
                .code,
            -1,
            "no such moment"
        );
        let now = scenario.machine.targets();
        let journal = fs::read_to_string(scenario.machine.path("etc/.hookshot/journal.json"))
            .unwrap_or_default();
        if journal.contains("\"committed\"") && now != scenario.old && now != scenario.new {
            return;
        }
    }
}

fn leftovers(machine: &Machine, end: &str) -> Vec<PathBuf> {
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

#[test]
fn an_interrupted_import_whose_new_files_are_lost_is_undone() {
    if !can_trace() {
        return;
    }
    let scenario = Scenario::import();
    between_the_renames(&scenario);
    for path in leftovers(&scenario.machine, ".new") {
        fs::remove_file(path).expect("removed");
    }
    scenario
        .machine
        .run(&["version"])
        .exits(0)
        .says("brought the old state back");
    assert!(!scenario.all_or_nothing("new files lost"));
}

#[test]
fn an_interrupted_import_is_undone_when_the_service_has_worked_since() {
    if !can_trace() {
        return;
    }
    let scenario = Scenario::import();
    between_the_renames(&scenario);
    scenario.machine.put_deployment("since", "succeeded");
    let worked = scenario.machine.read("data/state.redb");
    scenario
        .machine
        .run(&["version"])
        .exits(0)
        .says("brought the old state back")
        .says("worked on since");
    // What the service did is there, and everything around it is the old state.
    assert!(scenario.machine.read("data/state.redb") == worked);
    let mut now = scenario.machine.targets();
    now.insert("data/state.redb", scenario.old["data/state.redb"].clone());
    assert_eq!(now, scenario.old);
}

#[test]
fn nobody_works_beside_the_unfinished_import_of_another() {
    if !can_trace() {
        return;
    }
    let scenario = Scenario::import();
    between_the_renames(&scenario);
    let machine = &scenario.machine;
    // Another configuration with the same data folder, whose journal lies elsewhere.
    fs::create_dir(machine.path("elsewhere")).expect("a folder");
    copy(
        &machine.path("etc/config.toml"),
        &machine.path("elsewhere/config.toml"),
    );
    copy(
        &machine.path("template/etc/services.toml"),
        &machine.path("elsewhere/services.toml"),
    );
    let export = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookshot"));
        command
            .arg("--config")
            .arg(machine.path("elsewhere/config.toml"))
            .args(["export", "x.tar.gz"]);
        finish(
            {
                command.current_dir(machine.path("out"));
                command
            },
            b"",
        )
    };
    export()
        .exits(11)
        .says("belongs to an import that is not finished");
    machine.run(&["version"]).exits(0).says("finished it");
    export().exits(0);
}

#[test]
fn a_journal_that_names_other_files_or_belongs_to_somebody_else_is_not_followed() {
    if !can_trace() {
        return;
    }
    let scenario = Scenario::import();
    between_the_renames(&scenario);
    let machine = &scenario.machine;
    let path = machine.path("etc/.hookshot/journal.json");
    let good = fs::read(&path).expect("a journal");
    let sealed: serde_json::Value = serde_json::from_slice(&good).expect("JSON");
    let victim = machine.path("victim");
    fs::write(&victim, "precious").expect("written");
    let mut journals = Vec::new();
    for (phase, pointer) in [
        ("preparing", "/litter/0"),
        ("committed", "/litter/0"),
        ("committed", "/steps/0/backup"),
        ("undoing", "/steps/0/earlier_backup"),
    ] {
        let mut journal = sealed["journal"].clone();
        journal["phase"] = phase.into();
        *journal.pointer_mut(pointer).expect("a path") = victim.to_str().expect("UTF-8").into();
        let sha256 =
            hookshot::model::digest::Digest::of(journal.to_string().as_bytes()).to_string();
        journals.push(serde_json::json!({ "journal": journal, "sha256": sha256 }).to_string());
    }
    journals.push("{}".to_owned());
    journals.push(String::from_utf8_lossy(&good).replace("committed", "preparing"));
    for journal in journals {
        fs::write(&path, &journal).expect("written");
        machine
            .run(&["export", "x.tar.gz"])
            .exits(1)
            .says("damaged");
        machine.run(&["version"]).exits(0).says("damaged");
        assert_eq!(fs::read(&victim).expect("the victim"), b"precious");
    }
    fs::write(&path, &good).expect("written");
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("a mode");
    machine
        .run(&["export", "x.tar.gz"])
        .exits(1)
        .says("cannot be trusted");
    if nix::unistd::geteuid().is_root() {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode");
        std::os::unix::fs::chown(&path, Some(65534), None).expect("given");
        machine
            .run(&["export", "x.tar.gz"])
            .exits(1)
            .says("cannot be trusted");
        std::os::unix::fs::chown(&path, Some(0), None).expect("given");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode");
    machine.run(&["version"]).exits(0).says("finished it");
}

/// A power cut keeps what was synced and any part of what was not. So the order of syncs is the promise itself: new
/// files, then the journal, then the second names of the old files, then the renames, then the end of the journal.
#[test]
fn everything_is_synced_before_what_relies_on_it() {
    if !can_trace() {
        return;
    }
    let scenario = Scenario::import();
    scenario.reset();
    let log = scenario.machine.path("tmp/log");
    let plain = scenario.machine.command();
    let mut command = Command::new("strace");
    command
        .args([
            "-f",
            "-qq",
            "-y",
            "-e",
            "trace=rename,renameat,linkat,fsync,fdatasync",
            "-o",
        ])
        .arg(&log);
    command
        .arg(plain.get_program())
        .args(plain.get_args())
        .args(&scenario.arguments);
    finish(command, b"").exits(0);
    let log = fs::read_to_string(log).expect("a log");
    let lines: Vec<&str> = log.lines().collect();
    let first = |what: &str, from: usize| {
        let found = lines.iter().skip(from).position(|line| line.contains(what));
        found
            .map(|at| at + from)
            .unwrap_or_else(|| panic!("{what} is not behind line {from} of:\n{log}"))
    };
    let folders = [scenario.machine.path("etc"), scenario.machine.path("data")];
    let synced = |folder: &Path| format!("<{}>)", folder.display());
    // A file that was not there is linked, so that nothing that has appeared is replaced.
    let is_final_rename = |line: &&str| {
        (line.contains("rename(") || line.contains("linkat(")) && line.contains(".new\", ")
    };
    let renames: Vec<usize> = (0..lines.len())
        .filter(|at| is_final_rename(&lines[*at]))
        .collect();
    assert_eq!(renames.len(), 4, "{log}");
    // The journal gets its name twice, before and at the commit point; its file is synced before, its folder after.
    let journals: Vec<usize> = (0..lines.len())
        .filter(|at| lines[*at].contains("journal.json\")"))
        .collect();
    let commit = *journals.last().expect("a journal");
    assert_eq!(journals.len(), 2, "{log}");
    let sealed = first(&synced(&scenario.machine.path("etc/.hookshot")), commit);
    // New files: synced with their folders before the commit.
    let new = (0..commit)
        .filter(|at| lines[*at].contains("fsync(") && lines[*at].contains(".new>"))
        .count();
    assert_eq!(new, 4, "{log}");
    for folder in &folders {
        assert!(
            (0..commit)
                .any(|at| lines[at].contains("fsync(") && lines[at].contains(&synced(folder))),
            "{log}"
        );
    }
    // Second names: behind the commit, and synced before the first rename.
    let backups: Vec<usize> = (0..lines.len())
        .filter(|at| lines[*at].contains("rename(") && lines[*at].contains(".bak\")"))
        .collect();
    assert_eq!(backups.len(), 3, "{log}");
    assert!(backups.iter().all(|at| *at > sealed), "{log}");
    for folder in &folders {
        let at = first(&synced(folder), *backups.last().expect("a backup"));
        assert!(at < renames[0], "{log}");
    }
    // The renames are synced before the journal ends.
    let end = first("last-import.json\")", 0);
    for folder in &folders {
        let at = first(&synced(folder), *renames.last().expect("a rename"));
        assert!(at < end, "{log}");
    }
}
