//! Comparisons of directories with and without listings, and files out of them: random small trees against a model that
//! is nothing but a map.

use support::{
    directories,
    listed::{choices, context, export_listed},
};

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    path::{Path, PathBuf},
};

use hookshot::{
    catalog::input::ArchiveInput,
    config::Settings,
    disk::publish::Existing,
    model::{entry_name::EntryName, relative::RelativeName},
    ops::{
        diff::{DiffSide, DiffState, Text, diff},
        extract::{ExtractOutput, extract},
        patterns::EntryPatterns,
    },
};
use proptest::prelude::*;

/// Paths that are in another order by component than by their bytes, and such that no entry can be named after.
const PATHS: [&[u8]; 11] = [
    b"a-b",
    b"a/b",
    b"a/b-c",
    b"a/b.d/e",
    b"a.",
    b"a/c/d",
    b"b",
    b"b\xff",
    b"x\\..\\y",
    b"zz",
    b"zz.toml",
];

/// A part of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    File(Vec<u8>),
    Link(Vec<u8>),
}

type Parts = BTreeMap<&'static [u8], Part>;

fn parts() -> impl Strategy<Value = Parts> {
    let text = || prop::collection::vec(prop::sample::select(b"xy".to_vec()), 1..3);
    let part = prop_oneof![
        4 => text().prop_map(Part::File),
        1 => text().prop_map(Part::Link),
    ];
    let all = prop::collection::vec(prop::option::weighted(0.6, part), PATHS.len());
    all.prop_map(|all| {
        let named = PATHS.into_iter().zip(all);
        named
            .filter_map(|(path, part)| Some((path, part?)))
            .collect()
    })
}

fn name() -> EntryName {
    EntryName::new("files").expect("a good name")
}

fn entry(path: &[u8]) -> EntryName {
    RelativeName::new(path)
        .expect("a good path")
        .entry(&name())
        .0
}

/// Puts these parts in the place of those that are there.
fn build(top: &Path, parts: &Parts) {
    if top.exists() {
        fs::remove_dir_all(top).expect("removed");
    }
    fs::create_dir(top).expect("a folder");
    for (path, part) in parts {
        let place = top.join(OsStr::from_bytes(path));
        fs::create_dir_all(place.parent().expect("a folder")).expect("folders");
        match part {
            Part::File(content) => fs::write(place, content).expect("a file"),
            Part::Link(target) => symlink(OsStr::from_bytes(target), place).expect("a link"),
        }
    }
}

/// The differences of two directories: states and sizes by the names of entries.
type Differences = BTreeMap<String, (DiffState, Option<u64>, Option<u64>)>;

fn expected(here: &Parts, there: &Parts) -> Differences {
    let size = |part: &Part| match part {
        Part::File(bytes) | Part::Link(bytes) => bytes.len() as u64,
    };
    let named = PATHS.into_iter().filter_map(|path| {
        let (here, there) = (here.get(path), there.get(path));
        let state = match (here, there) {
            (None, None) => return None,
            (Some(here), Some(there)) if here == there => DiffState::Unchanged,
            (Some(_), Some(_)) => DiffState::Changed,
            (Some(_), None) => DiffState::OnlyHere,
            (None, Some(_)) => DiffState::OnlyThere,
        };
        let sizes = (here.map(size), there.map(size));
        Some((entry(path).to_string(), (state, sizes.0, sizes.1)))
    });
    named.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_comparison_is_the_same_with_listings_and_without(here in parts(), there in parts()) {
        let machine = directories::only_files();
        let top = machine.path("data/files");
        let export = |name: &str, most: u64| ArchiveInput::File(export_listed(&machine, name, most).into());
        build(&top, &there);
        let archived = [export("there0.tar.gz", 0), export("there.tar.gz", 10_000)];
        build(&top, &here);
        let ours = [export("here0.tar.gz", 0), export("here.tar.gz", 10_000)];
        let settings = Settings::load(&choices(&machine)).expect("settings");
        for most in [0, 3, 10_000] {
            let context = context(&machine, most);
            for there_archive in &archived {
                let sides = ours.iter().map(|ours| (ours, DiffSide::Archive(there_archive)));
                let sides = sides.chain([(there_archive, DiffSide::Machine(&settings))]);
                for (one, other) in sides {
                    let report = diff(&context, one, &other, Text::Hidden).expect("compared");
                    let found: Result<Vec<_>, _> = report.entries.iter().collect();
                    let found = found.expect("read");
                    let count = found.len();
                    let found: Differences = found
                        .into_iter()
                        .map(|found| (found.entry, (found.state, found.here_bytes, found.there_bytes)))
                        .collect();
                    prop_assert_eq!(count, found.len(), "each once");
                    prop_assert_eq!(&found, &expected(&here, &there));
                }
            }
        }
    }

    #[test]
    fn every_file_of_a_listing_can_be_extracted_by_its_name(there in parts()) {
        let machine = directories::only_files();
        build(&machine.path("data/files"), &there);
        let archive = ArchiveInput::File(PathBuf::from(export_listed(&machine, "a.tar.gz", 0)));
        let context = context(&machine, 0);
        for (number, path) in PATHS.into_iter().enumerate() {
            let folder = machine.path(&format!("out/{number}"));
            let output = ExtractOutput::Folder(folder.clone());
            let name = entry(path);
            let wanted = EntryPatterns::from(vec![name.clone()]);
            let result = extract(&context, &archive, &wanted, &output, Existing::Keep);
            match there.get(path) {
                Some(Part::File(content)) => {
                    result.expect("extracted");
                    let found = fs::read(folder.join(name.as_str())).expect("it");
                    prop_assert_eq!(&found, content);
                }
                _ => {
                    let failure = result.expect_err("no file").to_string();
                    prop_assert_eq!(failure, format!("the archive has no entry {name}"));
                }
            }
        }
    }
}
