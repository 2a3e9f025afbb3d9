//! The replacement of one archive by itself, sealed for other recipients.

use std::sync::Arc;

use anyhow::{Context as _, Result};

use super::{
    plan::{Names, Planned, Work},
    report::ResealedArchive,
};
use crate::{
    archive::{read, reader::Discard},
    catalog::{
        measured::Shared,
        opening::{opened_stream, opened_whole},
        outgoing::Delivered,
        output::UploadSlot,
        repository::Repository,
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

impl Replacing<'_> {
    /// Seals an archive anew under the next free number of its name, unless an earlier run did. Then gives it the mark of
    /// the old one, and removes that.
    pub fn replace(&mut self, planned: &Planned) -> Result<ResealedArchive, Trouble> {
        let (name, size_bytes, delivered) = match &planned.work {
            Work::Seal => {
                let (name, delivered) = self.seal(planned)?;
                (name, delivered.size_bytes, Some(delivered))
            }
            Work::Finish { twin, size_bytes } => {
                // The old one goes: the proof of an earlier run is not enough.
                self.prove_again(twin).map_err(Trouble::Source)?;
                (twin.clone(), *size_bytes, None)
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

    /// Reads an archive that an earlier run sealed anew, and notes it as a run does that sealed it itself.
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

    /// Seals the archive anew, and returns its name and what the destination holds now.
    fn seal(&mut self, planned: &Planned) -> Result<(String, Delivered), Trouble> {
        loop {
            let name = self.names.after(&planned.name).next();
            let name = name.ok_or_else(|| {
                let message = format!("no number is free for another {}", planned.name);
                let hint = "remove archives of the same second, or copy it to another folder";
                Trouble::Source(Failure::new(Kind::Failed, message).hint(hint).into())
            })?;
            self.names.take(&name);
            match self.seal_as(planned, &name) {
                // Another process was faster.
                Err(Trouble::Target(error)) if is_taken(&Failure::of(&error)) => {}
                sealed => return Ok((name, sealed?)),
            }
        }
    }

    fn seal_as(&self, planned: &Planned, name: &str) -> Result<Delivered, Trouble> {
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
        let upload = (self.shown(name), slot.put(context, name, bytes));
        let shipment = Shipment::begin(context, &from, [upload]);
        let mut shipment = shipment.map_err(Trouble::Target)?;
        send(context, source, &from, &mut shipment)?;
        let proven = shipment.prove().map_err(Trouble::on_the_way)?;
        let content = proven
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
        if let Some(content) = &content {
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
            if before != Some(mark) {
                repository.put_mark(new, mark, &context.maker())?;
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
