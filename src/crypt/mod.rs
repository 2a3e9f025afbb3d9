//! Sealed archives: encrypted to public keys, opened by private ones, in the format age (age-encryption.org/v1).
//!
//! ```text
//! Recipients --seal--> Sealing (Write)   + the Keyring of this one file, which opens what was written
//! Keyring ----open---> Opened (Read, Seek)
//!         ----open_at> OpenedAt (ReadAt)
//! ```
//!
//! The age crate does all of the cryptography. Here is what hookshot asks of it, and what a failure means.

mod bounded;
mod guard;
pub mod header;
mod identity;
mod key_name;
mod keyring;
mod keys;
mod opened;
mod passphrase;
mod ranged;
mod recipients;
mod remembered;
mod sealing;
mod set_stanza;
mod whole_pieces;

pub use self::{
    guard::forbid_core_dumps,
    identity::{KeyPair, generate, is_secret, private_texts, public_keys, without_mark},
    key_name::KeyName,
    keyring::{Keyring, Trial},
    keys::Keys,
    opened::Opened,
    passphrase::Ask,
    ranged::OpenedAt,
    recipients::{PublicKey, Recipients, is_private_key},
    sealing::Sealing,
    whole_pieces::has_whole_pieces,
};
pub use age::secrecy::{ExposeSecret, SecretString};

#[cfg(test)]
mod tests;
