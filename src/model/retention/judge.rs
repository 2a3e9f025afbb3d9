//! The verdict on every archive, with its reasons: pure, and independent of the order of the input.

use std::{collections::HashMap, fmt};

use chrono::{DateTime, Utc};

use super::{
    archive::{Archive, Mark, Standing, is_future, moment},
    calendar::Bucket,
    policy::{Count, Policy, Rule},
    rules::{self, CalendarArchive, Ground, Grounds},
    span::Span,
};

/// An archive and the verdict on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The archive.
    pub archive: Archive,
    /// The verdict.
    pub verdict: Verdict,
}

/// A verdict: keep or remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The archive stays, for each of these reasons; never without one.
    Keep(Vec<Reason>),
    /// The archive is removed.
    Remove(Removal),
}

/// A reason to keep an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The policy has no rules, so nothing is removed.
    NoPolicy,
    /// It is dated in the future because of a wrong clock, here or on the machine that made it. No rule considers it.
    Future,
    /// A user marked it.
    Marked(Mark),
    /// One of the newest.
    Last {
        /// Counted from the newest, which is 1.
        position: usize,
        /// The number of archives that the rule keeps.
        count: Count,
    },
    /// The newest of its hour, day, week, month or year; one with a torn database only if the bucket has no other one.
    Newest(Bucket),
    /// The oldest, while the rule has counts left.
    Oldest(Rule),
    /// Newer than the time of the newest archive minus a span.
    Within(Span),
    /// The newest archive that is known to be good, whatever the rules say.
    NewestGood,
    /// The newest archive that may be good, newer than every one that is known to be good.
    NewestUnproven,
    /// The newest archive; it is sealed, no key opens it, and it is newer than every one that is known to be good.
    NewestSealed,
    /// The newest archive, although a database in it is torn.
    NewestTorn,
    /// Damaged or incomplete, and no archive that counts is as new.
    NothingBetter(Standing),
}

/// The reason to remove an archive, and the archive that took its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The cause.
    pub cause: Cause,
    /// The time at which its mark ended, if it had one.
    pub mark_ended: Option<DateTime<Utc>>,
    /// The name of the archive that took its place; that archive is kept and counts.
    pub replacement: String,
    /// The standing of that archive; it counts.
    pub replacement_standing: Standing,
}

/// A cause for removing an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Its bucket keeps a newer archive. The bucket is that of the finest rule in which a bucket of the archive keeps
    /// one.
    Outdone(Bucket),
    /// No rule reaches back to it; the next newer archive that is kept took its place.
    BeyondRules,
    /// It is damaged or incomplete, and an archive that counts is as new. The archive that its bucket keeps took its
    /// place, else the next newer one that is kept.
    Bad(Standing),
}

/// Judges every archive. Returns them newest first; archives of the same time are ordered by their number, highest
/// first, and by name.
///
/// Archives that are damaged, incomplete, or dated in the future ([`is_future`]) use up no count, and nothing is
/// counted from them. Without them the verdicts on the others are the same. Those dated in the future stay. The damaged
/// and the incomplete are removed as soon as an archive that counts is as new: until then nothing else is left.
///
/// A sealed archive that may be good ([`Standing::Sealed`]) uses up counts among all archives, but only for itself: the
/// verdicts on the others are those without it. So a sealed archive of unknown origin pushes out no other one.
///
/// Promised for every policy that has a rule: the newest good archive stays, so does the newest of all that count, and
/// so does every archive with a mark that holds. Not promised: that an archive which was never inspected is good.
pub fn judge(mut archives: Vec<Archive>, policy: &Policy, now: DateTime<Utc>) -> Vec<Judged> {
    archives.sort_by(|one, other| {
        let newest_first = other.order().cmp(&one.order());
        newest_first.then_with(|| one.cmp(other))
    });
    let verdicts = if policy.is_empty() {
        let keep = |archive: &Archive| {
            let mut reasons = vec![Reason::NoPolicy];
            reasons.extend(standing_reasons(archive, now));
            Verdict::Keep(reasons)
        };
        archives.iter().map(keep).collect()
    } else {
        verdicts(&archives, policy, now)
    };
    let judged = archives.into_iter().zip(verdicts);
    judged
        .map(|(archive, verdict)| Judged { archive, verdict })
        .collect()
}

/// Returns the verdicts on archives in their order, for a policy that has a rule.
fn verdicts(archives: &[Archive], policy: &Policy, now: DateTime<Utc>) -> Vec<Verdict> {
    let among_all = Court::new(archives, policy, now).verdicts();
    let is_sealed = |archive: &Archive| archive.standing == Standing::Sealed;
    if !archives.iter().any(is_sealed) {
        return among_all;
    }
    let others = archives.iter().filter(|archive| !is_sealed(archive));
    let others: Vec<Archive> = others.cloned().collect();
    let mut without = Court::new(&others, policy, now).verdicts().into_iter();
    let of_each = archives.iter().zip(among_all);
    of_each
        .map(|(archive, verdict)| match is_sealed(archive) {
            true => verdict,
            false => without.next().unwrap_or(verdict),
        })
        .collect()
}

/// Returns the reasons to keep an archive that do not depend on the rules.
fn standing_reasons(archive: &Archive, now: DateTime<Utc>) -> impl Iterator<Item = Reason> {
    let future = is_future(archive.time, now).then_some(Reason::Future);
    let mark = archive.mark.filter(|mark| mark.holds(now));
    future.into_iter().chain(mark.map(Reason::Marked))
}

/// An archive that counts, with the results of the rules.
struct Counting<'a> {
    archive: &'a Archive,
    placed: CalendarArchive,
    grounds: Grounds,
    /// The position counted from the newest archive that counts, which is 1.
    position: usize,
    /// The reason to keep it because it is the newest, if it is.
    crown: Option<Reason>,
}

impl Counting<'_> {
    fn is_kept(&self, now: DateTime<Utc>) -> bool {
        self.grounds.is_kept()
            || self.crown.is_some()
            || self.archive.mark.is_some_and(|mark| mark.holds(now))
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
                (Rule::Each(period), Ground::Newest) => Reason::Newest(self.placed.bucket(period)),
                (Rule::Each(_), Ground::Oldest) => Reason::Oldest(rule),
            });
        rules.chain(within.map(Reason::Within)).chain(self.crown)
    }
}

/// The input of the verdicts, prepared.
struct Court<'a> {
    archives: &'a [Archive],
    policy: &'a Policy,
    now: DateTime<Utc>,
    counting: Vec<Counting<'a>>,
    /// For each bucket in which a rule keeps an archive: the index of that archive in `counting`.
    keepers: HashMap<Bucket, usize>,
    /// Indexes in `counting` of the archives that are kept; newest first.
    kept: Vec<usize>,
}

impl<'a> Court<'a> {
    fn new(archives: &'a [Archive], policy: &'a Policy, now: DateTime<Utc>) -> Court<'a> {
        let counting: Vec<(&Archive, CalendarArchive)> = archives
            .iter()
            .filter(|archive| !is_future(archive.time, now) && archive.standing.counts())
            .map(|archive| {
                let placed = CalendarArchive::new(archive.time, policy.zone());
                (archive, placed.torn(archive.standing == Standing::Torn))
            })
            .collect();
        let grounds = rules::apply(counting.iter().map(|(_, placed)| placed), policy);
        let first_good = counting
            .iter()
            .position(|(archive, _)| archive.standing == Standing::Good);
        // An archive that was not inspected may be good.
        let newest_unproven = counting
            .iter()
            .position(|(archive, _)| {
                matches!(
                    archive.standing,
                    Standing::Unproven | Standing::Cold | Standing::Sealed
                )
            })
            .filter(|place| first_good.is_none_or(|good| *place < good));
        let is_sealed = |place: usize| counting[place].0.standing == Standing::Sealed;
        let crown = |place| match place {
            _ if first_good == Some(place) => Some(Reason::NewestGood),
            _ if newest_unproven == Some(place) => Some(match is_sealed(place) {
                true => Reason::NewestSealed,
                false => Reason::NewestUnproven,
            }),
            0 => Some(Reason::NewestTorn),
            _ => None,
        };
        let crowns: Vec<Option<Reason>> = (0..counting.len()).map(crown).collect();
        let counting: Vec<Counting> = counting
            .into_iter()
            .zip(grounds)
            .zip(crowns)
            .enumerate()
            .map(|(place, (((archive, placed), grounds), crown))| Counting {
                archive,
                placed,
                grounds,
                position: place + 1,
                crown,
            })
            .collect();
        let mut keepers = HashMap::new();
        for (place, one) in counting.iter().enumerate() {
            for (rule, ground) in one.grounds.rules() {
                if let (Rule::Each(period), Ground::Newest) = (rule, ground) {
                    keepers.insert(one.placed.bucket(period), place);
                }
            }
        }
        let kept = (0..counting.len())
            .filter(|place| counting[*place].is_kept(now))
            .collect();
        Court {
            archives,
            policy,
            now,
            counting,
            keepers,
            kept,
        }
    }

    fn verdicts(&self) -> Vec<Verdict> {
        let mut counting = self.counting.iter().peekable();
        let verdict = |archive: &Archive| {
            let counted = counting.next_if(|one| std::ptr::eq(one.archive, archive));
            let mut reasons: Vec<Reason> = standing_reasons(archive, self.now).collect();
            reasons.extend(counted.into_iter().flat_map(|one| one.reasons(self.policy)));
            if !reasons.is_empty() {
                return Verdict::Keep(reasons);
            }
            match self.removal(archive) {
                Some(removal) => Verdict::Remove(removal),
                None => Verdict::Keep(vec![Reason::NothingBetter(archive.standing)]),
            }
        };
        self.archives.iter().map(verdict).collect()
    }

    /// Returns the removal of an archive that nothing keeps. `None` if no archive that counts is as new; the newest
    /// that counts is always kept.
    fn removal(&self, archive: &Archive) -> Option<Removal> {
        let as_new = self
            .kept
            .partition_point(|place| self.counting[*place].archive.time >= archive.time);
        let next_newer = *self.kept[..as_new].last()?;
        let placed = CalendarArchive::new(archive.time, self.policy.zone());
        let in_bucket = Rule::ALL.into_iter().find_map(|rule| match rule {
            Rule::Last => None,
            Rule::Each(period) => {
                let bucket = placed.bucket(period);
                Some((bucket, *self.keepers.get(&bucket)?))
            }
        });
        let cause = match in_bucket {
            _ if !archive.standing.counts() => Cause::Bad(archive.standing),
            Some((bucket, _)) => Cause::Outdone(bucket),
            None => Cause::BeyondRules,
        };
        let replacement = in_bucket.map_or(next_newer, |(_, place)| place);
        let replacement = self.counting[replacement].archive;
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

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoPolicy => f.write_str("no policy"),
            Reason::Future => f.write_str("dated in the future"),
            Reason::Marked(mark) => write!(f, "marked: keep {mark}"),
            Reason::Last { position, count } => write!(f, "last {position} of {count}"),
            Reason::Newest(bucket) => write!(f, "{bucket}"),
            Reason::Oldest(rule) => write!(f, "oldest, {rule} counts remain"),
            Reason::Within(span) => write!(f, "within {span}"),
            Reason::NewestGood => f.write_str("newest good archive"),
            Reason::NewestUnproven => f.write_str("newest archive, unproven"),
            Reason::NewestSealed => f.write_str("newest archive, sealed"),
            Reason::NewestTorn => f.write_str("newest archive, with a torn database"),
            Reason::NothingBetter(standing) => {
                write!(f, "{standing}, but no good archive is as new")
            }
        }
    }
}

impl fmt::Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause {
            Cause::Outdone(bucket) => write!(f, "{bucket}: replaced by {}", self.replacement)?,
            Cause::BeyondRules => write!(f, "beyond every rule: replaced by {}", self.replacement)?,
            Cause::Bad(standing) => write!(f, "{standing}: replaced by {}", self.replacement)?,
        }
        if self.replacement_standing != Standing::Good {
            write!(f, " ({})", self.replacement_standing)?;
        }
        if let Some(end) = self.mark_ended {
            write!(f, "; its mark ended {}", moment(end))?;
        }
        Ok(())
    }
}
