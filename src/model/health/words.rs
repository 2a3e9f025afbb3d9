//! The words for problems: what is wrong, and what to do.

use std::fmt;

use super::problem::{Comparison, Measure, Problem};
use crate::model::{
    readable::{size, span},
    run_record::Job,
    written::rfc3339,
};

/// The advice about a prefix that two machines share.
pub const OWN_PREFIX: &str = "give each machine and application a `[backup] prefix` of its own: retention, `latest`, `status` and \
    --if-changed take all archives of a prefix for those of one";

/// The advice about archives that are dated more than a day after their arrival. The clock of a store may be behind.
pub const EARLY: &str = "look at the clock of the store: it may be behind; once it is right, `hookshot keep` and `hookshot keep --remove` \
    write the record of an archive of yours anew";

impl Problem {
    /// Returns the word for its kind in JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Problem::Unreachable { .. } => "unreachable",
            Problem::NoKeys { .. } => "no_keys",
            Problem::Empty => "empty",
            Problem::NoneGood { .. } => "none_good",
            Problem::Stale { .. } => "stale",
            Problem::Damaged { .. } => "damaged",
            Problem::Shrunk(_) => "shrunk",
            Problem::Future { .. } => "future",
            Problem::ClockBack { .. } => "clock_back",
            Problem::NoRoom { .. } => "no_room",
            Problem::RunFailed {
                job: Job::Drill, ..
            } => "drill_failed",
            Problem::RunFailed { .. } => "run_failed",
            Problem::RunKilled { .. } => "run_killed",
            Problem::DrillOverdue { .. } => "drill_overdue",
            Problem::Doubled(_) => "doubled",
            Problem::Torn { .. } => "torn",
            Problem::Sealed { .. } => "sealed",
            Problem::NoneKnown { .. } => "none_known",
            Problem::NoKeyOpens { .. } => "no_key_opens",
            Problem::KeysUntried { .. } => "keys_untried",
            Problem::NotDelivered { .. } => "not_delivered",
            Problem::SharedPrefix { .. } => "shared_prefix",
            Problem::RunPartial { .. } => "run_partial",
        }
    }

    /// Returns what to do about it.
    pub fn hint(&self) -> String {
        let text = match self {
            Problem::Unreachable { hint, .. } => {
                return hint.clone().unwrap_or_else(|| {
                    "`hookshot check` tries it, and says which step fails".to_owned()
                });
            }
            Problem::NoKeys { hint, .. } => {
                return hint.clone().unwrap_or_else(|| {
                    "look at `identity_file` under [backup.encryption]".to_owned()
                });
            }
            Problem::Empty => "run `hookshot backup`, or look at `prefix` and at the address",
            Problem::NoneGood { .. } => {
                "`hookshot verify` says what is wrong with them; make a good one: `hookshot backup`"
            }
            Problem::Stale { .. } => {
                "`hookshot history` shows the last runs; make a new archive: `hookshot backup`"
            }
            Problem::Damaged { .. } => {
                "`hookshot verify` says what is wrong with it; make a good one: `hookshot backup`"
            }
            Problem::Shrunk(_) => {
                "`hookshot diff` of the two shows what is gone; if that is as it should be: `hookshot prune --yes`"
            }
            Problem::Future { now: None, .. } => EARLY,
            Problem::Future { .. } => {
                "set the clock, here or on the machine that made them; then delete archives with a wrong date"
            }
            Problem::ClockBack { .. } => "set this machine's clock",
            Problem::NoRoom { .. } => "free some space there, or keep fewer archives",
            Problem::RunFailed {
                job: Job::Drill, ..
            } => "rehearse it again by hand: `hookshot drill`",
            Problem::RunFailed { hint, job, .. } => {
                return hint
                    .clone()
                    .unwrap_or_else(|| format!("run it by hand: `hookshot {}`", job.name()));
            }
            Problem::RunKilled { job, .. } => {
                return format!(
                    "look at the log of the machine at that time; run it by hand: `hookshot {}`",
                    job.name()
                );
            }
            Problem::DrillOverdue { .. } => "rehearse a restore: `hookshot drill`",
            Problem::Doubled(_) => "`hookshot diff` of the two shows what is new",
            Problem::Torn { .. } => "export while the service pauses, or add `prepare`",
            Problem::Sealed { .. } => {
                "`hookshot verify` with a key (--identity FILE) proves what it holds"
            }
            Problem::NoneKnown { .. } => {
                "give a key (--identity FILE): then the archives themselves are asked; or agree to remove by date: `hookshot prune --yes`"
            }
            Problem::NotDelivered { .. } => "the next backup delivers it",
            Problem::SharedPrefix { .. } => OWN_PREFIX,
            Problem::NoKeyOpens { .. } | Problem::KeysUntried { .. } => {
                "`hookshot key test` says which key opens which archive; compare `recipients` and `identity_file` under [backup.encryption]"
            }
            Problem::RunPartial { .. } => "`hookshot history --json` has the details",
        };
        text.to_owned()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |error: &Option<String>| match error {
            Some(error) => format!(": {error}"),
            None => String::new(),
        };
        match self {
            Problem::Unreachable { message, .. } => write!(f, "it cannot be read: {message}"),
            Problem::NoKeys { message, .. } => {
                write!(f, "its archives cannot be judged: {message}")
            }
            Problem::Empty => f.write_str("it holds no archive"),
            Problem::NoneGood { count: 1 } => f.write_str("its only archive is not good"),
            Problem::NoneGood { count } => {
                write!(f, "none of its {count} newest archives is good")
            }
            Problem::Stale {
                name,
                age_seconds,
                max_age,
            } => write!(
                f,
                "the newest good archive, {name}, is too old: {}, and at most {} is allowed",
                span(*age_seconds),
                whole(max_age.as_secs())
            ),
            Problem::Damaged { name, standing } => {
                write!(f, "the newest archive, {name}, is {standing}")
            }
            Problem::Shrunk(compared) => write!(
                f,
                "the newest archive, {}, holds less than half of what {} holds: {}",
                compared.name,
                compared.before,
                Sizes(compared)
            ),
            Problem::Future { name, count, now } => {
                let how = match now {
                    Some(_) => "in the future",
                    None => "after they were written",
                };
                match (count, now) {
                    (1, Some(_)) => write!(f, "{name} is dated in the future")?,
                    (1, None) => write!(f, "{name} is dated after it was written")?,
                    (count, _) => {
                        write!(f, "{count} archives are dated {how}, the newest is {name}")?;
                    }
                }
                match now {
                    Some(now) => write!(f, "; this machine's clock says {}", rfc3339(*now)),
                    None => Ok(()),
                }
            }
            Problem::ClockBack { begun, now } => write!(
                f,
                "the history has a run that began at {}, and this machine's clock says {}",
                rfc3339(*begun),
                rfc3339(*now)
            ),
            Problem::NoRoom {
                room_bytes,
                needed_bytes,
            } => write!(
                f,
                "it has no room for the next archive: {} are free, and the newest takes {}",
                size(*room_bytes),
                size(*needed_bytes)
            ),
            Problem::RunFailed {
                job, begun, error, ..
            } => write!(
                f,
                "the last {} failed ({}){}",
                job.name(),
                rfc3339(*begun),
                of(error)
            ),
            Problem::RunKilled { job, begun } => write!(
                f,
                "the last {} did not end: the one that began at {} was killed",
                job.name(),
                rfc3339(*begun)
            ),
            Problem::DrillOverdue {
                age_seconds: None,
                max_age,
            } => write!(
                f,
                "no restore from here was rehearsed yet, and one is due every {}",
                whole(max_age.as_secs())
            ),
            Problem::DrillOverdue {
                age_seconds: Some(age),
                max_age,
            } => write!(
                f,
                "the last good drill of it is {} old, and one is due every {}",
                span(*age),
                whole(max_age.as_secs())
            ),
            Problem::Doubled(compared) => write!(
                f,
                "the newest archive, {}, holds more than twice of what {} holds: {}",
                compared.name,
                compared.before,
                Sizes(compared)
            ),
            Problem::Torn { name } => write!(
                f,
                "the newest archive, {name}, holds a database that may be torn"
            ),
            Problem::NoneKnown { count } => write!(
                f,
                "no archive there is known to be good, no key opens them, and {count} would go in favour of others like them"
            ),
            Problem::Sealed { name } => write!(
                f,
                "the newest archive, {name}, is sealed, no key opens it, and this machine does not know it"
            ),
            Problem::NoKeyOpens { name } => {
                write!(f, "no private key opens the newest archive, {name}")
            }
            Problem::KeysUntried { message } => {
                write!(
                    f,
                    "the private keys were not tried on the newest archive: {message}"
                )
            }
            Problem::NotDelivered { begun, error } => write!(
                f,
                "the last backup ({}) did not deliver to it: {error}",
                rfc3339(*begun)
            ),
            Problem::SharedPrefix { begun, foreign } => write!(
                f,
                "another machine or application keeps archives of the same prefix there: {} is of the host {} and the app \
                {} (found by the backup of {})",
                foreign.archive,
                foreign.host.as_deref().unwrap_or("unknown"),
                foreign.app.as_deref().unwrap_or("unknown"),
                rfc3339(*begun)
            ),
            Problem::RunPartial { job, begun, error } => write!(
                f,
                "the last {} left something undone ({}){}",
                job.name(),
                rfc3339(*begun),
                of(error)
            ),
        }
    }
}

/// Returns a limit as the configuration writes it.
fn whole(seconds: u64) -> String {
    match seconds {
        // As people write it, although it is more than a day.
        0..=259_200 if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        _ => crate::model::quantity::TimeLimit::new(seconds).to_string(),
    }
}

/// The sizes of a comparison.
struct Sizes<'a>(&'a Comparison);

impl fmt::Display for Sizes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Comparison {
            bytes,
            before_bytes,
            measure,
            ..
        } = self.0;
        let (now, before) = (size(*bytes), size(*before_bytes));
        match measure {
            Measure::Content => write!(f, "{now} after {before}"),
            Measure::Stored => write!(f, "{now} after {before}, as they are stored"),
        }
    }
}
