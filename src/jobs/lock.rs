//! The lock of a configuration's jobs: flock(2) on the configuration file, which every run can open.
//!
//! Not promised: anything on network file systems that do not lock files that are open for reading.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::{
    config::Settings,
    context::Context,
    disk::lock::{Hold, StateLock},
    error::{Failure, Kind},
};

/// The time between two attempts to get the lock.
const TICK: Duration = Duration::from_millis(100);

/// The least time for which a run waits: a look at the lock ([`is_locked`]) takes an instant.
const LOOK: Duration = Duration::from_millis(250);

/// The lock of a running job. Dropping it releases it.
#[derive(Debug)]
pub struct JobLock {
    _lock: StateLock,
}

/// Takes the lock of this configuration's jobs. If another run has it, waits for it as long as `wait`; then fails with
/// [`Kind::Blocked`], naming that run's process.
pub fn lock(context: &Context, settings: &Settings, wait: Duration) -> Result<JobLock> {
    let begun = Instant::now();
    loop {
        context.stop.check()?;
        let file = [settings.config.clone()];
        match StateLock::acquire(&file, Hold::Exclusive) {
            Ok(lock) => return Ok(JobLock { _lock: lock }),
            Err(error) => {
                let failure = Failure::of(&error);
                if failure.kind != Kind::Blocked {
                    return Err(error);
                }
                if begun.elapsed() >= wait.max(LOOK) {
                    return Err(busy(&failure).into());
                }
            }
        }
        std::thread::sleep(TICK);
    }
}

/// Returns true if a run of this configuration's jobs is at work.
pub fn is_locked(settings: &Settings) -> Result<bool> {
    match StateLock::acquire(std::slice::from_ref(&settings.config), Hold::Shared) {
        Ok(_) => Ok(false),
        Err(error) if Failure::of(&error).kind == Kind::Blocked => Ok(true),
        Err(error) => Err(error),
    }
}

fn busy(failure: &Failure) -> Failure {
    let message = format!(
        "a job of this configuration is at work: {}",
        failure.message
    );
    Failure::new(Kind::Blocked, message)
        .hint("wait until it has ended, or let this one wait for it: --lock-wait 1h")
}
