//! The history of runs: one JSON object a line, for people, for `status`, and for jq(1).
//!
//! A run has a line when it begins and one when it ends; the later one holds. [`RecordFolders`] says in which folder the
//! file lies.

use std::collections::HashMap;

use anyhow::Result;

use crate::{
    catalog::record_folders::RecordFolders,
    config::Settings,
    context::Context,
    disk::line_file::{LineFile, MOST_LINE_BYTES},
    model::run_record::{Job, RunRecord, RunResult},
};

/// The file's name.
const FILE: &str = "history.jsonl";
/// The most lines that are kept.
const MOST_LINES: usize = 10_000;

/// The history of the runs of one configuration.
#[derive(Debug, Clone)]
pub struct History {
    places: RecordFolders,
    /// The configuration, as records name it.
    config: String,
}

impl History {
    /// Returns the history of the configuration's runs.
    pub fn of(context: &Context, settings: &Settings) -> History {
        History {
            places: RecordFolders::of(context, settings),
            config: settings.config.display().to_string(),
        }
    }

    /// Appends the record of a run, whole and synced. Of more than 10,000 lines, the newest stay.
    pub fn append(&self, record: &RunRecord) -> Result<()> {
        let file = LineFile::new(self.places.writable()?.join(FILE));
        let record = RunRecord {
            config: Some(self.config.clone()),
            ..record.clone()
        };
        file.append(&line(record)?, MOST_LINES)
    }

    /// Reads the runs of this configuration, the one that began first comes first. Of a run that has ended, returns the record of its end.
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
                if record
                    .config
                    .as_ref()
                    .is_some_and(|config| *config != self.config)
                {
                    return;
                }
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

/// Returns the line of a record, which the reader does not skip: of very many drills, the words go first.
fn line(mut record: RunRecord) -> Result<String> {
    let text = serde_json::to_string(&record)?;
    if fits(&text) {
        return Ok(text);
    }
    for drill in &mut record.drills {
        drill.warnings.clear();
        drill
            .probe
            .iter_mut()
            .for_each(|probe| probe.output.clear());
    }
    let text = serde_json::to_string(&record)?;
    if fits(&text) {
        return Ok(text);
    }
    record.drills.clear();
    Ok(serde_json::to_string(&record)?)
}

fn fits(line: &str) -> bool {
    u64::try_from(line.len()).is_ok_and(|bytes| bytes < MOST_LINE_BYTES)
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;
    use crate::config::Choices;
    use crate::model::drill_record::{DrillRecord, ProbeRecord};

    #[test]
    fn the_line_of_very_many_drills_is_read() {
        let drill = |output: &str| DrillRecord {
            good: true,
            probe: Some(ProbeRecord {
                exit_code: Some(0),
                output: output.to_owned(),
            }),
            ..DrillRecord::default()
        };
        let with = |count: usize, output: &str| {
            let begun = DateTime::UNIX_EPOCH;
            let record = RunRecord {
                drills: vec![drill(output); count],
                ..RunRecord::begun("r".to_owned(), Job::Drill, begun)
            };
            let line = line(record).expect("JSON");
            assert!(fits(&line), "{}", line.len());
            serde_json::from_str::<RunRecord>(&line)
                .expect("a record")
                .drills
        };
        assert_eq!(with(3, "output")[2], drill("output"));
        let many = with(2000, &"x".repeat(4096));
        assert_eq!((many.len(), &many[1999]), (2000, &drill("")));
        assert_eq!(with(100_000, "").len(), 0);
    }

    #[test]
    fn configurations_in_one_folder_read_their_own_runs() {
        let folder = tempfile::tempdir().expect("a folder");
        let context = Context::new(DateTime::UNIX_EPOCH, folder.path().to_owned()).expect("facts");
        let history = |name: &str| {
            let choices = Choices {
                config: Some(folder.path().join(name)),
                ..Choices::default()
            };
            History::of(&context, &Settings::load(&choices).expect("settings"))
        };
        let (one, other) = (history("one.toml"), history("other.toml"));
        let begun = |id: &str, hour| {
            let time = DateTime::UNIX_EPOCH + TimeDelta::hours(hour);
            RunRecord::begun(id.to_owned(), Job::Backup, time)
        };
        one.append(&begun("a", 2)).expect("appended");
        other.append(&begun("b", 1)).expect("appended");
        let ended = RunRecord {
            result: RunResult::Success,
            ..begun("a", 2)
        };
        one.append(&ended).expect("appended");
        one.append(&begun("c", 1)).expect("appended");
        let read = |history: &History| {
            let runs = history.read().expect("read").into_iter();
            runs.map(|run| (run.run_id, run.result)).collect::<Vec<_>>()
        };
        let running = |id: &str| (id.to_owned(), RunResult::Running);
        assert_eq!(
            read(&one),
            [running("c"), ("a".to_owned(), RunResult::Success)]
        );
        assert_eq!(read(&other), [running("b")]);
        let runs = one.read().expect("read");
        assert_eq!(
            History::last(&runs, Job::Backup).map(|run| run.run_id.as_str()),
            Some("a")
        );
    }
}
