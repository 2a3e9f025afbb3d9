//! Databases of every version of redb, and of every shape: they come back for the program that wrote them, no process
//! that shares one is locked out, and large values cost no memory.

use support::bounds;
use support::{Holder, Machine, Mounted, finish, is_root, run_holder};

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use hookshot::source::redb::lock::{Against, DatabaseLock};
use redb::{Database, ReadableDatabase as _, TableDefinition};
use serde_json::Value;

const VERSIONS: [&str; 3] = ["2.6", "3", "4"];
const STATE: &str = "data/state.redb";

fn without_database() -> Machine {
    let machine = Machine::new();
    fs::remove_file(machine.path(STATE)).expect("removed");
    machine
}

fn holder(arguments: &[&str]) {
    let (is_good, said) = run_holder(arguments);
    assert!(is_good, "{arguments:?}: {said}");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Returns what an import would do with the database.
fn planned(machine: &Machine, archive: &str) -> Value {
    let plan = [
        "import",
        archive,
        "--only",
        "state.redb",
        "--dry-run",
        "--json",
    ];
    let plan = machine.run(&plan);
    let plan = plan.exits(0).json();
    let steps = plan["steps"].as_array().expect("steps").clone();
    let is_it = |step: &&Value| step["entry"] == "state.redb";
    steps.iter().find(is_it).expect("a step")["action"].clone()
}

/// Returns true if the service with `version` can open a copy of the database at `path`.
fn opens(version: &str, path: &Path) -> (bool, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("copy.redb");
    fs::copy(path, &copy).expect("copied");
    run_holder(&["open", version, text(&copy)])
}

#[test]
fn a_database_comes_back_for_every_version_that_could_open_it() {
    for version in VERSIONS {
        for left in ["quiet", "killed", "live"] {
            let label = format!("{version}, {left}");
            let machine = without_database();
            let path = machine.path(STATE);
            let mut live = None;
            match left {
                "quiet" => holder(&["make", version, text(&path)]),
                "killed" => drop(run_holder(&["crash-with", version, text(&path)])),
                _ => live = Some(Holder::start_as(&["hold", version, text(&path)])),
            }
            let could = VERSIONS.map(|other| opens(other, &path).0);
            let own = VERSIONS.iter().position(|other| *other == version);
            assert!(own.is_some_and(|own| could[own]), "{label}: {could:?}");
            let archive = machine.export("a.tar.gz");
            machine.run(&["diff", &archive]).exits(0);
            drop(live);
            let restored = without_database();
            assert_eq!(planned(&restored, &archive), "create", "{label}");
            restored
                .run(&["import", &archive, "--only", "state.redb"])
                .exits(0);
            for (other, could) in VERSIONS.into_iter().zip(could) {
                let (can, said) = opens(other, &restored.path(STATE));
                assert!(can || !could, "{label}, opened by {other}: {said}");
            }
            assert_eq!(planned(&restored, &archive), "unchanged", "{label}");
        }
    }
}

/// Has the database file as a service that was killed leaves it.
fn unclose(path: &Path) {
    let mut bytes = fs::read(path).expect("a file");
    bytes[9] = (bytes[9] | 2) & !4;
    fs::write(path, bytes).expect("written");
}

#[test]
fn nothing_differs_right_after_an_export_whatever_the_shape_of_the_database() {
    let large = (12 << 20).to_string();
    type Shape<'a> = (&'a str, &'a dyn Fn(&Path));
    let shapes: [Shape<'_>; 9] = [
        ("empty", &|path| holder(&["empty", text(path)])),
        ("empty, killed", &|path| {
            holder(&["empty", text(path)]);
            unclose(path);
        }),
        ("one page", &|path| {
            let db = Database::create(path).expect("a database");
            let tx = db.begin_write().expect("a transaction");
            tx.open_table(TableDefinition::<u64, u64>::new("t"))
                .expect("a table");
            tx.commit().expect("committed");
        }),
        ("a savepoint", &|path| {
            let db = Database::create(path).expect("a database");
            let tx = db.begin_write().expect("a transaction");
            tx.persistent_savepoint().expect("a savepoint");
            tx.commit().expect("committed");
        }),
        ("closed by redb 2.6", &|path| {
            holder(&["make", "2.6", text(path)])
        }),
        ("closed", &|path| holder(&["make", "4", text(path)])),
        ("killed", &|path| {
            drop(run_holder(&["crash-with", "4", text(path)]))
        }),
        ("a large value", &|path| {
            holder(&["large", &large, text(path)])
        }),
        ("a large value, killed", &|path| {
            holder(&["large", &large, text(path)]);
            unclose(path);
        }),
    ];
    for (label, make) in shapes {
        let machine = without_database();
        make(&machine.path(STATE));
        let original = machine.read(STATE);
        for compact in [false, true] {
            let config = machine.config_text(&format!("[backup]\ncompact = {compact}\n"));
            machine.write("etc/config.toml", config, 0o644);
            let archive = machine.export(&format!("{compact}.tar.gz"));
            let diff = machine.run(&["diff", &archive, "--json"]);
            assert_eq!(diff.code, 0, "{label}, compact {compact}: {}", diff.text());
            if !compact {
                assert_eq!(planned(&machine, &archive), "unchanged", "{label}");
            }
        }
        assert!(machine.read(STATE) == original, "{label}");
        // An import run twice is an import run once.
        machine.put_deployment_elsewhere();
        let again = ["import", "false.tar.gz", "--only", "state.redb", "--force"];
        machine.run(&again).exits(0);
        let once = machine.read(STATE);
        let before = fs::metadata(machine.path(STATE)).expect("a file").ino();
        machine.run(&again).exits(0);
        let after = fs::metadata(machine.path(STATE)).expect("a file").ino();
        assert!(machine.read(STATE) == once && before == after, "{label}");
    }
}

trait Elsewhere {
    fn put_deployment_elsewhere(&self);
}

impl Elsewhere for Machine {
    /// Another database in the place of this one.
    fn put_deployment_elsewhere(&self) {
        fs::remove_file(self.path(STATE)).expect("removed");
        self.fill_database(3);
    }
}

/// The ways in which processes of redb 4.6 and 5 open a database: for them alone, for one writer, for many.
const MODES: [&str; 6] = [
    "4-exclusive",
    "4-single",
    "4-multi",
    "5-exclusive",
    "5-single",
    "5-multi",
];

#[test]
fn who_comes_while_a_copy_is_locked_reads_or_is_told_that_it_is_open() {
    let machine = Machine::new();
    let path = machine.path(STATE);
    let file = fs::File::open(&path).expect("a file");
    let outcomes = |wish: &str| Holder::start_as(&["locks", "come", wish, text(&path)]).end();
    let is_only = |said: &str, outcome: &str| {
        said.starts_with(&format!("{{\"{outcome}\": ")) && !said.contains(',')
    };
    for against in [Against::Writers, Against::Everybody] {
        let lock = DatabaseLock::acquire(&file, against).expect("asked");
        let _lock = lock.expect("free");
        for mode in MODES {
            let said = outcomes(mode);
            assert!(is_only(&said, "AlreadyOpen"), "{mode} {against:?}: {said}");
            let said = outcomes(&format!("{mode}-read"));
            let expected = match against {
                Against::Writers => "opened",
                Against::Everybody => "AlreadyOpen",
            };
            assert!(is_only(&said, expected), "{mode} {against:?}: {said}");
        }
    }
    for mode in MODES {
        let said = outcomes(mode);
        assert!(is_only(&said, "opened"), "{mode}: {said}");
    }
}

#[test]
fn processes_that_share_a_database_go_on_writing_while_it_is_copied() {
    for mode in ["4-single", "4-multi", "5-single", "5-multi"] {
        let machine = Machine::new();
        machine.fill_database(20_000);
        let path = machine.path(STATE);
        let writer = Holder::start_as(&["locks", "write", mode, text(&path)]);
        let is_shared = mode.ends_with("multi");
        // Another one that writes, and one that only reads.
        let second = is_shared.then(|| Holder::start_as(&["locks", "hold", mode, text(&path)]));
        let reader = Holder::start_as(&["locks", "hold", &format!("{mode}-read"), text(&path)]);
        let others = Holder::start_as(&["locks", "come", &format!("{mode}-read"), text(&path)]);
        for _ in 0..3 {
            let run = machine.run(&["export", "a.tar.gz", "--overwrite", "--json"]);
            let report = run.exits(0).json();
            assert_eq!(report["snapshot"]["method"], "merkle-walk", "{mode}");
            assert_ne!(report["snapshot"]["writer_pid"], reader.pid(), "{mode}");
        }
        machine
            .run(&["export", "b.tar.gz", "--snapshot", "locked"])
            .exits(15)
            .says(&format!("process {}", writer.pid()));
        let said = others.end();
        assert!(
            said.contains("opened") && !said.contains("AlreadyOpen") && !said.contains("Mismatch"),
            "{mode}: {said}"
        );
        drop((second, reader));
        assert!(Waits::of(writer)["count"] > 0, "{mode}");
    }
}

/// The times that a writer waited for its transactions, in microseconds.
struct Waits;

impl Waits {
    fn of(writer: Holder) -> std::collections::BTreeMap<String, u64> {
        let said = writer.end();
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    }
}

/// A transaction begins within 10 ms while its database is exported. On a machine that is at work otherwise anything may take
/// longer: so the same writer is measured beside exports of another database, which cost the machine as much and lock nothing of
/// its own.
#[test]
fn a_transaction_of_a_shared_database_begins_within_ten_milliseconds_while_it_is_exported() {
    const MOST: u64 = 10_000;
    for mode in ["4-multi", "5-multi"] {
        let [own, other] = [(); 2].map(|()| {
            let machine = Machine::new();
            machine.fill_database(20_000);
            machine
        });
        let beside = |exported: &Machine| {
            let writer = Holder::start_as(&["locks", "write", mode, text(&own.path(STATE))]);
            // Another process of each service: one that shares a database reads the writes of the others.
            let second = [&own, &other].map(|machine| {
                Holder::start_as(&["locks", "hold", mode, text(&machine.path(STATE))])
            });
            for _ in 0..3 {
                let run = exported.run(&["export", "a.tar.gz", "--overwrite", "--json"]);
                let report = run.exits(0).json();
                assert_eq!(report["snapshot"]["method"], "merkle-walk", "{mode}");
            }
            drop(second);
            Waits::of(writer)
        };
        let mut seen = Vec::new();
        let is_good = (0..5).any(|_| {
            let (quiet, exported) = (beside(&other), beside(&own));
            assert!(exported["count"] > 20, "{mode}: {exported:?}");
            assert!(exported["median"] < MOST, "{mode}: {exported:?}");
            // A lock that is held while pages are copied is waited for most of the time.
            let share = |waits: &std::collections::BTreeMap<String, u64>| {
                waits["waited"] as f64 / waits["elapsed"].max(1) as f64
            };
            assert!(
                share(&exported) < share(&quiet) + 0.2,
                "{mode}: {exported:?}, {quiet:?}"
            );
            let longest = exported["longest"];
            let is_good = longest < MOST || longest <= quiet["longest"];
            seen.push((exported, quiet));
            is_good
        });
        assert!(is_good, "{mode}: {seen:?}");
    }
}

#[test]
fn a_database_that_processes_share_is_not_replaced() {
    for mode in MODES {
        for wish in [mode.to_owned(), format!("{mode}-read")] {
            let machine = Machine::new();
            let archive = machine.export("a.tar.gz");
            machine.put_deployment("d9", "succeeded");
            let held = Holder::start_as(&["locks", "hold", &wish, text(&machine.path(STATE))]);
            for further in ["--dry-run", "--force"] {
                machine
                    .run(&["import", &archive, further])
                    .exits(11)
                    .says(&format!("process {}", held.pid()));
            }
            drop(held);
            machine.run(&["import", &archive]).exits(0);
        }
    }
}

#[test]
fn memory_does_not_grow_with_the_largest_value() {
    const VALUE: usize = 40 << 20;
    let blobs = TableDefinition::<&str, &[u8]>::new("blobs");
    let limits = [format!("--data={}", 48 << 20)];
    let bounded = |machine: &Machine, arguments: &[&str]| {
        let mut command = machine.command();
        command.args(arguments);
        finish(bounds::limited(&command, &limits), b"")
    };
    let machine = without_database();
    let path = machine.path(STATE);
    holder(&["large", &VALUE.to_string(), text(&path)]);
    for is_closed in [true, false] {
        if !is_closed {
            unclose(&path);
        }
        let run = bounded(&machine, &["export", "a.tar.gz", "--overwrite", "--json"]);
        let report = run.exits(0).json();
        assert_eq!(report["snapshot"]["check_integrity"], false);
        assert_eq!(report["warnings"][0]["kind"], "large_pages");
        bounded(&machine, &["diff", "a.tar.gz"]).exits(0);
        bounded(&machine, &["import", "a.tar.gz", "--dry-run"]).exits(0);
        let restored = without_database();
        let archive = machine.path("out/a.tar.gz");
        let import = ["import", text(&archive), "--only", "state.redb"];
        bounded(&restored, &import).exits(0);
        let db = Database::open(restored.path(STATE)).expect("a database");
        let tx = db.begin_read().expect("a transaction");
        let table = tx.open_table(blobs).expect("a table");
        let value = table.get("large").expect("readable").expect("a row");
        let value = value.value();
        assert_eq!(value.len(), VALUE);
        let is_it = |(number, byte): (usize, &u8)| *byte == (number / 5000) as u8;
        assert!(value.iter().enumerate().step_by(997).all(is_it));
    }
    // A bit of the value that is not what it was is found, too.
    let mut bytes = machine.read(STATE);
    let at = (70 << 20) + 12_345;
    bytes[at] ^= 1;
    fs::write(&path, bytes).expect("written");
    bounded(&machine, &["export", "b.tar.gz"])
        .exits(15)
        .says("does not match its checksum");
}

#[test]
fn room_is_asked_for_the_live_pages_and_not_for_the_file() {
    if !is_root("mounting a file system") {
        return;
    }
    let blobs = TableDefinition::<u64, &[u8]>::new("blobs");
    let machine = without_database();
    let path = machine.path(STATE);
    let db = Database::create(&path).expect("a database");
    for key in 0..40 {
        let tx = db.begin_write().expect("a transaction");
        let mut table = tx.open_table(blobs).expect("a table");
        table
            .insert(key, vec![1; 1 << 20].as_slice())
            .expect("a row");
        drop(table);
        tx.commit().expect("committed");
    }
    let tx = db.begin_write().expect("a transaction");
    let mut table = tx.open_table(blobs).expect("a table");
    table.retain(|key, _| key == 39).expect("removed");
    drop(table);
    tx.commit().expect("committed");
    drop(db);
    let length = fs::metadata(&path).expect("a file").len();
    assert!(length > 40 << 20, "{length}");
    let _tmpfs = Mounted::tmpfs(&machine.path("tmp"), "12m");
    machine.run(&["export", "a.tar.gz"]).exits(0);
    machine.run(&["import", "a.tar.gz", "--dry-run"]).exits(0);
    // What has no room is still told, before anything is written.
    let small = Mounted::tmpfs(&machine.path("tmp"), "2m");
    machine
        .run(&["export", "b.tar.gz"])
        .exits(18)
        .says("not enough space for a copy of the database");
    drop(small);
    // A restored database takes no more room than its live pages.
    fs::remove_file(&path).expect("removed");
    machine.run(&["import", "a.tar.gz"]).exits(0);
    let blocks = fs::metadata(&path).expect("a file").blocks();
    assert!(blocks * 512 < 8 << 20, "{blocks}");
}

#[test]
fn a_process_that_works_on_a_deleted_database_is_named() {
    let machine = Machine::new();
    let archive = machine.export("good.tar.gz");
    let service = machine.holder("write");
    let named = format!("process {}", service.pid());
    let content = machine.read(STATE);
    fs::remove_file(machine.path(STATE)).expect("removed");
    machine
        .run(&["export", "a.tar.gz"])
        .exits(10)
        .says("is missing")
        .says(&format!("{named} (holder) has it open, deleted"));
    let refused = |further: &[&str]| {
        machine
            .run(&[&["import", archive.as_str()], further].concat())
            .exits(11)
            .says(&named)
            .says("open, deleted");
    };
    refused(&["--dry-run"]);
    refused(&["--force"]);
    assert!(!machine.path(STATE).exists());
    // Another file in its place is not what the service works on.
    machine.write(STATE, content, 0o600);
    let report = machine.run(&["export", "a.tar.gz", "--json"]).exits(3);
    let report = report.says(&named).json();
    assert_eq!(report["left_undone"][0]["kind"], "open_deleted");
    refused(&["--dry-run"]);
    refused(&[]);
    drop(service);
    machine.run(&["import", &archive]).exits(0);
    machine.run(&["export", "c.tar.gz"]).exits(0);
}

#[test]
fn a_process_in_a_container_that_works_on_a_deleted_database_is_named() {
    if !is_root("a mount namespace") {
        return;
    }
    let machine = Machine::new();
    fs::create_dir(machine.path("inside")).expect("a folder");
    let (data, inside) = (machine.path("data"), machine.path("inside"));
    // As a volume: the same folder under another path.
    let script = "mount --bind \"$1\" \"$2\" && exec sleep 60 3<> \"$2/state.redb\"";
    let mut container = std::process::Command::new("unshare")
        .args([
            "-m",
            "bash",
            "-c",
            script,
            "bash",
            text(&data),
            text(&inside),
        ])
        .spawn()
        .expect("unshare");
    let path = machine.path(STATE);
    let has_it = || holder_of(container.id(), &path);
    let begun = std::time::Instant::now();
    while !has_it() && begun.elapsed().as_secs() < 10 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    fs::remove_file(&path).expect("removed");
    let run = machine.run(&["export", "a.tar.gz"]);
    container.kill().expect("killed");
    container.wait().expect("an end");
    run.exits(10)
        .says(&format!("process {}", container.id()))
        .says("has it open, deleted");
}

fn holder_of(pid: u32, path: &Path) -> bool {
    let metadata = path.metadata().expect("a file");
    hookshot::disk::holder::has_open(pid, metadata.dev(), metadata.ino()).is_some()
}
