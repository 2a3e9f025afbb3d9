//! `copy`: archives from one destination to another, verified on the way and proven on arrival.

mod decision;
mod folder;
mod foreign;
mod held;
mod report;
mod request;
mod sweep;

use anyhow::{Context as _, Result};

use self::{
    decision::{Check, Ends, content_size},
    folder::copy_folder,
    foreign::copy_snapshot,
    held::{Held, Source, StateId},
    report::{summary, unopened},
    sweep::sweep,
};
pub use self::{
    report::{CopiedArchive, CopyReport, FailedCopy, KnownBy, SkippedArchive},
    request::CopyRequest,
};
use crate::{
    archive::Verified,
    config::Settings,
    error::{Failure, Kind},
    model::{
        archive_name::{ArchiveName, Ending},
        known_archive::KnownContent,
    },
    ops::{
        copy_words::{location, odd_name, source, target, unpacked},
        snapshots::by_id,
    },
    work::events::CatalogEvent,
};
use crate::{
    catalog::{
        destination::{Destination, located},
        filter::{ArchiveFilter, nothing_fits, one_archive},
        output::UploadSlot,
        outside::{other_bytes, other_size},
        repository::{Manifests, OtherFile},
        sending::{Trouble, send},
        shipment::Shipment,
        snapshots::is_snapshot_id,
    },
    context::Context,
};

/// The number of archives in a row that the other destination may refuse before no further one is tried.
const PATIENCE: usize = 3;

/// Copies an archive, or all archives that the other destination does not hold.
pub fn copy(context: &Context, settings: &Settings, request: &CopyRequest) -> Result<CopyReport> {
    if let Some(path) = unpacked(context, &request.from)? {
        return copy_folder(context, settings, request, &path);
    }
    let (from, mut named) = source(context, settings, &request.from)?;
    let is_id = |name: &String| from.repository.vault().is_some() && is_snapshot_id(name);
    if let Some(id) = named.as_ref().filter(|name| is_id(name)) {
        let snapshot = by_id(&from, id)?;
        match snapshot.archive {
            Some(archive) => named = Some(archive),
            None => return copy_snapshot(context, settings, request, (&from, &snapshot)),
        }
    }
    let to = target(context, settings, &request.to)?;
    to.require_enabled()?;
    let ends = Ends::new(context, settings, &from, &to)?;
    let copying = Copying {
        context,
        from,
        to,
        ends,
    };
    sweep(context, &copying.to)?;
    let mut report = CopyReport::new(context);
    match named {
        Some(name) if !request.filter.is_everything() => {
            return Err(one_archive(&name).into());
        }
        Some(name) => {
            let copy = request.name.as_ref().unwrap_or(&name);
            let copy = copying.ends.name_there(copy);
            if Ending::of_file(&copy) != Ending::of_file(copying.ends.name_there(&name)) {
                return Err(odd_name(&copy).into());
            }
            copying.copy_one(&name, &copy, &mut report)?;
            if ArchiveName::of_file(&copy).is_none() {
                let archive = copy.clone();
                context.tell(CatalogEvent::NameTellsNoTime { archive });
            }
        }
        None => copying.copy_all(request.hosts.prefix(settings), &request.filter, &mut report)?,
    }
    report.failure = report.failure.take().or_else(|| unopened(&report.copied));
    Ok(report)
}

struct Copying<'a> {
    context: &'a Context,
    from: Destination,
    to: Destination,
    ends: Ends,
}

impl Copying<'_> {
    /// Copies the archive called `name` under the name `copy`, unless the other destination holds it.
    fn copy_one(&self, name: &str, copy: &str, report: &mut CopyReport) -> Result<()> {
        let mut held = match self.is_known_by_manifest() {
            true => Held::all(&self.to)?,
            false => Held::one(&self.to, copy)?,
        };
        // One that is missing is a failure of the copy.
        if let Some(stored) = self.from.repository.find(name)? {
            let source = Source::new(stored, self.told_state(name)?);
            if self.skip_held(&source, copy, &mut held, report)? {
                return Ok(());
            }
        }
        let copied = self.copy_archive(name, copy, report);
        copied.map_err(Trouble::cause)
    }

    /// Returns the state of an archive, if a repository tells it.
    fn told_state(&self, name: &str) -> Result<Option<StateId>> {
        let repository = &self.from.repository;
        if repository.vault().is_none() {
            return Ok(None);
        }
        let listing = repository.list(None, Manifests::OfNone)?;
        let mut archives = listing.archives.iter();
        let listed = archives.find(|listed| listed.stored.name == name);
        Ok(listed.and_then(StateId::told))
    }

    /// Copies the archives that the other destination does not hold, the newest first.
    fn copy_all(
        &self,
        prefix: Option<&str>,
        filter: &ArchiveFilter,
        report: &mut CopyReport,
    ) -> Result<()> {
        let mut listing = self.from.repository.list(prefix, Manifests::OfAll)?;
        let repository = &*self.from.repository;
        let filtered = filter.apply(self.context, repository, &mut listing)?;
        let archives = listing.archives;
        let unread = listing
            .other_files
            .into_iter()
            .filter(|file| !file.is_foreign);
        let unread: Vec<OtherFile> = unread.collect();
        if archives.is_empty() && unread.is_empty() {
            if filtered > 0 {
                return Err(nothing_fits(&self.from.shown(), filtered).into());
            }
            let whose = prefix.map(|prefix| format!(" of {prefix}"));
            let message = format!(
                "{} has no archive{}",
                self.from.shown(),
                whose.unwrap_or_default()
            );
            return Err(Failure::new(Kind::NotFound, message)
                .hint("`hookshot list --all-hosts` shows what is there; `hookshot copy --all-hosts` copies all of it")
                .into());
        }
        let mut held = Held::all(&self.to)?;
        let (mut failures, mut refusals) = (Vec::<Failure>::new(), 0);
        for listed in &archives {
            let name = &listed.stored.name;
            self.context.stop.check()?;
            let copy = self.ends.name_there(name);
            let source = Source::new(listed.stored.clone(), StateId::told(listed));
            // The destination already holds this archive, even if it refused others: skip it.
            if self.skip_held(&source, &copy, &mut held, report)? {
                continue;
            }
            let failure = match failures.last() {
                Some(last) if refusals == PATIENCE => self.untried(last.kind),
                _ => match self.copy_archive(name, &copy, report) {
                    Ok(()) => {
                        held.add(&copy, source.stored.size_bytes, source.known());
                        refusals = 0;
                        continue;
                    }
                    Err(trouble) => {
                        // A taken name tells nothing about other names.
                        let is_free = held.size(&copy).is_none();
                        let is_refusal = matches!(trouble, Trouble::Target(_)) && is_free;
                        refusals += usize::from(is_refusal);
                        Failure::of(&trouble.cause())
                    }
                },
            };
            if matches!(failure.kind, Kind::Interrupted(_)) {
                return Err(failure.into());
            }
            report.failed.push(FailedCopy {
                name: name.clone(),
                kind: failure.kind.name(),
                message: failure.message.clone(),
            });
            failures.push(failure);
        }
        let all = archives.len() + unread.len();
        for file in unread {
            let message = format!(
                "{} is not known to be an archive of this prefix: {}",
                location(&self.from, &file.name),
                file.reason
            );
            let failure =
                Failure::new(Kind::Partial, message).hint("copy it by its name if it is one");
            report.failed.push(FailedCopy {
                name: file.name,
                kind: failure.kind.name(),
                message: failure.message.clone(),
            });
            failures.push(failure);
        }
        report.failure = summary(&failures, all);
        Ok(())
    }

    /// Returns the failure of an archive after too many refused ones.
    fn untried(&self, kind: Kind) -> Failure {
        let place = self.to.shown();
        let message = format!("not tried: {place} refused the {PATIENCE} before it");
        Failure::new(kind, message)
    }

    /// Returns true if archives are known by their manifests alone: a state of a repository is not a file.
    fn is_known_by_manifest(&self) -> bool {
        [&self.from, &self.to]
            .iter()
            .any(|place| place.repository.vault().is_some())
    }

    /// Skips an archive that the other destination holds; false if it does not.
    fn skip_held(
        &self,
        source: &Source,
        copy: &str,
        held: &mut Held,
        report: &mut CopyReport,
    ) -> Result<bool> {
        let (name, size_bytes) = (&*source.stored.name, source.stored.size_bytes);
        let there = held.size(copy);
        if !self.is_known_by_manifest() && self.is_copy(name, size_bytes, copy, there)? {
            self.context.tell(CatalogEvent::AlreadyHeld {
                archive: copy.to_owned(),
                destination: self.to.shown(),
            });
            self.skip(copy, size_bytes, KnownBy::NameAndSize, report);
            return Ok(true);
        }
        if there.is_none() && !self.is_known_by_manifest() {
            return Ok(false);
        }
        let Some(state) = source.state(&*self.from.repository)? else {
            return Ok(false);
        };
        let found = match self.is_known_by_manifest() {
            true => held.find(self.context, &self.to, state)?,
            false => {
                let is_at = held.is_at(self.context, &self.to, copy, state)?;
                is_at.then(|| copy.to_owned())
            }
        };
        let Some(found) = found else {
            return Ok(false);
        };
        self.context.tell(CatalogEvent::StateHeld {
            archive: found.clone(),
            destination: self.to.shown(),
        });
        let size_bytes = held.size(&found).unwrap_or(size_bytes);
        self.skip(&found, size_bytes, KnownBy::Manifest, report);
        Ok(true)
    }

    fn skip(&self, name: &str, size_bytes: u64, known_by: KnownBy, report: &mut CopyReport) {
        report.skipped.push(SkippedArchive {
            name: name.to_owned(),
            to: location(&self.to, name),
            to_escaped: located(self.to.path_escaped().as_deref(), name),
            size_bytes,
            known_by,
        });
    }

    /// Returns true if the other destination holds a file called `copy` of `there` bytes that may be the copy of an archive
    /// of `size_bytes`: they have the same size, or had before they were sealed.
    fn is_copy(&self, name: &str, size_bytes: u64, copy: &str, there: Option<u64>) -> Result<bool> {
        let Some(there) = there else {
            return Ok(false);
        };
        if self
            .ends
            .keeps_bytes(Ending::of_file(name) == Some(Ending::Sealed))
        {
            return Ok(there == size_bytes);
        }
        let there = content_size(&*self.to.repository.open(copy)?)?;
        let here = content_size(&*self.from.repository.open(name)?)?;
        Ok(there.is_some() && there == here)
    }

    /// Copies one archive under the name `copy`.
    fn copy_archive(&self, name: &str, copy: &str, report: &mut CopyReport) -> Result<(), Trouble> {
        let from = location(&self.from, name);
        let source = self.from.repository.open(name).map_err(Trouble::Source)?;
        let size_bytes = source
            .length()
            .with_context(|| format!("cannot read {from}"))
            .map_err(Trouble::Source)?;
        let known = self.from.repository.records();
        let known = known.and_then(|records| records.get(name)).cloned();
        let (known, other) = match known {
            Some(known) if known.size_bytes != size_bytes => (None, Some(known)),
            known => (known, None),
        };
        let digest = known.as_ref().and_then(|known| known.sha256.parse().ok());
        let bytes = (source, digest);
        let decision = self.ends.decide(self.context, name, &from, bytes);
        let decision = decision.map_err(Trouble::Source)?;
        if let Some(other) = other.filter(|_| decision.check == Check::Outside) {
            let failure = other_bytes(&from, &other_size(size_bytes, &other));
            return Err(Trouble::Source(failure.into()));
        }
        let to = location(&self.to, copy);
        let sent_bytes = decision.source.length();
        let sent_bytes = sent_bytes.with_context(|| format!("cannot read {from}"));
        let sent_bytes = sent_bytes.map_err(Trouble::Source)?;
        self.context.begin("copying", Some(sent_bytes));
        let slot = UploadSlot {
            repository: self.to.repository.clone(),
            name: None,
            seal: decision.seal,
        };
        let uploads = [(
            self.to.shown(),
            slot.put(self.context, copy, sent_bytes..=sent_bytes),
        )];
        let shipment = match decision.check {
            Check::Inside => Shipment::begin(self.context, &from, uploads),
            Check::Known(digest) => {
                let why = format!("its SHA-256 is not {digest} any more");
                Shipment::of_known(digest, other_bytes(&from, &why), uploads)
            }
            Check::Outside => Shipment::unopened(uploads),
        };
        let mut shipment = shipment.map_err(Trouble::Target)?;
        let source = decision.source;
        send(self.context, source, &from, &mut shipment)?;
        let proven = shipment.prove().map_err(Trouble::on_the_way)?;
        let stopped = self.context.stop.check();
        stopped.map_err(|stopped| Trouble::Source(stopped.into()))?;
        let verified = proven.verified().map(Verified::manifest);
        let content = match (verified, decision.check, known) {
            (Some(manifest), ..) => Some(KnownContent::of(manifest)),
            (None, Check::Known(_), Some(known)) => Some(known.content),
            _ => None,
        };
        self.context.begin("proving", None);
        for arrival in proven.deliver() {
            let delivered = arrival.result.map_err(Trouble::Target)?;
            let (proof, size_bytes) = (delivered.proof, delivered.size_bytes);
            self.context.tell(CatalogEvent::Copied {
                archive: copy.to_owned(),
                to: to.clone(),
                size_bytes,
                proof: proof.name(),
            });
            if let Some(content) = &content {
                let proven = (delivered.digest.to_string(), size_bytes);
                (self.to.repository).note_proven(self.context, copy, proven, content);
            }
            report.copied.push(CopiedArchive {
                name: copy.to_owned(),
                from: from.clone(),
                from_escaped: located(self.from.path_escaped().as_deref(), name),
                to: to.clone(),
                to_escaped: located(self.to.path_escaped().as_deref(), copy),
                size_bytes,
                sha256: delivered.digest.to_string(),
                proof,
                proven: (decision.check == Check::Outside).then_some("outside"),
            });
        }
        Ok(())
    }
}
