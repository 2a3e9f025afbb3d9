//! One suite for every store, and the faults that stores and networks have; on servers of the tests' own.

use support::servers::{self, Azurite, Gcs, Moto, S3, Sshd};

use std::{
    fs,
    io::{Read as _, Write as _},
    sync::Arc,
};

use crate::places::{
    Local, PART_BYTES, Place, alive, bytes, content, dead, direct, export, export_as, kind, later,
    names, on, opened, s3,
};
use hookshot::{
    error::Kind,
    model::digest::Digest,
    store::{Options, Pages, Proof, Store, note},
};

/// The proofs of a store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Proofs {
    /// The proof of an object in one piece.
    pub small: Proof,
    /// The proof of an object in parts.
    pub large: Proof,
}

pub fn conforms(place: &dyn Place, proofs: Proofs) {
    let store = direct(place, "");
    archives_are_created_proven_and_read(&*store, proofs);
    a_name_that_is_taken_stays_what_it_is(&*store);
    what_is_dropped_leaves_nothing(place, &*store);
    names_that_do_not_fit_are_refused(&*store);
    what_others_have_there_stays_out(place, &*store);
    only_what_dead_makers_left_is_swept(place, &*store);
    notes_are_replaced_and_stay_out_of_sight(&*store);
    everything_can_be_read_back(place);
    for name in names(&*store) {
        store.remove(&name).expect("removed");
    }
    assert_eq!(names(&*store), [""; 0]);
}

fn archives_are_created_proven_and_read(store: &dyn Store, proofs: Proofs) {
    assert!(store.find("small").expect("an answer").is_none());
    let error = store.open("small").err().expect("it is not there");
    assert_eq!(kind(&error), Kind::NotFound, "{error:#}");
    let error = store.read("small", 1 << 20).expect_err("it is not there");
    assert_eq!(kind(&error), Kind::NotFound, "{error:#}");
    store.remove("small").expect("nothing to remove");

    // Nothing, a little, exactly one part, exactly two, and more parts than go at once.
    let sizes = [
        ("empty", 0),
        ("small", 100_001),
        ("one", PART_BYTES),
        ("two", 2 * PART_BYTES),
        ("large", 5 * PART_BYTES + 12_345),
    ];
    for (seed, (name, size)) in sizes.into_iter().enumerate() {
        let sent = bytes(size, seed as u8);
        let proof = export(store, name, &sent).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        let expected = if size > PART_BYTES {
            proofs.large
        } else {
            proofs.small
        };
        assert_eq!(proof, expected, "{name}");
        let found = store.find(name).expect("an answer").expect("it is there");
        assert_eq!((found.name.as_str(), found.size_bytes), (name, size as u64));
        assert!(found.modified.is_some());
        assert!(content(store, name).expect("read") == sent, "{name}");
        let most = size as u64;
        assert!(store.read(name, most).expect("read") == sent, "{name}");
        if size > 0 {
            let error = store.read(name, most - 1).expect_err("too large");
            assert_eq!(kind(&error), Kind::Refused, "{name}: {error:#}");
        }
    }
    assert_eq!(names(store), ["empty", "large", "one", "small", "two"]);

    let large = store.open("large").expect("open");
    let sent = bytes(5 * PART_BYTES + 12_345, 4);
    assert_eq!(large.length().expect("a length"), sent.len() as u64);
    for (from, count) in [(0, 1), (PART_BYTES - 3, 7), (sent.len() - 1, 1), (77, 0)] {
        let mut range = vec![0; count];
        large
            .read_exact_at(&mut range, from as u64)
            .expect("a range");
        assert!(range == sent[from..from + count], "{count} from {from}");
    }
    for (from, count) in [
        (sent.len() as u64, 1),
        (sent.len() as u64 - 1, 2),
        (u64::MAX, 2),
    ] {
        let error = large.read_exact_at(&mut vec![0; count], from);
        let error = error.expect_err("behind the end");
        assert!(!error.to_string().is_empty());
    }
    let mut paged = Vec::new();
    let mut pages = Pages::new(Arc::from(large)).expect("pages");
    pages.read_to_end(&mut paged).expect("read");
    assert!(paged == sent);

    for name in ["empty", "two", "one", "large"] {
        store.remove(name).expect("removed");
        store.remove(name).expect("nothing is left to remove");
        assert!(store.find(name).expect("an answer").is_none());
    }
}

fn a_name_that_is_taken_stays_what_it_is(store: &dyn Store) {
    let first = bytes(100_001, 1);
    let error = store.create("small", 1, &alive("x")).err().expect("taken");
    assert!(error.to_string().contains("already"), "{error:#}");
    // Taken while it is written, at once and in parts, also by something of the same size.
    for (size, name) in [(1_000, "race"), (2 * PART_BYTES, "race-large")] {
        let mut late = store
            .create(name, size as u64, &alive("late"))
            .expect("begun");
        late.write_all(&bytes(size, 9)).expect("written");
        export(store, name, &bytes(size, 8)).expect("the faster one");
        let error = late
            .finish(&Digest::of(&bytes(size, 9)))
            .expect_err("taken");
        assert!(error.to_string().contains("already"), "{error:#}");
        assert!(content(store, name).expect("read") == bytes(size, 8));
        store.remove(name).expect("removed");
    }
    assert!(content(store, "small").expect("read") == first);
}

fn what_is_dropped_leaves_nothing(place: &dyn Place, store: &dyn Store) {
    let before = everything(place);
    for size in [0, 1_000, 2 * PART_BYTES + 1_000] {
        let mut upload = store
            .create("dropped", size as u64, &alive("run-2"))
            .expect("begun");
        upload.write_all(&bytes(size, 3)).expect("written");
        drop(upload);
        assert_eq!(everything(place), before, "{size}");
    }
    // Something else than what the digest was computed of: whoever finishes so has a defect.
    for size in [1_000, 2 * PART_BYTES + 1_000] {
        let read_back = |options: &mut Options| options.transfer.read_back = true;
        let store = opened(place, "", &place.endpoint(), read_back, on());
        let mut upload = store
            .create("other", size as u64, &alive("run-2"))
            .expect("begun");
        upload.write_all(&bytes(size, 3)).expect("written");
        let error = upload
            .finish(&Digest::of(b"other"))
            .expect_err("it is not that");
        assert_eq!(kind(&error), Kind::Unproven, "{error:#}");
        assert_eq!(everything(place), before, "{size}");
    }
}

fn everything(place: &dyn Place) -> Vec<String> {
    let mut everything = place.everything();
    everything.sort();
    everything
}

fn names_that_do_not_fit_are_refused(store: &dyn Store) {
    for name in ["", ".", "..", "a/b", "../a", ".hookshot-upload-x", "a\nb"] {
        let create = store.create(name, 1, &alive("x")).err();
        let open = store.open(name).err();
        let errors = [
            create,
            open,
            store.find(name).err(),
            store.remove(name).err(),
        ];
        for error in errors {
            let error = error.unwrap_or_else(|| panic!("{name:?} is a name"));
            assert_eq!(kind(&error), Kind::Usage, "{error:#}");
        }
    }
    let names = [".a", "a b", "ü", "a%2fb", &"x".repeat(256)];
    for name in names {
        let error = store.create(name, 1, &alive("x")).err().expect(name);
        assert_eq!(kind(&error), Kind::Usage, "{error:#}");
    }
    // s3s-fs has no room for longer ones in the names of its files.
    let long = format!("{}.tar.gz", "x".repeat(100));
    export(store, &long, &bytes(2 * PART_BYTES, 1)).expect("a long name");
    store.remove(&long).expect("removed");
}

fn what_others_have_there_stays_out(place: &dyn Place, store: &dyn Store) {
    let (below, beside) = (direct(place, "host-1"), direct(place, "host-10"));
    export(&*below, "deep", b"1").expect("written");
    export(&*beside, "beside", b"2").expect("written");
    assert_eq!(names(&*below), ["deep"]);
    assert_eq!(names(&*beside), ["beside"]);
    assert_eq!(names(store), ["small"]);
    assert!(store.find("deep").expect("an answer").is_none());
    if place.knows_no_folders() {
        assert!(store.find("host-1").expect("an answer").is_none());
        let error = store.open("host-1").err().expect("no archive");
        assert_eq!(kind(&error), Kind::NotFound, "{error:#}");
    }
    below.remove("beside").expect("nothing to remove");
    assert_eq!(names(&*beside), ["beside"]);
    below.remove("deep").expect("removed");
    beside.remove("beside").expect("removed");
}

fn only_what_dead_makers_left_is_swept(place: &dyn Place, store: &dyn Store) {
    let before = everything(place);
    assert_eq!(store.sweep(&alive("sweeper")).expect("swept"), [""; 0]);
    let leave = |maker, name| {
        let mut upload = store
            .create(name, 3 * PART_BYTES as u64, &maker)
            .expect("begun");
        upload
            .write_all(&bytes(2 * PART_BYTES, 5))
            .expect("written");
        // As a kill would.
        std::mem::forget(upload);
    };
    leave(dead("run-3"), "left");
    leave(alive("run-4"), "at-work");
    assert_eq!(names(store), ["small"]);
    // A folder keeps files without a name, where its file system can do that.
    let leaves_traces = everything(place).len() > before.len();
    let swept = store.sweep(&alive("sweeper")).expect("swept");
    if leaves_traces {
        assert_eq!(swept, ["left"]);
        assert_eq!(store.sweep(&alive("sweeper")).expect("swept"), [""; 0]);
        assert_eq!(store.sweep(&alive("run-4")).expect("swept"), [""; 0]);
        assert_eq!(store.sweep(&later("other")).expect("swept"), ["at-work"]);
    }
    assert_eq!(everything(place), before);
}

fn notes_are_replaced_and_stay_out_of_sight(store: &dyn Store) {
    let name = ".hookshot-unchanged-web1.example_com";
    let read = || note::read(store, name).expect("an answer");
    assert_eq!(read(), None);
    let listed = names(store);
    for (maker, text) in [
        (dead("run-5"), "a first one\n"),
        (alive("run-6"), "another\n"),
        (alive("run-6"), ""),
        (alive("run-7"), "the last of all\n"),
    ] {
        note::replace(store, name, text.as_bytes(), &maker).expect(text);
        assert_eq!(read().as_deref(), Some(text.as_bytes()));
    }
    assert_eq!(names(store), listed);
    // A store that shows no unfinished upload may still hold one of the step before.
    let mut swept = store.sweep(&later("sweeper")).expect("swept");
    swept.retain(|name| name != "at-work");
    assert_eq!(swept, [""; 0]);
    assert_eq!(read().as_deref(), Some(&b"the last of all\n"[..]));
    // One of another kind is another note, and one that is too large counts as none.
    let other = ".hookshot-accepted-web1.example_com";
    let large = vec![b' '; 5000];
    note::replace(store, other, &large, &alive("run-7")).expect("a large one");
    assert_eq!(note::read(store, other).expect("an answer"), None);
    assert!(read().is_some());
    for name in [name, other] {
        store.remove(name).expect("removed");
        assert!(store.find(name).expect("an answer").is_none());
    }
}

fn everything_can_be_read_back(place: &dyn Place) {
    let read_back = |options: &mut Options| options.transfer.read_back = true;
    let store = opened(place, "", &place.endpoint(), read_back, on());
    for (name, size) in [("small-back", 1_000), ("large-back", 2 * PART_BYTES)] {
        let proof = export(&*store, name, &bytes(size, 6)).expect("proven");
        assert_eq!(proof, Proof::ReadBack);
        store.remove(name).expect("removed");
    }
}

/// Checks that an object replaced during its reading is refused rather than mixed, or read to its end as it was.
fn replaced_while_read(place: &dyn Place, replace: impl Fn(&[u8])) {
    let store = direct(place, "");
    let (old, new) = (bytes(9_000, 1), bytes(9_000, 2));
    export(&*store, "replaced", &old).expect("written");
    let reader = store.open("replaced").expect("open");
    let mut half = vec![0; 4_000];
    reader.read_exact_at(&mut half, 0).expect("the first half");
    assert!(half == old[..4_000]);
    replace(&new);
    match reader.read_exact_at(&mut half, 5_000) {
        Ok(()) => assert!(half == old[5_000..], "of two archives"),
        Err(error) => assert!(error.to_string().contains("replaced"), "{error}"),
    }
    assert!(content(&*store, "replaced").expect("read") == new);
    store.remove("replaced").expect("removed");
}

/// Replaces it by hookshot alone.
fn replaced_by_another_export(place: &dyn Place) {
    replaced_while_read(place, |new| {
        let store = direct(place, "");
        store.remove("replaced").expect("removed");
        export(&*store, "replaced", new).expect("written");
    });
}

const CHECKSUM: Proofs = Proofs {
    small: Proof::Checksum,
    large: Proof::Checksum,
};
const READ_BACK: Proofs = Proofs {
    small: Proof::ReadBack,
    large: Proof::ReadBack,
};

#[test]
fn a_folder_conforms() {
    let place = Local(tempfile::tempdir().expect("a folder"));
    conforms(&place, READ_BACK);
    replaced_by_another_export(&place);
}

#[test]
fn s3_in_process_conforms() {
    let place = S3::start();
    conforms(&place, CHECKSUM);
    replaced_by_another_export(&place);
}

#[test]
fn moto_conforms() {
    let Some(place) = Moto::start() else { return };
    conforms(&place, CHECKSUM);
    replaced_by_another_export(&place);
}

#[test]
fn azurite_conforms() {
    let Some(place) = Azurite::start() else {
        return;
    };
    conforms(&place, READ_BACK);
    replaced_by_another_export(&place);
}

#[test]
fn gcs_conforms() {
    let place = Gcs::start();
    let proofs = Proofs {
        small: Proof::Checksum,
        large: Proof::ReadBack,
    };
    conforms(&place, proofs);
    replaced_by_another_export(&place);
}

#[test]
fn sshd_conforms() {
    let Some(place) = Sshd::start() else { return };
    conforms(&place, READ_BACK);
    replaced_by_another_export(&place);
}

#[test]
fn lists_of_many_pages_are_complete_in_every_store() {
    let gcs = Gcs::with_page_size(7);
    let s3 = S3::start();
    let local = Local(tempfile::tempdir().expect("a folder"));
    let sshd = Sshd::start();
    let mut places: Vec<(&dyn Place, usize)> = vec![(&gcs, 30), (&local, 1_100)];
    // More than a thousand are more than one page of S3.
    for number in 0..1_100 {
        let folder = s3.file("many");
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join(format!("a-{number:04}")), b"x").expect("written");
    }
    let listed = names(&*direct(&s3, "many"));
    assert_eq!(listed.len(), 1_100);
    assert!(listed.windows(2).all(|two| two[0] < two[1]), "each once");
    if let Some(sshd) = &sshd {
        places.push((sshd, 300));
    }
    for (place, count) in places {
        let store = direct(place, "");
        for number in 0..count {
            let name = format!("a-{number:04}");
            export(&*store, &name, b"x").expect("written");
        }
        let listed = names(&*store);
        assert_eq!(listed.len(), count);
        assert!(listed.windows(2).all(|two| two[0] < two[1]), "each once");
        let mut seen = 0;
        let stopped = store.list(&mut |_| {
            seen += 1;
            anyhow::bail!("enough")
        });
        assert_eq!(
            (seen, stopped.expect_err("stopped").to_string()),
            (1, "enough".to_owned())
        );
    }
}

#[test]
fn drafts_with_a_name_are_swept_from_a_folder_a_day_later() {
    let place = Local(tempfile::tempdir().expect("a folder"));
    let store = direct(&place, "");
    export(&*store, "kept", b"1").expect("written");
    let written = std::time::SystemTime::from(alive("x").begun);
    for name in [".hookshot-Ab12Cd", ".hookshot-notes.txt", ".other"] {
        let path = place.0.path().join("archives").join(name);
        let file = fs::File::create(path).expect("a file");
        file.set_modified(written).expect("its time");
    }
    assert_eq!(store.sweep(&alive("y")).expect("swept"), [""; 0]);
    assert_eq!(
        store.sweep(&later("z")).expect("swept"),
        [".hookshot-Ab12Cd"]
    );
    assert_eq!(
        everything(&place),
        [".hookshot-notes.txt", ".other", "kept"]
    );
}

#[test]
fn files_of_this_machine_and_of_servers_are_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let local = Local(tempfile::tempdir().expect("a folder"));
    let sshd = Sshd::start();
    let mut roots = vec![(&local as &dyn Place, local.0.path().join("archives"))];
    if let Some(sshd) = &sshd {
        roots.push((sshd, sshd.files().join("archives")));
    }
    for (place, root) in roots {
        let store = direct(place, "host/app");
        export(&*store, "one", b"1").expect("written");
        note::replace(&*store, ".hookshot-accepted-a", b"{}", &alive("x")).expect("a note");
        for (path, mode) in [
            ("", 0o700),
            ("host", 0o700),
            ("host/app", 0o700),
            ("host/app/one", 0o600),
            ("host/app/.hookshot-accepted-a", 0o600),
        ] {
            let metadata = fs::metadata(root.join(path)).expect("it is there");
            assert_eq!(metadata.permissions().mode() & 0o7777, mode, "{path}");
        }
    }
}

#[test]
fn tags_classes_and_encryption_are_asked_for() {
    let server = S3::start();
    let proxy = servers::Faults::in_front_of(&server.endpoint());
    let asks = |options: &mut Options| {
        s3(options).bucket.storage_class = Some("STANDARD_IA".to_owned());
        s3(options)
            .tags
            .insert("kind".to_owned(), "backup".to_owned());
        s3(options).sse = Some(hookshot::store::options::Encryption::Server);
    };
    let store = opened(&server, "", &proxy.endpoint(), asks, on());
    for (name, size) in [("small", 10), ("large", 2 * PART_BYTES)] {
        drop(export_as(&*store, name, &bytes(size, 1), &alive("run")));
    }
    // What is to be read at any time goes to no other class.
    for name in ["a-20260101-000000.tar.gz.keep", ".hookshot-unchanged-a"] {
        drop(export_as(&*store, name, b"forever", &alive("run")));
    }
    let seen = proxy.seen();
    let classless = seen.iter().filter(|seen| {
        let path = seen.head.path();
        let is_beside = path.ends_with(".keep") || path.ends_with(".hookshot-unchanged-a");
        seen.head.method() == "PUT" && is_beside
    });
    let classes = classless.map(|seen| seen.head.header("x-amz-storage-class").is_some());
    assert_eq!(classes.collect::<Vec<_>>(), [false, false]);
    let begins = seen.iter().filter(|seen| {
        let is_small = seen.head.method() == "PUT" && seen.head.path().ends_with("/small");
        is_small || seen.head.parameter("uploads").is_some()
    });
    let mut count = 0;
    for seen in begins {
        let header = |name| seen.head.header(name).unwrap_or_default().to_owned();
        assert_eq!(header("x-amz-storage-class"), "STANDARD_IA", "{seen:?}");
        assert_eq!(header("x-amz-tagging"), "kind=backup", "{seen:?}");
        assert_eq!(header("x-amz-server-side-encryption"), "AES256", "{seen:?}");
        count += 1;
    }
    assert_eq!(count, 2);
}
