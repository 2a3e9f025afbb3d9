//! The dates of archives: checks that a name and a manifest tell the same time, and that this time is possible.

use chrono::{DateTime, Utc};

use crate::model::written::rfc3339;
use crate::model::{archive_name::ArchiveName, retention::is_future};

/// Returns the fault in the date of the archive in `file`. `created` is the time in its manifest.
pub fn odd(file: Option<&str>, created: i64, now: DateTime<Utc>) -> Option<String> {
    let created = DateTime::from_timestamp(created, 0)?;
    let name = file.and_then(ArchiveName::of_file);
    if let Some(name) = name.filter(|name| !name.fits(created)) {
        return Some(format!(
            "its name says {}, and its manifest {}: it was renamed, or a clock was wrong",
            rfc3339(name.time()),
            rfc3339(created)
        ));
    }
    is_future(created, now).then(|| {
        format!(
            "it is dated in the future, {}, and this machine's clock says {}: a clock is wrong, here or where it was made",
            rfc3339(created),
            rfc3339(now)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_tells_another_time_than_the_manifest_is_named() {
        let at = |text: &str| -> DateTime<Utc> { text.parse().expect("a time") };
        let now = at("2026-11-21T12:00:00Z");
        let created = at("2026-11-21T03:00:00Z").timestamp();
        for file in [
            "a-20261121-030000.tar.gz",
            "a-20261121-030000.3.tar.gz",
            "a-20261121.tar.gz",
            "before-upgrade.tar.gz",
        ] {
            assert_eq!(odd(Some(file), created, now), None, "{file}");
        }
        let said = odd(Some("a-20250130-030000.tar.gz"), created, now).expect("it is odd");
        assert!(said.contains("2025-01-30T03:00:00Z") && said.contains("2026-11-21T03:00:00Z"));
        assert!(odd(Some("a-20250130.tar.gz"), created, now).is_some());
        let before = at("2026-01-01T00:00:00Z");
        let said = odd(None, created, before).expect("it is odd");
        assert!(said.contains("in the future"), "{said}");
    }
}
