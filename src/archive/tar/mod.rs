//! The tar in an archive: its layout when it is written, and a bounded reader.

mod extension;
pub mod layout;
mod member;
pub mod stream;
