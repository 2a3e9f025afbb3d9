//! The limit of tries of passwords: five times a minute for each user from each address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, Utc};

/// The tries within [`SPAN`].
const MOST_TRIES: usize = 5;
/// The time after which a try is forgotten, in seconds.
const SPAN: i64 = 60;
/// The users and addresses that are remembered.
const MOST_PLACES: usize = 10_000;

/// The tries of the last minute.
#[derive(Debug, Default)]
pub struct Tries(Mutex<HashMap<(String, IpAddr), Tried>>);

/// The tries of a user from an address.
#[derive(Debug, Default)]
struct Tried {
    /// Their times, in Unix seconds, in order.
    times: Vec<i64>,
    /// The time at which one too many was told last.
    refused: Option<i64>,
}

/// The verdict on a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The password is looked at.
    Allowed,
    /// It is one too many, the first within [`SPAN`].
    FirstRefused,
    /// It is one too many, and not the first.
    Refused,
}

impl Tries {
    /// Counts a try.
    pub fn count(&self, user: &str, address: IpAddr, now: DateTime<Utc>) -> Verdict {
        let now = now.timestamp();
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = |time: i64| time > now - SPAN && time <= now;
        let last = |tried: &Tried| tried.times.last().copied().unwrap_or_default();
        let place = (user.chars().take(64).collect(), address);
        if places.len() >= MOST_PLACES && !places.contains_key(&place) {
            places.retain(|_, tried| is_new(last(tried)));
            // A flood of names keeps no other user out: the older half goes, which takes as long as to try so many names.
            if places.len() >= MOST_PLACES {
                let mut ages: Vec<_> = places.values().map(last).collect();
                ages.sort_unstable();
                let middle = ages[ages.len() / 2];
                let mut rest = MOST_PLACES / 2;
                places.retain(|_, tried| {
                    let goes = rest > 0 && last(tried) <= middle;
                    rest -= usize::from(goes);
                    !goes
                });
            }
        }
        let tried = places.entry(place).or_default();
        tried.times.retain(|time| is_new(*time));
        if tried.times.len() < MOST_TRIES {
            tried.times.push(now);
            return Verdict::Allowed;
        }
        if tried.refused.is_some_and(is_new) {
            return Verdict::Refused;
        }
        tried.refused = Some(now);
        Verdict::FirstRefused
    }

    /// Forgets the tries of a user from an address: the password was right.
    pub fn forget(&self, user: &str, address: IpAddr) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.remove(&(user.chars().take(64).collect(), address));
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_sixth_try_within_a_minute_is_refused_and_memory_is_bounded() {
        let tries = Tries::default();
        let start = DateTime::from_timestamp(1_796_040_000, 0).expect("a time");
        let address = "10.0.0.1".parse().expect("an address");
        let second = |seconds| start + TimeDelta::seconds(seconds);
        for _ in 0..MOST_TRIES {
            assert_eq!(tries.count("anna", address, start), Verdict::Allowed);
        }
        assert_eq!(
            tries.count("anna", address, second(58)),
            Verdict::FirstRefused
        );
        assert_eq!(tries.count("anna", address, second(59)), Verdict::Refused);
        assert_eq!(tries.count("ben", address, start), Verdict::Allowed);
        let other = "10.0.0.2".parse().expect("an address");
        assert_eq!(tries.count("anna", other, start), Verdict::Allowed);
        assert_eq!(tries.count("anna", address, second(60)), Verdict::Allowed);
        // A flood of names takes no more memory, and keeps no other user out.
        for number in 0..3 * MOST_PLACES {
            let verdict = tries.count(&number.to_string(), address, start);
            assert_eq!(verdict, Verdict::Allowed);
        }
        assert!(tries.0.lock().expect("alone").len() <= MOST_PLACES);
        assert_eq!(tries.count("cleo", address, start), Verdict::Allowed);
    }
}
