//! Spans of calendar time, written as restic writes them: `1y5m7d2h`.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Days, Months, NaiveDateTime, TimeDelta, Utc};

use super::calendar::Zone;

/// Years, months, weeks, days and hours, not all zero. The length depends on the date from which it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    years: u32,
    months: u32,
    weeks: u32,
    days: u32,
    hours: u32,
}

const SYNTAX: &str =
    "a span is numbers with the units y, m (months), w, d and h, such as `1y6m` or `30d`";

impl Span {
    /// Returns the moment one span before `time` on the calendar of `zone`. Years and months are subtracted first; if
    /// the month has no such day, its last day is taken. Then follow weeks and days, and then hours of elapsed time.
    /// Returns the beginning of time if the span is too long for the calendar.
    pub fn before(self, time: DateTime<Utc>, zone: Zone) -> DateTime<Utc> {
        self.earlier(time, zone).unwrap_or(DateTime::<Utc>::MIN_UTC)
    }

    fn earlier(self, time: DateTime<Utc>, zone: Zone) -> Option<DateTime<Utc>> {
        let (months, days) = self.calendar()?;
        let day = move_wall_clock(time, zone, (months, days), |local| {
            local.checked_sub_months(months)?.checked_sub_days(days)
        })?;
        day.checked_sub_signed(TimeDelta::hours(i64::from(self.hours)))
    }

    /// Returns the moment `number` spans after `time`, added in one step so that month ends do not add up. `None` if
    /// that is too long for the calendar.
    pub fn after(self, time: DateTime<Utc>, number: u32, zone: Zone) -> Option<DateTime<Utc>> {
        let (months, days) = self.times(number)?.calendar()?;
        let day = move_wall_clock(time, zone, (months, days), |local| {
            local.checked_add_months(months)?.checked_add_days(days)
        })?;
        let hours = i64::from(self.hours).checked_mul(i64::from(number))?;
        day.checked_add_signed(TimeDelta::try_hours(hours)?)
    }

    /// Returns the span `number` times over, without its hours.
    fn times(self, number: u32) -> Option<Span> {
        Some(Span {
            years: self.years.checked_mul(number)?,
            months: self.months.checked_mul(number)?,
            weeks: self.weeks.checked_mul(number)?,
            days: self.days.checked_mul(number)?,
            hours: 0,
        })
    }

    /// Returns the part that moves the date.
    fn calendar(self) -> Option<(Months, Days)> {
        let months = self.years.checked_mul(12)?.checked_add(self.months)?;
        let days = u64::from(self.weeks) * 7 + u64::from(self.days);
        Some((Months::new(months), Days::new(days)))
    }

    fn parts(self) -> [(u32, char); 5] {
        [
            (self.years, 'y'),
            (self.months, 'm'),
            (self.weeks, 'w'),
            (self.days, 'd'),
            (self.hours, 'h'),
        ]
    }
}

/// Moves the local time. A span of hours alone skips this step: a local time that occurs twice would become its first
/// occurrence.
fn move_wall_clock(
    time: DateTime<Utc>,
    zone: Zone,
    (months, days): (Months, Days),
    to: impl FnOnce(NaiveDateTime) -> Option<NaiveDateTime>,
) -> Option<DateTime<Utc>> {
    if months.as_u32() == 0 && days == Days::new(0) {
        return Some(time);
    }
    zone.instant(to(zone.local(time))?)
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Span, String> {
        let mut span = Span {
            years: 0,
            months: 0,
            weeks: 0,
            days: 0,
            hours: 0,
        };
        let mut named = Vec::new();
        let mut rest = text;
        while let Some(unit) = rest.find(|character: char| !character.is_ascii_digit()) {
            let (number, tail) = rest.split_at(unit);
            let mut characters = tail.chars();
            let unit = characters.next().expect("`find` found it");
            let place = match unit {
                'y' => &mut span.years,
                'm' => &mut span.months,
                'w' => &mut span.weeks,
                'd' => &mut span.days,
                'h' => &mut span.hours,
                _ => return Err(SYNTAX.to_owned()),
            };
            if number.is_empty() {
                return Err(format!("{SYNTAX}: no number before `{unit}`"));
            }
            if named.contains(&unit) {
                return Err(format!("{SYNTAX}: `{unit}` stands there twice"));
            }
            named.push(unit);
            *place = number
                .parse()
                .map_err(|_| format!("{SYNTAX}: the number before `{unit}` is too large"))?;
            rest = characters.as_str();
        }
        if !rest.is_empty() {
            return Err(format!("{SYNTAX}: no unit behind the last number"));
        }
        if named.is_empty() {
            return Err(SYNTAX.to_owned());
        }
        if span.parts().iter().all(|(number, _)| *number == 0) {
            return Err(format!("{SYNTAX}: this one is of no length"));
        }
        Ok(span)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, unit) in self.parts() {
            if number > 0 {
                write!(f, "{number}{unit}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::TZ_VARIANTS;
    use proptest::prelude::*;

    fn span(text: &str) -> Span {
        text.parse().expect(text)
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect(text)
    }

    fn zone(name: &str) -> Zone {
        name.parse().expect(name)
    }

    #[test]
    fn what_is_no_span_is_refused_with_what_is_wrong() {
        for (text, says) in [
            ("", "such as `1y6m`"),
            ("d", "no number before `d`"),
            ("30", "no unit"),
            ("1d30", "no unit"),
            ("1d2d", "`d` stands there twice"),
            ("0d", "no length"),
            ("0y0h", "no length"),
            ("99999999999d", "the number before `d` is too large"),
            ("-1d", "such as"),
            ("+1d", "such as"),
            ("1s", "such as"),
            ("1 d", "such as"),
            ("1D", "such as"),
            ("1d ", "such as"),
            ("١d", "such as"),
            ("forever", "such as"),
        ] {
            let fault = text.parse::<Span>().expect_err(text);
            assert!(fault.contains(says), "{text}: {fault}");
        }
    }

    #[test]
    fn units_may_stand_in_any_order_and_are_shown_from_long_to_short() {
        assert_eq!(span("2h7d5m1y").to_string(), "1y5m7d2h");
        assert_eq!(span("2w").to_string(), "2w");
        assert_eq!(span("0y007d").to_string(), "7d");
    }

    #[test]
    fn a_span_before_goes_by_the_calendar_of_the_zone() {
        for (time, text, name, expected) in [
            ("2026-03-31T12:00:00Z", "1m", "UTC", "2026-02-28T12:00:00Z"),
            ("2024-02-29T12:00:00Z", "1y", "UTC", "2023-02-28T12:00:00Z"),
            // The end of the month first, then the day.
            (
                "2026-03-31T12:00:00Z",
                "1m1d",
                "UTC",
                "2026-02-27T12:00:00Z",
            ),
            (
                "2026-03-31T12:00:00Z",
                "1w1h",
                "UTC",
                "2026-03-24T11:00:00Z",
            ),
            // A day with 23 hours, and one with 25.
            (
                "2026-03-29T10:00:00Z",
                "1d",
                "Europe/Berlin",
                "2026-03-28T11:00:00Z",
            ),
            (
                "2026-03-29T10:00:00Z",
                "24h",
                "Europe/Berlin",
                "2026-03-28T10:00:00Z",
            ),
            (
                "2026-10-25T11:00:00Z",
                "1d",
                "Europe/Berlin",
                "2026-10-24T10:00:00Z",
            ),
            // Into the gap: the moment of the jump.
            (
                "2026-03-30T00:30:00Z",
                "1d",
                "Europe/Berlin",
                "2026-03-29T01:00:00Z",
            ),
            // The second half past two, an hour after the first.
            (
                "2026-10-25T01:30:00Z",
                "1h",
                "Europe/Berlin",
                "2026-10-25T00:30:00Z",
            ),
            (
                "2011-12-30T22:00:00Z",
                "1d",
                "Pacific/Apia",
                "2011-12-30T10:00:00Z",
            ),
        ] {
            let found = span(text).before(at(time), zone(name));
            assert_eq!(found, at(expected), "{time} - {text} {name}");
        }
    }

    #[test]
    fn spans_after_do_not_drift_at_month_ends() {
        let start = at("2026-01-31T12:00:00Z");
        let ends: Vec<String> = (0..4)
            .map(|number| {
                span("1m")
                    .after(start, number, Zone::UTC)
                    .expect("in range")
            })
            .map(|time| time.date_naive().to_string())
            .collect();
        assert_eq!(
            ends,
            ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"]
        );
    }

    #[test]
    fn a_span_too_long_for_the_calendar_reaches_back_to_everything() {
        let time = at("2026-01-31T12:00:00Z");
        for text in [
            "4294967295y",
            "4294967295m",
            "4294967295w",
            "4294967295d",
            "400000y",
        ] {
            let span = span(text);
            assert_eq!(
                span.before(time, Zone::UTC),
                DateTime::<Utc>::MIN_UTC,
                "{text}"
            );
            assert_eq!(span.after(time, u32::MAX, Zone::UTC), None, "{text}");
        }
        assert_eq!(span("4294967295h").after(time, u32::MAX, Zone::UTC), None);
        assert!(span("4294967295h").before(time, Zone::UTC) < time);
    }

    fn any_span() -> impl Strategy<Value = Span> {
        let number = || prop_oneof![3 => Just(0), 4 => 0..50u32, 1 => any::<u32>()];
        let parts = (number(), number(), number(), number(), number());
        parts
            .prop_map(|(years, months, weeks, days, hours)| Span {
                years,
                months,
                weeks,
                days,
                hours,
            })
            .prop_filter("not of no length", |span| {
                span.parts().iter().any(|part| part.0 > 0)
            })
    }

    proptest! {
        #[test]
        fn a_span_reads_back(span in any_span()) {
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }

        #[test]
        fn a_span_before_is_not_later_and_a_span_after_is_not_earlier(
            span in any_span(),
            second in any::<i32>(),
            zone in proptest::sample::select(TZ_VARIANTS.to_vec()),
        ) {
            let zone = zone.name().parse().expect("its name");
            let time = DateTime::from_timestamp(i64::from(second), 0).expect("in range");
            prop_assert!(span.before(time, zone) <= time);
            prop_assert!(span.after(time, 1, zone).is_none_or(|after| after >= time));
        }

        #[test]
        fn no_text_makes_parsing_panic(text in "[0-9ymwdh äx+-]{0,12}|.*") {
            if let Ok(span) = text.parse::<Span>() {
                prop_assert_eq!(span.to_string().parse(), Ok(span));
            }
        }

        #[test]
        fn no_moment_makes_a_span_panic(span in any_span(), number in any::<u32>(), low in any::<bool>()) {
            let end = if low { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
            for zone in ["UTC", "Pacific/Apia", "America/New_York"] {
                let zone = zone.parse().expect("a zone");
                span.before(end, zone);
                span.after(end, number, zone);
            }
        }
    }
}
