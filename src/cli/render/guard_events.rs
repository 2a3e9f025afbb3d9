//! The events of guarded work as log lines.

use tracing::{info, warn};

use crate::{
    cli::terminal::screen::Screen,
    model::entry_name::printable_line,
    work::events::{GuardEvent, GuardPhase, KilledGuard},
};

/// Logs an event. A command that gets the terminal finds no bar on it.
pub fn log(screen: &Screen, event: GuardEvent) {
    match event {
        GuardEvent::Would { step, what } => match step {
            "stop" => info!("Would stop the service first: `{what}`"),
            "start" => info!("Would start the service then: `{what}`"),
            _ => info!("Would ask for its health, and roll back if that is not good: {what}"),
        },
        GuardEvent::Runs { step, command } => match step {
            "stop" => info!("Stopping the service: `{command}`"),
            _ => info!("Starting the service: `{command}`"),
        },
        GuardEvent::Says { step, line } => info!("{step}: {line}"),
        GuardEvent::Failed { step, reason, .. } => match step {
            "stop" => warn!("Cannot stop the service: {reason}"),
            _ => warn!("Cannot start the service: {reason}"),
        },
        GuardEvent::AsksHealth { what } => {
            info!("Waiting until the service is healthy: {what}");
            screen.clear();
        }
        GuardEvent::NotYet { reason } => info!("Not healthy yet: {reason}"),
        GuardEvent::Healthy => info!("The service is healthy"),
        GuardEvent::Unhealthy { reason } => warn!("The service is not healthy: {reason}"),
        GuardEvent::HealthUnasked => {
            info!("No `health` under [backup.import]: the service counts as healthy");
        }
        GuardEvent::GoesBack { reason } => warn!("Rolling back: {reason}"),
        GuardEvent::MovedAside { path, to } => {
            warn!("Moved {} aside: it is now {}", path.display(), to.display());
        }
        GuardEvent::ChildrenEnded { count } => {
            warn!(count, "Ended the processes that the command left behind");
        }
        GuardEvent::NoWayBackFrom {
            destination,
            reason,
        } => warn!("{destination} does not serve a rollback: {reason}"),
        GuardEvent::Unmarked {
            destination,
            reason,
        } => warn!(
            "The archive at {destination} has no mark, so that a policy may remove it: {reason}"
        ),
        GuardEvent::CommandBegins { command } => {
            info!("Running `{command}`");
            screen.clear();
        }
        GuardEvent::CommandEnded { how } => info!("The command ended with {how}"),
        GuardEvent::Killed(killed) => warn!("{}", words(&killed)),
        GuardEvent::KilledHealthy(killed) => warn!(
            "{} was killed before its end; the service is healthy",
            run(&killed)
        ),
        GuardEvent::NoteStays { file, reason } => {
            warn!("The note about this run, {file}, is not right: {reason}");
        }
    }
}

fn run(killed: &KilledGuard) -> String {
    let note = &killed.note;
    let (verb, time) = (printable_line(&note.verb), printable_line(&note.time));
    match note.verb.as_str() {
        "protect" => format!("hookshot protect, begun at {time},"),
        _ => format!("hookshot {verb} --guarded, begun at {time},"),
    }
}

/// Says what a killed run left, and what to do.
fn words(killed: &KilledGuard) -> String {
    let (run, note) = (run(killed), &killed.note);
    let is_protect = note.verb == "protect";
    let archive = note.archive.as_deref().map(printable_line);
    let archive = archive.as_deref().unwrap_or("the archive");
    let config = printable_line(&note.config);
    let start = match &note.start {
        Some(start) => format!("start it with `{}`", printable_line(start)),
        None => "start it".to_owned(),
    };
    let bring_back = format!("`hookshot --config {config} import {archive} --force`");
    let what = match note.phase {
        GuardPhase::Command => format!(
            "{run} was killed while its command ran or right after it, and nothing was rolled back: look at the service; \
            {bring_back} brings the state before back"
        ),
        GuardPhase::Stopped => {
            format!("{run} did not come to its end, and had stopped the service: {start}")
        }
        GuardPhase::GoingBack if is_protect => format!(
            "{run} did not come to the end of its rollback, and had stopped the service: {bring_back} ends that, then {start}"
        ),
        GuardPhase::NotBack => format!(
            "{run} could not bring the state before back, and that of the failed upgrade is in place: {bring_back} ends \
            that, with the service stopped; then {start}"
        ),
        GuardPhase::GoingBack => format!(
            "{run} did not come to the end of its rollback, and had stopped the service: `hookshot rollback --dry-run` \
            says what was done last, then {start}"
        ),
        GuardPhase::Started => format!(
            "{run} was killed before the health of the service was known: look whether it runs, or {start}"
        ),
    };
    let file = printable_line(&killed.file);
    let end = match note.phase {
        GuardPhase::GoingBack | GuardPhase::NotBack if is_protect => "an import or",
        _ => "the service is asked and healthy,",
    };
    format!("{what} (this is said until {end} a guarded verb has ended, or {file} is removed)")
}
