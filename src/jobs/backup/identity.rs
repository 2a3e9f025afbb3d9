//! The identity of archives: which archive of a destination is that of a run, and which are of other machines.
//!
//! Names do not tell it: machines that share a prefix may make archives of one second, and a run that was killed left
//! only the name that it was to have.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::{
    archive::reader::Discard,
    catalog::{outside::Inside, repository::Repository},
    config::Settings,
    context::Context,
    model::{
        archive_name::{ArchiveName, Ending, stem_of},
        digest::Digest,
        known_archive::Maker,
        undelivered::OwedArchive,
    },
    store::Pages,
};

/// Returns true if this machine made an archive of `maker` for this application, or if the history knows the archive at its
/// destination: machines and applications may change their names.
pub fn is_of_this_machine(
    context: &Context,
    settings: &Settings,
    known: &BTreeMap<&str, &str>,
    name: &str,
    maker: &Maker,
) -> bool {
    known.contains_key(name)
        || maker.host == context.hostname && maker.app.as_ref() == Some(&settings.schema.app)
}

/// Returns the name of an owed archive at a destination that has archives of these `names`, if it holds it. Those that
/// are `known` to be others are left out.
///
/// Its manifest tells machine, application and second. If the history knows its size, that has to be the same.
pub fn find(
    context: &Context,
    repository: &dyn Repository,
    names: &[String],
    known: &BTreeMap<&str, &str>,
    owed: &OwedArchive,
) -> Result<Option<String>> {
    let Some(wanted) = ArchiveName::of_file(&owed.name) else {
        return Ok(None);
    };
    let is_of_second = |name: &&String| {
        let root = ArchiveName::of_file(name).map(|name| name.root());
        root == Some(wanted.root())
    };
    let is_other = |name: &String| {
        let known = known.get(name.as_str());
        known.is_some_and(|archive| **archive != owed.name)
    };
    let mut candidates: Vec<&String> = names.iter().filter(is_of_second).collect();
    candidates.retain(|name| !is_other(name));
    candidates.sort_by_key(|name| stem_of(name) != stem_of(&owed.name));
    for name in candidates {
        match is_owed(context, repository, name, wanted.time().timestamp(), owed) {
            Ok(true) => return Ok(Some(name.clone())),
            // One that cannot be read under another name is not looked for.
            Err(error) if stem_of(name) == stem_of(&owed.name) => return Err(error),
            Ok(false) | Err(_) => {}
        }
    }
    Ok(None)
}

fn is_owed(
    context: &Context,
    repository: &dyn Repository,
    name: &str,
    second: i64,
    owed: &OwedArchive,
) -> Result<bool> {
    let Some(found) = repository.find(name)? else {
        return Ok(false);
    };
    let inside = match repository.inside(context, &found)? {
        // Nothing is known of what it holds: it is not the one that is owed.
        Inside::Closed(_) => return Ok(false),
        // Whoever reads it says what is wrong with it.
        Inside::Unread => return Ok(stem_of(name) == stem_of(&owed.name)),
        inside => inside,
    };
    // Sealed for others, the same archive has another size.
    let is_sealed = Ending::of_file(name) == Some(Ending::Sealed);
    let size_bytes = owed.size_bytes.filter(|_| !is_sealed);
    let has_size = size_bytes.is_none_or(|size_bytes| found.size_bytes == size_bytes);
    let maker = Maker {
        host: owed.host.clone(),
        app: owed.app.clone(),
    };
    let is_made_by = inside.maker() == Some(maker);
    Ok(has_size && is_made_by && inside.created_at() == Some(second))
}

/// Verifies an archive that is there already: its digest if the history knows it, else everything in it. Returns false
/// if it is good and not the one that is owed.
pub fn verify(
    context: &Context,
    repository: &dyn Repository,
    name: &str,
    owed: &OwedArchive,
) -> Result<bool> {
    let found = repository.find(name)?;
    let known = found.as_ref().and_then(|found| repository.known(found));
    let is_sealed = Ending::of_file(name) == Some(Ending::Sealed);
    // Each destination has its own sealed bytes.
    let sha256 = match is_sealed {
        true => known.map(|known| known.sha256.clone()),
        false => owed.sha256.clone(),
    };
    if let Some(sha256) = &sha256 {
        let source = repository.open(name)?;
        context.begin("verifying", Some(source.length()?));
        let (digest, _) = Digest::of_reader(context.watch(Pages::new(source)?))?;
        if digest.to_string() == *sha256 {
            return Ok(true);
        }
    }
    repository.read(context, "verifying", name, &mut Discard)?;
    Ok(is_sealed || owed.sha256.is_none())
}
