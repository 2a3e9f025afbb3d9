//! The copy of a snapshot that another program made: it becomes an archive.

use anyhow::Result;

use super::{
    report::{CopiedArchive, CopyReport, KnownBy, SkippedArchive},
    request::CopyRequest,
    sweep::sweep,
};
use crate::{
    catalog::{
        destination::{Destination, located},
        filter::one_archive,
        snapshots::Snapshot,
    },
    config::Settings,
    context::Context,
    ops::{
        convert::{ForeignSnapshot, Wanted, convert_snapshot},
        copy_words::target,
    },
};

/// Converts a snapshot, and sends the archive to the destination.
pub fn copy_snapshot(
    context: &Context,
    settings: &Settings,
    request: &CopyRequest,
    (from, snapshot): (&Destination, &Snapshot),
) -> Result<CopyReport> {
    let foreign = ForeignSnapshot {
        from,
        snapshot,
        path: None,
    };
    if !request.filter.is_everything() {
        return Err(one_archive(&foreign.shown()).into());
    }
    let to = target(context, settings, &request.to)?;
    to.require_enabled()?;
    sweep(context, &to)?;
    let converted = convert_snapshot(context, settings, &foreign, &to, Wanted::default())?;
    let mut report = CopyReport::new(context);
    let to_escaped = located(to.path_escaped().as_deref(), &converted.archive);
    match converted.sha256.zip(converted.proof) {
        Some((sha256, proof)) => report.copied.push(CopiedArchive {
            name: converted.archive,
            from: converted.from,
            from_escaped: None,
            to: converted.to,
            to_escaped,
            size_bytes: converted.size_bytes,
            sha256,
            proof,
            proven: None,
        }),
        None => report.skipped.push(SkippedArchive {
            name: converted.archive,
            to: converted.to,
            to_escaped,
            size_bytes: converted.size_bytes,
            known_by: KnownBy::Manifest,
        }),
    }
    report.failure = converted.remarks.failure();
    report.remarks = converted.remarks;
    Ok(report)
}
