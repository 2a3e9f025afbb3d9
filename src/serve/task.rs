//! The verbs that work: what the server may start, as a closed list.

use std::{ffi::OsString, iter, slice::from_ref};

use serde::{Deserialize, Serialize};

use super::policies::PolicyValues;

/// A verb that works. Destinations and archives are those that the verbs told, never words of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "lowercase", deny_unknown_fields)]
pub enum Task {
    /// The job of the configuration.
    Backup,
    /// The test of a destination.
    Check {
        /// The destination, as verbs take it.
        destination: String,
    },
    /// The verification of copies of an archive.
    Verify {
        /// The copies, as verbs take them.
        locations: Vec<String>,
    },
    /// The rehearsal of a restore.
    Drill {
        /// The copy, as verbs take it.
        location: String,
    },
    /// The mark that keeps an archive.
    Keep {
        /// The copy, as verbs take it.
        location: String,
        /// The time at which the mark ends; without it the mark holds for good.
        until: Option<String>,
        /// The reason, for the audit trail.
        reason: String,
    },
    /// The removal of a mark.
    Release {
        /// The copy, as verbs take it.
        location: String,
    },
    /// The replacement of this machine's state by an archive's.
    Import {
        /// The copy, as verbs take it.
        location: String,
        /// The entries, by patterns; all without one.
        entries: Vec<String>,
        /// The digest of the plan: another one is refused.
        plan: String,
    },
    /// The values of a policy, written into the configuration.
    Policy {
        /// The values.
        values: Box<PolicyValues>,
        /// The digest of the text that is meant: another one is refused.
        digest: String,
    },
    /// The undoing of the last import.
    Rollback {
        /// The digest of the plan: another one is refused.
        plan: String,
    },
}

impl Task {
    /// Returns the name of the verb.
    pub fn verb(&self) -> &'static str {
        match self {
            Task::Backup => "backup",
            Task::Check { .. } => "check",
            Task::Verify { .. } => "verify",
            Task::Drill { .. } => "drill",
            Task::Keep { .. } | Task::Release { .. } => "keep",
            Task::Import { .. } => "import",
            Task::Rollback { .. } => "rollback",
            Task::Policy { .. } => "policy",
        }
    }

    /// Returns the words of the command line behind the global options.
    pub fn words(&self) -> Vec<OsString> {
        let (options, names): (Vec<String>, &[String]) = match self {
            Task::Backup => (Vec::new(), &[]),
            Task::Check { destination } => (Vec::new(), from_ref(destination)),
            Task::Verify { locations } => (Vec::new(), locations),
            Task::Drill { location } => (Vec::new(), from_ref(location)),
            Task::Keep {
                location, until, ..
            } => {
                let until = until.iter().map(|until| format!("--until={until}"));
                (until.collect(), from_ref(location))
            }
            Task::Release { location } => (vec!["--remove".to_owned()], from_ref(location)),
            Task::Import {
                location,
                entries,
                plan,
            } => {
                let entries = entries.iter().map(|entry| format!("--only={entry}"));
                let options = iter::once(demand(plan)).chain(entries);
                (options.collect(), from_ref(location))
            }
            Task::Rollback { plan } => (vec![demand(plan)], &[]),
            Task::Policy { values, digest } => {
                let options = iter::once(format!("--digest={digest}")).chain(values.options());
                (options.collect(), &[])
            }
        };
        let mut words: Vec<OsString> = match self {
            Task::Policy { .. } => ["serve", "policy", "apply"].map(OsString::from).into(),
            _ => vec![OsString::from(self.verb())],
        };
        words.extend(options.iter().map(OsString::from));
        if !names.is_empty() {
            words.push(OsString::from("--"));
            words.extend(names.iter().map(OsString::from));
        }
        words
    }
}

/// Returns the option that has one plan carried out alone, guarded if the configuration says how.
fn demand(plan: &str) -> String {
    format!("--plan={plan}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(task: &Task) -> String {
        let words = task.words().into_iter();
        let words = words.map(|word| word.into_string().expect("text"));
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_task_is_a_command_line_whose_names_stand_behind_dashes() {
        let location = "-x".to_owned();
        for (task, expected) in [
            (Task::Backup, "backup"),
            (
                Task::Check {
                    destination: "--all".to_owned(),
                },
                "check -- --all",
            ),
            (
                Task::Verify {
                    locations: vec![location.clone(), "@d/y".to_owned()],
                },
                "verify -- -x @d/y",
            ),
            (
                Task::Drill {
                    location: location.clone(),
                },
                "drill -- -x",
            ),
            (
                Task::Keep {
                    location: location.clone(),
                    until: Some("2027-01-01".to_owned()),
                    reason: "audit".to_owned(),
                },
                "keep --until=2027-01-01 -- -x",
            ),
            (
                Task::Release {
                    location: location.clone(),
                },
                "keep --remove -- -x",
            ),
            (
                Task::Import {
                    location,
                    entries: vec!["-data".to_owned()],
                    plan: "0f".to_owned(),
                },
                "import --plan=0f --only=-data -- -x",
            ),
            (
                Task::Rollback {
                    plan: "0f".to_owned(),
                },
                "rollback --plan=0f",
            ),
            (
                Task::Policy {
                    values: Box::new(PolicyValues {
                        schedule: Some("--x".to_owned()),
                        ..PolicyValues::default()
                    }),
                    digest: "0f".to_owned(),
                },
                "serve policy apply --digest=0f --schedule=--x",
            ),
        ] {
            assert_eq!(line(&task), expected);
            let text = serde_json::to_string(&task).expect("written");
            assert_eq!(serde_json::from_str::<Task>(&text).expect("read"), task);
        }
        assert!(serde_json::from_str::<Task>(r#"{"verb": "delete"}"#).is_err());
    }
}
