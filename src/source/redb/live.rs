//! A database that a service is writing to: rounds of a walk until one misses nothing.

use std::{
    cell::Cell,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tracing::warn;

use super::{
    at_rest::{self, Before, Damage, Rest},
    header::Which,
    lock::{self, Against, DatabaseLock},
    pause::Paused,
    walk::{Missed, Round, Source, Walk},
};
use crate::{
    disk::open_regular,
    error::{Failure, Kind},
};

/// Rounds that a walk makes whatever they take.
const LEAST_ROUNDS: u64 = 5;
/// Rounds after which a walk waits a little between them: two that run in step never meet otherwise.
const PATIENT_ROUNDS: u64 = 10;
/// How often a service is stopped, where it does not stand still.
const MOST_PAUSES: u32 = 3;
/// Rounds before a service is stopped: what they copy need not be read while it stands still.
const ROUNDS_BEFORE_PAUSE: u64 = 2;
/// A header that stays as it is for so long, while pages do not match and nobody has the file, is no commit on its way.
const STEADY: Duration = Duration::from_secs(2);

/// How the rounds ended.
pub enum Ended {
    /// A commit was copied.
    Copied {
        /// The commit that a crash had cut short, where the one before it was copied.
        rolled_back_from: Option<u64>,
        /// How long the service stood still.
        paused: Option<Duration>,
    },
    /// The time is over; what the last round missed.
    GaveUp(Missed),
}

/// Goes round by round for as long as `timeout` says, and at least five rounds. With `pause`, the program to start as a
/// guard, those who hold the file are stopped for the third.
///
/// Where they cannot be stopped, it goes on without. Fails with [`Kind::Snapshot`]
/// where the file is damaged or no database.
pub fn rounds(
    walk: &mut Walk<'_>,
    path: &Path,
    timeout: Duration,
    pause: Option<&Path>,
) -> Result<Ended> {
    let begun = Instant::now();
    let mut steady_since = None;
    let (mut pause, mut pauses) = (pause, 0);
    loop {
        let round = walk
            .round(Which::Primary, Source::Live)
            .with_context(|| format!("cannot copy {}", path.display()))?;
        let missed = match round {
            Round::Whole => {
                return Ok(Ended::Copied {
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
                    // Somebody has begun to write.
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
                    warn!("The service cannot be paused, the copy goes on beside it: {reason:#}");
                    pause = None;
                }
            }
            if pauses == MOST_PAUSES {
                pause = None;
            }
        }
        if is_over {
            return Ok(Ended::GaveUp(missed));
        }
        if rounds > PATIENT_ROUNDS {
            std::thread::sleep(Duration::from_millis(1 + rounds * 7 % 20));
        }
    }
}

/// The lock of a database that nobody has open any more.
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

/// What a database that was taken for one at rest came to; `None` where it was not.
fn ended(rest: Result<Rest>, path: &Path, paused: Option<Duration>) -> Result<Option<Ended>> {
    match rest.with_context(|| format!("cannot copy {}", path.display()))? {
        Rest::Whole { rolled_back_from } => Ok(Some(Ended::Copied {
            rolled_back_from,
            paused,
        })),
        Rest::Damaged(damage) => Err(damage.failure(&path.display().to_string()).into()),
        Rest::Disturbed => Ok(None),
        Rest::Unfit(reason) => Err(unfit(path, &reason).into()),
    }
}

/// The failure of a file that cannot be copied as a database, and why.
pub(super) fn unfit(path: &Path, reason: &str) -> Failure {
    Failure::new(
        Kind::Snapshot,
        format!("no consistent snapshot of {}: {reason}", path.display()),
    )
    .hint("is it a database of redb 3 or 4, and whole? nothing was written")
}

/// Stops those who have the file open for writing now.
fn stop(path: &Path, program: &Path) -> Result<Paused> {
    let file = open_regular(path)?;
    let holders = lock::probe_writers(path, &file)?;
    let numbers: Option<Vec<u32>> = holders.iter().map(|holder| holder.pid).collect();
    let numbers = numbers.context("its number cannot be seen from here (root sees it)")?;
    Paused::stop(program, &numbers, &file.metadata()?)
}

fn at_standstill(walk: &mut Walk<'_>, path: &Path, paused: Paused) -> Result<Option<Ended>> {
    let lasted = Cell::new(Duration::ZERO);
    let standstill = Standstill {
        paused,
        lasted: &lasted,
    };
    let rest = at_rest::settle(walk, standstill, |standstill| standstill.paused.holds());
    ended(rest, path, Some(lasted.get()))
}

/// A pause that tells how long it was.
struct Standstill<'a> {
    paused: Paused,
    lasted: &'a Cell<Duration>,
}

impl Drop for Standstill<'_> {
    fn drop(&mut self) {
        self.lasted.set(self.paused.lasts());
    }
}
