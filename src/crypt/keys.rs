//! The private keys of a run, loaded when the first sealed archive is met.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use super::keyring::Keyring;
use crate::error::Failure;

type Load = Arc<dyn Fn() -> Result<Keyring, Failure> + Send + Sync>;

/// The private keys of a run. A run that meets no sealed archive loads none, and asks for no passphrase.
#[derive(Clone, Default)]
pub struct Keys {
    load: Option<Load>,
    ring: Arc<OnceLock<Result<Arc<Keyring>, Failure>>>,
}

impl Keys {
    /// Returns the keys that `load` loads.
    pub fn lazily(load: impl Fn() -> Result<Keyring, Failure> + Send + Sync + 'static) -> Keys {
        Keys {
            load: Some(Arc::new(load)),
            ring: Arc::default(),
        }
    }

    /// Returns true if the user named any. A host that only seals has none.
    pub fn are_given(&self) -> bool {
        self.load.is_some()
    }

    /// Returns the keys; without any, an empty keyring. Fails if one that the user named cannot be loaded.
    pub fn ring(&self) -> Result<Arc<Keyring>, Failure> {
        let load = || match &self.load {
            Some(load) => load().map(Arc::new),
            None => Ok(Arc::default()),
        };
        self.ring.get_or_init(load).clone()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.are_given() { "keys" } else { "no keys" })
    }
}
