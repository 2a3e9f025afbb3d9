//! A full disk below a repository: the failure is told, and every state from before is as it was.

use std::fs;

use support::{
    Mounted, is_root,
    restic::Restic,
    vaults::{all_verify, files_below, leftovers, noise},
};

use super::machine_with;

#[test]
fn a_full_disk_is_exit_code_18_and_leaves_nothing_half_there() {
    if !is_root("a small file system") {
        return;
    }
    let machine = machine_with("");
    fs::create_dir(machine.path("vault")).expect("a folder");
    let vault = machine.path("vault");
    let _mounted = Mounted::tmpfs(&vault, "6m");
    machine.run(&["repo", "init", "@vault"]).exits(0);
    machine.write("etc/secrets", noise(1 << 20, 1), 0o600);
    machine.run(&["export", "@vault"]).exits(0);
    let before = all_verify(&machine);
    for megabytes in [8, 16] {
        machine.write("etc/secrets", noise(megabytes << 20, 2), 0o600);
        let run = machine.run(&["export", "@vault"]);
        assert_eq!(run.code, 18, "{}", run.stderr);
        assert_eq!(leftovers(&vault), [""; 0].map(std::path::PathBuf::from));
        assert!(files_below(&vault.join("locks")).is_empty());
        assert_eq!(all_verify(&machine), before);
        if let Some(restic) = Restic::of_the_system() {
            restic
                .run(&vault, &["--no-lock", "check", "--read-data"])
                .exits(0);
        }
    }
    machine.write("etc/secrets", noise(1 << 20, 3), 0o600);
    // The packs of the broken exports are swept by a prune.
    machine
        .run(&["prune", "@vault", "--keep-last", "5"])
        .exits(0);
    machine.run(&["export", "@vault"]).exits(0);
    assert_eq!(all_verify(&machine).len(), 2);
}
