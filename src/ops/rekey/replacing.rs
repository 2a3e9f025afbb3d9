//! The replacement of one archive by itself, sealed for other recipients.

use std::sync::Arc;

use anyhow::{Context as _, Result};

use super::{
    plan::{Names, Planned, Work, follows, is_interruption, manifest},
    report::{ResealedArchive, UnchangedArchive},
};
use crate::{
    archive::{read, reader::Discard},
    catalog::{
        measured::Shared,
        opening::{is_sealed_for, opened_stream, opened_whole},
        outgoing::Delivered,
        output::UploadSlot,
        repository::{Manifests, Repository},
        sending::{Trouble, send},
        shipment::Shipment,
    },
    context::Context,
    crypt::Recipients,
    error::{Failure, Kind},
    model::known_archive::KnownContent,
    store::{Pages, is_taken},
    work::events::CatalogEvent,
};

/// The replacement of archives in a repository.
pub struct Replacing<'a> {
    pub context: &'a Context,
    pub repository: &'a Arc<dyn Repository>,
    pub recipients: &'a Recipients,
    pub names: &'a mut Names,
}

/// The end of an archive that was to be sealed anew.
pub enum Replaced {
    /// This run sealed it anew, or ended the work of an earlier one.
    Here(ResealedArchive),
    /// It is gone: another run sealed it anew, under one of these names.
    ByAnother(Vec<UnchangedArchive>),
}

/// The archive that took the place of another one.
enum Successor {
    /// This run sealed it.
    Own(String, Delivered),
    /// Another run did.
    Other { name: String, size_bytes: u64 },
}

impl Replacing<'_> {
    /// Seals an archive anew under the next free number of its name, unless another run did. Then gives it the mark of
    /// the old one, and removes that.
    pub fn replace(&mut self, planned: &Planned) -> Result<Replaced, Trouble> {
        match self.replace_present(planned) {
            // A run on another machine may have done all of it.
            Err(trouble) => match self.successors(planned) {
                Ok(found) if !found.is_empty() => Ok(Replaced::ByAnother(found)),
                _ => Err(trouble),
            },
            Ok(resealed) => Ok(Replaced::Here(resealed)),
        }
    }

    /// Returns the archives that are sealed for the new recipients, and may be the planned one, if that is gone.
    fn successors(&self, planned: &Planned) -> Result<Vec<UnchangedArchive>> {
        let (context, repository) = (self.context, &**self.repository);
        let mut found = Vec::new();
        if repository.find(&planned.name)?.is_some() {
            return Ok(found);
        }
        let listing = repository.list(None, Manifests::OfNone)?;
        let listed = listing.archives.into_iter().map(|listed| listed.stored);
        for stored in listed.chain(listing.other_names) {
            if !follows(&stored.name, &planned.name) {
                continue;
            }
            let (source, shown) = (repository.open(&stored.name)?, self.shown(&stored.name));
            if is_sealed_for(&context.keys, &shown, source, self.recipients)? == Some(true) {
                let (name, size_bytes) = (stored.name, stored.size_bytes);
                found.push(UnchangedArchive { name, size_bytes });
            }
        }
        Ok(found)
    }

    fn replace_present(&mut self, planned: &Planned) -> Result<ResealedArchive, Trouble> {
        let successor = match &planned.work {
            Work::Seal => self.seal(planned)?,
            Work::Finish { twin, size_bytes } => Successor::Other {
                name: twin.clone(),
                size_bytes: *size_bytes,
            },
        };
        let (name, size_bytes, delivered) = match successor {
            Successor::Own(name, delivered) => (name, delivered.size_bytes, Some(delivered)),
            Successor::Other { name, size_bytes } => {
                // The old one goes: the proof of another run is not enough.
                self.prove_again(&name).map_err(Trouble::Source)?;
                (name, size_bytes, None)
            }
        };
        let removed = self.remove_old(planned, &name, size_bytes);
        removed.map_err(|error| {
            let failure = Failure::of(&error);
            let message = format!(
                "it is sealed anew as {name}, and the old one stays: {}",
                failure.message
            );
            Trouble::Target(Failure { message, ..failure }.into())
        })?;
        Ok(ResealedArchive {
            name,
            before: planned.name.clone(),
            size_bytes,
            sha256: delivered.map(|delivered| delivered.digest.to_string()),
            proof: delivered.map(|delivered| delivered.proof),
        })
    }

    /// Reads an archive that another run sealed anew, and notes it as a run does that sealed it itself.
    fn prove_again(&self, name: &str) -> Result<()> {
        let (context, repository) = (self.context, self.repository);
        let shown = self.shown(name);
        let reading = || format!("cannot read {shown}");
        let source = repository.open(name)?;
        context.begin("verifying", Some(source.length().with_context(reading)?));
        let stored = Shared::new(context.watch(Pages::new(source).with_context(reading)?));
        let scratch = context.scratch_folders();
        let input = opened_stream(&context.keys, &shown, stored.clone(), scratch)?;
        let verified = read(&shown, input, context.threads, &mut Discard)?;
        let content = KnownContent::of(verified.manifest());
        drop(verified);
        let stored = stored.measured().with_context(reading)?;
        let proven = (stored.digest.to_string(), stored.size_bytes);
        repository.note_proven(context, name, proven, &content);
        Ok(())
    }

    /// Seals the archive anew, unless another run is faster.
    fn seal(&mut self, planned: &Planned) -> Result<Successor, Trouble> {
        let mut content = None;
        loop {
            let name = self.names.after(&planned.name).next();
            let name = name.ok_or_else(|| {
                let message = format!("no number is free for another {}", planned.name);
                let hint = "remove archives of the same second, or copy it to another folder";
                Trouble::Source(Failure::new(Kind::Failed, message).hint(hint).into())
            })?;
            self.names.take(&name);
            match self.seal_as(planned, &name, &mut content) {
                // Another process was faster. It may have sealed the same archive.
                Err(Trouble::Target(error)) if is_taken(&Failure::of(&error)) => {
                    let twin = self.twin(planned, &name, content.as_ref());
                    let twin = twin.map_err(Trouble::Source)?;
                    if let Some(size_bytes) = twin {
                        return Ok(Successor::Other { name, size_bytes });
                    }
                }
                sealed => return Ok(Successor::Own(name, sealed?)),
            }
        }
    }

    /// Returns the size of the archive called `name` if it is the planned one, sealed for exactly the new recipients.
    /// `content` is that of the planned one, if it was read.
    fn twin(
        &self,
        planned: &Planned,
        name: &str,
        content: Option<&KnownContent>,
    ) -> Result<Option<u64>> {
        let (context, repository) = (self.context, &**self.repository);
        let compare = || -> Result<Option<u64>> {
            let Some(stored) = repository.find(name)? else {
                return Ok(None);
            };
            let source = repository.open(name)?;
            let shown = self.shown(name);
            if is_sealed_for(&context.keys, &shown, source, self.recipients)? != Some(true) {
                return Ok(None);
            }
            let digest = |name: &str| -> Result<String> {
                let manifest = manifest(context, repository, name)?;
                Ok(KnownContent::of(&manifest).manifest_sha256)
            };
            let own = match content {
                Some(content) => content.manifest_sha256.clone(),
                None => digest(&planned.name)?,
            };
            Ok((digest(name)? == own).then_some(stored.size_bytes))
        };
        match compare() {
            Err(error) if is_interruption(&error) => Err(error),
            // It is not known to be the same: both stay.
            Err(_) => Ok(None),
            found => found,
        }
    }

    /// Seals the archive anew under a name, and notes in `content` what it holds.
    fn seal_as(
        &self,
        planned: &Planned,
        name: &str,
        content: &mut Option<KnownContent>,
    ) -> Result<Delivered, Trouble> {
        let (context, repository) = (self.context, self.repository);
        let from = self.shown(&planned.name);
        let opened = || -> Result<_> {
            let source = repository.open(&planned.name)?;
            let opened = opened_whole(&context.keys, &from, source)?;
            let bytes = opened.length();
            let bytes = bytes.with_context(|| format!("cannot read {from}"))?;
            Ok((opened, bytes))
        };
        let (source, bytes) = opened().map_err(Trouble::Source)?;
        context.begin("sealing anew", Some(bytes));
        let slot = UploadSlot {
            repository: repository.clone(),
            name: None,
            seal: Some(self.recipients.clone()),
        };
        let upload = (self.shown(name), slot.put(context, name, bytes..=bytes));
        let shipment = Shipment::begin(context, &from, [upload]);
        let mut shipment = shipment.map_err(Trouble::Target)?;
        send(context, source, &from, &mut shipment)?;
        let proven = shipment.prove().map_err(Trouble::on_the_way)?;
        *content = proven
            .verified()
            .map(|verified| KnownContent::of(verified.manifest()));
        let stopped = context.stop.check();
        stopped.map_err(|stopped| Trouble::Source(stopped.into()))?;
        context.begin("proving", None);
        let arrived = proven.deliver().pop();
        let delivered = arrived.map_or_else(
            || Err(Failure::new(Kind::Unproven, "it did not arrive").into()),
            |arrival| arrival.result,
        );
        let delivered = delivered.map_err(Trouble::Target)?;
        if let Some(content) = content {
            let proven = (delivered.digest.to_string(), delivered.size_bytes);
            repository.note_proven(context, name, proven, content);
        }
        context.tell(CatalogEvent::SealedAnew {
            archive: planned.name.clone(),
            new: name.to_owned(),
            size_bytes: delivered.size_bytes,
            proof: delivered.proof.name(),
        });
        Ok(delivered)
    }

    /// Gives the new archive the mark of the old one, and removes the old one, unless either changed meanwhile.
    fn remove_old(&self, planned: &Planned, new: &str, size_bytes: u64) -> Result<()> {
        let (context, repository, old) = (self.context, self.repository, &planned.name);
        let mark = repository.mark(old)?;
        if let Some(mark) = mark {
            let before = repository.mark(new)?;
            if before.is_some_and(|before| before != mark) {
                repository.remove_mark(new)?;
            }
            if before != Some(mark)
                && let Err(error) = repository.put_mark(new, mark, &context.maker())
            {
                // Another run may do the same.
                let is_done = is_taken(&Failure::of(&error)) && repository.mark(new)? == Some(mark);
                if !is_done {
                    return Err(error);
                }
            }
        }
        let is_there = repository
            .find(new)?
            .is_some_and(|new| new.size_bytes == size_bytes);
        if !is_there {
            let message = format!("{new} is gone, or changed meanwhile");
            return Err(Failure::new(Kind::Blocked, message).into());
        }
        let Some(found) = repository.find(old)? else {
            return Ok(());
        };
        if found.size_bytes != planned.size_bytes {
            return Err(Failure::new(Kind::Blocked, "it changed meanwhile").into());
        }
        repository.remove(old)?;
        context.tell(CatalogEvent::Removed {
            archive: old.clone(),
            destination: repository.shown(),
            reason: format!("sealed anew as {new}"),
        });
        if mark.is_some()
            && let Err(error) = repository.remove_mark(old)
        {
            context.tell(CatalogEvent::MarkStays {
                archive: old.clone(),
                reason: format!("{error:#}"),
            });
        }
        Ok(())
    }

    fn shown(&self, name: &str) -> String {
        format!("{}/{name}", self.repository.shown())
    }
}
