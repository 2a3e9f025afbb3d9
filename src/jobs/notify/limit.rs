//! The time that a notification has: retries and pauses included, and shorter if the run is cancelled.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    error::{Failure, Kind},
    work::cancel::Stop,
};

/// The time that is left when the run is cancelled.
pub const WHEN_CANCELLED: Duration = Duration::from_secs(5);

/// The time limit of one notification. Clones share it.
#[derive(Debug, Clone)]
pub struct Limit {
    begun: Instant,
    all: Duration,
    stop: Stop,
    cancelled: Arc<OnceLock<Instant>>,
}

impl Limit {
    /// Returns a limit that begins now.
    pub fn new(all: Duration, stop: Stop) -> Limit {
        Limit {
            begun: Instant::now(),
            all,
            stop,
            cancelled: Arc::default(),
        }
    }

    /// Returns the time that is left.
    pub fn left(&self) -> Duration {
        let left = self.all.saturating_sub(self.begun.elapsed());
        if self.stop.check().is_ok() {
            return left;
        }
        let since = self.cancelled.get_or_init(Instant::now);
        left.min(WHEN_CANCELLED.saturating_sub(since.elapsed()))
    }

    /// Returns true if no time is left.
    pub fn is_over(&self) -> bool {
        self.left().is_zero()
    }

    /// Returns the time since which none is left.
    pub fn overdue(&self) -> Duration {
        if !self.is_over() {
            return Duration::ZERO;
        }
        let late = self.begun.elapsed().saturating_sub(self.all);
        let since = self.cancelled.get().map(Instant::elapsed);
        late.max(since.unwrap_or_default().saturating_sub(WHEN_CANCELLED))
    }

    /// Returns the reason if nothing came of the notification in time.
    pub fn reason(&self) -> String {
        match self.cancelled.get() {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_leaves_a_short_time() {
        let stop = Stop::default();
        let limit = Limit::new(Duration::from_secs(1000), stop.clone());
        assert!(limit.left() > Duration::from_secs(900) && limit.check().is_ok());
        stop.cancel();
        let left = limit.left();
        assert!(left <= WHEN_CANCELLED && !left.is_zero(), "{left:?}");
        let short = Limit::new(Duration::from_secs(1), stop);
        assert!(short.left() <= Duration::from_secs(1));
    }

    #[test]
    fn nothing_is_left_at_the_end() {
        let limit = Limit::new(Duration::from_secs(60), Stop::default());
        let over = Limit::new(Duration::ZERO, Stop::default());
        assert!(over.is_over() && over.check().is_err());
        assert_eq!(over.reason(), "it takes longer than 0 s");
        assert!(!over.overdue().is_zero() && limit.overdue().is_zero());
    }
}
