//! The entries that an import takes one by one: single files, and directories as a whole.

use std::{collections::BTreeMap, path::Path};

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::serve::{
    Server,
    answer::Trouble,
    database::Copy,
    inspected::{Inspected, Wanted, inspect},
};

/// The most entries that a page or an answer offers.
const MOST: usize = 2000;

/// An entry that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Choice {
    /// Its name.
    pub entry: String,
    /// Its kind: `file`, `directory`, `redb`, `sqlite`, `command`.
    pub kind: String,
    /// Its bytes; unknown for a directory.
    pub size_bytes: Option<u64>,
}

/// Reads the entries of an archive that can be chosen, by name, with the report of the archive.
pub async fn choices(
    server: &Server,
    config: &Path,
    copy: &Copy,
) -> Result<(Vec<Choice>, Inspected), Trouble> {
    let inspected = inspect(
        &server.program,
        config,
        copy,
        Wanted::below(None, None, MOST),
    )
    .await?;
    Ok((chosen_from(&inspected), inspected))
}

fn chosen_from(inspected: &Inspected) -> Vec<Choice> {
    let mut found = BTreeMap::new();
    let files = inspected.entries.iter();
    for file in files.filter(|file| file.kind != "listing") {
        let choice = Choice {
            entry: file.entry.clone(),
            kind: file.kind.clone(),
            size_bytes: Some(file.size_bytes),
        };
        found.insert(file.entry.clone(), choice);
    }
    let manifest = inspected.report.get("manifest");
    let maps = ["trees", "directories"].map(|key| manifest.and_then(|manifest| manifest.get(key)));
    let maps = maps.into_iter().flatten().filter_map(Value::as_object);
    for name in maps.flat_map(|map| map.keys()) {
        let choice = Choice {
            entry: name.clone(),
            kind: "directory".to_owned(),
            size_bytes: None,
        };
        found.insert(name.clone(), choice);
    }
    found.into_values().collect()
}

/// Writes a name as a pattern that matches it alone: names may have the signs of patterns (gitignore(5)).
pub fn literal(name: &str) -> String {
    let is_sign = |symbol: char| "*?[]\\!#".contains(symbol);
    if !name.contains(is_sign) && !name.ends_with(' ') {
        return name.to_owned();
    }
    let mut pattern = "/".to_owned();
    for symbol in name.chars() {
        if is_sign(symbol) || symbol == ' ' {
            pattern.push('\\');
        }
        pattern.push(symbol);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::serve::inspected::Entry;

    #[test]
    fn directories_and_single_files_can_be_chosen() {
        let entry = |entry: &str, kind: &str| Entry {
            entry: entry.to_owned(),
            kind: kind.to_owned(),
            size_bytes: 1,
            mode: None,
            user: None,
            modified_at: None,
            sha256: None,
            secret: false,
        };
        let manifest = json!({"manifest": {"trees": {"data": {}}, "directories": {"mail": {"listing": "mail.files.jsonl"}}}});
        let Value::Object(report) = manifest else {
            panic!("an object");
        };
        let inspected = Inspected {
            report,
            entries: vec![entry("mail.files.jsonl", "listing"), entry("page", "file")],
            folders: Vec::new(),
            count: 9,
            has_more: false,
        };
        let names = chosen_from(&inspected).into_iter();
        let names: Vec<String> = names.map(|choice| choice.entry).collect();
        assert_eq!(names, ["data", "mail", "page"]);
    }

    #[test]
    fn a_name_with_signs_of_patterns_is_written_as_itself() {
        assert_eq!(literal("data"), "data");
        assert_eq!(literal("a*[b]"), "/a\\*\\[b\\]");
        assert_eq!(literal("!a "), "/\\!a\\ ");
    }
}
