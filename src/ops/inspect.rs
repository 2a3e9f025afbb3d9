//! `inspect`: what an archive says of itself; a small one is proven first, of a large one only the manifest is read.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use serde_json::Value;

use crate::{
    archive::{Verified, reader::Discard},
    catalog::{
        dates,
        input::{ArchiveInput, damage},
    },
    context::Context,
    model::{
        entry_name::EntryName,
        manifest::Manifest,
        relative::{RelativeName, shown},
        tree::{LinkRecord, Tree},
    },
    work::{remark::RemarkKind, remarks::Remarks},
};

/// The statements of the archive about itself.
#[derive(Debug, Serialize)]
pub struct InspectReport {
    /// Its name.
    pub archive: String,
    /// The path, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive_escaped: Option<String>,
    /// Its root folder.
    pub root: String,
    /// True if all of it was read and proven; if not, the statements of its manifest are unproven.
    pub verified: bool,
    /// The links that lead out of its directories: the archive has them, and not what they lead to. If only the manifest
    /// was read, those of listed directories are not among them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<OutsideLink>,
    /// Its manifest.
    pub manifest: Value,
    /// Remarks about its date.
    #[serde(flatten)]
    pub remarks: Remarks,
}

/// A symbolic link of a directory that leads out of it, wherever the directory lies.
#[derive(Debug, Serialize)]
pub struct OutsideLink {
    /// The directory's entry.
    pub entry: String,
    /// The link's path below the directory.
    pub path: String,
    /// Its target, as it says.
    pub target: String,
}

/// Returns the links that lead out of an archive's directories. A manifest does not say where a directory lay, so each
/// link with an absolute target is among them.
pub fn outside_links(verified: &Verified) -> Result<Vec<OutsideLink>> {
    let manifest = verified.manifest();
    let mut links = links_in_manifest(manifest);
    for (name, listed) in &manifest.directories {
        let contents = verified.directory(name).filter(|_| listed.links > 0);
        if let Some(contents) = contents {
            links.extend(links_of(name, &contents.top()?));
        }
    }
    links.sort_by(|one, other| one.entry.cmp(&other.entry));
    Ok(links)
}

/// Returns the same for the directories whose records are in the manifest.
fn links_in_manifest(manifest: &Manifest) -> Vec<OutsideLink> {
    let trees = manifest.trees.iter();
    trees
        .flat_map(|(name, tree)| links_of(name, tree))
        .collect()
}

/// Returns the links that lead out of one directory.
fn links_of(entry: &EntryName, tree: &Tree) -> Vec<OutsideLink> {
    let links = tree.outside(Path::new(NOWHERE));
    let link = |(path, record): (&RelativeName, &LinkRecord)| OutsideLink {
        entry: entry.to_string(),
        path: path.to_string(),
        target: shown(&record.target),
    };
    links.map(link).collect()
}

/// A place in which no target of a link lies: targets have no NUL.
const NOWHERE: &str = "/\0";

/// Shows the manifest of an archive: of a large one, through its index.
pub fn inspect(context: &Context, location: &ArchiveInput) -> Result<InspectReport> {
    location.first_good(context, damage, |location| {
        inspect_archive(context, location)
    })
}

fn inspect_archive(context: &Context, location: &ArchiveInput) -> Result<InspectReport> {
    let report = |root: String, verified, manifest: &Manifest, links| {
        let mut remarks = context.remarks();
        if let Some(odd) = dates::odd(location.file_name(), manifest.created_at, context.now) {
            remarks.warning(RemarkKind::Date, "", format!("{}: {odd}", location.shown()));
        }
        InspectReport {
            archive: location.shown(),
            archive_escaped: location.escaped(),
            root,
            verified,
            links,
            manifest: manifest.to_json(),
            remarks,
        }
    };
    if let Some(selected) = location.select(context, &[], "reading", &mut Discard)? {
        let links = links_in_manifest(&selected.manifest);
        return Ok(report(selected.root, false, &selected.manifest, links));
    }
    let verified = location.read(context, "reading", &mut Discard)?;
    let root = verified.root().to_owned();
    let links = outside_links(&verified)?;
    Ok(report(root, true, verified.manifest(), links))
}
