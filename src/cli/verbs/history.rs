//! `hookshot history`.

use anyhow::Result;
use clap::Args;

use crate::{
    cli::{app::App, render},
    jobs::runs::{HistoryRequest, history},
    model::{quantity::TimeLimit, run_record::Job},
};

/// Show the runs of jobs, the newest first
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    hookshot history --last 10\n  \
    hookshot history --job backup --since 7d\n  \
    hookshot history --json | jq -r '.runs[] | select(.result == \"failure\") | .error'")]
pub struct HistoryArguments {
    /// Show at most this many
    #[arg(long, value_name = "COUNT")]
    last: Option<usize>,
    /// Show the runs of this job only: backup, prune, verify, status, drill or protect
    #[arg(long, value_name = "JOB", value_parser = job)]
    job: Option<Job>,
    /// Show the runs that began within this time, such as 7d
    #[arg(long, value_name = "DURATION")]
    since: Option<TimeLimit>,
}

impl HistoryArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        let request = HistoryRequest {
            last: self.last,
            job: self.job,
            since: self.since.map(TimeLimit::duration),
        };
        let report = history(&app.context, app.settings()?, &request)?;
        render::history::show(&app.printer, &report, app.context.now)
    }
}

fn job(text: &str) -> Result<Job, String> {
    let scheduled = Job::NAMES.into_iter().map(|(_, job)| job);
    let jobs: Vec<Job> = scheduled.chain([Job::Protect]).collect();
    let found = jobs.iter().find(|job| job.name() == text);
    found.copied().ok_or_else(|| {
        let names: Vec<&str> = jobs.iter().map(|job| job.name()).collect();
        format!("a job is one of {}", names.join(", "))
    })
}
