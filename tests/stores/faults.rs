//! Faults of stores and networks, against S3 and Google's: the error, and nothing left behind.

use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use hookshot::{
    error::{Failure, Kind},
    model::digest::Digest,
    store::{self, Address, Environment, Options, Proof, Secret, StopCheck, Store},
};

use crate::places::{
    PART_BYTES, Place, alive, bytes, content, dead, direct, export, kind, names, on, opened, s3,
};
use support::servers::{Fault, Faults, Gcs, Rule, S3};

/// The size of an upload in one piece, and of one in parts.
const SMALL: usize = 100_000;
const LARGE: usize = 2 * PART_BYTES + 100_000;

/// A store behind a proxy that breaks what passes.
struct Broken {
    place: Box<dyn Place>,
    proxy: Faults,
}

impl Broken {
    fn stores() -> [Broken; 2] {
        [Broken::new(S3::start()), Broken::new(Gcs::start())]
    }

    fn new(place: impl Place + 'static) -> Broken {
        let proxy = Faults::in_front_of(&place.endpoint());
        let place = Box::new(place);
        Broken { place, proxy }
    }

    fn is_gcs(&self) -> bool {
        self.place.url().starts_with("gs:")
    }

    fn store(&self) -> Box<dyn Store> {
        self.store_with(|_| {})
    }

    fn store_with(&self, change: impl Fn(&mut Options)) -> Box<dyn Store> {
        opened(&*self.place, "", &self.proxy.endpoint(), change, on())
    }

    /// Exports with these rules, and fails where none of them took effect.
    fn export(&self, size: usize, rules: Vec<Rule>) -> anyhow::Result<Proof> {
        self.export_with(size, rules, |_| {})
    }

    fn export_with(
        &self,
        size: usize,
        rules: Vec<Rule>,
        change: impl Fn(&mut Options),
    ) -> anyhow::Result<Proof> {
        let before = self.proxy.struck();
        for rule in rules {
            self.proxy.add(rule);
        }
        let result = export(&*self.store_with(change), "archive", &bytes(size, 1));
        assert!(
            self.proxy.struck() > before,
            "no fault: {:?}",
            self.proxy.seen()
        );
        self.proxy.clear();
        result
    }

    /// It is there, all of it, and nothing else.
    fn holds(&self, size: usize, result: anyhow::Result<Proof>) -> Proof {
        let proof = result.unwrap_or_else(|error| panic!("{error:#}: {:?}", self.proxy.seen()));
        let store = direct(&*self.place, "");
        assert!(content(&*store, "archive").expect("read") == bytes(size, 1));
        assert_eq!(self.place.everything(), ["archive"]);
        store.remove("archive").expect("removed");
        proof
    }

    /// It failed that way, and nothing is there: at once, or when a later run has swept.
    fn fails(&self, expected: Kind, result: anyhow::Result<Proof>) -> Failure {
        let error = result.expect_err("it fails");
        let failure = Failure::of(&error);
        assert_eq!(failure.kind, expected, "{error:#}: {:?}", self.proxy.seen());
        is_fit_to_be_seen(&failure);
        let store = direct(&*self.place, "");
        assert_eq!(names(&*store), [""; 0], "{failure:?}");
        store.sweep(&alive("next")).expect("swept");
        assert_eq!(self.place.everything(), [""; 0], "{failure:?}");
        failure
    }
}

fn is_fit_to_be_seen(failure: &Failure) {
    let Failure { message, hint, .. } = failure;
    let all = format!("{message} {hint:?}");
    for secret in [S3::SECRET_KEY, "<Error>", "Signature=", "://127", "X-Amz"] {
        assert!(!all.contains(secret), "{all}");
    }
    assert!(message.len() < 400, "{message}");
}

/// Requests about the archive itself.
fn archive(rule: Rule) -> Rule {
    rule.whose(|head| head.path().ends_with("/archive"))
}

fn part(rule: Rule) -> Rule {
    rule.whose(|head| head.parameter("partNumber").is_some())
}

fn complete(fault: Fault) -> Rule {
    Rule::on("POST", fault).whose(|head| head.parameter("uploadId").is_some())
}

#[test]
fn what_a_store_cannot_do_now_is_tried_again() {
    for broken in Broken::stores() {
        for status in [503, 429, 500] {
            for (size, method) in [
                (SMALL, "PUT"),
                (LARGE, "PUT"),
                (LARGE, "POST"),
                (SMALL, "HEAD"),
            ] {
                let rule = Rule::on(method, Fault::Answer(status)).times(2);
                let result = broken.export(size, vec![rule]);
                broken.holds(size, result);
            }
        }
        let always = || vec![archive(Rule::on("PUT", Fault::Answer(503)).always())];
        for size in [SMALL, LARGE] {
            let before = broken.proxy.seen().len();
            let failure = broken.fails(Kind::Failed, broken.export(size, always()));
            assert!(failure.message.contains("cannot do it now"), "{failure:?}");
            let seen = &broken.proxy.seen()[before..];
            let refused = seen.iter().filter(|seen| seen.status == Some(503)).count();
            // The first and two more, of each part that was on its way.
            assert!((3..=9).contains(&refused), "{seen:?}");
        }
    }
}

#[test]
fn what_a_store_refuses_is_asked_once() {
    for broken in Broken::stores() {
        for (size, method) in [(SMALL, "PUT"), (LARGE, "POST"), (SMALL, "HEAD")] {
            let before = broken.proxy.count(method);
            let rule = Rule::on(method, Fault::Answer(403)).always();
            let failure = broken.fails(Kind::Forbidden, broken.export(size, vec![rule]));
            assert_eq!(broken.proxy.count(method) - before, 1, "{method}");
            assert!(failure.message.contains("the store refuses"), "{failure:?}");
            let hint = failure.hint.expect("what to do");
            assert!(hint.contains("policy"), "{hint}");
        }
    }
}

#[test]
fn a_connection_that_breaks_is_tried_again() {
    for broken in Broken::stores() {
        for size in [SMALL, LARGE] {
            let reset = |after_bytes| Rule::on("PUT", Fault::ResetRequest { after_bytes });
            let result = broken.export(size, vec![archive(reset(50_000))]);
            broken.holds(size, result);
            let result = broken.export(size, vec![archive(reset(50_000).always())]);
            let failure = broken.fails(Kind::Unreachable, result);
            assert!(failure.message.contains("connection"), "{failure:?}");
        }
    }
}

#[test]
fn an_answer_that_is_lost_does_not_lose_the_archive() {
    for broken in Broken::stores() {
        // It is there, and the second attempt finds the name taken: by ourselves.
        for times in [1, 2] {
            let lost = Rule::on("PUT", Fault::LoseAnswer).times(times);
            let result = broken.export(SMALL, vec![archive(lost)]);
            broken.holds(SMALL, result);
        }
        for rule in [
            Rule::on("POST", Fault::LoseAnswer).whose(|head| head.parameter("uploads").is_some()),
            part(Rule::on("PUT", Fault::LoseAnswer)),
            complete(Fault::LoseAnswer),
        ] {
            let result = broken.export(LARGE, vec![rule]);
            let proof = result.unwrap_or_else(|error| panic!("{error:#}"));
            assert_eq!(proof == Proof::ReadBack, broken.is_gcs());
            let store = direct(&*broken.place, "");
            assert!(content(&*store, "archive").expect("read") == bytes(LARGE, 1));
            assert_eq!(names(&*store), ["archive"]);
            store.remove("archive").expect("removed");
        }
    }
}

#[test]
fn somebody_elses_archive_is_not_taken_for_ours_when_an_answer_is_lost() {
    for broken in Broken::stores() {
        let store = broken.store();
        let mut upload = store.create("archive", 10, &dead("run")).expect("begun");
        upload.write_all(&bytes(SMALL, 1)).expect("written");
        export(&*direct(&*broken.place, ""), "archive", &bytes(SMALL, 2)).expect("theirs");
        let error = upload.finish(&Digest::of(&bytes(SMALL, 1)));
        let error = error.expect_err("taken");
        assert!(error.to_string().contains("already"), "{error:#}");
        let held = content(&*store, "archive").expect("read");
        assert!(held == bytes(SMALL, 2), "theirs is unharmed");
    }
}

#[test]
fn a_store_that_says_yes_and_keeps_nothing_is_found_out() {
    for broken in Broken::stores() {
        let swallow = archive(Rule::on("PUT", Fault::Swallow));
        let failure = broken.fails(Kind::Unproven, broken.export(SMALL, vec![swallow]));
        assert!(failure.message.contains("it is not there"), "{failure:?}");
        let result = broken.export(LARGE, vec![complete(Fault::Swallow)]);
        let failure = broken.fails(Kind::Unproven, result);
        assert!(failure.message.contains("it is not there"), "{failure:?}");
    }
}

#[test]
fn a_byte_that_changes_on_its_way_is_found_out() {
    for broken in Broken::stores() {
        for size in [SMALL, LARGE] {
            let flip = Rule::on("PUT", Fault::FlipRequestByte { at: 77 });
            let result = broken.export(size, vec![archive(flip)]);
            if broken.is_gcs() {
                broken.fails(Kind::Unproven, result);
            } else if result.is_ok() {
                // S3 compares what it gets with the digest that comes with it: it came again.
                broken.holds(size, result);
            } else {
                broken.fails(Kind::Failed, result);
            }
        }
    }
}

#[test]
fn a_bad_archive_that_cannot_be_removed_is_still_reported_as_such() {
    let broken = Broken::new(Gcs::start());
    let flip = archive(Rule::on("PUT", Fault::FlipRequestByte { at: 77 }));
    let keep = Rule::on("DELETE", Fault::Answer(403)).always();
    let error = broken.export(SMALL, vec![flip, keep]).expect_err("damaged");
    assert_eq!(kind(&error), Kind::Unproven, "{error:#}");
}

#[test]
fn a_wrong_checksum_in_an_answer_has_the_archive_read_back() {
    for broken in Broken::stores() {
        for size in [SMALL, LARGE] {
            let value = "\"00000000000000000000000000000000\"".to_owned();
            let lie = Fault::AnswerHeader {
                name: "ETag",
                value,
            };
            let result = broken.export(size, vec![archive(Rule::on("HEAD", lie).always())]);
            assert_eq!(broken.holds(size, result), Proof::ReadBack);
        }
        let value = "\"00000000000000000000000000000000\"".to_owned();
        let lie = Fault::AnswerHeader {
            name: "ETag",
            value,
        };
        let result = broken.export(SMALL, vec![archive(Rule::on("PUT", lie))]);
        assert_eq!(broken.holds(SMALL, result), Proof::Checksum);
    }
}

#[test]
fn a_wrong_size_in_an_answer_proves_nothing() {
    let broken = Broken::new(Gcs::start());
    let value = "5".to_owned();
    let lie = Fault::AnswerHeader {
        name: "Content-Length",
        value,
    };
    let result = broken.export(
        SMALL,
        vec![archive(Rule::on("HEAD", lie).after(1).always())],
    );
    let failure = broken.fails(Kind::Unproven, result);
    assert!(failure.message.contains("5 bytes of 100000"), "{failure:?}");
}

#[test]
fn answers_that_end_early_are_read_on() {
    for broken in Broken::stores() {
        let read_back = |options: &mut Options| options.transfer.read_back = true;
        for size in [SMALL, LARGE] {
            let cut = Fault::TruncateAnswer {
                after_bytes: 40_000,
            };
            let rules = vec![archive(Rule::on("GET", cut).times(2))];
            let result = broken.export_with(size, rules, read_back);
            assert_eq!(broken.holds(size, result), Proof::ReadBack);
        }
        // The object is there, and the client did not hear of it.
        let cut = complete(Fault::TruncateAnswer { after_bytes: 20 });
        let result = broken.export(LARGE, vec![cut]);
        broken.holds(LARGE, result);
    }
}

#[test]
fn a_byte_that_changes_on_its_way_back_is_found_out() {
    for broken in Broken::stores() {
        let read_back = |options: &mut Options| options.transfer.read_back = true;
        for size in [SMALL, LARGE] {
            let flip = Rule::on("GET", Fault::FlipAnswerByte { at: 50_000 });
            let result = broken.export_with(size, vec![archive(flip)], read_back);
            broken.fails(Kind::Unproven, result);
        }
    }
}

#[test]
fn a_store_that_does_not_answer_is_not_waited_for() {
    for broken in Broken::stores() {
        let short = |options: &mut Options| {
            options.transfer.timeout = Duration::from_secs(1);
            options.transfer.retry_attempts = 1;
        };
        for size in [SMALL, LARGE] {
            let once = archive(Rule::on("PUT", Fault::Hang));
            let result = broken.export_with(size, vec![once], short);
            broken.holds(size, result);
            let begun = Instant::now();
            let always = archive(Rule::on("PUT", Fault::Hang).always());
            let result = broken.export_with(size, vec![always], short);
            let failure = broken.fails(Kind::Unreachable, result);
            assert!(
                failure.message.contains("no answer within 1s"),
                "{failure:?}"
            );
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "{:?}",
                begun.elapsed()
            );
        }
        let trickle = Fault::Trickle {
            piece_bytes: 10,
            pause: Duration::from_millis(300),
        };
        let reads = |options: &mut Options| {
            short(options);
            options.transfer.read_back = true;
        };
        let slow = archive(Rule::on("GET", trickle).always());
        let result = broken.export_with(SMALL, vec![slow], reads);
        broken.fails(Kind::Unproven, result);
    }
}

#[test]
fn an_interruption_ends_what_waits_and_leaves_nothing() {
    for broken in Broken::stores() {
        let cases = [
            (SMALL, archive(Rule::on("PUT", Fault::Hang).always())),
            (LARGE, part(Rule::on("PUT", Fault::Hang).always())),
            (LARGE, complete(Fault::Hang).always()),
            (SMALL, archive(Rule::on("HEAD", Fault::Hang).after(1))),
            (LARGE, archive(Rule::on("GET", Fault::Hang).always())),
        ];
        for (size, rule) in cases {
            let is_stopped = Arc::new(AtomicBool::new(false));
            let check: StopCheck = {
                let is_stopped = Arc::clone(&is_stopped);
                Arc::new(move || match is_stopped.load(Ordering::Relaxed) {
                    true => Err(Failure::new(Kind::Interrupted(2), "interrupted").into()),
                    false => Ok(()),
                })
            };
            broken.proxy.add(rule);
            let endpoint = broken.proxy.endpoint();
            let read_back = |options: &mut Options| options.transfer.read_back = size == LARGE;
            let store = opened(&*broken.place, "", &endpoint, read_back, check);
            let before = broken.proxy.struck();
            let result = std::thread::scope(|scope| {
                let exporting = scope.spawn(|| export(&*store, "archive", &bytes(size, 1)));
                while broken.proxy.struck() == before && !exporting.is_finished() {
                    std::thread::yield_now();
                }
                let begun = Instant::now();
                is_stopped.store(true, Ordering::Relaxed);
                let result = exporting.join().expect("no panic");
                assert!(
                    begun.elapsed() < Duration::from_secs(20),
                    "{:?}",
                    begun.elapsed()
                );
                result
            });
            broken.proxy.clear();
            let error = result.expect_err("interrupted");
            assert_eq!(kind(&error), Kind::Interrupted(2), "{error:#}");
            assert_eq!(broken.place.everything(), [""; 0], "{error:#}");
        }
    }
}

#[test]
fn what_could_not_be_ended_is_ended_by_a_later_run() {
    for broken in Broken::stores() {
        let rules = vec![
            part(Rule::on("PUT", Fault::Answer(403)).always()),
            Rule::on("DELETE", Fault::Answer(503)).always(),
        ];
        let error = broken.export(LARGE, rules).expect_err("refused");
        assert_eq!(kind(&error), Kind::Forbidden, "{error:#}");
        assert!(
            broken.place.everything().len() > 1,
            "the upload and its marker"
        );
        assert_eq!(names(&*broken.store()), [""; 0]);
        let store = broken.store();
        assert_eq!(store.sweep(&alive("next")).expect("swept"), ["archive"]);
        assert_eq!(broken.place.everything(), [""; 0]);
    }
}

#[test]
fn errors_say_what_to_do() {
    let broken = Broken::new(S3::start());
    let told = |change: &dyn Fn(&mut Options)| {
        let mut options = broken.place.options(&broken.proxy.endpoint());
        change(&mut options);
        let address = Address::parse(&broken.place.url()).expect("a place");
        let store = store::open(&address, &options, &Environment::default(), on());
        let listed = store.and_then(|store| store.list(&mut |_| Ok(())));
        let error = listed.expect_err("it fails");
        let failure = Failure::of(&error);
        is_fit_to_be_seen(&failure);
        let hint = failure.hint.clone().unwrap_or_default();
        (failure.kind, failure.message, hint)
    };
    // That is seen before the first request.
    let place = Address::parse("s3://bucket").expect("a place");
    let mut options = Options::of(&place);
    s3(&mut options).bucket.endpoint = Some(broken.proxy.endpoint());
    let error = store::open(&place, &options, &Environment::default(), on()).err();
    let failure = Failure::of(&error.expect("no TLS"));
    assert_eq!(failure.kind, Kind::Usage);
    assert!(failure.message.contains("no TLS"), "{failure:?}");
    assert!(failure.hint.is_some_and(|hint| hint.contains("allow_http")));
    let (_, message, hint) = told(&|options| {
        s3(options).secret_access_key = Some(Secret::new("wrong"));
    });
    assert!(message.contains("does not accept the key"), "{message}");
    assert!(hint.contains("secret"), "{hint}");
    let (_, message, hint) = told(&|options| {
        options.transfer.retry_attempts = 0;
        s3(options).bucket.endpoint = Some("http://127.0.0.1:1".to_owned());
    });
    assert!(message.contains("refused"), "{message}");
    assert!(hint.contains("endpoint"), "{hint}");
    let google = Gcs::start();
    let address = Address::parse("gs://elsewhere").expect("a place");
    let options = google.options(&Gcs::endpoint(&google));
    let store = store::open(&address, &options, &Environment::default(), on());
    let store = store.expect("a store");
    let error = export(&*store, "archive", b"x").expect_err("no bucket");
    let failure = Failure::of(&error);
    assert_eq!(failure.kind, Kind::NotFound, "{failure:?}");
    assert!(failure.message.contains("no such bucket"), "{failure:?}");
}

#[test]
fn the_bandwidth_limit_holds() {
    let broken = Broken::new(Gcs::start());
    let limit = |options: &mut Options| options.transfer.bandwidth_limit = Some(10 << 20);
    let begun = Instant::now();
    export(&*broken.store_with(limit), "archive", &bytes(LARGE, 1)).expect("proven");
    // The last part goes when those before it have had their second.
    assert!(
        begun.elapsed() >= Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
}
