//! The folders in which a reader of archives makes temporary files.

use std::path::{Path, PathBuf};

/// A folder for temporary files, and another one for listings that do not fit there.
#[derive(Debug, Clone)]
pub struct ScratchFolders {
    first: PathBuf,
    spare: Option<PathBuf>,
}

impl ScratchFolders {
    /// Returns the folder `first`, and the one that is used for listings if it has no room.
    pub fn new(first: PathBuf, spare: Option<PathBuf>) -> ScratchFolders {
        ScratchFolders { first, spare }
    }

    /// Returns the folder for whatever else is temporary.
    pub(super) fn first(&self) -> &Path {
        &self.first
    }

    /// Returns the spare folder, and none after it.
    pub(super) fn take_spare(&mut self) -> Option<PathBuf> {
        self.spare.take()
    }
}

impl From<PathBuf> for ScratchFolders {
    fn from(first: PathBuf) -> ScratchFolders {
        ScratchFolders { first, spare: None }
    }
}
