//! `backup --all-configs`: the configurations of a folder, one after the other, with one summary.

use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;

use super::{
    begin::{backup, later},
    report::BackupReport,
    request::BackupRequest,
};
use crate::{
    config::Choices,
    context::Context,
    error::{Failure, Kind},
    verbs::for_attempt,
};

/// The runs of several configurations.
#[derive(Debug, Serialize)]
pub struct SeveralReport {
    /// One for each configuration.
    pub runs: Vec<ConfigRun>,
    /// The summary of the failures.
    #[serde(skip)]
    pub failure: Option<Failure>,
}

/// The run of one configuration.
#[derive(Debug, Serialize)]
pub struct ConfigRun {
    /// The file.
    pub config: String,
    /// The report; `None` if the run did not begin.
    pub report: Option<BackupReport>,
    /// The message of the failure.
    pub error: Option<String>,
    /// The exit code that the run alone would have had.
    pub exit_code: u8,
}

/// Runs the nightly job of each configuration. One that fails stops no other; an interruption ends all.
pub fn backup_all(
    context: &Context,
    choices: &Choices,
    configs: &[PathBuf],
    request: &BackupRequest,
) -> Result<SeveralReport> {
    let mut runs = Vec::new();
    let mut failures: Vec<(String, Failure)> = Vec::new();
    for (number, config) in configs.iter().enumerate() {
        context.stop.check()?;
        let context = &later(&for_attempt(context, number));
        let choices = Choices {
            config: Some(config.clone()),
            ..choices.clone()
        };
        let (report, failure) = match backup(context, &choices, request) {
            Ok(report) => {
                let failure = report.failure.clone();
                (Some(report), failure)
            }
            Err(error) => (None, Some(Failure::of(&error))),
        };
        let config = config.display().to_string();
        runs.push(ConfigRun {
            report,
            error: failure.as_ref().map(|failure| failure.message.clone()),
            exit_code: failure.as_ref().map_or(0, |failure| failure.kind.code()),
            config: config.clone(),
        });
        let is_end =
            matches!(&failure, Some(failure) if matches!(failure.kind, Kind::Interrupted(_)));
        failures.extend(failure.map(|failure| (config, failure)));
        if is_end {
            break;
        }
    }
    let failure = summary(&failures, configs.len());
    Ok(SeveralReport { runs, failure })
}

/// Returns the failure of `count` runs, of the kind of the first that failed.
fn summary(failures: &[(String, Failure)], count: usize) -> Option<Failure> {
    let (config, first) = failures.first()?;
    let message = format!(
        "{} of {count} configurations failed: {config}: {}",
        failures.len(),
        first.message
    );
    let named = |(config, failure): &(String, Failure)| format!("{config}: {}", failure.message);
    Some(Failure {
        message,
        faults: failures.iter().map(named).collect(),
        ..first.clone()
    })
}
