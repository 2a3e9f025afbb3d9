//! Sending the archive to destinations that are not on this machine: while it is made, or from a draft.

use std::{
    io::{self, Write},
    ops::RangeInclusive,
};

use anyhow::Result;

use super::{
    Made, Making, draft::ProvenContent, is_interruption, is_refusal, other_manifest, unlike,
};
use crate::{
    archive::{reuse::Earlier, writer},
    catalog::{
        output::UploadSlot,
        shipment::{self, Shipment},
    },
    context::Context,
    error::{Failure, Kind},
    model::digest::Digest,
    ops::export::{
        lost::kind_of_sending,
        report::{OutputReport, failed, failed_by},
    },
    store::is_taken,
    work::events::ExportEvent,
};

/// The most that DEFLATE makes of a byte (RFC 1951: 258 bytes in two bits).
const MOST_COMPRESSED: u64 = 1032;
/// The most times that an archive is sent again because another one got its name first.
const MOST_OUTRUN: usize = 20;

impl Making<'_> {
    /// Makes the archive while it is sent, and reads it while it passes; what does not read back as it was meant has no
    /// name anywhere.
    pub fn away(&self, away: &[UploadSlot]) -> Result<Made> {
        let mut made = self.made_away(away)?;
        let again = |away: &[UploadSlot]| self.made_away(away).map(|made| made.outputs);
        renamed(self.context, away, &mut made.outputs, again)?;
        Ok(made)
    }

    /// Sends an archive that is good in a draft. A failure is reported for each destination; only an interruption is an
    /// error.
    pub fn send_draft(
        &self,
        content: &ProvenContent,
        away: &[UploadSlot],
    ) -> Result<Vec<OutputReport>> {
        let context = self.context;
        let size_bytes = content.archive.size_bytes;
        context.begin("sending", Some(size_bytes));
        let send = |away: &[UploadSlot]| {
            let mut archive = context.watch(content.open()?);
            let known = Some(content.archive.digest);
            let mut sending = self.begin(away, size_bytes..=size_bytes, known)?;
            io::copy(&mut archive, &mut sending)?;
            arrived(sending.prove()?, away)
        };
        let mut arrivals = send(away);
        if let Ok(arrivals) = &mut arrivals {
            renamed(context, away, arrivals, send)?;
        }
        match arrivals {
            // The archive is good here; the other destinations do not have it.
            Err(error) if !is_interruption(&error) => {
                let failure = Failure::of(&error);
                let failed = |slot: &UploadSlot| OutputReport {
                    hint: failure.hint.clone(),
                    kind: Some(failure.kind),
                    ..failed(slot.shown(self.name), failure.message.clone())
                };
                Ok(away.iter().map(failed).collect())
            }
            arrivals => arrivals,
        }
    }

    fn made_away(&self, away: &[UploadSlot]) -> Result<Made> {
        match self.send(away, self.earlier.as_ref()) {
            Err(error) if self.earlier.is_some() && is_refusal(&error) => {
                self.context.tell(ExportEvent::ReusedDamaged);
                self.send(away, None)
            }
            result => result,
        }
        .map_err(|error| match is_refusal(&error) {
            true => unlike(&error).into(),
            false => error,
        })
    }

    fn send(&self, away: &[UploadSlot], earlier: Option<&Earlier>) -> Result<Made> {
        let most_bytes = writer::most_bytes(self.manifest);
        let least_bytes = most_bytes / MOST_COMPRESSED;
        let mut sending = self.begin(away, least_bytes..=most_bytes, None)?;
        let reused_bytes = self.pack(&mut sending, earlier)?;
        let proven = sending.prove()?;
        let verified = proven.verified();
        if verified.is_none_or(|verified| verified.manifest() != self.manifest) {
            return Err(other_manifest().into());
        }
        Ok(Made {
            reused_bytes,
            outputs: arrived(proven, away)?,
        })
    }

    /// Begins to send to each of `away`, an archive that is `known` to be good or one that is found good on its way;
    /// fails where none takes it.
    fn begin(
        &self,
        away: &[UploadSlot],
        bytes: RangeInclusive<u64>,
        known: Option<Digest>,
    ) -> Result<Sending> {
        let mut uploads = Vec::new();
        for slot in away {
            match slot.begin(self.context, self.name, bytes.clone()) {
                (_, Err(error)) if is_interruption(&error) => return Err(error),
                begun => uploads.push(begun),
            }
        }
        let shipment = match known {
            Some(digest) => {
                let message = "its bytes changed after it was verified";
                Shipment::of_known(digest, Failure::new(Kind::Unproven, message), uploads)
            }
            None => Shipment::begin(self.context, "the archive on its way", uploads),
        };
        Ok(Sending(shipment.map_err(|error| of_destinations(&error))?))
    }
}

/// A shipment whose failures are those of destinations.
struct Sending(Shipment);

impl Sending {
    fn prove(self) -> Result<shipment::Proven> {
        Ok(self.0.prove().map_err(|error| of_destinations(&error))?)
    }
}

impl Write for Sending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .write(bytes)
            .map_err(|error| of_destinations(&error.into()).into())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0
            .flush()
            .map_err(|error| of_destinations(&error.into()).into())
    }
}

/// Returns the failure of a shipment.
fn of_destinations(error: &anyhow::Error) -> Failure {
    let failure = Failure::of(error);
    Failure {
        kind: kind_of_sending(failure.kind),
        ..failure
    }
}

/// Sends the archive once more, under the next name that is free, to each of `away` where another archive of the same
/// second got its name between the first look and the end. `arrivals` says what became of each, in the same order.
fn renamed(
    context: &Context,
    away: &[UploadSlot],
    arrivals: &mut [OutputReport],
    send: impl Fn(&[UploadSlot]) -> Result<Vec<OutputReport>>,
) -> Result<()> {
    for (slot, arrival) in away.iter().zip(arrivals) {
        for _ in 0..MOST_OUTRUN {
            if !arrival.outrun || slot.name.is_some() {
                break;
            }
            context.tell(ExportEvent::NameTaken {
                archive: arrival.archive.clone(),
            });
            match send(std::slice::from_ref(slot)) {
                Ok(mut sent) => {
                    if let Some(sent) = sent.pop() {
                        *arrival = sent;
                    }
                }
                Err(error) if is_interruption(&error) => return Err(error),
                Err(error) if is_taken(&Failure::of(&error)) => {}
                Err(error) => *arrival = failed_by(arrival.archive.clone(), &error),
            }
        }
    }
    Ok(())
}

/// Gives the archive its names; returns the result at each of `away`.
fn arrived(proven: shipment::Proven, away: &[UploadSlot]) -> Result<Vec<OutputReport>> {
    let mut reports = Vec::new();
    for (arrival, slot) in proven.deliver().into_iter().zip(away) {
        let archive = arrival.place;
        reports.push(match arrival.result {
            Ok(delivered) => OutputReport {
                good: true,
                proof: Some(delivered.proof),
                sha256: Some(delivered.digest.to_string()),
                size_bytes: Some(delivered.size_bytes),
                sealed: slot.seal.is_some(),
                error: None,
                ..failed(archive, String::new())
            },
            Err(error) if is_interruption(&error) => return Err(error),
            Err(error) => OutputReport {
                outrun: is_taken(&Failure::of(&error)),
                ..failed_by(archive, &error)
            },
        });
    }
    Ok(reports)
}
