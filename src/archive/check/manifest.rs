//! The manifest of an archive while it is read: it says what may come.

use std::rc::Rc;

use super::{Abort, ArchiveCheck};
use crate::{
    archive::{budget::impossible, fault::Fault, member_stream::MemberStream, tar::stream::Member},
    error::{Failure, Kind},
    model::{
        limits::MAX_MANIFEST_BYTES,
        manifest::{Manifest, ManifestFault},
    },
};

impl ArchiveCheck<'_> {
    /// Reads the member that is the manifest.
    pub(super) fn manifest_member(
        &mut self,
        member: &Member,
        tar: &mut impl MemberStream,
    ) -> Result<(), Abort> {
        if std::mem::replace(&mut self.manifest_seen, true) {
            self.faults.push(Fault::Twice(member.path.clone()));
            return Ok(());
        }
        if member.size > MAX_MANIFEST_BYTES {
            return Err(Abort::Fault(Fault::Manifest(format!(
                "is larger than {MAX_MANIFEST_BYTES} bytes"
            ))));
        }
        let mut bytes = Vec::new();
        tar.read_to_end(&mut bytes)?;
        match &self.known {
            None => self.take_manifest(&bytes, tar),
            Some(known) if known.manifest == bytes => Ok(()),
            Some(_) => Err(Abort::Fault(Fault::Manifest(
                "changed while it was read".into(),
            ))),
        }
    }

    /// Takes the bytes of the manifest, and the limits that it sets.
    pub(super) fn take_manifest(
        &mut self,
        bytes: &[u8],
        tar: &mut impl MemberStream,
    ) -> Result<(), Abort> {
        let manifest = Manifest::parse(bytes).map_err(|mut faults| {
            let last = faults.pop();
            self.faults.extend(faults.into_iter().map(manifest_fault));
            Abort::Fault(last.map_or(Fault::NoManifest, manifest_fault))
        })?;
        if let Err(error) = self.sink.begin(&manifest) {
            // Room that the archive cannot need is not what it lacks.
            let is_space = Failure::of(&error).kind == Kind::Space;
            let lie = self.length.filter(|_| is_space);
            let lie = lie.and_then(|length| impossible(&manifest, length));
            return Err(lie.map_or(Abort::Sink(error), Abort::Fault));
        }
        let directories = manifest.directories.iter();
        self.directories = directories
            .map(|(name, listed)| (listed.listing.clone(), name.clone()))
            .collect();
        let files = manifest.files.iter();
        self.by_path = files
            .filter(|(name, record)| record.path != **name)
            .map(|(name, record)| (record.path.clone(), name.clone()))
            .collect();
        let before = self.known.as_ref().map_or(0, |_| bytes.len() as u64);
        let manifest = Rc::new(manifest);
        tar.begin(&manifest, before);
        self.manifest = Some(manifest);
        Ok(())
    }
}

fn manifest_fault(fault: ManifestFault) -> Fault {
    match fault {
        ManifestFault::Malformed(reason) => Fault::Manifest(reason),
        ManifestFault::Version(reason) => Fault::Version(reason),
    }
}
