//! Patience on the way back: another hookshot may read the state at that moment.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    error::{Failure, Kind},
    machine::report::ApplyReport,
    work::cancel::Stop,
};

/// The time for which the way back waits for another hookshot. An export of a large state takes longer, and then the
/// failure says so.
const LIMIT: Duration = Duration::from_secs(120);
/// The time between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// Does `work`, again and again while another hookshot holds the state, within two minutes. `work` gets the number of
/// the attempt.
pub fn patiently(
    stop: &Stop,
    mut work: impl FnMut(usize) -> Result<ApplyReport>,
) -> Result<ApplyReport> {
    let begun = Instant::now();
    for attempt in 0.. {
        let result = work(attempt);
        let is_locked =
            (result.as_ref().err()).is_some_and(|error| Failure::of(error).kind == Kind::Blocked);
        if !is_locked || begun.elapsed() >= LIMIT || stop.check().is_err() {
            return result;
        }
        thread::sleep(PAUSE);
    }
    work(0)
}
