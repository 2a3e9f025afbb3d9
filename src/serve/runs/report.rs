//! The report of a verb, read with a bound: of lists and objects that are too long, the rest is left out.

use std::{fmt, fs::File, io::BufReader, path::Path};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The most items of a list or object.
const MOST_ITEMS: usize = 1000;
/// The most values of a report.
const MOST_VALUES: usize = 20_000;
/// The most bytes of a text.
const MOST_TEXT_BYTES: usize = 8 << 10;
/// The most bytes of all texts.
const MOST_BYTES: usize = 1 << 20;

/// Reads the report in a file; `None` if there is none that is whole.
pub fn read(path: &Path) -> Option<Value> {
    let file = File::open(path).ok()?;
    let mut reader = serde_json::Deserializer::from_reader(BufReader::new(file));
    let mut room = Room {
        values: MOST_VALUES,
        bytes: MOST_BYTES,
    };
    Bounded(&mut room).deserialize(&mut reader).ok()
}

/// The room that is left.
struct Room {
    values: usize,
    bytes: usize,
}

impl Room {
    fn text(&mut self, text: &str) -> String {
        let most = self.bytes.min(MOST_TEXT_BYTES);
        let end = text.floor_char_boundary(most);
        self.bytes -= end;
        match text.get(end..) {
            Some("") | None => text.to_owned(),
            Some(_) => format!("{}...", &text[..end]),
        }
    }
}

/// A value that takes no more room than there is.
struct Bounded<'a>(&'a mut Room);

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.0.values = self.0.values.saturating_sub(1);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(self.0.text(value).into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < MOST_ITEMS && self.0.values > 0 {
            match list.next_element_seed(Bounded(self.0))? {
                Some(value) => kept.push(value),
                None => return Ok(kept.into()),
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(kept.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if kept.len() < MOST_ITEMS && self.0.values > 0 {
                let value = map.next_value_seed(Bounded(self.0))?;
                kept.insert(self.0.text(&key), value);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(kept.into())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use serde_json::json;

    use super::*;

    fn read_back(text: &str) -> Option<Value> {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        read(file.path())
    }

    #[test]
    fn a_report_stays_as_it_is_and_a_huge_one_is_cut() {
        let report = json!({"a": [1, -1, 1.5, null, true, "x"], "error": {"code": 13}});
        assert_eq!(read_back(&report.to_string()), Some(report));
        assert_eq!(read_back(""), None);
        assert_eq!(read_back("{\"a\": "), None);
        let many: Vec<Value> = (0..5000).map(|number| json!([number, number])).collect();
        let huge = json!({"files": many, "text": "\u{1f980}".repeat(10_000), "z": 1});
        let kept = read_back(&huge.to_string()).expect("a report");
        assert_eq!(kept["files"].as_array().map(Vec::len), Some(MOST_ITEMS));
        let text = kept["text"].as_str().expect("text");
        assert!(text.len() <= MOST_TEXT_BYTES + 3 && text.ends_with("..."));
        assert_eq!(kept["z"], 1);
        let wide = vec![vec![vec![0; 100]; 100]; 100];
        let kept = read_back(&json!(wide).to_string()).expect("a report");
        assert!(kept.to_string().len() < 3 * MOST_VALUES);
        let deep = "[".repeat(100_000);
        assert_eq!(read_back(&deep), None);
    }
}
