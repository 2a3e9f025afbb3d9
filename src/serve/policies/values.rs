//! The values of a policy, as a configuration writes them.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value as Json;
use toml::{Table, Value};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ObjectBuilder, RefOr, Schema as Described,
        schema::{OneOfBuilder, Type},
    },
};

use crate::{config::schema::Schema, model::retention::Count};

/// The keys of rules of retention, in the order of their periods.
pub const RULES: [&str; 7] = [
    "keep_last",
    "keep_hourly",
    "keep_daily",
    "keep_weekly",
    "keep_monthly",
    "keep_yearly",
    "keep_within",
];

/// The number of archives that a rule keeps: a number, or `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rule(pub Count);

impl ToSchema for Rule {}

impl PartialSchema for Rule {
    fn schema() -> RefOr<Described> {
        let number = ObjectBuilder::new().schema_type(Type::Integer);
        let number = number.minimum(Some(0)).maximum(Some(u32::MAX));
        let text = ObjectBuilder::new().schema_type(Type::String);
        // Leading zeros stay out of it: the pattern is for programs that write numbers as text.
        let text = text.pattern(Some("^(all|0|[1-9][0-9]{0,8})$"));
        let both = OneOfBuilder::new().item(number).item(text);
        both.description(Some("A number of archives, or `all`"))
            .into()
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Rule, D::Error> {
        let text = match Json::deserialize(deserializer)? {
            Json::String(text) => text,
            // A program may write 7 as 7.0.
            Json::Number(number) => match number.as_f64().filter(|number| number.fract() == 0.0) {
                // -0 is 0.
                Some(number) => format!("{:.0}", number + 0.0),
                None => number.to_string(),
            },
            _ => return Err(D::Error::custom("a count is a number, or \"all\"")),
        };
        text.parse().map(Rule).map_err(D::Error::custom)
    }
}

/// The values of a policy. One that is missing leaves the configuration as it is; rules of retention count as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyValues {
    /// The times at which the backup starts, such as `02:00`, `daily` or `0 2 * * *`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// The time zone of the schedule, and of the days of the retention.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// The longest delay of a start, such as `30m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<String>,
    /// The newest archives that are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_last: Option<Rule>,
    /// The last hours whose newest archive is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_hourly: Option<Rule>,
    /// The last days whose newest archive is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_daily: Option<Rule>,
    /// The last weeks whose newest archive is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_weekly: Option<Rule>,
    /// The last months whose newest archive is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_monthly: Option<Rule>,
    /// The last years whose newest archive is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_yearly: Option<Rule>,
    /// The span before the newest archive in which all are kept, such as `30d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_within: Option<String>,
    /// The destinations that the backup goes to, by their names in the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destinations: Option<Vec<String>>,
}

impl PolicyValues {
    /// Returns the rules of retention that are given, by their keys.
    pub fn rules(&self) -> Vec<(&'static str, Value)> {
        let counts = [
            self.keep_last,
            self.keep_hourly,
            self.keep_daily,
            self.keep_weekly,
            self.keep_monthly,
            self.keep_yearly,
        ];
        let counts = RULES.into_iter().zip(counts);
        let counts = counts.filter_map(|(key, count)| Some((key, written(count?.0))));
        let within = self.keep_within.iter();
        let within = within.map(|span| ("keep_within", Value::String(span.clone())));
        counts.chain(within).collect()
    }

    /// Returns the values by the sections and keys of a configuration.
    pub fn written(&self) -> Vec<(&'static str, &'static str, Value)> {
        let text = |text: &Option<String>| text.clone().map(Value::String);
        let schedule = [
            ("backup", text(&self.schedule)),
            ("timezone", text(&self.timezone)),
            ("jitter", text(&self.jitter)),
        ];
        let schedule = schedule.into_iter();
        let schedule = schedule.filter_map(|(key, value)| Some(("schedule", key, value?)));
        let rules = self.rules();
        // A calendar alone would be a policy without rules.
        let zone = text(&self.timezone).filter(|_| !rules.is_empty());
        let zone = zone.map(|zone| ("retention", "timezone", zone));
        let rules = rules
            .into_iter()
            .map(|(key, value)| ("retention", key, value));
        let to = self.destinations.as_ref().map(|names| {
            let names = names.iter().cloned().map(Value::String);
            ("", "to", Value::Array(names.collect()))
        });
        to.into_iter()
            .chain(schedule)
            .chain(zone)
            .chain(rules)
            .collect()
    }

    /// Returns the lines of a configuration that say the same.
    pub fn lines(&self) -> String {
        let mut backup = Table::new();
        for (section, key, value) in self.written() {
            let table = match section {
                "" => &mut backup,
                section => {
                    let below = backup.entry(section).or_insert_with(|| Table::new().into());
                    match below {
                        Value::Table(table) => table,
                        _ => continue,
                    }
                }
            };
            table.insert(key.to_owned(), value);
        }
        let all = Table::from_iter([("backup".to_owned(), Value::Table(backup))]);
        toml::to_string(&all).unwrap_or_default()
    }

    /// Returns every fault of the values, by the rules of a configuration. Names of destinations are checked in the file.
    pub fn faults(&self) -> Vec<String> {
        let alone = PolicyValues {
            destinations: None,
            ..self.clone()
        };
        let mut faults = Schema::parse(&alone.lines()).err().unwrap_or_default();
        let words = [
            &self.schedule,
            &self.timezone,
            &self.jitter,
            &self.keep_within,
        ];
        let names = self.destinations.iter().flatten();
        let mut words = words.into_iter().flatten().chain(names);
        if words.any(|word| word.chars().any(char::is_control)) {
            faults.push("a value has a line break or a control character".to_owned());
        }
        faults
    }

    /// Returns these values, with those of `other` in their place as far as it has some.
    pub fn with(&self, other: &PolicyValues) -> PolicyValues {
        let (mut values, other) = (self.clone(), other.clone());
        values.schedule = other.schedule.or(values.schedule);
        values.timezone = other.timezone.or(values.timezone);
        values.jitter = other.jitter.or(values.jitter);
        values.keep_last = other.keep_last.or(values.keep_last);
        values.keep_hourly = other.keep_hourly.or(values.keep_hourly);
        values.keep_daily = other.keep_daily.or(values.keep_daily);
        values.keep_weekly = other.keep_weekly.or(values.keep_weekly);
        values.keep_monthly = other.keep_monthly.or(values.keep_monthly);
        values.keep_yearly = other.keep_yearly.or(values.keep_yearly);
        values.keep_within = other.keep_within.or(values.keep_within);
        values.destinations = other.destinations.or(values.destinations);
        values
    }

    /// Returns the options by which `prune` simulates the retention.
    pub fn prune_options(&self) -> Vec<String> {
        let mut options = self.rule_options();
        if !options.is_empty() {
            options.extend(
                self.timezone
                    .iter()
                    .map(|zone| format!("--timezone={zone}")),
            );
        }
        options
    }

    /// Returns the options by which `serve policy apply` takes the values.
    pub fn options(&self) -> Vec<String> {
        let texts = [
            ("schedule", &self.schedule),
            ("timezone", &self.timezone),
            ("jitter", &self.jitter),
        ];
        let texts = texts.into_iter();
        let texts = texts.filter_map(|(key, text)| Some(format!("--{key}={}", text.as_ref()?)));
        let names = self.destinations.iter().flatten();
        let names = names.map(|name| format!("--to={name}"));
        texts.chain(self.rule_options()).chain(names).collect()
    }

    fn rule_options(&self) -> Vec<String> {
        let rules = self.rules().into_iter();
        let options = rules.map(|(key, value)| {
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            format!("--{}={value}", key.replace('_', "-"))
        });
        options.collect()
    }
}

fn written(count: Count) -> Value {
    match count {
        Count::Absent => Value::Integer(0),
        Count::Of(number) => Value::Integer(number.get().into()),
        Count::All => Value::String("all".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values(text: Json) -> PolicyValues {
        serde_json::from_value(text).expect("values")
    }

    #[test]
    fn values_are_lines_options_and_json_of_the_same_meaning() {
        let text = json!({"schedule": "0 2 * * *", "timezone": "Europe/Berlin", "keep_daily": 7, "keep_yearly": "all",
            "destinations": ["d1"]});
        let read = values(text.clone());
        assert_eq!(serde_json::to_value(&read).expect("JSON"), text);
        assert_eq!(read.faults(), Vec::<String>::new());
        let lines = "[backup]\nto = [\"d1\"]\n\n[backup.retention]\nkeep_daily = 7\nkeep_yearly = \"all\"\n\
            timezone = \"Europe/Berlin\"\n\n[backup.schedule]\nbackup = \"0 2 * * *\"\ntimezone = \"Europe/Berlin\"\n";
        assert_eq!(read.lines(), lines);
        let prune = [
            "--keep-daily=7",
            "--keep-yearly=all",
            "--timezone=Europe/Berlin",
        ];
        assert_eq!(read.prune_options(), prune);
        assert!(read.options().contains(&"--to=d1".to_owned()));
        assert!(
            values(json!({"timezone": "UTC"}))
                .prune_options()
                .is_empty()
        );
        let with = read.with(&values(json!({"keep_daily": 9})));
        assert_eq!(with.lines(), lines.replace("daily = 7", "daily = 9"));
    }

    #[test]
    fn every_fault_of_a_value_is_named() {
        let bad = values(
            json!({"schedule": "soon\n", "timezone": "Berlin", "jitter": "x", "keep_within": "y"}),
        );
        // The zone is one of two sections.
        assert_eq!(bad.faults().len(), 6, "{:?}", bad.faults());
        for text in [
            json!({"keep_daily": -1}),
            json!({"keep_daily": true}),
            json!({"keep": 1}),
        ] {
            assert!(serde_json::from_value::<PolicyValues>(text).is_err());
        }
    }
}
