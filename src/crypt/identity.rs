//! Private keys, read from identity files of age, from OpenSSH's files, and from files of age that a passphrase seals.

use std::{
    io::Read as _,
    sync::{Mutex, PoisonError},
};

use age::{
    DecryptError, Decryptor, Identity,
    secrecy::{ExposeSecret as _, SecretString},
    ssh, x25519,
};
use age_core::format::{FileKey, Stanza};
use zeroize::Zeroizing;

use super::{
    guard::forbid_core_dumps,
    header::form_of,
    passphrase::{Ask, Passphrase, Trouble, of_passphrase},
    recipients::PublicKey,
};
use crate::error::{Failure, Kind};

/// The largest identity file, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;
const SECRET_KEY: &str = "AGE-SECRET-KEY-";
const OPENSSH: &[u8] = b"-----BEGIN OPENSSH PRIVATE KEY-----";

/// A private key.
pub(super) struct Found {
    /// Its public key, if it has one that is known.
    pub public: Option<String>,
    pub identity: Box<dyn Identity + Send + Sync>,
    /// The reason why its passphrase could not be had, once it was needed.
    pub trouble: Trouble,
}

/// A new key pair.
pub struct KeyPair {
    /// The public key, with which archives are sealed.
    pub public: String,
    /// The private key, which opens them.
    pub secret: SecretString,
}

impl KeyPair {
    /// Returns the text of its identity file, as age-keygen(1) writes it. `time` is now, in RFC 3339.
    pub fn file(&self, time: &str) -> Zeroizing<String> {
        let (public, secret) = (&self.public, self.secret.expose_secret());
        let text = format!("# created: {time}\n# public key: {public}\n{secret}\n");
        Zeroizing::new(text)
    }
}

/// Makes a new key pair.
pub fn generate() -> KeyPair {
    forbid_core_dumps();
    let key = x25519::Identity::generate();
    KeyPair {
        public: key.to_public().to_string(),
        secret: key.to_string(),
    }
}

/// Reads the content of an identity file. `shown` is the file, for messages; nothing of its content is in one. Each key is
/// given to `mask`.
pub(super) fn read(
    shown: &str,
    content: &[u8],
    ask: Option<&Ask>,
    mask: &dyn Fn(&str),
) -> Result<Vec<Found>, Failure> {
    let content = without_mark(content);
    if content.starts_with(OPENSSH) {
        return Ok(vec![read_ssh(shown, content, ask)?]);
    }
    if form_of(content).is_some() {
        let text = unlocked(shown, content, ask)?;
        return read_lines(shown, &text, mask);
    }
    let text = std::str::from_utf8(content)
        .map_err(|_| refused(shown, "is not an identity file: it is not text"))?;
    if text.starts_with("-----BEGIN ") {
        let what = "is a private key of a kind that opens no archive: AGE-SECRET-KEY-1... and ssh-ed25519 keys do";
        return Err(refused(shown, what));
    }
    read_lines(shown, text, mask)
}

/// Returns a text without the mark of its encoding (U+FEFF), which editors of other systems put before it.
pub fn without_mark(content: &[u8]) -> &[u8] {
    content
        .strip_prefix("\u{feff}".as_bytes())
        .unwrap_or(content)
}

/// Returns the public keys of a file: of private keys, or those that stand in it themselves (age(1), `-R`).
///
/// Errors: [`Kind::Key`] if it holds neither.
pub fn public_keys(
    shown: &str,
    content: &[u8],
    ask: Option<&Ask>,
) -> Result<Vec<PublicKey>, Failure> {
    let text = String::from_utf8_lossy(without_mark(content));
    let lines = text.lines().map(str::trim);
    let mut lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    if lines.clone().next().is_some_and(is_public) {
        let read = |line: &str| {
            PublicKey::parse(line).map_err(|fault| {
                let message = format!("the file of public keys {shown} has a key that {fault}");
                Failure::new(Kind::Key, message)
                    .hint("it has a public key on each line: age1... or ssh-ed25519 ...")
            })
        };
        return lines.try_fold(Vec::new(), |mut keys, line| {
            keys.push(read(line)?);
            Ok(keys)
        });
    }
    let found = read(shown, content, ask, &|_| ())?;
    let texts = found.iter().filter_map(|found| found.public.as_deref());
    Ok(texts
        .filter_map(|text| PublicKey::parse(text).ok())
        .collect())
}

/// The text of a private key, and its public key if that is known.
pub type PrivateText = (Option<PublicKey>, Zeroizing<String>);

/// Returns the text of each private key of an identity file.
///
/// Errors: [`Kind::Key`] for a file that a passphrase locks, and for one that holds anything else.
pub fn private_texts(shown: &str, content: &[u8]) -> Result<Vec<PrivateText>, Failure> {
    if form_of(content).is_some() {
        return Err(refused(
            shown,
            "is locked by a passphrase, so its private key is not printed",
        )
        .hint("`age -d FILE` unlocks it; print the locked file itself if that is what you want"));
    }
    let found = read(shown, content, None, &|_| ())?;
    let publics = found.iter().map(|found| found.public.as_deref());
    let publics = publics.map(|public| PublicKey::parse(public?).ok());
    let content = without_mark(content);
    let text = String::from_utf8_lossy(content);
    if content.starts_with(OPENSSH) {
        let texts = std::iter::once(Zeroizing::new(text.into_owned()));
        return Ok(publics.zip(texts).collect());
    }
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines = lines.map(|line| Zeroizing::new(line.to_owned()));
    Ok(publics.zip(lines).collect())
}

/// Returns true if a file that begins with this line has public keys, which every user may read.
fn is_public(line: &str) -> bool {
    line.starts_with("age1") || line.starts_with("ssh-")
}

/// Returns true if the content of a file is secret: it has anything but public keys.
pub fn is_secret(content: &[u8]) -> bool {
    let text = String::from_utf8_lossy(without_mark(content));
    let mut lines = text.lines().map(str::trim);
    lines.any(|line| !line.is_empty() && !line.starts_with('#') && !is_public(line))
}

fn read_lines(shown: &str, text: &str, mask: &dyn Fn(&str)) -> Result<Vec<Found>, Failure> {
    let mut found: Vec<Found> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let number = index + 1;
        let key: x25519::Identity = line.parse().map_err(|_| {
            let begins = line.get(..SECRET_KEY.len()).unwrap_or_default();
            refused(
                shown,
                &match begins.eq_ignore_ascii_case(SECRET_KEY) {
                    true => format!("has a damaged private key in line {number}"),
                    false if is_public(line) => format!("has a public key in line {number}, which opens nothing: a private key begins with {SECRET_KEY}1"),
                    false => format!("has something else than a private key in line {number}"),
                },
            )
        })?;
        mask(line);
        found.push(Found {
            public: Some(key.to_public().to_string()),
            identity: Box::new(key),
            trouble: Trouble::default(),
        });
    }
    match found.is_empty() {
        true => Err(refused(shown, "has no private key")),
        false => Ok(found),
    }
}

fn read_ssh(shown: &str, content: &[u8], ask: Option<&Ask>) -> Result<Found, Failure> {
    let key = ssh::Identity::from_buffer(content, None)
        .map_err(|_| refused(shown, "is a damaged private key of OpenSSH"))?;
    let public = ssh::Recipient::try_from(key.clone());
    let Ok(public @ ssh::Recipient::SshEd25519(..)) = public else {
        let what = "is a private key of a kind that opens no archive: of OpenSSH's keys, ssh-ed25519 ones do";
        return Err(refused(shown, what));
    };
    let trouble = Trouble::default();
    let identity: Box<dyn Identity + Send + Sync> = match key {
        ssh::Identity::Encrypted(key) => Box::new(LockedKey {
            key,
            passphrase: Passphrase::new(format!("Passphrase of {shown}"), ask.cloned(), &trouble),
            unlocked: Mutex::default(),
        }),
        key => Box::new(key),
    };
    Ok(Found {
        public: Some(public.to_string()),
        identity,
        trouble,
    })
}

/// Opens an identity file that a passphrase seals.
fn unlocked(shown: &str, content: &[u8], ask: Option<&Ask>) -> Result<Zeroizing<String>, Failure> {
    let damaged = || refused(shown, "is a damaged file of age");
    let decryptor = Decryptor::new_buffered(age::armor::ArmoredReader::new(content));
    let decryptor = decryptor.map_err(|_| damaged())?;
    if !decryptor.is_scrypt() {
        return Err(refused(
            shown,
            "is a sealed archive or file, not an identity file",
        ));
    }
    let Some(ask) = ask else {
        let what = "is sealed by a passphrase, and no terminal is there to ask for it";
        return Err(refused(shown, what));
    };
    let passphrase = ask(&format!("Passphrase of {shown}"))?;
    let passphrase = passphrase
        .ok_or_else(|| refused(shown, "is sealed by a passphrase, and none was given"))?;
    let identity = of_passphrase(passphrase);
    let opened = decryptor.decrypt(std::iter::once(&identity as &dyn Identity));
    let mut text = Zeroizing::new(String::new());
    let opened = opened.map_err(|_| refused(shown, "is sealed by another passphrase"))?;
    let mut opened = opened.take(MAX_FILE_BYTES);
    opened.read_to_string(&mut text).map_err(|_| damaged())?;
    Ok(text)
}

fn refused(shown: &str, what: &str) -> Failure {
    Failure::new(Kind::Key, format!("the identity file {shown} {what}"))
        .hint("`hookshot key generate -o FILE` makes one, and `hookshot key show FILE` prints its public key")
}

/// A private key of OpenSSH that a passphrase locks. The passphrase is needed when a file is sealed for a key of its kind.
struct LockedKey {
    key: ssh::EncryptedKey,
    passphrase: Passphrase,
    unlocked: Mutex<Option<Option<ssh::Identity>>>,
}

impl Identity for LockedKey {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        if stanza.tag != "ssh-ed25519" {
            return None;
        }
        let mut unlocked = self.unlocked.lock().unwrap_or_else(PoisonError::into_inner);
        let key = unlocked.get_or_insert_with(|| {
            let passphrase = self.passphrase.get()?;
            match self.key.decrypt(passphrase) {
                Ok(key) => Some(key.into()),
                Err(_) => {
                    self.passphrase.fails("another passphrase locks it");
                    None
                }
            }
        });
        key.as_ref()?.unwrap_stanza(stanza)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_keys_of_a_file_are_those_of_its_private_keys_or_stand_there() {
        let (one, two) = (generate(), generate());
        let texts = |content: &str| {
            let keys = public_keys("key.txt", content.as_bytes(), None)?;
            let texts = keys.iter().map(|key| key.text().to_owned());
            Ok::<Vec<String>, Failure>(texts.collect())
        };
        let file = format!("{}{}", &*one.file("now"), &*two.file("now"));
        let both = [one.public.clone(), two.public.clone()];
        assert_eq!(texts(&file).expect("private keys"), both);
        assert!(is_secret(file.as_bytes()));
        let public = format!("# both\n{}\n\n{}\n", one.public, two.public);
        assert_eq!(texts(&public).expect("public keys"), both);
        assert!(!is_secret(public.as_bytes()));
        let mixed = format!("{}\n{}\n", one.public, two.secret.expose_secret());
        let refused = texts(&mixed).expect_err("a private key");
        assert!(
            refused.message.contains("is a private key"),
            "{}",
            refused.message
        );
        assert!(is_secret(mixed.as_bytes()));
    }

    #[test]
    fn an_identity_file_is_read_and_a_fault_names_its_line_and_no_secret() {
        let pair = generate();
        let secret = pair.secret.expose_secret();
        let file = format!("# a comment\n\n{secret}\n");
        let masked = std::cell::RefCell::new(Vec::new());
        let mask = |key: &str| masked.borrow_mut().push(key.to_owned());
        let found = read("key.txt", file.as_bytes(), None, &mask).expect("an identity file");
        assert_eq!(*masked.borrow(), [secret.to_owned()]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].public.as_deref(), Some(pair.public.as_str()));
        let changed = format!("# a comment\n{}Q\n", &secret[..secret.len() - 1]);
        for (content, expected) in [
            (changed.as_bytes(), "has a damaged private key in line 2"),
            (b"# nothing\n", "has no private key"),
            (pair.public.as_bytes(), "has a public key in line 1"),
            (b"\xff\xfe", "is not text"),
            (
                b"-----BEGIN RSA PRIVATE KEY-----\n",
                "of a kind that opens no archive",
            ),
            (
                b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n",
                "damaged private key of OpenSSH",
            ),
            (b"age-encryption.org/v1\n", "a damaged file of age"),
        ] {
            let refused = read("key.txt", content, None, &|_| ())
                .err()
                .expect("refused");
            assert_eq!(refused.kind, Kind::Key);
            assert!(refused.message.contains(expected), "{}", refused.message);
            assert!(
                !refused.message.contains(&secret[20..40]),
                "{}",
                refused.message
            );
        }
    }
}
