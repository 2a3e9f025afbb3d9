use super::*;
use proptest::prelude::*;

use crate::model::{
    digest::Digest,
    manifest::record::{FileRecord, FolderRecord, LinkRecord, Owner},
};

fn directory() -> EntryName {
    EntryName::new("data").expect("a good name")
}

fn relative(path: &[u8]) -> RelativeName {
    RelativeName::new(path).expect("a good path")
}

fn file(path: &[u8]) -> ListingLine {
    let name = relative(path);
    let (entry, is_escaped) = name.entry(&directory());
    let mut record = FileRecord::new(entry, Digest::of(path), path.len() as u64);
    record.name = is_escaped.then(|| path.to_vec());
    record.mode = Some(0o640);
    record.user = Some("mail".into());
    let node = ListedNode::File(Box::new(record));
    ListingLine { name, node }
}

fn folder(path: &[u8]) -> ListingLine {
    let record = FolderRecord {
        mode: Some(0o750),
        ..FolderRecord::default()
    };
    let node = ListedNode::Folder(record);
    let name = relative(path);
    ListingLine { name, node }
}

fn link(path: &[u8], target: &[u8]) -> ListingLine {
    let owner = Owner {
        uid: Some(7),
        ..Owner::default()
    };
    let node = ListedNode::Link(LinkRecord {
        target: target.to_vec(),
        owner,
        mtime: None,
    });
    let name = relative(path);
    ListingLine { name, node }
}

fn text(line: &ListingLine) -> String {
    let mut text = Vec::new();
    line.write(&directory(), &mut text);
    String::from_utf8(text).expect("JSON")
}

fn check(lines: &[ListingLine]) -> ListingCheck {
    let root = FolderRecord::default();
    let mut promised = ListedDirectory::new(&directory(), root).expect("a short name");
    for line in lines {
        promised.count(line);
    }
    ListingCheck::new(directory(), promised)
}

/// Returns the faults of a listing of these lines, of which the manifest promises as many.
fn faults(lines: &[ListingLine]) -> Vec<String> {
    let mut check = check(lines);
    let mut faults = Vec::new();
    for line in lines {
        faults.extend(check.line(text(line).trim_end().as_bytes()).err());
    }
    let faults = faults.into_iter().flatten();
    faults.map(|fault| format!("{fault:?}")).collect()
}

#[test]
fn a_line_reads_as_it_was_written() {
    let mut reader = LineReader::new(directory());
    for line in [
        file(b"a/b"),
        file(b"caf\xe9"),
        file(b"new\nline"),
        folder(b"a"),
        folder(b"caf\xe9"),
        link(b"l", b"../x"),
        link(b"m", b"\xff"),
    ] {
        let text = text(&line);
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        let read = reader.read(text.trim_end().as_bytes(), 1).expect(&text);
        assert_eq!(read, line);
    }
}

#[test]
fn lines_in_the_order_of_a_walk_are_good_and_others_are_not() {
    let good = [
        folder(b"a"),
        file(b"a/b"),
        folder(b"a/c"),
        link(b"a/c/l", b"x"),
        file(b"a-b"),
        folder(b"b"),
        file(b"c"),
    ];
    assert_eq!(faults(&good), Vec::<String>::new());
    for (lines, expected) in [
        (vec![file(b"b"), file(b"a")], "are not in order"),
        (vec![file(b"a"), file(b"a")], "a is a file and a file"),
        (vec![folder(b"a"), file(b"a")], "a is a folder and a file"),
        (
            vec![file(b"a"), file(b"a/b")],
            "a/b lies below a, which is a file",
        ),
        (
            vec![file(b"a/b")],
            "a/b lies in a, which has no line before it",
        ),
        (
            vec![folder(b"a"), file(b"a-"), folder(b"b"), file(b"c/d")],
            "c/d lies in c, which has no line before it",
        ),
        (
            vec![folder(b"a"), folder(b"a/b"), file(b"a/c/d")],
            "a/c/d lies in a/c, which has no line before it",
        ),
        (vec![file(b"a-b"), folder(b"a")], "are not in order"),
    ] {
        let faults = faults(&lines);
        assert!(
            faults.len() == 1 && faults[0].contains(expected),
            "{expected}: {faults:?}"
        );
    }
}

#[test]
fn each_fault_of_a_line_is_named() {
    let (digest, long) = ("0".repeat(64), "u".repeat(257));
    for (line, expected) in [
        ("[]", "is not an object"),
        ("{", "is not JSON"),
        (r#"{"path":"data/a"}"#, "`checksum` is missing"),
        (
            r#"{"path":"data/a","kind":"folder","kind":"link"}"#,
            "stands twice",
        ),
        (
            r#"{"path":"other/a","kind":"folder"}"#,
            "lies outside the directory",
        ),
        (
            r#"{"path":"data","kind":"folder"}"#,
            "lies outside the directory",
        ),
        (r#"{"path":"data/../a","kind":"folder"}"#, "climbs"),
        (
            r#"{"path":"data/a","name":"61","kind":"folder"}"#,
            "is not listed by the key",
        ),
        (
            r#"{"path":"data/a","kind":"link"}"#,
            "one of `target` and `target_hex`",
        ),
        (
            r#"{"path":"data/a","kind":"folder","mode":"9"}"#,
            "`mode` must be",
        ),
        (
            &format!(r#"{{"path":"data/a","kind":"folder","group":"{long}"}}"#),
            "`group` must be a string of at most 256 bytes",
        ),
        (
            &format!(
                r#"{{"path":"data/a","size":1,"checksum":"{digest}","kind":"file","user":"{long}"}}"#
            ),
            "`user` must be a string of at most 256 bytes",
        ),
        (
            &format!(r#"{{"path":"data/a","checksum":"{digest}","size":-1}}"#),
            "`size` must be",
        ),
        (
            r#"{"path":"data/a","checksum":"00","size":1}"#,
            "`checksum` must be",
        ),
    ] {
        let mut check = check(&[file(b"a"), folder(b"b"), link(b"c", b"d")]);
        let faults = check.line(line.as_bytes()).expect_err(line);
        assert!(
            format!("{faults:?}").contains(expected),
            "{line}: {faults:?}"
        );
    }
}

#[test]
fn a_listing_holds_what_the_manifest_promises_and_no_more() {
    let lines = [file(b"a"), file(b"b")];
    let mut more = check(&lines[..1]);
    let fault = |check: &mut ListingCheck, line| check.line(text(line).trim_end().as_bytes());
    assert!(fault(&mut more, &lines[0]).is_ok());
    assert!(fault(&mut more, &lines[1]).is_err());
    let mut fewer = check(&lines);
    assert!(fault(&mut fewer, &lines[0]).is_ok());
    assert_eq!(fewer.finish().len(), 2, "files and bytes");
    assert!(fault(&mut fewer, &lines[1]).is_ok());
    assert_eq!(fewer.finish(), Vec::new());
}

#[test]
fn torn_files_are_counted_and_compared_with_the_manifest() {
    let mut torn = file(b"a");
    if let ListedNode::File(record) = &mut torn.node {
        record.torn = true;
        record.kind = Some("sqlite".into());
    }
    assert_eq!(faults(std::slice::from_ref(&torn)), Vec::<String>::new());
    let mut check = check(&[file(b"a")]);
    check.line(text(&torn).trim_end().as_bytes()).expect("good");
    let found = format!("{:?}", check.finish());
    for what in ["1 torn files", "1 torn databases"] {
        assert!(found.contains(what), "{found}");
    }
}

/// A line of a file with every field that ordinary ones have.
fn ordinary() -> ListingLine {
    let mut line = file(b"a/b");
    if let ListedNode::File(record) = &mut line.node {
        record.kind = Some("file".into());
        (record.uid, record.gid) = (Some(8), Some(0));
        (record.mtime, record.mtime_ns) = (Some(1_738_252_822), Some(7));
        record.group = Some("g".repeat(256).into());
    }
    line
}

#[test]
fn an_ordinary_line_is_read_at_once() {
    for line in [ordinary(), file(b"a")] {
        let text = text(&line);
        let read = read_ordinary(
            text.trim_end().as_bytes(),
            &directory(),
            &mut Texts::default(),
        );
        let (name, record) = read.expect("ordinary");
        let node = ListedNode::File(record);
        assert_eq!(ListingLine { name, node }, line);
    }
}

proptest! {
    #[test]
    fn a_line_that_is_read_at_once_is_one_that_is_good(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..4u8, any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        const PIECES: [&str; 22] = [
            "\"", "\\", "\\u0061", ",", "{", "}", " ", "0", "00", "-1", "1e3", ".5", "null", "true", "../", "/", "\u{0}",
            "4294967295", "18446744073709551616", ",\"secret\":true", ",\"kind\":\"folder\"", "\u{e9}",
        ];
        let mut bytes = text(&ordinary()).trim_end().as_bytes().to_vec();
        for (at, how, piece, byte) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => drop(bytes.remove(at)),
                2 => drop(bytes.splice(at..at, piece.get(&PIECES).bytes())),
                _ => {
                    let end = bytes.len().min(at + usize::from(byte % 16));
                    bytes.drain(at..end);
                }
            }
        }
        let at_once = read_ordinary(&bytes, &directory(), &mut Texts::default());
        if let Some((name, record)) = at_once {
            let node = ListedNode::File(record);
            let line = ListingLine { name, node };
            prop_assert_eq!(LineReader::new(directory()).read_any(&bytes, 1), Ok(line));
        }
    }
}
