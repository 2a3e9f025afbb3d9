//! Publishing an archive that is good in a draft: on this machine, then everywhere else.

use anyhow::Result;

use super::{Made, Making, draft::ProvenDraft, is_interruption};
use crate::{
    catalog::{measured::Measured, output::UploadSlot},
    model::written::ShownPath,
    ops::export::{
        place::LocalPlace,
        report::{OutputReport, failed, failed_by},
    },
    store::Proof,
};

impl Making<'_> {
    /// Brings an archive that is good in a draft of `first` to all the places.
    pub fn bring(
        &self,
        proven: ProvenDraft,
        first: LocalPlace,
        others: impl ExactSizeIterator<Item = LocalPlace>,
        away: &[UploadSlot],
    ) -> Result<Made> {
        let (context, name) = (self.context, self.name);
        let ProvenDraft {
            draft,
            content,
            reused_bytes,
        } = proven;
        let is_only = others.len() == 0 && away.is_empty();
        let report = report_of(&first, content.stored);
        let published = first.publish(context, draft, name);
        let mut outputs = match published {
            Err(error) if is_only => return Err(error),
            published => vec![reported(report, published)?],
        };
        for place in others {
            let shown = place.shown();
            let made = self.duplicate(&content, &place);
            outputs.push(match made {
                Ok((draft, stored)) => {
                    let report = report_of(&place, stored);
                    reported(report, place.publish(context, draft, name))?
                }
                Err(error) if is_interruption(&error) => return Err(error),
                Err(error) => failed_by(shown, &error),
            });
        }
        if !away.is_empty() {
            outputs.extend(self.send_draft(&content, away)?);
        }
        Ok(Made {
            reused_bytes,
            outputs,
        })
    }
}

/// Returns the report of an archive that is proven at a place of this machine.
fn report_of(place: &LocalPlace, stored: Measured) -> OutputReport {
    OutputReport {
        good: true,
        proof: Some(Proof::ReadBack),
        sha256: Some(stored.digest.to_string()),
        size_bytes: Some(stored.size_bytes),
        sealed: place.seal.is_some(),
        error: None,
        ..failed(place.shown(), String::new())
    }
}

/// Completes the report of an archive that was published, or reports why it was not. Only an interruption is an error.
fn reported(report: OutputReport, published: Result<ShownPath>) -> Result<OutputReport> {
    match published {
        Ok(archive) => Ok(OutputReport {
            archive: archive.text,
            archive_escaped: archive.escaped,
            ..report
        }),
        Err(error) if is_interruption(&error) => Err(error),
        Err(error) => Ok(failed_by(report.archive, &error)),
    }
}
