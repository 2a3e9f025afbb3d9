//! The news of a check of the health: each notification gets a change once, and again until it was sent.

use std::collections::BTreeMap;

use super::notify::NotificationOutcome;
use crate::{
    config::notify::Notification,
    error::{Failure, Kind},
    model::{occasion::Occasion, run_record::Told},
};

/// The result of a check of the health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Every destination is healthy.
    Good,
    /// One is not.
    Bad,
    /// The check failed, so the health is as unknown as before.
    Unknown,
    /// The check was interrupted.
    Interrupted,
}

impl Health {
    /// Returns the health as `status` ended: with its exit code, and its failure if that is known.
    pub fn of(code: u8, failure: Option<&Failure>) -> Health {
        match failure.map(|failure| failure.kind) {
            Some(Kind::Interrupted(_)) => Health::Interrupted,
            _ if code == 0 => Health::Good,
            _ if code == Kind::Unhealthy.code() => Health::Bad,
            _ => Health::Unknown,
        }
    }
}

/// The news for some notifications.
#[derive(Debug, PartialEq, Eq)]
pub struct News<'a> {
    /// The occasion.
    pub occasion: Occasion,
    /// The notifications that have not got it yet.
    pub to: Vec<&'a Notification>,
    /// The news that each notification got, if none of these is sent.
    told: BTreeMap<String, Told>,
}

impl<'a> News<'a> {
    /// Returns the news of a check. `told` has the notifications that got bad news last.
    pub fn of(
        health: Health,
        notifications: &'a [Notification],
        told: &BTreeMap<String, Told>,
    ) -> Option<News<'a>> {
        let enabled = notifications.iter().filter(|one| one.enabled);
        let mut known = told.clone();
        known.retain(|name, _| enabled.clone().any(|one| one.name == *name));
        let chosen = |occasion: Occasion, is_due: &dyn Fn(Option<&Told>) -> bool| {
            let due = enabled.clone().filter(|one| {
                let is_for = one.is_for(occasion);
                is_for && is_due(told.get(&one.name))
            });
            due.collect::<Vec<_>>()
        };
        let (occasion, to) = match health {
            Health::Interrupted => return None,
            Health::Unknown => {
                let occasion = Occasion::Failure;
                (occasion, chosen(occasion, &|told| told.is_none()))
            }
            Health::Bad => {
                let occasion = Occasion::Stale;
                // Those that want the good news alone get them later.
                for one in enabled.clone().filter(|one| !one.is_for(occasion)) {
                    if one.is_for(Occasion::Recovered) {
                        known.insert(one.name.clone(), Told::Stale);
                    }
                }
                let is_due = |told: Option<&Told>| told != Some(&Told::Stale);
                (occasion, chosen(occasion, &is_due))
            }
            Health::Good => {
                let occasion = Occasion::Recovered;
                let to = chosen(occasion, &|told| told.is_some());
                known.retain(|name, _| to.iter().any(|one| one.name == *name));
                (occasion, to)
            }
        };
        Some(News {
            occasion,
            to,
            told: known,
        })
    }

    /// Returns the notifications that have got bad news last, by what became of these.
    pub fn told(self, outcomes: &[NotificationOutcome]) -> BTreeMap<String, Told> {
        let mut told = self.told;
        for outcome in outcomes.iter().filter(|outcome| outcome.sent) {
            let name = outcome.name.clone();
            match self.occasion {
                Occasion::Stale => told.insert(name, Told::Stale),
                Occasion::Failure => told.insert(name, Told::Failure),
                _ => told.remove(&name),
            };
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{config::notify::Channel, model::user_command::UserCommand};

    fn for_occasions(name: &str, on: &[Occasion]) -> Notification {
        Notification {
            name: name.to_owned(),
            channel: Channel::Command(UserCommand::Line("true".to_owned())),
            on: on.to_vec(),
            timeout: Duration::from_secs(1),
            enabled: name != "off",
        }
    }

    /// Follows checks of the health; returns the occasion and the receivers of each. Nothing reaches `lost`.
    fn follow(checks: &[(Health, &str)], notifications: &[Notification]) -> Vec<String> {
        let mut told = BTreeMap::new();
        let news = checks.iter().map(|(health, lost)| {
            let Some(news) = News::of(*health, notifications, &told) else {
                return "-".to_owned();
            };
            let names: Vec<&str> = news.to.iter().map(|one| one.name.as_str()).collect();
            let says = format!("{} {}", news.occasion.name(), names.join(","));
            let outcomes = names.iter().map(|name| NotificationOutcome {
                name: (*name).to_owned(),
                occasion: news.occasion.name(),
                sent: name != lost,
                error: None,
            });
            let outcomes: Vec<NotificationOutcome> = outcomes.collect();
            told = news.told(&outcomes);
            says
        });
        news.collect()
    }

    const ALL: [Occasion; 2] = [Occasion::Stale, Occasion::Failure];

    #[test]
    fn bad_news_are_repeated_until_they_were_sent_and_so_are_good_ones() {
        let notifications = [
            for_occasions("a", &ALL),
            for_occasions("b", &ALL),
            for_occasions("off", &ALL),
            for_occasions("good", &[Occasion::Recovered]),
            for_occasions("runs", &[Occasion::Success]),
        ];
        let checks = [
            (Health::Good, ""),
            (Health::Bad, "b"),
            (Health::Bad, "b"),
            (Health::Bad, ""),
            (Health::Bad, ""),
            (Health::Good, "a"),
            (Health::Good, ""),
            (Health::Good, ""),
        ];
        let expected = [
            "recovered ",
            "stale a,b",
            "stale b",
            "stale b",
            "stale ",
            "recovered a,b,good",
            "recovered a",
            "recovered ",
        ];
        assert_eq!(follow(&checks, &notifications), expected);
    }

    #[test]
    fn a_check_that_failed_says_nothing_of_the_health() {
        let notifications = [for_occasions("a", &ALL)];
        let checks = [
            Health::Unknown,
            Health::Interrupted,
            Health::Unknown,
            Health::Bad,
            Health::Interrupted,
            Health::Unknown,
            Health::Bad,
            Health::Good,
            Health::Unknown,
            Health::Good,
        ];
        let expected = [
            "failure a",
            "-",
            "failure ",
            "stale a",
            "-",
            "failure ",
            "stale ",
            "recovered a",
            "failure a",
            "recovered a",
        ];
        assert_eq!(
            follow(&checks.map(|health| (health, "")), &notifications),
            expected
        );
    }

    #[test]
    fn exit_code_19_alone_is_bad_health() {
        let interrupted = Failure::new(Kind::Interrupted(15), "interrupted");
        let unhealthy = Failure::new(Kind::Unhealthy, "stale");
        for (code, failure, health) in [
            (0, None, Health::Good),
            (19, None, Health::Bad),
            (19, Some(&unhealthy), Health::Bad),
            (1, None, Health::Unknown),
            (10, None, Health::Unknown),
            (143, Some(&interrupted), Health::Interrupted),
        ] {
            assert_eq!(Health::of(code, failure), health, "{code}");
        }
    }
}
