//! Owners, modes, times, ACLs and attributes of single files and of directories, by one rule, through the real binary.

use support::{Machine, Run, finish, is_root};

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt as _, chown},
        process::CommandExt as _,
    },
    path::Path,
    process::{Command, Stdio},
};

use rusqlite::Connection;
use rustix::fs::{XattrFlags, getxattr, setxattr};
use serde_json::Value;

/// A source of each kind that has a place, below `svc`.
const PLACES: [&str; 4] = [
    "svc/app.ini",
    "svc/app.db",
    "svc/main.redb",
    "svc/data/file",
];
const ACL: &str = "system.posix_acl_access";

/// A machine with a source of each kind that has a place.
fn machine() -> Machine {
    let machine = Machine::new();
    fs::create_dir_all(machine.path("svc/data")).expect("a folder");
    let mut text = "[backup]\nprefix = \"x\"\n".to_owned();
    for (name, kind, path) in [
        ("app.ini", "file", "app.ini"),
        ("app.db", "sqlite", "app.db"),
        ("main.redb", "redb", "main.redb"),
        ("data", "directory", "data"),
    ] {
        text += &format!(
            "[[backup.sources]]\nname = \"{name}\"\nkind = \"{kind}\"\npath = \"../svc/{path}\"\n"
        );
    }
    let text = format!("[storage]\ndata_dir = \"../svc\"\n{text}");
    machine.write("etc/config.toml", text, 0o600);
    fill(&machine, "1");
    machine
}

/// Gives every source new content; modes and owners of files that are there stay.
fn fill(machine: &Machine, content: &str) {
    fs::write(machine.path("svc/app.ini"), content).expect("written");
    fs::write(machine.path("svc/data/file"), content).expect("written");
    let db = Connection::open(machine.path("svc/app.db")).expect("a database");
    db.execute_batch("CREATE TABLE IF NOT EXISTS t (a); INSERT INTO t VALUES (1);")
        .expect("rows");
    drop(db);
    let db = redb::Database::create(machine.path("svc/main.redb")).expect("a database");
    let tx = db.begin_write().expect("a transaction");
    tx.open_table(redb::TableDefinition::<&str, &str>::new("t"))
        .expect("a table")
        .insert(content, content)
        .expect("a row");
    tx.commit().expect("committed");
}

fn everything(machine: &Machine) -> Vec<std::path::PathBuf> {
    let all = ["svc/data"].into_iter().chain(PLACES);
    all.map(|place| machine.path(place)).collect()
}

fn owner(path: &Path) -> (u32, u32) {
    let metadata = path.symlink_metadata().expect("it is there");
    (metadata.uid(), metadata.gid())
}

fn lose(machine: &Machine) {
    fs::remove_dir_all(machine.path("svc")).expect("removed");
    fs::create_dir(machine.path("svc")).expect("a folder");
}

/// The messages of a kind among the warnings, or what was left undone, of a report.
fn said(report: &Value, list: &str, kind: &str) -> Vec<String> {
    let remarks = report[list].as_array().cloned().unwrap_or_default();
    let of_kind = remarks.iter().filter(|remark| remark["kind"] == kind);
    let messages = of_kind.map(|remark| remark["message"].as_str().expect("a text").to_owned());
    messages.collect()
}

fn actions(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let steps = report["steps"].as_array().expect("steps").iter();
    let steps = steps.map(|step| (text(&step["entry"]), text(&step["action"])));
    steps.collect()
}

/// Runs hookshot with `script` before it, in a mount namespace of its own.
fn within(machine: &Machine, script: &str, arguments: &[&str]) -> Run {
    let inner = machine.command();
    let mut command = Command::new("unshare");
    let script = format!("set -e; {script}; exec \"$@\"");
    command.args(["-m", "sh", "-c", &script, "sh"]);
    command.arg(inner.get_program()).args(inner.get_args());
    command.args(arguments);
    command.current_dir(machine.path("out"));
    command.env("TMPDIR", machine.path("tmp"));
    finish(command, b"")
}

/// Runs hookshot while a system call fails. In a complete run strace(1) has to be there.
fn refused(machine: &Machine, call: &str, arguments: &[&str]) -> Option<Run> {
    let works = Command::new("strace").args(["-qq", "true"]).output();
    if !works.is_ok_and(|output| output.status.success()) {
        assert!(
            std::env::var_os("HOOKSHOT_TESTS_COMPLETE").is_none(),
            "strace does not work here"
        );
        println!("skipped: strace does not work here");
        return None;
    }
    let inner = machine.command();
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e"]);
    command.arg(format!("inject={call}:error=EPERM"));
    command.arg(inner.get_program()).args(inner.get_args());
    command.args(arguments);
    command.current_dir(machine.path("out"));
    command.env("TMPDIR", machine.path("tmp"));
    Some(finish(command, b""))
}

#[test]
fn an_owner_without_a_name_comes_back_by_number_whatever_the_kind_of_source() {
    if !is_root("giving files away") {
        return;
    }
    let machine = machine();
    for path in everything(&machine) {
        chown(path, Some(7777), Some(8888)).expect("given");
    }
    machine.run(&["export", "a.tar.gz"]).exits(0);
    lose(&machine);
    let report = machine
        .run(&["import", "a.tar.gz", "--json"])
        .exits(0)
        .json();
    assert_eq!(report.get("warnings"), None, "{report}");
    for path in everything(&machine) {
        assert_eq!(owner(&path), (7777, 8888), "{}", path.display());
    }
}

#[test]
fn an_owner_whose_name_is_not_known_here_is_said_once_and_gets_the_number() {
    if !is_root("giving files away") {
        return;
    }
    let machine = machine();
    for path in everything(&machine) {
        chown(path, Some(7777), Some(8888)).expect("given");
    }
    let script = "f=$(mktemp); g=$(mktemp); cat /etc/passwd > $f; cat /etc/group > $g; \
        echo 'ghost:x:7777:8888::/:/bin/false' >> $f; echo 'ghosts:x:8888:' >> $g; chmod 644 $f $g; \
        mount --bind $f /etc/passwd; mount --bind $g /etc/group; rm $f $g";
    within(&machine, script, &["export", "a.tar.gz"]).exits(0);
    for rehearsal in [&["--dry-run"][..], &[]] {
        lose(&machine);
        let arguments = [&["import", "a.tar.gz", "--json"][..], rehearsal].concat();
        let report = machine.run(&arguments).exits(0).json();
        assert_eq!(
            said(&report, "warnings", "owner"),
            [
                "the user ghost (uid 7777) is not known here: the number is used",
                "the group ghosts (gid 8888) is not known here: the number is used"
            ],
            "{report}"
        );
    }
    for path in everything(&machine) {
        assert_eq!(owner(&path), (7777, 8888), "{}", path.display());
    }
}

/// user::rw-, user:1234:r--, group::---, mask::r--, other::---: a mode of 0640 that lets no group in.
fn acl() -> Vec<u8> {
    let mut value = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in [
        (1u16, 6u16, u32::MAX),
        (2, 4, 1234),
        (4, 0, u32::MAX),
        (16, 4, u32::MAX),
        (32, 0, u32::MAX),
    ] {
        value.extend(tag.to_le_bytes());
        value.extend(permissions.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    value
}

fn reads(path: &Path, uid: u32, gid: u32) -> bool {
    let mut command = Command::new("cat");
    command.arg(path).uid(uid).gid(gid);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().expect("cat").success()
}

#[test]
fn an_acl_comes_back_whatever_the_kind_of_source() {
    if !is_root("becoming another user") {
        return;
    }
    let machine = machine();
    for folder in [".", "svc", "svc/data"] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(machine.path(folder), mode).expect("a mode");
    }
    for place in PLACES {
        let path = machine.path(place);
        chown(&path, Some(0), Some(1000)).expect("given");
        setxattr(&path, ACL, &acl(), XattrFlags::empty()).expect("an ACL");
        setxattr(&path, "user.color", b"blue", XattrFlags::empty()).expect("an attribute");
        assert_eq!(machine.mode(place), 0o640, "{place}");
    }
    machine.run(&["export", "a.tar.gz"]).exits(0);
    lose(&machine);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(machine.path("svc"), mode).expect("a mode");
    machine.run(&["import", "a.tar.gz"]).exits(0);
    for place in PLACES {
        let path = machine.path(place);
        assert_eq!(machine.mode(place), 0o640, "{place}");
        assert!(reads(&path, 1234, 1234), "{place}");
        assert!(!reads(&path, 4321, 1000), "{place}");
        let mut value = [0; 9];
        let length = getxattr(&path, "user.color", &mut value[..]).expect("an attribute");
        assert_eq!(&value[..length], b"blue", "{place}");
    }
    let again = machine
        .run(&["import", "a.tar.gz", "--json"])
        .exits(0)
        .json();
    assert!(
        actions(&again)
            .iter()
            .all(|(_, action)| action == "unchanged"),
        "{again}"
    );
    // What is another attribute is a change.
    setxattr(
        machine.path("svc/app.ini"),
        "user.color",
        b"red",
        XattrFlags::empty(),
    )
    .expect("set");
    let other = machine
        .run(&["import", "a.tar.gz", "--json"])
        .exits(0)
        .json();
    let replaced: Vec<_> = actions(&other)
        .into_iter()
        .filter(|(_, action)| action != "unchanged")
        .collect();
    assert_eq!(
        replaced,
        [("app.ini".to_owned(), "replace".to_owned())],
        "{other}"
    );
}

#[test]
fn where_an_acl_cannot_be_restored_the_group_gets_nothing_and_it_is_said() {
    if !is_root("mounting a file system") {
        return;
    }
    let machine = machine();
    for place in PLACES {
        let path = machine.path(place);
        setxattr(&path, ACL, &acl(), XattrFlags::empty()).expect("an ACL");
    }
    machine.run(&["export", "a.tar.gz"]).exits(0);
    lose(&machine);
    // A file system without attributes, and what lies in it in the end.
    let show = "find svc -type f ! -name '.*' -printf '%P %m\\n' | sort > out/modes";
    let script = format!(
        "cd ..; mount -t ramfs none svc; cd out; \"$@\" || code=$?; cd ..; {show}; exit $code; :"
    );
    let import = ["import", "a.tar.gz", "--json"];
    let rehearsal = [&import[..], &["--dry-run"]].concat();
    let planned = within(&machine, &script, &rehearsal).exits(3).json();
    assert_eq!(machine.read("out/modes"), b"");
    let report = within(&machine, &script, &import).exits(3).json();
    let undone = said(&report, "left_undone", "attribute");
    assert_eq!(said(&planned, "left_undone", "attribute"), undone);
    for place in PLACES {
        let path = machine.path(place).display().to_string();
        let about: Vec<&String> = undone
            .iter()
            .filter(|message| message.starts_with(&path))
            .collect();
        assert!(
            about.iter().any(|message| message.contains(ACL)),
            "{path}: {undone:?}"
        );
        assert!(
            about
                .iter()
                .any(|message| message.contains("its group may do nothing")),
            "{path}: {undone:?}"
        );
    }
    let modes = String::from_utf8(machine.read("out/modes")).expect("text");
    assert_eq!(
        modes,
        "app.db 600\napp.ini 600\ndata/file 600\nmain.redb 600\n"
    );
}

/// A capability to bind low ports, as setcap(8) writes it.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

#[test]
fn special_bits_and_capabilities_of_single_files_come_back_if_root_restores_them() {
    if !is_root("capabilities") {
        return;
    }
    let machine = machine();
    let place = machine.path("svc/app.ini");
    let name = "security.capability";
    setxattr(&place, name, &CAPABILITY, XattrFlags::empty()).expect("a capability");
    setxattr(&place, "trusted.app", b"yes", XattrFlags::empty()).expect("an attribute");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o2755);
    fs::set_permissions(&place, mode).expect("a mode");
    machine.run(&["export", "a.tar.gz"]).exits(0);
    lose(&machine);
    machine.run(&["import", "a.tar.gz"]).exits(0);
    assert_eq!(machine.mode("svc/app.ini"), 0o2755);
    for (name, expected) in [(name, &CAPABILITY[..]), ("trusted.app", b"yes")] {
        let mut value = [0; 64];
        let length = getxattr(&place, name, &mut value[..]).expect("an attribute");
        assert_eq!(&value[..length], expected, "{name}");
    }
    let again = machine
        .run(&["import", "a.tar.gz", "--json"])
        .exits(0)
        .json();
    assert!(
        actions(&again)
            .iter()
            .all(|(_, action)| action == "unchanged"),
        "{again}"
    );
}

#[test]
fn times_keep_their_fraction_whatever_the_kind_of_source() {
    let machine = machine();
    let time = std::time::UNIX_EPOCH + std::time::Duration::new(1_700_000_000, 123_456_789);
    for place in PLACES {
        let file = fs::File::options()
            .write(true)
            .open(machine.path(place))
            .expect("a file");
        file.set_modified(time).expect("a time");
    }
    machine.run(&["export", "a.tar.gz"]).exits(0);
    lose(&machine);
    machine.run(&["import", "a.tar.gz"]).exits(0);
    for place in PLACES {
        let metadata = machine.path(place).metadata().expect("a file");
        assert_eq!(metadata.modified().expect("a time"), time, "{place}");
    }
}

#[test]
fn an_owner_that_the_file_system_refuses_is_a_warning_and_no_end() {
    if !is_root("giving files away") {
        return;
    }
    let machine = machine();
    for path in everything(&machine) {
        chown(path, Some(7777), Some(8888)).expect("given");
    }
    machine.run(&["export", "a.tar.gz"]).exits(0);
    lose(&machine);
    let import = [
        "import",
        "a.tar.gz",
        "--json",
        "--only",
        "app.ini",
        "--only",
        "app.db",
        "--only",
        "main.redb",
    ];
    let Some(run) = refused(&machine, "fchown", &import) else {
        return;
    };
    let report = run.exits(0).json();
    let warnings = said(&report, "warnings", "owner");
    for place in &PLACES[..3] {
        let path = machine.path(place);
        let start = format!("{}: its owner cannot be 7777:8888", path.display());
        assert!(
            warnings.iter().any(|warning| warning.starts_with(&start)),
            "{start}: {warnings:?}"
        );
        assert_eq!(owner(&path), (0, 0), "{place}");
    }
}

#[test]
fn a_time_that_the_file_system_refuses_is_a_warning_with_its_path() {
    let machine = machine();
    machine.run(&["export", "a.tar.gz"]).exits(0);
    lose(&machine);
    let import = [
        "import", "a.tar.gz", "--json", "--only", "app.ini", "--only", "app.db",
    ];
    let Some(run) = refused(&machine, "utimensat", &import) else {
        return;
    };
    let report = run.exits(0).json();
    let warnings = said(&report, "warnings", "time");
    for place in &PLACES[..2] {
        let start = format!("{}: its time cannot be set", machine.path(place).display());
        assert!(
            warnings.iter().any(|warning| warning.starts_with(&start)),
            "{start}: {warnings:?}"
        );
    }
}

#[test]
fn whoever_is_not_root_is_told_that_files_become_theirs() {
    if !is_root("becoming another user") {
        return;
    }
    let machine = machine();
    machine.run(&["export", "a.tar.gz"]).exits(0);
    lose(&machine);
    for folder in ["etc", "svc", "out", "tmp", "."] {
        chown(machine.path(folder), Some(65534), Some(65534)).expect("given");
    }
    for file in ["etc/config.toml", "out/a.tar.gz"] {
        chown(machine.path(file), Some(65534), Some(65534)).expect("given");
    }
    let program = machine.path("program");
    fs::copy(env!("CARGO_BIN_EXE_hookshot"), &program).expect("copied");
    let mut reports = Vec::new();
    for rehearsal in [&["--dry-run"][..], &[]] {
        let inner = machine.command();
        let mut command = Command::new(&program);
        command.args(inner.get_args());
        command
            .args(["import", "a.tar.gz", "--json"])
            .args(rehearsal);
        command
            .uid(65534)
            .gid(65534)
            .current_dir(machine.path("out"));
        command.env("TMPDIR", machine.path("tmp"));
        reports.push(finish(command, b"").exits(0).json());
    }
    for report in reports {
        let warnings = said(&report, "warnings", "owner");
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(
            warnings[0].starts_with("what belonged to the user root (uid 0) does not get it back"),
            "{warnings:?}"
        );
    }
    assert_eq!(owner(&machine.path("svc/app.ini")), (65534, 65534));
}
