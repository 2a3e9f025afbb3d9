//! The tar in an archive: its layout when it is written, and a bounded reader.

pub mod layout;
pub mod stream;
