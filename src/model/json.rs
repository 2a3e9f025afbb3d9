//! JSON of a manifest that cannot say two things at once, read in bounded memory.
//!
//! RFC 8259 section 4 leaves the meaning of a duplicate key open; two readers of one manifest must not differ. So
//! duplicate keys are refused at any depth. What no reader needs is checked and not kept, and the entries are given
//! away one by one, as is what directories list: a manifest of many values costs no more memory than these do.

use std::{cell::Cell, collections::HashSet, fmt};

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::{entry_name::printable, limits::MAX_FREE_VALUES};

/// Which keys are kept where.
pub struct Keys {
    /// At the top; `entries` is always one of them, and its value is given away.
    pub top: &'static [&'static str],
    /// The key at the top whose value is an object of entries.
    pub entries: &'static str,
    /// In each entry.
    pub entry: &'static [&'static str],
    /// The key at the top whose value is an object of directories.
    pub trees: &'static str,
    /// In each directory: keys whose values are objects of records, which are given away.
    pub lists: &'static [&'static str],
    /// In each directory: the key of one more record, which stays.
    pub root: &'static str,
    /// In each of these records.
    pub record: &'static [&'static str],
}

/// What is given away.
#[derive(Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// An entry, by name.
    Entry(String),
    /// A record in a list of a directory.
    Listed {
        tree: &'a str,
        list: &'a str,
        name: String,
    },
    /// A directory, by name, after what its lists hold: they are empty objects in it, or what stands there instead.
    Tree(String),
}

type Each<'a> = &'a mut dyn FnMut(Item<'_>, Value);

/// Parses a manifest: gives each entry and each part of a directory to `each`, and returns the rest. The values of
/// `entries` and `trees` are empty objects in it, or what stands there instead of one.
pub fn parse(bytes: &[u8], keys: &Keys, each: Each<'_>) -> Result<Value, String> {
    let free = Cell::new(MAX_FREE_VALUES);
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let place = Place::Top(keys, &free, each);
    let value = place
        .deserialize(&mut deserializer)
        .map_err(|error| error.to_string())?;
    deserializer.end().map_err(|error| error.to_string())?;
    Ok(value)
}

/// Where in the manifest a value stands.
enum Place<'a> {
    Top(&'a Keys, &'a Cell<usize>, Each<'a>),
    Entries(&'a Keys, &'a Cell<usize>, Each<'a>),
    Trees(&'a Keys, &'a Cell<usize>, Each<'a>),
    Tree(&'a Keys, &'a Cell<usize>, Each<'a>, String),
    /// A list of a directory: the directory, and the list's key.
    List(&'a Keys, &'a Cell<usize>, Each<'a>, &'a str, String),
    /// An entry, or a record of a directory: the keys that are kept in it.
    Record(&'static [&'static str], &'a Cell<usize>),
    /// Kept, whatever it is, as long as there is not too much of it.
    Free(&'a Cell<usize>),
    /// Checked and not kept.
    Skipped,
}

impl<'a> Place<'a> {
    /// The place of the value of `key`.
    fn below(&mut self, key: &str) -> Place<'_> {
        match self {
            Place::Top(keys, free, each) => match key {
                _ if key == keys.entries => Place::Entries(keys, free, *each),
                _ if key == keys.trees => Place::Trees(keys, free, *each),
                _ if keys.top.contains(&key) => Place::Free(free),
                _ => Place::Skipped,
            },
            Place::Entries(keys, free, _) => Place::Record(keys.entry, free),
            Place::Trees(keys, free, each) => Place::Tree(keys, free, *each, key.to_owned()),
            Place::Tree(keys, free, each, tree) if keys.lists.contains(&key) => {
                Place::List(keys, free, *each, tree, key.to_owned())
            }
            Place::Tree(keys, free, ..) if key == keys.root => Place::Record(keys.record, free),
            Place::List(keys, free, ..) => Place::Record(keys.record, free),
            Place::Record(kept, free) if kept.contains(&key) => Place::Free(free),
            Place::Free(free) => Place::Free(free),
            _ => Place::Skipped,
        }
    }

    fn is_kept(&self) -> bool {
        !matches!(self, Place::Skipped)
    }

    /// Counts a value that is kept.
    fn count<E: de::Error>(&self) -> Result<(), E> {
        let Place::Free(free) = self else {
            return Ok(());
        };
        match free.get().checked_sub(1) {
            Some(left) => free.set(left),
            None => return Err(E::custom("it holds too many values")),
        }
        Ok(())
    }

    fn scalar<E: de::Error>(self, value: impl FnOnce() -> Value) -> Result<Value, E> {
        self.count()?;
        Ok(if self.is_kept() { value() } else { Value::Null })
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        self.scalar(|| Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        self.scalar(|| Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        self.scalar(|| value.into())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        self.scalar(|| value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        self.scalar(|| Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        self.scalar(|| value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Value, A::Error> {
        self.count()?;
        let mut items = Vec::new();
        // A list has the place of something that no key names.
        while let Some(item) = seq.next_element_seed(self.below(""))? {
            if matches!(self, Place::Free(_)) {
                items.push(item);
            }
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut access: A) -> Result<Value, A::Error> {
        self.count()?;
        let mut map = Map::new();
        let mut seen = HashSet::new();
        while let Some(key) = access.next_key::<String>()? {
            if !seen.insert(key.clone()) {
                return Err(de::Error::custom(format_args!(
                    "the key {:?} stands twice",
                    printable(&key)
                )));
            }
            let below = self.below(&key);
            let kept = below.is_kept();
            let value = access.next_value_seed(below)?;
            match &mut self {
                Place::Entries(_, _, each) => each(Item::Entry(key), value),
                Place::Trees(_, _, each) => each(Item::Tree(key), value),
                Place::List(_, _, each, tree, list) => {
                    let name = key;
                    each(Item::Listed { tree, list, name }, value);
                }
                _ if kept => drop(map.insert(key, value)),
                _ => {}
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: Keys = Keys {
        top: &["kept", "files"],
        entries: "files",
        entry: &["size"],
        trees: "trees",
        lists: &["folders", "links"],
        root: "root",
        record: &["mode"],
    };

    fn read(text: &str) -> Result<(Value, Vec<(String, Value)>), String> {
        let mut entries = Vec::new();
        let top = parse(text.as_bytes(), &KEYS, &mut |item, value| {
            let name = match item {
                Item::Entry(name) => name,
                Item::Listed { tree, list, name } => format!("{tree} {list} {name}"),
                Item::Tree(name) => format!("{name}!"),
            };
            entries.push((name, value))
        })?;
        Ok((top, entries))
    }

    #[test]
    fn what_directories_list_is_given_away_before_them() {
        let text = r#"{"trees":{"a":{"root":{"mode":1,"x":2},"folders":{"b":{"mode":3,"y":[]}},"links":7,"z":1},"c":8}}"#;
        let (top, given) = read(text).expect("good");
        assert_eq!(top.to_string(), r#"{"trees":{}}"#);
        let given: Vec<String> = given
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            given,
            [
                r#"a folders b={"mode":3}"#,
                r#"a!={"folders":{},"links":7,"root":{"mode":1}}"#,
                "c!=8"
            ]
        );
    }

    #[test]
    fn what_is_known_is_kept_and_entries_are_given_away() {
        let text =
            r#"{"kept":{"a":[1]},"other":[1,{"b":2}],"files":{"x":{"size":1,"later":[[]]},"y":7}}"#;
        let (top, entries) = read(text).expect("good");
        assert_eq!(top.to_string(), r#"{"files":{},"kept":{"a":[1]}}"#);
        assert_eq!(entries[0].1.to_string(), r#"{"size":1}"#);
        assert_eq!(entries[1].1, 7);
    }

    #[test]
    fn duplicate_keys_are_refused_at_any_depth() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"files":{"x":1,"x":2}}"#,
            r#"{"files":{"x":{"size":1,"size":2}}}"#,
            r#"{"other":[{"a":1,"a":2}]}"#,
            r#"{"kept":{"\u0061":1,"a":2}}"#,
            r#"{"trees":{"x":1,"x":2}}"#,
            r#"{"trees":{"x":{"folders":{"a":1,"a":2}}}}"#,
        ] {
            let fault = read(text).expect_err(text);
            assert!(fault.contains("stands twice"), "{fault}");
        }
    }

    #[test]
    fn deep_nesting_trailing_text_and_too_much_are_errors() {
        assert!(read(&"[".repeat(1_000_000)).is_err());
        assert!(read("{} {}").is_err());
        let many = format!(r#"{{"kept":[{}1]}}"#, "1,".repeat(MAX_FREE_VALUES));
        assert!(
            read(&many)
                .expect_err("too much")
                .contains("too many values")
        );
    }
}
