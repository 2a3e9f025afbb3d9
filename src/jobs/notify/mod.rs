//! Notifications: messages about a run, each by its way, after the history is written.
//!
//! A notification that fails is a warning, and changes nothing else.

use serde::Serialize;

use crate::{
    config::{Settings, notify::Notification},
    context::Context,
    model::{occasion::Occasion, run_record::RunRecord},
    work::events::NotifyEvent,
};

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
    deliver(context, chosen.collect(), record)
}

fn deliver(
    context: &Context,
    chosen: Vec<&Notification>,
    _record: &RunRecord,
) -> Vec<NotificationOutcome> {
    let outcomes = chosen.into_iter().map(|notification| NotificationOutcome {
        name: notification.name.clone(),
        sent: false,
        error: Some("not built yet".to_owned()),
    });
    let outcomes: Vec<NotificationOutcome> = outcomes.collect();
    for outcome in &outcomes {
        let name = outcome.name.clone();
        context.tell(match &outcome.error {
            None => NotifyEvent::Sent { name },
            Some(reason) => NotifyEvent::NotSent {
                name,
                reason: reason.clone(),
            },
        });
    }
    outcomes
}
