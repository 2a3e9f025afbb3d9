//! Which versions go together: of the archive format, and of the hookshot that wrote an archive.

use std::{fmt, str::FromStr};

use semver::Version;

/// The version of the archive format, `MAJOR.MINOR` (docs/format.md, "Versions").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FormatVersion {
    /// Readers accept one major version only.
    pub major: u32,
    /// A higher minor version only adds keys.
    pub minor: u32,
}

impl FormatVersion {
    /// What this hookshot writes.
    pub const CURRENT: FormatVersion = FormatVersion { major: 1, minor: 1 };

    /// Whether this hookshot can read the format.
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

/// Whether an archive of one hookshot may be imported by another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compatibility {
    /// Nothing to say.
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

/// The message for archives that [`compatibility`] refuses.
pub fn incompatible(archive: &Version, here: &Version) -> String {
    format!("version incompatibility: backup version {archive} cannot be restored to {here}")
}

/// Which versions of the exported application an import accepts.
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

    /// Whether an archive of version `archive` may come to a machine with version `here`. Versions are what applications
    /// call so: numbers with dots between them, perhaps a `v` before, perhaps words behind, which only count for `exact`.
    pub fn accepts(self, archive: &str, here: &str) -> bool {
        let count = match self {
            VersionRule::Any => return true,
            VersionRule::Exact => return plain(archive) == plain(here),
            VersionRule::Major => 1,
            VersionRule::Minor => 2,
        };
        match (numbers(archive, count), numbers(here, count)) {
            (Some(archive), Some(here)) => archive == here,
            // Without numbers nothing is known but whether they are the same.
            _ => plain(archive) == plain(here),
        }
    }
}

fn plain(version: &str) -> &str {
    let version = version.trim();
    version.strip_prefix(['v', 'V']).unwrap_or(version)
}

/// The first numbers of a version; those that are not there are 0.
fn numbers(version: &str, count: usize) -> Option<Vec<u64>> {
    let is_other = |character: char| !character.is_ascii_digit() && character != '.';
    let digits = plain(version).split(is_other).next()?;
    let mut numbers = Vec::new();
    for part in digits
        .split('.')
        .take(count)
        .filter(|part| !part.is_empty())
    {
        numbers.push(part.parse().ok()?);
    }
    if numbers.is_empty() {
        return None;
    }
    numbers.resize(count, 0);
    Some(numbers)
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
