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
pub mod reader;
pub mod reuse;
pub mod select;
mod tar_stream;
pub mod writer;

pub use fault::Fault;
pub use reader::{Input, Sink, Verified, read};
