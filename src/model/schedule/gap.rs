//! The gaps of local time in the years to come: the times that a clock skips when it goes forward.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

use crate::model::retention::Zone;

/// The days for which gaps are looked up: ten years.
const DAYS: i64 = 3653;

/// A range of local times that the clock skips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The first time that it skips.
    pub begin: NaiveDateTime,
    /// The time that it shows instead.
    pub end: NaiveDateTime,
}

/// Returns the gaps of a zone within ten years from `now`.
pub fn of_years_to_come(zone: Zone, now: DateTime<Utc>) -> Vec<Gap> {
    let offset = |time: DateTime<Utc>| zone.local(time) - time.naive_utc();
    let mut gaps = Vec::new();
    for day in 0..DAYS {
        let (mut before, mut after) = (now + TimeDelta::days(day), now + TimeDelta::days(day + 1));
        let (old, new) = (offset(before), offset(after));
        if new <= old {
            continue;
        }
        while after - before > TimeDelta::seconds(1) {
            let middle = before + (after - before) / 2;
            match offset(middle) == old {
                true => before = middle,
                false => after = middle,
            }
        }
        // The change lies at a whole second, which `after` may exceed by less than one.
        let change = DateTime::from_timestamp(after.timestamp(), 0).unwrap_or(after);
        gaps.push(Gap {
            begin: change.naive_utc() + old,
            end: change.naive_utc() + new,
        });
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_found_to_the_second() {
        let now = "2026-11-29T20:15:30.123456789Z".parse().expect("a time");
        let of = |name: &str| of_years_to_come(name.parse().expect("a zone"), now);
        let at = |text: &str| text.parse::<NaiveDateTime>().expect("a time");
        let gap = |begin: &str, end: &str| Gap {
            begin: at(begin),
            end: at(end),
        };
        assert_eq!(
            of("Europe/Madrid")[0],
            gap("2027-03-28T02:00:00", "2027-03-28T03:00:00")
        );
        assert_eq!(
            of("Australia/Lord_Howe")[0],
            gap("2027-10-03T02:00:00", "2027-10-03T02:30:00")
        );
        assert_eq!(of("Europe/Madrid").len(), 10);
        assert_eq!(of("Asia/Kathmandu"), []);
    }
}
