//! Passphrases: they open what they seal, and are asked for only then.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::*;

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
