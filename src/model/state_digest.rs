//! The digest of a state: equal for two archives that would restore the same.

use std::io::{self, Write as _};

use serde_json::{Value, json};

use super::{
    digest::{Digest, Hashing},
    manifest::{
        FileRecord, Manifest,
        record::{FolderRecord, Owner},
    },
};

/// Returns the digest of what an archive restores: entries with their content, modes, owners and attributes, folders
/// and links.
///
/// Times are left out: a file that was only touched is the same state. The listing of a directory of many files counts
/// as a whole, with its times.
pub fn state_digest(manifest: &Manifest) -> Digest {
    let mut lines = Hashing::new(io::sink());
    let mut add = |line: Value| {
        // Nothing fails on the way to nowhere.
        let _ = writeln!(lines, "{line}");
    };
    for (name, record) in &manifest.files {
        add(json!(["file", name.as_str(), of_file(record)]));
    }
    for (name, tree) in &manifest.trees {
        add(json!([
            "directory",
            name.as_str(),
            of_folder(&tree.root),
            tree.secret
        ]));
        for (path, folder) in &tree.folders {
            add(json!(["folder", path.as_bytes(), of_folder(folder)]));
        }
        for (path, link) in &tree.links {
            add(json!([
                "link",
                path.as_bytes(),
                link.target,
                of_owner(&link.owner)
            ]));
        }
    }
    for (name, listed) in &manifest.directories {
        let line = json!([
            "listed",
            name.as_str(),
            of_folder(&listed.root),
            listed.secret
        ]);
        add(line);
    }
    lines.finish().0
}

fn of_file(record: &FileRecord) -> Value {
    json!([
        record.checksum.to_string(),
        record.size,
        record.mode,
        of_owner(&record.owner()),
        record.kind.as_deref(),
        record.name,
        record.xattrs,
        record.torn,
        record.secret,
    ])
}

fn of_folder(folder: &FolderRecord) -> Value {
    json!([folder.mode, of_owner(&folder.owner), folder.xattrs])
}

fn of_owner(owner: &Owner) -> Value {
    json!([
        owner.user.as_deref(),
        owner.group.as_deref(),
        owner.uid,
        owner.gid
    ])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use semver::Version;

    use super::*;
    use crate::model::{
        entry_name::EntryName, manifest::record::LinkRecord, relative::RelativeName, tree::Tree,
    };

    fn manifest(change: impl FnOnce(&mut FileRecord, &mut Tree)) -> Digest {
        let name = EntryName::new("a").expect("a name");
        let mut record = FileRecord::new(name.clone(), Digest::of(b"1"), 1);
        let mut tree = Tree::default();
        change(&mut record, &mut tree);
        let files = BTreeMap::from([(name, record)]);
        let mut manifest = Manifest::new(0, Version::new(0, 1, 0), files);
        manifest
            .trees
            .insert(EntryName::new("d").expect("a name"), tree);
        state_digest(&manifest)
    }

    #[test]
    fn what_is_restored_makes_a_difference_and_times_do_not() {
        let same = manifest(|_, _| ());
        assert_eq!(manifest(|record, _| record.mtime = Some(7)), same);
        assert_eq!(
            manifest(|_, tree| tree.root.mtime = Some(Default::default())),
            same
        );
        let path = || RelativeName::new(b"x").expect("a path");
        let link = |target: &[u8]| LinkRecord {
            target: target.to_vec(),
            owner: Owner::default(),
            mtime: None,
        };
        let different = [
            manifest(|record, _| record.checksum = Digest::of(b"2")),
            manifest(|record, _| record.mode = Some(0o600)),
            manifest(|record, _| record.uid = Some(1)),
            manifest(|record, _| drop(record.xattrs.insert("user.a".to_owned(), vec![1]))),
            manifest(|_, tree| tree.root.mode = Some(0o700)),
            manifest(|_, tree| drop(tree.folders.insert(path(), FolderRecord::default()))),
            manifest(|_, tree| drop(tree.links.insert(path(), link(b"1")))),
            manifest(|_, tree| drop(tree.links.insert(path(), link(b"2")))),
        ];
        for (number, digest) in different.iter().enumerate() {
            assert_ne!(*digest, same, "{number}");
            assert!(!different[..number].contains(digest), "{number}");
        }
    }
}
