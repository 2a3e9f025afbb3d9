//! Files of listed directories through the index, and members of an earlier archive that has listings.

use std::{
    cell::Cell,
    collections::BTreeMap,
    io::{self, Write as _},
};

use hookshot::{
    archive::Sink,
    archive::{
        listing::Listing,
        reuse::Earlier,
        select::{Selected, select, select_manifest},
        writer::{self, Level},
    },
    model::{
        digest::Digest,
        entry_name::EntryName,
        manifest::{FileRecord, Manifest},
    },
    work::Threads,
};
use support::{
    counting::Counting,
    forge::{self, Collect, Xorshift},
};

use super::{
    forged::{faults, read},
    written::{Source, name},
};

/// A sink that keeps everything, and the names of the directories whose listings it got.
#[derive(Default)]
struct Keeping {
    all: Collect,
    listings: Vec<EntryName>,
}

impl Sink for Keeping {
    fn begin(&mut self, manifest: &Manifest) -> anyhow::Result<()> {
        self.all.begin(manifest)
    }

    fn listing(&mut self, directory: &EntryName, _: &Listing) -> anyhow::Result<()> {
        self.listings.push(directory.clone());
        Ok(())
    }

    fn entry(
        &mut self,
        name: &EntryName,
        record: &FileRecord,
    ) -> anyhow::Result<Box<dyn io::Write + '_>> {
        self.all.entry(name, record)
    }
}

/// Small files around large ones that do not shrink, entries before and after, and a path that needs a long header.
fn source() -> Source {
    let mut random = Xorshift::new(17);
    let mut source = Source::default();
    for number in 0..400 {
        let path = format!("folder{:02}/file{:02}", number / 20, number % 20);
        let content = format!("content {number}\n").repeat(number % 50);
        source.files.insert(path, content.into_bytes());
    }
    let deep = format!("folder05/{}/{}", "d".repeat(120), "f".repeat(120));
    source.files.insert(deep, b"deep\n".to_vec());
    for path in ["folder03/large", "folder11/large", "zlast"] {
        source.files.insert(path.into(), random.bytes(3 << 20));
    }
    source
        .files
        .insert("h\u{e9}".into(), b"not ASCII\n".to_vec());
    source.entries = BTreeMap::from([
        (name("config.toml"), b"before\n".repeat(40)),
        (name("secrets"), b"after\n".repeat(50)),
    ]);
    source
}

fn counting(bytes: Vec<u8>) -> Counting {
    Counting {
        bytes,
        read: Cell::new(0),
    }
}

fn selected(source: &Counting, names: &[EntryName], sink: &mut dyn Sink) -> Option<Selected> {
    select(source, names, &std::env::temp_dir().into(), sink).expect("readable")
}

#[test]
fn what_the_library_writes_is_read() {
    let source = source();
    let (verified, sink) = read(&source.write(None).out).expect("good");
    assert_eq!(*verified.manifest(), source.manifest());
    let listing = sink.contents.get("data.files.jsonl");
    assert!(listing == Some(&source.listing()));
    for (name, content) in source.contents() {
        assert!(sink.contents[name.as_str()] == content, "{name}");
    }
}

#[test]
fn each_file_of_a_listed_directory_costs_little() {
    let source = source();
    let archive = counting(source.write(None).out);
    assert!(archive.bytes.len() > 9 << 20);
    for (name, content) in source.contents() {
        archive.read.set(0);
        let mut sink = Keeping::default();
        let found = selected(&archive, std::slice::from_ref(&name), &mut sink);
        assert_eq!(found.expect("an index").manifest, source.manifest());
        assert!(sink.all.contents[name.as_str()] == content, "{name}");
        assert_eq!(sink.all.given, 1, "{name}");
        let is_before = name.as_str() == "config.toml";
        assert_eq!(sink.listings.is_empty(), is_before, "{name}");
        let most = content.len() as u64 + (2 << 20);
        assert!(archive.read.get() < most, "{name}: {}", archive.read.get());
    }
    let found = select_manifest(&archive).expect("readable");
    assert_eq!(found.expect("an index").manifest, source.manifest());
}

#[test]
fn a_listed_directory_is_selected_as_a_whole() {
    let source = source();
    let archive = counting(source.write(None).out);
    let names = [name("data"), name("data.files.jsonl"), name("secrets")];
    let mut sink = Keeping::default();
    let found = selected(&archive, &names, &mut sink).expect("an index");
    let contents = found.directory(&name("data")).expect("listed");
    assert_eq!(contents.files(), source.files.len() as u64);
    assert_eq!(sink.listings, [name("data")]);
    assert!(sink.all.contents["data.files.jsonl"] == source.listing());
    let mut expected = source.contents();
    expected.remove("config.toml");
    assert_eq!(sink.all.given, expected.len() + 1);
    for (name, content) in expected {
        assert!(sink.all.contents[name.as_str()] == content, "{name}");
    }
}

#[test]
fn many_names_are_found_in_one_pass() {
    let mut source = Source::default();
    for number in 0..30_000 {
        let path = format!("folder{:03}/file{number:05}", number / 100);
        source.files.insert(path, number.to_string().into_bytes());
    }
    let archive = counting(source.write(None).out);
    let contents = source.contents();
    let names: Vec<EntryName> = contents.keys().step_by(2).cloned().collect();
    let mut sink = Collect::default();
    selected(&archive, &names, &mut sink).expect("an index");
    assert_eq!(sink.contents.len(), 15_000);
    for name in names {
        assert!(sink.contents[name.as_str()] == contents[&name], "{name}");
    }
    // Each member was read at most twice, the first one for the manifest.
    assert!(archive.read.get() < 2 * archive.bytes.len() as u64);
}

#[test]
fn a_name_that_no_listing_has_is_left_to_the_reader() {
    let source = source();
    let archive = counting(source.write(None).out);
    for other in [
        "data/none",
        "data/folder01",
        "none",
        "data/folder01/file01/x",
    ] {
        let mut sink = Collect::default();
        let found = selected(&archive, &[name(other)], &mut sink);
        assert!(found.is_none(), "{other}");
    }
}

#[test]
fn a_damaged_archive_gives_what_is_right_or_nothing() {
    let source = source();
    let mut archive = counting(source.write(None).out);
    let contents = source.contents();
    let names: Vec<&EntryName> = contents.keys().collect();
    let mut random = Xorshift::new(23);
    let (mut given, mut refused) = (0, 0);
    for number in 0..300 {
        // Most of them in the manifest, the listing and the index.
        let length = archive.bytes.len();
        let at = match number % 3 {
            0 => random.below(40_000),
            1 => length - 1 - random.below(2_000),
            _ => random.below(length),
        };
        let bit = 1 << random.below(8);
        archive.bytes[at] ^= bit;
        let wanted = names[random.below(names.len())];
        let mut sink = Collect::default();
        match selected(&archive, std::slice::from_ref(wanted), &mut sink) {
            Some(_) => {
                given += 1;
                let content = &sink.contents[wanted.as_str()];
                assert!(*content == contents[wanted], "{wanted}, a flip at {at}");
            }
            None => refused += 1,
        }
        archive.bytes[at] ^= bit;
    }
    assert!(given > 50 && refused > 50, "{given} {refused}");
}

fn earlier(bytes: &[u8]) -> Option<Earlier> {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("written");
    let version = semver::Version::new(0, 1, 0);
    Earlier::open(std::sync::Arc::new(file), &version, &Level::DEFAULT.name())
}

#[test]
fn large_files_of_a_listed_directory_are_reused() {
    let old = source();
    let archive = old.write(None).out;
    let earlier = earlier(&archive).expect("of the same kind");
    assert_eq!(*earlier.manifest(), old.manifest());
    let mut new = old.clone();
    new.files.insert("added".into(), b"new\n".to_vec());
    new.files.remove("folder00/file03");
    new.files.get_mut("folder11/large").expect("it")[1 << 20] ^= 1;
    for (source, least) in [(&old, 9 << 20), (&new, (9 << 20) - (1 << 20))] {
        let written = source.write(Some(&earlier));
        assert!(
            written.out == source.write(None).out,
            "nothing else is written"
        );
        assert!(written.reused_bytes >= least, "{}", written.reused_bytes);
    }
}

#[test]
fn a_large_file_with_an_escaped_name_is_reused() {
    let mut source = source();
    let long = vec!["d".repeat(230); 5].join("/");
    let content = Xorshift::new(31).bytes(2 << 20);
    source.files.insert(format!("folder07/{long}"), content);
    let earlier = earlier(&source.write(None).out).expect("of the same kind");
    let written = source.write(Some(&earlier));
    assert!(written.out == source.write(None).out);
    assert!(written.reused_bytes >= 11 << 20, "{}", written.reused_bytes);
}

/// The files of the directory are compressed again, and what comes after them is reused.
#[test]
fn a_directory_with_a_listing_in_one_of_the_two_archives_does_no_harm() {
    let mut source = source();
    let last = Xorshift::new(37).bytes(2 << 20);
    source.entries.insert(name("zz"), last);
    let contents = source.contents();
    let manifest = plain_manifest(&contents);
    let write = |earlier: Option<&Earlier>| {
        let open = |name: &EntryName| Ok(io::Cursor::new(contents[name].clone()));
        let (level, threads) = (Level::DEFAULT, Threads::ONE);
        writer::write(Vec::new(), &manifest, level, threads, earlier, open).expect("an archive")
    };
    let (plain, listed) = (write(None).out, source.write(None).out);
    let with_plain = source.write(earlier(&plain).as_ref());
    let with_listed = write(earlier(&listed).as_ref());
    assert!(with_plain.out == listed && with_listed.out == plain);
    for written in [with_plain.reused_bytes, with_listed.reused_bytes] {
        assert!((3 << 19..=2 << 20).contains(&written), "{written}");
    }
}

/// The manifest of an archive that lists these entries itself.
fn plain_manifest(contents: &BTreeMap<EntryName, Vec<u8>>) -> Manifest {
    let record = |(name, content): (&EntryName, &Vec<u8>)| {
        let record = FileRecord::new(name.clone(), Digest::of(content), content.len() as u64);
        (name.clone(), record)
    };
    Manifest {
        compression: Some(Level::DEFAULT.name()),
        ..forge::current(contents.iter().map(record).collect())
    }
}

#[test]
fn a_damaged_earlier_archive_changes_nothing_or_is_found_when_the_new_one_is_read() {
    let source = source();
    let good = source.write(None).out;
    let mut random = Xorshift::new(29);
    for number in 0..30 {
        let mut bytes = good.clone();
        let at = match number % 2 {
            0 => random.below(40_000),
            _ => random.below(bytes.len()),
        };
        bytes[at] ^= 1 << random.below(8);
        if let Some(earlier) = earlier(&bytes) {
            let written = source.write(Some(&earlier));
            let is_found = || !faults(&written.out).is_empty();
            assert!(written.out == good || is_found(), "a flip at {at}");
        }
    }
}
