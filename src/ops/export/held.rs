//! The ends of an export at each output that holds the archive: the record of a sealed one, and the mark.

use std::{cell::LazyCell, ffi::OsStr};

use anyhow::anyhow;

use super::report::OutputReport;
use crate::{
    config::Settings,
    context::Context,
    error::Failure,
    model::{known_archive::KnownContent, manifest::Manifest, retention::Mark},
    ops::keep::{keep, named_archive},
    work::{
        events::{CatalogEvent, ExportEvent},
        remark::RemarkKind,
        remarks::Remarks,
    },
};

/// Notes the sealed archives that were proven, so that this machine knows them without a key.
pub fn note_sealed(
    context: &Context,
    settings: &Settings,
    outputs: &[OutputReport],
    manifest: &Manifest,
) {
    let is_noted = |output: &&OutputReport| output.good && output.sealed && output.archive != "-";
    let content = LazyCell::new(|| KnownContent::of(manifest));
    for output in outputs.iter().filter(is_noted) {
        let word = match &output.archive_escaped {
            None => OsStr::new(&output.archive),
            // The next run takes it for an archive of unknown origin.
            Some(_) => continue,
        };
        match named_archive(context, settings, word) {
            Ok((destination, name)) => {
                let sha256 = output.sha256.clone().unwrap_or_default();
                let proven = (sha256, output.size_bytes.unwrap_or_default());
                (destination.repository).note_proven(context, &name, proven, &content);
            }
            Err(error) => context.tell(CatalogEvent::NotNoted {
                archive: output.archive.clone(),
                destination: output.archive.clone(),
                reason: Failure::of(&error).message,
            }),
        }
    }
}

/// Marks the archive at each output that holds it. One at which this fails is left undone.
pub fn mark_everywhere(
    context: &Context,
    settings: &Settings,
    outputs: &[OutputReport],
    mark: Mark,
    remarks: &mut Remarks,
) {
    for output in outputs.iter().filter(|output| output.good) {
        let marked = match output.archive_escaped {
            None => keep(context, settings, OsStr::new(&output.archive), Some(mark)),
            Some(_) => Err(anyhow!("its path is not UTF-8")),
        };
        match marked {
            Ok(_) => context.tell(ExportEvent::Marked {
                archive: output.archive.clone(),
                mark: mark.to_string(),
            }),
            Err(error) => {
                let reason = Failure::of(&error).message;
                let message = format!("{} is not marked: {reason}", output.archive);
                remarks.undone(RemarkKind::Mark, "", message);
            }
        }
    }
}
