//! The arrival of an archive: the time at which its store got it, compared with the time that the archive tells of itself.
//!
//! A thief that can write to a destination can make an archive of any time. The store's clock is not the thief's: an
//! archive that came at another time than its own takes no slot from one that came in time.

use chrono::{DateTime, Datelike as _, NaiveDate, TimeDelta, Utc};

/// The longest time between a snapshot and the arrival of its archive that is in time: an export may take hours, and clocks
/// differ.
const IN_TIME: TimeDelta = TimeDelta::hours(24);

/// The first year of an arrival. A disk image, or a copy without times, says 1970 or 1980: that tells nothing.
const FIRST_YEAR: i32 = 1990;

/// The time at which a store got an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrival {
    /// The time by the clock of the store.
    pub time: DateTime<Utc>,
    /// True if it was there before under another record: then it came earlier, and nothing tells when.
    pub was_there: bool,
}

/// The relation of an archive's arrival to its own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// It came within a day, or the store does not tell.
    InTime,
    /// It came more than a day after its time: it was copied, or it is dated back.
    Late,
    /// It came more than a day before its time: a clock was wrong, or it is dated ahead.
    Early,
}

impl Arrival {
    /// Returns the arrival at the `time` that a store tells; `None` if no archive can have come then.
    pub fn told(time: DateTime<Utc>, was_there: bool) -> Option<Arrival> {
        (time.year() >= FIRST_YEAR).then_some(Arrival { time, was_there })
    }

    /// Returns the relation of the arrival of an archive to its `time`.
    pub fn timing(self, time: DateTime<Utc>) -> Timing {
        if time.signed_duration_since(self.time) > IN_TIME {
            Timing::Early
        } else if self.time.signed_duration_since(time) > IN_TIME {
            Timing::Late
        } else {
            Timing::InTime
        }
    }

    /// Returns the day of the arrival; days make "not later than" an order in which what is copied at once is equal.
    pub fn day(self) -> NaiveDate {
        self.time.date_naive()
    }

    /// Returns the first day on which an archive of this `time` may have been there.
    pub fn first_day(self, time: DateTime<Utc>) -> NaiveDate {
        match self.was_there {
            true => self.time.min(time).date_naive(),
            false => self.day(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    #[test]
    fn a_day_is_in_time_both_ways() {
        let arrival = Arrival {
            time: at("2026-11-21T03:00:00Z"),
            was_there: false,
        };
        for (time, timing) in [
            ("2026-11-20T02:59:59Z", Timing::Late),
            ("2026-11-20T03:00:00Z", Timing::InTime),
            ("2026-11-22T03:00:00Z", Timing::InTime),
            ("2026-11-22T03:00:01Z", Timing::Early),
        ] {
            assert_eq!(arrival.timing(at(time)), timing, "{time}");
        }
        assert_eq!(arrival.timing(DateTime::<Utc>::MIN_UTC), Timing::Late);
        assert_eq!(arrival.timing(DateTime::<Utc>::MAX_UTC), Timing::Early);
    }

    #[test]
    fn a_time_before_every_store_tells_nothing() {
        for (time, is_told) in [
            ("1970-01-01T00:00:00Z", false),
            ("1980-01-01T00:00:00Z", false),
            ("1989-12-31T23:59:59Z", false),
            ("1990-01-01T00:00:00Z", true),
        ] {
            assert_eq!(Arrival::told(at(time), false).is_some(), is_told, "{time}");
        }
    }

    #[test]
    fn a_record_that_was_written_anew_may_have_been_there_since_its_time() {
        let time = at("2026-11-21T03:00:00Z");
        let mut arrival = Arrival {
            time: at("2026-12-24T18:00:00Z"),
            was_there: false,
        };
        assert_eq!(arrival.first_day(time), arrival.day());
        arrival.was_there = true;
        assert_eq!(arrival.first_day(time), time.date_naive());
    }
}
