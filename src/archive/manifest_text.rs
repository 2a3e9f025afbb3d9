//! The size of the manifest of many entries, and the failure if no reader would accept it (docs/format.md,
//! "manifest.json").

use crate::{
    error::{Failure, Kind},
    model::{
        entry_name::EntryName, limits::MAX_MANIFEST_BYTES, manifest::Manifest, tree::files_of,
    },
};

/// Returns the failure of an export whose archive no reader would accept. `directory` is the directory that fills the
/// manifest, with the number of its files.
pub fn too_large(directory: Option<(&str, usize)>) -> Failure {
    let most = MAX_MANIFEST_BYTES >> 20;
    let message = match directory {
        Some((name, files)) => format!(
            "the directory {name} has {files} files: the manifest of the archive would be larger than {most} MiB"
        ),
        None => format!("the manifest of the archive would be larger than {most} MiB"),
    };
    Failure::new(Kind::Usage, message)
        .hint("nothing was written: exclude what need not go along, or export parts of it by configurations of their \
            own, each into an archive of its own")
}

/// Returns the text of `manifest`; fails if no reader would accept it, and names the directory that fills it.
pub fn of(manifest: &Manifest) -> Result<Vec<u8>, Failure> {
    let text = manifest.to_bytes();
    if text.len() as u64 <= MAX_MANIFEST_BYTES {
        return Ok(text);
    }
    let count = |name: &EntryName| files_of(name, &manifest.files).count();
    let directories = manifest
        .trees
        .keys()
        .map(|name| (name.as_str(), count(name)));
    Err(too_large(directories.max_by_key(|(_, files)| *files)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{digest::Digest, manifest::FileRecord, tree::Tree};

    fn manifest(files: impl Iterator<Item = (EntryName, FileRecord)>) -> Manifest {
        Manifest::new(0, semver::Version::new(0, 1, 0), files.collect())
    }

    fn file(name: String) -> (EntryName, FileRecord) {
        let name = EntryName::new(&name).expect("a good name");
        (name.clone(), FileRecord::new(name, Digest::of(b""), 0))
    }

    #[test]
    fn a_text_that_no_reader_would_take_is_refused_and_what_fills_it_is_named() {
        let filled = |bytes: usize| {
            let mut manifest = manifest((0..6).map(|number| file(format!("data/{number}"))));
            manifest.files.extend([file("data.ini".to_owned())]);
            for name in ["data", "empty"] {
                let name = EntryName::new(name).expect("a good name");
                manifest.trees.insert(name, Tree::default());
            }
            manifest.tags.insert("filler".to_owned(), "x".repeat(bytes));
            manifest
        };
        let most = usize::try_from(MAX_MANIFEST_BYTES).expect("it fits");
        let rest = filled(0).to_bytes().len();
        assert_eq!(of(&filled(most - rest)).expect("it fits").len(), most);
        let failure = of(&filled(most - rest + 1)).expect_err("too large");
        assert_eq!(failure.kind, Kind::Usage);
        assert!(failure.message.contains("data has 6 files"), "{failure}");
    }
}
