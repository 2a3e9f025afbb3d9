//! Archives that came at another time than their own: copies, and those that a thief dates back or ahead.

use chrono::{DateTime, TimeDelta, Utc};

use super::{at, kept, said};
use crate::model::retention::{
    Archive, Arrival, Counts, Policy, Reason, Standing, Verdict, Zone, judge,
};

/// Returns a good archive of a time that came at another time.
fn archive(name: &str, time: DateTime<Utc>, arrival: DateTime<Utc>) -> Archive {
    Archive {
        name: name.to_owned(),
        time,
        number: 0,
        standing: Standing::Good,
        mark: None,
        arrival: Some(Arrival {
            time: arrival,
            was_there: false,
        }),
    }
}

fn day(number: i64) -> DateTime<Utc> {
    at("2026-01-01T03:00:00Z") + TimeDelta::days(number)
}

fn policy() -> Policy {
    let counts = Counts {
        last: 3.into(),
        daily: 7.into(),
        weekly: 4.into(),
        monthly: 6.into(),
        ..Counts::default()
    };
    Policy::new(counts, None, Zone::UTC)
}

/// Prunes what is there at `now`.
fn pruned(mut archives: Vec<Archive>, now: DateTime<Utc>) -> Vec<Archive> {
    let stays = kept(&judge(archives.clone(), &policy(), now));
    archives.retain(|one| stays.contains(&one.name));
    archives
}

/// The archives of so many nights, pruned each night, that came when they were made.
fn nights(count: i64) -> Vec<Archive> {
    (0..count).fold(Vec::new(), |mut archives, number| {
        let time = day(number);
        let arrival = time + TimeDelta::hours(2);
        archives.push(archive(&format!("night-{number:03}"), time, arrival));
        pruned(archives, arrival)
    })
}

#[test]
fn archives_that_are_dated_back_push_out_none_that_came_in_time() {
    let before = nights(200);
    let now = day(199) + TimeDelta::hours(5);
    let names = before.iter().map(|one| one.name.clone());
    let names: Vec<String> = names.collect();
    let mut attacked = before;
    // A minute before the end of each day, for every day but the last two.
    let forged = (0..197).map(|number| {
        let time = day(number) + TimeDelta::minutes(21 * 60 - 1);
        archive(&format!("forged-{number:03}"), time, now)
    });
    attacked.extend(forged);
    for later in [TimeDelta::zero(), TimeDelta::days(1), TimeDelta::days(2)] {
        attacked = pruned(attacked, now + later);
        let stays = |name: &String| attacked.iter().any(|one| one.name == *name);
        assert!(names.iter().all(stays), "{names:?} {attacked:?}");
    }
}

#[test]
fn a_repository_that_was_copied_is_pruned_as_before() {
    let nights: Vec<Archive> = (0..100)
        .map(|number| archive(&format!("{number:03}"), day(number), day(number)))
        .collect();
    let copied = |from: i64| {
        let copies = nights.clone().into_iter();
        let copies = copies.map(|one| Archive {
            arrival: Some(Arrival {
                time: day(100 + from),
                was_there: false,
            }),
            ..one
        });
        copies.collect::<Vec<_>>()
    };
    let now = day(100);
    let stays = |archives| kept(&judge(archives, &policy(), now));
    assert_eq!(stays(copied(0)), stays(nights.clone()));
    // A thief that comes another day pushes none of them out.
    let mut attacked = copied(0);
    let forged = (0..100).map(|number| {
        let time = day(number) + TimeDelta::hours(1);
        archive(&format!("forged-{number:03}"), time, day(102))
    });
    attacked.extend(forged);
    let left = kept(&judge(attacked, &policy(), day(102)));
    assert!(stays(copied(0)).is_subset(&left));
}

#[test]
fn copies_go_when_archives_that_came_in_time_take_their_places() {
    let copies = (0..60).map(|number| archive(&format!("copy-{number:03}"), day(number), day(60)));
    let mut archives: Vec<Archive> = copies.collect();
    for number in 60..400 {
        let time = day(number);
        archives.push(archive(&format!("night-{number:03}"), time, time));
        archives = pruned(archives, time);
    }
    let copies = archives
        .iter()
        .filter(|one| one.name.starts_with("copy"))
        .count();
    assert_eq!(copies, 0, "{archives:?}");
}

#[test]
fn copies_of_several_days_keep_at_most_what_the_policy_keeps_for_each_day() {
    // The oldest first, thirty a day.
    let copies = (0..90).map(|number| {
        let arrival = day(100 + number / 30);
        archive(&format!("{number:03}"), day(number), arrival)
    });
    let archives: Vec<Archive> = copies.collect();
    let of_one_day = archives.iter().map(|one| Archive {
        arrival: Some(Arrival {
            time: day(100),
            was_there: false,
        }),
        ..one.clone()
    });
    let least = kept(&judge(of_one_day.collect(), &policy(), day(103)));
    let stays = kept(&judge(archives, &policy(), day(103)));
    assert!(least.is_subset(&stays));
    assert!(stays.len() <= 3 * least.len(), "{stays:?}");
}

#[test]
fn a_record_that_was_written_anew_counts_for_itself_and_is_not_pushed_out_by_what_came_meanwhile() {
    let last = Counts {
        daily: 1.into(),
        ..Counts::default()
    };
    let policy = Policy::new(last, None, Zone::UTC);
    let hour = TimeDelta::hours(1);
    let earlier = archive("earlier", day(0), day(0));
    // Its mark was removed a week later.
    let mut marked = archive("marked", day(0) + hour, day(7));
    marked.arrival = marked.arrival.map(|arrival| Arrival {
        was_there: true,
        ..arrival
    });
    let forged = archive("forged", day(0) + hour * 2, day(5));
    let judged = judge(vec![earlier, marked, forged], &policy, day(7));
    assert_eq!(kept(&judged).len(), 3, "{:?}", said(&judged));
    // What comes in time takes its place.
    let newer = archive("newer", day(0) + hour * 3, day(0) + hour * 3);
    let mut archives: Vec<Archive> = judged.into_iter().map(|one| one.archive).collect();
    archives.push(newer);
    let judged = judge(archives, &policy, day(7));
    assert_eq!(kept(&judged).into_iter().collect::<Vec<_>>(), ["newer"]);
}

#[test]
fn one_that_is_dated_ahead_counts_for_nothing_even_when_its_time_has_come() {
    let planted = archive("planted", day(10) + TimeDelta::hours(1), day(3));
    let archives = vec![archive("night", day(10), day(10)), planted];
    let counts = Counts {
        last: 1.into(),
        ..Counts::default()
    };
    let policy = Policy::new(counts, None, Zone::UTC);
    for now in [day(4), day(11), day(400)] {
        let judged = judge(archives.clone(), &policy, now);
        let reasons = |name: &str| {
            let one = judged.iter().find(|one| one.archive.name == name);
            match one.map(|one| &one.verdict) {
                Some(Verdict::Keep(reasons)) => reasons.clone(),
                other => panic!("{other:?}"),
            }
        };
        let is_future = now == day(4);
        let ahead = match is_future {
            true => Reason::Future,
            false => Reason::Ahead,
        };
        assert_eq!(reasons("planted"), [ahead], "{now}");
        assert!(is_future || reasons("night").contains(&Reason::NewestGood));
    }
}
