//! The durations of the parts of a restore, as its events tell them.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    context::Context,
    model::drill_record::DrillSeconds,
    work::{
        events::{Event, Events, Receiver, RestoreEvent},
        read_clock::ReadClock,
    },
};

/// The stage in which an import reads the archive.
const PASS: &str = "unpacking";

/// A moment of the work: the time of day, and the time for which bytes were waited for so far.
#[derive(Debug, Clone, Copy)]
struct Moment {
    time: Instant,
    waited: Duration,
}

/// The moments of one restore.
#[derive(Debug)]
struct Moments {
    begun: Moment,
    /// The archive begins to be read.
    read: Option<Moment>,
    /// It was read to its end, and is verified.
    verified: Option<Moment>,
    /// Everything is in its place.
    restored: Option<Moment>,
}

/// The durations of the parts of one restore.
pub struct Timing {
    clock: ReadClock,
    moments: Arc<Mutex<Moments>>,
}

/// The receiver that notes the moments, and passes on what shows the progress. The warnings of a rehearsal stand in its
/// report.
struct Noting {
    clock: ReadClock,
    moments: Arc<Mutex<Moments>>,
    to: Events,
}

impl Timing {
    /// Begins to measure; the work uses the context that is returned.
    pub fn begin(context: &Context) -> (Timing, Context) {
        let clock = ReadClock::measuring();
        let moments = Arc::new(Mutex::new(Moments {
            begun: now(&clock),
            read: None,
            verified: None,
            restored: None,
        }));
        let noting = Noting {
            clock: clock.clone(),
            moments: moments.clone(),
            to: context.events.clone(),
        };
        let context = Context {
            events: Events::new(noting),
            read_clock: clock.clone(),
            ..context.clone()
        };
        (Timing { clock, moments }, context)
    }

    /// Notes that everything is in its place.
    pub fn restored(&self) {
        let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        moments.restored = Some(now(&self.clock));
    }

    /// Returns the durations. The time since everything was in its place was spent on further checks.
    pub fn end(&self) -> DrillSeconds {
        let moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        parts(&moments, now(&self.clock))
    }
}

/// Returns the durations of the parts. Their sum is the time between the first and the last moment.
fn parts(moments: &Moments, end: Moment) -> DrillSeconds {
    let (Some(read), Some(verified), Some(restored)) =
        (moments.read, moments.verified, moments.restored)
    else {
        return DrillSeconds::default();
    };
    let begun = moments.begun;
    // Several threads may wait at once.
    let waited = |from: Moment, to: Moment| {
        let waited = to.waited.saturating_sub(from.waited);
        waited.min(to.time - from.time)
    };
    let (before, during) = (waited(begun, read), waited(read, verified));
    let pass = verified.time - read.time;
    let verify = (pass - during) + (end.time - restored.time);
    let restore = (read.time - begun.time - before) + (restored.time - verified.time);
    DrillSeconds {
        fetch: Some((before + during).as_secs_f64()),
        verify: Some(verify.as_secs_f64()),
        restore: Some(restore.as_secs_f64()),
        probe: None,
    }
}

fn now(clock: &ReadClock) -> Moment {
    Moment {
        time: Instant::now(),
        waited: clock.elapsed(),
    }
}

impl Receiver for Noting {
    fn receive(&self, event: Event) {
        let note = |note: fn(&mut Moments, Moment)| {
            let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
            note(&mut moments, now(&self.clock));
        };
        match &event {
            Event::Stage { what: PASS, .. } => {
                note(|moments, now| moments.read = moments.read.or(Some(now)));
            }
            Event::Restore(RestoreEvent::Unpacked { .. }) => {
                note(|moments, now| moments.verified = Some(now));
            }
            _ => {}
        }
        let is_shown = matches!(
            event,
            Event::Stage { .. }
                | Event::Progress { .. }
                | Event::Restore(RestoreEvent::CommandSays { .. })
        );
        if is_shown {
            self.to.send(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_the_whole_and_waiting_is_no_longer_than_the_pass() {
        let begun = Instant::now();
        let at = |seconds: u64, waited: u64| Moment {
            time: begun + Duration::from_secs(seconds),
            waited: Duration::from_secs(waited),
        };
        for (waited, fetch, verify) in [(3, 3.0, 4.0), (100, 5.0, 2.0)] {
            let moments = Moments {
                begun: at(0, 0),
                read: Some(at(2, 1)),
                verified: Some(at(6, waited)),
                restored: Some(at(9, waited)),
            };
            let seconds = parts(&moments, at(11, waited));
            assert_eq!((seconds.fetch, seconds.verify), (Some(fetch), Some(verify)));
            assert_eq!((seconds.restore, seconds.rto()), (Some(4.0), Some(11.0)));
        }
        let cut_short = Moments {
            begun: at(0, 0),
            read: Some(at(1, 0)),
            verified: None,
            restored: None,
        };
        assert_eq!(parts(&cut_short, at(2, 0)), DrillSeconds::default());
    }
}
