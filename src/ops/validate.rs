//! `validate`: is the configuration good?

use std::os::unix::fs::PermissionsExt as _;

use anyhow::Result;
use serde::Serialize;

use crate::config::{Choices, Settings, read_text, schema::Schema, schema::parse_toml};

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
        places(&Settings::load(choices)?, &mut report)?;
    }
    report.good = report.faults.is_empty();
    Ok(report)
}

fn places(settings: &Settings, report: &mut Report) -> Result<()> {
    let services = settings.services.display().to_string();
    match read_text(&settings.services)? {
        None => report.faults.push(format!("{services} does not exist")),
        Some(text) => report.faults.extend(
            parse_toml(&text)
                .err()
                .map(|fault| format!("{services}: {fault}")),
        ),
    }
    report.files.push(services);
    match settings.secrets.metadata() {
        Err(_) => report.warnings.push(format!(
            "there is no secrets file {}",
            settings.secrets.display()
        )),
        Ok(metadata) => {
            report.files.push(settings.secrets.display().to_string());
            let mode = metadata.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                report.warnings.push(format!(
                    "{} can be read by others (mode {mode:04o}); chmod 600 it",
                    settings.secrets.display()
                ));
            }
        }
    }
    let database = settings.database();
    if !database.is_file() {
        report
            .warnings
            .push(format!("there is no database {}", database.display()));
    }
    Ok(())
}
