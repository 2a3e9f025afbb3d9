//! Single entries out of a large archive: few bytes are read, and what is given away is right or nothing.

use support::{
    Machine,
    counting::Counting,
    deflate,
    forge::{self, Collect, Xorshift},
};

use std::{cell::Cell, collections::BTreeMap, env::temp_dir, fs, io::Cursor};

use hookshot::{
    archive::{
        select::select,
        writer::{self, Level},
    },
    model::{digest::Digest, entry_name::EntryName, manifest::FileRecord},
    work::Threads,
};

fn name(text: &str) -> EntryName {
    EntryName::new(text).expect("a name")
}

/// An archive of a large entry that does not shrink, and small ones around it, one with a long name.
fn archive(large: usize) -> (Counting, BTreeMap<EntryName, Vec<u8>>) {
    let mut random = Xorshift::new(7);
    let long = format!("z/{}/{}", "a".repeat(150), "b".repeat(120));
    let noise = (0..large / 8).flat_map(|_| random.next_number().to_le_bytes());
    let contents = BTreeMap::from([
        (name("a.toml"), b"first\n".repeat(150)),
        (name("large"), noise.collect()),
        (name("m.toml"), b"between\n".repeat(100)),
        (name("other"), vec![9; large / 3]),
        (name(&long), b"last\n".repeat(200)),
    ]);
    let record = |(name, content): (&EntryName, &Vec<u8>)| {
        let mut record = FileRecord::new(name.clone(), Digest::of(content), content.len() as u64);
        record.mode = Some(0o600);
        (name.clone(), record)
    };
    let manifest = forge::current(contents.iter().map(record).collect());
    let open = |name: &EntryName| Ok(Cursor::new(contents[name].clone()));
    let threads = Threads::available();
    let archive = writer::write(Vec::new(), &manifest, Level::DEFAULT, threads, None, open);
    let source = Counting {
        bytes: archive.expect("an archive").out,
        read: Cell::new(0),
    };
    (source, contents)
}

#[test]
fn a_small_entry_of_a_large_archive_costs_little() {
    let (source, contents) = archive(96 << 20);
    for (name, content) in contents.iter().filter(|(_, content)| content.len() < 4096) {
        source.read.set(0);
        let mut sink = Collect::default();
        let selected = select(
            &source,
            std::slice::from_ref(name),
            &temp_dir().into(),
            &mut sink,
        )
        .expect("readable");
        assert_eq!(
            selected.expect("an index").manifest.files.len(),
            contents.len()
        );
        assert!(sink.contents[name.as_str()] == *content, "{name}");
        println!("{}: {} bytes read", name.as_str().len(), source.read.get());
        assert!(source.read.get() < 2 << 20, "{name}: {}", source.read.get());
    }
    let mut sink = Collect::default();
    let all: Vec<_> = contents.keys().cloned().collect();
    select(&source, &all, &temp_dir().into(), &mut sink)
        .expect("readable")
        .expect("an index");
    assert!(
        contents
            .iter()
            .all(|(name, content)| sink.contents[name.as_str()] == *content)
    );
}

#[test]
fn what_is_damaged_has_to_be_read_through() {
    let (mut source, contents) = archive(1 << 20);
    let names: Vec<_> = contents.keys().cloned().collect();
    let mut random = Xorshift::new(99);
    let (mut through, mut given) = (0, 0);
    let length = source.bytes.len();
    for number in 0..600 {
        // Half of them in the index and around it.
        let from = if number % 2 == 0 {
            length.saturating_sub(200)
        } else {
            0
        };
        let at = from + random.next_number() as usize % (length - from);
        let bit = 1 << (random.next_number() % 8);
        source.bytes[at] ^= bit;
        let name = &names[number % names.len()];
        let mut sink = Collect::default();
        match select(
            &source,
            std::slice::from_ref(name),
            &temp_dir().into(),
            &mut sink,
        )
        .expect("readable")
        {
            None => through += 1,
            Some(_) => {
                given += 1;
                assert!(
                    sink.contents[name.as_str()] == contents[name],
                    "a flip at {at}"
                );
            }
        }
        source.bytes[at] ^= bit;
    }
    println!("{through} read through, {given} given");
    assert!(through > 50 && given > 50);
    for length in (0..length)
        .step_by(length / 60)
        .chain([length - 1, length - 61])
    {
        let cut = Counting {
            bytes: source.bytes[..length].to_vec(),
            read: Cell::new(0),
        };
        let found = select(
            &cut,
            &names[..1],
            &temp_dir().into(),
            &mut Collect::default(),
        )
        .expect("readable");
        assert!(found.is_none(), "cut to {length}");
    }
}

/// Members of the index that overlap describe more than any memory holds.
#[test]
fn an_index_whose_members_overlap_is_none() {
    let (source, contents) = archive(1 << 20);
    let mut bytes = source.bytes;
    let mut end = bytes.split_off(bytes.len() - 62);
    let index_offset = bytes.len() as u64;
    let piece = [
        &[0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 0xff, 0xff][..],
        &[b'I', b'G', 4, 0, 24, 0, 0, 0, b'H', b'X', 0xf3, 0xff][..],
    ]
    .concat();
    for _ in 0..100_000 {
        bytes.extend(&piece);
    }
    bytes.resize(bytes.len() + 70_000, 0);
    let at = end.windows(2).position(|id| id == b"HE").expect("the end") + 4;
    end[at + 4..at + 12].copy_from_slice(&index_offset.to_le_bytes());
    bytes.extend(end);
    let source = Counting {
        bytes,
        read: Cell::new(0),
    };
    let names: Vec<_> = contents.keys().cloned().collect();
    let found = select(
        &source,
        &names[..1],
        &temp_dir().into(),
        &mut Collect::default(),
    )
    .expect("readable");
    assert!(found.is_none());
}

/// The archive's members without the index.
fn members(archive: &[u8]) -> Vec<Vec<u8>> {
    let all = forge::members(archive).into_iter();
    let all = all.map(|member| archive[member].to_vec());
    all.filter(|member| member[member.len() - 4..] != [0; 4])
        .collect()
}

/// Extracts through the binary: what was there, or a refusal and not a byte.
#[track_caller]
fn right_or_refused(machine: &Machine, label: &str, entry: &EntryName, content: &[u8]) -> bool {
    let run = machine.run(&["extract", "large.tar.gz", entry.as_str(), "-o", "-"]);
    if run.code == 0 {
        assert!(run.stdout == content, "{label}: {entry} is another");
        return true;
    }
    assert_eq!(run.code, 13, "{label}: {}", run.stderr);
    assert!(run.stdout.is_empty(), "{label}: {entry} was given away");
    false
}

#[test]
fn an_index_that_lies_gives_nothing_that_is_wrong() {
    let machine = Machine::new();
    let (source, contents) = archive(24 << 20);
    let members = members(&source.bytes);
    assert!(deflate::sealed(&members) == source.bytes);
    let good = deflate::sizes(members.iter().map(Vec::as_slice));
    let mut random = Xorshift::new(12);
    let (mut given, mut refused) = (0, 0);
    for number in 0..20 {
        let mut sizes = good.clone();
        // Sums stay, so that the index seems to describe the archive; what lies where does not.
        for _ in 0..1 + number % 3 {
            let at = random.below(sizes.len() - 1);
            let other = random.below(sizes.len());
            match number % 5 {
                0 => sizes.swap(at, other),
                1 => {
                    let by = random.below(sizes[at].0 as usize) as u32;
                    sizes[at].0 -= by;
                    sizes[other].0 += by;
                }
                2 => {
                    let by = 512 * random.below(sizes[at].1 as usize / 512) as u32;
                    sizes[at].1 -= by;
                    sizes[other].1 += by;
                }
                3 => {
                    let (packed, inflated) = sizes.remove(at);
                    sizes[at].0 += packed;
                    sizes[at].1 += inflated;
                }
                _ => sizes[..=at.max(1)].rotate_left(1),
            }
        }
        let lie = deflate::index(&sizes, deflate::End::of(&sizes));
        let bytes = [members.concat(), lie].concat();
        assert!(bytes.len() > 16 << 20);
        fs::write(machine.path("out/large.tar.gz"), bytes).expect("written");
        for entry in ["m.toml", "large"].map(name) {
            let label = format!("lie {number}");
            if right_or_refused(&machine, &label, &entry, &contents[&entry]) {
                given += 1;
            } else {
                refused += 1;
            }
        }
        let code = machine.run(&["verify", "large.tar.gz"]).code;
        assert_eq!(code, if sizes == good { 0 } else { 13 }, "lie {number}");
    }
    println!("{given} given, {refused} refused");
    assert!(given > 0 && refused > 10);
}

/// An index may lead to a member that is none: it lies within the content of another, where whoever reads all of the
/// archive never meets it.
#[test]
fn a_member_that_only_the_index_knows_gives_nothing() {
    let machine = Machine::new();
    let mut tar = forge::Tar::new();
    let secret = b"what has never been put there.\n".repeat(20);
    tar.entry("secrets", &secret);
    let hidden = deflate::stored_member(&tar.ended());
    let mut random = Xorshift::new(21);
    let mut large = random.bytes(20 << 20);
    // Between the samples that tell whether a block shrinks: it is stored.
    large[(9 << 20) + 10_000..][..hidden.len()].copy_from_slice(&hidden);
    let truth = b"what was put there: 620 bytes\n".repeat(21)[..secret.len()].to_vec();
    let contents = [("large", &large), ("secrets", &truth)];
    let record = |(text, content): &(&str, &Vec<u8>)| {
        let mut record = FileRecord::new(name(text), Digest::of(content), content.len() as u64);
        record.mode = Some(0o644);
        (name(text), record)
    };
    let manifest = forge::current(contents.iter().map(record).collect());
    let entries = contents.map(|(name, content)| (name, content.as_slice()));
    let good = forge::write(&manifest, &entries);
    let members = members(&good).concat();
    let sizes = deflate::sizes(forge::members(&good).iter().map(|at| &good[at.clone()]));
    let at = members
        .windows(hidden.len())
        .position(|bytes| bytes == hidden)
        .expect("stored as it is");
    // The tar up to the header of the entry, in one member; then the hidden one; then all the rest.
    let tar = forge::inflate(&good);
    let path = format!("{}/secrets", forge::ROOT);
    let place = tar
        .chunks(512)
        .position(|block| block.starts_with(path.as_bytes()))
        .expect("a header")
        * 512;
    let (first, inflated) = (sizes[0], tar.len() as u32);
    let lie = [
        first,
        (at as u32 - first.0, place as u32 - first.1),
        (hidden.len() as u32, (tar.len() - place) as u32),
        ((members.len() - at - hidden.len()) as u32, 0),
    ];
    assert!(place + deflate::sizes([hidden.as_slice()])[0].1 as usize <= inflated as usize);
    for entry in ["secrets", "large"].map(name) {
        for exact in [true, false] {
            let mut lie = lie;
            if exact {
                // The index says of the hidden member what it is.
                lie[2].1 = deflate::sizes([hidden.as_slice()])[0].1;
                lie[3].1 = inflated - place as u32 - lie[2].1;
            }
            let index = deflate::index(&lie, deflate::End::of(&lie));
            let bytes = [members.as_slice(), &index].concat();
            fs::write(machine.path("out/large.tar.gz"), bytes).expect("written");
            let content = if entry == name("large") {
                &large
            } else {
                &truth
            };
            let is_given = right_or_refused(&machine, "hidden", &entry, content);
            assert!(!is_given, "{entry}: the archive is not what its index says");
        }
    }
    machine.write("out/large.tar.gz", &good, 0o600);
    assert!(right_or_refused(&machine, "good", &name("secrets"), &truth));
}

#[test]
fn extract_reads_what_it_needs_and_names_what_is_damaged() {
    let machine = Machine::new();
    let (source, contents) = archive(24 << 20);
    let path = machine.path("out/large.tar.gz");
    fs::write(&path, &source.bytes).expect("written");
    let extract = |entry: &str| machine.run(&["extract", "large.tar.gz", entry, "-o", "-"]);
    assert!(extract("m.toml").exits(0).stdout == contents[&name("m.toml")]);
    let twice = ["extract", "large.tar.gz", "m.toml", "m.toml", "-o", "-"];
    assert!(machine.run(&twice).exits(0).stdout == contents[&name("m.toml")]);
    // Damage in another entry is not looked for; a verify, or an extract of that entry, finds it.
    let mut bytes = source.bytes.clone();
    bytes[8 << 20] ^= 1;
    fs::write(&path, &bytes).expect("written");
    assert!(extract("m.toml").exits(0).stdout == contents[&name("m.toml")]);
    let run = extract("large").exits(13);
    assert!(run.stdout.is_empty(), "nothing of it is given away");
    machine.run(&["verify", "large.tar.gz"]).exits(13);
    // Without its end the archive has no index, and is not whole.
    fs::write(&path, &source.bytes[..bytes.len() - 1]).expect("written");
    extract("m.toml").exits(13).says("truncated");
    fs::write(&path, &source.bytes).expect("written");
    extract("none").exits(10);
}

#[test]
fn inspect_reads_the_manifest_of_a_large_archive_and_says_that_it_proved_nothing() {
    let machine = Machine::new();
    let (source, contents) = archive(24 << 20);
    let path = machine.path("out/large.tar.gz");
    let mut bytes = source.bytes.clone();
    bytes[8 << 20] ^= 1;
    fs::write(&path, &bytes).expect("written");
    let run = machine.run(&["inspect", "large.tar.gz", "--json"]).exits(0);
    let report = run.json();
    assert_eq!(report["verified"], false);
    let files = report["manifest"]["files"].as_object().expect("files");
    assert_eq!(files.len(), contents.len());
    let run = machine.run(&["inspect", "large.tar.gz"]).exits(0);
    assert!(String::from_utf8_lossy(&run.stdout).contains("verified  no"));
    // Without the index all of it has to be read.
    fs::write(&path, &bytes[..bytes.len() - 1]).expect("written");
    machine.run(&["inspect", "large.tar.gz"]).exits(13);
}
