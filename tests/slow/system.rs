//! Tests that need a system around the binary: full disks, other users, signals, other hookshots, other file systems.

use support::{Machine, Mounted, SECRET, finish, is_root, signals, tree};

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use nix::sys::signal::Signal;

/// Bytes that do not shrink.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..count / 8).flat_map(|_| next()).collect()
}

#[test]
fn export_to_a_full_disk_leaves_nothing_behind() {
    if !is_root("mounting a small file system") {
        return;
    }
    let machine = Machine::new();
    machine.write("etc/secrets", noise(4 << 20), 0o600);
    let small = Mounted::tmpfs(&machine.path("out"), "1m");
    for output in ["a.tar.gz", "folder/", "."] {
        let run = machine.run(&["export", output]).exits(18);
        assert!(
            run.stderr.contains("ERROR") && run.stderr.contains("hint: free some space"),
            "{}",
            run.stderr
        );
    }
    // An archive that was there stays as it was.
    let good = machine
        .run(&["export", "-", "--exclude-secrets"])
        .exits(0)
        .stdout;
    drop(small);
    let _large = Mounted::tmpfs(&machine.path("out"), "3m");
    machine.write("out/a.tar.gz", &good, 0o600);
    machine
        .run(&["export", "a.tar.gz", "--level", "0"])
        .exits(18);
    assert!(machine.read("out/a.tar.gz") == good);
    let names: Vec<_> = tree(&machine.path("out")).into_keys().collect();
    assert_eq!(names, [PathBuf::from("a.tar.gz")]);
    // The copy of the database needs room as well.
    let _tmp = Mounted::tmpfs(&machine.path("tmp"), "1m");
    machine
        .run(&["export", "-"])
        .exits(18)
        .says("a copy of the database");
}

#[test]
fn a_copy_to_a_full_disk_names_the_folder_and_leaves_nothing_there() {
    if !is_root("mounting a small file system") {
        return;
    }
    let machine = Machine::new();
    machine.write("etc/secrets", noise(4 << 20), 0o600);
    machine.run(&["export", "a.tar.gz"]).exits(0);
    let full = machine.path("out/full");
    fs::create_dir(&full).expect("a folder");
    let _full = Mounted::tmpfs(&full, "1m");
    machine
        .run(&["copy", "a.tar.gz", "full/"])
        .exits(18)
        .says("cannot write to the folder full")
        .says("hint: free some space");
    assert!(tree(&full).is_empty());
}

#[test]
fn import_onto_a_full_disk_changes_nothing() {
    if !is_root("mounting a small file system") {
        return;
    }
    let machine = Machine::new();
    machine.write("etc/secrets", noise(2 << 20), 0o600);
    let archive = machine.export("a.tar.gz");
    machine.write("etc/secrets", "", 0o600);
    for folder in ["data", "etc"] {
        let kept = machine.path("kept");
        assert!(
            Command::new("cp")
                .arg("-a")
                .arg(machine.path(folder))
                .arg(&kept)
                .status()
                .expect("cp")
                .success()
        );
        let small = Mounted::tmpfs(&machine.path(folder), "2500k");
        assert!(
            Command::new("cp")
                .arg("-a")
                .arg(kept.join("."))
                .arg(machine.path(folder))
                .status()
                .expect("cp")
                .success()
        );
        let before = machine.state();
        for extra in [&[][..], &["--dry-run"]] {
            machine
                .run(&[&["import", &archive], extra].concat())
                .exits(18)
                .says("not enough space");
        }
        assert_eq!(machine.state(), before, "{folder}");
        drop(small);
        fs::remove_dir_all(kept).expect("removed");
    }
    machine.run(&["import", &archive]).exits(0);
}

#[test]
fn targets_may_lie_on_different_file_systems() {
    if !is_root("mounting a second file system") {
        return;
    }
    let machine = Machine::new();
    let exported = machine.targets();
    let archive = machine.export("a.tar.gz");
    let _other = Mounted::tmpfs(&machine.path("etc"), "16m");
    machine.write("etc/config.toml", machine.config_text("# other\n"), 0o644);
    machine.write("etc/services.toml", "", 0o644);
    machine.fill_database(70);
    let before = machine.targets();
    machine.run(&["import", &archive]).exits(0);
    assert_eq!(machine.targets(), exported);
    machine.run(&["rollback"]).exits(0);
    assert_eq!(machine.targets(), before);
}

#[test]
fn root_restores_owners_by_name() {
    if !is_root("giving files away") {
        return;
    }
    let machine = Machine::new();
    let nobody = nix::unistd::User::from_name("nobody")
        .expect("asked")
        .expect("every machine has that user");
    let (uid, gid) = (nobody.uid.as_raw(), nobody.gid.as_raw());
    for name in ["etc/secrets", "data/state.redb"] {
        chown(machine.path(name), Some(uid), Some(gid)).expect("given");
    }
    let archive = machine.export("a.tar.gz");
    fs::remove_file(machine.path("etc/secrets")).expect("removed");
    fs::remove_dir_all(machine.path("data")).expect("removed");
    machine.run(&["import", &archive]).exits(0);
    for name in ["etc/secrets", "data/state.redb", "data"] {
        let metadata = machine.path(name).metadata().expect("a file");
        assert_eq!((metadata.uid(), metadata.gid()), (uid, gid), "{name}");
    }
    assert_eq!(
        machine
            .path("etc/services.toml")
            .metadata()
            .expect("a file")
            .uid(),
        0
    );
}

#[test]
fn a_user_without_rights_is_told_so() {
    if !is_root("becoming another user") {
        return;
    }
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    fs::set_permissions(machine.path("."), fs::Permissions::from_mode(0o755)).expect("a mode");
    fs::set_permissions(&archive, fs::Permissions::from_mode(0o644)).expect("a mode");
    let before = machine.state();
    let as_nobody = |arguments: &[&str]| {
        let mut command = machine.command();
        command
            .args(arguments)
            .uid(65534)
            .gid(65534)
            .env("TMPDIR", "/tmp")
            .current_dir("/");
        finish(command, b"")
    };
    let copy = machine.path("program").display().to_string();
    // The binary itself may lie at a place that another user cannot reach.
    fs::copy(env!("CARGO_BIN_EXE_hookshot"), &copy).expect("copied");
    let reachable = Command::new(&copy)
        .arg("version")
        .uid(65534)
        .gid(65534)
        .current_dir("/")
        .output()
        .is_ok_and(|output| output.status.success());
    if !reachable || as_nobody_fails_to_start(&machine) {
        println!("skipped: the binary cannot be run by another user from here");
        return;
    }
    as_nobody(&["export", "/tmp/a.tar.gz"])
        .exits(1)
        .says("ermission denied")
        .says("hint:");
    as_nobody(&["import", &archive])
        .exits(1)
        .says("ermission denied");
    as_nobody(&["verify", &archive]).exits(0);
    assert_eq!(machine.state(), before);
}

fn as_nobody_fails_to_start(machine: &Machine) -> bool {
    machine
        .command()
        .arg("version")
        .uid(65534)
        .gid(65534)
        .current_dir("/")
        .output()
        .is_err()
}

/// An import that has its locks and a journal, and waits for its archive.
fn waiting_import(machine: &Machine) -> Child {
    let mut command = machine.command();
    command
        .args(["import", "-", "-q"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn().expect("the binary");
    // It begins a journal as soon as it has the locks, before it reads the archive.
    while !machine.path("etc/.hookshot/journal.json").exists() {
        std::thread::yield_now();
    }
    child
}

#[test]
fn the_second_of_two_at_once_names_the_first_and_goes() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    machine.write("etc/services.toml", "", 0o640);
    let mut first = waiting_import(&machine);
    let state = machine.state();
    for arguments in [
        &["import", archive.as_str()][..],
        &["import", &archive, "--force"],
        &["import", &archive, "--dry-run"],
        &["export", "b.tar.gz"],
        &["rollback"],
    ] {
        machine
            .run(arguments)
            .exits(11)
            .says("another hookshot is at work")
            .says(&format!("process {} (hookshot)", first.id()));
    }
    // What does not need the state does not wait, and does not disturb.
    machine.run(&["verify", &archive]).exits(0);
    machine.run(&["version"]).exits(0);
    assert_eq!(machine.state(), state);
    first
        .stdin
        .take()
        .expect("a pipe")
        .write_all(&machine.read("out/a.tar.gz"))
        .expect("fed");
    assert!(first.wait().expect("an end").success());
    machine.run(&["diff", &archive]).exits(0);
}

#[test]
fn many_at_once_are_one_after_the_other_or_not_at_all() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    let exported = machine.targets();
    machine.fill_database(60);
    machine.write("etc/services.toml", "", 0o640);
    let spawn = |number: usize| {
        let mut command = machine.command();
        let output = format!("race-{number}.tar.gz");
        if number.is_multiple_of(2) {
            command.args(["import", &archive])
        } else {
            command.args(["export", &output])
        };
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary")
    };
    let children: Vec<Child> = (0..12).map(spawn).collect();
    let codes: Vec<i32> = children
        .into_iter()
        .map(|mut child| child.wait().expect("an end").code().expect("a code"))
        .collect();
    assert!(codes.iter().all(|code| [0, 11].contains(code)), "{codes:?}");
    machine.run(&["import", &archive]).exits(0);
    assert_eq!(machine.targets(), exported);
    for (number, code) in codes
        .iter()
        .enumerate()
        .filter(|(number, _)| number % 2 == 1)
    {
        assert_eq!(
            machine.path(&format!("out/race-{number}.tar.gz")).exists(),
            *code == 0
        );
    }
}

#[test]
fn a_signal_ends_the_work_and_leaves_nothing() {
    let machine = Machine::new();
    machine.export("a.tar.gz");
    let archive = machine.read("out/a.tar.gz");
    let before = machine.state();
    for (signal, code) in [
        (Signal::SIGINT, 130),
        (Signal::SIGTERM, 143),
        (Signal::SIGHUP, 129),
    ] {
        let mut import = waiting_import(&machine);
        import
            .stdin
            .as_mut()
            .expect("a pipe")
            .write_all(&archive[..archive.len() / 2])
            .expect("fed");
        signals::send(signal, &import);
        assert_eq!(import.wait().expect("an end").code(), Some(code));
        let mut said = String::new();
        import
            .stderr
            .take()
            .expect("a pipe")
            .read_to_string(&mut said)
            .expect("text");
        assert!(said.contains("interrupted"), "{said}");
        assert_eq!(machine.state(), before);
    }
    assert_eq!(
        fs::read_dir(machine.path("tmp")).expect("a folder").count(),
        0
    );
}

#[test]
fn messages_that_nobody_can_read_change_nothing() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    let silent = |arguments: &[&str]| {
        let full = fs::File::options()
            .write(true)
            .open("/dev/full")
            .expect("a full device");
        let status = machine
            .command()
            .args(arguments)
            .stderr(full)
            .stdout(Stdio::null())
            .status()
            .expect("the binary");
        status.code()
    };
    assert_eq!(silent(&["-vv", "export", "b.tar.gz"]), Some(0));
    assert_eq!(silent(&["verify", "none.tar.gz"]), Some(10));
    assert_eq!(silent(&["--frobnicate"]), Some(2));
    machine.write("etc/services.toml", "", 0o640);
    assert_eq!(silent(&["import", &archive]), Some(0));
    assert_eq!(silent(&["rollback"]), Some(0));
    assert_eq!(machine.read("etc/services.toml"), b"");
}

#[test]
fn a_fifo_that_nobody_writes_to_is_waited_for_and_left_at_a_signal() {
    let machine = Machine::new();
    machine.export("a.tar.gz");
    assert!(
        Command::new("mkfifo")
            .arg(machine.path("out/fifo"))
            .status()
            .expect("mkfifo")
            .success()
    );
    let before = machine.state();
    for verb in [&["verify", "fifo"][..], &["import", "fifo"]] {
        let mut child = machine
            .command()
            .args(verb)
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary");
        // It has the fifo open once it waits.
        let fifo = machine.path("out/fifo");
        while !hookshot::disk::holder::open_by(&fifo)
            .expect("readable")
            .iter()
            .any(|(holder, _)| holder.pid == Some(child.id()))
        {
            std::thread::yield_now();
        }
        signals::send(Signal::SIGTERM, &child);
        assert_eq!(child.wait().expect("an end").code(), Some(143), "{verb:?}");
        assert_eq!(machine.state(), before);
        // And with a writer it is an archive like any other.
        let mut child = machine
            .command()
            .args(verb)
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary");
        let mut writer = fs::File::options()
            .write(true)
            .open(&fifo)
            .expect("a reader is there");
        writer
            .write_all(&machine.read("out/a.tar.gz"))
            .expect("fed");
        drop(writer);
        assert_eq!(child.wait().expect("an end").code(), Some(0), "{verb:?}");
    }
}

#[test]
fn a_folder_for_the_journal_that_is_not_surely_ours_is_not_used() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    machine.write("etc/services.toml", "", 0o640);
    fs::create_dir(machine.path("elsewhere")).expect("a folder");
    std::os::unix::fs::symlink(machine.path("elsewhere"), machine.path("etc/.hookshot"))
        .expect("a link");
    machine
        .run(&["import", &archive])
        .exits(1)
        .says("it is a link");
    fs::remove_file(machine.path("etc/.hookshot")).expect("removed");
    fs::create_dir(machine.path("etc/.hookshot")).expect("a folder");
    fs::set_permissions(
        machine.path("etc/.hookshot"),
        fs::Permissions::from_mode(0o777),
    )
    .expect("a mode");
    machine
        .run(&["import", &archive])
        .exits(1)
        .says("can be written by others");
    assert_eq!(machine.read("etc/services.toml"), b"");
}

#[test]
fn secrets_are_said_nowhere_and_everything_made_is_private() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    machine.write(
        "etc/config.toml",
        machine.config_text("[backup]\nlevel = 5\n"),
        0o600,
    );
    fs::remove_file(machine.path("etc/secrets")).expect("removed");
    let mut said = String::new();
    let mut run = |arguments: &[&str]| {
        let mut command = Command::new("sh");
        let plain = machine.command();
        command
            .args(["-c", "umask 000; exec \"$0\" \"$@\""])
            .arg(plain.get_program())
            .args(plain.get_args())
            .args(arguments);
        for (key, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        command.current_dir(machine.path("out"));
        let run = finish(command, b"");
        said.push_str(&run.text());
        said.push_str(&run.stderr);
    };
    let secrets = machine.path("etc/secrets").display().to_string();
    for json in [&[][..], &["--json"]] {
        for verbs in [
            &["import", &archive, "--dry-run"][..],
            &["import", &archive, "--keep-staging"],
            &["export", "b.tar.gz"],
            &["export", "new/folder/"],
            &["verify", "b.tar.gz", &secrets],
            &["inspect", "b.tar.gz"],
            &["inspect", &secrets],
            &["import", &secrets],
            &["diff", "b.tar.gz", "--text"],
            &["--config", &secrets, "export", "c.tar.gz"],
            &["--config", &secrets, "validate"],
            &["--services", &secrets, "validate"],
            &["rollback"],
            &["extract", "b.tar.gz", "config.toml", "-o", "x"],
        ] {
            run(&[&["-vv"], verbs, json].concat());
        }
    }
    assert!(!said.contains(SECRET), "{said}");
    assert!(said.contains("TRACE") || said.contains("INFO"), "{said}");
    let manifest = machine.run(&["inspect", "b.tar.gz", "--json"]).text();
    assert!(!manifest.contains(SECRET));
    let mut made = tree(&machine.path("out"));
    made.extend(tree(&machine.path("etc/.hookshot")));
    made.extend(tree(&machine.path("data")).into_iter().filter(|(name, _)| {
        name.starts_with(".hookshot") || name.to_string_lossy().contains(".staging")
    }));
    assert!(made.len() > 8, "{:?}", made.keys());
    for (name, (mode, _, content)) in made {
        // A file that is taken out of an archive has the mode that it had.
        if name.starts_with("x/config.toml") {
            continue;
        }
        let expected = if content.is_none() { 0o700 } else { 0o600 };
        assert_eq!(mode & 0o777, expected, "{}", name.display());
    }
}

#[test]
fn an_interrupted_import_is_not_finished_under_a_running_service() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    machine.fill_database(60);
    machine.write("etc/services.toml", "", 0o640);
    let inode = |machine: &Machine| {
        machine
            .path("data/state.redb")
            .metadata()
            .expect("a file")
            .ino()
    };
    let old = inode(&machine);
    // Die between the renames: the journal is there, the database is still the old one.
    let mut strace = Command::new("strace");
    let plain = machine.command();
    let works = strace
        .args([
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "trace=rename",
            "-e",
            "inject=rename:signal=KILL:when=6",
        ])
        .arg(plain.get_program())
        .args(plain.get_args())
        .args(["import", &archive])
        .stderr(Stdio::null())
        .status();
    if works.is_err() {
        assert!(
            std::env::var_os("HOOKSHOT_TESTS_COMPLETE").is_none(),
            "strace is missing"
        );
        println!("skipped: strace is missing; tests/run installs it");
        return;
    }
    let journal =
        fs::read_to_string(machine.path("etc/.hookshot/journal.json")).expect("a journal");
    assert!(journal.contains("\"committed\""), "{journal}");
    let holder = machine.holder("ranges");
    machine
        .run(&["export", "b.tar.gz"])
        .exits(11)
        .says("was interrupted")
        .says(&holder.pid().to_string());
    machine.run(&["version"]).exits(0);
    assert_eq!(inode(&machine), old, "what is open is not replaced");
    drop(holder);
    machine
        .run(&["version"])
        .exits(0)
        .says("finished it, the new state is in place");
    machine.run(&["diff", &archive]).exits(0);
}
