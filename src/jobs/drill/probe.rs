//! The probe: the user's own check of a restored state.

use std::{
    collections::{BTreeSet, VecDeque},
    ffi::OsString,
    path::Path,
    time::Instant,
};

use anyhow::Result;

use crate::{
    config::{Settings, drill::DrillSettings},
    context::Context,
    error::{Failure, Kind},
    jobs::variables::{RunFacts, WorkOutcome},
    model::{drill_record::ProbeRecord, user_command::UserCommand},
    ops::drill::{RestoredState, SANDBOX},
    work::{
        events::JobEvent,
        shell::{Around, Line},
    },
};

/// The beginning of the variables that name restored entries.
const ENTRY: &str = "HOOKSHOT_ENTRY_";
/// The most entries that have a variable: the kernel bounds an environment.
const MOST_ENTRIES: usize = 1000;
/// The most bytes of its output that are kept.
const MOST_OUTPUT_BYTES: usize = 4096;
/// The most lines of its output that are logged.
const MOST_LOGGED_LINES: usize = 1000;
const FIRST_UNLOGGED: usize = MOST_LOGGED_LINES + 1;

/// The outcome of a probe.
pub struct Probed {
    /// Its end.
    pub record: ProbeRecord,
    /// Its duration in seconds.
    pub seconds: f64,
    /// Its failure.
    pub failure: Option<Failure>,
}

/// The probe of one restored state.
pub struct Probe<'a> {
    pub context: &'a Context,
    pub settings: &'a Settings,
    pub run_id: &'a str,
    /// The name of the archive.
    pub archive: &'a str,
    /// The folder that stands for `/`.
    pub root: &'a Path,
}

impl Probe<'_> {
    /// Runs the command within its time limit. Its failure is in the outcome; an interruption is an error.
    pub fn run(&self, command: &UserCommand, state: &RestoredState) -> Result<Probed> {
        let (context, line) = (self.context, Line::of(command));
        let drill: &DrillSettings = &self.settings.schema.drill;
        let shown = context.runner.shown(line);
        context.tell(JobEvent::ProbeBegins {
            command: shown.clone(),
        });
        let variables = self.variables();
        let mut runner = context.runner.clone();
        runner.variables.extend(self.paths(state));
        let around = Around {
            mark: self.run_id,
            limit: drill.timeout,
            variables: &variables,
        };
        let mut output = LastLines::default();
        let mut logged = 0;
        let mut say = |line: &str| {
            output.add(line);
            logged += 1;
            let line = match logged {
                0..=MOST_LOGGED_LINES => line.to_owned(),
                FIRST_UNLOGGED => "further lines are not logged".to_owned(),
                _ => return,
            };
            context.tell(JobEvent::ProbeSays { line });
        };
        context.begin("probing", None);
        let begun = Instant::now();
        let end = runner.around(line, around, &mut say, &context.step());
        let seconds = begun.elapsed().as_secs_f64();
        context.stop.check()?;
        // What a shell says of a program that it does not find or cannot run.
        let code = end.as_ref().ok().and_then(|end| end.code());
        let has_run = !matches!(code, None | Some(126 | 127));
        let fault = match &end {
            Ok(end) => end.fault(drill.timeout),
            Err(error) => Some(Failure::of(error).message),
        };
        Ok(Probed {
            record: ProbeRecord {
                exit_code: end.ok().and_then(|end| end.code()),
                output: output.text(),
            },
            seconds,
            failure: fault.map(|fault| {
                let message = format!("the probe `{shown}` failed on {}: {fault}", self.archive);
                Failure::new(Kind::Unhealthy, message).hint(match has_run {
                    true => "every byte was restored: look at the restored state, which `hookshot drill --keep` leaves",
                    false => "every byte was restored, and the probe did not run to its end: look at its program, its path and its time limit",
                })
            }),
        })
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let outcome = WorkOutcome::default();
        let facts = RunFacts {
            operation: "drill",
            stage: "probe",
            run_id: self.run_id,
            outcome: &outcome,
        };
        let mut variables = facts.variables(self.settings);
        variables.push(("HOOKSHOT_ARCHIVE", self.archive.to_owned()));
        variables
    }

    /// Returns the variables that name the sandbox and the restored entries, with the bytes of their paths.
    fn paths(&self, state: &RestoredState) -> Vec<(String, OsString)> {
        let mut variables = vec![(SANDBOX.to_owned(), self.root.into())];
        let entries = &state.entries[..state.entries.len().min(MOST_ENTRIES)];
        let names = entries.iter().map(|(name, _)| name.as_str());
        let named = variable_names(names).into_iter().zip(entries);
        variables.extend(named.map(|(name, (_, path))| (name, path.clone().into_os_string())));
        variables
    }
}

/// Returns the warnings about variables that a probe does not get, or gets by another name.
pub fn warnings(state: &RestoredState) -> Vec<String> {
    let mut warnings = Vec::new();
    let names = state.entries.iter().map(|(name, _)| name.as_str());
    let entries: Vec<&str> = names.take(MOST_ENTRIES).collect();
    for (entry, name) in entries.iter().zip(variable_names(entries.iter().copied())) {
        if name != plain(entry) {
            warnings.push(format!(
                "another entry has the variable {} of the probe: {entry} has {name}",
                plain(entry)
            ));
        }
    }
    let more = state.entries.len().saturating_sub(MOST_ENTRIES);
    if more > 0 {
        warnings.push(format!(
            "{more} entries have no variable of the probe: {SANDBOX} has all of them"
        ));
    }
    warnings
}

/// Returns the variable of each entry: its name in capitals, with `_` for every other character. If several entries
/// have the same one, those after the first get `_2`, `_3` and so on.
fn variable_names<'a>(entries: impl Iterator<Item = &'a str>) -> Vec<String> {
    let entries: Vec<String> = entries.map(plain).collect();
    let mut taken: BTreeSet<String> = entries.iter().cloned().collect();
    let mut first = BTreeSet::new();
    let names = entries.into_iter().map(|name| {
        if first.insert(name.clone()) {
            return name;
        }
        let mut number = 2u32;
        loop {
            let other = format!("{name}_{number}");
            if taken.insert(other.clone()) {
                return other;
            }
            number = number.saturating_add(1);
        }
    });
    names.collect()
}

fn plain(entry: &str) -> String {
    let letter = |letter: char| match letter.is_ascii_alphanumeric() {
        true => letter.to_ascii_uppercase(),
        false => '_',
    };
    ENTRY.chars().chain(entry.chars().map(letter)).collect()
}

/// The last lines of an output.
#[derive(Default)]
struct LastLines {
    lines: VecDeque<String>,
    bytes: usize,
}

impl LastLines {
    fn add(&mut self, line: &str) {
        self.bytes += line.len() + 1;
        self.lines.push_back(line.to_owned());
        while self.bytes > MOST_OUTPUT_BYTES && self.lines.len() > 1 {
            let first = self.lines.pop_front().unwrap_or_default();
            self.bytes -= first.len() + 1;
        }
    }

    fn text(self) -> String {
        Vec::from(self.lines).join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_has_a_variable_of_its_own() {
        let names = |entries: &[&'static str]| variable_names(entries.iter().copied());
        assert_eq!(
            names(&["config.toml", "data", "münze"]),
            [
                "HOOKSHOT_ENTRY_CONFIG_TOML",
                "HOOKSHOT_ENTRY_DATA",
                "HOOKSHOT_ENTRY_M_NZE"
            ]
        );
        assert_eq!(
            names(&["a-b", "a-b-2", "a.b", "a_b"]),
            [
                "HOOKSHOT_ENTRY_A_B",
                "HOOKSHOT_ENTRY_A_B_2",
                "HOOKSHOT_ENTRY_A_B_3",
                "HOOKSHOT_ENTRY_A_B_4"
            ]
        );
    }

    #[test]
    fn the_last_lines_of_an_output_stay() {
        let mut output = LastLines::default();
        (0..10_000).for_each(|number| output.add(&format!("line {number}")));
        let text = output.text();
        assert!(text.len() <= MOST_OUTPUT_BYTES && text.ends_with("line 9998\nline 9999"));
        let mut long = LastLines::default();
        long.add("x");
        long.add(&"y".repeat(5000));
        assert_eq!(long.text(), "y".repeat(5000));
    }
}
