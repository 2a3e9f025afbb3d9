//! `rekey --dry-run` ends as the real run does: of what a look at the beginning, the end and the folder tells.

use std::fs;

use support::{Mounted, is_root};

use super::{ONE, TWO, Vault, list};
use crate::sealed::noise;

/// The exit codes of a rehearsal and of the real run, one after the other.
fn codes(vault: &Vault) -> (i32, i32) {
    let rehearsed = vault.run(&["stays"], &vault.replace(&["--dry-run"]));
    let before = vault.names();
    let real = vault.run(&["stays"], &vault.replace(&["--yes"]));
    if rehearsed.code != 0 && rehearsed.code != 3 {
        assert_eq!(vault.names(), before, "nothing is changed");
    }
    (rehearsed.code, real.code)
}

#[test]
fn an_archive_that_was_cut_off_fails_in_the_rehearsal_too() {
    let vault = Vault::new();
    vault.export(ONE, "one");
    vault.export(TWO, "two");
    let path = format!("vault/{TWO}.tar.gz.age");
    let bytes = vault.machine.read(&path);
    vault
        .machine
        .write(&path, &bytes[..bytes.len() - 100], 0o600);
    let rehearsed = vault.run(&["stays"], &vault.replace(&["--dry-run"]));
    let report = rehearsed.exits(3).json();
    assert_eq!(
        list(&report, "failed")[0]["name"],
        format!("{TWO}.tar.gz.age")
    );
    assert_eq!(list(&report, "failed")[0]["kind"], "archive_refused");
    assert_eq!(codes(&vault), (3, 3));
    // The other one is done. A single failure has its reason in text, and no advice that says that nothing was changed.
    assert!(vault.names().contains(&format!("{ONE}.1.tar.gz.age")));
    let (comes, leaves) = (&*vault.comes.public, &*vault.leaves.public);
    let arguments = [
        "rekey", "@vault", "--yes", "--add", comes, "--remove", leaves,
    ];
    let run = vault.run(&["stays"], &arguments).exits(3);
    assert!(run.stderr.contains("1 of 2 archives"), "{}", run.stderr);
    assert!(run.stderr.contains("cut off or changed"), "{}", run.stderr);
    assert!(
        !run.stderr.contains("nothing was changed"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_folder_that_cannot_be_written_fails_in_the_rehearsal_too() {
    if !is_root("a file system that is full or mounted read-only") {
        return;
    }
    let vault = Vault::new();
    vault.machine.write("etc/secrets", noise(600_000), 0o600);
    let folder = vault.machine.path("vault");
    let _mounted = Mounted::tmpfs(&folder, "2m");
    vault.export(ONE, "one");
    fs::write(folder.join("ballast"), noise(1_000_000)).expect("written");
    assert_eq!(codes(&vault), (18, 18));
    let mount = |options: &str| {
        let mut command = std::process::Command::new("mount");
        let status = command.args(["-o", options]).arg(&folder).status();
        assert!(status.expect("mount").success());
    };
    mount("remount,ro");
    assert_eq!(codes(&vault), (1, 1));
    mount("remount,rw");
    fs::remove_file(folder.join("ballast")).expect("removed");
    assert_eq!(codes(&vault), (0, 0));
}

#[test]
fn a_rehearsal_shows_the_recipients_and_the_links() {
    let vault = Vault::new();
    vault.export(ONE, "one");
    let name = format!("{ONE}.tar.gz.age");
    let (inside, outside) = (
        vault.machine.path(&format!("vault/{name}")),
        vault.machine.path("elsewhere.tar.gz.age"),
    );
    fs::rename(&inside, &outside).expect("moved");
    std::os::unix::fs::symlink(&outside, &inside).expect("a link");
    let bytes = fs::read(&outside).expect("an archive");
    let (comes, leaves) = (&*vault.comes.public, &*vault.leaves.public);
    let arguments = ["rekey", "@vault", "--add", comes, "--remove", leaves];
    for last in ["--dry-run", "--yes"] {
        let run = vault.run(&["stays"], &[&arguments[..], &[last]].concat());
        let run = run.exits(0).says("is a link");
        assert!(
            run.stderr.contains(&outside.display().to_string()),
            "{}",
            run.stderr
        );
        let text = run.text();
        for key in [comes, &vault.stays.public] {
            assert!(text.contains(&format!("  {key}\n")), "{text}");
        }
        assert!(!text.contains(leaves), "{text}");
    }
    // The link is gone; what it led to is as it was.
    assert!(inside.symlink_metadata().is_err());
    assert!(fs::read(&outside).expect("an archive") == bytes);
}
