//! Exports that take over what an earlier archive has compressed: the same bytes as without it, whatever it holds.

use support::Machine;
use support::forge::{self, Xorshift};

use std::{
    collections::BTreeMap,
    fs,
    io::{Cursor, Write as _},
};

use hookshot::{
    archive::{
        reader::Discard,
        reuse::Earlier,
        writer::{self, Level, Written},
    },
    model::{
        digest::Digest,
        entry_name::EntryName,
        manifest::{FileRecord, Manifest},
    },
    work::Threads,
};

type Contents = BTreeMap<EntryName, Vec<u8>>;

fn name(text: &str) -> EntryName {
    EntryName::new(text).expect("a name")
}

/// Lines that shrink, other ones for each seed.
fn lines(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = Xorshift::new(seed);
    let mut text = String::new();
    while text.len() < bytes {
        text += &format!(
            "deployment {} of service {} is done\n",
            random.next_number() % 100_000,
            random.next_number() % 7
        );
    }
    text.truncate(bytes);
    text.into_bytes()
}

fn contents() -> Contents {
    Contents::from([
        (name("a.toml"), lines(1, 900)),
        (name("large"), lines(2, 5 << 20)),
        (name("other"), lines(3, (3 << 20) + 77)),
    ])
}

fn manifest(contents: &Contents, level: Level) -> Manifest {
    let record = |(name, content): (&EntryName, &Vec<u8>)| {
        let record = FileRecord::new(name.clone(), Digest::of(content), content.len() as u64);
        (name.clone(), record)
    };
    let mut manifest = forge::current(contents.iter().map(record).collect());
    manifest.compression = Some(level.name());
    manifest
}

fn write(contents: &Contents, level: Level, earlier: Option<&Earlier>) -> Written<Vec<u8>> {
    let manifest = manifest(contents, level);
    let open = |name: &EntryName| Ok(Cursor::new(contents[name].clone()));
    let threads = Threads::available();
    writer::write(Vec::new(), &manifest, level, threads, earlier, open).expect("an archive")
}

fn earlier(bytes: &[u8], manifest: &Manifest) -> Option<Earlier> {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("written");
    let compression = manifest.compression.as_deref().expect("told");
    Earlier::open(
        std::sync::Arc::new(file),
        &manifest.hookshot_version,
        compression,
    )
}

#[test]
fn taking_over_changes_nothing_of_what_is_written() {
    let level = Level::DEFAULT;
    let old = contents();
    let archive = write(&old, level, None).out;
    let change = |how: &dyn Fn(&mut Contents)| {
        let mut new = old.clone();
        how(&mut new);
        new
    };
    for (what, new, least, most) in [
        ("nothing changed", old.clone(), 16 << 19, 16 << 19),
        (
            "one byte",
            change(&|new| new.get_mut(&name("large")).expect("it")[3 << 20] ^= 1),
            15 << 19,
            15 << 19,
        ),
        (
            "more at the end",
            change(&|new| {
                new.get_mut(&name("large"))
                    .expect("it")
                    .extend(lines(9, 1 << 20))
            }),
            10 << 19,
            16 << 19,
        ),
        (
            "less",
            change(&|new| new.get_mut(&name("large")).expect("it").truncate(2_000_000)),
            9 << 19,
            9 << 19,
        ),
        (
            "a line more before it",
            change(&|new| drop(new.insert(name("a.toml"), lines(1, 1900)))),
            16 << 19,
            16 << 19,
        ),
        (
            "another entry first",
            change(&|new| drop(new.insert(name("0"), lines(5, 700_000)))),
            16 << 19,
            16 << 19,
        ),
        (
            "everything",
            change(&|new| {
                new.values_mut()
                    .for_each(|content| *content = lines(77, content.len()))
            }),
            0,
            0,
        ),
        (
            "an entry gone",
            change(&|new| drop(new.remove(&name("other")))),
            10 << 19,
            10 << 19,
        ),
    ] {
        let earlier = earlier(&archive, &manifest(&new, level)).expect("an earlier archive");
        let with = write(&new, level, Some(&earlier));
        assert!(with.out == write(&new, level, None).out, "{what}");
        assert!(
            (least..=most).contains(&with.reused_bytes),
            "{what}: {}",
            with.reused_bytes
        );
    }
}

/// A manifest of many digests does not shrink: it fills several members before the first entry, and small entries share
/// members with it.
#[test]
fn entries_behind_a_manifest_of_several_members_are_taken_over() {
    let level = Level::DEFAULT;
    let mut old = contents();
    for number in 0..4500 {
        old.insert(name(&format!("b/{number}")), lines(number + 100, 60));
    }
    let archive = write(&old, level, None).out;
    let first = forge::members(&archive)[0].clone();
    assert!(first.len() > 64 << 10, "{first:?}");
    let text = manifest(&old, level).to_bytes().len();
    assert!(text > 512 << 10, "{text}");
    let mut new = old.clone();
    new.get_mut(&name("large")).expect("it")[3 << 20] ^= 1;
    new.insert(name("b/7"), lines(7, 61));
    let earlier = earlier(&archive, &manifest(&new, level)).expect("an earlier archive");
    let with = write(&new, level, Some(&earlier));
    assert!(with.out == write(&new, level, None).out);
    assert_eq!(with.reused_bytes, 15 << 19);
}

/// Blocks that do not shrink are stored, and their members are larger than they: they are reused all the same.
#[test]
fn stored_members_are_taken_over_at_every_level() {
    let noise = Xorshift::new(8).bytes((2 << 20) + 5);
    let mixed = [lines(4, 700_000), Xorshift::new(9).bytes(700_000)].concat();
    let old = Contents::from([
        (name("mixed"), mixed),
        (name("noise"), noise),
        (name("zeros"), vec![0; 1 << 20]),
    ]);
    for level in [0, 1, 5, 9, Level::MAX] {
        let level = Level::new(level).expect("a level");
        let archive = write(&old, level, None).out;
        let earlier = earlier(&archive, &manifest(&old, level)).expect("an earlier archive");
        let with = write(&old, level, Some(&earlier));
        assert!(with.out == archive, "{level:?}");
        assert_eq!(with.reused_bytes, (2 + 4 + 2) << 19, "{level:?}");
    }
}

#[test]
fn nothing_is_taken_over_from_another_way_of_compressing() {
    let old = contents();
    let other = Level::new(3).expect("a level");
    let archive = write(&old, other, None).out;
    assert!(earlier(&archive, &manifest(&old, Level::DEFAULT)).is_none());
    let mut newer = manifest(&old, other);
    newer.hookshot_version = semver::Version::new(0, 1, 1);
    assert!(earlier(&archive, &newer).is_none());
    assert!(earlier(&archive, &manifest(&old, other)).is_some());
}

#[test]
fn a_damaged_earlier_archive_gives_the_same_archive_or_one_that_is_refused() {
    let level = Level::DEFAULT;
    let old = contents();
    let archive = write(&old, level, None).out;
    let mut random = Xorshift::new(42);
    let (mut taken, mut left, mut bad) = (0, 0, 0);
    for number in 0..60 {
        let mut damaged = archive.clone();
        for _ in 0..1 + number % 9 {
            let at = random.next_number() as usize % damaged.len();
            damaged[at] ^= 1 << (random.next_number() % 8);
        }
        if number % 10 == 0 {
            damaged.truncate(random.next_number() as usize % damaged.len());
        }
        let found = earlier(&damaged, &manifest(&old, level));
        let with = write(&old, level, found.as_ref());
        let is_good = forge::read(&with.out, true, &mut Discard).is_ok();
        assert_eq!(is_good, with.out == archive, "damage {number}");
        if with.reused_bytes == 16 << 19 {
            taken += 1
        } else {
            left += 1
        }
        bad += u32::from(!is_good);
    }
    println!("{taken} taken over whole, {left} in part or not, {bad} of them refused");
    assert!(left > 2 && bad > 20);
}

#[test]
fn a_second_export_into_a_folder_takes_over_what_has_not_changed() {
    let machine = Machine::new();
    machine.fill_database(8000);
    let export = |further: &[&str]| {
        let report = machine.run(&[&["export", "nightly/", "--json"], further].concat());
        let report = report.exits(0).json();
        let archive = report["archive"].as_str().expect("a path").to_owned();
        machine.run(&["verify", &archive]).exits(0);
        (archive, report["reused_bytes"].as_u64().expect("a number"))
    };
    let (first, none) = export(&[]);
    assert_eq!(none, 0);
    let (_, some) = export(&[]);
    assert!(some > 512 << 10, "{some}");
    assert_eq!(export(&["--no-since"]).1, 0);
    assert_eq!(export(&["--since", &first]).1, some);
    machine
        .run(&["export", "a.tar.gz", "--since", "none.tar.gz"])
        .exits(10);
    // One that cannot serve is not looked at further.
    fs::write(
        machine.path("out/nightly/hookshot-state-20990101-000000.tar.gz"),
        "no archive",
    )
    .expect("written");
    assert_eq!(export(&[]).1, 0);
}
