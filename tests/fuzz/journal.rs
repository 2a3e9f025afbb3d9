//! The journal of an import: as a file of any bytes, and with the checksum that is right. What is accepted is written and
//! read again as the same. It is not followed: that would remove files of this machine.
#![no_main]

use std::{fs, path::PathBuf, sync::LazyLock};

use hookshot::{disk::transaction::home::Home, model::digest::Digest};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> =
    LazyLock::new(|| tempfile::tempdir_in("/dev/shm").expect("a folder"));
static HOME: LazyLock<Home> = LazyLock::new(|| {
    let home = Home::beside(&FOLDER.path().join("config.toml"));
    fs::create_dir_all(home.folder()).expect("a folder");
    home
});

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    if let Ok(journal) = serde_json::from_slice::<Value>(bytes) {
        let sha256 = Digest::of(journal.to_string().as_bytes()).to_string();
        read(json!({ "sha256": sha256, "journal": journal }).to_string().as_bytes());
    }
});

fn read(bytes: &[u8]) {
    let path: PathBuf = HOME.folder().join("journal.json");
    fs::write(path, bytes).expect("written");
    if let Ok(journal) = HOME.journal() {
        let journal = journal.expect("it is there");
        HOME.write(&journal).expect("written");
        assert_eq!(HOME.journal().expect("readable"), Some(journal));
    }
}
