//! Texts that a key seals, as restic seals them (its design document, "Keys, Encryption and MAC"): a nonce, the text under
//! AES-256 in counter mode, and a code by Poly1305-AES that proves both.

use aes256ctr_poly1305aes::{
    Aes256CtrPoly1305Aes, Key,
    aead::{Aead as _, Nonce},
};
use anyhow::{Context as _, Result};
use rustic_core::{Id, repofile::MasterKey};

/// The bytes of a nonce.
const NONCE_BYTES: usize = 16;

/// A key that seals texts.
#[derive(Clone)]
pub struct Sealing(Key);

impl Sealing {
    /// Returns the sealing by the key of a repository.
    pub fn by(master: &MasterKey) -> Result<Sealing> {
        Sealing::of(&master.encrypt, &master.mac.k, &master.mac.r)
    }

    /// Returns the sealing by a key of 32 bytes and the two numbers of its code, of 16 bytes each.
    pub fn of(encrypt: &[u8], k: &[u8], r: &[u8]) -> Result<Sealing> {
        let bytes = [encrypt, k, r].concat();
        let key: [u8; 64] = bytes.try_into().ok().context("a key of another length")?;
        Ok(Sealing(key.into()))
    }

    /// Returns the text, sealed.
    pub fn seal(&self, text: &[u8]) -> Result<Vec<u8>> {
        let nonce = random(NONCE_BYTES)?;
        let nonce = Nonce::<Aes256CtrPoly1305Aes>::from_slice(&nonce);
        let sealed = Aes256CtrPoly1305Aes::new(&self.0).encrypt(nonce, text);
        let sealed = sealed.ok().context("cannot seal a text")?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Returns the text; `None` if another key sealed it, or if it was changed.
    pub fn unseal(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES)?;
        let nonce = Nonce::<Aes256CtrPoly1305Aes>::from_slice(nonce);
        Aes256CtrPoly1305Aes::new(&self.0)
            .decrypt(nonce, sealed)
            .ok()
    }
}

/// Returns random bytes, as many as are asked for.
pub fn random(count: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(count);
    while bytes.len() < count {
        bytes.extend(hex::decode(Id::random().to_hex().as_str())?);
    }
    bytes.truncate(count);
    Ok(bytes)
}
