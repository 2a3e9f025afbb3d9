//! Applies the rules of a policy to the archives that count. After restic's `forget`, as its documentation describes
//! it: a bucket keeps its newest archive, gaps do not use up counts, and the oldest archive stays while counts remain.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::{
    calendar::{Bucket, Period, Zone},
    policy::{Count, Policy, Rule},
};

/// An archive that counts, with its place on the calendar. The place is computed once, however often the archive is
/// judged.
#[derive(Debug, Clone, Copy)]
pub struct CalendarArchive {
    /// The time of its snapshot.
    pub time: DateTime<Utc>,
    /// True if a database in it is torn: then it represents a bucket only if no other archive can.
    is_torn: bool,
    buckets: [Bucket; 5],
}

impl CalendarArchive {
    /// Places a moment on the calendar of a zone.
    pub fn new(time: DateTime<Utc>, zone: Zone) -> CalendarArchive {
        let local = zone.local(time);
        CalendarArchive {
            time,
            is_torn: false,
            buckets: Period::ALL.map(|period| Bucket::of(period, local)),
        }
    }

    /// Returns the same with `is_torn` set: true if a database in the archive is torn.
    pub fn torn(self, is_torn: bool) -> CalendarArchive {
        CalendarArchive { is_torn, ..self }
    }

    /// Returns the bucket that contains the archive.
    pub fn bucket(&self, period: Period) -> Bucket {
        self.buckets[period as usize]
    }
}

/// The reason for which a rule keeps an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// It is the newest of its bucket, or the newest without a torn database if there is one.
    Newest,
    /// It is the oldest of all archives, and the rule has counts left.
    Oldest,
}

/// The results of the rules for one archive.
#[derive(Debug, Clone, Copy, Default)]
pub struct Grounds {
    /// In the order of [`Rule::ALL`].
    rules: [Option<Ground>; 6],
    /// True if it lies within the span.
    pub is_within: bool,
}

impl Grounds {
    /// Returns true if any rule keeps the archive.
    pub fn is_kept(&self) -> bool {
        self.is_within || self.rules.iter().any(Option::is_some)
    }

    /// Returns the rules that keep the archive, finest first.
    pub fn rules(&self) -> impl Iterator<Item = (Rule, Ground)> {
        let named = Rule::ALL.into_iter().zip(self.rules);
        named.filter_map(|(rule, ground)| Some((rule, ground?)))
    }
}

/// Applies every rule to the archives that count, newest first, and returns the results in the same order.
pub fn apply<'a, I>(newest_first: I, policy: &Policy) -> Vec<Grounds>
where
    I: ExactSizeIterator<Item = &'a CalendarArchive> + Clone,
{
    let mut grounds = vec![Grounds::default(); newest_first.len()];
    // Counted from the newest archive, as restic does, and not from now: if backups stop, no archive may expire.
    if let (Some(span), Some(newest)) = (policy.within(), newest_first.clone().next()) {
        let since = span.before(newest.time, policy.zone());
        for (archive, grounds) in newest_first.clone().zip(&mut grounds) {
            grounds.is_within = archive.time > since;
        }
    }
    let whole = newest_whole(newest_first.clone());
    for (number, rule) in Rule::ALL.into_iter().enumerate() {
        let mut counter = Counter::new(policy.count(rule));
        for (place, archive) in newest_first.clone().enumerate() {
            if counter.is_used_up() {
                break;
            }
            let is_counted = match rule {
                Rule::Last => counter.count(None),
                Rule::Each(period) => counter.count(Some(archive.bucket(period))),
            };
            let keeper = match rule {
                // The first of its bucket is counted, so an archive without a torn database comes after it.
                Rule::Each(period) if is_counted && archive.is_torn => {
                    whole.get(&archive.bucket(period)).copied().unwrap_or(place)
                }
                _ => place,
            };
            if is_counted {
                grounds[keeper].rules[number] = Some(Ground::Newest);
            }
        }
        if let Some(oldest) = grounds.last_mut()
            && !counter.is_used_up()
        {
            oldest.rules[number].get_or_insert(Ground::Oldest);
        }
    }
    grounds
}

/// Finds the index of the newest archive without a torn database for each bucket. Returns an empty map if no archive
/// has a torn database, because no rule needs it then.
fn newest_whole<'a, I>(newest_first: I) -> HashMap<Bucket, usize>
where
    I: Iterator<Item = &'a CalendarArchive> + Clone,
{
    let mut whole = HashMap::new();
    if newest_first.clone().any(|archive| archive.is_torn) {
        let others = newest_first.enumerate();
        for (place, archive) in others.filter(|(_, archive)| !archive.is_torn) {
            for bucket in archive.buckets {
                whole.entry(bucket).or_insert(place);
            }
        }
    }
    whole
}

/// The rest of a rule's count.
struct Counter {
    /// `None` for a rule that keeps all.
    left: Option<u32>,
    /// Buckets that have their archive, in the order in which they were added.
    seen: Vec<Bucket>,
    earliest: Option<Bucket>,
}

impl Counter {
    fn new(count: Count) -> Counter {
        Counter {
            left: match count {
                Count::Absent => Some(0),
                Count::Of(number) => Some(number.get()),
                Count::All => None,
            },
            seen: Vec::new(),
            earliest: None,
        }
    }

    fn is_used_up(&self) -> bool {
        self.left == Some(0)
    }

    /// Counts an archive if its bucket has none yet, or if `bucket` is `None`. Returns true if it was counted.
    fn count(&mut self, bucket: Option<Bucket>) -> bool {
        if let Some(bucket) = bucket {
            if !self.is_new(bucket) {
                return false;
            }
            self.seen.push(bucket);
            self.earliest = Some(
                self.earliest
                    .map_or(bucket, |earliest| earliest.min(bucket)),
            );
        }
        self.left = self.left.map(|left| left - 1);
        true
    }

    /// Returns true if a bucket was never added. Wall clocks go back by some hours at most, so a comparison with the
    /// earliest bucket nearly always suffices. If clocks go back over midnight, a date comes again after another one.
    fn is_new(&self, bucket: Bucket) -> bool {
        self.earliest.is_none_or(|earliest| bucket < earliest)
            || (self.seen.last() != Some(&bucket) && !self.seen.contains(&bucket))
    }
}
