//! The ends of runs: of those that this server started, and of those that an earlier one did.

use std::{
    os::{fd::AsFd as _, unix::process::ExitStatusExt as _},
    path::Path,
    process::ExitStatus,
    sync::{Arc, PoisonError},
    thread::Builder,
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::{
    process::Child,
    sync::oneshot,
    time::{Instant, sleep},
};
use tracing::warn;

use super::{
    files::create,
    record::{Process, Record, exit_code},
    report,
    told::failure,
};
use crate::{
    disk::remove_file,
    serve::{
        Server,
        database::{End, ServeRun},
        index::freshen,
    },
};

/// The time in which a process that was started writes its record.
const LONGEST_START: Duration = Duration::from_secs(5);
/// The time between two looks at a file that another process is about to write.
const SHORT: Duration = Duration::from_millis(20);
/// The time after which a state that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(30);
/// The time between two looks at a process, on a system that does not tell of its end.
const POLL: Duration = Duration::from_secs(1);

/// The stack of a thread that waits for a process.
const STACK_BYTES: usize = 256 << 10;

/// Follows a run to its end: the child of this server.
pub fn follow(server: &Arc<Server>, id: &str, mut child: Child) {
    let (server, id) = (server.clone(), id.to_owned());
    tokio::spawn(async move {
        let status = child.wait().await;
        let path = server.runs.files(&id).record;
        let code = match orphan(&path) {
            // The verb outlived the process that waits for it, so nothing tells its exit code.
            Some(verb) => {
                ended(verb).await;
                None
            }
            None => code_of(&server, &path, status.ok()),
        };
        finish(&server, &id, code).await;
    });
}

/// Follows the runs of an earlier server, and removes the leftovers of others. Returns their number.
pub fn adopt(server: &Arc<Server>) -> Result<usize> {
    // Another server may begin a run now. Its row comes before its files, so the files are listed first.
    let found = server.runs.found();
    let running = server.database.running()?;
    let ids: Vec<String> = running.iter().map(|run| run.id.clone()).collect();
    for (_, path) in found.iter().filter(|(id, _)| !ids.contains(id)) {
        remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    for run in running {
        tokio::spawn(follow_adopted(server.clone(), run));
    }
    Ok(ids.len())
}

async fn follow_adopted(server: Arc<Server>, run: ServeRun) {
    let path = server.runs.files(&run.id).record;
    match recorder(&path).await {
        Some(recorder) => ended(recorder).await,
        // Its process never began, and from now on it will not.
        None => drop(create(&path)),
    }
    if let Some(verb) = orphan(&path) {
        ended(verb).await;
    }
    let code = code_of(&server, &path, None);
    finish(&server, &run.id, code).await;
}

/// Returns the exit code of a verb, if anything tells it: its record, or else the end of the recorder.
fn code_of(server: &Server, path: &Path, recorder: Option<ExitStatus>) -> Option<u8> {
    let record = Record::read(path).unwrap_or_default();
    match record.exit_code {
        // The process that was killed had asked the agent for the verb, which may be at work.
        Some(_) if record.is_killed && server.program.has_agent() => None,
        Some(code) => Some(code),
        // A recorder that was killed may have begun the verb.
        None => recorder
            .filter(|status| status.signal().is_none())
            .map(exit_code),
    }
}

/// Returns the verb of a run whose recorder was killed, as long as it works.
fn orphan(path: &Path) -> Option<Process> {
    let record = Record::read(path).filter(|record| record.exit_code.is_none())?;
    record.verb.filter(|verb| verb.is_alive())
}

/// Returns the process that is told that a run should end: the recorder, which leads the session of the run, or else the verb.
pub async fn at_work(path: &Path) -> Option<Process> {
    recorder(path).await.or_else(|| orphan(path))
}

/// Returns the process that records a run, which it writes soon after its start.
async fn recorder(path: &Path) -> Option<Process> {
    let end = Instant::now() + LONGEST_START;
    loop {
        let recorder = Record::read(path).and_then(|record| record.recorder);
        if recorder.is_some() || Instant::now() >= end {
            return recorder.filter(|recorder| recorder.is_alive());
        }
        sleep(SHORT).await;
    }
}

/// Waits until a process has ended. Few processes are followed, so each has a thread that sleeps.
async fn ended(process: Process) {
    let (tell, told) = oneshot::channel();
    let wait = move || {
        wait_for(process);
        let _ = tell.send(());
    };
    let thread = Builder::new().name("run".to_owned());
    if thread.stack_size(STACK_BYTES).spawn(wait).is_ok() {
        let _ = told.await;
    }
    while process.is_alive() {
        sleep(POLL).await;
    }
}

fn wait_for(process: Process) {
    let pid = Pid::from_raw(process.pid);
    let descriptor = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    // The number may have become that of another process before the descriptor was opened.
    if let Some(descriptor) = descriptor
        && process.is_alive()
    {
        let mut ends = [PollFd::new(descriptor.as_fd(), PollFlags::POLLIN)];
        while poll(&mut ends, PollTimeout::NONE) == Err(Errno::EINTR) {}
    }
}

/// Keeps report and log of a run that has ended, and removes its files.
async fn finish(server: &Arc<Server>, id: &str, code: Option<u8>) {
    let files = server.runs.files(id);
    let report = report::read(&files.report);
    let log = files.log_tail();
    // Without a recorded end, a report of a failure still tells one.
    let told = failure(report.as_ref(), "", None).map(|failure| failure.kind.code());
    let exit_code = code.or(told);
    let end = End {
        exit_code,
        message: failure(report.as_ref(), &log, exit_code).map(|failure| failure.message),
        report: report.as_ref(),
        log: &log,
    };
    while let Err(error) = server.database.end_run(id, &end, server.now()) {
        warn!("Cannot keep the end of the run {id}: {error:#}");
        sleep(RETRY).await;
    }
    if let Err(error) = files.remove() {
        warn!("Cannot remove the files of the run {id}: {error}");
    }
    server.runs.ends.notify_waiters();
    // The destinations may hold something else now.
    *(server.looking.0.lock()).unwrap_or_else(PoisonError::into_inner) = None;
    freshen(server);
}
