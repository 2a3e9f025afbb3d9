//! The time for which readers waited for bytes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// A clock that runs while a reader waits for bytes. Clones are the same clock; the default one stands still.
///
/// Not promised: that the time is less than that of the whole work, if several threads read at once.
#[derive(Debug, Clone, Default)]
pub struct ReadClock(Option<Arc<AtomicU64>>);

impl ReadClock {
    /// Returns a clock that measures.
    pub fn measuring() -> ReadClock {
        ReadClock(Some(Arc::default()))
    }

    /// Does `read`, and adds its time.
    pub fn during<T>(&self, read: impl FnOnce() -> T) -> T {
        let Some(nanoseconds) = &self.0 else {
            return read();
        };
        let begun = Instant::now();
        let value = read();
        let passed = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        nanoseconds.fetch_add(passed, Ordering::Relaxed);
        value
    }

    /// Returns the time so far.
    pub fn elapsed(&self) -> Duration {
        let nanoseconds = self.0.as_ref().map(|time| time.load(Ordering::Relaxed));
        Duration::from_nanos(nanoseconds.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_measuring_clock_runs_and_clones_share_it() {
        let (still, clock) = (ReadClock::default(), ReadClock::measuring());
        let work = || {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(2) {}
        };
        still.during(work);
        clock.clone().during(work);
        assert_eq!(still.elapsed(), Duration::ZERO);
        assert!(clock.elapsed() >= Duration::from_millis(2));
    }
}
