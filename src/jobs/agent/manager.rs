//! The service manager that started the agent (sd_notify(3)). The only module that knows the crate sd-notify.
//!
//! Without a manager, as in a container, all of this does nothing.

use std::time::Duration;

use sd_notify::NotifyState;

/// The service manager.
#[derive(Debug)]
pub struct Manager {
    /// The time within which the manager wants a sign of life.
    watchdog: Option<Duration>,
    status: String,
}

impl Manager {
    /// Returns the manager that the environment names.
    pub fn new() -> Manager {
        Manager {
            watchdog: sd_notify::watchdog_enabled(),
            status: String::new(),
        }
    }

    /// Reports that the agent is ready.
    pub fn ready(&self) {
        send(&[NotifyState::Ready]);
    }

    /// Reports that the configuration is read again.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => send(&[NotifyState::Reloading, now]),
            Err(_) => send(&[NotifyState::Reloading]),
        }
    }

    /// Reports that the agent ends.
    pub fn stopping(&self) {
        send(&[NotifyState::Stopping]);
    }

    /// Asks for another minute to end: hooks may have to start a service again.
    pub fn ending(&self) {
        send(&[NotifyState::ExtendTimeoutUsec(60_000_000)]);
    }

    /// Reports what the agent does, if that is new.
    pub fn status(&mut self, status: String) {
        if status != self.status {
            send(&[NotifyState::Status(&status)]);
            self.status = status;
        }
    }

    /// Reports that the agent lives.
    pub fn alive(&self) {
        if self.watchdog.is_some() {
            send(&[NotifyState::Watchdog]);
        }
    }

    /// Returns the longest time between two signs of life.
    pub fn longest_sleep(&self) -> Duration {
        self.watchdog.map_or(Duration::MAX, |time| time / 3)
    }
}

/// Sends the states. A manager that does not listen is not a reason to fail.
fn send(states: &[NotifyState<'_>]) {
    drop(sd_notify::notify(states));
}
