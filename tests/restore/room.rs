//! Small files take whole blocks and an inode each: an import and its dry run find out before anything is unpacked.

use std::{fs, path::Path};

use support::{Machine, Mounted, is_root, listed::export_listed};

/// The directory lies where the archive is unpacked.
const AT_HOME: &str = "[backup]\nprefix = \"x\"\ninclude_config = false\n[[backup.sources]]\nname = \"files\"\n\
    kind = \"directory\"\npath = \"../srv/files\"\n";
/// The archive is unpacked beside `page`, and copied to the directory.
const APART: &str = "[backup]\nprefix = \"x\"\ninclude_config = false\n[[backup.sources]]\nname = \"page\"\n\
    kind = \"file\"\npath = \"../home/page\"\n[[backup.sources]]\nname = \"files\"\nkind = \"directory\"\n\
    path = \"../srv/files\"\n";
/// 600 files, 20 folders, a link and the top folder.
const INODES: u32 = 622;
/// The folder for staging as well.
const INODES_AT_HOME: u32 = INODES + 1;

fn machine(config: &str) -> Machine {
    let machine = Machine::empty();
    machine.write("etc/config.toml", config, 0o600);
    fs::create_dir_all(machine.path("home")).expect("a folder");
    machine.write("home/page", "first", 0o644);
    for number in 0..600 {
        let (folder, file) = (number / 30, number % 30);
        let folder = format!("srv/files/{folder}");
        fs::create_dir_all(machine.path(&folder)).expect("a folder");
        machine.write(&format!("{folder}/{file}"), [7; 100], 0o640);
    }
    std::os::unix::fs::symlink("0/1", machine.path("srv/files/link")).expect("a link");
    machine
}

/// Fails unless the dry run and the import refuse, with the same words, and leave nothing behind.
#[track_caller]
fn is_refused(machine: &Machine, archive: &str, words: &[&str]) {
    is_refused_with(machine, &["import", archive], words);
}

#[track_caller]
fn is_refused_with(machine: &Machine, import: &[&str], words: &[&str]) {
    let srv = machine.path("srv");
    let place = format!("in {}: ", srv.display());
    let mut said = Vec::new();
    for arguments in [&[import, &["--dry-run"]].concat(), import] {
        let run = machine.run(arguments).exits(18);
        let text = format!("{}{}", run.text(), run.stderr);
        for word in [&["not enough space for", &place][..], words].concat() {
            assert!(text.contains(word), "{word:?} is not in {text}");
        }
        let line = text.lines().find(|line| line.contains("not enough space"));
        said.push(line.unwrap_or_default().to_owned());
    }
    assert_eq!(said[0], said[1]);
    assert_eq!(names(&srv), [""; 0]);
}

#[track_caller]
fn fits(machine: &Machine, archive: &str) {
    machine.run(&["import", archive, "--dry-run"]).exits(0);
    machine.run(&["import", archive]).exits(0);
    let read = fs::read(machine.path("srv/files/19/29")).expect("restored");
    assert_eq!(read, [7; 100]);
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name != "lost+found").collect()
}

#[test]
fn small_files_are_counted_in_blocks_and_inodes() {
    if !is_root("file systems of its own") {
        return;
    }
    for (config, inodes) in [(AT_HOME, INODES_AT_HOME), (APART, INODES)] {
        let machine = machine(config);
        let listed = export_listed(&machine, "listed.tar.gz", 3);
        let plain = export_listed(&machine, "plain.tar.gz", 10_000);
        fs::remove_dir_all(machine.path("srv/files")).expect("removed");
        for archive in [&listed, &plain] {
            // The content is 60,000 bytes, and takes 2,457,600.
            let small = Mounted::tmpfs(&machine.path("srv"), "2m");
            is_refused(&machine, archive, &["3506176 bytes are needed"]);
            drop(small);
            // The top folder of the file system has one of them.
            let few = format!("50m,nr_inodes={inodes}");
            let few = Mounted::tmpfs(&machine.path("srv"), &few);
            let needed = format!("{inodes} inodes are needed");
            is_refused(&machine, archive, &[&needed, "nr_inodes="]);
            drop(few);
            let enough = format!("3424k,nr_inodes={}", inodes + 1);
            let enough = Mounted::tmpfs(&machine.path("srv"), &enough);
            fits(&machine, archive);
            drop(enough);
        }
    }
}

#[test]
fn a_file_system_that_was_made_with_few_inodes_is_named() {
    if !is_root("file systems of its own") {
        return;
    }
    let machine = machine(AT_HOME);
    let listed = export_listed(&machine, "listed.tar.gz", 3);
    fs::remove_dir_all(machine.path("srv/files")).expect("removed");
    let image = machine.path("image");
    let few = Mounted::ext4(&image, &machine.path("srv"), 500).expect("an ext4");
    let needed = format!("{INODES_AT_HOME} inodes are needed");
    is_refused(&machine, &listed, &[&needed, "mkfs -N"]);
    drop(few);
    let _enough = Mounted::ext4(&image, &machine.path("srv"), 700).expect("an ext4");
    fits(&machine, &listed);
}

/// With `--keep-staging` files are copied from there, so that they take their room twice.
#[test]
fn an_archive_that_stays_unpacked_is_counted_twice() {
    if !is_root("file systems of its own") {
        return;
    }
    let machine = machine(AT_HOME);
    let listed = export_listed(&machine, "listed.tar.gz", 3);
    let plain = export_listed(&machine, "plain.tar.gz", 10_000);
    fs::remove_dir_all(machine.path("srv/files")).expect("removed");
    for archive in [&listed, &plain] {
        let import = ["import", archive, "--keep-staging"];
        let enough_once = Mounted::tmpfs(&machine.path("srv"), "4m");
        is_refused_with(&machine, &import, &["5963776 bytes are needed"]);
        drop(enough_once);
        // The files, their folders and the folder of the directory once more.
        let inodes = INODES_AT_HOME + 600 + 20 + 1;
        let few = format!("50m,nr_inodes={inodes}");
        let few = Mounted::tmpfs(&machine.path("srv"), &few);
        is_refused_with(&machine, &import, &[&format!("{inodes} inodes are needed")]);
        drop(few);
        let enough = format!("5824k,nr_inodes={}", inodes + 1);
        let enough = Mounted::tmpfs(&machine.path("srv"), &enough);
        machine
            .run(&[&import[..], &["--dry-run"]].concat())
            .exits(0);
        machine.run(&import).exits(0);
        drop(enough);
    }
}
