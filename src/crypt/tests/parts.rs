//! Any part of a sealed file is read, and no more than that.

use std::{
    io::{self, Cursor, Seek as _, SeekFrom},
    sync::{Arc, atomic::Ordering},
};

use super::{counted::Bytes, *};
use crate::work::ReadAt;

#[test]
fn a_part_is_read_without_the_rest() {
    let (pair, other) = (generate(), generate());
    let content = text(10 << 20);
    let (file, _) = sealed(&recipients(&[&pair]), &content);
    let source = Arc::new(Bytes::of(file.clone()));
    let at = ring(&[&pair])
        .open_at("a.age", Form::Binary, source.clone())
        .expect("it opens");
    assert_eq!(at.length().expect("a length"), content.len() as u64);
    assert!(
        source.count.load(Ordering::Relaxed) < 80_000,
        "the header and the last piece"
    );
    for (offset, count) in [
        (0, 10),
        (65_530, 12),
        (5_000_000, 300_000),
        (9_999_999, 1),
        (10_485_700, 60),
        (3, 0),
    ] {
        let before = source.count.load(Ordering::Relaxed);
        let requests = source.requests.load(Ordering::Relaxed);
        let mut part = vec![0; count];
        at.read_exact_at(&mut part, offset).expect("a part");
        let from = offset as usize;
        assert!(part == content[from..from + count], "{offset}");
        let read = source.count.load(Ordering::Relaxed) - before;
        assert!(
            read <= (count as u64).next_multiple_of(CHUNK_BYTES) + 2 * SEALED_CHUNK as u64,
            "{offset}: {read}"
        );
        assert!(
            source.requests.load(Ordering::Relaxed) - requests <= 1,
            "{offset}"
        );
    }
    let mut beyond = [0; 61];
    let error = at
        .read_exact_at(&mut beyond, 10_485_700)
        .expect_err("beyond the end");
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    let source = Arc::new(Bytes::of(file));
    let refused = ring(&[&other]).open_at("a.age", Form::Binary, source.clone());
    assert_eq!(
        Failure::of(&refused.err().expect("refused")).kind,
        Kind::Key
    );
    assert!(source.count.load(Ordering::Relaxed) < 64 << 10);
}

#[test]
fn each_key_is_tried_on_the_header_alone() {
    let pairs: Vec<KeyPair> = (0..258).map(|_| generate()).collect();
    let [one, two, other] = &pairs[..3] else {
        unreachable!("three of many");
    };
    let content = text(1 << 20);
    let many: Vec<&KeyPair> = pairs.iter().skip(3).chain([two]).collect();
    for (sealed_for, opened_by, most_bytes) in [
        (vec![one], vec!["key0"], 8 << 10),
        (vec![two, one], vec!["key0", "key1"], 8 << 10),
        (vec![other], vec![], 8 << 10),
        (many, vec!["key1"], 64 << 10),
    ] {
        let (file, _) = sealed(&recipients(&sealed_for), &content);
        let source = Arc::new(Bytes::of(file));
        let trial = ring(&[one, two])
            .try_header("a.age", Form::Binary, source.clone())
            .expect("a header");
        let opens: Vec<&str> = trial.opened_by.iter().map(|name| &*name.shown).collect();
        assert_eq!(opens, opened_by);
        assert_eq!(trial.recipients.len(), sealed_for.len());
        assert!(source.count.load(Ordering::Relaxed) <= most_bytes);
    }
}

#[test]
fn an_armored_file_is_read_whole_and_in_parts() {
    let pair = generate();
    let content = text(150_000);
    let (file, _) = sealed(&recipients(&[&pair]), &content);
    let format = age::armor::Format::AsciiArmor;
    let mut armored = age::armor::ArmoredWriter::wrap_output(Vec::new(), format).expect("begun");
    armored.write_all(&file).expect("written");
    let armored = armored.finish().expect("ended");
    assert_eq!(form_of(&armored), Some(Form::Armored));
    let ring = ring(&[&pair]);
    assert!(opened(&ring, &armored).expect("it opens") == content);
    let source = Arc::new(Bytes::of(armored.clone()));
    let at = ring
        .open_at("a.age", Form::Armored, source)
        .expect("it opens");
    let mut part = vec![0; 70_000];
    at.read_exact_at(&mut part, 60_000).expect("a part");
    assert!(part == content[60_000..130_000]);
    let mut reader = ring
        .open("a.age", Form::Armored, Cursor::new(&armored))
        .expect("it opens");
    reader.seek(SeekFrom::Start(140_000)).expect("sought");
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).expect("read");
    assert!(rest == content[140_000..]);
    assert_eq!(
        kind(opened(&ring, &armored[..armored.len() - 40])),
        Kind::Refused
    );
}
