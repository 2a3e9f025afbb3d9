//! Databases as services leave them to us: held by other versions of redb, damaged, full of deleted rows, on file systems
//! that clone, paused, and exported from inside.

use support::invariant;
use support::{Holder, Machine, Mounted, is_root};

use std::{
    fs,
    os::unix::{fs::FileExt as _, process::ExitStatusExt as _},
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use redb::{Database, ReadableDatabase as _, TableDefinition};
use serde_json::Value;

const NOTES: TableDefinition<&str, &str> = TableDefinition::new("notes");

fn without_database() -> Machine {
    let machine = Machine::new();
    fs::remove_file(machine.path("data/state.redb")).expect("removed");
    machine
}

/// Exports, and gives what the report says of the snapshot and the database that the archive holds.
fn export(machine: &Machine, further: &[&str]) -> (Value, Database) {
    let arguments = [&["export", "live.tar.gz", "--json"], further].concat();
    let report = machine.run(&arguments).exits(0).json();
    let take = [
        "extract",
        "live.tar.gz",
        "state.redb",
        "-o",
        "look",
        "--overwrite",
    ];
    machine.run(&take).exits(0);
    let copy = machine.path("out/look/state.redb");
    let db = Database::open(copy).expect("a database");
    (report["snapshot"].clone(), db)
}

fn state_of(pid: u32) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let (_, rest) = stat.rsplit_once(") ").expect("fields");
    rest.chars().next().expect("a state")
}

#[test]
fn services_with_other_versions_of_redb_are_seen_and_exported() {
    for how in ["write-3", "write-2.6"] {
        let machine = without_database();
        let holder = Holder::start(how, &machine.path("data/state.redb"));
        let pid = format!("process {}", holder.pid());
        let (snapshot, db) = export(&machine, &[]);
        assert_eq!(snapshot["method"], "merkle-walk", "{how}");
        assert_eq!(snapshot["writer_pid"], holder.pid(), "{how}");
        let tx = db.begin_read().expect("a transaction");
        let notes = tx.open_table(NOTES).expect("a table");
        assert!(notes.get("by").expect("readable").is_some(), "{how}");
        let locked = ["export", "other.tar.gz", "--snapshot", "locked"];
        machine.run(&locked).exits(15).says(&pid);
        machine.run(&["import", "live.tar.gz"]).exits(11).says(&pid);
        drop(holder);
        let (snapshot, mut db) = export(&machine, &[]);
        assert_eq!(snapshot["method"], "locked-copy", "{how}");
        assert!(db.check_integrity().expect("whole"), "{how}");
    }
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    machine.put_deployment("d9", "succeeded");
    let reader = machine.holder("read");
    machine
        .run(&["import", &archive])
        .exits(11)
        .says(&format!("process {}", reader.pid()));
}

#[test]
fn the_file_format_of_old_versions_is_refused_with_the_way_out() {
    let machine = without_database();
    let holder = Holder::start("format-2", &machine.path("data/state.redb"));
    let export = ["export", "a.tar.gz"];
    machine
        .run(&export)
        .exits(15)
        .says("file format 2")
        .says("Database::upgrade() of redb 2.6");
    drop(holder);
    machine.run(&export).exits(15).says("file format 2");
}

/// Finds the value of a row in a file.
fn find(bytes: &[u8], word: &[u8]) -> Option<usize> {
    bytes.windows(word.len()).position(|window| window == word)
}

#[test]
fn damage_is_named_with_its_page_and_its_transaction() {
    let machine = Machine::new();
    machine.fill_database(500);
    let db = Database::open(machine.path("data/state.redb")).expect("a database");
    let tx = db.begin_write().expect("a transaction");
    tx.open_table(NOTES)
        .expect("a table")
        .insert("one", "commit more")
        .expect("a row");
    tx.commit().expect("committed");
    drop(db);
    let good = machine.read("data/state.redb");
    let id = find(&good, br#""id":"d00007""#).expect("the row");
    let mut bytes = good.clone();
    bytes[id + 8] ^= 1;
    machine.write("data/state.redb", &bytes, 0o600);
    for method in ["auto", "locked", "walk", "pause"] {
        let run = machine
            .run(&["export", "a.tar.gz", "--snapshot", method])
            .exits(15);
        run.says(&format!(
            "state.redb is damaged: the page at offset {} of table `deployments` in transaction ",
            id / 4096 * 4096
        ))
        .says("does not match its checksum")
        .says("the commit before it")
        .says("restore the last good archive");
    }
    // Beside a service that has it open and commits nothing, the time is waited for.
    let holder = machine.holder("ranges");
    let begun = Instant::now();
    machine
        .run(&["export", "a.tar.gz", "--snapshot-timeout", "3"])
        .exits(15)
        .says("is damaged: the page at offset");
    assert!(begun.elapsed() > Duration::from_secs(3));
    drop(holder);
    assert!(!machine.path("out/a.tar.gz").exists());
    machine.write("data/state.redb", &good, 0o600);
    machine.run(&["export", "a.tar.gz"]).exits(0);
}

#[test]
fn damage_is_found_beside_a_service_that_commits_all_the_time() {
    let machine = without_database();
    let file = machine.path("data/state.redb");
    let writer = Holder::start_with("torture-immediate", &file, &["40000", "100"]);
    // A page of the many rows that this writer hardly ever touches.
    let handle = fs::File::options()
        .write(true)
        .read(true)
        .open(&file)
        .expect("a file");
    let middle = 24 << 20;
    let mut bytes = [0; 512];
    handle.read_exact_at(&mut bytes, middle).expect("readable");
    bytes.iter_mut().for_each(|byte| *byte = !*byte);
    handle.write_all_at(&bytes, middle).expect("written");
    let begun = Instant::now();
    let run = machine.run(&["export", "a.tar.gz"]).exits(15);
    run.says("is damaged: the page at offset")
        .says("of table `items` in transaction");
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "it needs no time-out"
    );
    println!("{}", writer.end());
}

#[test]
fn what_was_deleted_is_not_in_the_archive() {
    let machine = Machine::new();
    let word = "deleted-7c9e-and-never-to-be-seen";
    let file = machine.path("data/state.redb");
    let db = Database::open(&file).expect("a database");
    let put = |key: &str, value: Option<&str>| {
        let tx = db.begin_write().expect("a transaction");
        let mut notes = tx.open_table(NOTES).expect("a table");
        match value {
            Some(value) => drop(notes.insert(key, value).expect("a row")),
            None => drop(notes.remove(key).expect("removed")),
        }
        drop(notes);
        tx.commit().expect("committed");
    };
    for number in 0..50 {
        put(&format!("kept {number:02}"), Some("a row"));
        put(&format!("kept {number:02} deleted"), Some(word));
    }
    for number in 0..50 {
        put(&format!("kept {number:02} deleted"), None);
    }
    drop(db);
    let archived = |further: &[&str]| {
        drop(export(&machine, further));
        machine.read("out/look/state.redb")
    };
    assert!(find(&machine.read("data/state.redb"), word.as_bytes()).is_some());
    assert_eq!(find(&archived(&[]), word.as_bytes()), None);
    let _holder = machine.holder("write");
    assert_eq!(find(&archived(&[]), word.as_bytes()), None);
}

#[test]
fn a_configuration_may_have_the_copy_compacted() {
    let machine = Machine::new();
    machine.fill_database(3000);
    let db = Database::open(machine.path("data/state.redb")).expect("a database");
    let tx = db.begin_write().expect("a transaction");
    tx.open_table(hookshot::state::DEPLOYMENTS)
        .expect("a table")
        .retain(|key, _| key < "d00100")
        .expect("removed");
    tx.commit().expect("committed");
    drop(db);
    let size = || {
        let (snapshot, mut db) = export(&machine, &[]);
        assert!(db.check_integrity().expect("whole"));
        let size = machine.read("out/look/state.redb").len();
        (snapshot["compacted"].as_bool().expect("told"), size)
    };
    let (plain, as_it_is) = size();
    let config = machine.read("etc/config.toml");
    let config = format!(
        "{}\n[backup]\ncompact = true\nsnapshot = \"locked\"\n",
        String::from_utf8_lossy(&config)
    );
    machine.write("etc/config.toml", config, 0o644);
    let (compacted, smaller) = size();
    assert_eq!((plain, compacted), (false, true));
    assert!(smaller < as_it_is, "{smaller} {as_it_is}");
    machine
        .run(&["import", "live.tar.gz", "--dry-run"])
        .exits(0);
    // What the configuration says of the method holds, and the command line says it last.
    let _holder = machine.holder("write");
    machine.run(&["export", "b.tar.gz"]).exits(15);
    machine
        .run(&["export", "b.tar.gz", "--snapshot", "auto"])
        .exits(0);
}

/// Exports until one had to stop the service.
fn export_paused(machine: &Machine) -> Value {
    for _ in 0..100 {
        let (snapshot, db) = export(machine, &["--snapshot", "pause"]);
        assert_eq!(invariant::check(db), Ok(3000));
        if snapshot["method"] == "paused" {
            return snapshot;
        }
    }
    panic!("no export of 100 had to stop the service");
}

#[test]
fn a_paused_service_is_exported_and_runs_on() {
    let machine = without_database();
    let writer = Holder::start("torture-immediate", &machine.path("data/state.redb"));
    let first = export_paused(&machine);
    assert_eq!(first["writer_pid"], writer.pid());
    let paused = first["paused_seconds"].as_f64().expect("how long");
    println!("paused for {:.1} ms", paused * 1000.0);
    assert_ne!(state_of(writer.pid()), 'T');
    let second = export_paused(&machine);
    assert!(
        second["transaction_id"].as_u64() > first["transaction_id"].as_u64(),
        "it must have gone on"
    );
    println!("{}", writer.end());
}

#[test]
fn a_paused_service_runs_on_when_hookshot_is_killed() {
    let machine = without_database();
    let writer = Holder::start("torture-immediate", &machine.path("data/state.redb"));
    let mut caught = 0;
    for _ in 0..300 {
        let mut child = machine
            .command()
            .args(["export", "live.tar.gz", "--snapshot", "pause"])
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary");
        while child.try_wait().expect("a child").is_none() {
            if state_of(writer.pid()) == 'T' {
                child.kill().expect("killed");
                caught += i32::from(child.wait().expect("an end").signal() == Some(9));
                break;
            }
        }
        let _ = child.wait();
        let begun = Instant::now();
        while state_of(writer.pid()) == 'T' {
            assert!(
                begun.elapsed() < Duration::from_secs(5),
                "the service is still stopped"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        if caught == 3 {
            break;
        }
    }
    assert_eq!(
        caught, 3,
        "hookshot was not caught with the service stopped"
    );
    println!("{}", writer.end());
}

#[test]
fn a_guard_lets_a_process_run_on_when_its_time_is_over() {
    let machine = Machine::new();
    let mut sleeper = Command::new("sleep").arg("60").spawn().expect("sleep");
    let number = nix::unistd::Pid::from_raw(sleeper.id().cast_signed());
    nix::sys::signal::kill(number, nix::sys::signal::Signal::SIGSTOP).expect("stopped");
    let begun = Instant::now();
    let mut guard = machine
        .command()
        .args(["guard", &sleeper.id().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary");
    let pipe = guard.stdin.take();
    assert!(guard.wait().expect("an end").success());
    drop(pipe);
    assert!(begun.elapsed() > Duration::from_secs(9));
    assert_ne!(state_of(sleeper.id()), 'T');
    sleeper.kill().expect("killed");
    sleeper.wait().expect("an end");
}

fn torture_on(kind: &str) {
    if !is_root(&format!("mounting {kind}")) {
        return;
    }
    let machine = without_database();
    let image = machine.path("tmp/image");
    let mounted = match Mounted::image(kind, &image, &machine.path("data")) {
        Ok(mounted) => mounted,
        Err(reason) => {
            println!("skipped: this machine cannot mount {kind}: {reason}");
            return;
        }
    };
    for mode in ["torture-immediate", "torture-quick-repair"] {
        let _ = fs::remove_file(machine.path("data/state.redb"));
        let writer = Holder::start(mode, &machine.path("data/state.redb"));
        for method in ["walk", "reflink"].repeat(8) {
            let (snapshot, db) = export(&machine, &["--snapshot", method]);
            let expected = if method == "walk" {
                "merkle-walk"
            } else {
                method
            };
            assert_eq!(snapshot["method"], expected);
            assert_eq!(snapshot["writer_pid"], writer.pid());
            assert_eq!(invariant::check(db), Ok(3000), "{kind} {mode} {method}");
        }
        println!("{kind} {mode}: {}", writer.end());
    }
    let names = fs::read_dir(machine.path("data")).expect("a folder");
    let names: Vec<_> = names
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert!(names.iter().all(|name| name == "state.redb"), "{names:?}");
    drop(mounted);
}

#[test]
fn on_btrfs_a_clone_is_one_commit() {
    torture_on("btrfs");
}

#[test]
fn on_xfs_a_clone_is_one_commit() {
    torture_on("xfs");
}

#[test]
fn a_file_system_without_clones_is_named() {
    if !is_root("mounting a file system") {
        return;
    }
    let machine = Machine::new();
    let _tmpfs = Mounted::tmpfs(&machine.path("data"), "32m");
    machine.fill_database(10);
    machine
        .run(&["export", "a.tar.gz", "--snapshot", "reflink"])
        .exits(15)
        .says("cannot clone files");
}

#[test]
fn a_broken_file_with_good_pages_is_restored() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    let good = machine.read("data/state.redb");
    let broken = |how: &str| {
        let mut bytes = good.clone();
        match how {
            "counts of regions" => bytes[28..30].fill(0xff),
            "bytes behind the end" => bytes.extend([0x5a; 12_345]),
            "the other slot" => bytes[192..320].fill(0),
            other => panic!("{other}?"),
        }
        bytes
    };
    for how in [
        "counts of regions",
        "bytes behind the end",
        "the other slot",
    ] {
        machine.write("data/state.redb", broken(how), 0o600);
        machine.run(&["diff", &archive]).exits(1);
        machine.run(&["import", &archive, "--force"]).exits(0);
        assert!(machine.read("data/state.redb") == good, "{how}");
    }
}

#[test]
fn persistent_savepoints_go_along() {
    let machine = without_database();
    let file = machine.path("data/state.redb");
    let db = Database::create(&file).expect("a database");
    let tx = db.begin_write().expect("a transaction");
    for key in 0..8000 {
        invariant::put(&tx, key, &[3; 500]);
    }
    tx.commit().expect("committed");
    for _ in 0..3 {
        let tx = db.begin_write().expect("a transaction");
        tx.persistent_savepoint().expect("a savepoint");
        tx.commit().expect("committed");
    }
    let kept = |db: &Database| {
        let tx = db.begin_write().expect("a transaction");
        tx.list_persistent_savepoints().expect("savepoints").count()
    };
    assert_eq!(kept(&db), 3);
    drop(db);
    let live_bytes = |snapshot: &Value| snapshot["live_bytes"].as_u64().expect("a number");
    let (snapshot, db) = export(&machine, &[]);
    assert_eq!(kept(&db), 3);
    assert!(live_bytes(&snapshot) <= fs::metadata(&file).expect("a file").len());
    drop(db);
    let _holder = machine.holder("write");
    let (snapshot, db) = export(&machine, &[]);
    assert_eq!(
        (snapshot["method"].as_str(), kept(&db)),
        (Some("merkle-walk"), 3)
    );
}

#[test]
fn a_service_that_does_not_stay_stopped_is_not_called_damaged() {
    let machine = without_database();
    let writer = Holder::start("torture-immediate", &machine.path("data/state.redb"));
    let pid = nix::unistd::Pid::from_raw(writer.pid().cast_signed());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT).expect("sent");
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        for _ in 0..8 {
            let (_, db) = export(&machine, &["--snapshot", "pause"]);
            assert_eq!(invariant::check(db), Ok(3000));
        }
        stop.store(true, Ordering::Relaxed);
    });
    println!("{}", writer.end());
}

#[test]
fn two_exports_may_pause_one_service() {
    let machine = without_database();
    let writer = Holder::start("torture-immediate", &machine.path("data/state.redb"));
    std::thread::scope(|scope| {
        for number in 0..3 {
            let machine = &machine;
            scope.spawn(move || {
                for _ in 0..6 {
                    let archive = format!("{number}.tar.gz");
                    let run = machine.run(&["export", &archive, "--snapshot", "pause"]);
                    run.exits(0);
                    machine.run(&["verify", &archive]).exits(0);
                }
            });
        }
    });
    assert_ne!(state_of(writer.pid()), 'T');
    println!("{}", writer.end());
}

#[test]
fn who_only_reads_the_file_is_neither_named_nor_paused() {
    let machine = Machine::new();
    let writer = machine.holder("ranges");
    let reader = fs::File::open(machine.path("data/state.redb")).expect("a file");
    let mut sleeper = Command::new("sleep")
        .arg("60")
        .stdin(reader)
        .spawn()
        .expect("sleep");
    let (snapshot, _) = export(&machine, &["--snapshot", "pause"]);
    assert_eq!(snapshot["writer_pid"], writer.pid());
    sleeper.kill().expect("killed");
    sleeper.wait().expect("an end");
}

/// A file that takes the place of the database while it is copied, again and again.
#[test]
fn a_database_that_is_replaced_meanwhile_is_begun_anew() {
    let machine = Machine::new();
    machine.fill_database(200);
    let one = machine.read("data/state.redb");
    machine.fill_database(4000);
    let two = machine.read("data/state.redb");
    let stop = AtomicBool::new(false);
    let (mut good, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let next = machine.path("data/next");
            let contents = [&one, &two].into_iter().cycle();
            for content in contents.take_while(|_| !stop.load(Ordering::Relaxed)) {
                fs::write(&next, content).expect("written");
                fs::rename(&next, machine.path("data/state.redb")).expect("replaced");
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        for method in ["walk", "locked"].repeat(15) {
            let run = machine.run(&["export", "a.tar.gz", "--snapshot", method]);
            if run.code == 0 {
                good += 1;
                let take = ["extract", "a.tar.gz", "state.redb", "-o", "-"];
                let copy = machine.run(&take).exits(0).stdout;
                assert!(copy == one || copy == two, "neither of the two");
            } else {
                refused += 1;
                run.exits(15).says("replaced again and again");
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    println!("replaced meanwhile: {good} exports good, {refused} refused");
    assert!(good > 0);
}

fn put_some(db: &Database, number: u64) {
    let tx = db.begin_write().expect("a transaction");
    for row in 0..4 {
        let key = (number * 7 + row * 613) % 3000;
        invariant::put(&tx, key, &vec![number as u8; 300 + (number % 900) as usize]);
    }
    tx.commit().expect("committed");
}

#[test]
fn a_service_takes_a_snapshot_of_its_own_database_while_it_works() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, copy) = (folder.path().join("state.redb"), folder.path().join("copy"));
    let db = Database::create(&path).expect("a database");
    let tx = db.begin_write().expect("a transaction");
    for key in 0..3000 {
        invariant::put(&tx, key, &[1; 700]);
    }
    tx.commit().expect("committed");
    let stop = AtomicBool::new(false);
    let mut rounds = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                put_some(&db, number);
            }
        });
        let mut before = 0;
        for _ in 0..25 {
            let snapshot = hookshot::snapshot(&db, &path).expect("a snapshot");
            rounds.push(snapshot.walked().rounds);
            assert!(snapshot.transaction_id() > before, "the writer must write");
            before = snapshot.transaction_id();
            snapshot.save(&copy).expect("saved");
            let copied = Database::open(&copy).expect("a database");
            assert_eq!(invariant::check(copied), Ok(3000));
        }
        stop.store(true, Ordering::Relaxed);
    });
    rounds.sort_unstable();
    println!("rounds of snapshots from inside: {rounds:?}");
    assert_eq!(rounds[rounds.len() / 2], 1);
    // Another database, though a good one, is not this one.
    let other = folder.path().join("other");
    fs::copy(&copy, &other).expect("copied");
    assert!(hookshot::snapshot(&db, &other).is_err());
}

#[test]
fn the_example_of_such_a_service_works() {
    let program =
        Path::new(env!("CARGO_BIN_EXE_hookshot")).with_file_name("examples/self_snapshot");
    let run = Command::new(program).output().expect("the example");
    assert!(run.status.success());
    let said = String::from_utf8(run.stdout).expect("text");
    assert_eq!(said.matches("and the service goes on").count(), 5, "{said}");
}

/// A commit that a crash cut short: the header is in the file, a page of it is not.
#[test]
fn a_commit_that_a_crash_cut_short_gives_way_to_the_one_before() {
    let machine = Machine::new();
    let file = machine.path("data/state.redb");
    let db = Database::open(&file).expect("a database");
    let note = |text: &str| {
        let tx = db.begin_write().expect("a transaction");
        tx.open_table(NOTES)
            .expect("a table")
            .insert("last", text)
            .expect("a row");
        tx.commit().expect("committed");
    };
    note("the commit before the crash");
    note("the commit in the crash");
    // The file as it is while the service runs, without the last commit's page.
    let mut bytes = machine.read("data/state.redb");
    drop(db);
    let torn = find(&bytes, b"the commit in the crash").expect("the row");
    bytes[torn] ^= 1;
    machine.write("data/state.redb", &bytes, 0o600);
    let (snapshot, db) = export(&machine, &[]);
    let (taken, lost) = (
        snapshot["transaction_id"].as_u64().expect("a number"),
        snapshot["rolled_back_from"].as_u64().expect("a number"),
    );
    assert!(taken < lost);
    let tx = db.begin_read().expect("a transaction");
    let notes = tx.open_table(NOTES).expect("a table");
    assert_eq!(
        notes.get("last").expect("readable").expect("a row").value(),
        "the commit before the crash"
    );
    // What the archive has is what redb would find here.
    machine.run(&["diff", "live.tar.gz"]).exits(0);
    assert_eq!(only_change(&file, &bytes), None, "the original stays");
}

fn only_change(file: &Path, bytes: &[u8]) -> Option<usize> {
    let mut now = vec![0; bytes.len()];
    let file = fs::File::open(file).expect("a file");
    file.read_exact_at(&mut now, 0).expect("as long");
    now.iter().zip(bytes).position(|(one, two)| one != two)
}
