//! Patience of work that needs the state for itself: another hookshot may read it, or the service may be about to end.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    context::Context,
    error::{Failure, Kind},
    machine::report::ApplyReport,
    work::cancel::Stop,
};

/// The time for which work waits for another hookshot. An export of a large state takes longer, and then the failure
/// says so.
const LOCKED: Duration = Duration::from_secs(120);
/// The time for which it waits for processes that have the state open: a service may end after the command that stops
/// it.
const HELD: Duration = Duration::from_secs(15);
/// The time between two attempts at first, and at last.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(2)];

/// Does `work`, again and again while another hookshot reads the state, or processes have it open that end with the
/// service. `work` gets the number of the attempt.
pub fn patiently(
    stop: &Stop,
    mut work: impl FnMut(usize) -> Result<ApplyReport>,
) -> Result<ApplyReport> {
    let begun = Instant::now();
    let [mut pause, longest] = PAUSES;
    for attempt in 0.. {
        let result = work(attempt);
        let is_over = limit(&result).is_none_or(|limit| begun.elapsed() >= limit);
        if is_over || stop.check().is_err() {
            return result;
        }
        thread::sleep(pause);
        pause = longest.min(pause * 2);
    }
    work(0)
}

/// Returns the time for which a result of this kind may change by itself.
fn limit(result: &Result<ApplyReport>) -> Option<Duration> {
    match result {
        Ok(report) => {
            let mut blocked = report.blocked.iter();
            let only_held = blocked.all(|obstacle| obstacle.kind.ends_with_service());
            (only_held && !report.blocked.is_empty()).then_some(HELD)
        }
        Err(error) => (Failure::of(error).kind == Kind::Blocked).then_some(LOCKED),
    }
}

/// Returns the context of a way back, which signals do not end: half of the way would be worse. What is killed there is
/// ended by the next hookshot.
pub fn to_its_end(context: &Context) -> Context {
    Context {
        stop: Stop::default(),
        ..context.clone()
    }
}
