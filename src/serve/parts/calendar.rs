//! The days of some months as calendars, in which days with archives lead to them.

use chrono::{DateTime, Datelike as _, Days, Months, NaiveDate};
use maud::{Markup, html};

use super::{state::State, strip::DAY};

/// A day of a calendar.
#[derive(Debug, Clone)]
pub struct Dated {
    /// The day, in UTC, counted from the epoch.
    pub day: i64,
    /// The state of its archives.
    pub state: State,
    /// The number of its archives.
    pub archives: u64,
    /// The address of its archives.
    pub address: String,
}

/// Returns the first day of the first month that a calendar of this many months has, counted from the epoch.
pub fn first_day(today: i64, months: u32) -> i64 {
    let first = naive(today).and_then(|today| today.with_day(1));
    let first = first.and_then(|first| first.checked_sub_months(Months::new(months - 1)));
    first.map_or(today, number)
}

/// Writes a calendar of the month of today and those before it, the oldest first. A week begins on Monday.
pub fn calendar(days: &[Dated], today: i64, months: u32) -> Markup {
    let starts = (0..months).filter_map(|month| {
        let first = naive(first_day(today, months))?;
        first.checked_add_months(Months::new(month))
    });
    html! { div .calendar { @for start in starts { (month(start, days, today)) } } }
}

fn month(start: NaiveDate, days: &[Dated], today: i64) -> Markup {
    let monday =
        start.checked_sub_days(Days::new(u64::from(start.weekday().num_days_from_monday())));
    let monday = monday.map_or(0, number);
    let next = start.checked_add_months(Months::new(1)).map_or(0, number);
    let weeks = (0..6).map(|week| monday + 7 * week);
    html! {
        table {
            caption { (start.format("%B %Y").to_string()) }
            thead { tr {
                @for name in ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"] {
                    th scope="col" abbr=(name) { (&name[..2]) }
                }
            } }
            tbody {
                @for week in weeks.filter(|week| *week < next) {
                    tr { @for day in week..week + 7 {
                        @if (number(start)..next).contains(&day) { (cell(day, days, today)) } @else { td {} }
                    } }
                }
            }
        }
    }
}

fn cell(day: i64, days: &[Dated], today: i64) -> Markup {
    let of_month = naive(day).map_or(0, |date| date.day());
    let found = days.iter().find(|dated| dated.day == day);
    let current = (day == today).then_some("date");
    html! {
        @match found {
            Some(dated) => td .(dated.state.class()) aria-current=[current] {
                a href=(dated.address) aria-label=(words(dated)) { (of_month) }
            },
            None => td aria-current=[current] { (of_month) },
        }
    }
}

fn words(dated: &Dated) -> String {
    // The name of a link begins with what it shows.
    let date = naive(dated.day).map(|date| date.format("%-d %B %Y").to_string());
    let (date, count) = (date.unwrap_or_default(), dated.archives);
    let noun = if count == 1 { "archive" } else { "archives" };
    match dated.state {
        State::Good => format!("{date}: {count} {noun}"),
        _ => format!("{date}: {count} {noun}, none of them usable"),
    }
}

fn naive(day: i64) -> Option<NaiveDate> {
    let time = DateTime::from_timestamp(day.checked_mul(DAY)?, 0)?;
    Some(time.date_naive())
}

fn number(date: NaiveDate) -> i64 {
    let midnight = date.and_hms_opt(0, 0, 0);
    midnight.map_or(0, |time| time.and_utc().timestamp().div_euclid(DAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calendar_begins_with_the_first_of_the_month_and_links_days_with_archives() {
        // 1970-03-05, a Thursday; March 1970 began on a Sunday.
        assert_eq!(first_day(63, 1), 59);
        assert_eq!(first_day(63, 3), 0);
        let dated = Dated {
            day: 60,
            state: State::Good,
            archives: 2,
            address: "/x".to_owned(),
        };
        let drawn = calendar(&[dated], 63, 1).into_string();
        let day =
            r#"<td class="good"><a href="/x" aria-label="2 March 1970: 2 archives">2</a></td>"#;
        for text in [
            "March 1970",
            day,
            r#"<td aria-current="date">5</td>"#,
            "<td>31</td>",
        ] {
            assert!(drawn.contains(text), "{text}: {drawn}");
        }
        assert_eq!(drawn.matches("<tr>").count(), 7);
        assert_eq!(drawn.matches("<td></td>").count(), 11);
    }

    #[test]
    fn a_day_beyond_the_years_of_the_clock_is_no_panic() {
        calendar(&[], i64::MAX, 3);
        calendar(&[], i64::MIN, 3);
    }
}
