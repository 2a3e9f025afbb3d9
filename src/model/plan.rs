//! The plan of an import: the action for every entry and its target. Decided here, carried out by `disk`.

use std::path::PathBuf;

use serde::Serialize;

use super::{digest::Digest, entry_name::EntryName, tree::Xattrs};

/// The action on one target. The names in JSON are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The target does not exist yet.
    Create,
    /// The target differs: its old content stays as `.bak`.
    Replace,
    /// The target has the same content, mode, owner and attributes: nothing happens.
    Unchanged,
    /// The target is removed (a rollback of a creation); it stays as `.bak`.
    Remove,
    /// A command of this machine takes the entry.
    #[serde(rename = "replace")]
    Feed,
    /// This machine has no target for the entry.
    Skip,
}

impl Action {
    /// Returns a description of the target for people.
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

    /// Returns true if the disk changes.
    pub fn changes(self) -> bool {
        matches!(self, Action::Create | Action::Replace | Action::Remove)
    }
}

/// Owner, permissions and extended attributes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileAttributes {
    /// Permission bits.
    pub mode: u32,
    /// Owner and group; `None` leaves them to the file system (an unprivileged import).
    pub owner: Option<(u32, u32)>,
    /// Extended attributes, ACLs among them.
    pub xattrs: Xattrs,
}

/// A target as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// SHA-256 of its content.
    pub digest: Digest,
    /// Its permission bits.
    pub mode: u32,
    /// Its owner and group.
    pub owner: (u32, u32),
    /// Its extended attributes, as far as they can be restored.
    pub xattrs: Xattrs,
}

/// One line of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanStep {
    /// The entry.
    pub entry: EntryName,
    /// The target that the entry replaces; `None` if this machine has no target for it.
    pub target: Option<PathBuf>,
    /// The action on the target.
    pub action: Action,
}

/// Decides the action on a target: `wanted` and `attributes` are those of the archive, `present` is the target on this
/// machine.
pub fn decide(wanted: Digest, attributes: &FileAttributes, present: Option<&Present>) -> Action {
    match present {
        None => Action::Create,
        Some(present)
            if present.digest == wanted
                && present.mode == attributes.mode
                && attributes.owner.is_none_or(|owner| owner == present.owner)
                && present.xattrs == attributes.xattrs =>
        {
            Action::Unchanged
        }
        Some(_) => Action::Replace,
    }
}

/// Returns the mode of a restored file: that of the archive, else that of the target, else `fallback`; never set-uid,
/// set-gid or sticky. A `private` file is closed to others, whatever mode the archive has. If the archive has no mode,
/// it is at most 0600.
pub fn restored_mode(
    archived: Option<u32>,
    present: Option<u32>,
    fallback: u32,
    privacy: Privacy,
) -> u32 {
    match privacy {
        Privacy::Private => match archived {
            Some(mode) => mode & 0o770,
            None => present.unwrap_or(0o600) & 0o600,
        },
        Privacy::Ordinary => archived.or(present).unwrap_or(fallback) & 0o777,
    }
}

/// The privacy of a file: closed or open to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privacy {
    /// Secrets: closed to users other than the owner and the members of the group.
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
            xattrs: Xattrs::new(),
        }
    }

    #[test]
    fn content_mode_and_owner_decide_together() {
        let wanted = Digest::of(b"new");
        let like = |mode, owner| FileAttributes {
            mode,
            owner,
            xattrs: Xattrs::new(),
        };
        let decide = |wanted, attributes: FileAttributes, present: Option<Present>| {
            decide(wanted, &attributes, present.as_ref())
        };
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

    #[test]
    fn attributes_decide_as_well() {
        let wanted = FileAttributes {
            mode: 0o600,
            owner: None,
            xattrs: Xattrs::from([("user.a".to_owned(), b"b".to_vec())]),
        };
        let digest = Digest::of(b"new");
        let mut there = present(b"new", 0o600);
        assert_eq!(decide(digest, &wanted, Some(&there)), Action::Replace);
        there.xattrs = wanted.xattrs.clone();
        assert_eq!(decide(digest, &wanted, Some(&there)), Action::Unchanged);
    }

    #[test]
    fn a_secret_keeps_its_mode_less_what_others_may_do() {
        for (archived, mode) in [
            (Some(0o640), 0o640),
            (Some(0o644), 0o640),
            (Some(0o777), 0o770),
            (Some(0o4600), 0o600),
            (Some(0o400), 0o400),
            (None, 0o600),
        ] {
            let restored = restored_mode(archived, None, 0o644, Privacy::Private);
            assert_eq!(restored, mode, "{archived:?}");
        }
        let as_it_is = restored_mode(None, Some(0o664), 0o644, Privacy::Private);
        assert_eq!(as_it_is, 0o600);
    }

    proptest! {
        #[test]
        fn secrets_are_never_open_to_others(archived in any::<Option<u32>>(), there in any::<Option<u32>>(), fallback in any::<u32>()) {
            prop_assert_eq!(restored_mode(archived, there, fallback, Privacy::Private) & !0o770, 0);
            prop_assert_eq!(restored_mode(archived, there, fallback, Privacy::Ordinary) & !0o777, 0);
        }

        #[test]
        fn a_plan_settles(content in any::<[u8; 2]>(), mode in 0..0o1000u32) {
            // What an import wrote is unchanged for the next import of the same archive.
            let wanted = FileAttributes { mode, owner: None, xattrs: Xattrs::new() };
            prop_assert_eq!(decide(Digest::of(&content), &wanted, Some(&present(&content, mode))), Action::Unchanged);
        }
    }
}
