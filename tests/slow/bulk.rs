//! Records that would fill the manifest although they are few: they are in a listing.

use std::{fs, io::Write as _, path::Path};

use rustix::fs::{Mode, OFlags, mkdirat, openat};
use support::Machine;

/// Makes files of one byte each whose paths below `folder` have 3,825 bytes.
fn fill(folder: &Path, count: usize) {
    let component = "d".repeat(200);
    let mut folder = fs::File::open(folder).expect("open");
    for _ in 0..19 {
        mkdirat(&folder, &component, Mode::RWXU).expect("made");
        let below = openat(&folder, &component, OFlags::DIRECTORY, Mode::empty());
        folder = below.expect("open").into();
    }
    for number in 0..count {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
        let file = openat(&folder, format!("{number:06}"), flags, Mode::RUSR);
        let mut file = fs::File::from(file.expect("made"));
        file.write_all(b"x").expect("written");
    }
}

/// Their records have some 19 MiB.
const FEW: usize = 2_400;

#[test]
fn few_files_whose_names_would_fill_the_manifest_have_a_listing() {
    let machine = Machine::new();
    let sources = "[[backup.sources]]\nname = \"data\"\nkind = \"directory\"\npath = \"../srv\"\n";
    machine.write("etc/config.toml", machine.config_text(sources), 0o600);
    fs::create_dir(machine.path("srv")).expect("a folder");
    fill(&machine.path("srv"), FEW);
    machine.run(&["export", "a.tar.gz"]).exits(0);
    let report = machine
        .run(&["inspect", "--json", "a.tar.gz"])
        .exits(0)
        .json();
    assert_eq!(report["manifest"]["directories"]["data"]["files"], FEW);
    machine.run(&["verify", "a.tar.gz"]).exits(0);
    let only = ["import", "--json", "a.tar.gz", "--only", "data"];
    let report = machine.run(&only).exits(0).json();
    assert_eq!(report["steps"][0]["action"], "unchanged");
    fs::rename(machine.path("srv"), machine.path("was")).expect("renamed");
    machine.run(&only).exits(0);
    machine.run(&["diff", "a.tar.gz"]).exits(0);
}
