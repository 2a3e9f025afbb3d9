//! The text of units: a service and a timer for each job.

use std::{collections::BTreeMap, path::Path};

use chrono::{DateTime, Utc};

use super::{
    installed::UnitFolder,
    lacks::Credential,
    names::{SECTION, argument, escaped, plain, quoted, unit_name},
    paths::UnitPaths,
    sandbox::{Sandbox, settings_of},
};
use crate::{
    config::Settings,
    jobs::{
        planned::{Planned, command_line},
        scheduled::VARIABLE,
    },
    model::{run_record::Job, schedule::Timetable},
    store::Address,
};

/// A unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// The name of its file.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// The units of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobUnits {
    /// The job.
    pub job: Job,
    /// The service, which runs it.
    pub service: Unit,
    /// The timer, which starts the service.
    pub timer: Unit,
    /// The calendar events of the timer.
    pub events: Vec<String>,
}

/// The facts from which units are written.
pub struct Blueprint<'a> {
    /// The configuration.
    pub settings: &'a Settings,
    /// The folder of the units.
    pub folder: &'a UnitFolder,
    /// The paths that units name.
    pub paths: &'a UnitPaths,
    /// The credentials of its secrets.
    pub credentials: &'a [Credential],
    /// Its schedule.
    pub planned: &'a Planned,
    /// The sandbox of each job.
    pub sandboxes: &'a BTreeMap<Job, Sandbox>,
    /// This program.
    pub program: &'a Path,
    /// The options for places of the state that the user named.
    pub places: Vec<String>,
    /// The time, from which the gaps of the clock are looked up.
    pub now: DateTime<Utc>,
    /// True if the folder beside the configuration cannot be written.
    pub needs_state_folder: bool,
}

impl Blueprint<'_> {
    /// Returns the units of every job that is scheduled.
    pub fn units(&self) -> Vec<JobUnits> {
        let jobs = self.planned.jobs.iter();
        jobs.map(|(job, timetable)| self.job(*job, timetable))
            .collect()
    }

    fn job(&self, job: Job, timetable: &Timetable) -> JobUnits {
        let name = unit_name(&self.planned.app, job);
        // Without a zone, systemd takes the machine's, and follows it if it changes.
        let zone = self.planned.written_zone.map_or("", |zone| zone.name());
        let events = timetable.on_calendar(self.planned.zone, self.now, zone);
        JobUnits {
            job,
            service: Unit {
                name: format!("{name}.service"),
                text: self.service(&name, job),
            },
            timer: Unit {
                name: format!("{name}.timer"),
                text: self.timer(&name, job, timetable, &events),
            },
            events,
        }
    }

    fn service(&self, name: &str, job: Job) -> String {
        let config = self.paths.config.to_string_lossy();
        let sandbox = self.sandboxes.get(&job).copied().unwrap_or(Sandbox::Open);
        let mut unit = head(&format!("{name}.service"), &self.description(job));
        // A configuration that is gone is a failure, not a reason to skip the job.
        unit.push_str(&format!("AssertPathExists={}\n", plain(&config)));
        if sandbox != Sandbox::User && sandbox != Sandbox::Local {
            unit.push_str("Wants=network-online.target\nAfter=network-online.target\n");
        }
        if let Some(on_failure) = &self.settings.schema.timer.on_failure {
            unit.push_str(&format!("OnFailure={on_failure}\n"));
        }
        let mut words = vec![
            self.program.to_string_lossy().into_owned(),
            "--config".to_owned(),
            config.into_owned(),
            "--progress".to_owned(),
            "never".to_owned(),
        ];
        words.extend(self.places.iter().cloned());
        words.extend(command_line(job, self.settings));
        let words: Vec<String> = words.iter().map(|word| argument(word)).collect();
        unit.push_str(&format!(
            "\n[Service]\nType=oneshot\nExecStart={}\nTimeoutStartSec=12h\nTimeoutStopSec=10min\n\
            Nice=10\nIOSchedulingClass=idle\n# Archives hold secrets.\nUMask=0077\n\
            # The copy of a database lies here for a moment.\nEnvironment=TMPDIR=/var/tmp\n\
            # The run is recorded, and notified.\nEnvironment={VARIABLE}={}\n",
            words.join(" "),
            job.name()
        ));
        if self.needs_state_folder && sandbox != Sandbox::User {
            unit.push_str(&format!(
                "# Nothing can be written beside the configuration: history and lock lie in /var/lib.\n\
                StateDirectory={}\nStateDirectoryMode=0700\n",
                quoted(&format!("hookshot/{}", escaped(&self.planned.app)))
            ));
        }
        if self.has_copies() && matches!(sandbox, Sandbox::Network | Sandbox::Open) {
            unit.push_str(
                "# Copies of the indexes of repositories lie in /var/cache.\n\
                CacheDirectory=hookshot\nCacheDirectoryMode=0700\n",
            );
        }
        for credential in self.credentials {
            unit.push_str(&format!("{}\n", credential.line));
        }
        unit.push('\n');
        unit.push_str(&settings_of(sandbox, job, self.paths, self.folder));
        unit.push_str(&self.mark(job));
        unit
    }

    /// Returns true if a repository outside of this machine has no folder of its own for copies of its indexes.
    fn has_copies(&self) -> bool {
        let mut destinations = self.settings.schema.destinations.values();
        destinations.any(|destination| {
            let is_elsewhere = !matches!(destination.address.place(), Address::Folder(_));
            let is_repository = destination.address.is_repository();
            is_repository && is_elsewhere && destination.repository.cache_dir.is_none()
        })
    }

    fn timer(&self, name: &str, job: Job, timetable: &Timetable, events: &[String]) -> String {
        let mut unit = head(&format!("{name}.timer"), &self.description(job));
        unit.push_str("\n[Timer]\n");
        for event in events {
            unit.push_str(&format!("OnCalendar={event}\n"));
        }
        unit.push_str(&format!(
            "AccuracySec=1s\nPersistent={}\n",
            self.planned.persistent
        ));
        let jitter = self.jitter(timetable);
        if jitter > 0 {
            unit.push_str(&format!(
                "# Not every machine at once, and the same delay on each day.\n\
                RandomizedDelaySec={jitter}\nFixedRandomDelay=true\n"
            ));
        }
        unit.push_str("\n[Install]\nWantedBy=timers.target\n");
        unit.push_str(&self.mark(job));
        unit
    }

    /// Returns the longest delay in seconds, shorter than the time between any two starts.
    fn jitter(&self, timetable: &Timetable) -> u64 {
        let shortest = timetable.shortest_interval();
        let most = shortest.map_or(u64::MAX, |time| time.as_secs().saturating_sub(1));
        self.planned.jitter.as_secs().min(most)
    }

    fn description(&self, job: Job) -> String {
        plain(&format!("hookshot: {} of {}", job.name(), self.planned.app))
    }

    fn mark(&self, job: Job) -> String {
        let config = self.paths.config.to_string_lossy();
        format!(
            "\n{SECTION}\nConfig={}\nJob={}\n",
            plain(&config),
            job.name()
        )
    }
}

fn head(name: &str, description: &str) -> String {
    format!(
        "# Written by `hookshot timer install`, which replaces it. Changes: systemctl edit '{name}'\n\
        [Unit]\nDescription={description}\n"
    )
}
