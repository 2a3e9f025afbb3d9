//! The bytes of an archive, over `Read` and `Write` only: gzip members, their index, the tar, and the reader that
//! guards the border.

pub mod ahead;
mod any_order;
mod budget;
mod check;
pub mod contents;
pub mod fault;
mod foreign;
pub mod foreign_tar;
mod gzip;
pub mod head;
mod incoming;
mod listed;
pub mod listing;
pub mod manifest_text;
mod member_stream;
mod members;
pub mod reader;
pub mod reuse;
mod root;
pub mod scratch;
pub mod select;
mod sink;
mod survey;
mod tar;
pub mod tree;
mod verified;
pub mod writer;
#[cfg(feature = "restic")]
pub mod zstd_stream;

pub use fault::Fault;
pub use reader::{Input, read};
pub use sink::Sink;
pub use verified::Verified;
