//! The parts of a URL that are secrets by themselves: services of messages put their keys into paths.

/// The length from which a part is a secret, unless it is a plain word.
const LEAST_BYTES: usize = 8;
/// The length from which a plain word is one, too: a topic that is not to be guessed.
const LEAST_WORD_BYTES: usize = 16;

/// Returns the parts of a URL's path and query that no message may repeat, and a password in it.
pub fn secret_parts(url: &str) -> Vec<String> {
    let Some((_, rest)) = url.split_once("://") else {
        return Vec::new();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let login = authority.rsplit_once('@').map(|(login, _)| login);
    let password = login.and_then(|login| login.split_once(':'));
    let is_secret = |part: &&str| {
        let is_word = part.bytes().all(|byte| byte.is_ascii_lowercase());
        let least = match is_word {
            true => LEAST_WORD_BYTES,
            false => LEAST_BYTES,
        };
        part.trim().len() >= least
    };
    let parts = path.split(['/', '?', '&', '=', '#']).filter(is_secret);
    let parts = parts.chain(password.map(|(_, password)| password));
    parts.map(|part| part.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_in_a_path_are_secrets_and_words_are_not() {
        for (url, secrets) in [
            (
                "https://hooks.example.org:8443/services/T0001/B0002CDEF/AbcDef123456?token=xyzXYZ123",
                &["B0002CDEF", "AbcDef123456", "xyzXYZ123"][..],
            ),
            ("https://ntfy.example.org/backups", &[]),
            (
                "https://ntfy.example.org/thetopicofthenight",
                &["thetopicofthenight"],
            ),
            ("https://me:hunter2@h/incoming", &["hunter2"]),
            ("file:/etc/hookshot/a-long-name", &[]),
            ("https://a-very-long-host-name.example.org", &[]),
        ] {
            assert_eq!(secret_parts(url), secrets, "{url}");
        }
    }
}
