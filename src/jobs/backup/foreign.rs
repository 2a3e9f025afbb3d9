//! The archive before a run's own, if another machine or application made it: then they share a prefix, and each counts
//! the other's archives as its own.

use std::collections::BTreeMap;

use anyhow::Result;

use super::{identity::is_of_this_machine, place::Place};
use crate::{
    catalog::repository::ListedArchive,
    config::Settings,
    context::Context,
    model::{entry_name::printable, run_record::ForeignArchive},
};

/// Returns the newest archive of the prefix at a place beside `own`, if another machine or application made it. `known`
/// are the archives there that this history knows.
pub fn newest_foreign(
    context: &Context,
    settings: &Settings,
    place: &Place,
    own: Option<&str>,
    known: &BTreeMap<&str, &str>,
) -> Result<Option<ForeignArchive>> {
    let destination = place.open(context, settings)?;
    let is_before = |listed: &ListedArchive| {
        own != Some(listed.stored.name.as_str())
            && !listed.is_ahead(context.now)
            && listed.archive().standing.counts()
    };
    let prefix = &settings.schema.prefix;
    let repository = &destination.repository;
    let Some(stored) = repository.newest_listed(prefix, is_before)? else {
        return Ok(None);
    };
    // Without a key, nothing is known of one that this machine did not make.
    let Some(maker) = repository.inside(context, &stored)?.maker() else {
        return Ok(None);
    };
    // A converted archive names no machine.
    let is_ours_from_nowhere =
        maker.host.is_none() && maker.app.as_ref() == Some(&settings.schema.app);
    if is_ours_from_nowhere || is_of_this_machine(context, settings, known, &stored.name, &maker) {
        return Ok(None);
    }
    Ok(Some(ForeignArchive {
        archive: stored.name,
        host: maker.host,
        app: maker.app,
    }))
}

/// Returns what is wrong with a place that has such an archive.
pub fn fault(place: &Place, foreign: &ForeignArchive, prefix: &str) -> String {
    let shown = |name: &Option<String>| name.as_deref().map_or("unknown".to_owned(), printable);
    format!(
        "{} has archives of another machine or application with the prefix {prefix}: {} is of the host {} and the app {}",
        place.name,
        foreign.archive,
        shown(&foreign.host),
        shown(&foreign.app)
    )
}
