//! Directories as sources: what is staged and restored is what was there, whatever it is called and whoever changes it.

use support::trees::{Bench, How, Thing, files, name};

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::{MetadataExt as _, PermissionsExt as _, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use hookshot::{
    disk::tree::{
        Privilege, Restoring, Taking, Unrestored, keep_excluded,
        links::{LinkPolicy, OutsideLinks},
        listing, listing_and_whole, release, restore,
    },
    error::{Failure, Kind},
    model::{
        digest::Digest,
        manifest::ListingLine,
        relative::RelativeName,
        rules::Rules,
        tree::{FolderRecord, LinkRecord, Owner, Tree},
    },
    source::{
        staged::StagedContent,
        tree::{ContentChanged, QUIET, StagedTree},
    },
};
use proptest::prelude::*;

fn rules(include: &[&str], exclude: &[&str]) -> Rules {
    let owned =
        |patterns: &[&str]| -> Vec<String> { patterns.iter().map(|text| (*text).into()).collect() };
    Rules::new(&owned(include), &owned(exclude)).expect("good patterns")
}

/// A component of a path: plain, unicode, with a newline, not UTF-8, the longest.
fn component() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => "[a-d]{1,3}".prop_map(String::into_bytes),
        2 => "\\PC{1,12}".prop_map(String::into_bytes),
        1 => "[a\n\t\\\\: ]{1,4}".prop_map(String::into_bytes),
        2 => proptest::collection::vec(1..=255u8, 1..6),
        1 => Just(b"..\\".to_vec()),
        1 => "[a-z]{255}".prop_map(String::into_bytes),
    ]
    .prop_filter("no component", |bytes| {
        !bytes.contains(&b'/')
            && !bytes.contains(&0)
            && bytes != b"."
            && bytes != b".."
            && bytes.len() <= 255
    })
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    let deep = proptest::collection::vec("[x-z]{180}".prop_map(String::into_bytes), 15..21);
    prop_oneof![
        12 => proptest::collection::vec(component(), 1..5),
        1 => deep,
    ]
    .prop_map(|parts| parts.join(&b'/'))
}

fn thing() -> impl Strategy<Value = Thing> {
    let mode = prop::sample::select(vec![0o600u32, 0o644, 0o755, 0o400, 0o000, 0o777]);
    let xattr = proptest::option::weighted(0.3, proptest::collection::vec(any::<u8>(), 0..40));
    let target = prop_oneof![
        Just("a".to_owned()),
        Just("../a".to_owned()),
        Just("../../../../etc/passwd".to_owned()),
        Just("/etc/passwd".to_owned()),
        Just("@/a/b".to_owned()),
        Just("b/../c".to_owned()),
        Just("nowhere".to_owned()),
    ];
    let mtime = (-1_000_000_000..4_000_000_000i64, 0..1_000_000_000u32);
    prop_oneof![
        6 => (proptest::collection::vec(any::<u8>(), 0..3000), mode.clone(), mtime.clone(), xattr.clone())
            .prop_map(|(content, mode, mtime, xattr)| Thing::File { content, mode, mtime, xattr }),
        1 => (1..40u64, any::<u8>(), mtime.clone()).prop_map(|(blocks, byte, mtime)| Thing::Sparse { blocks, byte, mtime }),
        3 => (mode, mtime, xattr).prop_map(|(mode, mtime, xattr)| Thing::Folder { mode: mode | 0o500, mtime, xattr }),
        2 => target.prop_map(|target| Thing::Link { target }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_was_staged_is_restored_as_it_was(
        things in proptest::collection::btree_map(path(), thing(), 0..25),
        how in prop::sample::select(vec![How::Move, How::Copy]),
        has_listing in any::<bool>(),
    ) {
        let mut bench = Bench::new();
        bench.build(&things);
        let mut staged = bench.stage(&Rules::everything()).expect("staged");
        if has_listing {
            let unlisted = staged;
            bench = bench.with_listings();
            staged = bench.stage(&Rules::everything()).expect("staged");
            let lines = |staged: &StagedTree| -> Vec<ListingLine> {
                staged.lines(&name()).expect("lines").collect::<Result<_, _>>().expect("read")
            };
            prop_assert_eq!(lines(&staged), lines(&unlisted));
            prop_assert_eq!(&staged.outside, &unlisted.outside);
            prop_assert_eq!(staged.tree.root.clone(), unlisted.tree.root);
        }
        prop_assert!(staged.torn.is_empty());
        prop_assert!(staged.special.is_empty(), "{:?}", staged.special);
        let (tree, warnings) = bench.restore(staged, how);
        let mut expected = bench.snapshot(&bench.source());
        let links: Vec<Vec<u8>> = tree.links.keys().map(|link| link.as_bytes().to_vec()).collect();
        let outside: Vec<_> = links.iter().filter(|link| {
            let link = RelativeName::new(link).expect("good");
            !tree.is_inside(&link, &bench.source())
        }).collect();
        prop_assert_eq!(warnings.len(), outside.len(), "{:?}", warnings);
        for link in outside {
            expected.remove(link);
        }
        let restored = bench.snapshot(&bench.place());
        for (path, thing) in &expected {
            prop_assert_eq!(Some(thing), restored.get(path), "{:?}", String::from_utf8_lossy(path));
        }
        prop_assert_eq!(expected.len(), restored.len());
    }
}

#[test]
fn paths_of_4000_bytes_survive_with_short_and_with_long_components() {
    for component in ["d", &"long".repeat(60)] {
        let bench = Bench::new();
        let count = 4000 / (component.len() + 1);
        let mut folder = fs::File::open(bench.source()).expect("open");
        for _ in 0..count {
            use rustix::fs::{Mode, OFlags};
            rustix::fs::mkdirat(&folder, component, Mode::RWXU).expect("made");
            let below = rustix::fs::openat(&folder, component, OFlags::DIRECTORY, Mode::empty());
            folder = below.expect("open").into();
        }
        let file = rustix::fs::openat(
            &folder,
            "leaf",
            rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY,
            rustix::fs::Mode::RUSR,
        );
        fs::File::from(file.expect("made"))
            .write_all(b"deep")
            .expect("written");
        let staged = bench.stage(&Rules::everything()).expect("staged");
        assert_eq!(staged.records.len(), 1);
        assert_eq!(staged.tree.folders.len(), count);
        assert!(staged.records[0].1.name.is_some(), "its name is escaped");
        let before = listing_of_names(&bench.source());
        bench.restore(staged, How::Move);
        assert_eq!(listing_of_names(&bench.place()), before);
    }
}

/// Returns every path below a folder, as another program finds it.
fn listing_of_names(folder: &Path) -> Vec<u8> {
    let mut find = std::process::Command::new("find");
    let find = find
        .current_dir(folder)
        .arg(".")
        .arg("-printf")
        .arg("%p %m %s\\n");
    let output = find.output().expect("find runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut lines: Vec<&[u8]> = output.stdout.split(|byte| *byte == b'\n').collect();
    lines.sort();
    // The size of a folder is the file system's affair.
    let leaf = lines.iter().filter(|line| line.ends_with(b" 400 4"));
    assert_eq!(leaf.count(), 1);
    lines
        .iter()
        .map(|line| line.len())
        .flat_map(usize::to_be_bytes)
        .collect()
}

#[test]
fn a_path_that_is_longer_than_the_limit_is_refused_by_name() {
    let bench = Bench::new();
    let component = "long".repeat(60);
    let mut folder = fs::File::open(bench.source()).expect("open");
    for _ in 0..18 {
        use rustix::fs::{Mode, OFlags};
        rustix::fs::mkdirat(&folder, &component, Mode::RWXU).expect("made");
        let below = rustix::fs::openat(&folder, &component, OFlags::DIRECTORY, Mode::empty());
        folder = below.expect("open").into();
    }
    let error = bench.stage(&Rules::everything()).err().expect("refused");
    let failure = Failure::of(&error);
    assert!(
        failure.faults[0].contains("longer than 4095 bytes"),
        "{failure:?}"
    );
}

#[test]
fn what_cannot_be_in_an_archive_is_left_out_and_named() {
    let bench = Bench::new();
    let source = bench.source();
    let _socket = UnixListener::bind(source.join("socket")).expect("a socket");
    nix::unistd::mkfifo(&source.join("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
    fs::create_dir(source.join(".hookshot")).expect("made");
    fs::write(source.join(".hookshot/journal.json"), "{}").expect("written");
    fs::write(source.join("file"), "x").expect("written");
    fs::hard_link(source.join("file"), source.join("second")).expect("linked");
    let staged = bench.stage(&Rules::everything()).expect("staged");
    let left_out = [&staged.special[..], &staged.own].concat();
    assert_eq!(left_out.len(), 3, "{left_out:?}");
    for what in [
        "socket is a socket",
        "fifo is a fifo",
        ".hookshot is hookshot's own",
    ] {
        assert!(left_out.iter().any(|text| text.ends_with(what)), "{what}");
    }
    let names: Vec<&str> = staged
        .records
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["data/file", "data/second"]);
    assert!(staged.tree.folders.is_empty());
}

#[test]
fn every_file_that_cannot_be_read_is_named() {
    let bench = Bench::new();
    for name in ["a", "b", "good"] {
        fs::write(bench.source().join(name), name).expect("written");
    }
    // Root reads everything, but not what is no longer there when it is looked at, so a user is asked.
    if !nix::unistd::geteuid().is_root() {
        for name in ["a", "b"] {
            let private = fs::Permissions::from_mode(0o000);
            fs::set_permissions(bench.source().join(name), private).expect("set");
        }
        let error = bench.stage(&Rules::everything()).err().expect("refused");
        let failure = Failure::of(&error);
        assert_eq!(failure.faults.len(), 2, "{failure:?}");
        assert!(failure.message.starts_with("2 files and folders of "));
    }
}

#[test]
fn a_directory_that_is_missing_and_one_that_is_none_fail_differently() {
    let bench = Bench::new();
    let kind = |path: &Path| {
        let error = bench.stage_at(path, &Rules::everything()).err();
        Failure::of(&error.expect("refused")).kind
    };
    assert_eq!(kind(&bench.folder().join("nowhere")), Kind::NotFound);
    fs::write(bench.folder().join("file"), "").expect("written");
    assert_eq!(kind(&bench.folder().join("file")), Kind::Usage);
}

#[test]
fn what_changes_after_it_was_hashed_is_an_error_that_can_be_told_apart() {
    let change: [&dyn Fn(&Path); 7] = [
        &|file| fs::write(file, "other").expect("written"),
        &|file| fs::write(file, "longer than it was").expect("written"),
        &|file| fs::remove_file(file).expect("removed"),
        &|file| {
            fs::remove_file(file).expect("removed");
            symlink("elsewhere", file).expect("linked");
        },
        &|file| {
            fs::write(file.with_extension("new"), "first").expect("written");
            fs::rename(file.with_extension("new"), file).expect("renamed");
        },
        &|file| {
            fs::remove_file(file).expect("removed");
            nix::unistd::mkfifo(file, nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
        },
        &|file| {
            fs::remove_file(file).expect("removed");
            fs::create_dir(file).expect("made");
        },
    ];
    for (number, change) in change.iter().enumerate() {
        for before in ["first", ""] {
            let bench = Bench::new();
            let file = bench.source().join("file");
            fs::write(&file, before).expect("written");
            bench.wait_for_a_tick();
            let staged = bench.stage(&Rules::everything()).expect("staged");
            let content = &staged.contents[0].1;
            assert!(
                matches!(content, StagedContent::Reopened(_)),
                "{number}: it is old"
            );
            let read = || -> anyhow::Result<String> {
                let mut text = String::new();
                content.open()?.read_to_string(&mut text)?;
                Ok(text)
            };
            assert_eq!(read().expect("read"), before);
            change(&file);
            if before.is_empty() && number < 2 {
                // It has only grown: what it was is still there.
                assert_eq!(read().expect("read"), "");
                continue;
            }
            let error = read().expect_err("it changed");
            let changed = ContentChanged::of(&error).expect("told");
            assert_eq!(changed.entry.as_str(), "data/file", "{number} {before:?}");
        }
    }
}

#[test]
fn what_changes_while_it_is_packed_is_an_error_at_its_last_byte() {
    let bench = Bench::new();
    let file = bench.source().join("file");
    fs::write(&file, vec![1; 100_000]).expect("written");
    bench.wait_for_a_tick();
    let staged = bench.stage(&Rules::everything()).expect("staged");
    let mut content = staged.contents[0].1.open().expect("open");
    let mut half = vec![0; 50_000];
    content.read_exact(&mut half).expect("read");
    fs::write(&file, vec![2; 100_000]).expect("written");
    let mut rest = Vec::new();
    let error = anyhow::Error::from(content.read_to_end(&mut rest).expect_err("it changed"));
    assert!(ContentChanged::of(&error.context("packing")).is_some());
}

#[test]
fn what_was_touched_a_moment_ago_is_taken_as_it_was_whatever_comes_later() {
    let bench = Bench::new();
    for number in 0..20 {
        fs::write(
            bench.source().join(format!("{number}")),
            format!("first {number}"),
        )
        .expect("written");
    }
    let staged = bench.stage_quiet(QUIET).expect("staged");
    for number in 0..20 {
        fs::write(bench.source().join(format!("{number}")), "later").expect("written");
    }
    assert!(staged.torn.is_empty());
    for ((name, record), (_, content)) in staged.records.iter().zip(&staged.contents) {
        assert!(matches!(content, StagedContent::Spooled(_)), "{name}");
        let mut text = String::new();
        content
            .open()
            .expect("open")
            .read_to_string(&mut text)
            .expect("read");
        assert!(text.starts_with("first "), "{text}");
        assert_eq!(Digest::of(text.as_bytes()), record.checksum);
    }
}

/// Ends the threads, also where a test fails.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn nobody_who_writes_meanwhile_makes_an_error_or_a_mixture() {
    let bench = Bench::new();
    let source = bench.source();
    const IN_PLACE_BYTES: usize = 2 << 20;
    let content = |version: u32| version.to_le_bytes().repeat(20_000);
    let paths: Vec<PathBuf> = (0..8)
        .map(|number| source.join(format!("replaced-{number}")))
        .collect();
    for path in &paths {
        fs::write(path, content(0)).expect("written");
    }
    fs::write(source.join("in-place"), vec![0; IN_PLACE_BYTES]).expect("written");
    let is_over = AtomicBool::new(false);
    let ending = Ending(&is_over);
    thread::scope(|scope| {
        let ending = ending;
        scope.spawn(|| {
            let mut version = 0;
            while !is_over.load(Ordering::Relaxed) {
                version += 1;
                let path = &paths[version as usize % paths.len()];
                let new = source.join("new");
                fs::write(&new, content(version)).expect("written");
                fs::rename(&new, path).expect("renamed");
                let folder = source.join(format!("folder-{}", version % 7));
                let _ = fs::create_dir(&folder);
                let _ = fs::write(folder.join("x"), "y");
                let _ = fs::remove_dir_all(source.join(format!("folder-{}", (version + 3) % 7)));
            }
        });
        scope.spawn(|| {
            let file = fs::File::options()
                .write(true)
                .open(source.join("in-place"))
                .expect("open");
            let mut version = 0u32;
            while !is_over.load(Ordering::Relaxed) {
                version += 1;
                for at in [0, IN_PLACE_BYTES as u64 - 4] {
                    std::os::unix::fs::FileExt::write_all_at(&file, &version.to_le_bytes(), at)
                        .expect("written");
                }
            }
        });
        let rounds = || {
            for round in 0..16 {
                // Everything is copied, or files that did not change for a tick are hashed in place.
                let quiet = if round % 2 == 0 {
                    QUIET
                } else {
                    Duration::ZERO
                };
                let staged = bench.stage_quiet(quiet)?;
                for ((name, record), (_, content)) in staged.records.iter().zip(&staged.contents) {
                    let mut bytes = Vec::new();
                    let read = content
                        .open()
                        .map(|mut open| open.read_to_end(&mut bytes).map(drop));
                    match read {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => {
                            let error = anyhow::Error::from(error);
                            anyhow::ensure!(ContentChanged::of(&error).is_some(), "{error:#}");
                            continue;
                        }
                        Err(error) => {
                            anyhow::ensure!(ContentChanged::of(&error).is_some(), "{error:#}");
                            continue;
                        }
                    }
                    anyhow::ensure!(Digest::of(&bytes) == record.checksum, "not what was hashed");
                    let is_one = bytes
                        .chunks(4)
                        .all(|version| Some(version) == bytes.get(..4));
                    let is_replaced = name.as_str().starts_with("data/replaced-");
                    if is_replaced {
                        anyhow::ensure!(is_one && bytes.len() == 80_000, "a mixture of {name}");
                        anyhow::ensure!(!staged.torn.contains(name), "{name} is whole");
                    }
                    if name.as_str() == "data/in-place" {
                        // The first four bytes are written before the last four, with the next version. One write(2)
                        // may be seen half done, as every reader may see it.
                        let version =
                            |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four"));
                        let first = version(&bytes[..4]);
                        let last = version(&bytes[bytes.len() - 4..]);
                        let is_near = first.abs_diff(last) <= 1;
                        let is_told = staged.torn.contains(name);
                        anyhow::ensure!(is_near || is_told, "torn and not told");
                    }
                }
                anyhow::ensure!(
                    staged
                        .records
                        .iter()
                        .filter(|(name, _)| name.as_str().starts_with("data/replaced"))
                        .count()
                        == 8
                );
            }
            Ok(())
        };
        let result = rounds();
        drop(ending);
        result.expect("every round is good");
    });
}

#[test]
fn includes_take_along_the_folders_that_they_need_and_no_others() {
    let bench = Bench::new();
    let source = bench.source();
    for path in ["a/b/x.db", "a/b/x.txt", "c/y.txt", "d/z.db", "d/tmp/z.db"] {
        fs::create_dir_all(source.join(path).parent().expect("a folder")).expect("made");
        fs::write(source.join(path), path).expect("written");
    }
    let staged = bench.stage(&rules(&["*.db"], &["tmp/"])).expect("staged");
    let names: Vec<&str> = staged
        .records
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["data/a/b/x.db", "data/d/z.db"]);
    let folders: Vec<String> = staged
        .tree
        .folders
        .keys()
        .map(ToString::to_string)
        .collect();
    assert_eq!(folders, ["a", "a/b", "d"]);
}

/// Returns the records of a directory without files.
fn lines(tree: &Tree) -> impl Iterator<Item = anyhow::Result<ListingLine>> + use<> {
    let lines = tree.lines(&name(), std::iter::empty());
    lines.expect("good records").into_iter().map(Ok)
}

#[test]
fn links_that_lead_outside_are_not_restored_and_named() {
    let bench = Bench::new();
    let target = Path::new("/srv/app/data");
    let link = |target: &[u8]| LinkRecord {
        target: target.to_vec(),
        owner: Owner::default(),
        mtime: None,
    };
    let relative = |path: &str| RelativeName::new(path.as_bytes()).expect("good");
    let mut tree = Tree::default();
    for folder in ["a", "a/b"] {
        tree.folders
            .insert(relative(folder), FolderRecord::default());
    }
    let inside: [(&str, &[u8]); 8] = [
        ("a/b/up", b"../../x"),
        ("a/to-a", b"../a"),
        ("a/b/through", b"../to-a/b/../../x"),
        ("absolute", b"/srv/app/data/a"),
        ("itself", b"/srv/app/data"),
        ("dangling", b"nowhere/at/all"),
        ("circle", b"circle"),
        ("dot", b"./a/./b"),
    ];
    let outside: [(&str, &[u8]); 8] = [
        ("out", b"/etc/passwd"),
        ("a/climbs", b"../../x"),
        ("back-in", b"../data/a"),
        ("beside", b"/srv/app/data-of-others"),
        ("absolute-up", b"/srv/app/data/../x"),
        ("through-out", b"out/x"),
        ("a/b/through-link", b"../to-a/../../x"),
        ("nowhere-up", b"nowhere/../../x"),
    ];
    for (path, target) in inside.iter().chain(&outside) {
        tree.links.insert(relative(path), link(target));
    }
    let place = bench.place();
    let restoring = Restoring {
        name: &name(),
        tree: &tree,
        staged: bench.folder(),
        place: &place,
        target,
        taking: Taking::Copy,
        privilege: Privilege::Ours,
        outside: &BTreeMap::new(),
    };
    let refused = restore(&restoring, &mut lines(&tree)).expect("restored");
    assert_eq!(refused, Unrestored::default());
    let plan = |wish| OutsideLinks::plan(&tree, target, wish, &[]).expect("planned");
    let warnings = plan(LinkPolicy::AsHere).left;
    assert_eq!(warnings.len(), outside.len(), "{warnings:?}");
    assert_eq!(plan(LinkPolicy::All).made.len(), outside.len());
    for (path, target) in inside {
        let read = fs::read_link(place.join(path)).expect(path);
        assert_eq!(read.as_os_str().as_bytes(), target, "{path}");
    }
    for (path, _) in outside {
        assert!(place.join(path).symlink_metadata().is_err(), "{path}");
        let path = format!("/{path} is not restored");
        assert!(
            warnings.iter().any(|warning| warning.contains(&path)),
            "{path}"
        );
    }
}

#[test]
fn a_folder_that_nobody_listed_is_made_like_the_top() {
    let bench = Bench::new();
    let mut tree = Tree::default();
    tree.root.mode = Some(0o750);
    let deep = RelativeName::new(b"a/b/c").expect("good");
    tree.folders.insert(deep, FolderRecord::default());
    let place = bench.place();
    let restoring = Restoring {
        name: &name(),
        tree: &tree,
        staged: bench.folder(),
        place: &place,
        target: &place,
        taking: Taking::Copy,
        privilege: Privilege::Ours,
        outside: &BTreeMap::new(),
    };
    restore(&restoring, &mut lines(&tree)).expect("restored");
    for (path, mode) in [("", 0o750), ("a", 0o750), ("a/b", 0o750), ("a/b/c", 0o700)] {
        let metadata = place.join(path).metadata().expect("there");
        assert_eq!(metadata.mode() & 0o7777, mode, "{path}");
    }
    restore(&restoring, &mut lines(&tree)).expect_err("nothing that is there is touched");
}

#[test]
fn a_folder_of_files_that_nobody_listed_is_made_like_the_top() {
    for how in [How::Move, How::Copy] {
        let bench = Bench::new();
        let mode = |path: PathBuf| path.metadata().expect("there").mode() & 0o7777;
        fs::create_dir_all(bench.source().join("a/b")).expect("made");
        for (path, bits) in [("a/b/file", 0o640), ("a/other", 0o400)] {
            let path = bench.source().join(path);
            fs::write(&path, "x").expect("written");
            fs::set_permissions(path, fs::Permissions::from_mode(bits)).expect("set");
        }
        let mut staged = bench.stage(&Rules::everything()).expect("staged");
        staged.tree.folders.clear();
        staged.tree.root.mode = Some(0o751);
        bench.restore(staged, how);
        for (path, expected) in [
            ("", 0o751),
            ("a", 0o751),
            ("a/b", 0o751),
            ("a/b/file", 0o640),
            ("a/other", 0o400),
        ] {
            assert_eq!(mode(bench.place().join(path)), expected, "{how:?} {path}");
        }
    }
}

#[test]
fn special_bits_come_back_by_root_and_those_of_folders_by_everybody() {
    let bench = Bench::new();
    let source = bench.source();
    fs::write(source.join("file"), "x").expect("written");
    fs::create_dir(source.join("folder")).expect("made");
    for (name, mode) in [("file", 0o6755), ("folder", 0o3770)] {
        fs::set_permissions(source.join(name), fs::Permissions::from_mode(mode)).expect("set");
    }
    bench.restore(
        bench.stage(&Rules::everything()).expect("staged"),
        How::Move,
    );
    let mode = |name: &str| bench.place().join(name).metadata().expect("there").mode() & 0o7777;
    let is_root = nix::unistd::geteuid().is_root();
    assert_eq!(mode("file"), if is_root { 0o6755 } else { 0o755 });
    assert_eq!(mode("folder"), 0o3770);
}

#[test]
fn owners_and_acls_are_restored_by_root() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let bench = Bench::new();
    let source = bench.source();
    fs::write(source.join("file"), "x").expect("written");
    fs::create_dir(source.join("folder")).expect("made");
    symlink("file", source.join("link")).expect("linked");
    for (name, owner) in [("file", 12345), ("folder", 23456), ("link", 34567)] {
        std::os::unix::fs::lchown(source.join(name), Some(owner), Some(owner + 1)).expect("given");
    }
    // User 7 may read: owner rw, user 7 r, group none, mask r, others none.
    let acl = acl(&[
        (1u16, 6u16, u32::MAX),
        (2, 4, 7),
        (4, 0, u32::MAX),
        (16, 4, u32::MAX),
        (32, 0, u32::MAX),
    ]);
    let flags = rustix::fs::XattrFlags::empty();
    let has_acls = ["file", "folder"].iter().all(|name| {
        rustix::fs::setxattr(source.join(name), "system.posix_acl_access", &acl, flags).is_ok()
    });
    let default = "system.posix_acl_default";
    let has_acls =
        has_acls && rustix::fs::setxattr(source.join("folder"), default, &acl, flags).is_ok();
    let before = bench.snapshot(&source);
    let (_, warnings) = bench.restore(
        bench.stage(&Rules::everything()).expect("staged"),
        How::Move,
    );
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(bench.snapshot(&bench.place()), before);
    if has_acls {
        let mut value = [0; 100];
        let length = rustix::fs::getxattr(bench.place().join("folder"), default, &mut value[..]);
        assert_eq!(value[..length.expect("an ACL")], acl);
    }
}

/// An access control list as the kernel takes it: version 2, then tag, permissions and id of each entry (acl(5),
/// linux/posix_acl_xattr.h).
fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut acl = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        acl.extend(tag.to_le_bytes());
        acl.extend(permissions.to_le_bytes());
        acl.extend(id.to_le_bytes());
    }
    acl
}

#[test]
fn a_default_acl_of_the_folder_above_does_not_go_down_into_what_is_restored() {
    for how in [How::Move, How::Copy] {
        let bench = Bench::new();
        fs::create_dir(bench.source().join("folder")).expect("made");
        fs::write(bench.source().join("folder/file"), "x").expect("written");
        let before = bench.snapshot(&bench.source());
        let acl = acl(&[
            (1u16, 7u16, u32::MAX),
            (2, 7, 7),
            (4, 7, u32::MAX),
            (16, 7, u32::MAX),
            (32, 7, u32::MAX),
        ]);
        let flags = rustix::fs::XattrFlags::empty();
        let staged = bench.stage(&Rules::everything()).expect("staged");
        if rustix::fs::setxattr(bench.folder(), "system.posix_acl_default", &acl, flags).is_ok() {
            bench.restore(staged, how);
            assert_eq!(bench.snapshot(&bench.place()), before, "{how:?}");
            for path in ["", "folder", "folder/file"] {
                let list = rustix::fs::listxattr_query(bench.place().join(path));
                assert_eq!(list.expect("listed"), 0, "{how:?} {path}");
            }
        }
    }
}

#[test]
fn holes_are_holes_again() {
    for how in [How::Move, How::Copy] {
        let bench = Bench::new();
        let file = fs::File::create(bench.source().join("sparse")).expect("made");
        file.set_len(64 << 20).expect("long");
        std::os::unix::fs::FileExt::write_all_at(&file, b"middle", 32 << 20).expect("written");
        let staged = bench.stage(&Rules::everything()).expect("staged");
        assert!(staged.records[0].1.sparse);
        bench.restore(staged, how);
        let restored = bench.place().join("sparse").metadata().expect("there");
        assert_eq!(restored.len(), 64 << 20);
        assert!(
            restored.blocks() * 512 < 1 << 20,
            "{how:?} {}",
            restored.blocks()
        );
    }
}

#[test]
fn a_listing_tells_every_change_of_what_is_kept_and_no_other() {
    let bench = Bench::new();
    let source = bench.source();
    let write = |path: &str| {
        fs::create_dir_all(source.join(path).parent().expect("a folder")).expect("made");
        fs::write(source.join(path), "content").expect("written");
    };
    for path in ["a/x", "b", "cache/c", "d/y"] {
        write(path);
    }
    symlink("a", source.join("link")).expect("linked");
    let rules = rules(&[], &["cache/", "*.tmp"]);
    let listed = || listing(&source, &rules).expect("listed");
    let mut before = listed();
    let same: [&dyn Fn(); 3] = [&|| write("cache/more"), &|| write("e.tmp"), &|| {
        drop(fs::read(source.join("b")).expect("read"))
    }];
    for (number, same) in same.iter().enumerate() {
        same();
        assert_eq!(listed(), before, "{number}");
    }
    let changes: [&dyn Fn(); 8] = [
        &|| fs::write(source.join("b"), "Content").expect("written"),
        &|| fs::write(source.join("b"), "longer content").expect("written"),
        &|| fs::rename(source.join("b"), source.join("b2")).expect("renamed"),
        &|| fs::create_dir(source.join("empty")).expect("made"),
        &|| {
            let mode = fs::Permissions::from_mode(0o711);
            fs::set_permissions(source.join("a"), mode).expect("set");
        },
        &|| {
            fs::remove_file(source.join("link")).expect("removed");
            symlink("d", source.join("link")).expect("linked");
        },
        &|| fs::remove_file(source.join("d/y")).expect("removed"),
        &|| {
            fs::copy(source.join("a/x"), source.join("a/x2")).expect("copied");
            fs::rename(source.join("a/x2"), source.join("a/x")).expect("renamed");
        },
    ];
    for (number, change) in changes.iter().enumerate() {
        change();
        let after = listed();
        assert_ne!(after, before, "{number}");
        before = after;
    }
}

#[test]
fn what_is_excluded_stays_when_a_directory_is_replaced() {
    let bench = Bench::new();
    let source = bench.source();
    for path in [
        "kept",
        "cache/a/b",
        "cache/empty/x",
        "logs/today.log",
        "only-here/x.log",
        ".hookshot/journal.json",
    ] {
        fs::create_dir_all(source.join(path).parent().expect("a folder")).expect("made");
        fs::write(source.join(path), path).expect("written");
    }
    fs::remove_file(source.join("cache/empty/x")).expect("removed");
    symlink("../kept", source.join("cache/link")).expect("linked");
    let _socket = UnixListener::bind(source.join("socket")).expect("a socket");
    let mode = fs::Permissions::from_mode(0o751);
    fs::set_permissions(source.join("cache"), mode).expect("set");
    let rules = rules(&[], &["cache/", "*.log"]);
    let mut staged = bench.stage(&rules).expect("staged");
    // The archive is older than this folder.
    let gone = RelativeName::new(b"only-here").expect("good");
    staged.tree.folders.remove(&gone).expect("it was there");
    let before = bench.snapshot(&source);
    bench.restore(staged, How::Move);
    let privilege = bench.privilege();
    let warnings = keep_excluded(&source, &bench.place(), &rules, privilege).expect("kept");
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(bench.snapshot(&bench.place()), before);
    assert_eq!(bench.snapshot(&source), before);
    let inode = |folder: &Path| folder.join("cache/a/b").metadata().expect("there").ino();
    assert_eq!(inode(&source), inode(&bench.place()), "no copy");
    // What is there already stays as it is.
    fs::remove_file(bench.place().join("cache/a/b")).expect("removed");
    fs::write(bench.place().join("cache/a/b"), "of the archive").expect("written");
    let changed = bench.snapshot(&bench.place());
    let warnings = keep_excluded(&source, &bench.place(), &rules, privilege).expect("kept");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(bench.snapshot(&bench.place()), changed);
    // The backup parts with what it shares, and with nothing else. Times of its folders stay.
    fs::write(source.join("cache/mine"), "mine").expect("written");
    let time = |path: &str| source.join(path).metadata().expect("there").mtime_nsec();
    let times = (time("."), time("cache"), time("logs"));
    for _ in 0..2 {
        release(&source, &bench.place(), &rules).expect("released");
        let left = bench.snapshot(&source).into_keys();
        let left: Vec<String> = left
            .map(|path| String::from_utf8_lossy(&path).into())
            .collect();
        let has = |path: &str| left.iter().any(|left| left.ends_with(path));
        for path in ["kept", "cache/a/b", "cache/mine", "logs"] {
            assert!(has(path), "{path}: {left:?}");
        }
        for path in [
            "today.log",
            "link",
            "socket",
            "journal.json",
            "empty",
            "x.log",
        ] {
            assert!(!has(path), "{path}: {left:?}");
        }
        assert_eq!((time("."), time("cache"), time("logs")), times);
    }
    assert_eq!(bench.snapshot(&bench.place()), changed);
}

#[test]
fn one_walk_gives_the_digest_of_what_is_kept_and_of_everything() {
    let bench = Bench::new();
    for folder in ["a/b", "a/.hookshot-x", "a-b/c", "cache/deep/z", "empty"] {
        fs::create_dir_all(bench.source().join(folder)).expect("made");
        for name in ["f", "f.tmp"] {
            fs::write(bench.source().join(folder).join(name), name).expect("written");
        }
    }
    symlink("a", bench.source().join("link")).expect("a link");
    let _socket = UnixListener::bind(bench.source().join("a/socket")).expect("bound");
    let excluding = rules(&[], &["cache/", "*.tmp"]);
    for rules in [
        Rules::everything(),
        rules(&[], &[]),
        excluding.clone(),
        excluding.clone().claiming([b"cache/deep/f".to_vec()]),
        excluding
            .clone()
            .without([b"a/b/f".to_vec(), b"a-b".to_vec()]),
        rules(&["*.tmp"], &["/cache/"]),
        rules(&["/a/b/"], &[]),
        excluding.of_child(b"a"),
        excluding.of_child(b"cache"),
    ] {
        let kept = listing(&bench.source(), &rules).expect("listed");
        let whole = listing(&bench.source(), &Rules::everything()).expect("listed");
        let both = listing_and_whole(&bench.source(), &rules).expect("listed");
        assert_eq!(both, (kept, whole), "{rules:?}");
    }
}

/// Caches in every folder, and a deep one with folders of our own names in it.
#[test]
fn what_is_excluded_moves_with_the_times_of_its_folders_and_leaves_none_empty() {
    let bench = Bench::new();
    let (old, new) = (bench.source(), bench.place());
    let set = |path: &Path, seconds: u64| {
        let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let file = fs::File::open(path).expect("open");
        file.set_modified(time).expect("set");
    };
    let cached = ["cache/a/b", "cache/a/.hookshot-x/deep", "cache/z", "many/9"];
    for folder in cached {
        fs::create_dir_all(old.join(folder)).expect("made");
        fs::write(old.join(folder).join("file.tmp"), folder).expect("written");
    }
    for number in 0..9 {
        for top in [&old, &new] {
            fs::create_dir_all(top.join(format!("many/{number}"))).expect("made");
        }
        fs::write(old.join(format!("many/{number}/x.tmp")), "x").expect("written");
        for path in [format!("many/{number}"), "many".to_owned()] {
            set(&new.join(&path), 1_000_000);
            set(&old.join(&path), 2_000_000);
        }
    }
    fs::create_dir(old.join("cache/only-old")).expect("made");
    set(&old.join("cache/a"), 3_000_000);
    let before = bench.snapshot(&old);
    let rules = rules(&[], &["cache/", "*.tmp"]);
    let left = keep_excluded(&old, &new, &rules, bench.privilege()).expect("kept");
    assert_eq!(left, Vec::<String>::new());
    let time = |path: &Path| path.metadata().expect("there").mtime();
    let kept = bench.snapshot(&new);
    for folder in cached {
        let path = Path::new(folder).join("file.tmp").into_os_string();
        assert_eq!(
            kept.get(path.as_bytes()),
            before.get(path.as_bytes()),
            "{folder}"
        );
    }
    assert_eq!(time(&new.join("cache/a")), 3_000_000);
    for path in ["many", "many/0", "many/8"] {
        assert_eq!(time(&new.join(path)), 1_000_000, "{path}");
    }
    assert_eq!(bench.snapshot(&old).len(), before.len());
    fs::remove_dir(new.join("cache/only-old")).expect("it came along");
    for _ in 0..2 {
        release(&old, &new, &rules).expect("released");
        assert_eq!(bench.snapshot(&new).len(), kept.len() - 1);
        let names: Vec<String> = bench
            .snapshot(&old)
            .keys()
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect();
        let rest = (0..10).map(|number| format!("many/{number}"));
        let expected: Vec<String> = ["", "cache", "cache/only-old", "many"]
            .map(str::to_owned)
            .into_iter()
            .chain(rest)
            .collect();
        assert_eq!(names, expected);
        assert_eq!(time(&old.join("many/3")), 2_000_000);
    }
}

#[test]
fn a_copy_of_what_is_excluded_is_the_original_s_and_a_changed_one_is_not() {
    let bench = Bench::new();
    let (kept, live) = (bench.source(), bench.place());
    for folder in [&kept, &live] {
        fs::create_dir_all(folder.join("cache")).expect("made");
    }
    let privilege = bench.privilege();
    let rules = rules(&[], &["cache/"]);
    let time = std::time::SystemTime::UNIX_EPOCH;
    for (folder, same, other) in [(&kept, "one", "two"), (&live, "one", "three")] {
        for (name, content) in [("same", same), ("other", other)] {
            let file = fs::File::create(folder.join("cache").join(name)).expect("made");
            (&file).write_all(content.as_bytes()).expect("written");
            file.set_modified(time).expect("set");
        }
    }
    release(&kept, &live, &rules).expect("released");
    assert!(!kept.join("cache/same").exists() && kept.join("cache/other").exists());
    let warnings = keep_excluded(&live, &kept, &rules, privilege).expect("kept");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[test]
fn an_error_while_building_leaves_nothing() {
    for (how, file) in [
        (How::Copy, b"a".as_slice()),
        // A name that is its own in staging is not renamed alone.
        (How::Move, b"\xff"),
    ] {
        let bench = Bench::new();
        let path = bench.source().join(std::ffi::OsStr::from_bytes(file));
        fs::write(path, "x").expect("written");
        fs::write(bench.source().join("b"), "y").expect("written");
        let staged = bench.stage(&Rules::everything()).expect("staged");
        let unpacked = bench.unpack(&staged, how);
        let entry = RelativeName::new(file).expect("good").entry(&name()).0;
        fs::remove_file(unpacked.staging.place(&entry)).expect("removed");
        let error = bench
            .try_restore(&staged, &unpacked)
            .expect_err("it is gone");
        assert!(format!("{error:#}").contains("cannot restore"), "{error:#}");
        assert!(!bench.place().exists());
    }
}

#[test]
fn many_small_files_are_staged_and_restored() {
    let bench = Bench::new();
    let mut expected = BTreeMap::new();
    for folder in 0..20 {
        let path = bench.source().join(format!("{folder}"));
        fs::create_dir(&path).expect("made");
        for file in 0..100 {
            let content = format!("{folder} {file}");
            fs::write(path.join(format!("{file}")), &content).expect("written");
            expected.insert(
                format!("data/{folder}/{file}"),
                Digest::of(content.as_bytes()),
            );
        }
    }
    let staged = bench.stage(&Rules::everything()).expect("staged");
    let found: BTreeMap<String, Digest> = staged
        .records
        .iter()
        .map(|(name, record)| (name.as_str().to_owned(), record.checksum))
        .collect();
    assert_eq!(found, expected);
    let before = bench.snapshot(&bench.source());
    bench.restore(staged, How::Move);
    assert_eq!(bench.snapshot(&bench.place()), before);
}

#[test]
fn a_folder_of_many_names_and_many_folders_are_listed_in_order() {
    let bench = Bench::new().with_listings();
    let (names, folders) = (6_000, 500);
    for number in 0..names {
        let path = bench.source().join(format!("{number:x}"));
        fs::File::create(path).expect("made");
    }
    for number in 0..folders {
        let path = bench.source().join(format!("{number:x}-"));
        fs::create_dir(&path).expect("made");
        fs::write(path.join("file"), "x").expect("written");
    }
    bench.wait_for_a_tick();
    let is_moved = std::cell::Cell::new(false);
    let staged = bench.stage_until(|_| {
        if !is_moved.replace(true) {
            fs::rename(bench.source().join("0"), bench.source().join("~")).expect("renamed");
        }
        Ok(())
    });
    let staged = staged.expect("staged");
    assert_eq!(staged.vanished, [""; 0]);
    let listing = staged.listing.as_ref().expect("there is a listing");
    let directory = listing.directory();
    assert_eq!(directory.files, names + folders);
    assert_eq!(directory.folders, folders);
    let files = files(&staged);
    assert_eq!(files.len() as u64, names + folders);
    assert_eq!(files.last().expect("some").name.as_str(), "data/~");
}

#[test]
fn memory_does_not_grow_with_the_number_of_files() {
    // Other tests may run in the same process otherwise.
    if std::env::var_os("NEXTEST").is_none() {
        return;
    }
    let most_bytes = || -> u64 {
        let status = fs::read_to_string("/proc/self/status").expect("read");
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = most.expect("told").trim().trim_end_matches(" kB");
        kibibytes.parse::<u64>().expect("a number") << 10
    };
    let bench = Bench::new().with_listings();
    for number in 0..30_000 {
        fs::File::create(bench.source().join(format!("{number:x}"))).expect("made");
    }
    bench.wait_for_a_tick();
    let before = most_bytes();
    let staged = bench.stage(&Rules::everything()).expect("staged");
    let lines = staged.lines(&name()).expect("lines");
    assert_eq!(lines.filter(Result::is_ok).count(), 30_000);
    let grown = most_bytes() - before;
    assert!(grown < 12 << 20, "{grown} bytes");
}

#[test]
fn attributes_that_a_line_cannot_hold_are_left_out_and_named() {
    let bench = Bench::new();
    let path = bench.source().join("a");
    for (number, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        fs::write(bench.source().join(name), name).expect("written");
        let value = vec![number as u8; 40_000];
        let name = format!("user.test{number}");
        if number > 0
            && rustix::fs::setxattr(&path, &name, &value, rustix::fs::XattrFlags::empty()).is_err()
        {
            // This file system has none that are so long.
            return;
        }
    }
    bench.wait_for_a_tick();
    let staged = bench.stage(&Rules::everything()).expect("staged");
    assert_eq!(staged.stripped, [""; 0]);
    assert_eq!(staged.records[0].1.xattrs.len(), 3);
    let staged = bench
        .with_listings()
        .stage(&Rules::everything())
        .expect("staged");
    assert!(
        staged.stripped[0].contains("/data/a is archived without"),
        "{:?}",
        staged.stripped
    );
    assert!(
        files(&staged)
            .iter()
            .all(|file| file.record.xattrs.is_empty())
    );
}

#[test]
fn the_caller_may_end_the_staging() {
    let bench = Bench::new();
    for number in 0..100 {
        let path = bench.source().join(format!("{number}"));
        fs::write(&path, "x").expect("written");
    }
    let error = bench.stage_until(|_| anyhow::bail!("enough")).err();
    assert_eq!(error.expect("ended").to_string(), "enough");
}

#[test]
fn names_that_are_not_utf_8_are_matched_and_restored() {
    let bench = Bench::new();
    let odd = std::ffi::OsString::from_vec(b"\xff\n\xfe".to_vec());
    fs::write(bench.source().join(&odd), "odd").expect("written");
    let staged = bench.stage(&Rules::everything()).expect("staged");
    let name = staged.records[0].0.as_str();
    assert!(name.starts_with("data/.hookshot-name/"), "{name}");
    assert_eq!(staged.records[0].1.name.as_deref(), Some(odd.as_bytes()));
    bench.restore(staged, How::Move);
    assert_eq!(fs::read(bench.place().join(&odd)).expect("there"), b"odd");
}

#[test]
fn links_that_lead_outside_are_named_with_a_listing_and_without() {
    let named = |bench: Bench| {
        let source = bench.source();
        fs::create_dir_all(source.join("a/b")).expect("made");
        let inside = source.join("a").display().to_string();
        for (link, target) in [
            ("a/b/through", "../../out/passwd"),
            ("a/b/up", "../../.."),
            ("chain", "in/../../x"),
            ("circle", "circle"),
            ("deep", "a/b/../../a"),
            ("in", "a/b"),
            ("last", "a/b/up/data"),
            ("out", "/etc"),
            ("whole", &inside),
        ] {
            symlink(target, source.join(link)).expect("linked");
        }
        let staged = bench.stage(&Rules::everything()).expect("staged");
        let kept = staged.tree.links.len();
        let outside = staged.outside.into_iter().map(|said| {
            let said = said.strip_prefix(&format!("{}/", source.display()));
            said.expect("a path").to_owned()
        });
        (outside.collect::<Vec<_>>(), kept)
    };
    let (unlisted, kept) = named(Bench::new());
    assert_eq!(kept, 9);
    let (listed, kept) = named(Bench::new().with_listings());
    assert_eq!((&listed, kept), (&unlisted, 0));
    let to = |(link, to): (&str, &str)| {
        format!(
            "{link} is a link that leads out of the directory, to {to}: the archive has the link, not what it leads to"
        )
    };
    let expected = [
        ("a/b/through", "../../out/passwd"),
        ("a/b/up", "../../.."),
        ("last", "a/b/up/data"),
        ("out", "/etc"),
    ];
    assert_eq!(listed, expected.map(to));
}
