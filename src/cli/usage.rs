//! Help, version, and wrong usage.

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser as _, error::ErrorKind};
use serde_json::json;

use super::{
    command_line::CommandLine,
    render::{failure::as_json, version},
    terminal::streams::{print, print_json, say},
};
use crate::{
    error::{Failure, Kind},
    model::entry_name::{printable_line, printable_lines},
    store::address::masked,
};

/// Shows clap's answer: help and version on standard output, wrong usage on standard error or as JSON. `wants_json` is
/// true if the environment asks for JSON.
pub fn show(error: &clap::Error, arguments: &[OsString], wants_json: bool) -> ExitCode {
    let mut options = arguments.iter().take_while(|argument| *argument != "--");
    let wants_json = wants_json || options.any(|argument| argument == "--json");
    if !error.use_stderr() {
        let printed = match error.kind() {
            ErrorKind::DisplayVersion if wants_json => print_json(&version::as_json()),
            _ => print(&error.render().to_string()),
        };
        return match printed {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let failure = Failure::of(&error);
                say(&format!("ERROR {}\n", printable_line(&failure.message)));
                ExitCode::from(failure.kind.code())
            }
        };
    }
    if wants_json {
        let text = repeated(error, arguments);
        let said = text
            .lines()
            .take_while(|line| !line.starts_with("Usage:"))
            .map(str::trim);
        let said: Vec<&str> = said.filter(|line| !line.is_empty()).collect();
        let message = said.join(" ").trim_start_matches("error: ").to_owned();
        let failure = Failure::new(Kind::Usage, message)
            .hint("`hookshot --help` and `hookshot VERB --help` show what there is");
        let _ = print_json(&json!({ "error": as_json(&failure, failure.hint.as_deref()) }));
    } else {
        say(&repeated(error, arguments));
    }
    ExitCode::from(Kind::Usage.code())
}

/// Returns clap's message about a command line. Clap repeats arguments, so it parses them again, without passwords and
/// without what drives a terminal.
fn repeated(error: &clap::Error, arguments: &[OsString]) -> String {
    let plain = arguments.iter().map(|argument| match argument.to_str() {
        Some(text) => printable_line(&masked(text)).into(),
        None => argument.clone(),
    });
    let plain: Vec<OsString> = plain.collect();
    if plain == arguments {
        return printable_lines(&error.render().to_string());
    }
    match CommandLine::try_parse_from(&plain) {
        Err(error) => printable_lines(&error.render().to_string()),
        Ok(_) => printable_line(&masked(&error.render().to_string())),
    }
}
