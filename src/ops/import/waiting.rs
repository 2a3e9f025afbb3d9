//! Waiting until nothing is at work on the state: no active deployment, no other hookshot.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    config::Choices,
    context::Context,
    error::{Failure, Kind},
    machine::{
        enter::{StateAccess, enter},
        form::form_for,
        obstacle::{Obstacle, ObstacleKind},
        preflight::{self, Force},
        report::ApplyReport,
    },
    source::database::Locking,
    work::events::RestoreEvent,
};

/// The time between two looks.
const PAUSE: Duration = Duration::from_secs(2);
/// The time after which a request to stop is seen.
const TICK: Duration = Duration::from_millis(50);

/// Waits until nothing is at work on the state, or until `deadline`. The import itself names what is still at work then.
pub fn wait_until_idle(context: &Context, choices: &Choices, deadline: Instant) -> Result<()> {
    let mut said = None;
    while let Some(reason) = at_work(context, choices)? {
        let Some(left) = deadline.checked_duration_since(Instant::now()) else {
            return Ok(());
        };
        if said.as_ref() != Some(&reason) {
            let reason = reason.clone();
            context.tell(RestoreEvent::Waiting { reason });
        }
        said = Some(reason);
        let next = Instant::now() + PAUSE.min(left);
        while Instant::now() < next {
            context.stop.check()?;
            thread::sleep(TICK);
        }
    }
    Ok(())
}

/// Returns true if an import was refused only because something is at work on the state.
pub fn is_busy(result: &Result<ApplyReport>) -> bool {
    match result {
        Ok(report) => !report.blocked.is_empty() && report.blocked.iter().all(passes),
        Err(error) => Failure::of(error).kind == Kind::Blocked,
    }
}

/// Returns true if an obstacle goes away when the work is done.
fn passes(obstacle: &Obstacle) -> bool {
    matches!(
        obstacle.kind,
        ObstacleKind::ActiveDeployments | ObstacleKind::Active
    )
}

/// Returns a description of the work on the state; `None` if there is none.
fn at_work(context: &Context, choices: &Choices) -> Result<Option<String>> {
    let entered = match enter(choices, StateAccess::Read, &context.events) {
        Err(error) if Failure::of(&error).kind == Kind::Blocked => {
            return Ok(Some(format!("{error:#}")));
        }
        entered => entered?,
    };
    let mut found = Vec::new();
    for source in entered.settings.sources.iter().filter(|one| one.enabled) {
        preflight::activity(context, source, Force::No, &mut found)?;
        if source.kind.engine().is_some()
            && let Some(path) = source.path()
        {
            let form = form_for(&source.kind);
            preflight::target(context, path, form, Force::No, Locking::Asked, &mut found)?;
        }
    }
    let work = found.into_iter().find(passes);
    Ok(work.map(|obstacle| obstacle.message))
}
