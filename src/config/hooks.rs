//! `[[backup.hooks]]`: commands of the user around a job.

use std::time::Duration;

use toml::Value;

use super::reader::{Section, did_you_mean};
use crate::model::{job::Job, quantity::TimeLimit, user_command::UserCommand};

/// The time limit of a command around a job, unless the configuration says otherwise.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(600);

/// A command of the user around a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// The moment at which it runs.
    pub stage: Stage,
    /// The command.
    pub run: UserCommand,
    /// Its time limit.
    pub timeout: Duration,
    /// The work around which it runs.
    pub operations: Vec<Operation>,
    /// The consequence of its failure.
    pub on_error: OnError,
    /// False if it does not run.
    pub enabled: bool,
}

/// The moment at which a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Before the work. If such a hook fails, the work is not begun.
    Before,
    /// As soon as the state was read or replaced, whether that succeeded or not.
    After,
    /// After work that succeeded.
    Success,
    /// After work that was left undone, wholly or in parts.
    Failure,
    /// At the end of each run.
    Finally,
}

impl Stage {
    const NAMES: [(&'static str, Stage); 5] = [
        ("before", Stage::Before),
        ("after", Stage::After),
        ("success", Stage::Success),
        ("failure", Stage::Failure),
        ("finally", Stage::Finally),
    ];

    /// Returns its name in the configuration, in JSON and in `HOOKSHOT_STAGE`.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Before => "before",
            Stage::After => "after",
            Stage::Success => "success",
            Stage::Failure => "failure",
            Stage::Finally => "finally",
        }
    }
}

/// The work around which hooks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// The nightly job.
    Backup,
    /// An import or a rollback.
    Import,
    /// A rehearsed restore.
    Drill,
    /// The removal of old archives.
    Prune,
    /// An upgrade with a safety net.
    Protect,
}

impl Operation {
    const NAMES: [(&'static str, Operation); 5] = [
        ("backup", Operation::Backup),
        ("import", Operation::Import),
        ("drill", Operation::Drill),
        ("prune", Operation::Prune),
        ("protect", Operation::Protect),
    ];

    /// Returns the operation of the runs of a job.
    pub fn of(job: Job) -> Operation {
        match job {
            Job::Drill => Operation::Drill,
            Job::Prune => Operation::Prune,
            Job::Protect => Operation::Protect,
            // The looks at destinations have no hooks.
            Job::Backup | Job::Verify | Job::Status => Operation::Backup,
        }
    }

    /// Returns its name in the configuration and in `HOOKSHOT_OPERATION`.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Backup => "backup",
            Operation::Import => "import",
            Operation::Drill => "drill",
            Operation::Prune => "prune",
            Operation::Protect => "protect",
        }
    }
}

/// The consequence of a failed hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// The run fails, or is left undone in part.
    Fail,
    /// A warning.
    Ignore,
}

/// Reads `[[backup.hooks]]`.
pub(super) fn read(backup: &Section<'_>) -> Vec<Hook> {
    backup.repeated("hooks", hook).unwrap_or_default()
}

fn hook(section: &Section<'_>) -> Option<Hook> {
    section.require("stage");
    section.require("run");
    let stage = section.word("stage", &Stage::NAMES);
    let run = section.command("run");
    let timeout = section.limit("timeout");
    let operations = operations(section);
    let on_error = section.word(
        "on_error",
        &[("fail", OnError::Fail), ("ignore", OnError::Ignore)],
    );
    let enabled = section.flag("enabled").unwrap_or(true);
    Some(Hook {
        stage: stage?,
        run: run?,
        timeout: timeout.unwrap_or(COMMAND_TIMEOUT),
        operations,
        on_error: on_error.unwrap_or(OnError::Fail),
        enabled,
    })
}

fn operations(section: &Section<'_>) -> Vec<Operation> {
    let words = section.list("operations");
    if words.is_empty() {
        return vec![Operation::Backup];
    }
    let known: Vec<&str> = Operation::NAMES.iter().map(|(name, _)| *name).collect();
    let mut operations = Vec::new();
    for word in words {
        match Operation::NAMES.iter().find(|(name, _)| *name == word) {
            Some((_, operation)) => operations.push(*operation),
            None => {
                let meant = did_you_mean(&word, &known);
                let known = known.join(", ");
                section.fault("operations", format!("has words of {known}{meant}"));
            }
        }
    }
    operations
}

impl Section<'_> {
    /// Returns a command: a line for a shell, or a list of words that no shell reads.
    pub(super) fn command(&self, key: &'static str) -> Option<UserCommand> {
        let command = match self.value(key)? {
            Value::String(line) if !line.trim().is_empty() => Some(UserCommand::Line(line.clone())),
            Value::Array(words) => {
                let words = words.iter().map(|word| word.as_str().map(str::to_owned));
                let words: Option<Vec<String>> = words.collect();
                let is_program = |words: &Vec<String>| {
                    let has_nul = words.iter().any(|word| word.contains('\0'));
                    words.first().is_some_and(|program| !program.is_empty()) && !has_nul
                };
                words.filter(is_program).map(UserCommand::Words)
            }
            _ => None,
        };
        if command.is_none() {
            self.fault(
                key,
                "must be a command: a line for a shell, or a list of a program and its arguments",
            );
        }
        command
    }

    /// Returns a time limit that is not zero.
    pub(super) fn limit(&self, key: &'static str) -> Option<Duration> {
        let says = "a time limit that is not zero, as in \"90s\" or \"1h30m\"";
        let limit = self.written(key, says, |time: &TimeLimit| !time.duration().is_zero());
        limit.map(TimeLimit::duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::reader;

    fn hooks(text: &str) -> Result<Vec<Hook>, Vec<String>> {
        reader::read(text, read)
    }

    #[test]
    fn a_hook_is_a_line_or_words() {
        let text = "[[hooks]]\nstage = \"before\"\nrun = \"stop app\"\ntimeout = \"2m\"\n\
            [[hooks]]\nstage = \"finally\"\nrun = [\"start\", \"a b\"]\noperations = [\"backup\", \"import\"]\n\
            on_error = \"ignore\"\nenabled = false\n";
        let read = hooks(text).expect("good");
        assert_eq!(read[0].run, UserCommand::Line("stop app".to_owned()));
        assert_eq!(
            (read[0].timeout, read[0].stage),
            (Duration::from_secs(120), Stage::Before)
        );
        assert_eq!(read[0].operations, [Operation::Backup]);
        assert_eq!(read[1].run.text(), "start a b");
        assert_eq!(read[1].operations, [Operation::Backup, Operation::Import]);
        assert_eq!(
            (read[1].on_error, read[1].enabled),
            (OnError::Ignore, false)
        );
    }

    #[test]
    fn every_fault_of_a_hook_is_named() {
        let text = "[[hooks]]\nstage = \"befor\"\nrun = []\ntimeout = \"0s\"\noperations = [\"bakup\"]\n\
            on_error = \"stop\"\n[[hooks]]\n";
        let faults = hooks(text).expect_err("bad");
        assert_eq!(faults.len(), 7, "{faults:#?}");
        let all = faults.join("\n");
        for says in [
            "did you mean `before`?",
            "must be a command",
            "did you mean `backup`?",
            "`stage` is missing",
        ] {
            assert!(all.contains(says), "{says}: {all}");
        }
    }
}
