//! Notifications: messages about a run, each over its channel, after the history is written.
//!
//! A notification that fails is a warning, and changes nothing else.

mod channel;
mod check;
mod command;
mod delivery;
#[cfg(feature = "notify")]
mod email;
mod fitted;
mod gathering;
#[cfg(feature = "notify")]
mod http;
mod limit;
mod message;
mod trial;
#[cfg(feature = "notify")]
mod tries;
#[cfg(feature = "notify")]
mod urgency;
mod words;

pub use self::{
    check::{Checked, check},
    delivery::{NotificationOutcome, require_built, send, send_to},
    trial::{NotifyReport, try_out},
};
