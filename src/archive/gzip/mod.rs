//! The compressed layer of an archive: independent gzip members, and their index (docs/format.md, "Members").

pub mod candidate;
pub mod index;
pub mod inflate;
pub mod member;
pub mod pack;
