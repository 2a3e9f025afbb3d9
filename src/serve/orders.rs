//! The orders that people and programs give: each names its object by an identifier, and the state knows the rest.

use std::{path::Path, sync::Arc};

use chrono::{DateTime, NaiveDate};

use super::{
    Server,
    answer::Trouble,
    api::{place, readable, seen},
    database::{Archive, Copy, RunState, ServeRun},
    identity::Person,
    runs::{self, Order, failure},
    task::Task,
};
use crate::{
    error::{Failure, Kind},
    model::written::rfc3339,
};

/// The most characters of a reason.
const MOST_REASON: usize = 200;

/// An order on an archive.
#[derive(Debug, Clone, Copy)]
pub enum Work {
    /// Verify its copies.
    Verify,
    /// Rehearse its restore.
    Drill,
}

/// A mark that an archive gets, or loses.
#[derive(Debug, Clone)]
pub enum Marking {
    /// It is kept.
    Keep {
        /// The reason.
        reason: String,
        /// The end, a date or a time; without it the mark holds for good.
        until: Option<String>,
    },
    /// The policy decides again.
    Release,
}

/// Starts a backup.
pub fn backup(
    server: &Arc<Server>,
    person: &Person,
    id: &str,
    key: Option<String>,
) -> Result<ServeRun, Trouble> {
    person.require_all("a backup")?;
    let config = server.config_of(id);
    let config = config.ok_or_else(|| Trouble::missing("configuration"))?;
    let order = Order {
        config: config.to_owned(),
        task: Task::Backup,
        target: config.display().to_string(),
        person,
        action: "backup",
        key,
    };
    runs::start(server, order)
}

/// Starts the test of a destination.
pub fn check(
    server: &Arc<Server>,
    person: &Person,
    id: &str,
    key: Option<String>,
) -> Result<ServeRun, Trouble> {
    person.require_all("a check")?;
    let found = place(server, id)?;
    let (config, destination) = found.ok_or_else(|| Trouble::missing("destination"))?;
    let config = server.config(&config);
    let config = config.ok_or_else(|| Trouble::missing("configuration"))?;
    let order = Order {
        config: config.to_owned(),
        target: destination.clone(),
        task: Task::Check { destination },
        person,
        action: "check",
        key,
    };
    runs::start(server, order)
}

/// Starts work on an archive: on all of its copies, or the best one, or the one at `destination`.
pub fn work(
    server: &Arc<Server>,
    person: &Person,
    (id, work): (&str, Work),
    destination: Option<&str>,
    key: Option<String>,
) -> Result<ServeRun, Trouble> {
    let archive = seen(server, person, id)?;
    let (config, best) = readable(server, &archive)?;
    let copies = copies(&archive, destination)?;
    let task = match work {
        Work::Verify => Task::Verify {
            locations: copies.iter().map(|copy| copy.location.clone()).collect(),
        },
        Work::Drill => {
            let one = copies.first().filter(|_| destination.is_some());
            let location = one.map_or(&best.location, |copy| &copy.location);
            Task::Drill {
                location: location.clone(),
            }
        }
    };
    let order = order(config, task, &archive, person);
    runs::start(server, Order { key, ..order })
}

/// Marks all copies of an archive, or the one at `destination`, and waits for that. Returns the runs.
///
/// Errors: the failure of the first verb that fails.
pub async fn mark(
    server: &Arc<Server>,
    person: &Person,
    (id, marking): (&str, Marking),
    destination: Option<&str>,
) -> Result<Vec<ServeRun>, Trouble> {
    let archive = seen(server, person, id)?;
    let (config, _) = readable(server, &archive)?;
    let marking = checked(marking)?;
    let mut ended = Vec::new();
    for copy in copies(&archive, destination)? {
        let location = copy.location.clone();
        let task = match marking.clone() {
            Marking::Keep { reason, until } => Task::Keep {
                location,
                until,
                reason,
            },
            Marking::Release => Task::Release { location },
        };
        let action = match task {
            Task::Release { .. } => "release",
            _ => "keep",
        };
        let order = Order {
            action,
            ..order(config, task, &archive, person)
        };
        let begun = runs::start(server, order)?;
        let run = runs::end_of(server, &begun.id).await?;
        let (run, log) = run.ok_or_else(|| Trouble::missing("run"))?;
        let failure = failure(run.report.as_ref(), &log, run.exit_code);
        // One that was cancelled has failed by the wish of a person.
        if let Some(failure) = failure.filter(|_| run.state != RunState::Cancelled) {
            return Err(failure.into());
        }
        require_done(&run)?;
        ended.push(run);
    }
    Ok(ended)
}

/// Refuses to tell a success of a run that works still, that was cancelled, or that was lost.
fn require_done(run: &ServeRun) -> Result<(), Trouble> {
    let message = match run.state {
        RunState::Done => return Ok(()),
        RunState::Cancelled => {
            let message = format!("the mark was cancelled: see run {}", run.id);
            let failure = Failure::new(Kind::Blocked, message);
            return Err(failure.hint("look at the archive, and try again").into());
        }
        RunState::Running => format!("the mark is still being written, by run {}", run.id),
        _ => format!("nothing tells if the mark was written: see run {}", run.id),
    };
    let failure = Failure::new(Kind::Unreachable, message);
    Err(failure.hint("look at the run, and at the archive").into())
}

fn order<'a>(config: &Path, task: Task, archive: &Archive, person: &'a Person) -> Order<'a> {
    Order {
        config: config.to_owned(),
        action: task.verb(),
        task,
        target: archive.name.clone(),
        person,
        key: None,
    }
}

/// Returns all copies of an archive, or the one at `destination`.
fn copies<'a>(archive: &'a Archive, destination: Option<&str>) -> Result<Vec<&'a Copy>, Trouble> {
    let is_meant = |copy: &&Copy| destination.is_none_or(|one| copy.destination == one);
    let copies: Vec<&Copy> = archive.copies.iter().filter(is_meant).collect();
    match copies.is_empty() {
        true => Err(Trouble::missing("copy")),
        false => Ok(copies),
    }
}

/// Refuses a mark without a reason, and writes its end as the verb reads it.
fn checked(marking: Marking) -> Result<Marking, Trouble> {
    let Marking::Keep { reason, until } = marking else {
        return Ok(marking);
    };
    let reason = reason.trim().to_owned();
    if reason.is_empty() || reason.chars().count() > MOST_REASON {
        let message = format!("a mark needs a reason of 1 to {MOST_REASON} characters");
        return Err(Trouble::misread(message));
    }
    let until = until.as_deref().map(str::trim);
    let until = until.filter(|until| !until.is_empty()).map(end);
    Ok(Marking::Keep {
        reason,
        until: until.transpose()?,
    })
}

fn end(text: &str) -> Result<String, Trouble> {
    if let Ok(date) = text.parse::<NaiveDate>() {
        return Ok(date.to_string());
    }
    let time = DateTime::parse_from_rfc3339(text).ok();
    let time = time.map(|time| rfc3339(time.to_utc()));
    time.ok_or_else(|| {
        let failure = Failure::new(Kind::Usage, "`until` is not a time");
        failure
            .hint("write 2027-12-31, or 2027-12-31T04:00:00Z")
            .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_whose_run_is_not_done_is_no_success() {
        let run = ServeRun::begun("1", ("c", "keep", "x"), "anna", 1000);
        for (state, is_done) in [
            (RunState::Done, true),
            (RunState::Running, false),
            (RunState::Lost, false),
        ] {
            let run = ServeRun {
                state,
                ..run.clone()
            };
            assert_eq!(require_done(&run).is_ok(), is_done, "{state:?}");
        }
        let cancelled = ServeRun {
            state: RunState::Cancelled,
            ..run
        };
        let trouble = require_done(&cancelled).expect_err("refused");
        assert_eq!(trouble.status, axum::http::StatusCode::CONFLICT);
    }

    #[test]
    fn a_mark_has_a_reason_and_an_end_that_is_a_time() {
        let keep = |reason: &str, until: Option<&str>| {
            let marking = Marking::Keep {
                reason: reason.to_owned(),
                until: until.map(str::to_owned),
            };
            match checked(marking).ok()? {
                Marking::Keep { reason, until } => Some((reason, until)),
                Marking::Release => None,
            }
        };
        let kept = |until: Option<&str>| Some(("audit".to_owned(), until.map(str::to_owned)));
        assert_eq!(keep(" audit ", None), kept(None));
        assert_eq!(keep("audit", Some("")), kept(None));
        assert_eq!(keep("audit", Some("2027-12-31")), kept(Some("2027-12-31")));
        let time = keep("audit", Some("2027-12-31T05:00:00+01:00"));
        assert_eq!(time, kept(Some("2027-12-31T04:00:00Z")));
        for (reason, until) in [("", None), (" ", None), ("audit", Some("--remove"))] {
            assert_eq!(keep(reason, until), None, "{reason} {until:?}");
        }
        assert_eq!(keep(&"x".repeat(201), None), None);
    }
}
