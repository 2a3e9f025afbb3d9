//! Laws of timetables, over the changes of the clock in several zones.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::{Spread, Timetable};
use crate::model::{retention::Zone, run_record::Job};

/// One with the usual hour, one to the west, one with half an hour, one without, and one that goes back for Ramadan.
const ZONES: [&str; 5] = [
    "Europe/Madrid",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Africa/Casablanca",
];

fn zones() -> impl Strategy<Value = Zone> {
    prop::sample::select(&ZONES).prop_map(|name| name.parse().expect("a zone"))
}

/// Times near a change of the clock in 2026 in one of the zones, or anywhere in the year.
fn times() -> impl Strategy<Value = DateTime<Utc>> {
    let changes = [
        "2026-03-29T01:00:00Z",
        "2026-10-25T01:00:00Z",
        "2026-03-08T07:00:00Z",
        "2026-11-01T06:00:00Z",
        "2026-10-03T15:30:00Z",
        "2026-04-04T15:00:00Z",
        "2026-02-15T02:00:00Z",
        "2026-03-22T02:00:00Z",
    ];
    let near = (prop::sample::select(changes.to_vec()), -200_000i64..200_000);
    let near = near.prop_map(|(change, seconds)| {
        change.parse::<DateTime<Utc>>().expect("a time") + TimeDelta::seconds(seconds)
    });
    let any = 1_767_225_600i64..1_798_761_600;
    let any = any.prop_map(|seconds| DateTime::from_timestamp(seconds, 0).expect("a time"));
    prop_oneof![3 => near, 1 => any]
}

fn texts() -> impl Strategy<Value = String> {
    let days = ["mon", "tue,thu", "sat-sun", "sunday"];
    prop_oneof![
        (0u32..24, 0u32..60).prop_map(|(hour, minute)| format!("{hour:02}:{minute:02}")),
        (prop::sample::select(days.to_vec()), 0u32..24, 0u32..60)
            .prop_map(|(day, hour, minute)| format!("{day} {hour:02}:{minute:02}")),
        prop::sample::select(vec!["hourly", "daily", "weekly", "monthly"]).prop_map(str::to_owned),
        (1u32..60).prop_map(|step| format!("*/{step} * * * *")),
        (0u32..60, 1u32..12).prop_map(|(minute, step)| format!("{minute} */{step} * * *")),
        (0u32..60, 0u32..24, 1u32..29).prop_map(|(m, h, d)| format!("{m} {h} {d} * 1,3")),
    ]
}

/// Returns the moments after `from` up to `to` as the law says them: each local time that is named, at its first
/// instant, or at the end of the gap that swallows it.
fn by_the_law(
    text: &str,
    zone: Zone,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> BTreeSet<DateTime<Utc>> {
    // The same timetable without changes of the clock: in UTC a local time is an instant.
    let timetable: Timetable = text.parse().expect("a timetable");
    let local = |time: DateTime<Utc>| zone.local(time).and_utc();
    let begin = local(from) - TimeDelta::hours(3);
    let end = local(to) + TimeDelta::hours(3);
    let named = timetable
        .after(Zone::UTC, begin)
        .take_while(|time| *time <= end);
    let instants = named.map(|time| zone.instant(time.naive_utc()).expect("an instant"));
    instants
        .filter(|time| *time > from && *time <= to)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_local_time_comes_once_and_none_is_lost(text in texts(), zone in zones(), from in times()) {
        let timetable: Timetable = text.parse().expect("a timetable");
        let to = from + TimeDelta::hours(50);
        let found: Vec<_> = timetable.after(zone, from).take_while(|time| *time <= to).collect();
        prop_assert!(found.is_sorted_by(|one, next| one < next), "{:?}", found);
        let expected: Vec<_> = by_the_law(&text, zone, from, to).into_iter().collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn the_last_moment_is_the_one_before_the_next(text in texts(), zone in zones(), now in times()) {
        let timetable: Timetable = text.parse().expect("a timetable");
        let last = timetable.last(zone, now).expect("a moment");
        prop_assert!(last <= now);
        let next = timetable.next(zone, last).expect("a moment");
        prop_assert!(next > now, "{} {} {}", last, next, now);
        prop_assert_eq!(timetable.last(zone, next), Some(next));
        prop_assert_eq!(timetable.last(zone, next - TimeDelta::nanoseconds(1)), Some(last));
    }

    #[test]
    fn a_job_that_is_looked_at_now_and_then_starts_once_for_each_moment(
        text in texts(), zone in zones(), from in times(), steps in prop::collection::vec(-1800i64..20_000, 1..60),
    ) {
        let timetable: Timetable = text.parse().expect("a timetable");
        let (mut now, mut started) = (from, from);
        let mut starts = Vec::new();
        for step in steps {
            // The clock is set back now and then.
            now += TimeDelta::seconds(step);
            if let Some(moment) = timetable.due(zone, started, now) {
                starts.push(moment);
                started = now;
            }
        }
        prop_assert!(starts.is_sorted_by(|one, next| one < next), "{:?}", starts);
        // Nothing is due any more.
        prop_assert!(starts.last().is_none_or(|last| timetable.due(zone, started.max(*last), now).is_none()));
    }

    #[test]
    fn a_delay_is_within_its_bounds_and_always_the_same(
        text in texts(), zone in zones(), from in times(), jitter in 0u64..90_000, host in "[a-z]{1,8}",
    ) {
        let timetable: Timetable = text.parse().expect("a timetable");
        let jitter = Duration::from_secs(jitter);
        let spread = Spread { host: &host, app: "app", job: Job::Backup };
        let moment = timetable.next(zone, from).expect("a moment");
        let delay = timetable.delay(zone, moment, jitter, &spread);
        prop_assert!(delay <= jitter);
        let start = moment + TimeDelta::from_std(delay).expect("a time");
        prop_assert!(start < timetable.next(zone, moment).expect("a moment"));
        prop_assert_eq!(delay, timetable.delay(zone, moment, jitter, &spread));
    }
}

#[test]
fn delays_differ_by_host_job_and_moment() {
    let timetable: Timetable = "02:00".parse().expect("a timetable");
    let delay = |host: &str, job: Job, at: &str| {
        let at: NaiveDateTime = at.parse().expect("a time");
        let spread = Spread {
            host,
            app: "app",
            job,
        };
        timetable.delay(Zone::UTC, at.and_utc(), Duration::from_secs(1800), &spread)
    };
    let night = "2026-11-29T02:00:00";
    let one = delay("one", Job::Backup, night);
    assert_ne!(one, delay("two", Job::Backup, night));
    assert_ne!(one, delay("one", Job::Prune, night));
    assert_ne!(one, delay("one", Job::Backup, "2026-11-30T02:00:00"));
    let all: BTreeSet<u64> = (0..200)
        .map(|host| delay(&format!("host-{host}"), Job::Backup, night).as_secs() / 300)
        .collect();
    assert_eq!(all, (0..6).collect(), "they spread over the whole time");
}
