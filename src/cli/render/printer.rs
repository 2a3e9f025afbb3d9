//! The printer: shows results on standard output, and failures on standard error or as JSON.

use std::{
    io::{self, Write},
    sync::Arc,
};

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    explain::explained,
    failure::{as_json, as_text},
};
use crate::{
    cli::{
        global::{GlobalArguments, LogFormat},
        terminal::{
            screen::Screen,
            streams::{Inert, print, print_by, print_json, say},
        },
    },
    error::{Failure, Kind},
    model::entry_name::{printable_json, printable_lines},
};

/// A printer of reports and failures.
#[derive(Clone)]
pub struct Printer {
    json: bool,
    screen: Arc<Screen>,
    log: LogFormat,
    has_folder: bool,
}

impl Printer {
    /// Returns the printer that the command line asks for.
    pub fn new(
        global: &GlobalArguments,
        screen: Arc<Screen>,
        log: LogFormat,
        has_folder: bool,
    ) -> Printer {
        Printer {
            json: global.json,
            screen,
            log,
            has_folder,
        }
    }

    /// Returns true if results are JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Shows text that is not a report.
    pub fn tell(&self, text: &str) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.screen.clear();
        print(text)
    }

    /// Shows a report, and returns the exit code: as JSON, or as the text that `text` makes of it.
    pub fn report(&self, report: &impl Serialize, text: impl FnOnce() -> String) -> Result<u8> {
        self.report_with(report, None, text)
    }

    /// Shows a report together with the failure that it ends in, and returns the exit code.
    pub fn report_with(
        &self,
        report: &impl Serialize,
        failure: Option<&Failure>,
        text: impl FnOnce() -> String,
    ) -> Result<u8> {
        let failure = failure.map(explained);
        let failure = failure.as_ref();
        if !self.json {
            let result = self.tell(&text());
            if let Some(failure) = failure {
                self.say(failure);
            }
            return shown(result, failure);
        }
        let mut value = serde_json::to_value(report)?;
        if let (Some(failure), Some(map)) = (failure, value.as_object_mut()) {
            map.insert("error".to_owned(), self.describe(failure));
        }
        self.screen.clear();
        let result = print_json(&value);
        self.say_beside(&result, failure);
        shown(result, failure)
    }

    /// Says a failure on standard error if the report with it could not be printed.
    fn say_beside(&self, result: &Result<()>, failure: Option<&Failure>) {
        if let (Err(_), Some(failure)) = (result, failure) {
            self.say(failure);
        }
    }

    /// Shows the report of finished work, and returns the exit code. Log lines have named what was left undone, so only
    /// programs get the failure.
    pub fn ended(
        &self,
        report: &impl Serialize,
        failure: Option<&Failure>,
        text: impl FnOnce() -> String,
    ) -> Result<u8> {
        if self.json || self.log == LogFormat::Json {
            return self.report_with(report, failure, text);
        }
        self.tell(&text())?;
        Ok(failure.map_or(0, |failure| failure.kind.code()))
    }

    /// Shows a report that may be long, part by part, together with the failure that it ends in. Returns the exit code.
    pub fn report_long(
        &self,
        report: &impl Serialize,
        failure: Option<&Failure>,
        text: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<u8> {
        let failure = failure.map(explained);
        let failure = failure.as_ref();
        self.screen.clear();
        if self.json {
            let error = failure.map(|failure| self.describe(failure));
            let ended = Ended { report, error };
            let result = print_by(|out| {
                let mut out = Inert::new(out, printable_json);
                serde_json::to_writer_pretty(&mut out, &ended)?;
                out.write_all(b"\n")
            });
            self.say_beside(&result, failure);
            return shown(result, failure);
        }
        let result = print_by(|out| text(&mut Inert::new(out, printable_lines)));
        if let Some(failure) = failure {
            self.say(failure);
        }
        shown(result, failure)
    }

    /// Asks a question on the terminal. The answer follows on the same line.
    pub fn ask(&self, question: &str) {
        self.screen.clear();
        say(question);
    }

    /// Shows a failure and returns its exit code.
    pub fn failure(&self, failure: &Failure) -> u8 {
        let failure = &explained(failure);
        // An interrupted run does not wait for a stopped terminal.
        let is_mute = matches!(failure.kind, Kind::Interrupted(_)) && self.screen.is_mute();
        if self.json {
            self.screen.clear();
            if print_json(&json!({ "error": self.describe(failure) })).is_err() {
                self.say(failure);
            }
        } else if !is_mute {
            self.say(failure);
        }
        failure.kind.code()
    }

    fn say(&self, failure: &Failure) {
        if self.log == LogFormat::Json {
            let faults = failure.faults.join("; ");
            let hint = self.hint(failure).unwrap_or_default();
            tracing::error!(
                code = failure.kind.code(),
                kind = failure.kind.name(),
                hint,
                faults,
                "{}",
                failure.message
            );
            return;
        }
        self.screen.clear();
        say(&as_text(
            failure,
            self.hint(failure),
            self.screen.is_colored(),
        ));
    }

    fn describe(&self, failure: &Failure) -> Value {
        as_json(failure, self.hint(failure))
    }

    /// Returns the advice about a failure. Without a working folder, relative paths lead nowhere.
    fn hint<'a>(&self, failure: &'a Failure) -> Option<&'a str> {
        const LOST: &str = "the working folder was removed, so relative paths lead nowhere: change to a folder that \
            is there, or name absolute paths";
        match failure.kind {
            kind if !self.has_folder && (kind.is_failed() || kind == Kind::NotFound) => Some(LOST),
            _ => failure.hint.as_deref(),
        }
    }
}

/// Returns the exit code of a report that was printed, or could not be: the failure of the work counts more.
fn shown(printed: Result<()>, failure: Option<&Failure>) -> Result<u8> {
    match failure {
        Some(failure) => Ok(failure.kind.code()),
        None => printed.map(|()| 0),
    }
}

/// A report, and the failure that it ends in.
#[derive(Serialize)]
struct Ended<'a, R> {
    #[serde(flatten)]
    report: &'a R,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
}
