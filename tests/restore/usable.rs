//! Restored files are as usable as they were: secrets that a service reads by its group, and folders that are new.

use support::{Machine, is_root};

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::Path,
    process::{Command, Stdio},
};

const SERVICE: u32 = 7777;

fn mode_and_owner(path: &Path) -> (u32, u32, u32) {
    let metadata = path.symlink_metadata().expect("it is there");
    (metadata.mode() & 0o7777, metadata.uid(), metadata.gid())
}

/// Returns true if a process of these numbers, and no other group, can read a file.
fn reads(path: &Path, uid: u32, gid: u32) -> bool {
    let mut command = Command::new("cat");
    command.arg(path).uid(uid).gid(gid);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().expect("cat").success()
}

fn open_up(machine: &Machine) {
    fs::set_permissions(machine.path("."), fs::Permissions::from_mode(0o755)).expect("a mode");
}

#[test]
fn a_secret_comes_back_with_its_mode_less_what_others_may_do() {
    if !is_root("giving files away") {
        return;
    }
    let machine = Machine::new();
    open_up(&machine);
    let text = "[backup]\n[[backup.sources]]\nname = \"f\"\nkind = \"file\"\npath = \"f\"\nsecret = true\n";
    machine.write("etc/config.toml", machine.config_text(text), 0o600);
    for (mode, restored, is_warned) in [
        (0o640, 0o640, false),
        (0o644, 0o640, true),
        (0o600, 0o600, false),
        (0o440, 0o440, false),
    ] {
        machine.write("etc/f", "password\n", mode);
        chown(machine.path("etc/f"), Some(0), Some(SERVICE)).expect("given");
        let shown = machine.run(&["validate"]).exits(0).text();
        assert_eq!(
            shown.contains("open to others"),
            is_warned,
            "{mode:o}: {shown}"
        );
        assert!(!shown.contains("chmod 600"), "{shown}");
        let _ = fs::remove_file(machine.path("out/a.tar.gz"));
        machine.run(&["export", "a.tar.gz"]).exits(0);
        fs::remove_file(machine.path("etc/f")).expect("removed");
        machine.run(&["import", "a.tar.gz"]).exits(0);
        assert_eq!(
            mode_and_owner(&machine.path("etc/f")),
            (restored, 0, SERVICE)
        );
        machine
            .run(&["import", "a.tar.gz"])
            .exits(0)
            .says("Nothing to restore");
        if restored & 0o040 != 0 {
            assert!(reads(&machine.path("etc/f"), 4321, SERVICE));
        }
        assert!(!reads(&machine.path("etc/f"), 4321, 4321));
    }
}

#[test]
fn an_archive_says_what_is_secret_wherever_it_is_opened() {
    let machine = Machine::new();
    let source = |name: &str, kind: &str| {
        format!("[[backup.sources]]\nname = \"{name}\"\nkind = \"{kind}\"\npath = \"{name}\"\n")
    };
    let (file, folder) = (source("app.toml", "file"), source("conf", "directory"));
    let text = |mark: &str| format!("[backup]\n{file}{mark}{folder}{mark}");
    machine.write(
        "etc/config.toml",
        machine.config_text(&text("secret = true\n")),
        0o600,
    );
    let export = |archive: &str, word: &str| {
        machine.write("etc/app.toml", format!("hidden = \"{word}\"\n"), 0o644);
        machine.write("etc/conf/b.toml", format!("hidden = \"{word}\"\n"), 0o644);
        machine.run(&["export", archive]).exits(0);
    };
    fs::create_dir(machine.path("etc/conf")).expect("a folder");
    fs::set_permissions(machine.path("etc/conf"), fs::Permissions::from_mode(0o755)).expect("mode");
    export("one.tar.gz", "petunia");
    export("two.tar.gz", "geranium");
    // A machine that knows nothing of it.
    machine.write("etc/config.toml", machine.config_text(&text("")), 0o600);
    for words in [["one.tar.gz", "two.tar.gz"].as_slice(), &["one.tar.gz"]] {
        let shown = machine
            .run(&[&["diff", "--text"], words].concat())
            .exits(1)
            .text();
        assert!(shown.contains("app.toml"), "{shown}");
        assert!(
            !shown.contains("petunia") && !shown.contains("geranium"),
            "{shown}"
        );
    }
    let mode = |path: &str| machine.path(path).metadata().expect("it is there").mode() & 0o7777;
    machine
        .run(&["extract", "one.tar.gz", "app.toml", "conf", "-o", "x"])
        .exits(0);
    assert_eq!(mode("out/x/app.toml"), 0o640);
    assert_eq!(mode("out/x/conf"), 0o750);
    machine
        .run(&["extract", "one.tar.gz", "conf/b.toml", "-o", "y"])
        .exits(0);
    assert_eq!(mode("out/y/conf/b.toml"), 0o640);
    machine
        .run(&[
            "import",
            "--only",
            "app.toml",
            "--only",
            "conf",
            "one.tar.gz",
        ])
        .exits(0);
    assert_eq!((mode("etc/app.toml"), mode("etc/conf")), (0o640, 0o750));
    machine
        .run(&[
            "import",
            "--only",
            "app.toml",
            "--only",
            "conf",
            "one.tar.gz",
        ])
        .exits(0)
        .says("Nothing to restore");
    // Without the mark all of it is open.
    export("three.tar.gz", "clematis");
    export("four.tar.gz", "lobelia");
    let shown = machine
        .run(&["diff", "--text", "three.tar.gz", "four.tar.gz"])
        .exits(1)
        .text();
    assert!(shown.contains("clematis"), "{shown}");
}

#[test]
fn the_secrets_file_of_a_hookshot_service_stays_readable_for_its_group() {
    if !is_root("giving files away") {
        return;
    }
    let machine = Machine::new();
    chown(machine.path("etc/secrets"), Some(0), Some(SERVICE)).expect("given");
    fs::set_permissions(
        machine.path("etc/secrets"),
        fs::Permissions::from_mode(0o640),
    )
    .expect("a mode");
    let shown = machine.run(&["validate"]).exits(0).text();
    assert!(!shown.contains("secrets file"), "{shown}");
    machine.run(&["export", "a.tar.gz"]).exits(0);
    fs::remove_file(machine.path("etc/secrets")).expect("removed");
    machine.run(&["import", "a.tar.gz"]).exits(0);
    assert_eq!(
        mode_and_owner(&machine.path("etc/secrets")),
        (0o640, 0, SERVICE)
    );
}

/// A service below `srv/app`, with folders that are its own and files that it reads by its group.
fn service() -> Machine {
    let machine = Machine::new();
    open_up(&machine);
    fs::create_dir_all(machine.path("srv/app/var/collections/a")).expect("folders");
    fs::create_dir_all(machine.path("srv/app/db")).expect("folders");
    let mut text = "[storage]\ndata_dir = \"../data\"\n[backup]\n".to_owned();
    for (name, kind, path) in [
        ("collections", "directory", "var/collections"),
        ("users", "file", "users"),
        ("app.db", "sqlite", "db/app.db"),
    ] {
        text += &format!(
            "[[backup.sources]]\nname = \"{name}\"\nkind = \"{kind}\"\npath = \"../srv/app/{path}\"\n"
        );
    }
    machine.write("etc/config.toml", text, 0o600);
    machine.write("srv/app/var/collections/a/item", "1", 0o600);
    machine.write("srv/app/users", "a:b\n", 0o640);
    let db = rusqlite::Connection::open(machine.path("srv/app/db/app.db")).expect("a database");
    db.execute_batch("CREATE TABLE t (a)").expect("a table");
    drop(db);
    let private = fs::Permissions::from_mode(0o600);
    fs::set_permissions(machine.path("srv/app/db/app.db"), private).expect("a mode");
    for folder in ["srv/app/var/collections", "srv/app/var/collections/a"] {
        fs::set_permissions(machine.path(folder), fs::Permissions::from_mode(0o700))
            .expect("a mode");
        chown(machine.path(folder), Some(SERVICE), Some(SERVICE)).expect("given");
    }
    for file in ["srv/app/var/collections/a/item", "srv/app/db/app.db"] {
        chown(machine.path(file), Some(SERVICE), Some(SERVICE)).expect("given");
    }
    chown(machine.path("srv/app/users"), Some(0), Some(SERVICE)).expect("given");
    machine
}

#[test]
fn folders_that_are_new_let_the_owners_of_what_lies_below_in() {
    if !is_root("giving files away") {
        return;
    }
    let machine = service();
    machine.run(&["export", "a.tar.gz"]).exits(0);
    fs::remove_dir_all(machine.path("srv")).expect("removed");
    machine.run(&["import", "a.tar.gz"]).exits(0);
    for file in [
        "srv/app/var/collections/a/item",
        "srv/app/users",
        "srv/app/db/app.db",
    ] {
        assert!(reads(&machine.path(file), SERVICE, SERVICE), "{file}");
    }
    // The group of `users` alone opens that one.
    assert!(reads(&machine.path("srv/app/users"), 4321, SERVICE));
    assert!(!reads(&machine.path("srv/app/db/app.db"), 4321, 4321));
    // Things of several owners lie in the upper ones.
    for folder in ["srv", "srv/app"] {
        assert_eq!(
            mode_and_owner(&machine.path(folder)),
            (0o755, 0, 0),
            "{folder}"
        );
    }
    // SQLite makes files beside the database.
    for folder in ["srv/app/var", "srv/app/db"] {
        assert_eq!(
            mode_and_owner(&machine.path(folder)),
            (0o700, SERVICE, SERVICE),
            "{folder}"
        );
    }
}

#[test]
fn a_new_folder_of_what_everybody_reads_can_be_passed_by_everybody() {
    if !is_root("becoming another user") {
        return;
    }
    let machine = Machine::new();
    open_up(&machine);
    fs::create_dir_all(machine.path("srv/app")).expect("a folder");
    machine.write("srv/app/public.ini", "1", 0o644);
    let text = "[storage]\ndata_dir = \"../data\"\n[backup]\n[[backup.sources]]\nname = \"public.ini\"\nkind = \"file\"\npath = \"../srv/app/public.ini\"\n";
    machine.write("etc/config.toml", text, 0o600);
    machine.run(&["export", "a.tar.gz"]).exits(0);
    fs::remove_dir_all(machine.path("srv")).expect("removed");
    machine.run(&["import", "a.tar.gz"]).exits(0);
    assert!(reads(&machine.path("srv/app/public.ini"), 4321, 4321));
}
