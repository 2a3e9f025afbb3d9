//! Paths that cannot exist at the same time.

use super::relative::by_component;

/// Two paths in conflict.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Disputed<'a, T> {
    /// The same path twice.
    Twice(&'a [u8], T, T),
    /// The entry with `path` lies below something that is not a folder.
    Below {
        path: &'a [u8],
        name: T,
        leaf_path: &'a [u8],
        leaf: T,
    },
}

/// Sorts `parts` and finds the conflicts: nothing can lie below a leaf.
pub(super) fn disputed<'a, T: Copy>(
    parts: &mut [(&'a [u8], T)],
    is_leaf: impl Fn(T) -> bool,
) -> impl Iterator<Item = Disputed<'a, T>> {
    // In this order the paths below another path come directly after it.
    parts.sort_by(|(one, _), (other, _)| by_component(one, other));
    let mut last: Option<(&[u8], T)> = None;
    let mut above: Option<(&[u8], T)> = None;
    parts.iter().flat_map(move |&(path, name)| {
        let twice = last.filter(|(other, _)| *other == path);
        let twice = twice.map(|(_, other)| Disputed::Twice(path, other, name));
        let below = above.filter(|(leaf, _)| {
            let rest = path.strip_prefix(*leaf);
            rest.is_some_and(|rest| rest.first() == Some(&b'/'))
        });
        let below = below.map(|(leaf_path, leaf)| Disputed::Below {
            path,
            name,
            leaf_path,
            leaf,
        });
        last = Some((path, name));
        if below.is_none() && is_leaf(name) {
            above = Some((path, name));
        }
        twice.into_iter().chain(below)
    })
}
