//! Exports beside an earlier archive that is hostile: they succeed within bounds, and write what they would without it.

use support::Machine;
use support::bounds;
use support::deflate::{self, End, MEMBER_BYTES, Sizes};
use support::forge::{self, Xorshift};

use std::{
    fs,
    ops::Range,
    os::unix::fs::{FileExt as _, PermissionsExt as _, symlink},
    path::PathBuf,
    process::{Command, Stdio},
};

use libdeflater::{CompressionLvl, Compressor};
use serde_json::Value;

/// The name of an archive that is newer than any other.
const NEWEST: &str = "hookshot-state-20990101-000000.tar.gz";
/// Of the memory of the whole process with two threads.
const MEMORY_MIB: u64 = 128;
/// The memory for an earlier archive with the largest manifest: four times its size, as for any reader.
const MANIFEST_MEMORY_MIB: u64 = 320;
const CPU_SECONDS: u32 = 30;

/// A machine with secrets that shrink, that are zeros, and that do not shrink.
struct Story {
    machine: Machine,
    secrets: Vec<u8>,
    /// An archive of it that took nothing over.
    good: Vec<u8>,
    /// Its members, without the index.
    members: Vec<Vec<u8>>,
}

/// Members that hold the secrets: behind the one of manifest and configuration.
const SECRETS: Range<usize> = 1..7;
/// Whole blocks of secrets and database.
const BLOCKS: usize = 8;
/// Rows of the database: their pages fill two whole members and a part of a third one.
const ROWS: usize = 4000;
/// Members with tar headers that tell when the export was: the manifest's, and the database's.
const WITH_TIMES: [usize; 2] = [0, 7];

fn lines(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = Xorshift::new(seed);
    let mut text = Vec::new();
    while text.len() < bytes {
        text.extend(format!("secret {} of service\n", random.next_number() % 100_000).bytes());
    }
    text.truncate(bytes);
    text
}

fn secrets(seed: u64) -> Vec<u8> {
    let noise = Xorshift::new(seed + 1).bytes(MEMBER_BYTES);
    let zeros = vec![0; 2 * MEMBER_BYTES];
    [lines(seed, 3 * MEMBER_BYTES), zeros, noise, lines(9, 1000)].concat()
}

/// The members of an archive without its index.
fn members(archive: &[u8]) -> Vec<Vec<u8>> {
    let all = forge::members(archive).into_iter();
    let all = all.map(|member| archive[member].to_vec());
    all.filter(|member| member[member.len() - 4..] != [0; 4])
        .collect()
}

impl Story {
    fn new() -> Story {
        let machine = Machine::new();
        let secrets = secrets(1);
        machine.write("etc/secrets", &secrets, 0o600);
        machine.fill_database(ROWS);
        fs::create_dir(machine.path("out/nightly")).expect("a folder");
        machine.export("good.tar.gz");
        let good = machine.read("out/good.tar.gz");
        let members = members(&good);
        assert!(members.len() > 1 + BLOCKS, "{}", members.len());
        Story {
            machine,
            secrets,
            good,
            members,
        }
    }

    fn newest(&self) -> PathBuf {
        self.machine.path("out/nightly").join(NEWEST)
    }

    /// Puts `earlier` where the next export looks for it.
    fn put(&self, earlier: &[u8]) {
        fs::write(self.newest(), earlier).expect("written");
    }

    /// Exports beside what lies there, and gives how much was taken over.
    #[track_caller]
    fn export(&self, label: &str, memory_mib: u64) -> u64 {
        let mut command = self.machine.command();
        command.args(["export", "nightly/", "--json", "--threads", "2"]);
        let limits = [
            format!("--data={}", memory_mib << 20),
            format!("--cpu={CPU_SECONDS}"),
        ];
        let mut command = bounds::limited(&command, &limits);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let output = bounds::end_of(command.spawn().expect("the binary"));
        assert_eq!(output.status.code(), Some(0), "{label}: {output:?}");
        let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
        let path = report["archive"].as_str().expect("a path");
        let archive = fs::read(self.machine.path("out").join(path)).expect("an archive");
        fs::remove_file(self.machine.path("out").join(path)).expect("removed");
        let found = members(&archive);
        assert!(found.len() == self.members.len(), "{label}");
        for (number, (found, member)) in found.iter().zip(&self.members).enumerate() {
            let is_same = found == member || WITH_TIMES.contains(&number);
            assert!(is_same, "{label}: member {number} is another");
        }
        report["reused_bytes"].as_u64().expect("a number")
    }

    #[track_caller]
    fn with(&self, label: &str, earlier: &[u8]) -> u64 {
        self.put(earlier);
        self.export(label, MEMORY_MIB)
    }

    /// The good archive with a lie in its index.
    fn indexed(&self, lie: impl Fn(&mut Vec<Sizes>, &mut End)) -> Vec<u8> {
        let members = &self.members;
        let mut sizes = deflate::sizes(members.iter().map(Vec::as_slice));
        let mut end = End::of(&sizes);
        lie(&mut sizes, &mut end);
        [members.concat(), deflate::index(&sizes, end)].concat()
    }
}

/// A member of ours, as small as it can be.
fn packed(content: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(CompressionLvl::best());
    let mut deflated = vec![0; compressor.deflate_compress_bound(content.len())];
    let length = compressor
        .deflate_compress(content, &mut deflated)
        .expect("room");
    deflate::member(&deflated[..length], content)
}

/// The archive with another manifest in its place.
fn with_manifest(archive: &[u8], manifest: &[u8]) -> Vec<u8> {
    let (mut rest, tar) = (members(archive), forge::inflate(archive));
    let mut first = forge::inflate(&rest.remove(0));
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes().copy_from_slice(&tar[512..1024]);
    let old = header.size().expect("a size") as usize;
    header.set_size(manifest.len() as u64);
    header.set_cksum();
    let behind = first.split_off(1024 + old.next_multiple_of(512));
    let mut tar = tar[..512].to_vec();
    tar.extend_from_slice(header.as_bytes());
    tar.extend_from_slice(manifest);
    tar.resize(tar.len().next_multiple_of(512), 0);
    tar.extend(behind);
    let mut all: Vec<_> = tar.chunks(MEMBER_BYTES).map(packed).collect();
    all.extend(rest);
    deflate::sealed(&all)
}

fn manifest(archive: &[u8]) -> Value {
    let tar = forge::inflate(archive);
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes().copy_from_slice(&tar[512..1024]);
    let size = header.size().expect("a size") as usize;
    serde_json::from_slice(&tar[1024..1024 + size]).expect("a manifest")
}

#[test]
fn the_same_machine_takes_over_all_whole_blocks() {
    let story = Story::new();
    let all = story.with("good", &story.good);
    assert_eq!(all as usize, BLOCKS * MEMBER_BYTES);
    // What is put together by hand here is as good: what fails below fails for its lie.
    assert!(deflate::sealed(&story.members) == story.good);
    let text = serde_json::to_vec(&manifest(&story.good)).expect("text");
    let remade = with_manifest(&story.good, &text);
    assert_eq!(story.with("remade", &remade), all);
}

#[test]
fn damage_in_any_member_that_is_taken_over_means_compressing_anew() {
    let story = Story::new();
    let members = story.members.clone();
    for number in 0..members.len() {
        let mut damaged = members.clone();
        // A kind of block that there is not.
        damaged[number][20] = 0xff;
        let taken = story.with(&format!("member {number}"), &damaged.concat());
        assert_eq!(taken, 0, "without an index");
        let archive = deflate::sealed(&damaged);
        let taken = story.with(&format!("member {number}"), &archive) as usize;
        let expected = match number {
            0 => 0,
            7 => BLOCKS,
            _ if number <= 1 + BLOCKS => 0,
            _ => BLOCKS,
        };
        assert_eq!(taken, expected * MEMBER_BYTES, "member {number}");
    }
    let cut = &story.good[..story.good.len() - 1];
    assert_eq!(story.with("cut", cut), 0);
}

/// Secrets of another service with the same sizes, block for block: compared, and not reused.
#[test]
fn the_right_member_at_the_right_place_with_another_content_is_not_taken_over() {
    let story = Story::new();
    let other = Machine::new();
    let content = secrets(50);
    assert_eq!(content.len(), story.secrets.len());
    other.write("etc/secrets", &content, 0o600);
    other.fill_database(ROWS);
    other.export("other.tar.gz");
    let other = other.read("out/other.tar.gz");
    // The zeros are the same, and so is the database.
    let same = 2 + BLOCKS - SECRETS.len();
    let taken = story.with("another machine's", &other) as usize;
    assert_eq!(taken, same * MEMBER_BYTES);
    // Its members under the true checksums, lengths and index: only the content tells.
    let mut lies = members(&other);
    for (lie, good) in lies.iter_mut().zip(&story.members) {
        let at = lie.len() - 8;
        lie[at..].copy_from_slice(&good[good.len() - 8..]);
    }
    let taken = story.with("with true checksums", &deflate::sealed(&lies)) as usize;
    assert!(taken <= same * MEMBER_BYTES, "{taken}");
    // The same members, each in the place of the next.
    let mut turned = story.members.clone();
    turned[SECRETS].rotate_left(1);
    let taken = story.with("turned", &deflate::sealed(&turned)) as usize;
    assert_eq!(
        taken,
        (same - 1) * MEMBER_BYTES,
        "one of two blocks of zeros"
    );
}

/// A stream that continues behind its end, or lacks it, cannot be read back: nothing of that archive is reused.
#[test]
fn a_stream_that_does_not_end_where_its_member_does_is_not_taken_over() {
    let story = Story::new();
    let zeros = vec![0; MEMBER_BYTES];
    let mut hostile = story.members.clone();
    for change in [1i32, -1] {
        let mut deflated = deflate::zeros(MEMBER_BYTES, 30);
        let length = deflated.len().saturating_add_signed(change as isize);
        deflated.resize(length, 0);
        hostile[4] = deflate::member(&deflated, &zeros);
        let taken = story.with("its end", &deflate::sealed(&hostile)) as usize;
        assert_eq!(taken, 0);
    }
}

/// A lie about the compression of an archive gives another compression, never another content.
#[test]
fn another_compression_of_the_same_content_is_good_all_the_same() {
    let story = Story::new();
    let zeros = vec![0; MEMBER_BYTES];
    let mut other = story.members.clone();
    other[4] = deflate::member(&deflate::zeros(MEMBER_BYTES, 30), &zeros);
    story.put(&deflate::sealed(&other));
    let run = story.machine.run(&["export", "nightly/", "--json"]);
    let report = run.exits(0).json();
    assert_eq!(report["reused_bytes"], BLOCKS * MEMBER_BYTES);
    let path = report["archive"].as_str().expect("a path");
    story.machine.run(&["verify", path]).exits(0);
    let out = story.machine.run(&["extract", path, "secrets", "-o", "-"]);
    assert!(out.exits(0).stdout == story.secrets);
    let mut gzip = Command::new("gzip");
    gzip.args(["-t", path])
        .current_dir(story.machine.path("out"));
    assert!(gzip.status().expect("gzip").success());
}

#[test]
fn an_index_that_lies_costs_nothing_but_time() {
    let story = Story::new();
    type Lie = fn(&mut Vec<Sizes>, &mut End);
    let lies: [(&str, Lie); 21] = [
        ("no record bytes", |_, end| end.record_bytes = 0),
        ("short records", |_, end| end.record_bytes = 7),
        ("long records", |_, end| end.record_bytes = 9),
        ("longest records", |_, end| end.record_bytes = 64),
        ("endless records", |_, end| end.record_bytes = u16::MAX),
        ("an index at 0", |_, end| end.index_offset = 0),
        ("an index near 0", |_, end| end.index_offset = 1),
        ("an index past the end", |_, end| end.index_offset = 1 << 40),
        ("an index past all", |_, end| end.index_offset = u64::MAX),
        ("no members", |_, end| end.members = 0),
        ("one member more", |_, end| end.members += 1),
        ("members past all", |_, end| end.members = u64::MAX),
        ("members that overflow", |_, end| end.members = 1 << 61),
        ("nothing inflated", |_, end| end.inflated = 0),
        ("all inflated", |_, end| end.inflated = u64::MAX),
        ("swapped", |sizes, _| sizes.swap(2, 3)),
        ("a border moved", |sizes, _| {
            sizes[2].0 += 9;
            sizes[3].0 -= 9;
        }),
        ("another border moved", |sizes, _| {
            sizes[2].1 += 512;
            sizes[3].1 -= 512;
        }),
        ("one without a size", |sizes, _| {
            sizes[3].0 += sizes[2].0;
            sizes[2].0 = 0;
        }),
        ("all in one", |sizes, end| {
            let all = sizes
                .iter()
                .fold((0, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1));
            *sizes = vec![all];
            end.members = 1;
        }),
        ("sizes past all", |sizes, end| {
            sizes[4] = (u32::MAX, u32::MAX);
            *end = End {
                index_offset: end.index_offset,
                ..End::of(sizes)
            };
        }),
    ];
    for (label, lie) in lies {
        let archive = story.indexed(lie);
        let taken = story.with(label, &archive) as usize;
        println!("{label}: {taken}");
        assert!(taken < BLOCKS * MEMBER_BYTES, "{label}: {taken}");
    }
    // The end of the index as every file has it that ends so, whatever comes before.
    let end = &story.good[story.good.len() - 62..];
    assert_eq!(story.with("an end alone", end), 0);
    let noise = [&Xorshift::new(3).bytes(5 << 20)[..], end].concat();
    assert_eq!(story.with("noise before the end", &noise), 0);
}

#[test]
fn bombs_cost_nothing() {
    let story = Story::new();
    let bomb = deflate::zeros(64 << 20, 30);
    let long = vec![0; 64 << 20];
    for number in [0, 1, 4] {
        let mut bombs = story.members.clone();
        // Once it says what it inflates to, and once it lies.
        bombs[number] = deflate::member(&bomb, &long);
        story.with("a bomb", &deflate::sealed(&bombs));
        let at = bombs[number].len() - 4;
        bombs[number][at..].copy_from_slice(&(MEMBER_BYTES as u32).to_le_bytes());
        story.with("a bomb that lies", &deflate::sealed(&bombs));
    }
    // A tar that never comes to a manifest.
    let zeros = deflate::member(&deflate::zeros(MEMBER_BYTES, 30), &vec![0; MEMBER_BYTES]);
    let mut endless = story.members.clone();
    let folder = forge::inflate(&endless[0])[..512].to_vec();
    endless[0] = packed(&folder);
    endless.splice(1..1, vec![zeros; 2000]);
    assert_eq!(story.with("a tar of zeros", &deflate::sealed(&endless)), 0);
    // More members than any archive of its size has.
    let tiny = deflate::member(&deflate::stored(b"a", 1, 0), b"a");
    let mut many = story.members.clone();
    many.extend(vec![tiny; 300_000]);
    story.with("many members", &deflate::sealed(&many));
}

#[test]
fn a_manifest_that_lies_costs_nothing_but_its_own_size() {
    let story = Story::new();
    let good = manifest(&story.good);
    let edited = |edit: &dyn Fn(&mut Value)| {
        let mut manifest = good.clone();
        edit(&mut manifest);
        with_manifest(&story.good, &serde_json::to_vec(&manifest).expect("text"))
    };
    let size = |size: u64| edited(&|manifest| manifest["files"]["secrets"]["size"] = size.into());
    for (label, earlier) in [
        ("an absurd size", size(1 << 60)),
        ("a size of nothing", size(0)),
        (
            "a size that moves all behind it",
            size(5 * MEMBER_BYTES as u64),
        ),
        (
            "another version",
            edited(&|manifest| manifest["hookshot_version"] = "9.9.9".into()),
        ),
        (
            "another level",
            edited(&|manifest| manifest["compression"] = "libdeflate 9".into()),
        ),
        (
            "another format",
            edited(&|manifest| manifest["version"] = "2.0".into()),
        ),
        (
            "another path",
            edited(&|manifest| manifest["files"]["secrets"]["path"] = "a".repeat(900).into()),
        ),
        ("no JSON", with_manifest(&story.good, b"{")),
        ("nothing", with_manifest(&story.good, b"")),
    ] {
        let taken = story.with(label, &earlier) as usize;
        println!("{label}: {taken}");
    }
    let mut spaces = serde_json::to_vec(&good).expect("text");
    spaces.extend(vec![b' '; 60 << 20]);
    story.put(&with_manifest(&story.good, &spaces));
    story.export("60 MiB of spaces", MANIFEST_MEMORY_MIB);
    let mut numbers = serde_json::to_vec(&good).expect("text");
    numbers.pop();
    numbers.extend(format!(",\"x\":[{}0]}}", "0,".repeat(30 << 20)).bytes());
    story.put(&with_manifest(&story.good, &numbers));
    story.export("60 MiB of numbers", MANIFEST_MEMORY_MIB);
}

#[test]
fn a_huge_file_with_holes_costs_nothing() {
    let story = Story::new();
    let last = |end: End| {
        let index = deflate::index(&[], end);
        index[index.len() - 62..].to_vec()
    };
    // Where its index is said to begin, from the end.
    for (length, back) in [
        (1u64 << 40, 62),
        (1 << 40, 64 << 20),
        (1 << 40, 1 << 40),
        (1 << 30, 1 << 30),
        (64 << 20, 64 << 20),
    ] {
        let file = fs::File::create(story.newest()).expect("a file");
        file.set_len(length).expect("room");
        let end = End {
            record_bytes: 8,
            index_offset: length - back,
            members: length >> 20,
            inflated: length,
        };
        file.write_all_at(&last(end), length - 62).expect("written");
        assert_eq!(story.export("holes", MANIFEST_MEMORY_MIB), 0);
    }
    // A good archive with a hole in it: the index describes a member as large as the hole.
    let members = story.members.clone();
    let mut sizes = deflate::sizes(members.iter().map(Vec::as_slice));
    sizes.extend(vec![(u32::MAX, 1); 100]);
    let hole = 100 * u64::from(u32::MAX);
    let content = members.concat();
    let file = fs::File::create(story.newest()).expect("a file");
    file.write_all_at(&content, 0).expect("written");
    let index = deflate::index(&sizes, End::of(&sizes));
    file.write_all_at(&index, content.len() as u64 + hole)
        .expect("written");
    let taken = story.export("a hole behind what is good", MEMORY_MIB) as usize;
    assert_eq!(taken, BLOCKS * MEMBER_BYTES);
}

/// An index as large as one is read, in a file that takes no room: records of nothing, as many as fit.
#[test]
fn a_large_index_of_nothing_costs_no_more_than_a_large_manifest() {
    let story = Story::new();
    let file = fs::File::create(story.newest()).expect("a file");
    // Pieces of 65,535 bytes of extra field: after the size, a record's bytes that fit.
    let content = 8187u16 * 8;
    let header = [
        &[0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255][..],
        &(8 + 4 + content).to_le_bytes(),
        b"IG\x04\0",
        &(12 + 12 + u32::from(content) + 10).to_le_bytes(),
        b"HX",
        &content.to_le_bytes(),
    ]
    .concat();
    let piece = 12 + 12 + u64::from(content) + 10;
    let pieces = ((64 << 20) - 62) / piece;
    for number in 0..pieces {
        file.write_all_at(&header, number * piece).expect("written");
    }
    let end = End {
        record_bytes: 8,
        index_offset: 0,
        members: pieces * 8187,
        inflated: 0,
    };
    let index = deflate::index(&[], end);
    file.write_all_at(&index, pieces * piece).expect("written");
    assert_eq!(story.export("an index of nothing", MANIFEST_MEMORY_MIB), 0);
}

#[test]
fn what_is_no_regular_file_is_neither_waited_for_nor_followed() {
    let story = Story::new();
    let newest = story.newest();
    let made = Command::new("mkfifo").arg(&newest).status();
    assert!(made.expect("mkfifo").success());
    assert_eq!(story.export("a fifo", MEMORY_MIB), 0);
    fs::remove_file(&newest).expect("removed");
    for target in ["../good.tar.gz", "none", "/dev/zero", NEWEST] {
        symlink(target, &newest).expect("a link");
        assert_eq!(story.export(target, MEMORY_MIB), 0);
        fs::remove_file(&newest).expect("removed");
    }
    fs::create_dir(&newest).expect("a folder");
    assert_eq!(story.export("a folder", MEMORY_MIB), 0);
    fs::remove_dir(&newest).expect("removed");
    for content in [&b""[..], b"\x1f\x8b", &[0; 61], &[0; 62]] {
        assert_eq!(story.with("short", content), 0);
    }
    // A user without permission to read it does not need it (root may).
    story.put(&story.good);
    fs::set_permissions(&newest, fs::Permissions::from_mode(0o000)).expect("changed");
    let taken = story.export("unreadable", MEMORY_MIB);
    assert_eq!(taken > 0, nix::unistd::geteuid().is_root());
}
