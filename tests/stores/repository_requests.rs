//! The requests of an export to a repository: few, and as many as it takes to see that all of it arrived.

use std::{fs, sync::Arc};

use support::{
    Machine,
    servers::{Fault, Faults, Rule, S3},
    vaults::{all_verify, is_survey, machine_at, noise, wait_for_a_second},
};

/// A store that counts, and a machine whose repository there has three states.
fn vault() -> (S3, Faults, Machine) {
    let s3 = S3::start();
    let faults = Faults::in_front_of(&s3.endpoint());
    let machine = machine_at(&faults.endpoint());
    machine.run(&["repo", "init", "@vault"]).exits(0);
    for day in 0..3 {
        export(&machine, day);
    }
    (s3, faults, machine)
}

fn export(machine: &Machine, day: u64) {
    wait_for_a_second();
    machine.write("etc/secrets", noise(20_000, day), 0o600);
    machine.run(&["export", "@vault"]).exits(0);
}

/// Returns the requests from the one with this number on, in a few words each.
fn requests(faults: &Faults, from: usize) -> Vec<String> {
    let seen = faults.seen().into_iter().skip(from);
    let words = seen.map(|seen| {
        let [method, target, _] = &seen.head.line;
        let folder = target.split("/vault/").nth(1).unwrap_or(target);
        let folder = folder.split(['/', '?']).next().unwrap_or(folder);
        match target.contains("list-type=") {
            true => format!("LIST {}", target.split("prefix=").nth(1).unwrap_or(target)),
            false => format!("{method} {folder}"),
        }
    });
    words.collect()
}

fn count(requests: &[String], word: &str) -> usize {
    requests.iter().filter(|one| one.starts_with(word)).count()
}

/// Lets a listing show no file.
fn emptied(page: &str) -> String {
    let mut rest = page;
    let mut left = String::new();
    while let Some((before, object)) = rest.split_once("<Contents>") {
        left.push_str(before);
        rest = object.split_once("</Contents>").expect("an end").1;
    }
    left + rest
}

#[test]
fn an_export_of_a_day_takes_few_requests() {
    let (_s3, faults, machine) = vault();
    let begin = faults.seen().len();
    export(&machine, 3);
    let requests = requests(&faults, begin);
    let shown = requests.join("\n");
    // Two packs, the index, the record and the lock.
    assert_eq!(count(&requests, "PUT"), 5, "{shown}");
    assert_eq!(count(&requests, "DELETE"), 1, "{shown}");
    // The listings show what arrived.
    assert_eq!(count(&requests, "HEAD"), 0, "{shown}");
    assert_eq!(requests.len(), 17, "{shown}");
    all_verify(&machine);
}

#[test]
fn content_that_a_listing_does_not_show_is_looked_for() {
    let (_s3, faults, machine) = vault();
    // The listing under the lock is whole, those before the index and the record show nothing.
    let late = Fault::Rewrite(Arc::new(emptied));
    faults.add(Rule::on("GET", late).whose(is_survey).after(1).always());
    let begin = faults.seen().len();
    export(&machine, 3);
    assert!(faults.struck() > 0);
    faults.clear();
    let found = requests(&faults, begin);
    // Packs, index and lock, and a name that nothing has: a store that says yes to everything proves nothing.
    assert_eq!(count(&found, "HEAD"), 5, "{}", found.join("\n"));
    all_verify(&machine);
    machine
        .run(&["repo", "check", "@vault", "--read-data"])
        .exits(0);
}

#[test]
fn a_repository_of_many_files_is_not_listed_for_a_few_that_are_new() {
    let (s3, faults, machine) = vault();
    let folder = s3.file("vault").join("data/zz");
    fs::create_dir_all(&folder).expect("made");
    for number in 0..6000 {
        fs::write(folder.join(format!("other-{number}")), "x").expect("written");
    }
    let begin = faults.seen().len();
    export(&machine, 3);
    let found = requests(&faults, begin);
    // Packs, index and lock, and a name that nothing has: a store that says yes to everything proves nothing.
    assert_eq!(count(&found, "HEAD"), 5, "{}", found.join("\n"));
    let surveys = faults.seen().into_iter().skip(begin);
    let surveys = surveys.filter(|seen| is_survey(&seen.head)).count();
    // One listing under the lock, and one to read the state before.
    assert_eq!(surveys, 14, "{}", found.join("\n"));
    fs::remove_dir_all(folder).expect("removed");
    all_verify(&machine);
}

#[test]
fn a_pack_that_is_gone_from_a_bucket_is_damage() {
    let (s3, _faults, machine) = vault();
    fs::remove_dir_all(s3.file("vault").join("data")).expect("removed");
    for verb in ["verify", "inspect", "import"] {
        machine.run(&[verb, "@vault/latest"]).exits(13);
    }
    machine.run(&["repo", "check", "@vault"]).exits(13);
}
