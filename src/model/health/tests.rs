//! The table of histories: each with the problems and remarks that it has.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::model::{
    archive_name::{ArchiveName, Ending},
    note::{Accepted, Unchanged},
    retention::Standing,
    run_record::{DestinationRecord, Job, RunRecord, RunResult},
};

fn now() -> DateTime<Utc> {
    "2026-11-21T12:00:00Z".parse().expect("a time")
}

fn name(hours: i64) -> ArchiveName {
    ArchiveName::new("a", now() - TimeDelta::hours(hours)).expect("a name")
}

/// Returns an archive that is so many hours old, of so many bytes of content, which shrink to a tenth.
fn seen(hours: i64, content_bytes: u64) -> Seen {
    Seen {
        name: name(hours).file_name(0, Ending::Plain),
        order: name(hours).order(),
        is_early: false,
        size_bytes: content_bytes / 10,
        content_bytes: Some(content_bytes),
        standing: Standing::Good,
    }
}

fn with(standing: Standing, seen: Seen) -> Seen {
    Seen { standing, ..seen }
}

fn sealed(seen: Seen) -> Seen {
    Seen {
        content_bytes: None,
        ..seen
    }
}

fn nights(contents: &[u64]) -> Vec<Seen> {
    let hours = (0..).map(|night| 9 + 24 * night);
    hours
        .zip(contents)
        .map(|(hours, bytes)| seen(hours, *bytes))
        .collect()
}

fn holding(archives: Vec<Seen>) -> Facts {
    Facts {
        archives,
        ..Facts::default()
    }
}

fn unchanged(hours: i64, name: &ArchiveName) -> Option<Unchanged> {
    Some(Unchanged {
        time: now() - TimeDelta::hours(hours),
        run_id: "r".to_owned(),
        name: name.file_name(0, Ending::Plain),
        sha256: None,
    })
}

fn accepted(hours: i64) -> Option<Accepted> {
    Some(Accepted {
        time: now(),
        name: name(hours).file_name(0, Ending::Plain),
        content_bytes: None,
    })
}

fn limits() -> Limits {
    Limits {
        now: now(),
        max_age: DEFAULT_MAX_AGE,
    }
}

fn kinds(problems: &[Problem]) -> Vec<&'static str> {
    problems.iter().map(Problem::kind).collect()
}

#[track_caller]
fn is(facts: &Facts, problems: &[&str], remarks: &[&str]) -> Health {
    let health = judge(facts, limits());
    assert_eq!(kinds(&health.problems), problems, "{health:?}");
    assert_eq!(kinds(&health.remarks), remarks, "{health:?}");
    health
}

#[test]
fn a_destination_is_healthy_with_a_good_archive_of_last_night() {
    let health = is(&holding(nights(&[100, 100, 100])), &[], &[]);
    assert_eq!(health.newest_good, Some(0));
    assert_eq!(health.fresh_at, Some(now() - TimeDelta::hours(9)));
    assert!(health.blocks_prune().is_none());
    is(&holding(vec![seen(26, 1)]), &[], &[]);
    is(&holding(vec![with(Standing::Cold, seen(1, 1))]), &[], &[]);
    is(
        &holding(vec![with(Standing::Unproven, seen(1, 1))]),
        &[],
        &[],
    );
}

#[test]
fn an_old_one_is_stale_unless_a_run_says_that_it_still_holds() {
    let old = || vec![seen(500, 100)];
    let health = is(&holding(old()), &["stale"], &[]);
    let said = health.problems[0].to_string();
    let expected = format!(
        "the newest good archive, {}, is too old: 20d 20h, and at most 26h is allowed",
        name(500).file_name(0, Ending::Plain)
    );
    assert_eq!(said, expected);
    // Unchanged for weeks.
    let noted = |note| Facts {
        unchanged: note,
        ..holding(old())
    };
    let health = is(&noted(unchanged(9, &name(500))), &[], &[]);
    assert_eq!(health.fresh_at, Some(now() - TimeDelta::hours(9)));
    is(&noted(unchanged(27, &name(500))), &["stale"], &[]);
    // Of an archive that is gone, and from a clock that was wrong.
    is(&noted(unchanged(9, &name(501))), &["stale"], &[]);
    is(&noted(unchanged(-48, &name(500))), &["stale"], &[]);
    let damaged = Facts {
        archives: vec![with(Standing::Damaged, seen(400, 100)), seen(500, 100)],
        ..noted(unchanged(9, &name(400)))
    };
    is(&damaged, &["damaged", "stale"], &[]);
}

#[test]
fn what_holds_nothing_good_says_so() {
    is(&holding(Vec::new()), &["empty"], &[]);
    let damaged = |hours| with(Standing::Damaged, seen(hours, 100));
    let health = is(&holding(vec![damaged(1)]), &["damaged", "none_good"], &[]);
    assert_eq!(health.newest_good, None);
    let health = is(&holding(vec![damaged(1), seen(2, 100)]), &["damaged"], &[]);
    assert_eq!(health.newest_good, Some(1));
    assert!(health.blocks_prune().is_some());
    let torn = vec![with(Standing::Torn, seen(1, 100)), seen(2, 100)];
    is(&holding(torn), &[], &["torn"]);
    let incomplete = vec![with(Standing::Incomplete, seen(1, 0)), seen(2, 100)];
    is(&holding(incomplete), &["damaged"], &[]);
    // Those beyond the inspected ones are not known.
    let mut many: Vec<Seen> = (1..=11).map(damaged).collect();
    many.push(seen(12, 100));
    is(&holding(many), &["damaged", "none_good"], &[]);
}

#[test]
fn a_size_that_fell_is_said_until_it_is_accepted() {
    is(&holding(nights(&[50, 100])), &[], &[]);
    let health = is(&holding(nights(&[49, 100])), &["shrunk"], &[]);
    let said = health.problems[0].to_string();
    assert!(said.ends_with("holds: 49 B after 100 B"), "{said}");
    assert!(health.problems[0].hint().contains("prune --yes"));
    assert!(health.blocks_prune().is_some());
    // And again the next night: compared with the largest of the ten before it, not with the one before.
    is(&holding(nights(&[48, 49, 100])), &["shrunk"], &[]);
    let mut nine = vec![49; 10];
    nine.push(100);
    is(&holding(nights(&nine)), &["shrunk"], &[]);
    let mut ten = vec![49; 11];
    ten.push(100);
    is(&holding(nights(&ten)), &[], &[]);
    // One that is damaged tells no size.
    let mut archives = nights(&[49, 60, 100]);
    archives[2].standing = Standing::Damaged;
    is(&holding(archives), &[], &[]);

    let accepting = |note, contents: &[u64]| Facts {
        accepted: note,
        ..holding(nights(contents))
    };
    is(&accepting(accepted(9), &[49, 100]), &[], &[]);
    is(&accepting(accepted(33), &[48, 49, 100]), &[], &[]);
    // It shrinks again after the acceptance.
    is(&accepting(accepted(33), &[20, 49, 100]), &["shrunk"], &[]);
    is(&accepting(accepted(57), &[49, 100, 50]), &["shrunk"], &[]);
}

#[test]
fn sizes_are_those_of_the_content_or_else_as_stored() {
    let sealed_nights = |contents: &[u64]| nights(contents).into_iter().map(sealed);
    let health = is(
        &holding(sealed_nights(&[400, 1000]).collect()),
        &["shrunk"],
        &[],
    );
    let said = health.problems[0].to_string();
    assert!(
        said.ends_with("40 B after 100 B, as they are stored"),
        "{said}"
    );
    let mut archives = nights(&[400, 1000]);
    archives[1] = sealed(archives[1].clone());
    is(&holding(archives), &["shrunk"], &[]);
    is(&holding(nights(&[201, 100, 90])), &[], &["doubled"]);
    is(&holding(nights(&[200, 100, 90])), &[], &[]);
    is(&holding(nights(&[201, 100, 101])), &[], &[]);
}

#[test]
fn the_advice_about_an_early_archive_is_the_clock_of_the_store_and_not_to_delete() {
    let early = |hours| Seen {
        is_early: true,
        ..seen(hours, 1)
    };
    let health = is(&holding(vec![early(1), seen(9, 1)]), &["future"], &[]);
    let hint = health.problems[0].hint();
    assert!(hint.contains("the clock of the store"), "{hint}");
    assert!(hint.contains("`hookshot keep --remove`"), "{hint}");
    assert!(
        !hint.contains("delete") && !hint.contains("this machine"),
        "{hint}"
    );
    // One in the future as well has its own advice.
    let archives = vec![seen(-25, 1), early(1), early(2), seen(9, 1)];
    let health = is(&holding(archives), &["future", "future"], &[]);
    assert!(health.problems[0].hint().contains("set the clock"));
    let said = health.problems[1].to_string();
    assert!(
        said.starts_with("2 archives are dated after they were written"),
        "{said}"
    );
}

#[test]
fn dates_in_the_future_are_said_and_count_as_nothing() {
    is(&holding(vec![seen(-23, 100)]), &[], &[]);
    let facts = holding(vec![seen(-25, 1), seen(9, 100), seen(33, 100)]);
    let health = is(&facts, &["future"], &[]);
    assert_eq!(health.newest_good, Some(1));
    is(&holding(vec![seen(-25, 1)]), &["future"], &[]);
    is(
        &holding(vec![seen(-25, 1), seen(99, 1)]),
        &["future", "stale"],
        &[],
    );
}

#[test]
fn room_for_the_next_archive_is_asked_for() {
    let with_room = |room_bytes| Facts {
        room_bytes: Some(room_bytes),
        ..holding(nights(&[1000, 1000]))
    };
    is(&with_room(100), &[], &[]);
    is(&with_room(99), &["no_room"], &[]);
}

fn run(job: Job, hours: i64, result: RunResult) -> RunRecord {
    let begun = now() - TimeDelta::hours(hours);
    let record = RunRecord::begun(format!("{}-{hours}", job.name()), job, begun);
    RunRecord { result, ..record }
}

#[track_caller]
fn runs_are(runs: &[RunRecord], living: Option<usize>, problems: &[&str], remarks: &[&str]) {
    let facts = RunFacts {
        runs,
        living: living.map(|at| &runs[at]),
        now: now(),
    };
    let (found, said) = judge_runs(&facts);
    assert_eq!(
        (kinds(&found), kinds(&said)),
        (problems.to_vec(), remarks.to_vec())
    );
}

#[test]
fn the_last_run_of_each_job_counts() {
    use RunResult::{Failure, Partial, Running, Skipped, Success};
    runs_are(&[], None, &[], &[]);
    let backup = |hours, result| run(Job::Backup, hours, result);
    runs_are(&[backup(33, Failure), backup(9, Success)], None, &[], &[]);
    runs_are(
        &[backup(33, Success), backup(9, Failure)],
        None,
        &["run_failed"],
        &[],
    );
    runs_are(&[backup(9, Skipped)], None, &[], &[]);
    runs_are(&[backup(9, Partial)], None, &[], &["run_partial"]);
    // One that is at work says nothing yet, and one that is not was killed.
    let last = [backup(33, Failure), backup(9, Running)];
    runs_are(&last, Some(1), &["run_failed"], &[]);
    runs_are(&last, None, &["run_killed"], &[]);
    let drill = [run(Job::Drill, 50, Failure), backup(9, Success)];
    runs_are(&drill, None, &["drill_failed"], &[]);
    // Neither a skipped one nor a later one of a mere file makes it good.
    let skipped = [run(Job::Drill, 50, Failure), run(Job::Drill, 1, Skipped)];
    runs_are(&skipped, None, &["drill_failed"], &[]);
    runs_are(&[run(Job::Status, 1, Failure)], None, &[], &[]);
    runs_are(&[backup(-30, Success)], None, &["clock_back"], &[]);
    runs_are(&[backup(-20, Success)], None, &[], &[]);
}

#[test]
fn the_newest_drill_of_a_destination_decides() {
    use RunResult::{Failure, Partial, Skipped, Success};
    let drill = |hours, result, destinations: &[(&str, bool)]| RunRecord {
        destinations: (destinations.iter())
            .map(|(name, good)| DestinationRecord {
                name: (*name).to_owned(),
                good: *good,
                error: (!good).then(|| "damaged".to_owned()),
                ..DestinationRecord::default()
            })
            .collect(),
        ..run(Job::Drill, hours, result)
    };
    let failed = drill(50, Failure, &[("one", false), ("two", true)]);
    let is = |later: &[RunRecord], one: bool, two: bool| {
        let runs = [std::slice::from_ref(&failed), later].concat();
        let found = |name: &str| drill_failed(&runs, name).is_none();
        assert_eq!((found("one"), found("two")), (one, two), "{later:?}");
        // The destinations have the problem, and not the runs.
        runs_are(&runs, None, &[], &[]);
    };
    is(&[], false, true);
    is(&[drill(9, Skipped, &[])], false, true);
    is(&[drill(9, Success, &[("/tmp/files", true)])], false, true);
    is(&[drill(9, Success, &[("two", true)])], false, true);
    is(&[drill(9, Success, &[("one", true)])], true, true);
    is(&[drill(9, Partial, &[("two", false)])], false, false);
    is(&[run(Job::Backup, 1, Success)], false, true);
}

#[test]
fn a_drill_is_due_only_where_a_limit_says_so() {
    let day = Some(Duration::from_secs(86_400));
    for (hours, max_age, problems) in [
        (None, None, vec![]),
        (None, day, vec!["drill_overdue"]),
        (Some(24), day, vec![]),
        (Some(25), day, vec!["drill_overdue"]),
        (Some(25), None, vec![]),
    ] {
        let drilled_at = hours.map(|hours| now() - chrono::TimeDelta::hours(hours));
        let found = max_age.and_then(|max_age| drill_overdue(drilled_at, max_age, now()));
        let found: Vec<Problem> = found.into_iter().collect();
        assert_eq!(kinds(&found), problems, "{hours:?} {max_age:?}");
    }
}

#[test]
fn an_archive_that_no_key_opens_counts_only_without_a_known_one() {
    let closed = |hours| with(Standing::Sealed, sealed(seen(hours, 100)));
    let health = is(
        &holding(vec![closed(1), seen(2, 100), closed(3)]),
        &[],
        &["sealed"],
    );
    assert_eq!(health.newest_good, Some(1));
    let health = is(&holding(vec![closed(1), closed(2)]), &[], &["sealed"]);
    assert_eq!(health.newest_good, Some(0));
    // It hides nothing of an own archive that is too old.
    is(
        &holding(vec![closed(1), seen(100, 100)]),
        &["stale"],
        &["sealed"],
    );
}
