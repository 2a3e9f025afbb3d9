//! A simulation of a policy over time: archives are made at a fixed interval, and the policy is applied after each.

use chrono::{DateTime, Days, NaiveDate, SecondsFormat, Utc};

use super::{
    archive::{Archive, Standing},
    judge::judge,
    policy::Policy,
    rules::{self, CalendarArchive},
    span::Span,
    verdict::Judged,
};
use crate::model::limits::{MAX_SIMULATED_ARCHIVES, MAX_SIMULATED_DAYS, MAX_SIMULATED_VERDICTS};

/// The result of a simulation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simulation {
    /// The number of archives that were made.
    pub made: usize,
    /// The most archives that were held at once after a run, and the first time of that.
    pub most: Most,
    /// The days of the policy's calendar, from the day of the first archive on.
    pub days: Vec<Day>,
    /// The archives that are held at the end, newest first, each with the reasons.
    pub held: Vec<Judged>,
}

/// The most archives that were held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Most {
    /// The number of archives.
    pub archives: usize,
    /// The first time at which so many were held.
    pub time: DateTime<Utc>,
}

/// A day of a simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// Its date.
    pub date: NaiveDate,
    /// The number of archives that were held when the day ended.
    pub held: usize,
}

/// Simulates an archive at `start` and one after each further `every`, for `days` days, all of them good, and applies
/// the policy after each. Refuses more work than a computer can do while the user waits.
pub fn simulate(
    policy: &Policy,
    start: DateTime<Utc>,
    days: u32,
    every: Span,
) -> Result<Simulation, String> {
    if days == 0 || days > MAX_SIMULATED_DAYS {
        return Err(format!(
            "from 1 to {MAX_SIMULATED_DAYS} days can be simulated"
        ));
    }
    let times = times(policy, start, days, every)?;
    let date = |time: &DateTime<Utc>| policy.zone().local(*time).date();
    let last_date = times.last().map_or(NaiveDate::MIN, date);
    let dates = date(&start).iter_days().enumerate();
    let mut simulation = Simulation {
        made: times.len(),
        most: Most {
            archives: 0,
            time: start,
        },
        days: dates
            .take_while(|(number, date)| *number < days as usize || *date <= last_date)
            .map(|(_, date)| Day { date, held: 0 })
            .collect(),
        held: Vec::new(),
    };
    // Oldest first, so that a new one goes to the end.
    let mut held: Vec<CalendarArchive> = Vec::new();
    let (mut day, mut verdicts) = (0, 0);
    for time in &times {
        let today = date(time);
        while simulation.days.get(day).is_some_and(|day| day.date < today) {
            simulation.days[day].held = held.len();
            day += 1;
        }
        held.push(CalendarArchive::new(*time, policy.zone()));
        if !policy.is_empty() {
            verdicts += held.len();
            if verdicts > MAX_SIMULATED_VERDICTS {
                return Err(too_many("so many archives that stay"));
            }
            let grounds = rules::apply(held.iter().rev(), policy);
            let mut oldest_first = grounds.iter().rev();
            held.retain(|_| oldest_first.next().is_some_and(rules::Grounds::is_kept));
        }
        if held.len() > simulation.most.archives {
            simulation.most = Most {
                archives: held.len(),
                time: *time,
            };
        }
    }
    for day in &mut simulation.days[day..] {
        day.held = held.len();
    }
    let archive = |placed: &CalendarArchive| Archive {
        name: placed.time.to_rfc3339_opts(SecondsFormat::Secs, true),
        time: placed.time,
        number: 0,
        standing: Standing::Good,
        mark: None,
        arrival: None,
    };
    let now = times.last().copied().unwrap_or(start);
    simulation.held = judge(held.iter().map(archive).collect(), policy, now);
    Ok(simulation)
}

/// Returns the times at which archives are made, beginning with `start`.
fn times(
    policy: &Policy,
    start: DateTime<Utc>,
    days: u32,
    every: Span,
) -> Result<Vec<DateTime<Utc>>, String> {
    let end = (policy.zone().local(start))
        .checked_add_days(Days::new(u64::from(days)))
        .and_then(|end| policy.zone().instant(end))
        .unwrap_or(DateTime::<Utc>::MAX_UTC);
    let mut times = vec![start];
    for number in 1.. {
        let Some(time) = every.after(start, number, policy.zone()) else {
            break;
        };
        if time >= end {
            break;
        }
        // A date that a zone skipped has the moment of the next date.
        if times.last().is_some_and(|last| *last < time) {
            times.push(time);
        }
        if times.len() > MAX_SIMULATED_ARCHIVES {
            return Err(too_many(&format!(
                "more than {MAX_SIMULATED_ARCHIVES} archives"
            )));
        }
    }
    Ok(times)
}

fn too_many(what: &str) -> String {
    format!("{what} cannot be simulated: ask for fewer days, or for archives less often")
}
