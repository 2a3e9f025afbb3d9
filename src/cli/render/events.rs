//! Events as log lines. Every word that people read of them stands here.

use std::sync::Arc;

use tracing::{debug, info, warn};

use super::agent_events::of_agent;
use super::{guard_events, job_events, restore_events};
use crate::{
    cli::terminal::screen::Screen,
    config::sources::{DATABASE, SECRETS, SERVICES},
    model::entry_name::EntryName,
    work::{
        events::{
            ArchiveEvent, ArchiveFlaw, CatalogEvent, Event, ExportEvent, NextArchive, NoReuse,
            NotifyEvent, Receiver,
        },
        remark::Remark,
    },
};

/// A receiver that writes log lines, and shows progress on `screen`.
pub struct LogLines {
    screen: Arc<Screen>,
}

impl LogLines {
    /// Returns the receiver.
    pub fn new(screen: Arc<Screen>) -> LogLines {
        LogLines { screen }
    }
}

impl Receiver for LogLines {
    fn receive(&self, event: Event) {
        match event {
            Event::Stage { what, total, files } => self.screen.begin(what, total, files),
            Event::Progress { bytes, files } => self.screen.advance(bytes, files),
            Event::LeftUndone(Remark { message, .. }) | Event::Warning(Remark { message, .. }) => {
                warn!("{message}");
            }
            Event::Archive(event) => of_archives(event),
            Event::Catalog(event) => of_catalog(event),
            Event::Export(event) => of_export(event),
            Event::Restore(event) => restore_events::log(event),
            Event::Agent(event) => of_agent(event),
            Event::Notify(event) => of_notifications(event),
            Event::Job(event) => job_events::log(event),
            Event::Guard(event) => guard_events::log(&self.screen, event),
        }
    }
}

fn of_archives(event: ArchiveEvent) {
    match event {
        ArchiveEvent::NotCompared { entry } => {
            info!("{entry} is not compared: a command makes it");
        }
        ArchiveEvent::OtherVersion { archive, reason } => {
            warn!(%archive, "Good, but not for this hookshot: {reason}");
        }
        ArchiveEvent::ProbesStay { probes, reason } => {
            let probes = probes.join(", ");
            warn!(
                probes,
                "The probe stays: {reason}; a check after a day removes it"
            );
        }
        ArchiveEvent::PartsProbeStays { probe, reason } => {
            warn!(
                probe,
                "The probe stays: {reason}; a check after a day removes it"
            );
        }
        ArchiveEvent::EarlierProbeStays { probe, reason } => {
            warn!(
                name = probe,
                "The probe of an earlier check stays: {reason}"
            );
        }
    }
}

fn of_catalog(event: CatalogEvent) {
    match event {
        CatalogEvent::PassedOver {
            archive,
            flaw,
            next,
            reason,
        } => {
            let flaw = match flaw {
                ArchiveFlaw::Cold => "An archive is in cold storage",
                ArchiveFlaw::Torn => "A database in an archive is torn",
                ArchiveFlaw::Damaged => "An archive is damaged",
                ArchiveFlaw::Unreadable => "An archive is damaged, or another program made it",
            };
            let next = match next {
                NextArchive::Older => "trying the next older one",
                NextArchive::Same => "no older archive is better",
                NextArchive::None => "no older one is left",
            };
            match reason {
                Some(reason) => warn!(%archive, "{flaw}; {next}: {reason}"),
                None => warn!(%archive, "{flaw}; {next}"),
            }
        }
        CatalogEvent::FileSkipped {
            file,
            destination: place,
            reason,
        } => warn!(%file, %place, "A file is skipped: {reason}"),
        CatalogEvent::FutureSkipped {
            newest: archive,
            destination: place,
            count,
            clock,
        } => {
            warn!(%archive, %place, "Archives dated in the future are skipped: {count}; this machine's clock says {clock}");
        }
        CatalogEvent::EarlySkipped {
            newest: archive,
            destination: place,
            count,
        } => {
            warn!(%archive, %place, "Archives dated more than a day after they were written are skipped: {count}; name one to use it");
        }
        CatalogEvent::PlainTar { archive } => {
            warn!(%archive, "This is a plain tar, not gzip: a browser or another program unpacked it on its way; it is whole");
        }
        CatalogEvent::TornArchive { archive } => {
            warn!(%archive, "A database in an archive is torn: the archive does not count as a good one");
        }
        CatalogEvent::DamagedArchive { archive, reason } => {
            warn!(%archive, "An archive is damaged and does not count: {reason}");
        }
        CatalogEvent::OddDate {
            archive,
            destination: place,
            reason,
        } => warn!(%archive, %place, "The date of an archive is odd: {reason}"),
        CatalogEvent::SealedArchives {
            destination: place,
            count,
        } => {
            warn!(%place, "{count} archives are sealed, no key opens them, and this machine does not know them: they use up slots of the policy, and no archive that is known to be good is removed in their favour");
        }
        CatalogEvent::LateArchives {
            destination: place,
            newest: archive,
            count,
        } => {
            warn!(%place, %archive, "Archives that were written more than a day after their time: {count}; they are copies, or dated back, and none that came in time is removed in their favour");
        }
        CatalogEvent::NotNoted {
            archive,
            destination: place,
            reason,
        } => {
            warn!(%place, %archive, "This machine cannot note that the archive is good; without a key it will count as sealed: {reason}");
        }
        CatalogEvent::RecordsStay { reason } => {
            warn!("The records of archives that are gone cannot be dropped: {reason}");
        }
        CatalogEvent::NotAccepted {
            destination: place,
            reason,
        } => {
            warn!(%place, "The accepted size could not be recorded; the next prune asks again: {reason}");
        }
        CatalogEvent::UnreadableMark {
            mark,
            destination: place,
        } => {
            warn!(%mark, %place, "A mark is neither `forever` nor a date; its archive stays");
        }
        CatalogEvent::MarkStays { archive, reason } => {
            warn!(%archive, "Its mark could not be removed; the next prune removes it: {reason}");
        }
        CatalogEvent::NeedsNoMark { archive } => {
            info!(%archive, "No policy removes an archive of such a name, marked or not");
        }
        CatalogEvent::OnlyFolders {
            destination: place,
            folders,
        } => {
            warn!(%place, "No archives here; its folders are destinations of their own: {folders}");
        }
        CatalogEvent::NoPolicy { destination: place } => {
            warn!(%place, "The destination has no retention policy: nothing is removed");
        }
        CatalogEvent::Removed {
            archive,
            destination: place,
            reason,
        } => info!(%archive, %place, "Removed: {reason}"),
        CatalogEvent::LeftoversRemoved {
            archive,
            destination: place,
        } => info!(%archive, %place, "Removed the leftovers of an unfinished upload"),
        CatalogEvent::LeftoversStay {
            destination: place,
            reason,
        } => warn!(%place, "Leftovers of earlier uploads may stay: {reason}"),
        CatalogEvent::NameTellsNoTime { archive } => info!(
            archive,
            "The name tells no time: list and @NAME/latest read the manifest for it, and prune never removes this archive"
        ),
        CatalogEvent::AlreadyHeld {
            archive,
            destination: place,
        } => {
            info!(archive, %place, "Skipped: the destination holds an archive of this name and size");
        }
        CatalogEvent::StateHeld {
            archive,
            destination: place,
        } => info!(archive, %place, "Skipped: the destination holds this state"),
        CatalogEvent::SealedAnew {
            archive,
            new,
            size_bytes,
            proof,
        } => info!(archive, new, size_bytes, proof, "Sealed anew"),
        CatalogEvent::Copied {
            archive,
            to,
            size_bytes,
            proof,
        } => info!(archive, to, size_bytes, proof, "Copied"),
    }
}

fn of_export(event: ExportEvent) {
    match event {
        ExportEvent::Begun => info!("Starting state export"),
        ExportEvent::SourceDisabled { source } => info!("Left {source} out: it is disabled"),
        ExportEvent::DestinationDisabled { destination } => {
            info!("Left {destination} out: the destination is disabled");
        }
        ExportEvent::Marked { archive, mark } => info!(archive, "Kept {mark}"),
        ExportEvent::SecretLeftOut { source } => {
            info!("Left {source} out, as asked: it is secret");
        }
        ExportEvent::SourceAdded { source, is_config } => {
            info!("Added {} to backup", described(&source, is_config));
        }
        ExportEvent::SourceAbsent { source, looked_at } => {
            let looked_at = looked_at.display();
            match source.as_str() {
                SECRETS => {
                    warn!(%looked_at, "No secrets file found, the archive has none (--secrets FILE, HOOKSHOT_SECRETS or [secrets] file name it)");
                }
                _ => info!(%looked_at, "No {source} found: the archive has none"),
            }
        }
        ExportEvent::DatabaseChecked { entry, check } => {
            info!("SQLite finds {entry} good ({check})");
        }
        ExportEvent::DatabaseCopied { entry } => {
            info!("{entry} is a database: the archive has one consistent copy of it");
        }
        ExportEvent::OwnFileLeftOut { description } => info!("Left out: {description}"),
        ExportEvent::EntryTorn { entry } => {
            warn!("{entry} changed each time it was read: the archive has it as it was read last");
        }
        ExportEvent::DeploymentsActive { deployments } => {
            let deployments = deployments.join("; ");
            warn!(%deployments, "The archive holds deployments that are at work");
        }
        ExportEvent::DeploymentsUnknown { reason } => {
            info!(%reason, "The database does not tell whether deployments are at work");
        }
        ExportEvent::CommitCutShort {
            transaction,
            instead,
        } => warn!(
            transaction,
            instead,
            "The last commit was cut short by a crash, as redb would see it too: the archive holds the one before it"
        ),
        ExportEvent::NotPaused { reason } => {
            warn!("The service cannot be paused, the copy goes on beside it: {reason}");
        }
        ExportEvent::StartedOver { reason } => info!("{reason}: the export starts over"),
        ExportEvent::NothingReusable { archive, reason } => {
            let reason = match reason {
                NoReuse::Sealed => "it is sealed, and no given key opens it",
                NoReuse::Other => "it is not an archive of this hookshot at this level",
            };
            warn!(archive = %archive.display(), "Nothing can be reused from this file: {reason}");
        }
        ExportEvent::NewestSealed { archive } => {
            debug!(archive = %archive.display(), "Nothing is reused from the newest archive: it is sealed, and no given key opens it");
        }
        ExportEvent::ReusedDamaged => warn!(
            "The earlier archive whose members were reused is damaged: everything is compressed anew"
        ),
        ExportEvent::NameTaken { archive } => {
            info!(%archive, "Another archive of the same second got this name first: uploading under the next one");
        }
        ExportEvent::LeftoverEnded { source } => warn!(
            "A command of {} still ran, of an earlier export that was killed: ended it",
            owner(&source)
        ),
        ExportEvent::NoteStays { reason } => {
            warn!("Cannot remove the note of a command that has ended: {reason}");
        }
        ExportEvent::CleanupOwed => {
            warn!("An earlier export left a cleanup undone: running it now");
        }
        ExportEvent::Preparing { source } => info!("Preparing {}", owner(&source)),
        ExportEvent::CleaningUp { source } => info!("Cleaning up {}", owner(&source)),
        ExportEvent::CommandSays {
            command,
            source,
            line,
        } => info!("{command} of {}: {line}", owner(&source)),
    }
}

fn of_notifications(event: NotifyEvent) {
    match event {
        NotifyEvent::Sent { name } => info!("Sent the notification {name}"),
        NotifyEvent::NotSent { name, reason } => {
            warn!("The notification {name} was not sent: {reason}");
        }
        NotifyEvent::CommandSays { name, line } => {
            info!("The command of the notification {name} says: {line}");
        }
    }
}

/// Returns the name of an added source in the words that users know.
fn described(source: &EntryName, is_config: bool) -> &str {
    match source.as_str() {
        DATABASE => "database",
        SERVICES => "services config",
        SECRETS => "secrets file",
        _ if is_config => "system config",
        name => name,
    }
}

/// Returns the place of a command in the configuration.
fn owner(source: &Option<String>) -> &str {
    source.as_deref().unwrap_or("[backup]")
}
