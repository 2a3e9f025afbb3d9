//! The folder for temporary files is full: every verb names it, and says what to do.

use std::fs;

use support::{Machine, Mounted, is_root, listed::export_listed};

const CONFIG: &str = "[backup]\nprefix = \"x\"\ninclude_config = false\n[[backup.sources]]\nname = \"files\"\n\
    kind = \"directory\"\npath = \"../srv\"\n";

fn machine() -> Machine {
    let machine = Machine::empty();
    machine.write("etc/config.toml", CONFIG, 0o600);
    fs::create_dir_all(machine.path("srv")).expect("a folder");
    machine
}

/// Fails unless a run ends with exit code 18, names the folder, and says what to do.
#[track_caller]
fn is_told(machine: &Machine, arguments: &[&str], what: &str) {
    let run = machine.run(arguments).exits(18);
    let said = format!("{}{}", run.text(), run.stderr);
    let folder = machine.path("tmp").display().to_string();
    let place = format!("in {folder}");
    for word in [
        what,
        &place,
        &format!("temporary files go to {folder}, as TMPDIR says"),
    ] {
        assert!(said.contains(word), "{word:?} is not in {said}");
    }
}

#[test]
fn a_listing_that_is_read_asks_for_room_first() {
    if !is_root("a file system of its own for TMPDIR") {
        return;
    }
    let machine = machine();
    for number in 0..5 {
        machine.write(&format!("srv/{number}"), "content\n", 0o640);
    }
    std::os::unix::fs::symlink("/etc", machine.path("srv/link")).expect("a link");
    let archive = export_listed(&machine, "a.tar.gz", 3);
    let _full = Mounted::tmpfs(&machine.path("tmp"), "1m");
    let room = "not enough space for the listing of files";
    for arguments in [
        &["verify", &archive][..],
        &["verify", "--json", &archive],
        &["diff", &archive],
        &["diff", &archive, &archive],
        &["extract", &archive, "files/1", "-o", "-"],
        &["inspect", &archive],
    ] {
        is_told(&machine, arguments, room);
    }
    let said = machine.run(&["verify", &archive]).exits(18);
    assert!(
        said.text()
            .contains("not checked, because the temporary folder"),
        "{}",
        said.text()
    );
}

/// The folder of the state has room for the listing.
#[test]
fn an_import_keeps_a_listing_with_the_state_if_the_folder_has_no_room() {
    if !is_root("a file system of its own for TMPDIR") {
        return;
    }
    let machine = machine();
    for number in 0..5 {
        machine.write(&format!("srv/{number}"), "content\n", 0o640);
    }
    let archive = export_listed(&machine, "a.tar.gz", 3);
    let bytes = fs::read(&archive).expect("readable");
    let imports = |how: &str| {
        fs::remove_file(machine.path("srv/3")).expect("removed");
        let before = names(&machine);
        let dry = machine.run(&["import", &archive, "--dry-run"]).exits(0);
        machine
            .run_with(&["import", "-", "--dry-run"], &bytes)
            .exits(0);
        assert_eq!(names(&machine), before, "{how}");
        let real = machine.run(&["import", &archive]).exits(0);
        for run in [dry, real] {
            assert!(!run.stderr.contains("ERROR"), "{how}: {}", run.stderr);
        }
        assert_eq!(machine.read("srv/3"), b"content\n", "{how}");
    };
    let tmp = machine.path("tmp");
    let full = Mounted::tmpfs(&tmp, "100k");
    let filled = fs::write(tmp.join("filled"), vec![1; 200_000]);
    filled.expect_err("it is full");
    imports("full");
    drop(full);
    let without_inodes = Mounted::tmpfs(&tmp, "9m,nr_inodes=1");
    imports("without inodes");
    drop(without_inodes);
    let read_only = Mounted::tmpfs(&tmp, "9m,ro");
    imports("read-only");
    drop(read_only);
    fs::remove_dir_all(&tmp).expect("removed");
    imports("missing");
}

/// The names beside the state.
fn names(machine: &Machine) -> Vec<String> {
    let entries = fs::read_dir(machine.path("")).expect("a folder").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names
}

/// The records of the files are written at first, and the lines of the listing later.
#[test]
fn an_export_whose_records_fill_the_folder_names_it() {
    if !is_root("a file system of its own for TMPDIR") {
        return;
    }
    let machine = machine();
    for number in 0..10_001 {
        machine.write(&format!("srv/{number:050}"), "", 0o640);
    }
    for size in ["256k", "1m", "3m"] {
        let full = Mounted::tmpfs(&machine.path("tmp"), size);
        is_told(
            &machine,
            &["export", "b.tar.gz"],
            "the records of a directory in a temporary file",
        );
        assert!(!machine.path("out/b.tar.gz").exists());
        drop(full);
    }
    machine.run(&["export", "b.tar.gz"]).exits(0);
}
