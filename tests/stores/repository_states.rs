//! States of a repository that others change: dated back or ahead, under one name, and read while another process prunes.

use support::{
    Machine,
    restic::Restic,
    servers::{Fault, Faults, Rule, S3, http::Head},
    vaults::{self, bucket, files_below, noise},
};

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use serde_json::Value;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The policy of a machine whose states go to `@vault`, and of which one stays.
const ONE_STAYS: &str =
    "[backup]\nto = [\"vault\"]\n[backup.retention]\nkeep_last = 1\nmax_remove = \"100%\"\n";

/// A machine with a repository, `@vault`, in a folder.
fn with_vault() -> Machine {
    vaults::made(vaults::configured(|machine| {
        format!("{ONE_STAYS}{}", vaults::vault(machine, ""))
    }))
}

/// Returns the records of states, the oldest first.
fn records(machine: &Machine) -> Vec<PathBuf> {
    let mut records = files_below(&machine.path("vault/snapshots"));
    records.sort_by_key(|path| {
        let written = fs::metadata(path).and_then(|known| known.modified());
        (written.expect("a time"), path.clone())
    });
    records
}

/// Exports another state, and returns its name and its record.
fn export(machine: &Machine, output: &str) -> (String, PathBuf) {
    let before = records(machine);
    let content = format!("{:?}", SystemTime::now());
    machine.write("etc/secrets", content, 0o600);
    let report = machine.run(&["export", output, "--json"]).exits(0).json();
    let archive = report["archive"].as_str().expect("a name");
    let name = archive.rsplit('/').next().expect("a name").to_owned();
    let mut new = records(machine);
    new.retain(|record| !before.contains(record));
    assert_eq!(new.len(), 1, "{report}");
    (name, new.remove(0))
}

/// Lets the store say that a record was written at this time.
fn written_at(record: &Path, time: SystemTime) {
    let file = fs::File::options().write(true).open(record);
    file.and_then(|file| file.set_modified(time)).expect("set");
}

/// Returns the names of the listed archives, sorted.
fn names(machine: &Machine) -> Vec<String> {
    let mut names = vaults::names(machine);
    names.sort();
    names
}

fn words<'a>(rows: &'a Value, key: &str) -> Vec<&'a str> {
    let rows = rows.as_array().expect("rows").iter();
    rows.map(|row| row[key].as_str().expect("a text")).collect()
}

#[test]
fn a_state_that_is_dated_back_pushes_out_none_that_came_in_time() {
    let machine = with_vault();
    let (first, _) = export(&machine, "@vault");
    let (second, record) = export(&machine, "@vault");
    // For the store, it came three days after its time.
    written_at(&record, SystemTime::now() + DAY * 3);
    let report = machine.run(&["prune", "@vault", "--json"]).exits(0).json();
    assert_eq!(report["removed"], 0, "{report:#}");
    assert_eq!(words(&report["late"], "name"), [&*second]);
    let run = machine.run(&["prune", "@vault"]).exits(0);
    assert!(
        run.text().contains("more than a day after their time"),
        "{}",
        run.text()
    );
    assert!(run.text().contains(&second), "{}", run.text());
    machine.run(&["backup", "--dry-run"]).exits(0);
    assert_eq!(names(&machine).len(), 2, "{first} {second}");
    // One that came in time takes the places of both.
    let (third, _) = export(&machine, "@vault");
    let report = machine.run(&["prune", "@vault", "--json"]).exits(0).json();
    assert_eq!(report["removed"], 2, "{report:#}");
    assert_eq!(names(&machine), [third]);
}

#[test]
fn a_repository_that_was_copied_is_pruned_by_the_times_of_its_states() {
    let machine = with_vault();
    let (_, one) = export(&machine, "@vault");
    let (second, other) = export(&machine, "@vault");
    for record in [&one, &other] {
        written_at(record, SystemTime::now() + DAY * 400);
    }
    let report = machine.run(&["prune", "@vault", "--json"]).exits(0).json();
    assert_eq!(report["removed"], 1, "{report:#}");
    assert_eq!(
        report["late"].as_array().map(Vec::len),
        Some(2),
        "{report:#}"
    );
    assert_eq!(names(&machine), [second]);
}

#[test]
fn a_state_that_is_dated_ahead_is_never_the_newest() {
    let machine = with_vault();
    let (first, earlier) = export(&machine, "@vault");
    let (second, record) = export(&machine, "@vault");
    written_at(&record, SystemTime::now() - DAY * 3);
    let shown = machine
        .run(&["inspect", "@vault/latest", "--json"])
        .exits(0)
        .says("Archives dated more than a day after they were written are skipped");
    assert!(
        shown.json().to_string().contains(&first),
        "{}",
        shown.text()
    );
    let report = machine.run(&["prune", "@vault", "--json"]).exits(0).json();
    assert_eq!(report["removed"], 0, "{report:#}");
    let mut kept = report["keep"].as_array().expect("rows").iter();
    let planted = kept.find(|row| row["name"] == *second).expect("it stays");
    assert_eq!(planted["reasons"][0], "dated after it was written");
    let status = machine.run(&["status", "@vault"]);
    assert_eq!(status.code, 19, "{}", status.text());
    assert!(
        status.text().contains("is dated after it was written"),
        "{}",
        status.text()
    );
    // Nothing else is left: the advice is the clock of the store, and to write the record anew.
    fs::remove_file(&earlier).expect("removed");
    let newest = machine.run(&["inspect", "@vault/latest"]).exits(10);
    let said = &newest.stderr;
    assert!(said.contains("is dated after it was written"), "{said}");
    assert!(said.contains("look at the clock of the store"), "{said}");
    assert!(!said.contains("this machine's clock"), "{said}");
    let archive = format!("@vault/{second}");
    machine.run(&["keep", &archive]).exits(0);
    machine.run(&["keep", &archive, "--remove"]).exits(0);
    machine.run(&["inspect", "@vault/latest"]).exits(0);
}

#[test]
fn a_repository_whose_files_have_no_times_has_a_newest_state() {
    let machine = with_vault();
    export(&machine, "@vault");
    let (second, _) = export(&machine, "@vault");
    for record in records(&machine) {
        written_at(&record, SystemTime::UNIX_EPOCH);
    }
    let shown = machine.run(&["inspect", "@vault/latest", "--json"]);
    assert!(shown.exits(0).json().to_string().contains(&second));
    let status = machine.run(&["status", "@vault"]);
    assert!(!status.text().contains("dated"), "{}", status.text());
    let report = machine.run(&["prune", "@vault", "--json"]).exits(0).json();
    assert_eq!(report["removed"], 1, "{report:#}");
    assert_eq!(report["late"].as_array().map(Vec::len), Some(0));
    assert_eq!(names(&machine), [second]);
}

/// Two states of one name, and a newer one of another; returns the records of the two and the newer name.
fn of_one_name(machine: &Machine) -> ([PathBuf; 2], String) {
    let (name, record) = export(machine, "@vault");
    let aside = machine.path("aside");
    fs::rename(&record, &aside).expect("moved");
    let (same, other) = export(machine, &format!("@vault/{name}"));
    assert_eq!(same, name);
    fs::rename(&aside, &record).expect("moved back");
    // Of one second, the one whose further name has the higher number would be the newest.
    vaults::wait_for_a_second();
    let (newest, _) = export(machine, "@vault");
    ([record, other], newest)
}

#[test]
fn of_states_of_one_name_each_is_removed_by_its_own() {
    let machine = with_vault();
    let ([first, other], newest) = of_one_name(&machine);
    let all = names(&machine);
    assert_eq!(all.len(), 3, "{all:?}");
    let report = machine.run(&["prune", "@vault", "--json"]).exits(0).json();
    assert_eq!(report["removed"], 2, "{report:#}");
    assert!(!first.exists() && !other.exists());
    assert_eq!(names(&machine), [newest]);
    machine.run(&["verify", "@vault/latest"]).exits(0);

    let machine = with_vault();
    let ([first, other], newest) = of_one_name(&machine);
    // The further name leads to the other one even if its record is written anew.
    let all = names(&machine);
    let further = all.iter().filter(|name| **name != newest);
    let further = further.max_by_key(|name| name.len()).expect("a name");
    let further = format!("@vault/{further}");
    machine.run(&["keep", &further]).exits(0);
    assert_eq!(names(&machine), all);
    machine.run(&["keep", &further, "--remove"]).exits(0);
    assert_eq!(names(&machine), all);
    machine.run(&["delete", &further, "--yes"]).exits(0);
    assert!(first.exists() && !other.exists());
    assert_eq!(records(&machine).len(), 2);
}

#[test]
fn a_state_is_found_by_the_identifier_even_if_another_has_its_name() {
    let machine = with_vault();
    let (records, _) = of_one_name(&machine);
    let mut seen = Vec::new();
    for (number, record) in records.iter().enumerate() {
        let id = record
            .file_name()
            .and_then(|id| id.to_str())
            .expect("an id");
        let target = machine.path(&format!("back-{number}"));
        fs::create_dir(&target).expect("a folder");
        let to = format!("{}/", target.display());
        machine
            .run(&["copy", &format!("@vault/{}", &id[..16]), &to])
            .exits(0);
        let archive = fs::read_dir(&target).expect("read").next().expect("one");
        let archive = archive.expect("one").path().display().to_string();
        let secret = machine.run(&["extract", &archive, "secrets", "-o", "-"]);
        seen.push(secret.exits(0).stdout);
    }
    assert_ne!(seen[0], seen[1]);
}

/// A machine whose repository lies in an S3 store: `@vault` directly, `@slow` through `faults`.
fn away(s3: &S3, faults: &Faults, further: &str) -> Machine {
    let machine = vaults::configured(|_| {
        format!(
            "{ONE_STAYS}{}{}[[backup.sources]]\nname = \"big\"\nkind = \"file\"\npath = \"../data/big\"\n",
            bucket("vault", &s3.endpoint(), further),
            bucket("slow", &faults.endpoint(), further),
        )
    });
    machine.write("data/big", "small", 0o600);
    vaults::made(machine)
}

#[test]
fn a_state_is_read_while_another_process_moves_its_content() {
    let back = |machine: &Machine| format!("{}/", machine.path("back").display());
    let (pack, listing) = ("/vault/data/", "all files");
    for (place, requests, verb) in [
        (pack, 0, "verify"),
        (pack, 3, "verify"),
        (pack, 2, "extract"),
        (pack, 1, "copy"),
        (listing, 0, "verify"),
        (listing, 0, "extract"),
    ] {
        let s3 = S3::start();
        let faults = Faults::in_front_of(&s3.endpoint());
        let machine = Arc::new(away(&s3, &faults, ""));
        let content = noise(6 << 20, 1);
        machine.write("data/big", &content, 0o600);
        machine.run(&["export", "@vault"]).exits(0);
        machine.write("data/big", &content[3 << 20..], 0o600);
        machine.run(&["export", "@vault"]).exits(0);
        fs::create_dir(machine.path("back")).expect("a folder");
        let packs = |objects: &dyn Fn() -> Vec<String>| {
            let names = objects().into_iter();
            names
                .filter(|name| name.contains("/data/"))
                .collect::<Vec<_>>()
        };
        let objects = || s3.objects().into_keys().collect::<Vec<String>>();
        let before = packs(&objects);
        // In the middle of reading, half of the content goes, and the rest moves to other packs.
        let pruned = Arc::new(Mutex::new(None));
        let (own, result) = (machine.clone(), pruned.clone());
        let hook = Arc::new(move || {
            let prune = own.run(&["prune", "@vault"]);
            *result.lock().expect("free") = Some(prune.code);
        });
        let is_there = move |head: &Head| match place {
            "all files" => vaults::is_survey(head),
            place => head.line[1].contains(place),
        };
        let rule = Rule::on("GET", Fault::AtAnswerByte { at: 0, hook });
        faults.add(rule.whose(is_there).after(requests));
        let target = back(&machine);
        let read = match verb {
            "verify" => machine.run(&["verify", "@slow/latest"]),
            "extract" => machine.run(&["extract", "@slow/latest", "big", "-o", &target]),
            _ => machine.run(&["copy", "@slow/latest", &target]),
        };
        let said = format!(
            "{verb} after {requests} of {place}: {}{}",
            read.text(),
            read.stderr
        );
        assert_eq!(*pruned.lock().expect("free"), Some(0), "{said}");
        let after = packs(&objects);
        assert!(
            before.iter().any(|pack| !after.contains(pack)),
            "{before:?} {after:?}"
        );
        assert_eq!(read.code, 0, "{said}");
    }
}

#[test]
fn of_two_at_once_under_one_name_none_is_removed_if_nothing_may_be() {
    for (further, code, states) in [("append_only = true\n", 0, 2), ("", 17, 1)] {
        let s3 = S3::start();
        let faults = Faults::in_front_of(&s3.endpoint());
        let machine = Arc::new(away(&s3, &faults, further));
        // The other one is there before the record of this one is, and after this one has looked.
        let own = machine.clone();
        let hook = Arc::new(move || {
            // Two records of the same second and content would be one state.
            own.write("data/big", b"another", 0o600);
            own.run(&["export", "@vault/one.tar.gz"]).exits(0);
        });
        let is_record = |head: &Head| head.path().contains("/vault/snapshots/");
        let rule = Rule::on("PUT", Fault::AtRequestByte { at: 0, hook });
        faults.add(rule.whose(is_record));
        let export = machine.run(&["export", "@slow/one.tar.gz"]);
        assert_eq!(faults.struck(), 1);
        assert_eq!(export.code, code, "{}", export.stderr);
        let seen = faults.seen();
        let removed = seen.iter().filter(|seen| seen.head.method() == "DELETE");
        let removed = removed.filter(|seen| is_record(&seen.head)).count();
        assert_eq!(removed, 2 - states);
        let listed = machine.run(&["list", "@vault", "--json"]).exits(0).json();
        let archives = listed["archives"].as_array().map(Vec::len);
        assert_eq!(archives, Some(states), "{listed}");
    }
}

#[test]
fn a_state_that_another_program_labelled_stays_whatever_size_its_record_tells() {
    for restic in Restic::all() {
        let machine = with_vault();
        let records: Vec<PathBuf> = (0..3).map(|_| export(&machine, "@vault").1).collect();
        let before = names(&machine);
        let restic = restic.with_key(machine.path("etc/vault.key"));
        let folder = machine.path("vault");
        for record in &records[..2] {
            let id = record.file_name().and_then(|name| name.to_str());
            let tag = ["tag", "--add", "weekly", id.expect("an identifier")];
            restic.run(&folder, &tag).exits(0);
        }
        // restic 0.14 leaves out what the record said of the sizes of files.
        let arguments = ["prune", "@vault", "--keep-last", "10", "--json"];
        let pruned = machine.run(&arguments).exits(0).json();
        assert_eq!(pruned["removed"], 0, "{}: {pruned}", restic.version);
        assert_eq!(names(&machine), before, "{}", restic.version);
        for name in &before {
            machine.run(&["verify", &format!("@vault/{name}")]).exits(0);
        }
    }
}
