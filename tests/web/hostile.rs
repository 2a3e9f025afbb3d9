//! Archives that others put into a destination: their pages are a sentence, and the server stays small and goes on.

use std::{fs, io::Write as _};

use flate2::{Compression, write::GzEncoder};

use crate::site::{API, Serving, Site};

/// The most memory of a server that shows them, in KiB.
const MOST_KIB: u64 = 150 << 10;

fn peak_kib(serving: &Serving) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", serving.pid())).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.expect("a number").parse().expect("a number")
}

/// Returns the gzip of this many MiB of zeros.
fn zeros(mebibytes: usize) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..mebibytes {
        gzip.write_all(&[0; 1 << 20]).expect("compressed");
    }
    gzip.finish().expect("compressed")
}

#[test]
fn an_archive_that_is_none_is_a_sentence_and_takes_no_memory() {
    let site = Site::new();
    let near = site.machine.path("near");
    let mut names = fs::read_dir(&near).expect("a folder");
    let good = names.next().expect("an archive").expect("an archive");
    let good = fs::read(good.path()).expect("bytes");
    let bad = [
        ("x-20260101-000001.tar.gz", b"no archive".to_vec()),
        ("x-20260101-000002.tar.gz", Vec::new()),
        ("x-20260101-000003.tar.gz", good[..good.len() / 2].to_vec()),
        ("x-20260101-000004.tar.gz", zeros(512)),
    ];
    for (name, bytes) in &bad {
        fs::write(near.join(name), bytes).expect("written");
    }
    let token = site.token("t", "operator", &[]);
    let serving = site.start(&[]);
    let (program, olga) = (serving.program(&token), serving.login("olga"));
    serving.until(&program, &format!("{API}/snapshots"), |answer| {
        answer.text().contains("x-20260101-000004")
    });
    let all = program.get(&format!("{API}/snapshots")).is(200).json();
    let all = all["snapshots"].as_array().expect("a list");
    for (name, _) in &bad {
        let one = all.iter().find(|one| one["name"] == *name).expect(name);
        let id = one["id"].as_str().expect("an id");
        let page = olga.get(&format!("/archives/{id}"));
        assert!(page.text().contains("<h1"), "{name}: {}", page.text());
        for part in ["", "/entries", "/entries/data/content"] {
            let answer = program.get(&format!("{API}/snapshots/{id}{part}"));
            let told = answer.text();
            assert!(
                [404, 422, 502].contains(&answer.status),
                "{name}{part}: {told}"
            );
            let message = answer.json()["error"]["message"].clone();
            assert!(
                message.as_str().is_some_and(|text| text.len() > 10),
                "{told}"
            );
        }
    }
    let peak = peak_kib(&serving);
    println!("the server took {peak} KiB at most");
    assert!(peak < MOST_KIB, "{peak} KiB");
    olga.get("/").is(200);
    assert!(!serving.log().contains("panicked"), "{}", serving.log());
}
