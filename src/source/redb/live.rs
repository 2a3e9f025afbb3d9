//! A database that a service is writing to: rounds of a walk until one misses nothing.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tracing::warn;

use super::{
    at_rest::{self, Before, Damage, Rest},
    header::Which,
    lock,
    pause::{self, Paused},
    snapshot::unfit,
    walk::{Missed, Round, Source, Walk},
};
use crate::{
    disk::holder::{self, Holder},
    error::{Failure, Kind},
};

/// Rounds that a walk makes whatever they take.
const LEAST_ROUNDS: u64 = 5;
/// Rounds after which a walk waits a little between them: two that run in step never meet otherwise.
const PATIENT_ROUNDS: u64 = 10;
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
/// Where they cannot be stopped, it goes on without. Fails with [`Kind::Snapshot`] where the file is damaged or no database.
pub fn rounds(
    walk: &mut Walk<'_>,
    path: &Path,
    holders: &[Holder],
    timeout: Duration,
    pause: Option<&Path>,
) -> Result<Ended> {
    let begun = Instant::now();
    let mut steady_since = None;
    let mut pause = pause;
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
        if is_steady && (is_over || is_abandoned(path)?) {
            return at_rest(walk, path, None);
        }
        if let Some(program) = pause
            && rounds >= ROUNDS_BEFORE_PAUSE
        {
            match stop(holders, program) {
                Ok(paused) => return at_standstill(walk, path, holders, &paused),
                Err(reason) => {
                    let who = holder::describe(holders);
                    warn!("{who} cannot be paused, the copy goes on beside it: {reason:#}");
                    pause = None;
                }
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

fn is_abandoned(path: &Path) -> Result<bool> {
    let reading = || format!("cannot read {}", path.display());
    let file = crate::disk::open_regular(path).with_context(reading)?;
    Ok(lock::probe(path, &file)?.is_empty())
}

fn at_rest(walk: &mut Walk<'_>, path: &Path, paused: Option<&Paused>) -> Result<Ended> {
    let rest = at_rest::settle(walk).with_context(|| format!("cannot copy {}", path.display()))?;
    match rest {
        Rest::Whole { rolled_back_from } => Ok(Ended::Copied {
            rolled_back_from,
            paused: paused.map(Paused::lasts),
        }),
        Rest::Damaged(damage) => Err(damage.failure(&path.display().to_string()).into()),
        Rest::Unfit(reason) => Err(unfit(path, &reason).into()),
    }
}

/// Stops those who hold the file.
fn stop(holders: &[Holder], program: &Path) -> Result<Paused> {
    let numbers: Option<Vec<u32>> = holders.iter().map(|holder| holder.pid).collect();
    let numbers = numbers
        .filter(|numbers| !numbers.is_empty())
        .context("its number cannot be seen from here (root sees it)")?;
    Paused::stop(program, &numbers)
}

fn at_standstill(
    walk: &mut Walk<'_>,
    path: &Path,
    holders: &[Holder],
    paused: &Paused,
) -> Result<Ended> {
    let ended = at_rest(walk, path, Some(paused));
    if ended.is_err() && paused.lasts() >= pause::LONGEST {
        let message = format!(
            "no consistent snapshot of {}: what is left to copy takes longer than {} may be paused, {} s",
            path.display(),
            holder::describe(holders),
            pause::LONGEST.as_secs()
        );
        return Err(Failure::new(Kind::Snapshot, message)
            .hint("export when the service is quieter, or stop it meanwhile")
            .into());
    }
    ended
}
