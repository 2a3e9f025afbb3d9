//! Events of notifications.

/// A step of a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotifyEvent {
    /// It was sent.
    Sent {
        /// Its name in the configuration.
        name: String,
    },
    /// It was not sent. Nothing else changes.
    NotSent {
        /// Its name in the configuration.
        name: String,
        /// The reason.
        reason: String,
    },
    /// Its command printed a line, which is masked.
    CommandSays {
        /// Its name in the configuration.
        name: String,
        /// The line.
        line: String,
    },
}
