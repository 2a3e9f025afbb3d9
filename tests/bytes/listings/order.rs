//! Archives that another program packed from an unpacked root folder: their members come in any order.

use std::collections::BTreeMap;

use hookshot::archive::head::may_be_repacked;
use support::forge::{ROOT, Tar, Xorshift};

use super::forged::{
    Forged, LISTING,
    Packer::{Hookshot, Other},
    Part, begin, escaped, faults, packed, read,
};

/// The manifest and the other members, in an order that looks random.
fn shuffled(forged: &Forged, mut parts: Vec<Part>, random: &mut Xorshift) -> Vec<u8> {
    parts.push(("manifest.json".to_owned(), forged.manifest()));
    for at in (1..parts.len()).rev() {
        parts.swap(at, random.below(at + 1));
    }
    let mut tar = Tar::new();
    if random.below(2) == 0 {
        tar.folder(&format!("{ROOT}/"));
        tar.folder(&format!("{ROOT}/data/"));
    }
    for (path, content) in &parts {
        tar.entry(path, content);
    }
    tar.gzip()
}

#[test]
fn members_may_come_in_any_order() {
    let forged = Forged::good();
    let expected: BTreeMap<String, Vec<u8>> = forged.parts().into_iter().collect();
    let mut random = Xorshift::new(5);
    for _ in 0..60 {
        let archive = shuffled(&forged, forged.parts(), &mut random);
        let (verified, sink) = read(&archive).expect("good");
        assert!(sink.contents == expected);
        assert_eq!(sink.given, expected.len());
        let name = "data".parse().expect("a name");
        let directory = verified.directory(&name).expect("listed");
        assert_eq!(directory.lines().expect("readable").count(), 7);
    }
}

#[test]
fn the_manifest_may_come_first_and_the_rest_in_another_order() {
    let forged = Forged::good();
    let mut parts = forged.parts();
    parts.reverse();
    let (_, sink) = read(&packed(&forged.manifest(), &parts, Other)).expect("good");
    assert!(sink.contents == parts.iter().cloned().collect());
    // An export never does that.
    let faults = faults(&packed(&forged.manifest(), &parts, Hookshot));
    assert!(faults[0].contains("out of order"), "{faults:?}");
}

#[test]
fn only_archives_of_other_programs_with_listings_are_read_twice() {
    let forged = Forged::good();
    assert!(!may_be_repacked(&forged.archive(Hookshot)));
    assert!(may_be_repacked(&forged.archive(Other)));
    let plain = support::forge::Tar::good(&support::forge::ENTRIES).gzip();
    assert!(!may_be_repacked(&plain));
    let tar = support::forge::inflate(&forged.archive(Hookshot));
    assert!(!may_be_repacked(&tar), "a program unpacked it");
}

#[test]
fn in_any_order_each_fault_is_named() {
    let mut random = Xorshift::new(9);
    for number in 0..60 {
        let forged = Forged::good();
        let mut parts = forged.parts();
        let at = 1 + number % 5;
        let path = parts[at].0.clone();
        let mut reasons = Vec::new();
        match number / 5 % 6 {
            0 => {
                parts.remove(at);
                reasons.push(format!("missing: the manifest lists {path}"));
            }
            1 => {
                parts.push(parts[at].clone());
                reasons.push(format!("duplicate: {path} stands in the archive twice"));
            }
            2 => {
                parts.push((format!("{path}x"), b"?".to_vec()));
                reasons.push(format!("unlisted: {LISTING} does not list {path}x"));
            }
            3 => {
                parts.remove(0);
                reasons.push(format!("missing: the manifest lists {LISTING}"));
            }
            4 => {
                parts[0].1[20] ^= 1;
                reasons.push(format!("checksum mismatch for file {LISTING}"));
            }
            _ => {
                parts.push(parts[0].clone());
                reasons.push(format!("{LISTING} stands in the archive twice"));
            }
        }
        let faults = faults(&shuffled(&forged, parts, &mut random));
        let is_right = faults.len() == 1 && faults[0].contains(&reasons[0]);
        assert!(is_right, "{number}: {faults:?}, expected {reasons:?}");
    }
}

#[test]
fn in_any_order_the_faults_of_a_listing_are_named() {
    let mut random = Xorshift::new(3);
    for _ in 0..20 {
        let mut forged = Forged::good();
        forged.lines.swap(1, 2);
        let faults = faults(&shuffled(&forged, forged.parts(), &mut random));
        assert!(
            faults.len() == 1 && faults[0].contains("are not in order"),
            "{faults:?}"
        );
    }
}

#[test]
fn in_any_order_many_missing_files_are_named_and_counted() {
    let paths: Vec<String> = (0..5000).map(|number| format!("{number:04}")).collect();
    let files: Vec<(&str, &[u8])> = paths.iter().map(|path| (path.as_str(), &b""[..])).collect();
    let mut forged = Forged::of(&files);
    forged.files.truncate(10);
    forged.files.reverse();
    let faults = faults(&forged.archive(Other));
    assert_eq!(faults.len(), 100);
    assert!(faults[0].contains("data/0010"), "{}", faults[0]);
    assert!(faults[98].contains("data/0108"), "{}", faults[98]);
    assert!(faults[99].contains("4891 more files"), "{}", faults[99]);
}

/// More than the reader keeps in memory.
#[test]
fn many_files_in_any_order_are_found_once_each() {
    const FILES: usize = 16_500;
    let paths: Vec<String> = (0..FILES).map(|number| format!("{number:05}")).collect();
    let files: Vec<(&str, &[u8])> = paths
        .iter()
        .map(|path| (&path[..], &path.as_bytes()[..2]))
        .collect();
    let mut forged = Forged::of(&files);
    forged.files.reverse();
    let (verified, sink) = read(&forged.archive(Other)).expect("good");
    assert_eq!(sink.given, FILES + 2);
    assert_eq!(verified.manifest().count(), FILES as u64 + 2);
    let again = forged.files[7_000].clone();
    forged.files.insert(15_000, again);
    forged.files.remove(17);
    forged.files[3].0 = "data/other".to_owned();
    let faults = faults(&forged.archive(Other));
    assert_eq!(faults.len(), 4, "{faults:?}");
    for (fault, part) in faults.iter().zip([
        "data/other",
        "duplicate: data/09499",
        "the manifest lists data/16482,",
        "the manifest lists data/16496,",
    ]) {
        assert!(fault.contains(part), "{fault}");
    }
}

/// The bytes that this process has read so far, from files and from memory.
fn bytes_read() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").expect("readable");
    let number = text.lines().find_map(|line| line.strip_prefix("rchar: "));
    number.expect("it is there").parse().expect("a number")
}

/// Every other path is spelt so that it is not what is expected next, and every fourth file is missing.
#[test]
fn escaped_names_are_searched_from_where_the_last_one_was_found() {
    const FILES: usize = 2_000;
    let mut forged = Forged::of(&[]);
    forged.promise("files", FILES);
    let mut named = Vec::new();
    for number in 0..FILES {
        let name = format!("{number:05}caf").into_bytes();
        let (line, path) = escaped(&[&name[..], b"\xe9"].concat(), b"");
        forged.lines.push(line);
        named.push(path);
    }
    let mut tar = Tar::new();
    begin(&mut tar, &forged.manifest(), Hookshot);
    tar.entry(LISTING, &forged.listing());
    for (number, path) in named.iter().enumerate() {
        match number % 4 {
            0 | 2 => drop(tar.file(format!("./{ROOT}/{path}"), b"")),
            1 => drop(tar.entry(path, b"")),
            _ => {}
        }
    }
    tar.entry("secrets", b"hmac_key = forged\n");
    let archive = tar.gzip();
    let before = bytes_read();
    let faults = faults(&archive);
    let read = bytes_read() - before;
    assert_eq!(faults.len(), 100);
    assert!(faults[99].contains("401 more files"), "{}", faults[99]);
    // It is read four times, and each search reads at least 4 KiB.
    let listing = forged.listing().len() as u64;
    assert!(read < 150 * listing, "{read} of {listing}");
}

/// Its key comes after the entries, and after all that is inspected at first.
#[test]
fn a_manifest_that_names_its_directories_late_is_read_in_any_order() {
    let forged = Forged::good();
    let mut value: serde_json::Value = serde_json::from_slice(&forged.manifest()).expect("JSON");
    let directories = value["directories"].take();
    value
        .as_object_mut()
        .expect("an object")
        .remove("directories");
    let text = value.to_string();
    let filler = " ".repeat(5 << 20);
    let late = text.strip_suffix('}').expect("an object");
    let late = format!("{late},{filler}\"directories\":{directories}}}").into_bytes();
    let mut parts = forged.parts();
    parts.reverse();
    let archive = packed(&late, &parts, Other);
    assert!(may_be_repacked(&archive));
    let (_, sink) = read(&archive).expect("good");
    assert!(sink.contents == parts.iter().cloned().collect());
    // Versions before listings have none to search.
    value["version"] = "1.1".into();
    let plain = format!("{}{filler}", value);
    assert!(!may_be_repacked(&packed(plain.as_bytes(), &parts, Other)));
}

#[test]
fn a_listing_is_found_however_its_path_begins() {
    let forged = Forged::good();
    for before in ["./", ".//", "././/"] {
        let mut parts = forged.parts();
        let mut tar = Tar::new();
        tar.folder(&format!("{ROOT}/"));
        tar.entry("manifest.json", &forged.manifest());
        let (path, listing) = parts.remove(0);
        tar.file(format!("{before}{ROOT}/{path}"), &listing);
        for (path, content) in &parts {
            tar.entry(path, content);
        }
        assert!(read(&tar.gzip()).is_ok(), "{before}");
        let (twice, _) = &parts[0];
        tar.entry("data/evil", b"?");
        tar.entry(twice, b"?");
        let faults = faults(&tar.gzip());
        assert!(
            faults.len() == 2
                && faults[0].contains("does not list data/evil")
                && faults[1].contains(&format!("{twice} stands in the archive twice")),
            "{before}: {faults:?}"
        );
    }
}
