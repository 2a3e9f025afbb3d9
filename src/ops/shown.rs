//! Every setting in force, with its value and its origin. Secrets are masked.

use std::{collections::BTreeMap, fmt, path::Path};

use anyhow::Result;
use serde::Serialize;
use toml::{Table, Value};

use crate::{
    config::{
        Choices, DEFAULT_DATA_DIR,
        include::{Layers, Missing},
        read_text,
        schema::{self, Schema},
        secret::is_reference,
    },
    context::Context,
    crypt::is_private_key,
    disk::folder_of,
    model::archive_name::DEFAULT_PREFIX,
    store::{Transfer, address::masked},
};

/// A secret, or a text that may hold one.
const MASK: &str = "***";
/// Words in the names of keys whose values are secrets.
const SECRET_WORDS: [&str; 5] = ["key", "secret", "token", "password", "passphrase"];
/// Keys with such a word whose values are not.
const OPEN: [&str; 4] = ["access_key_id", "sse_kms_key_id", "secrets", "secret"];
/// Keys of the service that hookshot reads.
const OF_THE_SERVICE: [(&str, &str); 4] = [
    ("storage", "data_dir"),
    ("secrets", "file"),
    ("logging", "level"),
    ("logging", "format"),
];

/// A setting in force.
#[derive(Debug, Serialize)]
pub struct ShownSetting {
    /// Its key, with its sections before it.
    pub key: String,
    /// Its value; null if it has none.
    pub value: Option<Value>,
    /// The kind of its origin.
    pub from: Origin,
    /// The file or the variable that says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// The origin of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// An option of the command line.
    Flag,
    /// A variable of the environment.
    Environment,
    /// The configuration file.
    File,
    /// A file that it includes.
    Included,
    /// None of these.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Flag => "flag",
            Origin::Environment => "environment",
            Origin::File => "file",
            Origin::Included => "included",
            Origin::Default => "default",
        })
    }
}

/// Returns every setting in force below `[backup]`, and those of the service that hookshot reads. A configuration that
/// cannot be parsed has none.
pub fn settings_in_force(context: &Context, choices: &Choices) -> Result<Vec<ShownSetting>> {
    let config = choices.config_path()?;
    let text = read_text(&config)?.unwrap_or_default();
    let place = |path| choices.elsewhere.said(path);
    let folder = folder_of(&config);
    let Ok(layers) = Layers::read(&text, &folder, &place, Missing::LeftOut)? else {
        return Ok(Vec::new());
    };
    let mut found = BTreeMap::new();
    for setting in overrides(context, choices) {
        found.insert(setting.key.clone(), setting);
    }
    for (path, table) in layers.by_rank() {
        let from = match path {
            None => Origin::File,
            Some(_) => Origin::Included,
        };
        let place = path.unwrap_or(&config);
        add_written(&mut found, table, from, place);
    }
    add_defaults(&mut found);
    if let Ok(schema) = layers.schema() {
        mask_known(context, &schema, &mut found);
    }
    Ok(found.into_values().collect())
}

/// Returns the settings that options and variables replace.
fn overrides(context: &Context, choices: &Choices) -> Vec<ShownSetting> {
    let origin = |variable: &str, value: &str| {
        let mut variables = context.environment.variables.iter();
        let is_it = |(name, said): &(String, String)| name == variable && said.trim() == value;
        match variables.any(is_it) {
            true => (Origin::Environment, Some(variable.to_owned())),
            false => (Origin::Flag, None),
        }
    };
    let path = |key: &str, variable: &str, path: &Option<std::path::PathBuf>| {
        let text = path.as_ref()?.display().to_string();
        let (from, place) = origin(variable, &text);
        Some(ShownSetting {
            key: key.to_owned(),
            value: Some(Value::String(text)),
            from,
            place,
        })
    };
    let to = choices.to.as_ref().map(|to| to.to_string_lossy());
    let to = to.filter(|to| !to.trim_matches([',', ' ']).is_empty());
    let to = to.map(|to| ShownSetting {
        key: "backup.to".to_owned(),
        value: Some(Value::String(masked(to.trim()).into_owned())),
        from: Origin::Environment,
        place: Some("HOOKSHOT_TO".to_owned()),
    });
    let all = [
        path("storage.data_dir", "HOOKSHOT_DATA_DIR", &choices.data_dir),
        path("secrets.file", "HOOKSHOT_SECRETS", &choices.secrets),
        to,
    ];
    all.into_iter().flatten().collect()
}

/// Adds what a file says, and what nothing that counts more has said.
fn add_written(
    found: &mut BTreeMap<String, ShownSetting>,
    table: &Table,
    from: Origin,
    place: &Path,
) {
    let mut written = Vec::new();
    for (section, key) in OF_THE_SERVICE {
        let section_table = table.get(section).and_then(Value::as_table);
        if let Some(value) = section_table.and_then(|table| table.get(key)) {
            leaves(&format!("{section}.{key}"), key, value, &mut written);
        }
    }
    if let Some(value) = table.get("backup") {
        leaves("backup", "backup", value, &mut written);
    }
    // The rest of that section may be the service's own.
    let served = table.get("serve").and_then(|serve| serve.get("configs"));
    if let Some(value) = served {
        leaves("serve.configs", "configs", value, &mut written);
    }
    // A list counts as a whole.
    let taken: Vec<String> = found.keys().cloned().collect();
    for (key, value) in written {
        let list = key.split_once('[').map(|(list, _)| format!("{list}["));
        let is_taken = |list: &String| taken.iter().any(|key| key.starts_with(list.as_str()));
        if found.contains_key(&key) || list.as_ref().is_some_and(is_taken) {
            continue;
        }
        let setting = ShownSetting {
            key: key.clone(),
            value: Some(value),
            from,
            place: Some(place.display().to_string()),
        };
        found.insert(key, setting);
    }
}

/// Collects the values in a table, each with its keys, and with secrets masked. Sections of a list have their names, or
/// their numbers.
fn leaves(path: &str, key: &str, value: &Value, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                leaves(&format!("{path}.{key}"), key, value, found);
            }
        }
        Value::Array(values) if values.iter().any(Value::is_table) => {
            for (number, value) in (1..).zip(values) {
                let name = value.get("name").and_then(Value::as_str);
                let name = name.map_or_else(|| number.to_string(), str::to_owned);
                leaves(&format!("{path}[{name}]"), key, value, found);
            }
        }
        value => found.push((path.to_owned(), without_secrets(path, key, value))),
    }
}

/// Returns a value with its secrets masked. References to secrets are not secrets.
fn without_secrets(path: &str, key: &str, value: &Value) -> Value {
    match value {
        Value::String(text) if is_reference(text) && !is_misplaced_key(text) => value.clone(),
        Value::Array(values) => {
            let values = values.iter();
            Value::Array(
                values
                    .map(|value| without_secrets(path, key, value))
                    .collect(),
            )
        }
        Value::String(text) => {
            let is_secret =
                SECRET_WORDS.iter().any(|word| key.contains(word)) && !OPEN.contains(&key);
            // The address of a notification is often all that it takes to send one.
            let is_address = key == "url" && path.starts_with("backup.notify");
            Value::String(match is_secret || is_address || is_misplaced_key(text) {
                true => MASK.to_owned(),
                false => masked(text).into_owned(),
            })
        }
        value => value.clone(),
    }
}

/// Returns true for a private key that stands where its file belongs: a fault, and a secret.
fn is_misplaced_key(text: &str) -> bool {
    is_private_key(text.strip_prefix("file:").unwrap_or(text))
}

/// Adds the defaults of what nothing says.
fn add_defaults(found: &mut BTreeMap<String, ShownSetting>) {
    let keys = schema::keys();
    let is_section = |section: &str, key: &str| {
        let name = format!("{section}.{key}");
        let below = format!("{name}.");
        let mut keys = keys.iter();
        keys.any(|(section, _)| *section == name || section.starts_with(&below))
    };
    let names: Vec<String> = found.keys().filter_map(|key| named(key)).collect();
    let services = OF_THE_SERVICE.iter();
    let services = services.map(|(section, key)| ((*section).to_owned(), *key));
    let of_backup = keys.iter().filter(|(section, key)| {
        let is_ours = section == "backup" || section.starts_with("backup.");
        is_ours && !is_section(section, key)
    });
    let of_backup = of_backup.map(|(section, key)| (section.clone(), *key));
    for (section, key) in services.chain(of_backup) {
        let is_list = found
            .keys()
            .any(|known| known.starts_with(&format!("{section}[")));
        let value = default_of(&section, key);
        let sections = match section.strip_suffix(".NAME") {
            // Keys of one kind of destination, and those of lists, have no default of their own.
            Some(_) if value.is_none() => Vec::new(),
            Some(above) => names
                .iter()
                .filter(|name| name.starts_with(above))
                .cloned()
                .collect(),
            None if is_list || LISTS.contains(&section.as_str()) || section.contains("NAME") => {
                Vec::new()
            }
            None => vec![section.clone()],
        };
        for section in sections {
            let key = format!("{section}.{key}");
            let setting = ShownSetting {
                key: key.clone(),
                value: value.clone(),
                from: Origin::Default,
                place: None,
            };
            found.entry(key).or_insert(setting);
        }
    }
}

/// Sections of which there may be several.
const LISTS: [&str; 3] = ["backup.sources", "backup.hooks", "backup.notify"];

/// Returns the section `backup.destinations.NAME` that a key lies in.
fn named(key: &str) -> Option<String> {
    let rest = key.strip_prefix("backup.destinations.")?;
    let (name, _) = rest.split_once('.')?;
    Some(format!("backup.destinations.{name}"))
}

/// Returns the default of a key; `None` if it has none.
fn default_of(section: &str, key: &str) -> Option<Value> {
    let text = |text: &str| Some(Value::String(text.to_owned()));
    let transfer = Transfer::default();
    let number = |number: usize| i64::try_from(number).ok().map(Value::Integer);
    match (section, key) {
        ("storage", "data_dir") => text(DEFAULT_DATA_DIR),
        ("secrets", "file") => text("secrets"),
        ("logging", "level") => text("info"),
        ("logging", "format") => text("text"),
        ("backup", "app") => text("hookshot"),
        ("backup", "version_rule") => text("any"),
        ("backup", "prefix") => text(DEFAULT_PREFIX),
        ("backup", "level") => Some(Value::Integer(5)),
        ("backup", "snapshot") => text("auto"),
        ("backup", "compact") => Some(Value::Boolean(false)),
        ("backup", "include_config") => Some(Value::Boolean(true)),
        ("backup", "prepare_timeout") => text("10m"),
        ("backup", "deliver_within" | "max_unchanged") => text("7d"),
        ("backup.schedule", "persistent" | "enabled") => Some(Value::Boolean(true)),
        ("backup", "to" | "exclude" | "include") => Some(Value::Array(Vec::new())),
        ("backup.retention", "timezone") => text("UTC"),
        ("backup.retention", "max_remove") => text("50%"),
        ("backup.retention" | "backup.destinations.NAME", "enabled") => Some(Value::Boolean(true)),
        ("backup.destinations.NAME", "read_back") => Some(Value::Boolean(transfer.read_back)),
        ("backup.destinations.NAME", "timeout") => {
            text(&format!("{}s", transfer.timeout.as_secs()))
        }
        ("backup.destinations.NAME", "retry_attempts") => {
            Some(Value::Integer(transfer.retry_attempts.into()))
        }
        ("backup.destinations.NAME", "parallel_uploads") => number(transfer.parallel_uploads),
        ("backup.destinations.NAME", "chunk_size") => {
            text(&format!("{}MiB", transfer.chunk_bytes >> 20))
        }
        ("backup.destinations.NAME", "bandwidth_limit") => Some(Value::Integer(0)),
        _ => None,
    }
}

/// Masks the secrets that stand in the configuration, wherever else their texts appear.
fn mask_known(context: &Context, schema: &Schema, found: &mut BTreeMap<String, ShownSetting>) {
    schema.mask_secrets(&context.runner.masks);
    for setting in found.values_mut() {
        if let Some(Value::String(text)) = &mut setting.value
            && !is_reference(text)
        {
            *text = context.runner.masked(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_is_what_the_configuration_reads_as_if_it_were_written() {
        let empty = Schema::parse("").expect("good");
        let mut count = 0;
        for (section, key) in schema::keys() {
            let Some(value) = default_of(&section, key) else {
                continue;
            };
            let (head, url) = match section.strip_suffix(".NAME") {
                Some(above) => (format!("{above}.x"), "url = \"/x\"\n"),
                None => (section.clone(), ""),
            };
            let without = format!("[{head}]\n{url}");
            let with = format!("{without}{key} = {value}\n");
            let before = Schema::parse(&without).expect("good");
            let after = Schema::parse(&with).unwrap_or_else(|faults| panic!("{with}: {faults:?}"));
            let is_optional = matches!((section.as_str(), key), ("backup", "level"));
            if section.starts_with("backup") && !is_optional {
                assert_eq!(before.backup_differences(&after), None, "{with}");
            }
            count += 1;
        }
        assert!(count > 18, "{count}");
        assert!(empty.to.is_empty());
    }
}
