//! Each verdict says why: which rule keeps an archive, and which archive took the place of one that goes.

use super::*;

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
