//! The processes that the command left behind: before the state of before comes back, those that may still write end.

use crate::{
    config::Settings,
    context::Context,
    disk::holder::{open_below, open_by},
    source::leftover,
    work::events::GuardEvent,
};

/// The most times that the processes are looked for.
const ROUNDS: usize = 5;

/// Ends the processes that the command left behind: those of our session, and daemons that have the state open. A daemon
/// that has nothing of the state open goes on: an upgrade may restart others.
///
/// `mark` is in the environment of the command ([`MARK`](crate::work::shell::MARK)).
pub fn end(context: &Context, settings: &Settings, mark: &str) {
    let mut count = 0;
    // One that is ended may have started another a moment before.
    for _ in 0..ROUNDS {
        let pids = meant(settings, mark);
        if pids.is_empty() {
            break;
        }
        leftover::end_each(&pids);
        count += pids.len();
    }
    if count > 0 {
        context.tell(GuardEvent::ChildrenEnded { count });
    }
}

/// Returns the numbers of the processes that are ended.
fn meant(settings: &Settings, mark: &str) -> Vec<i32> {
    let marked = leftover::marked(mark);
    if marked.is_empty() {
        return Vec::new();
    }
    let holders = holders(settings);
    let meant = marked.iter().filter(|one| {
        let is_holder = u32::try_from(one.pid).is_ok_and(|pid| holders.contains(&pid));
        one.is_in_our_session || is_holder
    });
    meant.map(|one| one.pid).collect()
}

/// Returns the numbers of the processes that have the state open.
fn holders(settings: &Settings) -> Vec<u32> {
    let mut pids = Vec::new();
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
