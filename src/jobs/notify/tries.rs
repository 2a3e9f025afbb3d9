//! The tries of one message, and the pauses between them.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::limit::Limit;

/// The time after which a pause looks for a signal.
const TICK: Duration = Duration::from_millis(50);

/// The tries of a request, and the pauses between them.
#[derive(Debug, Clone, Copy)]
pub struct Tries {
    /// The number of tries.
    pub count: u32,
    /// The first pause; each further one is four times as long.
    pub first_pause: Duration,
}

impl Default for Tries {
    fn default() -> Tries {
        Tries {
            count: 3,
            first_pause: Duration::from_millis(250),
        }
    }
}

impl Tries {
    /// Returns the pause after this many tries.
    pub fn pause(self, tries: u32) -> Duration {
        let factor = 4u32.saturating_pow(tries.saturating_sub(1));
        self.first_pause.saturating_mul(factor)
    }
}

/// Waits for `pause`. Returns false at once if less time is left.
pub fn rest(limit: &Limit, pause: Duration) -> bool {
    let begun = Instant::now();
    loop {
        let missing = pause.saturating_sub(begun.elapsed());
        if missing.is_zero() {
            return true;
        }
        if limit.left() <= missing {
            return false;
        }
        thread::sleep(missing.min(TICK));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::notify::limit::Cancellation;

    #[test]
    fn a_pause_that_does_not_fit_is_not_begun() {
        let limit = Limit::new(Duration::from_secs(60), &Cancellation::default());
        let begun = Instant::now();
        assert!(!rest(&limit, Duration::from_secs(61)));
        assert!(begun.elapsed() < Duration::from_secs(10));
        assert!(rest(&limit, Duration::from_millis(1)));
    }

    #[test]
    fn pauses_grow() {
        let pauses = [1, 2, 3].map(|tries| Tries::default().pause(tries).as_millis());
        assert_eq!(pauses, [250, 1000, 4000]);
    }
}
