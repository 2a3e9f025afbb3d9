//! A host with public keys only: it tells its own archives from others by what it proved.

use std::fs;

use chrono::TimeDelta;
use hookshot::{
    crypt::header::content_offset,
    model::archive_name::{ArchiveName, Ending},
};
use serde_json::Value;

use super::Sealing;

/// A host that seals to `out`, and no key file: nothing opens what it made.
fn host(more: &str) -> Sealing {
    let sealing = Sealing::new();
    let url = sealing.path("out");
    sealing.configure(&format!(
        "[backup]\nto = [\"out\"]\nprefix = \"host\"\n{more}[backup.destinations.out]\nurl = \"{url}\"\n"
    ));
    sealing
}

fn name(report: &Value) -> String {
    let archive = report["archive"].as_str().expect("a name");
    archive.rsplit('/').next().expect("a name").to_owned()
}

/// The records that the host keeps.
fn records(sealing: &Sealing) -> Vec<Value> {
    let text = fs::read_to_string(sealing.machine.path("etc/.hookshot/known.jsonl"));
    let text = text.unwrap_or_default();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn what_was_proven_is_noted_for_the_owner_alone() {
    let host = host("");
    let report = host
        .machine
        .run(&["export", "@out", "--json"])
        .exits(0)
        .json();
    let records = records(&host);
    assert_eq!(records.len(), 1);
    let record = &records[0];
    assert_eq!(record["name"], name(&report));
    assert_eq!(record["destination"], host.path("out"));
    assert_eq!(record["sha256"], report["sha256"]);
    assert_eq!(record["size_bytes"], report["size_bytes"]);
    assert_eq!(record["sources"]["state.redb"]["files"], 1);
    assert_eq!(
        host.machine.mode("etc/.hookshot/known.jsonl") & 0o777,
        0o600
    );
    // Of a plain archive, the archive itself tells everything.
    host.machine
        .run(&["export", "@out", "--no-encrypt"])
        .exits(0);
    assert_eq!(self::records(&host).len(), 1);
}

#[test]
fn verify_compares_the_stored_bytes_and_says_that_it_opened_nothing() {
    let host = host("");
    let report = host
        .machine
        .run(&["export", "@out", "--json"])
        .exits(0)
        .json();
    let (name, path) = (name(&report), report["archive"].as_str().expect("a path"));
    for word in [path, "@out/latest", &format!("@out/{name}")] {
        let run = host.machine.run(&["verify", "--json", word]).exits(3);
        let report = run.json();
        let archive = &report["archives"][0];
        assert_eq!(archive["good"], true, "{word}");
        assert_eq!(archive["proven"], "outside");
    }
    // With a key it is opened.
    let opened = host.run(&["verify", "--json", path]).exits(0).json();
    assert_eq!(opened["archives"][0]["proven"], Value::Null);
    let bytes = fs::read(path).expect("an archive");
    let mut changed = bytes.clone();
    changed[bytes.len() / 2] ^= 1;
    fs::write(path, &changed).expect("written");
    host.machine.run(&["verify", "@out/latest"]).exits(13);
    fs::write(path, &bytes[..bytes.len() - 1]).expect("written");
    host.machine
        .run(&["verify", path])
        .exits(13)
        .says("were stored");
    // An archive that is not known.
    fs::write(path, &bytes).expect("written");
    let other = format!("{}/host-20200101-000000.tar.gz.age", host.path("out"));
    fs::copy(path, &other).expect("copied");
    host.machine.run(&["verify", &other]).exits(12);
    fs::remove_file(host.machine.path("etc/.hookshot/known.jsonl")).expect("removed");
    host.machine.run(&["verify", path]).exits(12);
}

#[test]
fn list_and_status_tell_known_archives_from_others() {
    let host = host("");
    let report = host
        .machine
        .run(&["export", "@out", "--json"])
        .exits(0)
        .json();
    let known = name(&report);
    let path = report["archive"].as_str().expect("a path");
    let foreign = "host-20200101-000000.tar.gz.age";
    fs::copy(path, format!("{}/{foreign}", host.path("out"))).expect("copied");
    for arguments in [&["list", "--json"][..], &["list", "--json", "--long"]] {
        let list = host.machine.run(arguments).exits(0).json();
        let told: Vec<_> = list["archives"].as_array().expect("rows").iter().collect();
        assert_eq!(told.len(), 2);
        for row in told {
            assert_eq!(row["sealed"], true);
            let expected = if row["name"] == known {
                "good"
            } else {
                "sealed"
            };
            assert_eq!(row["standing"], expected, "{row}");
        }
    }
    let long = host
        .machine
        .run(&["list", "--json", "--long"])
        .exits(0)
        .json();
    let rows = long["archives"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["name"] == known).expect("there");
    assert_eq!(row["verified"], "known");
    assert!(
        row["content_bytes"].as_u64().is_some_and(|bytes| bytes > 0),
        "{row}"
    );
    let text = host.machine.run(&["list"]).exits(0).text();
    assert!(text.contains("yes, no key opens it"), "{text}");
    let status = host.machine.run(&["status", "--json"]).exits(0).json();
    let newest = &status["destinations"][0]["newest"];
    assert_eq!(newest["name"], known);
    assert!(
        newest["content_bytes"]
            .as_u64()
            .is_some_and(|bytes| bytes > 0),
        "{status}"
    );
    let stats = host.machine.run(&["stats", "--json"]).exits(0).json();
    assert_eq!(stats["destinations"][0]["measured"], 1);
    // With a key each archive itself is asked.
    let opened = host.run(&["list", "--json", "--long"]).exits(0).json();
    for row in opened["archives"].as_array().expect("rows") {
        assert_eq!(
            (&row["standing"], &row["verified"]),
            (&"good".into(), &"manifest".into()),
            "{row}"
        );
    }
    // Without any record, the newest may be good.
    fs::remove_file(host.machine.path("etc/.hookshot/known.jsonl")).expect("removed");
    let status = host.machine.run(&["status", "--json"]).exits(0).json();
    assert_eq!(status["destinations"][0]["newest"]["name"], known);
    let remarks = status["destinations"][0]["remarks"].to_string();
    assert!(remarks.contains("is sealed"), "{status}");
}

#[test]
fn foreign_sealed_archives_push_no_good_one_out() {
    let host = host("[backup.retention]\nkeep_last = 2\nmax_remove = \"100%\"\n");
    let report = host
        .machine
        .run(&["export", "@out", "--json"])
        .exits(0)
        .json();
    let (known, path) = (name(&report), report["archive"].as_str().expect("a path"));
    let time = ArchiveName::of_file(&known).expect("a name").time();
    let at = |hours: i64| {
        let name = ArchiveName::new("host", time + TimeDelta::hours(hours)).expect("a name");
        name.file_name(0, Ending::Sealed)
    };
    for hours in (1..=4).chain(-4..=-1) {
        fs::copy(path, format!("{}/{}", host.path("out"), at(hours))).expect("copied");
    }
    let run = host.machine.run(&["prune", "--json"]).exits(0);
    let report = run
        .says("no archive that is known to be good is removed")
        .json();
    let keep = report["keep"].as_array().expect("rows");
    let kept = |name: &str| keep.iter().find(|row| row["name"] == name).expect("kept");
    assert_eq!(keep.len(), 3, "{report}");
    assert_eq!(kept(&known)["standing"], "good");
    assert_eq!(kept(&at(4))["standing"], "sealed");
    // Neither the good one nor the newest sealed one can be deleted.
    let delete = |name: &str| {
        host.machine
            .run(&["delete", &format!("@out/{name}"), "--yes"])
    };
    delete(&known).exits(11);
    delete(&at(4)).exits(11).says("may be good");
    delete(&at(3)).exits(0);
}

#[test]
fn nothing_goes_by_date_alone_where_nothing_is_known_to_be_good() {
    let host = host("[backup.retention]\nkeep_last = 1\nmax_remove = \"100%\"\n");
    let export = || {
        let report = host.machine.run(&["export", "@out", "--json"]);
        name(&report.exits(0).json())
    };
    let (first, second) = (export(), export());
    fs::remove_file(host.machine.path("etc/.hookshot/known.jsonl")).expect("removed");
    let names = || {
        let list = host
            .machine
            .run(&["list", "@out", "--json"])
            .exits(0)
            .json();
        list["archives"].as_array().expect("rows").len()
    };
    for prune in [&["prune", "--dry-run"][..], &["prune"]] {
        let run = host.machine.run(prune).exits(3);
        run.says("no archive there is known to be good");
        assert_eq!(names(), 2, "{first} {second}");
    }
    let key = host.path("key.txt");
    host.machine
        .run(&["prune", "--dry-run", "--identity", &key, "--json"])
        .exits(0);
    host.machine.run(&["prune", "--yes"]).exits(0);
    assert_eq!(names(), 1, "{first} {second}");
}

#[test]
fn a_sealed_archive_without_its_end_is_damaged() {
    let host = host("[backup.retention]\nmax_remove = \"100%\"\n");
    let report = host
        .machine
        .run(&["export", "@out", "--json"])
        .exits(0)
        .json();
    let bytes = fs::read(report["archive"].as_str().expect("a path")).expect("an archive");
    let header = content_offset(&bytes).expect("a header") as usize;
    let torso = "host-20200101-000000.tar.gz.age";
    let garbage = "host-20200102-000000.tar.gz.age";
    fs::write(
        format!("{}/{torso}", host.path("out")),
        &bytes[..header + 8],
    )
    .expect("written");
    fs::write(format!("{}/{garbage}", host.path("out")), "x".repeat(1000)).expect("written");
    let list = host
        .machine
        .run(&["list", "--json", "--long"])
        .exits(0)
        .json();
    let rows = list["archives"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["name"] == torso).expect("there");
    assert_eq!(row["standing"], "damaged", "{row}");
    host.machine
        .run(&["prune", "--check", "--keep-last", "5", "--json"])
        .exits(0);
}

#[test]
fn labels_of_known_archives_are_known() {
    let host = host("");
    let export = ["export", "@out", "--name", "before-upgrade"];
    host.machine.run(&export).exits(0);
    let tag = "name=before-upgrade";
    let list = host
        .machine
        .run(&["list", "--json", "--tag", tag])
        .exits(0)
        .json();
    assert_eq!(
        list["archives"].as_array().expect("rows").len(),
        1,
        "{list}"
    );
    let marked = ["keep", "@out/name=before-upgrade"];
    host.machine.run(&marked).exits(0);
    host.machine.run(&["keep", "@out/name=other"]).exits(10);
}

#[test]
fn records_of_archives_that_are_gone_are_dropped() {
    let host = host("[backup.retention]\nkeep_last = 5\n");
    host.machine.run(&["export", "@out"]).exits(0);
    let path = host.machine.path("etc/.hookshot/known.jsonl");
    let line = fs::read_to_string(&path).expect("records");
    let mut old: Value = serde_json::from_str(line.trim()).expect("JSON");
    old["name"] = "host-20200101-000000.tar.gz.age".into();
    old["created_at"] = 1_577_836_800.into();
    let mut elsewhere = old.clone();
    elsewhere["destination"] = "s3://elsewhere".into();
    fs::write(&path, format!("{old}\n{elsewhere}\n{line}")).expect("written");
    host.machine.run(&["prune"]).exits(0);
    let left: Vec<Value> = records(&host)
        .into_iter()
        .map(|one| one["destination"].clone())
        .collect();
    assert_eq!(
        left,
        [Value::from("s3://elsewhere"), host.path("out").into()]
    );
}

#[test]
fn a_copy_of_a_known_archive_is_proven_and_known_there() {
    let host = host("");
    let report = host
        .machine
        .run(&["export", "@out", "--json"])
        .exits(0)
        .json();
    let (name, path) = (name(&report), report["archive"].as_str().expect("a path"));
    let there = host.path("there/");
    fs::create_dir(&there).expect("a folder");
    let copied = host
        .machine
        .run(&["copy", "@out", &there, "--json"])
        .exits(0)
        .json();
    assert_eq!(copied["copied"][0]["proven"], Value::Null);
    host.machine
        .run(&["verify", &format!("{there}{name}")])
        .exits(3);
    // One that is not known arrives, and that is all that is known of it.
    let foreign = format!("{}/host-20200101-000000.tar.gz.age", host.path("out"));
    fs::copy(path, &foreign).expect("copied");
    let copied = host
        .machine
        .run(&["copy", &foreign, &there, "--json"])
        .exits(3)
        .json();
    assert_eq!(copied["copied"][0]["proven"], "outside");
    // Bytes that changed since do not arrive as known ones.
    let mut bytes = fs::read(path).expect("an archive");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).expect("written");
    let elsewhere = host.path("elsewhere/");
    fs::create_dir(&elsewhere).expect("a folder");
    host.machine.run(&["copy", path, &elsewhere]).exits(13);
    assert_eq!(fs::read_dir(&elsewhere).expect("a folder").count(), 0);
}

#[test]
fn latest_is_never_an_older_archive_because_of_a_key() {
    let host = host("");
    host.machine
        .run(&["export", "@out", "--no-encrypt"])
        .exits(0);
    let folder = host.machine.path("out");
    let plain = fs::read_dir(&folder)
        .expect("a folder")
        .next()
        .expect("one")
        .expect("one");
    fs::rename(plain.path(), folder.join("host-20200101-000000.tar.gz")).expect("renamed");
    host.machine.run(&["export", "@out"]).exits(0);
    for verb in [
        &["inspect", "@out/latest"][..],
        &["import", "@out/latest", "--dry-run"],
    ] {
        host.machine.run(verb).exits(12);
    }
    // What needs no content takes the newest by its name.
    let kept = host
        .machine
        .run(&["keep", "@out/latest", "--json"])
        .exits(0)
        .json();
    assert!(
        kept["archive"].as_str().expect("a name").ends_with(".age"),
        "{kept}"
    );
}

#[test]
fn a_newest_archive_of_another_size_than_the_proven_one_is_a_problem() {
    let host = host("");
    let report = host.machine.run(&["export", "@out", "--json"]);
    let report = report.exits(0).json();
    let path = report["archive"].as_str().expect("a path");
    let bytes = fs::read(path).expect("an archive");
    host.machine.run(&["status"]).exits(0);
    // Cut off by less than a piece, its form is that of a whole one still.
    fs::write(path, &bytes[..bytes.len() - 100]).expect("written");
    let run = host.machine.run(&["status", "--json"]).exits(19);
    let status = run.json();
    let kinds = status["destinations"][0]["details"][0]["kind"].clone();
    assert_eq!(kinds, "damaged", "{status}");
    assert!(run.stderr.contains("were stored"), "{}", run.stderr);
    fs::write(path, &bytes).expect("written");
    host.machine.run(&["status"]).exits(0);
}
