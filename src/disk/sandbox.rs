//! The private folder in which a restore is rehearsed: it stands for `/`.

use std::{
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{
    paths::rename_to_nothing,
    removal::remove_tree,
    staging::{DRILL, Staging},
};

/// A private folder, 0700, with the folder that stands for `/`, and one for temporary files. It goes with everything in
/// it when it is dropped.
///
/// The leftovers of a kill go with the next [`sweep`](super::staging::sweep).
#[derive(Debug)]
pub struct Sandbox {
    staging: Staging,
}

impl Sandbox {
    /// Creates the folder in `scratch`.
    pub fn create(scratch: &Path) -> Result<Sandbox> {
        // Commands may work in another folder.
        let scratch = std::path::absolute(scratch)
            .with_context(|| format!("cannot tell where {} is", scratch.display()))?;
        let staging = Staging::scratch(&scratch, DRILL)?;
        let sandbox = Sandbox { staging };
        for folder in [sandbox.root(), sandbox.scratch()] {
            let mut builder = std::fs::DirBuilder::new();
            let made = builder.mode(0o700).create(&folder);
            made.with_context(|| format!("cannot create {}", folder.display()))?;
        }
        Ok(sandbox)
    }

    /// Returns the folder that stands for `/`.
    pub fn root(&self) -> PathBuf {
        self.staging.path().join("root")
    }

    /// Returns the folder for temporary files.
    pub fn scratch(&self) -> PathBuf {
        self.staging.path().join("tmp")
    }

    /// Returns true if nothing was restored.
    pub fn is_empty(&self) -> bool {
        let entries = self.root().read_dir();
        entries.is_ok_and(|mut entries| entries.next().is_none())
    }

    /// Removes it. Mounts in it stay as they are, and so does the folder then: the error names them.
    pub fn remove(self) -> Result<()> {
        // One that cannot be removed is not tried twice.
        self.staging.keep();
        let path = self.staging.path();
        remove_tree(path).with_context(|| format!("cannot remove {}", path.display()))
    }

    /// Leaves what was restored in a folder beside this one whose name begins with `name`, and returns its path. No
    /// hookshot removes it.
    pub fn keep(&self, name: &str) -> Result<PathBuf> {
        let folder = self.staging.path().with_file_name(name);
        let mut number = 0u32;
        loop {
            let place = match number {
                0 => folder.clone(),
                number => folder.with_file_name(format!("{name}.{number}")),
            };
            match rename_to_nothing(&self.root(), &place) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    let root = self.root();
                    return Err(error).with_context(|| {
                        format!("cannot rename {} to {}", root.display(), place.display())
                    });
                }
                Ok(()) => return Ok(place),
            }
            number = number.checked_add(1).context("no name is free")?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_sandbox_goes_with_folders_that_forbid_it_and_stays_if_it_is_kept() {
        let scratch = tempfile::tempdir().expect("a folder");
        let names = || {
            let entries = scratch.path().read_dir().expect("readable").flatten();
            let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
            names.collect::<Vec<_>>()
        };
        let fill = |sandbox: &Sandbox| {
            let folder = sandbox.root().join("etc");
            std::fs::create_dir(&folder).expect("made");
            std::fs::write(folder.join("file"), "x").expect("written");
            let closed = std::fs::Permissions::from_mode(0o500);
            std::fs::set_permissions(&folder, closed).expect("closed");
        };
        let sandbox = Sandbox::create(scratch.path()).expect("a sandbox");
        let mode = sandbox
            .root()
            .metadata()
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
        fill(&sandbox);
        drop(sandbox);
        assert_eq!(names(), [""; 0]);
        for name in ["kept", "kept.1"] {
            let sandbox = Sandbox::create(scratch.path()).expect("a sandbox");
            fill(&sandbox);
            let place = sandbox.keep("kept").expect("kept");
            assert_eq!(place, scratch.path().join(name));
            assert!(place.join("etc/file").exists());
            // What is kept is the user's.
            super::super::staging::sweep(scratch.path());
        }
        assert_eq!(names().len(), 2);
        for name in ["kept", "kept.1"] {
            remove_tree(&scratch.path().join(name)).expect("removed");
        }
    }
}
