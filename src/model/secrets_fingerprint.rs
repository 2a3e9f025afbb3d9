//! The fingerprint of a secrets file: it tells whether two machines have the same secrets, without holding them.

use std::{fmt, str::FromStr};

/// The first 16 bytes of HMAC-SHA-256 (RFC 2104) of a secrets file, with the name of the archive's root folder as the
/// key. So two archives of one machine have different fingerprints, and the same archive always has the same one.
///
/// It does not hide a secrets file that can be guessed: each guess can be tried.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretsFingerprint([u8; 16]);

#[cfg(feature = "cli")]
impl SecretsFingerprint {
    /// Returns the fingerprint of what `content` gives, in an archive with the root folder `root`.
    ///
    /// Errors: those of reading `content`.
    pub fn of(root: &str, mut content: impl std::io::Read) -> std::io::Result<SecretsFingerprint> {
        use hmac::{Hmac, KeyInit as _, Mac as _};

        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(root.as_bytes())
            .expect("HMAC takes keys of every length");
        let mut buffer = [0; 8192];
        loop {
            match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => mac.update(&buffer[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        zeroize::Zeroize::zeroize(&mut buffer);
        let code = mac.finalize().into_bytes();
        let mut first = [0; 16];
        first.copy_from_slice(&code[..16]);
        Ok(SecretsFingerprint(first))
    }
}

impl fmt::Display for SecretsFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for SecretsFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for SecretsFingerprint {
    type Err = hex::FromHexError;

    /// Accepts 32 hex characters of either case.
    fn from_str(text: &str) -> Result<SecretsFingerprint, hex::FromHexError> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(SecretsFingerprint(bytes))
    }
}

#[cfg(all(test, feature = "cli"))]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_is_that_of_openssl() {
        // printf 'token = "a"\n' | openssl dgst -sha256 -mac HMAC -macopt key:shop-20261121-045031
        let found = SecretsFingerprint::of("shop-20261121-045031", "token = \"a\"\n".as_bytes());
        let found = found.expect("memory can be read").to_string();
        assert_eq!(found, "ab5523de3e5f8089c222d7d5dba9c8cb");
        assert_eq!(
            found
                .to_uppercase()
                .parse::<SecretsFingerprint>()
                .map(|read| read.to_string()),
            Ok(found)
        );
    }

    #[test]
    fn another_content_and_another_root_have_another_fingerprint() {
        let of = |root: &str, text: &str| {
            SecretsFingerprint::of(root, text.as_bytes()).expect("memory can be read")
        };
        assert_eq!(of("a", "x"), of("a", "x"));
        assert_ne!(of("a", "x"), of("b", "x"));
        assert_ne!(of("a", "x"), of("a", "y"));
    }

    #[test]
    fn a_fingerprint_that_is_not_32_hex_characters_is_refused() {
        for text in ["", "abc", &"g".repeat(32), &"a".repeat(31), &"a".repeat(34)] {
            assert!(text.parse::<SecretsFingerprint>().is_err(), "{text}");
        }
    }
}
