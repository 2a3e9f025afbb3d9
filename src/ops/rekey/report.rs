//! The report of `rekey`.

use serde::Serialize;

use super::request::RekeyRequest;
use crate::{
    catalog::destination::Destination,
    config::Settings,
    context::Context,
    crypt::{PublicKey, Recipients},
    error::{Failure, Kind},
    store::Proof,
    work::{remark::RemarkKind, remarks::Remarks},
};

/// The results of `rekey`, or of its rehearsal.
#[derive(Debug, Serialize)]
pub struct RekeyReport {
    /// The destination, as messages name it.
    pub destination: String,
    /// The same, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_escaped: Option<String>,
    /// True if it was only a rehearsal.
    pub dry_run: bool,
    /// The public keys of the new recipients; none for a passphrase.
    pub recipients: Vec<String>,
    /// The archives that were sealed anew.
    pub resealed: Vec<ResealedArchive>,
    /// The archives that were sealed for the new recipients already.
    pub unchanged: Vec<UnchangedArchive>,
    /// The archives that are not sealed for the new recipients.
    pub failed: Vec<FailedArchive>,
    /// Remarks about what is worth knowing.
    #[serde(flatten)]
    pub remarks: Remarks,
    /// The summary of the failures, if an archive failed.
    #[serde(skip)]
    pub failure: Option<Failure>,
    /// True if a key that is given opens what is sealed for the new recipients.
    #[serde(skip)]
    pub(super) is_openable: bool,
    /// The remarks about the configuration, for the end.
    #[serde(skip)]
    about_configuration: Vec<String>,
}

/// An archive that was sealed anew; in a rehearsal, one that would be.
#[derive(Debug, Serialize)]
pub struct ResealedArchive {
    /// Its name now.
    pub name: String,
    /// Its name before.
    pub before: String,
    /// Its size.
    pub size_bytes: u64,
    /// SHA-256 of the whole file; `None` if an earlier run made it.
    pub sha256: Option<String>,
    /// The proof that the destination holds it; `None` if an earlier run made it.
    pub proof: Option<Proof>,
}

/// An archive that was sealed for the new recipients already.
#[derive(Debug, Serialize)]
pub struct UnchangedArchive {
    /// Its name.
    pub name: String,
    /// Its size.
    pub size_bytes: u64,
}

/// An archive that is not sealed for the new recipients.
#[derive(Debug, Serialize)]
pub struct FailedArchive {
    /// Its name.
    pub name: String,
    /// The kind of the failure.
    pub kind: &'static str,
    /// The message of the failure.
    pub message: String,
}

impl RekeyReport {
    /// Returns a report without archives.
    pub(super) fn new(
        context: &Context,
        destination: &Destination,
        recipients: &Recipients,
    ) -> RekeyReport {
        let keys = recipients.public_keys().iter();
        RekeyReport {
            destination: destination.shown(),
            destination_escaped: destination.shown_escaped(),
            dry_run: false,
            recipients: keys.map(|key| key.text().to_owned()).collect(),
            resealed: Vec::new(),
            unchanged: Vec::new(),
            failed: Vec::new(),
            remarks: context.remarks(),
            failure: None,
            is_openable: true,
            about_configuration: Vec::new(),
        }
    }

    /// Notes in what the recipients of the configuration differ from those of the request: the next archive goes to the
    /// former.
    pub(super) fn compare(
        &mut self,
        settings: &Settings,
        destination: &Destination,
        configured: Option<&Recipients>,
        request: &RekeyRequest,
    ) {
        let keys = configured.map_or(&[][..], Recipients::public_keys);
        let (shown, config) = (destination.shown(), settings.config.display());
        let removed = request.remove.iter().filter(|key| keys.contains(key));
        let removed = removed.map(|key: &PublicKey| {
            let key = key.text();
            format!(
                "{config} still names {key}, which was removed: take it out of the recipients for {shown}, or the next \
                archive is sealed for it again"
            )
        });
        let added = request.add.iter().filter(|key| !keys.contains(key));
        let added = added.map(|key: &PublicKey| {
            let key = key.text();
            format!(
                "{config} does not name {key}, which was added: write it to the recipients for {shown}, or the next archive \
                is not sealed for it"
            )
        });
        self.about_configuration = removed.chain(added).collect();
    }

    /// Adds archives that are sealed for the new recipients, unless they are known.
    pub(super) fn add_unchanged(&mut self, found: Vec<UnchangedArchive>) {
        for one in found {
            let mut unchanged = self.unchanged.iter().map(|known| &known.name);
            let mut resealed = self.resealed.iter().map(|known| &known.name);
            if !unchanged.any(|name| *name == one.name) && !resealed.any(|name| *name == one.name) {
                self.unchanged.push(one);
            }
        }
    }

    /// Says what was noted about the configuration, and that no given key opens the new archives.
    pub(super) fn warn_of_configuration(&mut self) {
        if !self.is_openable {
            let message = "no key that is given opens what is sealed for the new recipients: `hookshot key test` with their \
                key tells if they can open it";
            self.remarks.warning(RemarkKind::Recipients, "", message);
        }
        for message in std::mem::take(&mut self.about_configuration) {
            self.remarks.warning(RemarkKind::Recipients, "", message);
        }
    }
}

/// Returns the summary of the failures of some of `all` archives.
pub(super) fn summary(failures: &[Failure], all: usize) -> Option<Failure> {
    let (first, others) = failures.split_first()?;
    if others.is_empty() && all == 1 {
        return Some(first.clone());
    }
    let count = failures.len();
    let kind = match count == all {
        true => first.kind,
        false => Kind::Partial,
    };
    let message = format!("{count} of {all} archives are not sealed for the new recipients");
    let again = "run it again for them: what is sealed anew is not sealed once more";
    // The advice for one archive alone may say that nothing was changed.
    let hint = match (first.hint.as_deref(), kind, first.kind) {
        (Some(hint), Kind::Partial, Kind::Key | Kind::Space) => hint,
        (_, Kind::Partial, Kind::Refused) => {
            "the others are sealed for them; put another copy in the place of a damaged one, or delete it"
        }
        (Some(hint), kind, _) if kind != Kind::Partial => hint,
        _ => again,
    };
    let messages = failures.iter().map(|failure| failure.message.clone());
    Some(
        Failure::new(kind, message)
            .hint(hint)
            .faults(messages.collect()),
    )
}
