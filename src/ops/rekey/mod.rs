//! `rekey`: seals the archives of a destination anew, for other recipients.
//!
//! ```text
//! NAME, for the old recipients --> decrypted, sealed --> NAME.1, for the new ones, proven
//!                                                        then the mark of NAME, then NAME is removed
//! ```
//!
//! At every moment, each archive lies there for the old recipients, for the new ones, or for both. A run that was killed
//! between two steps left both; the next run finds that they are one archive, and goes on.

mod plan;
mod replacing;
mod report;
mod request;

use anyhow::Result;

use self::{
    plan::{Planned, Work},
    replacing::Replacing,
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
    error::{Failure, Kind},
    work::{events::CatalogEvent, remark::RemarkKind},
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
    /// Looks at every sealed archive of our prefix, of each at the header alone.
    ///
    /// Errors: [`Kind::Key`] if no key is given; [`Kind::NotFound`] without a sealed archive; [`Kind::Space`] without
    /// room for one more.
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
        if ring.is_empty() {
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
        let largest = rekeying.archives.iter().map(|one| one.size_bytes).max();
        if let Some(bytes) = largest {
            rekeying.destination.repository.require_room(bytes)?;
        }
        Ok(rekeying)
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
    pub fn apply(mut self, context: &Context) -> Result<RekeyReport> {
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
                Ok(resealed) => {
                    refusals = 0;
                    self.report.resealed.push(resealed);
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
