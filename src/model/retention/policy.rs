//! The policy of retention: counts of archives for each period, and a span in which all of them stay.

use std::{fmt, num::NonZeroU32, str::FromStr};

use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::{
    calendar::{Period, Zone},
    span::Span,
};

/// A rule that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The newest archives, regardless of when they were made.
    Last,
    /// The newest archive of each period that has one.
    Each(Period),
}

impl Rule {
    /// All rules, finest first.
    pub const ALL: [Rule; 6] = [
        Rule::Last,
        Rule::Each(Period::Hour),
        Rule::Each(Period::Day),
        Rule::Each(Period::Week),
        Rule::Each(Period::Month),
        Rule::Each(Period::Year),
    ];

    /// Returns the key of the rule in the configuration and in JSON.
    pub fn key(self) -> &'static str {
        match self {
            Rule::Last => "keep_last",
            Rule::Each(Period::Hour) => "keep_hourly",
            Rule::Each(Period::Day) => "keep_daily",
            Rule::Each(Period::Week) => "keep_weekly",
            Rule::Each(Period::Month) => "keep_monthly",
            Rule::Each(Period::Year) => "keep_yearly",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rule::Last => "last",
            Rule::Each(period) => period.adjective(),
        })
    }
}

/// The number of archives that a rule keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Count {
    /// No such rule; written as the number 0.
    #[default]
    Absent,
    /// This number of archives.
    Of(NonZeroU32),
    /// All archives, without a limit.
    All,
}

impl From<u32> for Count {
    fn from(number: u32) -> Count {
        NonZeroU32::new(number).map_or(Count::Absent, Count::Of)
    }
}

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Count, String> {
        if text == "all" {
            return Ok(Count::All);
        }
        // Not only what `u32` reads: that takes a sign.
        let plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = if plain {
            text.parse::<u32>().ok()
        } else {
            None
        };
        number
            .map(Count::from)
            .ok_or_else(|| format!("a count is a number up to {}, or `all`", u32::MAX))
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Count::Absent => f.write_str("0"),
            Count::Of(number) => write!(f, "{number}"),
            Count::All => f.write_str("all"),
        }
    }
}

impl Serialize for Count {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Count::Absent => serializer.serialize_u32(0),
            Count::Of(number) => serializer.serialize_u32(number.get()),
            Count::All => serializer.serialize_str("all"),
        }
    }
}

/// The count of each rule, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// The newest archives.
    pub last: Count,
    /// Hours.
    pub hourly: Count,
    /// Days.
    pub daily: Count,
    /// ISO weeks.
    pub weekly: Count,
    /// Months.
    pub monthly: Count,
    /// Years.
    pub yearly: Count,
}

/// The rules of retention: an archive stays if one rule keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    counts: Counts,
    within: Option<Span>,
    zone: Zone,
}

impl Policy {
    /// Makes a policy. Each part is valid by its own type, and all combinations are valid.
    pub fn new(counts: Counts, within: Option<Span>, zone: Zone) -> Policy {
        Policy {
            counts,
            within,
            zone,
        }
    }

    /// Returns the number of archives that a rule keeps.
    pub fn count(&self, rule: Rule) -> Count {
        match rule {
            Rule::Last => self.counts.last,
            Rule::Each(Period::Hour) => self.counts.hourly,
            Rule::Each(Period::Day) => self.counts.daily,
            Rule::Each(Period::Week) => self.counts.weekly,
            Rule::Each(Period::Month) => self.counts.monthly,
            Rule::Each(Period::Year) => self.counts.yearly,
        }
    }

    /// Returns the span behind the newest archive in which all archives stay.
    pub fn within(&self) -> Option<Span> {
        self.within
    }

    /// Returns the time zone whose calendar the rules use.
    pub fn zone(&self) -> Zone {
        self.zone
    }

    /// Returns true if the policy has no rules: then no archive is removed.
    pub fn is_empty(&self) -> bool {
        self.counts == Counts::default() && self.within.is_none()
    }
}

/// Writes the rules of the policy by their keys in the configuration, and the time zone.
impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for rule in Rule::ALL {
            match self.count(rule) {
                Count::Absent => {}
                count => map.serialize_entry(rule.key(), &count)?,
            }
        }
        if let Some(span) = self.within {
            map.serialize_entry("keep_within", &span.to_string())?;
        }
        map.serialize_entry("timezone", self.zone.name())?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_a_number_or_all_and_reads_back() {
        for text in ["0", "1", "4294967295", "all"] {
            assert_eq!(text.parse::<Count>().expect(text).to_string(), text);
        }
        assert_eq!("0".parse(), Ok(Count::Absent));
        for text in [
            "",
            "-1",
            "+1",
            "1.5",
            "ALL",
            "unlimited",
            "4294967296",
            " 1",
        ] {
            assert!(text.parse::<Count>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_policy_in_json_has_the_keys_of_the_configuration_and_only_rules_that_are_there() {
        let counts = Counts {
            last: 3.into(),
            monthly: Count::All,
            ..Counts::default()
        };
        let zone = "Europe/Berlin".parse().expect("a zone");
        let policy = Policy::new(counts, Some("30d".parse().expect("a span")), zone);
        assert_eq!(
            serde_json::to_string(&policy).expect("JSON"),
            r#"{"keep_last":3,"keep_monthly":"all","keep_within":"30d","timezone":"Europe/Berlin"}"#
        );
        assert_eq!(
            serde_json::to_string(&Policy::default()).expect("JSON"),
            r#"{"timezone":"UTC"}"#
        );
    }

    #[test]
    fn a_policy_is_empty_until_any_rule_is_there() {
        assert!(Policy::default().is_empty());
        let zone = "Asia/Kolkata".parse().expect("a zone");
        assert!(Policy::new(Counts::default(), None, zone).is_empty());
        let within = Some("1h".parse().expect("a span"));
        assert!(!Policy::new(Counts::default(), within, zone).is_empty());
        for rule in Rule::ALL {
            assert!(
                !super::super::tests::only(rule, 1.into()).is_empty(),
                "{rule}"
            );
        }
    }
}
