//! `hookshot status`.

use std::{ffi::OsString, path::PathBuf};

use anyhow::Result;
use clap::Args;

use super::flags::hosts;
use crate::{
    cli::{app::App, render},
    error::{Failure, Kind},
    jobs::{
        metrics,
        runs::Runs,
        scheduled::VARIABLE,
        status::{StatusRequest, runbook, status},
    },
    model::{quantity::TimeLimit, run_record::Job},
};

/// Say whether destinations hold a fresh, good archive
///
/// Asks the destinations, and reads the manifests of the newest archives. Exit code 19 if anything is not healthy.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    hookshot status                                # every destination of the configuration\n  \
    hookshot status @offsite --max-age 8d\n  \
    hookshot status --prometheus /var/lib/prometheus/node-exporter/hookshot.prom\n  \
    hookshot status --runbook > runbook.txt        # keep it off the machine\n  \
    hookshot status --json | jq -r '.destinations[] | select(.healthy | not) | .name'")]
pub struct StatusArguments {
    /// @NAME, URLs, or folders [default: [backup] to and every destination]
    #[arg(value_name = "DESTINATION")]
    destinations: Vec<OsString>,
    /// Call a newest good archive stale from this age on, such as 8d [default: max_age, else 26h]
    #[arg(long, value_name = "DURATION")]
    max_age: Option<TimeLimit>,
    /// Write metrics for Prometheus in place of the report: to FILE, or to standard output
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    prometheus: Option<Option<PathBuf>>,
    /// Judge the archives of other hosts and services, too, each by itself
    #[arg(long)]
    all_hosts: bool,
    /// Print the steps to restore the state on a new machine, with the places of archives and keys
    #[arg(long, conflicts_with = "prometheus")]
    runbook: bool,
}

impl StatusArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        self.require_clear(app)?;
        let settings = app.settings()?;
        let request = StatusRequest {
            destinations: self.destinations,
            max_age: self.max_age.map(TimeLimit::duration),
            hosts: hosts(self.all_hosts),
        };
        let report = status(&app.context, settings, &request)?;
        let runs = Runs::read(&app.context, settings)?;
        if self.runbook {
            let runbook = runbook(&app.context, &app.choices, settings, &report, &runs)?;
            return render::runbook::show(&app.printer, &runbook, report.failure.as_ref());
        }
        let Some(file) = self.prometheus else {
            // A look of the schedule keeps the file fresh between backups.
            if app.context.environment.get(VARIABLE) == Some(Job::Status.name())
                && let Some(file) = metrics::configured(settings)
            {
                metrics::write(&file, &report, runs.all())?;
            }
            return render::status::show(&app.printer, &report);
        };
        match file {
            Some(file) => {
                metrics::write(&file, &report, runs.all())?;
                render::status::show_failure(&app.printer, &report)
            }
            None => {
                let text = metrics::text(&report, runs.all());
                render::status::show_metrics(&app.printer, &report, &text)
            }
        }
    }

    /// Refuses `--prometheus @DESTINATION`, which would write a file of that name, and two reports on one output.
    fn require_clear(&self, app: &App) -> Result<(), Failure> {
        match &self.prometheus {
            Some(Some(file)) if file.as_os_str().as_encoded_bytes().starts_with(b"@") => {
                let message = format!("--prometheus takes {} for its file", file.display());
                Err(Failure::new(Kind::Usage, message)
                    .hint("name destinations before --prometheus; a file of that name is ./@NAME"))
            }
            Some(None) if app.printer.is_json() => {
                let message =
                    "--json and --prometheus without a file both write to standard output";
                Err(Failure::new(Kind::Usage, message).hint("name a file: --prometheus FILE"))
            }
            _ => Ok(()),
        }
    }
}
