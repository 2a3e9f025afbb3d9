//! The last days of a service as a row of marks, with the same in words.

use chrono::DateTime;
use maud::{Markup, html};

use super::state::State;

/// The days of a strip.
pub const STRIP_DAYS: i64 = 30;
/// The seconds of a day.
pub const DAY: i64 = 86_400;

/// Writes a mark for each day, the oldest first: high for an archive, half for a bad one, a dot for none.
///
/// `days` has the state of each of the days up to `today`, counted from the epoch.
pub fn strip(days: &[State], today: i64) -> Markup {
    let mut paths = [
        ("good", String::new()),
        ("late", String::new()),
        ("none", String::new()),
    ];
    for (place, day) in days.iter().enumerate() {
        let (index, top) = match day {
            State::Good => (0, 0),
            State::Late | State::Bad => (1, 10),
            State::Unknown => (2, 17),
        };
        let (x, height) = (place * 8, 20 - top);
        let mark = format!("M{x} {top}h6v{height}h-6z");
        paths[index].1.push_str(&mark);
    }
    let width = (days.len() * 8).saturating_sub(2);
    html! {
        svg .strip viewBox={ "0 0 " (width) " 20" } role="img" aria-label=(words(days, today)) {
            @for (class, path) in paths.iter().filter(|(_, path)| !path.is_empty()) { path class=(*class) d=(path) {} }
        }
    }
}

/// Says the same in words.
fn words(days: &[State], today: i64) -> String {
    let good = days.iter().filter(|day| **day == State::Good).count();
    let count = days.len();
    if good == count {
        return format!("An archive on each of the last {count} days");
    }
    let gap = days.iter().rposition(|day| *day != State::Good);
    let gap = gap.and_then(|place| i64::try_from(count - 1 - place).ok());
    let gap = gap.map(|before| date(today - before)).unwrap_or_default();
    format!("Archives on {good} of the last {count} days; the last day without one is {gap}")
}

/// Writes the date of a day, counted from the epoch.
pub fn date(day: i64) -> String {
    let time = DateTime::from_timestamp(day.saturating_mul(DAY), 0);
    time.map_or_else(
        || "-".to_owned(),
        |time| time.format("%Y-%m-%d").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strip_says_in_words_how_many_days_have_an_archive_and_the_last_gap() {
        use State::{Good, Late, Unknown};
        assert_eq!(
            words(&[Good, Good], 9),
            "An archive on each of the last 2 days"
        );
        let gap = "Archives on 2 of the last 4 days; the last day without one is 1970-01-09";
        assert_eq!(words(&[Unknown, Good, Late, Good], 9), gap);
        let drawn = strip(&[Unknown, Good, Late, Good], 9).into_string();
        for mark in ["M0 17h6v3", "M8 0h6v20", "M16 10h6v10", "M24 0h6v20"] {
            assert!(drawn.contains(mark), "{drawn}");
        }
        assert_eq!(date(i64::MAX), "-");
    }
}
