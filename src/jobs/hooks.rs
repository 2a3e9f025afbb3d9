//! Runs the hooks of the user around a job (`[[backup.hooks]]`).

use serde::Serialize;

pub use super::variables::WorkOutcome;
use super::{known_secrets, variables::RunFacts};
use crate::{
    config::{
        Settings,
        hooks::{Hook, OnError, Operation, Stage},
    },
    context::Context,
    error::{Failure, Kind},
    work::{
        cancel::Advance,
        events::JobEvent,
        session,
        shell::{Around, HookEnd, Line},
    },
};

/// The exit code of a `before` hook that asks to skip the run (EX_TEMPFAIL of sysexits.h).
const SKIP: i32 = 75;

/// The outcome of one hook.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HookReport {
    /// The stage.
    pub stage: &'static str,
    /// The command, shortened and masked.
    pub command: String,
    /// Its exit code; `None` if a signal or its time limit ended it, or if it did not start.
    pub exit_code: Option<i32>,
    /// Its duration in seconds.
    pub duration_seconds: f64,
}

/// The verdict of the `before` hooks about the run.
pub enum Begin {
    /// It goes on.
    Go,
    /// A hook asked to skip it.
    Skip,
    /// A hook failed.
    Failed(Failure),
}

/// The hooks of one run, and their outcomes.
pub struct Hooks<'a> {
    context: &'a Context,
    settings: &'a Settings,
    operation: Operation,
    run_id: &'a str,
    /// The outcomes, in the order in which the hooks ran.
    pub reports: Vec<HookReport>,
    /// The failures that leave the run undone in part.
    pub faults: Vec<String>,
}

impl<'a> Hooks<'a> {
    /// Returns the hooks of a run of `operation`, none of which has run.
    pub fn new(
        context: &'a Context,
        settings: &'a Settings,
        operation: Operation,
        run_id: &'a str,
    ) -> Hooks<'a> {
        known_secrets::mask(context, settings);
        Hooks {
            context,
            settings,
            operation,
            run_id,
            reports: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// Returns the stages and commands of the hooks that would run, for a dry run.
    pub fn planned(&self) -> Vec<(&'static str, String)> {
        let hooks = self.of_operation().filter(|hook| hook.enabled);
        let shown = |hook: &Hook| self.context.runner.shown(Line::of(&hook.run));
        hooks.map(|hook| (hook.stage.name(), shown(hook))).collect()
    }

    /// Runs the `before` hooks, in the order in which they are written, until one fails or asks to skip the run.
    pub fn before(&mut self) -> Begin {
        let disabled = self.of_operation().filter(|hook| !hook.enabled).count();
        if disabled > 0 {
            self.context
                .tell(JobEvent::HooksDisabled { count: disabled });
        }
        for hook in self.of_stage(Stage::Before) {
            let advance = self.context.step();
            let end = self.run(hook, &WorkOutcome::default(), &advance);
            if let Err(stopped) = self.context.stop.check() {
                return Begin::Failed(Failure::of(&stopped.into()));
            }
            let shown = self.context.runner.shown(Line::of(&hook.run));
            match end {
                Ok(end) if end.code() == Some(SKIP) => {
                    self.context.tell(JobEvent::HookSkips { command: shown });
                    return Begin::Skip;
                }
                Ok(end) => match end.fault(hook.timeout) {
                    Some(fault) if hook.on_error == OnError::Fail => {
                        return Begin::Failed(failed(&shown, &fault));
                    }
                    _ => {}
                },
                Err(failure) if hook.on_error == OnError::Fail => {
                    return Begin::Failed(failed(&shown, &failure.message));
                }
                Err(_) => {}
            }
        }
        Begin::Go
    }

    /// Runs the hooks of a stage after the work. All of them run, even if one fails or the run is cancelled.
    pub fn after(&mut self, stage: Stage, outcome: &WorkOutcome) {
        for hook in self.of_stage(stage) {
            let end = self.run(hook, outcome, &|_| Ok(()));
            let fault = match end {
                Ok(end) => end.fault(hook.timeout),
                Err(failure) => Some(failure.message),
            };
            if let Some(fault) = fault.filter(|_| hook.on_error == OnError::Fail) {
                let shown = self.context.runner.shown(Line::of(&hook.run));
                let stage = stage.name();
                self.faults
                    .push(format!("the {stage} hook `{shown}` failed: {fault}"));
            }
        }
    }

    fn of_operation(&self) -> impl Iterator<Item = &'a Hook> + use<'a> {
        let operation = self.operation;
        let hooks = self.settings.schema.hooks.iter();
        hooks.filter(move |hook| hook.operations.contains(&operation))
    }

    fn of_stage(&self, stage: Stage) -> impl Iterator<Item = &'a Hook> + use<'a> {
        let hooks = self.of_operation();
        hooks.filter(move |hook| hook.enabled && hook.stage == stage)
    }

    /// Runs one hook, and notes its outcome.
    fn run(
        &mut self,
        hook: &Hook,
        outcome: &WorkOutcome,
        advance: &Advance<'_>,
    ) -> Result<HookEnd, Failure> {
        let (context, stage) = (self.context, hook.stage.name());
        let line = Line::of(&hook.run);
        let command = context.runner.shown(line);
        context.tell(JobEvent::HookBegins {
            stage,
            command: command.clone(),
        });
        let facts = RunFacts {
            operation: self.operation.name(),
            stage,
            run_id: self.run_id,
            outcome,
        };
        let variables = facts.variables(self.settings);
        let around = Around {
            mark: &context.unique,
            limit: hook.timeout,
            variables: &variables,
        };
        let mut say = |line: &str| {
            let line = line.to_owned();
            context.tell(JobEvent::HookSays { stage, line });
        };
        let begun = std::time::Instant::now();
        let end = context.runner.around(line, around, &mut say, advance);
        let end = end.map_err(|error| Failure::of(&error));
        self.reports.push(HookReport {
            stage,
            command: command.clone(),
            exit_code: end.as_ref().ok().and_then(|end| end.code()),
            duration_seconds: begun.elapsed().as_secs_f64(),
        });
        let fault = match &end {
            Ok(end) if end.code() == Some(SKIP) && hook.stage == Stage::Before => None,
            Ok(end) => end.fault(hook.timeout),
            Err(failure) => Some(failure.message.clone()),
        };
        if let Some(reason) = fault {
            context.tell(JobEvent::HookFailed {
                stage,
                command,
                reason,
            });
        }
        end
    }
}

fn failed(command: &str, fault: &str) -> Failure {
    let message = format!("the before hook `{command}` failed: {fault}");
    Failure::new(Kind::Failed, message).hint(format!(
        "nothing was done; run the command by hand, as the user that hookshot runs as; {}",
        session::HINT
    ))
}
