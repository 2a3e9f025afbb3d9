//! The number of entries in which one archive differs from the one before.

use serde::{Deserialize, Serialize};

use super::manifest::{FileRecord, Manifest};

/// The numbers of entries, compared with an earlier archive by their digests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeCounts {
    /// Entries that the earlier archive does not have.
    pub new: u64,
    /// Entries of other content.
    pub changed: u64,
    /// Entries of the same content.
    pub unchanged: u64,
    /// Entries that only the earlier archive has.
    pub removed: u64,
}

/// The changes between two archives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    /// The numbers of entries.
    pub counts: ChangeCounts,
    /// The bytes of new and changed entries.
    pub added_bytes: u64,
}

impl Changes {
    /// Compares `now` with the archive `before`. Returns `None` if the files of a listed directory differ: the manifest
    /// alone does not tell which.
    pub fn between(before: &Manifest, now: &Manifest) -> Option<Changes> {
        let mut changes = Changes::default();
        let names = before.directories.keys().chain(now.directories.keys());
        for name in names {
            let (one, other) = (before.directories.get(name), now.directories.get(name));
            let digest = |manifest: &Manifest, listing| {
                manifest
                    .files
                    .get(listing)
                    .map(|record: &FileRecord| record.checksum)
            };
            let is_same = one.zip(other).is_some_and(|(one, other)| {
                digest(before, &one.listing) == digest(now, &other.listing)
            });
            if !is_same {
                return None;
            }
        }
        let listed = now.directories.values().map(|listed| listed.files);
        changes.counts.unchanged = listed.fold(0, u64::saturating_add);
        for (name, record) in &now.files {
            if now.is_listing(name) {
                continue;
            }
            match before.files.get(name) {
                Some(earlier) if earlier.checksum == record.checksum => {
                    changes.counts.unchanged += 1;
                    continue;
                }
                Some(_) => changes.counts.changed += 1,
                None => changes.counts.new += 1,
            }
            changes.added_bytes = changes.added_bytes.saturating_add(record.size);
        }
        let is_gone = |name| !now.files.contains_key(name) && !before.is_listing(name);
        let gone = before.files.keys().filter(|name| is_gone(name)).count();
        changes.counts.removed = gone as u64;
        Some(changes)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use semver::Version;

    use super::*;
    use crate::model::{digest::Digest, entry_name::EntryName};

    #[test]
    fn entries_are_counted_by_name_and_digest() {
        let manifest = |entries: &[(&str, &str)]| {
            let files = entries.iter().map(|(name, text)| {
                let name = EntryName::new(name).expect("a name");
                let digest = Digest::of(text.as_bytes());
                let record = FileRecord::new(name.clone(), digest, text.len() as u64);
                (name, record)
            });
            Manifest::new(0, Version::new(0, 1, 0), files.collect::<BTreeMap<_, _>>())
        };
        let before = manifest(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let now = manifest(&[("a", "1"), ("b", "22"), ("d", "333")]);
        let counts = ChangeCounts {
            new: 1,
            changed: 1,
            unchanged: 1,
            removed: 1,
        };
        let changes = Changes::between(&before, &now).expect("told");
        assert_eq!(
            changes,
            Changes {
                counts,
                added_bytes: 5
            }
        );
    }
}
