//! Folders in which an archive was unpacked: every verb reads them as it reads the archive.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    path::Path,
    process::Command,
};

use hookshot::archive::{
    reader::Discard,
    scratch::ScratchFolders,
    tree::{self, ArchiveTree, TreeAttributes, TreeFile, TreeNode},
};
use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    process::geteuid,
};
use serde_json::Value;
use support::{
    Machine, Run, directories, finish,
    listed::export_listed,
    programs::{run, text, unpack},
    restic::Restic,
};

fn json(run: Run) -> Value {
    run.exits(0).json()
}

#[test]
fn every_verb_reads_an_unpacked_archive_as_the_archive() {
    let machine = Machine::new();
    machine.fill_database(20);
    let archive = machine.export("a.tar.gz");
    let folder = unpack(&archive, &machine.path("unpacked"));
    let folder = text(&folder);
    let of = |verb: &[&str], from: &str| {
        let mut arguments = vec!["--json"];
        arguments.extend(verb);
        arguments.push(from);
        json(machine.run(&arguments))
    };
    for key in ["root", "manifest", "verified"] {
        let (one, other) = (of(&["inspect"], &archive), of(&["inspect"], &folder));
        assert_eq!(one[key], other[key], "{key}");
    }
    let verified = of(&["verify", "--deep"], &folder);
    assert_eq!(verified["archives"][0]["good"], true);
    assert_eq!(verified["archives"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        of(&["diff"], &archive)["entries"],
        of(&["diff"], &folder)["entries"]
    );
    machine.run(&["diff", &archive, &folder]).exits(0);
    machine
        .run(&[
            "extract",
            &folder,
            "config.toml",
            "-o",
            &text(&machine.path("out")),
        ])
        .exits(0);
    assert_eq!(
        machine.read("out/config.toml"),
        machine.read("etc/config.toml")
    );
    // With a slash at its end, as a shell completes it.
    machine.run(&["inspect", &format!("{folder}/")]).exits(0);

    machine.write("etc/services.toml", "# changed\n", 0o640);
    let before = machine.state();
    let plans = [&archive, &folder].map(|from| {
        let plan = json(machine.run(&["--json", "import", from, "--dry-run"]));
        plan["steps"].clone()
    });
    assert_eq!(plans[0], plans[1]);
    assert_eq!(machine.state(), before);
    machine.run(&["import", &folder]).exits(0);
    machine.run(&["diff", &archive]).exits(0);
    assert_ne!(machine.state(), before);
}

#[test]
fn a_directory_comes_back_out_of_an_unpacked_archive() {
    for is_listed in [false, true] {
        let machine = directories::data_and_page();
        let most = if is_listed { 0 } else { 10_000 };
        let archive = export_listed(&machine, "a.tar.gz", most);
        let folder = unpack(&archive, &machine.path("unpacked"));
        // `restic restore` makes the links and the folders of the directory, too.
        symlink("a/x", folder.join("data/to")).expect("a link");
        fs::create_dir_all(folder.join("data/empty")).expect("made");
        let out = [archive, text(&folder)].map(|from| {
            let other = directories::without_data_and_page();
            other.run(&["import", &from]).exits(0);
            support::tree(&other.path("srv"))
        });
        assert_eq!(out[0], out[1], "listed: {is_listed}");
        machine.run(&["verify", &text(&folder)]).exits(0);
    }
}

/// A change to an unpacked archive, and the fault that it causes.
type Case = (fn(&Path), &'static str);

const CASES: [Case; 15] = [
    (
        |f| fs::remove_file(f.join("page")).expect("removed"),
        "missing: the manifest lists page",
    ),
    (
        |f| fs::write(f.join("page"), "First").expect("written"),
        "checksum mismatch for file page",
    ),
    (
        |f| fs::write(f.join("page"), "firsts").expect("written"),
        "size mismatch for file page",
    ),
    (
        |f| fs::write(f.join("page"), "fir").expect("written"),
        "size mismatch for file page",
    ),
    (
        |f| fs::write(f.join("more"), "x").expect("written"),
        "unlisted: the manifest does not list more",
    ),
    (
        |f| fs::write(f.join("data/a/more"), "x").expect("written"),
        "data/a/more",
    ),
    (
        |f| fs::write(f.join(OsStr::from_bytes(b"data/\xfd")), "x").expect("written"),
        "xfd",
    ),
    (
        |f| {
            fs::rename(f.join("page"), f.parent().expect("a parent").join("page")).expect("moved");
            symlink("../page", f.join("page")).expect("a link");
        },
        "page is a symbolic link",
    ),
    (
        |f| {
            fs::rename(f.join("data"), f.parent().expect("a parent").join("data")).expect("moved");
            symlink("../data", f.join("data")).expect("a link");
        },
        "data is a symbolic link",
    ),
    (
        |f| symlink("/etc/passwd", f.join("data/to")).expect("a link"),
        "data/to is a symbolic link",
    ),
    (
        |f| symlink("a/x", f.join("data/other")).expect("a link"),
        "data/other is a symbolic link",
    ),
    (
        |f| {
            fs::remove_file(f.join("page")).expect("removed");
            mknodat(CWD, f.join("page"), FileType::Fifo, Mode::RWXU, 0).expect("a fifo");
        },
        "page is a fifo",
    ),
    (
        |f| drop(std::os::unix::net::UnixListener::bind(f.join("data/s")).expect("a socket")),
        "data/s is a socket",
    ),
    (
        |f| {
            let text = fs::read_to_string(f.join("manifest.json")).expect("readable");
            fs::write(f.join("manifest.json"), &text[..text.len() - 9]).expect("written");
        },
        "manifest.json",
    ),
    (
        |f| {
            fs::remove_file(f.join("data/a/x")).expect("removed");
            fs::create_dir(f.join("data/a/x")).expect("made");
        },
        "data/a/x",
    ),
];

#[test]
fn each_fault_of_an_unpacked_archive_is_named_and_changes_nothing() {
    for is_listed in [false, true] {
        let machine = directories::data_and_page();
        let archive = export_listed(&machine, "a.tar.gz", if is_listed { 0 } else { 10_000 });
        machine.write("srv/page", "another", 0o644);
        let before = support::tree(&machine.path("srv"));
        for (number, (change, fault)) in CASES.into_iter().enumerate() {
            let folder = unpack(&archive, &machine.path(&format!("unpacked-{number}")));
            machine.run(&["verify", &text(&folder)]).exits(0);
            change(&folder);
            let shown = text(&folder);
            for arguments in [
                &["--json", "verify", &shown][..],
                &["--json", "import", &shown],
                &["--json", "import", &shown, "--dry-run"],
            ] {
                let said = machine.run(arguments).exits(13).text();
                assert!(said.contains(fault), "{fault} is not in {said}");
            }
            assert_eq!(support::tree(&machine.path("srv")), before, "{fault}");
        }
    }
}

#[test]
fn an_unpacked_archive_of_a_later_version_is_refused_as_such() {
    let machine = directories::data_and_page();
    let archive = machine.export("a.tar.gz");
    let folder = unpack(&archive, &machine.path("unpacked"));
    let manifest = folder.join("manifest.json");
    let old = fs::read_to_string(&manifest).expect("readable");
    fs::write(
        &manifest,
        old.replace("\"version\": \"1.1\"", "\"version\": \"2.0\""),
    )
    .expect("written");
    assert_ne!(fs::read_to_string(&manifest).expect("readable"), old);
    machine.run(&["inspect", &text(&folder)]).exits(14);
    machine.run(&["import", &text(&folder)]).exits(14);
}

#[test]
fn folders_that_are_no_unpacked_archives_stay_what_they_are() {
    let machine = directories::data_and_page();
    machine.export("x-20260101-000000.tar.gz");
    let folder = text(&machine.path("out"));
    let says = |verb: &str| {
        let text = machine.run(&[verb, &folder]).exits(0).text();
        assert!(text.contains("x-20260101-000000"), "{text}");
    };
    says("verify");
    machine
        .run(&["import", &folder])
        .exits(10)
        .says("is a folder, not an archive");
    // Another program's manifest.json makes no archive of it.
    let other = r#"{"manifest_version":3,"name":"an extension","version":"1.0"}"#;
    machine.write("out/manifest.json", other, 0o644);
    says("verify");
    says("list");
    machine
        .run(&["import", &folder])
        .exits(10)
        .says("its manifest.json is that of another program");
}

#[test]
fn an_unpacked_archive_is_not_a_destination() {
    let machine = directories::data_and_page();
    let archive = machine.export("a.tar.gz");
    let folder = unpack(&archive, &machine.path("unpacked"));
    let (shown, before) = (text(&folder), support::tree(&folder));
    let slash = format!("{shown}/");
    let named = format!("{shown}/b.tar.gz");
    let config = machine.read("etc/config.toml");
    let config = String::from_utf8(config).expect("UTF-8");
    let config = format!("{config}[backup.destinations.one]\nurl = \"{shown}\"\n");
    machine.write("etc/config.toml", config, 0o600);
    for arguments in [
        &["list", &shown][..],
        &["list", "@one"],
        &["check", &shown],
        &["prune", &slash, "--yes"],
        &["export", &slash],
        &["export", &shown],
        &["export", &named],
        &["copy", &archive, &slash],
        &["import", "@one/latest"],
    ] {
        machine
            .run(arguments)
            .exits(2)
            .says(" is an unpacked archive, not a destination")
            .says("`hookshot inspect ");
        assert_eq!(support::tree(&folder), before, "{arguments:?}");
    }
    // Another output still gets its archive.
    let other = text(&machine.path("out/c.tar.gz"));
    machine
        .run(&["export", &other, "@one"])
        .exits(17)
        .says(" is an unpacked archive, not a destination");
    machine.run(&["verify", &other, &shown]).exits(0);
    let tested = json(machine.run(&["--json", "key", "test", &shown]));
    assert_eq!(
        (
            &tested["archives"][0]["archive"],
            &tested["archives"][0]["sealed"]
        ),
        (&Value::from(shown.as_str()), &Value::from(false))
    );
    // Archives that lie there already are not lost to the next night.
    fs::copy(&archive, folder.join("x-20260101-000000.tar.gz")).expect("copied");
    let listed = json(machine.run(&["--json", "list", &shown]));
    assert_eq!(listed["archives"].as_array().map(Vec::len), Some(1));
    machine.run(&["export", &slash]).exits(0);
}

#[test]
fn a_checkout_of_git_is_an_unpacked_archive() {
    let machine = directories::data_and_page();
    let archive = machine.export("a.tar.gz");
    let folder = unpack(&archive, &machine.path("unpacked"));
    let git = |folder: &Path, arguments: &[&str]| {
        let mut all = vec![
            "-C",
            folder.to_str().expect("UTF-8"),
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b",
        ];
        all.extend(arguments);
        let status = Command::new("git").args(all).output();
        assert!(status.expect("git runs").status.success(), "{arguments:?}");
    };
    if Command::new("git").arg("--version").output().is_err() {
        println!("skipped: git is missing");
        return;
    }
    git(&folder, &["init", "-q"]);
    git(&folder, &["add", "-A"]);
    git(&folder, &["commit", "-qm", "a"]);
    let checkout = machine.path("checkout");
    git(&folder, &["clone", "-q", ".", &text(&checkout)]);
    machine.run(&["verify", &text(&checkout)]).exits(0);
    machine.run(&["import", &text(&checkout)]).exits(0);
    fs::write(checkout.join(".gitignore"), "x").expect("written");
    machine
        .run(&["verify", &text(&checkout)])
        .exits(13)
        .says(".gitignore");
}

#[test]
fn what_restic_restores_is_an_unpacked_archive() {
    let Some(restic) = Restic::of_the_system() else {
        return;
    };
    let machine = directories::data_and_page();
    let archive = machine.export("a.tar.gz");
    let folder = unpack(&archive, &machine.path("unpacked"));
    let restic = |arguments: &[&str]| {
        let mut command = restic.command(&machine.path("repository"), arguments);
        command.current_dir(machine.path("unpacked"));
        finish(command, b"").exits(0);
    };
    let name = folder.file_name().and_then(OsStr::to_str).expect("UTF-8");
    restic(&["init"]);
    restic(&["backup", name]);
    let restored = machine.path("restored");
    restic(&["restore", "latest", "--target", &text(&restored)]);
    let restored = restored.join(name);
    machine.run(&["verify", &text(&restored)]).exits(0);
    machine.write("srv/page", "another", 0o644);
    machine.run(&["import", &text(&restored)]).exits(0);
    assert_eq!(machine.read("srv/page"), b"first");
}

#[test]
fn a_file_that_may_not_be_read_is_named_with_what_to_do() {
    if !geteuid().is_root() {
        println!("skipped: another user is needed, and this is not root");
        return;
    }
    let machine = directories::data_and_page();
    let archive = machine.export("a.tar.gz");
    let folder = unpack(&archive, &machine.path("unpacked"));
    run("chmod", &["-R", "a+rX", &text(&machine.path(""))]);
    run("chmod", &["0600", &text(&folder.join("page"))]);
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(support::program())
        .args(["verify", &text(&folder)])
        .env("TMPDIR", "/tmp");
    finish(command, b"")
        .exits(1)
        .says("page: Permission denied")
        .says("run as the user that owns these files");
}

#[test]
fn the_copy_of_an_unpacked_archive_is_the_archive_again_byte_by_byte() {
    for is_listed in [false, true] {
        let machine = directories::data_and_page();
        machine.write("srv/data/large", vec![7; 3 << 20], 0o600);
        let archive = export_listed(&machine, "a.tar.gz", if is_listed { 0 } else { 10_000 });
        let folder = unpack(&archive, &machine.path("unpacked"));
        let name = folder.file_name().and_then(OsStr::to_str).expect("UTF-8");
        let copied =
            json(machine.run(&["--json", "copy", &text(&folder), &text(&machine.path("to"))]));
        let copied = &copied["copied"][0];
        assert_eq!(copied["name"], format!("{name}.tar.gz"));
        let copy = machine.path(&format!("to/{name}.tar.gz"));
        assert!(
            fs::read(&copy).expect("there") == fs::read(&archive).expect("there"),
            "{is_listed}"
        );
        // A second one has nothing to do, and another archive of that name stays.
        let again =
            json(machine.run(&["--json", "copy", &text(&folder), &text(&machine.path("to"))]));
        assert_eq!(again["skipped"][0]["name"], copied["name"]);
        fs::write(&copy, "another").expect("written");
        machine
            .run(&["copy", &text(&folder), &text(&machine.path("to"))])
            .exits(1);
        assert_eq!(fs::read(&copy).expect("there"), b"another");
        // What is not good gets no name.
        fs::write(folder.join("more"), "x").expect("written");
        machine
            .run(&["copy", &text(&folder), &text(&machine.path("bad"))])
            .exits(13)
            .says("unlisted: the manifest does not list more");
        assert!(!machine.path("bad").exists());
    }
}

#[test]
fn the_copy_of_an_archive_of_version_1_0_has_the_attributes_of_its_files() {
    let machine = directories::data_and_page();
    let folder = machine.path("unpacked/state-1");
    fs::create_dir_all(&folder).expect("made");
    let content = "color = blue\n";
    machine.write("unpacked/state-1/app.ini", content, 0o640);
    let digest = support::forge::digest(content.as_bytes());
    let manifest = format!(
        r#"{{"version":"1.0","created_at":1764300000,"hookshot_version":"0.1.0","files":{{"app.ini":{{"path":"app.ini","checksum":"{digest}","size":13}}}}}}"#
    );
    machine.write("unpacked/state-1/manifest.json", &manifest, 0o600);
    run(
        "touch",
        &["-d", "@1764200000", &text(&folder.join("app.ini"))],
    );
    machine
        .run(&["copy", &text(&folder), &text(&machine.path("to"))])
        .exits(0);
    let copy = text(&machine.path("to/state-1.tar.gz"));
    let list = |archive: &str| {
        let list = Command::new("tar")
            .args(["--utc", "--full-time", "-tvzf", archive])
            .output();
        let list = String::from_utf8(list.expect("it runs").stdout).expect("UTF-8");
        let line = list
            .lines()
            .find(|line| line.ends_with("/app.ini"))
            .expect("there");
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let packed = text(&machine.path("packed.tar.gz"));
    run(
        "tar",
        &[
            "-czf",
            &packed,
            "-C",
            &text(&machine.path("unpacked")),
            "state-1",
        ],
    );
    assert_eq!(list(&copy), list(&packed));
    let out = unpack(&copy, &machine.path("again"));
    assert_eq!(
        fs::read_to_string(out.join("manifest.json")).expect("there"),
        manifest
    );
    machine.run(&["verify", &copy]).exits(0);
}

/// A tree with one entry, of which less can be read than its size says.
struct Shrinking {
    manifest: String,
}

impl ArchiveTree for Shrinking {
    fn name(&self) -> Option<String> {
        None
    }

    fn open(&mut self, path: &[u8]) -> io::Result<Option<TreeFile>> {
        let (size, content) = match path {
            b"manifest.json" => (self.manifest.len(), self.manifest.clone()),
            b"app.ini" => (13, "color".to_owned()),
            _ => return Ok(None),
        };
        Ok(Some(TreeFile {
            size: size as u64,
            attributes: TreeAttributes::default(),
            content: Box::new(io::Cursor::new(content)),
        }))
    }

    fn walk(
        &mut self,
        visit: &mut dyn FnMut(&[u8], &TreeNode) -> io::Result<()>,
    ) -> io::Result<()> {
        visit(b"app.ini", &TreeNode::File)?;
        visit(b"manifest.json", &TreeNode::File)
    }
}

#[test]
fn a_file_that_becomes_shorter_while_it_is_read_is_named() {
    let digest = support::forge::digest(b"color = blue\n");
    let manifest = format!(
        r#"{{"version":"1.0","created_at":1764300000,"hookshot_version":"0.1.0","files":{{"app.ini":{{"path":"app.ini","checksum":"{digest}","size":13}}}}}}"#
    );
    let scratch = tempfile::tempdir().expect("a folder");
    let scratch = ScratchFolders::from(scratch.path().to_owned());
    let read = tree::read("it", &mut Shrinking { manifest }, scratch, &mut Discard);
    let error = format!("{:#}", read.expect_err("cut off"));
    assert!(
        error.contains("app.ini became shorter while it was read"),
        "{error}"
    );
}

#[test]
fn a_drill_takes_an_unpacked_archive() {
    let machine = Machine::new();
    machine.fill_database(20);
    let archive = machine.export("a.tar.gz");
    let folder = unpack(&archive, &machine.path("unpacked"));
    let report = json(machine.run(&["--json", "drill", &text(&folder)]));
    let drill = &report["drills"][0];
    assert_eq!(
        drill["destination"],
        text(&machine.path("unpacked")),
        "{report}"
    );
}
