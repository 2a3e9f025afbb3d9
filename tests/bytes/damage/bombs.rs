//! Small files that would inflate to much. Each run may take as much processor time as a slow machine needs for an ordinary
//! archive, and no more memory than [`MEMORY_KIB`].

use super::*;

/// Of the address space of the whole process (RLIMIT_AS, as `ulimit -v` sets it), which bounds the resident set
/// from above: code, stacks, heap and buffers together.
const MEMORY_KIB: u32 = 64 << 10;

/// Of the processor (RLIMIT_CPU, as `ulimit -t` sets it): the clock says little on a busy machine.
const SECONDS: u32 = 20;
/// By the clock, for a program that waits and never ends (timeout(1)).
const MINUTES: u32 = 5;

fn bounded(machine: &Machine, memory_kib: u32, arguments: &[&str], input: &[u8]) -> Run {
    let program = machine.command();
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!(
            "ulimit -v {memory_kib} && ulimit -t {SECONDS} && exec timeout {MINUTES}m \"$@\""
        ))
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
    finish(command, input)
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

/// Archives with a listing that is far larger than what a run may take.
mod listings {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;
    use crate::listings::forged::{Forged, LISTING, Packer::Hookshot, begin, file};

    /// The archive of a listing of this size, which begins with some lines and goes on with gzip members.
    fn archive(forged: &mut Forged, bytes: u64, beginning: &[u8], rest: &[u8]) -> Vec<u8> {
        forged.record["size"] = json!(bytes);
        let mut before = Tar::new();
        begin(&mut before, &forged.manifest(), Hookshot);
        before
            .header(
                format!("{ROOT}/{LISTING}").as_bytes(),
                EntryType::Regular,
                bytes,
            )
            .raw(beginning);
        [&gzip(&before.bytes()), rest, &gzip(&Tar::new().ended())].concat()
    }

    #[test]
    fn more_lines_than_are_promised_end_it_at_once() {
        let mut forged = Forged::good();
        let lines = (0..10_000).map(|number| file(&format!("{number:05}"), b"") + "\n");
        let lines: String = lines.collect();
        let archive = archive(&mut forged, GIB, lines.as_bytes(), &gzip_zeros(1024));
        check(
            "lines",
            &archive,
            &["it has more than the 5 files that the manifest says"],
        );
    }

    #[test]
    fn a_line_without_an_end_ends_it_at_once() {
        let mut forged = Forged::good();
        let spaces = gzip(&vec![b' '; 1 << 20]).repeat(1024);
        let archive = archive(&mut forged, GIB, b"", &spaces);
        check("spaces", &archive, &["line 1 is longer than 65536 bytes"]);
    }

    /// A listing of 120 MB, all of whose lines are good and promised.
    #[test]
    fn a_listing_that_is_larger_than_the_memory_is_read_in_it() {
        const LINES: u64 = 4000;
        let mut forged = Forged::of(&[]);
        let filler = "u".repeat(30_000);
        let line = |number: u64| {
            let line = file(&format!("{number:05}"), b"");
            line.replace('}', &format!(r#","comment":"{filler}"}}"#)) + "\n"
        };
        let mut hashing = hookshot::model::digest::Hashing::new(std::io::sink());
        let mut text = GzEncoder::new(Vec::new(), Compression::fast());
        for number in 0..LINES {
            hashing.write_all(line(number).as_bytes()).expect("hashed");
            text.write_all(line(number).as_bytes()).expect("written");
        }
        let (digest, bytes) = hashing.finish();
        let padding = bytes.next_multiple_of(512) - bytes;
        text.write_all(&vec![0; padding as usize]).expect("written");
        let text = text.finish().expect("written");
        forged.record["checksum"] = json!(digest.to_string());
        forged.promise("files", LINES);
        let archive = archive(&mut forged, bytes, b"", &text);
        let says = [
            "missing: the manifest lists data/00000",
            "more files that the listing of data has",
        ];
        check("a good listing", &archive, &says);
    }
}
