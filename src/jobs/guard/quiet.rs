//! The events of a rehearsal before the work itself: its progress is shown, and what it finds is told by the work.

use crate::{
    context::Context,
    work::events::{Event, Events, Receiver},
};

struct Quiet {
    events: Events,
}

impl Receiver for Quiet {
    fn receive(&self, event: Event) {
        if matches!(event, Event::Stage { .. } | Event::Progress { .. }) {
            self.events.send(event);
        }
    }
}

/// Returns the context of a rehearsal: of its events, only the progress is told.
pub fn quiet(context: &Context) -> Context {
    Context {
        events: Events::new(Quiet {
            events: context.events.clone(),
        }),
        ..context.clone()
    }
}
