//! The decisions of retention, case by case, and small helpers for its tests.

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
fn every_verdict_says_why() {
    let mut archives = vec![
        archive("future", "2027-06-01T00:00:00Z", Standing::Good),
        archive("broken-new", "2026-11-22T05:00:00Z", Standing::Damaged),
        archive("new", "2026-11-22T04:00:00Z", Standing::Unproven),
        archive("new-first", "2026-11-22T03:00:00Z", Standing::Unproven),
        archive("good", "2026-11-21T23:00:00Z", Standing::Good),
        archive("cut", "2026-11-21T12:00:00Z", Standing::Incomplete),
        archive("released", "2026-11-21T11:00:00Z", Standing::Good),
        archive("marked", "2026-10-31T00:00:00Z", Standing::Damaged),
        archive("dull", "2026-10-03T00:00:00Z", Standing::Good),
        archive("broken-old", "2026-10-02T00:00:00Z", Standing::Damaged),
        archive("oldest", "2026-10-01T00:00:00Z", Standing::Good),
    ];
    archives[6].mark = Some("2026-11-22".parse().expect("a mark"));
    archives[7].mark = Some(Mark::Forever);
    let counts = Counts {
        last: 1.into(),
        daily: 2.into(),
        monthly: 12.into(),
        ..Counts::default()
    };
    let policy = Policy::new(counts, Some("2h".parse().expect("a span")), Zone::UTC);
    let judged = judge(archives, &policy, at("2026-11-22T06:00:00Z"));
    let expected = [
        ("future", "keep: dated in the future"),
        ("broken-new", "keep: damaged, but no good archive is as new"),
        (
            "new",
            "keep: last 1 of 1; daily 2026-11-22; monthly 2026-11; within 2h; newest archive, unproven",
        ),
        ("new-first", "keep: within 2h"),
        ("good", "keep: daily 2026-11-21; newest good archive"),
        ("cut", "remove: incomplete: replaced by good"),
        (
            "released",
            "remove: daily 2026-11-21: replaced by good; its mark ended 2026-11-22",
        ),
        ("marked", "keep: marked: keep forever"),
        ("dull", "keep: monthly 2026-10"),
        ("broken-old", "remove: damaged: replaced by dull"),
        ("oldest", "keep: oldest, monthly counts remain"),
    ];
    assert_eq!(
        said(&judged),
        expected.map(|(name, words)| (name, words.to_owned()))
    );
}

#[test]
fn what_no_rule_reaches_is_replaced_by_the_next_newer_that_stays() {
    let archives = vec![
        archive("c", "2026-11-22T00:00:00Z", Standing::Unproven),
        archive("b", "2026-11-21T00:00:00Z", Standing::Unproven),
        archive("a", "2026-11-20T00:00:00Z", Standing::Unproven),
    ];
    let judged = judge(
        archives,
        &only(Rule::Last, 2.into()),
        at("2027-01-01T00:00:00Z"),
    );
    assert_eq!(
        said(&judged)[2],
        (
            "a",
            "remove: beyond every rule: replaced by b (unproven)".to_owned()
        )
    );
}

#[test]
fn the_finest_rule_names_the_replacement() {
    let archives = vec![
        archive("c", "2026-11-22T10:30:00Z", Standing::Good),
        archive("b", "2026-11-22T09:30:00Z", Standing::Good),
        archive("a", "2026-11-22T09:00:00Z", Standing::Good),
        archive("0", "2026-11-20T09:00:00Z", Standing::Good),
    ];
    let counts = Counts {
        hourly: 2.into(),
        daily: 1.into(),
        ..Counts::default()
    };
    let policy = Policy::new(counts, None, Zone::UTC);
    let judged = judge(archives, &policy, at("2027-01-01T00:00:00Z"));
    assert_eq!(
        said(&judged)[2],
        (
            "a",
            "remove: hourly 2026-11-22 09h: replaced by b".to_owned()
        )
    );
}

#[test]
fn what_the_bucket_keeps_took_the_place_and_not_what_lies_between() {
    let mut archives = vec![
        archive("c", "2026-11-22T12:00:00Z", Standing::Good),
        archive("b", "2026-11-22T11:00:00Z", Standing::Good),
        archive("a", "2026-11-22T10:00:00Z", Standing::Good),
        archive("0", "2026-11-20T09:00:00Z", Standing::Good),
    ];
    archives[1].mark = Some(Mark::Forever);
    let judged = judge(
        archives,
        &only(Rule::Each(Period::Day), 1.into()),
        at("2027-01-01T00:00:00Z"),
    );
    assert_eq!(
        said(&judged)[2..],
        [
            ("a", "remove: daily 2026-11-22: replaced by c".to_owned()),
            // No rule reaches it: here it is what stays next to it, for its mark.
            ("0", "remove: beyond every rule: replaced by b".to_owned()),
        ]
    );
}

#[test]
fn the_newest_stays_even_where_a_span_before_it_does_not_exist() {
    // A day before this moment, Samoa had no such day; the clock jumped over it to this very moment.
    let within = Some("1d".parse().expect("a span"));
    let policy = Policy::new(
        Counts::default(),
        within,
        "Pacific/Apia".parse().expect("a zone"),
    );
    for standing in [Standing::Good, Standing::Unproven] {
        let archives = vec![archive("only", "2011-12-30T10:00:00Z", standing)];
        let judged = judge(archives, &policy, at("2012-01-01T00:00:00Z"));
        assert_eq!(kept(&judged).len(), 1, "{judged:?}");
    }
}

#[test]
fn when_backups_stop_nothing_ages_away() {
    let archives: Vec<Archive> = (1..=20)
        .map(|day| {
            archive(
                &format!("{day:02}"),
                &format!("2026-01-{day:02}T00:00:00Z"),
                Standing::Good,
            )
        })
        .collect();
    let policy = Policy::new(
        Counts::default(),
        Some("7d".parse().expect("a span")),
        Zone::UTC,
    );
    let then = judge(archives.clone(), &policy, at("2026-01-20T00:00:00Z"));
    let later = judge(archives, &policy, at("2036-01-20T00:00:00Z"));
    assert_eq!(then, later);
    assert_eq!(kept(&then).len(), 7);
}

#[test]
fn with_nothing_but_damaged_archives_nothing_is_removed() {
    let archives: Vec<Archive> = (1..=9)
        .map(|day| {
            archive(
                &format!("{day}"),
                &format!("2026-01-0{day}T00:00:00Z"),
                Standing::Damaged,
            )
        })
        .chain([archive("future", "2099-01-01T00:00:00Z", Standing::Good)])
        .collect();
    let judged = judge(
        archives,
        &only(Rule::Last, 1.into()),
        at("2026-06-01T00:00:00Z"),
    );
    assert_eq!(kept(&judged).len(), 10);
}

#[test]
fn a_simulation_holds_what_the_policy_says() {
    let counts = Counts {
        daily: 7.into(),
        weekly: 4.into(),
        monthly: 12.into(),
        yearly: Count::All,
        ..Counts::default()
    };
    let policy = Policy::new(counts, None, "Europe/Berlin".parse().expect("a zone"));
    let day = "1d".parse().expect("a span");
    let simulation = simulate(&policy, at("2026-01-01T02:00:00Z"), 730, day).expect("possible");
    assert_eq!((simulation.made, simulation.days.len()), (730, 730));
    assert_eq!(simulation.days[0].held, 1);
    assert_eq!(simulation.days[6].held, 7);
    let names: Vec<&str> = simulation
        .held
        .iter()
        .map(|one| one.archive.name.as_str())
        .collect();
    assert_eq!(simulation.days[729].held, names.len());
    assert_eq!(
        names,
        [
            // Seven days of winter time, where two o'clock in UTC is three.
            "2027-12-31T02:00:00Z",
            "2027-12-30T02:00:00Z",
            "2027-12-29T02:00:00Z",
            "2027-12-28T02:00:00Z",
            "2027-12-27T02:00:00Z",
            "2027-12-26T02:00:00Z",
            "2027-12-25T02:00:00Z",
            // Two more weeks, each by its Sunday.
            "2027-12-19T02:00:00Z",
            "2027-12-12T02:00:00Z",
            // Eleven more months, each by its last day, at three o'clock in summer too.
            "2027-11-30T02:00:00Z",
            "2027-10-31T02:00:00Z",
            "2027-09-30T01:00:00Z",
            "2027-08-31T01:00:00Z",
            "2027-07-31T01:00:00Z",
            "2027-06-30T01:00:00Z",
            "2027-05-31T01:00:00Z",
            "2027-04-30T01:00:00Z",
            "2027-03-31T01:00:00Z",
            "2027-02-28T02:00:00Z",
            "2027-01-31T02:00:00Z",
            // The year before, and the first of all: yearly counts do not end.
            "2026-12-31T02:00:00Z",
            "2026-01-01T02:00:00Z",
        ]
    );
    let most = simulation.days.iter().map(|day| day.held).max();
    assert!(most <= Some(simulation.most.archives));
}

#[test]
fn a_simulation_of_nothing_or_of_too_much_is_refused() {
    let start = at("2026-01-01T02:00:00Z");
    let span = |text: &str| text.parse().expect("a span");
    let policy = only(Rule::Last, 1.into());
    assert!(simulate(&policy, start, 0, span("1d")).is_err());
    assert!(simulate(&policy, start, u32::MAX, span("1d")).is_err());
    assert!(simulate(&policy, start, 36_525, span("1h")).is_err());
    let everything = only(Rule::Each(Period::Day), Count::All);
    assert!(simulate(&everything, start, 36_525, span("1d")).is_err());
    assert_eq!(
        simulate(&policy, start, 36_525, span("1d")).map(|one| one.made),
        Ok(36_525)
    );
    assert_eq!(
        simulate(&policy, start, 9, span("400000y")).map(|one| one.made),
        Ok(1)
    );
    let end = DateTime::<Utc>::MAX_UTC;
    assert_eq!(
        simulate(&policy, end, 9, span("1h")).map(|one| one.made),
        Ok(1)
    );
}

#[test]
fn a_day_that_a_zone_leaves_out_makes_no_archive_twice() {
    let policy = Policy::new(
        Counts::default(),
        None,
        "Pacific/Apia".parse().expect("a zone"),
    );
    let day = "1d".parse().expect("a span");
    // Midnight on the wall; there was no 30th.
    let simulation = simulate(&policy, at("2011-12-28T10:00:00Z"), 4, day).expect("possible");
    let times: Vec<&str> = simulation
        .held
        .iter()
        .map(|one| one.archive.name.as_str())
        .collect();
    assert_eq!(
        times,
        [
            "2011-12-30T10:00:00Z",
            "2011-12-29T10:00:00Z",
            "2011-12-28T10:00:00Z"
        ]
    );
    let held: Vec<usize> = simulation.days.iter().map(|day| day.held).collect();
    assert_eq!(held, [1, 2, 2, 3]);
}

#[test]
fn a_simulation_makes_one_archive_for_each_day_whatever_the_clocks_do() {
    let policy = Policy::new(
        Counts::default(),
        None,
        "Europe/Berlin".parse().expect("a zone"),
    );
    let day = "1d".parse().expect("a span");
    for (start, last) in [
        ("2026-03-28T12:00:00Z", "2026-03-29T11:00:00Z"),
        ("2026-10-24T12:00:00Z", "2026-10-25T13:00:00Z"),
    ] {
        let simulation = simulate(&policy, at(start), 2, day).expect("possible");
        assert_eq!(simulation.made, 2, "{start}");
        assert_eq!(simulation.held[0].archive.time, at(last));
    }
    // From noon to noon: one day that is two dates.
    let hour = "1h".parse().expect("a span");
    let simulation = simulate(&policy, at("2026-10-24T10:00:00Z"), 1, hour).expect("possible");
    let held: Vec<usize> = simulation.days.iter().map(|day| day.held).collect();
    assert_eq!((simulation.made, held), (25, vec![12, 25]));
}

#[test]
fn two_years_of_hours_are_simulated_while_somebody_waits() {
    let within = Some("1y".parse().expect("a span"));
    let policy = Policy::new(
        with(Counts::default(), Rule::Last, 24.into()),
        within,
        Zone::UTC,
    );
    let hour = "1h".parse().expect("a span");
    let simulation = simulate(&policy, at("2026-01-01T00:00:00Z"), 730, hour).expect("possible");
    assert_eq!((simulation.made, simulation.most.archives), (17_520, 8760));
    assert_eq!(simulation.most.time, at("2026-12-31T23:00:00Z"));
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
    });
    let policy = only(Rule::Each(Period::Hour), Count::All);
    // A walk over the rest for each of them would be 1,250,000,000 steps.
    let judged = judge(all.collect(), &policy, start);
    assert_eq!(kept(&judged).len(), 50_000);
}

#[test]
fn sealed_archives_of_unknown_origin_push_no_good_one_out() {
    let good = |day: u32| {
        archive(
            &format!("good-{day}"),
            &format!("2026-11-{day:02}T03:00:00Z"),
            Standing::Good,
        )
    };
    let sealed = |hour: u32| {
        archive(
            &format!("sealed-{hour:02}"),
            &format!("2026-11-20T{hour:02}:00:00Z"),
            Standing::Sealed,
        )
    };
    let mut archives: Vec<Archive> = (10..=19).map(good).collect();
    archives.extend((4..=23).map(sealed));
    let judged = judge(
        archives,
        &only(Rule::Last, 3.into()),
        at("2026-11-21T00:00:00Z"),
    );
    let stays: Vec<String> = kept(&judged).into_iter().collect();
    assert_eq!(
        stays,
        [
            "good-17",
            "good-18",
            "good-19",
            "sealed-21",
            "sealed-22",
            "sealed-23"
        ]
    );
    let words = said(&judged);
    assert_eq!(
        words[0],
        (
            "sealed-23",
            "keep: last 1 of 3; newest archive, sealed".to_owned()
        )
    );
    assert_eq!(
        words[3],
        (
            "sealed-20",
            "remove: beyond every rule: replaced by sealed-21 (sealed)".to_owned()
        )
    );
    assert_eq!(
        words[20],
        (
            "good-19",
            "keep: last 1 of 3; newest good archive".to_owned()
        )
    );
}

#[test]
fn a_year_of_nights_is_kept_as_ever_after_the_records_were_lost() {
    // Until the records are lost, archives are good; those of the half year before count as sealed afterwards.
    let counts = Counts {
        daily: 7.into(),
        weekly: 4.into(),
        monthly: 12.into(),
        ..Counts::default()
    };
    let policy = Policy::new(counts, None, Zone::UTC);
    let first = at("2026-01-01T02:00:00Z");
    let (mut plain, mut sealed) = (Vec::new(), Vec::new());
    for night in 0..365 {
        let now = first + chrono::TimeDelta::days(night);
        let made = archive(&format!("{night:03}"), &now.to_rfc3339(), Standing::Good);
        plain.push(made.clone());
        sealed.push(made);
        if night == 180 {
            sealed
                .iter_mut()
                .for_each(|one| one.standing = Standing::Sealed);
        }
        for held in [&mut plain, &mut sealed] {
            let stays = kept(&judge(held.clone(), &policy, now));
            held.retain(|one| stays.contains(&one.name));
        }
        let missing = plain
            .iter()
            .find(|one| !sealed.iter().any(|other| other.name == one.name));
        assert_eq!(missing, None, "night {night}");
        assert!(
            sealed.len() <= plain.len() + 24,
            "night {night}: {}",
            sealed.len()
        );
    }
}
