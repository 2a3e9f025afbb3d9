//! What people and programs read: results on standard output, failures on standard error or as JSON.

use std::{
    ffi::OsString,
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::{Value, json};

use super::arguments::{Color, Global, LogFormat};
use crate::{
    error::{Failure, Kind},
    model::entry_name::printable_lines,
};

/// How results and failures are shown.
#[derive(Debug, Clone)]
pub struct Output {
    json: bool,
    color: bool,
    log: LogFormat,
}

impl Output {
    /// As the command line says.
    pub fn new(global: &Global, log: LogFormat) -> Output {
        Output {
            json: global.json,
            color: wants_color(global.color),
            log,
        }
    }

    /// Whether results are JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Shows a report: as JSON, or as the text that `text` makes of it.
    pub fn report(&self, report: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
        self.report_with(report, None, text)
    }

    /// Shows a report together with the failure that it ends in.
    pub fn report_with(
        &self,
        report: &impl Serialize,
        failure: Option<&Failure>,
        text: impl FnOnce() -> String,
    ) -> Result<()> {
        if !self.json {
            let result = print(&text());
            if let Some(failure) = failure {
                self.say(failure);
            }
            return result;
        }
        let mut value = serde_json::to_value(report)?;
        if let (Some(failure), Some(map)) = (failure, value.as_object_mut()) {
            map.insert("error".to_owned(), describe(failure));
        }
        print(&format!("{value:#}\n"))
    }

    /// Shows a failure and gives its exit code.
    pub fn failure(&self, failure: &Failure) -> u8 {
        if self.json {
            let text = format!(
                "{:#}
",
                json!({ "error": describe(failure) })
            );
            if print(&text).is_err() {
                self.say(failure);
            }
        } else {
            self.say(failure);
        }
        failure.kind.code()
    }

    fn say(&self, failure: &Failure) {
        if self.log == LogFormat::Json {
            let faults = failure.faults.join("; ");
            let hint = failure.hint.as_deref().unwrap_or_default();
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
        let (red, plain) = if self.color {
            ("\x1b[31m", "\x1b[0m")
        } else {
            ("", "")
        };
        let mut text = format!(
            "{red}ERROR{plain} {}
",
            printable_lines(&failure.message)
        );
        if failure.faults.len() > 1 {
            for fault in &failure.faults {
                text.push_str(&format!(
                    "  - {}
",
                    printable_lines(fault)
                ));
            }
        }
        if let Some(hint) = &failure.hint {
            text.push_str(&format!(
                "  hint: {}
",
                printable_lines(hint)
            ));
        }
        say(&text);
    }
}

fn describe(failure: &Failure) -> Value {
    json!({
        "code": failure.kind.code(),
        "kind": failure.kind.name(),
        "message": failure.message,
        "hint": failure.hint,
        "faults": failure.faults,
    })
}

/// Writes to standard output. That nobody reads it is fine.
pub fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}

/// Writes to standard error, at once. That nobody can read it changes nothing.
fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Whether messages are coloured (no-color.org).
pub fn wants_color(color: Color) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => io::stderr().is_terminal(),
    }
}

/// What clap has to say: help and version on standard output, wrong usage on standard error or as JSON.
pub fn usage(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    let wants_json = arguments.iter().any(|argument| argument == "--json");
    if !error.use_stderr() {
        // Somebody who closes the pipe has read enough.
        let _ = print(&error.render().to_string());
        return ExitCode::SUCCESS;
    }
    if wants_json {
        let text = error.render().to_string();
        let said = text
            .lines()
            .take_while(|line| !line.starts_with("Usage:"))
            .map(str::trim);
        let said: Vec<&str> = said.filter(|line| !line.is_empty()).collect();
        let message = said.join(" ").trim_start_matches("error: ").to_owned();
        let failure = Failure::new(Kind::Usage, message)
            .hint("`hookshot --help` and `hookshot VERB --help` show what there is");
        let _ = print(&format!("{:#}\n", json!({ "error": describe(&failure) })));
    } else {
        say(&error.render().to_string());
    }
    ExitCode::from(Kind::Usage.code())
}

/// A table with a header, columns aligned, no lines.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = comfy_table::Table::new();
    table
        .load_style(comfy_table::presets::NOTHING)
        .set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    let text = table.to_string();
    text.lines()
        .map(|line| {
            format!(
                "{}\n",
                line.trim_end().strip_prefix(' ').unwrap_or(line.trim_end())
            )
        })
        .collect()
}

/// Bytes as people say them.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}
