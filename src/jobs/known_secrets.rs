//! The secrets that are masked before a job runs a command or sends a message.

use std::time::Duration;

use crate::{
    config::{
        Settings,
        encryption::IDENTITY_FILE,
        references::PlacedSecret,
        secret::{Lookup, is_reference},
    },
    context::Context,
    error::Failure,
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
    let secrets = settings.schema.secrets().into_iter();
    for PlacedSecret { secret, .. } in secrets.filter(|placed| placed.is_enabled) {
        // The private keys of a run are read when it needs them.
        let is_known = secret.key != IDENTITY_FILE && secret.is_at_hand();
        if is_known && is_reference(secret.text.reveal()) {
            // It masks what it finds.
            drop(lookup.find(&secret));
        }
    }
}

/// Returns a failure without the secrets that this run knows.
pub fn masked(context: &Context, failure: Failure) -> Failure {
    let masked = |text: &String| context.runner.masked(text);
    Failure {
        kind: failure.kind,
        message: masked(&failure.message),
        hint: failure.hint.as_ref().map(masked),
        faults: failure.faults.iter().map(masked).collect(),
    }
}
