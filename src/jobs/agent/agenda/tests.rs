//! The agenda over made-up clocks.

use std::time::Duration;

use super::*;
use crate::model::retention::Zone;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

fn planned(jobs: &[(Job, &str)]) -> Planned {
    let jobs = jobs
        .iter()
        .map(|(job, text)| (*job, text.parse().expect("good")));
    Planned {
        app: "app".to_owned(),
        host: "host".to_owned(),
        zone: Zone::UTC,
        written_zone: None,
        jitter: Duration::ZERO,
        persistent: true,
        is_default: false,
        jobs: jobs.collect(),
    }
}

fn agenda(jobs: &[(Job, &str)], now: &str) -> Agenda {
    let mut agenda = Agenda::default();
    agenda.set(0, &planned(jobs), at(now), |_| None);
    agenda
}

fn jobs(dues: &[Due]) -> Vec<(usize, Job)> {
    dues.iter().map(|due| (due.config, due.job)).collect()
}

#[test]
fn a_job_starts_once_at_its_moment() {
    let mut agenda = agenda(&[(Job::Backup, "02:00")], "2026-11-29T01:00:00Z");
    assert_eq!(
        agenda.take_due(at("2026-11-29T01:59:59Z"), 1),
        Dues::default()
    );
    let next = agenda.next(at("2026-11-29T01:59:59Z")).expect("a start");
    assert_eq!(next.start.time, at("2026-11-29T02:00:00Z"));
    let dues = agenda.take_due(at("2026-11-29T02:00:00Z"), 1);
    assert_eq!(jobs(&dues.start), [(0, Job::Backup)]);
    agenda.ended(0, Job::Backup);
    // The clock is set back, and passes the moment again.
    for now in [
        "2026-11-29T02:00:01Z",
        "2026-11-29T01:30:00Z",
        "2026-11-29T02:00:00Z",
    ] {
        assert_eq!(agenda.take_due(at(now), 1), Dues::default(), "{now}");
    }
    let next = agenda.next(at("2026-11-29T01:30:00Z")).expect("a start");
    assert_eq!(next.start.time, at("2026-11-30T02:00:00Z"));
}

#[test]
fn missed_moments_are_made_up_for_once_by_the_history() {
    let mut agenda = Agenda::default();
    let nightly = planned(&[(Job::Backup, "02:00"), (Job::Drill, "02:00")]);
    let started = |job: Job| (job == Job::Backup).then(|| at("2026-11-20T02:00:01Z"));
    agenda.set(0, &nightly, at("2026-11-29T09:00:00Z"), started);
    let dues = agenda.take_due(at("2026-11-29T09:00:00Z"), 4);
    assert_eq!(jobs(&dues.start), [(0, Job::Backup)]);
    agenda.ended(0, Job::Backup);
    assert_eq!(
        agenda.take_due(at("2026-11-29T09:00:01Z"), 4),
        Dues::default()
    );
    let mut idle = Planned {
        persistent: false,
        ..nightly
    };
    idle.jobs.truncate(1);
    let mut agenda = Agenda::default();
    agenda.set(0, &idle, at("2026-11-29T09:00:00Z"), started);
    assert_eq!(
        agenda.take_due(at("2026-11-29T09:00:00Z"), 4),
        Dues::default()
    );
    // The machine slept through a night.
    let dues = agenda.take_due(at("2026-11-30T09:00:00Z"), 4);
    assert_eq!((jobs(&dues.start).len(), jobs(&dues.passed).len()), (0, 1));
}

#[test]
fn a_run_that_outlives_the_next_start_is_followed_by_one_more() {
    let mut hourly = agenda(&[(Job::Backup, "hourly")], "2026-11-29T01:30:00Z");
    assert_eq!(
        hourly.take_due(at("2026-11-29T02:00:00Z"), 1).start.len(),
        1
    );
    let during = hourly.take_due(at("2026-11-29T03:00:00Z"), 1);
    assert_eq!((during.start.len(), jobs(&during.wait).len()), (0, 1));
    assert_eq!(
        hourly.take_due(at("2026-11-29T03:00:30Z"), 1),
        Dues::default(),
        "said once"
    );
    hourly.take_due(at("2026-11-29T04:00:00Z"), 1);
    hourly.ended(0, Job::Backup);
    assert_eq!(
        hourly.take_due(at("2026-11-29T04:30:00Z"), 1).start.len(),
        1
    );
    hourly.ended(0, Job::Backup);
    assert_eq!(
        hourly.take_due(at("2026-11-29T04:31:00Z"), 1),
        Dues::default()
    );
}

#[test]
fn jobs_of_one_configuration_never_run_at_once() {
    let mut agenda = agenda(
        &[(Job::Backup, "02:00"), (Job::Prune, "02:00")],
        "2026-11-29T01:00:00Z",
    );
    agenda.set(
        1,
        &planned(&[(Job::Backup, "02:00")]),
        at("2026-11-29T01:00:00Z"),
        |_| None,
    );
    agenda.set(
        2,
        &planned(&[(Job::Backup, "02:00")]),
        at("2026-11-29T01:00:00Z"),
        |_| None,
    );
    let now = at("2026-11-29T02:00:00Z");
    assert_eq!(
        jobs(&agenda.take_due(now, 2).start),
        [(0, Job::Backup), (1, Job::Backup)]
    );
    assert_eq!(agenda.running(), 2);
    agenda.ended(0, Job::Backup);
    assert_eq!(jobs(&agenda.take_due(now, 2).start), [(0, Job::Prune)]);
    agenda.ended(1, Job::Backup);
    assert_eq!(jobs(&agenda.take_due(now, 2).start), [(2, Job::Backup)]);
}

#[test]
fn a_new_schedule_does_not_repeat_what_was_done() {
    let mut agenda = agenda(&[(Job::Backup, "02:00")], "2026-11-29T01:00:00Z");
    let now = at("2026-11-29T02:30:00Z");
    assert_eq!(agenda.take_due(now, 1).start.len(), 1);
    agenda.set(
        0,
        &planned(&[(Job::Backup, "02:15"), (Job::Drill, "02:20")]),
        now,
        |_| None,
    );
    assert_eq!(agenda.running(), 1);
    agenda.ended(0, Job::Backup);
    // 02:15 comes after 02:00, which was done; the drill is new.
    assert_eq!(jobs(&agenda.take_due(now, 1).start), [(0, Job::Backup)]);
    agenda.remove(0);
    assert!(!agenda.is_empty(), "it runs");
    agenda.ended(0, Job::Backup);
    assert!(agenda.is_empty());
}

#[test]
fn a_year_of_nights_has_one_start_each_over_changes_of_the_clock() {
    let mut night = planned(&[(Job::Backup, "02:30")]);
    night.zone = "Europe/Madrid".parse().expect("a zone");
    night.jitter = Duration::from_secs(1800);
    let mut now = at("2026-01-01T12:00:00Z");
    let mut agenda = Agenda::default();
    agenda.set(0, &night, now, |_| None);
    let mut starts = Vec::new();
    while now < at("2027-01-01T12:00:00Z") {
        for due in agenda.take_due(now, 1).start {
            let delay = now - due.start.moment;
            assert!(
                delay <= TimeDelta::minutes(31) && delay >= TimeDelta::zero(),
                "{delay}"
            );
            starts.push(due.start.moment);
            agenda.ended(0, Job::Backup);
        }
        let next = agenda.next(now).expect("a start").start.time;
        now = next
            .min(now + TimeDelta::minutes(47))
            .max(now + TimeDelta::seconds(1));
    }
    assert_eq!(starts.len(), 365);
    let days: std::collections::BTreeSet<_> = starts
        .iter()
        .map(|time| night.zone.local(*time).date())
        .collect();
    assert_eq!(days.len(), 365);
}
