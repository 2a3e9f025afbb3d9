//! How far long work is: a bar with throughput and the time that is left on a terminal, else a line every ten seconds.

use std::{
    io::{self, IsTerminal as _, Write},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing::info;

use super::arguments::{Global, Progress as When};
use crate::ops::context::{Progress, Quiet};

static BAR: OnceLock<ProgressBar> = OnceLock::new();

/// The bar, where somebody looks.
pub fn start(global: &Global) -> Arc<dyn Progress> {
    if global.progress == When::Never || global.quiet {
        return Arc::new(Quiet);
    }
    if !io::stderr().is_terminal() {
        return Arc::new(Lines::new());
    }
    let bar = BAR.get_or_init(|| {
        ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10))
    });
    Arc::new(Bar(bar.clone()))
}

/// Takes the bar away, if there is one: what is printed next stands where it stood. The next phase brings it back.
pub fn clear() {
    if let Some(bar) = BAR.get() {
        bar.finish_and_clear();
    }
}

/// How often somebody who reads a log is told how far long work is.
const PERIOD: Duration = Duration::from_secs(10);

/// A line now and then, where there is no terminal.
struct Lines(Mutex<Line>);

struct Line {
    what: &'static str,
    total: Option<u64>,
    done: u64,
    begun: Instant,
    said: Instant,
}

impl Lines {
    fn new() -> Lines {
        let now = Instant::now();
        Lines(Mutex::new(Line {
            what: "working",
            total: None,
            done: 0,
            begun: now,
            said: now,
        }))
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Lines {
    fn begin(&self, what: &'static str, total: Option<u64>) {
        let now = Instant::now();
        let mut line = self.line();
        *line = Line {
            what,
            total,
            done: 0,
            begun: now,
            // Phases of a few seconds each are still long work.
            said: line.said,
        };
    }

    fn advance(&self, bytes: u64) {
        let mut line = self.line();
        line.done += bytes;
        if line.said.elapsed() < PERIOD {
            return;
        }
        line.said = Instant::now();
        let speed = line.done as f64 / line.begun.elapsed().as_secs_f64().max(0.001);
        let left = line
            .total
            .map(|total| total.saturating_sub(line.done) as f64 / speed.max(1.0));
        let done = HumanBytes(line.done);
        let speed = HumanBytes(speed as u64);
        match (line.total, left) {
            (Some(total), Some(left)) => info!(
                "{}: {done} of {}, {speed} a second, {left:.0} s left",
                line.what,
                HumanBytes(total)
            ),
            _ => info!("{}: {done}, {speed} a second", line.what),
        }
    }
}

struct Bar(ProgressBar);

impl Progress for Bar {
    fn begin(&self, what: &'static str, total: Option<u64>) {
        // Work of less than a second is not worth a flicker.
        let template = match total {
            Some(_) => {
                "{msg:20} {bytes:>10} / {total_bytes:10} {wide_bar} {binary_bytes_per_sec:>12} {eta:>4}"
            }
            None => "{msg:20} {bytes:>10} {binary_bytes_per_sec:>12}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.0.set_style(style);
        }
        self.0.reset();
        self.0.set_message(what);
        match total {
            Some(total) => self.0.set_length(total),
            None => self.0.unset_length(),
        }
        self.0.enable_steady_tick(Duration::from_secs(1));
    }

    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A writer whose lines stand above the bar, if there is one.
pub fn above<W: Write>(inner: W) -> Above<W> {
    Above(inner)
}

/// See [`above`].
pub struct Above<W>(W);

/// A message that nobody can read is no reason to fail: the work and the exit code matter.
impl<W: Write> Write for Above<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = match BAR.get() {
            Some(bar) => bar.suspend(|| self.0.write_all(bytes)),
            None => self.0.write_all(bytes),
        };
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}
