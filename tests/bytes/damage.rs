//! Damaged and hostile archives: each is refused with its fault named, and leaves no trace.

use support::forge::{self, ENTRIES, EntryType, ROOT, Tar, Xorshift, gzip, gzip_zeros};
use support::{Machine, Run, finish, tree};

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use hookshot::{
    archive::{self, reader::Discard},
    model::entry_name::EntryName,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The refusal that an archive must get.
#[derive(Clone, Copy)]
struct Refusal<'a> {
    code: i32,
    says: &'a [&'a str],
}

/// Exit code 13, and each of these stands in the message.
fn refused<'a>(says: &'a [&'a str]) -> Refusal<'a> {
    Refusal { code: 13, says }
}

/// Gives the archive to the verbs that people trust with one, as a file and as a stream, and looks for traces.
#[track_caller]
fn check(machine: &Machine, label: &str, archive: &[u8], refusal: Refusal<'_>) {
    fs::write(machine.path("out/hostile.tar.gz"), archive).expect("written");
    let before = tree(&machine.path(""));
    let import = machine.run(&["import", "hostile.tar.gz"]);
    expect(label, &import, &import.stderr, refusal);
    let stream = machine.run_with(&["import", "-"], archive);
    expect(label, &stream, &stream.stderr, refusal);
    let verify = machine.run(&["verify", "--json", "hostile.tar.gz"]);
    expect(label, &verify, &faults(&verify), refusal);
    assert!(
        tree(&machine.path("")) == before,
        "{label}: something changed on the machine"
    );
}

#[track_caller]
fn expect(label: &str, run: &Run, said: &str, refusal: Refusal<'_>) {
    assert_eq!(
        run.code,
        refusal.code,
        "{label}: {}{}",
        run.text(),
        run.stderr
    );
    for text in refusal.says {
        assert!(said.contains(text), "{label}: {text:?} is not in:\n{said}");
    }
}

/// The faults of the one archive that `verify --json` looked at, one in each line.
#[track_caller]
fn faults(verify: &Run) -> String {
    let report = verify.json();
    let archive = &report["archives"][0];
    assert_eq!(archive["good"], json!(false), "{report}");
    let lines: Vec<&str> = archive["faults"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|fault| fault.as_str().expect("a text"))
        .collect();
    lines.join("\n")
}

/// The faults that the library names; `None` where it accepts the archive.
fn refusal_of(archive: &[u8], seekable: bool) -> Option<String> {
    let error = forge::read(archive, seekable, &mut Discard).err()?;
    Some(format!("{error:#}"))
}

#[test]
fn what_the_forge_makes_is_good_where_nothing_is_wrong() {
    let machine = Machine::new();
    machine.write("out/good.tar.gz", Tar::good(&ENTRIES).gzip(), 0o600);
    machine.write("out/own.tar.gz", forge::written(&ENTRIES), 0o600);
    machine
        .run(&["verify", "good.tar.gz", "own.tar.gz"])
        .exits(0);
    machine.run(&["import", "good.tar.gz"]).exits(0);
    assert_eq!(machine.read("etc/secrets"), ENTRIES[0].1);
    assert!(machine.path("etc/.hookshot").exists() || machine.path("data/.hookshot").exists());
}

mod truncation {
    use super::*;

    /// Returns true if a message names the early end: of the tar, if the cut falls between two members.
    fn names_the_end(said: &str) -> bool {
        said.contains("truncated: ") || said.contains("damaged tar: it ends ")
    }

    #[track_caller]
    fn check_cut(machine: &Machine, archive: &[u8], at: usize) {
        machine.write("out/cut.tar.gz", &archive[..at], 0o600);
        let before = tree(&machine.path(""));
        let import = machine.run(&["import", "cut.tar.gz"]);
        assert_eq!(import.code, 13, "cut at {at}: {}", import.stderr);
        assert!(
            names_the_end(&import.stderr),
            "cut at {at}: {}",
            import.stderr
        );
        assert!(
            tree(&machine.path("")) == before,
            "cut at {at}: something changed on the machine"
        );
    }

    /// All cuts in one run of `verify`, which looks at every archive that it is given.
    fn verify_all(machine: &Machine, archive: &[u8], cuts: &[usize]) {
        let mut arguments = vec!["verify".to_owned(), "--json".to_owned()];
        for at in cuts {
            machine.write(&format!("out/cut-{at}"), &archive[..*at], 0o600);
            arguments.push(format!("cut-{at}"));
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let report = machine.run(&arguments).exits(13).json();
        let archives = report["archives"].as_array().expect("a list");
        assert_eq!(archives.len(), cuts.len());
        for found in archives {
            assert_eq!(found["good"], json!(false), "{found}");
            assert!(names_the_end(&found["faults"].to_string()), "{found}");
        }
    }

    #[test]
    fn an_archive_that_lacks_any_number_of_its_last_bytes_is_refused() {
        let machine = Machine::new();
        machine.export("whole.tar.gz");
        let archive = machine.read("out/whole.tar.gz");
        let cuts: Vec<usize> = (1..=64).map(|count| archive.len() - count).collect();
        verify_all(&machine, &archive, &cuts);
        for at in cuts {
            check_cut(&machine, &archive, at);
        }
    }

    #[test]
    fn an_archive_that_is_cut_anywhere_is_refused() {
        let machine = Machine::new();
        machine.export("whole.tar.gz");
        let archive = machine.read("out/whole.tar.gz");
        let cuts: Vec<usize> = (0..200).map(|place| place * archive.len() / 200).collect();
        verify_all(&machine, &archive, &cuts);
        for at in cuts {
            check_cut(&machine, &archive, at);
        }
    }

    #[test]
    fn an_archive_that_is_cut_between_two_gzip_members_is_refused() {
        let machine = Machine::new();
        machine.write("etc/secrets", Xorshift::new(1).bytes(3 << 20), 0o600);
        machine.export("whole.tar.gz");
        let archive = machine.read("out/whole.tar.gz");
        let members = forge::members(&archive);
        assert!(members.len() > 8, "{members:?}");
        let cuts: Vec<usize> = members.iter().map(|member| member.start).collect();
        verify_all(&machine, &archive, &cuts);
        for at in cuts {
            check_cut(&machine, &archive, at);
        }
    }

    #[test]
    fn every_single_cut_of_a_small_archive_is_refused_from_a_file_and_from_a_stream() {
        for archive in [forge::written(&ENTRIES), Tar::good(&ENTRIES).gzip()] {
            for at in 0..archive.len() {
                for seekable in [false, true] {
                    let said = refusal_of(&archive[..at], seekable);
                    let said = said.unwrap_or_else(|| panic!("accepted when cut at {at}"));
                    assert!(names_the_end(&said), "cut at {at}: {said}");
                }
            }
        }
    }
}

mod gzip_layer {
    use super::*;

    /// A machine with 2.5 MiB of secrets that do not compress, and an archive of it.
    fn several_members() -> (Machine, Vec<u8>) {
        let machine = Machine::new();
        machine.write("etc/secrets", Xorshift::new(2).bytes(5 << 19), 0o600);
        machine.export("whole.tar.gz");
        let archive = machine.read("out/whole.tar.gz");
        fs::remove_file(machine.path("out/whole.tar.gz")).expect("removed");
        (machine, archive)
    }

    fn flipped(archive: &[u8], at: usize, mask: u8) -> Vec<u8> {
        let mut damaged = archive.to_vec();
        damaged[at] ^= mask;
        damaged
    }

    /// The members of the index: empty ones, behind the tar.
    fn index_of(archive: &[u8]) -> Vec<std::ops::Range<usize>> {
        let members = forge::members(archive).into_iter();
        let index = members.filter(|member| archive[member.end - 4..member.end] == [0; 4]);
        index.collect()
    }

    #[test]
    fn a_flipped_bit_in_the_data_of_any_member_is_found() {
        let (machine, archive) = several_members();
        let members = forge::members(&archive);
        assert!(members.len() > 8, "{members:?}");
        let mut rng = Xorshift::new(3);
        for (number, member) in members.iter().enumerate() {
            let data = forge::deflated(&archive, member);
            let inflated = |archive: &[u8]| {
                let mut content = Vec::new();
                let mut data = flate2::read::DeflateDecoder::new(&archive[data.clone()]);
                std::io::Read::read_to_end(&mut data, &mut content).ok()?;
                Some(content)
            };
            // The last byte ends in padding, which means nothing (RFC 1951 section 3.2.3), and a repetition may be
            // taken from another place: a bit that changes no content is not damage.
            let (at, damaged) = loop {
                let at = data.start + rng.below(data.len() - 1);
                let damaged = flipped(&archive, at, 1 << rng.below(8));
                if inflated(&damaged) != inflated(&archive) {
                    break (at, damaged);
                }
            };
            check(
                &machine,
                &format!("member {number}, byte {at}"),
                &damaged,
                refused(&[]),
            );
            // What the data says is looked at as it comes, before the member's CRC does.
            let said = refusal_of(&damaged, true).expect("refused");
            // A block that does not end any more goes on to the end of the file.
            let named = ["damaged", "checksum mismatch", "manifest.json", "truncated"];
            assert!(named.iter().any(|name| said.contains(name)), "{said}");
        }
    }

    /// The CRC of a member counts before its content: otherwise this would be another version (exit code 14).
    #[test]
    fn a_flipped_bit_that_makes_another_version_is_damage_all_the_same() {
        let machine = Machine::new();
        let manifest = forge::current(Default::default());
        let stored = archive::writer::Level::new(0).expect("a level");
        let nothing = |_: &EntryName| Ok(std::io::empty());
        let archive = archive::writer::write(
            Vec::new(),
            &manifest,
            stored,
            hookshot::work::Threads::ONE,
            None,
            nothing,
        )
        .expect("an archive")
        .out;
        let version = b"\"version\": \"1.1\"";
        let at = archive
            .windows(version.len())
            .position(|bytes| bytes == version);
        let digit = at.expect("stored as it is") + version.len() - 4;
        check(
            &machine,
            "1.1 became 3.1",
            &flipped(&archive, digit, 2),
            refused(&["damaged: gzip member 0"]),
        );
    }

    #[test]
    fn a_flipped_byte_in_the_trailer_of_any_member_is_found() {
        let (machine, archive) = several_members();
        for (number, member) in forge::members(&archive).iter().enumerate() {
            let says = format!("damaged: gzip member {number} at byte {}", member.start);
            for at in member.end - 8..member.end {
                for mask in [1, 0x80, 0xff] {
                    let said = refusal_of(&flipped(&archive, at, mask), true).expect("refused");
                    assert!(said.contains(&says), "byte {at}: {said}");
                }
            }
            let damaged = flipped(&archive, member.end - 8 + number % 8, 0x10);
            check(
                &machine,
                &format!("trailer {number}"),
                &damaged,
                refused(&[&says]),
            );
        }
    }

    #[test]
    fn a_flipped_byte_in_the_trailer_of_the_last_member_is_found_by_every_verb() {
        let machine = Machine::new();
        machine.export("whole.tar.gz");
        let archive = machine.read("out/whole.tar.gz");
        for at in archive.len() - 8..archive.len() {
            check(
                &machine,
                &format!("byte {at}"),
                &flipped(&archive, at, 0xff),
                refused(&["damaged: gzip member "]),
            );
        }
    }

    /// Bits without a meaning for any reader are left out: time, extra flags, system, the flag for text, the padding of
    /// the deflate data, and the two reserved bytes of the end (docs/format.md, "The index").
    #[test]
    fn a_flipped_bit_in_the_index_is_found() {
        let archive = forge::written(&ENTRIES);
        let index = index_of(&archive);
        assert_eq!(index.len(), 2, "a piece and the end");
        let reserved = index[1].start + 26..index[1].start + 28;
        let mut accepted = Vec::new();
        for member in &index {
            let padding = forge::deflated(&archive, member).end - 1;
            for at in member
                .clone()
                .filter(|at| !(4..10).contains(&(at - member.start)))
            {
                for bit in 0..8 {
                    let text_flag = at == member.start + 3 && bit == 0;
                    let means_nothing =
                        (at == padding && bit >= 2) || text_flag || reserved.contains(&at);
                    if !means_nothing
                        && refusal_of(&flipped(&archive, at, 1 << bit), true).is_none()
                    {
                        accepted.push((at - member.start, bit));
                    }
                }
            }
        }
        assert!(
            accepted.is_empty(),
            "accepted with a flip at (byte of a member, bit): {accepted:?}"
        );
    }

    #[test]
    fn a_flipped_byte_in_the_index_is_found_by_every_verb() {
        let machine = Machine::new();
        machine.export("whole.tar.gz");
        let archive = machine.read("out/whole.tar.gz");
        for member in index_of(&archive) {
            // The subfields of this format, behind the header and its size.
            for at in (member.start + 16..member.end)
                .step_by(3)
                .filter(|at| !(26..28).contains(&(at - member.start)))
            {
                check(
                    &machine,
                    &format!("byte {at}"),
                    &flipped(&archive, at, 0xff),
                    refused(&["damaged: gzip member "]),
                );
            }
        }
    }

    #[test]
    fn an_index_that_is_wrong_or_gone_is_found() {
        let machine = Machine::new();
        let archive = forge::written(&ENTRIES);
        let index = index_of(&archive);
        let whole = index[0].start;
        let swapped = [
            &archive[..whole],
            &archive[index[1].clone()],
            &archive[index[0].clone()],
        ]
        .concat();
        let twice = [&archive[..], &archive[index[0].start..]].concat();
        let other = forge::written(&ENTRIES[..1]);
        let foreign = [&archive[..whole], &other[index_of(&other)[0].start..]].concat();
        check(
            &machine,
            "gone",
            &archive[..whole],
            refused(&["truncated: the index at the end of the archive is missing"]),
        );
        check(
            &machine,
            "piece gone",
            &[&archive[..whole], &archive[index[1].clone()]].concat(),
            refused(&["damaged: gzip member", "index"]),
        );
        check(
            &machine,
            "swapped",
            &swapped,
            refused(&["damaged: gzip member", "index"]),
        );
        check(
            &machine,
            "twice",
            &twice,
            refused(&[
                "damaged: gzip member",
                "follows the last member of the index",
            ]),
        );
        check(
            &machine,
            "another archive's",
            &foreign,
            refused(&["the index does not describe this archive"]),
        );
    }

    #[test]
    fn anything_behind_the_end_is_refused() {
        let machine = Machine::new();
        let own = forge::written(&ENTRIES);
        let foreign = Tar::good(&ENTRIES).gzip();
        let after = "bytes after the end: at byte";
        for (whose, archive) in [("our", &own), ("a foreign", &foreign)] {
            for (what, tail, says) in [
                ("a zero", vec![0], after),
                ("a letter", b"x".to_vec(), after),
                ("half a magic", vec![0x1f], "truncated: "),
                ("a magic", vec![0x1f, 0x8b], "truncated: "),
                ("100 zeros", vec![0; 100], after),
                ("10 MiB of zeros", vec![0; 10 << 20], after),
                ("text", b"# nothing to see here\n".to_vec(), after),
                ("a bare deflate stream", vec![3, 0], after),
                (
                    "a member of text",
                    gzip(b"more"),
                    "something follows its closing blocks",
                ),
                (
                    "a member with a tar",
                    Tar::good(&ENTRIES).gzip(),
                    "something follows its closing blocks",
                ),
            ] {
                let joined = [archive, &tail[..]].concat();
                check(
                    &machine,
                    &format!("{what} behind {whose} archive"),
                    &joined,
                    refused(&[says]),
                );
            }
        }
        check(
            &machine,
            "an empty member behind the index",
            &[&own[..], &gzip(b"")].concat(),
            refused(&["follows the last member of the index"]),
        );
        // Bytes between two trailers that both fit: the stated size hides them from a reader that trusts it.
        let size = u32::from_le_bytes(own[16..20].try_into().expect("a size")) as usize;
        let (first, rest) = own.split_at(size);
        let mut hiding = [first, b"hidden", &first[size - 8..], rest].concat();
        hiding[16..20].copy_from_slice(&(size as u32 + 14).to_le_bytes());
        check(
            &machine,
            "bytes hidden in a member",
            &hiding,
            refused(&[&format!(
                "a member states a size of {} bytes and has {size}",
                size + 14
            )]),
        );
        check(
            &machine,
            "our archive twice",
            &[&own[..], &own[..]].concat(),
            refused(&["a member follows the last member of the index"]),
        );
    }

    #[test]
    fn what_is_no_archive_is_refused_as_such() {
        let machine = Machine::new();
        for (label, bytes, says) in [
            ("nothing", Vec::new(), "truncated: the file ends at byte 0"),
            ("text", b"hello\n".to_vec(), "not a hookshot archive"),
            (
                "a plain tar that was cut",
                Tar::good(&ENTRIES).ended()[..2048].to_vec(),
                "damaged tar",
            ),
            ("one byte", vec![0x1f], "truncated: "),
            ("gzip of nothing", gzip(b""), "a gzip of nothing"),
            ("gzip of text", gzip(b"hello\n"), "not a tar"),
            (
                "gzip of much text",
                gzip(&b"hello\n".repeat(1000)),
                "not a tar",
            ),
            ("gzip of zeros", gzip(&[0; 10240]), "no manifest.json"),
            (
                "an unknown method",
                [&[0x1f, 0x8b, 7][..], &forge::written(&ENTRIES)[3..]].concat(),
                "damaged: gzip member 0",
            ),
        ] {
            check(&machine, label, &bytes, refused(&[says]));
        }
    }
}

mod tar_layer {
    use super::*;

    fn good() -> Tar {
        Tar::good(&ENTRIES)
    }

    #[test]
    fn what_the_manifest_does_not_say_is_refused() {
        let machine = Machine::new();
        let [secrets, services] = ENTRIES;
        let listed = forge::text(&forge::manifest(&ENTRIES));
        let packed = |entries: &[forge::Entry<'_>]| Tar::packed(&listed, entries);
        let dotted = format!("./{ROOT}/secrets");
        for (label, tar, says) in [
            (
                "an unlisted entry",
                good().entry("evil.sh", b"#!/bin/sh\n").clone(),
                vec!["unlisted: the manifest does not list evil.sh"],
            ),
            (
                "an unlisted empty entry",
                good().entry("evil.sh", b"").clone(),
                vec!["unlisted: the manifest does not list evil.sh"],
            ),
            (
                "an unlisted entry before the others",
                Tar::packed(&listed, &[("evil.sh", b"x"), secrets, services]),
                vec!["unlisted: the manifest does not list evil.sh"],
            ),
            (
                "an unlisted entry before the manifest",
                Tar::new()
                    .entry("evil.sh", b"x")
                    .raw(&good().bytes())
                    .clone(),
                vec!["unlisted: the manifest does not list evil.sh"],
            ),
            (
                "a listed one missing",
                packed(&[secrets]),
                vec!["missing: the manifest lists services.toml"],
            ),
            (
                "all missing",
                packed(&[]),
                vec![
                    "missing: the manifest lists services.toml",
                    "missing: the manifest lists secrets",
                ],
            ),
            (
                "one twice",
                packed(&[secrets, services, secrets]),
                vec!["duplicate: ", "/secrets stands in the archive twice"],
            ),
            (
                "one twice, once with a dot",
                good().file(&dotted, secrets.1).clone(),
                vec!["duplicate: ", "/secrets stands in the archive twice"],
            ),
            (
                "one twice, the second another",
                packed(&[secrets, services, ("secrets", b"evil")]),
                vec!["duplicate: ", "/secrets stands in the archive twice"],
            ),
            (
                "the manifest twice",
                good().entry("manifest.json", &listed).clone(),
                vec!["duplicate: ", "/manifest.json stands in the archive twice"],
            ),
            (
                "another manifest behind",
                good().entry("manifest.json", b"{}").clone(),
                vec!["duplicate: ", "/manifest.json stands in the archive twice"],
            ),
            (
                "a byte less",
                packed(&[("secrets", &secrets.1[1..]), services]),
                vec!["size mismatch for file secrets: expected 18 bytes, got 17"],
            ),
            (
                "nothing where something should be",
                packed(&[("secrets", b""), services]),
                vec!["size mismatch for file secrets: expected 18 bytes, got 0"],
            ),
            (
                "a byte more",
                packed(&[("secrets", b"hmac_key = forged\n\n"), services]),
                vec!["size mismatch for file secrets: expected 18 bytes, got 19"],
            ),
            (
                "a block more",
                packed(&[("secrets", &[b'x'; 530]), services]),
                vec!["size mismatch for file secrets: expected 18 bytes, got 530"],
            ),
        ] {
            check(&machine, label, &tar.gzip(), refused(&says));
        }
    }

    #[test]
    fn another_content_is_refused_with_both_digests() {
        let machine = Machine::new();
        let [secrets, services] = ENTRIES;
        let other = b"hmac_key = f0rged\n";
        let tar = Tar::packed(
            &forge::text(&forge::manifest(&ENTRIES)),
            &[("secrets", other), services],
        );
        let says = format!(
            "checksum mismatch for file secrets: expected {}, got {}",
            forge::digest(secrets.1),
            forge::digest(other)
        );
        check(&machine, "another content", &tar.gzip(), refused(&[&says]));
    }

    #[test]
    fn two_entries_that_changed_places_are_both_named() {
        let machine = Machine::new();
        let entries: [forge::Entry<'_>; 2] = [("secrets", b"one"), ("services.toml", b"two")];
        let tar = Tar::packed(
            &forge::text(&forge::manifest(&entries)),
            &[("secrets", b"two"), ("services.toml", b"one")],
        );
        let says = [
            "checksum mismatch for file secrets",
            "checksum mismatch for file services.toml",
        ];
        check(&machine, "changed places", &tar.gzip(), refused(&says));
    }

    #[test]
    fn a_path_that_could_lead_elsewhere_is_refused() {
        let machine = Machine::new();
        let outside = machine.path("evil").display().to_string();
        let climb = "forbidden path ";
        let long = format!("{ROOT}/{}", "a".repeat(1025));
        let long_folders = format!("{ROOT}/{}evil", "a/".repeat(520));
        let in_root = |name: &str| format!("{ROOT}/{name}").into_bytes();
        for (label, path, says) in [
            (
                "absolute",
                outside.clone().into_bytes(),
                vec![climb, "evil", "is an absolute path"],
            ),
            (
                "absolute at once",
                b"/evil".to_vec(),
                vec![climb, "/evil", "is an absolute path"],
            ),
            (
                "absolute below the root",
                in_root(&outside),
                vec![climb, "evil", "is an absolute path"],
            ),
            (
                "two slashes first",
                b"//evil".to_vec(),
                vec![climb, "//evil", "is an absolute path"],
            ),
            (
                "climbs at once",
                b"../evil".to_vec(),
                vec![climb, "../evil", "climbs out of its folder"],
            ),
            (
                "climbs out of the root",
                in_root("../evil"),
                vec![climb, "../evil", "climbs out of its folder"],
            ),
            (
                "climbs far",
                in_root("../../../../../../evil"),
                vec![climb, "climbs out of its folder"],
            ),
            (
                "climbs later",
                in_root("a/../../evil"),
                vec![climb, "climbs out of its folder"],
            ),
            (
                "climbs and comes back",
                in_root("a/../secrets"),
                vec![climb, "climbs out of its folder"],
            ),
            (
                "ends in a climb",
                in_root("a/.."),
                vec![climb, "climbs out of its folder"],
            ),
            (
                "a dot, then a climb",
                b"./../evil".to_vec(),
                vec![climb, "climbs out of its folder"],
            ),
            (
                "a dot and nothing but a climb",
                b"./..".to_vec(),
                vec![climb, "./..", "climbs out of its folder"],
            ),
            ("an empty component", in_root("/evil"), vec![climb, "evil"]),
            (
                "an empty component later",
                in_root("a//evil"),
                vec![climb, "a//evil", "empty or `.` component"],
            ),
            (
                "a dot as a component",
                in_root("./evil"),
                vec![climb, "/./evil", "empty or `.` component"],
            ),
            (
                "a drive",
                in_root("C:\\evil"),
                vec![climb, "C:\\evil", "drive letter"],
            ),
            (
                "a drive as the root",
                b"C:\\evil/secrets".to_vec(),
                vec![climb, "C:\\evil", "drive letter"],
            ),
            (
                "a drive with a slash",
                in_root("c:/evil"),
                vec![climb, "c:/evil", "drive letter"],
            ),
            (
                "a backslash climb",
                in_root("a\\..\\..\\evil"),
                vec![climb, "a\\..\\..\\evil", "climbs out of its folder"],
            ),
            (
                "a backslash climb in the root",
                b"..\\evil/x".to_vec(),
                vec![climb, "climbs out of its folder"],
            ),
            (
                "a share",
                in_root("\\\\server\\evil"),
                vec![climb, "evil", "is an absolute path"],
            ),
            (
                "1025 bytes",
                long.into_bytes(),
                vec![climb, "is longer than 1024 bytes"],
            ),
            (
                "1044 bytes in folders",
                long_folders.into_bytes(),
                vec![climb, "is longer than 1024 bytes"],
            ),
            (
                "not UTF-8",
                [ROOT.as_bytes(), b"/ev\xffil"].concat(),
                vec![climb, "is not UTF-8"],
            ),
            (
                "an escape sequence",
                in_root("../\u{1b}[2Jevil"),
                vec![climb, "\\u{1b}[2Jevil"],
            ),
        ] {
            check(
                &machine,
                label,
                &good().file(&path, b"evil").gzip(),
                refused(&says),
            );
            let first = Tar::new().file(&path, b"evil").raw(&good().bytes()).gzip();
            check(
                &machine,
                &format!("{label}, before everything else"),
                &first,
                refused(&says[..1]),
            );
        }
        assert!(!machine.path("evil").exists());
    }

    #[test]
    fn a_folder_that_could_lead_elsewhere_is_refused() {
        let machine = Machine::new();
        for (path, says) in [
            ("/evil/", "is an absolute path"),
            ("../evil/", "climbs out of its folder"),
            ("..", "climbs out of its folder"),
            (&format!("{ROOT}/../evil/"), "climbs out of its folder"),
            (&format!("{ROOT}/.."), "climbs out of its folder"),
        ] {
            check(
                &machine,
                path,
                &good().folder(path).gzip(),
                refused(&["forbidden path ", says]),
            );
        }
    }

    #[test]
    fn a_path_with_a_nul_is_refused_however_it_is_written() {
        let machine = Machine::new();
        let inside = format!("{ROOT}/secrets\0.evil").into_bytes();
        let behind = format!("{ROOT}/secrets\0").into_bytes();
        let says = ["forbidden path ", "secrets\\u{0}", "contains a NUL byte"];
        let listed = forge::text(&forge::manifest(&ENTRIES[..1]));
        for (label, tar) in [
            (
                "pax",
                good().pax(&[("path", &inside)]).entry("x", b"x").clone(),
            ),
            (
                "a GNU long name",
                good().gnu_long_name(&inside).entry("x", b"x").clone(),
            ),
            (
                "pax, at the end",
                Tar::packed(&listed, &[])
                    .pax(&[("path", &behind)])
                    .entry("x", ENTRIES[0].1)
                    .clone(),
            ),
            (
                "two at the end of a GNU long name",
                Tar::packed(&listed, &[])
                    .gnu_long_name(&[&behind[..], b"\0"].concat())
                    .entry("x", ENTRIES[0].1)
                    .clone(),
            ),
        ] {
            check(&machine, label, &tar.gzip(), refused(&says));
        }
    }

    #[test]
    fn a_hostile_path_in_the_manifest_is_refused_although_the_tar_agrees() {
        let machine = Machine::new();
        let outside = machine.path("evil").display().to_string();
        for (path, says) in [
            (outside.as_str(), "is an absolute path"),
            ("../evil", "climbs out of its folder"),
            ("a/../../evil", "climbs out of its folder"),
            ("a\\..\\..\\evil", "climbs out of its folder"),
            ("C:\\evil", "starts with a drive letter"),
            ("a//evil", "has an empty or `.` component"),
            ("./evil", "has an empty or `.` component"),
            ("evil/", "has an empty or `.` component"),
            ("ev\0il", "contains a NUL byte"),
            ("", "is empty"),
            (&"a".repeat(1025), "is longer than 1024 bytes"),
            ("manifest.json", "is the manifest's own"),
        ] {
            let content: &[u8] = b"evil";
            let mut manifest = forge::manifest(&[("secrets", content)]);
            manifest["files"]["secrets"]["path"] = json!(path);
            let tar = Tar::packed(&forge::text(&manifest), &[])
                .file(format!("{ROOT}/{path}"), content)
                .clone();
            check(
                &machine,
                &format!("path {path:?}"),
                &tar.gzip(),
                refused(&["manifest.json entry secrets: its path", says]),
            );
            let mut manifest = forge::manifest(&[(path, content)]);
            manifest["files"][path]["path"] = json!("secrets");
            let tar = Tar::packed(&forge::text(&manifest), &[("secrets", content)]);
            check(
                &machine,
                &format!("name {path:?}"),
                &tar.gzip(),
                refused(&["manifest.json entry ", "its name", says]),
            );
        }
    }

    #[test]
    fn links_and_special_files_are_refused() {
        let machine = Machine::new();
        let victim = machine.path("etc/config.toml").display().to_string();
        let path = format!("{ROOT}/evil");
        let sparse: &[(&str, &[u8])] = &[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.realsize", b"1000000"),
            ("GNU.sparse.name", b"secrets"),
        ];
        let old_sparse: &[(&str, &[u8])] = &[
            ("GNU.sparse.size", b"1000000"),
            ("GNU.sparse.numblocks", b"0"),
        ];
        for (label, tar, says) in [
            (
                "a symbolic link",
                good().link(&path, EntryType::Symlink, &victim).clone(),
                "is a symbolic link",
            ),
            (
                "a symbolic link that climbs",
                good().link(&path, EntryType::Symlink, "../../..").clone(),
                "is a symbolic link",
            ),
            (
                "a hard link",
                good().link(&path, EntryType::Link, &victim).clone(),
                "is a hard link",
            ),
            (
                "a hard link to an entry",
                good()
                    .link(&path, EntryType::Link, &format!("{ROOT}/secrets"))
                    .clone(),
                "is a hard link",
            ),
            (
                "a character device",
                good().member(&path, EntryType::Char, b"").clone(),
                "is a character device",
            ),
            (
                "a block device",
                good().member(&path, EntryType::Block, b"").clone(),
                "is a block device",
            ),
            (
                "a fifo",
                good().member(&path, EntryType::Fifo, b"").clone(),
                "is a fifo",
            ),
            (
                "a contiguous file",
                good().member(&path, EntryType::Continuous, b"x").clone(),
                "is of an unknown kind",
            ),
            (
                "an unknown kind",
                good().member(&path, EntryType::new(b'Z'), b"x").clone(),
                "is of an unknown kind",
            ),
            (
                "a volume's name",
                good().member(&path, EntryType::new(b'V'), b"").clone(),
                "is of an unknown kind",
            ),
            (
                "a GNU sparse file",
                good().member(&path, EntryType::GNUSparse, b"x").clone(),
                "is a sparse file",
            ),
            (
                "a pax sparse file 1.0",
                good().pax(sparse).file(&path, b"0\n").clone(),
                "is a sparse file",
            ),
            (
                "a pax sparse file 0.0",
                good().pax(old_sparse).file(&path, b"").clone(),
                "is a sparse file",
            ),
        ] {
            check(
                &machine,
                label,
                &tar.gzip(),
                refused(&["forbidden kind of file: ", "/evil", says]),
            );
        }
    }

    #[test]
    fn a_link_in_the_place_of_a_listed_entry_or_of_the_root_is_refused() {
        let machine = Machine::new();
        let listed = forge::text(&forge::manifest(&ENTRIES));
        let victim = machine.path("etc").display().to_string();
        let says = ["forbidden kind of file: ", "is a symbolic link"];
        let entry = Tar::packed(&listed, &[])
            .link(
                &format!("{ROOT}/secrets"),
                EntryType::Symlink,
                "/etc/passwd",
            )
            .entries(&ENTRIES)
            .clone();
        check(&machine, "then the entry", &entry.gzip(), refused(&says));
        let instead = Tar::packed(&listed, &ENTRIES[1..])
            .link(
                &format!("{ROOT}/secrets"),
                EntryType::Symlink,
                "/etc/passwd",
            )
            .clone();
        check(
            &machine,
            "instead of the entry",
            &instead.gzip(),
            refused(&[says[0], says[1], "missing: the manifest lists secrets"]),
        );
        let root = Tar::new()
            .link(ROOT, EntryType::Symlink, &victim)
            .entry("manifest.json", &listed)
            .entries(&ENTRIES)
            .clone();
        check(
            &machine,
            "instead of the root",
            &root.gzip(),
            refused(&says),
        );
        let manifest = Tar::new()
            .folder(&format!("{ROOT}/"))
            .link(
                &format!("{ROOT}/manifest.json"),
                EntryType::Symlink,
                "/etc/passwd",
            )
            .entries(&ENTRIES)
            .clone();
        check(
            &machine,
            "instead of the manifest",
            &manifest.gzip(),
            refused(&[]),
        );
    }

    #[test]
    fn a_second_root_folder_is_refused() {
        let machine = Machine::new();
        for (label, tar, says) in [
            (
                "a folder",
                good().folder("other/").clone(),
                vec!["second root folder: other/ lies outside "],
            ),
            (
                "a file in it",
                good().file("other/secrets", b"x").clone(),
                vec!["second root folder: other/secrets lies outside "],
            ),
            (
                "with a manifest of its own",
                good().file("other/manifest.json", b"{}").clone(),
                vec!["second root folder: other/manifest.json lies outside "],
            ),
            (
                "a name that begins alike",
                good().file(format!("{ROOT}2/secrets"), b"x").clone(),
                vec!["second root folder: ", "2/secrets lies outside "],
            ),
            (
                "a file outside",
                good().file("evil", b"x").clone(),
                vec!["evil lies outside "],
            ),
            (
                "a file outside, with a dot",
                good().file("./evil", b"x").clone(),
                vec!["evil lies outside "],
            ),
            (
                "a file outside, first",
                Tar::new().file("evil", b"x").raw(&good().bytes()).clone(),
                vec!["evil: it lies outside a root folder"],
            ),
            (
                "the root is a file",
                Tar::new().file(ROOT, b"x").raw(&good().bytes()).clone(),
                vec!["it lies outside a root folder"],
            ),
        ] {
            check(&machine, label, &tar.gzip(), refused(&says));
        }
    }

    #[test]
    fn no_root_folder_at_all_is_refused() {
        let machine = Machine::new();
        let mut tar = Tar::new();
        tar.file("manifest.json", &forge::text(&forge::manifest(&ENTRIES)));
        for (name, content) in ENTRIES {
            tar.file(name, content);
        }
        check(
            &machine,
            "no root",
            &tar.gzip(),
            refused(&["manifest.json", "lies outside a root folder"]),
        );
    }

    #[test]
    fn a_manifest_that_is_not_there_is_named() {
        let machine = Machine::new();
        let listed = forge::text(&forge::manifest(&ENTRIES));
        let none = Tar::new().folder(ROOT).entries(&ENTRIES).clone();
        let below = Tar::new()
            .folder(ROOT)
            .entry("sub/manifest.json", &listed)
            .entries(&ENTRIES)
            .clone();
        let folder = Tar::new()
            .folder(ROOT)
            .folder(&format!("{ROOT}/manifest.json/"))
            .entries(&ENTRIES)
            .clone();
        for (label, tar) in [
            ("none", none),
            ("in a folder", below),
            ("a folder", folder),
            ("nothing but a folder", Tar::new().folder(ROOT).clone()),
        ] {
            check(
                &machine,
                label,
                &tar.gzip(),
                refused(&["no manifest.json in its root folder"]),
            );
        }
    }

    #[test]
    fn a_damaged_tar_is_refused() {
        let machine = Machine::new();
        let whole = good().ended();
        let header = |edit: &dyn Fn(&mut tar::Header)| {
            let mut header = tar::Header::new_gnu();
            header
                .set_path(format!("{ROOT}/evil"))
                .expect("a good path");
            header.set_size(0);
            header.set_mode(0o644);
            edit(&mut header);
            good().raw_header(header).ended()
        };
        let mut bad_sum = whole.clone();
        bad_sum[148..154].copy_from_slice(b"000001");
        let mut no_sum = whole.clone();
        no_sum[148..156].fill(b'x');
        let pax = |content: &[u8]| {
            good()
                .member("pax", EntryType::XHeader, content)
                .entry("secrets2", b"")
                .ended()
        };
        for (label, tar, says) in [
            (
                "a wrong checksum",
                bad_sum,
                "a header does not match its checksum",
            ),
            (
                "no checksum",
                no_sum,
                "a header does not match its checksum",
            ),
            (
                "no closing blocks",
                good().bytes(),
                "it ends without its two closing blocks",
            ),
            (
                "one closing block",
                whole[..whole.len() - 512].to_vec(),
                "it ends without its two closing blocks",
            ),
            (
                "half a closing block",
                whole[..whole.len() - 100].to_vec(),
                "it ends without its two closing blocks",
            ),
            (
                "a block of zeros among the members",
                good().raw(&[0; 512]).raw(&good().bytes()).ended(),
                "a single block of zeros stands among its members",
            ),
            (
                "a second tar behind the end",
                [whole.clone(), whole.clone()].concat(),
                "something follows its closing blocks",
            ),
            (
                "a byte behind the end",
                [&whole[..], b"x"].concat(),
                "something follows its closing blocks",
            ),
            (
                "a byte far behind the end",
                [&whole[..], &[0; 20_000], b"x"].concat(),
                "something follows its closing blocks",
            ),
            (
                "a size that is not a number",
                header(&|header| header.as_old_mut().size = *b"zzzzzzzzzzz\0"),
                "a header states no size",
            ),
            (
                "a negative size",
                header(&|header| header.as_old_mut().size = [0xff; 12]),
                "a header states ",
            ),
            (
                "a size of 2^63",
                header(&|header| {
                    header.as_old_mut().size = [0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0]
                }),
                "a header states ",
            ),
            (
                "a size of 2^61",
                header(&|header| {
                    header.as_old_mut().size = [0x80, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0]
                }),
                "a header states an absurd size",
            ),
            (
                "a pax record without an end",
                pax(b"30 path=evil"),
                "a pax record is malformed",
            ),
            (
                "a pax record that is not a record",
                pax(b"evil\n"),
                "a pax record is malformed",
            ),
            (
                "a pax record with a length of zero",
                pax(b"0 path=evil\n"),
                "a pax record is malformed",
            ),
            (
                "a pax record that states no size",
                pax(b"11 size=-1\n"),
                "a pax record states no size",
            ),
            (
                "an absurd pax size",
                pax(&forge::pax_record("size", b"18446744073709551615")),
                "a header states an absurd size",
            ),
            (
                "a pax header for nothing",
                good().pax(&[("path", b"evil")]).ended(),
                "an extension record describes nothing",
            ),
            (
                "a GNU long name for nothing",
                good().gnu_long_name(b"evil\0").ended(),
                "an extension record describes nothing",
            ),
            (
                "content that is not there",
                good()
                    .header(
                        format!("{ROOT}/evil").as_bytes(),
                        EntryType::Regular,
                        1 << 20,
                    )
                    .bytes(),
                "it ends in the middle of a file",
            ),
        ] {
            check(
                &machine,
                label,
                &gzip(&tar),
                refused(&["damaged tar: ", says]),
            );
        }
    }
}

/// Small files that would inflate to much. Each run may take as long as a slow machine needs for an ordinary archive,
/// and no more memory than [`MEMORY_KIB`].
mod bombs {
    use super::*;

    /// Of the address space of the whole process (RLIMIT_AS, as `ulimit -v` sets it), which bounds the resident set
    /// from above: code, stacks, heap and buffers together.
    const MEMORY_KIB: u32 = 64 << 10;
    const TIME: Duration = Duration::from_secs(20);

    fn bounded(machine: &Machine, memory_kib: u32, arguments: &[&str], input: &[u8]) -> Run {
        let program = machine.command();
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("ulimit -v {memory_kib} && exec \"$@\""))
            .arg("sh")
            .arg(program.get_program())
            .args(program.get_args())
            .args(arguments);
        for (variable, value) in program.get_envs() {
            match value {
                Some(value) => command.env(variable, value),
                None => command.env_remove(variable),
            };
        }
        command.current_dir(program.get_current_dir().expect("a folder"));
        let begun = Instant::now();
        let run = finish(command, input);
        assert!(
            begun.elapsed() < TIME,
            "{arguments:?} took {:?}",
            begun.elapsed()
        );
        run
    }

    #[track_caller]
    fn check(label: &str, archive: &[u8], says: &[&str]) {
        check_within(MEMORY_KIB, label, archive, says);
    }

    #[track_caller]
    fn check_within(memory_kib: u32, label: &str, archive: &[u8], says: &[&str]) {
        assert!(archive.len() < 3 << 20, "{label}: {} bytes", archive.len());
        let machine = Machine::new();
        machine.write("out/bomb.tar.gz", archive, 0o600);
        let before = tree(&machine.path(""));
        let import = bounded(&machine, memory_kib, &["import", "bomb.tar.gz"], b"");
        expect(label, &import, &import.stderr, refused(says));
        let stream = bounded(&machine, memory_kib, &["import", "-"], archive);
        expect(label, &stream, &stream.stderr, refused(says));
        let verify = bounded(
            &machine,
            memory_kib,
            &["verify", "--json", "bomb.tar.gz"],
            b"",
        );
        expect(label, &verify, &faults(&verify), refused(says));
        assert!(
            tree(&machine.path("")) == before,
            "{label}: something changed on the machine"
        );
    }

    /// Returns gzip members of `before`, of 1 GiB of zeros, and of `after`.
    fn around_zeros(before: &Tar, after: &Tar) -> Vec<u8> {
        [
            gzip(&before.bytes()),
            gzip_zeros(1024),
            gzip(&after.ended()),
        ]
        .concat()
    }

    const GIB: u64 = 1 << 30;

    #[test]
    fn a_good_archive_is_imported_within_the_same_bounds() {
        let machine = Machine::new();
        machine.export("good.tar.gz");
        bounded(&machine, MEMORY_KIB, &["import", "good.tar.gz"], b"").exits(0);
        machine.write("out/foreign.tar.gz", Tar::good(&ENTRIES).gzip(), 0o600);
        bounded(&machine, MEMORY_KIB, &["verify", "foreign.tar.gz"], b"").exits(0);
    }

    #[test]
    fn an_entry_that_is_larger_than_it_should_be_costs_nothing() {
        let listed = forge::text(&forge::manifest(&ENTRIES));
        let before = Tar::packed(&listed, &[])
            .header(
                format!("{ROOT}/secrets").as_bytes(),
                EntryType::Regular,
                GIB,
            )
            .clone();
        let after = Tar::new().entries(&ENTRIES[1..]).clone();
        check(
            "a listed entry",
            &around_zeros(&before, &after),
            &["size mismatch for file secrets: expected 18 bytes, got 1073741824"],
        );
    }

    #[test]
    fn an_unlisted_entry_costs_nothing() {
        let before = Tar::good(&ENTRIES)
            .header(format!("{ROOT}/evil").as_bytes(), EntryType::Regular, GIB)
            .clone();
        let says = [
            "unlisted: the manifest does not list evil",
            "the archive inflates to more than the 51 bytes",
        ];
        check("at the end", &around_zeros(&before, &Tar::new()), &says);
        let listed = forge::text(&forge::manifest(&ENTRIES));
        let before = Tar::packed(&listed, &[])
            .header(format!("{ROOT}/evil").as_bytes(), EntryType::Regular, GIB)
            .clone();
        check(
            "before the others",
            &around_zeros(&before, Tar::new().entries(&ENTRIES)),
            &says,
        );
    }

    #[test]
    fn a_special_file_with_content_costs_nothing() {
        for kind in [EntryType::GNUSparse, EntryType::new(b'Z')] {
            let before = Tar::good(&ENTRIES)
                .header(format!("{ROOT}/evil").as_bytes(), kind, GIB)
                .clone();
            check(
                "a special file",
                &around_zeros(&before, &Tar::new()),
                &["forbidden kind of file: "],
            );
        }
        let folder = Tar::good(&ENTRIES)
            .header(format!("{ROOT}/evil/").as_bytes(), EntryType::Regular, GIB)
            .clone();
        check(
            "a folder with content",
            &around_zeros(&folder, &Tar::new()),
            &["the archive inflates to more than the 51 bytes"],
        );
    }

    #[test]
    fn an_extension_record_without_measure_costs_nothing() {
        for kind in [
            EntryType::XHeader,
            EntryType::XGlobalHeader,
            EntryType::GNULongName,
            EntryType::GNULongLink,
        ] {
            let says = ["damaged tar: an extension record is larger than 1 MiB"];
            let behind = Tar::good(&ENTRIES).header(b"ext", kind, GIB).clone();
            check(
                &format!("{kind:?} behind"),
                &around_zeros(&behind, Tar::new().entry("x", b"")),
                &says,
            );
            let first = Tar::new().header(b"ext", kind, GIB).clone();
            check(
                &format!("{kind:?} first"),
                &around_zeros(&first, &Tar::good(&ENTRIES)),
                &says,
            );
        }
    }

    #[test]
    fn extension_records_without_number_cost_nothing() {
        let mut tar = Tar::good(&ENTRIES);
        let megabyte = gzip(
            Tar::new()
                .member("ext", EntryType::XGlobalHeader, &vec![b'\n'; 1 << 20])
                .raw(&[])
                .bytes()
                .as_slice(),
        );
        let records = megabyte.repeat(500);
        let bomb = [
            gzip(&tar.bytes()),
            records,
            gzip(&tar.entry("x", b"").ended()),
        ]
        .concat();
        check(
            "500 records of 1 MiB",
            &bomb,
            &["the archive inflates to more than the 51 bytes"],
        );
    }

    #[test]
    fn a_manifest_without_measure_costs_nothing() {
        let before = Tar::new()
            .folder(ROOT)
            .header(
                format!("{ROOT}/manifest.json").as_bytes(),
                EntryType::Regular,
                GIB,
            )
            .clone();
        let after = Tar::new().entries(&ENTRIES).clone();
        check(
            "1 GiB",
            &around_zeros(&before, &after),
            &["manifest.json is larger than 67108864 bytes"],
        );
        let mut before = Tar::good(&ENTRIES);
        before.header(
            format!("{ROOT}/manifest.json").as_bytes(),
            EntryType::Regular,
            GIB,
        );
        check(
            "the second",
            &around_zeros(&before, &Tar::new()),
            &["duplicate: ", "manifest.json stands in the archive twice"],
        );
    }

    #[test]
    fn whatever_lies_before_a_manifest_that_comes_last_costs_nothing() {
        let before = Tar::new()
            .header(format!("{ROOT}/evil").as_bytes(), EntryType::Regular, GIB)
            .clone();
        check(
            "a manifest last",
            &around_zeros(&before, &Tar::good(&ENTRIES)),
            &["evil"],
        );
        check(
            "no manifest",
            &around_zeros(&before, &Tar::new()),
            &["no manifest.json in its root folder"],
        );
    }

    #[test]
    fn zeros_behind_the_end_cost_nothing() {
        let ended = gzip(&Tar::good(&ENTRIES).ended());
        let bomb = [ended, gzip_zeros(1024)].concat();
        check(
            "zeros behind the end",
            &bomb,
            &["the archive inflates to more than the 51 bytes"],
        );
    }

    #[test]
    fn zeros_from_one_single_gzip_member_cost_nothing() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        let zeros = vec![0; 16 << 20];
        std::io::Write::write_all(&mut encoder, &Tar::good(&ENTRIES).ended())
            .expect("written to memory");
        for _ in 0..16 {
            std::io::Write::write_all(&mut encoder, &zeros).expect("written to memory");
        }
        let bomb = encoder.finish().expect("written to memory");
        check(
            "256 MiB in one member",
            &bomb,
            &["the archive inflates to more than the 51 bytes"],
        );
    }

    #[test]
    fn members_without_content_and_without_number_cost_nothing() {
        let empty = gzip(b"").repeat(100_000);
        let bomb = [
            gzip(&Tar::good(&ENTRIES).bytes()),
            empty.clone(),
            gzip(b"x"),
        ]
        .concat();
        check("100,000 empty members", &bomb, &["damaged tar: "]);
        check(
            "100,000 empty members behind the end, then text",
            &[Tar::good(&ENTRIES).gzip(), empty, b"x".to_vec()].concat(),
            &["bytes after the end: "],
        );
    }

    #[test]
    fn a_gzip_header_without_measure_costs_nothing() {
        let name = [
            &[0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 255][..],
            &vec![b'a'; 2 << 20],
            &[0, 3, 0],
        ]
        .concat();
        check("a file name of 2 MiB", &name, &["damaged: gzip member 0"]);
    }

    #[test]
    fn folders_without_number_cost_nothing() {
        let many = Tar::new()
            .folder(&format!("{ROOT}/a/"))
            .bytes()
            .repeat(4096);
        let bomb = [
            gzip(&Tar::good(&ENTRIES).bytes()),
            gzip(&many).repeat(100),
            gzip(&[0; 1024]),
        ]
        .concat();
        check(
            "400,000 folders",
            &bomb,
            &["the archive inflates to more than the 51 bytes"],
        );
    }

    #[test]
    fn faults_without_number_cost_nothing_and_are_counted() {
        let evil = Tar::new().file(format!("{ROOT}/evil"), b"").bytes();
        let many = gzip(
            &[
                Tar::good(&ENTRIES).bytes(),
                evil.repeat(7000),
                vec![0; 1024],
            ]
            .concat(),
        );
        check(
            "7000 unlisted entries",
            &many,
            &["unlisted: the manifest does not list evil"],
        );
        let machine = Machine::new();
        machine.write("out/many", &many, 0o600);
        let run = machine.run(&["verify", "--json", "many"]).exits(13);
        let count = run.json()["archives"][0]["faults"]
            .as_array()
            .expect("a list")
            .len();
        assert!((100..=102).contains(&count), "{count} faults");
    }

    #[test]
    fn long_names_without_number_cost_nothing() {
        let mut tar = Tar::good(&ENTRIES);
        let long = vec![b'a'; 1_000_000];
        for _ in 0..60 {
            tar.pax(&[("path", &long)])
                .link("evil", EntryType::Symlink, "x");
        }
        check("60 names of 1 MB", &gzip(&tar.ended()), &["forbidden"]);
    }

    /// A manifest is read as a whole, and may have 64 MiB: four times that must suffice. Two bytes of JSON for each
    /// number would make dozens of bytes in memory in a tree of values.
    #[test]
    fn a_manifest_of_many_small_values_costs_no_more_than_a_large_one() {
        let numbers = "0,".repeat(30 << 20);
        for manifest in [
            format!("{{\"version\":\"1.1\",\"x\":[{numbers}0]}}"),
            format!("[{numbers}0]"),
        ] {
            let bomb = Tar::packed(manifest.as_bytes(), &ENTRIES).gzip();
            check_within(256 << 10, "60 MiB of numbers", &bomb, &["manifest.json "]);
        }
    }
}

mod manifest {
    use super::*;

    /// The good manifest as text, in which a test replaces something.
    fn good() -> String {
        forge::manifest(&ENTRIES).to_string()
    }

    fn packed(manifest: &str) -> Vec<u8> {
        Tar::packed(manifest.as_bytes(), &ENTRIES).gzip()
    }

    #[track_caller]
    fn check_replaced(machine: &Machine, from: &str, to: &str, refusal: Refusal<'_>) {
        let text = good().replacen(from, to, 1);
        assert_ne!(text, good(), "{from}");
        check(
            machine,
            &format!("{from} became {to}"),
            &packed(&text),
            refusal,
        );
    }

    #[test]
    fn a_manifest_that_is_no_json_object_is_refused() {
        let machine = Machine::new();
        let deep = "[".repeat(100_000);
        for (text, says) in [
            ("", "manifest.json is not JSON"),
            ("hello", "manifest.json is not JSON"),
            (&good()[1..], "manifest.json is not JSON"),
            (&good()[..good().len() - 1], "manifest.json is not JSON"),
            (&format!("{}x", good()), "manifest.json is not JSON"),
            (&format!("{0}{0}", good()), "manifest.json is not JSON"),
            (&format!("{}\0", good()), "manifest.json is not JSON"),
            (&format!("\u{feff}{}", good()), "manifest.json is not JSON"),
            (&good().replace('"', "'"), "manifest.json is not JSON"),
            (
                &good().replacen("\"size\":18", "\"size\":NaN", 1),
                "manifest.json is not JSON",
            ),
            (
                &good().replacen("\"size\":18", "\"size\":018", 1),
                "manifest.json is not JSON",
            ),
            (
                &good().replacen("\"size\":18", "\"size\":+18", 1),
                "manifest.json is not JSON",
            ),
            (&deep, "manifest.json is not JSON"),
            ("[]", "manifest.json is not a JSON object"),
            ("null", "manifest.json is not a JSON object"),
            ("\"1.0\"", "manifest.json is not a JSON object"),
        ] {
            let label: String = text.chars().take(40).collect();
            check(&machine, &label, &packed(text), refused(&[says]));
        }
        let latin = Tar::packed(
            &[b"{\"version\":\"\xe4\"}".as_slice(), b""].concat(),
            &ENTRIES,
        )
        .gzip();
        check(
            &machine,
            "not UTF-8",
            &latin,
            refused(&["manifest.json is not JSON"]),
        );
    }

    #[test]
    fn each_key_that_is_missing_is_named() {
        let machine = Machine::new();
        for key in ["version", "created_at", "hookshot_version", "files"] {
            let mut manifest = forge::manifest(&ENTRIES);
            manifest.as_object_mut().expect("an object").remove(key);
            let says = format!("manifest.json the key `{key}` is missing");
            check(
                &machine,
                key,
                &packed(&manifest.to_string()),
                refused(&[&says]),
            );
        }
        for key in ["path", "checksum", "size"] {
            let mut manifest = forge::manifest(&ENTRIES);
            let file = &mut manifest["files"]["secrets"];
            file.as_object_mut().expect("an object").remove(key);
            let says = format!("manifest.json entry secrets: the key `{key}` is missing");
            check(
                &machine,
                key,
                &packed(&manifest.to_string()),
                refused(&[&says]),
            );
        }
    }

    #[test]
    fn each_value_that_no_manifest_may_have_is_named() {
        let machine = Machine::new();
        let digest = forge::digest(ENTRIES[0].1);
        let size = "manifest.json entry secrets: `size` must be a number of bytes";
        let checksum = "manifest.json entry secrets: `checksum` must be 64 hex characters";
        let version = "manifest.json `version` must be a version";
        let writer = "manifest.json `hookshot_version` must be a semantic version";
        let time = "manifest.json `created_at` must be a time in Unix seconds";
        for (from, to, says) in [
            ("\"size\":18", "\"size\":-18", size),
            ("\"size\":18", "\"size\":18.0", size),
            ("\"size\":18", "\"size\":18.5", size),
            ("\"size\":18", "\"size\":1.8e1", size),
            ("\"size\":18", "\"size\":\"18\"", size),
            ("\"size\":18", "\"size\":null", size),
            ("\"size\":18", "\"size\":true", size),
            ("\"size\":18", "\"size\":[18]", size),
            ("\"size\":18", "\"size\":1152921504606846977", size),
            ("\"size\":18", "\"size\":18446744073709551615", size),
            ("\"size\":18", "\"size\":18446744073709551634", size),
            ("\"size\":18", "\"size\":1e30", size),
            (&digest, &digest[1..], checksum),
            (&digest, &format!("{digest}0"), checksum),
            (&digest, "", checksum),
            (&digest, &format!("g{}", &digest[1..]), checksum),
            (&digest, &format!("0x{}", &digest[2..]), checksum),
            (&digest, &format!("sha256:{digest}"), checksum),
            (&digest, &format!(" {}", &digest[1..]), checksum),
            (&digest, &"é".repeat(32), checksum),
            (&format!("\"{digest}\""), "0", checksum),
            (&format!("\"{digest}\""), "null", checksum),
            ("\"version\":\"1.0\"", "\"version\":\"one\"", version),
            ("\"version\":\"1.0\"", "\"version\":\"1\"", version),
            ("\"version\":\"1.0\"", "\"version\":\"1.0.0\"", version),
            ("\"version\":\"1.0\"", "\"version\":\"v1.0\"", version),
            ("\"version\":\"1.0\"", "\"version\":\"-1.0\"", version),
            (
                "\"version\":\"1.0\"",
                "\"version\":\"1.99999999999\"",
                version,
            ),
            ("\"version\":\"1.0\"", "\"version\":\"\"", version),
            ("\"version\":\"1.0\"", "\"version\":1.0", version),
            ("\"version\":\"1.0\"", "\"version\":null", version),
            ("\"0.0.1\"", "\"latest\"", writer),
            ("\"0.0.1\"", "\"0.1\"", writer),
            ("\"0.0.1\"", "\"\"", writer),
            ("\"0.0.1\"", "1", writer),
            ("1738252822", "-1", time),
            ("1738252822", "1738252822.5", time),
            ("1738252822", "\"1738252822\"", time),
            ("1738252822", "253402300800", time),
            ("1738252822", "1e300", time),
            (
                "\"path\":\"secrets\"",
                "\"path\":7",
                "manifest.json entry secrets: `path` must be a string",
            ),
            (
                "\"size\":18",
                "\"size\":18,\"mode\":\"0999\"",
                "manifest.json entry secrets: `mode` must be an octal string",
            ),
            (
                "\"size\":18",
                "\"size\":18,\"mode\":\"10000\"",
                "manifest.json entry secrets: `mode` must be an octal string",
            ),
            (
                "\"size\":18",
                "\"size\":18,\"uid\":-1",
                "manifest.json entry secrets: `uid` must be a number",
            ),
            (
                "\"size\":18",
                "\"size\":18,\"uid\":4294967295",
                "manifest.json entry secrets: `uid` must be a number",
            ),
            (
                "\"size\":18",
                "\"size\":18,\"snapshot\":1",
                "manifest.json entry secrets: `snapshot` must be an object",
            ),
        ] {
            check_replaced(&machine, from, to, refused(&[says]));
        }
        for (label, files) in [
            ("a list", json!([])),
            ("null", Value::Null),
            ("text", json!("secrets")),
        ] {
            let mut manifest = forge::manifest(&ENTRIES);
            manifest["files"] = files;
            check(
                &machine,
                label,
                &packed(&manifest.to_string()),
                refused(&["manifest.json `files` must be an object"]),
            );
        }
        let mut manifest = forge::manifest(&ENTRIES);
        manifest["files"]["secrets"] = json!("secrets");
        check(
            &machine,
            "a text",
            &packed(&manifest.to_string()),
            refused(&["manifest.json entry secrets: is not an object"]),
        );
    }

    #[test]
    fn a_key_that_stands_twice_is_refused_at_any_depth() {
        let machine = Machine::new();
        let secrets = forge::manifest(&ENTRIES)["files"]["secrets"].to_string();
        for (from, to) in [
            ("\"version\":", "\"version\":\"1.0\",\"version\":"),
            (
                "\"created_at\":",
                "\"created_at\":1738252822,\"created_at\":",
            ),
            ("\"files\":{", "\"files\":{},\"files\":{"),
            (
                "\"files\":{",
                &format!("\"files\":{{\"secrets\":{secrets},"),
            ),
            ("\"size\":18", "\"size\":18,\"size\":18"),
            ("\"size\":18", "\"size\":18,\"s\\u0069ze\":18"),
            (
                "\"path\":\"secrets\"",
                "\"path\":\"services.toml\",\"path\":\"secrets\"",
            ),
            ("\"size\":18", "\"size\":18,\"later\":[{\"x\":1,\"x\":2}]"),
            ("\"version\":", "\"unknown\":1,\"unknown\":2,\"version\":"),
        ] {
            check_replaced(
                &machine,
                from,
                to,
                refused(&["manifest.json is not JSON: ", "twice"]),
            );
        }
    }

    #[test]
    fn entries_that_would_be_one_file_are_refused() {
        let machine = Machine::new();
        let mut same = forge::manifest(&ENTRIES);
        same["files"]["services.toml"]["path"] = json!("secrets");
        let says = ["manifest.json entries secrets and services.toml have the same path secrets"];
        check(
            &machine,
            "the same path",
            &packed(&same.to_string()),
            refused(&says),
        );
        let content: &[u8] = b"x";
        let entries = [("a", content), ("a.b", content), ("a/b", content)];
        let below = Tar::good(&entries).gzip();
        check(
            &machine,
            "below one another",
            &below,
            refused(&["manifest.json a is both an entry and the folder of a/b"]),
        );
    }

    #[test]
    fn more_than_the_limits_is_refused() {
        let machine = Machine::new();
        let files: Vec<String> = (0..=1_000_000)
            .map(|number| format!("\"{number}\":0"))
            .collect();
        let many = good().replacen(
            "\"files\":{",
            &format!("\"files\":{{{},", files.join(",")),
            1,
        );
        let said = refusal_of(&packed(&many), true).expect("refused");
        assert!(
            said.contains("manifest.json lists more than 1000000 entries"),
            "{said}"
        );
        let large = format!("{}{}", " ".repeat(64 << 20), good());
        check(
            &machine,
            "64 MiB and a manifest",
            &packed(&large),
            refused(&["manifest.json is larger than 67108864 bytes"]),
        );
    }

    #[test]
    fn every_fault_of_a_manifest_is_named() {
        let machine = Machine::new();
        let text = good()
            .replace("\"size\":18", "\"size\":-1")
            .replace("\"0.0.1\"", "1")
            .replace("1738252822", "\"now\"")
            .replace(&forge::digest(ENTRIES[1].1), "x");
        let says = [
            "entry secrets: `size` must be",
            "`hookshot_version` must be",
            "`created_at` must be",
            "entry services.toml: `checksum` must be",
        ];
        check(&machine, "four faults", &packed(&text), refused(&says));
    }

    #[test]
    fn another_format_version_is_its_own_exit_code() {
        let machine = Machine::new();
        for version in ["2.0", "0.9", "10.0", "999999999.0"] {
            let says = format!(
                "version incompatibility: the archive's format {version} cannot be read by this hookshot"
            );
            check_replaced(
                &machine,
                "\"1.0\"",
                &format!("\"{version}\""),
                Refusal {
                    code: 14,
                    says: &[&says],
                },
            );
        }
    }

    #[test]
    fn another_format_version_is_told_although_the_rest_is_unknown() {
        let machine = Machine::new();
        let says =
            ["version incompatibility: the archive's format 2.0 cannot be read by this hookshot"];
        let text = "{\"version\":\"2.0\",\"entries\":[]}";
        check(
            &machine,
            "version 2.0",
            &packed(text),
            Refusal {
                code: 14,
                says: &says,
            },
        );
    }

    #[test]
    fn an_archive_of_another_major_hookshot_is_not_imported() {
        let machine = Machine::new();
        let text = good().replace("\"0.0.1\"", "\"1.0.0\"");
        machine.write("out/other.tar.gz", packed(&text), 0o600);
        let before = tree(&machine.path(""));
        let message = format!(
            "version incompatibility: backup version 1.0.0 cannot be restored to {}",
            env!("CARGO_PKG_VERSION")
        );
        for arguments in [
            &["import", "other.tar.gz"][..],
            &["import", "--force", "other.tar.gz"],
            &["import", "--dry-run", "other.tar.gz"],
        ] {
            machine.run(arguments).exits(14).says(&message);
            assert!(
                tree(&machine.path("")) == before,
                "{arguments:?}: something changed on the machine"
            );
        }
        let report = machine
            .run(&["import", "--json", "other.tar.gz"])
            .exits(14)
            .json();
        assert!(report.to_string().contains(&message), "{report}");
        // What is in it can be looked at all the same.
        machine.run(&["verify", "other.tar.gz"]).exits(0);
    }
}

mod several {
    use super::*;

    #[test]
    fn every_fault_of_an_archive_is_named() {
        let machine = Machine::new();
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
        check(&machine, "eight faults", &tar.gzip(), refused(&says));
        machine.write("out/eight", tar.gzip(), 0o600);
        let report = machine.run(&["verify", "--json", "eight"]).exits(13).json();
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
        let machine = Machine::new();
        let tar = Tar::packed(
            &forge::text(&forge::manifest(&ENTRIES)),
            &[("evil", b"x"), ENTRIES[0]],
        )
        .bytes();
        check(
            &machine,
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
}

/// Thousands of small changes, always the same ones. What is still accepted must be what its manifest says.
mod mutation {
    use super::*;

    const ROUNDS: usize = 4000;

    /// Reads an archive both ways, and says whether it was accepted.
    #[track_caller]
    fn judge(archive: &[u8]) -> bool {
        let accepted = [true, false].map(|seekable| {
            let mut found = forge::Collect::default();
            let Ok(verified) = forge::read(archive, seekable, &mut found) else {
                return false;
            };
            let files = &verified.manifest().files;
            assert_eq!(found.given, files.len(), "each entry is given once");
            for (name, record) in files {
                let content = &found.contents[name.as_str()];
                assert_eq!(content.len() as u64, record.size, "{name}");
                assert_eq!(
                    forge::digest(content),
                    record.checksum.to_string(),
                    "{name}"
                );
            }
            true
        });
        assert_eq!(
            accepted[0], accepted[1],
            "a file and a stream are judged alike"
        );
        accepted[0]
    }

    fn range(rng: &mut Xorshift, bytes: &[u8]) -> std::ops::Range<usize> {
        let start = rng.below(bytes.len());
        let most = if rng.below(4) == 0 { 600 } else { 8 };
        let length = 1 + rng.below(most);
        start..(start + length).min(bytes.len())
    }

    fn mutate(rng: &mut Xorshift, bytes: &mut Vec<u8>) {
        let at = rng.below(bytes.len());
        match rng.below(9) {
            0 => bytes[at] ^= 1 << rng.below(8),
            1 => bytes[at] = rng.next() as u8,
            2 => bytes[at] = [0, 0xff, b'0', b'/', b'.', b'\\'][rng.below(6)],
            3 => {
                let range = range(rng, bytes);
                let noise = rng.bytes(range.len());
                bytes[range].copy_from_slice(&noise);
            }
            4 => drop(bytes.drain(range(rng, bytes))),
            5 => {
                let copy = bytes[range(rng, bytes)].to_vec();
                bytes.splice(at..at, copy);
            }
            6 => {
                let copy = bytes[range(rng, bytes)].to_vec();
                let end = (at + copy.len()).min(bytes.len());
                bytes[at..end].copy_from_slice(&copy[..end - at]);
            }
            7 => {
                let block = rng.below(bytes.len().div_ceil(512)) * 512;
                let end = (block + 512).min(bytes.len());
                let copy = bytes[block..end].to_vec();
                bytes.splice(block..block, copy);
            }
            _ => bytes.truncate(at),
        }
        if bytes.is_empty() {
            bytes.push(0);
        }
    }

    /// Makes the checksums of the headers right again, so that a change gets past them.
    fn mend(tar: &mut [u8]) {
        for block in tar.chunks_exact_mut(512) {
            if block[257..262] == *b"ustar" {
                let mut header = tar::Header::new_ustar();
                header.as_mut_bytes().copy_from_slice(block);
                header.set_cksum();
                block.copy_from_slice(header.as_bytes());
            }
        }
    }

    fn entries() -> [(&'static str, Vec<u8>); 3] {
        [
            (
                "config.toml",
                b"[storage]\ndata_dir = \"/var/lib/hookshot\"\n".to_vec(),
            ),
            ("deep/secrets", Xorshift::new(7).bytes(700)),
            ("empty", Vec::new()),
        ]
    }

    fn archives() -> [Vec<u8>; 3] {
        let owned = entries();
        let entries: Vec<forge::Entry<'_>> = owned
            .iter()
            .map(|(name, content)| (*name, content.as_slice()))
            .collect();
        let last = {
            let mut tar = Tar::new();
            tar.entries(&entries)
                .entry("manifest.json", &forge::text(&forge::manifest(&entries)));
            tar.gzip()
        };
        [forge::written(&entries), Tar::good(&entries).gzip(), last]
    }

    #[test]
    fn no_change_of_an_archive_is_accepted_with_another_content() {
        let mut rng = Xorshift::new(0x6861_726d);
        for archive in archives() {
            assert!(judge(&archive), "the unchanged one is good");
            let mut refusals = 0;
            for _ in 0..ROUNDS / 2 {
                let mut changed = archive.clone();
                for _ in 0..=rng.below(3) {
                    mutate(&mut rng, &mut changed);
                }
                refusals += usize::from(!judge(&changed));
            }
            assert!(refusals > ROUNDS / 2 * 9 / 10, "only {refusals} refused");
        }
    }

    #[test]
    fn no_change_of_the_tar_inside_is_accepted_with_another_content() {
        let mut rng = Xorshift::new(0x7461_7220);
        for archive in archives() {
            let tar = forge::inflate(&archive);
            let mut refusals = 0;
            for round in 0..ROUNDS {
                let mut changed = tar.clone();
                for _ in 0..=rng.below(2) {
                    mutate(&mut rng, &mut changed);
                }
                if round % 2 == 0 {
                    mend(&mut changed);
                }
                refusals += usize::from(!judge(&gzip(&changed)));
            }
            assert!(refusals > ROUNDS / 2, "only {refusals} refused");
            assert!(refusals < ROUNDS, "no change that means nothing was tried");
        }
    }

    fn header() -> impl Strategy<Value = Vec<u8>> {
        let path = prop_oneof![
            Just(format!("{ROOT}/secrets")),
            Just(format!("{ROOT}/manifest.json")),
            Just(format!("{ROOT}/")),
            "[a./\\\\:]{0,9}"
        ];
        let kind = prop_oneof![
            Just(b'0'),
            Just(b'5'),
            Just(b'x'),
            Just(b'L'),
            Just(b'S'),
            any::<u8>()
        ];
        (
            path,
            kind,
            0..1500u64,
            proptest::collection::vec(any::<u8>(), 0..1500),
        )
            .prop_map(|(path, kind, size, content)| {
                Tar::new()
                    .header(path.as_bytes(), EntryType::new(kind), size)
                    .content(&content)
                    .bytes()
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

        #[test]
        fn no_bytes_are_taken_for_an_archive(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
            prop_assert!(!judge(&bytes));
            prop_assert!(!judge(&[&[0x1f, 0x8b, 8, 4][..], &bytes].concat()));
            prop_assert!(!judge(&gzip(&bytes)));
        }

        #[test]
        fn no_headers_are_taken_for_an_archive(tar in proptest::collection::vec(header(), 0..6)) {
            prop_assert!(!judge(&gzip(&[tar.concat(), vec![0; 1024]].concat())));
        }

        #[test]
        fn whatever_stands_behind_an_archive_is_refused(bytes in proptest::collection::vec(any::<u8>(), 1..600)) {
            prop_assert!(!judge(&[&forge::written(&ENTRIES)[..], &bytes].concat()));
            prop_assert!(!judge(&[&Tar::good(&ENTRIES).gzip()[..], &bytes].concat()));
        }

        #[test]
        fn no_manifest_makes_the_reader_panic(text in "\\PC{0,200}|\\{\"(version|files|created_at|hookshot_version)\":[\\[\\]{}\",:0-9a-z.-]{0,80}\\}") {
            prop_assert!(!judge(&Tar::packed(text.as_bytes(), &ENTRIES).gzip()));
        }
    }
}
