//! The verdict on a drill: the worst of its failures.

use crate::{
    error::{Failure, Kind},
    jobs::undone::Undone,
};

/// The failures of a drill, collected while it goes on.
#[derive(Default)]
pub struct Verdict {
    /// The failure of a `before` hook, or an interruption: it decides.
    pub end: Option<Failure>,
    /// The failures of archives, of destinations and of probes.
    pub failures: Vec<Failure>,
    /// The number of archives, and of destinations that could not be read.
    pub count: usize,
    /// The faults of hooks, of the history and of metrics.
    pub undone: Undone,
}

impl Verdict {
    /// Returns the failure that decides on result and exit code, if there is one.
    pub fn failure(&self) -> Option<Failure> {
        let failure = self.end.clone().or_else(|| self.worst());
        self.undone
            .verdict(failure, "the restores themselves were good")
    }

    /// Returns the worst failure; of several, it names the number and all of them.
    fn worst(&self) -> Option<Failure> {
        let worst = self.failures.iter().rev().max_by_key(|one| rank(one))?;
        if self.count == 1 {
            return Some(worst.clone());
        }
        let (failed, count) = (self.failures.len(), self.count);
        let outcome = match worst.kind {
            Kind::Partial => "are not whole",
            _ => "failed",
        };
        let message = format!("{failed} of {count} restores {outcome}: {}", worst.message);
        let faults = self.failures.iter().map(|one| one.message.clone());
        Some(Failure {
            message,
            faults: faults.collect(),
            ..worst.clone()
        })
    }
}

/// A damaged archive says more than one that no key opens, and that more than a destination that does not answer.
fn rank(failure: &Failure) -> u8 {
    match failure.kind {
        Kind::Refused => 7,
        Kind::Version => 6,
        Kind::Key => 5,
        Kind::Unhealthy => 4,
        Kind::NotFound => 3,
        Kind::Space => 2,
        Kind::Partial => 0,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(kinds: &[Kind], count: usize, undone: &[&str]) -> Option<(u8, usize)> {
        let mut verdict = Verdict {
            failures: kinds.iter().map(|kind| Failure::new(*kind, "x")).collect(),
            count,
            ..Verdict::default()
        };
        verdict
            .undone
            .add(undone.iter().map(|&text| text.to_owned()));
        let failure = verdict.failure()?;
        Some((failure.kind.code(), failure.faults.len()))
    }

    #[test]
    fn the_worst_failure_decides() {
        assert_eq!(code(&[], 2, &[]), None);
        assert_eq!(code(&[], 2, &["a hook"]), Some((3, 1)));
        assert_eq!(code(&[Kind::Unhealthy], 1, &[]), Some((19, 0)));
        let all = [Kind::Unreachable, Kind::Unhealthy, Kind::Refused, Kind::Key];
        assert_eq!(code(&all, 5, &[]), Some((13, 4)));
        assert_eq!(code(&all[..2], 2, &["a hook"]), Some((19, 3)));
        assert_eq!(code(&[Kind::Unreachable], 2, &[]), Some((1, 1)));
        assert_eq!(code(&[Kind::Space], 1, &[]), Some((18, 0)));
        let gap = [Kind::Partial, Kind::Failed, Kind::Partial];
        assert_eq!(code(&gap, 3, &[]), Some((1, 3)));
        assert_eq!(code(&gap[..1], 1, &["a hook"]), Some((3, 2)));
    }
}
