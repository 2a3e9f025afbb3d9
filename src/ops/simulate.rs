//! `prune simulate`: what a policy would hold over time.

use std::ffi::OsString;

use anyhow::Result;
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{catalog::destination::Destination, context::Context, model::written::rfc3339};
use crate::{
    config::Settings,
    error::{Failure, Kind},
    model::retention::{self, Policy, Span, Verdict},
};

/// The request for a simulation.
#[derive(Debug, Clone)]
pub struct Request {
    /// The destination whose policy is meant, instead of that of `[backup.retention]`.
    pub place: Option<OsString>,
    /// A policy in place of any that is configured.
    pub policy: Option<Policy>,
    /// The time of the first archive; `None` means now.
    pub start: Option<DateTime<Utc>>,
    /// The number of days that the simulation covers.
    pub days: u32,
    /// The interval between two archives.
    pub every: Span,
}

/// The results of a simulation.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The policy.
    pub policy: Policy,
    /// The time of the first archive.
    pub start: String,
    /// The number of days that the simulation covers.
    pub days: u32,
    /// The interval between two archives.
    pub every: String,
    /// The number of archives made.
    pub made: usize,
    /// The most that were held at once.
    pub most: Most,
    /// The number of archives held at the end of each day.
    pub timeline: Vec<Day>,
    /// The archives held in the end, the newest first.
    pub held: Vec<Held>,
}

/// The most archives that were held.
#[derive(Debug, Serialize)]
pub struct Most {
    /// The number of archives.
    pub archives: usize,
    /// Since when.
    pub time: String,
}

/// One day.
#[derive(Debug, Serialize)]
pub struct Day {
    /// Its date, in the zone of the policy.
    pub date: String,
    /// The number of archives held at its end.
    pub held: usize,
}

/// An archive that is held in the end.
#[derive(Debug, Serialize)]
pub struct Held {
    /// The time of the archive.
    pub time: String,
    /// The reasons why it stays.
    pub reasons: Vec<String>,
}

/// Lets archives be made and the policy be applied after each.
pub fn simulate(context: &Context, settings: &Settings, request: &Request) -> Result<Report> {
    let configured = match &request.place {
        Some(place) => Destination::open(context, settings, place)?.retention,
        None => settings.schema.retention,
    };
    let policy = request.policy.unwrap_or(configured.policy);
    let start = request.start.unwrap_or(context.now);
    let simulation = retention::simulate(&policy, start, request.days, request.every)
        .map_err(|fault| Failure::new(Kind::Usage, fault))?;
    let day = |day: &retention::Day| Day {
        date: day.date.to_string(),
        held: day.held,
    };
    let held = simulation.held.into_iter().map(|judged| Held {
        time: rfc3339(judged.archive.time),
        reasons: match judged.verdict {
            Verdict::Keep(reasons) => reasons.iter().map(ToString::to_string).collect(),
            Verdict::Remove(removal) => vec![removal.to_string()],
        },
    });
    Ok(Report {
        policy,
        start: rfc3339(start),
        days: request.days,
        every: request.every.to_string(),
        made: simulation.made,
        most: Most {
            archives: simulation.most.archives,
            time: rfc3339(simulation.most.time),
        },
        timeline: simulation.days.iter().map(day).collect(),
        held: held.collect(),
    })
}
