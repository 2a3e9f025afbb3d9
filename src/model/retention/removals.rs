//! The numbers of archives that a run would remove, as `max_remove` counts them.

use std::collections::HashSet;

use super::{Bucket, Count, Judged, Period, Policy, Rule, Standing, Verdict};

/// The numbers of archives of one prefix in one destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removals {
    /// The archives that would go, less those that are thinned out.
    pub remove: usize,
    /// All archives, less those that are thinned out.
    pub archives: usize,
    /// The archives that would go while another one of their day stays; with `keep_hourly`, of their hour.
    pub thinned: usize,
}

impl Removals {
    /// Counts verdicts by the calendar of their policy.
    ///
    /// An archive is thinned out only if a newer one of the same day stays that is not sealed, torn or bad. So a day
    /// with many archives, as the first one of a service, does not stop a nightly job.
    pub fn of(judged: &[Judged], policy: &Policy) -> Removals {
        let period = match policy.count(Rule::Each(Period::Hour)) {
            Count::Absent => Period::Day,
            Count::Of(_) | Count::All => Period::Hour,
        };
        let bucket = |judged: &Judged| Bucket::of(period, policy.zone().local(judged.archive.time));
        // The newest is first.
        let mut kept: HashSet<Bucket> = HashSet::new();
        let (mut remove, mut thinned) = (0, 0);
        for judged in judged {
            let standing = judged.archive.standing;
            let is_sound = matches!(standing, Standing::Good | Standing::Unproven);
            match judged.verdict {
                Verdict::Keep(_) if is_sound => drop(kept.insert(bucket(judged))),
                Verdict::Keep(_) => {}
                Verdict::Remove(_) if standing.counts() && kept.contains(&bucket(judged)) => {
                    thinned += 1;
                }
                Verdict::Remove(_) => remove += 1,
            }
        }
        Removals {
            remove,
            archives: judged.len() - thinned,
            thinned,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::retention::{Archive, Counts, Zone, judge};

    fn archives(times: &[&str]) -> Vec<Archive> {
        let archive = |time: &&str| Archive {
            name: (*time).to_owned(),
            time: time.parse().expect("a time"),
            number: 0,
            standing: Standing::Good,
            mark: None,
            arrival: None,
        };
        times.iter().map(archive).collect()
    }

    fn counted(archives: Vec<Archive>, counts: Counts) -> (usize, usize, usize) {
        let policy = Policy::new(counts, None, Zone::UTC);
        let now = "2026-11-21T20:00:00Z".parse().expect("a time");
        let removals = Removals::of(&judge(archives, &policy, now), &policy);
        (removals.remove, removals.archives, removals.thinned)
    }

    const FIRST_DAY: [&str; 7] = [
        "2026-11-21T09:00:00Z",
        "2026-11-21T09:01:00Z",
        "2026-11-21T09:20:00Z",
        "2026-11-21T10:00:00Z",
        "2026-11-21T11:00:00Z",
        "2026-11-21T12:00:00Z",
        "2026-11-20T02:00:00Z",
    ];

    #[test]
    fn archives_of_a_day_that_keeps_another_one_do_not_count() {
        let daily = Counts {
            daily: 7.into(),
            ..Counts::default()
        };
        assert_eq!(counted(archives(&FIRST_DAY), daily), (0, 2, 5));
        let last = Counts {
            last: 1.into(),
            ..Counts::default()
        };
        assert_eq!(counted(archives(&FIRST_DAY), last), (1, 2, 5));
    }

    #[test]
    fn hours_count_if_a_rule_keeps_hours() {
        let hourly = Counts {
            hourly: 2.into(),
            ..Counts::default()
        };
        // Twelve and eleven stay; nothing else of the hours of ten and nine does.
        assert_eq!(counted(archives(&FIRST_DAY), hourly), (5, 7, 0));
        let more = Counts {
            hourly: 9.into(),
            ..Counts::default()
        };
        assert_eq!(counted(archives(&FIRST_DAY), more), (0, 5, 2));
    }

    #[test]
    fn bad_archives_count_and_sealed_ones_thin_nothing_out() {
        let daily = Counts {
            daily: 1.into(),
            ..Counts::default()
        };
        let mut damaged = archives(&FIRST_DAY[..6]);
        for archive in &mut damaged[..5] {
            archive.standing = Standing::Damaged;
        }
        assert_eq!(counted(damaged, daily), (5, 6, 0));
        let mut sealed = archives(&FIRST_DAY[..6]);
        for archive in &mut sealed {
            archive.standing = Standing::Sealed;
        }
        assert_eq!(counted(sealed, daily).2, 0);
    }
}
