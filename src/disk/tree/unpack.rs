//! Files of directories while an archive is unpacked: each gets its attributes while it is open, so that the folder
//! where they are staged can become the directory by one rename.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Write},
    os::fd::AsFd as _,
    path::PathBuf,
};

use anyhow::{Context as _, Result};

use super::{
    attributes::{AttributeWriter, Privilege},
    given::{NewFile, Refusals},
    holes::punch,
    making::{MadeBatch, Makers, MakingError, SmallFile},
};
use crate::{
    disk::staging::Staging,
    model::{entry_name::EntryName, manifest::FileRecord, named::Named, relative::shown},
    work::workers::Threads,
};

/// The largest file that threads make, because it waits in memory, in bytes.
const SMALL_BYTES: u64 = 64 << 10;

/// The unpacking of directories' files into one staging folder. Their content is not verified yet: only the folder
/// keeps them private.
///
/// Threads make the small ones, and none does any more when this value is gone: the folder must go after it.
pub struct Unpacking {
    attributes: AttributeWriter,
    directories: BTreeMap<EntryName, Directory>,
    open: OpenFile,
    threads: Threads,
    makers: Option<Makers>,
}

struct Directory {
    /// Its final path, for messages.
    target: PathBuf,
    refused: Named,
}

/// The file that was begun last.
enum OpenFile {
    Nothing,
    /// A small one, of which only the content is there.
    Small,
    Large(File),
}

impl Unpacking {
    /// Creates the value for a process of this privilege, with no directory so far.
    pub fn new(privilege: Privilege, threads: Threads) -> Unpacking {
        Unpacking {
            attributes: AttributeWriter::new(privilege),
            directories: BTreeMap::new(),
            open: OpenFile::Nothing,
            threads,
            makers: None,
        }
    }

    /// Adds the directory called `name`, which will lie at `target`.
    pub fn add(&mut self, name: EntryName, target: PathBuf) {
        let refused = Named::default();
        self.directories.insert(name, Directory { target, refused });
    }

    /// Returns a writer for the content of `name`; `None` if it is not a file of these directories. `staging` is always
    /// the same folder. A failure may be that of a small file before it.
    pub fn begin(
        &mut self,
        staging: &Staging,
        name: &EntryName,
        record: &FileRecord,
    ) -> Result<Option<Box<dyn Write + '_>>> {
        self.open = OpenFile::Nothing;
        let directory = name.as_str().split_once('/').map(|(first, _)| first);
        if !directory.is_some_and(|directory| self.directories.contains_key(directory)) {
            return Ok(None);
        }
        if record.size > SMALL_BYTES {
            let file = staging.file_of_mode(name, mode_of_new_file(record))?;
            self.open = OpenFile::Large(file);
            return Ok(match &mut self.open {
                OpenFile::Large(file) => Some(Box::new(file)),
                _ => None,
            });
        }
        let threads = self.threads;
        let makers = self
            .makers
            .get_or_insert_with(|| Makers::new(staging.path(), threads));
        if makers.is_complete(name) {
            let made = makers.send()?;
            made.map_or(Ok(()), |made| self.settle(made))?;
        }
        self.open = OpenFile::Small;
        let content = self.makers.as_mut().map(Makers::begin);
        Ok(content.map(|content| Box::new(content) as Box<dyn Write>))
    }

    /// Gives the file that was begun last, and whose content is there, what else the manifest says of it. A small one
    /// is made later.
    pub fn end(&mut self, name: &EntryName, record: &FileRecord) -> Result<()> {
        match std::mem::replace(&mut self.open, OpenFile::Nothing) {
            OpenFile::Nothing => {}
            OpenFile::Small => {
                let given = self.attributes.of_file(record).into_owned();
                let file = SmallFile {
                    name: name.clone(),
                    relative: record.name.clone(),
                    mode: mode_of_new_file(record),
                    given,
                    is_sparse: record.sparse,
                };
                if let Some(makers) = &mut self.makers {
                    makers.add(file);
                }
            }
            OpenFile::Large(file) => {
                let relative = record.name.as_deref();
                let given = self.attributes.of_file(record);
                let give = || -> io::Result<Refusals> {
                    if record.sparse {
                        punch(&file)?;
                    }
                    given.give(file.as_fd(), NewFile::inspect(&file)?)
                };
                let refused = give();
                self.note(name, relative, refused)?;
            }
        }
        Ok(())
    }

    /// Takes the outcomes of files that threads made.
    fn settle(&mut self, mut made: MadeBatch) -> Result<()> {
        for (file, outcome) in made.outcomes() {
            let outcome = match outcome {
                Err(MakingError::Content(error)) => return Err(error),
                Err(MakingError::Attributes(error)) => Err(error),
                Ok(refused) => Ok(refused),
            };
            self.note(&file.name, file.relative.as_deref(), outcome)?;
        }
        if let Some(makers) = &mut self.makers {
            makers.reuse(made);
        }
        Ok(())
    }

    /// Notes the refusals for a file, or fails in its name.
    fn note(
        &mut self,
        name: &EntryName,
        relative: Option<&[u8]>,
        given: io::Result<Refusals>,
    ) -> Result<()> {
        let split = name.as_str().split_once('/');
        let Some((directory, key)) =
            split.and_then(|(directory, key)| Some((self.directories.get_mut(directory)?, key)))
        else {
            return Ok(());
        };
        let relative = relative.unwrap_or(key.as_bytes());
        let path = || format!("{}/{}", directory.target.display(), shown(relative));
        let refused = given.with_context(|| format!("cannot restore {}", path()))?;
        for refused in self.attributes.say(refused) {
            directory.refused.add(|| format!("{}: {refused}", path()));
        }
        Ok(())
    }

    /// Waits for all files. Returns the directories, and the refusals of the file system for each.
    pub fn finish(mut self) -> Result<BTreeMap<EntryName, Vec<String>>> {
        let last = self.makers.as_mut().map(Makers::end).transpose()?;
        last.flatten().map_or(Ok(()), |made| self.settle(made))?;
        while let Some(made) = self
            .makers
            .as_mut()
            .map(Makers::take)
            .transpose()?
            .flatten()
        {
            self.settle(made)?;
        }
        let directories = self.directories.into_iter();
        Ok(directories
            .map(|(name, directory)| (name, directory.refused.finish()))
            .collect())
    }
}

/// Returns the mode with which a file is made. Attributes cannot be given to what may not be written.
fn mode_of_new_file(record: &FileRecord) -> u32 {
    let mode = AttributeWriter::mode_of_new_file(record).filter(|_| record.xattrs.is_empty());
    mode.unwrap_or(0o600)
}
