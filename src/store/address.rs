//! The addresses of destinations, as URLs and configuration name them: a folder, a bucket with a prefix, or a server
//! with a folder.

use std::{
    ffi::OsStr,
    fmt,
    path::{Path, PathBuf},
};

pub use super::misread::{masked, read};
use super::{
    misread::{Word, at_aws, url_parts},
    shape::is_bucket,
};
use crate::{
    error::{Failure, Kind},
    model::{entry_name::printable, written::unexpanded},
};

/// The address of a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A bucket or container of an object store, and the prefix of its keys.
    Bucket {
        /// The kind of store.
        provider: Provider,
        /// The bucket or container.
        bucket: String,
        /// Without slashes at the ends; empty for none.
        prefix: String,
    },
    /// A folder of an SSH server.
    Sftp {
        /// The user of the login; if none, as ssh is configured.
        user: Option<String>,
        /// The server, or a name that ssh's configuration knows.
        host: String,
        /// Its port; if none, as ssh is configured.
        port: Option<u16>,
        /// The folder, relative to the folder in which the login begins unless it starts with a slash.
        folder: String,
    },
}

/// A kind of object store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// Amazon S3, and any server that speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
}

impl Provider {
    /// Returns the scheme of its URLs.
    pub const fn scheme(self) -> &'static str {
        match self {
            Provider::S3 => "s3",
            Provider::Gcs => "gs",
            Provider::Azure => "az",
        }
    }
}

/// Tells a URL from a path of this machine, in a word of the command line that names an archive. An existing file
/// counts as a path, whatever its name.
pub fn word(text: &str) -> Result<Word<'_>, String> {
    if url_parts(text).is_none() && Path::new(text).is_file() {
        return Ok(Word::Path);
    }
    read(text)
}

/// Returns the text of a word of the command line; `None` for a path of this machine that is not UTF-8. A destination
/// and a remote address have names in UTF-8. The fault never repeats a password.
pub fn text_of(word: &OsStr) -> Result<Option<&str>, String> {
    if let Some(text) = word.to_str() {
        return Ok(Some(text));
    }
    let lossy = word.to_string_lossy();
    if lossy.starts_with('@') {
        return Err(format!(
            "{} is not UTF-8, as names of destinations are; a path of such a name is written with ./ before it",
            printable(&lossy)
        ));
    }
    if url_parts(&lossy).is_none() && Path::new(word).is_file() {
        return Ok(None);
    }
    match read(&lossy)? {
        Word::Path => Ok(None),
        Word::Url(url) => {
            let (scheme, _) = url_parts(&url).unwrap_or_default();
            Err(format!(
                "a URL of {scheme} is UTF-8, and this one has other bytes; a path of such a name is written with ./ before it"
            ))
        }
    }
}

/// Refuses a path that looks like a remote address, unless it exists.
pub fn require_path(path: &Path) -> Result<(), Failure> {
    let text = path.symlink_metadata().is_err();
    let text = text.then(|| path.to_string_lossy());
    match text.as_deref().map(read) {
        None | Some(Ok(Word::Path)) => Ok(()),
        Some(Ok(Word::Url(url))) => {
            // It may hold a password.
            let (scheme, _) = url_parts(&url).unwrap_or_default();
            let message = format!("a URL of {scheme} is not a path of this machine");
            Err(Failure::new(Kind::Usage, message)
                .hint("a folder of such a name is written with ./ before it"))
        }
        Some(Err(fault)) => Err(Failure::new(Kind::Usage, fault)),
    }
}

impl Address {
    /// Parses a word of the command line: a URL, or the path of a folder, which may contain bytes that are not UTF-8.
    pub fn of_word(word: &OsStr) -> Result<Address, String> {
        if let Some(text) = text_of(word)? {
            return Address::parse(text);
        }
        match unexpanded(&word.to_string_lossy(), "there") {
            Some(fault) => Err(fault),
            None => Ok(Address::Folder(PathBuf::from(word))),
        }
    }

    /// Parses a URL, or the path of a folder. The fault never repeats a password.
    pub fn parse(text: &str) -> Result<Address, String> {
        let url = match read(text)? {
            Word::Url(url) => url,
            Word::Path => {
                return match unexpanded(text, "there") {
                    Some(fault) => Err(fault),
                    None => Ok(Address::Folder(PathBuf::from(text))),
                };
            }
        };
        let (scheme, rest) = url_parts(&url).unwrap_or_default();
        if rest.chars().any(char::is_control) {
            return Err(format!("a URL of {scheme} has no control characters"));
        }
        if rest.contains(['?', '#']) {
            return Err(format!(
                "a URL of {scheme} has no `?` and no `#`: options belong under [backup.destinations]"
            ));
        }
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if scheme == "file" {
            return if host.is_empty() {
                Ok(Address::Folder(PathBuf::from(format!("/{path}"))))
            } else {
                Err("a URL of file names no host: file:///folder".to_owned())
            };
        }
        // A password may contain slashes; any other text after a `:` is a port.
        let is_cut = path.contains('@')
            && !host.ends_with(']')
            && host
                .rsplit_once(':')
                .is_some_and(|(_, port)| !port.bytes().all(|byte| byte.is_ascii_digit()));
        if is_cut
            || host
                .rsplit_once('@')
                .is_some_and(|(user, _)| user.contains(':'))
        {
            return Err(format!(
                "a password does not belong in a URL of {scheme}: others see command lines"
            ));
        }
        let bucket = |provider| {
            if let Some(fault) = is_server(provider, scheme, host, path) {
                return Err(fault);
            }
            if host.is_empty() || host.contains(['@', ':']) {
                return Err(format!("{scheme}://BUCKET/PREFIX names no bucket here"));
            }
            let prefix = path.trim_matches('/');
            if !is_bucket(host) {
                return Err(format!(
                    "{host:?} cannot be the name of a bucket: it has letters, digits, `.`, `_` and `-`"
                ));
            }
            if prefix.split('/').any(|part| matches!(part, "." | ".."))
                || prefix.contains("//")
                || !prefix.chars().all(is_of_key)
            {
                return Err(format!("{prefix:?} cannot be the prefix of keys"));
            }
            Ok(Address::Bucket {
                provider,
                bucket: host.to_owned(),
                prefix: prefix.to_owned(),
            })
        };
        match scheme {
            "s3" => bucket(Provider::S3),
            "gs" => bucket(Provider::Gcs),
            "az" => bucket(Provider::Azure),
            "sftp" => sftp(host, path),
            _ => Err(format!("{scheme}:// is not understood")),
        }
    }

    /// Splits the last part off the path. Returns the address of the destination and the name of the archive; `None` if
    /// the name is missing.
    pub fn parse_archive(text: &str) -> Result<Option<(Address, String)>, String> {
        let url = match read(text)? {
            Word::Url(url) => url,
            Word::Path => text.into(),
        };
        let Some((place, name)) = url.rsplit_once('/').filter(|(_, name)| !name.is_empty()) else {
            return Ok(None);
        };
        // `s3://bucket` alone.
        if place.ends_with('/') || place.ends_with(':') {
            return Ok(None);
        }
        // The right spelling that a fault suggests is that of the whole word.
        let place = Address::parse(place);
        let place = place.map_err(|fault| Address::parse(&url).err().unwrap_or(fault))?;
        Ok(Some((place, name.to_owned())))
    }
}

/// Returns the right spelling of a URL that names a server or an ARN instead of a bucket.
fn is_server(provider: Provider, scheme: &str, host: &str, path: &str) -> Option<String> {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let has_port = (host.rsplit_once(':')).is_some_and(|(_, port)| is_port(port));
    if has_port && !host.contains('@') {
        return Some(format!(
            "{host:?} is a server, and no bucket: write {scheme}://BUCKET/PREFIX, and the server as the destination's `endpoint`"
        ));
    }
    if provider != Provider::S3 {
        return None;
    }
    let or_word = |bucket: &str| match is_bucket(bucket) {
        true => bucket.to_owned(),
        false => "BUCKET".to_owned(),
    };
    if let Some(bucket) = host.strip_prefix("arn:aws:s3:::") {
        let bucket = or_word(bucket);
        return Some(format!(
            "a bucket is not named by its ARN: write s3://{bucket} in its place"
        ));
    }
    let right = at_aws(host, path)?;
    let path = path.trim_matches('/');
    let behind = if path.is_empty() { "" } else { "/" };
    Some(format!(
        "{host:?} is a server of AWS, and no bucket: write {right} in place of s3://{host}{behind}{path}, and where the bucket is as the destination's `region`, or in AWS_REGION"
    ))
}

/// True for characters that stay as they are in a key. Others would be encoded, and other programs would not find the
/// keys.
fn is_of_key(letter: char) -> bool {
    matches!(letter, ' '..='~') && !r#"\{}^%`[]"<>~#|*?"#.contains(letter)
}

/// Returns true for a word that ssh takes as a host or a user. ssh_config(5) may give both to a shell (`ProxyCommand`,
/// `Match exec`), and a word that begins with `-` would be an option.
pub fn is_ssh_word(word: &str) -> bool {
    let is_plain = |letter: char| {
        letter.is_alphanumeric() || matches!(letter, '.' | '_' | '-' | ':' | '@' | '+' | '%')
    };
    !word.is_empty() && !word.starts_with('-') && word.chars().all(is_plain)
}

/// Reads an IPv6 address, which stands in brackets in a URL, with its zone (RFC 4007, RFC 6874).
fn ipv6(text: &str) -> Option<String> {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone.strip_prefix("25").unwrap_or(zone))),
        None => (text, None),
    };
    let address: std::net::Ipv6Addr = address.parse().ok()?;
    match zone {
        None => Some(address.to_string()),
        Some(zone) => {
            let is_name =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
            let is_zone = !zone.is_empty() && zone.bytes().all(is_name);
            is_zone.then(|| format!("{address}%{zone}"))
        }
    }
}

/// Reads the host and the port of a URL of sftp.
fn host_and_port(text: &str) -> Result<(String, Option<u16>), String> {
    let nowhere = || "sftp://USER@HOST/FOLDER names no host that ssh could take".to_owned();
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let closed = rest.split_once(']');
        let host = closed.and_then(|(host, _)| ipv6(host));
        let behind = closed.map_or("", |(_, behind)| behind);
        let host = host.ok_or_else(|| {
            "brackets are for IPv6 addresses: sftp://USER@[2001:db8::1]:22/FOLDER".to_owned()
        })?;
        match behind.strip_prefix(':') {
            None if behind.is_empty() => (host, None),
            port => (host, Some(port.ok_or_else(nowhere)?)),
        }
    } else if text.matches(':').count() > 1 {
        return Err(
            "an IPv6 address stands in brackets: sftp://USER@[2001:db8::1]:22/FOLDER".to_owned(),
        );
    } else {
        match text.rsplit_once(':') {
            Some((host, port)) => (host.to_owned(), Some(port)),
            None => (text.to_owned(), None),
        }
    };
    if !is_ssh_word(&host) {
        return Err(nowhere());
    }
    let port = port.map(|port| {
        let number: Option<std::num::NonZeroU16> = port.parse().ok();
        let number = number.filter(|_| port.bytes().all(|byte| byte.is_ascii_digit()));
        number.ok_or_else(|| format!("{port:?} is not a port: sftp://USER@HOST:PORT/FOLDER"))
    });
    Ok((host, port.transpose()?.map(std::num::NonZeroU16::get)))
}

fn sftp(host: &str, path: &str) -> Result<Address, String> {
    let (user, host) = match host.rsplit_once('@') {
        Some((user, host)) => (Some(user.to_owned()), host),
        None => (None, host),
    };
    let (host, port) = host_and_port(host)?;
    if user.as_deref().is_some_and(|user| !is_ssh_word(user)) {
        return Err("sftp://USER@HOST/FOLDER names no user that ssh could take".to_owned());
    }
    // As in scp's URLs: `//` or `/./`-less paths begin at the root, `~` is where the login begins.
    let folder = match path.strip_prefix("~/") {
        Some(below) => below.to_owned(),
        None if path == "~" => ".".to_owned(),
        None => format!("/{path}"),
    };
    let folder = match folder.trim_end_matches('/') {
        "" => "/".to_owned(),
        folder => folder.to_owned(),
    };
    Ok(Address::Sftp {
        user,
        host,
        port,
        folder,
    })
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Folder(path) => write!(f, "{}", path.display()),
            Address::Bucket {
                provider,
                bucket,
                prefix,
            } => {
                write!(f, "{}://{bucket}", provider.scheme())?;
                if prefix.is_empty() {
                    Ok(())
                } else {
                    write!(f, "/{prefix}")
                }
            }
            Address::Sftp {
                user,
                host,
                port,
                folder,
            } => {
                f.write_str("sftp://")?;
                if let Some(user) = user {
                    write!(f, "{user}@")?;
                }
                match host.contains(':') {
                    true => write!(f, "[{}]", host.replacen('%', "%25", 1))?,
                    false => f.write_str(host)?,
                }
                if let Some(port) = port {
                    write!(f, ":{port}")?;
                }
                match folder.strip_prefix('/') {
                    Some(below) => write!(f, "/{below}"),
                    None if folder == "." => f.write_str("/~"),
                    None => write!(f, "/~/{folder}"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_kind_is_understood_and_shown_as_it_was() {
        for text in [
            "s3://bucket",
            "s3://bucket/a/b",
            "gs://bucket/a",
            "az://container/a",
            "sftp://me@host:2222/srv/backups",
            "sftp://host/~/backups",
            "sftp://host/~",
            "sftp://me@[::1]/~/backups",
            "sftp://me@[2001:db8::1]:2222/srv",
            "sftp://[fe80::1%25eth0]/srv",
            "sftp://me@corp@host/srv",
            "/var/backups",
            "backups",
        ] {
            assert_eq!(Address::parse(text).expect(text).to_string(), text);
        }
        let folder = Address::parse("file:///var/x").expect("a folder");
        assert_eq!(folder, Address::Folder(PathBuf::from("/var/x")));
    }

    #[test]
    fn what_is_not_understood_is_refused_and_no_password_repeated() {
        for text in [
            "ftp://host/x",
            "https://host/bucket",
            "s3:///x",
            "s3://key:hunter2@bucket/x",
            "sftp://me:hunter2@host/x",
            "sftp://-oProxyCommand=x/y",
            "sftp://host:hunter2/x",
            "sftp://host:/x",
            "sftp://host:0/x",
            "sftp://host:+22/x",
            "sftp://host:65536/x",
            "sftp://::1/x",
            "sftp://me@2001:db8::1/x",
            "sftp://[::1/x",
            "sftp://[::1]22/x",
            "sftp://[::1]:/x",
            "sftp://[host]/x",
            "sftp://[fe80::1%25]/x",
            "sftp://[fe80::1%25;id]/x",
            "sftp:///x",
            "sftp://@host/x",
            "sftp://ho st/x",
            "sftp://h`id`/x",
            "sftp://$(id)@host/x",
            "sftp://-x@host/x",
            "s3://bucket/x?hunter2",
            "s3://bucket/../x",
            "file://host/x",
        ] {
            let fault = Address::parse(text).expect_err(text);
            assert!(
                text.starts_with("sftp://host") || !fault.contains("hunter2"),
                "{fault}"
            );
        }
    }

    #[test]
    fn an_archive_is_a_place_and_a_name() {
        let (place, name) = Address::parse_archive("s3://bucket/a/x.tar.gz")
            .expect("good")
            .expect("a name");
        assert_eq!(
            (place.to_string().as_str(), name.as_str()),
            ("s3://bucket/a", "x.tar.gz")
        );
        for text in ["s3://bucket", "s3://bucket/a/", "s3://"] {
            assert_eq!(Address::parse_archive(text), Ok(None), "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "(s3|gs|az|sftp|file)?(://)?[a-z@:/~.?#-]{0,20}") {
            let _ = Address::parse(&text);
            let _ = Address::parse_archive(&text);
        }
    }
}
