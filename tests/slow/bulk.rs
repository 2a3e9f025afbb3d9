//! Many files: more than the manifest of an archive has room for are refused by the export, not by the import of a bad day,
//! and as many as an archive may well have take memory by their number alone.

use support::bounds;
use support::trees::Bench;
use support::{Machine, Run, finish};

use std::{cell::Cell, fs, io::Write as _, path::Path};

use hookshot::error::{Failure, Kind};
use rustix::fs::{Mode, OFlags, mkdirat, openat};

/// Makes files of one byte each whose paths below `folder` have 3,825 bytes: few of them fill a manifest.
fn fill(folder: &Path, numbers: std::ops::Range<usize>) {
    let component = "d".repeat(200);
    let mut folder = fs::File::open(folder).expect("open");
    for _ in 0..19 {
        let _ = mkdirat(&folder, &component, Mode::RWXU);
        let below = openat(&folder, &component, OFlags::DIRECTORY, Mode::empty());
        folder = below.expect("open").into();
    }
    for number in numbers {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
        let file = openat(&folder, format!("{number:06}"), flags, Mode::RUSR);
        let mut file = fs::File::from(file.expect("made"));
        file.write_all(b"x").expect("written");
    }
}

/// So many that the manifest is too large, and not so many that this could be told from the number of names.
const FEW: usize = 8_400;
/// So many that their names tell.
const MANY: usize = 8_600;

#[test]
fn a_directory_whose_names_fill_the_manifest_is_refused_before_it_is_read() {
    let bench = Bench::new();
    fill(&bench.source(), 0..FEW);
    let read = Cell::new(0);
    let count = |bytes| {
        read.set(read.get() + bytes);
        Ok(())
    };
    assert!(bench.stage_until(count).is_ok());
    assert_eq!(read.replace(0), FEW as u64);
    fill(&bench.source(), FEW..MANY);
    let error = bench.stage_until(count).err().expect("refused");
    assert_eq!(read.get(), 0, "it was read");
    let failure = Failure::of(&error);
    assert_eq!(failure.kind, Kind::Usage);
    assert!(failure.message.contains("data has 8600 files"), "{failure}");
}

#[test]
fn an_export_that_no_import_would_take_says_what_to_leave_out_and_writes_nothing() {
    let machine = Machine::new();
    let sources = "[[backup.sources]]\nname = \"data\"\nkind = \"directory\"\npath = \"../srv\"\n";
    machine.write("etc/config.toml", machine.config_text(sources), 0o600);
    fs::create_dir(machine.path("srv")).expect("a folder");
    let refused = |files: usize| {
        let run = machine.run(&["export", "a.tar.gz"]).exits(2);
        run.says(&format!("the directory data has {files} files"))
            .says("exclude");
        for folder in ["out", "tmp"] {
            let left = machine.path(folder).read_dir().expect("a folder").count();
            assert_eq!(left, 0, "{folder}");
        }
    };
    fill(&machine.path("srv"), 0..FEW);
    refused(FEW);
    fill(&machine.path("srv"), FEW..MANY);
    refused(MANY);
    // What is left out takes no room, and a target may have grown beyond what an archive holds.
    let excluding = format!("{sources}exclude = [\"??????\"]\n");
    machine.write("etc/config.toml", machine.config_text(&excluding), 0o600);
    let archive = machine.export("a.tar.gz");
    machine.write("etc/config.toml", machine.config_text(sources), 0o600);
    machine
        .run(&["import", &archive, "--only", "data"])
        .exits(0);
    assert!(machine.path("srv.bak").is_dir());
}

/// Of the memory of the whole process with two threads: 30 MiB, and some 1.4 KiB for each file.
const EXPORT_MIB: u64 = 192;
/// Of whoever reads the archive: some 0.8 KiB for each file.
const READER_MIB: u64 = 136;

#[test]
fn a_hundred_thousand_files_take_memory_by_their_number_alone() {
    let machine = Machine::new();
    let sources = "include_config = false\n[[backup.sources]]\nname = \"data\"\nkind = \"directory\"\npath = \"../srv\"\n";
    let config = format!("[backup]\n{sources}");
    machine.write("etc/config.toml", machine.config_text(&config), 0o600);
    for folder in 0..500 {
        let folder = machine.path(&format!("srv/group{folder:03}"));
        fs::create_dir_all(&folder).expect("a folder");
        for number in 0..200 {
            let file = folder.join(format!("service{number:05}.toml"));
            fs::write(file, format!("port = {number}\n")).expect("written");
        }
    }
    let run = |mib: u64, arguments: &[&str]| -> Run {
        let mut command = machine.command();
        command.args(["--threads", "2"]).args(arguments);
        let limits = [format!("--data={}", mib << 20)];
        finish(bounds::limited(&command, &limits), b"")
    };
    run(EXPORT_MIB, &["export", "a.tar.gz"]).exits(0);
    run(READER_MIB, &["verify", "a.tar.gz"]).exits(0);
    fs::rename(machine.path("srv"), machine.path("was")).expect("renamed");
    run(READER_MIB, &["import", "a.tar.gz"]).exits(0);
    let files = |folder: &str| {
        let folders = machine.path(folder).read_dir().expect("a folder");
        let each = folders.map(|folder| folder.expect("an entry").path());
        let each = each.map(|folder| folder.read_dir().expect("a folder").count());
        each.sum::<usize>()
    };
    assert_eq!(files("srv"), 100_000);
    run(EXPORT_MIB, &["diff", "a.tar.gz"]).exits(0);
}
