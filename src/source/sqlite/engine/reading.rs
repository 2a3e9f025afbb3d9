//! One committed state of a database, read without changing anything beside it.
//!
//! A connection of SQLite's that only reads is not harmless: it makes a log and an index where there are none, and
//! writes an index anew that a crash left. So how the database stands is looked at first, under a reader's lock, which
//! keeps it that way ([`lock::share`]):
//!
//! | how it stands | how it is read |
//! |---|---|
//! | a log, and somebody has its index in use | beside them, as one more reader; their index is only read |
//! | no log, and nobody is seen to have it open | as a file that nobody changes; a log that appears meanwhile shows that somebody did |
//! | no log, rollback mode, and somebody has it open | as a private copy, so that writers wait no longer than copying takes |
//! | a log or a hot journal that a crash left | as a private copy with them, which SQLite recovers as it would the original |
//!
//! What others notice: in rollback mode they cannot commit meanwhile; in WAL mode the log is not shortened meanwhile, and
//! who closes the database last leaves log and index behind for the next who opens it. Beside others as root, SQLite
//! gives log and index the owner of the database: mostly the one that they have, so that only their ctime is new.

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
    Caller, companions,
    connection::{self, Access},
    duplicate,
    failure::{busy, empty, explained, foreign, is_passing},
    header::{Header, Mode},
    holders, lock,
    work::{self, Ended},
};
use crate::{
    disk::{
        open_regular,
        staging::{SNAPSHOT, Staging},
    },
    error::{Failure, Kind},
};

/// How often it is tried where others are faster.
const ATTEMPTS: usize = 10;
/// How often a lock that somebody holds is asked for.
const PAUSE: Duration = Duration::from_millis(20);

/// What was read.
#[derive(Debug)]
pub struct Origin {
    /// The original.
    pub metadata: Metadata,
    /// The mode that its header names.
    pub mode: Mode,
    /// Whether a crash had left it to be recovered, which was done in a copy.
    pub recovered: bool,
}

/// Does `work` on one committed state of the database that `open` opens and that `path` leads to. Where that turns out
/// to have changed, the result is forgotten and `work` is done anew.
///
/// `grows` names the file that `work` writes. Fails with [`Kind::Snapshot`] where no such state is to be had.
pub fn one_state<T: Send>(
    path: &Path,
    open: &dyn Fn() -> Result<File>,
    caller: &Caller<'_>,
    grows: Option<&Path>,
    work: &(dyn Fn(&mut Connection, &AtomicBool) -> Result<T> + Sync),
) -> Result<(T, Origin)> {
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
                    Way::Beside => Access::Beside,
                    _ => Access::Still,
                };
                let ended = match connection::open(&original.path, access) {
                    Ok(connection) => work::run(connection, caller.step, grows, work),
                    Err(error) => Ended::Worked(Err(error.into())),
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
                // From here on writers of the original need not wait.
                let origin = original.origin(recovered);
                let Some(copy) = copy.filter(|_| stayed) else {
                    others = Some(Others::AreJoined);
                    continue;
                };
                let ended = match connection::open(&copy, Access::Own) {
                    Ok(connection) => work::run(connection, caller.step, grows, work),
                    Err(error) => Ended::Worked(Err(error.into())),
                };
                (ended, stayed, origin)
            }
        };
        match ended {
            Ended::Stopped(error) => return Err(error),
            // Whatever came of it: it was not one state.
            Ended::Worked(_) if !stayed => {}
            Ended::Worked(Err(error)) if joins == Others::AreJoined && is_passing(&error) => {
                others = Some(Others::AreCopied);
            }
            Ended::Worked(Err(error)) => return Err(explained(error, path)),
            Ended::Worked(Ok(result)) => return Ok((result, origin)),
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

/// What is done where others have the log in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Others {
    /// We read beside them.
    AreJoined,
    /// Log and database are copied, which needs a moment without commits.
    AreCopied,
}

/// How one state is come by.
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
    /// Absolute, links resolved: there the companions lie.
    path: PathBuf,
    file: File,
    metadata: Metadata,
    mode: Mode,
}

impl Original {
    /// Takes the lock, and waits for it as long as the caller's patience goes.
    fn open(path: &Path, file: File, caller: &Caller<'_>) -> Result<Original> {
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
        let mode = match Header::read(&file).with_context(reading)? {
            Header::Database(mode) => mode,
            Header::Empty => return Err(empty(path).into()),
            Header::Foreign => return Err(foreign(path).into()),
        };
        Ok(Original {
            path: real,
            metadata: file.metadata().with_context(reading)?,
            file,
            mode,
        })
    }

    /// SQLite, as root, gives log and index the owner of the database. Where that would change anything, it is first
    /// tried without.
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

    /// How the database stands.
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
            // As far as we may see who has it open: whom we do not see waits a little longer.
            let is_held =
                self.mode == Mode::Rollback && !holders(&self.path).unwrap_or_default().is_empty();
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

    /// Whether `journal` is that of a transaction that a crash cut short (SQLite, "Hot Rollback Journals").
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

    /// Whether what `way` relied on is still so.
    fn stayed(&self, way: &Way) -> bool {
        let now = || companions(&self.path)[0].metadata().ok();
        let is_quiet = match way {
            Way::Still { log } => now().map(|metadata| stamp(&metadata)) == *log,
            Way::Beside | Way::Copied { .. } => true,
        };
        is_quiet && self.is_in_place()
    }

    /// Whether its name still leads to it.
    fn is_in_place(&self) -> bool {
        let place = |metadata: &Metadata| (metadata.dev(), metadata.ino());
        self.path
            .metadata()
            .is_ok_and(|now| place(&now) == place(&self.metadata))
    }

    /// Lets it go.
    fn origin(self, recovered: bool) -> Origin {
        Origin {
            metadata: self.metadata,
            mode: self.mode,
            recovered,
        }
    }
}
