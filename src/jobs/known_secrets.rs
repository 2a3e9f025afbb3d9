//! The secrets that are masked before a job runs a command or sends a message.

use std::time::Duration;

use crate::{
    config::{
        Settings,
        secret::{Lookup, WrittenSecret, is_reference},
    },
    context::Context,
};

/// The time limit of a lookup. No command is run, so none takes as long.
const LIMIT: Duration = Duration::from_secs(10);

/// Masks the secrets of destinations, notifications and encryption that can be read without a command, and those that stand in the
/// configuration. One that cannot be read is a failure of the work that needs it.
pub fn mask(context: &Context, settings: &Settings) {
    settings.mask_secrets(&context.runner.masks);
    let advance = |_: u64| Ok(());
    let lookup = Lookup {
        config: &settings.config,
        environment: &context.environment,
        runner: &context.runner,
        limit: LIMIT,
        advance: &advance,
    };
    let learn = |secret: &WrittenSecret| {
        if is_reference(secret.text.reveal()) && secret.is_at_hand() {
            // It masks what it finds.
            drop(lookup.find(secret));
        }
    };
    let schema = &settings.schema;
    schema.encryption.passphrase.iter().for_each(&learn);
    for destination in schema.destinations.values().filter(|one| one.enabled) {
        destination.options.secrets().iter().for_each(&learn);
    }
    for notification in schema.notify.iter().filter(|one| one.enabled) {
        notification.secrets().into_iter().for_each(&learn);
    }
}
