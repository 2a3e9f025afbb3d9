//! The archive of version 1.2 among the fixtures, which is never edited: every verb reads it, also after GNU tar packed
//! its content again.

use std::{
    collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command,
};

use support::{Machine, forge, tree};

const NAME: &str = "hookshot-1.2.tar.gz";

/// The files of the directory by their paths below it, and the escaped name that the archive has for one of them.
const FILES: [(&str, &str); 6] = [
    ("a/b/three", "deeper\n"),
    ("a/one", "first\n"),
    ("a/two", ""),
    ("a-b", "in the order of components\n"),
    ("c", "last\n"),
    (
        ".hookshot-name/dafd66c0b98965e688be1fc12942c09f0350e6be0685017c3f234e97d0adc92e",
        "no UTF-8\n",
    ),
];

fn fixture() -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/archives");
    fs::read(folder.join(NAME)).expect(NAME)
}

/// A machine whose configuration has a place for the directory.
fn fresh() -> Machine {
    let machine = Machine::empty();
    let source =
        "[[backup.sources]]\nname = \"uploads\"\nkind = \"directory\"\npath = \"../srv/uploads\"\n";
    machine.write("etc/config.toml", machine.config_text(source), 0o644);
    fs::create_dir(machine.path("srv")).expect("a folder");
    machine
}

/// Fails the test unless the directory of the machine is the one in the archive.
#[track_caller]
fn holds(machine: &Machine) {
    let uploads = machine.path("srv/uploads");
    let found = tree(&uploads);
    let files = found.iter().filter_map(|(path, (_, _, content))| {
        let content = content.as_ref()?;
        Some((
            path.as_os_str().as_encoded_bytes().to_vec(),
            content.0.clone(),
        ))
    });
    let mut files: BTreeMap<Vec<u8>, Vec<u8>> = files.collect();
    files.remove(&b"latest"[..]);
    let expected = FILES.map(|(path, content)| match path.starts_with('.') {
        true => (b"caf\xe9".to_vec(), content.as_bytes().to_vec()),
        false => (path.as_bytes().to_vec(), content.as_bytes().to_vec()),
    });
    assert_eq!(files, BTreeMap::from(expected));
    assert!(uploads.join("empty").is_dir());
    let link = fs::read_link(uploads.join("latest")).expect("a link");
    assert_eq!(link, Path::new("a/one"));
    let mode = |path: &str| {
        let metadata = fs::metadata(uploads.join(path)).expect("it is there");
        metadata.permissions().mode() & 0o7777
    };
    assert_eq!((mode("c"), mode("a/b")), (0o640, 0o750));
}

#[track_caller]
fn accepted(archive: &[u8]) {
    for (input, name) in [(&b""[..], "a.tar.gz"), (archive, "-")] {
        let machine = fresh();
        machine.write("out/a.tar.gz", archive, 0o600);
        let verify = machine
            .run_with(&["verify", "--json", name], input)
            .exits(0);
        assert_eq!(
            verify.json()["archives"][0]["faults"],
            serde_json::json!([])
        );
        machine
            .run_with(&["import", "--only", "uploads", name], input)
            .exits(0);
        holds(&machine);
        let differs = machine.run_with(&["diff", name], input);
        assert!(
            differs.text().contains("uploads") || differs.code == 0,
            "{}",
            differs.text()
        );
        for (path, content) in FILES {
            let entry = format!("uploads/{path}");
            let run = machine.run_with(&["extract", name, &entry, "-o", "-"], input);
            assert_eq!(run.exits(0).text(), content, "{entry}");
        }
        machine
            .run_with(&["extract", name, "uploads", "-o", "taken"], input)
            .exits(0);
        let taken = tree(&machine.path("out/taken/uploads"));
        assert!(taken == tree(&machine.path("srv/uploads")));
    }
}

#[test]
fn the_archive_of_version_1_2_is_read_by_every_verb() {
    accepted(&fixture());
}

#[test]
fn the_archive_of_version_1_2_is_read_as_a_bare_tar() {
    let tar = forge::inflate(&fixture());
    accepted(&tar);
}

#[test]
fn what_gnu_tar_packs_of_it_again_is_read_by_every_verb() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |arguments: &[&str]| {
        let mut tar = Command::new("tar");
        let status = tar.args(arguments).current_dir(folder.path()).status();
        assert!(status.expect("tar").success(), "{arguments:?}");
    };
    fs::write(folder.path().join(NAME), fixture()).expect("written");
    run(&["xzf", NAME]);
    let mut roots: Vec<String> = fs::read_dir(folder.path())
        .expect("readable")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .filter(|name| name != NAME)
        .collect();
    let root = roots.pop().expect("a root folder");
    for (number, options) in [
        &["--sort=name"][..],
        &["--sort=none"],
        &["--sort=name", "--format=pax"],
        &["--sort=name", "--format=ustar", "--numeric-owner"],
    ]
    .iter()
    .enumerate()
    {
        let name = format!("{number}.tar.gz");
        run(&[&["czf", &name], *options, &[&root]].concat());
        accepted(&fs::read(folder.path().join(&name)).expect("packed"));
    }
    // The files before the listing, and the manifest last.
    let inside = |path: &str| format!("{root}/{path}");
    let parts = [
        "uploads",
        "uploads.files.jsonl",
        "config.toml",
        "manifest.json",
    ]
    .map(inside);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    run(&[&["czf", "last.tar.gz"][..], &parts].concat());
    accepted(&fs::read(folder.path().join("last.tar.gz")).expect("packed"));
}
