//! Names of archives: `PREFIX-YYYYMMDD-HHMMSS[.N]`, in UTC, or `PREFIX-YYYYMMDD[.N]`, as scripts write them.

use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};

/// The beginning of the default name of an archive.
pub const DEFAULT_PREFIX: &str = "hookshot-state";
/// The ending of the name of a mark, after the name of its archive. A signature (`.sig`) is a file of the same kind.
const MARK_SUFFIX: &str = ".keep";
/// The highest number that distinguishes archives of the same second.
pub const MOST_NUMBER: u32 = 999;
const TIME_FORMAT: &str = "%Y%m%d-%H%M%S";
const DAY_FORMAT: &str = "%Y%m%d";
/// The longest time between the time in a name and that of the snapshot: a script may take the time before it exports.
const PATIENCE: TimeDelta = TimeDelta::seconds(60);
/// The longest time by which a day may begin before it does in UTC (in Kiritimati) ...
const EARLIEST_DAY: TimeDelta = TimeDelta::hours(14);
/// ... and by which it may end after it began there (on Baker Island).
const LATEST_DAY: TimeDelta = TimeDelta::hours(24 + 12);

/// The name of an archive without its ending. Without a number it is also the default name of the root folder inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveName {
    prefix: String,
    time: DateTime<Utc>,
    precision: Precision,
    number: u32,
}

/// The ending of an archive's file name. Another compression (`.tar.zst`) adds its own here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// `.tar.gz`.
    Plain,
    /// `.tar.gz.age`: encrypted.
    Sealed,
}

impl Ending {
    /// Returns its text.
    pub fn text(self) -> &'static str {
        match self {
            Ending::Plain => ".tar.gz",
            Ending::Sealed => ".tar.gz.age",
        }
    }

    /// Returns the ending of a file's name; `None` if it is not that of an archive.
    pub fn of_file(name: impl AsRef<[u8]>) -> Option<Ending> {
        let name = name.as_ref();
        [Ending::Plain, Ending::Sealed]
            .into_iter()
            .find(|ending| name.ends_with(ending.text().as_bytes()))
    }
}

/// Returns the name of an archive's file without its ending: what identifies the archive at every destination.
pub fn stem_of(file: &str) -> &str {
    let ending = Ending::of_file(file).map_or("", Ending::text);
    file.strip_suffix(ending).unwrap_or(file)
}

/// The position of an archive in the order of archives: the greater one is the newer archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ArchiveOrder {
    /// The time of its snapshot.
    pub time: DateTime<Utc>,
    /// The number that distinguishes it from older archives of the same time.
    pub number: u32,
}

/// The precision with which a name tells the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    /// To the day.
    Day,
    /// To the second.
    Second,
}

impl ArchiveName {
    /// Makes the name for a snapshot taken at `time`. The prefix must satisfy [`is_prefix`].
    pub fn new(prefix: &str, time: DateTime<Utc>) -> Result<ArchiveName, String> {
        if is_prefix(prefix) {
            Ok(ArchiveName {
                prefix: prefix.to_owned(),
                time,
                precision: Precision::Second,
                number: 0,
            })
        } else {
            Err(format!(
                "{prefix:?} cannot be the prefix of archive names: use letters, digits, `.`, `_` and `-`, at most 100"
            ))
        }
    }

    /// Reads a name, with or without an ending.
    pub fn parse(text: &str) -> Option<ArchiveName> {
        let stem = stem_of(text);
        let numbered = stem.rsplit_once('.').and_then(|(stem, number)| {
            let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
            let number = number.parse().ok().filter(|_| is_number)?;
            let name = ArchiveName::unnumbered(stem)?;
            Some(ArchiveName { number, ..name })
        });
        numbered.or_else(|| ArchiveName::unnumbered(stem))
    }

    fn unnumbered(stem: &str) -> Option<ArchiveName> {
        let split = |length: usize| {
            let (prefix, time) = stem.split_at_checked(stem.len().checked_sub(length)?)?;
            Some((prefix, time.strip_prefix('-')?))
        };
        let to_the_second = || {
            let (prefix, time) = split("-YYYYMMDD-HHMMSS".len())?;
            let time = NaiveDateTime::parse_from_str(time, TIME_FORMAT).ok()?;
            ArchiveName::new(prefix, time.and_utc()).ok()
        };
        let to_the_day = || {
            let (prefix, day) = split("-YYYYMMDD".len())?;
            let day = NaiveDate::parse_from_str(day, DAY_FORMAT).ok()?;
            let name = ArchiveName::new(prefix, day.and_time(NaiveTime::MIN).and_utc()).ok()?;
            let precision = Precision::Day;
            Some(ArchiveName { precision, ..name })
        };
        let name = to_the_second().or_else(to_the_day)?;
        // chrono reads more than it writes.
        (name.to_string() == stem).then_some(name)
    }

    /// Reads the name of a file, which must have the ending.
    pub fn of_file(file: &str) -> Option<ArchiveName> {
        Ending::of_file(file)?;
        ArchiveName::parse(stem_of(file))
    }

    /// Returns its prefix.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Returns the time of the snapshot; if the name has only the day, the beginning of that day in UTC.
    pub fn time(&self) -> DateTime<Utc> {
        self.time
    }

    /// Returns the precision with which the name tells the time.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Returns the number that distinguishes it from archives of the same time that were there before it; 0 if it was
    /// the first.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Returns its position among archives, as far as the name tells it.
    pub fn order(&self) -> ArchiveOrder {
        ArchiveOrder {
            time: self.time,
            number: self.number,
        }
    }

    /// Returns the default name of the root folder inside: the name without a number.
    pub fn root(&self) -> String {
        let name = ArchiveName {
            number: 0,
            ..self.clone()
        };
        name.to_string()
    }

    /// Returns true if a snapshot taken at `created` may have this name. A day may be that of any time zone.
    pub fn fits(&self, created: DateTime<Utc>) -> bool {
        let later = created.signed_duration_since(self.time);
        match self.precision {
            Precision::Second => later.abs() <= PATIENCE,
            Precision::Day => (-EARLIEST_DAY..=LATEST_DAY).contains(&later),
        }
    }

    /// Returns the default file name; a `number` above zero distinguishes archives of the same second.
    pub fn file_name(&self, number: u32, ending: Ending) -> String {
        let name = ArchiveName {
            number,
            ..self.clone()
        };
        format!("{name}{}", ending.text())
    }
}

impl fmt::Display for ArchiveName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = match self.precision {
            Precision::Day => DAY_FORMAT,
            Precision::Second => TIME_FORMAT,
        };
        write!(f, "{}-{}", self.prefix, self.time.format(format))?;
        match self.number {
            0 => Ok(()),
            number => write!(f, ".{number}"),
        }
    }
}

/// Returns true if `text` can begin the names of archives: portable file name characters (POSIX 3.282), not starting
/// with a dot or a hyphen.
pub fn is_prefix(text: &str) -> bool {
    let portable = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !text.is_empty()
        && text.len() <= 100
        && !text.starts_with(['.', '-'])
        && text.bytes().all(portable)
}

/// Returns true if the name of a file ends like that of an archive, whatever comes before the ending.
pub fn is_archive_file(name: impl AsRef<[u8]>) -> bool {
    Ending::of_file(name).is_some()
}

/// Returns the name of the file that marks an archive.
pub fn mark_of(archive: &str) -> String {
    format!("{archive}{MARK_SUFFIX}")
}

/// Returns the name of the archive that a file marks; `None` if the file is not a mark.
pub fn marked_by(file: &str) -> Option<&str> {
    let archive = file.strip_suffix(MARK_SUFFIX)?;
    is_archive_file(archive).then_some(archive)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    #[test]
    fn a_name_tells_prefix_and_time_and_reads_back() {
        let time = DateTime::from_timestamp(1_738_247_422, 0).expect("in range");
        let name = ArchiveName::new("hookshot-state", time).expect("a good prefix");
        assert_eq!(
            name.file_name(0, Ending::Plain),
            "hookshot-state-20250130-143022.tar.gz"
        );
        assert_eq!(
            name.file_name(2, Ending::Sealed),
            "hookshot-state-20250130-143022.2.tar.gz.age"
        );
        assert_eq!(
            ArchiveName::parse(&name.file_name(0, Ending::Sealed)),
            Some(name)
        );
        for (file, prefix, time, number) in [
            ("a-20261121-030000.tar.gz", "a", "2026-11-21T03:00:00Z", 0),
            ("a-20261121-030000.2.tar.gz", "a", "2026-11-21T03:00:00Z", 2),
            ("a.b-20261121.tar.gz", "a.b", "2026-11-21T00:00:00Z", 0),
            ("a-20261121.12.tar.gz", "a", "2026-11-21T00:00:00Z", 12),
            (
                "a-20250101-20261121.tar.gz",
                "a-20250101",
                "2026-11-21T00:00:00Z",
                0,
            ),
        ] {
            let name = ArchiveName::of_file(file).expect(file);
            assert_eq!((name.prefix(), name.number()), (prefix, number), "{file}");
            assert_eq!(name.time(), at(time), "{file}");
            assert_eq!(format!("{name}{}", Ending::Plain.text()), file);
            let sealed = format!("{file}.age");
            assert_eq!(ArchiveName::of_file(&sealed), Some(name), "{sealed}");
            assert_eq!(stem_of(&sealed), stem_of(file));
            assert_eq!(marked_by(&mark_of(&sealed)), Some(&*sealed));
            assert_eq!(marked_by(&mark_of(file)), Some(file));
        }
        assert_eq!(marked_by("a-20261121-030000.keep"), None);
        assert_eq!(marked_by("a-20261121-030000.tar.gz"), None);
    }

    #[test]
    fn of_the_same_time_the_greater_number_is_newer() {
        let order = |text| ArchiveName::parse(text).expect("a name").order();
        let names = [
            "a-20261120-235959.9",
            "a-20261121-000000",
            "a-20261121.2",
            "a-20261121-000000.10",
            "a-20261121-000001",
        ];
        assert!(names.map(order).is_sorted());
        let root = |text| ArchiveName::parse(text).expect("a name").root();
        assert_eq!(root("a-20261121-000000.10.tar.gz"), "a-20261121-000000");
    }

    #[test]
    fn what_is_no_archive_name_is_not_read() {
        for text in [
            "",
            "x",
            "before-upgrade",
            "-20250130-143022",
            "a-20251330-143022",
            "a-20251330",
            "a-20250130-143022.+2",
            "a-20250130-143022.x",
            "a-20250130-143022 (1)",
            "a/b-20250130-143022",
            "ä-20250130-143022",
        ] {
            assert_eq!(ArchiveName::parse(text), None, "{text}");
        }
        assert_eq!(ArchiveName::of_file("a-20261121-030000"), None);
    }

    #[test]
    fn a_time_in_a_name_is_near_that_of_the_snapshot() {
        let name = |text| ArchiveName::parse(text).expect("a name");
        let second = name("a-20261121-030000");
        assert!(second.fits(at("2026-11-21T03:00:59Z")));
        assert!(!second.fits(at("2026-11-21T02:00:00Z")));
        let day = name("a-20261121");
        for fitting in ["2026-11-20T10:00:00Z", "2026-11-22T11:59:59Z"] {
            assert!(day.fits(at(fitting)), "{fitting}");
        }
        for other in ["2026-11-20T09:59:59Z", "2026-11-22T12:00:01Z"] {
            assert!(!day.fits(at(other)), "{other}");
        }
    }
}
