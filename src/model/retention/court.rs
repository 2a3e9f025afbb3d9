//! The verdicts on archives among their rivals.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};

use super::{
    archive::{Archive, Mark, Standing, is_future},
    arrival::Timing,
    calendar::{Bucket, Period},
    policy::{Policy, Rule},
    rules::{self, CalendarArchive, Ground, Grounds},
    verdict::{Cause, Reason, Removal, Verdict},
};

/// An archive with its place on the calendar, computed once, however often it is a rival.
pub struct Candidate<'a> {
    pub archive: &'a Archive,
    placed: CalendarArchive,
    /// Its index among all archives, newest first.
    pub at: usize,
}

impl<'a> Candidate<'a> {
    /// Places an archive on the calendar of a policy.
    pub fn new(at: usize, archive: &'a Archive, policy: &Policy) -> Candidate<'a> {
        let placed = CalendarArchive::new(archive.time, policy.zone());
        Candidate {
            archive,
            placed: placed.torn(archive.standing == Standing::Torn),
            at,
        }
    }

    /// Returns true if it may use up counts.
    pub fn counts(&self, now: DateTime<Utc>) -> bool {
        self.archive.standing.counts()
            && !is_future(self.archive.time, now)
            && self.archive.timing() != Timing::Early
    }

    /// Returns true if a user marked it, and the mark holds.
    pub fn is_marked(&self, now: DateTime<Utc>) -> bool {
        self.archive.mark.is_some_and(|mark| mark.holds(now))
    }

    /// Returns true if a database in it is torn.
    pub fn is_torn(&self) -> bool {
        self.archive.standing == Standing::Torn
    }

    /// Returns true if each of its buckets is that of a `newer` archive, or an earlier one. After clocks went back over
    /// midnight it need not be.
    pub fn follows(&self, newer: &Candidate) -> bool {
        let mut periods = Period::ALL.into_iter();
        periods.all(|period| self.placed.bucket(period) <= newer.placed.bucket(period))
    }
}

/// Archives in which marks hold, by their indexes among all.
pub type Marked<'a> = BTreeMap<usize, &'a Candidate<'a>>;

/// Returns the reasons to keep an archive that do not depend on the rules.
pub fn standing_reasons(archive: &Archive, now: DateTime<Utc>) -> impl Iterator<Item = Reason> {
    let is_ahead = archive.timing() == Timing::Early;
    let future = match is_future(archive.time, now) {
        true => Some(Reason::Future),
        false => is_ahead.then_some(Reason::Ahead),
    };
    let mark = archive.mark.filter(|mark| mark.holds(now));
    future.into_iter().chain(mark.map(Reason::Marked))
}

/// An archive that counts, with the results of the rules.
struct Counting<'a> {
    candidate: &'a Candidate<'a>,
    grounds: Grounds,
    /// The position counted from the newest archive that counts, which is 1.
    position: usize,
    /// The reason to keep it because it is the newest, if it is.
    crown: Option<Reason>,
}

impl Counting<'_> {
    /// Returns true if it stays whether it is marked or not.
    fn is_kept(&self) -> bool {
        self.grounds.is_kept() || self.crown.is_some()
    }

    fn reasons(&self, policy: &Policy) -> impl Iterator<Item = Reason> {
        let within = policy.within().filter(|_| self.grounds.is_within);
        let rules = self
            .grounds
            .rules()
            .map(|(rule, ground)| match (rule, ground) {
                (Rule::Last, _) => Reason::Last {
                    position: self.position,
                    count: policy.count(rule),
                },
                (Rule::Each(period), Ground::Newest) => {
                    Reason::Newest(self.candidate.placed.bucket(period))
                }
                (Rule::Each(_), Ground::Oldest) => Reason::Oldest(rule),
            });
        rules.chain(within.map(Reason::Within)).chain(self.crown)
    }
}

/// The input of the verdicts, prepared.
pub struct Court<'a, 'm> {
    /// All archives, the newest first.
    all: &'a [Candidate<'a>],
    policy: &'a Policy,
    now: DateTime<Utc>,
    counting: Vec<Counting<'a>>,
    /// For each bucket in which a rule keeps an archive: the index of that archive in `counting`.
    keepers: HashMap<Bucket, usize>,
    /// Indexes in `counting` of the archives that stay whether they are marked or not; newest first.
    kept: Vec<usize>,
    /// Those that count and stay because they are marked.
    marked: &'m Marked<'a>,
}

impl<'a, 'm> Court<'a, 'm> {
    /// Prepares the verdicts among the archives of `counting`, the newest first, and of `marked`. All of them count, and are
    /// among `all`. A marked archive that no rule keeps need not be in `counting`.
    pub fn new(
        all: &'a [Candidate<'a>],
        counting: Vec<&'a Candidate<'a>>,
        marked: &'m Marked<'a>,
        (policy, now): (&'a Policy, DateTime<Utc>),
    ) -> Court<'a, 'm> {
        let grounds = rules::apply(counting.iter().map(|candidate| &candidate.placed), policy);
        let standing = |place: usize| counting[place].archive.standing;
        let places = 0..counting.len();
        let first_good = places
            .clone()
            .find(|place| standing(*place) == Standing::Good);
        // An archive that was not inspected may be good.
        let newest_unproven = places
            .clone()
            .find(|place| {
                matches!(
                    standing(*place),
                    Standing::Unproven | Standing::Cold | Standing::Sealed
                )
            })
            .filter(|place| first_good.is_none_or(|good| *place < good));
        let crown = |place| match place {
            _ if first_good == Some(place) => Some(Reason::NewestGood),
            _ if newest_unproven == Some(place) => Some(match standing(place) {
                Standing::Sealed => Reason::NewestSealed,
                _ => Reason::NewestUnproven,
            }),
            0 => Some(Reason::NewestTorn),
            _ => None,
        };
        let crowns: Vec<Option<Reason>> = places.map(crown).collect();
        let counting: Vec<Counting> = counting
            .into_iter()
            .zip(grounds)
            .zip(crowns)
            .enumerate()
            .map(|(place, ((candidate, grounds), crown))| Counting {
                candidate,
                grounds,
                position: place + 1,
                crown,
            })
            .collect();
        let mut keepers = HashMap::new();
        for (place, one) in counting.iter().enumerate() {
            for (rule, ground) in one.grounds.rules() {
                if let (Rule::Each(period), Ground::Newest) = (rule, ground) {
                    keepers.insert(one.candidate.placed.bucket(period), place);
                }
            }
        }
        let kept = (0..counting.len())
            .filter(|place| counting[*place].is_kept())
            .collect();
        Court {
            all,
            policy,
            now,
            counting,
            keepers,
            kept,
            marked,
        }
    }

    /// Returns the archives on which the verdicts among these and further ones depend, the newest first: those that a rule
    /// keeps, and those whose databases are torn, as one of these may come before the archive that its bucket keeps.
    pub fn decisive(&self) -> Vec<&'a Candidate<'a>> {
        let is_decisive = |one: &&Counting| one.is_kept() || one.candidate.is_torn();
        let decisive = self.counting.iter().filter(is_decisive);
        decisive.map(|one| one.candidate).collect()
    }

    /// Returns the verdict on one of the archives.
    pub fn verdict(&self, candidate: &Candidate) -> Verdict {
        let counting = &self.counting;
        let place = counting.binary_search_by_key(&candidate.at, |one| one.candidate.at);
        let counted = place.ok().map(|place| &counting[place]);
        let mut reasons: Vec<Reason> = standing_reasons(candidate.archive, self.now).collect();
        reasons.extend(counted.into_iter().flat_map(|one| one.reasons(self.policy)));
        if !reasons.is_empty() {
            return Verdict::Keep(reasons);
        }
        match self.removal(candidate) {
            Some(removal) => Verdict::Remove(removal),
            None => Verdict::Keep(vec![Reason::NothingBetter(candidate.archive.standing)]),
        }
    }

    /// Returns the removal of an archive that nothing keeps. `None` if no archive that counts is as new; the newest
    /// that counts is always kept.
    fn removal(&self, candidate: &Candidate) -> Option<Removal> {
        let archive = candidate.archive;
        let of = |place: usize| self.counting[place].candidate;
        let end = self
            .all
            .partition_point(|one| one.archive.time >= archive.time);
        let as_new = self.kept.partition_point(|place| of(*place).at < end);
        let by_rules = self.kept[..as_new].last().map(|place| of(*place));
        let by_mark = self.marked.range(..end).next_back().map(|(_, one)| *one);
        let as_new = by_rules.into_iter().chain(by_mark);
        let next_newer = as_new.max_by_key(|one| one.at)?;
        let in_bucket = Rule::ALL.into_iter().find_map(|rule| match rule {
            Rule::Last => None,
            Rule::Each(period) => {
                let bucket = candidate.placed.bucket(period);
                Some((bucket, *self.keepers.get(&bucket)?))
            }
        });
        let cause = match in_bucket {
            _ if !archive.standing.counts() => Cause::Bad(archive.standing),
            Some((bucket, _)) => Cause::Outdone(bucket),
            None => Cause::BeyondRules,
        };
        let replacement = in_bucket.map_or(next_newer, |(_, place)| of(place)).archive;
        Some(Removal {
            cause,
            mark_ended: archive.mark.and_then(|mark| match mark {
                Mark::Until(end) => Some(end),
                Mark::Forever => None,
            }),
            replacement: replacement.name.clone(),
            replacement_standing: replacement.standing,
        })
    }
}
