//! Listings without an end, and what a listing passes over.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use hookshot::error::{Failure, Kind};

use crate::places::{direct, export, kind, on, opened};
use support::servers::{Fault, Faults, Rule, S3, Sshd, Words};

/// The number of names that each page invents.
const NAMES: usize = 50_000;

#[test]
fn a_listing_that_invents_new_names_for_ever_ends_by_itself() {
    let place = S3::start();
    let proxy = Faults::in_front_of(&place.endpoint());
    let pages = AtomicUsize::new(0);
    let page = move |_: &_| {
        let page = pages.fetch_add(1, Ordering::Relaxed);
        let names: String = (0..NAMES)
            .map(|name| format!("<CommonPrefixes><Prefix>{page}-{name}/</Prefix></CommonPrefixes>"))
            .collect();
        Words {
            status: 200,
            headers: vec![("Content-Type", "application/xml".to_owned())],
            body: format!(
                "<ListBucketResult><Name>b</Name><IsTruncated>true</IsTruncated>\
                 <NextContinuationToken>{page}</NextContinuationToken>{names}</ListBucketResult>"
            ),
        }
    };
    proxy.add(
        Rule::on("GET", Fault::Tell(Arc::new(page)))
            .whose(|head| head.parameter("list-type").is_some())
            .always(),
    );
    let store = opened(&place, "", &proxy.endpoint(), |_| {}, on());
    let error = store.list(&mut |_| Ok(())).expect_err("it has no end");
    assert_eq!(kind(&error), Kind::Unproven, "{error:#}");
    let failure = Failure::of(&error);
    assert!(failure.message.contains("1000000 names"), "{failure:?}");
    assert!(failure.hint.is_some_and(|hint| hint.contains("`endpoint`")));
    assert!(proxy.struck() <= 1_000_000 / NAMES + 1);
}

#[test]
fn folders_of_an_ssh_server_are_named_that_a_listing_passes_over() {
    let Some(place) = Sshd::start() else { return };
    let store = direct(&place, "");
    export(&*store, "one", b"1").expect("proven");
    let folder = place.files().join("archives");
    for name in ["web1", "web2", ".cache"] {
        fs::create_dir(folder.join(name)).expect("a folder");
    }
    let mut names = Vec::new();
    let listed = store.list(&mut |stored| {
        names.push(stored.name);
        Ok(())
    });
    listed.expect("listed");
    assert_eq!(names, ["one"]);
    assert_eq!(store.folders(), ["web1", "web2"]);
}
