//! Damage in gzip: members, their trailers, the index, and what follows the end.

use super::*;

/// A machine with 2.5 MiB of secrets that do not compress, and an archive of it.
fn several_members() -> (Class, Vec<u8>) {
    let class = Class::new();
    let machine = &class.machine;
    machine.write("etc/secrets", Xorshift::new(2).bytes(5 << 19), 0o600);
    machine.export("whole.tar.gz");
    let archive = machine.read("out/whole.tar.gz");
    fs::remove_file(machine.path("out/whole.tar.gz")).expect("removed");
    (class, archive)
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
    let (class, archive) = several_members();
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
        class.check(
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
    let class = Class::new();
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
    class.check(
        "1.1 became 3.1",
        &flipped(&archive, digit, 2),
        refused(&["damaged: gzip member 0"]),
    );
}

#[test]
fn a_flipped_byte_in_the_trailer_of_any_member_is_found() {
    let (class, archive) = several_members();
    for (number, member) in forge::members(&archive).iter().enumerate() {
        let says = format!("damaged: gzip member {number} at byte {}", member.start);
        for at in member.end - 8..member.end {
            for mask in [1, 0x80, 0xff] {
                let said = refusal_of(&flipped(&archive, at, mask), true).expect("refused");
                assert!(said.contains(&says), "byte {at}: {said}");
            }
        }
        let damaged = flipped(&archive, member.end - 8 + number % 8, 0x10);
        class.check(&format!("trailer {number}"), &damaged, refused(&[&says]));
    }
}

#[test]
fn a_flipped_byte_in_the_trailer_of_the_last_member_is_found_by_every_verb() {
    let class = Class::new();
    class.machine.export("whole.tar.gz");
    let archive = class.machine.read("out/whole.tar.gz");
    for at in archive.len() - 8..archive.len() {
        let (label, damaged) = (format!("byte {at}"), flipped(&archive, at, 0xff));
        let refusal = refused(&["damaged: gzip member "]);
        check_with_program(&class.machine, &label, &damaged, refusal);
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
                if !means_nothing && refusal_of(&flipped(&archive, at, 1 << bit), true).is_none() {
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
    let class = Class::new();
    class.machine.export("whole.tar.gz");
    let archive = class.machine.read("out/whole.tar.gz");
    for member in index_of(&archive) {
        // The subfields of this format, behind the header and its size.
        for at in (member.start + 16..member.end)
            .step_by(3)
            .filter(|at| !(26..28).contains(&(at - member.start)))
        {
            let (label, damaged) = (format!("byte {at}"), flipped(&archive, at, 0xff));
            let refusal = refused(&["damaged: gzip member "]);
            check_with_program(&class.machine, &label, &damaged, refusal);
        }
    }
}

#[test]
fn an_index_that_is_wrong_or_gone_is_found() {
    let class = Class::new();
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
    class.check(
        "gone",
        &archive[..whole],
        refused(&["truncated: the index at the end of the archive is missing"]),
    );
    class.check(
        "piece gone",
        &[&archive[..whole], &archive[index[1].clone()]].concat(),
        refused(&["damaged: gzip member", "index"]),
    );
    class.check(
        "swapped",
        &swapped,
        refused(&["damaged: gzip member", "index"]),
    );
    class.check(
        "twice",
        &twice,
        refused(&[
            "damaged: gzip member",
            "follows the last member of the index",
        ]),
    );
    class.check(
        "another archive's",
        &foreign,
        refused(&["the index does not describe this archive"]),
    );
}

#[test]
fn anything_behind_the_end_is_refused() {
    let class = Class::new();
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
            class.check(
                &format!("{what} behind {whose} archive"),
                &joined,
                refused(&[says]),
            );
        }
    }
    class.check(
        "an empty member behind the index",
        &[&own[..], &gzip(b"")].concat(),
        refused(&["follows the last member of the index"]),
    );
    // Bytes between two trailers that both fit: the stated size hides them from a reader that trusts it.
    let size = u32::from_le_bytes(own[16..20].try_into().expect("a size")) as usize;
    let (first, rest) = own.split_at(size);
    let mut hiding = [first, b"hidden", &first[size - 8..], rest].concat();
    hiding[16..20].copy_from_slice(&(size as u32 + 14).to_le_bytes());
    class.check(
        "bytes hidden in a member",
        &hiding,
        refused(&[&format!(
            "a member states a size of {} bytes and has {size}",
            size + 14
        )]),
    );
    class.check(
        "our archive twice",
        &[&own[..], &own[..]].concat(),
        refused(&["a member follows the last member of the index"]),
    );
}

#[test]
fn what_is_no_archive_is_refused_as_such() {
    let class = Class::new();
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
        class.check(label, &bytes, refused(&[says]));
    }
}
