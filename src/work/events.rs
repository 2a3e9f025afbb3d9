//! The progress of long work.

/// A receiver of progress.
pub trait Progress: Send + Sync {
    /// Begins a new part of the work, over `total` bytes if that is known.
    fn begin(&self, what: &'static str, total: Option<u64>);
    /// Adds `bytes` to those that are done.
    fn advance(&self, bytes: u64);
}

/// A receiver that ignores progress.
pub struct Quiet;

impl Progress for Quiet {
    fn begin(&self, _: &'static str, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
}
