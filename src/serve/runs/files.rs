//! The files of runs at work: report, log and record of each, private, beside the state of the server.

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use tokio::sync::Semaphore;

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

    /// Removes the files of runs that are over: all but those of `at_work`.
    pub fn sweep(&self, at_work: &[String]) -> Result<()> {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return Ok(());
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            let is_ours = path
                .extension()
                .is_some_and(|ending| ENDINGS.iter().any(|ours| ending == *ours));
            let is_over = stem.is_some_and(|stem| !at_work.iter().any(|id| id == stem));
            if is_ours && is_over {
                remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
        Ok(())
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
