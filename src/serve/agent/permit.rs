//! The rules of the agent: a verb has to be allowed, and archives and destinations have to be those of the configuration.

use std::path::Path;

use anyhow::Result;

use super::request::{Look, Wanted};
use crate::{
    config::{Choices, Settings, schedule::AgentVerb},
    error::{Failure, Kind},
    serve::task::Task,
};

/// The most bytes of a name.
const MOST_NAME_BYTES: usize = 4096;

/// The names in a request.
#[derive(Default)]
struct Names<'a> {
    destinations: Vec<&'a str>,
    locations: Vec<&'a str>,
    patterns: Vec<&'a str>,
}

/// Fails unless the configuration allows the verb, and the names are its own.
///
/// Errors: [`Kind::Forbidden`].
pub fn require(config: &Path, wanted: &Wanted) -> Result<()> {
    let names = Names::of(wanted);
    let verb = allowance(wanted);
    if verb.is_none() && names.destinations.is_empty() && names.locations.is_empty() {
        // The verb itself tells the faults of the configuration.
        return Ok(());
    }
    let settings = Settings::load(&Choices {
        config: Some(config.to_owned()),
        ..Choices::default()
    })?;
    if let Some(verb) = verb.filter(|verb| !settings.schema.agent.allows(*verb)) {
        return Err(not_allowed(config, verb).into());
    }
    for destination in names.destinations {
        require_destination(&settings, destination)?;
    }
    for location in names.locations {
        let (destination, archive) = location.split_once('/').unwrap_or((location, ""));
        require_destination(&settings, destination)?;
        require_archive(archive)?;
    }
    for pattern in names.patterns {
        require_text(pattern)?;
    }
    Ok(())
}

/// Returns the permission that a verb needs; looks need none, but contents may hold secrets.
fn allowance(wanted: &Wanted) -> Option<AgentVerb> {
    match wanted {
        Wanted::Look(Look::Content { .. }) => Some(AgentVerb::Content),
        // A plan that may not be carried out is not made either.
        Wanted::Look(Look::Import { .. }) => Some(AgentVerb::Import),
        Wanted::Look(Look::Rollback) => Some(AgentVerb::Rollback),
        Wanted::Look(_) => None,
        Wanted::Task(task) => Some(match task {
            Task::Backup => AgentVerb::Backup,
            Task::Check { .. } => AgentVerb::Check,
            Task::Verify { .. } => AgentVerb::Verify,
            Task::Drill { .. } => AgentVerb::Drill,
            Task::Keep { .. } | Task::Release { .. } => AgentVerb::Keep,
            Task::Import { .. } => AgentVerb::Import,
            Task::Rollback { .. } => AgentVerb::Rollback,
            Task::Policy { .. } => AgentVerb::Policy,
        }),
    }
}

impl Names<'_> {
    fn of(wanted: &Wanted) -> Names<'_> {
        let mut names = Names::default();
        match wanted {
            Wanted::Look(look) => match look {
                Look::List
                | Look::Status
                | Look::Metrics
                | Look::History
                | Look::Schedule
                | Look::Policy
                | Look::Rollback => {}
                Look::Inspect { location } => names.locations.push(location),
                Look::Diff { locations } => names.locations.extend(strings(locations)),
                Look::Prune { destination } | Look::Simulate { destination, .. } => {
                    names.destinations.push(destination);
                }
                Look::Content { location, entry } => {
                    names.locations.push(location);
                    names.patterns.push(entry);
                }
                Look::Import { location, entries } => {
                    names.locations.push(location);
                    names.patterns.extend(strings(entries));
                }
            },
            Wanted::Task(task) => match task {
                // Its values are those of a policy alone; the verb checks them, and the digest.
                Task::Backup | Task::Policy { .. } => {}
                Task::Rollback { plan } => names.patterns.push(plan),
                Task::Check { destination } => names.destinations.push(destination),
                Task::Verify { locations } => names.locations.extend(strings(locations)),
                Task::Drill { location } | Task::Release { location } => {
                    names.locations.push(location);
                }
                Task::Keep {
                    location, until, ..
                } => {
                    names.locations.push(location);
                    names.patterns.extend(until.as_deref());
                }
                Task::Import {
                    location,
                    entries,
                    plan,
                } => {
                    names.locations.push(location);
                    names.patterns.push(plan);
                    names.patterns.extend(strings(entries));
                }
            },
        }
        names
    }
}

fn strings(all: &[String]) -> impl Iterator<Item = &str> {
    all.iter().map(String::as_str)
}

fn not_allowed(config: &Path, verb: AgentVerb) -> Failure {
    let message = format!("the agent may not run `{}`", verb.name());
    Failure::new(Kind::Forbidden, message).hint(format!(
        "add \"{}\" to `allow` under [backup.agent] in {}",
        verb.name(),
        config.display()
    ))
}

/// Fails unless the word is `@NAME` of a destination that the configuration names.
fn require_destination(settings: &Settings, word: &str) -> Result<(), Failure> {
    let name = word.strip_prefix('@');
    if name.is_some_and(|name| settings.schema.destinations.contains_key(name)) {
        return Ok(());
    }
    let message = format!("{word:?} is not a destination of the configuration");
    Err(Failure::new(Kind::Forbidden, message)
        .hint("the agent knows the destinations that have a name under [backup.destinations]"))
}

/// Fails unless the name is that of one archive, without folders.
fn require_archive(name: &str) -> Result<(), Failure> {
    require_text(name)?;
    let is_plain = !name.is_empty() && !name.contains('/') && !name.starts_with(['-', '.']);
    if is_plain {
        return Ok(());
    }
    let message = format!("{name:?} is not the name of an archive");
    Err(Failure::new(Kind::Forbidden, message))
}

fn require_text(text: &str) -> Result<(), Failure> {
    if text.len() <= MOST_NAME_BYTES && !text.chars().any(|symbol| symbol.is_control()) {
        return Ok(());
    }
    let message = "a name is too long, or has control characters";
    Err(Failure::new(Kind::Forbidden, message))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const CONFIG: &str = "[backup]\nto = [\"d\"]\n[backup.destinations.d]\nurl = \"/tmp/d\"\n";

    fn refused(more: &str, wanted: &Wanted) -> Option<String> {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("config.toml");
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create_new(true).open(&config);
        let text = format!("{CONFIG}{more}");
        std::io::Write::write_all(&mut file.expect("a file"), text.as_bytes()).expect("written");
        let failure = Failure::of(&require(&config, wanted).err()?);
        assert_eq!(failure.kind, Kind::Forbidden, "{failure:?}");
        Some(failure.message)
    }

    fn inspect(location: &str) -> Wanted {
        Wanted::Look(Look::Inspect {
            location: location.to_owned(),
        })
    }

    #[test]
    fn an_archive_is_one_of_a_destination_that_has_a_name() {
        assert_eq!(refused("", &inspect("@d/x-20261121-040000.tar.gz")), None);
        for location in [
            "@d",
            "@d/",
            "@e/x",
            "d/x",
            "/etc/shadow",
            "@d/../x",
            "@d/-x",
            "@d/.x",
            "@d/a/b",
            "-",
            "--help",
            "s3://b/x",
            "@d/a\nb",
            "",
        ] {
            assert!(refused("", &inspect(location)).is_some(), "{location:?}");
        }
        let long = format!("@d/{}", "x".repeat(5000));
        assert!(refused("", &inspect(&long)).is_some());
        let check = |destination: &str| {
            Wanted::Task(Task::Check {
                destination: destination.to_owned(),
            })
        };
        assert_eq!(refused("", &check("@d")), None);
        for word in ["d", "@d/x", "--all", "/tmp/d", "http://169.254.169.254/"] {
            assert!(refused("", &check(word)).is_some(), "{word}");
        }
    }

    #[test]
    fn content_and_changes_of_the_state_have_to_be_allowed() {
        let content = Wanted::Look(Look::Content {
            location: "@d/x".to_owned(),
            entry: "a".to_owned(),
        });
        let import = Wanted::Task(Task::Import {
            location: "@d/x".to_owned(),
            entries: Vec::new(),
            plan: String::new(),
        });
        let allow = "[backup.agent]\nallow = [\"content\", \"import\"]\n";
        for wanted in [content, import] {
            let message = refused("", &wanted).expect("refused");
            assert!(
                message.contains(wanted.verb()) || message.contains("content"),
                "{message}"
            );
            assert_eq!(refused(allow, &wanted), None);
        }
        assert_eq!(refused("", &Wanted::Task(Task::Backup)), None);
        let message = refused(allow, &Wanted::Task(Task::Backup));
        assert_eq!(message.as_deref(), Some("the agent may not run `backup`"));
        assert_eq!(refused(allow, &Wanted::Look(Look::List)), None);
    }
}
