//! The hooks of the user around verbs that are not jobs.

use anyhow::Result;

use crate::{
    cli::app::App,
    config::{
        Settings,
        hooks::{Operation, Stage},
    },
    error::{Failure, Kind},
    jobs::hooks::{Begin, Hooks, WorkOutcome},
    model::run_record::RunResult,
    work::run_id::new_run_id,
};

/// Runs `work` between the hooks of `operation`, and returns the exit code: that of the work, or that of a `before` hook
/// that failed. If `before` hooks ask to skip it, the work is not done, and the exit code is 0.
pub fn hooked(app: &App, operation: Operation, work: impl FnOnce() -> Result<u8>) -> Result<u8> {
    // The work itself says what is wrong with a configuration.
    let Ok(settings) = Settings::load(&app.choices) else {
        return work();
    };
    let run_id = new_run_id();
    let mut hooks = Hooks::new(&app.context, &settings, operation, &run_id);
    if hooks.planned().is_empty() {
        return work();
    }
    settings.mask_secrets(&app.context.runner.masks);
    let begin = hooks.before();
    let (is_begun, is_skipped) = (matches!(begin, Begin::Go), matches!(begin, Begin::Skip));
    let result = match begin {
        Begin::Go => work(),
        Begin::Skip => Ok(0),
        Begin::Failed(failure) => Err(failure.into()),
    };
    let failure = result.as_ref().err().map(Failure::of);
    let code = match (&result, &failure) {
        (Ok(code), _) => *code,
        (Err(_), failure) => failure.as_ref().map_or(1, |failure| failure.kind.code()),
    };
    let outcome = WorkOutcome {
        result: Some(match code {
            _ if is_skipped => RunResult::Skipped,
            0 => RunResult::Success,
            code if code == Kind::Partial.code() => RunResult::Partial,
            _ => RunResult::Failure,
        }),
        exit_code: Some(code),
        archive: None,
        error: failure.map(|failure| app.context.runner.masked(&failure.message)),
    };
    if is_begun {
        hooks.after(Stage::After, &outcome);
    }
    if !is_skipped {
        let last = match code {
            0 => Stage::Success,
            _ => Stage::Failure,
        };
        hooks.after(last, &outcome);
    }
    hooks.after(Stage::Finally, &outcome);
    match result {
        Ok(0) if !hooks.faults.is_empty() => Ok(Kind::Partial.code()),
        result => result,
    }
}
