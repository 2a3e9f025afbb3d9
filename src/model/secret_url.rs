//! The parts of a URL that are secrets by themselves: services of messages put their keys into paths.

use super::secret_forms::{base64, percent_decoded};

/// The length from which a part is a secret, unless it is a plain word.
const LEAST_BYTES: usize = 8;
/// The length from which a plain word is one, too: a topic that is not to be guessed.
const LEAST_WORD_BYTES: usize = 16;
/// Characters that end a URL in a line of a shell.
const ENDS: [char; 12] = ['"', '\'', '`', ';', '|', '<', '>', '(', ')', '{', '}', '\\'];

/// Returns the parts of a URL that no message may repeat: keys in its path and query, and its login. Each comes in
/// every form in which a server may repeat it.
pub fn secret_parts(url: &str) -> Vec<String> {
    let Some((login, path)) = login_and_path(url) else {
        return Vec::new();
    };
    let mut secrets = Vec::new();
    // A key may stand in place of the user.
    let user = login.filter(|login| !login.contains(':'));
    let parts = path.split(['/', '?', '&', '=', '#']).chain(user);
    for part in parts.filter(|part| is_secret(part)) {
        let part = part.trim();
        secrets.push(part.to_owned());
        secrets.extend(percent_decoded(part));
    }
    secrets.extend(login_secrets(url));
    secrets
}

/// Returns the password of a URL in every form in which a server may repeat it: as it is written, as it is meant, and
/// with the user as in a header of HTTP.
pub fn login_secrets(url: &str) -> Vec<String> {
    let login = login_and_path(url).and_then(|(login, _)| login);
    let Some((user, password)) = login.and_then(|login| login.split_once(':')) else {
        return Vec::new();
    };
    let meant = |text: &str| percent_decoded(text).unwrap_or_else(|| text.to_owned());
    let header = base64(format!("{}:{}", meant(user), meant(password)).as_bytes());
    let mut secrets = vec![password.to_owned(), header];
    secrets.extend(percent_decoded(password));
    secrets
}

/// Returns the URLs of HTTP in a command.
pub fn urls_in(command: &str) -> Vec<&str> {
    let words = command.split(|letter: char| letter.is_whitespace() || ENDS.contains(&letter));
    let urls = words.filter_map(|word| {
        let lower = word.to_ascii_lowercase();
        let begin = lower.find("https://").into_iter();
        let begin = begin.chain(lower.find("http://")).min()?;
        word.get(begin..)
    });
    urls.collect()
}

/// Splits a URL into its login and all that follows the server.
fn login_and_path(url: &str) -> Option<(Option<&str>, &str)> {
    let (_, rest) = url.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let login = authority.rsplit_once('@').map(|(login, _)| login);
    Some((login, path))
}

fn is_secret(part: &str) -> bool {
    let is_word = part.bytes().all(|byte| byte.is_ascii_lowercase());
    let least = match is_word {
        true => LEAST_WORD_BYTES,
        false => LEAST_BYTES,
    };
    part.trim().len() >= least
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
            (
                "https://h/a%20key%20it%20is",
                &["a%20key%20it%20is", "a key it is"],
            ),
            (
                "https://me:hunter%402@h/incoming",
                &["hunter%402", "bWU6aHVudGVyQDI=", "hunter@2"],
            ),
            ("https://AbcDef123456@h/incoming", &["AbcDef123456"]),
            ("https://backup@h/incoming", &[]),
            ("file:/etc/hookshot/a-long-name", &[]),
            ("https://a-very-long-host-name.example.org", &[]),
        ] {
            assert_eq!(secret_parts(url), secrets, "{url}");
        }
    }

    #[test]
    fn urls_are_found_in_a_line_of_a_shell() {
        for (line, urls) in [
            ("systemctl stop shop", &[][..]),
            (
                "curl -fsS 'https://h/a?b=c&d' || curl -d x=HTTP://g/e; true",
                &["https://h/a?b=c&d", "HTTP://g/e"],
            ),
            (
                "x=\"$(curl http://me:hunter2@h)\"",
                &["http://me:hunter2@h"],
            ),
        ] {
            assert_eq!(urls_in(line), urls, "{line}");
        }
    }
}
