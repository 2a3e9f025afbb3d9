//! The addresses of destinations, as URLs and configuration name them: a folder, a bucket with a prefix, or a server
//! with a folder.

mod aws;
mod bucket;
mod kinds;
mod masked;
mod misread;
mod schemes;
mod server;
mod spelling;
mod words;

use std::{ffi::OsStr, path::PathBuf};

pub use self::{
    bucket::{BucketAddress, Provider},
    kinds::Address,
    masked::masked,
    misread::{Word, read},
    server::{ServerAddress, is_ssh_word},
    words::{require_path, text_of, word},
};
use self::{
    kinds::{FILE, RESTIC},
    schemes::url_parts,
};
use crate::model::written::unexpanded;

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
        if let Some(place) = url.strip_prefix(RESTIC) {
            return Ok(Address::Restic(Box::new(Address::parse(place)?)));
        }
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
        if scheme == FILE {
            return Address::of_url(scheme, host, path);
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
        Address::of_url(scheme, host, path)
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
            "restic:/srv/vault",
            "restic:s3://bucket/a",
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
