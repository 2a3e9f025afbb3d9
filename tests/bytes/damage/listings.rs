//! Listings that no export writes: each is refused by the reader and by the verbs.

use super::*;
use crate::listings::forged::{
    Forged, LISTING,
    Packer::{Hookshot, Other},
    escaped, file, folder, link, packed,
};

/// Changes a good archive.
type Change = fn(&mut Forged);

#[test]
fn a_hostile_line_is_refused() {
    let class = Class::new();
    let cases: [(&str, Change, &str); 16] = [
        (
            "an order",
            |it| it.lines.swap(1, 2),
            "the lines are not in order",
        ),
        (
            "a double",
            |it| it.lines.insert(1, it.lines[1].clone()),
            "data: a/one is a file and a file",
        ),
        (
            "a file below a file",
            |it| it.lines.insert(6, file("c/x", b"")),
            "c/x lies below c, which is a file",
        ),
        (
            "a file below a link",
            |it| it.lines.insert(5, file("b/x", b"")),
            "b/x lies below b, which is a link",
        ),
        (
            "no folder",
            |it| drop(it.lines.remove(0)),
            "a/one lies in a, which has no line before it",
        ),
        (
            "a climbing name",
            |it| it.lines.push(file("../../etc/passwd", b"")),
            "climbs out of its folder",
        ),
        (
            "a climbing folder",
            |it| it.lines.insert(0, folder("..")),
            "climbs out of its folder",
        ),
        (
            "hookshot's own name",
            |it| it.lines.insert(0, folder(".hookshot")),
            "is hookshot's own",
        ),
        (
            "another directory",
            |it| it.lines[1] = it.lines[1].replace("data/a/one", "secrets"),
            "its path secrets lies outside the directory",
        ),
        (
            "an escaped name with a wrong key",
            |it| {
                it.lines[6] = escaped(b"caf\xea", b"escaped\n")
                    .0
                    .replace("636166ea", "636166e9")
            },
            "is not listed by the key that its `name` has",
        ),
        (
            "an escaped name that need not be",
            |it| it.lines[6] = escaped(b"cafe", b"escaped\n").0,
            "is not listed by the key that its `name` has",
        ),
        (
            "a link to nothing",
            |it| it.lines[4] = link("b", ""),
            "must be 1 to 4095 bytes without NUL",
        ),
        (
            "no JSON",
            |it| it.lines[3] = "{".into(),
            "line 4 is not JSON",
        ),
        (
            "an empty line",
            |it| it.lines.insert(3, String::new()),
            "line 4 is not JSON",
        ),
        (
            "a key twice",
            |it| it.lines[3] = it.lines[3].replacen('{', r#"{"size":1,"#, 1),
            "stands twice",
        ),
        (
            "a negative size",
            |it| it.lines[1] = it.lines[1].replace(r#""size":6"#, r#""size":-6"#),
            "`size` must be",
        ),
    ];
    for (label, change, says) in cases {
        let mut forged = Forged::good();
        // More than there are, so that the line itself is what is refused.
        forged.promise("files", 9);
        forged.promise("folders", 9);
        change(&mut forged);
        for packer in [Hookshot, Other] {
            class.check(label, &forged.archive(packer), refused(&[says]));
        }
    }
}

#[test]
fn a_listing_that_is_not_what_the_manifest_says_is_refused() {
    let class = Class::new();
    let cases: [(&str, Change, &str); 12] = [
        (
            "more files than any listing has",
            |it| it.promise("files", 100_000_001),
            "`files` must be a number from 0 to 100000000",
        ),
        (
            "more files",
            |it| it.promise("files", 6),
            "it has 5 files, the manifest says 6",
        ),
        (
            "fewer files",
            |it| it.promise("files", 4),
            "it has more than the 4 files",
        ),
        (
            "more folders",
            |it| it.promise("folders", 2),
            "it has 1 folders, the manifest says 2",
        ),
        (
            "fewer links",
            |it| it.promise("links", 0),
            "it has more than the 0 links",
        ),
        (
            "more bytes",
            |it| it.promise("bytes", 47),
            "it has 46 bytes, the manifest says 47",
        ),
        (
            "fewer bytes",
            |it| it.promise("bytes", 45),
            "more than the 45 bytes",
        ),
        (
            "a torn file",
            |it| it.promise("torn", 1),
            "it has 0 torn files, the manifest says 1",
        ),
        (
            "no line feed",
            |it| it.text = Some(it.listing()[..it.listing().len() - 1].to_vec()),
            "its last line has no line feed",
        ),
        (
            "half a line",
            |it| it.text = Some(it.listing()[..it.listing().len() - 20].to_vec()),
            "its last line has no line feed",
        ),
        (
            "a digest",
            |it| it.record["checksum"] = json!("0".repeat(64)),
            "checksum mismatch for file data.files.jsonl",
        ),
        (
            "a size",
            |it| it.record["size"] = json!(it.listing().len() + 1),
            "size mismatch for file data.files.jsonl",
        ),
    ];
    for (label, change, says) in cases {
        let mut forged = Forged::good();
        change(&mut forged);
        for packer in [Hookshot, Other] {
            class.check(label, &forged.archive(packer), refused(&[says]));
        }
    }
}

#[test]
fn files_that_are_not_those_of_the_listing_are_refused() {
    let class = Class::new();
    let cases: [(&str, Change, &str); 8] = [
        (
            "one is missing",
            |it| drop(it.files.remove(1)),
            "missing: the manifest lists data/a/two",
        ),
        (
            "all are missing",
            |it| it.files.clear(),
            "missing: the manifest lists data/a/one",
        ),
        (
            "one more",
            |it| it.files.push(("data/d".into(), b"?".to_vec())),
            "unlisted: data.files.jsonl does not list data/d",
        ),
        (
            "a folder as a file",
            |it| it.files.push(("data/a".into(), b"?".to_vec())),
            "unlisted: data.files.jsonl does not list data/a",
        ),
        (
            "a link as a file",
            |it| it.files.push(("data/b".into(), b"?".to_vec())),
            "unlisted: data.files.jsonl does not list data/b",
        ),
        (
            "one twice",
            |it| it.files.insert(1, it.files[0].clone()),
            "duplicate: data/a/one stands in the archive twice",
        ),
        (
            "another content",
            |it| it.files[0].1[0] ^= 1,
            "checksum mismatch for file data/a/one",
        ),
        (
            "a longer content",
            |it| it.files[0].1.push(b'?'),
            "size mismatch for file data/a/one",
        ),
    ];
    for (label, change, says) in cases {
        let mut forged = Forged::good();
        change(&mut forged);
        for packer in [Hookshot, Other] {
            class.check(label, &forged.archive(packer), refused(&[says]));
        }
    }
    let forged = Forged::good();
    let mut parts = forged.parts();
    let listing = parts.remove(0);
    for packer in [Hookshot, Other] {
        let absent = packed(&forged.manifest(), &parts, packer);
        class.check(
            "no listing",
            &absent,
            refused(&["missing: the manifest lists data.files.jsonl"]),
        );
    }
    let mut twice = parts.clone();
    twice.splice(0..0, [listing.clone(), listing.clone()]);
    let says = ["data.files.jsonl stands in the archive twice"];
    for packer in [Hookshot, Other] {
        class.check(
            "twice",
            &packed(&forged.manifest(), &twice, packer),
            refused(&says),
        );
    }
    parts.push(listing);
    let late = packed(&forged.manifest(), &parts, Hookshot);
    let says = ["out of order: data/a/one does not stand where data.files.jsonl lists it"];
    class.check("late", &late, refused(&says));
}

#[test]
fn a_directory_whose_listing_is_no_entry_is_refused() {
    let class = Class::new();
    let mut forged = Forged::good();
    forged.promise("listing", "secrets");
    let says = [r#"`listing` must be "data.files.jsonl""#];
    class.check("another entry", &forged.archive(Hookshot), refused(&says));
    let manifest = String::from_utf8(Forged::good().manifest()).expect("JSON");
    let other = manifest.replace(&format!(r#""{LISTING}":{{"#), r#""other":{"#);
    let archive = packed(other.as_bytes(), &Forged::good().parts(), Hookshot);
    let says = ["data.files.jsonl is not among the entries"];
    class.check("no entry", &archive, refused(&says));
    let other = manifest.replace(r#""files":{"#, r#""trees":{"data":{"root":{}}},"files":{"#);
    let archive = packed(other.as_bytes(), &Forged::good().parts(), Hookshot);
    let says = ["data is listed as a directory twice"];
    class.check("two forms", &archive, refused(&says));
    let other = manifest.replace(r#""secrets""#, r#""data/secrets""#);
    let archive = packed(other.as_bytes(), &Forged::good().parts(), Hookshot);
    let says = ["entry data/secrets lies in a directory that has a listing"];
    class.check("a claimed path", &archive, refused(&says));
}
