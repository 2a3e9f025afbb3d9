//! The files of runs at work: report, log and record of each, private, beside the state of the server.

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Result;
use tokio::sync::{Notify, Semaphore};

use crate::{
    disk::{create_folders, remove_file},
    error::{Failure, Kind},
    serve::program::MOST_LOG_BYTES,
};

/// The streams of events at once.
const MOST_LISTENERS: usize = 32;
/// The endings of the names of the files of a run.
const ENDINGS: [&str; 3] = ["json", "log", "run"];

/// The place of the runs at work.
pub struct Runs {
    folder: PathBuf,
    /// Counts streams of events.
    pub listeners: Arc<Semaphore>,
    /// Tells of the end of any run.
    pub ends: Notify,
}

/// The files of a run.
#[derive(Debug, Clone)]
pub struct Files {
    /// The report: standard output of the verb.
    pub report: PathBuf,
    /// The messages: standard error of the verb.
    pub log: PathBuf,
    /// The record of its processes and of its end.
    pub record: PathBuf,
}

impl Runs {
    /// Returns the place beside the file of the state.
    pub fn new(state: &Path) -> Runs {
        Runs {
            folder: state.with_extension("runs"),
            listeners: Arc::new(Semaphore::new(MOST_LISTENERS)),
            ends: Notify::new(),
        }
    }

    /// Returns the files of a run.
    pub fn files(&self, id: &str) -> Files {
        let file = |ending: &str| self.folder.join(format!("{id}.{ending}"));
        let [report, log, record] = ENDINGS.map(file);
        Files {
            report,
            log,
            record,
        }
    }

    /// Makes report and log of a new run, 0600 from the first byte.
    ///
    /// Errors: [`Kind::Space`] if the disk is full.
    pub fn create(&self, id: &str) -> Result<(File, File)> {
        let made = || {
            create_folders(&self.folder)?;
            let files = self.files(id);
            Ok((create(&files.report)?, create(&files.log)?))
        };
        made().map_err(|error: io::Error| {
            let message = format!("cannot make files in {}: {error}", self.folder.display());
            let is_full = error.kind() == io::ErrorKind::StorageFull;
            let kind = if is_full { Kind::Space } else { Kind::Failed };
            Failure::new(kind, message).into()
        })
    }

    /// Returns the files of runs, each with the identifier of its run.
    pub fn found(&self) -> Vec<(String, PathBuf)> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten();
        let named = entries.flatten().filter_map(|entry| {
            let path = entry.path();
            let ending = path.extension()?.to_str()?;
            let stem = path.file_stem()?.to_str()?.to_owned();
            ENDINGS.contains(&ending).then_some((stem, path))
        });
        named.collect()
    }
}

impl Files {
    /// Removes them.
    pub fn remove(&self) -> io::Result<()> {
        remove_file(&self.report)?;
        remove_file(&self.log)?;
        remove_file(&self.record)
    }

    /// Returns the last messages.
    pub fn log_tail(&self) -> String {
        let tail = || {
            let mut file = File::open(&self.log)?;
            let size = file.metadata()?.len();
            let most = MOST_LOG_BYTES as u64;
            file.seek(SeekFrom::Start(size.saturating_sub(most)))?;
            let mut bytes = Vec::new();
            file.take(most).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = tail().unwrap_or_else(|_: io::Error| Vec::new());
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Makes a new file, 0600.
pub fn create(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.append(true).create_new(true).mode(0o600);
    options.open(path)
}
