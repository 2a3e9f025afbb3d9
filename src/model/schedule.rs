//! Timetables: the moments at which a job starts, as a configuration writes them.
//!
//! A timetable names local times of a zone, and each local time counts once. A time that the clock skips in spring comes
//! at once after the gap; one that the clock shows twice in autumn comes the first time only. systemd counts the same,
//! but loses the times of a gap: [`Timetable::on_calendar`] names those moments to it one by one.

mod entry;
mod gap;
mod jitter;
#[cfg(test)]
mod properties;

use std::{fmt, str::FromStr, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};

use self::entry::Entry;
pub use self::jitter::Spread;
use super::retention::Zone;

/// The time by which a clock may be set back for a start to count that lies in its future. A start further in the future
/// comes from a clock that was wrong.
const MOST_SET_BACK: TimeDelta = TimeDelta::days(1);

/// The moments among which the shortest interval is found: those of a year with one each day, and more.
const INTERVALS: usize = 500;

/// The moments at which a job starts: local times of the calendar, in any zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timetable {
    entries: Vec<Entry>,
}

impl Timetable {
    /// Returns the timetable of all the moments of several texts. `None` if there are none.
    pub fn of(texts: &[impl AsRef<str>]) -> Result<Option<Timetable>, String> {
        let entries = texts.iter().map(|text| text.as_ref().parse());
        let entries: Vec<Entry> = entries.collect::<Result<_, _>>()?;
        Ok((!entries.is_empty()).then_some(Timetable { entries }))
    }

    /// Returns the first moment after `after`. `None` at the end of the calendar.
    pub fn next(&self, zone: Zone, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let each = self.entries.iter();
        each.filter_map(|entry| entry.next(zone, after)).min()
    }

    /// Returns the last moment at or before `now`. `None` before the beginning of the calendar.
    pub fn last(&self, zone: Zone, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let each = self.entries.iter();
        each.filter_map(|entry| entry.last(zone, now)).max()
    }

    /// Returns the moments after `after`, in order.
    pub fn after(&self, zone: Zone, after: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> {
        std::iter::successors(self.next(zone, after), move |time| self.next(zone, *time))
    }

    /// Returns the moment whose start is due at `now` if the job last started at `last_started`: the newest one since
    /// then. Of several that were missed only this one is due, so they are made up for once.
    ///
    /// If the clock was set back by at most a day, no moment is due a second time. A start that lies further in the
    /// future does not count.
    pub fn due(
        &self,
        zone: Zone,
        last_started: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let newest = self.last(zone, now)?;
        let is_since = known(last_started, now).is_none_or(|started| started < newest);
        is_since.then_some(newest)
    }

    /// Returns the first moment that is still to come at `now` if the job last started at `last_started`.
    pub fn upcoming(
        &self,
        zone: Zone,
        last_started: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let started = known(last_started, now).unwrap_or(now);
        self.next(zone, started.max(now))
    }

    /// Returns the delay of the moment `moment`: the same each time for the same host, job and moment, at most
    /// `jitter`, and less than the time until the next moment.
    pub fn delay(
        &self,
        zone: Zone,
        moment: DateTime<Utc>,
        jitter: Duration,
        spread: &Spread<'_>,
    ) -> Duration {
        let until_next = self.next(zone, moment).map(|next| next - moment);
        let until_next = until_next.and_then(|time| time.to_std().ok());
        let most = until_next.map_or(jitter, |time| {
            jitter.min(time.saturating_sub(Duration::from_secs(1)))
        });
        spread.delay(moment, most)
    }

    /// Returns the shortest time between two moments, as in a zone that never sets its clock; `None` if only one moment
    /// comes. It is the same at any time.
    pub fn shortest_interval(&self) -> Option<Duration> {
        let times: Vec<_> = self
            .after(Zone::UTC, DateTime::<Utc>::UNIX_EPOCH)
            .take(INTERVALS)
            .collect();
        let shortest = times.windows(2).map(|pair| pair[1] - pair[0]).min();
        shortest.and_then(|time| time.to_std().ok())
    }

    /// Returns the moments as systemd.time(7) writes calendar events, each with `suffix` (the zone). `zone` and `now`
    /// say which moments fall into a gap of the clock in the years to come: systemd would lose them.
    pub fn on_calendar(&self, zone: Zone, now: DateTime<Utc>, suffix: &str) -> Vec<String> {
        let each = self.entries.iter();
        let mut events: Vec<String> = each.flat_map(Entry::on_calendar).collect();
        for gap in gap::of_years_to_come(zone, now) {
            let is_lost = |entry: &Entry| entry.has_within(gap.begin, gap.end);
            let event = gap.end.format("%Y-%m-%d %H:%M:%S").to_string();
            if self.entries.iter().any(is_lost) {
                events.push(event);
            }
        }
        let mut all: Vec<String> = Vec::new();
        for event in events {
            let event = match suffix {
                "" => event,
                suffix => format!("{event} {suffix}"),
            };
            if !all.contains(&event) {
                all.push(event);
            }
        }
        all
    }
}

/// Returns the start, unless it lies so far in the future that the clock was wrong.
fn known(last_started: DateTime<Utc>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    (last_started - now <= MOST_SET_BACK).then_some(last_started)
}

impl FromStr for Timetable {
    type Err = String;

    fn from_str(text: &str) -> Result<Timetable, String> {
        let entries = vec![text.parse()?];
        Ok(Timetable { entries })
    }
}

impl fmt::Display for Timetable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, entry) in self.entries.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{}", entry.text())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
