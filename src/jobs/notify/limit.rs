//! The time that a notification has: retries and pauses included, and shorter if the run is cancelled.

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    error::{Failure, Kind},
    work::cancel::Stop,
};

/// The time that is left when the run is cancelled.
pub const WHEN_CANCELLED: Duration = Duration::from_secs(5);

/// The cancellation of a run, as its notifications see it: for all of them it came at the same moment.
#[derive(Debug, Clone, Default)]
pub struct Cancellation {
    stop: Stop,
    noticed: Arc<OnceLock<Instant>>,
}

impl Cancellation {
    /// Returns the cancellation that `stop` asks for.
    pub fn new(stop: Stop) -> Cancellation {
        Cancellation {
            stop,
            noticed: Arc::default(),
        }
    }

    /// Returns the time since the run is cancelled; `None` if it is not.
    pub fn since(&self) -> Option<Duration> {
        match self.stop.check() {
            Ok(()) => None,
            Err(_) => Some(self.noticed.get_or_init(Instant::now).elapsed()),
        }
    }
}

/// The time limit of one notification. Clones share it.
#[derive(Debug, Clone)]
pub struct Limit {
    all: Duration,
    watch: Arc<Mutex<StopWatch>>,
    cancellation: Cancellation,
}

/// A stopwatch.
#[derive(Debug)]
struct StopWatch {
    /// The time that passed before it stood still.
    passed: Duration,
    /// The moment at which it went on; `None` while it stands still.
    since: Option<Instant>,
}

impl Limit {
    /// Returns a limit that begins now.
    pub fn new(all: Duration, cancellation: &Cancellation) -> Limit {
        Limit {
            all,
            watch: Arc::new(Mutex::new(StopWatch {
                passed: Duration::ZERO,
                since: Some(Instant::now()),
            })),
            cancellation: cancellation.clone(),
        }
    }

    /// Does `work`, whose time does not count.
    pub fn standing_still(&self, work: impl FnOnce()) {
        let passed = self.passed();
        self.set(passed, None);
        work();
        self.set(passed, Some(Instant::now()));
    }

    /// Returns the time that is left.
    pub fn left(&self) -> Duration {
        let left = self.all.saturating_sub(self.passed());
        match self.cancellation.since() {
            None => left,
            Some(since) => left.min(WHEN_CANCELLED.saturating_sub(since)),
        }
    }

    /// Returns true if no time is left.
    pub fn is_over(&self) -> bool {
        self.left().is_zero()
    }

    /// Returns the time since which none is left.
    pub fn overdue(&self) -> Duration {
        let late = self.passed().saturating_sub(self.all);
        let since = self.cancellation.since().unwrap_or_default();
        late.max(since.saturating_sub(WHEN_CANCELLED))
    }

    /// Returns the reason if nothing came of the notification in time.
    pub fn reason(&self) -> String {
        match self.cancellation.since() {
            Some(_) => "the run was cancelled, and there was no time for it".to_owned(),
            None => format!("it takes longer than {} s", self.all.as_secs_f64()),
        }
    }

    /// Fails if no time is left. A signal alone does not end a notification.
    pub fn check(&self) -> Result<()> {
        match self.is_over() {
            true => Err(Failure::new(Kind::Failed, self.reason()).into()),
            false => Ok(()),
        }
    }

    fn passed(&self) -> Duration {
        let watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let running = watch.since.map(|since| since.elapsed());
        watch.passed + running.unwrap_or_default()
    }

    fn set(&self, passed: Duration, since: Option<Instant>) {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        *watch = StopWatch { passed, since };
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_signal_leaves_a_short_time_that_all_share() {
        let stop = Stop::default();
        let cancellation = Cancellation::new(stop.clone());
        let limit = Limit::new(Duration::from_secs(1000), &cancellation);
        assert!(limit.left() > Duration::from_secs(900) && limit.check().is_ok());
        stop.cancel();
        let left = limit.left();
        assert!(left <= WHEN_CANCELLED && !left.is_zero(), "{left:?}");
        let short = Limit::new(Duration::from_secs(1), &cancellation);
        assert!(short.left() <= Duration::from_secs(1));
        let later = Limit::new(Duration::from_secs(1000), &cancellation);
        assert!(later.left() <= left, "its time begins with the signal");
    }

    #[test]
    fn nothing_is_left_at_the_end() {
        let limit = Limit::new(Duration::from_secs(60), &Cancellation::default());
        let over = Limit::new(Duration::ZERO, &Cancellation::default());
        assert!(over.is_over() && over.check().is_err());
        assert_eq!(over.reason(), "it takes longer than 0 s");
        assert!(!over.overdue().is_zero() && limit.overdue().is_zero());
    }

    #[test]
    fn the_wait_for_others_does_not_count() {
        let limit = Limit::new(Duration::from_secs(60), &Cancellation::default());
        let (seen, other) = (limit.clone(), Duration::from_millis(20));
        limit.standing_still(|| {
            let before = seen.left();
            let begun = Instant::now();
            while begun.elapsed() < other {
                thread::yield_now();
            }
            assert_eq!(seen.left(), before);
        });
        let before = limit.left();
        while limit.left() == before {
            thread::yield_now();
        }
    }
}
