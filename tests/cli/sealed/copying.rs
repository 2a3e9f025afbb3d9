//! Copies of sealed archives: as they are, sealed on their way, or sealed anew.

use std::fs;

use hookshot::crypt::{ExposeSecret as _, generate};

use super::Sealing;

/// Two destinations for the same key, one for another, and a plain one.
fn machine() -> (Sealing, hookshot::crypt::KeyPair) {
    let (sealing, other) = (Sealing::new(), generate());
    let folders = ["one", "two", "other", "plain"].map(|name| sealing.path(name));
    sealing.configure(&format!(
        "[backup.destinations.one]\nurl = \"{}\"\n[backup.destinations.two]\nurl = \"{}\"\n\
        [backup.destinations.other]\nurl = \"{}\"\nencryption = {{ recipients = [\"{}\"] }}\n\
        [backup.destinations.plain]\nurl = \"{}\"\nencryption = false\n",
        folders[0], folders[1], folders[2], other.public, folders[3]
    ));
    let secret = other.secret.expose_secret();
    sealing.machine.write("other.txt", secret, 0o600);
    (sealing, other)
}

fn names(sealing: &Sealing, folder: &str) -> Vec<String> {
    let entries = sealing.machine.path(folder).read_dir().expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names
        .map(|name| name.into_string().expect("a name"))
        .collect()
}

#[test]
fn a_sealed_archive_is_copied_as_it_is_to_the_same_recipients() {
    let (sealing, _) = machine();
    sealing.machine.run(&["export", "@one"]).exits(0);
    // As on another machine: this one knows what it sealed.
    let known = sealing.machine.path("etc/.hookshot/known.jsonl");
    fs::remove_file(known).expect("removed");
    let copied = sealing.machine.run(&["copy", "@one", "@two", "--json"]);
    let copied = copied.exits(3).json();
    assert_eq!(copied["copied"][0]["proven"], "outside", "{copied}");
    let name = &names(&sealing, "one")[0];
    assert_eq!(names(&sealing, "two"), std::slice::from_ref(name));
    let read =
        |folder: &str| fs::read(sealing.machine.path(folder).join(name)).expect("an archive");
    assert!(read("one") == read("two"));
    let again = sealing
        .machine
        .run(&["copy", "@one", "@two", "--json"])
        .exits(0)
        .json();
    assert_eq!(again["skipped"][0]["name"], name.as_str(), "{again}");
    fs::remove_file(sealing.machine.path("two").join(name)).expect("removed");
    let copied = sealing
        .run(&["copy", "@one", "@two", "--json"])
        .exits(0)
        .json();
    assert!(copied["copied"][0]["proven"].is_null(), "{copied}");
    // To a place that does not seal it stays sealed.
    sealing.run(&["copy", "@one", "@plain"]).exits(0);
    assert!(fs::read(sealing.machine.path("plain").join(name)).expect("an archive") == read("one"));
}

#[test]
fn a_plain_archive_is_sealed_on_its_way_and_not_copied_twice() {
    let (sealing, _) = machine();
    sealing.machine.run(&["export", "@plain"]).exits(0);
    sealing.machine.run(&["copy", "@plain", "@one"]).exits(0);
    let name = names(&sealing, "one").remove(0);
    assert_eq!(name, format!("{}.age", names(&sealing, "plain")[0]));
    sealing.run(&["verify", "@one"]).exits(0);
    let again = sealing
        .machine
        .run(&["copy", "@plain", "@one", "--json"])
        .exits(0)
        .json();
    assert_eq!(again["skipped"][0]["name"], name.as_str(), "{again}");
    // One that was cut off there is not taken for the copy.
    let path = sealing.machine.path("one").join(&name);
    let bytes = fs::read(&path).expect("an archive");
    fs::write(&path, &bytes[..bytes.len() - 1]).expect("written");
    let refused = sealing.machine.run(&["copy", "@plain", "@one"]);
    assert_ne!(refused.code, 0, "{}", refused.text());
}

#[test]
fn an_archive_for_others_is_sealed_anew_with_a_key_and_refused_without() {
    let (sealing, _) = machine();
    sealing.machine.run(&["export", "@one"]).exits(0);
    let refused = sealing.machine.run(&["copy", "@one", "@other"]);
    refused.exits(12).says("sealed anew");
    assert!(!sealing.machine.path("other").exists() || names(&sealing, "other").is_empty());
    sealing.run(&["copy", "@one", "@other"]).exits(0);
    sealing.run(&["verify", "@other"]).exits(12);
    let other = ["verify", "@other", "--identity", &sealing.path("other.txt")];
    sealing.machine.run(&other).exits(0);
    let again = sealing
        .run(&["copy", "@one", "@other", "--json"])
        .exits(0)
        .json();
    assert_eq!(
        again["skipped"].as_array().map(Vec::len),
        Some(1),
        "{again}"
    );
}

#[test]
fn a_name_that_says_something_else_than_the_bytes_is_refused() {
    let (sealing, _) = machine();
    sealing.machine.run(&["export", "@plain"]).exits(0);
    let name = names(&sealing, "plain").remove(0);
    let folder = sealing.machine.path("plain");
    fs::rename(folder.join(&name), folder.join(format!("{name}.age"))).expect("renamed");
    let refused = sealing.run(&["copy", "@plain", "@one"]);
    refused.exits(13).says("is not sealed");
    let sealed = sealing.export("x.tar.gz.age");
    let plain = sealing.path("out/x.tar.gz");
    fs::rename(sealed, &plain).expect("renamed");
    sealing
        .run(&["copy", &plain, "@one"])
        .exits(13)
        .says("is sealed");
}

#[test]
fn a_known_archive_with_other_bytes_is_refused_by_its_name_without_a_key() {
    let (sealing, _) = machine();
    sealing.machine.run(&["export", "@one"]).exits(0);
    let name = names(&sealing, "one").remove(0);
    let path = sealing.machine.path("one").join(&name);
    let bytes = fs::read(&path).expect("an archive");
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    for changed in [&flipped, &bytes[..bytes.len() - 100]] {
        fs::write(&path, changed).expect("written");
        for from in ["@one", &format!("@one/{name}")] {
            let run = sealing.machine.run(&["copy", from, "@two"]).exits(13);
            let said = run.says("that this machine proved");
            assert!(said.stderr.contains(&name), "{}", said.stderr);
            assert!(said.stderr.contains("hint: "), "{}", said.stderr);
        }
        let there = sealing.machine.path("two");
        assert!(!there.exists() || names(&sealing, "two").is_empty());
    }
}

#[test]
fn the_reason_of_a_single_failure_among_several_is_told() {
    let (sealing, _) = machine();
    for day in 1..=3 {
        let name = format!("one/hookshot-state-2025010{day}-030000.tar.gz.age");
        fs::create_dir_all(sealing.machine.path("one")).expect("a folder");
        sealing
            .machine
            .run(&["export", &sealing.path(&name)])
            .exits(0);
    }
    let path = sealing.path("one/hookshot-state-20250102-030000.tar.gz.age");
    let mut bytes = fs::read(&path).expect("an archive");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).expect("written");
    let run = sealing.run(&["copy", "@one", "@two"]).exits(3);
    assert!(
        run.stderr.contains("1 of 3 archives were not copied"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains("20250102-030000.tar.gz.age is damaged"),
        "{}",
        run.stderr
    );
    assert!(
        !run.stderr.contains("nothing was changed"),
        "{}",
        run.stderr
    );
    assert_eq!(names(&sealing, "two").len(), 2);
}
