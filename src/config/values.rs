//! The values of a section by their types. Each is `None` if it is not there, or if it has a fault, which is reported.

use std::{collections::BTreeMap, path::PathBuf, str::FromStr};

use toml::Value;

use super::reader::{Section, did_you_mean};
use crate::{
    model::{quantity::Size, rules::Rules, written::unexpanded},
    store::{Word, address},
};

impl Section<'_> {
    /// Returns a text that is not empty.
    pub(super) fn text(&self, key: &'static str) -> Option<String> {
        match self.value(key)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            _ => {
                self.fault(key, "must be a string that is not empty");
                None
            }
        }
    }

    /// Returns a text that has to be there.
    pub(super) fn required(&self, key: &'static str) -> Option<String> {
        self.require(key);
        self.text(key)
    }

    /// Returns a path, which no shell expands.
    pub(super) fn path(&self, key: &'static str) -> Option<PathBuf> {
        self.know_path(key);
        let path = self.text(key)?;
        if let Some(fault) = unexpanded(&path, "in the configuration") {
            self.refuse(format!("{}: {fault}", self.shown(key)));
        } else if !matches!(address::read(&path), Ok(Word::Path)) {
            self.fault(
                key,
                "looks like a place elsewhere, and must be a path: with ./ before it, it is one",
            );
        }
        Some(PathBuf::from(path))
    }

    /// Returns a path that has to be there.
    pub(super) fn required_path(&self, key: &'static str) -> Option<PathBuf> {
        self.require(key);
        self.path(key)
    }

    /// Returns the meaning of one of `words`.
    pub(super) fn word<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let word = self.text(key)?;
        let found = words.iter().find(|(known, _)| *known == word);
        if found.is_none() {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let meant = did_you_mean(&word, &words);
            let words = words.join(", ");
            self.fault(key, format!("must be one of {words}{meant}"));
        }
        found.map(|(_, value)| *value)
    }

    /// Returns true or false.
    pub(super) fn flag(&self, key: &'static str) -> Option<bool> {
        match self.value(key)? {
            Value::Boolean(flag) => Some(*flag),
            _ => {
                self.fault(key, "must be true or false");
                None
            }
        }
    }

    /// Returns a number without quotes; `says` is what it must be.
    pub(super) fn number<T: TryFrom<i64>>(
        &self,
        key: &'static str,
        says: &str,
        is_good: impl Fn(&T) -> bool,
    ) -> Option<T> {
        let number = self.value(key)?.as_integer();
        let number = number.and_then(|number| T::try_from(number).ok());
        let number = number.filter(is_good);
        if number.is_none() {
            self.fault(key, format!("must be {says}"));
        }
        number
    }

    /// Returns a number of things.
    pub(super) fn count(&self, key: &'static str) -> Option<u64> {
        let count = self.value(key)?.as_integer();
        let count = count.and_then(|number| u64::try_from(number).ok());
        if count.is_none() {
            self.fault(key, "must be a number");
        }
        count
    }

    /// Returns a value that is written as a text, or as a number, and read by its own rules; `says` is what it must be.
    pub(super) fn written<T: FromStr>(
        &self,
        key: &'static str,
        says: &str,
        is_good: impl Fn(&T) -> bool,
    ) -> Option<T> {
        let value = match self.value(key)? {
            Value::String(text) => text.parse().ok(),
            Value::Integer(number) => number.to_string().parse().ok(),
            _ => None,
        };
        let value = value.filter(is_good);
        if value.is_none() {
            self.fault(key, format!("must be {says}"));
        }
        value
    }

    /// Returns a size.
    pub(super) fn size(&self, key: &'static str) -> Option<Size> {
        self.written(key, "a size, as in \"10MB\" or \"512KiB\"", |_| true)
    }

    /// Returns a value that is written as a text, and read by its own rules.
    pub(super) fn parsed<T: FromStr<Err = String>>(&self, key: &'static str) -> Option<T> {
        match self.text(key)?.parse() {
            Ok(value) => Some(value),
            Err(fault) => {
                self.refuse(format!("{}: {fault}", self.shown(key)));
                None
            }
        }
    }

    /// Returns a list of texts.
    pub(super) fn list(&self, key: &'static str) -> Vec<String> {
        let texts: Option<Vec<String>> = match self.value(key) {
            None => return Vec::new(),
            Some(Value::Array(values)) => {
                let texts = values.iter().map(|value| value.as_str().map(str::to_owned));
                texts.collect()
            }
            Some(_) => None,
        };
        if texts.is_none() {
            self.fault(key, "must be a list of strings");
        }
        texts.unwrap_or_default()
    }

    /// Checks patterns as in gitignore(5).
    pub(super) fn check_patterns(&self, include: &[String], exclude: &[String]) {
        for fault in Rules::new(include, exclude).err().unwrap_or_default() {
            self.refuse(format!("under [{}]: {fault}", self.name()));
        }
    }

    /// Returns a table of texts under words of the user's own.
    pub(super) fn strings(&self, key: &'static str) -> BTreeMap<String, String> {
        let name = self.below(key);
        let mut strings = BTreeMap::new();
        match self.value(key) {
            None => {}
            Some(Value::Table(table)) => {
                for (word, value) in table {
                    match value {
                        Value::String(text) => drop(strings.insert(word.clone(), text.clone())),
                        _ => self.refuse(format!("`{word}` under [{name}] must be a string")),
                    }
                }
            }
            Some(_) => self.fault(key, format!("must be a section, [{name}]")),
        }
        strings
    }
}
