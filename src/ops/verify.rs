//! `verify`: proves archives good, and names every fault of those that are not.

use serde::Serialize;
use tracing::warn;

use super::{Context, archive_input::Location};
use crate::{
    archive::reader::Discard,
    error::{Failure, Kind},
    model::version::{Compatibility, compatibility, incompatible},
};

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// One for each archive, in the order in which they were named.
    pub archives: Vec<Archive>,
    /// The worst that was found.
    #[serde(skip)]
    pub worst: Option<Failure>,
}

/// What was found of one archive.
#[derive(Debug, Serialize)]
pub struct Archive {
    /// Its name.
    pub archive: String,
    /// Whether it is good.
    pub good: bool,
    /// Everything that is wrong with it.
    pub faults: Vec<String>,
    /// Its root folder, where it is good.
    pub root: Option<String>,
    /// How many entries it has.
    pub files: Option<usize>,
    /// The bytes of its entries.
    pub content_bytes: Option<u64>,
    /// Its entries that are torn: their content is what the manifest says, and may be no state that the file ever had.
    pub torn: Vec<String>,
}

/// Reads every archive to its end. Where the newest of a place is asked for and is damaged, the next older one is read as
/// well, until one is good: each of them is told of.
pub fn verify(context: &Context, locations: &[Location]) -> Result<Report, Failure> {
    let mut report = Report {
        archives: Vec::new(),
        worst: None,
    };
    let mut waiting: Vec<Location> = locations.iter().rev().cloned().collect();
    while let Some(location) = waiting.pop() {
        context.stop.check()?;
        let (archive, failure) = one(context, &location);
        if matches!(
            &failure,
            Some(Failure {
                kind: Kind::Interrupted(_),
                ..
            })
        ) {
            return Err(failure.unwrap_or_else(|| Failure::new(Kind::Failed, "interrupted")));
        }
        report.archives.push(archive);
        if matches!(&failure, Some(failure) if failure.kind == Kind::Refused) {
            waiting.extend(location.older());
        }
        if let Some(failure) = failure
            && report
                .worst
                .as_ref()
                .is_none_or(|worst| rank(&failure) > rank(worst))
        {
            report.worst = Some(failure);
        }
    }
    Ok(report)
}

/// A damaged archive says more than one of another version, and that more than a missing one.
fn rank(failure: &Failure) -> u8 {
    match failure.kind {
        Kind::Refused => 3,
        Kind::Version => 2,
        Kind::NotFound => 0,
        _ => 1,
    }
}

fn one(context: &Context, location: &Location) -> (Archive, Option<Failure>) {
    match location.read(context, "verifying", &mut Discard) {
        Ok(verified) => {
            let manifest = verified.manifest();
            if compatibility(&manifest.hookshot_version, &context.version)
                == Compatibility::Incompatible
            {
                warn!(archive = %location.shown(), "Good, but not for this hookshot: {}", incompatible(&manifest.hookshot_version, &context.version));
            }
            let archive = Archive {
                archive: location.shown(),
                good: true,
                faults: Vec::new(),
                root: Some(verified.root().to_owned()),
                files: Some(manifest.files.len()),
                content_bytes: Some(manifest.total_bytes()),
                torn: manifest.torn().map(|(name, _)| name.to_string()).collect(),
            };
            (archive, None)
        }
        Err(error) => {
            let failure = Failure::of(&error);
            let faults = if failure.faults.is_empty() {
                vec![failure.message.clone()]
            } else {
                failure.faults.clone()
            };
            let archive = Archive {
                archive: location.shown(),
                good: false,
                faults,
                root: None,
                files: None,
                content_bytes: None,
                torn: Vec::new(),
            };
            (archive, Some(failure))
        }
    }
}
