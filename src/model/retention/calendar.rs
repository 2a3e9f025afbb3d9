//! The calendar of a time zone: the hour, day, ISO week, month and year of an instant.

use std::{fmt, str::FromStr};

use chrono::{
    DateTime, Datelike as _, IsoWeek, LocalResult, NaiveDate, NaiveDateTime, Offset as _,
    TimeZone as _, Timelike as _, Utc,
};
use chrono_tz::{GapInfo, TZ_VARIANTS, Tz};

/// A time zone of the IANA database that this hookshot was built with; UTC by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Zone(Tz);

impl Zone {
    /// The zone UTC.
    pub const UTC: Zone = Zone(Tz::UTC);

    /// Returns the name in the IANA database.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// Returns the local time at `time`.
    pub fn local(self, time: DateTime<Utc>) -> NaiveDateTime {
        let utc = time.naive_utc();
        let offset = self.0.offset_from_utc_datetime(&utc).fix();
        // Near chrono's limits the local time cannot be represented; fall back to UTC.
        utc.checked_add_offset(offset).unwrap_or(utc)
    }

    /// Returns the instant of the local time `local`: the first if clocks show it twice, and the moment of the jump if
    /// they skip it. `None` if chrono cannot represent the instant.
    pub fn instant(self, local: NaiveDateTime) -> Option<DateTime<Utc>> {
        match self.0.from_local_datetime(&local) {
            LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => Some(time.to_utc()),
            LocalResult::None => GapInfo::new(&local, &self.0)?.end.map(|time| time.to_utc()),
        }
    }
}

impl FromStr for Zone {
    type Err = String;

    fn from_str(name: &str) -> Result<Zone, String> {
        name.parse().map(Zone).map_err(|_| {
            let meant = TZ_VARIANTS
                .iter()
                .find(|zone| zone.name().eq_ignore_ascii_case(name.trim()))
                .map(|zone| format!("; did you mean `{zone}`?"))
                .unwrap_or_default();
            format!("a time zone has an IANA name, such as `UTC` or `Europe/Berlin`{meant}")
        })
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The periods that rules count, finest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// An hour of local time: if clocks show one twice, both are the same.
    Hour,
    /// A day of the calendar.
    Day,
    /// A week of ISO 8601: it begins on Monday and belongs to the year of its Thursday.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl Period {
    /// All periods, finest first.
    pub const ALL: [Period; 5] = [
        Period::Hour,
        Period::Day,
        Period::Week,
        Period::Month,
        Period::Year,
    ];

    /// Returns the adjective for an archive that is kept once in each period.
    pub fn adjective(self) -> &'static str {
        match self {
            Period::Hour => "hourly",
            Period::Day => "daily",
            Period::Week => "weekly",
            Period::Month => "monthly",
            Period::Year => "yearly",
        }
    }
}

/// One hour, day, week, month or year: archives in the same one are alternatives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    /// Day and hour.
    Hour(NaiveDate, u32),
    /// Day.
    Day(NaiveDate),
    /// ISO year and week.
    Week(IsoWeek),
    /// Year and month.
    Month(i32, u32),
    /// Year.
    Year(i32),
}

impl Bucket {
    /// Returns the bucket of a local time.
    pub fn of(period: Period, local: NaiveDateTime) -> Bucket {
        let date = local.date();
        match period {
            Period::Hour => Bucket::Hour(date, local.hour()),
            Period::Day => Bucket::Day(date),
            Period::Week => Bucket::Week(date.iso_week()),
            Period::Month => Bucket::Month(date.year(), date.month()),
            Period::Year => Bucket::Year(date.year()),
        }
    }

    /// Returns the kind of period.
    pub fn period(self) -> Period {
        match self {
            Bucket::Hour(..) => Period::Hour,
            Bucket::Day(_) => Period::Day,
            Bucket::Week(_) => Period::Week,
            Bucket::Month(..) => Period::Month,
            Bucket::Year(_) => Period::Year,
        }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.period().adjective())?;
        match self {
            Bucket::Hour(date, hour) => write!(f, "{date} {hour:02}h"),
            Bucket::Day(date) => write!(f, "{date}"),
            Bucket::Week(week) => write!(f, "{:04}-W{:02}", week.year(), week.week()),
            Bucket::Month(year, month) => write!(f, "{year:04}-{month:02}"),
            Bucket::Year(year) => write!(f, "{year:04}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    fn buckets(time: &str, zone: &str) -> [String; 5] {
        let local = zone.parse::<Zone>().expect("a zone").local(at(time));
        Period::ALL.map(|period| Bucket::of(period, local).to_string())
    }

    #[test]
    fn an_instant_is_in_the_buckets_of_its_zone() {
        assert_eq!(
            buckets("2026-12-31T23:30:00Z", "UTC"),
            [
                "hourly 2026-12-31 23h",
                "daily 2026-12-31",
                "weekly 2026-W53",
                "monthly 2026-12",
                "yearly 2026"
            ]
        );
        assert_eq!(
            buckets("2026-12-31T23:30:00Z", "Europe/Berlin"),
            [
                "hourly 2027-01-01 00h",
                "daily 2027-01-01",
                "weekly 2026-W53",
                "monthly 2027-01",
                "yearly 2027"
            ]
        );
        assert_eq!(
            buckets("2026-11-21T18:29:59Z", "Asia/Kolkata")[0],
            "hourly 2026-11-21 23h"
        );
        assert_eq!(
            buckets("2026-11-21T18:30:00Z", "Asia/Kolkata")[1],
            "daily 2026-11-22"
        );
    }

    #[test]
    fn a_time_that_the_clock_jumps_over_is_the_moment_of_the_jump() {
        for (zone, local, expected) in [
            (
                "Europe/Berlin",
                "2026-03-29T02:30:00",
                "2026-03-29T01:00:00Z",
            ),
            (
                "Europe/Berlin",
                "2026-10-25T02:30:00",
                "2026-10-25T00:30:00Z",
            ),
            (
                "America/New_York",
                "2026-03-08T02:00:00",
                "2026-03-08T07:00:00Z",
            ),
            // Half an hour: from 02:00 to 02:30.
            (
                "Australia/Lord_Howe",
                "2026-10-04T02:29:59",
                "2026-10-03T15:30:00Z",
            ),
            // A whole day: Samoa moved to the other side of the date line.
            (
                "Pacific/Apia",
                "2011-12-30T12:00:00",
                "2011-12-30T10:00:00Z",
            ),
        ] {
            let zone = zone.parse::<Zone>().expect("a zone");
            let local = local.parse().expect("a time");
            assert_eq!(zone.instant(local), Some(at(expected)), "{zone} {local}");
        }
    }

    #[test]
    fn the_ends_of_time_have_buckets_too() {
        for zone in TZ_VARIANTS.map(Zone) {
            for time in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
                let local = zone.local(time);
                for period in Period::ALL {
                    assert!(!Bucket::of(period, local).to_string().is_empty());
                }
                zone.instant(local);
            }
            zone.instant(NaiveDateTime::MIN);
            zone.instant(NaiveDateTime::MAX);
        }
    }

    #[test]
    fn a_zone_goes_by_its_iana_name() {
        let fault = |name: &str| name.parse::<Zone>().expect_err("no zone");
        assert!(fault("europe/berlin").ends_with("did you mean `Europe/Berlin`?"));
        for name in ["", "CEST", "+01:00", "Europe/Berln", "Local"] {
            assert!(!fault(name).contains("did you mean"), "{name}");
        }
        for name in ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires"] {
            assert_eq!(name.parse::<Zone>().expect("a zone").to_string(), name);
        }
        assert_eq!(Zone::default(), Zone::UTC);
    }
}
