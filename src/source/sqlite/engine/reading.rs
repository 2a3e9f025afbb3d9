//! One committed state of a database, read without changing anything beside it.
//!
//! A read-only connection of SQLite is not harmless: it creates a missing log and index, and rewrites an index that a
//! crash left. So the state of the database is inspected first, under a reader's lock, which preserves that state
//! ([`lock::share`]):
//!
//! | state | method |
//! |---|---|
//! | a log, and a process has its index in use | beside the others, as one more reader; their index is only read |
//! | no log, and no process is seen to have it open | as a file that no process changes; a log that appears meanwhile shows that one did |
//! | no log, rollback mode, and a process has it open | as a private copy, so that writers wait no longer than copying takes |
//! | a log or a hot journal that a crash left | as a private copy with them, which SQLite recovers as it would the original |
//!
//! Effects on others: in rollback mode they cannot commit meanwhile. In WAL mode the log is not shortened meanwhile,
//! and the last process to close the database leaves log and index for the next one. If hookshot reads beside others as
//! root, SQLite gives log and index the owner of the database. Mostly they have it already, so that only their ctime is
//! new.

use std::{
    fs::{File, Metadata},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use rusqlite::Connection;

use super::{
    SqliteContext, companions,
    connection::{self, ConnectionMode},
    duplicate,
    failure::{busy, empty, explained, foreign, is_passing},
    header::{JournalMode, SqliteHeader},
    holders, lock,
    work::{self, WorkEnd},
};
use crate::{
    disk::{
        open_regular,
        staging::{SNAPSHOT, Staging},
    },
    error::{Failure, Kind},
};

/// The number of attempts if others are faster.
const ATTEMPTS: usize = 10;
/// The time between two attempts to take a lock that another process holds.
const PAUSE: Duration = Duration::from_millis(20);

/// The database that was read.
#[derive(Debug)]
pub struct OriginalDatabase {
    /// The metadata of the original.
    pub metadata: Metadata,
    /// The mode that its header names.
    pub mode: JournalMode,
    /// True if a crash left it to be recovered, which was done in a copy.
    pub recovered: bool,
}

/// Does `work` on one committed state of the database that `open` opens and that `path` leads to. If the database
/// changed meanwhile, the result is dropped and `work` is repeated.
///
/// `grows` names the file that `work` writes. Fails with [`Kind::Snapshot`] if no such state can be read.
pub fn one_state<T: Send>(
    path: &Path,
    open: &dyn Fn() -> Result<File>,
    caller: &SqliteContext<'_>,
    grows: Option<&Path>,
    work: &(dyn Fn(&mut Connection, &AtomicBool) -> Result<T> + Sync),
) -> Result<(T, OriginalDatabase)> {
    let mut others = None;
    for _ in 0..ATTEMPTS {
        let original = Original::open(path, open()?, caller)?;
        let joins = others.unwrap_or_else(|| original.first_choice());
        let way = original.way(joins)?;
        let recovered = matches!(
            way,
            Way::Copied {
                recovered: true,
                ..
            }
        );
        let (ended, stayed, origin) = match way {
            Way::Beside | Way::Still { .. } => {
                let access = match way {
                    Way::Beside => ConnectionMode::Beside,
                    _ => ConnectionMode::Still,
                };
                let ended = match connection::open(&original.path, access) {
                    Ok(connection) => work::run(connection, caller.step, grows, work),
                    Err(error) => WorkEnd::Worked(Err(error.into())),
                };
                let stayed = original.stayed(&way);
                (ended, stayed, original.origin(recovered))
            }
            Way::Copied { suffixes, .. } => {
                let folder = Staging::scratch(caller.scratch, SNAPSHOT)?;
                let copy = duplicate::make(
                    &original.file,
                    &original.path,
                    &suffixes,
                    &folder,
                    caller.step,
                )?;
                let stayed = original.is_in_place();
                // From here on, writers of the original need not wait.
                let origin = original.origin(recovered);
                let Some(copy) = copy.filter(|_| stayed) else {
                    others = Some(Others::AreJoined);
                    continue;
                };
                let ended = match connection::open(&copy, ConnectionMode::Own) {
                    Ok(connection) => work::run(connection, caller.step, grows, work),
                    Err(error) => WorkEnd::Worked(Err(error.into())),
                };
                (ended, stayed, origin)
            }
        };
        match ended {
            WorkEnd::Stopped(error) => return Err(error),
            // Whatever the result: it was not one state.
            WorkEnd::Worked(_) if !stayed => {}
            WorkEnd::Worked(Err(error)) if joins == Others::AreJoined && is_passing(&error) => {
                others = Some(Others::AreCopied);
            }
            WorkEnd::Worked(Err(error)) => return Err(explained(error, path)),
            WorkEnd::Worked(Ok(result)) => return Ok((result, origin)),
        }
    }
    let message = format!(
        "no consistent snapshot of {}: it changes again and again while it is read",
        path.display()
    );
    Err(Failure::new(Kind::Snapshot, message)
        .hint("try again when the service is quieter; nothing was written")
        .into())
}

/// The treatment of a log that others have in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Others {
    /// We read beside them.
    AreJoined,
    /// Log and database are copied, which needs a moment without commits.
    AreCopied,
}

/// The way in which one state is read.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    Beside,
    Still {
        log: Option<Stamp>,
    },
    Copied {
        suffixes: Vec<&'static str>,
        recovered: bool,
    },
}

/// Place, size and times of a file.
type Stamp = (u64, u64, i64, i64);

fn stamp(metadata: &Metadata) -> Stamp {
    (
        metadata.ino(),
        metadata.len(),
        metadata.ctime(),
        metadata.ctime_nsec(),
    )
}

/// The database that is read, under a reader's lock for as long as this value lives.
///
/// It must outlive the connections to it: closing our handle drops the locks that SQLite has in this process.
struct Original {
    /// The absolute path with links resolved: the companions lie beside it.
    path: PathBuf,
    file: File,
    metadata: Metadata,
    mode: JournalMode,
}

impl Original {
    /// Takes the lock, and waits for it as long as the caller's patience lasts.
    fn open(path: &Path, file: File, caller: &SqliteContext<'_>) -> Result<Original> {
        let reading = || format!("cannot read {}", path.display());
        let real = path.canonicalize().with_context(reading)?;
        let begun = Instant::now();
        while !lock::share(&file).with_context(|| format!("cannot lock {}", path.display()))? {
            (caller.step)(0)?;
            if begun.elapsed() >= caller.patience {
                return Err(busy(path).into());
            }
            thread::sleep(PAUSE);
        }
        let mode = match SqliteHeader::read(&file).with_context(reading)? {
            SqliteHeader::Database(mode) => mode,
            SqliteHeader::Empty => return Err(empty(path).into()),
            SqliteHeader::Foreign => return Err(foreign(path).into()),
        };
        Ok(Original {
            path: real,
            metadata: file.metadata().with_context(reading)?,
            file,
            mode,
        })
    }

    /// Returns the way to try first. SQLite, as root, gives log and index the owner of the database. If that would
    /// change their owner, copying is tried first.
    fn first_choice(&self) -> Others {
        let owner = |metadata: &Metadata| (metadata.uid(), metadata.gid());
        let [log, index, _] = companions(&self.path);
        let is_others = [log, index]
            .iter()
            .filter_map(|companion| companion.metadata().ok())
            .any(|metadata| owner(&metadata) != owner(&self.metadata));
        if is_others && nix::unistd::geteuid().is_root() {
            Others::AreCopied
        } else {
            Others::AreJoined
        }
    }

    /// Inspects the state of the database and chooses the way to read it.
    fn way(&self, others: Others) -> Result<Way> {
        let [log, index, journal] = companions(&self.path);
        let log = match log.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            result => Some(result.with_context(|| format!("cannot read {}", log.display()))?),
        };
        if self.is_hot(&journal)? {
            let mut suffixes = vec!["-journal"];
            suffixes.extend(log.map(|_| "-wal"));
            return Ok(Way::Copied {
                suffixes,
                recovered: true,
            });
        }
        let Some(log) = log else {
            // As far as hookshot may see the processes that have it open. An unseen process waits a little longer.
            let is_held = self.mode == JournalMode::Rollback
                && !holders(&self.path).unwrap_or_default().is_empty();
            return Ok(if is_held {
                Way::Copied {
                    suffixes: Vec::new(),
                    recovered: false,
                }
            } else {
                Way::Still { log: None }
            });
        };
        let is_live = match open_regular(&index) {
            Ok(file) => lock::is_attached(&file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        };
        let is_live = is_live.with_context(|| format!("cannot read {}", index.display()))?;
        Ok(match (is_live, log.len()) {
            (true, _) if others == Others::AreJoined => Way::Beside,
            (false, 0) => Way::Still {
                log: Some(stamp(&log)),
            },
            _ => Way::Copied {
                suffixes: vec!["-wal"],
                recovered: !is_live,
            },
        })
    }

    /// Returns true if `journal` is that of a transaction that a crash cut short (SQLite, "Hot Rollback Journals").
    fn is_hot(&self, journal: &Path) -> Result<bool> {
        let reading = || format!("cannot read {}", journal.display());
        let mut file = match open_regular(journal) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            result => result.with_context(reading)?,
        };
        if lock::is_reserved(&self.file).with_context(reading)? {
            return Ok(false);
        }
        let mut first = [0];
        let read = file.read(&mut first).with_context(reading)?;
        Ok(read == 1 && first != [0])
    }

    /// Returns true if the conditions that `way` relied on still hold.
    fn stayed(&self, way: &Way) -> bool {
        let now = || companions(&self.path)[0].metadata().ok();
        let is_quiet = match way {
            Way::Still { log } => now().map(|metadata| stamp(&metadata)) == *log,
            Way::Beside | Way::Copied { .. } => true,
        };
        is_quiet && self.is_in_place()
    }

    /// Returns true if its name still leads to it.
    fn is_in_place(&self) -> bool {
        let place = |metadata: &Metadata| (metadata.dev(), metadata.ino());
        self.path
            .metadata()
            .is_ok_and(|now| place(&now) == place(&self.metadata))
    }

    /// Releases the database and describes it.
    fn origin(self, recovered: bool) -> OriginalDatabase {
        OriginalDatabase {
            metadata: self.metadata,
            mode: self.mode,
            recovered,
        }
    }
}
