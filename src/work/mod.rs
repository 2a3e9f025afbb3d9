//! Running things: threads, children, cancellation, free space, and the faults of libraries.

pub mod cancel;
pub mod events;
pub mod pair_index;
pub mod panics;
pub mod range;
pub mod read_at;
pub mod read_clock;
pub mod remark;
pub mod remarks;
#[cfg(feature = "cli")]
pub mod run_id;
#[cfg(feature = "cli")]
pub mod session;
#[cfg(feature = "cli")]
pub mod shell;
pub mod space;
pub mod stdout;
#[cfg(feature = "cli")]
pub mod wake;
pub mod workers;

pub use cancel::Advance;
pub use read_at::ReadAt;
pub use workers::{Lost, Threads};
