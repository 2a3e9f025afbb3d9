//! Patience of work that needs the state for itself: another hookshot may read it at that moment.

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
/// The time between two attempts at first, and at last.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(2)];

/// Does `work`, again and again while another hookshot holds the state, within two minutes. `work` gets the number of
/// the attempt.
pub fn patiently(
    stop: &Stop,
    mut work: impl FnMut(usize) -> Result<ApplyReport>,
) -> Result<ApplyReport> {
    let begun = Instant::now();
    let [mut pause, longest] = PAUSES;
    for attempt in 0.. {
        let result = work(attempt);
        let is_locked =
            (result.as_ref().err()).is_some_and(|error| Failure::of(error).kind == Kind::Blocked);
        if !is_locked || begun.elapsed() >= LOCKED || stop.check().is_err() {
            return result;
        }
        thread::sleep(pause);
        pause = longest.min(pause * 2);
    }
    work(0)
}

/// Returns the context of a way back, which signals do not end: half of the way would be worse. What is killed there is
/// ended by the next hookshot.
pub fn to_its_end(context: &Context) -> Context {
    Context {
        stop: Stop::default(),
        ..context.clone()
    }
}
