//! Masks: the secrets that this run knows, and their removal from the words of commands.

use std::{
    fmt,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::Value;
use zeroize::Zeroizing;

use crate::model::secret_url::login_secrets;

/// The text in place of a secret.
const MASK: &[u8] = b"***";
/// The length from which a text is masked: a shorter one stands in too many words.
const LEAST_BYTES: usize = 4;
/// The length from which one line of a secret is a secret by itself, as in a private key of several lines.
const LEAST_LINE_BYTES: usize = 8;

/// Secrets that no line of a command may show. Clones share them. Their memory is cleared with the last clone.
#[derive(Clone, Default)]
pub struct Masks(Arc<Mutex<Vec<Zeroizing<Vec<u8>>>>>);

impl fmt::Debug for Masks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Masks")
    }
}

impl Masks {
    /// Adds a secret: its text, its lines, the password if it is a URL, and the keys if it is JSON. Texts of less than
    /// 4 bytes are not masked.
    pub fn add(&self, secret: &str) {
        self.learn(secret, LEAST_BYTES);
    }

    fn learn(&self, secret: &str, least_bytes: usize) {
        let mut pieces = vec![secret.trim().to_owned()];
        if pieces[0].contains('\n') {
            pieces.extend(long_lines(secret));
        }
        pieces.extend(login_secrets(secret));
        if let Ok(value @ Value::Object(_)) = serde_json::from_str(secret) {
            add_keys("", &value, &mut pieces);
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pieces = pieces.into_iter().map(String::into_bytes);
        for piece in pieces.map(Zeroizing::new) {
            if piece.len() >= least_bytes && !known.contains(&piece) {
                known.push(piece);
            }
        }
    }

    /// Adds the password of a URL; any other text is not a secret.
    pub fn add_password_of(&self, url: &str) {
        for secret in login_secrets(url) {
            self.add(&secret);
        }
    }

    /// Returns these secrets and one more of any length, which stays unknown to others.
    pub fn with(&self, secret: &str) -> Masks {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let masks = Masks(Arc::new(Mutex::new(known.clone())));
        drop(known);
        masks.learn(secret, 1);
        masks
    }

    /// Returns `bytes` with `***` in place of every secret.
    pub fn masked(&self, bytes: &[u8]) -> Vec<u8> {
        let mut masked = Vec::with_capacity(bytes.len());
        let mut end = 0;
        for found in self.find(bytes) {
            masked.extend_from_slice(&bytes[end..found.start]);
            masked.extend_from_slice(MASK);
            end = found.end;
        }
        masked.extend_from_slice(&bytes[end..]);
        masked
    }

    /// Returns the length of the longest secret in bytes.
    pub(super) fn longest(&self) -> usize {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().map(|secret| secret.len()).max().unwrap_or(0)
    }

    /// Returns the first place from `at` on at which `bytes` can be cut without cutting a secret.
    pub(super) fn cut(&self, bytes: &[u8], at: usize) -> usize {
        let found = self.find(bytes).into_iter();
        let across = found.filter(|found| found.start < at && at < found.end);
        across.map(|found| found.end).next().unwrap_or(at)
    }

    /// Returns the places of secrets, in order; those that overlap are one.
    fn find(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<Range<usize>> = Vec::new();
        for secret in &*known {
            let places = bytes.windows(secret.len()).enumerate();
            let places = places.filter(|(_, window)| *window == &***secret);
            found.extend(places.map(|(start, _)| start..start + secret.len()));
        }
        found.sort_by_key(|place| place.start);
        let mut merged: Vec<Range<usize>> = Vec::new();
        for place in found {
            match merged.last_mut() {
                Some(last) if place.start < last.end => last.end = last.end.max(place.end),
                _ => merged.push(place),
            }
        }
        merged
    }
}

fn long_lines(text: &str) -> impl Iterator<Item = String> {
    let lines = text.lines().map(str::trim);
    let long = lines.filter(|line| line.len() >= LEAST_LINE_BYTES);
    long.map(str::to_owned)
}

/// Adds the texts below keys that are named for keys, secrets and tokens.
fn add_keys(key: &str, value: &Value, pieces: &mut Vec<String>) {
    let is_secret = |key: &str| {
        ["key", "secret", "token", "password"]
            .iter()
            .any(|part| key.contains(part))
    };
    match value {
        Value::Object(values) => {
            for (key, value) in values {
                add_keys(key, value, pieces);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| add_keys(key, value, pieces)),
        Value::String(text) if is_secret(key) && !key.ends_with("_uri") => {
            pieces.push(text.trim().to_owned());
            pieces.extend(long_lines(text));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(secrets: &[&str], text: &str) -> String {
        let masks = Masks::default();
        secrets.iter().for_each(|secret| masks.add(secret));
        String::from_utf8(masks.masked(text.as_bytes())).expect("text")
    }

    #[test]
    fn a_secret_is_masked_however_it_is_repeated() {
        for (secrets, text, shown) in [
            (&[][..], "hunter2", "hunter2"),
            (&["", " \n", "1", "abc"], "a b 1 abc", "a b 1 abc"),
            (&["hunter2\n"], "+ echo hunter2", "+ echo ***"),
            (&["hunter2"], "hunter2hunter22", "******2"),
            // Overlaps and prefixes.
            (&["abab"], "ababab", "***"),
            (&["hunter", "hunter22"], "hunter22 hunter2", "*** ***2"),
            (
                &["-----BEGIN KEY\nc2VjcmV0LQ==\nx\n"],
                "line c2VjcmV0LQ== x",
                "line *** x",
            ),
            (
                &["http://me:hunter2@proxy:1"],
                "password hunter2 of me, Basic bWU6aHVudGVyMg==",
                "password *** of me, Basic ***",
            ),
            (
                &["{\"private_key\": \"-----BEGIN\\nc2VjcmV0\\n\", \"token_uri\": \"https://x\"}"],
                "c2VjcmV0 https://x",
                "*** https://x",
            ),
        ] {
            assert_eq!(masked(secrets, text), shown, "{secrets:?}");
        }
    }

    #[test]
    fn a_long_line_is_not_cut_within_a_secret() {
        let masks = Masks::default();
        masks.add("hunter2");
        assert_eq!(masks.cut(b"a hunter2 b", 4), 9);
        assert_eq!(masks.cut(b"a hunter2 b", 2), 2);
        assert_eq!(masks.cut(b"a hunter2 b", 9), 9);
        assert_eq!(masks.longest(), 7);
        assert_eq!(masks.with("longer than 7").longest(), 13);
        assert_eq!(masks.with("T01").masked(b"T01"), b"***");
        assert_eq!(masks.longest(), 7);
    }
}
