//! The schemes and words of other programs, and the form of a URL.

/// Other names of the schemes of hookshot.
pub(super) const SYNONYMS: [(&str, &str); 5] = [
    ("s3a", "s3"),
    ("s3n", "s3"),
    ("gcs", "gs"),
    ("azure", "az"),
    ("local", "file"),
];

/// Stores that speak the protocol of S3.
pub(super) const LIKE_S3: [&str; 12] = [
    "minio", "b2", "r2", "wasabi", "garage", "ceph", "spaces", "oss", "cos", "storj", "scaleway",
    "hetzner",
];

/// Protocols of remote access that SSH replaces.
pub(super) const LIKE_SFTP: [&str; 5] = ["ssh", "scp", "rsync", "fish", "sshfs"];

/// Kinds of storage that hookshot does not support.
pub(super) const FOREIGN: [&str; 30] = [
    "rest",
    "rclone",
    "swift",
    "opendal",
    "restic",
    "borg",
    "kopia",
    "dropbox",
    "drive",
    "gdrive",
    "googledrive",
    "onedrive",
    "mega",
    "pcloud",
    "box",
    "webdav",
    "webdavs",
    "dav",
    "davs",
    "ftp",
    "ftps",
    "smb",
    "cifs",
    "nfs",
    "hdfs",
    "abfs",
    "abfss",
    "wasb",
    "wasbs",
    "crypt",
];

/// Splits a URL after its scheme.
pub fn url_parts(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let is_scheme = !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_scheme.then_some((scheme, rest))
}

pub(super) fn is_known(name: &str) -> bool {
    let is_web = matches!(name, "http" | "https");
    let is_synonym = SYNONYMS.iter().any(|(synonym, _)| *synonym == name);
    is_web
        || is_synonym
        || LIKE_S3.contains(&name)
        || LIKE_SFTP.contains(&name)
        || FOREIGN.contains(&name)
}
