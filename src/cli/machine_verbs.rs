//! `hookshot validate`, `init`, `version`, `completions` and `man`: the small verbs.

use anyhow::{Context as _, Result};
use clap::{Args, Command, CommandFactory as _, builder::PossibleValuesParser};
use clap_complete::Shell;
use serde_json::json;

use super::{
    App,
    arguments::Arguments,
    output::{self, size},
};
use crate::{
    error::{Failure, Kind},
    model::entry_name::{printable, printable_line},
    ops::{
        init::{apps, init},
        validate::{Held, validate},
    },
};

/// Is the configuration good?
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  hookshot validate\n  hookshot validate --config ./config.toml"
)]
pub struct Validate {}

impl Validate {
    pub fn run(self, app: &App) -> Result<u8> {
        let report = validate(&app.context, &app.choices)?;
        let failure = (!report.good).then(|| {
            let count = report.faults.len();
            let message = if count == 1 {
                report.faults[0].clone()
            } else {
                format!("{count} faults in the configuration")
            };
            Failure::new(Kind::Usage, message)
                .hint("correct the files and run `hookshot validate` again")
                .faults(report.faults.clone())
        });
        app.output.report_with(&report, failure.as_ref(), || {
            let mut out = String::new();
            if report.good {
                out.extend(
                    report
                        .files
                        .iter()
                        .map(|file| format!("{}: good\n", printable_line(file))),
                );
                out.extend(report.sources.iter().map(held));
            }
            out.extend(
                report
                    .warnings
                    .iter()
                    .map(|warning| format!("warning: {}\n", printable_line(warning))),
            );
            out
        })?;
        Ok(failure.map_or(0, |failure| failure.kind.code()))
    }
}

/// A line of a source: where it is, and how much it holds.
fn held(source: &Held) -> String {
    let name = printable(&source.name);
    let kind = source.kind;
    if let Some(has_import) = source.has_import {
        return match has_import {
            true => format!("{name}: {kind}, and an import command takes it\n"),
            false => format!("{name}: {kind}, and no import command takes it\n"),
        };
    }
    let path = printable(source.path.as_deref().unwrap_or_default());
    let bytes = size(source.bytes.unwrap_or_default());
    match (source.files, kind) {
        (Some(1), "directory") => format!("{name}: {kind} {path}, 1 file, {bytes}\n"),
        (Some(files), "directory") => format!("{name}: {kind} {path}, {files} files, {bytes}\n"),
        (Some(_), _) => format!("{name}: {kind} {path}, {bytes}\n"),
        (None, _) => format!("{name}: {kind} {path}, not there\n"),
    }
}

/// Write a starter configuration and an empty database
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  hookshot init\n  hookshot init --config ./etc/config.toml --data-dir ./data\n  hookshot init --app vaultwarden --config /etc/hookshot/vaultwarden/config.toml --data-dir /srv/vaultwarden"
)]
pub struct Init {
    /// Write the configuration of a well-known service instead; --data-dir says where that has its data
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(apps::names()))]
    app: Option<String>,
}

impl Init {
    pub fn run(self, app: &App) -> Result<u8> {
        let report = match &self.app {
            Some(name) => apps::init(&app.choices, name)?,
            None => init(&app.choices)?,
        };
        app.output.report(&report, || {
            report
                .created
                .iter()
                .map(|file| format!("{}\n", printable_line(file)))
                .collect()
        })?;
        Ok(0)
    }
}

/// Show the version
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  hookshot version\n  hookshot version --json | jq -r .version")]
pub struct Version {}

impl Version {
    pub fn run(self, app: &App) -> Result<u8> {
        let version = env!("CARGO_PKG_VERSION");
        app.output
            .report(&output::version(), || format!("hookshot {version}\n"))?;
        Ok(0)
    }
}

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  hookshot completions bash > /etc/bash_completion.d/hookshot\n  hookshot completions zsh > ~/.zfunc/_hookshot"
)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

/// The command line without what only hookshot itself calls.
fn shown() -> Command {
    let all = Arguments::command();
    let verbs = all.get_subcommands().filter(|verb| !verb.is_hide_set());
    Command::new("hookshot")
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .args(all.get_arguments().cloned())
        .subcommands(verbs.cloned())
}

impl Completions {
    pub fn run(self, app: &App) -> Result<u8> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut shown(), "hookshot", &mut script);
        let script = String::from_utf8(script)?;
        app.output
            .report(&json!({ "completions": script }), || script.clone())?;
        Ok(0)
    }
}

/// Print the manual page
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  hookshot man | man -l -\n  hookshot man export > hookshot-export.1"
)]
pub struct Man {
    /// A verb, for the page of its own
    verb: Option<String>,
}

impl Man {
    pub fn run(self, app: &App) -> Result<u8> {
        let mut command = Arguments::command();
        command.build();
        let command = match &self.verb {
            None => command,
            Some(verb) => {
                let found = command.find_subcommand(verb).cloned();
                let found = found.ok_or_else(|| {
                    Failure::new(Kind::Usage, format!("there is no verb {verb:?}"))
                        .hint("`hookshot --help` lists them")
                })?;
                found.name(format!("hookshot-{verb}"))
            }
        };
        let mut page = Vec::new();
        clap_mangen::Man::new(command)
            .render(&mut page)
            .context("cannot write the manual page")?;
        let page = String::from_utf8(page)?;
        app.output
            .report(&json!({ "man": page }), || page.clone())?;
        Ok(0)
    }
}
