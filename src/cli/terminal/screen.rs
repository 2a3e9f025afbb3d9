//! The progress of long work: on a terminal a bar with throughput and the time that is left, else a line every ten
//! seconds. Each SIGUSR1 asks for a line.
//!
//! The bar is one line, and the cursor waits at its beginning. If the terminal becomes narrower and wraps it, all of it
//! is after the cursor, and is erased from there.

use std::{
    io::{self, Read as _, Write},
    os::{fd::AsFd as _, unix::net::UnixStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use rustix::{
    process::getpgrp,
    termios::{tcgetpgrp, tcgetwinsize},
};
use tracing::info;

use super::{
    appearance::{Appearance, Cells, ProgressDisplay},
    bar::WorkProgress,
};

/// The target of log lines that a quiet run shows, too.
pub const ASKED: &str = "hookshot::asked";
/// The target of the other lines about progress. In JSON, both have the numbers, too.
pub const PROGRESS: &str = "hookshot::progress";

/// The time between two lines about long work in a log.
const PERIOD: Duration = Duration::from_secs(10);
/// The time between two bars while the work goes on, and while it stands still.
const FRAME: Duration = Duration::from_millis(100);
const IDLE_FRAME_MS: u16 = 1000;
/// The width of a terminal that does not tell it.
const USUAL_COLUMNS: usize = 80;
/// The stack of the thread that answers and redraws.
const STACK_BYTES: usize = 512 << 10;

/// Logs a line about work, with its numbers as fields.
macro_rules! tell {
    ($target:expr, $work:expr) => {
        info!(
            target: $target,
            stage = $work.what,
            bytes = $work.done,
            total_bytes = $work.total,
            files = $work.files,
            total_files = $work.all_files,
            "{}",
            $work.sentence()
        )
    };
}

/// The screen of this run: standard error, with the line in which progress is shown.
pub struct Screen {
    appearance: Appearance,
    state: Mutex<State>,
}

struct State {
    what: &'static str,
    total: Option<u64>,
    done: u64,
    all_files: Option<u64>,
    files: u64,
    /// The start of this piece of work.
    begun: Instant,
    /// The time at which bytes came last.
    moved: Instant,
    /// True if work is under way, and no result was printed since it began.
    is_active: bool,
    /// The time of the last line.
    said: Instant,
    /// The time at which a bar was drawn last.
    drawn: Option<Instant>,
    /// The width of the terminal when the bar was drawn; `None` if no bar is shown.
    columns: Option<usize>,
}

impl State {
    fn new(now: Instant) -> State {
        State {
            what: "working",
            total: None,
            done: 0,
            all_files: None,
            files: 0,
            begun: now,
            moved: now,
            is_active: false,
            said: now,
            drawn: None,
            columns: None,
        }
    }

    fn work(&self) -> WorkProgress {
        WorkProgress {
            what: self.what,
            total: self.total,
            done: self.done,
            all_files: self.all_files,
            files: self.files,
            lasts: self.begun.elapsed(),
            idles: self.moved.elapsed(),
        }
    }

    fn draw(&mut self, cells: Cells, most_columns: Option<usize>) {
        self.drawn = Some(Instant::now());
        if !is_in_foreground() {
            // The line belongs to another job now.
            self.columns = None;
            return;
        }
        if !has_room() {
            return;
        }
        let columns = columns(most_columns);
        let line = self.work().line(columns, cells);
        let erase = match self.columns {
            Some(before) if before == columns => "",
            _ => "\x1b[J",
        };
        // Without wrapping (DECAWM): the terminal may have become narrower since it was asked.
        let text = format!("\r{erase}\x1b[?7l{line}\x1b[K\x1b[?7h\r");
        let _ = io::stderr().lock().write_all(text.as_bytes());
        self.columns = Some(columns);
    }

    fn erase(&mut self) {
        if self.columns.take().is_some() && is_in_foreground() {
            let _ = io::stderr().lock().write_all(b"\r\x1b[K\x1b[J");
        }
    }
}

/// Returns true if this job has the terminal: in the background a shell or an editor has it.
fn is_in_foreground() -> bool {
    match tcgetpgrp(io::stderr().as_fd()) {
        Ok(group) => group == getpgrp(),
        // The terminal belongs to another session, so it does not tell.
        Err(_) => true,
    }
}

/// Returns true if standard error takes bytes at once. A stopped terminal (Ctrl-S) and one behind a hanging connection
/// take none; the work does not wait for them.
fn has_room() -> bool {
    let stderr = io::stderr();
    let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    !matches!(poll(&mut fds, PollTimeout::ZERO), Ok(0))
}

/// Returns the columns of the terminal now, at most those that `COLUMNS` permits.
fn columns(most: Option<usize>) -> usize {
    let size = tcgetwinsize(io::stderr().as_fd()).ok();
    let told = size.map(|size| usize::from(size.ws_col));
    let told = told.filter(|columns| *columns > 0);
    match (told, most) {
        (Some(told), Some(most)) => told.min(most),
        (told, most) => told.or(most).unwrap_or(USUAL_COLUMNS),
    }
}

impl Screen {
    /// Returns the screen of this run. Until work begins, it shows nothing.
    pub fn new(appearance: Appearance) -> Arc<Screen> {
        Arc::new(Screen {
            appearance,
            state: Mutex::new(State::new(Instant::now())),
        })
    }

    /// Shows progress from time to time if the program `works` itself, and logs it in a line whenever a byte comes through
    /// `asked`.
    pub fn watch(self: &Arc<Self>, asked: UnixStream, works: bool) {
        let watching = self.clone();
        let thread = thread::Builder::new().name("progress".to_owned());
        // Without a thread (`ulimit -u`) the work goes on; only SIGUSR1 has no answer then.
        let _ = thread
            .stack_size(STACK_BYTES)
            .spawn(move || watching.answer(asked, works));
    }

    /// Returns true if messages are coloured.
    pub fn is_colored(&self) -> bool {
        self.appearance.is_colored
    }

    /// Erases the bar, if one is shown, so that the next line takes its place.
    pub fn clear(&self) {
        let mut state = self.state();
        state.erase();
        state.is_active = false;
    }

    /// Returns true if standard error takes nothing now. Then the bar stays as it is, and is forgotten.
    pub fn is_mute(&self) -> bool {
        if has_room() {
            return false;
        }
        let mut state = self.state();
        state.columns = None;
        state.is_active = false;
        true
    }

    /// Returns a writer whose lines appear above the bar.
    pub fn above<W: Write>(self: &Arc<Self>, inner: W) -> Above<W> {
        Above {
            screen: self.clone(),
            inner,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Draws the bar anew, or logs a line, if it is time.
    fn show(&self, mut state: MutexGuard<'_, State>) {
        let is_due = state.drawn.is_none_or(|drawn| drawn.elapsed() >= FRAME);
        match self.appearance.progress {
            ProgressDisplay::Bar(cells) if is_due => {
                state.draw(cells, self.appearance.columns);
            }
            ProgressDisplay::Lines if state.said.elapsed() >= PERIOD => {
                state.said = Instant::now();
                let work = state.work();
                // The writer of log lines locks the state as well.
                drop(state);
                tell!(PROGRESS, work);
            }
            _ => {}
        }
    }

    /// Answers requests and redraws the bar, until the process ends.
    fn answer(&self, mut asked: UnixStream, works: bool) {
        let mut buffer = [0; 64];
        loop {
            let frame = match self.appearance.progress {
                ProgressDisplay::Bar(_) | ProgressDisplay::Lines if works => {
                    PollTimeout::from(IDLE_FRAME_MS)
                }
                _ => PollTimeout::NONE,
            };
            let mut fds = [PollFd::new(asked.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, frame) {
                Ok(0) => {
                    let state = self.state();
                    if state.is_active {
                        self.show(state);
                    }
                }
                Err(Errno::EINTR) => {}
                Err(_) => return,
                Ok(_) => match asked.read(&mut buffer) {
                    Ok(1..) => {
                        let work = self.state().work();
                        tell!(ASKED, work);
                    }
                    _ => return,
                },
            }
        }
    }
}

impl Screen {
    /// Begins a new part of the work, over `total` bytes or `files` if that is known.
    pub fn begin(&self, what: &'static str, total: Option<u64>, files: Option<u64>) {
        let now = Instant::now();
        let mut state = self.state();
        state.what = what;
        state.total = total;
        state.done = 0;
        state.all_files = files;
        state.files = 0;
        state.begun = now;
        state.moved = now;
        state.is_active = true;
        // Several short phases are long work together, so the times of the last line and bar stay.
    }

    /// Adds `bytes` and `files` to those that are done.
    pub fn advance(&self, bytes: u64, files: u64) {
        let mut state = self.state();
        state.done = state.done.saturating_add(bytes);
        state.files = state.files.saturating_add(files);
        if bytes > 0 || files > 0 {
            state.moved = Instant::now();
        }
        self.show(state);
    }
}

/// A writer whose lines appear above the bar.
pub struct Above<W> {
    screen: Arc<Screen>,
    inner: W,
}

/// A message that cannot be written is not a failure: the work and the exit code matter.
impl<W: Write> Write for Above<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.screen.state();
        state.erase();
        let _ = self.inner.write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.inner.flush();
        Ok(())
    }
}
