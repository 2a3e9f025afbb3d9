//! The request for a copy.

use std::ffi::OsString;

use crate::catalog::{each::Hosts, filter::ArchiveFilter};

/// The request for a copy.
pub struct CopyRequest {
    /// An archive, or a destination: `@NAME`, a URL or a path.
    pub from: OsString,
    /// A destination.
    pub to: OsString,
    /// The name of the copy of a single archive; `None` if it keeps its name.
    pub name: Option<String>,
    /// The hosts whose archives are copied, if `from` is a destination.
    pub hosts: Hosts,
    /// The selection among them.
    pub filter: ArchiveFilter,
}
