//! Compatibility of versions: of the archive format, and of the hookshot that wrote an archive.

use std::{fmt, str::FromStr};

use semver::Version;

/// The version of the archive format, `MAJOR.MINOR` (docs/format.md, "Versions").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FormatVersion {
    /// The major version; readers accept only one.
    pub major: u32,
    /// The minor version; a higher one only adds keys.
    pub minor: u32,
}

impl FormatVersion {
    /// The newest version that this hookshot writes.
    pub const CURRENT: FormatVersion = FormatVersion { major: 1, minor: 2 };
    /// The first version with listings.
    pub const LISTINGS: FormatVersion = FormatVersion { major: 1, minor: 2 };
    /// The version of archives without listings: older readers read them as well.
    pub const PLAIN: FormatVersion = FormatVersion { major: 1, minor: 1 };

    /// Returns true if this hookshot can read the format.
    pub fn is_readable(self) -> bool {
        self.major == Self::CURRENT.major
    }
}

impl fmt::Display for FormatVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for FormatVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<FormatVersion, String> {
        let number = |part: &str| {
            let plain = !part.is_empty()
                && part.len() <= 9
                && part.bytes().all(|byte| byte.is_ascii_digit());
            if plain { part.parse().ok() } else { None }
        };
        text.split_once('.')
            .and_then(|(major, minor)| {
                Some(FormatVersion {
                    major: number(major)?,
                    minor: number(minor)?,
                })
            })
            .ok_or_else(|| "a format version is MAJOR.MINOR, as in \"1.1\"".to_owned())
    }
}

/// The compatibility of the hookshot that made an archive with the one that imports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compatibility {
    /// Compatible, without a warning.
    Same,
    /// The archive's minor version is newer: it is imported, with a warning.
    Newer,
    /// Another major version: it is refused.
    Incompatible,
}

/// Compares the writer's version with the reader's (semver.org): the major version decides.
pub fn compatibility(archive: &Version, here: &Version) -> Compatibility {
    if archive.major != here.major {
        Compatibility::Incompatible
    } else if archive.minor > here.minor {
        Compatibility::Newer
    } else {
        Compatibility::Same
    }
}

/// Returns the message for archives that [`compatibility`] refuses.
pub fn incompatible(archive: &Version, here: &Version) -> String {
    format!("version incompatibility: backup version {archive} cannot be restored to {here}")
}

/// The rule for the versions of the exported application that an import accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionRule {
    /// Those whose first number is the same.
    Major,
    /// Those whose first two numbers are the same.
    Minor,
    /// The same version.
    Exact,
    /// Every version.
    Any,
}

impl VersionRule {
    /// The rules by their names in the configuration.
    pub const NAMES: [(&'static str, VersionRule); 4] = [
        ("major", VersionRule::Major),
        ("minor", VersionRule::Minor),
        ("exact", VersionRule::Exact),
        ("any", VersionRule::Any),
    ];

    /// Returns true if an archive of version `archive` may be imported on a machine with version `here`. Both are texts
    /// as applications print them, in which the first number counts.
    pub fn accepts(self, archive: &str, here: &str) -> bool {
        let count = match self {
            VersionRule::Any => return true,
            VersionRule::Exact => None,
            VersionRule::Major => Some(1),
            VersionRule::Minor => Some(2),
        };
        match (Numbered::find(archive), Numbered::find(here), count) {
            (Some(archive), Some(here), Some(count)) => archive.first(count) == here.first(count),
            (Some(archive), Some(here), None) => archive.version == here.version,
            // Without numbers only equality of the texts is known.
            _ => archive.trim() == here.trim(),
        }
    }
}

/// A version found in a text that an application prints, as in `Vaultwarden 1.30.1` or `PostgreSQL 15.3 (Debian
/// 15.3-1)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered<'a> {
    /// The numbers with dots between them.
    digits: &'a str,
    /// The numbers and the text attached to them, up to a space, a bracket, a quote or a comma: `1.2.3-rc1`.
    pub version: &'a str,
    /// The line that contains them.
    pub line: &'a str,
}

impl<'a> Numbered<'a> {
    /// Finds the first number of a text, in any line. A number that is part of a word, as in `sqlite3` or `k3s`, counts
    /// only if the text has none outside words; a `v` before a number is not a word.
    pub fn find(text: &'a str) -> Option<Numbered<'a>> {
        let find = |stands: fn(&str) -> bool| {
            text.lines().find_map(|line| {
                let is_start = |at: usize| {
                    let before = line[..at].trim_end_matches('.');
                    at == 0 || !before.ends_with(|last: char| last.is_ascii_digit())
                };
                let starts = line
                    .char_indices()
                    .filter(|(at, character)| character.is_ascii_digit() && is_start(*at));
                let mut starts = starts.filter(|(at, _)| !is_of_color(&line[..*at]));
                let (start, _) = starts.find(|(at, _)| stands(&line[..*at]))?;
                let rest = &line[start..];
                let is_other = |character: char| !character.is_ascii_digit() && character != '.';
                let digits = rest.split(is_other).next()?.trim_end_matches('.');
                let is_end = |character: char| {
                    character.is_whitespace()
                        || character.is_control()
                        || "()[]{}<>\"',;".contains(character)
                };
                let version = rest.split(is_end).next()?.trim_end_matches(['.', ':']);
                Some(Numbered {
                    digits,
                    version,
                    line: line.trim(),
                })
            })
        };
        find(stands_alone).or_else(|| find(|_| true))
    }

    /// Returns the first numbers, without leading zeros; missing ones are 0.
    fn first(self, count: usize) -> Vec<&'a str> {
        let parts = self.digits.split('.').filter(|part| !part.is_empty());
        let mut numbers: Vec<&str> = parts
            .take(count)
            .map(|part| part.trim_start_matches('0'))
            .collect();
        numbers.resize(count, "");
        numbers
    }
}

/// Returns true if a number after `before` is not the end of a word.
fn stands_alone(before: &str) -> bool {
    let is_word = |before: &str| before.ends_with(char::is_alphanumeric);
    match before.strip_suffix(['v', 'V']) {
        Some(further) => !is_word(further),
        None => !is_word(before),
    }
}

/// Returns true if a number after `before` belongs to an escape sequence of a terminal, as in `ESC [ 0 ; 3 3 m`.
fn is_of_color(before: &str) -> bool {
    let is_parameter = |character: char| character.is_ascii_digit() || character == ';';
    before.trim_end_matches(is_parameter).ends_with("\u{1b}[")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_major_version_is_incompatible_and_a_newer_minor_is_noted() {
        let here = Version::new(1, 5, 0);
        for (archive, expected) in [
            (Version::new(1, 5, 9), Compatibility::Same),
            (Version::new(1, 0, 0), Compatibility::Same),
            (Version::new(1, 6, 0), Compatibility::Newer),
            (Version::new(2, 0, 0), Compatibility::Incompatible),
            (Version::new(0, 5, 0), Compatibility::Incompatible),
        ] {
            assert_eq!(compatibility(&archive, &here), expected, "{archive}");
        }
    }

    #[test]
    fn a_rule_looks_at_as_many_numbers_as_it_says() {
        use VersionRule::{Any, Exact, Major, Minor};
        for (rule, archive, here, accepted) in [
            (Any, "1", "two", true),
            (Major, "1.30.1", "v1.2", true),
            (Major, "2.0", "1.9", false),
            (Major, "15", "15.4-alpine", true),
            (Minor, "2024.11.3", "2024.11.1", true),
            (Minor, "2024.11.3", "2024.12.0", false),
            (Minor, "1", "1.0.7", true),
            (Minor, "1.10", "1.1", false),
            (Exact, "1.2.3", "v1.2.3", true),
            (Exact, "1.2.3", "1.2.3-rc1", false),
            (Major, "latest", "latest", true),
            (Major, "latest", "1.0", false),
            (Major, "99999999999999999999.1", "1", false),
            (Minor, "", "0.0", false),
            (Minor, "Vaultwarden 1.30.1", "Vaultwarden 1.30.5", true),
            (Minor, "Vaultwarden 1.30.1", "1.30.5", true),
            (Minor, "Vaultwarden 1.30.1", "Vaultwarden 1.31.0", false),
            (Exact, "15.3 (Debian 15.3-1)", "15.3 (Debian 15.3-2)", true),
            (Exact, "app 1.2.3+a", "app 1.2.3+b", false),
            (Minor, "007.01", "7.1.4", true),
        ] {
            assert_eq!(
                rule.accepts(archive, here),
                accepted,
                "{rule:?} {archive} {here}"
            );
            assert_eq!(
                rule.accepts(here, archive),
                accepted,
                "{rule:?} {here} {archive}"
            );
        }
    }

    #[test]
    fn the_version_is_the_first_number_in_what_an_application_prints() {
        for (text, version) in [
            ("1.30.1", "1.30.1"),
            ("v2.1", "2.1"),
            ("Vaultwarden 1.30.1", "1.30.1"),
            (
                "PostgreSQL 15.3 (Debian 15.3-1.pgdg120+1) on x86_64",
                "15.3",
            ),
            ("psql (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)", "15.13"),
            ("grafana version 10.2.3+security-01", "10.2.3+security-01"),
            (
                "Version 10.2.3 (commit: 1e84fede54, branch: HEAD)",
                "10.2.3",
            ),
            (
                "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0",
                "7.0.15",
            ),
            (
                "@(#) $OpenLDAP: slapd 2.5.13+dfsg-5 (Feb  8 2023 01:56:12) $",
                "2.5.13+dfsg-5",
            ),
            (
                "Gitea version 1.21.3 built with GNU Make 4.3, go1.21.5",
                "1.21.3",
            ),
            (
                "prometheus, version 2.42.0+ds (branch: debian/sid)",
                "2.42.0+ds",
            ),
            ("nginx version: nginx/1.22.1", "1.22.1"),
            ("OpenSSH_9.2p1 Debian-2", "9.2p1"),
            ("k3s version v1.28.4+k3s1 (6ba6c1b6)", "1.28.4+k3s1"),
            ("sqlite3 3.40.1", "3.40.1"),
            ("php8.2", "8.2"),
            (
                "minio version RELEASE.2023-09-04T19-57-37Z (commit-id=8)",
                "2023-09-04T19-57-37Z",
            ),
            (
                "\u{1b}[0;33mWarning: deprecated\u{1b}[0m\nVersion 10.2.3",
                "10.2.3",
            ),
            ("Starting ...\n\nNode-RED v4.1.0\nNode.js v18.19.0", "4.1.0"),
            ("Version 1.30.", "1.30"),
            ("Version: 1.30, x", "1.30"),
        ] {
            let found = Numbered::find(text).map(|found| found.version);
            assert_eq!(found, Some(version), "{text}");
        }
        for text in ["", "latest", "v.", "\u{1b}[1mbold\u{1b}[0m"] {
            assert_eq!(Numbered::find(text), None, "{text}");
        }
        let found = Numbered::find("Welcome\n  App 1.2 \n").map(|found| found.line);
        assert_eq!(found, Some("App 1.2"));
    }

    #[test]
    fn a_format_version_is_two_plain_numbers() {
        assert_eq!("1.0".parse(), Ok(FormatVersion { major: 1, minor: 0 }));
        for text in [
            "",
            "1",
            "1.",
            ".1",
            "1.0.0",
            "v1.0",
            "1.-1",
            "+1.0",
            "1.99999999999",
        ] {
            assert!(text.parse::<FormatVersion>().is_err(), "{text}");
        }
    }
}
