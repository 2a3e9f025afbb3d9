//! An archive that is packed while it is sent to a destination, and read back on its way.

use anyhow::Result;

use crate::{
    archive::{Verified, writer},
    catalog::{
        destination::Destination, outgoing::Delivered, output::UploadSlot, shipment::Shipment,
    },
    context::Context,
    crypt::Recipients,
    error::{Failure, Kind},
    model::{digest::Digest, known_archive::KnownContent, manifest::Manifest},
    work::events::CatalogEvent,
};

/// The most that DEFLATE makes of a byte (RFC 1951: 258 bytes in two bits).
const MOST_COMPRESSED: u64 = 1032;

/// An archive that is to be packed.
pub struct Packed<'a> {
    /// The place that its content comes from, for messages.
    pub from: &'a str,
    /// Its manifest.
    pub manifest: &'a Manifest,
    /// The destination.
    pub to: &'a Destination,
    /// Its name there.
    pub name: &'a str,
    /// The recipients for whom it is sealed.
    pub seal: Option<Recipients>,
}

impl Packed<'_> {
    /// Sends what `write` writes, and gives it its name once it was read back and is as the manifest says.
    pub fn send(
        self,
        context: &Context,
        write: impl FnOnce(&mut Shipment) -> Result<()>,
    ) -> Result<Delivered> {
        let location = self.location();
        let most_bytes = writer::most_bytes(self.manifest);
        context.begin("copying", Some(self.manifest.total_bytes()));
        let slot = UploadSlot {
            repository: self.to.repository.clone(),
            name: None,
            seal: self.seal,
        };
        let upload = slot.put(
            context,
            self.name,
            most_bytes / MOST_COMPRESSED..=most_bytes,
        );
        let mut shipment = Shipment::begin(context, self.from, [(self.to.shown(), upload)])?;
        write(&mut shipment)?;
        let proven = shipment.prove()?;
        context.stop.check()?;
        let is_same = |packed: &Verified| packed.manifest() == self.manifest;
        if !proven.verified().is_some_and(is_same) {
            let message = format!("{} changed while it was copied", self.from);
            return Err(Failure::new(Kind::Failed, message)
                .hint("copy it again when no process writes to it")
                .into());
        }
        context.begin("proving", None);
        let mut delivered = None;
        for arrival in proven.deliver() {
            delivered = Some(arrival.result?);
        }
        let delivered = delivered.ok_or_else(|| anyhow::anyhow!("nothing was sent"))?;
        context.tell(CatalogEvent::Copied {
            archive: self.name.to_owned(),
            to: location,
            size_bytes: delivered.size_bytes,
            proof: delivered.proof.name(),
        });
        let content = KnownContent::of(self.manifest);
        let proven = (delivered.digest.to_string(), delivered.size_bytes);
        let repository = &self.to.repository;
        repository.note_proven(context, self.name, proven, &content);
        Ok(delivered)
    }

    /// Returns its location.
    pub fn location(&self) -> String {
        let address = self.to.repository.address();
        format!("{}/{}", address.trim_end_matches('/'), self.name)
    }
}

/// The thing that a destination holds under the name of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum There {
    /// Nothing.
    Nothing,
    /// An archive with the same manifest, and its size.
    Same(u64),
    /// Something else.
    Another,
}

/// Returns what the destination holds under the name of the archive that `manifest` describes.
pub fn there(
    context: &Context,
    to: &Destination,
    name: &str,
    manifest: &Manifest,
) -> Result<There> {
    let stored = match to.repository.find(name) {
        // A folder that is not there yet is made when something is written to it.
        Err(error) if Failure::of(&error).kind == Kind::NotFound => None,
        stored => stored?,
    };
    let Some(stored) = stored else {
        return Ok(There::Nothing);
    };
    let known = to.repository.known(&stored);
    let is_same = match known.map(|known| &*known.content.manifest_sha256) {
        Some(digest) => *digest == Digest::of(&manifest.to_bytes()).to_string(),
        // Whatever cannot be read is another one.
        None => to.repository.manifest(name).ok().flatten().as_ref() == Some(manifest),
    };
    if !is_same {
        return Ok(There::Another);
    }
    context.tell(CatalogEvent::AlreadyHeld {
        archive: name.to_owned(),
        destination: to.shown(),
    });
    Ok(There::Same(stored.size_bytes))
}
