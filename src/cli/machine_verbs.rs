//! `hookshot validate`, `init` and `version`: the small verbs.

use anyhow::Result;
use clap::{Args, builder::PossibleValuesParser};

use super::{
    App,
    output::{self, size},
};
use crate::{
    error::{Failure, Kind},
    model::entry_name::{printable, printable_line},
    ops::{
        init::{apps, init},
        validate::{ValidatedSource, validate},
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
fn held(source: &ValidatedSource) -> String {
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
