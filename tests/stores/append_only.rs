//! `append_only`: a machine that adds states to a repository, and can remove nothing but its locks.

use support::{
    servers::{Faults, S3},
    vaults::{configure, configured, keep_all_but_locks, vault, vault_at, with_vault},
};

#[test]
fn nothing_is_removed_or_replaced_in_a_repository_that_only_grows() {
    let machine = with_vault("append_only = true\nretention = { keep_last = 1 }\n");
    for round in 0..3 {
        machine.put_deployment(&format!("round-{round}"), "finished");
        machine.run(&["export", "@vault"]).exits(0);
    }
    let listed = machine.run(&["list", "@vault", "--json"]).exits(0).json();
    let name = listed["archives"][0]["name"].as_str().expect("a name");
    let archive = format!("@vault/{name}");
    for refused in [
        &["prune", "@vault", "--yes"][..],
        &["prune", "@vault", "--dry-run"],
        &["delete", &archive, "--yes"],
        &["keep", &archive],
        &["repo", "unlock", "@vault", "--all"],
        &["repo", "upgrade", "@vault"],
    ] {
        machine.run(refused).exits(2).says("append_only");
    }
    machine.run(&["repo", "unlock", "@vault"]).exits(0);
    machine.run(&["repo", "check", "@vault"]).exits(0);
    let after = machine.run(&["list", "@vault", "--json"]).exits(0).json();
    assert_eq!(after["archives"].as_array().expect("all").len(), 3);
}

#[test]
fn a_backup_does_not_prune_a_repository_that_only_grows() {
    let machine = with_vault("");
    let text = format!(
        "[backup]\nto = [\"vault\", \"disk\"]\n[backup.retention]\nkeep_last = 1\n\
        {}[backup.destinations.disk]\nurl = \"{}\"\n",
        vault(&machine, "append_only = true\n"),
        machine.path("disk").display()
    );
    configure(&machine, &text);
    for round in 0..3 {
        machine.put_deployment(&format!("round-{round}"), "finished");
        machine.run(&["backup"]).exits(0);
    }
    let count = |destination: &str| {
        let listed = machine
            .run(&["list", destination, "--json"])
            .exits(0)
            .json();
        listed["archives"].as_array().expect("archives").len()
    };
    assert_eq!((count("@vault"), count("@disk")), (3, 1));
    machine.run(&["backup", "--dry-run"]).exits(0);
    machine.run(&["prune", "--yes"]).exits(0);
    assert_eq!(count("@vault"), 3);
}

#[test]
fn an_export_needs_to_delete_locks_alone() {
    let s3 = S3::start();
    let faults = Faults::in_front_of(&s3.endpoint());
    // A key that may delete below `locks/`.
    keep_all_but_locks(&faults);
    let machine = configured(|_| vault_at(&faults.endpoint(), "append_only = true\n"));
    machine.fill_database(500);
    machine.run(&["repo", "init"]).exits(0);
    for round in 0..2 {
        machine.put_deployment(&format!("round-{round}"), "finished");
        machine.run(&["export", "@vault"]).exits(0);
    }
    let (deleted, struck) = (faults.count("DELETE"), faults.struck());
    assert!(deleted >= 2, "locks are removed: {deleted}");
    assert_eq!(struck, 0, "{:?}", s3.objects());
    let objects = s3.objects();
    assert!(
        !objects.keys().any(|name| name.contains("/locks/")),
        "{objects:?}"
    );
    machine.run(&["verify", "@vault/latest"]).exits(0);
    machine
        .run(&["repo", "check", "@vault", "--read-data"])
        .exits(0);
    machine.run(&["repo", "key", "list"]).exits(0);
    assert_eq!(faults.struck(), 0);
}
