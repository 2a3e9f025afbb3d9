//! SQLite's work in a thread of its own, so that it can be stopped.

use std::{
    panic,
    path::Path,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use anyhow::Result;
use rusqlite::Connection;

use crate::work::Advance;

/// The time between two questions to the caller whether to go on.
const TICK: Duration = Duration::from_millis(50);

/// The end of the work.
#[derive(Debug)]
pub enum WorkEnd<T> {
    /// It ended by itself, with success or an error.
    Worked(Result<T>),
    /// The caller stopped it, with this error.
    Stopped(anyhow::Error),
}

/// Does `work` with `connection`, which is closed at its end. Meanwhile `step` is told the growth of the file at
/// `grows`, and ends the work by an error. Work that SQLite does not interrupt has to read the flag.
pub fn run<T: Send>(
    mut connection: Connection,
    step: &Advance<'_>,
    grows: Option<&Path>,
    work: impl FnOnce(&mut Connection, &AtomicBool) -> Result<T> + Send,
) -> WorkEnd<T> {
    let handle = connection.get_interrupt_handle();
    let stopping = AtomicBool::new(false);
    let mut seen = 0;
    let mut ask = || {
        let size = grows.and_then(|path| path.metadata().ok());
        let size = size.map_or(0, |metadata| metadata.len()).max(seen);
        let grown = size - seen;
        seen = size;
        step(grown).err()
    };
    let mut stopped = ask();
    if let Some(error) = stopped {
        return WorkEnd::Stopped(error);
    }
    thread::scope(|scope| {
        let (running, ended) = mpsc::channel::<()>();
        let stopping = &stopping;
        let worker = scope.spawn(move || {
            let _running = running;
            work(&mut connection, stopping)
        });
        // Nothing is ever sent: the other end closes with the thread.
        while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            if stopped.is_none() {
                stopped = ask();
            }
            if stopped.is_some() {
                stopping.store(true, Ordering::Relaxed);
                // Repeated: a statement that begins after an interruption is not interrupted by it.
                handle.interrupt();
            }
        }
        let result = worker
            .join()
            .unwrap_or_else(|payload| panic::resume_unwind(payload));
        match stopped.or_else(ask) {
            Some(error) => WorkEnd::Stopped(error),
            None => WorkEnd::Worked(result),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;
    use std::cell::Cell;

    #[test]
    fn a_query_without_an_end_is_ended() {
        let asked = Cell::new(0);
        let step = |_| {
            asked.set(asked.get() + 1);
            if asked.get() == 3 {
                bail!("enough");
            }
            Ok(())
        };
        let connection = Connection::open_in_memory().expect("a database");
        let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
        let ended = run(connection, &step, None, |connection, _| {
            Ok(connection.query_row(endless, [], |row| row.get::<_, i64>(0))?)
        });
        assert!(matches!(ended, WorkEnd::Stopped(error) if error.to_string() == "enough"));
    }
}
