//! Which archives have to be sealed anew, and under which names.

use std::collections::BTreeSet;

use anyhow::Result;

use super::report::UnchangedArchive;
use crate::{
    archive::reader::Discard,
    catalog::{
        opening::is_sealed_for,
        repository::{ListedArchive, Manifests, Repository},
    },
    context::Context,
    crypt::Recipients,
    error::{Failure, Kind},
    model::{
        archive_name::{ArchiveName, Ending, MOST_NUMBER, stem_of},
        manifest::Manifest,
    },
};

/// An archive that is not sealed for the new recipients alone.
pub struct Planned {
    /// Its name.
    pub name: String,
    /// Its size.
    pub size_bytes: u64,
    /// The work that is left.
    pub work: Work,
}

impl Planned {
    /// Returns true if no run sealed it anew.
    pub fn is_unsealed(&self) -> bool {
        matches!(self.work, Work::Seal)
    }
}

/// The work that is left for an archive.
pub enum Work {
    /// All of it.
    Seal,
    /// Its removal: an earlier run, or another one, sealed it anew, under the name `twin`.
    Finish {
        /// The name of the new one.
        twin: String,
        /// Its size.
        size_bytes: u64,
    },
}

/// The names at the destination, without their endings: sealed or not, it is the same archive. A mark without an archive
/// takes its name, too.
#[derive(Default)]
pub struct Names(BTreeSet<String>);

impl Names {
    /// Takes a name.
    pub fn take(&mut self, name: &str) {
        self.0.insert(stem_of(name).to_owned());
    }

    /// Returns the free names that an archive may get, in order: with the next numbers.
    pub fn after(&self, name: &str) -> impl Iterator<Item = String> {
        let parsed = ArchiveName::of_file(name);
        let stem = stem_of(name).to_owned();
        let first = parsed.as_ref().map_or(1, |parsed| parsed.number() + 1);
        let numbered = (first..=MOST_NUMBER).map(move |number| match &parsed {
            Some(parsed) => parsed.file_name(number, Ending::Sealed),
            None => format!("{stem}.{number}{}", Ending::Sealed.text()),
        });
        numbered.filter(|name| !self.0.contains(stem_of(name)))
    }
}

/// Returns true if `new` may be the name that the archive called `old` got when it was sealed anew.
pub(super) fn follows(new: &str, old: &str) -> bool {
    match (ArchiveName::of_file(new), ArchiveName::of_file(old)) {
        (Some(new), Some(old)) => new.root() == old.root() && new.number() > old.number(),
        (None, None) => {
            let rest = stem_of(new).strip_prefix(stem_of(old));
            let number = rest.and_then(|rest| rest.strip_prefix('.'));
            number.is_some_and(|number| number.parse::<u32>().is_ok())
        }
        _ => false,
    }
}

/// The archives of a prefix, sorted by the recipients that they are sealed for.
pub struct Found {
    /// Those that are not sealed for the new recipients, the oldest first.
    pub left: Vec<Planned>,
    /// Those that are.
    pub unchanged: Vec<UnchangedArchive>,
    /// Those of which it cannot be told, with the reasons.
    pub failed: Vec<(String, Failure)>,
    /// The number of archives that are not sealed.
    pub plain: usize,
    /// Those of them whose names say that they are.
    pub misnamed: Vec<String>,
    /// The names that are taken.
    pub names: Names,
}

/// Finds the sealed archives of `prefix`, and sorts them by their headers.
///
/// Errors: [`Kind::NotFound`] if none is there.
pub fn find(
    context: &Context,
    repository: &dyn Repository,
    prefix: &str,
    recipients: &Recipients,
) -> Result<Found> {
    let listing = repository.list(Some(prefix), Manifests::OfAll)?;
    let mut names = Names::default();
    let archives = listing.archives.iter();
    let archives = archives.map(|listed| &listed.stored.name);
    let others = listing.other_files.iter().map(|file| &file.name);
    for name in archives.chain(others).chain(&listing.marks) {
        names.take(name);
    }
    let archives = listing.archives.into_iter();
    let (sealed, plain): (Vec<ListedArchive>, Vec<ListedArchive>) =
        archives.partition(|listed| is_sealed(&listed.stored.name));
    let unread = listing.other_files.into_iter();
    let unread = unread.filter(|file| is_sealed(&file.name) && !file.is_foreign);
    let unread = unread.map(|file| {
        let message = format!("{}/{}: {}", repository.shown(), file.name, file.reason);
        let failure = Failure::new(Kind::Key, message).hint(OTHER_KEY);
        (file.name, failure)
    });
    let mut failed: Vec<(String, Failure)> = unread.collect();
    context.begin("reading headers", None);
    let (mut done, mut left, mut misnamed) = (Vec::new(), Vec::new(), Vec::new());
    // Those of one second keep their order when they get new numbers.
    for listed in sealed.into_iter().rev() {
        context.stop.check()?;
        let name = &listed.stored.name;
        match form(context, repository, name, recipients) {
            Ok(Form::ForThese) => done.push(listed),
            Ok(Form::ForOthers) => left.push(listed),
            Ok(Form::Plain) => misnamed.push(listed.stored.name),
            Err(error) => {
                let failure = Failure::of(&error);
                match failure.kind {
                    Kind::Interrupted(_) => return Err(error),
                    // Another process removed it.
                    Kind::NotFound => {}
                    _ => failed.push((name.clone(), failure)),
                }
            }
        }
    }
    if done.is_empty() && left.is_empty() && failed.is_empty() {
        let message = format!("{} has no sealed archive of {prefix}", repository.shown());
        return Err(Failure::new(Kind::NotFound, message)
            .hint("`hookshot list` shows what is there; `hookshot copy` seals archives for a destination")
            .into());
    }
    let planned = left.into_iter().map(|listed| {
        let work = work_left(context, repository, &listed, &done)?;
        Ok(Planned {
            name: listed.stored.name,
            size_bytes: listed.stored.size_bytes,
            work,
        })
    });
    let left: Vec<Planned> = planned.collect::<Result<_>>()?;
    // What an earlier run sealed anew is reported with the old one that goes.
    let is_twin = |name: &str| {
        let mut left = left.iter();
        left.any(|one| matches!(&one.work, Work::Finish { twin, .. } if twin == name))
    };
    let unchanged = done.into_iter().map(|listed| listed.stored);
    let unchanged = unchanged.filter(|stored| !is_twin(&stored.name));
    let unchanged = unchanged.map(|stored| UnchangedArchive {
        name: stored.name,
        size_bytes: stored.size_bytes,
    });
    Ok(Found {
        unchanged: unchanged.collect(),
        failed,
        plain: plain.len() + misnamed.len(),
        misnamed,
        names,
        left,
    })
}

/// The form of an archive, by its bytes.
enum Form {
    /// Sealed for the new recipients.
    ForThese,
    /// Sealed for others; its end is there.
    ForOthers,
    /// Not sealed.
    Plain,
}

/// Reads the header of an archive. If it is sealed for others, reads its end and its manifest as well: the seal of an
/// archive that was cut off does not open there.
fn form(
    context: &Context,
    repository: &dyn Repository,
    name: &str,
    recipients: &Recipients,
) -> Result<Form> {
    let shown = format!("{}/{name}", repository.shown());
    let source = repository.open(name)?;
    Ok(
        match is_sealed_for(&context.keys, &shown, source, recipients)? {
            None => Form::Plain,
            Some(true) => Form::ForThese,
            Some(false) => {
                repository.manifest(name)?;
                Form::ForOthers
            }
        },
    )
}

/// The hint for archives that no key opens.
pub(super) const OTHER_KEY: &str = "name the file of the private key with --identity FILE; `hookshot key test` tells which key \
    opens which archive";

/// Returns the work that is left for an archive. If `done` has the same archive under a later number, it was sealed anew.
fn work_left(
    context: &Context,
    repository: &dyn Repository,
    listed: &ListedArchive,
    done: &[ListedArchive],
) -> Result<Work> {
    let name = &listed.stored.name;
    let others = done.iter().map(|other| &other.stored);
    let mut others = others.filter(|other| follows(&other.name, name)).peekable();
    if others.peek().is_none() {
        return Ok(Work::Seal);
    }
    let own = match manifest(context, repository, name) {
        Ok(own) => own,
        Err(error) if is_interruption(&error) => return Err(error),
        // Sealing it anew says what is wrong.
        Err(_) => return Ok(Work::Seal),
    };
    for other in others {
        match manifest(context, repository, &other.name) {
            Ok(found) if found == own => {
                return Ok(Work::Finish {
                    twin: other.name.clone(),
                    size_bytes: other.size_bytes,
                });
            }
            Err(error) if is_interruption(&error) => return Err(error),
            // It is not known to be the same: it stays, and this one is sealed anew beside it.
            _ => {}
        }
    }
    Ok(Work::Seal)
}

/// Returns the manifest of an archive; reads all of it if need be.
pub(super) fn manifest(
    context: &Context,
    repository: &dyn Repository,
    name: &str,
) -> Result<Manifest> {
    match repository.manifest(name)? {
        Some(manifest) => Ok(manifest),
        None => {
            let verified = repository.read(context, "comparing", name, &mut Discard)?;
            Ok(verified.manifest().clone())
        }
    }
}

/// Returns true if the user or the system ended the run.
pub(super) fn is_interruption(error: &anyhow::Error) -> bool {
    matches!(Failure::of(error).kind, Kind::Interrupted(_))
}

fn is_sealed(name: &str) -> bool {
    Ending::of_file(name) == Some(Ending::Sealed)
}
