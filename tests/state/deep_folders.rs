//! Folders below folders, as deep as a path can be: what is carried over of them takes few descriptors and little stack.

use std::{fs::File, path::Path};

use hookshot::{
    disk::tree::{
        Privilege,
        beneath::{Folders, Look, Top, join},
        keep_excluded, release,
    },
    model::rules::Rules,
};
use rustix::{
    fs::{AtFlags, Mode, OFlags, mkdirat, openat, unlinkat},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

/// Makes `levels` folders called `name` in one another, each with a file; returns their paths, the outermost first.
fn make(top: &Top, name: &str, levels: usize) -> Vec<Vec<u8>> {
    let (mut folders, mut path, mut all) = (Folders::new(top), Vec::new(), Vec::new());
    for _ in 0..levels {
        path = join(&path, name.as_bytes());
        let (parent, name) = folders.parent(&path).expect("there");
        mkdirat(parent, name, Mode::RWXU).expect("made");
        let file = join(&path, b"f");
        let (parent, name) = folders.parent(&file).expect("there");
        openat(parent, name, OFlags::CREATE | OFlags::WRONLY, Mode::RWXU).expect("made");
        all.push(path.clone());
    }
    all
}

fn count(top: &Top, all: &[Vec<u8>]) -> usize {
    let mut folders = Folders::new(top);
    let files = all.iter().map(|folder| join(folder, b"f"));
    files
        .filter(|file| {
            let looked = folders.parent(file).map(|(fd, name)| Look::at(fd, name));
            looked.is_ok_and(|looked| looked.is_ok())
        })
        .count()
}

/// Removes them: the standard library's removal has a folder open for each level.
fn remove(top: &Top, all: &[Vec<u8>]) {
    let mut folders = Folders::new(top);
    for folder in all.iter().rev() {
        let file = join(folder, b"f");
        for (path, flags) in [(&file, AtFlags::empty()), (folder, AtFlags::REMOVEDIR)] {
            if let Ok((parent, name)) = folders.parent(path) {
                let _ = unlinkat(parent, name, flags);
            }
        }
    }
}

fn carry_over(name: &str, levels: usize) {
    let bench = tempfile::tempdir().expect("a folder");
    let (old, new) = (bench.path().join("old"), bench.path().join("new"));
    for folder in [&old, &new] {
        std::fs::create_dir(folder).expect("made");
    }
    let open = |path: &Path| Top::open(path).expect("open");
    let (old_top, new_top) = (open(&old), open(&new));
    let all = make(&old_top, name, levels);
    let rules = Rules::new(&[], &["/a/".to_owned()]).expect("good patterns");
    let limit = getrlimit(Resource::Nofile);
    let current = Some(256);
    setrlimit(Resource::Nofile, Rlimit { current, ..limit }).expect("limited");
    assert!(File::open(bench.path()).is_ok());
    let privilege = Privilege::Ours;
    let warnings = keep_excluded(&old, &new, &rules, privilege).expect("kept");
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(count(&new_top, &all), levels);
    release(&old, &new, &rules).expect("released");
    assert_eq!(count(&new_top, &all), levels);
    assert_eq!(std::fs::read_dir(&old).expect("there").count(), 0);
    remove(&new_top, &all);
}

#[test]
fn deep_folders_that_are_excluded_are_carried_over_with_few_descriptors() {
    carry_over("a", 1_200);
}

#[test]
fn deep_folders_of_hookshot_s_own_names_are_carried_over_with_few_descriptors() {
    carry_over(".hookshot-x", 330);
}
