//! The figures of a process: its memory, its threads, its open files.

use std::{
    fmt, fs, thread,
    time::{Duration, Instant},
};

/// The time in which a process becomes quiet.
const PATIENCE: Duration = Duration::from_secs(60);
/// The looks without a change after which it is quiet.
const QUIET: u32 = 10;
/// The growth of memory that is none: of a memory that is shared out anew, and of pages of the state.
const SPARE_KIB: u64 = 16 << 10;
/// The growth of open files and threads that is none.
const SPARE: usize = 4;
/// The most memory of a server.
const MOST_KIB: u64 = 100 << 10;

/// The figures of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    kib: u64,
    threads: usize,
    files: usize,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures {
            kib,
            threads,
            files,
        } = self;
        write!(f, "{kib} KiB, {threads} threads, {files} open files")
    }
}

impl Figures {
    /// Reads those of a process (proc_pid_status(5), proc_pid_fd(5)).
    #[track_caller]
    fn of(pid: u32) -> Figures {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
        let number = |name: &str| {
            let mut lines = status.lines();
            let line = lines.find_map(|line| line.strip_prefix(name)).expect(name);
            let number = line.split_whitespace().next().expect("a number");
            number.parse::<u64>().expect("a number")
        };
        let files = fs::read_dir(format!("/proc/{pid}/fd")).expect("files");
        Figures {
            kib: number("VmRSS:"),
            threads: usize::try_from(number("Threads:")).expect("few"),
            files: files.count(),
        }
    }

    /// Fails the test if this is more memory than a server takes.
    #[track_caller]
    pub fn are_modest(&self) {
        assert!(self.kib <= MOST_KIB, "{self}");
    }

    /// Fails the test if these have grown since `before`.
    #[track_caller]
    pub fn are_no_more_than(&self, before: &Figures) {
        assert!(self.kib <= before.kib + SPARE_KIB, "{before}, now {self}");
        assert!(self.kib <= MOST_KIB, "{self}");
        assert!(
            self.threads <= before.threads + SPARE,
            "{before}, now {self}"
        );
        assert!(self.files <= before.files + SPARE, "{before}, now {self}");
    }
}

/// Waits until a process is quiet, and returns its figures.
#[track_caller]
pub fn settled(pid: u32) -> Figures {
    let (end, mut quiet) = (Instant::now() + PATIENCE, 0);
    let mut last = Figures::of(pid);
    while quiet < QUIET && Instant::now() < end {
        thread::sleep(Duration::from_millis(100));
        let now = Figures::of(pid);
        let is_quiet = (now.threads, now.files) == (last.threads, last.files);
        quiet = if is_quiet { quiet + 1 } else { 0 };
        last = now;
    }
    last
}
