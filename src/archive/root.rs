//! The root folder of an archive: every member lies in it.

use super::{
    fault::Fault,
    listed::APPLE,
    tar::stream::{Member, MemberKind},
};
use crate::model::entry_name::{EntryName, NameFault};

/// The root folder, once a member was read.
#[derive(Default)]
pub(super) struct RootFolder(Option<String>);

impl RootFolder {
    /// Returns its name.
    pub(super) fn name(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// Returns the member's path below the root folder; `None` if there is nothing to check, or a fault was noted.
    pub(super) fn inside(&mut self, member: &Member, faults: &mut Vec<Fault>) -> Option<EntryName> {
        let mut path = without_dots(&member.path);
        if member.what == MemberKind::Folder {
            path = path.trim_end_matches('/');
            if path.is_empty() || path == "." {
                return None;
            }
        }
        // The root folder precedes the name and is checked as a name of its own.
        let (root, inside) = path
            .split_once('/')
            .map_or((path, None), |(root, inside)| (root, Some(inside)));
        let is_known = self.name() == Some(root);
        let checked = match inside {
            _ if root.is_empty() => Err(NameFault::Absolute),
            Some(inside) if is_known => EntryName::new(inside),
            Some(inside) => EntryName::new(root).and_then(|_| EntryName::new(inside)),
            None => EntryName::new(root),
        };
        let name = match checked {
            Ok(name) => name,
            Err(fault) => {
                faults.push(Fault::Path {
                    path: member.path.clone(),
                    reason: fault.to_string(),
                });
                return None;
            }
        };
        if inside.is_none() && member.what == MemberKind::File && root.starts_with(APPLE) {
            faults.push(Fault::Apple(member.path.clone()));
            return None;
        }
        let expected = self.0.get_or_insert_with(|| root.to_owned());
        if expected != root {
            faults.push(Fault::SecondRoot {
                path: member.path.clone(),
                root: expected.clone(),
            });
            return None;
        }
        if inside.is_none() {
            if member.what == MemberKind::File {
                faults.push(Fault::Path {
                    path: member.path.clone(),
                    reason: "lies outside a root folder".into(),
                });
            }
            return None;
        }
        Some(name)
    }
}

/// Returns a member's path without `./` before it.
pub(super) fn without_dots(mut path: &str) -> &str {
    while let Some(rest) = path.strip_prefix("./") {
        path = rest.trim_start_matches('/');
    }
    path
}
