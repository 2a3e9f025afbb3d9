//! `rekey`: seals the archives of a destination anew, for other recipients.
//!
//! ```text
//! NAME, for the old recipients --> decrypted, sealed --> NAME.1, for the new ones, proven
//!                                                        then the mark of NAME, then NAME is removed
//! ```
//!
//! At every moment, each archive lies there for the old recipients, for the new ones, or for both. A run that was killed
//! between two steps left both; the next run finds that they are one archive, and goes on. So does a run that meets the
//! new archives of another one, on another machine.

mod plan;
mod replacing;
mod report;
mod request;

use anyhow::Result;

use self::{
    plan::{Planned, Work},
    replacing::{Replaced, Replacing},
    report::summary,
};
pub use self::{
    report::{FailedArchive, RekeyReport, ResealedArchive, UnchangedArchive},
    request::RekeyRequest,
};
use crate::{
    catalog::{destination::Destination, sending::Trouble, target::Target},
    config::Settings,
    context::Context,
    crypt::{PublicKey, Recipients},
    disk::lock::{Hold, StateLock},
    error::{Failure, Kind},
    machine::places::unwritable,
    work::{events::CatalogEvent, remark::RemarkKind, space::NewFiles},
};

/// The number of archives in a row that the destination may refuse before no further one is tried.
const PATIENCE: usize = 3;

/// The archives of a destination that are to be sealed anew. Nothing is changed yet.
pub struct Rekeying {
    destination: Destination,
    recipients: Recipients,
    /// The oldest first.
    archives: Vec<Planned>,
    names: plan::Names,
    report: RekeyReport,
    failures: Vec<Failure>,
}

impl Rekeying {
    /// Looks at every sealed archive of our prefix: at its header, and at its end if it is to be sealed anew.
    ///
    /// Errors: [`Kind::Key`] if no key is given, and the user cannot be asked for a passphrase; [`Kind::NotFound`] without
    /// a sealed archive; [`Kind::Space`] without room for one more; [`Kind::Failed`] for a folder that cannot be written.
    pub fn plan(
        context: &Context,
        settings: &Settings,
        request: &RekeyRequest,
    ) -> Result<Rekeying> {
        let target = Target::read(&request.destination)?;
        let destination = target.place(context, settings)?.ok_or_else(|| {
            let message = format!("{} names an archive", target.shown());
            Failure::new(Kind::Usage, message)
                .hint("name the destination: all of its sealed archives are sealed anew")
        })?;
        destination.require_enabled()?;
        let configured = destination.recipients(context, settings)?;
        let recipients = wanted(&destination.shown(), configured.as_ref(), request)?;
        let ring = context.keys.ring()?;
        if ring.is_empty() && !ring.can_ask() {
            let message = "archives that are sealed anew have to be opened, and no key is given";
            return Err(Failure::new(Kind::Key, message)
                .hint("name the file of the private key with --identity FILE")
                .into());
        }
        let mut report = RekeyReport::new(context, &destination, &recipients);
        let opens_new = |key: &PublicKey| {
            let mut names = ring.names();
            names.any(|name| name.public.as_deref() == Some(key.text()))
        };
        let keys = recipients.public_keys();
        report.is_openable = keys.is_empty() || keys.iter().any(opens_new);
        report.compare(settings, &destination, configured.as_ref(), request);
        let mut rekeying = Rekeying {
            destination,
            recipients,
            archives: Vec::new(),
            names: plan::Names::default(),
            report,
            failures: Vec::new(),
        };
        rekeying.find(context, &settings.schema.prefix)?;
        rekeying.require_writable()?;
        rekeying.warn_of_links();
        Ok(rekeying)
    }

    /// Fails if the destination takes no archive, as far as it tells without being written to.
    fn require_writable(&self) -> Result<()> {
        if self.archives.is_empty() {
            return Ok(());
        }
        let folder = self.destination.folder();
        if let Some(reason) = folder.as_deref().and_then(unwritable) {
            let message = format!("no archive can be sealed anew there: {reason}");
            return Err(Failure::new(Kind::Failed, message)
                .hint("run as a user that may write there, or mount it for writing")
                .into());
        }
        let sealed = self.archives.iter().filter(|one| one.is_unsealed());
        let Some(bytes) = sealed.map(|one| one.size_bytes).max() else {
            return Ok(());
        };
        self.destination.repository.require_room(bytes)?;
        let Some(folder) = folder else { return Ok(()) };
        match NewFiles::at(&folder)?.free_bytes() {
            Some(free) if free < bytes => {
                let shown = folder.display();
                let message = format!(
                    "{shown} has no room for another archive: {bytes} bytes are needed, {free} are free"
                );
                Err(Failure::new(Kind::Space, message)
                    .hint("free some space there, or prune; nothing was changed")
                    .into())
            }
            _ => Ok(()),
        }
    }

    /// Warns of links: what is removed then is the link alone.
    fn warn_of_links(&mut self) {
        let Some(folder) = self.destination.folder() else {
            return;
        };
        for planned in &self.archives {
            if let Ok(to) = folder.join(&planned.name).read_link() {
                let message = format!(
                    "{} is a link: the archive that it leads to stays, sealed as before; remove {} yourself",
                    planned.name,
                    folder.join(to).display()
                );
                let remarks = &mut self.report.remarks;
                remarks.warning(RemarkKind::Recipients, "", message);
            }
        }
    }

    /// Finds the archives of `prefix` that are not sealed for the new recipients.
    fn find(&mut self, context: &Context, prefix: &str) -> Result<()> {
        let repository = &*self.destination.repository;
        let found = plan::find(context, repository, prefix, &self.recipients)?;
        if found.plain > 0 {
            let message = format!(
                "{} archives of {prefix} at {} are not sealed, and stay as they are",
                found.plain,
                self.destination.shown()
            );
            let remarks = &mut self.report.remarks;
            remarks.warning(RemarkKind::Recipients, "", message);
        }
        for name in found.misnamed {
            let message = format!("{name} is not sealed, although its name says so");
            let remarks = &mut self.report.remarks;
            remarks.warning(RemarkKind::Recipients, "", message);
        }
        for (name, failure) in found.failed {
            self.fail(&name, failure);
        }
        self.report.unchanged = found.unchanged;
        (self.archives, self.names) = (found.left, found.names);
        Ok(())
    }

    /// Returns true if an archive is to be sealed anew or removed.
    pub fn is_needed(&self) -> bool {
        !self.archives.is_empty()
    }

    /// Returns the destination, the number of archives and the new recipients, for the question to the user.
    pub fn described(&self) -> (String, usize, &Recipients) {
        let shown = self.destination.shown();
        (shown, self.archives.len(), &self.recipients)
    }

    /// Returns true if a key that is given opens what is sealed for the new recipients.
    pub fn is_openable(&self) -> bool {
        self.report.is_openable
    }

    /// Returns the report of what would be done.
    pub fn rehearse(mut self) -> RekeyReport {
        self.report.dry_run = true;
        let (names, archives) = (&mut self.names, &self.archives);
        for planned in archives {
            let name = match &planned.work {
                Work::Finish { twin, .. } => Some(twin.clone()),
                Work::Seal => names.after(&planned.name).next(),
            };
            let Some(name) = name else { continue };
            names.take(&name);
            self.report.resealed.push(ResealedArchive {
                name,
                before: planned.name.clone(),
                size_bytes: planned.size_bytes,
                sha256: None,
                proof: None,
            });
        }
        self.ended()
    }

    /// Seals the archives anew, the oldest first. If one fails, the others follow; an interruption ends everything.
    ///
    /// Errors: [`Kind::Blocked`] if another run, of another configuration, is at work on the same folder.
    pub fn apply(mut self, context: &Context) -> Result<RekeyReport> {
        let _hold = self.hold()?;
        self.sweep(context)?;
        let mut refusals = 0;
        for planned in std::mem::take(&mut self.archives) {
            context.stop.check()?;
            if refusals == PATIENCE {
                let place = self.destination.shown();
                let message = format!("not tried: {place} refused the {PATIENCE} before it");
                self.fail(&planned.name, Failure::new(Kind::Partial, message));
                continue;
            }
            let mut replacing = Replacing {
                context,
                repository: &self.destination.repository,
                recipients: &self.recipients,
                names: &mut self.names,
            };
            match replacing.replace(&planned) {
                Ok(Replaced::Here(resealed)) => {
                    refusals = 0;
                    self.report.resealed.push(resealed);
                }
                Ok(Replaced::ByAnother(found)) => {
                    let message = format!("another run sealed {} anew", planned.name);
                    let report = &mut self.report;
                    report.remarks.warning(RemarkKind::Recipients, "", message);
                    report.add_unchanged(found);
                }
                Err(trouble) => {
                    refusals += usize::from(matches!(trouble, Trouble::Target(_)));
                    let failure = Failure::of(&trouble.cause());
                    if matches!(failure.kind, Kind::Interrupted(_)) {
                        return Err(failure.into());
                    }
                    self.fail(&planned.name, failure);
                }
            }
        }
        Ok(self.ended())
    }

    /// Holds the folder of the destination, so that no other run of this machine works there. A file system without
    /// locks has no such run to tell.
    fn hold(&self) -> Result<Option<StateLock>> {
        let Some(folder) = self.destination.folder() else {
            return Ok(None);
        };
        match StateLock::acquire(&[folder], Hold::Exclusive) {
            Err(error) if Failure::of(&error).kind == Kind::Blocked => Err(error),
            held => Ok(held.ok()),
        }
    }

    /// Notes that an archive is not sealed for the new recipients.
    fn fail(&mut self, name: &str, failure: Failure) {
        self.report.failed.push(FailedArchive {
            name: name.to_owned(),
            kind: failure.kind.name(),
            message: failure.message.clone(),
        });
        self.failures.push(failure);
    }

    fn ended(self) -> RekeyReport {
        let mut report = self.report;
        let all = report.resealed.len() + report.unchanged.len() + report.failed.len();
        report.failure = summary(&self.failures, all);
        report.warn_of_configuration();
        report
    }

    /// Removes the leftovers of uploads of runs that were killed. A failure does not stop the work.
    fn sweep(&self, context: &Context) -> Result<()> {
        let destination = self.destination.shown();
        match self.destination.repository.sweep(&context.maker()) {
            Ok(swept) => {
                for archive in swept {
                    let destination = destination.clone();
                    context.tell(CatalogEvent::LeftoversRemoved {
                        archive,
                        destination,
                    });
                }
            }
            Err(error) => {
                let failure = Failure::of(&error);
                if matches!(failure.kind, Kind::Interrupted(_)) {
                    return Err(error);
                }
                context.tell(CatalogEvent::LeftoversStay {
                    destination,
                    reason: failure.message,
                });
            }
        }
        Ok(())
    }
}

/// Returns the new recipients: the `configured` ones, those that are added, and none of those that are removed.
fn wanted(
    shown: &str,
    configured: Option<&Recipients>,
    request: &RekeyRequest,
) -> Result<Recipients, Failure> {
    let (add, remove) = (&request.add, &request.remove);
    if let Some(recipients) = configured.filter(|one| one.public_keys().is_empty()) {
        if add.is_empty() && remove.is_empty() {
            return Ok(recipients.clone());
        }
        let message = format!(
            "the archives of {shown} are sealed by a passphrase, which stands alone: no recipient can be added or removed"
        );
        return Err(Failure::new(Kind::Usage, message)
            .hint("write the new `recipients` or the new `passphrase` into the configuration, and leave out --add and --remove"));
    }
    if let Some(both) = add.iter().find(|key| remove.contains(key)) {
        let message = format!("{} is both added and removed", both.text());
        return Err(Failure::new(Kind::Usage, message));
    }
    let mut keys: Vec<PublicKey> = Vec::new();
    let configured = configured.map_or(&[][..], Recipients::public_keys);
    for key in configured.iter().chain(add) {
        if !keys.contains(key) && !remove.contains(key) {
            keys.push(key.clone());
        }
    }
    if keys.is_empty() {
        let message = match configured.is_empty() {
            true => format!("no recipients are configured for {shown}, and none are added"),
            false => format!("no recipient would be left for {shown}"),
        };
        return Err(Failure::new(Kind::Usage, message)
            .hint("the new recipients are those of the configuration, with --add KEY and without --remove KEY"));
    }
    Recipients::keys(keys)
}
