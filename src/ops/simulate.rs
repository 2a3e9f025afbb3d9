//! `prune simulate`: the archives that a policy would hold over time.

use std::ffi::OsString;

use anyhow::Result;
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{catalog::target::Target, context::Context, model::written::rfc3339};
use crate::{
    config::Settings,
    error::{Failure, Kind},
    model::retention::{self, Policy, Span, Verdict},
};

/// The request for a simulation.
#[derive(Debug, Clone)]
pub struct SimulationRequest {
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
pub struct SimulationReport {
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
    pub most: MostHeld,
    /// The number of archives held at the end of each day.
    pub timeline: Vec<SimulatedDay>,
    /// The archives held in the end, the newest first.
    pub held: Vec<HeldArchive>,
}

/// The most archives that were held.
#[derive(Debug, Serialize)]
pub struct MostHeld {
    /// The number of archives.
    pub archives: usize,
    /// Since when.
    pub time: String,
}

/// One day.
#[derive(Debug, Serialize)]
pub struct SimulatedDay {
    /// Its date, in the zone of the policy.
    pub date: String,
    /// The number of archives held at its end.
    pub held: usize,
}

/// An archive that is held in the end.
#[derive(Debug, Serialize)]
pub struct HeldArchive {
    /// The time of the archive.
    pub time: String,
    /// The reasons why it stays.
    pub reasons: Vec<String>,
}

/// Simulates archives at fixed intervals, and applies the policy after each.
pub fn simulate(
    context: &Context,
    settings: &Settings,
    request: &SimulationRequest,
) -> Result<SimulationReport> {
    let configured = match &request.place {
        Some(place) => {
            Target::read(place)?
                .destination(context, settings)?
                .retention
        }
        None => settings.schema.retention,
    };
    let policy = request.policy.unwrap_or(configured.policy);
    let start = request.start.unwrap_or(context.now);
    let simulation = retention::simulate(&policy, start, request.days, request.every)
        .map_err(|fault| Failure::new(Kind::Usage, fault))?;
    let day = |day: &retention::Day| SimulatedDay {
        date: day.date.to_string(),
        held: day.held,
    };
    let held = simulation.held.into_iter().map(|judged| HeldArchive {
        time: rfc3339(judged.archive.time),
        reasons: match judged.verdict {
            Verdict::Keep(reasons) => reasons.iter().map(ToString::to_string).collect(),
            Verdict::Remove(removal) => vec![removal.to_string()],
        },
    });
    Ok(SimulationReport {
        policy,
        start: rfc3339(start),
        days: request.days,
        every: request.every.to_string(),
        made: simulation.made,
        most: MostHeld {
            archives: simulation.most.archives,
            time: rfc3339(simulation.most.time),
        },
        timeline: simulation.days.iter().map(day).collect(),
        held: held.collect(),
    })
}
