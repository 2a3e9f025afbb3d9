//! The archives that a destination's policy would remove as soon as they arrived.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::{
    catalog::repository::ListedArchive,
    model::{
        archive_name::ArchiveName,
        retention::{Archive, Policy, Standing, Verdict, judge},
    },
};

/// Returns those of the archives called `owed` that the policy would remove at once from a destination that holds
/// `listed`. `coming` is an archive that will be there, too.
pub fn not_needed(
    listed: &[ListedArchive],
    policy: &Policy,
    owed: &[&str],
    coming: Option<&ArchiveName>,
    now: DateTime<Utc>,
) -> BTreeSet<String> {
    // Another archive may have the name: the mark before it tells them apart.
    let named = |name: &ArchiveName, file: &str| Archive {
        name: format!("{MARK}{file}"),
        time: name.time(),
        number: name.number(),
        standing: Standing::Unproven,
        mark: None,
        arrival: None,
    };
    let arriving = owed
        .iter()
        .filter_map(|file| Some(named(&ArchiveName::of_file(file)?, file)));
    let coming = coming.map(|name| named(name, ""));
    let present = listed.iter().map(ListedArchive::archive);
    let archives: Vec<Archive> = present.chain(arriving).chain(coming).collect();
    let removed = judge(archives, policy, now).into_iter();
    let removed = removed.filter(|judged| matches!(judged.verdict, Verdict::Remove(_)));
    let names =
        removed.filter_map(|judged| Some(judged.archive.name.strip_prefix(MARK)?.to_owned()));
    names.filter(|name| !name.is_empty()).collect()
}

/// Begins the names of archives that are not there: no file has such a name.
const MARK: &str = "/";

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::{
        model::retention::{Count, Counts, Zone},
        store::Stored,
    };

    fn listed(file: &str) -> ListedArchive {
        let name = ArchiveName::of_file(file).expect("a name");
        let stored = Stored {
            name: file.to_owned(),
            size_bytes: 10_000,
            modified: None,
            etag: None,
        };
        ListedArchive::named(&name, stored)
    }

    #[test]
    fn an_archive_that_the_policy_would_remove_at_once_is_not_needed() {
        let counts = Counts {
            last: Count::Of(NonZeroU32::MIN.saturating_add(1)),
            ..Counts::default()
        };
        let policy = Policy::new(counts, None, Zone::UTC);
        let now = "2026-11-29T03:00:00Z".parse().expect("a time");
        let (old, older) = ("a-20261128-030000.tar.gz", "a-20261127-030000.tar.gz");
        let there = [listed("a-20261129-030000.tar.gz")];
        let judged = |listed: &[ListedArchive], coming| {
            let names = not_needed(listed, &policy, &[older, old], coming, now);
            names.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(judged(&there, None), [older]);
        assert!(judged(&[], None).is_empty());
        let coming = ArchiveName::new("a", now).expect("a name");
        assert_eq!(judged(&[], Some(&coming)), [older]);
        assert_eq!(judged(&there, Some(&coming)), [older, old]);
        let all = not_needed(
            &there,
            &Policy::new(Counts::default(), None, Zone::UTC),
            &[old],
            None,
            now,
        );
        assert!(all.is_empty());
    }
}
