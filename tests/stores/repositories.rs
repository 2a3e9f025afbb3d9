//! Destinations in restic's format, through the binary: real restic opens what hookshot wrote, and hookshot reads it back.

use support::{
    Machine, Run, finish,
    programs::gunzipped,
    restic::{PASSWORD, Restic},
    vaults::{self, files_below, names, wait_for},
};

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use rusqlite::Connection;
use serde_json::Value;

/// A machine whose `@vault` is a repository in a folder, and whose `@folder` is a folder. It must be made.
fn machine() -> Machine {
    vaults::configured(|machine| vaults::vault(machine, "") + &vaults::folder(machine))
}

/// A machine whose repository was made.
fn with_vault() -> Machine {
    vaults::made(machine())
}

/// Runs `restic` on the repository; `None` if this machine does not have it.
fn restic(machine: &Machine, arguments: &[&str]) -> Option<Run> {
    let restic = Restic::of_the_system()?.with_key(machine.path("etc/vault.key"));
    Some(restic.run(&machine.path("vault"), arguments))
}

/// Returns the name of the newest archive there.
fn newest(machine: &Machine) -> String {
    names(machine).remove(0)
}

fn size_of(folder: &Path) -> u64 {
    let files = files_below(folder).into_iter();
    files.map(|file| file.metadata().expect("it").len()).sum()
}

#[test]
fn restic_checks_and_restores_what_an_export_wrote() {
    let machine = with_vault();
    machine.fill_database(2000);
    machine.run(&["export", "@vault"]).exits(0);
    let Some(checked) = restic(&machine, &["check", "--read-data"]) else {
        return;
    };
    checked.exits(0);
    let target = machine.path("restored");
    let target = target.to_str().expect("UTF-8");
    restic(&machine, &["restore", "latest", "--target", target])
        .expect("restic")
        .exits(0);
    let state = machine.path("restored/hookshot-state");
    let manifest: Value =
        serde_json::from_slice(&fs::read(state.join("manifest.json")).expect("a manifest"))
            .expect("JSON");
    let files = manifest["files"].as_object().expect("files");
    assert!(files.len() > 2, "{manifest}");
    let sums: String = files
        .iter()
        .map(|(name, record)| {
            format!(
                "{}  {name}\n",
                record["checksum"]
                    .as_str()
                    .expect("a digest")
                    .trim_start_matches("sha256:")
            )
        })
        .collect();
    let mut command = Command::new("sha256sum");
    command.arg("-c").current_dir(&state);
    finish(command, sums.as_bytes()).exits(0);
    // What was unpacked is an archive as well.
    machine
        .run(&["verify", state.to_str().expect("UTF-8")])
        .exits(0);
}

#[test]
fn a_state_is_listed_inspected_verified_extracted_and_imported() {
    let machine = with_vault();
    machine.fill_database(500);
    let (before, secrets) = (machine.state(), machine.read("etc/secrets"));
    machine.run(&["export", "@vault"]).exits(0);
    let name = newest(&machine);
    assert!(
        name.starts_with("hookshot-state-") && name.ends_with(".tar.gz"),
        "{name}"
    );
    machine.run(&["inspect", "@vault/latest"]).exits(0);
    machine.run(&["verify", &format!("@vault/{name}")]).exits(0);
    let secret = machine
        .run(&["extract", "@vault/latest", "secrets", "-o", "-"])
        .exits(0);
    assert_eq!(secret.stdout, secrets);
    machine.write("etc/secrets", "changed", 0o600);
    assert_ne!(machine.state(), before);
    machine.run(&["import", "@vault/latest"]).exits(0);
    assert_eq!(machine.read("etc/secrets"), secrets);
}

#[test]
fn an_archive_that_went_through_a_repository_has_the_same_tar() {
    let machine = with_vault();
    machine.fill_database(1000);
    machine.run(&["export", "@folder", "@vault"]).exits(0);
    let name = newest(&machine);
    let back = machine.path("back");
    fs::create_dir(&back).expect("a folder");
    let word = format!("{}/", back.display());
    machine
        .run(&["copy", &format!("@vault/{name}"), &word])
        .exits(0);
    let (one, other) = (machine.path("folder").join(&name), back.join(&name));
    assert!(gunzipped(&one) == gunzipped(&other), "the tars differ");
    // And the other way round, into a repository that does not have it.
    fs::rename(machine.path("vault"), machine.path("first")).expect("renamed");
    machine.run(&["repo", "init", "@vault"]).exits(0);
    machine
        .run(&["copy", one.to_str().expect("UTF-8"), "@vault"])
        .exits(0);
    machine.run(&["verify", &format!("@vault/{name}")]).exits(0);
}

#[test]
fn a_second_state_costs_what_is_new_in_it() {
    let machine = with_vault();
    machine.fill_database(5000);
    machine.run(&["export", "@vault"]).exits(0);
    let first = size_of(&machine.path("vault"));
    machine.put_deployment("one-more", "finished");
    machine.run(&["export", "@vault"]).exits(0);
    let second = size_of(&machine.path("vault")) - first;
    assert!(second * 3 < first, "{first} then {second} bytes");
}

#[test]
fn a_wrong_password_is_exit_code_12_and_no_password_as_well() {
    let machine = with_vault();
    machine.write("etc/vault.key", "another\n", 0o600);
    machine.run(&["export", "@vault"]).exits(12);
    machine.run(&["list", "@vault"]).exits(12);
    let more = format!(
        "[backup.destinations.vault]\nurl = \"restic:{}\"\n",
        machine.path("vault").display()
    );
    machine.write("etc/config.toml", machine.config_text(&more), 0o644);
    machine.run(&["list", "@vault"]).exits(12);
    let mut command = machine.command();
    command
        .args(["list", "@vault"])
        .env("RESTIC_PASSWORD", PASSWORD);
    finish(command, b"").exits(0);
}

/// Adds a SQLite database to the state, in which rows were deleted.
fn with_sqlite(machine: &Machine) -> Connection {
    let text = machine.read("etc/config.toml");
    let text = String::from_utf8(text).expect("text");
    let source =
        "[[backup.sources]]\nname = \"app.db\"\nkind = \"sqlite\"\npath = \"../data/app.db\"\n";
    machine.write("etc/config.toml", format!("{text}{source}"), 0o644);
    let connection = Connection::open(machine.path("data/app.db")).expect("a database");
    connection
        .execute_batch(
            "PRAGMA journal_mode = wal; CREATE TABLE notes(id INTEGER PRIMARY KEY, text);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
             INSERT INTO notes SELECT i, hex(randomblob(100)) FROM n;
             DELETE FROM notes WHERE id < 5",
        )
        .expect("filled");
    connection
}

fn method(report: &Run, machine: &Machine, archive: &str) -> String {
    assert_eq!(report.code, 0, "{}", report.stderr);
    let inspected = machine.run(&["inspect", archive, "--json"]).exits(0).json();
    let method = &inspected["manifest"]["files"]["app.db"]["snapshot"]["method"];
    method
        .as_str()
        .unwrap_or_else(|| panic!("{inspected:#}"))
        .to_owned()
}

#[test]
fn databases_for_a_repository_keep_their_pages_and_share_them() {
    let machine = with_vault();
    let service = with_sqlite(&machine);
    let run = machine.run(&["export", "@folder"]);
    assert_eq!(method(&run, &machine, "@folder/latest"), "vacuum_into");
    let run = machine.run(&["export", "@vault"]);
    assert_eq!(method(&run, &machine, "@vault/latest"), "page_exact");
    let first = size_of(&machine.path("vault"));
    // Rows that move every page of an archive's copy that comes after them.
    service
        .execute_batch("DELETE FROM notes WHERE id BETWEEN 100 AND 200")
        .expect("deleted");
    machine.run(&["export", "@vault"]).exits(0);
    let grown = size_of(&machine.path("vault")) - first;
    assert!(grown * 10 < first, "{grown} of {first}");
    // The state is the one that the machine has.
    let plan = machine.run(&["backup", "@vault", "--if-changed", "--dry-run", "--json"]);
    let plan = plan.exits(0).json();
    assert_eq!(plan["if_changed"]["unchanged"], true, "{plan:#}");
    drop(service);
    machine.run(&["diff", "@vault/latest"]).exits(0);
    let report = machine
        .run(&["import", "@vault/latest", "--json"])
        .exits(0)
        .json();
    let mut steps = report["steps"].as_array().expect("steps").iter();
    let of_database = steps.find(|step| step["entry"] == "app.db");
    assert_eq!(
        of_database.expect("the database")["action"],
        "unchanged",
        "{report:#}"
    );
    // All destinations of a run get the same copy.
    let run = machine.run(&["export", "@folder", "@vault"]);
    assert_eq!(method(&run, &machine, "@folder/latest"), "page_exact");
    assert_eq!(method(&run, &machine, "@vault/latest"), "page_exact");
}

#[test]
fn restic_opens_a_repository_with_the_same_password_file() {
    let machine = machine();
    machine.write("etc/vault.key", " lead and trail \t\n", 0o600);
    machine.run(&["repo", "init", "@vault"]).exits(0);
    machine.run(&["export", "@vault"]).exits(0);
    if let Some(run) = restic(&machine, &["check"]) {
        run.exits(0);
    }
}

#[test]
fn an_export_that_lost_its_lock_is_not_kept() {
    let machine = with_vault();
    let snapshots = machine.path("vault/snapshots");
    let before = files_below(&snapshots).len();
    let mut command = machine.command();
    command.args(["export", "@vault"]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("hookshot");
    let locks = || files_below(&machine.path("vault/locks"));
    // Another process takes it for left behind. The holder looks for others for a moment before it begins.
    wait_for(|| {
        locks()
            .iter()
            .any(|lock| lock.file_name().is_some_and(|name| name.len() == 64))
    });
    locks().iter().for_each(|lock| drop(fs::remove_file(lock)));
    let output = child.wait_with_output().expect("ended");
    let says = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(11), "{says}");
    assert!(says.contains("lost the lock"), "{says}");
    assert_eq!(files_below(&snapshots).len(), before);
}

#[test]
fn content_whose_pack_is_gone_is_stored_again() {
    let machine = with_vault();
    machine.fill_database(2000);
    machine.run(&["export", "@vault"]).exits(0);
    let first = newest(&machine);
    for pack in files_below(&machine.path("vault/data")) {
        fs::remove_file(pack).expect("removed");
    }
    machine.run(&["export", "@vault"]).exits(0);
    let second = newest(&machine);
    assert_ne!(second, first);
    machine
        .run(&["verify", &format!("@vault/{second}")])
        .exits(0);
    machine
        .run(&["verify", &format!("@vault/{first}")])
        .exits(13);
    // The lost one hides no other.
    machine.run(&["status", "@vault"]).exits(0);
    machine
        .run(&["import", "@vault/latest", "--dry-run"])
        .exits(0);
}

#[test]
fn a_damaged_record_hides_no_other_state() {
    let machine = with_vault();
    machine.run(&["export", "@vault"]).exits(0);
    let [record] = &*files_below(&machine.path("vault/snapshots")) else {
        panic!("one state")
    };
    let bytes = fs::read(record).expect("read");
    fs::write(record, &bytes[..bytes.len() / 2]).expect("cut");
    machine.run(&["export", "@vault"]).exits(0);
    let listed = machine.run(&["list", "@vault", "--json"]).json();
    assert_eq!(
        listed["archives"].as_array().map(Vec::len),
        Some(1),
        "{listed}"
    );
    let name = record.file_name().unwrap_or_default().to_string_lossy();
    assert!(listed.to_string().contains(&*name), "{listed}");
    machine.run(&["verify", "@vault/latest"]).exits(0);
}

#[test]
fn a_repository_is_not_a_folder_of_archives() {
    let machine = with_vault();
    machine.run(&["export", "@vault"]).exits(0);
    let vault = machine.path("vault");
    let place = vault.to_str().expect("a name");
    machine
        .run(&["export", place])
        .exits(2)
        .says("write restic:");
    assert!(
        files_below(&vault)
            .iter()
            .all(|path| path.extension().is_none())
    );
}

#[test]
fn a_label_of_the_user_is_none_of_the_repository() {
    let machine = with_vault();
    let tags = [
        "--tag",
        "archive=a-20200101-000000.tar.gz",
        "--tag",
        "keep=forever",
    ];
    machine
        .run(&[&["export", "@vault"][..], &tags].concat())
        .exits(0);
    let listed = machine.run(&["list", "@vault", "--json"]).exits(0).json();
    let archive = &listed["archives"][0];
    assert_ne!(archive["name"], "a-20200101-000000.tar.gz", "{listed}");
    assert!(archive["mark"].is_null(), "{listed}");
    let shown = machine
        .run(&["inspect", "@vault/latest", "--json"])
        .exits(0)
        .json();
    let tags = shown["manifest"]["tags"].to_string();
    assert!(tags.contains("a-20200101-000000.tar.gz"), "{shown}");
}

#[test]
fn without_a_repository_nothing_is_made() {
    let machine = machine();
    machine
        .run(&["export", "@vault"])
        .exits(10)
        .says("repo init");
    assert!(!machine.path("vault/data").exists());
    machine.run(&["repo", "init", "@vault"]).exits(0);
    let config = machine.read("vault/config");
    let again = machine.run(&["repo", "init", "@vault"]);
    assert_ne!(again.code, 0);
    assert_eq!(machine.read("vault/config"), config);
}

#[test]
fn a_mark_waits_for_the_lock_of_restic() {
    let machine = with_vault();
    machine.run(&["export", "@vault"]).exits(0);
    let Some(at_work) = Restic::of_the_system() else {
        return;
    };
    let mut command = at_work.command(&machine.path("vault"), &["backup", "--stdin"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let child = command.stderr(Stdio::null()).spawn();
    let mut child = child.expect("restic");
    wait_for(|| !files_below(&machine.path("vault/locks")).is_empty());
    // It shares the repository, and a mark replaces a record.
    machine.run(&["keep", "@vault/latest"]).exits(11);
    machine.run(&["export", "@vault"]).exits(0);
    // A snapshot of nothing is an error of restic.
    let mut stdin = child.stdin.take().expect("its input");
    stdin.write_all(b"x").expect("written");
    drop(stdin);
    assert!(child.wait().expect("restic").success());
    machine.run(&["keep", "@vault/latest"]).exits(0);
    assert!(files_below(&machine.path("vault/locks")).is_empty());
    restic(&machine, &["check"]).expect("restic").exits(0);
}
