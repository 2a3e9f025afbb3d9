//! The processes that the command left behind: before the state of before comes back, those that may still write end.

use std::collections::BTreeSet;

use crate::{
    config::Settings, context::Context, jobs::guard::holders::holders, source::leftover,
    work::events::GuardEvent,
};

/// The most times that the processes are looked for.
const ROUNDS: usize = 5;

/// Ends the processes that the command left behind: those of our session, and daemons that have the state open. A daemon
/// that has nothing of the state open goes on: an upgrade may restart others. Returns the number of those that ended.
///
/// `mark` is in the environment of the command ([`MARK`](crate::work::shell::MARK)). Not promised: that processes are
/// found to which the command gave another environment, as sudo(8) does.
pub fn end(context: &Context, settings: &Settings, mark: &str) -> usize {
    let mut asked = BTreeSet::new();
    // One that is ended may have started another a moment before.
    for _ in 0..ROUNDS {
        let left = meant(settings, mark);
        if left.is_subset(&asked) {
            break;
        }
        leftover::end_marked(&left, mark);
        asked.extend(left);
    }
    let left = meant(settings, mark);
    let count = asked.difference(&left).count();
    if count > 0 {
        context.tell(GuardEvent::ChildrenEnded { count });
    }
    count
}

/// Returns the numbers of the processes that are ended.
fn meant(settings: &Settings, mark: &str) -> BTreeSet<i32> {
    let marked = leftover::marked(mark);
    if marked.is_empty() {
        return BTreeSet::new();
    }
    let holders = holders(settings);
    let meant = marked.iter().filter(|one| {
        let is_holder = u32::try_from(one.pid).is_ok_and(|pid| holders.contains(&pid));
        one.is_in_our_session || is_holder
    });
    meant.map(|one| one.pid).collect()
}
