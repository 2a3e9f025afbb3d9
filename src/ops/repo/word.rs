//! The repository that a verb works on: the one that is named, else the only one of the configuration, else restic's.

use std::ffi::{OsStr, OsString};

use anyhow::Result;

use crate::{
    catalog::{destination::Destination, repository::Repository, target::Target, vault::Vault},
    config::Settings,
    context::Context,
    error::{Failure, Kind},
};

/// The variable in which restic's users name their repository.
const VARIABLE: &str = "RESTIC_REPOSITORY";

/// Opens the destination that `word` names; sends no request yet. Without a word, that is the only repository of the
/// configuration; without one there, that of restic's variable.
pub fn place(context: &Context, settings: &Settings, word: Option<&OsStr>) -> Result<Destination> {
    let word = match word {
        Some(word) => word.to_owned(),
        None => default(context, settings)?,
    };
    Target::read(word)?.destination(context, settings)?.ready()
}

/// Returns the name of the only destination that is a repository.
fn default(context: &Context, settings: &Settings) -> Result<OsString> {
    let all = settings.schema.destinations.iter();
    let mut found = all.filter(|(_, one)| one.address.is_repository());
    match (found.next(), found.next()) {
        (Some((name, _)), None) => return Ok(format!("@{name}").into()),
        (Some((one, _)), Some((other, _))) => {
            let message = format!("there are several repositories: @{one}, @{other}");
            return Err(Failure::new(Kind::Usage, message)
                .hint("name the one that is meant")
                .into());
        }
        (None, _) => {}
    }
    if let Some(address) = context.environment.get(VARIABLE) {
        return Ok(match address.starts_with("restic:") {
            true => address.into(),
            false => format!("restic:{address}").into(),
        });
    }
    let message = "no repository is named, and the configuration has none";
    Err(Failure::new(Kind::Usage, message)
        .hint(format!(
            "name it: @NAME, or `restic:` and a URL or a path, here or in {VARIABLE}"
        ))
        .into())
}

/// Returns the care of a repository, or refuses a destination that is not one.
pub fn vault(repository: &dyn Repository) -> Result<&dyn Vault, Failure> {
    repository.vault().ok_or_else(|| {
        let message = format!("{} is not a repository", repository.shown());
        Failure::new(Kind::Usage, message)
            .hint("write restic: before its URL if it is to be one, as in restic:/srv/vault")
    })
}
