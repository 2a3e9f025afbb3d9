//! Files appear whole or not at all, whatever lies at their names.

use super::*;

#[test]
fn a_draft_is_private_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut draft = Draft::create(folder.path()).expect("a draft");
    assert_eq!(
        draft
            .file()
            .metadata()
            .expect("metadata")
            .permissions()
            .mode()
            & 0o777,
        0o600
    );
    drop(draft);
    assert_eq!(folder.path().read_dir().expect("a folder").count(), 0);
}

#[test]
fn a_file_for_every_reader_is_readable_and_replaces_a_private_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    publish(&path, b"one", Existing::Keep).expect("published");
    for _ in 0..2 {
        publish_readable(&path, b"two").expect("published");
        let mode = path.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
    }
    assert_eq!(std::fs::read(&path).expect("the file"), b"two");
    assert_eq!(folder.path().read_dir().expect("a folder").count(), 1);
}

#[test]
fn a_draft_that_was_closed_is_private_and_published_or_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let names = || {
        let entries = folder.path().read_dir().expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        names.collect::<Vec<_>>()
    };
    let other = tempfile::tempdir().expect("a folder");
    for (named, waiting) in [
        (true, folder.path()),
        (false, folder.path()),
        (false, other.path()),
        // No name leads to another file system.
        (false, Path::new("/dev")),
    ] {
        let device = |path: &Path| path.metadata().expect("a folder").dev();
        if waiting == Path::new("/dev") && device(waiting) == device(folder.path()) {
            continue;
        }
        let draft = || {
            let mut draft = Draft::create(folder.path()).expect("a draft");
            if named {
                draft.kind = Kind::Named(named_in(folder.path(), PREFIX).expect("a file"));
            }
            draft.file().write_all(b"content").expect("written");
            draft.close(waiting).expect("closed")
        };
        let closed = draft();
        let is_apart = closed.path.starts_with(other.path());
        assert_eq!(is_apart, waiting == other.path());
        let mode = closed.path.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(closed);
        assert!(names().is_empty());
        let path = folder.path().join("file");
        let opened = draft().open().expect("open");
        opened.publish(&path, Existing::Keep).expect("published");
        assert_eq!(std::fs::read(&path).expect("the file"), b"content");
        assert_eq!(names(), ["file"]);
        std::fs::remove_file(&path).expect("removed");
    }
}

#[test]
fn a_closed_draft_that_was_swapped_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let other = folder.path().join("other");
    std::fs::write(&other, b"other").expect("written");
    type Swap = fn(&Path, &Path) -> io::Result<()>;
    let swaps: [Swap; 5] = [
        |other, path| std::os::unix::fs::symlink(other, path),
        |other, path| std::fs::rename(other, path),
        // It may get the number of the one that is gone.
        |_, path| std::fs::write(path, b"other"),
        |_, path| std::fs::create_dir(path),
        |_, _| Ok(()),
    ];
    for swap in swaps {
        let mut draft = Draft::create(folder.path()).expect("a draft");
        draft.file().write_all(b"content").expect("written");
        let closed = draft.close(folder.path()).expect("closed");
        // Births are told apart by the clock's ticks.
        std::thread::sleep(std::time::Duration::from_millis(30));
        std::fs::remove_file(&closed.path).expect("removed");
        swap(&other, &closed.path).expect("swapped");
        let Err(refused) = closed.open() else {
            panic!("opened");
        };
        let message = refused.to_string();
        assert!(message.contains("another process"), "{message}");
    }
}

#[test]
fn drafts_that_want_one_name_at_once_get_one_each() {
    let folder = tempfile::tempdir().expect("a folder");
    let names = || (0..100).map(|number| folder.path().join(number.to_string()));
    let drafts = |named: bool| Draft {
        folder: folder.path().to_owned(),
        kind: match named {
            true => Kind::Named(named_in(folder.path(), PREFIX).expect("a file")),
            false => Draft::create(folder.path()).expect("a draft").kind,
        },
    };
    let start = std::sync::Barrier::new(20);
    std::thread::scope(|scope| {
        for number in 0..20 {
            let (start, draft) = (&start, drafts(number % 2 == 0));
            scope.spawn(move || {
                start.wait();
                draft.publish_first(names()).expect("published")
            });
        }
    });
    let mut found: Vec<usize> = folder
        .path()
        .read_dir()
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.to_str().expect("UTF-8").parse().expect("a number"))
        .collect();
    found.sort_unstable();
    assert_eq!(found, (0..20).collect::<Vec<_>>());
}

#[test]
fn publishing_replaces_or_keeps_as_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    publish(&path, b"one", Existing::Keep).expect("published");
    let kept = publish(&path, b"two", Existing::Keep).expect_err("kept");
    assert_eq!(
        kept.downcast_ref::<io::Error>().expect("io").kind(),
        io::ErrorKind::AlreadyExists
    );
    publish(&path, b"three", Existing::Replace).expect("replaced");
    assert_eq!(std::fs::read(&path).expect("the file"), b"three");
    assert_eq!(folder.path().read_dir().expect("a folder").count(), 1);
}
