//! The private keys of a run, and what is opened with them.

use std::{
    cell::RefCell,
    io::{BufRead as _, Read},
    sync::{Arc, PoisonError},
};

use age::{DecryptError, Decryptor, Identity};
use age_core::format::{FileKey, Stanza};
use anyhow::Result;

use super::{
    bounded::Bounded,
    guard::forbid_core_dumps,
    header::{Form, PASSPHRASE, VERSION_1, kind_of},
    identity::{self, Found},
    key_name::KeyName,
    opened::{Opened, Source, damaged, is_fault},
    passphrase::{Ask, Passphrase, Trouble},
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
    kind: Use,
    identity: Box<dyn Identity + Send + Sync>,
    trouble: Trouble,
}

/// The files that a key may open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Those that are sealed for keys.
    Key,
    /// Those that are sealed by a passphrase.
    Passphrase,
    /// The same; the user is asked.
    Asked,
}

impl Keyring {
    /// Returns the keyring of a file that this run seals.
    pub(super) fn of_one_file(memory: Remembering) -> Keyring {
        let mut ring = Keyring::default();
        ring.add("this run", Use::Key, found(Box::new(memory)));
        ring
    }

    /// Adds the keys of an identity file, and gives each to `mask`. `shown` is the file, for messages; `ask` gets its
    /// passphrase if it has one.
    ///
    /// Errors: [`Kind::Key`] if it holds anything else.
    pub fn add_file(
        &mut self,
        shown: &str,
        content: &[u8],
        ask: Option<&Ask>,
        mask: &dyn Fn(&str),
    ) -> Result<(), Failure> {
        for found in identity::read(shown, content, ask, mask)? {
            self.add(shown, Use::Key, found);
        }
        Ok(())
    }

    /// Adds a passphrase that `ask` gets when a file is sealed by one. `shown` names it in messages.
    pub fn add_passphrase(&mut self, shown: &str, ask: Ask) {
        self.add_passphrase_as(shown, Use::Passphrase, ask);
    }

    /// Adds the passphrase that the user is asked for when a file is sealed by one.
    pub fn add_asked(&mut self, ask: Ask) {
        self.add_passphrase_as("the passphrase that was typed", Use::Asked, ask);
    }

    fn add_passphrase_as(&mut self, shown: &str, kind: Use, ask: Ask) {
        let trouble = Trouble::default();
        let prompt = "Passphrase of the archive".to_owned();
        let passphrase = Passphrase::new(prompt, Some(ask), &trouble);
        let found = Found {
            trouble,
            ..found(Box::new(passphrase))
        };
        self.add(shown, kind, found);
    }

    fn add(&mut self, shown: &str, kind: Use, found: Found) {
        forbid_core_dumps();
        let Found {
            public,
            identity,
            trouble,
        } = found;
        let shown = shown.to_owned();
        self.0.push(Entry {
            name: KeyName { shown, public },
            kind,
            identity,
            trouble,
        });
    }

    /// Returns the names of the keys and passphrases that the user named.
    pub fn names(&self) -> impl Iterator<Item = &KeyName> {
        let named = self.0.iter().filter(|entry| entry.kind != Use::Asked);
        named.map(|entry| &entry.name)
    }

    /// Returns true if the user named neither a key nor a passphrase.
    pub fn is_empty(&self) -> bool {
        self.names().next().is_none()
    }

    /// Returns true if the user can be asked for a passphrase.
    pub fn can_ask(&self) -> bool {
        self.0.iter().any(|entry| entry.kind == Use::Asked)
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
        let mut source = Source::new(form, bounded);
        // A damaged header looks to the library like one of another version.
        let is_newer = source.fill_buf().is_ok_and(|first| {
            let count = first.len().min(VERSION_1.len());
            form == Form::Binary && first[..count] != VERSION_1[..count]
        });
        let decryptor = match Decryptor::new_buffered(source) {
            Ok(decryptor) => decryptor,
            Err(DecryptError::UnknownFormat) if is_newer => return Err(newer(shown).into()),
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

    /// Returns true if the sealed file called `shown`, which begins with `header`, is for exactly these recipients.
    pub(super) fn opens_for(
        &self,
        shown: &str,
        form: Form,
        header: &[u8],
        recipients: &Recipients,
    ) -> Result<bool> {
        if let Some(passphrase) = recipients.secret_words() {
            // A passphrase stands alone: what it opens is sealed by it.
            let mut ring = Keyring::default();
            let passphrase = passphrase.clone();
            let known: Ask = Arc::new(move |_| Ok(Some(passphrase.clone())));
            ring.add_passphrase("the passphrase", known);
            return match ring.open(shown, form, header) {
                Ok(_) => Ok(true),
                Err(error) if Failure::of(&error).kind == Kind::Key => {
                    self.open(shown, form, header).map(|_| false)
                }
                Err(error) => Err(error),
            };
        }
        let mut log = Log::default();
        let set = recipients.set();
        self.try_all(shown, form, header, Some(&set), &mut log)?;
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

    /// Returns the failure if no key opens a file: the reason why a passphrase could not be had, or the keys that were
    /// tried.
    fn fits_none(&self, shown: &str, log: &Log) -> Failure {
        let by_passphrase = log.recipients.iter().any(|kind| kind == PASSPHRASE);
        let tried: Vec<&Entry> = (self.0.iter())
            .filter(|entry| (entry.kind != Use::Key) == by_passphrase)
            .collect();
        let mut faults = Vec::new();
        for entry in &tried {
            let trouble = entry.trouble.lock().unwrap_or_else(PoisonError::into_inner);
            match &*trouble {
                Some(failure) if matches!(failure.kind, Kind::Interrupted(_)) => {
                    return failure.clone();
                }
                Some(failure) => faults.push(format!("{}: {}", entry.name, failure.message)),
                None => faults.push(format!("tried {}", entry.name)),
            }
        }
        faults.extend(log.faults.iter().cloned());
        let recipients = log.recipients.join(", ");
        let message = match (tried.is_empty(), by_passphrase) {
            (true, _) => format!("{shown} is sealed (for {recipients}), and no key is given"),
            (false, false) => {
                format!("{shown} is sealed (for {recipients}), and no given key opens it")
            }
            (false, true) => {
                format!("{shown} is sealed by a passphrase, and no given one opens it")
            }
        };
        let hint = match by_passphrase {
            true => {
                "give the right one on a terminal, or by `passphrase` under [backup.encryption]"
            }
            false => {
                "name the file of the private key with --identity FILE (or HOOKSHOT_IDENTITY, or `identity_file` under \
                [backup.encryption]); `hookshot key test` tells which key opens which archive"
            }
        };
        Failure::new(Kind::Key, message).hint(hint).faults(faults)
    }
}

fn found(identity: Box<dyn Identity + Send + Sync>) -> Found {
    Found {
        public: None,
        identity,
        trouble: Trouble::default(),
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

/// Returns the failure of a file of a later version of the format.
fn newer(shown: &str) -> Failure {
    let message =
        format!("{shown} is sealed in a newer version of the format age than hookshot knows");
    Failure::new(Kind::Version, message).hint("open it with a newer hookshot, or with age")
}
