//! The plan of an import: for every entry, what happens to which target. Decided here, carried out by `disk`.

use std::path::PathBuf;

use super::{digest::Digest, entry_name::EntryName};

/// What happens to one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// There is no target yet.
    Create,
    /// The target differs: it stays as `.bak`.
    Replace,
    /// The target has the same content, mode and owner: nothing happens.
    Unchanged,
    /// The target goes (a rollback of a creation); it stays as `.bak`.
    Remove,
    /// A command of this machine takes the entry.
    Feed,
    /// This machine has no target for the entry.
    Skip,
}

impl Action {
    /// The action in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Action::Create => "create",
            Action::Replace | Action::Feed => "replace",
            Action::Unchanged => "unchanged",
            Action::Remove => "remove",
            Action::Skip => "skip",
        }
    }

    /// What the target is, for people.
    pub fn description(self) -> &'static str {
        match self {
            Action::Create => "new",
            Action::Replace => "changed",
            Action::Unchanged => "unchanged",
            Action::Remove => "removed",
            Action::Feed => "given to its import command",
            Action::Skip => "left out",
        }
    }

    /// Whether the disk changes.
    pub fn changes(self) -> bool {
        matches!(self, Action::Create | Action::Replace | Action::Remove)
    }
}

/// Owner and permissions of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits, at most `0o777`.
    pub mode: u32,
    /// Owner and group; `None` leaves them to the file system (an unprivileged import).
    pub owner: Option<(u32, u32)>,
}

/// A target as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Present {
    /// SHA-256 of its content.
    pub digest: Digest,
    /// Its permission bits.
    pub mode: u32,
    /// Its owner and group.
    pub owner: (u32, u32),
}

/// One line of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The entry.
    pub entry: EntryName,
    /// What it replaces; `None` where this machine has no place for it.
    pub target: Option<PathBuf>,
    /// What happens.
    pub action: Action,
}

/// Decides what happens to a target: `wanted` is what the archive says, `present` what the machine has.
pub fn decide(wanted: Digest, attributes: Attributes, present: Option<Present>) -> Action {
    match present {
        None => Action::Create,
        Some(present)
            if present.digest == wanted
                && present.mode == attributes.mode
                && attributes.owner.is_none_or(|owner| owner == present.owner) =>
        {
            Action::Unchanged
        }
        Some(_) => Action::Replace,
    }
}

/// The mode for a restored file: what the archive says, else what the target has, else `fallback`; never set-uid,
/// set-gid or sticky, and never open to others where the file is `private`.
pub fn restored_mode(
    archived: Option<u32>,
    present: Option<u32>,
    fallback: u32,
    privacy: Privacy,
) -> u32 {
    let mode = archived.or(present).unwrap_or(fallback);
    match privacy {
        Privacy::Private => mode & 0o600,
        Privacy::Ordinary => mode & 0o777,
    }
}

/// Whether a file may be open to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privacy {
    /// Secrets: never wider than 0600.
    Private,
    /// Everything else.
    Ordinary,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn present(content: &[u8], mode: u32) -> Present {
        Present {
            digest: Digest::of(content),
            mode,
            owner: (7, 8),
        }
    }

    #[test]
    fn content_mode_and_owner_decide_together() {
        let wanted = Digest::of(b"new");
        let like = |mode, owner| Attributes { mode, owner };
        assert_eq!(decide(wanted, like(0o600, None), None), Action::Create);
        assert_eq!(
            decide(wanted, like(0o600, None), Some(present(b"old", 0o600))),
            Action::Replace
        );
        assert_eq!(
            decide(wanted, like(0o600, None), Some(present(b"new", 0o600))),
            Action::Unchanged
        );
        assert_eq!(
            decide(wanted, like(0o600, None), Some(present(b"new", 0o644))),
            Action::Replace
        );
        assert_eq!(
            decide(
                wanted,
                like(0o600, Some((7, 8))),
                Some(present(b"new", 0o600))
            ),
            Action::Unchanged
        );
        assert_eq!(
            decide(
                wanted,
                like(0o600, Some((0, 0))),
                Some(present(b"new", 0o600))
            ),
            Action::Replace
        );
    }

    proptest! {
        #[test]
        fn secrets_are_never_wider_than_0600(archived in any::<Option<u32>>(), there in any::<Option<u32>>(), fallback in any::<u32>()) {
            prop_assert_eq!(restored_mode(archived, there, fallback, Privacy::Private) & !0o600, 0);
            prop_assert_eq!(restored_mode(archived, there, fallback, Privacy::Ordinary) & !0o777, 0);
        }

        #[test]
        fn a_plan_settles(content in any::<[u8; 2]>(), mode in 0..0o1000u32) {
            // What an import wrote is unchanged for the next import of the same archive.
            let wanted = Attributes { mode, owner: None };
            prop_assert_eq!(decide(Digest::of(&content), wanted, Some(present(&content, mode))), Action::Unchanged);
        }
    }
}
