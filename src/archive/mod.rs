//! The bytes of an archive, over `Read` and `Write` only: gzip members, their index, the tar, and the reader that
//! guards the border.

pub mod ahead;
mod budget;
pub mod contents;
pub mod fault;
mod foreign;
mod gzip;
pub mod head;
pub mod listing;
pub mod manifest_text;
pub mod reader;
pub mod reuse;
pub mod select;
mod tar;
pub mod writer;

pub use fault::Fault;
pub use reader::{Input, Sink, Verified, read};
