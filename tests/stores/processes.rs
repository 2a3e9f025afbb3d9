//! Uploads of processes of their own: killed in the middle, and measured.

use std::{
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::places::{PART_BYTES, Place, alive, direct, example, names};
use support::servers::{Fault, Faults, Gcs, Rule, S3, Sshd};

/// The most memory that an upload of any size may take (peak, in KiB).
const MOST_KIB: u64 = 160 << 10;

fn uploader(place: &dyn Place, size: usize, options: &[(&str, String)]) -> Child {
    let mut command = Command::new(example("uploader"));
    command.args([&format!("{}/host", place.url()), "archive"]);
    command.args([&size.to_string(), "killed-run"]);
    for (option, value) in options {
        command.arg(format!("{option}={value}"));
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the uploader")
}

fn s3_options(endpoint: String) -> Vec<(&'static str, String)> {
    vec![
        ("endpoint", endpoint),
        ("access_key_id", S3::ACCESS_KEY.to_owned()),
        ("secret_access_key", S3::SECRET_KEY.to_owned()),
    ]
}

/// Kills the uploader when `rule`'s fault, which calls the hook, strikes; then the next run removes what it left.
fn a_kill_leaves_what_the_next_run_removes(
    place: &dyn Place,
    rule: impl Fn(Arc<dyn Fn() + Send + Sync>) -> Rule,
    options: impl Fn(String) -> Vec<(&'static str, String)>,
) {
    let proxy = Faults::in_front_of(&place.endpoint());
    let pid = Arc::new(AtomicI32::new(0));
    let hook = {
        let pid = Arc::clone(&pid);
        Arc::new(move || {
            let id = loop {
                match pid.load(Ordering::Acquire) {
                    0 => std::thread::yield_now(),
                    id => break id,
                }
            };
            kill(Pid::from_raw(id), Signal::SIGKILL).expect("a process of ours");
        })
    };
    proxy.add(rule(hook));
    let mut child = uploader(place, 4 * PART_BYTES, &options(proxy.endpoint()));
    pid.store(child.id() as i32, Ordering::Release);
    let status = child.wait().expect("its end");
    assert!(!status.success(), "{:?}", proxy.seen());
    let store = direct(place, "host");
    assert_eq!(names(&*store), [""; 0]);
    assert!(!place.everything().is_empty(), "nothing to sweep");
    // Other runs on this machine ask whether that process lives.
    let swept = store.sweep(&alive("next")).expect("swept");
    assert_eq!(swept, ["archive"]);
    assert_eq!(place.everything(), [""; 0]);
}

fn second_part(hook: Arc<dyn Fn() + Send + Sync>) -> Rule {
    Rule::on("PUT", Fault::AtRequestByte { at: 300_000, hook })
        .whose(|head| head.parameter("partNumber").is_some())
        .after(1)
}

#[test]
fn what_a_kill_leaves_in_s3_is_removed_by_the_next_run() {
    a_kill_leaves_what_the_next_run_removes(&S3::start(), second_part, s3_options);
}

#[test]
fn what_a_kill_leaves_at_google_is_removed_by_the_next_run() {
    a_kill_leaves_what_the_next_run_removes(&Gcs::start(), second_part, |endpoint| {
        vec![("service_account_key", Gcs::service_account(&endpoint))]
    });
}

#[test]
fn what_a_kill_leaves_on_a_server_is_removed_by_the_next_run() {
    let Some(place) = Sshd::start() else { return };
    let options = [
        ("ssh_config", place.config().display().to_string()),
        ("bandwidth_limit", (2 << 20).to_string()),
    ];
    let url = format!("sftp://{}/~/archives/host", Sshd::HOST);
    let mut command = Command::new(example("uploader"));
    command.args([url.as_str(), "archive", "20000000", "killed-run"]);
    for (option, value) in &options {
        command.arg(format!("{option}={value}"));
    }
    let mut child = command.spawn().expect("the uploader");
    let end = Instant::now() + Duration::from_secs(60);
    while place.everything().is_empty() {
        assert!(Instant::now() < end, "nothing is written: {}", place.log());
        assert!(child.try_wait().expect("a child").is_none(), "it ended");
        std::thread::yield_now();
    }
    child.kill().expect("killed");
    child.wait().expect("its end");
    let store = direct(&place, "host");
    assert_eq!(names(&*store), [""; 0]);
    let left = place.everything();
    assert!(
        left.len() == 1 && left[0].contains("killed_run"),
        "{left:?}"
    );
    assert_eq!(store.sweep(&alive("next")).expect("swept"), ["archive"]);
    assert_eq!(place.everything(), [""; 0]);
}

#[test]
fn an_upload_of_any_size_takes_little_memory() {
    let place = S3::start();
    // A store that is slower than what comes: the parts must wait for it, and not in memory.
    let slow = Arc::new(|| std::thread::sleep(Duration::from_millis(200)));
    let proxy = Faults::in_front_of(&place.endpoint());
    let part = Rule::on("PUT", Fault::AtRequestByte { at: 0, hook: slow });
    proxy.add(part.always());
    let mut options = s3_options(proxy.endpoint());
    options.push(("chunk_bytes", (8 << 20).to_string()));
    let child = uploader(&place, 300_000_000, &options);
    let output = child.wait_with_output().expect("its end");
    let said = String::from_utf8(output.stdout).expect("text");
    let errors = String::from_utf8_lossy(&output.stderr);
    let (proof, peak) = said
        .trim()
        .split_once(' ')
        .unwrap_or_else(|| panic!("{errors}"));
    let peak: u64 = peak.parse().expect("a number");
    assert_eq!(proof, "checksum");
    assert!(peak < MOST_KIB, "{peak} KiB");
    let found = direct(&place, "host").find("archive").expect("an answer");
    assert_eq!(found.expect("it is there").size_bytes, 300_000_000);
}
