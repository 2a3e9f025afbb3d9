//! The reports of `timer`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use serde::Serialize;

use super::{installed::Scope, lacks::Lingering, sandbox::Sandbox, systemctl::UnitState};
use crate::{error::Failure, model::run_record::Job};

/// The results of `timer install`.
#[derive(Debug, Serialize)]
pub struct InstallReport {
    /// The folder of the units.
    pub folder: PathBuf,
    /// The folder that stands for `/`, if it is not that of this machine.
    pub root: Option<PathBuf>,
    /// The manager.
    pub scope: Scope,
    /// The units.
    pub units: Vec<UnitRow>,
    /// The loosest sandbox of the services.
    pub sandbox: Sandbox,
    /// The sandbox of the service of each job.
    pub sandboxes: BTreeMap<Job, Sandbox>,
    /// The keys of the configuration that keep the sandbox open.
    pub commands: BTreeSet<String>,
    /// True if the timers wait already; false if systemd does not run here.
    pub started: bool,
    /// The user whose timers they are, unless they are the system's.
    pub lingering: Option<Lingering>,
    /// The commands that start the timers, if they do not wait yet; none for another root.
    pub to_run: Vec<String>,
    /// The enabled timers of earlier versions, which export as well.
    pub old_timers: Vec<String>,
    /// The variables of the environment with secrets that the units lack.
    pub missing_variables: BTreeSet<String>,
    /// The variables of this environment that change what hookshot does, and that the units lack.
    pub unused_variables: Vec<String>,
    /// The credentials that the units lack, and how to give them: name and advice.
    pub missing_credentials: BTreeMap<String, String>,
    /// Paths below /tmp and /var/tmp, which the services do not see.
    pub hidden: Vec<PathBuf>,
    /// True if the configuration does not say when the backup starts.
    pub is_default: bool,
}

/// A unit, and its fate.
#[derive(Debug, Serialize)]
pub struct UnitRow {
    /// The name of its file.
    pub unit: String,
    /// Its job.
    pub job: Job,
    /// Its fate.
    pub action: UnitAction,
}

/// The fate of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UnitAction {
    /// It was written.
    Written,
    /// It was there already.
    Unchanged,
    /// It was removed.
    Removed,
}

/// The results of `timer remove`.
#[derive(Debug, Serialize)]
pub struct RemoveReport {
    /// The folder of the units.
    pub folder: PathBuf,
    /// The units.
    pub units: Vec<UnitRow>,
}

/// The results of `timer status`.
#[derive(Debug, Serialize)]
pub struct StatusReport {
    /// The folder of the units.
    pub folder: PathBuf,
    /// The folder that stands for `/`, if it is not that of this machine.
    pub root: Option<PathBuf>,
    /// The manager.
    pub scope: Scope,
    /// True if the manager runs.
    pub running: bool,
    /// The user whose timers they are, unless they are the system's.
    pub lingering: Option<Lingering>,
    /// The jobs that are scheduled or installed.
    pub timers: Vec<TimerRow>,
    /// The failure, if there is one.
    #[serde(skip)]
    pub failure: Option<Failure>,
}

/// The timer of a job.
#[derive(Debug, Serialize)]
pub struct TimerRow {
    /// The job.
    pub job: Job,
    /// The timer's unit.
    pub timer: String,
    /// True if the unit is there.
    pub installed: bool,
    /// True if systemd starts it with the machine.
    pub enabled: bool,
    /// True if `timer install` would write the same.
    pub current: bool,
    /// The manager's word on it.
    #[serde(flatten)]
    pub state: UnitState,
    /// The next moment of the timetable, in its zone.
    pub next_scheduled: Option<String>,
}
