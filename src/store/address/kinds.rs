//! The kinds of addresses, with the schemes of their URLs.

use std::{fmt, path::PathBuf};

use super::{
    bucket::{BucketAddress, Provider},
    server::ServerAddress,
};

/// The address of a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A bucket of an object store.
    Bucket(BucketAddress),
    /// A folder of an SSH server.
    Sftp(ServerAddress),
    /// A repository in restic's format at another address.
    Restic(Box<Address>),
}

/// A scheme of URLs.
struct Scheme {
    name: &'static str,
    /// The form of its URLs, for messages.
    pattern: &'static str,
    /// Reads the host and the path.
    read: fn(&str, &str) -> Result<Address, String>,
}

const SCHEMES: [Scheme; 5] = [
    Scheme {
        name: Provider::S3.scheme(),
        pattern: "s3://BUCKET/PREFIX",
        read: |host, path| {
            Ok(Address::Bucket(BucketAddress::parse(
                Provider::S3,
                host,
                path,
            )?))
        },
    },
    Scheme {
        name: Provider::Gcs.scheme(),
        pattern: "gs://BUCKET/PREFIX",
        read: |host, path| {
            Ok(Address::Bucket(BucketAddress::parse(
                Provider::Gcs,
                host,
                path,
            )?))
        },
    },
    Scheme {
        name: Provider::Azure.scheme(),
        pattern: "az://CONTAINER/PREFIX",
        read: |host, path| {
            Ok(Address::Bucket(BucketAddress::parse(
                Provider::Azure,
                host,
                path,
            )?))
        },
    },
    Scheme {
        name: Address::SFTP,
        pattern: "sftp://USER@HOST/FOLDER",
        read: |host, path| Ok(Address::Sftp(ServerAddress::parse(host, path)?)),
    },
    Scheme {
        name: FILE,
        pattern: "file:///FOLDER",
        read: |host, path| match host {
            "" => Ok(Address::Folder(PathBuf::from(format!("/{path}")))),
            _ => Err("a URL of file names no host: file:///folder".to_owned()),
        },
    },
];

/// The beginning of the address of a repository.
pub(super) const RESTIC: &str = "restic:";

/// The scheme of folders.
pub(super) const FILE: &str = "file";

impl Address {
    /// The word for folders in messages about the configuration.
    pub const FOLDER: &str = "folder";
    /// The scheme of SSH servers, and the word for them.
    pub const SFTP: &str = "sftp";

    /// Reads the host and the path of a URL.
    pub(super) fn of_url(scheme: &str, host: &str, path: &str) -> Result<Address, String> {
        match find(scheme) {
            Some(scheme) => (scheme.read)(host, path),
            None => Err(format!("{scheme}:// is not understood")),
        }
    }

    /// Returns the word for its kind, in messages about the configuration.
    pub fn kind(&self) -> &'static str {
        match self {
            Address::Folder(_) => Address::FOLDER,
            Address::Bucket(bucket) => bucket.provider.scheme(),
            Address::Sftp(_) => Address::SFTP,
            Address::Restic(place) => place.kind(),
        }
    }

    /// Returns the address of its files: itself, unless it is that of a repository.
    pub fn place(&self) -> &Address {
        match self {
            Address::Restic(place) => place,
            address => address,
        }
    }

    /// Returns true if it is that of a repository.
    pub fn is_repository(&self) -> bool {
        matches!(self, Address::Restic(_))
    }

    /// Returns the feature of this program that its store needs, and true if the program was built with it.
    pub fn feature(&self) -> Option<(&'static str, bool)> {
        Some(match self {
            Address::Folder(_) => return None,
            Address::Bucket(bucket) => match bucket.provider {
                Provider::S3 => ("s3", cfg!(feature = "s3")),
                Provider::Gcs => ("gcs", cfg!(feature = "gcs")),
                Provider::Azure => ("azure", cfg!(feature = "azure")),
            },
            Address::Sftp(_) => ("sftp", cfg!(feature = "sftp")),
            Address::Restic(place) if cfg!(feature = "restic") => return place.feature(),
            Address::Restic(_) => ("restic", false),
        })
    }
}

fn find(scheme: &str) -> Option<&'static Scheme> {
    SCHEMES.iter().find(|known| known.name == scheme)
}

/// Returns true for the name of a supported scheme.
pub(super) fn is_ours(scheme: &str) -> bool {
    find(scheme).is_some()
}

/// Returns the form of the URLs of a scheme.
pub(super) fn pattern(scheme: &str) -> &'static str {
    find(scheme).map_or("a URL", |scheme| scheme.pattern)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Folder(path) => write!(f, "{}", path.display()),
            Address::Bucket(bucket) => bucket.fmt(f),
            Address::Sftp(server) => server.fmt(f),
            Address::Restic(place) => write!(f, "{RESTIC}{place}"),
        }
    }
}
