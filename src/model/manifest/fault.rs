//! The faults of a manifest.

/// A fault of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManifestFault {
    /// It has content that no manifest may have.
    Malformed(String),
    /// It is a manifest of another major version.
    Version(String),
}
