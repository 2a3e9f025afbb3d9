//! The reports of `timer`.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::json;

use super::{printer::Printer, table::table};
use crate::{
    error::{Failure, Kind},
    jobs::timer::{
        TimerUnits,
        installed::Scope,
        lacks::Lingering,
        report::{InstallReport, RemoveReport, StatusReport, TimerRow, UnitAction, UnitRow},
        sandbox::Sandbox,
    },
};

/// Shows the report of `timer install`, and returns the exit code.
pub fn installed(printer: &Printer, report: &InstallReport) -> Result<u8> {
    let failure = (!report.to_run.is_empty()).then(|| {
        let message = "systemd does not run here: the timers are installed and not started";
        let when = match report.scope {
            Scope::System => "with the machine",
            Scope::User => "with your next session",
        };
        let now = report.to_run.join(" && ");
        Failure::new(Kind::Partial, message).hint(format!("they start {when}, or now by: {now}"))
    });
    printer.report_with(report, failure.as_ref(), || {
        let mut text = match report.units.is_empty() {
            true => "nothing is scheduled\n".to_owned(),
            false => rows(&report.units),
        };
        text.push_str(&format!("\nfolder: {}\n", report.folder.display()));
        text.push_str(&sandboxes(report));
        if report.is_default {
            text.push_str("the backup starts at 02:00, as [backup.schedule] does not say it\n");
        }
        if let Some(root) = &report.root {
            text.push_str(&format!(
                "the timers start with the machine that has {} as its /\n",
                root.display()
            ));
        }
        text.push_str(&lingering(report.lingering.as_ref()));
        text.push_str(&unused(&report.unused_variables));
        for (name, advice) in &report.missing_credentials {
            text.push_str(&format!(
                "the units do not find the credential {name}: {advice}; then install them again\n"
            ));
        }
        for variable in &report.missing_variables {
            text.push_str(&format!(
                "the units do not have the variable {variable}: give the secret as \"file:PATH\" or \
                \"credential:NAME\", or set it by `systemctl edit`\n"
            ));
        }
        for path in &report.hidden {
            text.push_str(&format!(
                "the units do not see {}, as they have a /tmp of their own: move it, for example below /var/backups\n",
                path.display()
            ));
        }
        for timer in &report.old_timers {
            text.push_str(&format!(
                "{timer} is enabled and exports as well: systemctl disable --now '{timer}'\n"
            ));
        }
        text
    })
}

/// Says that a user's timers wait only in a session.
fn lingering(lingering: Option<&Lingering>) -> String {
    match lingering {
        Some(Lingering {
            user,
            enabled: false,
        }) => format!(
            "lingering is off for {user}: its timers wait only while {user} is logged in; \
            `loginctl enable-linger {user}` turns it on\n"
        ),
        _ => String::new(),
    }
}

/// Says which variables of this environment the units do not have.
fn unused(variables: &[String]) -> String {
    let (to, others): (Vec<&str>, Vec<&str>) = variables
        .iter()
        .map(String::as_str)
        .partition(|name| *name == "HOOKSHOT_TO");
    let mut text = String::new();
    if !to.is_empty() {
        text.push_str(
            "the units do not have HOOKSHOT_TO of this environment: `to` under [backup] names the destinations\n",
        );
    }
    if !others.is_empty() {
        text.push_str(&format!(
            "the units do not have {} of this environment: `systemctl edit` sets what they need\n",
            others.join(", ")
        ));
    }
    text
}

/// Says which sandbox the services have: in one line if all have the same.
fn sandboxes(report: &InstallReport) -> String {
    let mut jobs: BTreeMap<Sandbox, Vec<&str>> = BTreeMap::new();
    for (job, sandbox) in &report.sandboxes {
        jobs.entry(*sandbox).or_default().push(job.name());
    }
    let is_one = jobs.len() == 1;
    let line = |(kind, jobs): (Sandbox, Vec<&str>)| match is_one {
        true => format!("sandbox: {}\n", sandbox(kind, report)),
        false => format!(
            "sandbox of {}: {}\n",
            jobs.join(", "),
            sandbox(kind, report)
        ),
    };
    jobs.into_iter().map(line).collect()
}

fn sandbox(sandbox: Sandbox, report: &InstallReport) -> String {
    match sandbox {
        Sandbox::Local => "tight, without the network".to_owned(),
        Sandbox::Network => "tight, with the network".to_owned(),
        Sandbox::User => "that of a user's units".to_owned(),
        Sandbox::Open => {
            let commands: Vec<&str> = report.commands.iter().map(String::as_str).collect();
            format!(
                "none but NoNewPrivileges and PrivateTmp, as the configuration runs commands: {}; `sandbox = \"strict\"` \
                under [backup.timer] makes one, in which they see a system that is read-only but for the folders of archives",
                commands.join(", ")
            )
        }
    }
}

/// Shows the units, and returns the exit code.
pub fn units(printer: &Printer, units: &TimerUnits) -> Result<u8> {
    let all = || {
        units
            .jobs
            .iter()
            .flat_map(|job| [&job.service, &job.timer].map(|unit| (job.job, unit)))
    };
    let as_json = || {
        let path = |name: &str| units.folder.path.join(name);
        let units = all().map(|(job, unit)| {
            json!({"unit": unit.name, "job": job, "path": path(&unit.name), "text": unit.text})
        });
        units.collect::<Vec<_>>()
    };
    let report = json!({
        "folder": units.folder.path,
        "scope": units.folder.scope,
        "sandbox": units.loosest(),
        "sandboxes": units.sandboxes,
        "commands": units.commands(),
        "units": as_json(),
    });
    printer.report(&report, || {
        let units = all().map(|(_, unit)| {
            format!(
                "# {}\n{}",
                units.folder.path.join(&unit.name).display(),
                unit.text
            )
        });
        units.collect::<Vec<_>>().join("\n")
    })
}

/// Shows the report of `timer remove`, and returns the exit code.
pub fn removed(printer: &Printer, report: &RemoveReport) -> Result<u8> {
    printer.report(report, || match report.units.is_empty() {
        true => "no timer is installed\n".to_owned(),
        false => rows(&report.units),
    })
}

fn rows(units: &[UnitRow]) -> String {
    let row = |row: &UnitRow| {
        let action = match row.action {
            UnitAction::Written => "written",
            UnitAction::Unchanged => "unchanged",
            UnitAction::Removed => "removed",
        };
        vec![row.unit.clone(), action.to_owned()]
    };
    table(&["UNIT", "ACTION"], units.iter().map(row))
}

/// Shows the report of `timer status`, and returns the exit code.
pub fn status(printer: &Printer, report: &StatusReport) -> Result<u8> {
    printer.report_with(report, report.failure.as_ref(), || {
        if report.failure.is_some() {
            return String::new();
        }
        let none = || "-".to_owned();
        let row = |timer: &TimerRow| {
            let state = match (timer.installed, timer.enabled, timer.current) {
                (false, ..) => "not installed",
                (true, false, _) => "disabled",
                (true, true, false) => "enabled, outdated",
                (true, true, true) => "enabled",
            };
            vec![
                timer.job.name().to_owned(),
                timer.timer.clone(),
                state.to_owned(),
                timer.state.active.clone().unwrap_or_else(none),
                timer.state.last.clone().unwrap_or_else(none),
                (timer.state.next.clone())
                    .or_else(|| timer.next_scheduled.clone())
                    .unwrap_or_else(none),
                timer.state.result.clone().unwrap_or_else(none),
            ]
        };
        let header = ["JOB", "TIMER", "STATE", "ACTIVE", "LAST", "NEXT", "RESULT"];
        let mut text = table(&header, report.timers.iter().map(row));
        if report.timers.iter().any(|timer| !timer.current) {
            text.push_str(
                "\nthe configuration says something else than the units: hookshot timer install\n",
            );
        }
        if let Some(root) = &report.root {
            let root = root.display();
            text.push_str(&format!(
                "\nthe timers start with the machine that has {root} as its /\n"
            ));
        } else if !report.running {
            text.push_str("\nsystemd does not run here: no timer starts anything\n");
        }
        text.push_str(&lingering(report.lingering.as_ref()));
        text
    })
}
