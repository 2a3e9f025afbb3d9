//! The destinations that apply if the command line names none: `HOOKSHOT_TO`, else `[backup] to`.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use super::target::Target;
use crate::{
    config::Settings,
    disk::folder_of,
    error::{Failure, Kind},
    model::entry_name::printable,
};

impl Target {
    /// Returns the words for the destinations of `HOOKSHOT_TO`, else those of `[backup] to`, without disabled ones.
    ///
    /// Fails with [`Kind::Usage`] if the variable names something that is not a destination.
    pub fn configured(settings: &Settings) -> Result<Vec<OsString>, Failure> {
        let said = settings.to.as_deref().unwrap_or_default();
        let said = said.to_str().ok_or_else(|| wrong("is not UTF-8"))?;
        let words = said.split(|between: char| between == ',' || between.is_whitespace());
        let mut words = words.filter(|word| !word.is_empty()).peekable();
        if words.peek().is_none() {
            let to = settings.schema.to.iter();
            let to = to.filter(|name| !is_disabled(settings, name));
            return Ok(to.map(|name| format!("@{name}").into()).collect());
        }
        let words = words.map(|word| of_variable(settings, word));
        let is_left_out = |word: &Result<OsString, Failure>| {
            let word = word.as_ref().ok().and_then(|word| word.to_str());
            let name = word.and_then(|word| word.strip_prefix('@'));
            name.is_some_and(|name| is_disabled(settings, name))
        };
        words.filter(|word| !is_left_out(word)).collect()
    }

    /// Returns the words for every destination that is not disabled: those of [`Target::configured`] come first.
    pub fn every(settings: &Settings) -> Result<Vec<OsString>, Failure> {
        let mut words = Target::configured(settings)?;
        let all = settings.schema.destinations.iter();
        for (name, _) in all.filter(|(_, destination)| destination.enabled) {
            let word = OsString::from(format!("@{name}"));
            if !words.contains(&word) {
                words.push(word);
            }
        }
        Ok(words)
    }

    /// Returns the disabled destinations among those of `[backup] to`, as messages name them.
    pub fn disabled(settings: &Settings) -> Vec<String> {
        let to = settings.schema.to.iter();
        let to = to.filter(|name| is_disabled(settings, name));
        to.map(|name| format!("@{name}")).collect()
    }

    /// Returns the failure of a command line that names no destination if the configuration names none either.
    pub fn none_named(settings: &Settings) -> Failure {
        let config = settings.config.display();
        let disabled = Target::disabled(settings);
        let (message, hint) = if !disabled.is_empty() {
            (
                format!(
                    "no destination is named, and the configured ones are disabled: {}",
                    disabled.join(", ")
                ),
                "name one, or set `enabled = true` for it".to_owned(),
            )
        } else if settings.config.exists() {
            (
                format!("no destination is named, and {config} configures none"),
                "name a folder, a URL or an @destination, or set `to` under [backup]".to_owned(),
            )
        } else {
            let others = configurations_below(&folder_of(&settings.config));
            let found = match others.is_empty() {
                true => String::new(),
                false => format!("; there is {}", others.join(", ")),
            };
            (
                format!("no destination is named, and {config} does not exist"),
                format!("name a folder or a URL, or the right --config{found}"),
            )
        };
        Failure::new(Kind::Usage, message).hint(hint)
    }
}

/// Returns the first three configurations in folders of their own below `folder`, as messages name them.
fn configurations_below(folder: &Path) -> Vec<String> {
    let folders = fs::read_dir(folder).into_iter().flatten().flatten();
    let configs = folders.map(|entry| entry.path().join("config.toml"));
    let mut configs: Vec<PathBuf> = configs.filter(|config| config.is_file()).collect();
    configs.sort();
    let shown = configs.iter().take(3);
    shown
        .map(|config| printable(&config.to_string_lossy()))
        .collect()
}

fn is_disabled(settings: &Settings, name: &str) -> bool {
    let found = settings.schema.destinations.get(name);
    found.is_some_and(|destination| !destination.enabled)
}

/// Reads a word of the variable. A path needs a slash, because a word without one is a name.
fn of_variable(settings: &Settings, word: &str) -> Result<OsString, Failure> {
    let named = word
        .strip_prefix('@')
        .map(|name| name.trim_end_matches('/'));
    let is_name = |name: &str| settings.schema.destinations.contains_key(name);
    let word_of = |name: &str| Ok(format!("@{name}").into());
    match named {
        Some(name) if is_name(name) => word_of(name),
        None if is_name(word) => word_of(word),
        None if word.contains(['/', ':']) => match Target::read(word) {
            Ok(_) => Ok(word.into()),
            Err(failure) => Err(wrong(&format!("names a wrong place: {}", failure.message))),
        },
        _ => {
            let name = printable(named.unwrap_or(word));
            Err(wrong(&format!("names no destination `{name}`")))
        }
    }
}

fn wrong(says: &str) -> Failure {
    let message = format!("`HOOKSHOT_TO` of the environment {says}");
    Failure::new(Kind::Usage, message).hint(
        "it has names of destinations, URLs, and paths with a slash, separated by commas or blanks",
    )
}
