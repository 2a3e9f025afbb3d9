//! The agent with a made-up clock and real processes: a script takes the place of this program.
#![expect(
    clippy::disallowed_methods,
    reason = "a test makes the files that the agent meets"
)]

use std::{
    cell::{Cell, RefCell},
    fs,
    io::Write as _,
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use chrono::TimeDelta;
use signal_hook::{consts::SIGCHLD, low_level::pipe};

use super::*;
use crate::{
    model::run_record::{Job, RunRecord},
    work::events::{Event, Events, Receiver},
};

/// A folder with a configuration, and a script that says what it is asked to run.
struct Stage {
    /// The time that jobs have to end.
    grace: Duration,
    folder: tempfile::TempDir,
    said: Arc<Mutex<Vec<AgentEvent>>>,
}

/// Keeps the events of the agent.
struct Ears(Arc<Mutex<Vec<AgentEvent>>>);

impl Receiver for Ears {
    fn receive(&self, event: Event) {
        if let Event::Agent(event) = event {
            self.0.lock().expect("events").push(event);
        }
    }
}

/// A look at the world between two steps of the agent: its number, and the lever that ends it.
struct Moment<'a> {
    number: u32,
    context: &'a Context,
    reload: &'a AtomicBool,
    stage: &'a Stage,
}

impl Stage {
    fn new(script: &str) -> Stage {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("program");
        let said = folder.path().join("said");
        let head = format!(
            "#!/bin/sh\ncd '{}'\necho \"$@ as $HOOKSHOT_JOB\" >> '{}'\n",
            folder.path().display(),
            said.display()
        );
        fs::write(&program, head + script).expect("written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("made executable");
        let stage = Stage {
            grace: Duration::from_secs(60),
            folder,
            said: Arc::default(),
        };
        stage.configure("[backup.schedule]\nbackup = []\nprune = \"* * * * * *\"\n");
        stage
    }

    fn configure(&self, text: &str) {
        fs::write(self.folder.path().join("config.toml"), text).expect("written");
    }

    /// Lines that the script has said.
    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.path().join("said")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn events(&self) -> Vec<AgentEvent> {
        self.said.lock().expect("events").clone()
    }

    fn count(&self, is_it: impl Fn(&AgentEvent) -> bool) -> usize {
        self.events().iter().filter(|event| is_it(event)).count()
    }

    /// Runs the agent. Its clock goes on by `step` between two looks; `look` is called at each of them.
    fn run(&self, step: TimeDelta, look: &dyn Fn(&Moment<'_>)) -> Result<AgentReport> {
        let start: DateTime<Utc> = "2026-11-29T12:00:00Z".parse().expect("a time");
        let mut context = Context::new(start, self.folder.path().to_owned()).expect("a context");
        context.program = Some(self.folder.path().join("program"));
        context.events = Events::new(Ears(self.said.clone()));
        let (stream, writer) = UnixStream::pair().expect("a pair");
        // The end of a job wakes the agent, as in the program.
        let ends = writer.try_clone().expect("a pair");
        pipe::register(SIGCHLD, ends).expect("registered");
        let reload = Arc::new(AtomicBool::new(false));
        let mut wake = Wake::new(stream, reload.clone()).expect("good");
        let (now, number, writer) = (Cell::new(start), Cell::new(0), RefCell::new(writer));
        let clock = || {
            now.set(now.get() + step);
            number.set(number.get() + 1);
            look(&Moment {
                number: number.get(),
                context: &context,
                reload: &reload,
                stage: self,
            });
            // No sleep of the agent takes long.
            writer.borrow_mut().write_all(&[0]).expect("written");
            now.get()
        };
        let request = AgentRequest {
            configs: vec![self.folder.path().join("config.toml")],
            choices: Choices::default(),
            parallel: None,
            options: vec!["--quiet".into()],
            clock: &clock,
            wake: &mut wake,
            grace: self.grace,
        };
        agent(&context, request)
    }
}

fn is_end(event: &AgentEvent) -> bool {
    matches!(event, AgentEvent::Ended { .. })
}

#[test]
fn a_job_is_this_program_with_the_configuration() {
    let stage = Stage::new("");
    let report = stage.run(TimeDelta::milliseconds(200), &|moment| {
        if moment.stage.count(is_end) == 3 {
            moment.context.stop.cancel();
        }
    });
    let report = report.expect("good");
    // Another run may have begun when the third one had ended.
    assert!(report.runs >= 3, "{report:?}");
    assert_eq!((report.failed, report.interrupted), (0, 0));
    let config = stage.folder.path().join("config.toml");
    let line = format!(
        "--config {} --progress never --quiet prune as prune",
        config.display()
    );
    let runs = stage.lines();
    assert!(
        runs.len() >= 3 && runs.iter().all(|run| *run == line),
        "{runs:?}"
    );
    let next = stage.events().into_iter().find_map(|event| match event {
        AgentEvent::Ready { next, .. } => next,
        _ => None,
    });
    assert_eq!(next.as_deref(), Some("2026-11-29T12:00:01+00:00"));
}

#[test]
fn two_hundred_runs_leave_no_descriptor_and_no_memory() {
    fn descriptors() -> usize {
        fs::read_dir("/proc/self/fd").expect("/proc").count()
    }
    fn kilobytes() -> u64 {
        let status = fs::read_to_string("/proc/self/status").expect("/proc");
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .expect("a line");
        line.split_whitespace()
            .nth(1)
            .and_then(|word| word.parse().ok())
            .expect("a number")
    }
    let stage = Stage::new("exit 3\n");
    let at_twenty = Cell::new((0, 0));
    let report = stage.run(
        TimeDelta::milliseconds(500),
        &|moment| match moment.stage.count(is_end) {
            20 => at_twenty.set((descriptors(), kilobytes())),
            200.. => moment.context.stop.cancel(),
            _ => {}
        },
    );
    let report = report.expect("good");
    assert!(
        report.runs >= 200 && report.failed == report.runs,
        "{report:?}"
    );
    let (files, memory) = at_twenty.get();
    assert!(
        descriptors() <= files + 1,
        "{} after {files}",
        descriptors()
    );
    // The events that the test keeps are some of it.
    assert!(
        kilobytes() < memory + 2048,
        "{} after {memory}",
        kilobytes()
    );
}

#[test]
fn a_run_that_outlives_the_next_start_is_followed_by_one_run() {
    let stage = Stage::new("while [ ! -e go ]; do sleep 0.01; done\n");
    let begun = Cell::new(0);
    let report = stage.run(TimeDelta::milliseconds(100), &|moment| {
        let is_waiting = moment
            .stage
            .count(|event| matches!(event, AgentEvent::Waits { .. }))
            > 0;
        if begun.get() == 0 && is_waiting && moment.number > 60 {
            begun.set(
                moment
                    .stage
                    .count(|event| matches!(event, AgentEvent::Starts { .. })),
            );
            fs::write(moment.stage.folder.path().join("go"), "").expect("written");
        }
        if moment.stage.count(is_end) >= 2 {
            moment.context.stop.cancel();
        }
    });
    report.expect("good");
    assert_eq!(
        begun.get(),
        1,
        "one run, although its time came again and again"
    );
    let starts: Vec<String> = stage
        .events()
        .into_iter()
        .filter_map(|event| match event {
            AgentEvent::Starts { moment, .. } => Some(moment),
            _ => None,
        })
        .collect();
    assert!(starts.is_sorted() && starts[0] != starts[1], "{starts:?}");
}

#[test]
fn the_end_waits_for_the_run_and_then_interrupts_it() {
    let mut stage = Stage::new(
        "trap 'echo cleaned >> said; exit 143' TERM\necho up > up\nwhile :; do sleep 0.01; done\n",
    );
    stage.grace = Duration::ZERO;
    let ended = stage.run(TimeDelta::milliseconds(200), &|moment| {
        if moment.stage.folder.path().join("up").exists() {
            moment.context.stop.cancel();
        }
    });
    let failure = Failure::of(&ended.expect_err("interrupted"));
    assert_eq!(failure.kind, Kind::Interrupted(15));
    assert_eq!(stage.lines().last().map(String::as_str), Some("cleaned"));
    assert_eq!(
        stage.count(|event| matches!(event, AgentEvent::Interrupts { .. })),
        1
    );
    assert_eq!(stage.count(is_end), 1, "it is waited for");
}

#[test]
fn a_bad_configuration_leaves_the_old_one_in_force() {
    let stage = Stage::new("");
    let phase = Cell::new(0);
    let report = stage.run(TimeDelta::milliseconds(200), &|moment| {
        let ends = moment.stage.count(is_end);
        match phase.get() {
            0 if ends >= 1 => {
                moment
                    .stage
                    .configure("[backup.schedule]\nprune = \"often\"\n");
                moment.reload.store(true, Ordering::Relaxed);
                phase.set(ends);
            }
            before if before > 0 && before < 100 && ends >= before + 2 => {
                moment
                    .stage
                    .configure("[backup.schedule]\nbackup = []\nstatus = \"*/2 * * * * *\"\n");
                moment.reload.store(true, Ordering::Relaxed);
                phase.set(100);
            }
            100 if moment
                .stage
                .lines()
                .iter()
                .any(|line| line.ends_with(" status as status")) =>
            {
                moment.context.stop.cancel();
            }
            _ => {}
        }
    });
    report.expect("good");
    let refused: Vec<String> = stage
        .events()
        .into_iter()
        .filter_map(|event| match event {
            AgentEvent::Refused {
                reason,
                keeps_old: true,
                ..
            } => Some(reason),
            _ => None,
        })
        .collect();
    assert_eq!(refused.len(), 1);
    assert!(
        refused[0].contains("a time of a schedule is"),
        "{refused:?}"
    );
}

#[test]
fn missed_runs_are_made_up_for_once_by_the_history() {
    let stage = Stage::new("");
    stage.configure("[backup.schedule]\nbackup = \"02:00\"\nprune = \"04:00\"\n");
    let home = stage.folder.path().join(".hookshot");
    fs::create_dir(&home).expect("made");
    let run = RunRecord::begun(
        "id".to_owned(),
        Job::Backup,
        "2026-11-20T02:00:05Z".parse().expect("a time"),
    );
    let line = serde_json::to_string(&run).expect("JSON");
    fs::write(home.join("history.jsonl"), line + "\n").expect("written");
    let report = stage.run(TimeDelta::minutes(1), &|moment| {
        if moment.number > 100 && moment.stage.count(is_end) > 0 {
            moment.context.stop.cancel();
        }
    });
    assert_eq!(report.expect("good").runs, 1, "{:?}", stage.events());
    assert!(stage.lines()[0].ends_with(" backup --lock-wait 1h as backup"));
    assert_eq!(
        stage.count(|event| matches!(event, AgentEvent::Starts { is_late: true, .. })),
        1
    );
}

#[test]
fn an_agent_without_anything_to_do_fails() {
    let stage = Stage::new("");
    stage.configure("[backup.schedule]\nbackup = []\n");
    let refused = stage
        .run(TimeDelta::seconds(1), &|_| {})
        .expect_err("refused");
    let failure = Failure::of(&refused);
    assert_eq!(failure.kind, Kind::Usage);
    assert!(
        failure.message.contains("nothing is scheduled"),
        "{failure:?}"
    );
    stage.configure("[backup.schedule]\nbackup = \"never\"\n");
    let refused = stage
        .run(TimeDelta::seconds(1), &|_| {})
        .expect_err("refused");
    assert_eq!(Failure::of(&refused).kind, Kind::Usage);
}
