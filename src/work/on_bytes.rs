//! The callback by which long work reports, and by which it is ended.

/// A callback that is told how many bytes were done, and may end the work with an error.
pub type OnBytes<'a> = dyn Fn(u64) -> anyhow::Result<()> + 'a;
