//! The right spelling of words that are not written as hookshot writes them. No fault repeats a password.

use super::{
    aws::{at_aws, aws_url},
    kinds::pattern,
    masked::{has_password, shown},
    schemes::{LIKE_S3, LIKE_SFTP, SYNONYMS, is_known},
};

/// Returns the fault of a bucket with its server: those are two settings.
pub(super) fn on_server(rest: &str, text: &str) -> String {
    let (scheme, place) = rest.split_once("://").unwrap_or(("https", rest));
    let place = place.trim_matches('/');
    let (server, path) = place.split_once('/').unwrap_or((place, ""));
    let bucket = match path.trim_matches('/') {
        "" => "BUCKET/PREFIX".to_owned(),
        path => shown(path),
    };
    if let Some(right) = at_aws(server, path) {
        let right = format!("{right}, with the destination's `region` or AWS_REGION");
        return meant(text, &right);
    }
    let server = shown(server);
    let scheme = if scheme == "http" { "http" } else { "https" };
    let url = format!(
        "s3://{bucket}, with the destination's `endpoint = \"{scheme}://{server}\"` or AWS_ENDPOINT_URL"
    );
    meant(text, &url)
}

/// Returns the fault of a word with a `:` after an unknown scheme: most likely a folder on another machine.
pub(super) fn elsewhere(name: &str, rest: &str, text: &str) -> String {
    // A password may contain slashes.
    if rest.contains('@') {
        return secret("sftp://USER@HOST/FOLDER");
    }
    let first = rest.split('/').next().unwrap_or_default();
    let is_host = |text: &str| {
        let host = text.rsplit('@').next().unwrap_or_default();
        let is_plain = |letter: char| letter.is_alphanumeric() || matches!(letter, '.' | '_' | '-');
        !host.is_empty() && host.chars().all(is_plain)
    };
    if name.contains('/') || !is_host(name) {
        return format!(
            "{} has a `:` before the first slash: a path of this machine is written with ./ before it, a place \
            elsewhere as s3://, gs://, az:// or sftp://",
            shown(text)
        );
    }
    let (user, host) = match name.rsplit_once('@') {
        Some((user, host)) => (format!("{user}@"), host),
        None => (String::new(), name),
    };
    let port = first.parse::<u16>().ok().filter(|_| rest.contains('/'));
    let url = match port {
        Some(port) => format!("sftp://{user}{host}:{port}/{}", &rest[first.len() + 1..]),
        None => sftp_url(&user, host, rest),
    };
    meant(text, &shown(&url))
}

/// Returns the URL of a folder that scp would name: relative to the folder in which the login begins, or from the root.
pub(super) fn sftp_url(user: &str, host: &str, folder: &str) -> String {
    let folder = match folder.strip_prefix('/') {
        Some(below) => below.to_owned(),
        None if folder.is_empty() || folder == "~" => "~".to_owned(),
        None => format!("~/{}", folder.strip_prefix("~/").unwrap_or(folder)),
    };
    format!("sftp://{user}{host}/{folder}")
}

/// Returns the fault of a URL, or of a word, of another program.
pub(super) fn foreign_url(name: &str, rest: &str, text: &str) -> String {
    let understood = "there are s3://, gs://, az://, sftp:// and paths";
    if LIKE_S3.contains(&name) {
        return format!(
            "{name}: is not understood; what speaks the protocol of S3 is s3://BUCKET/PREFIX, with the destination's \
            `endpoint` or AWS_ENDPOINT_URL"
        );
    }
    if LIKE_SFTP.contains(&name) {
        let rest = rest.trim_start_matches('/');
        return match rest
            .split('/')
            .next()
            .is_some_and(|server| server.matches(':').count() > 1 || has_password(rest))
        {
            true => format!("{name}: is not understood; write sftp://USER@HOST/FOLDER"),
            false => format!("{name}: is not understood; write sftp://{}", shown(rest)),
        };
    }
    match name {
        "http" | "https" if aws_url(rest).is_some() => format!(
            "{name}:// is not understood; write {}, and where the bucket is as the destination's `region`, or in AWS_REGION",
            aws_url(rest).unwrap_or_default()
        ),
        "http" | "https" => format!(
            "{} is not understood; a bucket is s3://BUCKET/PREFIX, and its server is the destination's `endpoint`, or AWS_ENDPOINT_URL",
            shown(text)
        ),
        "s3a" | "s3n" | "gcs" | "azure" | "local" => {
            let scheme = SYNONYMS
                .iter()
                .find(|(synonym, _)| *synonym == name)
                .map_or(name, |(_, scheme)| scheme);
            if has_password(rest) {
                return secret(pattern(scheme));
            }
            let rest = if scheme == "file" {
                format!("/{}", rest.trim_start_matches('/'))
            } else {
                rest.to_owned()
            };
            format!(
                "{name}:// is not understood; write {scheme}://{}",
                shown(&rest)
            )
        }
        _ if is_known(name) => format!(
            "{name}: is not understood; {understood}: mount it, or let another program offer it as one of these"
        ),
        _ => format!("{}:// is not understood; {understood}", shown(name)),
    }
}

/// Returns the fault of a path as Windows writes it.
pub(super) fn windows(text: &str) -> Option<String> {
    let mut letters = text.chars();
    let is_drive = letters
        .next()
        .is_some_and(|letter| letter.is_ascii_alphabetic())
        && letters.next() == Some(':')
        && matches!(letters.next(), None | Some('\\' | '/'));
    let is_share = ["\\\\", ".\\", "..\\", "~\\"]
        .iter()
        .any(|begins| text.starts_with(begins));
    (is_drive || is_share).then(|| {
        format!(
            "{} looks like a path of Windows: write where it is mounted here, such as /mnt/backup, or ./ before it if \
            a folder is called so",
            shown(text)
        )
    })
}

pub(super) fn meant(text: &str, url: &str) -> String {
    format!(
        "{} is not understood; write {url}, or ./{} if a path of this machine is meant",
        shown(text),
        shown(text)
    )
}

pub(super) fn secret(url: &str) -> String {
    format!(
        "a key or a password does not belong there, because others see command lines; write {url}"
    )
}
