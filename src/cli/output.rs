//! What people and programs read: results on standard output, failures on standard error or as JSON.

use std::{
    ffi::OsString,
    io::{self, BufWriter, Write},
    os::fd::AsFd,
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::{Parser as _, error::ErrorKind};
use comfy_table::{ColumnConstraint, Table, Width};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    World, about,
    appearance::Appearance,
    arguments::{Arguments, Global, LogFormat},
    progress,
};
use crate::{
    error::{Failure, Kind},
    model::{
        entry_name::{printable_json, printable_line, printable_lines},
        version::FormatVersion,
    },
    store::address::masked,
    work::stdout::ensure_open,
};

/// How many rows of a long table are in memory at once.
const PART_ROWS: usize = 1000;

/// How results and failures are shown.
#[derive(Debug, Clone)]
pub struct Output {
    json: bool,
    color: bool,
    log: LogFormat,
    has_folder: bool,
}

impl Output {
    /// As the command line says.
    pub fn new(global: &Global, appearance: Appearance, log: LogFormat, world: &World) -> Output {
        Output {
            json: global.json,
            color: appearance.is_colored,
            log,
            has_folder: world.has_folder,
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
        let failure = failure.map(about::explained);
        let failure = failure.as_ref();
        if !self.json {
            let result = print(&text());
            if let Some(failure) = failure {
                self.say(failure);
            }
            return result;
        }
        let mut value = serde_json::to_value(report)?;
        if let (Some(failure), Some(map)) = (failure, value.as_object_mut()) {
            map.insert("error".to_owned(), self.describe(failure));
        }
        print_json(&value)
    }

    /// Shows a report of work that ended, and gives its exit code. What was left undone stands in log lines already: the failure
    /// is for programs.
    pub fn ended(
        &self,
        report: &impl Serialize,
        failure: Option<&Failure>,
        text: impl FnOnce() -> String,
    ) -> Result<u8> {
        if self.json || self.log == LogFormat::Json {
            self.report_with(report, failure, text)?;
        } else {
            print(&text())?;
        }
        Ok(failure.map_or(0, |failure| failure.kind.code()))
    }

    /// Shows a report that may be long, each part of it as soon as it is made, together with the failure that it ends in.
    pub fn report_long(
        &self,
        report: &impl Serialize,
        failure: Option<&Failure>,
        text: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<()> {
        let failure = failure.map(about::explained);
        let failure = failure.as_ref();
        if self.json {
            let error = failure.map(|failure| self.describe(failure));
            let shown = Ended { report, error };
            return print_by(|out| {
                let mut out = Inert::new(out, printable_json);
                serde_json::to_writer_pretty(&mut out, &shown)?;
                out.write_all(b"\n")
            });
        }
        let result = print_by(|out| text(&mut Inert::new(out, printable_lines)));
        if let Some(failure) = failure {
            self.say(failure);
        }
        result
    }

    /// Shows a failure and gives its exit code.
    pub fn failure(&self, failure: &Failure) -> u8 {
        let failure = &about::explained(failure);
        // Whoever ends the work does not wait for a terminal that is stopped.
        let is_mute = matches!(failure.kind, Kind::Interrupted(_)) && progress::is_mute();
        if self.json {
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
        let (red, plain) = if self.color {
            ("\x1b[31m", "\x1b[0m")
        } else {
            ("", "")
        };
        let mut text = format!(
            "{red}ERROR{plain} {}
",
            printable_line(&failure.message)
        );
        if failure.faults.len() > 1 {
            for fault in &failure.faults {
                text.push_str(&format!(
                    "  - {}
",
                    printable_line(fault)
                ));
            }
        }
        if let Some(hint) = self.hint(failure) {
            text.push_str(&format!(
                "  hint: {}
",
                printable_line(hint)
            ));
        }
        say(&text);
    }

    fn describe(&self, failure: &Failure) -> Value {
        describe(failure, self.hint(failure))
    }

    /// Returns the advice about a failure. Without a working folder, nothing that a relative path names is there.
    fn hint<'a>(&self, failure: &'a Failure) -> Option<&'a str> {
        const LOST: &str = "the working folder was removed, so relative paths lead nowhere: change to a folder that is there, or name absolute paths";
        match failure.kind {
            Kind::Failed | Kind::NotFound if !self.has_folder => Some(LOST),
            _ => failure.hint.as_deref(),
        }
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

fn describe(failure: &Failure, hint: Option<&str>) -> Value {
    json!({
        "code": failure.kind.code(),
        "kind": failure.kind.name(),
        "message": failure.message,
        "hint": hint,
        "faults": failure.faults,
    })
}

/// Writes to standard output, without anything that drives a terminal. A reader that has read enough is fine, and one that there
/// never was is an error.
pub fn print(text: &str) -> Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    print_by(|out| out.write_all(printable_lines(text).as_bytes()))
}

fn print_json(value: &Value) -> Result<()> {
    print_by(|out| out.write_all(printable_json(&format!("{value:#}\n")).as_bytes()))
}

/// A writer in front of standard output or standard error: what it passes on drives no terminal.
pub struct Inert<W> {
    inner: W,
    escape: fn(&str) -> String,
}

impl<W: Write> Inert<W> {
    /// Each piece that is written must be text by itself.
    pub fn new(inner: W, escape: fn(&str) -> String) -> Inert<W> {
        Inert { inner, escape }
    }
}

impl<W: Write> Write for Inert<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        self.inner.write_all((self.escape)(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A writer that waits for room where the process that started this one made the pipe non-blocking (fcntl(2), `O_NONBLOCK`), as
/// Node.js does with pipes that it shares.
struct Patient<W>(W);

impl<W: Write + AsFd> Patient<W> {
    fn wait<T>(&mut self, mut act: impl FnMut(&mut W) -> io::Result<T>) -> io::Result<T> {
        loop {
            match act(&mut self.0) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLOUT)];
                    match poll(&mut fds, PollTimeout::NONE) {
                        Ok(_) | Err(Errno::EINTR) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                result => return result,
            }
        }
    }
}

impl<W: Write + AsFd> Write for Patient<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wait(|inner| inner.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.wait(Write::flush)
    }
}

fn print_by(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    progress::clear();
    let mut out = BufWriter::new(Patient(io::stdout().lock()));
    let written = ensure_open().and_then(|()| write(&mut out));
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}

/// Writes to standard error, at once. That nobody can read it changes nothing.
fn say(text: &str) {
    progress::clear();
    let _ = Patient(io::stderr().lock()).write_all(text.as_bytes());
}

/// What clap has to say: help and version on standard output, wrong usage on standard error or as JSON.
pub fn usage(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    let mut options = arguments.iter().take_while(|argument| *argument != "--");
    let wants_json = options.any(|argument| argument == "--json");
    if !error.use_stderr() {
        let printed = match error.kind() {
            ErrorKind::DisplayVersion if wants_json => print_json(&version()),
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
        let _ = print_json(&json!({ "error": describe(&failure, failure.hint.as_deref()) }));
    } else {
        say(&repeated(error, arguments));
    }
    ExitCode::from(Kind::Usage.code())
}

/// Returns the fault of a command line, with its arguments fit for one line each: clap repeats them, so it is asked again with
/// arguments that drive no terminal and hold no password.
fn repeated(error: &clap::Error, arguments: &[OsString]) -> String {
    let plain = arguments.iter().map(|argument| match argument.to_str() {
        Some(text) => printable_line(&masked(text)).into(),
        None => argument.clone(),
    });
    let plain: Vec<OsString> = plain.collect();
    if plain == arguments {
        return printable_lines(&error.render().to_string());
    }
    match Arguments::try_parse_from(&plain) {
        Err(error) => printable_lines(&error.render().to_string()),
        Ok(_) => printable_line(&masked(&error.render().to_string())),
    }
}

/// The versions of hookshot and of its archives.
pub fn version() -> Value {
    json!({ "version": env!("CARGO_PKG_VERSION"), "archive_format": FormatVersion::CURRENT.to_string() })
}

/// A table with a header, columns aligned, no lines.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = bare(rows);
    table.set_header(header.to_vec());
    lines(&table)
}

/// The same, written as it is made: of many rows a part is in memory. `rows` is asked twice, and must say the same.
pub fn write_table<R: Iterator<Item = Vec<String>>>(
    out: &mut dyn Write,
    header: &[&str],
    rows: impl Fn() -> R,
) -> io::Result<()> {
    let head = || std::iter::once(header.iter().map(|&title| title.to_owned()).collect());
    let mut widths = vec![0; header.len()];
    each_part(head().chain(rows()), |part| {
        for (width, of_part) in widths.iter_mut().zip(part.column_max_content_widths()) {
            *width = of_part.max(*width);
        }
        Ok(())
    })?;
    each_part(head().chain(rows()), |mut part| {
        for (column, width) in part.column_iter_mut().zip(&widths) {
            let width = width.saturating_add(column.padding_width());
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width)));
        }
        out.write_all(lines(&part).as_bytes())
    })
}

/// Gives tables of no more than [`PART_ROWS`] rows.
fn each_part(
    rows: impl Iterator<Item = Vec<String>>,
    mut take: impl FnMut(Table) -> io::Result<()>,
) -> io::Result<()> {
    let mut rows = rows.peekable();
    while rows.peek().is_some() {
        take(bare(rows.by_ref().take(PART_ROWS)))?;
    }
    Ok(())
}

fn bare(rows: impl IntoIterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    // A cell is one line, whoever wrote it.
    let inert = |row: Vec<String>| {
        row.iter()
            .map(|cell| printable_line(cell))
            .collect::<Vec<_>>()
    };
    table.add_rows(rows.into_iter().map(inert));
    table
}

fn lines(table: &Table) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_table_is_the_one_that_is_made_at_once() {
        for count in [0, 1, PART_ROWS - 1, PART_ROWS, 3 * PART_ROWS + 7] {
            let row = |number: usize| {
                let wide = if number == 2 * PART_ROWS {
                    "ü".repeat(30)
                } else {
                    "x".to_owned()
                };
                vec![number.to_string(), wide, "y".repeat(number % 7)]
            };
            let rows = || (0..count).map(row);
            let header = ["NUMBER", "WIDE", "LAST"];
            let mut written = Vec::new();
            write_table(&mut written, &header, rows).expect("written to memory");
            let written = String::from_utf8(written).expect("text");
            assert!(written == table(&header, rows()), "{count} rows");
        }
    }
}
