//! The delivery of a message: by all ways at the same time, each within its limit.
//!
//! Each way has a thread, which is left alone when its time is over: a name server that does not answer cannot be
//! interrupted.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use serde::Serialize;

use super::{
    limit::Limit,
    message::Message,
    way::{self, ReadyWay, Task},
};
use crate::{
    config::{Settings, notify::Notification},
    context::Context,
    error::Failure,
    model::{entry_name::printable_line, occasion::Occasion, run_record::RunRecord},
    work::{events::NotifyEvent, panics::caught, shell::GRACE},
};

/// The time after which the wait for a notification looks at the clock.
const TICK: Duration = Duration::from_millis(50);
/// The time after its limit in which a notification may still tell how it ended.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The outcome of one notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotificationOutcome {
    /// Its name in the configuration.
    pub name: String,
    /// True if it was sent.
    pub sent: bool,
    /// The reason why it was not sent.
    pub error: Option<String>,
}

/// A notification that is being sent.
struct Underway {
    limit: Limit,
    /// The time after the limit at which it is left alone.
    grace: Duration,
    result: Option<Result<(), String>>,
}

/// Sends the record of a run to each notification of the configuration that is for `occasion`, and returns what became
/// of each, in the order of the configuration. Sends an event for each, too.
///
/// A cancelled run still notifies, within a few seconds.
pub fn send(
    context: &Context,
    settings: &Settings,
    occasion: Occasion,
    record: &RunRecord,
) -> Vec<NotificationOutcome> {
    let notifications = settings.schema.notify.iter();
    let chosen = notifications.filter(|one| one.enabled && one.is_for(occasion));
    deliver(
        context,
        settings,
        &chosen.collect::<Vec<_>>(),
        occasion,
        record,
    )
}

/// Refuses a configuration with a notification that this program is built without.
pub fn require_built(settings: &Settings) -> Result<(), Failure> {
    let mut enabled = settings.schema.notify.iter().filter(|one| one.enabled);
    enabled.try_for_each(way::require_built)
}

/// Sends the record to these notifications.
pub(super) fn deliver(
    context: &Context,
    settings: &Settings,
    chosen: &[&Notification],
    occasion: Occasion,
    record: &RunRecord,
) -> Vec<NotificationOutcome> {
    if chosen.is_empty() {
        return Vec::new();
    }
    settings.mask_secrets(&context.runner.masks);
    // Every secret is known before a message is composed.
    let ready: Vec<_> = (chosen.iter())
        .map(|notification| {
            let limit = Limit::new(notification.timeout, context.stop.clone());
            let way = ReadyWay::resolve(context, settings, notification, &limit);
            (limit, way)
        })
        .collect();
    let message = Message::new(context, settings, occasion, record);
    let (sender, receiver) = mpsc::channel();
    let mut underway = Vec::new();
    for (number, (limit, way)) in ready.into_iter().enumerate() {
        let name = &chosen[number].name;
        let grace = match &way {
            Ok(way) if way.ends_by_itself() => GRACE + GRACE,
            _ => LAST_WORDS,
        };
        let task = way.and_then(|way| way.task(context, settings, name, &message));
        let started = task
            .map_err(|error| reason(&Failure::of(&error)))
            .and_then(|task| start(task, limit.clone(), number, sender.clone()));
        underway.push(Underway {
            limit,
            grace,
            result: started.err().map(Err),
        });
    }
    drop(sender);
    wait(&mut underway, &receiver);
    let outcomes = chosen.iter().zip(underway).map(|(notification, underway)| {
        let result = underway
            .result
            .unwrap_or_else(|| Err(underway.limit.reason()));
        // A library's words may repeat a URL.
        let error = result.err().map(|error| context.runner.masked(&error));
        let outcome = NotificationOutcome {
            name: notification.name.clone(),
            sent: error.is_none(),
            error: error.map(|error| printable_line(&error)),
        };
        tell(context, &outcome);
        outcome
    });
    outcomes.collect()
}

/// Begins a task in a thread of its own, which sends its result.
fn start(
    task: Task,
    limit: Limit,
    number: usize,
    sender: mpsc::Sender<(usize, Result<(), String>)>,
) -> Result<(), String> {
    let work = move || {
        let result = caught(|| task(&limit)).unwrap_or_else(|caught| Err(caught.to_string()));
        // The receiver is gone if the time is over.
        drop(sender.send((number, result)));
    };
    let thread = thread::Builder::new().name("notify".to_owned()).spawn(work);
    match thread {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("cannot start a thread: {error}")),
    }
}

/// Waits until each notification has ended, or its time is over.
fn wait(underway: &mut [Underway], receiver: &mpsc::Receiver<(usize, Result<(), String>)>) {
    let is_open = |one: &Underway| one.result.is_none() && one.limit.overdue() < one.grace;
    while underway.iter().any(is_open) {
        match receiver.recv_timeout(TICK) {
            Ok((number, result)) => underway[number].result = Some(result),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn tell(context: &Context, outcome: &NotificationOutcome) {
    let name = outcome.name.clone();
    context.tell(match &outcome.error {
        None => NotifyEvent::Sent { name },
        Some(reason) => NotifyEvent::NotSent {
            name,
            reason: reason.clone(),
        },
    });
}

/// Returns a failure as one line, with the advice.
pub(super) fn reason(failure: &Failure) -> String {
    match &failure.hint {
        Some(hint) => format!("{}; {hint}", failure.message),
        None => failure.message.clone(),
    }
}
