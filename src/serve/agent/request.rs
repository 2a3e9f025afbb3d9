//! The request to the agent: a verb of the closed list, of one configuration.

use std::ffi::OsString;

use serde::{Deserialize, Serialize};

use crate::serve::{policies::PolicyValues, task::Task};

/// The most bytes of a request.
pub const MOST_BYTES: usize = 256 << 10;

/// A verb of one configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The configuration, as the agent was started with it.
    pub config: String,
    /// The verb.
    pub wanted: Wanted,
}

/// A verb of the closed list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    /// One that looks: it ends if its caller is gone.
    Look(Look),
    /// One that works: it goes on if its caller is gone.
    Task(Task),
}

/// A verb that looks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "lowercase", deny_unknown_fields)]
pub enum Look {
    /// The archives of all destinations.
    List,
    /// The health of all destinations.
    Status,
    /// The same as Prometheus reads it.
    Metrics,
    /// The runs of jobs.
    History,
    /// The next runs of jobs.
    Schedule,
    /// The manifest of an archive.
    Inspect {
        /// The archive.
        location: String,
    },
    /// The differences between archives, or between one and this machine's state.
    Diff {
        /// One or two archives.
        locations: Vec<String>,
    },
    /// The archives that the policy of a destination would remove.
    Prune {
        /// The destination.
        destination: String,
    },
    /// The same under other rules of retention.
    Simulate {
        /// The destination.
        destination: String,
        /// The values of a policy.
        values: PolicyValues,
    },
    /// The schedule and the retention in force.
    Policy,
    /// The content of an entry.
    Content {
        /// The archive.
        location: String,
        /// The pattern of the entry.
        entry: String,
    },
    /// The plan of an import.
    Import {
        /// The archive.
        location: String,
        /// The entries, by patterns; all without one.
        entries: Vec<String>,
    },
    /// The plan of a rollback.
    Rollback,
}

impl Look {
    /// Returns the name of the verb.
    pub fn verb(&self) -> &'static str {
        match self {
            Look::List => "list",
            Look::Status | Look::Metrics => "status",
            Look::History => "history",
            Look::Schedule => "schedule",
            Look::Inspect { .. } => "inspect",
            Look::Diff { .. } => "diff",
            Look::Prune { .. } | Look::Simulate { .. } => "prune",
            Look::Policy => "serve",
            Look::Content { .. } => "extract",
            Look::Import { .. } => "import",
            Look::Rollback => "rollback",
        }
    }

    /// Returns the options by which reports and messages are JSON.
    pub fn form(&self) -> &'static [&'static str] {
        match self {
            Look::Metrics | Look::Content { .. } => &["--log-format", "json"],
            _ => &["--json"],
        }
    }

    /// Returns the words of the command line behind the global options.
    pub fn words(&self) -> Vec<OsString> {
        let mut only = Vec::new();
        let (options, names): (&[&str], Vec<&str>) = match self {
            Look::List | Look::Status => (&["--all-hosts"], Vec::new()),
            Look::Metrics => (&["--all-hosts", "--prometheus"], Vec::new()),
            Look::History | Look::Schedule => (&[], Vec::new()),
            Look::Inspect { location } => (&[], vec![location]),
            Look::Diff { locations } => (&[], locations.iter().map(String::as_str).collect()),
            Look::Prune { destination } => (&["--dry-run"], vec![destination]),
            Look::Simulate {
                destination,
                values,
            } => {
                only.extend(values.prune_options());
                (&["--dry-run"], vec![destination])
            }
            Look::Policy => (&["policy", "show"], Vec::new()),
            Look::Content { location, entry } => (&["-o", "-"], vec![location, entry]),
            Look::Import { location, entries } => {
                only.extend(entries.iter().map(|entry| format!("--only={entry}")));
                (&["--dry-run", "--plan"], vec![location])
            }
            Look::Rollback => (&["--dry-run", "--plan"], Vec::new()),
        };
        let dashes = (!names.is_empty()).then_some("--");
        let words = std::iter::once(self.verb()).chain(options.iter().copied());
        let words = words.chain(only.iter().map(String::as_str));
        let words = words.chain(dashes).chain(names);
        words.map(OsString::from).collect()
    }
}

impl Wanted {
    /// Returns the name of the verb.
    pub fn verb(&self) -> &'static str {
        match self {
            Wanted::Look(look) => look.verb(),
            Wanted::Task(task) => task.verb(),
        }
    }

    /// Returns the options by which reports and messages are JSON.
    pub fn form(&self) -> &'static [&'static str] {
        match self {
            Wanted::Look(look) => look.form(),
            Wanted::Task(_) => &["--json", "--log-format", "json"],
        }
    }

    /// Returns the words of the command line behind the global options.
    pub fn words(&self) -> Vec<OsString> {
        match self {
            Wanted::Look(look) => look.words(),
            Wanted::Task(task) => task.words(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_was_written_and_nothing_else_is() {
        let request = Request {
            config: "/etc/hookshot/config.toml".to_owned(),
            wanted: Wanted::Look(Look::Content {
                location: "@d/x.tar.gz".to_owned(),
                entry: "-x".to_owned(),
            }),
        };
        let text = serde_json::to_string(&request).expect("written");
        let read: Request = serde_json::from_str(&text).expect("read");
        assert_eq!(read, request);
        let words = read.wanted.words().into_iter();
        let words: Vec<_> = words
            .map(|word| word.into_string().expect("text"))
            .collect();
        assert_eq!(words, ["extract", "-o", "-", "--", "@d/x.tar.gz", "-x"]);
        for text in [
            r#"{"config": "c", "wanted": {"look": {"verb": "delete"}}}"#,
            r#"{"config": "c", "wanted": {"task": {"verb": "prune"}}}"#,
            r#"{"config": "c", "wanted": {"look": {"verb": "prune"}}}"#,
            r#"{"config": "c", "wanted": {"look": {"verb": "inspect", "location": "l", "more": 1}}}"#,
            r#"{"config": "c", "wanted": {"words": ["delete"]}}"#,
            r#"{"config": "c", "wanted": {"look": {"verb": "list"}}, "more": 1}"#,
        ] {
            assert!(serde_json::from_str::<Request>(text).is_err(), "{text}");
        }
    }
}
