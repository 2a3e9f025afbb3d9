//! `[backup.retention]`: which archives stay.

use std::str::FromStr;

use toml::{Table, Value};

use super::schema::Reader;
use crate::model::retention::{Count, Counts, Policy, Share, Span, Zone};

const KEYS: [&str; 9] = [
    "keep_last",
    "keep_hourly",
    "keep_daily",
    "keep_weekly",
    "keep_monthly",
    "keep_yearly",
    "keep_within",
    "timezone",
    "max_remove",
];

/// A policy, and how much of what there is one run may remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// What is kept.
    pub policy: Policy,
    /// The largest part of the archives that one run may remove.
    pub max_remove: Share,
}

/// Reads the section called `name`.
pub(super) fn read(reader: &mut Reader<'_>, table: &Table, name: &str) -> Retention {
    reader.unknown(table, name, &KEYS);
    let mut count = |key| match table.get(key) {
        None => Count::Absent,
        Some(value) => {
            let count = match value {
                Value::Integer(number) => u32::try_from(*number).ok().map(Count::from),
                Value::String(text) => text.parse().ok(),
                _ => None,
            };
            if count.is_none() {
                reader.fault(format!(
                    "`{key}` under [{name}] must be a number, or \"all\""
                ));
            }
            count.unwrap_or_default()
        }
    };
    let counts = Counts {
        last: count("keep_last"),
        hourly: count("keep_hourly"),
        daily: count("keep_daily"),
        weekly: count("keep_weekly"),
        monthly: count("keep_monthly"),
        yearly: count("keep_yearly"),
    };
    let within = parsed::<Span>(reader, table, name, "keep_within");
    let zone = parsed::<Zone>(reader, table, name, "timezone").unwrap_or_default();
    let max_remove = parsed::<Share>(reader, table, name, "max_remove").unwrap_or_default();
    Retention {
        policy: Policy::new(counts, within, zone),
        max_remove,
    }
}

fn parsed<T: FromStr<Err = String>>(
    reader: &mut Reader<'_>,
    table: &Table,
    name: &str,
    key: &str,
) -> Option<T> {
    match reader.text(table, name, key)?.parse() {
        Ok(value) => Some(value),
        Err(fault) => {
            reader.fault(format!("`{key}` under [{name}]: {fault}"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::schema::Schema;

    #[test]
    fn a_policy_is_read_for_all_and_for_one_destination() {
        let schema = Schema::parse(
            "[backup.retention]\nkeep_last = 2\nkeep_daily = \"all\"\nkeep_within = \"30d\"\ntimezone = \"Europe/Berlin\"\nmax_remove = \"25%\"\n\
             [backup.destinations.a]\nurl = \"/a\"\nretention = { keep_last = 9 }\n",
        )
        .expect("good");
        assert!(!schema.retention.policy.is_empty());
        let own = schema.destinations["a"].retention.expect("its own");
        assert_ne!(own.policy, schema.retention.policy);
        assert!(Schema::parse("").expect("good").retention.policy.is_empty());
    }

    #[test]
    fn every_fault_is_named() {
        let faults = Schema::parse(
            "[backup.retention]\nkeep_last = -1\nkeep_daily = \"many\"\nkeep_within = \"soon\"\ntimezone = \"Berlin\"\nmax_remove = \"lots\"\nkeep_dayly = 1\n",
        )
        .expect_err("bad");
        assert_eq!(faults.len(), 6, "{faults:?}");
    }
}
