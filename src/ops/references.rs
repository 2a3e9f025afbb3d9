//! References of a configuration to secrets that lead nowhere on this machine.

use std::{path::Path, time::Duration};

use crate::{
    config::{references::PlacedSecret, schema::Schema, secret::Lookup},
    context::Context,
};

/// The time limit of a command; none is run.
const NO_LIMIT: Duration = Duration::ZERO;

/// Names the references that lead nowhere: files, credentials, and variables of the environment. Commands are not run, and
/// what is disabled is left out. The options of destinations are inspected with these.
pub fn unresolved(context: &Context, config: &Path, schema: &Schema) -> Vec<String> {
    found(context, config, schema, |placed| {
        placed.destination.is_none()
    })
}

/// Names those of destinations, too.
pub fn all_unresolved(context: &Context, config: &Path, schema: &Schema) -> Vec<String> {
    found(context, config, schema, |_| true)
}

fn found(
    context: &Context,
    config: &Path,
    schema: &Schema,
    is_wanted: impl Fn(&PlacedSecret) -> bool,
) -> Vec<String> {
    let advance = context.step();
    let lookup = Lookup {
        config,
        environment: &context.environment,
        runner: &context.runner,
        limit: NO_LIMIT,
        advance: &advance,
    };
    let secrets = schema.secrets().into_iter();
    let secrets = secrets.filter(|placed| placed.is_enabled && is_wanted(placed));
    secrets
        .filter_map(|placed| placed.obstacle(&lookup))
        .collect()
}
