//! The configurations that the agent follows, as they are in force.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::Result;
use chrono::{DateTime, Utc};

use super::agenda::{Agenda, ConfigNumber};
use crate::{
    config::{Choices, Settings},
    context::Context,
    error::{Failure, Kind},
    jobs::{planned::Planned, runs::Runs, schedule::local, timer::timed_jobs},
    model::run_record::{Job, KILLED, RunRecord, RunResult},
    work::events::{AgentEvent, AgentRun},
};

/// The configurations that were ever followed; their places are their numbers.
#[derive(Debug, Default)]
pub struct Followed(Vec<Configuration>);

/// A configuration that is followed, or was.
#[derive(Debug)]
struct Configuration {
    path: PathBuf,
    /// The settings in force; `None` if there are none any more.
    in_force: Option<(Box<Settings>, Planned)>,
    /// The jobs that a timer of systemd starts.
    left_out: BTreeSet<Job>,
}

impl Followed {
    /// Reads the configurations. A bad one is named, and the one in force stays. Fails if none is in force.
    pub fn load(
        &mut self,
        context: &Context,
        choices: &Choices,
        configs: Vec<PathBuf>,
    ) -> Result<()> {
        for one in &mut self.0 {
            if !configs.contains(&one.path) {
                one.in_force = None;
            }
        }
        let is_alone = configs.len() == 1;
        let mut first_failure = None;
        for config in configs {
            let number = self.number(&config);
            let one = &mut self.0[number];
            match read(context, &config, choices, is_alone) {
                Ok((settings, planned)) => one.in_force = Some((Box::new(settings), planned)),
                Err(error) => {
                    context.tell(AgentEvent::Refused {
                        config,
                        reason: reasons(&Failure::of(&error)),
                        keeps_old: one.in_force.is_some(),
                    });
                    first_failure.get_or_insert(error);
                }
            }
        }
        match first_failure {
            Some(error) if self.in_force() == 0 => Err(error),
            _ => Ok(()),
        }
    }

    fn number(&mut self, path: &Path) -> ConfigNumber {
        let known = self.0.iter().position(|one| one.path == path);
        known.unwrap_or_else(|| {
            self.0.push(Configuration {
                path: path.to_owned(),
                in_force: None,
                left_out: BTreeSet::new(),
            });
            self.0.len() - 1
        })
    }

    /// Puts the jobs on the agenda, but those that a timer starts. Returns the highest number of jobs at once that a
    /// configuration permits.
    pub fn schedule(
        &mut self,
        context: &Context,
        agenda: &mut Agenda,
        now: DateTime<Utc>,
    ) -> Option<usize> {
        let mut parallel = None;
        for (number, one) in self.0.iter_mut().enumerate() {
            let Some((settings, planned)) = &one.in_force else {
                agenda.remove(number);
                continue;
            };
            parallel = parallel.max(Some(settings.schema.agent.parallel));
            let timed = timed_jobs(context, &one.path);
            let mut own = planned.clone();
            own.jobs.retain(|(job, _)| !timed.contains(job));
            let scheduled = planned.jobs.iter().map(|(job, _)| *job);
            let left_out: BTreeSet<Job> = scheduled.filter(|job| timed.contains(job)).collect();
            for job in left_out.difference(&one.left_out) {
                let (config, job) = (one.path.clone(), *job);
                context.tell(AgentEvent::LeftOut { config, job });
            }
            one.left_out = left_out;
            // A history that cannot be read says nothing: the job itself will fail on it.
            let runs = Runs::read(context, settings).ok();
            agenda.set(number, &own, now, |job| {
                last_started(runs.as_ref()?, &planned.app, job)
            });
        }
        parallel
    }

    /// Returns the number of configurations that are in force.
    pub fn in_force(&self) -> usize {
        let in_force = self.0.iter().filter(|one| one.in_force.is_some());
        in_force.count()
    }

    /// Returns true if there was only one configuration ever.
    pub fn is_alone(&self) -> bool {
        self.0.len() == 1
    }

    /// Returns true if a timer of systemd starts any job.
    pub fn is_any_left_out(&self) -> bool {
        self.0.iter().any(|one| !one.left_out.is_empty())
    }

    /// Returns the settings of a configuration, if it is in force.
    pub fn settings(&self, config: ConfigNumber) -> Option<&Settings> {
        let (settings, _) = self.0[config].in_force.as_ref()?;
        Some(settings)
    }

    /// Returns a time in the zone of a configuration.
    pub fn shown(&self, config: ConfigNumber, time: DateTime<Utc>) -> String {
        let in_force = self.0[config].in_force.as_ref();
        let zone = in_force.map(|(_, planned)| planned.zone);
        local(zone.unwrap_or_default(), time)
    }

    /// Returns the names of a run.
    pub fn run_of(&self, config: ConfigNumber, job: Job) -> AgentRun {
        let one = &self.0[config];
        let app = one
            .in_force
            .as_ref()
            .map(|(_, planned)| planned.app.clone());
        AgentRun {
            app: app.unwrap_or_default(),
            job,
            config: one.path.clone(),
        }
    }
}

fn read(
    context: &Context,
    config: &Path,
    said: &Choices,
    is_alone: bool,
) -> Result<(Settings, Planned)> {
    let mut choices = Choices {
        config: Some(config.to_owned()),
        to: said.to.clone(),
        ..Choices::default()
    };
    // Other places of the state are those of one service.
    if is_alone {
        choices.services = said.services.clone();
        choices.secrets = said.secrets.clone();
        choices.data_dir = said.data_dir.clone();
    }
    let settings = Settings::load(&choices)?;
    if !settings.config_exists {
        let message = format!("{} does not exist", config.display());
        return Err(Failure::new(Kind::NotFound, message)
            .hint("`hookshot init` writes a starter configuration")
            .into());
    }
    let planned = Planned::of(context, &settings);
    Ok((settings, planned))
}

/// Returns the message of a failure, with the faults that it does not repeat.
fn reasons(failure: &Failure) -> String {
    let faults = failure.faults.iter();
    let faults = faults.filter(|fault| !failure.message.contains(fault.as_str()));
    let all: Vec<&str> = [&failure.message]
        .into_iter()
        .chain(faults)
        .map(String::as_str)
        .collect();
    all.join("; ")
}

/// Returns the time at which a job last started, but for a run that is to be made up for: one that a signal ended, by a
/// reboot for example, or that was killed, by a power cut. Of runs that were killed one after the other the last is not
/// made up for: they may be the cause of their end.
fn last_started(runs: &Runs, app: &str, job: Job) -> Option<DateTime<Utc>> {
    // Configurations in one folder share a history.
    let is_own = |run: &RunRecord| run.app.as_deref().is_none_or(|other| other == app);
    let is_cut = |run: &RunRecord| matches!(run.exit_code, Some(129 | 130 | 143));
    let own = runs.all().iter().rev();
    let own = own.filter(|run| run.job == job && is_own(run));
    let first = own.clone().next_back()?;
    let mut whole = own.filter(|run| !is_cut(run));
    let is_killed = |run: &RunRecord| match run.exit_code {
        // The next run of the job found it killed.
        Some(code) => code == KILLED,
        None => run.result != RunResult::Running || runs.is_killed(run),
    };
    let (newest, before) = (whole.next(), whole.next());
    let counts = match newest.is_some_and(is_killed) && !before.is_some_and(is_killed) {
        true => before,
        false => newest,
    };
    // What came before the first run is not known to be missed.
    Some(counts.unwrap_or(first).started_at)
}
