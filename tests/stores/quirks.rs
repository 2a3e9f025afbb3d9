//! Servers that are odd, know less, or are not object stores: an archive arrives whole and is reported truly, or the
//! verb fails with a remedy, and nothing is left.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use hookshot::{
    error::{Failure, Kind},
    store::{
        self, Address, Environment, Options, OwnOptions, Proof, StopCheck, Store, Transfer,
        options::{AzureOptions, BucketOptions, Checksums},
    },
};

use crate::{
    offsite,
    places::{
        PART_BYTES, Place, alive, bytes, content, direct, export, kind, names, on, opened, s3,
    },
};
use support::{
    Machine, finish,
    servers::{Azurite, Fault, Faults, Gcs, Quirk, Rule, S3, Words, quirks},
};

const SMALL: usize = 100_000;
const LARGE: usize = 2 * PART_BYTES + 100_000;

/// The result of an export at an odd server.
#[derive(Debug, Clone, Copy)]
enum Comes {
    /// It arrives, proven.
    Good,
    /// It fails, and says so.
    Fails(Kind, &'static str),
}

use Comes::{Fails, Good};

/// Returns the results of an upload in one piece, of one in parts, and of a listing.
fn expected(quirk: Quirk) -> [Comes; 3] {
    let endpoint = Fails(Kind::Unproven, "`endpoint`");
    match quirk {
        Quirk::Html200
        | Quirk::Json200
        | Quirk::Redirect
        | Quirk::ListingIsKey
        | Quirk::ListingOfBuckets
        | Quirk::TruncatedWithoutToken => [endpoint; 3],
        Quirk::HtmlObjects | Quirk::HeadFindsAll => [endpoint, endpoint, Good],
        // The first page is one; only a reader that continues sees that it never ends.
        Quirk::SameToken | Quirk::SamePage => [Good, Good, endpoint],
        Quirk::Skew => [Fails(Kind::Failed, "the clocks differ (RequestTimeTooSkewed)"); 3],
        Quirk::Expired => [Fails(Kind::Forbidden, "the key's time is over (ExpiredToken)"); 3],
        Quirk::Sum400 => {
            let sum = Fails(Kind::Failed, "`checksums = \"none\"`");
            [sum, sum, Good]
        }
        Quirk::Put501 => {
            let no = Fails(Kind::Failed, "does not know how to do it (NotImplemented)");
            [no, no, Good]
        }
        Quirk::Quota => {
            let full = Fails(
                Kind::Space,
                "(QuotaExceeded): The bucket's quota is exceeded",
            );
            [full, full, Good]
        }
        Quirk::Full507 => {
            let full = Fails(Kind::Space, "the store is full (XMinioStorageFull)");
            [full, full, Good]
        }
        Quirk::CompleteError => [Good, Fails(Kind::Failed, "InternalError"), Good],
        // Nothing has tags here.
        Quirk::Tags501
        | Quirk::Part400
        | Quirk::Put400
        | Quirk::Put409
        | Quirk::Complete409
        | Quirk::Marker409
        | Quirk::PutSkew
        | Quirk::ListSkew
        | Quirk::Del501
        | Quirk::Cond501
        | Quirk::CompleteErrorOnce
        | Quirk::Part503
        | Quirk::PartReset
        | Quirk::OddKeys
        | Quirk::Cold => [Good; 3],
    }
}

/// A store behind a server with a quirk.
struct Odd {
    place: S3,
    proxy: Faults,
}

impl Odd {
    fn new(quirk: Quirk) -> Odd {
        let place = S3::start();
        let proxy = Faults::in_front_of(&S3::endpoint(&place));
        quirk.rules().into_iter().for_each(|rule| proxy.add(rule));
        Odd { place, proxy }
    }

    fn again(&self, quirk: Quirk) {
        self.proxy.clear();
        quirk
            .rules()
            .into_iter()
            .for_each(|rule| self.proxy.add(rule));
    }

    fn store(&self) -> Box<dyn Store> {
        self.store_with(|_| {}, on())
    }

    fn store_with(&self, change: impl Fn(&mut Options), check: StopCheck) -> Box<dyn Store> {
        opened(&self.place, "", &self.proxy.endpoint(), change, check)
    }

    fn directly(&self) -> Box<dyn Store> {
        direct(&self.place, "")
    }

    /// Nothing is there, at once or when a later run has swept.
    fn is_empty(&self) {
        self.proxy.clear();
        let store = self.directly();
        assert_eq!(names(&*store), [""; 0]);
        store.sweep(&alive("next")).expect("swept");
        assert_eq!(self.place.everything(), [""; 0]);
    }

    fn holds(&self, size: usize) {
        self.proxy.clear();
        let store = self.directly();
        assert!(content(&*store, "archive").expect("read") == bytes(size, 1));
        assert_eq!(self.place.everything(), ["archive"]);
        store.remove("archive").expect("removed");
    }
}

fn fails(quirk: Quirk, error: &anyhow::Error, expected: Kind, says: &str) {
    let Failure {
        kind,
        message,
        hint,
        ..
    } = Failure::of(error);
    let all = format!("{message} ({})", hint.unwrap_or_default());
    assert_eq!(kind, expected, "{quirk:?}: {all}");
    assert!(all.contains(says), "{quirk:?}: {all}");
    for secret in [S3::SECRET_KEY, "<Error>", "Signature=", "http://"] {
        assert!(!all.contains(secret), "{quirk:?}: {all}");
    }
}

#[test]
fn no_quirk_makes_a_false_success_and_none_leaves_anything() {
    for quirk in Quirk::ALL {
        let odd = Odd::new(quirk);
        let [small, large, _] = expected(quirk);
        for (size, comes) in [(SMALL, small), (LARGE, large)] {
            odd.again(quirk);
            let result = export(&*odd.store(), "archive", &bytes(size, 1));
            match (comes, result) {
                (Good, Ok(_)) => odd.holds(size),
                (Fails(kind, says), Err(error)) => {
                    fails(quirk, &error, kind, says);
                    odd.is_empty();
                }
                (_, result) => panic!(
                    "{quirk:?}, {size} bytes: {result:?}; {:?}",
                    odd.proxy.seen()
                ),
            }
        }
    }
}

#[test]
fn no_quirk_hides_what_is_there() {
    for quirk in Quirk::ALL {
        let odd = Odd::new(quirk);
        export(&*odd.directly(), "archive", &bytes(10, 1)).expect("proven");
        export(&*odd.directly(), "another", &bytes(10, 1)).expect("proven");
        let store = odd.store();
        let mut found = Vec::new();
        let listed = store.list(&mut |stored| {
            found.push(stored.name);
            Ok(())
        });
        match (expected(quirk)[2], listed) {
            (Good, Ok(())) => {
                found.sort();
                assert_eq!(found, ["another", "archive"], "{quirk:?}");
                let folders = store.folders();
                assert_eq!(!folders.is_empty(), quirk == Quirk::OddKeys, "{folders:?}");
            }
            (Fails(kind, says), Err(error)) => fails(quirk, &error, kind, says),
            (_, listed) => panic!("{quirk:?}: {listed:?}, {found:?}"),
        }
        // What is there stays there, whatever the server answers.
        odd.proxy.clear();
        assert_eq!(names(&*odd.directly()), ["another", "archive"], "{quirk:?}");
    }
}

#[test]
fn a_name_is_not_believed_to_be_taken_by_a_server_that_says_yes_to_everything() {
    for quirk in [
        Quirk::Html200,
        Quirk::HtmlObjects,
        Quirk::Json200,
        Quirk::HeadFindsAll,
    ] {
        let odd = Odd::new(quirk);
        let store = odd.store();
        let error = store.find("archive").expect_err("no answer to believe");
        fails(quirk, &error, Kind::Unproven, "`endpoint`");
        let error = store.open("archive").err().expect("nothing to read");
        fails(quirk, &error, Kind::Unproven, "`endpoint`");
    }
}

#[test]
fn a_refusal_is_asked_once_and_what_may_pass_again() {
    for (quirk, size, asked) in [
        (Quirk::Put501, SMALL, 2), // once with a condition, once without
        (Quirk::Full507, SMALL, 1),
        (Quirk::Quota, SMALL, 1),
        (Quirk::Put400, SMALL, 2),
        (Quirk::Put409, SMALL, 2),
        (Quirk::PutSkew, SMALL, 2),
    ] {
        let odd = Odd::new(quirk);
        drop(export(&*odd.store(), "archive", &bytes(size, 1)));
        assert_eq!(odd.proxy.count("PUT"), asked, "{quirk:?}");
    }
}

#[test]
fn a_new_signature_is_made_for_one_that_was_too_old() {
    let odd = Odd::new(Quirk::PutSkew);
    export(&*odd.store(), "archive", &bytes(LARGE, 1)).expect("proven");
    let seen = odd.proxy.seen();
    // Parts go at the same time: any of them is the first, which is refused.
    let mut parts: Vec<String> = seen
        .iter()
        .filter_map(|seen| seen.head.parameter("partNumber"))
        .collect();
    let count = parts.len();
    parts.sort();
    parts.dedup();
    assert!(parts.len() < count, "{seen:?}");
}

#[test]
fn a_listing_ends_when_the_work_is_to_stop() {
    let odd = Odd::new(Quirk::ListSkew);
    let pages = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&pages);
    let endless = Fault::Tell(Arc::new(move |_| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let body = format!(
            "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>{number}</NextContinuationToken>\
             <Contents><Key>{number}</Key><Size>1</Size></Contents></ListBucketResult>"
        );
        Words {
            status: 200,
            headers: Vec::new(),
            body,
        }
    }));
    odd.proxy.clear();
    odd.proxy
        .add(Rule::on("GET", endless).whose(quirks::is_listing).always());
    let seen = Arc::clone(&pages);
    let check: StopCheck = Arc::new(move || match seen.load(Ordering::Relaxed) {
        0..20 => Ok(()),
        _ => Err(Failure::new(Kind::Interrupted(15), "interrupted").into()),
    });
    let begun = Instant::now();
    let error = odd.store_with(|_| {}, check).list(&mut |_| Ok(()));
    assert_eq!(kind(&error.expect_err("stopped")), Kind::Interrupted(15));
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(pages.load(Ordering::Relaxed) < 25);
}

#[test]
fn the_reason_of_a_refused_look_is_asked_for() {
    let odd = Odd::new(Quirk::Skew);
    let error = odd.store().find("archive").expect_err("refused");
    fails(Quirk::Skew, &error, Kind::Failed, "clocks differ");
    odd.again(Quirk::Expired);
    let error = odd.store().find("archive").expect_err("refused");
    fails(
        Quirk::Expired,
        &error,
        Kind::Forbidden,
        "the key's time is over",
    );
    // Azure and MinIO say in a header what HEAD has no room for.
    for header in ["x-ms-error-code", "x-minio-error-code"] {
        odd.proxy.clear();
        odd.proxy.add(
            Rule::on(
                "HEAD",
                Fault::Say(Words {
                    status: 403,
                    headers: vec![(header, "ExpiredToken".to_owned())],
                    body: String::new(),
                }),
            )
            .always(),
        );
        let error = odd.store().find("archive").expect_err("refused");
        fails(
            Quirk::Expired,
            &error,
            Kind::Forbidden,
            "the key's time is over",
        );
    }
}

#[test]
fn stores_that_know_no_checksums_are_read_back() {
    let odd = Odd::new(Quirk::Sum400);
    let store = odd.store_with(|options| s3(options).checksums = Checksums::None, on());
    for size in [SMALL, LARGE] {
        let proof = export(&*store, "archive", &bytes(size, 1)).expect("proven");
        assert_eq!(proof, Proof::ReadBack);
        odd.holds(size);
        odd.again(Quirk::Sum400);
    }
}

#[test]
fn stores_that_know_no_conditions_are_asked_right_before() {
    let odd = Odd::new(Quirk::Cond501);
    let store = odd.store();
    assert!(store.knows_conditions());
    let mut late = store.create("archive", 10, &alive("late")).expect("begun");
    export(&*store, "archive", &bytes(SMALL, 1)).expect("proven");
    assert!(!store.knows_conditions());
    std::io::Write::write_all(&mut late, &bytes(10, 2)).expect("written");
    let digest = hookshot::model::digest::Digest::of(&bytes(10, 2));
    let error = late.finish(&digest).expect_err("taken");
    assert!(error.to_string().contains("already"), "{error:#}");
    odd.holds(SMALL);
}

#[test]
fn a_condition_that_the_configuration_says_is_unknown_is_not_sent() {
    let odd = Odd::new(Quirk::Del501);
    let store = odd.store_with(|options| s3(options).conditional_writes = false, on());
    let mut late = store.create("archive", 10, &alive("late")).expect("begun");
    export(&*store, "archive", &bytes(SMALL, 1)).expect("proven");
    std::io::Write::write_all(&mut late, &bytes(10, 2)).expect("written");
    let digest = hookshot::model::digest::Digest::of(&bytes(10, 2));
    let error = late.finish(&digest).expect_err("taken");
    assert!(error.to_string().contains("already"), "{error:#}");
    let seen = odd.proxy.seen();
    let is_conditional = |head: &support::servers::http::Head| {
        head.method() == "PUT" && head.header("if-none-match").is_some()
    };
    assert!(!seen.iter().any(|seen| is_conditional(&seen.head)));
    odd.holds(SMALL);
}

#[test]
fn what_a_store_does_not_know_is_named_with_the_key_to_leave_out() {
    let odd = Odd::new(Quirk::Tags501);
    let tags = |options: &mut Options| {
        s3(options).tags = [("team".to_owned(), "ops".to_owned())].into();
    };
    for size in [SMALL, LARGE] {
        let store = odd.store_with(tags, on());
        let error = export(&*store, "archive", &bytes(size, 1)).expect_err("refused");
        fails(Quirk::Tags501, &error, Kind::Failed, "`tags`");
        fails(
            Quirk::Tags501,
            &error,
            Kind::Failed,
            "functionality that is not implemented",
        );
    }
    odd.is_empty();
}

#[test]
fn what_lies_in_cold_storage_is_told_so() {
    let odd = Odd::new(Quirk::Cold);
    export(&*odd.store(), "archive", &bytes(SMALL, 1)).expect("proven by its checksum");
    let error = content(&*odd.store(), "archive").expect_err("frozen");
    fails(Quirk::Cold, &error, Kind::Failed, "cold storage");
    fails(Quirk::Cold, &error, Kind::Failed, "thaw it first");
    odd.holds(SMALL);
}

#[test]
fn one_object_is_removed_by_one_plain_request() {
    let odd = Odd::new(Quirk::Del501);
    let store = odd.store();
    export(&*store, "archive", &bytes(LARGE, 1)).expect("proven");
    store.remove("archive").expect("removed");
    assert_eq!(odd.place.everything(), [""; 0]);
    let posts = odd.proxy.seen().into_iter();
    let bulk = posts.filter(|seen| seen.head.parameter("delete").is_some());
    assert_eq!(bulk.count(), 0);

    let Some(azurite) = Azurite::start() else {
        return;
    };
    let proxy = Faults::in_front_of(&Azurite::endpoint(&azurite));
    let store = opened(&azurite, "", &proxy.endpoint(), |_| {}, on());
    export(&*store, "archive", &bytes(SMALL, 1)).expect("proven");
    store.remove("archive").expect("removed");
    store.remove("archive").expect("nothing is left to remove");
    assert_eq!(azurite.blobs(), [""; 0]);
    let batches = proxy.seen().into_iter();
    let batches = batches.filter(|seen| seen.head.parameter("comp").as_deref() == Some("batch"));
    assert_eq!(batches.count(), 0);
    assert_eq!(proxy.count("DELETE"), 2);
    // What Azure says of an archived blob.
    export(&*store, "archive", &bytes(SMALL, 1)).expect("proven");
    let words = Words {
        status: 409,
        headers: vec![("x-ms-error-code", "BlobArchived".to_owned())],
        body: String::new(),
    };
    proxy.add(
        Rule::on("GET", Fault::Say(words))
            .whose(quirks::is_archive)
            .always(),
    );
    let error = content(&*store, "archive").expect_err("frozen");
    assert!(
        Failure::of(&error).message.contains("cold storage"),
        "{error:#}"
    );
}

/// Three archives, the newest first.
const ARCHIVES: [&str; 3] = [
    "hookshot-state-20260103-030000.tar.gz",
    "hookshot-state-20260102-030000.tar.gz",
    "hookshot-state-20260101-030000.tar.gz",
];

/// A machine whose `@offsite` is reached through the proxy, and three archives there and in `@local`.
fn machine(odd: &Odd) -> Machine {
    let machine = offsite::machine(&odd.proxy.endpoint());
    let archive = machine.export("archive.tar.gz");
    let bytes = fs::read(&archive).expect("an archive");
    for folder in [odd.place.file("host"), machine.path("out/local")] {
        fs::create_dir_all(&folder).expect("a folder");
        for name in ARCHIVES {
            fs::write(folder.join(name), &bytes).expect("written");
        }
    }
    machine
}

#[test]
fn every_verb_says_that_what_answers_is_no_object_store_and_removes_nothing() {
    for quirk in [
        Quirk::Html200,
        Quirk::Json200,
        Quirk::Redirect,
        Quirk::ListingIsKey,
        Quirk::ListingOfBuckets,
        Quirk::TruncatedWithoutToken,
        Quirk::SameToken,
    ] {
        let odd = Odd::new(quirk);
        let machine = machine(&odd);
        let before = odd.place.objects();
        for arguments in [
            &["list", "@offsite"][..],
            &["list", "--long", "--all-hosts", "@offsite"],
            &["prune", "@offsite", "--keep-last", "1", "--yes"],
            &["verify", "@offsite/latest"],
            &["import", "@offsite/latest", "--dry-run"],
            &["check", "@offsite"],
            &["export", "@offsite"],
            &["copy", "@local", "@offsite"],
            &["copy", "@offsite", "@local"],
        ] {
            // A first page that is one is enough to write.
            let is_good_at_first = quirk == Quirk::SameToken && arguments[0] == "export";
            if is_good_at_first {
                continue;
            }
            let run = offsite::run(&machine, arguments);
            let told = format!("{quirk:?} {arguments:?}: {} {}", run.text(), run.stderr);
            assert_eq!(run.code, 17, "{told}");
            assert!(run.stderr.contains("`endpoint`"), "{told}");
            assert!(run.stderr.contains("is not an object store"), "{told}");
        }
        assert_eq!(odd.place.objects(), before, "{quirk:?}");
    }
}

#[test]
fn a_full_store_is_exit_code_18() {
    let odd = Odd::new(Quirk::Quota);
    let machine = machine(&odd);
    for name in ARCHIVES {
        fs::remove_file(odd.place.file("host").join(name)).expect("removed");
    }
    let copy = offsite::run(&machine, &["copy", "@local", "@offsite"]);
    assert_eq!(copy.code, 18, "{}", copy.stderr);
    let check = offsite::run(&machine, &["check", "@offsite"]);
    assert_eq!(check.code, 18, "{}", check.stderr);
    let export = offsite::run(&machine, &["export", "@offsite"]);
    assert_eq!(export.code, 18, "{}", export.stderr);
    let both = offsite::run(&machine, &["export", "@local", "@offsite"]);
    assert_eq!(both.code, 17, "{}", both.stderr);
    for run in [copy, check, export] {
        assert!(
            run.stderr.contains("the store is full (QuotaExceeded)"),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn a_check_of_a_store_without_conditions_is_good_and_says_so() {
    let odd = Odd::new(Quirk::Cond501);
    let machine = machine(&odd);
    let said = offsite::run(&machine, &["check", "@offsite", "--json"])
        .exits(0)
        .json();
    let all = said["destinations"][0]["capabilities"]
        .as_array()
        .expect("a list")
        .clone();
    let once = all
        .iter()
        .find(|one| one["name"] == "create_once")
        .expect("tried");
    let message = once["message"].to_string();
    assert!(
        message.contains("the store knows no conditional writes"),
        "{said}"
    );
}

#[test]
fn azure_and_google_are_looked_at_as_well() {
    let gcs = Gcs::start();
    let azurite = Azurite::start();
    let mut places: Vec<&dyn Place> = vec![&gcs];
    places.extend(azurite.as_ref().map(|azurite| azurite as &dyn Place));
    for place in places {
        let proxy = Faults::in_front_of(&place.endpoint());
        let is_page = |head: &support::servers::http::Head| {
            quirks::is_listing(head) || head.parameter("comp").as_deref() == Some("list")
        };
        proxy.add(
            Rule::on("GET", Fault::Say(Words::page()))
                .whose(is_page)
                .always(),
        );
        let store = opened(place, "", &proxy.endpoint(), |_| {}, on());
        let listed = store.list(&mut |_| Ok(())).expect_err("a page of the web");
        fails(Quirk::Html200, &listed, Kind::Unproven, "`endpoint`");
        let error = export(&*store, "archive", &bytes(SMALL, 1)).expect_err("refused");
        fails(Quirk::Html200, &error, Kind::Unproven, "`endpoint`");
        let error = store.find("archive").expect_err("no answer to believe");
        fails(Quirk::Html200, &error, Kind::Unproven, "`endpoint`");
        assert_eq!(place.everything(), [""; 0]);
        proxy.clear();
        export(&*store, "archive", &bytes(LARGE, 1)).expect("proven");
        proxy.add(
            Rule::on(
                "GET",
                Fault::Say(Words::refusal(501, "NotImplemented", "no")),
            )
            .whose(quirks::is_archive)
            .always(),
        );
        let before = proxy.count("GET");
        content(&*store, "archive").expect_err("not implemented");
        assert_eq!(proxy.count("GET") - before, 1, "asked once");
    }
}

/// The container of Azurite, with nothing but a shared access signature for a key.
fn signed(proxy: &Faults, signature: &str) -> Box<dyn Store> {
    let own = OwnOptions::Azure(AzureOptions {
        bucket: BucketOptions {
            endpoint: Some(Azurite::account_endpoint(&proxy.endpoint())),
            allow_http: true,
            ..BucketOptions::default()
        },
        account: Some(Azurite::ACCOUNT.to_owned()),
        ..AzureOptions::default()
    });
    let transfer = Transfer {
        chunk_bytes: PART_BYTES,
        ..Transfer::default()
    };
    let options = Options { transfer, own };
    let environment = Environment::of(vec![(
        "AZURE_STORAGE_SAS_KEY".to_owned(),
        signature.to_owned(),
    )]);
    let address = Address::parse("az://bucket").expect("a place");
    store::open(&address, &options, &environment, on()).expect("a store")
}

fn names_or(store: &dyn Store) -> anyhow::Result<()> {
    store.list(&mut |_| Ok(()))
}

#[test]
fn a_shared_access_signature_is_all_that_azure_needs_to_remove_too() {
    let Some(azurite) = Azurite::start() else {
        return;
    };
    let proxy = Faults::in_front_of(&Azurite::endpoint(&azurite));
    let token = Azurite::signature("2096-01-01T00:00:00Z");
    for token in [token.clone(), format!("?{token}")] {
        let store = signed(&proxy, &token);
        for size in [SMALL, LARGE] {
            export(&*store, "archive", &bytes(size, 1)).expect("proven");
            assert_eq!(names(&*store), ["archive"]);
            store.remove("archive").expect("removed");
        }
    }
    assert_eq!(azurite.blobs(), [""; 0]);
    let store = signed(&proxy, &Azurite::signature("2020-01-01T00:00:00Z"));
    let error = export(&*store, "archive", &bytes(SMALL, 1)).expect_err("its time is over");
    let failure = Failure::of(&error);
    assert!(!format!("{failure:?}").contains("sig="), "{failure:?}");
    let says = "the shared access signature (SAS) expired at 2020-01-01T00:00:00Z";
    assert!(failure.message.contains(says), "{failure:?}");
    let forged = Azurite::signature("2096-01-01T00:00:00Z").replace("sp=rcwdl", "sp=rcwd");
    let error = names_or(&*signed(&proxy, &forged)).expect_err("a forged one");
    let failure = Failure::of(&error);
    assert!(!failure.message.contains("expired"), "{failure:?}");
}

#[test]
fn folders_of_a_place_without_archives_are_named() {
    let odd = Odd::new(Quirk::Del501);
    let machine = machine(&odd);
    for root in [odd.place.file("host"), machine.path("out/local")] {
        fs::create_dir(root.join("web1")).expect("a folder");
        for name in ARCHIVES {
            fs::rename(root.join(name), root.join("web1").join(name)).expect("moved");
        }
    }
    for place in ["@offsite", "@local"] {
        let run = offsite::run(&machine, &["list", place]).exits(0);
        let folder = format!("{place}/web1 is a folder: name it as a destination to list it");
        assert!(run.text().contains(&folder), "{}", run.text());
        let said = offsite::run(&machine, &["list", place, "--json"])
            .exits(0)
            .json();
        assert_eq!(said["folders"][0], format!("{place}/web1"), "{said}");
        let latest = format!("{place}/latest");
        offsite::run(&machine, &["verify", &latest])
            .exits(10)
            .says("destinations of their own: web1");
        offsite::run(&machine, &["prune", place, "--keep-last", "1", "--yes"])
            .exits(0)
            .says("destinations of their own: web1");
    }
}

#[test]
fn a_prefix_is_not_how_another_one_begins() {
    let odd = Odd::new(Quirk::Del501);
    let machine = machine(&odd);
    for name in ["host1/", "host/sub/"] {
        let folder = odd.place.file(name);
        fs::create_dir_all(&folder).expect("a folder");
        let from = odd.place.file("host").join(ARCHIVES[2]);
        fs::copy(from, folder.join(ARCHIVES[2])).expect("copied");
    }
    let prune = ["prune", "@offsite", "--keep-last", "1", "--yes", "--json"];
    let said = offsite::run(&machine, &prune).exits(0).json();
    assert_eq!(said["removed"], 2, "{said}");
    let left: Vec<String> = odd.place.objects().into_keys().collect();
    let expected = [
        format!("host/{}", ARCHIVES[0]),
        format!("host/sub/{}", ARCHIVES[2]),
        format!("host1/{}", ARCHIVES[2]),
    ];
    assert_eq!(left, expected);
}

#[test]
fn a_weak_tag_keeps_nothing_from_being_read() {
    let odd = Odd::new(Quirk::Del501);
    odd.proxy.clear();
    let weak = Fault::AnswerHeader {
        name: "ETag",
        value: "W/\"1-2\"".to_owned(),
    };
    odd.proxy.add(Rule::on("HEAD", weak).always());
    let store = odd.store();
    let proof = export(&*store, "archive", &bytes(SMALL, 1)).expect("proven");
    assert_eq!(proof, Proof::ReadBack);
    assert!(content(&*store, "archive").expect("read") == bytes(SMALL, 1));
}

#[test]
fn the_error_in_a_completion_is_told_in_the_servers_words() {
    let odd = Odd::new(Quirk::Del501);
    odd.proxy.clear();
    let words = Words {
        status: 200,
        ..Words::refusal(200, "EntityTooSmall", "a part is too small")
    };
    let completion = |head: &support::servers::http::Head| head.parameter("uploadId").is_some();
    odd.proxy.add(
        Rule::on("POST", Fault::Say(words))
            .whose(completion)
            .always(),
    );
    let error = export(&*odd.store(), "archive", &bytes(LARGE, 1)).expect_err("refused");
    fails(
        Quirk::CompleteError,
        &error,
        Kind::Failed,
        "(EntityTooSmall): a part is too small",
    );
    odd.is_empty();
}

#[test]
fn an_export_names_clocks_and_keys_that_are_over() {
    for (quirk, says) in [
        (Quirk::Skew, "the clocks differ (RequestTimeTooSkewed)"),
        (Quirk::Expired, "the key's time is over (ExpiredToken)"),
    ] {
        let odd = Odd::new(quirk);
        let machine = machine(&odd);
        let run = offsite::run(&machine, &["export", "@offsite", "--json"]);
        assert_eq!(run.code, 17, "{}", run.stderr);
        let said = run.json()["error"]["message"].to_string();
        assert!(said.contains(says), "{quirk:?}: {said}");
    }
}

#[test]
fn a_server_that_sends_elsewhere_or_wants_tls_is_told_of() {
    let elsewhere = |status: u16, headers: Vec<(&'static str, String)>, body: &str| Words {
        status,
        headers,
        body: body.to_owned(),
    };
    let go = "Client sent an HTTP request to an HTTPS server.\n";
    let nginx = "<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>";
    let loops = vec![("Location", "/elsewhere".to_owned())];
    let region = vec![("x-amz-bucket-region", "eu-central-1".to_owned())];
    for (words, says) in [
        (
            elsewhere(301, region.clone(), ""),
            "the bucket's region is eu-central-1",
        ),
        (
            elsewhere(307, region, "<Error><Code>TemporaryRedirect</Code></Error>"),
            "the bucket's region is eu-central-1",
        ),
        (elsewhere(307, loops, ""), "is not an object store"),
        (elsewhere(400, Vec::new(), go), "`endpoint`"),
        (elsewhere(400, Vec::new(), nginx), "`endpoint`"),
    ] {
        let odd = Odd::new(Quirk::Redirect);
        odd.proxy.clear();
        odd.proxy.add(Rule::on("*", Fault::Say(words)).always());
        let machine = machine(&odd);
        let before = odd.place.objects();
        for arguments in [&["list", "@offsite"][..], &["copy", "@local", "@offsite"]] {
            let run = offsite::run(&machine, arguments);
            assert_ne!(run.code, 0);
            assert!(run.stderr.contains(says), "{arguments:?}: {}", run.stderr);
        }
        assert_eq!(odd.place.objects(), before);
    }
}

#[test]
fn archives_in_cold_storage_are_skipped_pruned_by_their_proof_and_told_of() {
    let odd = Odd::new(Quirk::Del501);
    let machine = machine(&odd);
    let frozen = || {
        let words = Words::refusal(403, "InvalidObjectState", "not valid for the storage class");
        Rule::on("GET", Fault::Say(words))
            .whose(|head| head.path().ends_with(ARCHIVES[0]))
            .always()
    };
    odd.proxy.add(frozen());
    let older = format!("@offsite/{}", ARCHIVES[1]);
    let run = offsite::run(&machine, &["verify", "@offsite/latest", "--json"]).exits(0);
    let run = run.says("is in cold storage; trying the next older one");
    assert_eq!(run.json()["archives"][0]["archive"], older);
    let run = offsite::run(
        &machine,
        &["import", "@offsite/latest", "--dry-run", "--json"],
    );
    assert_eq!(run.exits(0).json()["archive"], older);
    let newest = format!("@offsite/{}", ARCHIVES[0]);
    for verb in [&["import", &newest, "--dry-run"][..], &["verify", &newest]] {
        let run = offsite::run(&machine, verb).exits(1);
        let run = run.says("cold storage").says("thaw it first");
        assert!(!run.stderr.contains("key, and"), "{}", run.stderr);
    }
    let run = offsite::run(&machine, &["list", "--long", "@offsite", "--json"]).exits(0);
    let fault = run.json()["archives"][0]["fault"].to_string();
    assert!(fault.contains("cold storage"), "{fault}");
    let prune = ["prune", "@offsite", "--keep-last", "1", "--yes", "--json"];
    let said = offsite::run(&machine, &prune).exits(0).json();
    assert_eq!(said["keep"][0]["standing"], "cold", "{said}");
    let reason = said["remove"][0]["reason"].to_string();
    assert!(reason.contains("(cold)"), "{said}");
    assert_eq!(said["removed"], 2, "{said}");
    let left: Vec<String> = odd.place.objects().into_keys().collect();
    assert_eq!(left, [format!("host/{}", ARCHIVES[0])]);
}

#[test]
fn the_bucket_stands_in_front_of_the_endpoints_host_with_virtual_hosts() {
    let odd = Odd::new(Quirk::Del501);
    let machine = machine(&odd);
    odd.proxy.clear();
    let words = Words::refusal(403, "AccessDenied", "no");
    odd.proxy.add(Rule::on("*", Fault::Say(words)).always());
    for (endpoint, more) in [
        ("http://store.test", "path_style = false"),
        ("http://bucket.store.test/", "path_style = false"),
        ("http://store.test", ""),
    ] {
        let config = machine.config_text(&format!(
            "[backup.destinations.offsite]\nurl = \"s3://bucket/host\"\nendpoint = \"{endpoint}\"\nallow_http = true\n\
             access_key_id = \"x\"\nsecret_access_key = \"y\"\nretry_attempts = 0\n{more}\n"
        ));
        machine.write("etc/config.toml", config, 0o600);
        let before = odd.proxy.seen().len();
        let mut command = machine.command();
        command
            .args(["list", "@offsite"])
            .env("HTTP_PROXY", odd.proxy.endpoint())
            .env("http_proxy", odd.proxy.endpoint());
        if more.is_empty() {
            command.env("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true");
        }
        let run = finish(command, b"").exits(1);
        assert!(run.stderr.contains("AccessDenied"), "{}", run.stderr);
        let seen = odd.proxy.seen().split_off(before);
        let target = &seen[0].head.line[1];
        assert!(target.starts_with("http://bucket.store.test/?"), "{target}");
    }
}

#[test]
fn an_endpoint_that_names_the_bucket_again_is_exit_code_2() {
    let odd = Odd::new(Quirk::Del501);
    let machine = machine(&odd);
    for (endpoint, path_style, right) in [
        (
            "https://127.0.0.1:1/bucket",
            "true",
            "endpoint = \"https://127.0.0.1:1\"",
        ),
        ("https://127.0.0.1:1", "false", "path_style"),
    ] {
        let config = machine.config_text(&format!(
            "[backup.destinations.offsite]\nurl = \"s3://bucket/host\"\nendpoint = \"{endpoint}\"\npath_style = {path_style}\n"
        ));
        machine.write("etc/config.toml", config, 0o600);
        for verb in ["list", "export", "check", "prune"] {
            let run = machine.run(&[verb, "@offsite"]);
            assert_eq!(run.code, 2, "{verb}: {}", run.stderr);
            assert!(run.stderr.contains(right), "{}", run.stderr);
        }
    }
}

#[test]
fn an_export_names_the_key_that_a_store_without_checksums_needs() {
    let odd = Odd::new(Quirk::Sum400);
    let machine = offsite::machine(&odd.proxy.endpoint());
    let local = format!("{}/", machine.path("out/here").display());
    for outputs in [&["export", "@offsite"][..], &["export", &local, "@offsite"]] {
        let run = offsite::run(&machine, outputs).says("`checksums = \"none\"`");
        assert_ne!(run.code, 0, "{outputs:?}");
        assert!(!run.stderr.contains("hookshot check"), "{}", run.stderr);
    }
}
