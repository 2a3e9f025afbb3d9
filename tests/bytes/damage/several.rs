//! Several faults, several archives, every verb.

use super::*;

#[test]
fn every_fault_of_an_archive_is_named() {
    let class = Class::new();
    let entries: [forge::Entry<'_>; 5] = [
        ("a", b"one"),
        ("b", b"two"),
        ("c", b"three"),
        ("d", b"four"),
        ("e", b"five"),
    ];
    let tar = Tar::packed(&forge::text(&forge::manifest(&entries)), &[])
        .entry("a", b"one")
        .entry("b", b"TWO")
        .entry("c", b"th")
        .entry("a", b"one")
        .entry("evil", b"x")
        .file("../climb", b"x")
        .file("other/x", b"x")
        .link(&format!("{ROOT}/link"), EntryType::Symlink, "/")
        .entry("e", b"five")
        .clone();
    let says = [
        "checksum mismatch for file b: ",
        "size mismatch for file c: expected 5 bytes, got 2",
        "/a stands in the archive twice",
        "unlisted: the manifest does not list evil",
        "forbidden path ../climb",
        "second root folder: other/x",
        "/link is a symbolic link",
        "missing: the manifest lists d,",
    ];
    class.check("eight faults", &tar.gzip(), refused(&says));
    class.machine.write("out/eight", tar.gzip(), 0o600);
    let report = class
        .machine
        .run(&["verify", "--json", "eight"])
        .exits(13)
        .json();
    assert_eq!(
        report["archives"][0]["faults"]
            .as_array()
            .expect("a list")
            .len(),
        says.len(),
        "{report}"
    );
    assert_eq!(report["error"]["code"], json!(13));
    assert_eq!(report["error"]["kind"], json!("archive_refused"));
}

#[test]
fn a_fault_that_ends_the_reading_says_how_much_was_not_reached() {
    let class = Class::new();
    let tar = Tar::packed(
        &forge::text(&forge::manifest(&ENTRIES)),
        &[("evil", b"x"), ENTRIES[0]],
    )
    .bytes();
    class.check(
        "an end too early",
        &gzip(&tar),
        refused(&[
            "unlisted: the manifest does not list evil",
            "damaged tar: it ends",
            "1 entries behind the fault could not be checked",
        ]),
    );
}

#[test]
fn one_bad_archive_among_good_ones_is_told_apart() {
    let machine = Machine::new();
    machine.export("good.tar.gz");
    machine.write(
        "out/bad.tar.gz",
        Tar::good(&ENTRIES).entry("evil", b"x").gzip(),
        0o600,
    );
    let report = machine
        .run(&[
            "verify",
            "--json",
            "good.tar.gz",
            "bad.tar.gz",
            "good.tar.gz",
        ])
        .exits(13)
        .json();
    let good: Vec<&Value> = report["archives"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|archive| &archive["good"])
        .collect();
    assert_eq!(
        good,
        [&json!(true), &json!(false), &json!(true)],
        "{report}"
    );
}

#[test]
fn every_verb_that_reads_an_archive_refuses_a_bad_one_and_gives_nothing_of_it() {
    let machine = Machine::new();
    machine.write(
        "out/bad.tar.gz",
        Tar::good(&ENTRIES).entry("evil", b"x").gzip(),
        0o600,
    );
    let before = tree(&machine.path(""));
    for arguments in [
        &["verify", "bad.tar.gz"][..],
        &["inspect", "bad.tar.gz"],
        &["diff", "bad.tar.gz"],
        &["extract", "bad.tar.gz", "secrets"],
        &["extract", "bad.tar.gz", "secrets", "-o", "-"],
        &["extract", "bad.tar.gz", "secrets", "-o", "elsewhere"],
        &["import", "bad.tar.gz"],
        &["import", "--dry-run", "bad.tar.gz"],
        &["import", "--force", "bad.tar.gz"],
        &["import", "--only", "services.toml", "bad.tar.gz"],
    ] {
        let run = machine
            .run(arguments)
            .exits(13)
            .says("unlisted: the manifest does not list evil");
        assert!(
            !run.text().contains("forged"),
            "{arguments:?}: {}",
            run.text()
        );
        assert!(
            tree(&machine.path("")) == before,
            "{arguments:?}: something changed on the machine"
        );
    }
    for arguments in [
        &["inspect", "bad.tar.gz", "--json"][..],
        &["diff", "bad.tar.gz", "--json"],
        &["extract", "bad.tar.gz", "secrets", "--json"],
        &["import", "bad.tar.gz", "--json"],
    ] {
        let report = machine.run(arguments).exits(13).json();
        assert_eq!(
            report["error"]["faults"],
            json!(["unlisted: the manifest does not list evil"]),
            "{arguments:?}"
        );
    }
}

#[test]
fn a_hostile_name_cannot_drive_the_terminal() {
    let machine = Machine::new();
    let tar = Tar::good(&ENTRIES)
        .entry("\u{1b}]0;owned\u{7}\u{202e}evil", b"x")
        .clone();
    machine.write("out/bad.tar.gz", tar.gzip(), 0o600);
    let run = machine
        .run(&["verify", "bad.tar.gz"])
        .exits(13)
        .says("unlisted: ");
    for said in [run.text(), run.stderr] {
        assert!(!said.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{said:?}");
    }
}
