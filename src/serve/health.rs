//! The health of everything, out of what `status` told: worst first, in words and as a state.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Server, database::Look, parts::State};
use anyhow::Result;

/// The health of one configuration, as far as it is known.
#[derive(Debug, Clone)]
pub struct ConfigHealth {
    /// The configuration.
    pub config: String,
    /// The time at which it was told, in Unix seconds; `None` if nothing was yet.
    pub as_of: Option<i64>,
    /// The destinations, each with a service.
    pub destinations: Vec<DestinationHealth>,
    /// Everything that is wrong or remarkable, and not with a destination.
    pub details: Vec<Detail>,
    /// The reason why nothing could be told.
    pub failure: Option<String>,
}

/// The report of `status` on a service at a destination.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
pub struct DestinationHealth {
    /// The destination.
    pub destination: String,
    /// The beginning of the names of the service's archives.
    pub prefix: String,
    /// True if nothing is wrong.
    pub healthy: bool,
    /// The number of archives.
    pub archives: Option<u64>,
    /// The bytes of all archives.
    pub size_bytes: Option<u64>,
    /// The bytes that it has room for.
    pub room_bytes: Option<u64>,
    /// The newest good archive.
    pub newest: Option<Newest>,
    /// The age from which that is stale, in seconds.
    pub max_age_seconds: Option<i64>,
    /// Everything that is wrong or remarkable.
    #[serde(default)]
    pub details: Vec<Detail>,
}

/// The newest good archive of a destination.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
pub struct Newest {
    /// Its name.
    pub name: String,
    /// Its time.
    #[schema(value_type = String, format = DateTime)]
    pub time: chrono::DateTime<chrono::Utc>,
    /// Its bytes.
    pub size_bytes: u64,
}

/// Something that is wrong or remarkable.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
pub struct Detail {
    /// A sentence of it.
    pub message: String,
    /// The remedy.
    #[serde(default)]
    pub hint: String,
    /// True if it makes its place unhealthy.
    #[serde(default)]
    pub unhealthy: bool,
}

/// The part of the report of `status` that is read.
#[derive(Debug, Deserialize)]
struct Told {
    #[serde(default)]
    destinations: Vec<DestinationHealth>,
    #[serde(default)]
    details: Vec<Detail>,
    error: Option<ToldError>,
}

#[derive(Debug, Deserialize)]
struct ToldError {
    kind: String,
    message: String,
}

impl DestinationHealth {
    /// Returns its state at this time: what was good may be stale by now, whatever was told then.
    pub fn state(&self, now: i64) -> State {
        match self.healthy {
            _ if self.is_older(now, 2) => State::Bad,
            false if self.is_older(now, 1) => State::Late,
            false => State::Bad,
            true if self.is_older(now, 1) => State::Late,
            true => State::Good,
        }
    }

    /// Returns true if the newest archive is older than so many times the largest age.
    fn is_older(&self, now: i64, times: i64) -> bool {
        let newest = self.newest.as_ref();
        let age = newest.map(|newest| now.saturating_sub(newest.time.timestamp()));
        let limit = self.max_age_seconds.map(|max| max.saturating_mul(times));
        matches!((age, limit), (Some(age), Some(limit)) if age > limit)
    }

    /// Returns the state in a word.
    pub fn word(&self, now: i64) -> &'static str {
        match self.state(now) {
            State::Good => "protected",
            State::Unknown => "unknown",
            State::Late => "overdue",
            State::Bad if self.is_older(now, 2) => "long overdue",
            State::Bad if self.newest.is_none() => "no archive",
            State::Bad => "needs work",
        }
    }
}

/// A destination, with all services that keep archives there.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    /// The configuration that names it.
    pub config: &'a str,
    /// Its name, as verbs take it.
    pub name: &'a str,
    /// The services there: at least one.
    pub services: Vec<&'a DestinationHealth>,
}

impl Place<'_> {
    /// Returns the service in the worst state.
    pub fn worst(&self, now: i64) -> Option<&DestinationHealth> {
        let services = self.services.iter().copied();
        services.max_by_key(|service| service.state(now))
    }

    /// Returns the number of archives.
    pub fn archives(&self) -> u64 {
        let counts = self.services.iter().filter_map(|one| one.archives);
        counts.fold(0, u64::saturating_add)
    }

    /// Returns the bytes of all archives.
    pub fn size_bytes(&self) -> u64 {
        let sizes = self.services.iter().filter_map(|one| one.size_bytes);
        sizes.fold(0, u64::saturating_add)
    }

    /// Returns the bytes that it has room for.
    pub fn room_bytes(&self) -> Option<u64> {
        self.services.iter().filter_map(|one| one.room_bytes).min()
    }
}

impl ConfigHealth {
    /// Returns the destinations, in the order of the report.
    pub fn places(&self) -> Vec<Place<'_>> {
        let mut places: Vec<Place<'_>> = Vec::new();
        for service in &self.destinations {
            let known = places
                .iter_mut()
                .find(|place| place.name == service.destination);
            match known {
                Some(place) => place.services.push(service),
                None => places.push(Place {
                    config: &self.config,
                    name: &service.destination,
                    services: vec![service],
                }),
            }
        }
        places
    }

    fn of(config: String, look: Option<Look>) -> ConfigHealth {
        let mut health = ConfigHealth {
            config,
            as_of: look.as_ref().map(|look| look.at),
            destinations: Vec::new(),
            details: Vec::new(),
            failure: None,
        };
        let Some(look) = look else {
            return health;
        };
        match Told::deserialize(&look.answer) {
            Ok(told) => {
                health.destinations = told.destinations;
                health.details = told.details;
                let failed = told.error.filter(|error| error.kind != "not_healthy");
                health.failure = failed.map(|error| error.message);
            }
            Err(error) => health.failure = Some(format!("`hookshot status` told {error}")),
        }
        health
    }
}

/// Returns what is known of each configuration.
pub fn health(server: &Server) -> Result<Vec<ConfigHealth>> {
    let configs = server
        .configs
        .iter()
        .map(|config| config.display().to_string());
    configs
        .map(|config| {
            let look = server.database.look(&config, "status")?;
            Ok(ConfigHealth::of(config, look))
        })
        .collect()
}

/// Says in one sentence how everything is.
pub fn sentence(all: &[ConfigHealth], now: i64) -> (State, String) {
    if all.iter().all(|one| one.as_of.is_none()) {
        return (
            State::Unknown,
            "Nothing is known yet: the destinations are being asked.".to_owned(),
        );
    }
    let destinations: Vec<&DestinationHealth> =
        all.iter().flat_map(|one| &one.destinations).collect();
    let failed = all.iter().filter(|one| one.failure.is_some()).count();
    let ill = destinations
        .iter()
        .filter(|one| one.state(now) > State::Unknown)
        .count();
    let others = all
        .iter()
        .flat_map(|one| &one.details)
        .filter(|one| one.unhealthy)
        .count();
    let state = destinations.iter().map(|one| one.state(now)).max();
    let state = match failed + others {
        0 => state.unwrap_or(State::Unknown),
        _ => State::Bad,
    };
    let text = match (ill + failed + others, destinations.len()) {
        (0, 0) => "Nothing is protected: no destination is configured.".to_owned(),
        (0, _) => "Everything is protected.".to_owned(),
        (1, _) => "One thing needs work.".to_owned(),
        (count, _) => format!("{count} things need work."),
    };
    (state, text)
}
