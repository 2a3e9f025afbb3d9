//! The time that a store is waited for that is away, and after which one is given up that was never there.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use hookshot::{
    error::{Failure, Kind},
    store::{Options, StopCheck, Transfer},
};

use crate::places::{bytes, content, direct, export, kind, on, opened};
use support::servers::{Fault, Faults, Gcs, Rule, S3, Words};

fn patient(options: &mut Options) {
    options.transfer.retry_attempts = Transfer::default().retry_attempts;
}

fn later(status: u16, seconds: &str) -> Fault {
    let mut words = Words::refusal(status, "SlowDown", "Reduce your request rate.");
    words.headers.push(("Retry-After", seconds.to_owned()));
    Fault::Say(words)
}

#[test]
fn a_store_that_is_away_for_seconds_does_not_end_an_export() {
    let place = S3::start();
    let proxy = Faults::in_front_of(&place.endpoint());
    // With its pauses of 0.1 s to 3.2 s; more attempts than there were once.
    proxy.add(Rule::on("PUT", Fault::Answer(503)).times(6));
    let store = opened(&place, "", &proxy.endpoint(), patient, on());
    let begun = Instant::now();
    export(&*store, "archive", &bytes(1000, 1)).expect("proven");
    assert_eq!(proxy.struck(), 6);
    assert!(begun.elapsed() >= Duration::from_secs(6));
    let stored = content(&*direct(&place, ""), "archive").expect("read");
    assert!(stored == bytes(1000, 1));
}

#[test]
fn a_store_is_left_alone_for_as_long_as_it_asks() {
    let (s3, gcs) = (S3::start(), Gcs::start());
    let endpoints = [s3.endpoint(), Gcs::endpoint(&gcs)];
    let places: [&dyn crate::places::Place; 2] = [&s3, &gcs];
    for (place, endpoint) in places.into_iter().zip(endpoints) {
        for status in [429, 503] {
            let proxy = Faults::in_front_of(&endpoint);
            proxy.add(Rule::on("PUT", later(status, "1")));
            let store = opened(place, "", &proxy.endpoint(), |_| {}, on());
            let begun = Instant::now();
            export(&*store, &format!("archive-{status}"), b"x").expect("proven");
            assert_eq!(proxy.struck(), 1);
            let took = begun.elapsed();
            assert!(took >= Duration::from_secs(1), "{status}: {took:?}");
        }
        // The last refusal is said at once, however long the store wants to rest.
        let proxy = Faults::in_front_of(&endpoint);
        proxy.add(Rule::on("PUT", later(503, "60")).always());
        let once = |options: &mut Options| options.transfer.retry_attempts = 0;
        let store = opened(place, "", &proxy.endpoint(), once, on());
        let begun = Instant::now();
        let error = export(&*store, "refused", b"x").expect_err("it rests");
        assert_eq!(kind(&error), Kind::Failed, "{error:#}");
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn a_signal_ends_the_longest_rest() {
    let place = S3::start();
    let proxy = Faults::in_front_of(&place.endpoint());
    proxy.add(Rule::on("PUT", later(503, "60")).always());
    let is_stopped = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&is_stopped);
    let check: StopCheck = Arc::new(move || match stop.load(Ordering::Relaxed) {
        true => Err(Failure::new(Kind::Interrupted(15), "interrupted").into()),
        false => Ok(()),
    });
    let store = opened(&place, "", &proxy.endpoint(), patient, check);
    std::thread::scope(|scope| {
        let exporting = scope.spawn(|| export(&*store, "archive", b"x"));
        while proxy.struck() == 0 && !exporting.is_finished() {
            std::thread::yield_now();
        }
        let begun = Instant::now();
        is_stopped.store(true, Ordering::Relaxed);
        let error = exporting.join().expect("no panic").expect_err("stopped");
        assert_eq!(kind(&error), Kind::Interrupted(15), "{error:#}");
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(10), "{took:?}");
    });
}

#[test]
fn a_server_that_was_never_there_is_given_up_within_seconds() {
    let place = S3::start();
    // Nothing listens there; and no name server knows names below `.invalid`.
    for endpoint in ["http://127.0.0.1:1", "http://store.invalid:9000"] {
        let store = opened(&place, "", endpoint, patient, on());
        let begun = Instant::now();
        let error = export(&*store, "archive", b"x").expect_err("nothing there");
        let took = begun.elapsed();
        assert_eq!(kind(&error), Kind::Unreachable, "{error:#}");
        let message = error.to_string();
        assert!(message.contains("no connection to"), "{message}");
        // Pauses of 3.1 s, and what a busy machine adds.
        assert!(took < Duration::from_secs(15), "{endpoint}: {took:?}");
    }
}
