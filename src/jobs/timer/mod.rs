//! `timer`: the schedule of a configuration as units of systemd.
//!
//! A unit names its configuration in a section that systemd ignores. By it the units are found again, whatever the
//! application is called by then. Not promised: that a unit which the user wrote, or changed without `systemctl edit`,
//! stays as it is.

pub mod installed;
pub mod lacks;
mod names;
mod paths;
pub mod report;
pub mod sandbox;
mod state;
pub mod systemctl;
pub mod unit;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::Result;

use self::{
    installed::{Scope, UnitFolder},
    lacks::{Credential, Lingering},
    paths::{UnitPaths, can_be_made},
    report::{InstallReport, RemoveReport, UnitAction, UnitRow},
    sandbox::Sandbox,
    unit::{Blueprint, JobUnits},
};
use super::planned::{Planned, places};
use crate::{
    config::{Choices, Settings, needs::Needs},
    context::Context,
    error::{Failure, Kind},
    model::run_record::Job,
};

/// The units of a configuration, and their folder.
pub struct TimerUnits {
    /// The folder of units.
    pub folder: UnitFolder,
    /// The needs of the configuration.
    pub needs: Needs,
    /// The sandbox of each job.
    pub sandboxes: BTreeMap<Job, Sandbox>,
    /// The units of each job.
    pub jobs: Vec<JobUnits>,
    paths: UnitPaths,
    planned: Planned,
    /// The credentials that the units lack: name and advice.
    missing_credentials: BTreeMap<String, String>,
}

impl TimerUnits {
    /// Returns the units of a configuration, with the places of the state that `choices` name. `root` stands for `/` if it
    /// is named: units name paths below it as the machine does that starts there.
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
        let sandbox = |job: Job| match scope {
            Scope::System => Sandbox::of(&needs, job, settings.schema.timer.is_strict),
            Scope::User => Sandbox::User,
        };
        let jobs = planned.jobs.iter();
        let sandboxes: BTreeMap<Job, Sandbox> =
            jobs.map(|(job, _)| (*job, sandbox(*job))).collect();
        let paths = UnitPaths::of(settings, &needs, &folder);
        let names = needs.credentials.iter();
        let credentials: BTreeMap<&String, Credential> = names
            .map(|name| (name, Credential::find(name, &folder)))
            .collect();
        let missing = credentials.iter().filter_map(|(name, credential)| {
            let advice = credential.fault.clone()?;
            Some(((*name).clone(), advice))
        });
        let missing_credentials = missing.collect();
        let credentials: Vec<Credential> = credentials.into_values().collect();
        let program = context
            .program
            .as_deref()
            .unwrap_or(Path::new("/proc/self/exe"));
        let program = program.read_link().unwrap_or_else(|_| program.to_owned());
        let blueprint = Blueprint {
            settings,
            folder: &folder,
            paths: &paths,
            credentials: &credentials,
            planned: &planned,
            sandboxes: &sandboxes,
            program: &folder.inside(&program),
            places: (places(choices).into_iter())
                .map(|word| match Path::new(&word).is_absolute() {
                    true => folder.inside(Path::new(&word)).into_os_string(),
                    false => word,
                })
                .map(|word| word.to_string_lossy().into_owned())
                .collect(),
            now: context.now,
            needs_state_folder: !can_be_made(&folder.below(&paths.home)),
        };
        let jobs = blueprint.units();
        Ok(TimerUnits {
            folder,
            needs,
            sandboxes,
            jobs,
            paths,
            planned,
            missing_credentials,
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
        self.refuse_those_of_others()?;
        self.paths.make_metrics(&self.folder)?;
        let is_tight = |sandbox: &Sandbox| matches!(sandbox, Sandbox::Local | Sandbox::Network);
        if self.sandboxes.values().any(is_tight) {
            self.paths.make_writable(&self.folder)?;
        }
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
        for old in self.folder.units_of(&self.paths.config)? {
            if !names.contains(&old.name.as_str()) {
                take_away(context, &self.folder, &old.name, is_running)?;
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
            // The machine that starts from there starts them.
            false if self.folder.elsewhere().is_some() => Vec::new(),
            false => commands_to_start(scope, &timers),
        };
        Ok(InstallReport {
            folder: self.folder.path.clone(),
            root: self.folder.elsewhere().map(Path::to_owned),
            scope,
            lingering: Lingering::of(&self.folder),
            units,
            sandbox: self.loosest(),
            sandboxes: self.sandboxes.clone(),
            commands: self.commands(),
            started: is_running,
            to_run,
            old_timers: self.folder.old_timers(),
            missing_variables: self.needs.variables.clone(),
            unused_variables: lacks::variables(context, &self.needs),
            missing_credentials: self.missing_credentials.clone(),
            hidden: self.paths.hidden(&self.folder),
            is_default: self.planned.is_default,
        })
    }

    /// Returns the loosest sandbox of the units.
    pub fn loosest(&self) -> Sandbox {
        let loosest = self.sandboxes.values().max();
        loosest.copied().unwrap_or(Sandbox::Local)
    }

    /// Returns the keys of the configuration with commands that the jobs may run.
    pub fn commands(&self) -> BTreeSet<String> {
        let jobs = self.sandboxes.keys();
        jobs.flat_map(|job| self.needs.commands_of(*job)).collect()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let units = self.jobs.iter().flat_map(|job| [&job.service, &job.timer]);
        units.map(|unit| unit.name.as_str())
    }

    /// Fails if a unit of such a name belongs to another configuration, or to the user.
    fn refuse_those_of_others(&self) -> Result<()> {
        let own = self.folder.units_of(&self.paths.config)?;
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
}

/// Removes every unit of a configuration, which need not be good or there any more. A job that runs goes on.
pub fn remove(
    context: &Context,
    scope: Scope,
    root: Option<&Path>,
    config: &Path,
) -> Result<RemoveReport> {
    let folder = UnitFolder::of(context, scope, root)?;
    let is_running = folder.is_running(context);
    let mut units = Vec::new();
    for unit in folder.units_of(config)? {
        take_away(context, &folder, &unit.name, is_running)?;
        units.push(UnitRow {
            unit: unit.name,
            job: unit.job,
            action: UnitAction::Removed,
        });
    }
    if is_running && !units.is_empty() {
        systemctl::call(context, scope, &["daemon-reload"])?;
    }
    Ok(RemoveReport {
        folder: folder.path,
        units,
    })
}

fn take_away(context: &Context, folder: &UnitFolder, name: &str, is_running: bool) -> Result<()> {
    if is_running && name.ends_with(".timer") {
        systemctl::call(context, folder.scope, &["stop", name])?;
    }
    folder.remove(name)
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
