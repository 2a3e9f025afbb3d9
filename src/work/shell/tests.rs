//! Commands are real processes here: they end, are ended, and show no secret.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Instant,
};

use super::{
    output::{MOST_LINE_BYTES, MOST_LINES},
    *,
};

fn go(_: u64) -> Result<()> {
    Ok(())
}

#[test]
fn an_interruption_ends_a_command_and_what_it_started() {
    let folder = tempfile::tempdir().expect("a folder");
    let mark = folder.path().join("pid");
    let stop = |_: u64| match mark.exists() {
        true => Err(anyhow::anyhow!("stop")),
        false => Ok(()),
    };
    let command = format!(
        "sleep 600 & echo $! > {0}.new; mv {0}.new {0}; wait",
        mark.display()
    );
    let command = Line::new(&command, None);
    let mut drop = |_: &[u8]| Ok(());
    let result = Runner::default().stream(command, Stdio::null(), &mut drop, &stop);
    assert!(result.is_err());
    let pid = std::fs::read_to_string(&mark).expect("a number");
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    // Killed: gone, or waiting for its new parent to look.
    while state().is_ok_and(|stat| !stat.contains(") Z ")) {
        std::thread::yield_now();
    }
}

#[test]
fn a_command_that_never_stops_complaining_can_be_interrupted() {
    let looks = std::cell::Cell::new(0);
    let stop = |_: u64| {
        looks.set(looks.get() + 1);
        match looks.get() {
            0..4 => Ok(()),
            _ => Err(anyhow::anyhow!("stop")),
        }
    };
    let command = Line::new("yes >&2 & yes >&2 & yes >&2 & wait", None);
    // A log takes longer to write than the command's lines.
    let log = tracing_subscriber::fmt().with_writer(io::sink).finish();
    let result = tracing::subscriber::with_default(log, || Runner::default().ask(command, &stop));
    let error = result.expect_err("it never ends by itself");
    assert_eq!(error.to_string(), "stop");
}

fn around(limit: Duration) -> Around<'static> {
    Around {
        mark: "test",
        limit,
        variables: &[],
    }
}

fn hooked(command: &str, limit: Duration) -> (Result<()>, Vec<String>) {
    let mut said = Vec::new();
    let result = Runner::default().hook(
        Line::new(command, None),
        around(limit),
        &mut |line| said.push(line.to_owned()),
        &go,
    );
    (result, said)
}

#[test]
fn what_a_command_around_the_work_says_is_heard_line_by_line() {
    let minute = Duration::from_secs(60);
    let (result, said) = hooked("echo one; echo two >&2; printf '\\nthree'", minute);
    result.expect("good");
    assert_eq!(said, ["one", "two", "three"]);
    let (result, said) = hooked("echo no; exit 3", minute);
    let error = result.expect_err("bad").to_string();
    assert!(error.contains("exit status: 3"), "{error}");
    assert_eq!(said, ["no"]);
    let begun = Instant::now();
    hooked("sleep 30 & echo up", minute)
        .0
        .expect("in the background");
    assert!(begun.elapsed() < Duration::from_secs(20));
    let (result, said) = hooked("yes & yes & yes & echo up", Duration::from_secs(20));
    result.expect("in the background, and talking");
    assert!(said.iter().any(|line| line == "up"));
}

#[test]
fn a_command_around_the_work_has_its_time_and_a_moment_to_end() {
    let begun = Instant::now();
    let second = Duration::from_secs(1);
    let (result, said) = hooked(
        "trap 'echo bye; exit 0' TERM; while :; do sleep 0.1; done",
        second,
    );
    let error = result.expect_err("too long").to_string();
    assert!(error.contains("longer than 1 s"), "{error}");
    assert!(begun.elapsed() < GRACE, "{said:?}");
}

#[test]
fn an_answer_has_the_first_lines_and_no_secret() {
    let runner = Runner::default();
    runner.masks.add("hunter2");
    let ask = |text| runner.ask(Line::new(text, None), &go).expect("an answer");
    let answer = ask("printf 'a hunter2\\n\\n b\\033[2J\\n'; exit 3");
    assert_eq!(answer.lines(), ["a hunter2", "b\\u{1b}[2J"]);
    assert_eq!(runner.masked(&answer.lines()[0]), "a ***");
    let long = format!("{}hunter2", " x".repeat(38));
    let shown = runner.shown(Line::new(&long, None));
    assert!(shown.contains("x**") && !shown.contains("hun"), "{shown}");
    assert_eq!(answer.status.code(), Some(3));
    assert_eq!(ask("seq 9").lines().len(), MOST_LINES);
}

#[test]
fn a_secret_is_not_repeated_by_what_its_command_says() {
    let runner = Runner::default();
    runner.masks.add("hunter1");
    let secret = |text: &str, limit_ms| {
        let limit = Duration::from_millis(limit_ms);
        runner
            .secret(Line::new(text, None), limit, 100, &go)
            .expect("no cancellation")
    };
    let (logged, held) = log();
    let result = tracing::subscriber::with_default(logged, || {
        assert_eq!(
            secret("echo of hunter2 >&2; echo hunter2", 60_000),
            Ok(b"hunter2\n".to_vec())
        );
        let failed = secret(
            "echo hunter2; echo no hunter2 of hunter1 >&2; exit 3",
            60_000,
        );
        assert_eq!(
            failed.expect_err("it fails"),
            "its command failed, exit status: 3: no *** of ***"
        );
        secret("echo hunter2; echo slow hunter2 >&2; sleep 600", 300).expect_err("it hangs")
    });
    assert!(
        result.contains("its command takes longer than 0 s: slow ***"),
        "{result}"
    );
    let log = String::from_utf8(held.lock().expect("whole").clone()).expect("text");
    assert!(log.contains("A command says: of ***"), "{log}");
    assert!(log.contains("A command says: slow ***"), "{log}");
    assert!(!log.contains("hunter"), "{log}");
}

#[test]
fn lines_of_commands_show_no_known_secret() {
    let runner = Runner::default();
    runner.masks.add("hunter2");
    let mut said = Vec::new();
    let mut say = |line: &str| said.push(line.to_owned());
    let command = Line::new("echo a hunter2; echo hunter2 >&2", None);
    let limit = Duration::from_secs(60);
    runner
        .hook(command, around(limit), &mut say, &go)
        .expect("good");
    assert_eq!(said, ["a ***", "***"]);
}

#[test]
fn no_piece_of_a_long_line_shows_a_part_of_a_secret() {
    let masks = Masks::default();
    masks.add("hunter2");
    for (length, pieces, last) in [
        (MOST_LINE_BYTES - 1, ["hunter2abc", "\n"], "abc"),
        (MOST_LINE_BYTES + 4, ["hunte", "r2\n"], "xx***"),
    ] {
        let (mut cutter, mut said) = (LineCutter::default(), Vec::new());
        let mut say = |line: &str| said.push(line.to_owned());
        let line = "x".repeat(length) + pieces[0];
        cutter.add(line.as_bytes(), &masks, &mut say);
        cutter.add(pieces[1].as_bytes(), &masks, &mut say);
        assert_eq!(said.len(), 2, "{said:?}");
        assert_eq!(said[1], last);
    }
}

/// Returns a subscriber, and the text that it logs.
fn log() -> (impl tracing::Subscriber + Send + Sync, Arc<Mutex<Vec<u8>>>) {
    struct Held(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Held {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("whole").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let held = Arc::new(Mutex::new(Vec::new()));
    let writer = held.clone();
    let make = move || Held(writer.clone());
    let log = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(make)
        .finish();
    (log, held)
}
