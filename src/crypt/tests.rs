//! Sealed content comes back to its recipients, and to others nothing; every change of a sealed file is found.

use std::{
    io::{self, Cursor, Read as _, Seek as _, SeekFrom, Write as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use age::secrecy::ExposeSecret as _;
use anyhow::Result;

use super::{
    header::{CHUNK_BYTES, Form, TAG_BYTES, content_bytes, content_offset, form_of, recipients_of},
    *,
};
use crate::{
    error::{Failure, Kind},
    work::ReadAt,
};

const SEALED_CHUNK: usize = (CHUNK_BYTES + TAG_BYTES) as usize;

fn text(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + (at >> 8)) as u8).collect()
}

fn recipients(pairs: &[&KeyPair]) -> Recipients {
    let keys = pairs
        .iter()
        .map(|pair| PublicKey::parse(&pair.public).expect("a key"));
    Recipients::keys(keys.collect()).expect("recipients")
}

fn ring(pairs: &[&KeyPair]) -> Keyring {
    let mut ring = Keyring::default();
    for (number, pair) in pairs.iter().enumerate() {
        let shown = format!("key{number}");
        let content = pair.secret.expose_secret().as_bytes();
        ring.add_file(&shown, content, None, &|_| ())
            .expect("a key");
    }
    ring
}

fn sealed(recipients: &Recipients, content: &[u8]) -> (Vec<u8>, Keyring) {
    let (mut sealing, own) = recipients.seal(Vec::new()).expect("begun");
    sealing.write_all(content).expect("written");
    (sealing.finish().expect("ended"), own)
}

fn opened(ring: &Keyring, file: &[u8]) -> Result<Vec<u8>> {
    let Some(form) = form_of(file) else {
        return Err(Failure::new(Kind::Refused, "not sealed").into());
    };
    let mut all = Vec::new();
    ring.open("a.age", form, file)?.read_to_end(&mut all)?;
    Ok(all)
}

fn kind(result: Result<Vec<u8>>) -> Kind {
    Failure::of(&result.expect_err("it is refused")).kind
}

#[test]
fn each_recipient_opens_it_and_others_learn_for_what_kinds_it_is() {
    let (one, two, other) = (generate(), generate(), generate());
    let content = text(200_000);
    let (file, own) = sealed(&recipients(&[&one, &two]), &content);
    for ring in [&ring(&[&one]), &ring(&[&other, &two]), &own] {
        assert!(opened(ring, &file).expect("it opens") == content);
    }
    let failure = Failure::of(&opened(&ring(&[&other]), &file).expect_err("it does not open"));
    assert_eq!(failure.kind, Kind::Key);
    assert!(
        failure.message.contains("(for X25519, X25519)"),
        "{}",
        failure.message
    );
    assert_eq!(failure.faults, [format!("tried key0 ({})", other.public)]);
    let failure = Failure::of(&opened(&Keyring::default(), &file).expect_err("no key"));
    assert!(
        failure.message.contains("no key is given"),
        "{}",
        failure.message
    );
    assert_eq!(
        recipients_of(&file[..]).expect("a header"),
        ["X25519", "X25519"]
    );
    let offset = content_offset(&file).expect("a header");
    assert_eq!(content_bytes(file.len() as u64 - offset), Some(200_000));
    // The memory of one file opens no other.
    let (another, _) = sealed(&recipients(&[&one]), &content);
    assert_eq!(kind(opened(&own, &another)), Kind::Refused);
}

#[test]
fn a_header_says_to_those_who_open_it_for_which_set_of_recipients_it_is() {
    let (one, two, other) = (generate(), generate(), generate());
    let is_for = |ring: &Keyring, file: &[u8], wanted: &Recipients| {
        ring.opens_for("a.age", Form::Binary, file, wanted)
    };
    let (file, _) = sealed(&recipients(&[&one, &two]), b"content");
    for ring in [&ring(&[&one]), &ring(&[&other, &two])] {
        for (wanted, expected) in [
            (&[&one, &two][..], true),
            (&[&two, &one], true),
            (&[&two, &one, &two], true),
            (&[&one], false),
            (&[&one, &two, &other], false),
            (&[&one, &other], false),
        ] {
            let found = is_for(ring, &file, &recipients(wanted)).expect("it opens");
            assert_eq!(found, expected, "{} recipients", wanted.len());
        }
    }
    let refused = is_for(&ring(&[&other]), &file, &recipients(&[&one, &two]));
    assert_eq!(Failure::of(&refused.expect_err("refused")).kind, Kind::Key);
    // The stanza of one file says nothing in another, and nothing is said of a file of another program.
    let stanza = |file: &[u8]| {
        let text = String::from_utf8_lossy(file).into_owned();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let at = lines.iter().position(|line| line.contains("hookshot-rec"));
        lines[at.expect("a stanza") + 1].clone()
    };
    let (another, _) = sealed(&recipients(&[&one, &two]), b"content");
    assert_ne!(stanza(&file), stanza(&another));
    let by_age = age::encrypt(
        &one.public.parse::<age::x25519::Recipient>().expect("a key"),
        b"content",
    );
    let by_age = by_age.expect("sealed");
    assert!(!is_for(&ring(&[&one]), &by_age, &recipients(&[&one])).expect("it opens"));
    let passphrase = |text: &str| Recipients::passphrase(SecretString::from(text.to_owned()));
    let (file, _) = sealed(&passphrase("correct"), b"content");
    let none = Keyring::default();
    assert!(is_for(&none, &file, &passphrase("correct")).expect("it opens"));
    let refused = is_for(&none, &file, &passphrase("wrong"));
    assert_eq!(Failure::of(&refused.expect_err("refused")).kind, Kind::Key);
    assert!(!is_for(&ring(&[&one]), &by_age, &passphrase("correct")).expect("it opens"));
}

#[test]
fn every_changed_byte_of_a_header_is_refused() {
    let pair = generate();
    let (file, own) = sealed(&recipients(&[&pair]), b"content");
    let header = content_offset(&file).expect("a header") as usize;
    for at in 0..header {
        for change in [0x01, 0x80, b'\n'] {
            let mut changed = file.clone();
            changed[at] ^= change;
            for ring in [&ring(&[&pair]), &own] {
                let kind = kind(opened(ring, &changed));
                let is_version = (19..22).contains(&at) && kind == Kind::Version;
                let is_refused = matches!(kind, Kind::Key | Kind::Refused) || is_version;
                assert!(is_refused, "byte {at}: {kind:?}");
            }
        }
    }
}

#[test]
fn a_changed_cut_or_reordered_body_is_refused() {
    let pair = generate();
    let ring = ring(&[&pair]);
    for length in [0, 1, 65_535, 65_536, 65_537, 3 * 65_536, 200_000] {
        let (file, _) = sealed(&recipients(&[&pair]), &text(length));
        let body = content_offset(&file).expect("a header") as usize;
        let refuse = |changed: &[u8], what: &str| {
            assert_eq!(
                kind(opened(&ring, changed)),
                Kind::Refused,
                "{length}: {what}"
            );
            let source: Arc<dyn ReadAt + Send + Sync> = Arc::new(Bytes::of(changed.to_vec()));
            let at = ring.open_at("a.age", Form::Binary, source).and_then(|at| {
                let mut all = vec![0; at.length()? as usize];
                at.read_exact_at(&mut all, 0)?;
                Ok(all)
            });
            assert_eq!(kind(at), Kind::Refused, "{length}, at: {what}");
        };
        let step = ((file.len() - body) / 200).max(1);
        for at in (body..file.len()).step_by(step) {
            let mut changed = file.clone();
            changed[at] ^= 0x10;
            refuse(&changed, &format!("byte {at}"));
        }
        let borders = (0..=4).map(|chunk| body + chunk * SEALED_CHUNK);
        let cuts = borders.flat_map(|border| border.saturating_sub(17)..=border + 17);
        for cut in cuts.filter(|cut| (body..file.len()).contains(cut)) {
            refuse(&file[..cut], &format!("cut at {cut}"));
        }
        refuse(&[&file[..], b"\0"].concat(), "a byte more");
        if length >= 2 * 65_536 {
            let (first, second) = (
                body..body + SEALED_CHUNK,
                body + SEALED_CHUNK..body + 2 * SEALED_CHUNK,
            );
            let rest = &file[second.end..];
            let head = &file[..body];
            refuse(
                &[head, &file[second.clone()], &file[first.clone()], rest].concat(),
                "swapped",
            );
            refuse(
                &[head, &file[first.clone()], &file[first.clone()], rest].concat(),
                "repeated",
            );
            refuse(&[head, &file[second], rest].concat(), "one is missing");
        }
        let (other, _) = sealed(&recipients(&[&pair]), &text(length));
        let header = content_offset(&other).expect("a header") as usize;
        refuse(
            &[&other[..header], &file[body..]].concat(),
            "the header of another file",
        );
    }
}

/// A source that counts what is read of it.
struct Bytes {
    bytes: Vec<u8>,
    count: AtomicU64,
    requests: AtomicU64,
}

impl Bytes {
    fn of(bytes: Vec<u8>) -> Bytes {
        Bytes {
            bytes,
            count: AtomicU64::new(0),
            requests: AtomicU64::new(0),
        }
    }
}

impl ReadAt for Bytes {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let from = offset as usize;
        let part = self.bytes.get(from..from + buffer.len());
        buffer.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        self.count.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }
}

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

#[test]
fn a_header_without_an_end_is_refused_early() {
    let endless = b"age-encryption.org/v1\n-> X25519 "
        .iter()
        .copied()
        .chain(std::iter::repeat_n(b'a', 1 << 20));
    let endless: Vec<u8> = endless.collect();
    let mut source = Cursor::new(&endless);
    let refused = ring(&[&generate()]).open("a.age", Form::Binary, &mut source);
    assert_eq!(
        Failure::of(&refused.err().expect("refused")).kind,
        Kind::Refused
    );
    assert!(source.position() <= 64 << 10);
}

/// A way to a passphrase, and the number of times that it was asked for.
fn asks(text: Option<&'static str>) -> (Ask, Arc<AtomicU64>) {
    let asked = Arc::new(AtomicU64::new(0));
    let count = asked.clone();
    let ask: Ask = Arc::new(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(text.map(|text| SecretString::from(text.to_owned())))
    });
    (ask, asked)
}

#[test]
fn a_passphrase_opens_what_it_seals() {
    let correct = SecretString::from("correct".to_owned());
    let (file, own) = sealed(&Recipients::passphrase(correct), b"content");
    assert_eq!(opened(&own, &file).expect("it opens"), b"content");
    let pair = generate();
    let mut right = ring(&[&pair]);
    let (ask, asked) = asks(Some("correct"));
    right.add_asked(ask);
    for _ in 0..2 {
        assert_eq!(opened(&right, &file).expect("it opens"), b"content");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1, "the user is asked once");
    let mut wrong = Keyring::default();
    wrong.add_passphrase("the passphrase of the configuration", asks(Some("wrong")).0);
    let failure = Failure::of(&opened(&wrong, &file).expect_err("refused"));
    assert_eq!(failure.kind, Kind::Key);
    assert!(
        failure.message.contains("sealed by a passphrase"),
        "{}",
        failure.message
    );
    let mut none = Keyring::default();
    none.add_asked(asks(None).0);
    let failure = Failure::of(&opened(&none, &file).expect_err("refused"));
    assert!(
        failure.faults[0].contains("no passphrase was given"),
        "{:?}",
        failure.faults
    );
}

#[test]
fn a_passphrase_is_asked_for_only_if_one_seals_and_a_signal_ends_the_question() {
    let (pair, other) = (generate(), generate());
    let (file, _) = sealed(&recipients(&[&pair]), b"content");
    let (ask, asked) = asks(Some("x"));
    let mut ring = ring(&[&other]);
    ring.add_asked(ask);
    let failure = Failure::of(&opened(&ring, &file).expect_err("refused"));
    assert_eq!(failure.faults, [format!("tried key0 ({})", other.public)]);
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    let mut interrupted = Keyring::default();
    let cancelled = Failure::new(Kind::Interrupted(2), "interrupted");
    interrupted.add_asked(Arc::new(move |_| Err(cancelled.clone())));
    assert!(interrupted.is_empty());
    let passphrase = SecretString::from("x".to_owned());
    let (file, _) = sealed(&Recipients::passphrase(passphrase), b"content");
    assert_eq!(kind(opened(&interrupted, &file)), Kind::Interrupted(2));
}

#[test]
fn a_public_key_is_checked() {
    let pair = generate();
    let key = PublicKey::parse(&format!(" {} ", pair.public)).expect("a key");
    assert_eq!(key.text(), pair.public);
    for (text, expected) in [
        ("", "is not a public key"),
        ("age1", "is damaged"),
        (&pair.public[..61], "its length is 61 instead of 62"),
        (pair.secret.expose_secret(), "is a private key"),
        ("ssh-rsa AAAA", "of the kind ssh-rsa"),
        ("ssh-ed25519 AAAA", "is damaged"),
        ("ssh-ed25519", "is damaged"),
        ("äge", "is not a public key"),
    ] {
        let fault = PublicKey::parse(text).expect_err(text);
        assert!(fault.contains(expected), "{text}: {fault}");
    }
    let many = vec![key; 257];
    assert_eq!(
        Recipients::keys(many).expect_err("too many").kind,
        Kind::Usage
    );
    let (one, two) = (generate(), generate());
    assert!(recipients(&[&one, &two]).are_same(&recipients(&[&two, &one])));
    assert!(!recipients(&[&one]).are_same(&recipients(&[&one, &two])));
}
