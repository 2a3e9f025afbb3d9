//! Notifications by a command of the user, which gets the message by variables of its environment.

use super::{limit::Limit, message::Message};
use crate::{
    config::Settings,
    error::Failure,
    jobs::variables::{RunFacts, WorkOutcome},
    model::{run_record::Job, user_command::UserCommand},
    work::{
        events::{Events, NotifyEvent},
        session,
        shell::{Around, Line, Runner},
    },
};

/// A command with its environment.
pub struct CommandChannel {
    name: String,
    command: UserCommand,
    variables: Vec<(&'static str, String)>,
    mark: String,
}

impl CommandChannel {
    /// Returns the command that sends a message. `mark` tells its processes apart.
    pub fn new(
        name: &str,
        command: &UserCommand,
        settings: &Settings,
        message: &Message,
        mark: &str,
    ) -> CommandChannel {
        let record = &message.record;
        let operation = match record.job {
            Job::Backup | Job::Status => "backup",
            Job::Prune => "prune",
            Job::Verify => "verify",
            Job::Drill => "drill",
            Job::Protect => "protect",
        };
        let text = |key: &str| {
            let text = message.json.get(key).and_then(serde_json::Value::as_str);
            text.map(str::to_owned)
        };
        let outcome = WorkOutcome {
            result: Some(record.result),
            exit_code: record.exit_code,
            archive: text("archive"),
            error: text("error"),
        };
        let facts = RunFacts {
            operation,
            stage: "notify",
            run_id: &record.run_id,
            outcome: &outcome,
        };
        let mut variables = facts.variables(settings);
        variables.extend([
            ("HOOKSHOT_OCCASION", message.occasion.name().to_owned()),
            ("HOOKSHOT_TITLE", message.words.title.clone()),
            ("HOOKSHOT_MESSAGE", message.words.text.clone()),
        ]);
        CommandChannel {
            name: name.to_owned(),
            command: command.clone(),
            variables,
            mark: mark.to_owned(),
        }
    }

    /// Runs the command to its end.
    pub fn run(&self, limit: &Limit, runner: &Runner, events: &Events) -> Result<(), String> {
        if limit.is_over() {
            return Err(limit.reason());
        }
        let time = limit.left();
        let around = Around {
            mark: &self.mark,
            limit: time,
            variables: &self.variables,
        };
        let mut say = |line: &str| {
            events.send(NotifyEvent::CommandSays {
                name: self.name.clone(),
                line: line.to_owned(),
            });
        };
        let line = Line::of(&self.command);
        let shown = runner.shown(line);
        match runner.around(line, around, &mut say, &|_| limit.check()) {
            Ok(end) => match end.fault(time) {
                None => Ok(()),
                Some(fault) => Err(format!("`{shown}` failed: {fault}; {}", session::HINT)),
            },
            Err(error) => {
                let message = Failure::of(&error).message;
                Err(format!("`{shown}` failed: {message}"))
            }
        }
    }
}
