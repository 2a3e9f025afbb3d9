//! Machines whose state is a directory: one with files, folders and links of many kinds, and one for files of the test.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::symlink},
};

use crate::Machine;

/// A configuration with the directory `data` and the file `page`, both below `srv`.
pub const DATA_AND_PAGE: &str = r#"
[backup]
prefix = "x"
app = "shop"
include_config = false
[[backup.sources]]
name = "data"
kind = "directory"
path = "../srv/data"
[[backup.sources]]
name = "page"
kind = "file"
path = "../srv/page"
"#;

/// A configuration whose only source is the directory `data/files`.
const FILES: &str = r#"
[backup]
include_config = false
[[backup.sources]]
name = "files"
kind = "directory"
path = "../data/files"
"#;

/// Returns a machine with `data` and `page`.
pub fn data_and_page() -> Machine {
    let machine = without_data_and_page();
    fill(&machine);
    machine
}

/// Returns a machine with the same configuration, and nothing below `srv`: an archive of the other can be imported.
pub fn without_data_and_page() -> Machine {
    let machine = Machine::empty();
    machine.write("etc/config.toml", DATA_AND_PAGE, 0o600);
    fs::create_dir(machine.path("srv")).expect("a folder");
    machine
}

/// Returns a machine whose only source is the directory `data/files`, which is not there yet.
pub fn only_files() -> Machine {
    let machine = Machine::empty();
    machine.write("etc/config.toml", FILES, 0o600);
    machine
}

/// Makes the files below `srv`: folders, an empty one too, modes, a link, and a name that is not UTF-8.
pub fn fill(machine: &Machine) {
    let data = machine.path("srv/data");
    for folder in ["a/b", "empty"] {
        fs::create_dir_all(data.join(folder)).expect("made");
    }
    for (name, mode) in [("a/x", 0o640), ("a/b/y", 0o600), ("a-b", 0o755)] {
        machine.write(&format!("srv/data/{name}"), name, mode);
    }
    fs::write(data.join(OsStr::from_bytes(b"a/\xff\xfe")), "no text").expect("written");
    symlink("a/x", data.join("to")).expect("a link");
    machine.write("srv/page", "first", 0o644);
}
