//! The differences between two TOML files, without secrets.

use similar::TextDiff;
use toml::{Table, Value};

use crate::{
    config::sources::DATABASE,
    model::entry_name::{EntryName, printable_lines},
};

/// Returns true if the content of an entry may be shown.
pub fn is_text(name: &EntryName, kind: Option<&str>) -> bool {
    let is_file = kind.is_none_or(|kind| kind == "file");
    is_file && !name.as_str().contains("secret") && name.as_str() != DATABASE
}

/// Returns true if the bytes are TOML: only then [`unified`] has something to say of them.
pub fn is_toml(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| text.parse::<Table>().is_ok())
}

/// Returns the differences between two TOML files, key by key. The lines themselves are not compared: they may hold
/// comments, and secrets in ways that no line shows.
pub fn unified(name: &EntryName, here: &[u8], there: &[u8]) -> Option<String> {
    let keys = |bytes: &[u8]| {
        let table = std::str::from_utf8(bytes).ok()?.parse::<Table>().ok()?;
        let mut lines = Vec::new();
        let table = Value::Table(table);
        flatten("", &table, false, &mut lines);
        lines.sort();
        Some((lines.concat(), table))
    };
    let ((here, one), (there, two)) = (keys(here)?, keys(there)?);
    if here == there {
        let what = match one == two {
            true => "layout or comments",
            false => "values that are not shown",
        };
        return Some(format!(
            "here/{name} and there/{name}: only {what} differ\n"
        ));
    }
    let diff = TextDiff::from_lines(&here, &there);
    let header = (format!("here/{name}"), format!("there/{name}"));
    Some(
        diff.unified_diff()
            .context_radius(3)
            .header(&header.0, &header.1)
            .to_string(),
    )
}

/// Parts of keys whose values are not shown, nor anything below them. A diff is pasted into chats.
const PRIVATE: [&str; 17] = [
    "secret",
    "pass",
    "pwd",
    "token",
    "key",
    "credential",
    "auth",
    "cert",
    "private",
    "salt",
    "hmac",
    "sign",
    "dsn",
    "cookie",
    "webhook",
    "pin",
    "env",
];

/// One line for each value, `a.b.c = value`.
fn flatten(path: &str, value: &Value, private: bool, lines: &mut Vec<String>) {
    match value {
        Value::Table(table) if !table.is_empty() => {
            for (key, value) in table {
                let name = key.to_ascii_lowercase();
                let private = private || PRIVATE.iter().any(|word| name.contains(word));
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                flatten(&path, value, private, lines);
            }
        }
        Value::Array(values) if !values.is_empty() => {
            for (number, value) in values.iter().enumerate() {
                flatten(&format!("{path}[{number}]"), value, private, lines);
            }
        }
        // Of a file without keys.
        Value::Table(_) if path.is_empty() => {}
        _ => {
            let shown = if private || is_telling(value) {
                "***".to_owned()
            } else {
                value.to_string()
            };
            lines.push(printable_lines(&format!("{path} = {shown}").replace('\n', " ")) + "\n");
        }
    }
}

/// Returns true if a value looks like a secret whatever its key: an address with a password, a key, a long random word.
fn is_telling(value: &Value) -> bool {
    let Value::String(text) = value else {
        return false;
    };
    let random = |word: &str| {
        let letters = word.bytes().filter(u8::is_ascii_alphabetic).count();
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        word.len() >= 20 && letters > 0 && digits > 2 && !word.contains(['/', '.'])
    };
    text.contains('@')
        || text.contains('\n')
        || text.contains("-----BEGIN")
        || text.split([' ', '?', '&', '=']).any(random)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let name = EntryName::new("config.toml").expect("a name");
        unified(&name, b"", text.as_bytes()).expect("TOML")
    }

    #[test]
    fn no_secret_is_shown_however_it_is_written() {
        for text in [
            "hmac_key = \"hunter2\"",
            "db = { user = \"x\", password = \"hunter2\" }",
            "url = \"postgres://u:hunter2@host/db\"",
            "private_key = \"\"\"\nhunter2\n\"\"\"",
            "tokens = [\n  \"hunter2\",\n]",
            "[secrets.deep]\nvalue = \"hunter2\"",
            "\"API-Key\" = 'hunter2'",
            "x = 1 # hunter2",
            "header = \"X-hunter2aaaaaaaaaa1234567890\"",
        ] {
            assert!(!shown(text).contains("hunter2"), "{}", shown(text));
        }
    }

    #[test]
    fn ordinary_values_are_shown() {
        let text = shown(
            "[server]\nlisten = \"127.0.0.1:8080\"\nworkers = 4\npath = \"/var/lib/hookshot\"\n",
        );
        for line in [
            "+server.listen = \"127.0.0.1:8080\"\n",
            "+server.workers = 4\n",
            "+server.path = \"/var/lib/hookshot\"\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
