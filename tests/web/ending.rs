//! The end of the server: by signals, by kills, beside another one, and on a full disk.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use support::{Mounted, is_root};

use crate::{
    client::connect,
    site::{API, PASSWORD, Site},
};

#[test]
fn a_signal_ends_it_at_once_with_connections_open() {
    let site = Site::with_admin();
    for (signal, codes) in [(Signal::SIGTERM, [0, 143]), (Signal::SIGINT, [0, 130])] {
        let mut serving = site.start(&[]);
        let anna = serving.login("anna");
        anna.get("/").is(200);
        let idle = connect(serving.address);
        let start = Instant::now();
        let status = serving.end(signal);
        assert!(
            start.elapsed() < Duration::from_secs(4),
            "{:?}",
            start.elapsed()
        );
        assert_eq!(status.signal(), None, "{status}");
        let code = status.code().expect("a code");
        assert!(codes.contains(&code), "{signal}: {code}\n{}", serving.log());
        drop(idle);
    }
}

#[test]
fn sessions_tokens_and_the_trail_outlive_a_kill() {
    let site = Site::with_admin();
    let token = site.token("grafana", "viewer", &[]);
    let mut serving = site.start(&[]);
    let anna = serving.login("anna");
    let cookie = anna.request("GET", "/", "");
    let cookie = cookie.lines().find(|line| line.starts_with("Cookie: "));
    let cookie = cookie.expect("a cookie").to_owned();
    for _ in 0..3 {
        serving.try_login("anna", "wrong-password").is(403);
    }
    let before = site.audit();
    assert_eq!(before.len(), 4);
    serving.end(Signal::SIGKILL);
    let serving = site.start(&[]);
    let anna = serving.stranger().with(cookie);
    anna.get("/").is(200);
    let settings = anna.get("/settings").is(200);
    settings.says("whole");
    serving
        .program(&token)
        .get(&format!("{API}/health"))
        .is(200);
    assert_eq!(site.audit(), before);
}

#[test]
fn an_edit_of_the_trail_is_shown() {
    let site = Site::with_admin();
    let serving = site.start(&[]);
    let anna = serving.login("anna");
    anna.get("/settings").is(200).says("whole");
    let connection = rusqlite::Connection::open(site.state()).expect("the state");
    let changed = connection.execute("UPDATE audit SET actor = 'eve' WHERE number = 1", []);
    assert_eq!(changed.expect("changed"), 1);
    let page = anna.get("/settings").is(200);
    page.says("Record 1 is not as it was written");
}

#[test]
fn two_servers_share_one_state() {
    let site = Site::new();
    let token = site.token("grafana", "viewer", &[]);
    let (one, two) = (site.start(&[]), site.start(&[]));
    let anna = one.login("anna");
    let cookie = anna.request("GET", "/", "");
    let cookie = cookie.lines().find(|line| line.starts_with("Cookie: "));
    let same = two.stranger().with(cookie.expect("a cookie"));
    same.get("/").is(200);
    let of_one = one.snapshots(&one.program(&token));
    let of_two = two.snapshots(&two.program(&token));
    assert_eq!(of_one, of_two);
    two.try_login("anna", "wrong-password").is(403);
    same.post("/logout", "").is(303);
    anna.get("/").is(303);
    let numbers = site.rows("SELECT number FROM audit ORDER BY number");
    // Four changes by the command line, then those of both servers.
    let expected: Vec<_> = (1..=7).map(|number| format!("Integer({number})")).collect();
    assert_eq!(numbers, expected);
}

#[test]
fn on_a_full_disk_a_login_says_so_and_reading_goes_on() {
    if !is_root("a small file system") {
        return;
    }
    let site = Site::new();
    let folder = site.machine.path("small");
    fs::create_dir(&folder).expect("a folder");
    let _mounted = Mounted::tmpfs(&folder, "1m");
    let state = folder.join("serve.sqlite");
    // All that a reader needs is there before the disk is full.
    fs::copy(site.state(), &state).expect("copied");
    let state = state.display().to_string();
    let Some(serving) = site.start_with_clock(&["--state", &state]) else {
        return;
    };
    let anna = serving.login("anna");
    anna.get("/").is(200);
    serving.until(&anna, "/", |answer| answer.text().contains("told this"));
    fill(&folder.join("ballast"));
    let answer = serving.try_login("anna", PASSWORD);
    assert_eq!(answer.status, 507, "{}", answer.text());
    let answer = answer.says("The disk of the server is full");
    assert!(!answer.text().contains("serve.sqlite"), "{}", answer.text());
    assert!(answer.headers("set-cookie").is_empty());
    // The time of the last use cannot be kept, and the next look cannot, either.
    site.leap(120);
    for path in ["/", "/archives", "/runs", "/settings"] {
        anna.get(path).is(200);
    }
    assert!(!serving.log().contains("panicked"), "{}", serving.log());
    fs::remove_file(folder.join("ballast")).expect("removed");
    serving.login("anna").get("/").is(200);
}

/// Writes until nothing more fits.
pub fn fill(path: &std::path::Path) {
    use std::io::Write as _;
    let mut file = fs::File::create(path).expect("a file");
    for size in [4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

/// Returns how often the threads of a process began to wait (proc_pid_status(5)).
fn waits(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("threads");
    let waits = threads.map(|thread| {
        let status = thread.expect("a thread").path().join("status");
        let status = fs::read_to_string(status).unwrap_or_default();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.map_or(0, |number| number.trim().parse::<u64>().expect("a number"))
    });
    waits.sum()
}

#[test]
fn a_server_that_nothing_asks_does_not_even_wake() {
    let site = Site::new();
    let serving = site.start(&[]);
    let anna = serving.login("anna");
    serving.until(&anna, "/", |answer| {
        answer.text().contains("Everything is protected")
    });
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let before = waits(serving.pid());
        std::thread::sleep(Duration::from_secs(3));
        let more = waits(serving.pid()) - before;
        if more == 0 {
            break;
        }
        assert!(Instant::now() < end, "it woke {more} times in 3 s");
    }
}
