//! The file of an archive that a word of the command line names.

use std::{fs::File, io, os::unix::fs::OpenOptionsExt as _, path::Path};

use anyhow::{Context as _, Result};
use nix::libc;

use crate::{
    error::{Failure, Kind},
    model::manifest::MANIFEST_NAME,
};

/// The hint for an archive that does not exist.
const ABSENT: &str = "look at the path; `ls -l` shows what is there";
/// The hint for a folder that is named as an archive.
const FOLDER: &str = "name one of the archives in it; `hookshot verify` takes a folder";

/// Returns true if a failure is about the word that names the archive.
pub fn is_of_word(failure: &Failure) -> bool {
    matches!(failure.hint.as_deref(), Some(ABSENT | FOLDER))
}

/// Opens the file of an archive.
///
/// Errors: [`Kind::NotFound`] if there is none, or a folder.
pub(super) fn open_archive(path: &Path) -> Result<File> {
    // A fifo without a writer must not block here: no signal would end the wait.
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => anyhow::Error::new(
                Failure::new(
                    Kind::NotFound,
                    format!("the archive {} does not exist", path.display()),
                )
                .hint(ABSENT),
            ),
            _ => anyhow::Error::new(error).context(format!("cannot read {}", path.display())),
        })?;
    if file
        .metadata()
        .with_context(|| format!("cannot look at {}", path.display()))?
        .is_dir()
    {
        let shown = path.display();
        let message = match path.join(MANIFEST_NAME).exists() {
            true => format!(
                "{shown} is a folder, not an archive: its {MANIFEST_NAME} is that of another program"
            ),
            false => format!("{shown} is a folder, not an archive"),
        };
        return Err(Failure::new(Kind::NotFound, message).hint(FOLDER).into());
    }
    Ok(file)
}
