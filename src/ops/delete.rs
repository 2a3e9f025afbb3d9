//! `delete`: removes archives that the user names, at one destination or at every one that holds them.
//!
//! Everything is planned before anything is removed. An archive that a user or a restore may need is an obstacle: the
//! newest good archive of its host, and one with a mark.

use std::{ffi::OsString, fmt};

use anyhow::Result;
use serde::Serialize;

use super::keep::named_archive;
use crate::{
    catalog::{
        destination::Destination,
        each::{FailedDestination, failure_of},
        target::Target,
    },
    config::Settings,
    context::Context,
    error::{Failure, Kind},
    model::{
        archive_name::{ArchiveName, is_archive_file},
        retention::Mark,
    },
    work::events::CatalogEvent,
};

/// The destinations at which an archive is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The one that the user names.
    Named,
    /// Every destination of the configuration that holds an archive of this name, too.
    Everywhere,
}

/// The archives to delete. Nothing stands in the way of any of them.
pub struct Deletion {
    archives: Vec<PlannedRemoval>,
    failed: Vec<FailedDestination>,
}

/// An archive to delete.
struct PlannedRemoval {
    destination: Destination,
    name: String,
    size_bytes: u64,
}

/// The reason why an archive must stay.
enum Obstacle {
    /// It has this mark.
    Marked(Mark),
    /// It is the newest good archive of its prefix.
    Newest,
    /// It is the newest archive, sealed, and may be good: no key opens it.
    NewestSealed,
}

impl Obstacle {
    fn hint(&self) -> &'static str {
        match self {
            Obstacle::Marked(_) => "`hookshot keep ARCHIVE --remove` takes a mark away",
            Obstacle::NewestSealed => {
                "a key (--identity FILE) tells if it is good; it can be deleted once a newer good one is there"
            }
            Obstacle::Newest => {
                "the newest good archive can be deleted once a newer one is there: make one with `hookshot export`"
            }
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Obstacle::Marked(mark) => write!(f, "is marked ({})", mark.text()),
            Obstacle::Newest => f.write_str("is the newest good archive"),
            Obstacle::NewestSealed => f.write_str(
                "is the newest archive, and may be good: it is sealed, and no key opens it",
            ),
        }
    }
}

/// The results of a deletion.
#[derive(Debug, Serialize)]
pub struct DeleteReport {
    /// The archives that were removed.
    pub removed: Vec<DeletedArchive>,
    /// The destinations at which archives may be left.
    pub failed: Vec<FailedDestination>,
}

/// An archive that was removed.
#[derive(Debug, Serialize)]
pub struct DeletedArchive {
    /// Its name.
    pub name: String,
    /// The destination, as messages name it.
    pub destination: String,
    /// Its size.
    pub size_bytes: u64,
}

impl DeleteReport {
    /// Returns the failure of a run that may have left archives.
    pub fn failure(&self) -> Option<Failure> {
        failure_of(&self.failed, self.removed.len() + self.failed.len())
    }
}

impl Deletion {
    /// Finds the archives that `words` name, and every reason to leave one.
    ///
    /// Fails with [`Kind::Blocked`] if an archive is the newest good one of its host, or has a mark.
    pub fn plan(
        context: &Context,
        settings: &Settings,
        words: &[OsString],
        reach: Reach,
    ) -> Result<Deletion> {
        let mut deletion = Deletion {
            archives: Vec::new(),
            failed: Vec::new(),
        };
        for word in words {
            let (destination, name) = named_archive(context, settings, word)?;
            if !is_archive_file(&name) {
                let message = format!("{name} is not the name of an archive");
                return Err(Failure::new(Kind::Usage, message)
                    .hint("a name ends with .tar.gz; `hookshot list` shows what is there")
                    .into());
            }
            destination.require_removable()?;
            let shown = destination.shown();
            if !deletion.add(destination, &name)? {
                let message = format!("the archive {shown}/{name} does not exist");
                return Err(Failure::new(Kind::NotFound, message)
                    .hint("`hookshot list` shows what is there")
                    .into());
            }
            if reach == Reach::Everywhere {
                deletion.add_others(context, settings, &name)?;
            }
        }
        deletion.require_free(context, settings)?;
        Ok(deletion)
    }

    /// Returns the archives to delete, for the question to the user.
    pub fn described(&self) -> Vec<String> {
        let archives = self.archives.iter();
        archives
            .map(|one| format!("{}/{}", one.destination.shown(), one.name))
            .collect()
    }

    /// Removes the archives. If one cannot be removed, the others follow; an interruption ends everything.
    pub fn apply(self, context: &Context) -> Result<DeleteReport> {
        let mut report = DeleteReport {
            removed: Vec::new(),
            failed: self.failed,
        };
        for one in &self.archives {
            context.stop.check()?;
            let destination = one.destination.shown();
            match one.remove(context) {
                Ok(()) => {
                    context.tell(CatalogEvent::Removed {
                        archive: one.name.clone(),
                        destination: destination.clone(),
                        reason: "deleted, as asked".to_owned(),
                    });
                    report.removed.push(DeletedArchive {
                        name: one.name.clone(),
                        destination,
                        size_bytes: one.size_bytes,
                    });
                }
                Err(error) => report.failed.push(failed(&destination, &one.name, error)?),
            }
        }
        Ok(report)
    }

    /// Adds an archive unless it is there already. Returns false if the destination does not hold it.
    fn add(&mut self, destination: Destination, name: &str) -> Result<bool> {
        let Some(found) = destination.repository.find(name)? else {
            return Ok(false);
        };
        let shown = destination.shown();
        let mut archives = self.archives.iter();
        let is_known = archives.any(|one| one.name == name && one.destination.shown() == shown);
        if !is_known {
            self.archives.push(PlannedRemoval {
                destination,
                name: name.to_owned(),
                size_bytes: found.size_bytes,
            });
        }
        Ok(true)
    }

    /// Adds the archive at every destination of the configuration that holds it. One that cannot be asked is noted.
    fn add_others(&mut self, context: &Context, settings: &Settings, name: &str) -> Result<()> {
        for other in settings.schema.destinations.keys() {
            context.stop.check()?;
            let target = Target::Named(other.clone());
            let opened = target.destination(context, settings);
            let added = opened.and_then(|destination| {
                if destination.repository.find(name)?.is_some() {
                    destination.require_removable()?;
                }
                self.add(destination, name)
            });
            if let Err(error) = added {
                let kind = Failure::of(&error).kind;
                // A folder that does not exist holds no archive.
                if kind != Kind::NotFound {
                    let failed = failed(&target.shown(), name, error)?;
                    self.failed.push(failed);
                }
            }
        }
        Ok(())
    }

    /// Refuses archives that must stay.
    fn require_free(&self, context: &Context, settings: &Settings) -> Result<()> {
        let (mut obstacles, mut hints) = (Vec::new(), Vec::new());
        for one in &self.archives {
            context.stop.check()?;
            if let Some(obstacle) = one.obstacle(context, settings)? {
                let shown = one.destination.shown();
                obstacles.push(format!("{shown}/{} {obstacle}", one.name));
                hints.push(obstacle.hint());
            }
        }
        let Some(first) = obstacles.first() else {
            return Ok(());
        };
        let message = format!("nothing is deleted: {first}");
        hints.dedup();
        Err(Failure::new(Kind::Blocked, message)
            .hint(hints.join("; "))
            .faults(obstacles)
            .into())
    }
}

impl PlannedRemoval {
    /// Returns the reason why the archive must stay.
    fn obstacle(&self, context: &Context, settings: &Settings) -> Result<Option<Obstacle>> {
        let repository = &*self.destination.repository;
        if let Some(mark) = repository
            .mark(&self.name)?
            .filter(|mark| mark.holds(context.now))
        {
            return Ok(Some(Obstacle::Marked(mark)));
        }
        let name = ArchiveName::of_file(&self.name).or_else(|| {
            let manifest = repository.manifest(&self.name).ok()??;
            ArchiveName::parse(manifest.root.as_deref()?)
        });
        let prefix = match &name {
            Some(name) => name.prefix(),
            None => &settings.schema.prefix,
        };
        match repository.needed(context, prefix) {
            Ok(needed) if needed.good.as_ref() == Some(&self.name) => Ok(Some(Obstacle::Newest)),
            Ok(needed) if needed.sealed.as_ref() == Some(&self.name) => {
                Ok(Some(Obstacle::NewestSealed))
            }
            Ok(_) => Ok(None),
            Err(error) => match Failure::of(&error).kind {
                // No archive is good: none is needed.
                Kind::NotFound | Kind::Refused => Ok(None),
                _ => Err(error),
            },
        }
    }

    /// Removes the archive, unless it changed or was marked after it was planned.
    fn remove(&self, context: &Context) -> Result<()> {
        let repository = &*self.destination.repository;
        let Some(found) = repository.find(&self.name)? else {
            return Ok(());
        };
        let mark = repository.mark(&self.name)?;
        let message = if found.size_bytes != self.size_bytes {
            "it changed meanwhile"
        } else if mark.is_some_and(|mark| mark.holds(context.now)) {
            "it was marked meanwhile"
        } else {
            repository.remove(&self.name)?;
            if mark.is_some()
                && let Err(error) = repository.remove_mark(&self.name)
            {
                context.tell(CatalogEvent::MarkStays {
                    archive: self.name.clone(),
                    reason: format!("{error:#}"),
                });
            }
            return Ok(());
        };
        Err(Failure::new(Kind::Blocked, message).into())
    }
}

/// Notes a destination at which an archive may be left; an interruption is an error.
fn failed(destination: &str, name: &str, error: anyhow::Error) -> Result<FailedDestination> {
    let failure = Failure::of(&error);
    if matches!(failure.kind, Kind::Interrupted(_)) {
        return Err(error);
    }
    Ok(FailedDestination {
        destination: destination.to_owned(),
        destination_escaped: None,
        message: format!("{name}: {}", failure.message),
        failure,
    })
}
