//! Threads for work on the network, for callers that have no runtime: they wait, and return early if the process must
//! stop.

use std::{
    future::Future,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use tokio::{
    runtime::{Handle, Runtime},
    task::JoinError,
};

use super::options::StopCheck;
use crate::{
    error::Caught,
    work::panics::{caught_in, describe, guard_thread},
};

/// The time within which a server must accept a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause before a second attempt; each further one is twice as long.
pub const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between two attempts.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// The most retries of a server that has not answered yet, so that a wrong name or port or a broken network is reported
/// within seconds.
pub const MOST_FIRST_ATTEMPTS: u32 = 5;

/// The interval at which work on the network checks if it must stop.
const PATIENCE: Duration = Duration::from_millis(100);
/// The time that cleanup may take after an interruption or an error.
const CLEANUP: Duration = Duration::from_secs(15);

/// Returns the pause after a failure that this many failures preceded.
pub fn pause_after(failures: u32) -> Duration {
    let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(16));
    pause.min(LONGEST_PAUSE)
}

/// The runtime for work on the network. Not for callers inside a runtime of their own: they would wait for ever.
pub struct Network {
    // Only `drop` takes it.
    runtime: Option<Runtime>,
    check: StopCheck,
}

impl Network {
    pub fn new(check: StopCheck) -> Result<Network> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("store")
            .enable_all()
            // The runtime catches panics of its tasks.
            .on_thread_start(guard_thread)
            .build()
            .context("cannot start threads for the network")?;
        Ok(Network {
            runtime: Some(runtime),
            check,
        })
    }

    pub fn check(&self) -> &StopCheck {
        &self.check
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it is there until the drop")
    }

    /// Returns the handle on which tasks can be started.
    pub fn handle(&self) -> &Handle {
        self.runtime().handle()
    }

    /// Waits for `work`; ends with an error if the process must stop. A panic of `work` is an error, [`Caught`].
    pub fn wait<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T>
    where
        E: Into<anyhow::Error>,
    {
        self.runtime().block_on(async {
            let work = caught_in(work);
            tokio::pin!(work);
            loop {
                tokio::select! {
                    result = &mut work => return outcome(result),
                    () = tokio::time::sleep(PATIENCE) => (self.check)()?,
                }
            }
        })
    }

    /// Waits before the next attempt; `attempts` is the number of attempts before it.
    pub fn pause(&self, attempts: u32) -> Result<()> {
        self.wait(async {
            tokio::time::sleep(pause_after(attempts)).await;
            anyhow::Ok(())
        })
    }

    /// Waits for cleanup work: an interruption does not end it, and it takes at most `CLEANUP`.
    pub fn clean<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T>
    where
        E: Into<anyhow::Error>,
    {
        self.runtime().block_on(async {
            match tokio::time::timeout(CLEANUP, caught_in(work)).await {
                Ok(result) => outcome(result),
                Err(_) => Err(anyhow!("the store does not answer")),
            }
        })
    }
}

fn outcome<T, E: Into<anyhow::Error>>(result: Result<Result<T, E>, Caught>) -> Result<T> {
    result?.map_err(Into::into)
}

/// Returns the error of a task that did not end by itself: it panicked or was cancelled.
pub fn lost(doing: &str, error: JoinError) -> anyhow::Error {
    match error.try_into_panic() {
        Ok(payload) => describe(&*payload).into(),
        Err(error) => anyhow!("{doing} ended: {error}"),
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Do not wait for a name server that does not answer.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A limit on the bytes that go out in a second, measured over the pieces that ask for it. Retries are not counted.
pub struct Pace {
    limit: Option<u64>,
    due: Option<Instant>,
}

impl Pace {
    pub fn new(limit: Option<u64>) -> Pace {
        Pace { limit, due: None }
    }

    /// Waits until a piece of `bytes` may go.
    pub fn wait(&mut self, bytes: usize, check: &StopCheck) -> Result<()> {
        let Some(limit) = self.limit else {
            return Ok(());
        };
        let mut now = Instant::now();
        while let Some(left) = self.due.and_then(|due| due.checked_duration_since(now)) {
            if left.is_zero() {
                break;
            }
            check()?;
            thread::sleep(left.min(PATIENCE));
            now = Instant::now();
        }
        let takes = Duration::from_secs_f64(bytes as f64 / limit.max(1) as f64);
        self.due = now.checked_add(takes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::{Failure, Kind};

    #[test]
    fn pieces_wait_for_those_before_them() {
        let check: StopCheck = Arc::new(|| Ok(()));
        let begun = Instant::now();
        let mut pace = Pace::new(Some(1000));
        for _ in 0..3 {
            pace.wait(100, &check).expect("not stopped");
        }
        assert!(begun.elapsed() >= Duration::from_millis(200));
        let stop: StopCheck = Arc::new(|| Err(anyhow!("stop")));
        pace.wait(1 << 30, &check).expect("not stopped");
        assert!(pace.wait(1, &stop).is_err(), "a long wait ends early");
        Pace::new(None).wait(1 << 30, &stop).expect("no limit");
    }

    #[test]
    fn a_panic_of_a_library_is_an_error_wherever_it_happens() {
        async fn panics() -> Result<()> {
            tokio::task::yield_now().await;
            panic!("hunter2")
        }
        let network = Network::new(Arc::new(|| Ok(()))).expect("threads");
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn_on(panics(), network.handle());
        let joined = network.wait(async { anyhow::Ok(tasks.join_next().await) });
        let task = joined.expect("not stopped").expect("a task");
        let errors = [
            lost("sending a part", task.expect_err("it panics")),
            network.wait(panics()).expect_err("it panics"),
            network.clean(panics()).expect_err("it panics"),
        ];
        for error in errors {
            let failure = Failure::of(&error.context("cannot list"));
            assert_eq!(failure.kind, Kind::Failed);
            let message = &failure.message;
            assert!(
                message.starts_with("cannot list: a defect of a library, in "),
                "{message}"
            );
            assert!(
                message.contains("network.rs:") && !message.contains("hunter2"),
                "{message}"
            );
            assert!(
                failure
                    .hint
                    .is_some_and(|hint| hint.starts_with("report it"))
            );
        }
        // The network still works afterwards.
        assert_eq!(network.wait(async { anyhow::Ok(7) }).expect("waited"), 7);
    }

    #[test]
    fn waiting_ends_when_the_work_is_to_stop() {
        let network = Network::new(Arc::new(|| Err(anyhow!("stop")))).expect("threads");
        let error = network.wait(std::future::pending::<Result<()>>());
        assert_eq!(error.expect_err("stopped").to_string(), "stop");
        assert_eq!(network.clean(async { anyhow::Ok(7) }).expect("cleaned"), 7);
    }
}
