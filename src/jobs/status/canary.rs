//! The canary of keys: does a private key of this machine open the newest archive of a destination?

use crate::{
    catalog::{destination::Destination, opening::try_keys, repository::ListedArchive},
    context::Context,
    error::{Failure, Kind},
    model::{archive_name::Ending, health::Problem},
};

/// The answer of the canary.
#[derive(Debug, Default)]
pub struct Canary {
    /// The keys that open the newest archive; nothing without a private key, and if it is not sealed.
    pub opened_by: Option<Vec<String>>,
    /// A key is there, and none opens it.
    pub problem: Option<Problem>,
    /// The keys could not be tried.
    pub remark: Option<Problem>,
}

/// Tries the private keys of this machine on the header of the newest of `archives`. A machine without a key says nothing.
pub fn canary(
    context: &Context,
    destination: &Destination,
    archives: &[&ListedArchive],
) -> anyhow::Result<Canary> {
    let newest = archives.first().map(|listed| &listed.stored.name);
    let Some(name) = newest.filter(|name| Ending::of_file(name) == Some(Ending::Sealed)) else {
        return Ok(Canary::default());
    };
    let untried = |failure: Failure| Canary {
        remark: Some(Problem::KeysUntried {
            message: failure.message,
        }),
        ..Canary::default()
    };
    let ring = match context.keys.ring() {
        Ok(ring) if !ring.is_empty() => ring,
        Ok(_) => return Ok(Canary::default()),
        Err(failure) => return Ok(untried(failure)),
    };
    let repository = &destination.repository;
    let shown = format!("{}/{name}", repository.shown());
    let tried = repository
        .open(name)
        .and_then(|source| try_keys(&ring, &shown, source));
    let trial = match tried {
        Ok(Some(trial)) => trial,
        Ok(None) => return Ok(Canary::default()),
        Err(error) => {
            let failure = Failure::of(&error);
            return match failure.kind {
                Kind::Interrupted(_) => Err(error),
                _ => Ok(untried(failure)),
            };
        }
    };
    let keys = trial.opened_by.iter();
    let opened_by: Vec<String> = keys.map(|key| key.shown.clone()).collect();
    Ok(Canary {
        problem: opened_by
            .is_empty()
            .then(|| Problem::NoKeyOpens { name: name.clone() }),
        opened_by: Some(opened_by),
        remark: None,
    })
}
