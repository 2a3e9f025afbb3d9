//! The stanza that names the set of recipients of a sealed file to each of them.
//!
//! A stanza of X25519 does not say for whom it is, so that a header alone does not tell if an archive was sealed anew for
//! other recipients. This one tells it, and only with the file's key. Other programs ignore it, as they must ignore every
//! stanza of a kind that they do not know (age-encryption.org/v1, "Recipient stanza").

use age::secrecy::ExposeSecret as _;
use age_core::{
    format::{FileKey, Stanza},
    primitives::hkdf,
};

use crate::model::digest::Digest;

/// The kind of the stanza.
pub(super) const TAG: &str = "hookshot-recipients";
const LABEL: &[u8] = b"hookshot recipients";

/// A set of public keys, whatever their order.
pub(super) struct RecipientSet(Digest);

impl RecipientSet {
    /// Returns the set of the keys with these texts.
    pub fn of<'a>(texts: impl Iterator<Item = &'a str>) -> RecipientSet {
        let mut texts: Vec<&str> = texts.collect();
        texts.sort_unstable();
        texts.dedup();
        RecipientSet(Digest::of(texts.join("\n").as_bytes()))
    }

    /// Returns the stanza of the file with this key that is sealed for this set.
    pub fn stanza(&self, key: &FileKey) -> Stanza {
        Stanza {
            tag: TAG.to_owned(),
            args: Vec::new(),
            body: self.body(key),
        }
    }

    /// Returns true if a stanza with the body `found`, in the file with this key, names exactly this set.
    pub fn is_named(&self, found: &[u8], key: &FileKey) -> bool {
        found == self.body(key)
    }

    /// Returns HKDF-SHA-256 (RFC 5869) of the file's key, with the digest of the set as salt.
    fn body(&self, key: &FileKey) -> Vec<u8> {
        let set = self.0.to_string();
        hkdf(set.as_bytes(), LABEL, key.expose_secret()).to_vec()
    }
}
