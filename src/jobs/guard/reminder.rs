//! The reminder of a guarded run that was killed: the service may be stopped, and is to be started.

use std::time::Duration;

use anyhow::Result;

use super::{health::Health, note};
use crate::{
    config::{Choices, Settings},
    context::Context,
    work::events::{GuardEvent, GuardPhase, KilledGuard},
};

/// The time for the one question whether the service is healthy by now.
const LIMIT: Duration = Duration::from_secs(5);

/// Forgets a run that could not bring the state before an upgrade back: an import has replaced the state since.
pub fn imported(context: &Context, choices: &Choices) -> Result<()> {
    let Some((file, note)) = note::left(&choices.config_path()?) else {
        return Ok(());
    };
    if matches!(note.phase, GuardPhase::GoingBack | GuardPhase::NotBack)
        && let Err(error) = note::forget(&file)
    {
        let (file, reason) = (file.display().to_string(), format!("{error:#}"));
        context.tell(GuardEvent::NoteStays { file, reason });
    }
    Ok(())
}

/// Says that a guarded run was killed, what it left, and what to do. If the service is healthy by now, says that once.
/// Without a question for its health it is said until the note is removed, or a guarded run ends well.
pub fn remind(context: &Context, choices: &Choices) -> Result<()> {
    let Some((file, note)) = note::left(&choices.config_path()?) else {
        return Ok(());
    };
    let killed = KilledGuard {
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
    let is_back = !matches!(
        (killed.note.verb.as_str(), killed.note.phase),
        ("protect", GuardPhase::GoingBack | GuardPhase::NotBack)
    );
    // A service that is healthy on what an upgrade left is not on the state of before.
    let check = check.filter(|_| is_back);
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
