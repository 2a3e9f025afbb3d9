//! The variables that commands of the user get about a run: hooks, and notifications by a command.

use crate::{config::Settings, model::run_record::RunResult};

/// The outcome of the work, for hooks that run after it.
#[derive(Debug, Clone, Default)]
pub struct WorkOutcome {
    /// The result, as far as it is known.
    pub result: Option<RunResult>,
    /// The exit code of the work, as far as it is known.
    pub exit_code: Option<u8>,
    /// The name of the archive.
    pub archive: Option<String>,
    /// The message of the failure.
    pub error: Option<String>,
}

/// The facts about a run that commands get.
#[derive(Debug, Clone, Copy)]
pub struct RunFacts<'a> {
    /// The operation, as `HOOKSHOT_OPERATION` names it.
    pub operation: &'a str,
    /// The stage of the run.
    pub stage: &'a str,
    /// The identity of the run.
    pub run_id: &'a str,
    /// The outcome of its work.
    pub outcome: &'a WorkOutcome,
}

impl RunFacts<'_> {
    /// Returns the variables, those of the outcome only if there is a result. The runner of commands bounds their
    /// length.
    pub fn variables(&self, settings: &Settings) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("HOOKSHOT_OPERATION", self.operation.to_owned()),
            ("HOOKSHOT_STAGE", self.stage.to_owned()),
            ("HOOKSHOT_RUN_ID", self.run_id.to_owned()),
            ("HOOKSHOT_CONFIG", settings.config.display().to_string()),
            ("HOOKSHOT_APP", settings.schema.app.clone()),
        ];
        let outcome = self.outcome;
        if let Some(result) = outcome.result {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            let exit_code = outcome.exit_code.map(|code| code.to_string());
            variables.extend([
                ("HOOKSHOT_RESULT", result.name().to_owned()),
                ("HOOKSHOT_EXIT_CODE", exit_code.unwrap_or_default()),
                ("HOOKSHOT_ARCHIVE", text(&outcome.archive)),
                ("HOOKSHOT_ERROR", text(&outcome.error)),
            ]);
        }
        variables
    }
}
