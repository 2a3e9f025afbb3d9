//! The events of jobs as log lines.

use tracing::{info, warn};

use crate::work::events::JobEvent;

/// Logs an event.
pub fn log(event: JobEvent) {
    match event {
        JobEvent::HookBegins { stage, command } => info!("Running the {stage} hook `{command}`"),
        JobEvent::HookSays { stage, line } => info!("{stage} hook: {line}"),
        JobEvent::HookFailed {
            stage,
            command,
            reason,
        } => {
            warn!("The {stage} hook `{command}` failed: {reason}");
        }
        JobEvent::HookSkips { command } => {
            info!("The before hook `{command}` ended with exit code 75: this run is skipped");
        }
        JobEvent::HooksDisabled { count: 1 } => info!("One hook is disabled (`enabled = false`)"),
        JobEvent::HooksDisabled { count } => {
            info!("{count} hooks are disabled (`enabled = false`)")
        }
        JobEvent::Unchanged { archive } => {
            info!(%archive, "Nothing changed since the newest archive: no archive is made");
        }
        JobEvent::NoteFailed {
            destination,
            reason,
        } => {
            warn!(%destination, "Cannot note that nothing changed: {reason}");
        }
        JobEvent::KilledRun { run_id, started_at } => {
            warn!(
                run_id,
                started_at, "An earlier run was killed before its end; this one goes on from there"
            );
        }
        JobEvent::HistoryFails { reason } => warn!("The history is not complete: {reason}"),
        JobEvent::CatchesUp {
            archive,
            destination,
        } => {
            info!(%archive, %destination, "Copying an archive that an earlier run did not deliver");
        }
        JobEvent::NotCaughtUp {
            archive,
            destination,
            reason,
        } => {
            warn!(%archive, %destination, "Not delivered, the next run tries again: {reason}");
        }
        JobEvent::NotNeeded {
            archive,
            destination,
        } => {
            info!(%archive, %destination, "Not delivered later: the policy would remove it at once");
        }
        JobEvent::SharedPrefix { message } => warn!("{message}"),
        JobEvent::NotPruned {
            destination,
            reason,
        } => {
            warn!(%destination, "Nothing is removed there: {reason}");
        }
        JobEvent::Pruned { destination, count } => {
            info!(%destination, count, "Removed old archives");
        }
        JobEvent::NotDue { destination, next } => match next {
            Some(next) => info!(%destination, next, "Its time has not come (`every`)"),
            None => info!(%destination, "Its time has not come (`every`)"),
        },
        JobEvent::Drills { archive } => info!(%archive, "Rehearsing a restore"),
        JobEvent::ProbeBegins { command } => info!("Running the probe `{command}`"),
        JobEvent::ProbeSays { line } => info!("probe: {line}"),
        JobEvent::MetricsFail { file, reason } => {
            warn!("The metrics {file} could not be written: {reason}");
        }
    }
}
