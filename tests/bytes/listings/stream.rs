//! Listings while an archive streams: what is in order is good, and everything else is named.

use std::collections::BTreeMap;

use hookshot::model::entry_name::EntryName;

use serde_json::{Value, json};
use support::{Machine, forge::digest};

use super::forged::{
    Forged, LISTING,
    Packer::{self, Hookshot, Other},
    Part, file, folder, packed, read, refused,
};

fn name(text: &str) -> EntryName {
    EntryName::new(text).expect("a name")
}

#[test]
fn a_listed_directory_comes_with_its_listing_and_every_file() {
    let forged = Forged::good();
    let (verified, sink) = read(&forged.archive(Hookshot)).expect("good");
    let expected: BTreeMap<String, Vec<u8>> = forged.parts().into_iter().collect();
    assert!(sink.contents == expected);
    assert_eq!(sink.given, expected.len());
    let directory = verified.directory(&name("data")).expect("listed");
    assert_eq!((directory.files(), directory.bytes()), (5, 46));
    let lines = directory.lines().expect("readable");
    let paths: Vec<String> = lines
        .map(|line| line.expect("good").name.to_string())
        .collect();
    assert_eq!(paths, ["a", "a/one", "a/two", "a-b", "b", "c", "caf\\xe9"]);
}

#[test]
fn an_empty_directory_may_have_a_listing() {
    let forged = Forged::of(&[]);
    let (verified, _) = read(&forged.archive(Hookshot)).expect("good");
    let directory = verified.directory(&name("data")).expect("listed");
    assert_eq!(directory.lines().expect("readable").count(), 0);
}

#[test]
fn files_that_do_not_come_are_missing() {
    for gone in 0..5 {
        let mut forged = Forged::good();
        let (path, _) = forged.files.remove(gone);
        let reason =
            format!("missing: the manifest lists {path}, and the archive does not hold it");
        refused(&forged.archive(Hookshot), &[&reason]);
    }
    let mut forged = Forged::good();
    forged.files.clear();
    refused(&forged.archive(Hookshot), &["missing: "; 5]);
}

#[test]
fn many_missing_files_are_named_and_counted() {
    let paths: Vec<String> = (0..5000).map(|number| format!("{number:04}")).collect();
    let files: Vec<(&str, &[u8])> = paths.iter().map(|path| (path.as_str(), &b""[..])).collect();
    let mut forged = Forged::of(&files);
    forged.files.truncate(10);
    let faults = forged.faults();
    assert_eq!(faults.len(), 100);
    assert!(faults[98].contains("data/0108"), "{}", faults[98]);
    assert!(faults[99].contains("4891 more files"), "{}", faults[99]);
    // Only the last one comes: those before it are missing.
    let mut forged = Forged::of(&files);
    forged.files.drain(..4999);
    let faults = forged.faults();
    assert_eq!(faults.len(), 100);
    assert!(faults[99].contains("4900 more files"), "{}", faults[99]);
}

#[test]
fn files_that_the_listing_lacks_are_named_wherever_they_stand() {
    for at in 0..6 {
        for other in ["a", "a/one/x", "a/onf", "zz", "caf", ".hookshot-name/00"] {
            let mut forged = Forged::good();
            let path = format!("data/{other}");
            forged.files.insert(at, (path.clone(), b"?".to_vec()));
            let reason = format!("unlisted: {LISTING} does not list {path}");
            // One that comes late in the order makes those before it missing.
            let faults = forged.faults();
            assert!(faults.contains(&reason), "{at} {other}: {faults:?}");
        }
    }
    let mut forged = Forged::good();
    forged.files.push(("data/zz".into(), b"?".to_vec()));
    refused(&forged.archive(Hookshot), &["unlisted: "]);
    forged.files.pop();
    forged
        .files
        .insert(1, ("data/a/._one".into(), b"?".to_vec()));
    refused(
        &forged.archive(Hookshot),
        &["the tar of a Mac adds such files"],
    );
}

#[test]
fn a_file_that_comes_twice_is_a_duplicate() {
    for from in 0..4 {
        for to in from + 1..=5 {
            let mut forged = Forged::good();
            let again = forged.files[from].clone();
            let reason = format!("duplicate: {} stands in the archive twice", again.0);
            forged.files.insert(to, again);
            refused(&forged.archive(Hookshot), &[&reason]);
        }
    }
}

#[test]
fn files_in_another_order_are_refused() {
    let mut forged = Forged::good();
    forged.files.swap(1, 2);
    refused(
        &forged.archive(Hookshot),
        &[
            "missing: the manifest lists data/a/two",
            "out of order: data/a/two does not stand where data.files.jsonl lists it",
        ],
    );
    let forged = Forged::good();
    let mut parts = forged.parts();
    // Behind the entry that follows the directory.
    let late = parts.remove(4);
    parts.push(late);
    refused(
        &packed(&forged.manifest(), &parts, Hookshot),
        &["missing: the manifest lists data/c", "out of order: data/c"],
    );
}

#[test]
fn a_listing_after_its_files_is_refused() {
    let forged = Forged::good();
    let mut parts = forged.parts();
    let listing = parts.remove(0);
    parts.insert(5, listing);
    let faults = super::forged::faults(&packed(&forged.manifest(), &parts, Hookshot));
    assert!(faults[0].contains("out of order: data/a/one"), "{faults:?}");
}

#[test]
fn a_listing_that_is_absent_twice_or_damaged_is_named() {
    let forged = Forged::good();
    let mut parts = forged.parts();
    let listing = parts.remove(0);
    let faults = super::forged::faults(&packed(&forged.manifest(), &parts, Hookshot));
    let missing =
        format!("missing: the manifest lists {LISTING}, and the archive does not hold it");
    assert!(faults.contains(&missing), "{faults:?}");
    parts.insert(0, listing.clone());
    parts.insert(1, listing.clone());
    let twice = ["duplicate: "];
    let faults = super::forged::faults(&packed(&forged.manifest(), &parts, Hookshot));
    assert!(faults[0].contains(twice[0]), "{faults:?}");
    let mut damaged = listing.1.clone();
    damaged[10] ^= 1;
    let mut parts = forged.parts();
    parts[0].1 = damaged;
    refused(
        &packed(&forged.manifest(), &parts, Hookshot),
        &["checksum mismatch for file data.files.jsonl"],
    );
    parts[0].1 = listing.1[..listing.1.len() - 1].to_vec();
    refused(
        &packed(&forged.manifest(), &parts, Hookshot),
        &["size mismatch for file data.files.jsonl"],
    );
    parts[0].1 = [listing.1.as_slice(), b"\n"].concat();
    refused(
        &packed(&forged.manifest(), &parts, Hookshot),
        &[
            "size mismatch for file data.files.jsonl",
            "6 entries behind the fault",
        ],
    );
}

#[test]
fn a_file_with_another_content_or_size_is_named() {
    let mut forged = Forged::good();
    forged.files[0].1[0] ^= 1;
    refused(
        &forged.archive(Hookshot),
        &["checksum mismatch for file data/a/one"],
    );
    let mut forged = Forged::good();
    forged.files[0].1.pop();
    refused(
        &forged.archive(Hookshot),
        &["size mismatch for file data/a/one"],
    );
    let mut forged = Forged::good();
    forged.files[0].1.push(0);
    refused(
        &forged.archive(Hookshot),
        &[
            "size mismatch for file data/a/one",
            "6 entries behind the fault",
        ],
    );
}

#[test]
fn a_listing_without_its_last_line_feed_is_refused() {
    let mut forged = Forged::good();
    let mut text = forged.listing();
    text.pop();
    forged.text = Some(text);
    refused(
        &forged.archive(Hookshot),
        &["listing of data: its last line has no line feed"],
    );
}

#[test]
fn lines_in_another_order_are_named() {
    let mut forged = Forged::good();
    forged.lines.swap(1, 2);
    refused(
        &forged.archive(Hookshot),
        &["a/one comes after a/two: the lines are not in order"],
    );
    let mut forged = Forged::good();
    forged.lines.insert(0, folder("a"));
    forged.promise("folders", 2);
    refused(
        &forged.archive(Hookshot),
        &["data: a is a folder and a folder"],
    );
    let mut forged = Forged::good();
    forged.lines.remove(0);
    forged.promise("folders", 0);
    refused(
        &forged.archive(Hookshot),
        &["has no line before it", "has no line before it"],
    );
}

#[test]
fn paths_that_climb_or_lie_elsewhere_are_named() {
    for (path, reason) in [
        ("../x", "climbs"),
        ("a/../x", "climbs"),
        ("/x", "empty or `.`"),
        ("a//x", "empty or `.`"),
        ("a/./x", "empty or `.`"),
        ("a\\..\\x", "climbs"),
        (".hookshot/journal.json", "hookshot's own"),
        (".hookshot-name/00", "hookshot's own"),
    ] {
        let mut forged = Forged::good();
        forged.lines.push(file(path, b"x"));
        forged.promise("files", 6);
        forged.promise("bytes", 47);
        let faults = forged.faults();
        assert!(
            faults.len() == 1 && faults[0].contains(reason),
            "{path}: {faults:?}"
        );
        assert!(
            faults[0].starts_with("listing of data: line 8"),
            "{faults:?}"
        );
    }
    let mut forged = Forged::good();
    forged.lines[1] = forged.lines[1].replace("data/a/one", "secrets");
    refused(
        &forged.archive(Hookshot),
        &["its path secrets lies outside the directory"],
    );
}

#[test]
fn counts_that_differ_are_named() {
    for (key, found) in [("files", 5), ("folders", 1), ("links", 1), ("bytes", 46)] {
        let mut forged = Forged::good();
        forged.promise(key, found + 1);
        let reason = format!(
            "listing of data: it has {found} {key}, the manifest says {}",
            found + 1
        );
        refused(&forged.archive(Hookshot), &[&reason]);
        forged.promise(key, found - 1);
        let faults = forged.faults();
        assert!(faults[0].contains("that the manifest says"), "{faults:?}");
        // It ends the reading: what comes may be without an end.
        assert!(
            faults.len() == 2 && faults[1].contains("behind the fault"),
            "{faults:?}"
        );
    }
}

/// No disk has room for the promise: an archive that can keep it is another matter than one that lies.
#[test]
fn a_promise_that_the_file_cannot_keep_is_a_fault_and_not_a_lack_of_room() {
    let machine = Machine::empty();
    let source =
        "[[backup.sources]]\nname = \"data\"\nkind = \"directory\"\npath = \"../srv/data\"\n";
    machine.write("etc/config.toml", machine.config_text(source), 0o644);
    let mut forged = Forged::good();
    forged.promise("bytes", 1u64 << 60);
    let archive = forged.archive(Hookshot);
    machine.write("out/a.tar.gz", &archive, 0o600);
    for arguments in [
        &["import", "a.tar.gz"][..],
        &["import", "a.tar.gz", "--dry-run"],
    ] {
        let length = archive.len();
        let run = machine.run(arguments).exits(13);
        run.says("manifest.json promises 1152921504606")
            .says(&format!("more than a file of {length} bytes can hold"));
    }
    assert!(!machine.path("srv").exists());
    // The length of a stream is not known.
    machine.run_with(&["import", "-"], &archive).exits(18);
}

#[test]
fn a_line_that_is_too_long_ends_the_reading() {
    let long = |bytes: usize| {
        let line = file("c", b"last\n");
        let mut forged = Forged::good();
        let filler = bytes - line.len() - r#","comment":"""#.len();
        forged.lines[5] = line.replace('}', &format!(r#","comment":"{}"}}"#, "u".repeat(filler)));
        assert_eq!(forged.lines[5].len(), bytes);
        forged
    };
    assert_eq!(long(65_535).faults(), Vec::<String>::new());
    for bytes in [65_536, 65_537, 1 << 20] {
        let reason = "listing of data: line 6 is longer than 65536 bytes";
        refused(
            &long(bytes).archive(Hookshot),
            &[reason, "7 entries behind the fault"],
        );
    }
    let mut forged = Forged::good();
    forged.text = Some(vec![b' '; 3 << 20]);
    refused(
        &forged.archive(Hookshot),
        &["line 1 is longer", "7 entries behind"],
    );
}

#[test]
fn many_faults_of_a_listing_end_the_reading() {
    let mut forged = Forged::good();
    forged.text = Some(b"?\n".repeat(100_000));
    let faults = forged.faults();
    assert_eq!(faults.len(), 101, "{faults:?}");
    assert!(
        faults[99].contains("line 100 is not JSON"),
        "{}",
        faults[99]
    );
}

/// A second directory, and an archive of both.
fn two_directories(turn: impl Fn(&mut Vec<Part>), packer: Packer) -> Vec<u8> {
    let forged = Forged::good();
    let other = |text: &[u8]| {
        let text = String::from_utf8(text.to_vec()).expect("UTF-8");
        text.replace("\"data", "\"more")
            .replace("\"data.files", "\"more.files")
    };
    let listing = other(&forged.listing());
    let mut manifest: Value = serde_json::from_slice(&forged.manifest()).expect("JSON");
    let mut promised = forged.promised.clone();
    promised["listing"] = "more.files.jsonl".into();
    manifest["directories"]["more"] = promised;
    manifest["files"]["more.files.jsonl"] = json!({
        "path": "more.files.jsonl", "size": listing.len(), "checksum": digest(listing.as_bytes()), "mode": "0600",
    });
    let mut parts = forged.parts();
    let secrets = parts.pop().expect("an entry");
    parts.push(("more.files.jsonl".to_owned(), listing.into_bytes()));
    let files = forged.files.iter();
    parts.extend(files.map(|(path, content)| (path.replacen("data", "more", 1), content.clone())));
    parts.push(secrets);
    turn(&mut parts);
    packed(manifest.to_string().as_bytes(), &parts, packer)
}

#[test]
fn two_directories_may_have_listings() {
    for packer in [Hookshot, Other] {
        let (verified, sink) = read(&two_directories(|_| {}, packer)).expect("good");
        assert_eq!(sink.given, 13);
        for directory in ["data", "more"] {
            let contents = verified.directory(&name(directory)).expect("listed");
            assert_eq!(contents.lines().expect("readable").count(), 7);
        }
    }
    // The files of one between those of the other.
    let mixed = |parts: &mut Vec<Part>| {
        let moved = parts.remove(1);
        parts.insert(8, moved);
    };
    read(&two_directories(mixed, Other)).expect("good");
    let reasons = [
        "missing: the manifest lists data/a/one",
        "out of order: data/a/one",
    ];
    refused(&two_directories(mixed, Hookshot), &reasons);
    let swapped = |parts: &mut Vec<Part>| parts.swap(2, 8);
    read(&two_directories(swapped, Other)).expect("good");
    let faults = super::forged::faults(&two_directories(swapped, Hookshot));
    assert!(faults.len() >= 4, "{faults:?}");
}
