//! The content of the destinations, asked for again as soon as a user looks and the last report is old.
//!
//! Without a look nothing is asked: the server sleeps. A page shows what is known, and how old that is, while verbs ask again.

use std::{
    path::Path,
    sync::{Arc, PoisonError},
};

use anyhow::Result;
use serde::Deserialize;
use tracing::warn;

use super::{
    Server,
    database::{Look, SeenArchive},
    program::{Answer, Asked},
};

/// The age from which what is known is asked again, in seconds.
pub const FRESH_SECONDS: i64 = 60;

/// The report of `list`.
#[derive(Debug, Deserialize)]
struct Listed {
    archives: Vec<SeenArchive>,
    failed: Vec<FailedDestination>,
}

/// A destination that gave no listing.
#[derive(Debug, Deserialize)]
struct FailedDestination {
    destination: String,
}

/// The looks, the last of which tells that all are done.
const ALL: &[Asked<'static>] = &[
    Asked::Status,
    Asked::List,
    Asked::History,
    Asked::Policy,
    Asked::Schedule,
];

/// Asks again if what is known is old, without waiting for it.
pub fn freshen(server: &Arc<Server>) {
    let now = server.now().timestamp();
    let mut last = server
        .looking
        .0
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    // A clock that was set back makes nothing fresh.
    if last.is_some_and(|last| (last..last + FRESH_SECONDS).contains(&now)) {
        return;
    }
    *last = Some(now);
    drop(last);
    let server = server.clone();
    tokio::spawn(async move { look(&server).await });
}

/// Asks one configuration again for its schedule and retention: they were changed.
pub async fn look_again(server: &Server, config: &Path) -> Result<()> {
    look_once(server, config, &Asked::Policy).await?;
    look_once(server, config, &Asked::Schedule).await
}

/// Asks all configurations, and keeps what they tell.
pub async fn look(server: &Server) {
    for config in &server.configs {
        for asked in ALL {
            if let Err(error) = look_once(server, config, asked).await {
                warn!(
                    "Cannot look at the destinations of {}: {error:#}",
                    config.display()
                );
            }
        }
    }
}

async fn look_once(server: &Server, config: &Path, asked: &Asked<'_>) -> Result<()> {
    let Answer {
        exit_code,
        mut report,
    } = server.program.ask(config, asked).await?;
    let config = config.display().to_string();
    // A report that tells of an error may have archives all the same.
    if let Asked::List = asked
        && let Ok(listed) = Listed::deserialize(&report)
    {
        let silent = listed.failed.into_iter().map(|one| one.destination);
        let silent: Vec<String> = silent.collect();
        (server.database).keep_archives(&config, &listed.archives, &silent)?;
        report["archives"].take();
    }
    let look = Look {
        at: server.now().timestamp(),
        exit_code,
        answer: report,
    };
    server.database.keep_look(&config, asked.verb(), &look)
}
