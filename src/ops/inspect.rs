//! `inspect`: what an archive says of itself; a small one is proven first, of a large one only the manifest is read.

use anyhow::Result;
use serde::Serialize;
use serde_json::Value;

use super::{
    Context,
    archive_input::{Location, damage},
};
use crate::archive::reader::Discard;

/// What the archive says.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Its name.
    pub archive: String,
    /// Its root folder.
    pub root: String,
    /// Whether all of it was read and proven; if not, what its manifest says is only what it says.
    pub verified: bool,
    /// Its manifest.
    pub manifest: Value,
}

/// Shows the manifest of an archive: of a large one, through its index.
pub fn inspect(context: &Context, location: &Location) -> Result<Report> {
    location.newest_good(damage, |location| one(context, location))
}

fn one(context: &Context, location: &Location) -> Result<Report> {
    let archive = location.shown();
    if let Some(selected) = location.select(context, &[], "reading", &mut Discard)? {
        return Ok(Report {
            archive,
            root: selected.root,
            verified: false,
            manifest: selected.manifest.to_json(),
        });
    }
    let verified = location.read(context, "reading", &mut Discard)?;
    Ok(Report {
        archive,
        root: verified.root().to_owned(),
        verified: true,
        manifest: verified.manifest().to_json(),
    })
}
