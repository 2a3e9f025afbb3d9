//! `[backup.retention]`: the policy by which archives stay.

use super::{foreign, reader::Section};
use crate::model::retention::{Count, Counts, Policy, Share};

/// A policy, and how much of what there is one run may remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// The archives that are kept. A disabled policy is empty: it removes nothing.
    pub policy: Policy,
    /// The largest part of the archives that one run may remove.
    pub max_remove: Share,
    /// True if the policy is disabled.
    pub is_disabled: bool,
}

/// Reads a section of retention.
pub(super) fn read(section: &Section<'_>) -> Retention {
    section.foreign(&foreign::OF_RETENTION);
    let count = |key| {
        let count = section.written::<Count>(key, "a number, or \"all\"", |_| true);
        count.unwrap_or_default()
    };
    let counts = Counts {
        last: count("keep_last"),
        hourly: count("keep_hourly"),
        daily: count("keep_daily"),
        weekly: count("keep_weekly"),
        monthly: count("keep_monthly"),
        yearly: count("keep_yearly"),
    };
    let within = section.parsed("keep_within");
    let zone = section.parsed("timezone").unwrap_or_default();
    let is_disabled = section.flag("enabled") == Some(false);
    Retention {
        policy: match is_disabled {
            true => Policy::default(),
            false => Policy::new(counts, within, zone),
        },
        max_remove: section.parsed("max_remove").unwrap_or_default(),
        is_disabled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::reader;

    fn retention(text: &str) -> Result<Retention, Vec<String>> {
        reader::read(text, |root| root.section("retention", read)).map(Option::unwrap_or_default)
    }

    #[test]
    fn a_policy_is_read() {
        let text = "[retention]\nkeep_last = 2\nkeep_daily = \"all\"\nkeep_within = \"30d\"\n\
            timezone = \"Europe/Berlin\"\nmax_remove = \"25%\"\n";
        let read = retention(text).expect("good");
        assert!(!read.policy.is_empty());
        assert_eq!(read.max_remove.to_string(), "25%");
        assert!(retention("").expect("good").policy.is_empty());
        let disabled = retention(&text.replace("]\n", "]\nenabled = false\n")).expect("good");
        assert!(disabled.policy.is_empty() && disabled.is_disabled);
    }

    #[test]
    fn every_fault_is_named() {
        let faults = retention(
            "[retention]\nkeep_last = -1\nkeep_daily = \"many\"\nkeep_within = \"soon\"\ntimezone = \"Berlin\"\n\
            max_remove = \"lots\"\nkeep_dayly = 1\nkeep_forever = true\n",
        )
        .expect_err("bad");
        assert_eq!(faults.len(), 7, "{faults:?}");
        assert!(faults[1].contains("`hookshot keep ARCHIVE`"), "{faults:?}");
    }
}
