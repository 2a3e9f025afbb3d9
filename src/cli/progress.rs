//! A bar with throughput and the time that is left, on a terminal.

use std::{
    io::{self, IsTerminal as _, Write},
    sync::{Arc, OnceLock},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::arguments::{Global, Progress as When};
use crate::ops::context::{Progress, Quiet};

static BAR: OnceLock<ProgressBar> = OnceLock::new();

/// The bar, where somebody looks.
pub fn start(global: &Global) -> Arc<dyn Progress> {
    if global.progress == When::Never || global.quiet || !io::stderr().is_terminal() {
        return Arc::new(Quiet);
    }
    let bar = BAR.get_or_init(|| {
        ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10))
    });
    Arc::new(Bar(bar.clone()))
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
