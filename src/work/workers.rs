//! Work on blocks by several threads; the results come out in the order of the blocks.
//!
//! A window bounds the number of pending blocks, and with it memory. Work that panics loses only its own result: its
//! caller gets an error.

use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};

/// The number of threads that compress and inflate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threads(NonZeroUsize);

/// The most threads: more than any disk can feed.
const MOST_THREADS: usize = 64;
/// The stack of a thread, in bytes: compressing and inflating keep their memory on the heap.
const STACK_BYTES: usize = 256 << 10;
/// The pending blocks for each thread.
const WINDOW: usize = 3;

impl Threads {
    /// Only the thread of the caller.
    pub const ONE: Threads = Threads(NonZeroUsize::MIN);

    /// Makes a number of threads, at most 64; `None` for 0.
    pub fn new(count: usize) -> Option<Threads> {
        NonZeroUsize::new(count.min(MOST_THREADS)).map(Threads)
    }

    /// Returns one thread for each processor that hookshot may use.
    pub fn available() -> Threads {
        let count = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Threads::new(count).unwrap_or(Threads::ONE)
    }

    /// Returns the number of threads.
    pub fn count(self) -> NonZeroUsize {
        self.0
    }
}

/// The function of one thread, with its own memory.
pub type Work<J, R> = Box<dyn FnMut(J) -> R + Send>;

/// Threads that work on jobs of kind `J`, and results of kind `R` in the jobs' order.
pub struct Workers<J, R> {
    team: Team<J, R>,
    pending: VecDeque<Pending<R>>,
    window: usize,
}

enum Team<J, R> {
    /// The caller's own thread, if it is the only one.
    Caller(Work<J, R>),
    /// Threads that end when the sender is dropped.
    Threads(mpsc::Sender<(J, mpsc::SyncSender<R>)>),
}

enum Pending<R> {
    Done(Option<R>),
    Coming(mpsc::Receiver<R>),
}

impl<J: Send + 'static, R: Send + 'static> Workers<J, R> {
    /// Starts `threads` threads, each with its own function made by `work`.
    pub fn start(threads: Threads, work: impl Fn() -> Work<J, R>) -> Workers<J, R> {
        let (sender, receiver) = mpsc::channel();
        let receiver = Arc::new(Mutex::new(receiver));
        let start = || {
            let (jobs, work) = (receiver.clone(), work());
            let thread = thread::Builder::new().stack_size(STACK_BYTES);
            thread.spawn(move || run(&jobs, work)).is_ok()
        };
        // If the system refuses further threads, the caller's own remains.
        let count = match threads {
            Threads::ONE => 0,
            Threads(count) => (0..count.get()).take_while(|_| start()).count(),
        };
        Workers {
            team: match count {
                0 => Team::Caller(work()),
                _ => Team::Threads(sender),
            },
            pending: VecDeque::new(),
            window: (WINDOW * count).max(1),
        }
    }

    /// Returns true if a result must be taken before the next job is given.
    pub fn is_full(&self) -> bool {
        self.pending.len() >= self.window
    }

    /// Gives a job.
    pub fn give(&mut self, job: J) {
        let pending = match &mut self.team {
            Team::Caller(work) => Pending::Done(attempt(work, job)),
            Team::Threads(jobs) => {
                let (reply, result) = mpsc::sync_channel(1);
                // Threads take jobs for as long as this value lives.
                let _ = jobs.send((job, reply));
                Pending::Coming(result)
            }
        };
        self.pending.push_back(pending);
    }

    /// Waits for the next result; `None` if no job is left, and an error if the work on it failed.
    pub fn take(&mut self) -> Option<Result<R, Lost>> {
        let result = match self.pending.pop_front()? {
            Pending::Done(result) => result,
            Pending::Coming(result) => result.recv().ok(),
        };
        Some(result.ok_or(Lost))
    }
}

/// An error: the work on a block panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost;

impl From<Lost> for std::io::Error {
    fn from(_: Lost) -> std::io::Error {
        std::io::Error::other("a thread failed; this is a defect of hookshot")
    }
}

fn run<J, R>(jobs: &Mutex<mpsc::Receiver<(J, mpsc::SyncSender<R>)>>, mut work: Work<J, R>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((job, reply)) = job else {
            return;
        };
        // If it panics, the reply is dropped, and that wakes the waiting caller.
        if let Some(result) = attempt(&mut work, job) {
            let _ = reply.send(result);
        }
    }
}

fn attempt<J, R>(work: &mut Work<J, R>, job: J) -> Option<R> {
    catch_unwind(AssertUnwindSafe(|| work(job))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc::RecvTimeoutError, time::Duration};

    /// Fails a test that hangs instead of waiting for ever.
    fn within_seconds<T: Send + 'static>(
        seconds: u64,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let (done, waiting) = mpsc::channel();
        thread::spawn(move || done.send(work()));
        match waiting.recv_timeout(Duration::from_secs(seconds)) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => panic!("it hangs"),
            Err(RecvTimeoutError::Disconnected) => panic!("it failed"),
        }
    }

    #[test]
    fn results_come_in_the_order_of_jobs_whoever_is_faster() {
        for count in [1, 2, 7] {
            let threads = Threads::new(count).expect("some");
            let results = within_seconds(60, move || {
                let mut workers = Workers::start(threads, || {
                    Box::new(|number: u64| {
                        thread::sleep(Duration::from_micros(number * 7919 % 300));
                        number * 2
                    })
                });
                let mut results = Vec::new();
                for number in 0..500 {
                    while workers.is_full() {
                        results.extend(workers.take());
                    }
                    workers.give(number);
                }
                while let Some(result) = workers.take() {
                    results.push(result);
                }
                results
            });
            let expected: Vec<_> = (0..500).map(|number| Ok(number * 2)).collect();
            assert_eq!(results, expected);
        }
    }

    #[test]
    fn a_job_that_panics_is_told_and_the_others_are_done() {
        for count in [1, 2, 7] {
            let threads = Threads::new(count).expect("some");
            let results = within_seconds(60, move || {
                let mut workers = Workers::start(threads, || {
                    Box::new(|number: u64| {
                        assert!(!number.is_multiple_of(3), "made to panic");
                        number
                    })
                });
                let mut results = Vec::new();
                for number in 0..60 {
                    workers.give(number);
                    if workers.is_full() {
                        results.extend(workers.take());
                    }
                }
                while let Some(result) = workers.take() {
                    results.push(result);
                }
                results
            });
            for (number, result) in results.iter().enumerate() {
                let expected = if number % 3 == 0 {
                    Err(Lost)
                } else {
                    Ok(number as u64)
                };
                assert_eq!(*result, expected);
            }
            assert_eq!(results.len(), 60);
        }
    }

    #[test]
    fn workers_that_are_dropped_with_jobs_on_their_way_end() {
        let alive = Arc::new(());
        let held = alive.clone();
        let mut workers = Workers::start(Threads::new(4).expect("some"), || {
            let held = held.clone();
            Box::new(move |number: u64| {
                let _ = &held;
                number
            })
        });
        for number in 0..10 {
            workers.give(number);
        }
        drop((workers, held));
        within_seconds(60, move || {
            while Arc::strong_count(&alive) > 1 {
                thread::sleep(Duration::from_millis(1));
            }
        });
    }
}
