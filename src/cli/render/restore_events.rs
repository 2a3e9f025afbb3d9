//! The events of imports and rollbacks as log lines.

use tracing::{error, info, warn};

use crate::{
    model::entry_name::EntryName,
    work::events::{Recovery, RestoreEvent},
};

/// Logs an event.
pub fn log(event: RestoreEvent) {
    match event {
        RestoreEvent::Unfinished { reason } => {
            warn!("An earlier import is not finished: {reason}");
        }
        RestoreEvent::Recovered { verb, outcome } => recovered(&verb, outcome),
        RestoreEvent::ScratchUnusable {
            scratch,
            reason,
            instead,
        } => warn!(
            "The folder for temporary files, {}, cannot be used ({reason}): they go to {}",
            scratch.display(),
            instead.display()
        ),
        RestoreEvent::Present => info!("The state is here already: nothing to import"),
        RestoreEvent::Waiting { reason } => info!("Waiting: {reason}"),
        RestoreEvent::SourceDisabled { source } => {
            info!("{source} is disabled: what is there stays as it is");
        }
        RestoreEvent::DefaultPlaces { config, data_dir } => {
            warn!(config = %config.display(), data_dir = %data_dir.display(), "This machine has no configuration yet: the default paths are used");
        }
        RestoreEvent::DefaultDataDir { data_dir } => {
            warn!(data_dir = %data_dir.display(), "The configuration does not name [storage] data_dir: the default folder of the database is used");
        }
        RestoreEvent::OtherConfig { archived, here } => warn!(
            "The archive's configuration was {}, and goes to {}: name another place with --config",
            archived.display(),
            here.display()
        ),
        RestoreEvent::Below { root } => info!("Everything goes below {}", root.display()),
        RestoreEvent::Unpacked {
            version,
            created_at,
            files,
        } => info!(%version, created_at, files, "Backup validated successfully"),
        RestoreEvent::NewerArchive { archive, here } => {
            warn!(%archive, %here, "The archive is of a newer hookshot");
        }
        RestoreEvent::Overridden { message } => warn!("Overridden by --force: {message}"),
        RestoreEvent::BackupsUnknown { reason } => {
            warn!("The .bak files of earlier imports are not known, so all of them stay: {reason}")
        }
        RestoreEvent::Undoing {
            verb,
            time,
            archive,
        } => {
            let archive = archive.as_deref().unwrap_or("-");
            info!(verb, time, archive, "Undoing");
        }
        RestoreEvent::Restoring { entries } => {
            let entries: Vec<&str> = entries.iter().map(EntryName::as_str).collect();
            info!("Restoring {}", entries.join(", "));
        }
        RestoreEvent::Placed { entry, target } => info!("  {entry} -> {}", target.display()),
        RestoreEvent::ContentKept { entry, target } => {
            info!(
                "  what the commands of {entry} held -> {}",
                target.display()
            );
        }
        RestoreEvent::CommandSays { line } => info!("The import command says: {line}"),
        RestoreEvent::Fed { entry } => info!("  {entry} -> its import command"),
        RestoreEvent::ExcludedLeft { message } => warn!("{message}"),
        RestoreEvent::BringingBack { verb, reason } => {
            error!("The {verb} failed after it began, bringing the old state back: {reason}");
        }
        RestoreEvent::NotRemoved { path, reason } => {
            warn!(error = %reason, "Cannot remove {} again", path.display());
        }
    }
}

fn recovered(verb: &str, outcome: Recovery) {
    match outcome {
        Recovery::Nothing => info!(
            "An earlier {verb} was interrupted before it changed anything: removed its leftovers"
        ),
        Recovery::Undone { reason } => {
            warn!(
                "An earlier {verb} was interrupted: brought the old state back, because {reason}"
            );
        }
        Recovery::Finished {
            commands,
            files,
            is_rollback,
        } => {
            warn!("An earlier {verb} was interrupted: finished it, the new state is in place");
            let entries = commands.join(", ");
            let paths: Vec<String> = files
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            let files = paths.join(", ");
            if is_rollback && !files.is_empty() {
                warn!(%entries, %files, "Their import commands may not have ended: give them these files by hand");
            } else if !entries.is_empty() {
                warn!(%entries, "Their import commands may not have ended: import these entries again, with --only");
                if !files.is_empty() {
                    warn!(%entries, %files, "Their former content stays in these files");
                }
            }
        }
    }
}
