//! `timer status`: what is installed, whether it is current, and the manager's word on it.

use std::{borrow::Cow, path::Path};

use anyhow::Result;

use super::{
    TimerUnits,
    installed::{InstalledUnit, Scope},
    lacks::Lingering,
    report::{StatusReport, TimerRow},
    systemctl::{self, UnitState},
};
use crate::{
    context::Context,
    error::{Failure, Kind},
    jobs::schedule::local,
    model::run_record::Job,
};

/// The lines of a service that depend on what the caller may write or read.
const OF_ROOT: [&str; 4] = [
    "# Nothing can be written beside",
    "StateDirectory=",
    "StateDirectoryMode=",
    "CapabilityBoundingSet=",
];

impl TimerUnits {
    /// Returns the state of the timer of each job that is scheduled or installed.
    pub fn status(&self, context: &Context) -> Result<StatusReport> {
        let installed = self.folder.units_of(&self.paths.config)?;
        let running = self.folder.is_running(context);
        let sees_all = self.folder.scope == Scope::User || context.privileged;
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
                let is_it = |unit: &InstalledUnit| {
                    unit.name == name
                        && comparable(&unit.text, sees_all).eq(comparable(text, sees_all))
                };
                installed.iter().any(is_it)
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
        let failure = (!is_there).then(|| none(&self.paths.config));
        Ok(StatusReport {
            folder: self.folder.path.clone(),
            root: self.folder.elsewhere().map(Path::to_owned),
            scope: self.folder.scope,
            running,
            lingering: Lingering::of(&self.folder),
            timers,
            failure,
        })
    }
}

fn none(config: &Path) -> Failure {
    let message = format!("no timer of {} is installed", config.display());
    Failure::new(Kind::NotFound, message).hint("`hookshot timer install` installs them")
}

/// Returns the lines by which a unit is current, without the single dates, which change as years go by. A caller that
/// does not see all that root sees (`sees_all`) cannot tell which folders root writes and which credentials are encrypted.
fn comparable(text: &str, sees_all: bool) -> impl Iterator<Item = Cow<'_, str>> {
    let is_compared = move |line: &&str| {
        let is_date = line.starts_with("OnCalendar=2");
        let is_of_root = OF_ROOT.iter().any(|begin| line.starts_with(begin));
        !is_date && (sees_all || !is_of_root)
    };
    text.lines().filter(is_compared).map(move |line| {
        match line.strip_prefix("LoadCredentialEncrypted") {
            Some(rest) if !sees_all => Cow::Owned(format!("LoadCredential{rest}")),
            _ => Cow::Borrowed(line),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_that_sees_less_does_not_call_a_unit_outdated() {
        let root = "ExecStart=/bin/x\nCapabilityBoundingSet=CAP_A\nLoadCredentialEncrypted=a\nOnCalendar=2027-03-28 03:00:00\n";
        let user = "ExecStart=/bin/x\n# Nothing can be written beside the configuration: x\nStateDirectory=hookshot/a\n\
            StateDirectoryMode=0700\nLoadCredential=a\n";
        let is_same = |one: &str, other: &str, sees_all: bool| {
            comparable(one, sees_all).eq(comparable(other, sees_all))
        };
        assert!(is_same(root, user, false));
        assert!(!is_same(root, user, true));
        assert!(!is_same(root, &user.replace("/x", "/y"), false));
        assert!(is_same(root, &root.replace("2027", "2028"), true));
    }
}
