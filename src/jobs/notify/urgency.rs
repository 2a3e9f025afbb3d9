//! The urgency of an occasion, for services that have priorities.

use crate::model::occasion::Occasion;

/// The urgency of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Nothing has to be done.
    Notice,
    /// Something is incomplete.
    Warning,
    /// There may be no good archive.
    Alarm,
}

impl Urgency {
    /// Returns the urgency of an occasion.
    pub fn of(occasion: Occasion) -> Urgency {
        match occasion {
            Occasion::Failure | Occasion::Stale | Occasion::DrillFailed => Urgency::Alarm,
            Occasion::Partial => Urgency::Warning,
            _ => Urgency::Notice,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_leave_no_good_archive_is_an_alarm() {
        for (occasion, urgency) in [
            (Occasion::Failure, Urgency::Alarm),
            (Occasion::Stale, Urgency::Alarm),
            (Occasion::DrillFailed, Urgency::Alarm),
            (Occasion::Partial, Urgency::Warning),
            (Occasion::Success, Urgency::Notice),
            (Occasion::Recovered, Urgency::Notice),
        ] {
            assert_eq!(Urgency::of(occasion), urgency);
        }
    }
}
