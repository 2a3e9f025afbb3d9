//! The services that are known: out of what `status` told of each, and of the archives that were seen.

use std::collections::BTreeMap;

use anyhow::Result;

use super::{
    Server,
    health::{ConfigHealth, Detail},
    parts::State,
};

/// A service: the archives of a prefix, at all destinations of its configuration.
#[derive(Debug, Clone)]
pub struct Service {
    /// The beginning of the names of its archives.
    pub prefix: String,
    /// The configuration whose destinations hold them.
    pub config: String,
    /// The worst state at a destination.
    pub state: State,
    /// The state in a word.
    pub word: &'static str,
    /// The destination in that state, and the time of the newest good archive there, in Unix seconds.
    pub worst: Option<(String, Option<i64>)>,
    /// The time of the newest good archive at any destination, in Unix seconds.
    pub newest_at: Option<i64>,
    /// The age from which that is stale, in seconds: the smallest of its destinations.
    pub max_age_seconds: Option<i64>,
    /// The number of its archives.
    pub archives: u64,
    /// The bytes of all copies.
    pub size_bytes: u64,
    /// The destinations that are looked at.
    pub destinations: Vec<String>,
    /// The problems and remarks, each with its destination and the state there.
    pub details: Vec<(String, State, Detail)>,
}

impl Service {
    fn new(config: &str, prefix: &str) -> Service {
        Service {
            prefix: prefix.to_owned(),
            config: config.to_owned(),
            state: State::Unknown,
            word: "not watched",
            worst: None,
            newest_at: None,
            max_age_seconds: None,
            archives: 0,
            size_bytes: 0,
            destinations: Vec::new(),
            details: Vec::new(),
        }
    }
}

/// Returns all services, by prefix.
pub fn services(server: &Server, all: &[ConfigHealth]) -> Result<Vec<Service>> {
    let now = server.now().timestamp();
    let mut found: BTreeMap<(String, String), Service> = BTreeMap::new();
    for one in all {
        for place in &one.destinations {
            let key = (place.prefix.clone(), one.config.clone());
            let service = found
                .entry(key)
                .or_insert_with(|| Service::new(&one.config, &place.prefix));
            let state = place.state(now);
            let newest = place.newest.as_ref().map(|one| one.time.timestamp());
            if service.destinations.is_empty() || state > service.state {
                service.worst = Some((place.destination.clone(), newest));
                (service.state, service.word) = (state, place.word(now));
            }
            service.newest_at = service.newest_at.max(newest);
            let ages = [service.max_age_seconds, place.max_age_seconds];
            service.max_age_seconds = ages.into_iter().flatten().min();
            service.destinations.push(place.destination.clone());
            let details = place.details.iter().cloned();
            let details = details.map(|detail| (place.destination.clone(), state, detail));
            service.details.extend(details);
        }
    }
    for count in server.database.service_counts()? {
        let key = (count.prefix.clone(), count.config.clone());
        let service = found
            .entry(key)
            .or_insert_with(|| Service::new(&count.config, &count.prefix));
        service.archives = count.archives;
        service.size_bytes = count.size_bytes;
        if service.destinations.is_empty() {
            service.newest_at = Some(count.newest_at);
        }
    }
    Ok(found.into_values().collect())
}
