//! The processes that have the state open, whatever they are.

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use crate::{
    config::Settings,
    disk::holder::{open_below, open_by},
    work::cancel::Stop,
};

/// The time for which a service may still end after the command that stops it.
const ENDING: Duration = Duration::from_secs(15);
/// The time between two looks at first, and at last.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

/// Returns the numbers of the other processes that have the state open, as far as we may see them.
pub fn holders(settings: &Settings) -> BTreeSet<u32> {
    let mut pids = BTreeSet::new();
    for source in &settings.sources {
        let Some(path) = source.path() else {
            continue;
        };
        let holders = match source.is_directory() {
            true => open_below(path).unwrap_or_default(),
            false => {
                let open = open_by(path).unwrap_or_default();
                open.into_iter().map(|(holder, _)| holder).collect()
            }
        };
        pids.extend(holders.iter().filter_map(|holder| holder.pid));
    }
    pids
}

/// Waits until no process has the state open, at most 15 s: what follows says which one still has.
pub fn wait_for_the_end(settings: &Settings, stop: &Stop) {
    let begun = Instant::now();
    let [mut pause, longest] = PAUSES;
    while begun.elapsed() < ENDING && stop.check().is_ok() && !holders(settings).is_empty() {
        thread::sleep(pause);
        pause = longest.min(pause * 2);
    }
}
