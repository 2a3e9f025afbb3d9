//! Tiers: a destination with `every` gets an archive only when its time has come.

use anyhow::Result;

use super::place::Place;
use crate::{
    catalog::repository::ListedArchive,
    config::Settings,
    context::Context,
    model::{archive_name::ArchiveName, retention::Zone, written::rfc3339},
    work::events::JobEvent,
};

/// Returns the places whose time has come; says of each other one when that will be. A place that cannot be asked for
/// its newest archive is among them: the export will say why.
pub fn due(
    context: &Context,
    settings: &Settings,
    zone: Zone,
    places: &[Place],
) -> Result<Vec<Place>> {
    let mut due = Vec::new();
    for place in places {
        context.stop.check()?;
        let destination = settings.schema.destinations.get(&place.name);
        let Some(every) = destination.and_then(|destination| destination.every.as_ref()) else {
            due.push(place.clone());
            continue;
        };
        let newest = newest(context, settings, place);
        let last = every.last(zone, context.now);
        if newest.is_ok_and(|newest| {
            newest.is_some_and(|newest| last.is_none_or(|last| newest.time() >= last))
        }) {
            context.tell(JobEvent::NotDue {
                destination: place.name.clone(),
                next: every.next(zone, context.now).map(rfc3339),
            });
        } else {
            due.push(place.clone());
        }
    }
    Ok(due)
}

/// Returns the newest archive of a place by the names there.
fn newest(context: &Context, settings: &Settings, place: &Place) -> Result<Option<ArchiveName>> {
    let destination = place.open(context, settings)?;
    let prefix = &settings.schema.prefix;
    // An archive of a wrong clock, or a part of one, tells nothing.
    let counts = |listed: &ListedArchive| {
        !listed.is_ahead(context.now) && listed.archive().standing.counts()
    };
    let newest = destination.repository.newest_named(prefix, counts)?;
    Ok(newest.and_then(|name| ArchiveName::of_file(&name)))
}
