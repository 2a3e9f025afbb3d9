//! The service as guarded work handles it: stopped, started, and asked for its health. Each step is noted for the report.

use std::time::Instant;

use anyhow::Result;
use serde::Serialize;

use super::health::{Health, Patience, Verdict};
use crate::{
    config::{
        Settings,
        hooks::Operation,
        import::{HealthCheck, ServiceControl},
    },
    context::Context,
    error::Failure,
    jobs::variables::{RunFacts, WorkOutcome},
    model::user_command::UserCommand,
    work::{
        cancel::Advance,
        events::GuardEvent,
        shell::{Around, Line},
    },
};

/// One step with the service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServiceStep {
    /// `stop`, `start` or `health`.
    pub step: &'static str,
    /// The command or the server, shortened and masked.
    pub command: String,
    /// True if it succeeded.
    pub good: bool,
    /// The exit code of a command that stops or starts; `None` if a signal or its time limit ended it.
    pub exit_code: Option<i32>,
    /// The reason of a failure.
    pub error: Option<String>,
    /// Its duration in seconds.
    pub duration_seconds: f64,
}

/// The service of a run.
pub struct Service<'a> {
    context: &'a Context,
    settings: &'a Settings,
    operation: Operation,
    run_id: &'a str,
    health: Option<HealthCheck>,
    patience: Patience,
    /// The steps so far.
    pub steps: Vec<ServiceStep>,
}

impl<'a> Service<'a> {
    /// Returns the service that `settings` describe.
    pub fn new(
        context: &'a Context,
        settings: &'a Settings,
        operation: Operation,
        run_id: &'a str,
    ) -> Service<'a> {
        let import = &settings.schema.import;
        Service {
            context,
            settings,
            operation,
            run_id,
            health: import.health.clone(),
            patience: Patience {
                timeout: import.health_timeout,
                healthy_for: import.healthy_for,
            },
            steps: Vec::new(),
        }
    }

    /// Asks another question for the health, or gives it another time, than the configuration says.
    pub fn ask_instead(
        &mut self,
        health: Option<HealthCheck>,
        timeout: Option<std::time::Duration>,
    ) {
        self.health = health.or(self.health.take());
        self.patience.timeout = timeout.unwrap_or(self.patience.timeout);
    }

    /// Returns the commands that stop and start it, if the configuration has them.
    pub fn control(&self) -> Option<&'a ServiceControl> {
        self.settings.schema.import.control.as_ref()
    }

    /// Returns the command that starts it, with secrets masked, as a user types it.
    pub fn start_shown(&self) -> Option<String> {
        let start = self.control()?.start.text();
        Some(self.context.runner.masked(&start))
    }

    /// Fails if the question for its health can never be asked.
    pub fn require_askable(&self) -> Result<()> {
        let Some(check) = &self.health else {
            return Ok(());
        };
        Health::new(self.context, check, &[]).map(drop)
    }

    /// Tells the steps that a run would have.
    pub fn tell_plan(&self) {
        let Some(control) = self.control() else {
            return;
        };
        for (step, command) in [("stop", &control.stop), ("start", &control.start)] {
            let what = self.context.runner.shown(Line::of(command));
            self.context.tell(GuardEvent::Would { step, what });
        }
        if let Some(check) = &self.health
            && let Ok(health) = Health::new(self.context, check, &[])
        {
            let what = health.shown();
            let step = "health";
            self.context.tell(GuardEvent::Would { step, what });
        }
    }

    /// Stops it. The error is the reason of a failure, or a cancelled run.
    pub fn stop(&mut self) -> Result<(), Failure> {
        let context = self.context;
        let advance = context.step();
        match self.control() {
            Some(control) => self.run("stop", &control.stop, &advance),
            None => Ok(()),
        }
    }

    /// Stops it for the way back, also when the run is cancelled. The error is the reason of a failure.
    pub fn stop_for_the_way_back(&mut self) -> Result<(), Failure> {
        match self.control() {
            Some(control) => self.run("stop", &control.stop, &|_| Ok(())),
            None => Ok(()),
        }
    }

    /// Starts it, also when the run is cancelled. The error is the reason of a failure.
    pub fn start(&mut self) -> Result<(), Failure> {
        match self.control() {
            Some(control) => self.run("start", &control.start, &|_| Ok(())),
            None => Ok(()),
        }
    }

    /// Asks for its health until it is good or its time is over; `None` without such a question. Fails if the run is
    /// cancelled.
    pub fn health(&mut self) -> Result<Option<Verdict>> {
        let Some(check) = self.health.clone() else {
            self.context.tell(GuardEvent::HealthUnasked);
            return Ok(None);
        };
        let variables = self.variables("health");
        let health = Health::new(self.context, &check, &variables)?;
        let begun = Instant::now();
        let verdict = health.wait(self.patience);
        let error = match &verdict {
            Ok(Verdict::Healthy) => None,
            Ok(Verdict::Unhealthy(reason)) => Some(reason.clone()),
            Err(error) => Some(format!("{error:#}")),
        };
        self.steps.push(ServiceStep {
            step: "health",
            command: health.shown(),
            good: error.is_none(),
            exit_code: None,
            error,
            duration_seconds: begun.elapsed().as_secs_f64(),
        });
        verdict.map(Some)
    }

    fn run(
        &mut self,
        step: &'static str,
        command: &UserCommand,
        advance: &Advance<'_>,
    ) -> Result<(), Failure> {
        let (context, limit) = (self.context, self.settings.schema.import.timeout);
        let line = Line::of(command);
        let shown = context.runner.shown(line);
        let command = shown.clone();
        context.tell(GuardEvent::Runs { step, command });
        let variables = self.variables(step);
        let around = Around {
            mark: &context.unique,
            limit,
            variables: &variables,
        };
        let mut say = |line: &str| {
            let line = line.to_owned();
            context.tell(GuardEvent::Says { step, line });
        };
        let begun = Instant::now();
        let end = context.runner.around(line, around, &mut say, advance);
        let exit_code = end.as_ref().ok().and_then(|end| end.code());
        let failure = match end {
            Ok(end) => end.fault(limit).map(|fault| {
                let message = format!("`{shown}` failed: {fault}");
                Failure::new(crate::error::Kind::Failed, message)
            }),
            Err(error) => Some(Failure::of(&error)),
        };
        let error = failure.as_ref().map(|failure| failure.message.clone());
        if let Some(reason) = &error {
            let (command, reason) = (shown.clone(), reason.clone());
            context.tell(GuardEvent::Failed {
                step,
                command,
                reason,
            });
        }
        self.steps.push(ServiceStep {
            step,
            command: shown,
            good: error.is_none(),
            exit_code,
            error,
            duration_seconds: begun.elapsed().as_secs_f64(),
        });
        failure.map_or(Ok(()), Err)
    }

    fn variables(&self, stage: &'static str) -> Vec<(&'static str, String)> {
        let facts = RunFacts {
            operation: self.operation.name(),
            stage,
            run_id: self.run_id,
            outcome: &WorkOutcome::default(),
        };
        facts.variables(self.settings)
    }
}
