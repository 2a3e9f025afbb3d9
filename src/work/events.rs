//! Progress of long work, for whoever shows it.

/// Somebody who wants to know how far we are.
pub trait Progress: Send + Sync {
    /// Something new begins, over `total` bytes where that is known.
    fn begin(&self, what: &'static str, total: Option<u64>);
    /// So many more bytes are done.
    fn advance(&self, bytes: u64);
}

/// Nobody who wants to know.
pub struct Quiet;

impl Progress for Quiet {
    fn begin(&self, _: &'static str, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
}
