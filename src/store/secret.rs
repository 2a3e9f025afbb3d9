//! Values that must never be shown.

use std::fmt;

use zeroize::Zeroize as _;

/// A value that must never be shown. Its memory is cleared when it is dropped.
///
/// Not promised: that copies are cleared which other crates make, such as a client of HTTP of its headers.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Secret {
        Secret(value.into())
    }

    /// Returns the value, for the code that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A function that resolves a secret, if there is one.
pub(super) type Resolve<'a, S, T, E> = &'a mut dyn FnMut(Option<S>) -> Result<Option<T>, E>;
