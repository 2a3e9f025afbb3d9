//! A thousand hosts with thirty archives each: their pages stay small. It prints how long the server takes for each.

use std::{fs, time::Instant};

use crate::site::Site;

const HOSTS: usize = 1000;
const ARCHIVES: usize = 30;
/// The largest page, in bytes.
const LARGEST: usize = 60 << 10;

#[test]
fn a_thousand_hosts_are_found_sorted_and_paged() {
    let site = Site::with_admin();
    let near = site.machine.path("near");
    fs::create_dir_all(&near).expect("a folder");
    for host in 0..HOSTS {
        for day in 1..=ARCHIVES {
            let name = format!("host{host:04}-202611{day:02}-0300{:02}.tar.gz", host % 60);
            fs::write(near.join(name), "").expect("written");
        }
    }
    site.configure(&["near"], "");
    let serving = site.start(&[]);
    let anna = serving.login("anna");
    let told = serving.until(&anna, "/hosts", |answer| {
        answer.text().contains("1000 hosts")
    });
    told.says("host0000").says("Page 1 of 20");
    for path in [
        "/",
        "/hosts",
        "/hosts?sort=name&page=20",
        "/hosts?name=host09&sort=age",
    ] {
        let tries = (0..5).map(|_| {
            let start = Instant::now();
            let answer = anna.get(path).is(200);
            assert!(answer.body.len() < LARGEST, "{path}: {}", answer.body.len());
            start.elapsed()
        });
        let shortest = tries.min().expect("tries");
        println!("{path}: {shortest:?}, {} bytes", anna.get(path).body.len());
    }
    anna.get("/hosts?sort=name&page=20")
        .is(200)
        .says("host0999");
    let found = anna.get("/hosts?name=host0999").is(200);
    assert_eq!(
        found.text().matches("/services/").count(),
        1,
        "{}",
        found.text()
    );
    for path in [
        "/hosts?page=0",
        "/hosts?page=99999999999",
        "/hosts?name=nothing-like-it",
    ] {
        anna.get(path).is(200);
    }
    anna.get("/hosts?sort=color").is(400);
    let service = anna.get("/services/host0007").is(200);
    service.says("Size over time").says("host0007");
    anna.get("/services/host9999").is(404);
}
