//! A policy written into a configuration: `serve policy apply`. Only this file knows toml_edit.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use toml_edit::{DocumentMut, Item, Table, Value};

use super::{
    report::{digest_of, text_of},
    values::{PolicyValues, RULES},
};
use crate::{
    config::{
        Choices,
        include::{Layers, Missing},
    },
    context::Context,
    disk::{folder_of, publish::replace, real},
    error::{Failure, Kind},
    jobs::timer::timed_jobs,
    model::shell_word::quoted,
};

/// The request to write a policy.
#[derive(Debug)]
pub struct PolicyRequest {
    /// The values.
    pub values: PolicyValues,
    /// The digest of the text that is meant.
    pub digest: Option<String>,
    /// The fate of the file.
    pub mode: WriteMode,
}

/// The fate of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteMode {
    /// It is replaced.
    Apply,
    /// It stays as it is.
    Plan,
}

/// The report of a change.
#[derive(Debug, Serialize)]
pub struct WrittenPolicy {
    /// The configuration.
    pub config: String,
    /// The digest of its new text.
    pub digest: String,
    /// True if the file was replaced.
    pub written: bool,
    /// True if its text is another one.
    pub changed: bool,
    /// The lines that the file says now, or will say.
    pub lines: String,
    /// The command by which the timers follow, if there are timers and the times changed.
    pub timer: Option<String>,
}

/// Writes a policy into the configuration. Comments and the order of keys stay, and so do mode and owner of the file.
///
/// Errors: [`Kind::Usage`] if the values have faults, alone or in this file; [`Kind::Blocked`] if the file has another text
/// than the digest says, if an included file has rules beside those of the policy, or if the file cannot be replaced. The
/// file then stays as it was.
pub fn apply(
    context: &Context,
    choices: &Choices,
    request: &PolicyRequest,
) -> Result<WrittenPolicy> {
    let config = choices.config_path()?;
    let values = &request.values;
    refuse(&config, values.faults())?;
    let text = text_of(&config)?;
    if request
        .digest
        .as_ref()
        .is_some_and(|digest| *digest != digest_of(&text))
    {
        let message = format!("{} has changed since it was looked at", config.display());
        let failure = Failure::new(Kind::Blocked, message);
        return Err(failure.hint("look at it again, then decide again").into());
    }
    let document = text.parse::<DocumentMut>();
    // The parser's own words may repeat a secret.
    let mut document =
        document.map_err(|_| faulty(&config, vec!["it is not valid TOML".to_owned()]))?;
    write_into(&config, &mut document, values)?;
    let new = document.to_string();
    require_good(&config, &new, values)?;
    let changed = new != text;
    let written = changed && request.mode == WriteMode::Apply;
    if written {
        replace(&real(&config), new.as_bytes())
            .map_err(|error| not_written(&config, values, &error))?;
    }
    let has_timers =
        changed && values.schedule.is_some() && !timed_jobs(context, &config).is_empty();
    let shown = config.display().to_string();
    Ok(WrittenPolicy {
        digest: digest_of(&new),
        written,
        changed,
        lines: values.lines(),
        timer: has_timers.then(|| format!("hookshot --config {} timer install", quoted(&shown))),
        config: shown,
    })
}

fn write_into(
    config: &Path,
    document: &mut DocumentMut,
    values: &PolicyValues,
) -> Result<(), Failure> {
    let rules = values.rules();
    if !rules.is_empty()
        && let Some(table) = table_of(config, document, "retention")?
    {
        let gone = RULES
            .iter()
            .filter(|key| rules.iter().all(|(rule, _)| rule != *key));
        gone.for_each(|key| drop(table.remove(key)));
    }
    for (section, key, value) in values.written() {
        let table = section_of(config, document, section)?;
        let mut new = edited(&value);
        // A comment behind the value stays with it.
        if let Some(old) = table.get(key).and_then(Item::as_value) {
            *new.decor_mut() = old.decor().clone();
        }
        match table.get_mut(key) {
            Some(item) => *item = Item::Value(new),
            None => drop(table.insert(key, Item::Value(new))),
        }
    }
    Ok(())
}

/// Returns the table of a section below `[backup]`, if the file has it.
fn table_of<'a>(
    config: &Path,
    document: &'a mut DocumentMut,
    section: &str,
) -> Result<Option<&'a mut dyn toml_edit::TableLike>, Failure> {
    let backup = document.get_mut("backup").and_then(Item::as_table_like_mut);
    let Some(item) = backup.and_then(|backup| backup.get_mut(section)) else {
        return Ok(None);
    };
    let table = item.as_table_like_mut();
    let fault = || {
        faulty(
            config,
            vec![format!("`{section}` under [backup] is not a section")],
        )
    };
    table.ok_or_else(fault).map(Some)
}

/// Returns the table `[backup]`, or one below it, and makes it if it is missing.
fn section_of<'a>(
    config: &Path,
    document: &'a mut DocumentMut,
    section: &str,
) -> Result<&'a mut dyn toml_edit::TableLike, Failure> {
    let fault = || faulty(config, vec!["`backup` is not a section".to_owned()]);
    let backup = document
        .entry("backup")
        .or_insert_with(|| Item::Table(Table::new()));
    let backup = backup.as_table_like_mut().ok_or_else(fault)?;
    if section.is_empty() {
        return Ok(backup);
    }
    let below = backup
        .entry(section)
        .or_insert_with(|| Item::Table(Table::new()));
    below.as_table_like_mut().ok_or_else(fault)
}

fn edited(value: &toml::Value) -> Value {
    match value {
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Array(values) => values.iter().map(edited).collect(),
        value => value.as_str().unwrap_or_default().into(),
    }
}

/// Fails unless the new text is a good configuration in which the rules of the policy are all rules.
fn require_good(config: &Path, text: &str, values: &PolicyValues) -> Result<()> {
    let place = |path| path;
    let layers = Layers::read(text, &folder_of(config), &place, Missing::Refused)?;
    let layers = layers.map_err(|faults| faulty(config, faults))?;
    layers.schema().map_err(|faults| faulty(config, faults))?;
    let rules = values.rules();
    if rules.is_empty() {
        return Ok(());
    }
    for (path, table) in layers.by_rank() {
        let Some(path) = path else { continue };
        let retention = table
            .get("backup")
            .and_then(|backup| backup.get("retention"));
        let mut others = RULES
            .iter()
            .filter(|key| rules.iter().all(|(rule, _)| rule != *key));
        let other = others.find(|key| retention.is_some_and(|table| table.get(key).is_some()));
        if let Some(key) = other {
            let message = format!("{} says `{key}` under [backup.retention]", path.display());
            let failure = Failure::new(Kind::Blocked, message);
            return Err(failure
                .hint("remove it there, or add that rule to the policy")
                .into());
        }
    }
    Ok(())
}

fn refuse(config: &Path, faults: Vec<String>) -> Result<(), Failure> {
    match faults.is_empty() {
        true => Ok(()),
        false => Err(faulty(config, faults)),
    }
}

fn faulty(config: &Path, faults: Vec<String>) -> Failure {
    let first = faults.first().map(String::as_str).unwrap_or_default();
    let message = format!(
        "{} would not be a good configuration: {first}",
        config.display()
    );
    let failure = Failure::new(Kind::Usage, message);
    failure.hint("nothing was written").faults(faults)
}

fn not_written(config: &Path, values: &PolicyValues, error: &anyhow::Error) -> Failure {
    let message = format!("{} stays as it was: {error:#}", config.display());
    let hint = format!("write these lines by hand:\n{}", values.lines());
    Failure::new(Kind::Blocked, message).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "# of the shop\n[backup] # all\nprefix = \"x\"\n\n[backup.retention] # rules\nkeep_daily = 3 # days\n\
        keep_last = 9\nmax_remove = \"20%\"\n\n[other]\nb = 1\na = 2\n";

    fn written(own: &str, values: serde_json::Value) -> Result<String, Failure> {
        let values = serde_json::from_value(values).expect("values");
        let mut document = own.parse::<DocumentMut>().expect("TOML");
        let config = Path::new("c.toml");
        write_into(config, &mut document, &values)?;
        Ok(document.to_string())
    }

    #[test]
    fn comments_and_order_stay_and_rules_are_replaced_as_a_whole() {
        let values =
            serde_json::json!({"schedule": "03:00", "keep_daily": 7, "keep_monthly": "all"});
        let new = written(OWN, values.clone()).expect("written");
        let expected = OWN
            .replace("keep_daily = 3", "keep_daily = 7")
            .replace("keep_last = 9\n", "");
        let expected = expected.replace("\"20%\"\n", "\"20%\"\nkeep_monthly = \"all\"\n");
        assert!(
            new.starts_with(expected.split("\n[other]").next().expect("a part")),
            "{new}"
        );
        assert!(
            new.contains("[backup.schedule]\nbackup = \"03:00\"\n"),
            "{new}"
        );
        assert!(new.contains("[other]\nb = 1\na = 2\n"), "{new}");
        assert_eq!(written(&new, values).expect("written"), new);
        let inline = written(
            "backup = { retention = { keep_last = 1 } }\n",
            serde_json::json!({"keep_last": 2}),
        );
        assert_eq!(
            inline.expect("written"),
            "backup = { retention = { keep_last = 2 } }\n"
        );
        assert!(written("backup = 1\n", serde_json::json!({"keep_last": 2})).is_err());
        // A policy of times alone leaves the rules as they are.
        let times = written(OWN, serde_json::json!({"schedule": "03:00"})).expect("written");
        assert!(times.contains("keep_last = 9") && times.contains("keep_daily = 3 # days"));
    }
}
