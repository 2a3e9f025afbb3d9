//! `validate`: is the configuration good?

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::Result;
use serde::Serialize;

use crate::{
    config::{
        Choices, Settings, read_text,
        schema::{Schema, parse_toml},
        sources::{Content, SECRETS},
    },
    model::plan::Privacy,
    source::shell::Line,
};

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether nothing is wrong.
    pub good: bool,
    /// The files that were looked at.
    pub files: Vec<String>,
    /// What is wrong.
    pub faults: Vec<String>,
    /// What may be meant, and may not.
    pub warnings: Vec<String>,
}

/// Reads every configuration file and names everything that is wrong.
pub fn validate(choices: &Choices) -> Result<Report> {
    let mut report = Report {
        good: false,
        files: Vec::new(),
        faults: Vec::new(),
        warnings: Vec::new(),
    };
    let config = choices.config_path()?;
    report.files.push(config.display().to_string());
    match read_text(&config)? {
        None => report
            .faults
            .push(format!("{} does not exist", config.display())),
        Some(text) => {
            let faults = Schema::parse(&text).err().unwrap_or_default();
            report.faults.extend(
                faults
                    .into_iter()
                    .map(|fault| format!("{}: {fault}", config.display())),
            );
        }
    }
    if report.faults.is_empty() {
        let settings = Settings::load(choices)?;
        places(&settings, &mut report)?;
        pipes(&settings, &mut report);
    }
    report.good = report.faults.is_empty();
    Ok(report)
}

fn places(settings: &Settings, report: &mut Report) -> Result<()> {
    for glob in &settings.globs {
        if settings.matching(glob).next().is_none() {
            let path = glob.template.path().unwrap_or(Path::new("")).display();
            report.warnings.push(format!("nothing matches {path}"));
        }
    }
    for source in &settings.sources {
        let Some(path) = source.path() else {
            continue;
        };
        let shown = path.display();
        match &source.content {
            // Looked at already.
            Content::Config(_) => continue,
            Content::Toml(_) => match read_text(path)? {
                None => report.faults.push(format!("{shown} does not exist")),
                Some(text) => report.faults.extend(
                    parse_toml(&text)
                        .err()
                        .map(|fault| format!("{shown}: {fault}")),
                ),
            },
            Content::Redb(_) | Content::Sqlite { .. } => {
                if !path.is_file() {
                    let warning = format!("there is no database {shown}");
                    report.warnings.push(warning);
                }
                continue;
            }
            Content::Directory { .. } => {
                if !path.is_dir() {
                    report.warnings.push(format!("there is no folder {shown}"));
                }
                continue;
            }
            Content::File(_) => match path.metadata() {
                Err(_) if source.name.as_str() == SECRETS => {
                    report
                        .warnings
                        .push(format!("there is no secrets file {shown}"));
                    continue;
                }
                Err(_) => {
                    report.warnings.push(format!("there is no {shown}"));
                    continue;
                }
                Ok(metadata) if source.privacy == Privacy::Private => {
                    let mode = metadata.permissions().mode() & 0o777;
                    if mode & 0o007 != 0 {
                        report.warnings.push(format!(
                            "{shown} is open to others (mode {mode:04o}); chmod o= it"
                        ));
                    }
                }
                Ok(_) => {}
            },
            Content::Command { .. } => continue,
        }
        report.files.push(shown.to_string());
    }
    Ok(())
}

/// Warns of commands whose failure can pass unseen.
fn pipes(settings: &Settings, report: &mut Report) {
    let version = settings.schema.app_version_command.as_deref();
    let version = version.and_then(|command| Line::new(command, None).pitfall());
    let version = version.map(|pitfall| format!("`app_version_command` under [backup]: {pitfall}"));
    report.warnings.extend(version);
    for (key, command) in [
        ("prepare", &settings.schema.prepare),
        ("cleanup", &settings.schema.cleanup),
    ] {
        let pitfall = command
            .as_deref()
            .and_then(|command| Line::new(command, None).pitfall());
        let warning = pitfall.map(|pitfall| format!("`{key}` under [backup]: {pitfall}"));
        report.warnings.extend(warning);
    }
    for source in &settings.sources {
        for (key, line) in source.commands() {
            let pitfall = line.pitfall();
            let warning = pitfall.map(|pitfall| format!("`{key}` of {}: {pitfall}", source.name));
            report.warnings.extend(warning);
        }
    }
}
