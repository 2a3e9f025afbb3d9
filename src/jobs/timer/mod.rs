//! `timer`: the schedule of a configuration as units of systemd.
//!
//! A unit names its configuration in a section that systemd ignores. By it the units are found again, whatever the
//! application is called by then. Not promised: that a unit which the user wrote, or changed without `systemctl edit`,
//! stays as it is.

pub mod installed;
mod names;
pub mod report;
pub mod sandbox;
pub mod systemctl;
pub mod unit;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use nix::unistd::{AccessFlags, access};

use self::{
    installed::{Scope, UnitFolder},
    report::{InstallReport, RemoveReport, StatusReport, TimerRow, UnitAction, UnitRow},
    sandbox::{Sandbox, home, writable},
    systemctl::UnitState,
    unit::{Blueprint, JobUnits},
};
use super::{
    planned::{Planned, places},
    schedule::local,
};
use crate::{
    config::{Choices, Settings, elsewhere::tidy, needs::Needs},
    context::Context,
    disk::create_folders,
    error::{Failure, Kind},
    model::run_record::Job,
    store::Address,
};

/// The units of a configuration, and their folder.
pub struct TimerUnits {
    /// The folder of units.
    pub folder: UnitFolder,
    /// The needs of the configuration.
    pub needs: Needs,
    /// The sandbox.
    pub sandbox: Sandbox,
    /// The units of each job.
    pub jobs: Vec<JobUnits>,
    planned: Planned,
}

impl TimerUnits {
    /// Returns the units of a configuration, with the places of the state that `choices` name. `root` stands for `/` if it
    /// is named.
    pub fn of(
        context: &Context,
        choices: &Choices,
        settings: &Settings,
        scope: Scope,
        root: Option<&Path>,
    ) -> Result<TimerUnits> {
        let folder = UnitFolder::of(context, scope, root)?;
        let needs = Needs::read(settings)?;
        let planned = Planned::of(context, settings);
        let sandbox = match scope {
            Scope::System => Sandbox::of(&needs, settings.schema.timer.is_strict),
            Scope::User => Sandbox::User,
        };
        let program = context
            .program
            .as_deref()
            .unwrap_or(Path::new("/proc/self/exe"));
        let program = program.read_link().unwrap_or_else(|_| program.to_owned());
        let blueprint = Blueprint {
            settings,
            needs: &needs,
            planned: &planned,
            sandbox,
            program: &program,
            places: (places(choices).into_iter())
                .map(|word| word.to_string_lossy().into_owned())
                .collect(),
            now: context.now,
            needs_state_folder: !can_be_made(&home(settings)),
        };
        let jobs = blueprint.units();
        Ok(TimerUnits {
            folder,
            needs,
            sandbox,
            jobs,
            planned,
        })
    }

    /// Writes the units, removes those of jobs that are not scheduled any more, and starts the timers if systemd runs.
    /// A second call changes nothing.
    pub fn install(&self, context: &Context, settings: &Settings) -> Result<InstallReport> {
        if !settings.config_exists {
            let message = format!("{} does not exist", settings.config.display());
            return Err(Failure::new(Kind::NotFound, message)
                .hint("`hookshot init` writes a starter configuration")
                .into());
        }
        if !can_be_made(&self.folder.path) {
            let message = format!("no unit can be written in {}", self.folder.path.display());
            return Err(Failure::new(Kind::Failed, message)
                .hint("run it as root, or use --user for units of your own")
                .into());
        }
        self.refuse_those_of_others(settings)?;
        self.make_folders(settings)?;
        let mut units = Vec::new();
        for job in &self.jobs {
            for unit in [&job.service, &job.timer] {
                let is_written = self.folder.write(&unit.name, &unit.text)?;
                units.push(UnitRow {
                    unit: unit.name.clone(),
                    job: job.job,
                    action: match is_written {
                        true => UnitAction::Written,
                        false => UnitAction::Unchanged,
                    },
                });
            }
            self.folder.enable(&job.timer.name)?;
        }
        let names: Vec<&str> = self.names().collect();
        let is_running = self.folder.is_running(context);
        for old in self.folder.units_of(&settings.config)? {
            if !names.contains(&old.name.as_str()) {
                self.take_away(context, &old.name, is_running)?;
                units.push(UnitRow {
                    unit: old.name,
                    job: old.job,
                    action: UnitAction::Removed,
                });
            }
        }
        let timers: Vec<&str> = self
            .jobs
            .iter()
            .map(|job| job.timer.name.as_str())
            .collect();
        let scope = self.folder.scope;
        let to_run = match is_running {
            true => {
                // An earlier install may have written units that the manager did not read.
                systemctl::call(context, scope, &["daemon-reload"])?;
                if !timers.is_empty() {
                    // A timer that waits already takes new times only if it is started anew.
                    systemctl::call(context, scope, &[&["restart"], &timers[..]].concat())?;
                }
                Vec::new()
            }
            false => commands_to_start(scope, &timers),
        };
        Ok(InstallReport {
            folder: self.folder.path.clone(),
            scope,
            units,
            sandbox: self.sandbox,
            commands: self.needs.commands.clone(),
            started: is_running,
            to_run,
            old_timers: self.folder.old_timers(),
            missing_variables: self.needs.variables.clone(),
            hidden: self.hidden(settings),
            is_default: self.planned.is_default,
        })
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let units = self.jobs.iter().flat_map(|job| [&job.service, &job.timer]);
        units.map(|unit| unit.name.as_str())
    }

    /// Fails if a unit of such a name belongs to another configuration, or to the user.
    fn refuse_those_of_others(&self, settings: &Settings) -> Result<()> {
        let own = self.folder.units_of(&settings.config)?;
        for name in self.names() {
            if own.iter().any(|unit| unit.name == name) || !self.folder.path.join(name).exists() {
                continue;
            }
            let all = self.folder.units()?;
            let other = all.into_iter().find(|unit| unit.name == name);
            let whose = match other {
                Some(other) => format!("belongs to {}", other.config),
                None => "was not written by hookshot".to_owned(),
            };
            let message = format!("{} {whose}", self.folder.path.join(name).display());
            return Err(Failure::new(Kind::Usage, message)
                .hint("give each configuration a name of its own: `app` under [backup]; or remove that unit")
                .into());
        }
        Ok(())
    }

    /// Returns the paths that the services do not see, because they have a /tmp of their own.
    fn hidden(&self, settings: &Settings) -> Vec<PathBuf> {
        let mut paths = writable(settings, &self.needs);
        paths.insert(settings.config.clone());
        let is_hidden = |path: &PathBuf| {
            let folders = ["/tmp", "/var/tmp"];
            self.folder.scope == Scope::System
                && folders.iter().any(|folder| path.starts_with(folder))
        };
        paths.into_iter().filter(is_hidden).collect()
    }

    /// Makes the folders that a sandboxed job cannot make: that of the history, and those of archives.
    fn make_folders(&self, settings: &Settings) -> Result<()> {
        if !matches!(self.sandbox, Sandbox::Local | Sandbox::Network) {
            return Ok(());
        }
        // If it cannot be made, the units have a folder of their own (`needs_state_folder`).
        let home = home(settings);
        if can_be_made(&home) {
            create_folders(&home).with_context(|| format!("cannot create {}", home.display()))?;
        }
        let beside = settings.config.parent().unwrap_or(Path::new("/"));
        for destination in settings.schema.destinations.values() {
            if let Address::Folder(folder) = &destination.address
                && destination.enabled
                && !destination.exists
                && !destination.mounted
            {
                let folder = tidy(&beside.join(folder));
                create_folders(&folder)
                    .with_context(|| format!("cannot create {}", folder.display()))?;
            }
        }
        Ok(())
    }

    fn take_away(&self, context: &Context, name: &str, is_running: bool) -> Result<()> {
        if is_running && name.ends_with(".timer") {
            systemctl::call(context, self.folder.scope, &["stop", name])?;
        }
        self.folder.remove(name)
    }

    /// Removes every unit of the configuration. A job that runs goes on.
    pub fn remove(&self, context: &Context, settings: &Settings) -> Result<RemoveReport> {
        let is_running = self.folder.is_running(context);
        let mut units = Vec::new();
        for unit in self.folder.units_of(&settings.config)? {
            self.take_away(context, &unit.name, is_running)?;
            units.push(UnitRow {
                unit: unit.name,
                job: unit.job,
                action: UnitAction::Removed,
            });
        }
        if is_running && !units.is_empty() {
            systemctl::call(context, self.folder.scope, &["daemon-reload"])?;
        }
        Ok(RemoveReport {
            folder: self.folder.path.clone(),
            units,
        })
    }

    /// Returns the state of the timer of each job that is scheduled or installed.
    pub fn status(&self, context: &Context, settings: &Settings) -> Result<StatusReport> {
        let installed = self.folder.units_of(&settings.config)?;
        let running = self.folder.is_running(context);
        let mut timers = Vec::new();
        for (_, job) in Job::NAMES {
            let wanted = self.jobs.iter().find(|units| units.job == job);
            let there = installed
                .iter()
                .find(|unit| unit.job == job && unit.name.ends_with(".timer"));
            let Some(timer) = wanted
                .map(|units| units.timer.name.clone())
                .filter(|_| there.is_none())
                .or_else(|| there.map(|unit| unit.name.clone()))
            else {
                continue;
            };
            let service = timer.replace(".timer", ".service");
            let is_same = |name: &str, text: &str| {
                let mut units = installed.iter();
                units.any(|unit| {
                    unit.name == name && without_dates(&unit.text).eq(without_dates(text))
                })
            };
            let current = wanted.is_some_and(|units| {
                is_same(&units.service.name, &units.service.text)
                    && is_same(&units.timer.name, &units.timer.text)
            });
            let state = match running && there.is_some() {
                true => systemctl::state(context, self.folder.scope, &timer, &service)?,
                false => UnitState::default(),
            };
            let zone = self.planned.zone;
            let next = self.planned.next(job, context.now);
            timers.push(TimerRow {
                job,
                installed: there.is_some(),
                enabled: self.folder.is_enabled(&timer),
                current,
                state,
                next_scheduled: next.map(|start| local(zone, start.moment)),
                timer,
            });
        }
        let is_there = timers.iter().any(|timer| timer.installed);
        let failure = (!is_there).then(|| {
            let message = format!("no timer of {} is installed", settings.config.display());
            Failure::new(Kind::NotFound, message).hint("`hookshot timer install` installs them")
        });
        Ok(StatusReport {
            folder: self.folder.path.clone(),
            scope: self.folder.scope,
            running,
            timers,
            failure,
        })
    }
}

/// Returns the jobs of a configuration that an enabled timer of this machine starts.
pub fn timed_jobs(context: &Context, config: &Path) -> BTreeSet<Job> {
    let mut jobs = BTreeSet::new();
    for scope in [Scope::System, Scope::User] {
        let Ok(folder) = UnitFolder::of(context, scope, None) else {
            continue;
        };
        let units = folder.units_of(config).unwrap_or_default();
        let units = units
            .into_iter()
            .filter(|unit| unit.name.ends_with(".timer"));
        jobs.extend(
            units
                .filter(|unit| folder.is_enabled(&unit.name))
                .map(|unit| unit.job),
        );
    }
    jobs
}

fn commands_to_start(scope: Scope, timers: &[&str]) -> Vec<String> {
    if timers.is_empty() {
        return Vec::new();
    }
    let user = match scope {
        Scope::System => "",
        Scope::User => "--user ",
    };
    let timers: Vec<String> = timers.iter().map(|timer| format!("'{timer}'")).collect();
    vec![
        format!("systemctl {user}daemon-reload"),
        format!("systemctl {user}start {}", timers.join(" ")),
    ]
}

/// Returns the lines of a unit but the single dates, which change as years go by.
fn without_dates(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.starts_with("OnCalendar=2"))
}

/// Returns true if a folder is there and can be written, or can be made.
fn can_be_made(folder: &Path) -> bool {
    let existing = folder.ancestors().find(|folder| folder.exists());
    existing.is_some_and(|folder| access(folder, AccessFlags::W_OK | AccessFlags::X_OK).is_ok())
}
