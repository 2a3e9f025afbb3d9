//! A database that a service is writing to: rounds of a walk until one misses nothing.

use std::{
    cell::Cell,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{
    at_rest::{self, Before, Damage, Rest},
    header::SlotRole,
    lock::{self, Against, DatabaseLock},
    pause::Paused,
    walk::{Missed, Round, SourceState, Walk},
};
use crate::work::events::{Events, ExportEvent};
use crate::{
    disk::open_regular,
    error::{Failure, Kind},
};

/// The least number of rounds of a walk, whatever time they take.
const LEAST_ROUNDS: u64 = 5;
/// The number of rounds after which a walk waits a little between rounds: a walk in step with a writer would never
/// succeed otherwise.
const PATIENT_ROUNDS: u64 = 10;
/// The most pauses of a service that does not stand still.
const MOST_PAUSES: u32 = 3;
/// The number of rounds before a service is stopped: pages copied in them need not be read during the pause.
const ROUNDS_BEFORE_PAUSE: u64 = 2;
/// The time after which an unchanged header shows that no commit is on its way. It counts if pages do not match and no
/// process has the file open.
const STEADY: Duration = Duration::from_secs(2);

/// The end of the rounds.
pub enum RoundsEnd {
    /// A commit was copied.
    Copied {
        /// The commit that a crash cut short, if the previous one was copied.
        rolled_back_from: Option<u64>,
        /// The time for which the service was paused.
        paused: Option<Duration>,
    },
    /// The time is over; holds the pages that the last round missed.
    GaveUp(Missed),
}

/// Copies in rounds until `timeout` is over, and in at least five. If `pause` names the program to start as a guard,
/// the processes that hold the file are stopped for the third round.
///
/// If they cannot be stopped, the rounds go on without a pause. Fails with [`Kind::Snapshot`] if the file is damaged or
/// is not a database.
pub fn rounds(
    walk: &mut Walk<'_>,
    path: &Path,
    timeout: Duration,
    pause: Option<&Path>,
    events: &Events,
) -> Result<RoundsEnd> {
    let begun = Instant::now();
    let mut steady_since = None;
    let (mut pause, mut pauses) = (pause, 0);
    loop {
        let round = walk
            .round(SlotRole::Primary, SourceState::Live)
            .with_context(|| format!("cannot copy {}", path.display()))?;
        let missed = match round {
            Round::Whole => {
                return Ok(RoundsEnd::Copied {
                    rolled_back_from: None,
                    paused: None,
                });
            }
            Round::Unfit(reason) => return Err(unfit(path, &reason).into()),
            Round::Missed(missed) => missed,
        };
        if missed.is_damage {
            let damage = Damage {
                fault: missed.first,
                before: Before::Unknown,
            };
            return Err(damage.failure(&path.display().to_string()).into());
        }
        steady_since = missed
            .is_steady
            .then(|| steady_since.unwrap_or_else(Instant::now));
        let rounds = walk.walked().rounds;
        let is_steady = steady_since.is_some_and(|since| since.elapsed() >= STEADY);
        let is_over = begun.elapsed() > timeout && rounds >= LEAST_ROUNDS;
        if missed.is_steady && (is_over || is_steady) {
            let lock = lock_abandoned(path)?;
            if is_over || lock.is_some() {
                let rest = at_rest::settle(walk, lock, |_| true);
                match ended(rest, path, None)? {
                    Some(ended) => return Ok(ended),
                    // Another process began to write.
                    None => steady_since = None,
                }
            }
        }
        if let Some(program) = pause
            && rounds >= ROUNDS_BEFORE_PAUSE
        {
            pauses += 1;
            match stop(path, program) {
                Ok(paused) => {
                    if let Some(ended) = at_standstill(walk, path, paused)? {
                        return Ok(ended);
                    }
                }
                Err(reason) => {
                    let reason = format!("{reason:#}");
                    events.send(ExportEvent::NotPaused { reason });
                    pause = None;
                }
            }
            if pauses == MOST_PAUSES {
                pause = None;
            }
        }
        if is_over {
            return Ok(RoundsEnd::GaveUp(missed));
        }
        if rounds > PATIENT_ROUNDS {
            std::thread::sleep(Duration::from_millis(1 + rounds * 7 % 20));
        }
    }
}

/// Locks the database if no process has it open any more, else returns `None`.
fn lock_abandoned(path: &Path) -> Result<Option<DatabaseLock>> {
    let reading = || format!("cannot read {}", path.display());
    let file = open_regular(path).with_context(reading)?;
    if !lock::probe(path, &file)?.is_empty() {
        return Ok(None);
    }
    Ok(DatabaseLock::acquire(&file, Against::Writers)
        .with_context(reading)?
        .ok())
}

/// Converts the result of a walk over a database at rest. Returns `None` if the database was not at rest.
fn ended(rest: Result<Rest>, path: &Path, paused: Option<Duration>) -> Result<Option<RoundsEnd>> {
    match rest.with_context(|| format!("cannot copy {}", path.display()))? {
        Rest::Whole { rolled_back_from } => Ok(Some(RoundsEnd::Copied {
            rolled_back_from,
            paused,
        })),
        Rest::Damaged(damage) => Err(damage.failure(&path.display().to_string()).into()),
        Rest::Disturbed => Ok(None),
        Rest::Unfit(reason) => Err(unfit(path, &reason).into()),
    }
}

/// Returns the failure of a file that cannot be copied as a database, for `reason`.
pub(super) fn unfit(path: &Path, reason: &str) -> Failure {
    Failure::new(
        Kind::Snapshot,
        format!("no consistent snapshot of {}: {reason}", path.display()),
    )
    .hint("is it a database of redb 3 or 4, and whole? nothing was written")
}

/// Stops the processes that have the file open for writing now.
fn stop(path: &Path, program: &Path) -> Result<Paused> {
    let file = open_regular(path)?;
    let holders = lock::probe_writers(path, &file)?;
    let numbers: Option<Vec<u32>> = holders.iter().map(|holder| holder.pid).collect();
    let numbers = numbers.context("its number cannot be seen from here (root sees it)")?;
    Paused::stop(program, &numbers, &file.metadata()?)
}

fn at_standstill(walk: &mut Walk<'_>, path: &Path, paused: Paused) -> Result<Option<RoundsEnd>> {
    let lasted = Cell::new(Duration::ZERO);
    let standstill = Standstill {
        paused,
        lasted: &lasted,
    };
    let rest = at_rest::settle(walk, standstill, |standstill| standstill.paused.holds());
    ended(rest, path, Some(lasted.get()))
}

/// A pause that records its duration when it ends.
struct Standstill<'a> {
    paused: Paused,
    lasted: &'a Cell<Duration>,
}

impl Drop for Standstill<'_> {
    fn drop(&mut self) {
        self.lasted.set(self.paused.lasts());
    }
}
