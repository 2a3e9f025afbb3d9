//! Verbs in sequence, unattended: the nightly job, what happens around it, and what is remembered of it.

pub mod agent;
pub mod backup;
pub mod configs;
#[cfg(feature = "serve")]
pub mod demo_nights;
pub mod drill;
pub mod guard;
mod health_news;
pub mod history;
pub mod hooks;
mod killed;
mod known_secrets;
pub mod lock;
pub mod metrics;
mod missed;
pub mod notify;
pub mod planned;
pub mod protect;
mod recorded;
pub mod runs;
pub mod schedule;
pub mod scheduled;
pub mod status;
pub mod timer;
mod undone;
mod variables;
