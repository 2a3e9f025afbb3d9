//! Sealed content comes back to its recipients, and to others nothing.

mod counted;
mod parts;
mod passphrases;
mod tampering;

use std::io::{Read as _, Write as _};

use age::secrecy::ExposeSecret as _;
use anyhow::Result;

use super::{
    header::{CHUNK_BYTES, Form, TAG_BYTES, content_bytes, content_offset, form_of, recipients_of},
    *,
};
use crate::error::{Failure, Kind};

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
    let keys = (0..257).map(|_| PublicKey::parse(&generate().public).expect("a key"));
    let mut many: Vec<PublicKey> = keys.collect();
    assert_eq!(
        Recipients::keys(many.clone()).expect_err("too many").kind,
        Kind::Usage
    );
    // A key that is named twice counts once.
    many[256] = many[0].clone();
    let most = Recipients::keys(many).expect("as many as are possible");
    assert_eq!(most.public_keys().len(), 256);
    let (one, two) = (generate(), generate());
    assert!(recipients(&[&one, &two]).are_same(&recipients(&[&two, &one])));
    assert!(!recipients(&[&one]).are_same(&recipients(&[&one, &two])));
}
