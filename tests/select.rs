//! Single entries out of a large archive: few bytes are read, and what is given away is right or nothing.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "how much was read is said; tests may do what hookshot may not"
)]

#[path = "support/forge.rs"]
mod forge;
mod support;

use std::{
    cell::Cell,
    collections::BTreeMap,
    fs,
    io::{self, Cursor},
};

use forge::{Collect, Xorshift};
use hookshot::{
    archive::{
        ReadAt, Threads,
        select::select,
        writer::{self, Level},
    },
    model::{digest::Digest, entry_name::EntryName, manifest::FileRecord},
};
use support::Machine;

/// An archive in memory that counts what is read of it.
struct Counting {
    bytes: Vec<u8>,
    read: Cell<u64>,
}

impl ReadAt for Counting {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read.set(self.read.get() + buffer.len() as u64);
        let from = usize::try_from(offset).expect("small");
        let bytes = self.bytes.get(from..from + buffer.len());
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }
}

fn name(text: &str) -> EntryName {
    EntryName::new(text).expect("a name")
}

/// An archive of a large entry that does not shrink, and small ones around it, one with a long name.
fn archive(large: usize) -> (Counting, BTreeMap<EntryName, Vec<u8>>) {
    let mut random = Xorshift::new(7);
    let long = format!("z/{}/{}", "a".repeat(150), "b".repeat(120));
    let noise = (0..large / 8).flat_map(|_| random.next().to_le_bytes());
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
        let manifest = select(&source, std::slice::from_ref(name), &mut sink).expect("readable");
        assert_eq!(manifest.expect("an index").files.len(), contents.len());
        assert!(sink.contents[name.as_str()] == *content, "{name}");
        println!("{}: {} bytes read", name.as_str().len(), source.read.get());
        assert!(source.read.get() < 2 << 20, "{name}: {}", source.read.get());
    }
    let mut sink = Collect::default();
    let all: Vec<_> = contents.keys().cloned().collect();
    select(&source, &all, &mut sink)
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
        let at = from + random.next() as usize % (length - from);
        let bit = 1 << (random.next() % 8);
        source.bytes[at] ^= bit;
        let name = &names[number % names.len()];
        let mut sink = Collect::default();
        match select(&source, std::slice::from_ref(name), &mut sink).expect("readable") {
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
        let found = select(&cut, &names[..1], &mut Collect::default()).expect("readable");
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
    let found = select(&source, &names[..1], &mut Collect::default()).expect("readable");
    assert!(found.is_none());
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
    // Damage in another entry is not looked for; verify finds it, and so does who wants that entry.
    let mut bytes = source.bytes.clone();
    bytes[8 << 20] ^= 1;
    fs::write(&path, &bytes).expect("written");
    assert!(extract("m.toml").exits(0).stdout == contents[&name("m.toml")]);
    let run = extract("large").exits(13);
    assert!(run.stdout.is_empty(), "nothing of it is given away");
    machine.run(&["verify", "large.tar.gz"]).exits(13);
    // Without its end there is no index, and the archive is not whole.
    fs::write(&path, &source.bytes[..bytes.len() - 1]).expect("written");
    extract("m.toml").exits(13).says("truncated");
    fs::write(&path, &source.bytes).expect("written");
    extract("none").exits(10);
}
