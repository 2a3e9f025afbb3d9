//! The secrets that are masked from the first hook on, before anything is sent anywhere.

use std::time::Duration;

use crate::{
    config::{
        Settings,
        secret::{Lookup, WrittenSecret, is_reference},
    },
    context::Context,
    model::{secret_url::secret_parts, user_command::UserCommand},
};

/// The time limit of a lookup. No command is run, so none takes as long.
const LIMIT: Duration = Duration::from_secs(10);

/// Masks the secrets of destinations and notifications that can be read without a command, those that stand in the
/// configuration, and passwords in URLs of hooks. One that cannot be read is a failure of the work that needs it.
pub fn mask(context: &Context, settings: &Settings) {
    let masks = &context.runner.masks;
    settings.mask_secrets(masks);
    let advance = |_: u64| Ok(());
    let lookup = Lookup {
        config: &settings.config,
        environment: &context.environment,
        runner: &context.runner,
        limit: LIMIT,
        advance: &advance,
    };
    let learn = |secret: &WrittenSecret| {
        if is_reference(secret.text.reveal())
            && secret.is_at_hand()
            && let Ok(value) = lookup.find(secret)
        {
            secret_parts(&value).iter().for_each(|part| masks.add(part));
        }
    };
    let schema = &settings.schema;
    for destination in schema.destinations.values().filter(|one| one.enabled) {
        destination.options.secrets().iter().for_each(&learn);
    }
    for notification in schema.notify.iter().filter(|one| one.enabled) {
        notification.secrets().into_iter().for_each(&learn);
    }
    for hook in &schema.hooks {
        let words = match &hook.run {
            UserCommand::Line(line) => line.split_whitespace().map(str::to_owned).collect(),
            UserCommand::Words(words) => words.clone(),
        };
        for word in words {
            masks.add_password_of(word.trim_matches(['"', '\'']));
        }
    }
}
