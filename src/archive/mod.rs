//! The bytes of an archive, over `Read` and `Write` only: gzip members, their index, the tar, and the reader that
//! guards the border.

mod budget;
pub mod fault;
mod foreign;
pub mod head;
mod index;
mod inflate;
pub mod manifest_text;
mod members;
mod read_at;
pub mod reader;
pub mod reuse;
pub mod select;
mod tar_stream;
mod workers;
pub mod writer;

pub use fault::Fault;
pub use read_at::ReadAt;
pub use reader::{Input, Sink, Verified, read};
pub use workers::Threads;
