//! Snapshots of SQLite databases that other processes write, hold, or have left behind: every one is exactly one commit,
//! and nothing beside the original is touched.

use support::sqlite_invariant as invariant;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fs,
    io::{self, BufRead as _, BufReader, Read as _},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use hookshot::{
    error::{Failure, Kind},
    model::copy_form::CopyForm,
    source::{
        sqlite::{SqliteContext, active, companions, holders, judge, snapshot},
        staged::Staged,
    },
    work::Advance,
};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use tempfile::TempDir;

/// Snapshots for each kind of writer; the environment variable `HOOKSHOT_TORTURE_EXPORTS` asks for more.
const SNAPSHOTS: usize = 30;

fn snapshots() -> usize {
    let asked = std::env::var("HOOKSHOT_TORTURE_EXPORTS").ok();
    asked.map_or(SNAPSHOTS, |asked| asked.parse().expect("a number"))
}

/// A process that has a database open until this value goes.
struct Service {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Service {
    fn start(how: &str, path: &Path) -> Service {
        let mut child = Command::new(program())
            .arg(how)
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the service");
        let mut says = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        says.read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        Service { child, says }
    }

    /// Ends; what it says then.
    fn end(mut self) -> String {
        drop(self.child.stdin.take());
        let mut said = String::new();
        self.says.read_to_string(&mut said).expect("text");
        said.trim_end().to_owned()
    }

    fn kill(mut self) {
        self.child.kill().expect("killed");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().expect("an end");
    }
}

fn program() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_hookshot"))
        .with_file_name("examples")
        .join("sqlite_holder")
}

/// A folder for a database, and a scratch folder.
struct Place {
    folder: TempDir,
    scratch: TempDir,
}

type Stamp = (u64, u32, (u32, u32), (i64, i64), (i64, i64));
type Listing = BTreeMap<PathBuf, (Stamp, Vec<u8>)>;

impl Place {
    fn new() -> Place {
        Place {
            folder: tempfile::tempdir().expect("a folder"),
            scratch: tempfile::tempdir().expect("a folder"),
        }
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("app.db")
    }

    /// Every file of the folder: place, mode, owner, times and content; and the folder itself.
    fn listing(&self) -> Listing {
        let files = self.folder.path().read_dir().expect("readable");
        let files = files.map(|file| file.expect("a file").path());
        files
            .chain([self.folder.path().to_owned()])
            .map(|path| {
                let meta = path.symlink_metadata().expect("there");
                let stamp = (
                    meta.ino(),
                    meta.mode(),
                    (meta.uid(), meta.gid()),
                    (meta.mtime(), meta.mtime_nsec()),
                    (meta.ctime(), meta.ctime_nsec()),
                );
                let content = if meta.is_dir() {
                    Vec::new()
                } else {
                    fs::read(&path).expect("readable")
                };
                (path, (stamp, content))
            })
            .collect()
    }

    fn take(&self) -> anyhow::Result<Staged> {
        self.take_with(&|_| Ok(()))
    }

    fn take_with(&self, step: &Advance<'_>) -> anyhow::Result<Staged> {
        let caller = SqliteContext {
            step,
            scratch: self.scratch.path(),
            patience: Duration::from_secs(30),
        };
        let name = "app.db".parse().expect("a name");
        let result = snapshot::take(&self.database(), &name, CopyForm::Compact, &caller);
        assert_eq!(
            self.scratch.path().read_dir().expect("readable").count(),
            0,
            "nothing is left behind"
        );
        result
    }

    /// Checks the invariant of a snapshot, and returns the last entry of its ledger.
    fn check(&self, staged: &Staged) -> Result<i64, String> {
        let path = self.scratch.path().join("restored.db");
        let mut file = fs::File::create(&path).expect("a file");
        io::copy(&mut staged.content.open().expect("content"), &mut file).expect("copied");
        judge::check(&path, &|_| Ok(())).expect("a good database");
        let checked = look(&path);
        fs::remove_file(&path).expect("removed");
        for companion in companions(&path) {
            assert!(!companion.exists(), "it was closed");
        }
        checked
    }
}

/// Reduces a listing to the values that must not change beside a live database. As root SQLite gives log and index the
/// owner that they have: the time of that is new.
fn lasting(mut listing: Listing) -> Listing {
    for (path, (stamp, _)) in &mut listing {
        let name = path.as_os_str().to_string_lossy();
        if is_root() && (name.ends_with("-wal") || name.ends_with("-shm")) {
            stamp.4 = (0, 0);
        }
    }
    listing
}

/// Opens a copy as a service would.
fn look(path: &Path) -> Result<i64, String> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| error.to_string())?;
    invariant::check(&connection)
}

fn said(staged: &Staged, key: &str) -> Value {
    staged.record.snapshot.as_ref().expect("a description")[key].clone()
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn torture(mode: &str, reader: Option<&str>, method: &str) {
    let place = Place::new();
    let writer = Service::start(mode, &place.database());
    let reader = reader.map(|how| Service::start(how, &place.database()));
    let (mut ends, mut seconds) = (Vec::new(), Vec::new());
    for _ in 0..snapshots() {
        let staged = place.take().expect("a snapshot");
        assert_eq!(
            said(&staged, "journal_mode"),
            if mode.ends_with("wal") {
                "wal"
            } else {
                "delete"
            }
        );
        assert_eq!(said(&staged, "recovered"), false, "no process crashed");
        assert_eq!(said(&staged, "method"), method);
        seconds.push(said(&staged, "seconds").as_f64().expect("seconds"));
        ends.push(place.check(&staged).expect("the invariant"));
    }
    drop(reader);
    let wrote = writer.end();
    assert!(ends.is_sorted(), "{ends:?}");
    assert_ne!(ends.first(), ends.last(), "the writer must write");
    seconds.sort_by(f64::total_cmp);
    println!(
        "{mode}: {} snapshots, half of them in less than {} s, all in less than {} s; beside them {wrote}",
        ends.len(),
        seconds[ends.len() / 2],
        seconds[ends.len() - 1],
    );
    look(&place.database()).expect("the original is as good as ever");
}

#[test]
fn commits_to_a_log_are_copied_whole() {
    torture("wal", None, "vacuum_into");
}

#[test]
fn commits_to_a_log_that_a_reader_keeps_from_being_shortened_are_copied_whole() {
    torture("wal", Some("reader"), "vacuum_into");
}

#[test]
fn commits_with_a_journal_that_is_deleted_are_copied_whole() {
    torture("delete", None, "vacuum_into");
}

#[test]
fn commits_with_a_journal_that_stays_are_copied_whole() {
    torture("persist", None, "vacuum_into");
}

/// With an index in an order that only the service knows, so that SQLite cannot rebuild the database here.
#[test]
fn commits_that_only_the_service_can_rebuild_are_copied_whole() {
    torture("own-wal", None, "backup");
}

/// The same harness, without SQLite's help: it must be able to fail.
#[test]
fn a_plain_copy_of_a_live_database_fails() {
    for mode in ["wal", "delete"] {
        let place = Place::new();
        let _writer = Service::start(mode, &place.database());
        let copy = place.scratch.path().join("copy.db");
        let fails = |_: &usize| {
            // Even with its log: what counts is that they are not of one moment.
            for suffix in ["-journal", "-wal", ""] {
                let name = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
                let _ = fs::remove_file(name(&copy));
                if !suffix.ends_with("journal") {
                    let _ = fs::copy(name(&place.database()), name(&copy));
                }
            }
            look(&copy).is_err()
        };
        let tries = (1..=500).find(fails);
        println!("{mode}: a plain copy fails after {tries:?} tries");
        assert!(
            tries.is_some(),
            "no plain copy failed: the torture is too mild"
        );
    }
}

#[test]
fn what_a_killed_writer_has_committed_is_copied_and_left_alone() {
    for mode in ["wal", "delete", "begun-delete"] {
        for round in 0..5 {
            let place = Place::new();
            let service = Service::start(mode, &place.database());
            if mode != "begun-delete" {
                // In the middle of its work, at a moment of its own.
                place.take().expect("a snapshot");
            }
            service.kill();
            let before = place.listing();
            let staged = place.take().expect("a snapshot");
            assert!(
                place.listing() == before,
                "{mode} {round}: something changed"
            );
            let end = place.check(&staged).expect("the invariant");
            if mode != "delete" {
                assert_eq!(said(&staged, "recovered"), true, "{mode}");
            }
            assert_eq!(
                look(&place.database()),
                Ok(end),
                "{mode}: what the service will find"
            );
        }
    }
}

#[test]
fn nothing_beside_a_live_database_changes() {
    for how in ["idle-wal", "idle-delete"] {
        let place = Place::new();
        let service = Service::start(how, &place.database());
        let before = lasting(place.listing());
        assert_eq!(before.len(), if how == "idle-wal" { 4 } else { 2 });
        for _ in 0..3 {
            let staged = place.take().expect("a snapshot");
            assert_eq!(place.check(&staged), Ok(80));
            // Not even the index of the log, in which readers usually say how far they read.
            assert!(
                lasting(place.listing()) == before,
                "{how}: something changed"
            );
        }
        service.end();
        assert_eq!(
            place.listing().len(),
            2,
            "and the service closes it as ever"
        );
    }
}

#[test]
fn a_service_that_keeps_its_database_to_itself_is_named() {
    for how in ["exclusive-delete", "exclusive-wal"] {
        let place = Place::new();
        let service = Service::start(how, &place.database());
        let caller = SqliteContext {
            step: &|_| Ok(()),
            scratch: place.scratch.path(),
            patience: Duration::ZERO,
        };
        let before = place.listing();
        let name = "app.db".parse().expect("a name");
        let error = snapshot::take(&place.database(), &name, CopyForm::Compact, &caller)
            .err()
            .expect("locked");
        let failure = Failure::of(&error);
        assert_eq!(failure.kind, Kind::Snapshot);
        let holder = format!(
            "process {} (sqlite_holder) keeps it locked",
            service.child.id()
        );
        assert!(failure.message.contains(&holder), "{failure}");
        assert!(place.listing() == before, "{how}");
        drop(service);
        place.take().expect("free again");
    }
}

#[test]
fn a_service_that_starts_meanwhile_makes_it_begin_anew() {
    for left in ["idle-wal", "killed"] {
        let place = Place::new();
        let service = Service::start("wal", &place.database());
        match left {
            "killed" => service.kill(),
            _ => drop(service.end()),
        }
        let left_at = place.check(&place.take().expect("a snapshot"));
        let service = RefCell::new(None);
        let calls = Cell::new(0);
        // The first call comes when the way is chosen and nothing is read yet; in a copy, the second after the log.
        let due = if left == "killed" { 2 } else { 1 };
        let step = |_| {
            calls.set(calls.get() + 1);
            if calls.get() == due {
                *service.borrow_mut() = Some(Service::start("wal", &place.database()));
            }
            Ok(())
        };
        let staged = place.take_with(&step).expect("a snapshot");
        assert!(service.borrow().is_some());
        assert_eq!(
            said(&staged, "recovered"),
            false,
            "{left}: read beside the service"
        );
        let seen_at = place.check(&staged);
        // What was read before the service came is forgotten.
        assert!(seen_at.is_ok() && seen_at > left_at, "{left}: {seen_at:?}");
    }
}

#[test]
fn a_service_that_ends_meanwhile_leaves_its_log_to_the_next() {
    let place = Place::new();
    let service = RefCell::new(Some(Service::start("idle-wal", &place.database())));
    let log = &companions(&place.database())[0];
    let length = log.metadata().expect("a log").len();
    let step = |_| {
        drop(service.borrow_mut().take());
        Ok(())
    };
    let staged = place.take_with(&step).expect("a snapshot");
    assert_eq!(place.check(&staged), Ok(80));
    assert_eq!(log.metadata().expect("still there").len(), length);
    let staged = place.take().expect("a snapshot");
    assert_eq!(said(&staged, "recovered"), true);
    assert_eq!(place.check(&staged), Ok(80));
    assert_eq!(look(&place.database()), Ok(80));
}

/// Files of another user, in a folder without permission to write.
#[test]
fn a_reader_without_rights_to_write_takes_snapshots_and_root_makes_no_files() {
    if !is_root() {
        println!("left out: only root can be several users");
        return;
    }
    const NOBODY: u32 = 65534;
    for how in ["idle-wal", "idle-delete", "closed", "killed"] {
        let place = Place::new();
        let mut service = None;
        match how {
            "closed" => drop(Service::start("idle-wal", &place.database()).end()),
            "killed" => Service::start("idle-wal", &place.database()).kill(),
            _ => service = Some(Service::start(how, &place.database())),
        }
        let give = |owner: u32, mode: u32| {
            for path in place.listing().into_keys() {
                let is_folder = path == place.folder.path();
                chown(&path, Some(owner), Some(owner)).expect("given");
                let mode = if is_folder { mode | 0o111 } else { mode };
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
            }
        };
        // Root, on files of another user.
        give(NOBODY, 0o644);
        let before = lasting(place.listing());
        place
            .check(&place.take().expect("a snapshot"))
            .expect("the invariant");
        assert!(
            lasting(place.listing()) == before,
            "{how}: root changed something"
        );
        // A user with permission to read everything and write nothing.
        give(0, 0o444);
        let before = place.listing();
        let scratch = tempfile::tempdir().expect("a folder");
        chown(scratch.path(), Some(NOBODY), Some(NOBODY)).expect("given");
        let program = scratch.path().join("program");
        fs::copy(self::program(), &program).expect("copied");
        let output = Command::new(&program)
            .arg("snapshot")
            .args([&place.database(), scratch.path()])
            .uid(NOBODY)
            .gid(NOBODY)
            .output()
            .expect("run");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("\"quick_check\":true"), "{how}: {said}");
        assert!(place.listing() == before, "{how}: a file changed");
        drop(service);
    }
}

/// As SQLite makes them where the service is not the owner of its database.
#[test]
fn root_leaves_a_log_to_whom_it_belongs() {
    if !is_root() {
        println!("left out: only root can be several users");
        return;
    }
    let place = Place::new();
    let _service = Service::start("idle-wal", &place.database());
    for companion in &companions(&place.database())[..2] {
        chown(companion, Some(65533), Some(65533)).expect("given");
    }
    let before = place.listing();
    let staged = place.take().expect("a snapshot");
    assert_eq!(place.check(&staged), Ok(80));
    assert_eq!(said(&staged, "recovered"), false);
    assert!(place.listing() == before);
}

#[test]
fn who_is_at_work_is_seen_beside_a_live_service() {
    let place = Place::new();
    assert_eq!(holders(&place.database()).expect("asked"), vec![]);
    let service = Service::start("wal", &place.database());
    let found = holders(&place.database()).expect("asked");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].pid, Some(service.child.id()));
    let caller = SqliteContext {
        step: &|_| Ok(()),
        scratch: place.scratch.path(),
        patience: Duration::from_secs(30),
    };
    for _ in 0..20 {
        let query = "SELECT count(*), sum(balance) FROM accounts";
        let lines = active::active(&place.database(), query, &caller).expect("rows");
        assert_eq!(lines, ["2000, 2000000"]);
    }
}
