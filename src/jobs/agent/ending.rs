//! The end of the agent: when its jobs are interrupted, and when they are killed. Pure: time comes in as an argument.

use std::time::{Duration, Instant};

/// The time that an interrupted job has to end after a second signal.
const HURRY: Duration = Duration::from_secs(5);

/// The moments at which jobs are interrupted and killed.
#[derive(Debug, Clone, Copy)]
pub struct Ending {
    interrupt_at: Instant,
    kill_at: Option<Instant>,
}

impl Ending {
    /// Returns the end that begins `now`: jobs have the time `grace` before they are interrupted, and are not killed.
    pub fn new(now: Instant, grace: Duration) -> Ending {
        Ending {
            interrupt_at: now + grace,
            kill_at: None,
        }
    }

    /// Takes note of a further signal. Jobs that go on are interrupted, and killed 5 s later; those that were interrupted
    /// before hang, and are killed at once.
    pub fn hurry(&mut self, now: Instant) {
        self.kill_at = Some(match self.interrupts(now) {
            true => now,
            false => now + HURRY,
        });
        self.interrupt_at = self.interrupt_at.min(now);
    }

    /// Returns true if jobs are to be interrupted.
    pub fn interrupts(&self, now: Instant) -> bool {
        self.interrupt_at <= now
    }

    /// Returns true if jobs are to be killed.
    pub fn kills(&self, now: Instant) -> bool {
        self.kill_at.is_some_and(|at| at <= now)
    }

    /// Returns the time until the next of these moments.
    pub fn rest(&self, now: Instant) -> Option<Duration> {
        let moments = [Some(self.interrupt_at), self.kill_at];
        let coming = moments.into_iter().flatten().filter(|at| *at > now);
        coming.min().map(|at| at - now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_signal_interrupts_and_kills_what_hangs() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut ending = Ending::new(begin, Duration::from_secs(30));
        assert!(!ending.interrupts(at(29)) && ending.interrupts(at(30)) && !ending.kills(at(9999)));
        assert_eq!(ending.rest(at(10)), Some(Duration::from_secs(20)));
        assert_eq!(ending.rest(at(30)), None);
        ending.hurry(at(10));
        assert!(ending.interrupts(at(10)) && !ending.kills(at(14)) && ending.kills(at(15)));
        assert_eq!(ending.rest(at(10)), Some(Duration::from_secs(5)));
        // A third one does not wait, and neither does a second one after the time of grace.
        ending.hurry(at(11));
        assert!(ending.kills(at(11)));
        let mut late = Ending::new(begin, Duration::ZERO);
        late.hurry(at(40));
        assert!(late.kills(at(40)));
    }
}
