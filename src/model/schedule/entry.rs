//! One text of a timetable. The only module that knows the crate croner.

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Timelike as _, Utc};
use croner::{Cron, parser::CronParser};

use crate::model::retention::Zone;

const FORMS: &str = "a time of a schedule is \"02:00\" (every day), \"sun 03:00\" or \"mon-fri 03:00\", \"hourly\", \
    \"daily\", \"weekly\", \"monthly\", or five fields of cron such as \"0 2 * * *\"";
/// The days of the week, Sunday first as in crontab(5).
const DAYS: [&str; 7] = [
    "sunday",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
];
const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
/// The words, with the fields of their day, and the hour and minute unless a time follows.
const WORDS: [(&str, &str, &str); 4] = [
    ("hourly", "* * *", "0 *"),
    ("daily", "* * *", "0 0"),
    ("weekly", "* * 1", "0 0"),
    ("monthly", "1 * *", "0 0"),
];
/// The longest time for which a clock goes back.
const LONGEST_REPEAT: TimeDelta = TimeDelta::hours(26);

/// One text of a timetable, and the local times that it names.
#[derive(Debug, Clone)]
pub struct Entry {
    text: String,
    cron: Cron,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.text == other.text
    }
}

impl Eq for Entry {}

impl Entry {
    /// Returns the text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the first moment after `after`.
    pub fn next(&self, zone: Zone, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // The instant never falls when the local time rises, so the first later instant is that of the first local time
        // that has one.
        let mut local = whole(zone.local(after))?;
        loop {
            local = self.cron.find_next_occurrence(&local, false).ok()?;
            let time = zone.instant(local)?;
            if time > after {
                return Some(time);
            }
        }
    }

    /// Returns the last moment at or before `now`.
    pub fn last(&self, zone: Zone, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let local = whole(zone.local(now))?;
        // Local times that the clock showed before it went back may be later than the present one.
        let before = now.checked_sub_signed(LONGEST_REPEAT)?;
        let unchanged = zone.local(before).checked_add_signed(LONGEST_REPEAT)?;
        let mut local = whole(unchanged)?.max(local);
        let mut is_inclusive = true;
        loop {
            local = self
                .cron
                .find_previous_occurrence(&local, is_inclusive)
                .ok()?;
            is_inclusive = false;
            let time = zone.instant(local)?;
            if time <= now {
                return Some(time);
            }
        }
    }

    /// Returns true if a local time from `begin` on, and before `end`, is one of them, and `end` is not.
    pub fn has_within(&self, begin: NaiveDateTime, end: NaiveDateTime) -> bool {
        let next = self.cron.find_next_occurrence(&begin, true);
        let is_end = self.cron.is_time_matching(&end).unwrap_or(false);
        next.is_ok_and(|next| next < end) && !is_end
    }

    /// Returns the calendar events of systemd.time(7), without a zone.
    pub fn on_calendar(&self) -> Vec<String> {
        let pattern = &self.cron.pattern;
        let time = format!(
            "{}:{}:{}",
            list(&pattern.hours.values(), 24),
            list(&pattern.minutes.values(), 60),
            list(&pattern.seconds.values(), 60)
        );
        let months = list(&pattern.months.values(), 12);
        let days = list(&pattern.days.values(), 31);
        let mut weekdays: Vec<u16> = pattern.days_of_week.values();
        weekdays.iter_mut().for_each(|day| *day %= 7);
        weekdays.sort_unstable();
        weekdays.dedup();
        let short = |day: &u16| {
            let name = DAYS[usize::from(*day)];
            format!("{}{}", name[..1].to_uppercase(), &name[1..3])
        };
        let weekdays: Vec<String> = weekdays.iter().map(short).collect();
        let weekdays = match weekdays.len() {
            7 => String::new(),
            _ => format!("{} ", weekdays.join(",")),
        };
        if pattern.is_dom_wildcard() || pattern.is_dow_wildcard() {
            return vec![format!("{weekdays}*-{months}-{days} {time}")];
        }
        // Either the day of the month, or the day of the week (crontab(5)).
        vec![
            format!("*-{months}-{days} {time}"),
            format!("{weekdays}*-{months}-* {time}"),
        ]
    }
}

impl FromStr for Entry {
    type Err = String;

    fn from_str(text: &str) -> Result<Entry, String> {
        let fields = fields(text).ok_or(FORMS)?;
        let cron = CronParser::new().parse(&fields).map_err(|_| FORMS)?;
        let some = NaiveDate::from_ymd_opt(2000, 1, 1).unwrap_or_default();
        if cron
            .find_next_occurrence(&some.and_time(chrono::NaiveTime::MIN), true)
            .is_err()
        {
            return Err("a time of a schedule names a day that never comes".to_owned());
        }
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(Entry { text, cron })
    }
}

/// Returns the fields of cron that a text means.
fn fields(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let text = text.strip_prefix('@').unwrap_or(&text).replace('@', " ");
    let text = text.replace(", ", ",");
    let words: Vec<&str> = text.split_whitespace().collect();
    if let [first, rest @ ..] = words.as_slice()
        && let Some((word, day, usual)) = WORDS.iter().find(|(word, ..)| word == first)
    {
        let time = match rest {
            [] => (*usual).to_owned(),
            [time] if *word != "hourly" => clock(time)?,
            _ => return None,
        };
        return Some(format!("{time} {day}"));
    }
    match words.as_slice() {
        [time] => Some(format!("{} * * *", clock(time)?)),
        [days, time] => Some(format!("{} * * {}", clock(time)?, weekdays(days)?)),
        [fields @ .., day, month, weekday] if matches!(fields.len(), 2 | 3) => {
            let numbers = fields.iter().chain([day]);
            let is_good = numbers.into_iter().all(|field| is_field(field, |_| false))
                && is_field(month, |word| MONTHS.contains(&word))
                && is_field(weekday, |word| DAYS.iter().any(|day| day[..3] == *word));
            is_good.then(|| words.join(" "))
        }
        _ => None,
    }
}

/// Returns the minute and the hour of `HH:MM`.
fn clock(time: &str) -> Option<String> {
    let (hour, minute) = time.split_once(':')?;
    let is_good = |text: &str, most: usize| {
        text.len() <= most && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_written = is_good(hour, 2) && is_good(minute, 2) && minute.len() == 2;
    let (hour, minute): (u32, u32) = (hour.parse().ok()?, minute.parse().ok()?);
    (is_written && hour < 24 && minute < 60).then(|| format!("{minute} {hour}"))
}

/// Returns the days of the week of `mon`, `mon,thursday` or `fri-sun`, as numbers.
fn weekdays(text: &str) -> Option<String> {
    let number = |name: &str| {
        let is_meant = |day: &&str| *name == **day || name == &day[..3];
        DAYS.iter().position(is_meant)
    };
    let mut days = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut day, last) = (number(first)?, number(last)?);
        days.push(day);
        while day != last {
            day = (day + 1) % 7;
            days.push(day);
        }
    }
    let days: Vec<String> = days.iter().map(usize::to_string).collect();
    Some(days.join(","))
}

/// Returns true if a field of cron has numbers, names that are known, `*`, lists, ranges and steps alone.
fn is_field(field: &str, is_name: impl Fn(&str) -> bool) -> bool {
    let is_word = |word: &str| {
        !word.is_empty() && (word.bytes().all(|byte| byte.is_ascii_digit()) || is_name(word))
    };
    field.split(',').all(|part| {
        let (range, step) = part.split_once('/').unwrap_or((part, "1"));
        let is_range = range == "*" || range.splitn(2, '-').all(is_word);
        is_range && is_word(step)
    })
}

/// Returns a local time without fractions of a second.
fn whole(local: NaiveDateTime) -> Option<NaiveDateTime> {
    local.with_nanosecond(0)
}

/// Returns values as systemd writes them; `all` is the number of all of them.
fn list(values: &[u16], all: usize) -> String {
    if values.len() == all {
        return "*".to_owned();
    }
    let values: Vec<String> = values.iter().map(|value| format!("{value:02}")).collect();
    values.join(",")
}
