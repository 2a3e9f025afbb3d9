//! The schedule and the retention in force, with the place of each value: `serve policy show`.

use std::{fs::File, path::Path};

use anyhow::Result;
use nix::unistd::{AccessFlags, access};
use serde::Serialize;
use toml::Value;

use crate::{
    config::{Choices, read_text, schedule::Schedule},
    context::Context,
    disk::{folder_of, real},
    error::{Failure, Kind},
    model::{digest::Digest, run_record::Job},
    ops::shown::{ShownSetting, settings_in_force},
};

/// The values of a configuration that a policy can say, and some that decide beside it.
#[derive(Debug, Serialize)]
pub struct PolicyReport {
    /// The configuration.
    pub config: String,
    /// The digest of its text: a change that is meant for another text is refused.
    pub digest: String,
    /// True if this user may replace the file.
    pub writable: bool,
    /// The values in force, each with its origin.
    pub values: Vec<ShownSetting>,
}

/// Reports the schedule and the retention in force.
pub fn report(context: &Context, choices: &Choices) -> Result<PolicyReport> {
    let config = choices.config_path()?;
    let text = text_of(&config)?;
    let all = settings_in_force(context, choices)?.into_iter();
    let mut values: Vec<ShownSetting> =
        all.filter(|setting| is_of_a_policy(&setting.key)).collect();
    add_defaults(&mut values);
    Ok(PolicyReport {
        digest: digest_of(&text),
        writable: is_writable(&config),
        values,
        config: config.display().to_string(),
    })
}

/// Adds the times of a configuration that says none.
fn add_defaults(values: &mut [ShownSetting]) {
    let is_missing = |one: &&mut ShownSetting| one.value.is_none();
    let mut times = values
        .iter_mut()
        .filter(|one| one.key == "backup.schedule.backup");
    let Some(times) = times.find(is_missing) else {
        return;
    };
    let usual = Schedule::default();
    let start = usual.timetable(Job::Backup, false);
    times.value = start.map(|start| Value::String(start.to_string()));
    let mut delays = values
        .iter_mut()
        .filter(|one| one.key == "backup.schedule.jitter");
    if let Some(delay) = delays.find(is_missing) {
        let minutes = usual.jitter().as_secs() / 60;
        delay.value = Some(Value::String(format!("{minutes}m")));
    }
}

/// Returns the text of a configuration, which has to be there.
pub fn text_of(config: &Path) -> Result<String> {
    let text = read_text(config)?;
    let message = || format!("{} does not exist", config.display());
    Ok(text.ok_or_else(|| Failure::new(Kind::NotFound, message()))?)
}

/// Returns the digest of the text of a configuration.
pub fn digest_of(text: &str) -> String {
    let mut digest = Digest::of(text.as_bytes()).to_string();
    digest.truncate(32);
    digest
}

/// Returns true if this user may replace the file: it may write the folder, and read the file.
fn is_writable(config: &Path) -> bool {
    let path = real(config);
    let folder = access(&folder_of(&path), AccessFlags::W_OK | AccessFlags::X_OK);
    folder.is_ok() && File::open(&path).is_ok()
}

fn is_of_a_policy(key: &str) -> bool {
    let is_retention = |key: &str| key.starts_with("retention.");
    let key = key.strip_prefix("backup.").unwrap_or_default();
    let of_destination = key
        .strip_prefix("destinations.")
        .and_then(|rest| rest.split_once('.'));
    matches!(
        key,
        "to" | "schedule.backup" | "schedule.timezone" | "schedule.jitter" | "schedule.enabled"
    ) || is_retention(key)
        || of_destination.is_some_and(|(_, rest)| is_retention(rest))
}
