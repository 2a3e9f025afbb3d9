//! For whom an archive is sealed: public keys, or a passphrase.

use std::{fmt, sync::Arc};

use age::{
    Encryptor, Recipient,
    secrecy::{ExposeSecret as _, SecretString},
};

use super::{guard::forbid_core_dumps, remembered::Remembering, set_stanza::RecipientSet};
use crate::{
    error::{Failure, Kind},
    model::digest::Digest,
    work::panics::caught,
};

/// The work factor of a passphrase: scrypt with N = 2^18 takes 256 MiB (age-encryption.org/v1, "scrypt").
const WORK_FACTOR: u8 = 18;

/// The most recipients: their header is far shorter than what a reader takes.
const MAX_RECIPIENTS: usize = 256;

/// For whom archives are sealed.
#[derive(Clone)]
pub struct Recipients(Arc<Who>);

enum Who {
    Keys(Vec<PublicKey>),
    Passphrase(SecretString),
}

/// A public key, with which archives are sealed.
#[derive(Clone)]
pub struct PublicKey {
    text: String,
    way: Way,
}

#[derive(Clone)]
enum Way {
    X25519(age::x25519::Recipient),
    Ssh(age::ssh::Recipient),
}

/// The fault of a private key in place of a public one.
const PRIVATE: &str =
    "is a private key: it opens archives, and stays secret; its public key belongs here";
/// The advice about a private key on the command line.
const OF_PRIVATE: &str = "`hookshot key show FILE` prints its public key; what was typed may stand in the history of the shell";

impl PublicKey {
    /// Reads a public key: `age1...`, or `ssh-ed25519 ...` with or without a comment. The error completes "the key ...".
    pub fn parse(text: &str) -> Result<PublicKey, String> {
        let text = text.trim();
        let mut words = text.split_ascii_whitespace();
        let kind = words.next().unwrap_or_default();
        if kind == "ssh-ed25519" {
            let text = format!("{kind} {}", words.next().unwrap_or_default());
            let key = text.parse().map_err(|_| damaged(kind))?;
            return PublicKey::tried(text, Way::Ssh(key));
        }
        if is_private_key(kind) {
            return Err(PRIVATE.to_owned());
        }
        if kind.starts_with("ssh-") || kind.starts_with("ecdsa-") {
            return Err(format!(
                "is of the kind {kind}: archives are sealed for age1... and ssh-ed25519 keys"
            ));
        }
        if !kind.starts_with("age1") || words.next().is_some() {
            return Err("is not a public key: those begin with age1 or ssh-ed25519".to_owned());
        }
        let key = kind.parse().map_err(|_| match kind.len() {
            62 => damaged("age1"),
            _ => format!(
                "{}, and its length is {} instead of 62",
                damaged("age1"),
                kind.len()
            ),
        })?;
        PublicKey::tried(kind.to_owned(), Way::X25519(key))
    }

    /// Returns the key if something can be sealed for it. The library panics for points of low order (RFC 7748,
    /// section 6.1), which everybody could open.
    fn tried(text: String, way: Way) -> Result<PublicKey, String> {
        let key = PublicKey { text, way };
        match caught(|| Encryptor::with_recipients(std::iter::once(key.recipient()))) {
            Ok(Ok(_)) => Ok(key),
            Ok(Err(_)) | Err(_) => Err(
                "seals nothing: it is a point of low order, which no private key has".to_owned(),
            ),
        }
    }

    /// Reads the public keys that an option gives. A text that is not one is not repeated: it may be a private key.
    ///
    /// Errors: [`Kind::Usage`].
    pub fn parse_all(option: &str, texts: &[String]) -> Result<Vec<PublicKey>, Failure> {
        let parse = |text: &String| {
            PublicKey::parse(text).map_err(|fault| {
                let message = format!("the key of {option} {fault}");
                Failure::new(Kind::Usage, message).hint(match fault == PRIVATE {
                    true => OF_PRIVATE,
                    false => "`hookshot key show FILE` prints the public keys of a file",
                })
            })
        };
        texts.iter().map(parse).collect()
    }

    /// Returns its text, without a comment.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns its kind, as the header of a sealed file names it.
    pub fn kind(&self) -> &'static str {
        match self.way {
            Way::X25519(_) => "X25519",
            Way::Ssh(_) => "ssh-ed25519",
        }
    }

    /// Returns its fingerprint, for people to compare: the first 16 digits of its text's SHA-256, in groups of 4.
    pub fn fingerprint(&self) -> String {
        let digits = Digest::of(self.text.as_bytes()).to_string();
        let groups = digits.as_bytes()[..16].chunks(4);
        let groups = groups.map(|group| String::from_utf8_lossy(group));
        groups.collect::<Vec<_>>().join(" ")
    }

    fn recipient(&self) -> &dyn Recipient {
        match &self.way {
            Way::X25519(key) => key,
            Way::Ssh(key) => key,
        }
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &PublicKey) -> bool {
        self.text == other.text
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Returns true if a text that should name a file or a public key is a private key of age itself.
pub fn is_private_key(text: &str) -> bool {
    const BEGIN: &str = "age-secret-key-";
    let start = text.trim_start().get(..BEGIN.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(BEGIN))
}

fn damaged(kind: &str) -> String {
    format!("is damaged: it begins like {kind} and does not match its own checksum or form")
}

impl Recipients {
    /// Returns the owners of these keys; each of them can open what is sealed for all. At least one is needed.
    pub fn keys(named: Vec<PublicKey>) -> Result<Recipients, Failure> {
        let mut keys: Vec<PublicKey> = Vec::new();
        for key in named {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        match keys.len() {
            0 => Err(Failure::new(Kind::Usage, "no recipient is named")),
            1..=MAX_RECIPIENTS => Ok(Recipients(Arc::new(Who::Keys(keys)))),
            count => {
                let message = format!(
                    "{count} recipients are named, and an archive has at most {MAX_RECIPIENTS}"
                );
                Err(Failure::new(Kind::Usage, message)
                    .hint("seal for a key that several people share"))
            }
        }
    }

    /// Returns whoever knows the passphrase.
    pub fn passphrase(passphrase: SecretString) -> Recipients {
        forbid_core_dumps();
        Recipients(Arc::new(Who::Passphrase(passphrase)))
    }

    /// Returns the public keys; none for a passphrase.
    pub fn public_keys(&self) -> &[PublicKey] {
        match &*self.0 {
            Who::Keys(keys) => keys,
            Who::Passphrase(_) => &[],
        }
    }

    /// Returns the number of keys that open what is sealed.
    pub fn count(&self) -> usize {
        self.public_keys().len().max(1)
    }

    /// Returns true if both name the same keys, in any order, or the same passphrase.
    pub fn are_same(&self, other: &Recipients) -> bool {
        let texts = |recipients: &Recipients| {
            let keys = recipients.public_keys().iter();
            let mut texts: Vec<String> = keys.map(|key| key.text.clone()).collect();
            texts.sort();
            texts.dedup();
            texts
        };
        match (&*self.0, &*other.0) {
            (Who::Keys(_), Who::Keys(_)) => texts(self) == texts(other),
            (Who::Passphrase(one), Who::Passphrase(two)) => {
                one.expose_secret() == two.expose_secret()
            }
            _ => false,
        }
    }

    /// Returns the passphrase, if that seals.
    pub(super) fn secret_words(&self) -> Option<&SecretString> {
        match &*self.0 {
            Who::Keys(_) => None,
            Who::Passphrase(passphrase) => Some(passphrase),
        }
    }

    /// Returns the set of the public keys.
    pub(super) fn set(&self) -> RecipientSet {
        RecipientSet::of(self.public_keys().iter().map(PublicKey::text))
    }

    /// Returns an encryptor of one file, and the memory of that file's key.
    pub(super) fn encryptor(&self) -> Result<(Encryptor, Remembering), Failure> {
        // The key of the file, and a passphrase, are in memory from now on.
        forbid_core_dumps();
        let memory = Remembering::default();
        let begun = match &*self.0 {
            Who::Keys(keys) => {
                let set = memory.with_set(self.set());
                let own: &dyn Recipient = &set;
                let keys = keys.iter().map(PublicKey::recipient);
                Encryptor::with_recipients(keys.chain([own]))
            }
            Who::Passphrase(passphrase) => {
                let mut recipient = age::scrypt::Recipient::new(passphrase.clone());
                recipient.set_work_factor(WORK_FACTOR);
                let recipient = memory.beside(&recipient);
                Encryptor::with_recipients(std::iter::once(&recipient as &dyn Recipient))
            }
        };
        let encryptor = begun.map_err(|error| {
            Failure::new(
                Kind::Failed,
                format!("the archive cannot be sealed: {error}"),
            )
        })?;
        Ok((encryptor, memory))
    }
}

impl fmt::Debug for Recipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Who::Keys(keys) => f.debug_list().entries(keys).finish(),
            Who::Passphrase(_) => f.write_str("***"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypt::generate;

    #[test]
    fn a_key_that_is_named_twice_does_not_count_towards_the_most() {
        let key = || PublicKey::parse(&generate().public).expect("a key");
        let one = key();
        let twice = std::iter::repeat_n(one.clone(), MAX_RECIPIENTS + 1).collect();
        assert_eq!(Recipients::keys(twice).expect("one key").count(), 1);
        let mut many: Vec<PublicKey> = (1..MAX_RECIPIENTS).map(|_| key()).collect();
        many.extend([one.clone(), one]);
        assert!(Recipients::keys(many.clone()).is_ok());
        many.push(key());
        let refused = Recipients::keys(many).expect_err("too many");
        assert!(refused.message.starts_with("257 recipients"), "{refused}");
    }
}
