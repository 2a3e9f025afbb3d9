//! The rivals of an archive: those among which it is judged, by seals and by times of arrival.

use std::collections::BTreeSet;

use chrono::NaiveDate;

use super::{
    archive::{Archive, Standing},
    arrival::{Arrival, Timing},
};

/// The archives among which one is judged, besides itself: all that came in time, and some of the others.
///
/// If one of them takes the place of another, the rivals of the first are among those of the other one. So an archive
/// that stays for the one stays for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rivals {
    /// True if sealed archives are among them.
    pub sealed: bool,
    /// The last day of arrival of those that came late; `None` if none of them is among them.
    late_until: Option<NaiveDate>,
}

impl Rivals {
    /// Returns the rivals of each of these archives. Few differ: there are no more than days on which one came late.
    pub fn of_each(archives: &[Archive]) -> Vec<Rivals> {
        let days: BTreeSet<NaiveDate> =
            archives.iter().filter_map(late).map(Arrival::day).collect();
        let rivals = |archive: &Archive| {
            let until = late(archive).map(|arrival| arrival.first_day(archive.time));
            Rivals {
                sealed: archive.standing == Standing::Sealed,
                late_until: until.and_then(|until| days.range(..=until).next_back().copied()),
            }
        };
        archives.iter().map(rivals).collect()
    }

    /// Returns true if an archive is one of them. One that came late and was there before is not among its own.
    pub fn has(&self, archive: &Archive) -> bool {
        entry(archive) <= self.late_until && (self.sealed || archive.standing != Standing::Sealed)
    }
}

/// Returns the day from which on an archive that came late is a rival of others; `None` if it came in time.
pub fn entry(archive: &Archive) -> Option<NaiveDate> {
    late(archive).map(Arrival::day)
}

/// Returns the arrival of an archive that came late.
fn late(archive: &Archive) -> Option<Arrival> {
    archive.arrival.filter(|_| archive.timing() == Timing::Late)
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::*;

    #[test]
    fn thousands_that_were_there_before_and_came_on_one_day_have_the_same_rivals() {
        let now: DateTime<Utc> = "2026-11-30T12:00:00Z".parse().expect("a time");
        let archive = |number: i64| Archive {
            name: number.to_string(),
            time: now - TimeDelta::hours(25 + number),
            number: 0,
            standing: Standing::Good,
            mark: None,
            arrival: Arrival::told(now, true),
        };
        let archives: Vec<Archive> = (0..10_000).map(archive).collect();
        let rivals = Rivals::of_each(&archives);
        assert_eq!(rivals.iter().collect::<BTreeSet<_>>().len(), 1);
        assert!(archives.iter().all(|archive| !rivals[0].has(archive)));
    }
}
