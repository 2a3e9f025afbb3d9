//! A file with its digest.

use crate::{
    disk::tree::beneath::Look,
    model::{digest::Digest, tree::Xattrs},
};

/// The result of reading a file.
pub struct Hashed {
    /// The file's metadata when reading began.
    pub look: Look,
    /// Its extended attributes.
    pub xattrs: Xattrs,
    /// SHA-256 of the content.
    pub digest: Digest,
    /// The bytes of the content.
    pub size: u64,
}
