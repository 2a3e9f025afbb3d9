//! The decisions of retention, case by case, and small helpers for its tests.

mod late;
mod reasons;
mod sealed;
mod simulations;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::*;

/// Makes a policy of one rule, in UTC.
pub fn only(rule: Rule, count: Count) -> Policy {
    Policy::new(with(Counts::default(), rule, count), None, Zone::UTC)
}

pub fn with(mut counts: Counts, rule: Rule, count: Count) -> Counts {
    *match rule {
        Rule::Last => &mut counts.last,
        Rule::Each(Period::Hour) => &mut counts.hourly,
        Rule::Each(Period::Day) => &mut counts.daily,
        Rule::Each(Period::Week) => &mut counts.weekly,
        Rule::Each(Period::Month) => &mut counts.monthly,
        Rule::Each(Period::Year) => &mut counts.yearly,
    } = count;
    counts
}

pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect(text)
}

fn archive(name: &str, time: &str, standing: Standing) -> Archive {
    Archive {
        name: name.to_owned(),
        time: at(time),
        number: 0,
        standing,
        mark: None,
        arrival: None,
    }
}

/// Returns each verdict in the words that users see.
fn said(judged: &[Judged]) -> Vec<(&str, String)> {
    let words = |verdict: &Verdict| match verdict {
        Verdict::Keep(reasons) => {
            let reasons: Vec<String> = reasons.iter().map(Reason::to_string).collect();
            format!("keep: {}", reasons.join("; "))
        }
        Verdict::Remove(removal) => format!("remove: {removal}"),
    };
    let judged = judged.iter();
    judged
        .map(|one| (one.archive.name.as_str(), words(&one.verdict)))
        .collect()
}

pub fn kept(judged: &[Judged]) -> BTreeSet<String> {
    judged
        .iter()
        .filter(|one| matches!(one.verdict, Verdict::Keep(_)))
        .map(|one| one.archive.name.clone())
        .collect()
}

#[test]
fn of_one_second_the_highest_number_is_the_newest() {
    let names = ["a.tar.gz", "a.1.tar.gz", "a.10.tar.gz", "a.2.tar.gz"];
    let numbered = [0, 1, 10, 2].into_iter().zip(names);
    let all: Vec<Archive> = numbered
        .map(|(number, name)| Archive {
            number,
            ..archive(name, "2026-01-01T00:00:00Z", Standing::Good)
        })
        .collect();
    let counts = Counts {
        last: 1.into(),
        ..Counts::default()
    };
    let policy = Policy::new(counts, None, Zone::UTC);
    let judged = judge(all, &policy, at("2026-01-02T00:00:00Z"));
    let order: Vec<&str> = judged.iter().map(|one| one.archive.name.as_str()).collect();
    assert_eq!(order, [names[2], names[3], names[1], names[0]]);
    assert_eq!(kept(&judged), BTreeSet::from([names[2].to_owned()]));
}

#[test]
fn fifty_thousand_torn_archives_are_judged_in_one_walk() {
    let start = at("2026-01-01T00:00:00Z");
    let names = 0..50_000_u32;
    let all = names.map(|hour| Archive {
        name: format!("{hour:05}"),
        time: start - chrono::TimeDelta::hours(hour.into()),
        number: 0,
        standing: Standing::Torn,
        mark: None,
        arrival: None,
    });
    let policy = only(Rule::Each(Period::Hour), Count::All);
    // A walk over the rest for each of them would be 1,250,000,000 steps.
    let judged = judge(all.collect(), &policy, start);
    assert_eq!(kept(&judged).len(), 50_000);
}
