//! Directories out of archives, with everything that an import would bring back.

use support::Machine;
use support::trees::{Bench, State, Thing};

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    io::Write as _,
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

/// A machine with a directory of everything that there is, and its archive.
fn machine() -> (Machine, BTreeMap<Vec<u8>, State>) {
    let machine = Machine::new();
    let source = "[[backup.sources]]\nname = \"data\"\nkind = \"directory\"\npath = \"../srv\"\n";
    machine.write("etc/config.toml", machine.config_text(source), 0o600);
    let bench = Bench::new();
    let file = |content: &str, mode| Thing::File {
        content: content.as_bytes().to_vec(),
        mode,
        mtime: (1_500_000_000, 123_456_789),
        xattr: Some(b"kept".to_vec()),
    };
    let folder = |mode| Thing::Folder {
        mode,
        mtime: (1_400_000_000, 1),
        xattr: None,
    };
    let link = |target: &str| Thing::Link {
        target: target.to_owned(),
    };
    let things = [
        (&b"one"[..], file("1", 0o640)),
        (b"deep", folder(0o750)),
        (b"deep/two", file("22", 0o400)),
        (b"empty", folder(0o500)),
        (b"odd \xff\nname", file("odd", 0o600)),
        (b"deep/inside", link("../one")),
        (b"nowhere", link("not/there")),
        (b"outside", link("../etc/config.toml")),
        (b"far", link("/etc/passwd")),
    ];
    let things = things.map(|(path, thing)| (path.to_vec(), thing));
    bench.build(&BTreeMap::from(things));
    fs::rename(bench.source(), machine.path("srv")).expect("moved");
    machine.export("a.tar.gz");
    let snapshot = bench.snapshot(&machine.path("srv"));
    (machine, snapshot)
}

/// Returns bytes that do not shrink.
fn noise(count: usize) -> Vec<u8> {
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let noise = (0..count / 8).flat_map(|_| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random.to_le_bytes()
    });
    noise.collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = folder.read_dir().expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into()).collect();
    names.sort();
    names
}

#[test]
fn a_directory_comes_out_as_an_import_would_bring_it_back() {
    let (machine, mut expected) = machine();
    for link in [&b"outside"[..], b"far"] {
        assert!(expected.remove(link).is_some());
    }
    let run = machine.run(&[
        "extract",
        "a.tar.gz",
        "data",
        "config.toml",
        "-o",
        "look",
        "--json",
    ]);
    let run = run.exits(3).says("outside is not restored");
    let report = run.says("far is not restored").json();
    assert_eq!(report["entries"][0]["entry"], "data");
    assert_eq!(report["entries"][0]["path"], "look/data");
    assert_eq!(report["entries"][0]["size_bytes"], 6);
    let look = machine.path("out/look");
    assert_eq!(Bench::new().snapshot(&look.join("data")), expected);
    assert_eq!(names(&look), ["config.toml", "data"]);
}

#[test]
fn links_lead_inside_where_the_directory_comes_to_lie() {
    let (machine, _) = machine();
    let (here, there) = (machine.path("srv"), machine.path("out/look/data"));
    symlink(here.join("one"), here.join("here")).expect("a link");
    symlink(there.join("one"), here.join("there")).expect("a link");
    machine.export("b.tar.gz");
    machine
        .run(&["extract", "b.tar.gz", "data", "-o", "look"])
        .exits(3)
        .says("/out/look/data/here is not restored");
    assert!(there.join("here").symlink_metadata().is_err());
    assert_eq!(fs::read(there.join("there")).expect("it"), b"1");
}

#[test]
fn a_file_of_a_directory_has_its_mode_and_its_time() {
    let (machine, expected) = machine();
    let escaped = hookshot::model::digest::Digest::of(b"odd \xff\nname").to_string();
    let escaped = format!("data/.hookshot-name/{escaped}");
    machine
        .run(&["extract", "a.tar.gz", "data/deep/two", &escaped])
        .exits(0);
    let found = Bench::new().snapshot(&machine.path("out/data"));
    let two = (&found[&b"deep/two"[..]], &expected[&b"deep/two"[..]]);
    assert_eq!((two.0.1, two.0.3), (two.1.1, two.1.3));
    let odd = OsStr::from_bytes(escaped.as_bytes());
    assert_eq!(fs::read(machine.path("out").join(odd)).expect("it"), b"odd");
}

#[test]
fn what_is_no_entry_comes_with_its_directory_only() {
    let (machine, _) = machine();
    for part in ["data/deep", "data/deep/inside", "data/empty"] {
        machine
            .run(&["extract", "a.tar.gz", part])
            .exits(10)
            .says("hookshot extract ARCHIVE data");
    }
    machine
        .run(&["extract", "a.tar.gz", "data", "-o", "-"])
        .exits(2);
    assert_eq!(names(&machine.path("out")), ["a.tar.gz"]);
}

#[test]
fn a_directory_that_is_there_already_stays_as_it_is() {
    let (machine, _) = machine();
    machine.write("out/other", "", 0o600);
    fs::create_dir_all(machine.path("out/look/data")).expect("a folder");
    machine.write("out/look/data/mine", "precious", 0o600);
    for overwrite in [&[][..], &["--overwrite"]] {
        let arguments = ["extract", "a.tar.gz", "data", "-o", "look"];
        machine
            .run(&[&arguments[..], overwrite].concat())
            .exits(2)
            .says("exists already")
            .says("never replaced");
    }
    assert_eq!(names(&machine.path("out/look/data")), ["mine"]);
    assert_eq!(names(&machine.path("out/look")), ["data"]);
}

#[test]
fn nothing_of_a_directory_comes_out_of_an_archive_that_is_not_good() {
    let (machine, _) = machine();
    let mut bytes = machine.read("out/a.tar.gz");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    machine.write("out/bad.tar.gz", &bytes, 0o600);
    machine
        .run(&["extract", "bad.tar.gz", "data", "-o", "look"])
        .exits(13);
    assert!(!machine.path("out/look").exists());
}

#[test]
fn a_large_archive_gives_its_directories_as_well() {
    let (machine, _) = machine();
    let noise = noise(17 << 20);
    fs::write(machine.path("srv/large"), &noise).expect("written");
    machine.export("b.tar.gz");
    machine
        .run(&["extract", "b.tar.gz", "config.toml", "data", "-o", "look"])
        .exits(3);
    assert!(machine.read("out/look/data/large") == noise);
    assert_eq!(names(&machine.path("out/look")), ["config.toml", "data"]);
}

/// The files that a killed run keeps until the archive is proven lie in a folder that the next run removes.
#[test]
fn what_a_killed_extraction_of_many_entries_left_goes_with_the_next_one() {
    let machine = Machine::empty();
    let config = "[backup]\ninclude_config = false\n[[backup.sources]]\nname = \"data\"\nkind = \"directory\"\n\
        path = \"../srv\"\n";
    machine.write("etc/config.toml", config, 0o600);
    fs::create_dir(machine.path("srv")).expect("a folder");
    let noise = noise(4_800_000);
    for (number, content) in noise.chunks(16_000).enumerate() {
        machine.write(&format!("srv/{number:03}"), content, 0o640);
    }
    machine.export("a.tar.gz");
    let archive = machine.read("out/a.tar.gz");
    let entries: Vec<String> = (0..300).map(|number| format!("data/{number:03}")).collect();
    let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
    let mut command = machine.command();
    command
        .args(["--threads", "1", "extract", "-"])
        .args(&entries)
        .args(["-o", "look"])
        .stdin(Stdio::piped());
    let mut child = command.spawn().expect("hookshot");
    let mut input = child.stdin.take().expect("a pipe");
    input
        .write_all(&archive[..archive.len() - 300_000])
        .expect("written");
    let look = machine.path("out/look");
    let staging = || {
        let names = names(&look).into_iter();
        let mut held = names.filter(|name| name.ends_with("-held.extract"));
        held.next().map(|name| look.join(name))
    };
    let end = Instant::now() + Duration::from_secs(60);
    while !look.exists() || staging().is_none_or(|staging| names(&staging).is_empty()) {
        assert!(Instant::now() < end, "no file is kept in a folder");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().expect("killed");
    child.wait().expect("gone");
    drop(input);
    assert!(staging().is_some());
    assert_eq!(names(&look.join("data")), [""; 0]);
    let arguments = [&["extract", "a.tar.gz", "-o", "look"][..], &entries].concat();
    machine.run(&arguments).exits(0);
    assert_eq!(names(&look), ["data"]);
    for (entry, content) in entries.iter().zip(noise.chunks(16_000)) {
        assert!(
            fs::read(look.join(entry)).expect("it") == content,
            "{entry}"
        );
    }
}

#[test]
fn a_slash_behind_the_name_of_a_directory_changes_nothing() {
    let (machine, _) = machine();
    machine
        .run(&["extract", "a.tar.gz", "data/", "-o", "look"])
        .exits(3);
    assert_eq!(machine.read("out/look/data/one"), b"1");
    for (name, code) in [("data/deep//", 10), ("/", 10), ("/none/", 10)] {
        machine.run(&["extract", "a.tar.gz", name]).exits(code);
    }
}
