//! A look at a directory of this machine as it would be archived.

use std::{path::Path, time::Duration};

use anyhow::Result;

use crate::context::Context;
use crate::{
    config::{Settings, sources::Source},
    source::tree::{self, StagedTree, database::DatabaseHandling},
};

/// Reads this machine's directory where it lies.
pub fn read_directory(
    context: &Context,
    settings: &Settings,
    source: &Source,
    path: &Path,
) -> Result<StagedTree> {
    context.begin("comparing", None);
    let caller = tree::TreeContext {
        step: &context.step(),
        events: &context.events,
        scratch: &context.scratch,
        threads: context.threads,
        quiet: Duration::ZERO,
        unlisted_files: context.unlisted_files,
        databases: DatabaseHandling::AsFiles,
    };
    tree::stage(path, &source.name, &settings.rules(source)?, &caller)
}
