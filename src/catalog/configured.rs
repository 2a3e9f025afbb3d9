//! The destinations that apply if the command line names none: `HOOKSHOT_TO`, else `[backup] to`.

use std::ffi::OsString;

use super::target::Target;
use crate::{
    config::Settings,
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
