//! The reminder of a guarded run that was killed: the service may be stopped, and is to be started.

use std::{path::Path, time::Duration};

use anyhow::Result;

use super::{health::Health, note};
use crate::{
    config::{Choices, Settings},
    context::Context,
    disk::transaction::home::Home,
    work::events::{GuardEvent, GuardNote, GuardPhase, KilledGuard},
};

/// The time for the one question whether the service is healthy by now.
const LIMIT: Duration = Duration::from_secs(5);

/// Forgets a run that could not bring the state before an upgrade back: an import has replaced the state since.
pub fn imported(context: &Context, choices: &Choices) -> Result<()> {
    let Some((file, note)) = note::left(&choices.config_path()?) else {
        return Ok(());
    };
    if is_of_an_upgrade(&note)
        && let Err(error) = note::forget(&file)
    {
        let (file, reason) = (file.display().to_string(), format!("{error:#}"));
        context.tell(GuardEvent::NoteStays { file, reason });
    }
    Ok(())
}

/// Returns true for the note of an upgrade whose state of before is to come back.
fn is_of_an_upgrade(note: &GuardNote) -> bool {
    note.verb == "protect" && matches!(note.phase, GuardPhase::GoingBack | GuardPhase::NotBack)
}

/// Returns true if the import of its archive has ended, in that run or in the next one.
fn is_back(config: &Path, note: &GuardNote) -> bool {
    let record = Home::beside(config).record();
    record.ok().flatten().is_some_and(|record| {
        record.verb == "import" && record.archive == note.archive && record.time >= note.time
    })
}

/// Says that a guarded run was killed, what it left, and what to do. If the service is healthy by now, says that once.
/// Without a question for its health it is said until the note is removed, or a guarded run ends well.
pub fn remind(context: &Context, choices: &Choices) -> Result<()> {
    let Some((file, note)) = note::left(&choices.config_path()?) else {
        return Ok(());
    };
    let mut killed = KilledGuard {
        file: file.display().to_string(),
        note,
    };
    // A configuration that cannot be read asks nothing.
    let settings = Settings::load(choices).ok();
    let check = settings
        .as_ref()
        .and_then(|settings| settings.schema.import.health.as_ref());
    if let Some(settings) = &settings {
        settings.mask_secrets(&context.runner.masks);
    }
    if is_of_an_upgrade(&killed.note) && is_back(&choices.config_path()?, &killed.note) {
        killed.note.phase = GuardPhase::Started;
    }
    // A service that is healthy on what an upgrade left is not on the state of before.
    let check = check.filter(|_| !is_of_an_upgrade(&killed.note));
    let is_healthy = match check.map(|check| Health::new(context, check, &[])) {
        Some(Ok(health)) => health.ask(LIMIT)?.is_none(),
        Some(Err(_)) | None => false,
    };
    if is_healthy && note::forget(&file).is_ok() {
        context.tell(GuardEvent::KilledHealthy(killed));
    } else {
        context.tell(GuardEvent::Killed(killed));
    }
    Ok(())
}
