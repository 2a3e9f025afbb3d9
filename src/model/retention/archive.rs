//! An archive as retention sees it: its time, its standing, and its mark.

use std::{fmt, str::FromStr};

use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, TimeDelta, Utc};
use serde::Serialize;

use super::arrival::{Arrival, Timing};
use crate::model::archive_name::ArchiveOrder;

/// The longest time by which an archive may be ahead of this machine's clock: clocks and time zones differ, but not by
/// more than a day.
const AHEAD: TimeDelta = TimeDelta::hours(24);

/// Returns true if `time` is in the future: a clock is wrong, here or on the machine that made the archive. Code that
/// takes the newest archive for a restore, or counts from it, skips such an archive.
pub fn is_future(time: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    time.signed_duration_since(now) > AHEAD
}

/// The standing of an archive: the result of the last inspection. The names in JSON are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Read and found good.
    Good,
    /// Not inspected yet. It counts like a good one, and verdicts that rest on it say so.
    Unproven,
    /// Read, and a database in it may be a state that it never had. It counts, but it is never the newest good one.
    Torn,
    /// Present, in storage that has to be thawed before it can be read. The upload verified it; it counts like one that
    /// was not inspected.
    Cold,
    /// Sealed, and no key opens it; this machine did not prove it, or it changed since. It may be good, so it counts, but
    /// for itself: the verdicts on other archives are the same without it.
    Sealed,
    /// Read and refused.
    Damaged,
    /// Known to be incomplete: an upload that ended early, for example.
    Incomplete,
}

impl Standing {
    /// Returns true if the archive may represent a day or a month, and use up a count.
    pub fn counts(self) -> bool {
        matches!(
            self,
            Standing::Good
                | Standing::Unproven
                | Standing::Torn
                | Standing::Cold
                | Standing::Sealed
        )
    }

    /// Returns the word for it in JSON and for people.
    pub fn name(self) -> &'static str {
        match self {
            Standing::Good => "good",
            Standing::Unproven => "unproven",
            Standing::Torn => "torn",
            Standing::Cold => "cold",
            Standing::Sealed => "sealed",
            Standing::Damaged => "damaged",
            Standing::Incomplete => "incomplete",
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A user's request that an archive stays, whatever the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mark {
    /// Until this moment; then the policy decides.
    Until(DateTime<Utc>),
    /// Without end.
    Forever,
}

impl Mark {
    /// Returns true if the mark holds at `now`.
    pub fn holds(self, now: DateTime<Utc>) -> bool {
        match self {
            Mark::Until(end) => now < end,
            Mark::Forever => true,
        }
    }

    /// Returns the text of the mark, as it is stored and as reports have it: `forever`, or a time of RFC 3339.
    pub fn text(self) -> String {
        match self {
            Mark::Forever => "forever".to_owned(),
            Mark::Until(end) => end.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        }
    }
}

impl FromStr for Mark {
    type Err = String;

    /// Reads `forever`, a date (until it begins, in UTC), or a time of RFC 3339.
    fn from_str(text: &str) -> Result<Mark, String> {
        if text == "forever" {
            return Ok(Mark::Forever);
        }
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .ok()
            .filter(|date| date.to_string() == text)
            .map(|date| date.and_time(NaiveTime::MIN).and_utc());
        date.or_else(|| Some(DateTime::parse_from_rfc3339(text).ok()?.to_utc()))
            .map(Mark::Until)
            .ok_or_else(|| {
                "a mark is `forever`, a date such as `2027-01-01`, or a time of RFC 3339".to_owned()
            })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mark::Forever => f.write_str("forever"),
            Mark::Until(end) => write!(f, "until {}", moment(*end)),
        }
    }
}

/// Formats a time: as a date if it is midnight in UTC, else as in RFC 3339.
pub(super) fn moment(time: DateTime<Utc>) -> String {
    if time.time() == NaiveTime::MIN {
        time.date_naive().to_string()
    } else {
        time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
    }
}

/// An archive that a policy judges.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Archive {
    /// Its name, unique among the archives of the same destination.
    pub name: String,
    /// The time of its snapshot.
    pub time: DateTime<Utc>,
    /// The number that distinguishes it from older archives of the same time.
    pub number: u32,
    /// Its standing.
    pub standing: Standing,
    /// The mark by which a user keeps it, if it has one.
    pub mark: Option<Mark>,
    /// Its arrival, if its store tells when it came.
    pub arrival: Option<Arrival>,
}

impl Archive {
    /// Returns its position among archives.
    pub fn order(&self) -> ArchiveOrder {
        ArchiveOrder {
            time: self.time,
            number: self.number,
        }
    }

    /// Returns the relation of its arrival to its time.
    pub fn timing(&self) -> Timing {
        let timing = self.arrival.map(|arrival| arrival.timing(self.time));
        timing.unwrap_or(Timing::InTime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ahead_is_the_clocks_and_more_is_the_future() {
        let at = |text: &str| text.parse().expect("a time");
        let now = at("2026-11-21T03:00:00Z");
        for (time, future) in [
            ("2026-11-21T02:00:00Z", false),
            ("2026-11-22T03:00:00Z", false),
            ("2026-11-22T03:00:01Z", true),
        ] {
            assert_eq!(is_future(at(time), now), future, "{time}");
        }
        assert!(is_future(DateTime::<Utc>::MAX_UTC, now));
        assert!(!is_future(DateTime::<Utc>::MIN_UTC, now));
    }

    #[test]
    fn a_mark_reads_back_and_ends_when_its_date_begins() {
        for (text, shown) in [
            ("forever", "forever"),
            ("2027-01-01", "until 2027-01-01"),
            ("2027-01-01T00:00:00Z", "until 2027-01-01"),
            ("2027-01-01T12:00:00+01:00", "until 2027-01-01T11:00:00Z"),
        ] {
            assert_eq!(text.parse::<Mark>().expect(text).to_string(), shown);
        }
        let mark: Mark = "2027-01-01".parse().expect("a mark");
        let at = |text: &str| text.parse().expect("a time");
        assert!(mark.holds(at("2026-12-31T23:59:59Z")));
        assert!(!mark.holds(at("2027-01-01T00:00:00Z")));
        assert!(Mark::Forever.holds(DateTime::<Utc>::MAX_UTC));
    }

    #[test]
    fn what_is_no_mark_is_refused() {
        for text in [
            "",
            "Forever",
            "2027-1-1",
            "2027-02-30",
            "2027",
            "until 2027-01-01",
            "2027-01-01T12:00:00",
        ] {
            let fault = text.parse::<Mark>().expect_err(text);
            assert!(fault.starts_with("a mark is `forever`"), "{fault}");
        }
    }
}
