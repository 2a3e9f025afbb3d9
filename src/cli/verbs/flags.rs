//! Flags that several verbs have, and their meaning.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::{
    catalog::each::Hosts,
    config::{Choices, Settings, elsewhere::Elsewhere},
    machine::{
        planned::{PlanDemand, PlanScope},
        preflight::Force,
        rehearsal::Rehearsal,
    },
    model::digest::Digest,
    store::address::require_path,
};

/// Returns the hosts that `--all-hosts` asks for.
pub fn hosts(all_hosts: bool) -> Hosts {
    if all_hosts { Hosts::All } else { Hosts::Ours }
}

/// Returns the folder that stands for `/`, absolute and without links. Returns `None` if it is the root itself.
pub fn root(said: Option<&Path>) -> Result<Option<PathBuf>> {
    let Some(said) = said else {
        return Ok(None);
    };
    require_path(said)?;
    Ok(Elsewhere::below(said)?.root)
}

/// Returns what `--dry-run` asks for.
pub fn rehearsal(dry_run: bool) -> Rehearsal {
    if dry_run {
        Rehearsal::DryRun
    } else {
        Rehearsal::Real
    }
}

/// Returns what `--force` asks for.
pub fn force(force: bool) -> Force {
    if force { Force::Yes } else { Force::No }
}

/// Returns what `--plan` and `--plan=DIGEST` ask for.
pub fn demand(said: Option<Option<Digest>>, scope: PlanScope) -> Option<PlanDemand> {
    said.map(|digest| PlanDemand { scope, digest })
}

/// Returns true if the configuration says how the service is stopped and started.
pub fn is_controlled(choices: &Choices) -> Result<bool> {
    let settings = Settings::load(choices)?;
    Ok(settings.schema.import.control.is_some())
}
