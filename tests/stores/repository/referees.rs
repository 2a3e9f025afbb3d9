//! restic opens what hookshot wrote, and hookshot reads what restic wrote.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use support::{
    Content, Machine, Tree, directories, finish,
    programs::{gunzipped, run, text},
    restic::{PASSWORD, Restic},
    servers::program::find,
    tree,
    vaults::{all_verify, json, names, vault},
};

use super::machine;

/// A machine whose state has folders, modes, links and names of every kind, beside a repository and a folder.
fn machine_with_directories() -> Machine {
    let machine = directories::data_and_page();
    let text = format!("{}{}", directories::DATA_AND_PAGE, vault(&machine, ""));
    machine.write("etc/config.toml", text, 0o600);
    machine.write("etc/vault.key", PASSWORD, 0o600);
    machine.run(&["repo", "init", "@vault"]).exits(0);
    machine
}

/// The files, folders and links below a folder: modes and contents. A folder of hookshot's own has no time to compare.
fn contents(folder: &Path) -> Tree {
    let mut tree = tree(folder);
    tree.retain(|_, (mode, _, _)| *mode & 0o170_000 != 0o040_000);
    tree
}

#[test]
fn restic_reads_what_hookshot_wrote() {
    let machine = machine_with_directories();
    machine.run(&["export", "@vault"]).exits(0);
    machine.write("srv/page", "second", 0o644);
    machine.run(&["export", "@vault"]).exits(0);
    let vault = machine.path("vault");
    let unpacked = machine.path("unpacked");
    machine
        .run(&[
            "extract",
            "@vault/latest",
            "-o",
            unpacked.to_str().expect("UTF-8"),
        ])
        .exits(0);
    for restic in Restic::all() {
        let version = &restic.version;
        restic.run(&vault, &["check", "--read-data"]).exits(0);
        let snapshots = json(restic.run(&vault, &["snapshots", "--json"]));
        let snapshots = snapshots.as_array().expect("snapshots");
        assert_eq!(snapshots.len(), 2, "{version}");
        for snapshot in snapshots {
            assert_eq!(snapshot["paths"], serde_json::json!(["/x"]), "{version}");
            let tags = snapshot["tags"].as_array().expect("tags");
            for tag in ["hookshot", "app=shop"] {
                assert!(tags.contains(&Value::from(tag)), "{version}: {tags:?}");
            }
        }
        let target = machine.path(&format!("restored-{version}"));
        let shown = target.to_str().expect("UTF-8");
        restic
            .run(&vault, &["restore", "latest", "--target", shown])
            .exits(0);
        let state = target.join("x");
        machine
            .run(&["verify", state.to_str().expect("UTF-8")])
            .exits(0);
        // Every entry is as an extraction of ours has it.
        for (path, entry) in contents(&unpacked) {
            let restored = contents(&state);
            let there = restored
                .get(&path)
                .unwrap_or_else(|| panic!("{version}: {path:?}"));
            assert_eq!(
                (&there.0, &there.2),
                (&entry.0, &entry.2),
                "{version}: {path:?}"
            );
        }
        let manifest = restic.run(&vault, &["dump", "latest", "/x/manifest.json"]);
        let manifest = manifest.exits(0).stdout;
        assert!(manifest == fs::read(state.join("manifest.json")).expect("it"));
        let page = restic.run(&vault, &["dump", "latest", "/x/page"]).exits(0);
        assert_eq!(page.stdout, b"second", "{version}");
        let ids = snapshots
            .iter()
            .map(|one| one["short_id"].as_str().expect("an ID"));
        let ids: Vec<&str> = ids.collect();
        let diff = restic
            .run(&vault, &["diff", ids[0], ids[1]])
            .exits(0)
            .text();
        let changed: Vec<&str> = diff.lines().filter(|line| line.starts_with('M')).collect();
        assert_eq!(
            changed.len(),
            2,
            "{version}: the page and the manifest: {diff}"
        );
        let found = restic.run(&vault, &["find", "page"]).exits(0).text();
        assert!(found.contains("/x/page"), "{version}: {found}");
        let stats = json(restic.run(&vault, &["stats", "--json"]));
        assert!(stats["total_size"].as_u64() > Some(0), "{version}");
    }
}

/// A state that restic restored and backed up again is a snapshot of restic's: hookshot lists what has its labels, and
/// leaves the rest alone. With the labels it is the archive that it was.
#[test]
fn hookshot_reads_what_restic_restored_and_backed_up_again() {
    let machine = machine();
    machine.fill_database(300);
    machine.run(&["export", "@vault"]).exits(0);
    let name = names(&machine).remove(0);
    let (vault, before) = (machine.path("vault"), machine.targets());
    let secrets = machine.read("etc/secrets");
    for (number, restic) in Restic::all().into_iter().enumerate() {
        let version = &restic.version;
        let target = machine.path(&format!("again-{number}"));
        let shown = target.to_str().expect("UTF-8");
        let archive = format!("archive={name}");
        restic
            .run(
                &vault,
                &["restore", "--tag", &archive, "latest", "--target", shown],
            )
            .exits(0);
        // restic has a folder as its path was given: from the folder around it, from itself, and from anywhere.
        let state = target.join("hookshot-state");
        let whole = state.to_str().expect("UTF-8");
        let (from, path) =
            [(&target, "hookshot-state"), (&state, "."), (&target, whole)][number % 3];
        let backed_up = |further: &[&str]| {
            let words = [&["backup", path][..], further].concat();
            let mut command = restic.command(&vault, &words);
            command.current_dir(from);
            finish(command, b"").exits(0);
        };
        let known = names(&machine);
        backed_up(&[]);
        assert_eq!(names(&machine), known, "{version}: it has no labels");
        // Under another name: that one is still there.
        let again = name.replace(".tar.gz", &format!(".{}.tar.gz", number + 5));
        backed_up(&["--tag", &format!("hookshot,archive={again}")]);
        assert!(names(&machine).contains(&again), "{version}");
        let word = format!("@vault/{again}");
        machine.run(&["verify", &word]).exits(0);
        let one = json(machine.run(&["--json", "inspect", &word]));
        let other = json(machine.run(&["--json", "inspect", &format!("@vault/{name}")]));
        assert_eq!(one["manifest"], other["manifest"], "{version}");
        let out = machine.run(&["extract", &word, "secrets", "-o", "-"]);
        assert_eq!(out.exits(0).stdout, secrets, "{version}");
        let url = format!("restic:{}/{again}", vault.display());
        let mut command = machine.command();
        command.args(["extract", &url, "secrets", "-o", "-"]);
        command.env("RESTIC_PASSWORD", PASSWORD);
        assert_eq!(finish(command, b"").exits(0).stdout, secrets, "{version}");
        machine.write("etc/secrets", "changed", 0o600);
        machine.run(&["import", &word]).exits(0);
        assert_eq!(machine.targets(), before, "{version}");
    }
}

#[test]
fn directories_that_went_through_a_repository_have_the_same_tar() {
    let machine = machine_with_directories();
    let name = "x-20260101-030000.tar.gz";
    let path = machine.export(name);
    machine.run(&["copy", &path, "@vault"]).exits(0);
    all_verify(&machine);
    let back = machine.path("back");
    fs::create_dir(&back).expect("a folder");
    machine
        .run(&[
            "copy",
            &format!("@vault/{name}"),
            &format!("{}/", back.display()),
        ])
        .exits(0);
    let tars = [Path::new(&path), &back.join(name)].map(|path| Content(gunzipped(path)));
    assert_eq!(tars[0], tars[1]);
}

/// borg as a second judge of restores: it has a repository of its own, so what the two have in common is what they restore.
#[test]
fn a_state_is_restored_as_borg_restores_it() {
    let Some(program) = find("borg") else {
        let is_complete = std::env::var_os("HOOKSHOT_TESTS_COMPLETE").is_some();
        assert!(!is_complete, "borg is missing");
        println!("left out: borg is not installed; tests/run installs it");
        return;
    };
    let machine = machine_with_directories();
    let srv = machine.path("srv");
    for (name, time) in [
        ("data/a-b", "@1764200000.25"),
        ("data/a/x", "@5.75"),
        ("page", "@1.000000001"),
    ] {
        run("touch", &["-d", time, &text(&srv.join(name))]);
    }
    machine.run(&["export", "@vault"]).exits(0);
    let borg = |folder: &Path, words: &[&str]| {
        let mut command = Command::new(&program);
        command.args(words).current_dir(folder);
        command
            .env("BORG_REPO", machine.path("borg"))
            .env("BORG_BASE_DIR", machine.path("tmp"))
            .env("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes")
            .env("LC_ALL", "C.UTF-8");
        finish(command, b"").exits(0).text()
    };
    borg(&srv, &["init", "-e", "none"]);
    borg(&srv, &["create", "::state", "."]);
    let by_borg = machine.path("by-borg");
    fs::create_dir(&by_borg).expect("a folder");
    borg(&by_borg, &["extract", "::state"]);
    fs::rename(&srv, machine.path("was")).expect("renamed");
    fs::create_dir(&srv).expect("a folder");
    machine.run(&["import", "@vault/latest"]).exits(0);
    assert_eq!(tree(&srv), tree(&by_borg));
    assert_eq!(times(&srv), times(&by_borg));
    assert!(times(&srv).len() > 4);
    // It finds no difference between the two either.
    borg(&srv, &["create", "::restored", "."]);
    let differences = borg(&srv, &["diff", "--content-only", "::state", "restored"]);
    assert_eq!(differences, "");
}

/// The times of the files below a folder, to the nanosecond.
fn times(folder: &Path) -> BTreeMap<PathBuf, (i64, i64)> {
    let paths = tree(folder).into_keys();
    let files = paths.filter_map(|path| {
        let metadata = folder.join(&path).symlink_metadata().expect("it");
        let time = (metadata.mtime(), metadata.mtime_nsec());
        metadata.is_file().then_some((path, time))
    });
    files.collect()
}
