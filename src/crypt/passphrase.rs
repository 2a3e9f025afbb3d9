//! Passphrases: gotten once, when a file is met that needs one.

use std::sync::{Arc, Mutex, PoisonError};

use age::{
    DecryptError, Identity,
    secrecy::{ExposeSecret as _, SecretString},
};
use age_core::format::{FileKey, Stanza};

use crate::error::{Failure, Kind};

/// Gets a passphrase: asks the user on a terminal, or finds it elsewhere. `None` if the user gives none. The text says for
/// what it is.
///
/// Errors: [`Kind::Interrupted`] if the run is cancelled; the reason if it cannot be found.
pub type Ask = Arc<dyn Fn(&str) -> Result<Option<SecretString>, Failure> + Send + Sync>;

/// The reason why a passphrase could not be had.
pub(super) type Trouble = Arc<Mutex<Option<Failure>>>;

/// The largest work factor that is read: scrypt with N = 2^22 takes 4 GiB.
const MAX_WORK_FACTOR: u8 = 22;

/// A passphrase that is gotten once, when it is needed.
pub struct Passphrase {
    prompt: String,
    ask: Option<Ask>,
    given: Mutex<Option<Option<SecretString>>>,
    trouble: Trouble,
}

impl Passphrase {
    /// Returns a passphrase that `ask` gets. Why that fails is noted in `trouble`.
    pub(super) fn new(prompt: String, ask: Option<Ask>, trouble: &Trouble) -> Passphrase {
        let trouble = trouble.clone();
        Passphrase {
            prompt,
            ask,
            given: Mutex::default(),
            trouble,
        }
    }

    /// Returns the passphrase; `None` if it cannot be had.
    pub(super) fn get(&self) -> Option<SecretString> {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let given =
            given.get_or_insert_with(|| match self.ask.as_ref().map(|ask| ask(&self.prompt)) {
                Some(Ok(Some(passphrase))) => Some(passphrase),
                Some(Ok(None)) => {
                    self.fails("no passphrase was given");
                    None
                }
                Some(Err(failure)) => {
                    self.note(failure);
                    None
                }
                None => {
                    self.fails("it needs a passphrase, and no terminal is there to ask for it");
                    None
                }
            });
        given
            .as_ref()
            .map(|given| SecretString::from(given.expose_secret().to_owned()))
    }

    /// Notes why it is of no use.
    pub(super) fn fails(&self, why: &str) {
        self.note(Failure::new(Kind::Key, why));
    }

    fn note(&self, failure: Failure) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
    }
}

impl Identity for Passphrase {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        if stanza.tag != "scrypt" {
            return None;
        }
        of_passphrase(self.get()?).unwrap_stanza(stanza)
    }
}

/// Returns the identity of a passphrase.
pub(super) fn of_passphrase(passphrase: SecretString) -> age::scrypt::Identity {
    let mut identity = age::scrypt::Identity::new(passphrase);
    identity.set_max_work_factor(MAX_WORK_FACTOR);
    identity
}
