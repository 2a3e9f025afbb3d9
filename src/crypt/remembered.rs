//! The key of a file that this run seals, kept in memory until the run has proven that it opens what was written.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use age::{DecryptError, EncryptError, Identity, Recipient, secrecy::ExposeSecret as _};
use age_core::format::{FileKey, Stanza};

use super::set_stanza::RecipientSet;

/// A memory of one file's key: recipients take note in it, and as an identity it returns the key. It clears itself.
#[derive(Clone, Default)]
pub struct Remembering(Arc<Mutex<Option<FileKey>>>);

impl Remembering {
    fn note(&self, key: &FileKey) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy(key));
    }

    /// Returns a recipient that takes note of the key, and adds the stanza that names `set`.
    pub fn with_set(&self, set: RecipientSet) -> WithSet {
        WithSet {
            set,
            memory: self.clone(),
        }
    }

    /// Returns `recipient`, which takes note of the key as well.
    pub fn beside<'a>(&self, recipient: &'a dyn Recipient) -> Beside<'a> {
        Beside {
            recipient,
            memory: self.clone(),
        }
    }
}

/// A recipient beside others: it names them all, and is a memory of the file's key.
pub struct WithSet {
    set: RecipientSet,
    memory: Remembering,
}

impl Recipient for WithSet {
    fn wrap_file_key(&self, key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        self.memory.note(key);
        Ok((vec![self.set.stanza(key)], HashSet::new()))
    }
}

impl Identity for Remembering {
    fn unwrap_stanza(&self, _: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        let key = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        key.as_ref().map(|key| Ok(copy(key)))
    }
}

/// A recipient that does not share a file with others, and a memory of the file's key.
pub struct Beside<'a> {
    recipient: &'a dyn Recipient,
    memory: Remembering,
}

impl Recipient for Beside<'_> {
    fn wrap_file_key(&self, key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        self.memory.note(key);
        self.recipient.wrap_file_key(key)
    }
}

fn copy(key: &FileKey) -> FileKey {
    FileKey::init_with_mut(|bytes| bytes.copy_from_slice(key.expose_secret()))
}
