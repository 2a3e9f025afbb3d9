//! The request for archives to be sealed anew.

use std::ffi::OsString;

use crate::crypt::PublicKey;

/// The request for archives to be sealed anew.
pub struct RekeyRequest {
    /// The destination: `@NAME`, a URL or a folder.
    pub destination: OsString,
    /// Recipients beside those of the configuration.
    pub add: Vec<PublicKey>,
    /// Recipients of the configuration, or earlier ones, that are to be left out.
    pub remove: Vec<PublicKey>,
}
