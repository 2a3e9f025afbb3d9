//! The private keys of a run, and what is opened with them.

use std::{cell::RefCell, io::Read};

use age::{DecryptError, Decryptor, Identity, secrecy::SecretString};
use age_core::format::{FileKey, Stanza};
use anyhow::Result;

use super::{
    bounded::Bounded,
    guard::forbid_core_dumps,
    header::{Form, kind_of},
    identity::{self, Ask, AskedPassphrase},
    key_name::KeyName,
    opened::{Opened, Source, damaged, is_fault},
    recipients::Recipients,
    remembered::Remembering,
    set_stanza::{RecipientSet, TAG},
};
use crate::error::{Failure, Kind};

/// Private keys; each may open a sealed file.
#[derive(Default)]
pub struct Keyring(Vec<Entry>);

/// The keys that open a sealed file, as its header tells.
#[derive(Debug)]
pub struct Trial {
    /// The kinds of its recipients.
    pub recipients: Vec<String>,
    /// The keys that open it.
    pub opened_by: Vec<KeyName>,
    /// The reasons why keys that seemed to fit do not.
    pub faults: Vec<String>,
}

struct Entry {
    name: KeyName,
    identity: Box<dyn Identity + Send + Sync>,
}

impl Keyring {
    /// Returns the keyring of a file that this run seals.
    pub(super) fn of_one_file(memory: Remembering) -> Keyring {
        let mut ring = Keyring::default();
        ring.add("this run", None, Box::new(memory));
        ring
    }

    /// Adds the keys of an identity file. `shown` is the file, for messages.
    ///
    /// Errors: [`Kind::Key`] if it holds anything else.
    pub fn add_file(
        &mut self,
        shown: &str,
        content: &[u8],
        ask: Option<&Ask>,
    ) -> Result<(), Failure> {
        for (public, identity) in identity::read(shown, content, ask)? {
            self.add(shown, public, identity);
        }
        Ok(())
    }

    /// Adds a passphrase, which `shown` names in messages.
    pub fn add_passphrase(&mut self, shown: &str, passphrase: SecretString) {
        self.add(shown, None, Box::new(identity::of_passphrase(passphrase)));
    }

    /// Adds the passphrase that the user is asked for when a file is sealed by one.
    pub fn add_asked(&mut self, ask: Ask) {
        self.add("a passphrase", None, Box::new(AskedPassphrase::new(ask)));
    }

    fn add(
        &mut self,
        shown: &str,
        public: Option<String>,
        identity: Box<dyn Identity + Send + Sync>,
    ) {
        forbid_core_dumps();
        let shown = shown.to_owned();
        self.0.push(Entry {
            name: KeyName { shown, public },
            identity,
        });
    }

    /// Returns the names of the keys.
    pub fn names(&self) -> impl Iterator<Item = &KeyName> {
        self.0.iter().map(|entry| &entry.name)
    }

    /// Returns true if nothing can be opened: there is neither a key nor a passphrase, nor a terminal to ask on.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Opens the sealed file called `shown`, from its first byte on.
    ///
    /// Errors: [`Kind::Key`] if no key opens it, after its header is read; [`Kind::Refused`] if the header is damaged.
    /// Reads fail with [`Kind::Refused`] if the content is damaged or ends too early.
    pub fn open<R: Read>(&self, shown: &str, form: Form, input: R) -> Result<Opened<R>> {
        self.try_all(shown, form, input, None, &mut Log::default())
    }

    /// Opens the sealed file, and notes in `found` if it is for exactly this set of recipients.
    fn try_all<R: Read>(
        &self,
        shown: &str,
        form: Form,
        input: R,
        set: Option<&RecipientSet>,
        found: &mut Log,
    ) -> Result<Opened<R>> {
        let (bounded, allowance) = Bounded::new(input);
        let source = Source::new(form, bounded);
        let decryptor = match Decryptor::new_buffered(source) {
            Ok(decryptor) => decryptor,
            Err(error) => return Err(unread(shown, error)),
        };
        allowance.lift();
        let log = RefCell::new(Log::default());
        let entries = self.0.iter().enumerate();
        let trying: Vec<Trying> = entries
            .map(|(at, entry)| Trying {
                at,
                entry,
                set,
                log: &log,
            })
            .collect();
        let identities = trying.iter().map(|trying| trying as &dyn Identity);
        let note = Note(&log);
        let opened = decryptor.decrypt(std::iter::once(&note as &dyn Identity).chain(identities));
        *found = log.into_inner();
        let log = &*found;
        let key = log.opened.and_then(|at| self.0.get(at));
        match (opened, key) {
            (Ok(reader), Some(key)) => Ok(Opened::new(reader, shown, key.name.clone())),
            (Ok(_), None) | (Err(DecryptError::NoMatchingKeys), _) => {
                Err(self.fits_none(shown, log).into())
            }
            (Err(error), _) => Err(unread(shown, error)),
        }
    }

    /// Returns true if the sealed file called `shown` is for exactly these recipients, as its header says to each of them.
    /// False as well if another program sealed it, and its header does not say for whom.
    ///
    /// Reads the header alone. Errors: as [`open`](Keyring::open).
    pub fn opens_for<R: Read>(
        &self,
        shown: &str,
        form: Form,
        input: R,
        recipients: &Recipients,
    ) -> Result<bool> {
        if let Some(passphrase) = recipients.secret_words() {
            // A passphrase stands alone: what it opens is sealed by it.
            let mut ring = Keyring::default();
            ring.add_passphrase("the passphrase", passphrase.clone());
            return match ring.open(shown, form, input) {
                Ok(_) => Ok(true),
                Err(error) if Failure::of(&error).kind == Kind::Key => Ok(false),
                Err(error) => Err(error),
            };
        }
        let mut log = Log::default();
        let set = recipients.set();
        self.try_all(shown, form, input, Some(&set), &mut log)?;
        Ok(log.is_for_all)
    }

    /// Tries each key on the header of a sealed file called `shown`. `input` returns the file from its beginning on.
    ///
    /// Errors: [`Kind::Refused`] if the header is damaged.
    pub(super) fn try_each<R: Read>(
        &self,
        shown: &str,
        form: Form,
        input: impl Fn() -> R,
    ) -> Result<Trial> {
        let begin = || {
            let (bounded, _) = Bounded::new(input());
            let begun = Decryptor::new_buffered(Source::new(form, bounded));
            begun.map_err(|error| unread(shown, error))
        };
        let log = RefCell::new(Log::default());
        let note = Note(&log);
        // No recipient fits: their kinds are noted.
        drop(begin()?.decrypt(std::iter::once(&note as &dyn Identity)));
        let mut opened_by = Vec::new();
        for (at, entry) in self.0.iter().enumerate() {
            let trying = Trying {
                at,
                entry,
                set: None,
                log: &log,
            };
            match begin()?.decrypt(std::iter::once(&trying as &dyn Identity)) {
                Ok(_) => opened_by.push(entry.name.clone()),
                Err(DecryptError::NoMatchingKeys) => {}
                Err(error) => return Err(unread(shown, error)),
            }
        }
        let log = log.into_inner();
        Ok(Trial {
            recipients: log.recipients,
            opened_by,
            faults: log.faults,
        })
    }

    fn fits_none(&self, shown: &str, log: &Log) -> Failure {
        let recipients = log.recipients.join(", ");
        let message = match self.0.is_empty() {
            true => format!("{shown} is sealed (for {recipients}), and no key is given"),
            false => format!("{shown} is sealed (for {recipients}), and no given key opens it"),
        };
        let tried = self.names().map(|name| format!("tried {name}"));
        let faults = tried.chain(log.faults.iter().cloned()).collect();
        Failure::new(Kind::Key, message)
            .hint(
                "name the file of the private key with --identity FILE (or HOOKSHOT_IDENTITY, or `identity_file` under \
                [backup.encryption]); `hookshot key test` tells which key opens which archive",
            )
            .faults(faults)
    }
}

/// The findings of a trial of keys.
#[derive(Default)]
struct Log {
    /// The kinds of its recipients.
    recipients: Vec<String>,
    /// The index of the key that opens it.
    opened: Option<usize>,
    /// The reasons why keys that seemed to fit do not.
    faults: Vec<String>,
    /// The bodies of the stanzas that may name the set of recipients.
    sets: Vec<Vec<u8>>,
    /// True if one of them names exactly the expected recipients.
    is_for_all: bool,
}

/// An identity that opens nothing, and notes the kinds of the recipients.
struct Note<'a>(&'a RefCell<Log>);

impl Identity for Note<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        let mut log = self.0.borrow_mut();
        log.recipients.extend(kind_of(stanza));
        if stanza.tag == TAG {
            log.sets.push(stanza.body.clone());
        }
        None
    }
}

/// A key on trial: its errors are noted, and the next key is tried.
struct Trying<'a> {
    at: usize,
    entry: &'a Entry,
    set: Option<&'a RecipientSet>,
    log: &'a RefCell<Log>,
}

impl Identity for Trying<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        match self.entry.identity.unwrap_stanza(stanza)? {
            Ok(key) => {
                let mut log = self.log.borrow_mut();
                log.opened = Some(self.at);
                log.is_for_all = self.set.is_some_and(|set| {
                    let mut found = log.sets.iter();
                    found.any(|found| set.is_named(found, &key))
                });
                Some(Ok(key))
            }
            Err(error) => {
                let why = match error {
                    DecryptError::ExcessiveWork { required, .. } => format!(
                        "its passphrase takes the work of 2^{required}, which is more than is done for one archive"
                    ),
                    _ => "it does not open this archive".to_owned(),
                };
                let mut log = self.log.borrow_mut();
                log.faults.push(format!("{}: {why}", self.entry.name));
                None
            }
        }
    }
}

/// Returns the failure of a header that cannot be read.
fn unread(shown: &str, error: DecryptError) -> anyhow::Error {
    match error {
        DecryptError::Io(error) if !is_fault(&error) => {
            anyhow::Error::new(error).context(format!("cannot read {shown}"))
        }
        error => damaged(shown, &error).into(),
    }
}
