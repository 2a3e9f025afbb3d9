//! The tar that is converted: a file, or a copy of standard input.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read as _},
    sync::Arc,
};

use anyhow::{Context as _, Result};

use crate::{
    catalog::{input::ArchiveInput, target::Target},
    context::Context,
    disk::open_regular,
    error::{Failure, Kind},
    work::range::FileRange,
};

/// A tar that is read more than once.
pub struct TarFile {
    /// Its path, or `-`.
    pub shown: String,
    file: Arc<File>,
    /// Its size.
    pub bytes: u64,
}

impl TarFile {
    /// Returns its first bytes, by which its format is told.
    pub fn first(&self) -> io::Result<Vec<u8>> {
        let mut first = Vec::new();
        FileRange::new(self.file.clone(), 0, 512.min(self.bytes)).read_to_end(&mut first)?;
        Ok(first)
    }

    /// Returns all of it, from its first byte on.
    pub fn reader(&self) -> FileRange {
        FileRange::new(self.file.clone(), 0, self.bytes)
    }
}

/// Opens the tar; standard input is copied to a file without a name.
pub fn open(context: &Context, word: &OsStr) -> Result<TarFile> {
    let (shown, file) = match Target::read(word)? {
        Target::Standard => {
            let ArchiveInput::Copied(file) = ArchiveInput::Stdin.repeatable(context)? else {
                anyhow::bail!("cannot keep standard input");
            };
            ("-".to_owned(), file)
        }
        Target::Path(path) => {
            let shown = path.display().to_string();
            let file = match open_regular(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let message = format!("the file {shown} does not exist");
                    return Err(Failure::new(Kind::NotFound, message)
                        .hint("look at the path; `ls -l` shows what is there")
                        .into());
                }
                file => file.with_context(|| format!("cannot read {shown}"))?,
            };
            (shown, Arc::new(file))
        }
        Target::Named(_) | Target::Url(_) => {
            let message = "a tar is converted from a file of this machine, or from standard input";
            return Err(Failure::new(Kind::Usage, message)
                .hint("`-` reads what another program fetches before the pipe")
                .into());
        }
    };
    let bytes = file.metadata()?.len();
    Ok(TarFile { shown, file, bytes })
}
