//! `inspect`: what an archive says of itself, once it is proven.

use anyhow::Result;
use serde::Serialize;
use serde_json::Value;

use super::{Context, archive_input::Location};
use crate::archive::reader::Discard;

/// What the archive says.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Its name.
    pub archive: String,
    /// Its root folder.
    pub root: String,
    /// Its manifest.
    pub manifest: Value,
}

/// Reads an archive and shows its manifest.
pub fn inspect(context: &Context, location: &Location) -> Result<Report> {
    let verified = location.read(context, "reading", &mut Discard)?;
    Ok(Report {
        archive: location.shown(),
        root: verified.root().to_owned(),
        manifest: verified.manifest().to_json(),
    })
}
