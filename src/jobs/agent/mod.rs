//! `agent`: starts the jobs of schedules in the foreground, for containers and machines without systemd.
//!
//! Each job is a process of its own: this program with the verb of the job. So a job that fails, leaks or crashes
//! leaves the agent as it was, and the agent needs no lock: that of the job is taken by its process. The agent keeps
//! nothing in memory that a verb needs; what was missed is read from the history.

mod agenda;
mod ending;
mod followed;
mod manager;
mod run;
#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};
use serde::Serialize;

use self::{
    agenda::{Agenda, Due},
    ending::Ending,
    followed::Followed,
    manager::Manager,
    run::Run,
};
use super::{
    configs,
    planned::{command_line, places},
    timer::timed_jobs,
};
use crate::{
    config::Choices,
    context::Context,
    error::{Failure, Kind},
    work::{
        events::{AgentEvent, AgentRun},
        wake::Wake,
    },
};

/// The time that jobs have to end after SIGTERM before they are interrupted.
pub const GRACE: Duration = Duration::from_secs(30);
/// The longest sleep: a clock that was set is noticed by then.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// The longest time that a job may run, as in the units of systemd; then it is interrupted.
const LONGEST_RUN: Duration = Duration::from_secs(12 * 3600);
/// The time from which a start counts as made up for.
const LATE_SECONDS: i64 = 60;

/// The request to follow schedules.
pub struct AgentRequest<'a> {
    /// The configurations: files and folders.
    pub configs: Vec<PathBuf>,
    /// The places of the state that the command line names.
    pub choices: Choices,
    /// The number of jobs that run at once, if the command line says it.
    pub parallel: Option<usize>,
    /// Global options for the processes of jobs.
    pub options: Vec<OsString>,
    /// The clock.
    pub clock: &'a dyn Fn() -> DateTime<Utc>,
    /// Ends the agent's sleep.
    pub wake: &'a mut Wake,
    /// The time that jobs have to end before they are interrupted.
    pub grace: Duration,
}

/// The account of an agent that ended.
#[derive(Debug, Default, Serialize)]
pub struct AgentReport {
    /// The jobs that it ran to their end.
    pub runs: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Those that the end of the agent interrupted.
    pub interrupted: u64,
}

/// The agent at work.
struct Agent<'a> {
    context: &'a Context,
    request: AgentRequest<'a>,
    manager: Manager,
    agenda: Agenda,
    followed: Followed,
    runs: Vec<Run>,
    parallel: usize,
    report: AgentReport,
}

/// Follows the schedules until a signal ends the agent.
pub fn agent(context: &Context, request: AgentRequest<'_>) -> Result<AgentReport> {
    let mut agent = Agent {
        context,
        request,
        manager: Manager::new(),
        agenda: Agenda::default(),
        followed: Followed::default(),
        runs: Vec::new(),
        parallel: 1,
        report: AgentReport::default(),
    };
    agent.load()?;
    agent.refuse_nothing()?;
    agent.manager.ready();
    agent.say_ready();
    while context.stop.check().is_ok() {
        agent.reap();
        if agent.request.wake.takes_reload() {
            agent.reload();
        }
        agent.start_due();
        agent.sleep()?;
    }
    agent.end()
}

impl Agent<'_> {
    fn now(&self) -> DateTime<Utc> {
        (self.request.clock)()
    }

    /// Reads every configuration, and puts its jobs on the agenda. A bad one is named, and the one in force stays.
    fn load(&mut self) -> Result<()> {
        let configs = configs::find(&self.request.configs)?;
        let loaded = self
            .followed
            .load(self.context, &self.request.choices, configs);
        let now = self.now();
        let configured = self.followed.schedule(self.context, &mut self.agenda, now);
        self.parallel = self.request.parallel.or(configured).unwrap_or(1);
        loaded
    }

    /// Fails if there is nothing to start: an agent that never does anything would look like one that works.
    fn refuse_nothing(&self) -> Result<()> {
        if !self.agenda.is_empty() {
            return Ok(());
        }
        let is_timed = self.followed.is_any_left_out();
        let (message, hint) = match is_timed {
            true => (
                "timers of systemd start every job: the agent has nothing to do",
                "`hookshot timer remove` removes them, and the agent starts the jobs instead",
            ),
            false => (
                "nothing is scheduled: the agent has nothing to do",
                "[backup.schedule] says when jobs start; `hookshot schedule` shows it",
            ),
        };
        Err(Failure::new(Kind::Usage, message).hint(hint).into())
    }

    fn reload(&mut self) {
        self.manager.reloading();
        if let Err(error) = self.load() {
            // Each bad configuration has been named; a folder that cannot be read has not.
            let config = self.request.configs.first().cloned().unwrap_or_default();
            self.context.tell(AgentEvent::Refused {
                config,
                reason: Failure::of(&error).message,
                keeps_old: true,
            });
        }
        self.manager.ready();
        self.say_ready();
    }

    fn say_ready(&self) {
        let next = self.agenda.next(self.now());
        self.context.tell(AgentEvent::Ready {
            configurations: self.followed.in_force(),
            jobs: self.agenda.len(),
            next: next.map(|due| self.followed.shown(due.config, due.start.time)),
        });
    }

    /// Starts the jobs whose time has come.
    fn start_due(&mut self) {
        let now = self.now();
        let dues = self.agenda.take_due(now, self.parallel);
        for due in dues.passed {
            let moment = self.followed.shown(due.config, due.start.moment);
            let run = self.followed.run_of(due.config, due.job);
            self.context.tell(AgentEvent::Passed { run, moment });
        }
        for due in dues.wait {
            let run = self.followed.run_of(due.config, due.job);
            self.context.tell(AgentEvent::Waits { run });
        }
        for due in dues.start {
            let run = self.followed.run_of(due.config, due.job);
            // A timer may have been installed since the configuration was read.
            if timed_jobs(self.context, &run.config).contains(&due.job) {
                self.agenda.ended(due.config, due.job);
                let (config, job) = (run.config, run.job);
                self.context.tell(AgentEvent::LeftOut { config, job });
                continue;
            }
            self.context.tell(AgentEvent::Starts {
                run: run.clone(),
                moment: self.followed.shown(due.config, due.start.moment),
                is_late: (now - due.start.time).num_seconds() > LATE_SECONDS,
            });
            match self.spawn(due, run.clone()) {
                Ok(run) => self.runs.push(run),
                Err(error) => {
                    self.agenda.ended(due.config, due.job);
                    self.report.runs += 1;
                    self.report.failed += 1;
                    let reason = format!("{error:#}");
                    self.context.tell(AgentEvent::NotStarted { run, reason });
                }
            }
        }
    }

    fn spawn(&self, due: Due, run: AgentRun) -> Result<Run> {
        let settings = self.followed.settings(due.config);
        let settings = settings.context("it has no configuration")?;
        let program = self.context.program.as_deref();
        let program = program.unwrap_or(Path::new("/proc/self/exe"));
        let mut words: Vec<OsString> = vec!["--progress".into(), "never".into()];
        words.extend(self.request.options.iter().cloned());
        if self.followed.is_alone() {
            words.extend(places(&self.request.choices));
        }
        words.extend(
            command_line(due.job, settings)
                .into_iter()
                .map(OsString::from),
        );
        Run::start(program, due.config, run, &words)
    }

    /// Takes note of the jobs that have ended.
    fn reap(&mut self) {
        let mut running = Vec::new();
        for mut run in std::mem::take(&mut self.runs) {
            let Some(exit_code) = run.ended() else {
                if run.seconds() > LONGEST_RUN.as_secs() && !run.is_interrupted {
                    let run_of = run.run.clone();
                    self.context.tell(AgentEvent::Interrupts { run: run_of });
                    run.interrupt();
                }
                running.push(run);
                continue;
            };
            self.agenda.ended(run.config, run.run.job);
            self.report.runs += 1;
            match exit_code {
                _ if run.is_interrupted => self.report.interrupted += 1,
                0 => {}
                _ => self.report.failed += 1,
            }
            let next = self.agenda.next_of(run.config, run.run.job, self.now());
            self.context.tell(AgentEvent::Ended {
                exit_code,
                seconds: run.seconds(),
                next: next.map(|start| self.followed.shown(run.config, start.time)),
                run: run.run,
            });
        }
        self.runs = running;
    }

    /// Sleeps until the next start, or until a signal comes.
    fn sleep(&mut self) -> Result<()> {
        let now = self.now();
        let next = self.agenda.next(now);
        self.manager.status(self.status(next));
        self.manager.alive();
        let until_next = next.map(|due| due.start.time - now);
        let until_next = until_next.and_then(|time| time.to_std().ok());
        let limit = LONGEST_SLEEP
            .min(self.manager.longest_sleep())
            .min(until_next.unwrap_or(LONGEST_SLEEP));
        self.request.wake.sleep(limit)
    }

    /// Returns what the manager shows.
    fn status(&self, next: Option<Due>) -> String {
        let running: Vec<String> = self
            .runs
            .iter()
            .map(|run| format!("{} of {}", run.run.job.name(), run.run.app))
            .collect();
        if !running.is_empty() {
            return format!("running: {}", running.join(", "));
        }
        next.map_or_else(String::new, |due| {
            let run = self.followed.run_of(due.config, due.job);
            let time = self.followed.shown(due.config, due.start.time);
            format!("next: {} of {} at {time}", run.job.name(), run.app)
        })
    }

    /// Ends the agent: after the jobs that run, or after the time of grace by interrupting them. A second signal does so
    /// at once, and kills a job that hangs.
    fn end(mut self) -> Result<AgentReport> {
        let first = self.context.stop.signal().swap(0, Ordering::Relaxed);
        self.manager.stopping();
        self.reap();
        self.context.tell(AgentEvent::Ending {
            running: self.runs.len(),
        });
        let mut ending = Ending::new(Instant::now(), self.request.grace);
        while !self.runs.is_empty() {
            let now = Instant::now();
            if self.context.stop.signal().swap(0, Ordering::Relaxed) != 0 {
                ending.hurry(now);
            }
            for run in &mut self.runs {
                let run_of = run.run.clone();
                if ending.kills(now) && !run.is_killed {
                    self.context.tell(AgentEvent::Kills { run: run_of });
                    run.kill();
                } else if ending.interrupts(now) && !run.is_interrupted {
                    self.context.tell(AgentEvent::Interrupts { run: run_of });
                    run.interrupt();
                }
            }
            self.manager.alive();
            self.manager.ending();
            let limit = ending.rest(now).unwrap_or(LONGEST_SLEEP);
            self.request
                .wake
                .sleep(limit.min(self.manager.longest_sleep()))?;
            self.reap();
        }
        if self.report.interrupted == 0 {
            return Ok(self.report);
        }
        let signal = u8::try_from(first).unwrap_or(15);
        let message = match self.report.interrupted {
            1 => "1 job was interrupted".to_owned(),
            jobs => format!("{jobs} jobs were interrupted"),
        };
        Err(Failure::new(Kind::Interrupted(signal), message)
            .hint("nothing half-done stays; the agent makes up for them when it starts again")
            .into())
    }
}
