//! The promises of retention, for random archives, policies and time zones, around the days on which clocks change.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;

use super::{
    tests::{at, kept, with},
    *,
};

mod late;

/// A zone, and a moment around which its clocks do something odd.
const ODD_MOMENTS: [(&str, &str); 12] = [
    ("UTC", "2026-12-31T23:00:00Z"),
    ("Europe/Berlin", "2026-03-29T01:00:00Z"),
    ("Europe/Berlin", "2026-10-25T01:00:00Z"),
    ("America/New_York", "2026-03-08T07:00:00Z"),
    ("America/New_York", "2026-11-01T06:00:00Z"),
    ("Asia/Kolkata", "2026-12-31T18:30:00Z"),
    // No 30th of December.
    ("Pacific/Apia", "2011-12-30T10:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    // From 00:01 back to 23:01 of the day before: a date comes twice, with another between.
    ("America/St_Johns", "2010-11-07T02:31:00Z"),
    ("America/Havana", "2026-11-01T05:00:00Z"),
    ("Africa/Casablanca", "2026-02-15T02:00:00Z"),
];

fn count() -> impl Strategy<Value = Count> {
    prop_oneof![
        3 => Just(Count::Absent),
        5 => (1..8u32).prop_map(Count::from),
        1 => Just(Count::All),
    ]
}

fn span() -> impl Strategy<Value = Option<Span>> {
    let texts = ["1h", "7h", "1d", "30d", "2w", "1m", "1y1m1d1h", "400000y"];
    prop_oneof![
        3 => Just(None),
        2 => prop::sample::select(texts.to_vec()).prop_map(|text| text.parse().ok()),
    ]
}

fn counts() -> impl Strategy<Value = Counts> {
    (count(), count(), count(), count(), count(), count()).prop_map(
        |(last, hourly, daily, weekly, monthly, yearly)| Counts {
            last,
            hourly,
            daily,
            weekly,
            monthly,
            yearly,
        },
    )
}

/// Generates archives around a moment: seconds, quarters of an hour, days and months from it.
fn archives(around: DateTime<Utc>) -> impl Strategy<Value = Vec<Archive>> {
    let seconds = prop_oneof![
        2 => -120..120i64,
        6 => (-200..200i64).prop_map(|quarters| quarters * 900),
        4 => (-60..60i64).prop_map(|days| days * 86_400),
        3 => (-40..40i64).prop_map(|months| months * 2_629_746),
    ];
    let standing = prop_oneof![
        6 => Just(Standing::Good),
        4 => Just(Standing::Unproven),
        2 => Just(Standing::Torn),
        1 => Just(Standing::Cold),
        2 => Just(Standing::Damaged),
        1 => Just(Standing::Incomplete),
    ];
    let mark = prop_oneof![
        8 => Just(None),
        1 => Just(Some(Mark::Forever)),
        1 => (-90..90i64).prop_map(move |days| Some(Mark::Until(around + TimeDelta::days(days)))),
    ];
    prop::collection::vec((seconds, standing, mark), 0..60).prop_map(move |drawn| {
        let archive =
            |(number, (seconds, standing, mark)): (usize, (i64, Standing, Option<Mark>))| Archive {
                name: format!("{number:03}"),
                time: around + TimeDelta::seconds(seconds),
                number: 0,
                standing,
                mark,
                arrival: None,
            };
        drawn.into_iter().enumerate().map(archive).collect()
    })
}

/// A question for [`judge`].
#[derive(Debug, Clone)]
struct Question {
    zone: Tz,
    archives: Vec<Archive>,
    policy: Policy,
    now: DateTime<Utc>,
}

impl Question {
    fn judged(&self) -> Vec<Judged> {
        judge(self.archives.clone(), &self.policy, self.now)
    }

    fn judged_by(&self, counts: Counts, within: Option<Span>) -> Vec<Judged> {
        let policy = Policy::new(counts, within, self.policy.zone());
        judge(self.archives.clone(), &policy, self.now)
    }

    fn counts(&self) -> Counts {
        let counts = |counts, rule| with(counts, rule, self.policy.count(rule));
        Rule::ALL.into_iter().fold(Counts::default(), counts)
    }

    fn is_counting(&self, archive: &Archive) -> bool {
        archive.standing.counts() && !is_future(archive.time, self.now)
    }

    /// Returns the bucket of an archive, found by formatting.
    fn bucket(&self, archive: &Archive, rule: Rule) -> String {
        let format = match rule {
            Rule::Last => return archive.name.clone(),
            Rule::Each(Period::Hour) => "%Y-%m-%d %H",
            Rule::Each(Period::Day) => "%Y-%m-%d",
            Rule::Each(Period::Week) => "%G-%V",
            Rule::Each(Period::Month) => "%Y-%m",
            Rule::Each(Period::Year) => "%Y",
        };
        archive
            .time
            .with_timezone(&self.zone)
            .format(format)
            .to_string()
    }

    /// Returns the archives that stay, by the definition of each rule, one archive at a time and slowly.
    fn kept_by_definition(&self) -> BTreeSet<String> {
        let all =
            |archive: &&Archive| self.policy.is_empty() || self.is_kept_by_definition(archive);
        self.archives
            .iter()
            .filter(all)
            .map(|archive| archive.name.clone())
            .collect()
    }

    fn is_kept_by_definition(&self, archive: &Archive) -> bool {
        if is_future(archive.time, self.now)
            || archive.mark.is_some_and(|mark| mark.holds(self.now))
        {
            return true;
        }
        let counting: Vec<&Archive> = self
            .archives
            .iter()
            .filter(|one| self.is_counting(one))
            .collect();
        if !archive.standing.counts() {
            return counting.iter().all(|other| other.time < archive.time);
        }
        let is_newer =
            |one: &Archive, other: &Archive| (one.time, &other.name) > (other.time, &one.name);
        let newer: Vec<&Archive> = counting
            .iter()
            .copied()
            .filter(|other| is_newer(other, archive))
            .collect();
        let is_first_good = archive.standing == Standing::Good
            && newer.iter().all(|other| other.standing != Standing::Good);
        let may_be_good = |one: &Archive| {
            matches!(
                one.standing,
                Standing::Good | Standing::Unproven | Standing::Cold
            )
        };
        let is_newest_hope = may_be_good(archive) && !newer.iter().any(|other| may_be_good(other));
        if newer.is_empty() || is_first_good || is_newest_hope {
            return true;
        }
        let newest = counting
            .iter()
            .map(|other| other.time)
            .max()
            .expect("this one is there");
        let zone = self.policy.zone();
        let is_within = |span: Span| archive.time > span.before(newest, zone);
        let is_oldest = newer.len() + 1 == counting.len();
        let is_left = |before: &BTreeSet<String>, rule: Rule| match self.policy.count(rule) {
            Count::Absent => false,
            Count::Of(count) => before.len() < count.get() as usize,
            Count::All => true,
        };
        let keeps = |rule: &Rule| {
            let newer_buckets = |one: &Archive| -> BTreeSet<String> {
                let newer = counting.iter().filter(|other| is_newer(other, one));
                newer.map(|other| self.bucket(other, *rule)).collect()
            };
            let bucket = self.bucket(archive, *rule);
            let mut members: Vec<&Archive> = counting
                .iter()
                .copied()
                .filter(|other| self.bucket(other, *rule) == bucket)
                .collect();
            members.sort_by(|one, other| match is_newer(one, other) {
                true => std::cmp::Ordering::Less,
                false => std::cmp::Ordering::Greater,
            });
            let whole = members.iter().find(|one| one.standing != Standing::Torn);
            let keeper = whole.unwrap_or(&members[0]);
            let is_keeper = keeper.name == archive.name;
            (is_keeper && is_left(&newer_buckets(members[0]), *rule))
                || (is_oldest && is_left(&newer_buckets(archive), *rule))
        };
        self.policy.within().is_some_and(is_within) || Rule::ALL.iter().any(keeps)
    }
}

fn question() -> impl Strategy<Value = Question> {
    prop::sample::select(ODD_MOMENTS.to_vec()).prop_flat_map(|(name, moment)| {
        let around = at(moment);
        let now = (-30..60i64).prop_map(move |days| around + TimeDelta::days(days));
        (archives(around), counts(), span(), now).prop_map(
            move |(archives, counts, within, now)| Question {
                zone: name.parse().expect("a zone"),
                archives,
                policy: Policy::new(counts, within, name.parse().expect("a zone")),
                now,
            },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn what_stays_is_what_the_definition_of_each_rule_keeps(question in question()) {
        prop_assert_eq!(kept(&question.judged()), question.kept_by_definition());
    }

    #[test]
    fn one_more_rule_or_a_higher_count_never_removes_more(
        question in question(),
        rule in prop::sample::select(Rule::ALL.to_vec()),
        more in 1..9u32,
    ) {
        prop_assume!(!question.policy.is_empty());
        let before = kept(&question.judged());
        let raised = match question.policy.count(rule) {
            Count::Absent => Count::from(more),
            Count::Of(count) => Count::from(count.get() + more),
            Count::All => Count::All,
        };
        let counts = with(question.counts(), rule, raised);
        prop_assert!(before.is_subset(&kept(&question.judged_by(counts, question.policy.within()))));
        let counts = with(question.counts(), rule, Count::All);
        prop_assert!(before.is_subset(&kept(&question.judged_by(counts, question.policy.within()))));
        if question.policy.within().is_none() {
            let within = Some(format!("{more}d").parse().expect("a span"));
            prop_assert!(before.is_subset(&kept(&question.judged_by(question.counts(), within))));
        }
    }

    #[test]
    fn a_count_of_buckets_is_kept_in_full_where_there_are_so_many(
        question in question(),
        period in prop::sample::select(Period::ALL.to_vec()),
        number in 1..9u32,
    ) {
        let rule = Rule::Each(period);
        let judged = question.judged_by(with(Counts::default(), rule, number.into()), None);
        let there: BTreeSet<String> = question.archives.iter()
            .filter(|archive| question.is_counting(archive))
            .map(|archive| question.bucket(archive, rule))
            .collect();
        let held: BTreeSet<String> = judged.iter()
            .filter(|one| match &one.verdict {
                Verdict::Keep(reasons) => {
                    let mut reasons = reasons.iter();
                    reasons.any(|reason| matches!(reason, Reason::Newest(_)))
                }
                _ => false,
            })
            .map(|one| question.bucket(&one.archive, rule))
            .collect();
        prop_assert_eq!(held.len(), there.len().min(number as usize));
    }

    #[test]
    fn verdicts_do_not_depend_on_the_order_of_the_question(
        (question, shuffled) in question().prop_flat_map(|question| {
            let archives = Just(question.archives.clone()).prop_shuffle();
            (Just(question), archives)
        }),
    ) {
        let judged = question.judged();
        prop_assert_eq!(judge(shuffled, &question.policy, question.now), judged.clone());
        for pair in judged.windows(2) {
            let (one, other) = (&pair[0].archive, &pair[1].archive);
            prop_assert!(one.time > other.time || (one.time == other.time && one.name < other.name));
        }
    }

    #[test]
    fn damaged_and_future_archives_change_no_other_verdict(question in question()) {
        let mut without = question.clone();
        without.archives.retain(|archive| question.is_counting(archive));
        let mut judged = question.judged();
        judged.retain(|one| question.is_counting(&one.archive));
        prop_assert_eq!(judged, without.judged());
    }

    #[test]
    fn the_first_good_archive_stays_and_so_does_what_is_marked(question in question()) {
        let kept = kept(&question.judged());
        let newest = |is_one: &dyn Fn(&Archive) -> bool| {
            let there = question.archives.iter().filter(|archive| question.is_counting(archive));
            there.filter(|archive| is_one(archive)).map(|archive| archive.time).max()
        };
        let stays = |archive: &Archive| kept.contains(&archive.name);
        let good = |archive: &Archive| archive.standing == Standing::Good;
        prop_assert_eq!(newest(&stays), newest(&|_| true));
        prop_assert_eq!(newest(&|archive| stays(archive) && good(archive)), newest(&good));
        for archive in &question.archives {
            if archive.mark.is_some_and(|mark| mark.holds(question.now)) || is_future(archive.time, question.now) {
                prop_assert!(kept.contains(&archive.name));
            }
        }
    }

    #[test]
    fn sealed_archives_change_no_other_verdict_and_are_judged_among_all(
        question in question(),
        which in prop::collection::vec(prop::bool::ANY, 60),
    ) {
        // Some of those that may be good are sealed.
        let mut sealed = question.clone();
        let mut unproven = question.clone();
        for (at, is_sealed) in which.into_iter().enumerate().take(question.archives.len()) {
            if is_sealed && question.archives[at].standing != Standing::Damaged {
                sealed.archives[at].standing = Standing::Sealed;
                unproven.archives[at].standing = Standing::Unproven;
            }
        }
        let is_sealed = |one: &Judged| one.archive.standing == Standing::Sealed;
        let judged = sealed.judged();
        let mut without = sealed.clone();
        without.archives.retain(|archive| archive.standing != Standing::Sealed);
        if !question.policy.is_empty() {
            let others: Vec<Judged> = judged.iter().filter(|one| !is_sealed(one)).cloned().collect();
            prop_assert_eq!(others, without.judged());
        }
        let among_all = kept(&unproven.judged());
        let stays = kept(&judged);
        for one in judged.iter().filter(|one| is_sealed(one)) {
            let name = &one.archive.name;
            prop_assert_eq!(stays.contains(name), among_all.contains(name));
            if let Verdict::Remove(removal) = &one.verdict {
                prop_assert!(stays.contains(&removal.replacement));
            }
        }
    }

    #[test]
    fn no_archive_goes_in_favour_of_a_torn_one_of_its_bucket(question in question()) {
        for one in question.judged() {
            let Verdict::Remove(removal) = &one.verdict else {
                continue;
            };
            if let Cause::Outdone(_) = removal.cause
                && one.archive.standing != Standing::Torn
            {
                prop_assert!(removal.replacement_standing != Standing::Torn);
            }
        }
    }

    #[test]
    fn an_empty_policy_removes_nothing(question in question()) {
        let judged = question.judged_by(Counts::default(), None);
        prop_assert_eq!(kept(&judged).len(), question.archives.len());
        for one in judged {
            prop_assert!(matches!(one.verdict, Verdict::Keep(reasons) if reasons[0] == Reason::NoPolicy));
        }
    }

    #[test]
    fn every_removal_names_an_archive_that_is_kept_and_counts(question in question()) {
        let judged = question.judged();
        let verdicts: BTreeMap<&str, &Judged> =
            judged.iter().map(|one| (one.archive.name.as_str(), one)).collect();
        for one in &judged {
            let removal = match &one.verdict {
                Verdict::Keep(reasons) => {
                    prop_assert!(!reasons.is_empty());
                    continue;
                }
                Verdict::Remove(removal) => removal,
            };
            let replacement = verdicts[removal.replacement.as_str()];
            prop_assert!(matches!(replacement.verdict, Verdict::Keep(_)));
            prop_assert!(question.is_counting(&replacement.archive));
            prop_assert_eq!(replacement.archive.standing, removal.replacement_standing);
            // A whole archive takes the place of a torn one of its bucket, however old it is.
            let is_whole = replacement.archive.standing != Standing::Torn;
            if one.archive.standing.counts() && !(one.archive.standing == Standing::Torn && is_whole) {
                prop_assert!(replacement.archive.time >= one.archive.time);
            }
        }
    }

    #[test]
    fn judging_again_what_was_kept_removes_nothing(question in question()) {
        let mut again = question.clone();
        let first = kept(&question.judged());
        again.archives.retain(|archive| first.contains(&archive.name));
        prop_assert_eq!(kept(&again.judged()), first);
    }
}
