//! The failure of an export that no output takes: which of their failures decides on the exit code.

use crate::error::Kind;

/// The step at which an output fails, in the order of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailedAt {
    /// It cannot be opened: a folder cannot be made, a repository is missing, its password is another one.
    Opening,
    /// The archive cannot be written there, on this machine.
    Writing,
    /// The archive cannot be sent there.
    Sending,
}

/// Returns the failure that decides if no output takes the archive: the last one of the latest step, but the first one of
/// those that were sent to, which are tried side by side.
pub fn decisive<T>(failures: impl IntoIterator<Item = (FailedAt, T)>) -> Option<(FailedAt, T)> {
    failures.into_iter().reduce(|kept, next| {
        let is_later = match kept.0 {
            FailedAt::Sending => false,
            FailedAt::Opening | FailedAt::Writing => next.0 >= kept.0,
        };
        if is_later { next } else { kept }
    })
}

/// Returns the kind of failure of an export that no output takes, from all their failures; `None` if there are none.
pub fn kind_of_all(failures: impl IntoIterator<Item = (FailedAt, Kind)>) -> Option<Kind> {
    Some(match decisive(failures)? {
        // The archive is good: what is damaged is the destination.
        (FailedAt::Sending, Kind::Refused) => Kind::Unproven,
        (FailedAt::Sending, kind) => kind_of_sending(kind),
        (FailedAt::Opening | FailedAt::Writing, kind) => kind,
    })
}

/// Returns the kind of failure of an archive that could not be sent because of a failure of `kind`: an interruption, an
/// archive that is not good, a full or busy destination, or else its destinations.
pub fn kind_of_sending(kind: Kind) -> Kind {
    match kind {
        Kind::Interrupted(_) | Kind::Refused | Kind::Space | Kind::Blocked => kind,
        _ => Kind::Unproven,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_several_failures_decides() {
        use FailedAt::{Opening, Sending, Writing};
        let cases = [
            (
                vec![(Opening, Kind::NotFound), (Opening, Kind::Key)],
                Kind::Key,
            ),
            (
                vec![(Writing, Kind::Space), (Opening, Kind::Key)],
                Kind::Space,
            ),
            (
                vec![(Writing, Kind::Space), (Writing, Kind::Failed)],
                Kind::Failed,
            ),
            (
                vec![(Sending, Kind::Unreachable), (Opening, Kind::Key)],
                Kind::Unproven,
            ),
            (
                vec![(Sending, Kind::Blocked), (Sending, Kind::Forbidden)],
                Kind::Blocked,
            ),
            (
                vec![(Sending, Kind::NotFound), (Writing, Kind::Failed)],
                Kind::Unproven,
            ),
            (vec![(Sending, Kind::Refused)], Kind::Unproven),
            (vec![(Opening, Kind::Refused)], Kind::Refused),
        ];
        for (failures, kind) in cases {
            assert_eq!(
                kind_of_all(failures.clone()),
                Some(kind),
                "of these: {failures:?}"
            );
        }
        assert_eq!(kind_of_all([]), None);
    }
}
