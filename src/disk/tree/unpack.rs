//! Files of directories while an archive is unpacked: each gets its attributes while it is open, so that the folder
//! where they are staged can become the directory by one rename.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Write},
    path::PathBuf,
};

use anyhow::{Context as _, Result};

use super::{
    attributes::{AttributeWriter, NewFile, Privilege},
    holes::punch,
};
use crate::{
    disk::staging::Staging,
    model::{entry_name::EntryName, manifest::FileRecord, named::Named, relative::shown},
};

/// The unpacking of directories' files into one staging folder. Their content is not verified yet: only the folder
/// keeps them private.
#[derive(Debug)]
pub struct Unpacking {
    attributes: AttributeWriter,
    directories: BTreeMap<EntryName, Directory>,
    /// The files that are made with each mode, as the staging folder and the umask make them.
    made: BTreeMap<u32, Option<NewFile>>,
    /// The file that was begun last, and the mode with which it was made.
    open: Option<(File, u32)>,
}

#[derive(Debug)]
struct Directory {
    /// Its final path, for messages.
    target: PathBuf,
    refused: Named,
}

impl Unpacking {
    /// Creates the value for a process of this privilege, with no directory so far.
    pub fn new(privilege: Privilege) -> Unpacking {
        Unpacking {
            attributes: AttributeWriter::new(privilege),
            directories: BTreeMap::new(),
            made: BTreeMap::new(),
            open: None,
        }
    }

    /// Adds the directory called `name`, which will lie at `target`.
    pub fn add(&mut self, name: EntryName, target: PathBuf) {
        let refused = Named::default();
        self.directories.insert(name, Directory { target, refused });
    }

    /// Returns a writer for the content of `name`; `None` if it is not a file of these directories.
    pub fn begin(
        &mut self,
        staging: &Staging,
        name: &EntryName,
        record: &FileRecord,
    ) -> Result<Option<Box<dyn Write + '_>>> {
        self.open = None;
        let directory = name.as_str().split_once('/').map(|(first, _)| first);
        if !directory.is_some_and(|directory| self.directories.contains_key(directory)) {
            return Ok(None);
        }
        // Attributes cannot be given to what may not be written.
        let mode = AttributeWriter::mode_of_new_file(record).filter(|_| record.xattrs.is_empty());
        let mode = mode.unwrap_or(0o600);
        let file = staging.file_of_mode(name, mode)?;
        let (file, _) = self.open.insert((file, mode));
        Ok(Some(Box::new(file)))
    }

    /// Gives the file that was begun last, and whose content is there, what else the manifest says of it.
    pub fn end(&mut self, name: &EntryName, record: &FileRecord) -> Result<()> {
        let (Some((file, mode)), Some((directory, key))) =
            (self.open.take(), name.as_str().split_once('/'))
        else {
            return Ok(());
        };
        let Some(directory) = self.directories.get_mut(directory) else {
            return Ok(());
        };
        let relative = record.name.as_deref().unwrap_or(key.as_bytes());
        let path = || format!("{}/{}", directory.target.display(), shown(relative));
        let mut finish = || -> io::Result<Vec<String>> {
            if record.sparse {
                punch(&file)?;
            }
            let made = self.made.entry(mode).or_default();
            self.attributes.set_new_file(&file, record, made)
        };
        for refused in finish().with_context(|| format!("cannot restore {}", path()))? {
            directory.refused.add(|| format!("{}: {refused}", path()));
        }
        Ok(())
    }

    /// Returns the directories, and the refusals of the file system for each.
    pub fn finish(self) -> BTreeMap<EntryName, Vec<String>> {
        let directories = self.directories.into_iter();
        directories
            .map(|(name, directory)| (name, directory.refused.finish()))
            .collect()
    }
}
