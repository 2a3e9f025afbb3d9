//! Notifications by a command of the user, which gets the message by variables of its environment.

use super::{limit::Limit, message::Message};
use crate::{
    config::Settings,
    error::Failure,
    model::{run_record::Job, user_command::UserCommand},
    work::{
        events::{Events, NotifyEvent},
        session,
        shell::{Around, Line, Runner},
    },
};

/// The longest error in a variable, in bytes: the environment of a process is bounded.
const MOST_BYTES: usize = 8 << 10;

/// A command with its environment.
pub struct CommandWay {
    name: String,
    command: UserCommand,
    variables: Vec<(&'static str, String)>,
    mark: String,
}

impl CommandWay {
    /// Returns the command that sends a message. `mark` tells its processes apart.
    pub fn new(
        name: &str,
        command: &UserCommand,
        settings: &Settings,
        message: &Message,
        mark: &str,
    ) -> CommandWay {
        let record = &message.record;
        let operation = match record.job {
            Job::Backup | Job::Status => "backup",
            Job::Prune => "prune",
            Job::Verify => "verify",
            Job::Drill => "drill",
        };
        let text = |key: &str| {
            let text = message.json.get(key).and_then(serde_json::Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let exit_code = record.exit_code.map(|code| code.to_string());
        let variables = vec![
            ("HOOKSHOT_OPERATION", operation.to_owned()),
            ("HOOKSHOT_STAGE", "notify".to_owned()),
            ("HOOKSHOT_RUN_ID", record.run_id.clone()),
            ("HOOKSHOT_CONFIG", settings.config.display().to_string()),
            ("HOOKSHOT_APP", settings.schema.app.clone()),
            ("HOOKSHOT_RESULT", record.result.name().to_owned()),
            ("HOOKSHOT_EXIT_CODE", exit_code.unwrap_or_default()),
            ("HOOKSHOT_ARCHIVE", text("archive")),
            ("HOOKSHOT_ERROR", text("error")),
            ("HOOKSHOT_OCCASION", message.occasion.name().to_owned()),
            ("HOOKSHOT_TITLE", message.words.title.clone()),
            ("HOOKSHOT_MESSAGE", message.words.text.clone()),
        ];
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name, fit(&value)));
        CommandWay {
            name: name.to_owned(),
            command: command.clone(),
            variables: variables.collect(),
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

/// Returns a text that fits into the environment: bounded, and without NUL, which ends a variable.
fn fit(text: &str) -> String {
    let mut text = text.replace('\0', "");
    if text.len() > MOST_BYTES {
        let end = (0..=MOST_BYTES).rev().find(|&at| text.is_char_boundary(at));
        text.truncate(end.unwrap_or_default());
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::jobs::notify::limit::Cancellation;

    #[test]
    fn a_command_without_time_is_not_begun() {
        let folder = tempfile::tempdir().expect("a folder");
        let made = folder.path().join("made");
        let line = format!("touch '{}'", made.display());
        let way = CommandWay {
            name: "own".to_owned(),
            command: UserCommand::Line(line),
            variables: Vec::new(),
            mark: "mark".to_owned(),
        };
        let run = |time: u64| {
            let limit = Limit::new(Duration::from_secs(time), &Cancellation::default());
            way.run(&limit, &Runner::default(), &Events::default())
        };
        assert_eq!(run(0), Err("it takes longer than 0 s".to_owned()));
        assert!(!made.exists());
        assert_eq!((run(60), made.exists()), (Ok(()), true));
    }
}
