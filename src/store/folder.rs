//! Archives in a folder of this machine.
//!
//! An upload is a file without a name until all of it is written and synced ([`Draft`]). If a file system cannot do
//! that, a kill leaves a file whose name begins with [`OWN`] and identifies the process that makes it.
//! [`sweep`](Store::sweep) removes such files.

use std::{
    fs,
    io::{self, Seek as _, Write},
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use chrono::{DateTime, TimeDelta, Utc};
use tracing::warn;

use super::{
    contract::{Proof, Store, Stored, Upload},
    failures::{missing, taken},
    marker::{Maker, own_name_of, told_by},
    names::{OWN, fit, plain},
    proof::unproven,
};
use crate::{
    disk::{
        self, create_folders, open_regular,
        publish::{Draft, Existing},
    },
    error::{Failure, Kind},
    model::{archive_name::is_archive_file, digest::Digest},
    work::ReadAt,
};

/// The text between the name of an archive and the part that tells its drafts apart.
const DRAFT: &str = ".draft-";
/// The age after which a draft counts as abandoned if its name does not identify the process that makes it.
const PATIENCE: TimeDelta = TimeDelta::hours(24);

/// A folder.
pub struct FolderStore {
    path: PathBuf,
}

impl FolderStore {
    /// Names the folder at `path`; the first write to it creates it.
    pub fn new(path: &Path) -> FolderStore {
        FolderStore {
            path: path.to_owned(),
        }
    }

    fn reading(&self) -> String {
        format!("cannot read the folder {}", self.path.display())
    }

    fn each_file(&self, mut take: impl FnMut(&str, &fs::DirEntry) -> Result<()>) -> Result<()> {
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(missing_folder(&self.path).into());
            }
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                let message = format!("{} is not a folder", self.path.display());
                let failure = Failure::new(Kind::NotFound, message);
                return Err(failure
                    .hint("name the folder that the archives are in")
                    .into());
            }
            entries => entries.with_context(|| self.reading())?,
        };
        // A folder that was removed while a process works in it looks empty (readdir(3)). A link count of zero does not
        // prove the removal: some file systems count no links.
        let has_no_link = fs::metadata(&self.path).is_ok_and(|metadata| metadata.nlink() == 0);
        if has_no_link && self.path.canonicalize().is_err() {
            return Err(missing_folder(&self.path).into());
        }
        for entry in entries {
            let entry = entry.with_context(|| self.reading())?;
            let file = entry.file_name();
            match file.to_str() {
                Some(name) => take(name, &entry)?,
                // Archives are known by names in UTF-8; `verify` of the folder also reads this one.
                None if is_archive_file(file.as_bytes()) => {
                    warn!(file = %file.display(), folder = %self.path.display(), "A file is skipped, because its name is not UTF-8");
                }
                None => {}
            }
        }
        Ok(())
    }
}

impl Store for FolderStore {
    fn shown(&self) -> String {
        self.path.display().to_string()
    }

    fn list(&self, take: &mut dyn FnMut(Stored) -> Result<()>) -> Result<()> {
        self.each_file(|name, entry| {
            if name.starts_with(OWN) {
                return Ok(());
            }
            match fs::metadata(entry.path()) {
                Ok(metadata) if metadata.is_file() => take(stored(name, &metadata)),
                // Folders and the like, and files that disappeared in the meantime.
                _ => Ok(()),
            }
        })
    }

    fn folders(&self) -> Vec<String> {
        let mut folders = Vec::new();
        let found = self.each_file(|name, entry| {
            let is_folder = fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_dir());
            if is_folder && !name.starts_with('.') {
                folders.push(name.to_owned());
            }
            Ok(())
        });
        drop(found);
        folders.sort();
        folders
    }

    fn find(&self, name: &str) -> Result<Option<Stored>> {
        plain(name)?;
        match fs::metadata(self.path.join(name)) {
            Ok(metadata) => Ok(metadata.is_file().then(|| stored(name, &metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| self.reading()),
        }
    }

    fn open(&self, name: &str) -> Result<Box<dyn ReadAt + Send + Sync>> {
        if self.find(name)?.is_none() {
            return Err(missing(&self.shown(), name).into());
        }
        match open_regular(&self.path.join(name)) {
            Ok(file) => Ok(Box::new(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(missing(&self.shown(), name).into())
            }
            Err(error) => Err(error)
                .with_context(|| format!("cannot read {}", self.path.join(name).display())),
        }
    }

    fn create(&self, name: &str, _: u64, maker: &Maker) -> Result<Box<dyn Upload>> {
        fit(name)?;
        if disk::exists(&self.path.join(name)) {
            return Err(taken(&self.shown(), name).into());
        }
        let writing = || format!("cannot write to the folder {}", self.path.display());
        create_folders(&self.path).with_context(writing)?;
        let prefix = format!("{}{DRAFT}", own_name_of(maker, name));
        Ok(Box::new(FolderUpload {
            draft: Draft::create_as(&self.path, &prefix).with_context(writing)?,
            folder: self.path.clone(),
            name: name.to_owned(),
        }))
    }

    fn remove(&self, name: &str) -> Result<()> {
        plain(name)?;
        if !self.path.is_dir() {
            return Ok(());
        }
        let path = self.path.join(name);
        disk::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        disk::sync_folder(&self.path).with_context(|| self.reading())
    }

    fn sweep(&self, maker: &Maker) -> Result<Vec<String>> {
        let mut swept = Vec::new();
        if !self.path.is_dir() {
            return Ok(swept);
        }
        self.each_file(|name, entry| {
            let Ok(metadata) = entry.metadata() else {
                return Ok(());
            };
            let told = told_by(name, maker);
            let is_left = match &told {
                Some((by, _)) => by.is_gone(maker),
                // The names of drafts by other commands, and by older versions, do not identify a process.
                None => {
                    let is_draft = name.strip_prefix(OWN).is_some_and(|rest| {
                        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
                    });
                    let modified = metadata.modified().map(DateTime::<Utc>::from);
                    is_draft && modified.is_ok_and(|modified| maker.begun - modified > PATIENCE)
                }
            };
            if is_left && metadata.is_file() {
                disk::remove_file(&entry.path())
                    .with_context(|| format!("cannot remove {}", entry.path().display()))?;
                let archive = told.map(|(_, archive)| {
                    let (archive, _) = archive.rsplit_once(DRAFT).unwrap_or((&archive, ""));
                    archive.to_owned()
                });
                swept.push(archive.unwrap_or_else(|| name.to_owned()));
            }
            Ok(())
        })?;
        Ok(swept)
    }

    fn below(&self, name: &str) -> Result<Box<dyn Store>> {
        fit(name)?;
        Ok(Box::new(FolderStore::new(&self.path.join(name))))
    }
}

fn stored(name: &str, metadata: &fs::Metadata) -> Stored {
    Stored {
        name: name.to_owned(),
        size_bytes: metadata.len(),
        modified: metadata.modified().ok().map(DateTime::from),
        etag: None,
    }
}

fn missing_folder(path: &Path) -> Failure {
    if let Some(failure) = disk::dangling(path) {
        let kind = Kind::NotFound;
        return Failure { kind, ..failure };
    }
    let message = format!("the folder {} does not exist", path.display());
    Failure::new(Kind::NotFound, message).hint("look at the path; an export makes the folder")
}

struct FolderUpload {
    draft: Draft,
    folder: PathBuf,
    name: String,
}

impl Write for FolderUpload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let writing = |error: io::Error| {
            let message = format!(
                "cannot write to the folder {}: {error}",
                self.folder.display()
            );
            io::Error::new(error.kind(), message)
        };
        self.draft.file().write(bytes).map_err(writing)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for FolderUpload {
    fn finish(self: Box<Self>, digest: &Digest) -> Result<Proof> {
        let (place, name) = (self.folder.display().to_string(), self.name);
        let mut draft = self.draft;
        let path = self.folder.join(&name);
        let writing = || format!("cannot write {}", path.display());
        let file = draft.file();
        file.rewind().with_context(writing)?;
        let (found, _) = Digest::of_reader(file).with_context(writing)?;
        if found != *digest {
            return Err(
                unproven(&place, &name, "what was read back is not what was written").into(),
            );
        }
        match draft.publish(&path, Existing::Keep) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(taken(&place, &name).into())
            }
            result => result.with_context(writing).map(|()| Proof::ReadBack),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::life::Life;

    #[test]
    fn named_drafts_of_dead_runs_go_and_those_of_live_ones_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let life = Life::here().expect("/proc shows us");
        let maker = |run: &str, started| Maker {
            host: "a".to_owned(),
            pid: std::process::id(),
            begun: DateTime::UNIX_EPOCH,
            run: run.to_owned(),
            life: Some(Life {
                started,
                ..life.clone()
            }),
            folders: Vec::new(),
        };
        // A process with the number of this one that began a second earlier.
        let (me, dead) = (maker("me", life.started), maker("dead", life.started - 100));
        let live = maker("other", life.started);
        let named = |maker: &Maker, end: &str| {
            let name = format!("{}{DRAFT}{end}", own_name_of(maker, "x-1.tar.gz"));
            let path = folder.path().join(name);
            fs::File::create_new(&path).expect("a file");
            path
        };
        let (stays, goes) = (named(&live, "abc"), named(&dead, "def"));
        let store = FolderStore::new(folder.path());
        assert_eq!(store.sweep(&me).expect("swept"), ["x-1.tar.gz"]);
        assert!(stays.exists() && !goes.exists());
        let mut listed = 0;
        let count = &mut |_| {
            listed += 1;
            Ok(())
        };
        store.list(count).expect("listed");
        assert_eq!(listed, 0);
    }
}
