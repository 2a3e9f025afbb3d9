//! The fields of a JSON object, read one by one, with the faults of each.

use serde_json::{Map, Value};

use super::fault::ManifestFault;
use crate::model::limits::MAX_OWNER_NAME_BYTES;

/// A JSON object whose values are looked up.
pub(super) trait KeyLookup {
    fn value(&self, key: &str) -> Option<&Value>;
}

impl KeyLookup for Map<String, Value> {
    fn value(&self, key: &str) -> Option<&Value> {
        self.get(key)
    }
}

/// A JSON object being read, with the list that collects its faults.
pub(super) struct Fields<'a> {
    pub(super) object: &'a dyn KeyLookup,
    /// The text before each fault: it names the object.
    pub(super) of: &'a dyn Fn() -> String,
    pub(super) faults: &'a mut Vec<ManifestFault>,
}

impl Fields<'_> {
    pub(super) fn fault(&mut self, fault: String) {
        let fault = format!("{}{fault}", (self.of)());
        self.faults.push(ManifestFault::Malformed(fault));
    }

    pub(super) fn required<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&Value) -> Option<T>,
        expected: &str,
    ) -> Option<T> {
        let Some(value) = self.object.value(key) else {
            self.fault(format!("the key `{key}` is missing"));
            return None;
        };
        let value = read(value);
        if value.is_none() {
            self.fault(format!("`{key}` must be {expected}"));
        }
        value
    }

    pub(super) fn optional<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&Value) -> Option<T>,
        expected: &str,
    ) -> Option<T> {
        match self.object.value(key) {
            None | Some(Value::Null) => None,
            Some(_) => self.required(key, read, expected),
        }
    }
}

pub(super) fn read_mode(value: &Value) -> Option<u32> {
    octal(value.as_str()?)
}

/// Reads permission bits.
pub(super) fn octal(text: &str) -> Option<u32> {
    let is_octal =
        !text.is_empty() && text.len() <= 5 && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| is_octal && *mode <= 0o7777)
}

/// The description of the name of a user or a group, for messages.
pub(super) const OWNER_NAME: &str = "a string of at most 256 bytes";

/// Returns true if `name` can be that of a user or a group. Names are remembered, so that long ones would cost memory.
pub(super) fn is_owner_name(name: &str) -> bool {
    name.len() <= MAX_OWNER_NAME_BYTES
}

pub(super) fn read_id(value: &Value) -> Option<u32> {
    // 2^32 - 1 means "do not change" to chown(2).
    u32::try_from(value.as_u64()?)
        .ok()
        .filter(|id| *id != u32::MAX)
}
