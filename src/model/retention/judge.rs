//! The verdict on every archive: pure, and independent of the order of the input.
//!
//! Archives have different rivals, and some have more than others. Those with the fewest are judged first; of their rivals
//! only those that decide are looked at again. So thousands of late archives take little longer than as many others.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Utc};

use super::{
    archive::{Archive, Standing},
    court::{Candidate, Court, Marked, standing_reasons},
    policy::Policy,
    rivals::{Rivals, entry},
    verdict::{Judged, Reason, Verdict},
};

/// Judges every archive. Returns them newest first; archives of the same time are ordered by their number, highest
/// first, and by name.
///
/// Archives that are damaged, incomplete, or dated in the future ([`is_future`](super::archive::is_future)) use up no count, and nothing is
/// counted from them. Without them the verdicts on the others are the same. Those dated in the future stay. The damaged
/// and the incomplete are removed as soon as an archive that counts is as new: until then nothing else is left.
///
/// A sealed archive that may be good ([`Standing::Sealed`]) uses up counts among all archives, but only for itself: the
/// verdicts on the others are those without it. So a sealed archive of unknown origin pushes out no other one.
///
/// The same goes for an archive that came late ([`Late`](super::arrival::Timing::Late)): a thief that may only write can date it back. It counts
/// for those alone that came late as well, and not before its own day of arrival. One that is dated ahead of its
/// arrival ([`Early`](super::arrival::Timing::Early)) is treated like one that is dated in the future.
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
    let candidate = |(at, archive)| Candidate::new(at, archive, policy);
    let candidates: Vec<Candidate> = archives.iter().enumerate().map(candidate).collect();
    let mut groups: BTreeMap<Rivals, Vec<&Candidate>> = BTreeMap::new();
    for (rivals, candidate) in Rivals::of_each(archives).into_iter().zip(&candidates) {
        groups.entry(rivals).or_default().push(candidate);
    }
    let mut verdicts: Vec<(usize, Verdict)> = Vec::with_capacity(archives.len());
    let mut growing: Option<(bool, Growing)> = None;
    for (rivals, members) in groups {
        // The groups in which sealed archives count come last, and begin anew.
        let among = match growing.take_if(|(sealed, _)| *sealed == rivals.sealed) {
            Some((_, among)) => among,
            None => Growing::new(&candidates, rivals, now),
        };
        let (_, among) = growing.insert((rivals.sealed, among));
        among.grow(rivals);
        let judge = |counting| Court::new(&candidates, counting, &among.marked, (policy, now));
        let court = judge(among.counting.clone());
        let decisive = match among.is_reducible {
            true => court.decisive(),
            false => among.counting.clone(),
        };
        for member in members {
            let verdict = match rivals.has(member.archive) || !member.counts(now) {
                true => court.verdict(member),
                // The others change nothing in it.
                false => judge(with(&decisive, member)).verdict(member),
            };
            verdicts.push((member.at, verdict));
        }
        among.counting = decisive;
    }
    verdicts.sort_by_key(|(at, _)| *at);
    let verdicts = verdicts.into_iter();
    verdicts.map(|(_, verdict)| verdict).collect()
}

/// Rivals that become more, day by day.
struct Growing<'a> {
    /// Those that decide so far, and those that came last; the newest first.
    counting: Vec<&'a Candidate<'a>>,
    /// Those that are marked.
    marked: Marked<'a>,
    /// Those that will be rivals, by the days on which they become some.
    coming: VecDeque<&'a Candidate<'a>>,
    /// False if a rival that does not decide now may decide later: a torn one may come before it, and clocks went back
    /// over midnight.
    is_reducible: bool,
    now: DateTime<Utc>,
}

impl<'a> Growing<'a> {
    /// Takes no rivals yet. Sealed ones come if they are among `rivals`.
    fn new(candidates: &'a [Candidate<'a>], rivals: Rivals, now: DateTime<Utc>) -> Growing<'a> {
        let comes = |one: &&Candidate| {
            one.counts(now) && (rivals.sealed || one.archive.standing != Standing::Sealed)
        };
        let mut coming: Vec<&Candidate> = candidates.iter().filter(comes).collect();
        let is_torn = coming.iter().any(|one| one.is_torn());
        coming.sort_by_key(|one| entry(one.archive));
        Growing {
            counting: Vec::new(),
            marked: Marked::new(),
            coming: coming.into(),
            is_reducible: !is_torn || candidates.windows(2).all(|two| two[1].follows(&two[0])),
            now,
        }
    }

    /// Adds those that are among `rivals` by now.
    fn grow(&mut self, rivals: Rivals) {
        while let Some(next) = self.coming.front().copied() {
            if !rivals.has(next.archive) {
                break;
            }
            self.coming.pop_front();
            self.counting.push(next);
            if next.is_marked(self.now) {
                self.marked.insert(next.at, next);
            }
        }
        self.counting.sort_by_key(|one| one.at);
    }
}

/// Returns these archives and another one, the newest first.
fn with<'a>(
    newest_first: &[&'a Candidate<'a>],
    other: &'a Candidate<'a>,
) -> Vec<&'a Candidate<'a>> {
    let place = newest_first.partition_point(|one| one.at < other.at);
    let (newer, older) = newest_first.split_at(place);
    [newer, &[other], older].concat()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::model::retention::{Arrival, Count, Counts, Mark, Zone};

    #[test]
    fn of_thousands_of_late_and_marked_archives_few_are_looked_at_again() {
        let now: DateTime<Utc> = "2026-11-30T12:00:00Z".parse().expect("a time");
        let archive = |number: i64| {
            let is_marked = number % 2 == 0;
            let time = now - TimeDelta::hours(12 * (number + 4));
            Archive {
                name: number.to_string(),
                time,
                number: 0,
                standing: Standing::Good,
                mark: is_marked.then_some(Mark::Forever),
                arrival: Arrival::told(time + TimeDelta::days(2), is_marked),
            }
        };
        let archives: Vec<Archive> = (0..4000).map(archive).collect();
        let counts = Counts {
            last: Count::from(3),
            daily: Count::from(7),
            ..Counts::default()
        };
        let policy = Policy::new(counts, None, Zone::UTC);
        let candidate = |(at, archive)| Candidate::new(at, archive, &policy);
        let candidates: Vec<Candidate> = archives.iter().enumerate().map(candidate).collect();
        let mut groups = Rivals::of_each(&archives);
        groups.sort();
        groups.dedup();
        assert!(groups.len() > 1000, "{}", groups.len());
        let mut among = Growing::new(&candidates, groups[0], now);
        let (mut looks, mut rivals) = (0, 0);
        for group in groups {
            rivals += among.coming.len();
            among.grow(group);
            rivals -= among.coming.len();
            looks += among.counting.len();
            let counting = among.counting.clone();
            let court = Court::new(&candidates, counting, &among.marked, (&policy, now));
            among.counting = court.decisive();
        }
        assert!(rivals > 3990 && among.marked.len() > 1990, "{rivals}");
        assert!(looks < 20 * archives.len(), "{looks}");
    }
}
