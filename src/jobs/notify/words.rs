//! The words of notifications: some lines of plain text that say what happened, and what to do.

use super::fitted::shortened;
use crate::model::{
    occasion::Occasion,
    readable::{duration, size},
    run_record::{Job, KILLED, RunRecord, SkipReason},
    written::rfc3339,
};

/// The longest reason, in characters.
const MOST_REASON: usize = 600;
/// The most destinations that are named one by one.
const MOST_DESTINATIONS: usize = 8;

/// The words of a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// One line: what happened to which service on which host.
    pub title: String,
    /// Some lines, the first of which says it again with details.
    pub text: String,
}

/// Composes the words for a run of `service` on `host`.
pub fn compose(occasion: Occasion, record: &RunRecord, service: &str, host: &str) -> Words {
    let title = title(occasion, record.job, service, host);
    let mut lines = vec![format!("{title}{}.", details(occasion, record))];
    if let Some(error) = &record.error {
        lines.push(format!("Reason: {}", one_line(error)));
    }
    if let Some(archive) = &record.archive {
        let bytes = record.size_bytes;
        let bytes = bytes.map(|bytes| format!(", {}", size(bytes)));
        lines.push(format!("Archive: {archive}{}", bytes.unwrap_or_default()));
    }
    lines.extend(changes(record));
    lines.extend(destinations(record));
    if let Some(advice) = advice(occasion, record) {
        lines.push(format!("What to do: {advice}"));
    }
    let begun = rfc3339(record.started_at);
    lines.push(format!("Run {}, begun at {begun}", record.run_id));
    Words {
        title,
        text: lines.join("\n"),
    }
}

fn title(occasion: Occasion, job: Job, service: &str, host: &str) -> String {
    let of = format!("of {service} on {host}");
    let work = match job {
        Job::Backup => "Backup",
        Job::Prune => "Pruning of the archives",
        Job::Verify => "Verification of the archives",
        Job::Status => "Check of the backups",
        Job::Drill => "Restore drill",
        Job::Protect => "Protected upgrade",
    };
    match occasion {
        Occasion::Start => format!("{work} {of} began"),
        Occasion::Success => format!("{work} {of} succeeded"),
        Occasion::Skipped => format!("{work} {of} was skipped"),
        Occasion::Partial => format!("{work} {of} is incomplete"),
        Occasion::Failure => format!("{work} {of} failed"),
        Occasion::Stale => format!("Backups {of} are not healthy"),
        Occasion::Recovered => format!("Backups {of} are healthy again"),
        Occasion::DrillFailed => format!("Restore drill {of} failed"),
        Occasion::Test => format!("Test of the notifications {of}"),
    }
}

/// Returns the end of the first sentence: how long it took, and how it ended.
fn details(occasion: Occasion, record: &RunRecord) -> String {
    let mut details = String::new();
    if occasion == Occasion::Skipped {
        details += match record.skipped {
            Some(SkipReason::Unchanged) => ": nothing has changed since the newest archive",
            Some(SkipReason::Hook) => ": a hook asked for it",
            Some(SkipReason::NotDue) => ": no destination is due",
            None => "",
        };
    }
    // The check of the health took as long, not the change of it.
    let is_of_run = !matches!(
        occasion,
        Occasion::Stale | Occasion::Recovered | Occasion::Test
    );
    if let Some(seconds) = record.duration_seconds.filter(|_| is_of_run) {
        details += &format!(", after {}", duration(seconds));
    }
    match record.exit_code {
        Some(code) if code != 0 => details += &format!(", with exit code {code}"),
        _ => {}
    }
    details
}

fn changes(record: &RunRecord) -> Option<String> {
    let counts = record.entries?;
    let added = record.added_bytes.map(|bytes| format!(", {}", size(bytes)));
    Some(format!(
        "Entries: {} new, {} changed, {} removed, {} as before{}",
        counts.new,
        counts.changed,
        counts.removed,
        counts.unchanged,
        added.unwrap_or_default()
    ))
}

fn destinations(record: &RunRecord) -> Vec<String> {
    let mut lines = Vec::new();
    let good = record.destinations.iter().filter(|one| one.good);
    let good: Vec<String> = good
        .map(|one| match &one.error {
            None => one.name.clone(),
            Some(error) => format!("{} ({})", one.name, one_line(error)),
        })
        .collect();
    if !good.is_empty() {
        let done = match record.job {
            Job::Drill => "Restored from",
            _ => "Held by",
        };
        lines.push(format!("{done}: {}", listed(good, ", ")));
    }
    let bad = record.destinations.iter().filter(|one| !one.good);
    // Those of a run that only began, or was killed, are not known yet.
    let is_known = record.exit_code.is_some_and(|code| code != KILLED);
    let bad = bad.filter(|one| one.error.is_some() || is_known);
    let bad: Vec<String> = bad
        .map(|one| match &one.error {
            None => one.name.clone(),
            Some(error) => format!("{}: {}", one.name, one_line(error)),
        })
        .collect();
    if !bad.is_empty() {
        lines.push(format!("Not good: {}", listed(bad, "; ")));
    }
    let removed: usize = record
        .destinations
        .iter()
        .map(|one| one.removed.len())
        .sum();
    let caught_up: usize = (record.destinations.iter())
        .map(|one| one.caught_up.len())
        .sum();
    if caught_up > 0 {
        lines.push(format!("Earlier archives delivered: {caught_up}"));
    }
    if removed > 0 {
        lines.push(format!("Old archives removed: {removed}"));
    }
    lines
}

fn listed(mut names: Vec<String>, between: &str) -> String {
    let more = names.len().saturating_sub(MOST_DESTINATIONS);
    names.truncate(MOST_DESTINATIONS);
    let more = match more {
        0 => String::new(),
        more => format!("{between}and {more} more"),
    };
    names.join(between) + &more
}

fn advice(occasion: Occasion, record: &RunRecord) -> Option<String> {
    let general = match occasion {
        Occasion::Failure | Occasion::Partial => match record.job {
            Job::Backup => {
                "fix the cause, then run `hookshot backup`; `hookshot status` tells what the destinations hold"
            }
            Job::Prune => "fix the cause, then run `hookshot prune`",
            Job::Verify => {
                "find the damaged archives with `hookshot verify`, then make a new one with `hookshot backup`"
            }
            Job::Status | Job::Drill => "`hookshot status` tells what is wrong",
            Job::Protect => "look at the log of the upgrade, and at the service",
        },
        Occasion::Stale => {
            "`hookshot status` tells what is wrong; `hookshot backup` makes a new archive"
        }
        Occasion::DrillFailed => {
            "do not rely on these archives: make a new one with `hookshot backup`, then run `hookshot drill`"
        }
        Occasion::Test => {
            "nothing, the run is made up: this message shows that notifications arrive"
        }
        Occasion::Start | Occasion::Success | Occasion::Skipped | Occasion::Recovered => {
            return None;
        }
    };
    match &record.hint {
        Some(hint) if occasion != Occasion::Test => Some(one_line(hint)),
        _ => Some(general.to_owned()),
    }
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    shortened(&words.join(" "), MOST_REASON)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::model::{
        change_counts::ChangeCounts,
        run_record::{DestinationRecord, RunResult},
    };

    fn record() -> RunRecord {
        let named = |name: &str, error: Option<&str>| DestinationRecord {
            name: name.to_owned(),
            good: error.is_none(),
            error: error.map(str::to_owned),
            removed: vec!["old".to_owned()],
            ..DestinationRecord::default()
        };
        RunRecord {
            result: RunResult::Failure,
            duration_seconds: Some(125.2),
            exit_code: Some(17),
            archive: Some("shop-20261129-020000.tar.gz".to_owned()),
            size_bytes: Some(1_500_000),
            destinations: vec![
                named("local", None),
                named("nas", Some("no connection\nto nas:22")),
            ],
            error: Some("one destination does not hold the archive".to_owned()),
            entries: Some(ChangeCounts {
                new: 1,
                changed: 2,
                unchanged: 30,
                removed: 0,
            }),
            added_bytes: Some(4096),
            ..RunRecord::begun("the-id".to_owned(), Job::Backup, DateTime::UNIX_EPOCH)
        }
    }

    #[test]
    fn a_failure_is_told_as_a_person_would_tell_it() {
        let words = compose(Occasion::Failure, &record(), "shop", "web1");
        assert_eq!(words.title, "Backup of shop on web1 failed");
        assert_eq!(
            words.text,
            "Backup of shop on web1 failed, after 2 min 5 s, with exit code 17.\n\
            Reason: one destination does not hold the archive\n\
            Archive: shop-20261129-020000.tar.gz, 1.4 MiB\n\
            Entries: 1 new, 2 changed, 0 removed, 30 as before, 4.0 KiB\n\
            Held by: local\n\
            Not good: nas: no connection to nas:22\n\
            Old archives removed: 2\n\
            What to do: fix the cause, then run `hookshot backup`; `hookshot status` tells what the destinations hold\n\
            Run the-id, begun at 1970-01-01T00:00:00Z"
        );
        let killed = RunRecord {
            exit_code: Some(KILLED),
            destinations: vec![DestinationRecord::default()],
            ..record()
        };
        let words = compose(Occasion::Failure, &killed, "shop", "web1");
        assert!(words.text.contains("with exit code 137.") && !words.text.contains("Not good"));
        let hinted = RunRecord {
            hint: Some("start sshd".to_owned()),
            ..record()
        };
        let words = compose(Occasion::Failure, &hinted, "shop", "web1");
        assert!(words.text.contains("\nWhat to do: start sshd\n"));
    }

    #[test]
    fn each_occasion_has_its_words() {
        let begun = RunRecord::begun("id".to_owned(), Job::Backup, DateTime::UNIX_EPOCH);
        let skipped = RunRecord {
            skipped: Some(SkipReason::Unchanged),
            ..begun.clone()
        };
        let timed = RunRecord {
            duration_seconds: Some(3.1),
            ..begun.clone()
        };
        for (occasion, record, says) in [
            (Occasion::Start, &begun, "Backup of s on h began."),
            (Occasion::Success, &begun, "Backup of s on h succeeded."),
            (
                Occasion::Skipped,
                &skipped,
                "Backup of s on h was skipped: nothing has changed since the newest archive.",
            ),
            (Occasion::Partial, &begun, "Backup of s on h is incomplete."),
            (
                Occasion::Stale,
                &timed,
                "Backups of s on h are not healthy.",
            ),
            (
                Occasion::Recovered,
                &timed,
                "Backups of s on h are healthy again.",
            ),
            (
                Occasion::DrillFailed,
                &begun,
                "Restore drill of s on h failed.",
            ),
            (
                Occasion::Test,
                &timed,
                "Test of the notifications of s on h.",
            ),
        ] {
            let text = compose(occasion, record, "s", "h").text;
            assert_eq!(text.lines().next(), Some(says));
            let has_advice = text.contains("What to do: ");
            let is_told = matches!(
                occasion,
                Occasion::Partial | Occasion::Stale | Occasion::DrillFailed | Occasion::Test
            );
            assert_eq!(has_advice, is_told, "{text}");
        }
    }

    #[test]
    fn long_reasons_and_many_destinations_are_cut() {
        let mut long = record();
        long.error = Some("x".repeat(10_000));
        let one = long.destinations[1].clone();
        long.destinations.extend(vec![one; 100]);
        let text = compose(Occasion::Failure, &long, "s", "h").text;
        assert!(text.contains("; and 93 more\n"), "{text}");
        assert!(text.chars().count() < 1500, "{}", text.len());
        assert!(text.lines().count() <= 9);
    }
}
