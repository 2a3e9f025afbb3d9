//! Names of archives and of the root folder inside: `PREFIX-YYYYMMDD-HHMMSS`, in UTC.

use std::fmt;

use chrono::{DateTime, NaiveDateTime, Utc};

/// What the default name of an archive starts with.
pub const DEFAULT_PREFIX: &str = "hookshot-state";
/// The ending of an archive's file name.
pub const SUFFIX: &str = ".tar.gz";
/// The last number that tells archives of the same second apart.
pub const MOST_NUMBER: u32 = 999;
const TIME_FORMAT: &str = "%Y%m%d-%H%M%S";

/// The root folder's name of an archive, which is the stem of its default file name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveName {
    prefix: String,
    time: DateTime<Utc>,
}

impl ArchiveName {
    /// The name for a snapshot taken at `time`. The prefix must satisfy [`is_prefix`].
    pub fn new(prefix: &str, time: DateTime<Utc>) -> Result<ArchiveName, String> {
        if is_prefix(prefix) {
            Ok(ArchiveName {
                prefix: prefix.to_owned(),
                time,
            })
        } else {
            Err(format!(
                "{prefix:?} cannot be the prefix of archive names: use letters, digits, `.`, `_` and `-`, at most 100"
            ))
        }
    }

    /// Reads a name back, with or without the ending `.tar.gz`.
    pub fn parse(text: &str) -> Option<ArchiveName> {
        let stem = text.strip_suffix(SUFFIX).unwrap_or(text);
        let (prefix, time) =
            stem.split_at_checked(stem.len().checked_sub("-YYYYMMDD-HHMMSS".len())?)?;
        let time = NaiveDateTime::parse_from_str(time.strip_prefix('-')?, TIME_FORMAT).ok()?;
        let name = ArchiveName::new(prefix, time.and_utc()).ok()?;
        (name.to_string() == stem).then_some(name)
    }

    /// What it starts with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// When the snapshot was taken.
    pub fn time(&self) -> DateTime<Utc> {
        self.time
    }

    /// The default file name; a `number` above zero tells archives of the same second apart.
    pub fn file_name(&self, number: u32) -> String {
        match number {
            0 => format!("{self}{SUFFIX}"),
            _ => format!("{self}.{number}{SUFFIX}"),
        }
    }
}

impl fmt::Display for ArchiveName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.prefix, self.time.format(TIME_FORMAT))
    }
}

/// Whether `text` can start the names of archives: portable file name characters (POSIX 3.282), not starting with
/// a dot or a hyphen.
pub fn is_prefix(text: &str) -> bool {
    let portable = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !text.is_empty()
        && text.len() <= 100
        && !text.starts_with(['.', '-'])
        && text.bytes().all(portable)
}

/// The number that tells an archive from those of the same second that were there before it; 0 where it was the first.
pub fn number(file: &str) -> u32 {
    let stem = file.strip_suffix(SUFFIX).unwrap_or(file);
    let number = stem.rsplit_once('.').map(|(_, number)| number.parse());
    number.and_then(Result::ok).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_prefix_and_time_and_reads_back() {
        let time = DateTime::from_timestamp(1_738_247_422, 0).expect("in range");
        let name = ArchiveName::new("hookshot-state", time).expect("a good prefix");
        assert_eq!(name.file_name(0), "hookshot-state-20250130-143022.tar.gz");
        assert_eq!(name.file_name(2), "hookshot-state-20250130-143022.2.tar.gz");
        assert_eq!(ArchiveName::parse(&name.file_name(0)), Some(name));
    }

    #[test]
    fn what_is_no_archive_name_is_not_read() {
        for text in [
            "",
            "x",
            "-20250130-143022",
            "a-20251330-143022",
            "a/b-20250130-143022",
            "äa-2025013-143022",
            "ä-20250130-143022",
        ] {
            assert_eq!(ArchiveName::parse(text), None, "{text}");
        }
    }
}
