//! The JSON of a manifest, read in bounded memory and without duplicate keys.
//!
//! RFC 8259 section 4 leaves the meaning of a duplicate key open; two readers of one manifest must not differ. So
//! duplicate keys are refused at any depth. Values that no reader needs are checked and not kept. The entries are
//! passed on one by one, and so are the records that directories list: a manifest of many values costs no more memory
//! than these do.

use std::{borrow::Cow, cell::Cell, fmt};

use serde::de::{self, Deserialize, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::fields::KeyLookup;
use crate::model::{distinct::Distinct, entry_name::printable, limits::MAX_FREE_VALUES};

/// The keys that are kept, by their place in the manifest.
pub struct KnownKeys {
    /// At the top; `entries` is always one of them, and its value is passed on.
    pub top: &'static [&'static str],
    /// The key at the top whose value is an object of entries.
    pub entries: &'static str,
    /// In each entry.
    pub entry: &'static [&'static str],
    /// The key at the top whose value is an object of directories.
    pub trees: &'static str,
    /// In each directory: keys whose values are objects of records, which are passed on.
    pub lists: &'static [&'static str],
    /// In each directory: the key of one more record, which is passed on.
    pub root: &'static str,
    /// In each of these records.
    pub record: &'static [&'static str],
}

/// A part of the manifest that is passed on.
#[derive(Debug)]
pub enum Item<'a> {
    /// An entry, by name; without a record if its value is not an object.
    Entry(&'a str, Option<Record>),
    /// A record in a list of a directory.
    Listed {
        tree: &'a str,
        list: &'a str,
        name: &'a str,
        record: Option<Record>,
    },
    /// The additional record of a directory.
    Root { tree: &'a str, record: Record },
    /// A directory, by name, after its record and the contents of its lists. In its value they are empty objects, or
    /// the values that stand there instead of objects.
    Tree(&'a str, Value),
}

type Each<'a> = &'a mut dyn FnMut(Item<'_>);

/// An object of which known keys are kept, in their order in the manifest.
#[derive(Debug)]
pub struct Record(Vec<(&'static str, Value)>);

impl KeyLookup for Record {
    fn value(&self, key: &str) -> Option<&Value> {
        let mut fields = self.0.iter();
        fields
            .find(|(known, _)| *known == key)
            .map(|(_, value)| value)
    }
}

/// Parses a manifest: passes each entry and each part of a directory to `each`, and returns the rest. In the rest the
/// values of `entries` and `trees` are empty objects, or the values that stand there instead of objects.
pub fn parse(bytes: &[u8], keys: &KnownKeys, each: Each<'_>) -> Result<Value, String> {
    let free = Cell::new(MAX_FREE_VALUES);
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let place = Place::Top(keys, &free, each);
    let value = place
        .deserialize(&mut deserializer)
        .map_err(|error| error.to_string())?;
    deserializer.end().map_err(|error| error.to_string())?;
    Ok(value)
}

/// Parses one object, of which the `known` keys are kept; `None` if it is another value.
pub fn parse_record(
    bytes: &[u8],
    known: &'static [&'static str],
) -> Result<Option<Record>, String> {
    let free = Cell::new(bytes.len());
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let recording = Recording {
        kept: known,
        free: &free,
    };
    let record = recording
        .deserialize(&mut deserializer)
        .map_err(|error| error.to_string())?;
    deserializer.end().map_err(|error| error.to_string())?;
    Ok(record)
}

/// The place of a value in the manifest.
enum Place<'a> {
    Top(&'a KnownKeys, &'a Cell<usize>, Each<'a>),
    Entries(&'a KnownKeys, &'a Cell<usize>, Each<'a>),
    Trees(&'a KnownKeys, &'a Cell<usize>, Each<'a>),
    Tree(&'a KnownKeys, &'a Cell<usize>, Each<'a>, String),
    /// A list of a directory: the directory, and the list's key.
    List(&'a KnownKeys, &'a Cell<usize>, Each<'a>, &'a str, String),
    /// Kept, whatever it is, as long as the kept values are not too many.
    Free(&'a Cell<usize>),
    /// Checked and not kept.
    Skipped,
}

impl<'a> Place<'a> {
    /// Returns the place of the value of `key`.
    fn below(&mut self, key: &str) -> Place<'_> {
        match self {
            Place::Top(keys, free, each) => match key {
                _ if key == keys.entries => Place::Entries(keys, free, *each),
                _ if key == keys.trees => Place::Trees(keys, free, *each),
                _ if keys.top.contains(&key) => Place::Free(free),
                _ => Place::Skipped,
            },
            Place::Trees(keys, free, each) => Place::Tree(keys, free, *each, key.to_owned()),
            Place::Tree(keys, free, each, tree) if keys.lists.contains(&key) => {
                Place::List(keys, free, *each, tree, key.to_owned())
            }
            Place::Free(free) => Place::Free(free),
            _ => Place::Skipped,
        }
    }

    /// Returns the reader for the value of `key` if a record is expected there.
    fn recording(&self, key: &str) -> Option<Recording<'a>> {
        let (kept, free) = match self {
            Place::Entries(keys, free, _) => (keys.entry, *free),
            Place::List(keys, free, ..) => (keys.record, *free),
            Place::Tree(keys, free, ..) if key == keys.root => (keys.record, *free),
            _ => return None,
        };
        Some(Recording { kept, free })
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
        // A list has the place of a value without a known key.
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
        let mut seen = Distinct::default();
        while let Some(Key(key)) = access.next_key()? {
            if !seen.insert(key.clone()) {
                return Err(twice(&key));
            }
            if let Some(recording) = self.recording(&key) {
                let record = access.next_value_seed(recording)?;
                match (&mut self, record) {
                    (Place::Entries(_, _, each), record) => each(Item::Entry(&key, record)),
                    (Place::List(_, _, each, tree, list), record) => each(Item::Listed {
                        tree,
                        list,
                        name: &key,
                        record,
                    }),
                    (Place::Tree(_, _, each, tree), Some(record)) => {
                        each(Item::Root { tree, record });
                        map.insert(key.clone().into_owned(), Value::Object(Map::new()));
                    }
                    (_, _) => drop(map.insert(key.clone().into_owned(), Value::Null)),
                }
            } else {
                let below = self.below(&key);
                let kept = below.is_kept();
                let value = access.next_value_seed(below)?;
                match &mut self {
                    Place::Trees(_, _, each) => each(Item::Tree(&key, value)),
                    _ if kept => drop(map.insert(key.clone().into_owned(), value)),
                    _ => {}
                }
            }
        }
        Ok(Value::Object(map))
    }
}

fn twice<E: de::Error>(key: &str) -> E {
    E::custom(format_args!("the key {:?} stands twice", printable(key)))
}

/// A key, copied only if it is escaped.
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Key<'de>, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E: de::Error>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E: de::Error>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }

        deserializer.deserialize_str(Read)
    }
}

/// A reader of a record, or of nothing if another value stands there.
#[derive(Clone, Copy)]
struct Recording<'a> {
    kept: &'static [&'static str],
    free: &'a Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Recording<'_> {
    type Value = Option<Record>;

    fn deserialize<D: de::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Recording<'_> {
    type Value = Option<Record>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        Place::Skipped.visit_seq(seq).map(|_| None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut fields: Vec<(&'static str, Value)> = Vec::with_capacity(self.kept.len());
        let mut others = Distinct::default();
        while let Some(Key(key)) = access.next_key()? {
            let Some(known) = self.kept.iter().find(|known| **known == key) else {
                if !others.insert(key.clone()) {
                    return Err(twice(&key));
                }
                access.next_value_seed(Place::Skipped)?;
                continue;
            };
            if fields.iter().any(|(other, _)| other == known) {
                return Err(twice(&key));
            }
            let value = access.next_value_seed(Place::Free(self.free))?;
            fields.push((known, value));
        }
        Ok(Some(Record(fields)))
    }
}

#[cfg(test)]
mod tests;
