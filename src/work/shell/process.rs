//! A running command, and its end: gently at first, by force after a while.

use std::{
    io,
    process::{Child, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use crate::work::session;

/// The time between SIGTERM and SIGKILL for a command that has to end.
pub const GRACE: Duration = Duration::from_secs(10);
/// The time between two checks of a running command.
pub(super) const TICK: Duration = Duration::from_millis(5);

/// A running command. Dropping the value kills it and the processes that it started if it has not ended.
pub(super) struct Running {
    child: Child,
}

impl Running {
    pub fn new(child: Child) -> Running {
        Running { child }
    }

    /// Returns the exit status if the command has ended.
    pub fn status(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Ends the command and the processes that it started: SIGTERM, and SIGKILL for those that remain 10 s later.
    pub fn end(&mut self) {
        let Ok(pid) = i32::try_from(self.child.id()).map(Pid::from_raw) else {
            return;
        };
        let asked = Instant::now();
        session::signal(pid, Signal::SIGTERM);
        while asked.elapsed() < GRACE {
            let is_over = !matches!(self.child.try_wait(), Ok(None));
            // The group keeps its number as long as any process is in it.
            if is_over && killpg(pid, None) == Err(Errno::ESRCH) {
                return;
            }
            thread::sleep(TICK);
        }
        session::signal(pid, Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            if let Ok(pid) = i32::try_from(self.child.id()) {
                session::signal(Pid::from_raw(pid), Signal::SIGKILL);
            }
            let _ = self.child.wait();
        }
    }
}
