//! The history of runs: one JSON object a line, for people, for `status`, and for jq(1).
//!
//! A run has a line when it begins and one when it ends; the later one holds. [`JobPlaces`] says in which folder the
//! file lies.

use std::collections::HashMap;

use anyhow::Result;

use super::places::JobPlaces;
use crate::{
    config::Settings,
    context::Context,
    disk::line_file::LineFile,
    model::run_record::{Job, RunRecord, RunResult},
};

/// The file's name.
const FILE: &str = "history.jsonl";
/// The most lines that are kept.
const MOST_LINES: usize = 10_000;

/// The history of the runs of one configuration.
#[derive(Debug, Clone)]
pub struct History {
    places: JobPlaces,
}

impl History {
    /// Returns the history of the configuration's runs.
    pub fn of(context: &Context, settings: &Settings) -> History {
        History {
            places: JobPlaces::of(context, settings),
        }
    }

    /// Appends the record of a run, whole and synced. Of more than 10,000 lines, the newest stay.
    pub fn append(&self, record: &RunRecord) -> Result<()> {
        let file = LineFile::new(self.places.writable()?.join(FILE));
        file.append(&serde_json::to_string(record)?, MOST_LINES)
    }

    /// Reads the runs, the one that began first comes first. Of a run that has ended, returns the record of its end.
    /// Skips lines that are not records.
    pub fn read(&self) -> Result<Vec<RunRecord>> {
        let mut runs: Vec<RunRecord> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        let mut failed = None;
        for folder in self.places.existing() {
            let read = LineFile::new(folder.join(FILE)).read(&mut |line| {
                let Ok(record) = serde_json::from_slice::<RunRecord>(line) else {
                    return;
                };
                match known.get(&record.run_id) {
                    // An end is an end, in whatever file it stands.
                    Some(&at)
                        if record.result == RunResult::Running
                            && runs[at].result != RunResult::Running => {}
                    Some(&at) => runs[at] = record,
                    None => {
                        known.insert(record.run_id.clone(), runs.len());
                        runs.push(record);
                    }
                }
            });
            failed = read.err().or(failed);
        }
        runs.sort_by_key(|run| run.started_at);
        match failed {
            Some(error) if runs.is_empty() => Err(error),
            _ => Ok(runs),
        }
    }

    /// Returns the newest run of a job that has ended, if there is one.
    pub fn last(runs: &[RunRecord], job: Job) -> Option<&RunRecord> {
        let mut runs = runs.iter().rev();
        runs.find(|run| run.job == job && run.result != RunResult::Running)
    }
}
