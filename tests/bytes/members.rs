//! Members of an archive: what goes in comes out, for any number of threads, and every fault is found by each of them.

use support::Machine;
use support::bounds;
use support::deflate::{self, MEMBER_BYTES, stored_member};
use support::forge::{self, Collect, ROOT, Tar, Xorshift};

use std::{
    collections::BTreeMap,
    io::{Cursor, Read as _},
    ops::Range,
    process::Stdio,
};

use hookshot::{
    archive::{
        self, Input,
        writer::{self, Level},
    },
    error::{Failure, Kind},
    model::{digest::Digest, entry_name::EntryName, manifest::FileRecord},
    work::Threads,
};
use libdeflater::Decompressor;
use proptest::prelude::*;

type Contents = BTreeMap<EntryName, Vec<u8>>;

fn threads(count: usize) -> Threads {
    Threads::new(count).expect("some")
}

fn write(contents: &Contents, level: Level, count: usize) -> Vec<u8> {
    let record = |(name, content): (&EntryName, &Vec<u8>)| {
        let mut record = FileRecord::new(name.clone(), Digest::of(content), content.len() as u64);
        record.mode = Some(0o600);
        (name.clone(), record)
    };
    let manifest = forge::current(contents.iter().map(record).collect());
    let open = |name: &EntryName| Ok(Cursor::new(contents[name].clone()));
    writer::write(Vec::new(), &manifest, level, threads(count), None, open)
        .expect("an archive")
        .out
}

/// Reads an archive with several numbers of threads, as a file and as a stream; each must find the same content or
/// faults.
#[track_caller]
fn judge(label: &str, archive: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let mut said = None;
    for count in [1, 2, 4] {
        for seekable in [true, false] {
            let bytes = Cursor::new(archive.to_vec());
            let input = if seekable {
                Input::Seekable(Box::new(bytes), tempfile::env::temp_dir().into())
            } else {
                Input::Stream(Box::new(bytes), tempfile::env::temp_dir().into())
            };
            let mut sink = Collect::default();
            let result = match archive::read("archive", input, threads(count), &mut sink) {
                Ok(_) => Ok(sink.contents),
                Err(error) => Err(Failure::of(&error)),
            };
            let all = result.as_ref().map_err(|f| (f.kind, &f.message, &f.faults));
            if let Some(other) = &said {
                let same: &Result<BTreeMap<String, Vec<u8>>, Failure> = other;
                let same = same.as_ref().map_err(|f| (f.kind, &f.message, &f.faults));
                assert!(same == all, "{label}, {count} threads, file: {seekable}");
            } else {
                said = Some(result);
            }
        }
    }
    said.expect("judged")
}

#[track_caller]
fn refused(label: &str, archive: &[u8]) -> String {
    match judge(label, archive) {
        Ok(_) => panic!("accepted: {label}"),
        Err(failure) => {
            assert_eq!(failure.kind, Kind::Refused, "{label}: {failure:?}");
            failure.faults.join("\n")
        }
    }
}

/// Lines that shrink.
fn lines(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = Xorshift::new(seed);
    let mut text = Vec::new();
    while text.len() < bytes {
        text.extend(format!("deployment {} is done\n", random.next_number() % 100_000).bytes());
    }
    text.truncate(bytes);
    text
}

mod any_bytes {
    use super::*;

    /// Sizes on both sides of every border: nothing, tar blocks, members, and anything between.
    fn size() -> impl Strategy<Value = usize> {
        let border = prop_oneof![Just(0), Just(512), Just(2 * SMALLEST_SAMPLED)];
        let around = |size: usize, by: i32| size.saturating_add_signed(by as isize);
        prop_oneof![
            (border, -2..3).prop_map(move |(size, by)| around(size, by)),
            (1..4usize, -2..3).prop_map(move |(count, by)| around(count * MEMBER_BYTES, by)),
            (1..4usize, -2..3).prop_map(move |(count, by)| around(count * MEMBER_BYTES, by * 512)),
            0..1_500_000usize,
        ]
    }

    /// From twice this size on, samples of a block are compressed before the block is.
    const SMALLEST_SAMPLED: usize = 16 << 10;

    fn content() -> impl Strategy<Value = Vec<u8>> {
        (size(), 0..5, 1..u64::MAX).prop_map(|(size, kind, seed)| match kind {
            0 => vec![0; size],
            1 => Xorshift::new(seed).bytes(size),
            2 => lines(seed, size),
            3 => {
                // Noise in one place that is not sampled, and the other way round.
                let mut mixed = lines(seed, size);
                let noise = Xorshift::new(seed).bytes(size / 2);
                mixed[size / 4..][..noise.len()].copy_from_slice(&noise);
                mixed
            }
            _ => (0..size).map(|at| (at % 251) as u8).collect(),
        })
    }

    fn level() -> impl Strategy<Value = Level> {
        prop_oneof![Just(0), Just(1), Just(5), Just(5), Just(8), Just(12)]
            .prop_map(|level| Level::new(level).expect("a level"))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        #[test]
        fn come_back_as_they_were_and_no_number_of_threads_changes_what_is_written(
            raw in proptest::collection::vec(content(), 1..4), level in level(), count in 2..9usize,
        ) {
            let name = |number| EntryName::new(&format!("entry{number}")).expect("a name");
            let contents: Contents = raw.into_iter().enumerate().map(|(number, content)| (name(number), content)).collect();
            let archive = write(&contents, level, 1);
            prop_assert!(write(&contents, level, count) == archive, "{} threads", count);
            let found = judge("any bytes", &archive).expect("good");
            prop_assert_eq!(found.len(), contents.len());
            for (name, content) in &contents {
                prop_assert!(&found[name.as_str()] == content, "{}", name);
            }
            // Plain gzip reads the same, and no member is larger than the format says.
            let tar = forge::inflate(&archive);
            let sizes = deflate::sizes(forge::members(&archive).into_iter().map(|member| &archive[member]));
            prop_assert!(sizes.iter().all(|size| size.1 as usize <= MEMBER_BYTES));
            prop_assert_eq!(sizes.iter().map(|size| size.1 as usize).sum::<usize>(), tar.len());
            // What this file makes by hand elsewhere is what the writer makes.
            let members: Vec<_> = forge::members(&archive).into_iter().map(|member| archive[member].to_vec()).collect();
            let index = sizes.iter().filter(|size| size.1 == 0).count();
            prop_assert!(deflate::sealed(&members[..members.len() - index]) == archive);
        }
    }
}

mod damage {
    use super::*;

    /// Stored and compressed members, a short one and the index.
    fn archive() -> Vec<u8> {
        let name = |text| EntryName::new(text).expect("a name");
        let contents = Contents::from([
            (name("a"), lines(1, 700_000)),
            (name("b"), Xorshift::new(2).bytes(MEMBER_BYTES + 9)),
            (name("c"), vec![0; 3 * MEMBER_BYTES]),
            (name("d"), lines(4, 2 * MEMBER_BYTES)),
        ]);
        write(&contents, Level::DEFAULT, 2)
    }

    /// Returns true if a changed member has the same content.
    fn is_still(archive: &[u8], changed: &[u8], member: &Range<usize>) -> bool {
        let inflate = |bytes: &[u8]| {
            let mut content = vec![0; MEMBER_BYTES];
            let data = &bytes[forge::deflated(archive, member)];
            let length = Decompressor::new().deflate_decompress(data, &mut content);
            length.ok().map(|length| content[..length].to_vec())
        };
        inflate(archive) == inflate(changed)
    }

    /// Every kind of damage that a disk, a transfer or a hand does to one member.
    fn damaged(archive: &[u8], members: &[Range<usize>], number: usize) -> Vec<(String, Vec<u8>)> {
        let member = &members[number];
        let mut random = Xorshift::new(number as u64 + 1);
        let mut found = Vec::new();
        let mut note = |what: &str, bytes: Vec<u8>| {
            // Members of the same bytes changed places: nothing happened.
            if bytes != archive {
                found.push((format!("{what}, member {number}"), bytes));
            }
        };
        let change = |at: usize, mask: u8| {
            let mut bytes = archive.to_vec();
            bytes[at] ^= mask;
            bytes
        };
        let splice = |range: Range<usize>, with: &[u8]| {
            let mut bytes = archive.to_vec();
            bytes.splice(range, with.iter().copied());
            bytes
        };
        let data = forge::deflated(archive, member);
        // Time, flags of the compressor and system mean nothing (bytes 4 to 9); the rest of the header does. A first
        // member that does not state its size is another tool's.
        let header: &[usize] = match number {
            0 => &[0, 1, 2, 10, 16, 17, 18],
            _ => &[0, 1, 2, 10, 12, 13, 14, 16, 17, 18],
        };
        for &at in header {
            note(&format!("header byte {at}"), change(member.start + at, 1));
        }
        for _ in 0..6 {
            let at = data.start + random.below(data.len());
            let bytes = change(at, 1 << random.below(8));
            // Padding, and codes that nothing uses, mean nothing.
            if !is_still(archive, &bytes, member) {
                note(&format!("data byte {at}"), bytes);
            }
        }
        for at in member.end - 8..member.end {
            note(&format!("trailer byte {at}"), change(at, 0x40));
        }
        let middle = member.start + random.below(member.len());
        note("cut within", archive[..middle].to_vec());
        note("cut before", archive[..member.start].to_vec());
        note("a byte more", splice(middle..middle, &[0]));
        note("a byte less", splice(middle..middle + 1, &[]));
        note("gone", splice(member.clone(), &[]));
        note(
            "twice",
            splice(member.end..member.end, &archive[member.clone()]),
        );
        let noise = random.bytes(member.len());
        note("noise", splice(member.clone(), &noise));
        note("zeros", splice(member.clone(), &vec![0; member.len()]));
        for (what, other) in [
            ("a good one", stored_member(b"inserted")),
            ("one of nothing", stored_member(b"")),
            ("plain gzip of nothing", forge::gzip(b"")),
        ] {
            if number == 0 && what.starts_with("plain") {
                continue;
            }
            note(
                &format!("{what} before"),
                splice(member.start..member.start, &other),
            );
        }
        if let Some(next) = members.get(number + 1) {
            let swapped = [&archive[next.clone()], &archive[member.clone()]].concat();
            note("swapped", splice(member.start..next.end, &swapped));
        }
        found
    }

    #[test]
    fn of_any_kind_in_any_member_is_named_alike_by_any_number_of_threads() {
        let archive = archive();
        let members = forge::members(&archive);
        assert!(members.len() > 10, "{members:?}");
        for number in 0..members.len() {
            for (label, bytes) in damaged(&archive, &members, number) {
                let said = refused(&label, &bytes);
                assert!(!said.is_empty(), "{label}");
            }
        }
    }

    #[test]
    fn of_any_kind_is_found_by_the_binary_with_one_thread_and_with_four() {
        let machine = Machine::new();
        let archive = archive();
        let members = forge::members(&archive);
        for number in 0..members.len() {
            let all = damaged(&archive, &members, number);
            let mut arguments = vec!["verify".to_owned(), "--json".to_owned()];
            for (place, (_, bytes)) in all.iter().enumerate() {
                machine.write(&format!("out/{place}"), bytes, 0o600);
                arguments.push(place.to_string());
            }
            let mut reports = ["1", "4"].map(|count| {
                let mut command = machine.command();
                command.args(&arguments).args(["--threads", count]);
                command.stdout(Stdio::piped()).stderr(Stdio::piped());
                let output = bounds::end_of(command.spawn().expect("the binary"));
                assert_eq!(output.status.code(), Some(13), "member {number}");
                serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("a report")
            });
            let archives = reports[0]["archives"].take();
            for ((label, _), found) in all.iter().zip(archives.as_array().expect("a list")) {
                assert_eq!(found["good"], false, "{label}");
            }
            assert_eq!(reports[1]["archives"], archives);
            // And alone: exit code and message of one archive.
            let place = (number % all.len()).to_string();
            let alone = |count: &str| {
                let run = machine.run(&["verify", "--threads", count, &place]);
                (run.code, run.stderr.clone(), run.stdout)
            };
            let one = alone("1");
            assert_eq!(one.0, 13);
            assert_eq!(one, alone("4"));
        }
    }

    #[test]
    fn that_no_checksum_covers_changes_no_content() {
        let archive = archive();
        let good = judge("good", &archive).expect("good");
        for member in forge::members(&archive).iter().step_by(3) {
            for at in 4..10 {
                let mut bytes = archive.clone();
                bytes[member.start + at] ^= 0x81;
                let found = judge(&format!("header byte {at}"), &bytes).expect("good");
                assert!(found == good);
            }
        }
    }
}

/// Streams that no compressor writes. Whoever reads them, and with however many threads, says the same.
mod hostile {
    use super::*;

    /// A tar with `content` as an entry, cut so that the content has members of its own.
    fn around(content: &[u8], members: &[Vec<u8>]) -> Vec<u8> {
        let entries = [("secrets", content)];
        let mut before = Tar::packed(&forge::text(&forge::manifest(&entries)), &[]);
        let header = before
            .header(
                format!("{ROOT}/secrets").as_bytes(),
                forge::EntryType::Regular,
                content.len() as u64,
            )
            .bytes();
        let mut after = vec![0; content.len().next_multiple_of(512) - content.len()];
        after.extend([0; 1024]);
        let mut all = vec![stored_member(&header)];
        all.extend_from_slice(members);
        all.push(stored_member(&after));
        deflate::sealed(&all)
    }

    #[track_caller]
    fn accepted(label: &str, archive: &[u8], content: &[u8]) {
        let found = judge(label, archive).expect(label);
        assert!(found["secrets"] == content, "{label}: another content");
    }

    /// RFC 1951 knows 30 distances; zlib refuses to hear of more, libdeflate does not.
    #[test]
    fn codes_for_distances_that_do_not_exist_are_judged_alike_by_any_number_of_threads() {
        let inflates = |deflated: &[u8]| {
            let mut bytes = Vec::new();
            let mut decoder = flate2::read::DeflateDecoder::new(deflated);
            decoder.read_to_end(&mut bytes).is_ok()
        };
        assert!(inflates(&deflate::zeros(300_000, 30)));
        assert!(
            !inflates(&deflate::zeros(300_000, 32)),
            "the strict decoder takes it as well"
        );
        let content = vec![0; 300_000];
        for distances in [30, 31, 32] {
            let member = deflate::member(&deflate::zeros(content.len(), distances), &content);
            let archive = around(&content, std::slice::from_ref(&member));
            accepted(&format!("{distances} distances"), &archive, &content);
            // With a wrong checksum it is damage all the same.
            let mut damaged = archive.clone();
            let end = damaged.len() - 62 - 8;
            let at = forge::members(&archive)[1].end - 8;
            assert!(at < end);
            damaged[at] ^= 1;
            refused("a wrong checksum", &damaged);
        }
        // Behind a member that had to be looked at again, the strict decoder reads on, whoever looked ahead.
        let trap = trap(1);
        let both = [trap.clone(), content.clone()].concat();
        for distances in [30, 32] {
            let members = [
                stored_member(&trap),
                deflate::member(&deflate::zeros(content.len(), distances), &content),
            ];
            let verdict = judge("behind another", &around(&both, &members));
            assert_eq!(verdict.is_ok(), distances == 30, "{verdict:?}");
        }
    }

    /// A block that holds, in its middle, the trailer that its member has.
    fn trap(seed: u64) -> Vec<u8> {
        let mut content = Xorshift::new(seed).bytes(MEMBER_BYTES);
        let crc = 0x6865_6c6c;
        content[1000..1004].copy_from_slice(&u32::to_le_bytes(crc));
        content[1004..1008].copy_from_slice(&(MEMBER_BYTES as u32).to_le_bytes());
        deflate::force_crc(&mut content, MEMBER_BYTES - 4, crc);
        content
    }

    #[test]
    fn a_member_that_holds_its_own_trailer_is_good_all_the_same() {
        let content: Vec<u8> = (1..9).flat_map(trap).collect();
        let members: Vec<_> = content.chunks(MEMBER_BYTES).map(stored_member).collect();
        accepted("made by hand", &around(&content, &members), &content);
        // And so it is where our own writer made it.
        let machine = Machine::new();
        machine.write("etc/secrets", &content, 0o600);
        let archive = machine.export("a.tar.gz");
        machine.run(&["verify", &archive]).exits(0);
        let out = machine.run(&["extract", &archive, "secrets", "-o", "-"]);
        assert!(out.exits(0).stdout == content);
    }

    #[test]
    fn a_member_of_more_than_512_kib_is_read_alike_by_any_number_of_threads() {
        for count in [MEMBER_BYTES + 1, 3 * MEMBER_BYTES, 40 * MEMBER_BYTES] {
            let content = vec![0; count];
            let good = deflate::member(&deflate::zeros(count, 30), &content);
            accepted(
                "zeros",
                &around(&content, std::slice::from_ref(&good)),
                &content,
            );
            // What it says of its length is a lie, in both directions and by what 32 bits do not tell.
            for stated in [0, 1, MEMBER_BYTES, count - 1, count + 1, usize::MAX] {
                let mut member = good.clone();
                let at = member.len() - 4;
                member[at..].copy_from_slice(&(stated as u32).to_le_bytes());
                let said = refused("a lie", &around(&content, &[member]));
                assert!(said.contains("damaged: gzip member 1"), "{said}");
            }
        }
    }

    #[test]
    fn a_member_that_inflates_to_more_than_its_trailer_says_is_damaged() {
        let content = vec![0; 100_000];
        let deflated = deflate::zeros(100_001, 30);
        let said = refused(
            "more",
            &around(&content, &[deflate::member(&deflated, &content)]),
        );
        assert!(said.contains("damaged: gzip member 1"), "{said}");
        let deflated = deflate::zeros(99_999, 30);
        let said = refused(
            "less",
            &around(&content, &[deflate::member(&deflated, &content)]),
        );
        assert!(said.contains("damaged: gzip member 1"), "{said}");
        // Bytes between the end of the stream and the trailer.
        let mut deflated = deflate::zeros(100_000, 30);
        deflated.extend(b"hidden");
        refused(
            "hidden",
            &around(&content, &[deflate::member(&deflated, &content)]),
        );
    }

    #[test]
    fn stored_blocks_of_any_size_and_number_are_read() {
        let content = Xorshift::new(6).bytes(70_000);
        for (most, empty) in [(0xffff, 0), (1, 0), (7, 3), (0xffff, 200_000)] {
            let member = deflate::member(&deflate::stored(&content, most, empty), &content);
            accepted(
                &format!("{most}, {empty}"),
                &around(&content, &[member]),
                &content,
            );
        }
    }

    /// Archives of some MiB that are made to be read again and again. A reader that does so needs hours.
    mod without_going_back {
        use super::*;
        use hookshot::model::limits::HEAD_BYTES;

        /// Processor time for one archive: tens of what it takes.
        const CPU_SECONDS: u32 = 20;

        #[track_caller]
        fn verify(label: &str, archive: &[u8], code: i32) {
            let machine = Machine::new();
            machine.write("out/a.tar.gz", archive, 0o600);
            assert!(archive.len() > HEAD_BYTES, "{label}: {}", archive.len());
            let mut said = Vec::new();
            for count in ["1", "4"] {
                let mut command = machine.command();
                command.args(["verify", "--json", "--threads", count, "a.tar.gz"]);
                let limits = [
                    format!("--cpu={CPU_SECONDS}"),
                    format!("--data={}", 96 << 20),
                ];
                let mut command = bounds::limited(&command, &limits);
                command.stdout(Stdio::piped()).stderr(Stdio::piped());
                let output = bounds::end_of(command.spawn().expect("the binary"));
                assert_eq!(output.status.code(), Some(code), "{label}: {output:?}");
                said.push(String::from_utf8_lossy(&output.stdout).into_owned());
            }
            assert_eq!(said[0], said[1], "{label}");
        }

        fn each_byte(content: &[u8], member: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
            let members: Vec<_> = content.chunks(1).map(member).collect();
            around(content, &members)
        }

        #[test]
        fn members_of_one_byte_are_read_in_time() {
            let content = Xorshift::new(8).bytes(150_000);
            verify("our own", &each_byte(&content, stored_member), 0);
        }

        /// Each second one has to go through the slow decoder.
        #[test]
        fn members_that_are_ours_and_others_by_turns_are_read_in_time() {
            let content = Xorshift::new(9).bytes(100_000);
            let archive = each_byte(&content, |byte| {
                let further: &[u8] = if byte[0] % 2 == 0 { b"" } else { b"XX\0\0" };
                deflate::member_with(&deflate::stored(byte, 1, 0), byte, further)
            });
            verify("by turns", &archive, 0);
        }

        #[test]
        fn members_of_nothing_are_refused_in_time() {
            let archive = around(b"", &vec![stored_member(b""); 100_000]);
            verify("of nothing", &archive, 13);
        }

        /// Headers and trailers that seem to begin and to end members stand everywhere within the true ones.
        #[test]
        fn members_full_of_false_members_are_read_in_time() {
            let mut content = Vec::new();
            let mut number = 0u32;
            while content.len() < 16 * MEMBER_BYTES {
                let mut fake = stored_member(&number.to_le_bytes());
                if number.is_multiple_of(3) {
                    fake[16..20].copy_from_slice(&(MEMBER_BYTES as u32).to_le_bytes());
                }
                content.extend(fake);
                number += 1;
            }
            content.truncate(16 * MEMBER_BYTES);
            let members: Vec<_> = content.chunks(MEMBER_BYTES).map(stored_member).collect();
            verify("false members", &around(&content, &members), 0);
        }

        /// All but the last byte of the trailer stands everywhere, and once the whole of it.
        #[test]
        fn members_full_of_what_is_nearly_their_trailer_are_read_in_time() {
            let crc = 0x0101_0101u32;
            let length = MEMBER_BYTES as u32;
            let near = [&crc.to_le_bytes()[..], &length.to_le_bytes()[..3]].concat();
            let block = |is_trap: bool| {
                let mut block = near.repeat(MEMBER_BYTES / near.len() + 1);
                block.truncate(MEMBER_BYTES);
                if is_trap {
                    block[MEMBER_BYTES / 2..][..4].copy_from_slice(&crc.to_le_bytes());
                    block[MEMBER_BYTES / 2 + 4..][..4].copy_from_slice(&length.to_le_bytes());
                }
                deflate::force_crc(&mut block, MEMBER_BYTES - 4, crc);
                block
            };
            let content = [vec![block(false); 8], vec![block(true); 8]]
                .concat()
                .concat();
            let members: Vec<_> = content.chunks(MEMBER_BYTES).map(stored_member).collect();
            verify("nearly", &around(&content, &members), 0);
        }

        /// Small ones that hold their own trailer: whoever looks ahead of each meets all the others again.
        #[test]
        fn small_members_that_hold_their_own_trailer_are_read_in_time() {
            let block = |number: u32| {
                let mut block = [number.to_le_bytes(); 5].concat();
                block[8..12].copy_from_slice(&20u32.to_le_bytes());
                deflate::force_crc(&mut block, 16, number);
                block
            };
            let blocks: Vec<_> = (0..50_000).map(block).collect();
            let members: Vec<_> = blocks.iter().map(|block| stored_member(block)).collect();
            verify("small ones", &around(&blocks.concat(), &members), 0);
        }

        /// Each member says that it is as large as several.
        #[test]
        fn members_that_claim_those_behind_them_are_refused_in_time() {
            let content = Xorshift::new(10).bytes(8 << 20);
            let claim = |block: &[u8]| {
                let mut member = stored_member(block);
                let size = member.len() as u32 * 8;
                member[16..20].copy_from_slice(&size.to_le_bytes());
                member
            };
            let members: Vec<_> = content.chunks(64 << 10).map(claim).collect();
            verify("claims", &around(&content, &members), 13);
        }

        #[test]
        fn empty_stored_blocks_are_read_in_time() {
            let content = b"after them".to_vec();
            let member = deflate::member(&deflate::stored(&content, 10, 3_000_000), &content);
            verify("blocks", &around(&content, &[member]), 0);
            let few = deflate::member(&deflate::stored(b"a", 1, 100_000), b"a");
            let content = vec![b'a'; 20];
            verify("few", &around(&content, &vec![few; 20]), 0);
        }
    }
}
