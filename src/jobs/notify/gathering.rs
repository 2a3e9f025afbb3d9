//! The moment at which the secrets of all notifications are known, so that no message shows one of them.

use std::{
    sync::{Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::limit::Cancellation;

/// The longest wait for the secrets of others: a command may hang, and keeps no other notification back.
pub const LONGEST: Duration = Duration::from_secs(5);
/// The same if the run is cancelled.
const WHEN_CANCELLED: Duration = Duration::from_secs(1);
/// The time after which the wait looks at the clock.
const TICK: Duration = Duration::from_millis(50);

/// A count of the notifications whose secrets are not known yet.
#[derive(Debug)]
pub struct Gathering {
    missing: Mutex<usize>,
    all_came: Condvar,
}

impl Gathering {
    /// Returns a gathering of this many notifications.
    pub fn new(count: usize) -> Gathering {
        Gathering {
            missing: Mutex::new(count),
            all_came: Condvar::new(),
        }
    }

    /// Notes that the secrets of one are known, or will never be.
    pub fn come(&self) {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        *missing = missing.saturating_sub(1);
        if *missing == 0 {
            self.all_came.notify_all();
        }
    }

    /// Waits for the others, at most `longest`.
    pub fn wait(&self, longest: Duration, cancellation: &Cancellation) {
        let begun = Instant::now();
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        while *missing > 0 {
            let most = match cancellation.since() {
                None => longest,
                Some(_) => longest.min(WHEN_CANCELLED),
            };
            let left = most.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return;
            }
            let woken = self.all_came.wait_timeout(missing, left.min(TICK));
            missing = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn all_go_on_once_the_last_one_came() {
        let hour = Duration::from_secs(3600);
        let gathering = Gathering::new(3);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    gathering.come();
                    gathering.wait(hour, &Cancellation::default());
                });
            }
        });
    }

    #[test]
    fn one_that_never_comes_keeps_no_other_back() {
        let gathering = Gathering::new(2);
        gathering.come();
        gathering.wait(Duration::from_millis(1), &Cancellation::default());
        assert_eq!(*gathering.missing.lock().expect("a count"), 1);
    }
}
