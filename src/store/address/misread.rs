//! Words that look like a remote address but are not written as hookshot writes one: spellings of other programs, and
//! typing errors.
//!
//! A folder of such a name would be created on this machine, and the backup would not be at the expected destination.
//! So a word whose first part contains a `:` is never a path. Known spellings are read; all others are refused with the
//! right spelling. `./` makes a path of any word.

use std::borrow::Cow;

use super::{
    kinds::{RESTIC, is_ours, pattern},
    masked::{has_password, shown},
    schemes::{SYNONYMS, is_known, url_parts},
    spelling::{elsewhere, foreign_url, meant, on_server, secret, sftp_url, windows},
};

/// The meaning of a word that names a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word<'a> {
    /// A path of this machine.
    Path,
    /// A URL of a supported scheme, as hookshot writes it.
    Url(Cow<'a, str>),
}

/// Tells a URL from a path; refuses a word that looks like another program's, with the right spelling.
///
/// The fault repeats no password of the word.
pub fn read(text: &str) -> Result<Word<'_>, String> {
    if let Some(fault) = windows(text) {
        return Err(fault);
    }
    if let Some(place) = text
        .strip_prefix(RESTIC)
        .filter(|place| !place.starts_with("//"))
    {
        return match read(place)? {
            _ if place.is_empty() || place.starts_with(RESTIC) => Err(meant(text, "restic:URL")),
            Word::Path => Ok(Word::Url(Cow::Borrowed(text))),
            Word::Url(url) => Ok(Word::Url(Cow::Owned(format!("{RESTIC}{url}")))),
        };
    }
    if let Some((scheme, rest)) = url_parts(text) {
        let lower = scheme.to_ascii_lowercase();
        return if is_ours(&lower) {
            Ok(Word::Url(match lower == scheme {
                true => Cow::Borrowed(text),
                false => Cow::Owned(format!("{lower}://{rest}")),
            }))
        } else {
            Err(foreign_url(&lower, rest, text))
        };
    }
    let first = text.split('/').next().unwrap_or_default();
    if let Some((name, rest)) = text.split_once(':').filter(|_| first.contains(':')) {
        return named(name, rest, text);
    }
    // `s3//bucket`.
    let lower = first.to_ascii_lowercase();
    let is_scheme = is_ours(&lower) || is_known(&lower);
    if is_scheme && let Some(rest) = text[first.len()..].strip_prefix("//") {
        return Err(match is_ours(&lower) {
            true if has_password(rest) => secret(pattern(&lower)),
            true => meant(text, &format!("{lower}://{}", shown(rest))),
            false => foreign_url(&lower, rest, text),
        });
    }
    Ok(Word::Path)
}

/// Reads a word `NAME:REST`.
fn named<'a>(name: &str, rest: &str, text: &str) -> Result<Word<'a>, String> {
    let lower = name.to_ascii_lowercase();
    let synonym = SYNONYMS.iter().find(|(synonym, _)| *synonym == lower);
    match synonym.map_or(lower.as_str(), |(_, scheme)| scheme) {
        scheme @ ("s3" | "gs" | "az") => bucket(scheme, rest, text),
        "sftp" => sftp(rest, text),
        "file" => match rest.starts_with('/') {
            true => Ok(Word::Url(Cow::Owned(format!(
                "file:///{}",
                rest.trim_start_matches('/')
            )))),
            false => Err(meant(text, &format!("./{}", shown(rest)))),
        },
        other if is_ours(other) => Err(meant(text, pattern(other))),
        other if is_known(other) => Err(foreign_url(other, rest.trim_start_matches('/'), text)),
        _ if is_time(text) => Ok(Word::Path),
        _ => Err(elsewhere(name, rest, text)),
    }
}

/// Reads `s3:BUCKET/PREFIX`, `gs:BUCKET:/PREFIX`, and restic's `s3:SERVER/BUCKET/PREFIX`.
fn bucket<'a>(scheme: &str, rest: &str, text: &str) -> Result<Word<'a>, String> {
    if rest.contains('@') {
        return Err(secret(&format!("{scheme}://BUCKET/PREFIX")));
    }
    let is_server = rest.contains("://") || {
        let first = rest.split('/').next().unwrap_or_default();
        let port = first.split_once(':').map(|(_, port)| port);
        let is_port = port
            .is_some_and(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
        first == "localhost" || first.contains('.') || is_port
    };
    if is_server && scheme == "s3" {
        return Err(on_server(rest, text));
    }
    if rest.contains("://") {
        let url = format!("{}, with the destination's `endpoint`", pattern(scheme));
        return Err(meant(text, &url));
    }
    let without = rest.trim_start_matches('/');
    if without.is_empty() {
        return Err(meant(text, &format!("{scheme}://BUCKET/PREFIX")));
    }
    if rest.starts_with('/') {
        // `s3:/bucket`.
        return Err(meant(text, &format!("{scheme}://{}", shown(without))));
    }
    let (bucket, prefix) = match without.split_once([':', '/']) {
        Some((bucket, prefix)) => (bucket, prefix.trim_matches('/')),
        None => (without, ""),
    };
    let slash = if prefix.is_empty() { "" } else { "/" };
    Ok(Word::Url(Cow::Owned(format!(
        "{scheme}://{bucket}{slash}{prefix}"
    ))))
}

/// Reads `sftp:USER@HOST:/FOLDER`, `sftp:USER@HOST:FOLDER`.
fn sftp<'a>(rest: &str, text: &str) -> Result<Word<'a>, String> {
    let without = rest.trim_start_matches('/');
    let (user, behind) = match without.split('/').next().and_then(|first| first.rfind('@')) {
        Some(at) => (&without[..=at], &without[at + 1..]),
        None => ("", without),
    };
    if user.contains(':') || has_password(without) {
        return Err(secret("sftp://USER@HOST/FOLDER"));
    }
    if behind.is_empty() {
        return Err(meant(text, "sftp://USER@HOST/FOLDER"));
    }
    // The brackets of an IPv6 address contain colons.
    let closed = behind
        .find(']')
        .filter(|_| behind.starts_with('['))
        .unwrap_or(0);
    let colon = behind[closed..].find([':', '/']).map(|at| at + closed);
    match colon.filter(|_| without.len() == rest.len()) {
        Some(at) if behind[at..].starts_with(':') => {
            let (host, folder) = (&behind[..at], &behind[at + 1..]);
            Ok(Word::Url(Cow::Owned(sftp_url(user, host, folder))))
        }
        _ => Err(meant(text, &format!("sftp://{}", shown(without)))),
    }
}

/// True for names that contain a time, such as `state-12:30:00.tar.gz`: each `:` has two digits on both sides, and no
/// slash follows.
fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_digit = |at: Option<usize>| {
        at.and_then(|at| bytes.get(at))
            .is_some_and(u8::is_ascii_digit)
    };
    !text.contains('/')
        && text.match_indices(':').all(|(at, _)| {
            let before = at.checked_sub(3).and_then(|at| bytes.get(at));
            let stands_alone = before.is_none_or(|byte| !byte.is_ascii_digit() && *byte != b'.');
            is_digit(at.checked_sub(1))
                && is_digit(at.checked_sub(2))
                && stands_alone
                && is_digit(Some(at + 1))
                && is_digit(Some(at + 2))
        })
}

#[cfg(test)]
mod tests {
    use super::{super::masked::masked, *};
    use proptest::prelude::*;

    #[test]
    fn what_other_programs_write_is_read_if_it_is_known() {
        for (text, url) in [
            ("s3:bucket/path", "s3://bucket/path"),
            ("s3:bucket", "s3://bucket"),
            ("S3:bucket/a/b/", "s3://bucket/a/b"),
            ("s3a:bucket/path", "s3://bucket/path"),
            ("gs:bucket:/path", "gs://bucket/path"),
            ("gcs:bucket/path", "gs://bucket/path"),
            ("az:container:/path", "az://container/path"),
            ("azure:container:path", "az://container/path"),
            ("sftp:me@host:/srv/backups", "sftp://me@host/srv/backups"),
            ("sftp:me@host:backups", "sftp://me@host/~/backups"),
            ("sftp:host:", "sftp://host/~"),
            ("sftp:me@[::1]:/srv", "sftp://me@[::1]/srv"),
            ("file:/srv/x", "file:///srv/x"),
            ("local:/srv/x", "file:///srv/x"),
            ("S3://bucket/x", "s3://bucket/x"),
        ] {
            assert_eq!(read(text), Ok(Word::Url(url.into())), "{text}");
        }
    }

    #[test]
    fn what_looks_like_another_place_is_refused_with_the_right_spelling() {
        for (text, says) in [
            (
                "backup@vault:/backups",
                "write sftp://backup@vault/backups,",
            ),
            ("user@host:backups/", "write sftp://user@host/~/backups/,"),
            ("vault:backups", "write sftp://vault/~/backups,"),
            ("vault:2222/backups", "write sftp://vault:2222/backups,"),
            ("s3:/b", "write s3://b,"),
            ("s3//b/x", "write s3://b/x,"),
            ("s3:", "write s3://BUCKET/PREFIX,"),
            (
                "s3:https://minio.example:9000/b/x",
                "write s3://b/x, with the destination's `endpoint = \"https://minio.example:9000\"`",
            ),
            (
                "s3:http://localhost:9000/b",
                "`endpoint = \"http://localhost:9000\"`",
            ),
            (
                "s3:minio.example/b",
                "`endpoint = \"https://minio.example\"`",
            ),
            (
                "s3:localhost:9000/b",
                "`endpoint = \"https://localhost:9000\"`",
            ),
            (
                "s3:s3.amazonaws.com/b/x",
                "write s3://b/x, with the destination's `region`",
            ),
            (
                "gs:https://storage.googleapis.com/b",
                "write gs://BUCKET/PREFIX, with the destination's `endpoint`",
            ),
            (
                "azure:http://127.0.0.1:10000/a/c",
                "write az://CONTAINER/PREFIX, with the destination's `endpoint`",
            ),
            ("sftp:host/srv", "write sftp://host/srv,"),
            ("sftp:/host/srv", "write sftp://host/srv,"),
            ("b2:bucket:path", "s3://BUCKET/PREFIX"),
            ("minio:bucket", "`endpoint`"),
            ("rest:http://host:8000/", "mount it"),
            ("rclone:remote:path", "mount it"),
            ("swift:container:/path", "mount it"),
            ("dropbox:backups", "mount it"),
            ("ssh://me@host/srv", "write sftp://me@host/srv"),
            ("https://minio.example/b", "AWS_ENDPOINT_URL"),
            ("http:/minio.example/b", "AWS_ENDPOINT_URL"),
            ("ftp://host/x", "s3://"),
            ("gcs://bucket/x", "write gs://bucket/x"),
            ("C:\\backups", "Windows"),
            ("d:/backups", "Windows"),
            ("\\\\server\\share", "Windows"),
            ("file:x", "write ./x,"),
            ("a b:c/d", "./ before it"),
            ("10.0.0.15:22/x", "write sftp://10.0.0.15:22/x"),
            ("me:hunter2@host/x", "password"),
            ("sftp:me:hunter2@host:/x", "password"),
            ("me:a/hunter2@host:/x", "password"),
            ("me:/hunter2@host:x", "password"),
            ("sftp:me:a/hunter2@host:/x", "password"),
            ("sftp://me:a/hunter2@host/x", "password"),
            ("m:/hunter2@host", "Windows"),
            ("file:me:hunter2@host", "./"),
            ("ssh://me:hunter2@host/x", "USER@HOST"),
            ("s3:key:hunter2@bucket", "password"),
            ("s3a://key:hunter2@bucket/x", "write s3://BUCKET/PREFIX"),
            ("s3n://key:a/hunter2@bucket", "password"),
            ("s3//key:hunter2@bucket/x", "password"),
            ("sftp//me:hunter2@host/x", "write sftp://USER@HOST"),
            ("scp://me:a/hunter2@host/x", "write sftp://USER@HOST"),
            ("https://store/b?sig=hunter2", "`endpoint`"),
        ] {
            let fault = super::super::Address::parse(text).expect_err(text);
            assert!(fault.contains(says), "{text}: {fault}");
            assert!(!fault.contains("hunter2"), "{fault}");
        }
    }

    #[test]
    fn a_word_is_repeated_without_its_password() {
        for (text, says) in [
            ("me:a/b@host:x", "me:***@host:x"),
            ("sftp://me:a@b@host/x", "sftp://me:***@host/x"),
            ("me:a://b@host", "me:***@host"),
            (
                "--map=/a=sftp://me:b@host/x",
                "--map=/a=sftp://me:***@host/x",
            ),
            ("sftp://me@host:22/x", "sftp://me@host:22/x"),
            ("@offsite/latest", "@offsite/latest"),
            ("/srv/a:b", "/srv/a:b"),
        ] {
            assert_eq!(masked(text), says);
        }
    }

    #[test]
    fn paths_are_paths() {
        for text in [
            "/srv/a:b",
            "./s3:b",
            "../a:b/c",
            ".",
            "backups",
            "a/b:c",
            "@x",
            "state.tar.gz",
            "s3/b",
            "s3",
            "state-12:30:00.tar.gz",
            "state-2026-11-29T03:00:00Z.tar.gz",
            "",
            "a\\b",
        ] {
            assert_eq!(read(text), Ok(Word::Path), "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_what_is_read_once_is_read_again(
            text in "(s3|gs|az|sftp|file|C|me@h)?(:/{0,3})?[a-z@:/~.?#ü\\[\\]\\\\0-9-]{0,20}",
        ) {
            if let Ok(Word::Url(url)) = read(&text) {
                prop_assert_eq!(read(&url), Ok(Word::Url(url.clone())));
            }
        }
    }
}
