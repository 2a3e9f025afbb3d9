//! The identity of archives: which archive of a destination is that of a run, and which are of other machines.
//!
//! Names do not tell it: machines that share a prefix may make archives of one second, and a run that was killed left
//! only the name that it was to have.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::{
    archive::reader::Discard,
    catalog::repository::Repository,
    config::Settings,
    context::Context,
    model::{
        archive_name::ArchiveName, digest::Digest, manifest::Manifest, undelivered::OwedArchive,
    },
    store::Pages,
};

/// Returns true if this machine made an archive for this application, or if the history knows the archive at its
/// destination: machines and applications may change their names.
pub fn is_of_this_machine(
    context: &Context,
    settings: &Settings,
    known: &BTreeMap<&str, &str>,
    name: &str,
    manifest: &Manifest,
) -> bool {
    known.contains_key(name)
        || manifest.hostname == context.hostname
            && manifest.app.as_ref() == Some(&settings.schema.app)
}

/// Returns the name of an owed archive at a destination that has archives of these `names`, if it holds it. Those that
/// are `known` to be others are left out.
///
/// Its manifest tells machine, application and second. If the history knows its size, that has to be the same.
pub fn find(
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
    candidates.sort_by_key(|name| **name != owed.name);
    for name in candidates {
        match is_owed(repository, name, wanted.time().timestamp(), owed) {
            Ok(true) => return Ok(Some(name.clone())),
            // One that cannot be read under another name is not looked for.
            Err(error) if *name == owed.name => return Err(error),
            Ok(false) | Err(_) => {}
        }
    }
    Ok(None)
}

fn is_owed(
    repository: &dyn Repository,
    name: &str,
    second: i64,
    owed: &OwedArchive,
) -> Result<bool> {
    let Some(manifest) = repository.manifest(name)? else {
        // Whoever reads it says what is wrong with it.
        return Ok(name == owed.name);
    };
    let found = repository.find(name)?;
    let has_size = match (found, owed.size_bytes) {
        (Some(found), Some(size_bytes)) => found.size_bytes == size_bytes,
        (found, None) => found.is_some(),
        (None, Some(_)) => false,
    };
    let is_made_by = manifest.hostname == owed.host && manifest.app == owed.app;
    Ok(has_size && is_made_by && manifest.created_at == second)
}

/// Verifies an archive that is there already: its digest if the history knows it, else everything in it. Returns false
/// if it is good and not the one that is owed.
pub fn verify(
    context: &Context,
    repository: &dyn Repository,
    name: &str,
    owed: &OwedArchive,
) -> Result<bool> {
    if let Some(sha256) = &owed.sha256 {
        let source = repository.open(name)?;
        context.begin("verifying", Some(source.length()?));
        let (digest, _) = Digest::of_reader(context.watch(Pages::new(source)?))?;
        if digest.to_string() == *sha256 {
            return Ok(true);
        }
    }
    repository.read(context, "verifying", name, &mut Discard)?;
    Ok(owed.sha256.is_none())
}
