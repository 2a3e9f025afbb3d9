//! `repo check`, `repo stats`, `stats` and `repo upgrade`.

use support::{
    Machine,
    restic::Restic,
    servers::{Fault, Faults, Rule, S3, http::Head},
    vaults::{configure, files_below, keep_all_but_locks, machine, machine_at, vault, with_vault},
};

use std::{fs, path::PathBuf};

use serde_json::Value;

/// Returns the largest pack of the repository.
fn largest_pack(machine: &Machine) -> PathBuf {
    let packs = files_below(&machine.path("vault/data")).into_iter();
    let largest = packs.max_by_key(|pack| pack.metadata().expect("metadata").len());
    largest.expect("a pack")
}

/// Changes a byte in the middle of a file.
fn flip(path: &PathBuf) {
    let mut bytes = fs::read(path).expect("a file");
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("set");
    fs::write(path, bytes).expect("written");
}

#[test]
fn a_part_of_the_content_is_read_and_all_parts_are_all_of_it() {
    let machine = with_vault("");
    machine.fill_database(500);
    machine.run(&["export", "@vault"]).exits(0);
    for part in [
        "--read-data",
        "--read-data=5%",
        "--read-data=1/2",
        "--read-data=2/2",
    ] {
        machine.run(&["repo", "check", "@vault", part]).exits(0);
    }
    for wrong in [
        "--read-data=",
        "--read-data=0/2",
        "--read-data=101%",
        "--read-data=x",
    ] {
        machine.run(&["repo", "check", "@vault", wrong]).exits(2);
    }
    let pack = largest_pack(&machine);
    flip(&pack);
    // Presence is not content.
    machine.run(&["repo", "check", "@vault"]).exits(0);
    machine.run(&["check", "@vault"]).exits(0);
    let parts = ["--read-data=1/2", "--read-data=2/2"];
    let codes = parts.map(|part| machine.run(&["repo", "check", "@vault", part]).code);
    assert!(codes == [0, 13] || codes == [13, 0], "{codes:?}");
    let name = pack
        .file_name()
        .expect("a name")
        .to_str()
        .expect("UTF-8")
        .to_owned();
    let report = machine
        .run(&["repo", "check", "@vault", "--read-data", "--json"])
        .exits(13)
        .json();
    let faults = report["faults"].as_array().expect("faults");
    assert!(
        faults
            .iter()
            .any(|fault| fault.as_str().expect("text").contains(&name[..8])),
        "{report}"
    );
    assert_eq!(report["error"]["code"], 13, "{report}");
}

#[test]
fn a_missing_pack_is_found_by_check() {
    let machine = with_vault("");
    machine.run(&["export", "@vault"]).exits(0);
    machine.run(&["check", "@vault"]).exits(0);
    fs::remove_file(largest_pack(&machine)).expect("removed");
    let report = machine.run(&["check", "@vault", "--json"]).exits(13).json();
    assert_eq!(report["destinations"][0]["good"], false, "{report}");
    machine.run(&["repo", "check", "@vault"]).exits(13);
}

#[test]
fn check_says_that_there_is_no_repository_yet() {
    let machine = machine("");
    machine
        .run(&["check", "@vault"])
        .exits(10)
        .says("repo init");
    machine
        .run(&["repo", "stats", "@vault"])
        .exits(10)
        .says("repo init");
}

fn stats(machine: &Machine, destination: &str) -> Value {
    let report = machine
        .run(&["stats", destination, "--json"])
        .exits(0)
        .json();
    report["destinations"][0].clone()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value}"))
}

#[test]
fn stats_have_the_same_words_for_archives_and_repositories() {
    let machine = with_vault("");
    let text = format!(
        "{}[backup.destinations.disk]\nurl = \"{}\"\n",
        vault(&machine, ""),
        machine.path("disk").display()
    );
    configure(&machine, &text);
    machine.fill_database(3000);
    for round in 0..3 {
        machine.put_deployment(&format!("round-{round}"), "finished");
        machine.run(&["export", "@vault", "@disk/"]).exits(0);
        if round == 0 {
            // No piece is counted twice.
            let ratio = number(&stats(&machine, "@vault")["dedup_ratio"]);
            assert!(ratio >= 1.0, "{ratio}");
        }
    }
    let (vault, disk) = (stats(&machine, "@vault"), stats(&machine, "@disk"));
    let names = |value: &Value| -> Vec<String> {
        value
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect()
    };
    assert_eq!(names(&vault), names(&disk));
    assert_eq!(
        (&vault["archives"], &disk["archives"]),
        (&3.into(), &3.into())
    );
    assert_eq!(disk["dedup_ratio"], 1.0, "{disk}");
    assert!(number(&vault["dedup_ratio"]) > 2.0, "{vault}");
    assert!(number(&vault["compression_ratio"]) > 1.0, "{vault}");
    // The manifests are content there, too.
    let more = number(&vault["content_bytes"]) - number(&disk["content_bytes"]);
    assert!((0.0..100_000.0).contains(&more), "{vault} {disk}");
    let days = vault["days"].as_array().expect("days");
    let growth: f64 = days.iter().map(|day| number(&day["size_bytes"])).sum();
    let stored = number(&vault["size_bytes"]);
    assert!(growth > 0.5 * stored && growth <= stored, "{vault}");
    let own = machine
        .run(&["repo", "stats", "@vault", "--json"])
        .exits(0)
        .json();
    for (key, value) in [
        ("states", 3.into()),
        ("version", 2.into()),
        ("chunk", "8 KiB".into()),
    ] {
        let value: Value = value;
        assert_eq!(own[key], value, "{own}");
    }
    for key in [
        "content_bytes",
        "size_bytes",
        "compression_ratio",
        "dedup_ratio",
    ] {
        assert_eq!(own[key], vault[key], "{key}");
    }
    machine.run(&["stats", "@vault", "@disk"]).exits(0);
    machine.run(&["repo", "stats"]).exits(0);
}

#[test]
fn a_repository_of_version_1_is_upgraded_and_restic_opens_it() {
    let Some(restic) = Restic::of_the_system() else {
        return;
    };
    let machine = machine("");
    let repository = machine.path("vault");
    restic
        .run(&repository, &["init", "--repository-version", "1"])
        .exits(0);
    machine.run(&["export", "@vault"]).exits(0);
    let noted = machine.run(&["repo", "check", "@vault"]).exits(0).text();
    assert!(noted.contains("repo upgrade"), "{noted}");
    configure(&machine, &vault(&machine, "append_only = true\n"));
    machine
        .run(&["repo", "upgrade", "@vault"])
        .exits(2)
        .says("append_only");
    configure(&machine, &vault(&machine, ""));
    let report = machine
        .run(&["repo", "upgrade", "@vault", "--json"])
        .exits(0)
        .json();
    assert_eq!(
        (&report["changed"], &report["version"]),
        (&true.into(), &2.into())
    );
    let config = machine.read("vault/config");
    let again = machine.run(&["repo", "upgrade", "@vault"]).exits(0);
    assert!(again.text().contains("nothing to do"), "{}", again.text());
    assert_eq!(machine.read("vault/config"), config);
    assert!(!machine.path("vault/config.before").exists());
    machine.run(&["verify", "@vault/latest"]).exits(0);
    machine.put_deployment("after", "finished");
    machine.run(&["export", "@vault"]).exits(0);
    let shown = restic.run(&repository, &["cat", "config"]).exits(0).json();
    assert_eq!(shown["version"], 2);
    restic.run(&repository, &["check", "--read-data"]).exits(0);
}

#[test]
fn an_upgrade_that_was_killed_is_ended_by_the_next_one() {
    let machine = with_vault("");
    machine.run(&["export", "@vault"]).exits(0);
    // Killed after the old configuration was removed.
    let (config, before) = (
        machine.path("vault/config"),
        machine.path("vault/config.before"),
    );
    fs::rename(&config, &before).expect("renamed");
    machine
        .run(&["list", "@vault"])
        .exits(10)
        .says("repo upgrade");
    machine.run(&["repo", "init", "@vault"]).exits(2);
    machine.run(&["repo", "upgrade", "@vault"]).exits(0);
    machine.run(&["verify", "@vault/latest"]).exits(0);
    // Killed after the new one was written.
    fs::copy(&config, &before).expect("copied");
    configure(&machine, &vault(&machine, "level = 7\n"));
    machine.run(&["repo", "upgrade", "@vault"]).exits(0);
    assert!(!before.exists());
    machine.run(&["verify", "@vault/latest"]).exits(0);
}

#[test]
fn an_upgrade_with_nothing_to_do_needs_no_right_to_remove() {
    let s3 = S3::start();
    let faults = Faults::in_front_of(&s3.endpoint());
    keep_all_but_locks(&faults);
    let machine = machine_at(&faults.endpoint());
    machine.run(&["repo", "init", "@vault"]).exits(0);
    let again = machine.run(&["repo", "upgrade", "@vault"]).exits(0);
    assert!(again.text().contains("nothing to do"), "{}", again.text());
    assert_eq!(faults.struck(), 0);
}

#[test]
fn the_level_of_the_configuration_is_that_of_a_new_repository() {
    let sizes = [1, 9].map(|level| {
        let machine = with_vault(&format!("level = {level}\n"));
        machine.fill_database(1000);
        machine.run(&["export", "@vault"]).exits(0);
        let report = machine.run(&["repo", "stats", "--json"]).exits(0).json();
        assert_eq!(report["level"], level, "{report}");
        assert_eq!(report["notes"].as_array().expect("notes").len(), 0);
        if level == 1 {
            configure(&machine, &vault(&machine, "level = 3\n"));
            let noted = machine.run(&["repo", "check"]).exits(0).text();
            assert!(noted.contains("repo upgrade"), "{noted}");
            let upgraded = machine.run(&["repo", "upgrade", "--json"]).exits(0).json();
            assert_eq!(upgraded["level"], 3, "{upgraded}");
        }
        number(&report["size_bytes"])
    });
    assert!(sizes[1] < sizes[0], "{sizes:?}");
}

#[test]
fn stats_name_a_record_that_cannot_be_read() {
    let machine = with_vault("");
    machine.run(&["export", "@vault"]).exits(0);
    machine.put_deployment("more", "finished");
    machine.run(&["export", "@vault"]).exits(0);
    let mut records = fs::read_dir(machine.path("vault/snapshots")).expect("records");
    let record = records.next().expect("one").expect("an entry").path();
    flip(&record);
    let name = record.file_name().expect("a name").to_str().expect("UTF-8");
    let report = machine.run(&["stats", "@vault", "--json"]).exits(3).json();
    assert_eq!(report["destinations"][0]["archives"], 1, "{report}");
    let unread = &report["other_files"][0];
    assert_eq!(unread["destination"], "@vault", "{report}");
    assert_eq!(unread["name"], format!("snapshots/{name}"), "{report}");
    assert_eq!(report["error"]["kind"], "partial", "{report}");
    let run = machine.run(&["stats", "@vault"]).exits(3);
    assert!(run.text().contains(name), "{}", run.text());
    run.says(name);
}

#[test]
fn a_store_that_cannot_be_reached_is_not_damage() {
    let s3 = S3::start();
    let faults = Faults::in_front_of(&s3.endpoint());
    let machine = machine_at(&faults.endpoint());
    machine.run(&["repo", "init", "@vault"]).exits(0);
    machine.run(&["export", "@vault"]).exits(0);
    let is_content = |head: &Head| head.line[1].contains("/vault/data/");
    for (fault, kind) in [
        (Fault::Answer(503), "failed"),
        (Fault::Answer(403), "forbidden"),
        (Fault::ResetRequest { after_bytes: 0 }, "unreachable"),
    ] {
        let case = format!("{fault:?}");
        faults.add(Rule::on("GET", fault).whose(is_content).always());
        for arguments in [
            &["repo", "check", "@vault", "--json"][..],
            &["repo", "check", "@vault", "--read-data", "--json"],
            &["check", "@vault", "--json"],
        ] {
            let report = machine.run(arguments).exits(1).json();
            assert_eq!(report["error"]["kind"], kind, "{case}: {report}");
        }
        faults.clear();
    }
    machine
        .run(&["repo", "check", "@vault", "--read-data"])
        .exits(0);
    // Damage is told, even if something else cannot be read.
    let lost = files_below(&s3.file("vault/index")).remove(0);
    let index = fs::read(&lost).expect("it");
    fs::remove_file(&lost).expect("removed");
    faults.add(
        Rule::on("GET", Fault::Answer(503))
            .whose(is_content)
            .always(),
    );
    machine.run(&["repo", "check", "@vault"]).exits(13);
    fs::write(lost, index).expect("put back");
}
