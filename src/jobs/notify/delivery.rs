//! The delivery of a message: over all channels at the same time, each within its limit.
//!
//! Each notification has a thread, which is abandoned when its time is over: a name server that does not answer cannot
//! be interrupted.

use std::{
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use serde::Serialize;

use super::{
    channel::{self, ReadyChannel, Task},
    gathering::{self, Gathering},
    limit::{Cancellation, Limit},
    message::Message,
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
/// The longest time for which the beginning of a run waits for its notifications.
const AT_START: Duration = Duration::from_secs(5);
/// The time after its limit in which a notification may still tell how it ended.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The outcome of one notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotificationOutcome {
    /// Its name in the configuration.
    pub name: String,
    /// The occasion: the beginning of a run has one of its own.
    pub occasion: &'static str,
    /// True if it was sent.
    pub sent: bool,
    /// The reason why it was not sent.
    pub error: Option<String>,
}

/// A notification that is being sent.
struct Underway {
    limit: Limit,
    /// The time after the limit at which it is abandoned.
    grace: Duration,
    result: Option<Result<(), String>>,
}

/// The things that the threads of one delivery share.
struct Delivery {
    context: Context,
    settings: Settings,
    occasion: Occasion,
    record: RunRecord,
    gathering: Gathering,
    cancellation: Cancellation,
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
    let is_for = |one: &&Notification| one.enabled && one.is_for_run(occasion, record.job);
    let chosen = notifications.filter(is_for);
    let chosen: Vec<&Notification> = chosen.collect();
    send_to(context, settings, &chosen, occasion, record)
}

/// Refuses a configuration with a notification that this program is built without.
pub fn require_built(settings: &Settings) -> Result<(), Failure> {
    let mut enabled = settings.schema.notify.iter().filter(|one| one.enabled);
    enabled.try_for_each(channel::require_built)
}

/// Sends the record of a run to these notifications, as [`send`] does.
pub fn send_to(
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
    let delivery = Arc::new(Delivery {
        context: context.clone(),
        settings: settings.clone(),
        occasion,
        record: record.clone(),
        gathering: Gathering::new(chosen.len()),
        cancellation: Cancellation::new(context.stop.clone()),
    });
    let (sender, receiver) = mpsc::channel();
    let begin = |(number, notification): (usize, &&Notification)| {
        let time = match occasion {
            Occasion::Start => notification.timeout.min(AT_START),
            _ => notification.timeout,
        };
        let limit = Limit::new(time, &delivery.cancellation);
        let job = delivery.job_of(notification, limit.clone());
        let started = start(job, number, sender.clone());
        if started.is_err() {
            delivery.gathering.come();
        }
        Underway {
            limit,
            grace: match notification.runs_command() {
                true => GRACE + GRACE,
                false => LAST_WORDS,
            },
            result: started.err().map(Err),
        }
    };
    let mut underway: Vec<Underway> = chosen.iter().enumerate().map(begin).collect();
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
            occasion: occasion.name(),
            sent: error.is_none(),
            error: error.map(|error| printable_line(&error)),
        };
        tell(context, &outcome);
        outcome
    });
    outcomes.collect()
}

impl Delivery {
    /// Returns the job of one notification's thread: to resolve its secrets, to wait until those of the others are
    /// known, and to send the message.
    fn job_of(
        self: &Arc<Delivery>,
        notification: &Notification,
        limit: Limit,
    ) -> impl FnOnce(&mut Option<Task>) -> Result<(), String> + Send + use<> {
        let (delivery, notification) = (Arc::clone(self), notification.clone());
        move |task| {
            let (context, settings) = (&delivery.context, &delivery.settings);
            let channel = ReadyChannel::resolve(context, settings, &notification, &limit);
            delivery.gathering.come();
            let ready = channel.map_err(|error| reason(&Failure::of(&error)))?;
            let wait = |longest| delivery.gathering.wait(longest, &delivery.cancellation);
            match delivery.occasion {
                // The run waits for this one.
                Occasion::Start => wait(limit.left() / 5),
                _ => limit.standing_still(|| wait(gathering::LONGEST)),
            }
            let message = Message::new(context, settings, delivery.occasion, &delivery.record);
            let made = ready.task(context, settings, &notification.name, &message);
            let made = made.map_err(|error| reason(&Failure::of(&error)))?;
            task.insert(made)(&limit)
        }
    }
}

/// Begins a job in a thread of its own, which sends its result.
fn start(
    job: impl FnOnce(&mut Option<Task>) -> Result<(), String> + Send + 'static,
    number: usize,
    sender: mpsc::Sender<(usize, Result<(), String>)>,
) -> Result<(), String> {
    let work = move || {
        let mut task = None;
        let result = caught(|| job(&mut task)).unwrap_or_else(|caught| Err(caught.to_string()));
        // The receiver is gone if the time is over.
        drop(sender.send((number, result)));
        // A client waits for a name server that does not answer when it is dropped.
        drop(task);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Lives until the test says so, as a client does that waits for a name server.
    struct Lingering(mpsc::Receiver<()>);

    impl Drop for Lingering {
        fn drop(&mut self) {
            assert_eq!(self.0.recv(), Err(mpsc::RecvError));
        }
    }

    #[test]
    fn a_client_that_lingers_does_not_keep_the_result_back() {
        let (sender, receiver) = mpsc::channel();
        let (end, lingers) = mpsc::channel();
        let job = |task: &mut Option<Task>| {
            let client = Lingering(lingers);
            let send: Task = Box::new(move |_| {
                let _ = &client;
                Ok(())
            });
            let limit = Limit::new(Duration::from_secs(60), &Cancellation::default());
            task.insert(send)(&limit)
        };
        start(job, 7, sender).expect("a thread");
        let result = receiver.recv_timeout(Duration::from_secs(60));
        assert_eq!(result, Ok((7, Ok(()))));
        drop(end);
    }
}
