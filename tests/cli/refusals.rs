//! `copy` to a place that refuses ends soon: before the archive is read through, and before every archive was tried.

use support::servers::{Fault, Faults, Rule, S3, http::Head, s3::BUCKET};
use support::{Machine, Run, finish};

use std::fs;

use serde_json::Value;

/// The bytes that one request for a part of an archive asks for.
const PAGE_BYTES: u64 = 4 << 20;

/// Two servers, `@near` with archives and `@far` that refuses, behind proxies.
struct Places {
    machine: Machine,
    near: Faults,
    far: Faults,
    /// Behind the proxies.
    stores: [S3; 2],
}

impl Places {
    fn new(far_bucket: &str) -> Places {
        let stores = [S3::start(), S3::start()];
        let near = Faults::in_front_of(&stores[0].endpoint());
        let far = Faults::in_front_of(&stores[1].endpoint());
        let machine = Machine::new();
        let one = |name: &str, bucket: &str, endpoint: String| {
            format!(
                "[backup.destinations.{name}]\nurl = \"s3://{bucket}/host\"\nendpoint = \"{endpoint}\"\n\
                 region = \"us-east-1\"\nallow_http = true\nchunk_size = \"5 MiB\"\n\
                 retry_attempts = 1\ntimeout = \"20s\"\naccess_key_id = \"{}\"\n\
                 secret_access_key = \"env:S3_SECRET\"\n",
                S3::ACCESS_KEY
            )
        };
        let config = one("near", BUCKET, near.endpoint()) + &one("far", far_bucket, far.endpoint());
        machine.write("etc/config.toml", machine.config_text(&config), 0o644);
        Places {
            machine,
            near,
            far,
            stores,
        }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let mut command = self.machine.command();
        command.args(arguments).env("S3_SECRET", S3::SECRET_KEY);
        finish(command, b"")
    }

    /// Puts archives of so many days there, the content of each noise of so many bytes.
    fn fill(&self, days: usize, bytes: usize) {
        let mut state = 7_u64;
        let noise = (0..bytes).map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        });
        let secrets: Vec<u8> = noise.collect();
        self.machine.write("etc/secrets", secrets, 0o600);
        let path = self.machine.export("first.tar.gz");
        for day in 1..=days {
            let key = format!("host/{}", name(day));
            let file = self.stores[0].file(&key);
            fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
            fs::copy(&path, file).expect("copied");
        }
    }

    /// Returns the bytes of archives that were requested.
    fn read_bytes(&self) -> u64 {
        let is_part = |head: &Head| head.method() == "GET" && head.header("range").is_some();
        let seen = self.near.seen();
        seen.iter().filter(|seen| is_part(&seen.head)).count() as u64 * PAGE_BYTES
    }

    fn untouched(&self) {
        assert!(
            self.stores[1].objects().is_empty(),
            "{:?}",
            self.stores[1].objects()
        );
        assert_eq!(self.stores[1].leftovers(), [""; 0]);
    }
}

fn name(day: usize) -> String {
    format!("hookshot-state-202611{day:02}-030000.tar.gz")
}

fn failed(report: &Value) -> Vec<&str> {
    let failed = report["failed"].as_array().expect("a list").iter();
    failed
        .map(|one| one["message"].as_str().expect("a message"))
        .collect()
}

#[test]
fn a_large_archive_is_not_read_for_a_place_that_refuses_it() {
    let bytes = 44 << 20;
    let archive = format!("@near/{}", name(1));
    let is_begun = |head: &Head| head.parameter("uploads").is_some();
    let is_part = |head: &Head| head.parameter("partNumber").is_some();
    let places = Places::new(BUCKET);
    places.fill(1, bytes);
    for (rule, code, most) in [
        // Before anything is read.
        (Rule::on("HEAD", Fault::Answer(403)), 1, 0),
        (Rule::on("*", Fault::Answer(403)), 1, 0),
        // With the first part, and with the answer to it.
        (
            Rule::on("POST", Fault::Answer(403)).whose(is_begun),
            1,
            20 << 20,
        ),
        (
            Rule::on("PUT", Fault::Answer(403)).whose(is_part),
            1,
            32 << 20,
        ),
    ] {
        places.far.add(rule.always());
        let before = places.read_bytes();
        let run = places.run(&["copy", &archive, "@far"]).exits(code);
        let read = places.read_bytes() - before;
        assert!(read <= most, "{read} bytes: {}", run.stderr);
        places.far.clear();
        places.untouched();
    }
    let places = Places::new("none");
    places.fill(1, bytes);
    places
        .run(&["copy", &archive, "@far"])
        .exits(10)
        .says("no such bucket");
    assert_eq!(places.read_bytes(), 0);
}

#[test]
fn of_many_archives_no_more_than_three_are_tried_where_the_place_takes_none() {
    let places = Places::new(BUCKET);
    places.fill(7, 1000);
    places.far.add(Rule::on("PUT", Fault::Answer(403)).always());
    let report = places
        .run(&["copy", "@near", "@far", "--json"])
        .exits(1)
        .json();
    let messages = failed(&report);
    assert_eq!(messages.len(), 7, "{report}");
    for (at, message) in messages.iter().enumerate() {
        assert_eq!(message.contains("not tried"), at >= 3, "{message}");
    }
    assert_eq!(places.far.count("PUT"), 3);
    assert_eq!(report["failed"][6]["kind"], report["failed"][0]["kind"]);
    places.untouched();
    places.far.clear();
    places.run(&["copy", "@near", "@far"]).exits(0);
    assert_eq!(places.stores[1].objects().len(), 7);
}

#[test]
fn what_a_place_has_is_there_although_it_takes_nothing_more() {
    let places = Places::new(BUCKET);
    places.fill(7, 1000);
    for day in [1, 2, 5] {
        let [near, far] = [0, 1].map(|at| places.stores[at].file(&format!("host/{}", name(day))));
        fs::create_dir_all(far.parent().expect("a folder")).expect("a folder");
        fs::copy(near, far).expect("copied");
    }
    places.far.add(Rule::on("PUT", Fault::Answer(403)).always());
    let report = places
        .run(&["copy", "@near", "@far", "--json"])
        .exits(3)
        .json();
    let names = |key: &str| -> Vec<String> {
        let list = report[key].as_array().expect("a list").iter();
        list.map(|one| one["name"].as_str().expect("a name").to_owned())
            .collect()
    };
    assert_eq!(names("skipped"), [5, 2, 1].map(name), "{report}");
    assert_eq!(names("failed"), [7, 6, 4, 3].map(name), "{report}");
    // That it has the fifth does not say that it takes the fourth and the third.
    assert_eq!(places.far.count("PUT"), 3);
    // Of what it has, the other place is not asked.
    let seen = places.near.seen().into_iter();
    let is_archive = |path: &str| path.ends_with(".tar.gz");
    let heads = seen.filter(|seen| seen.head.method() == "HEAD" && is_archive(seen.head.path()));
    assert_eq!(heads.count(), 3, "{report}");
}

#[test]
fn archives_that_fail_for_themselves_do_not_stop_the_others() {
    let places = Places::new(BUCKET);
    places.fill(9, 1000);
    // Three in a row that are damaged, one that the place does not take, one that has another size there.
    for day in [9, 8, 7] {
        let file = places.stores[0].file(&format!("host/{}", name(day)));
        let bytes = fs::read(&file).expect("a file");
        fs::write(&file, &bytes[..bytes.len() / 2]).expect("damaged");
    }
    let other = places.stores[1].file(&format!("host/{}", name(4)));
    fs::create_dir_all(other.parent().expect("a folder")).expect("a folder");
    fs::write(&other, "another").expect("written");
    let is_sixth = |head: &Head| head.line[1].contains(&name(6));
    places
        .far
        .add(Rule::on("PUT", Fault::Answer(403)).whose(is_sixth).always());
    let report = places
        .run(&["copy", "@near", "@far", "--json"])
        .exits(3)
        .json();
    assert_eq!(failed(&report).len(), 5, "{report}");
    assert_eq!(
        report["copied"].as_array().map(Vec::len),
        Some(4),
        "{report}"
    );
}
