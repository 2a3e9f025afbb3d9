//! The check of an entry's content. Export checks before it archives, and import before it replaces. One rule serves
//! both, so that import never refuses the content of an entry that export called good.

use std::path::Path;

use anyhow::Result;

use crate::work::{OnBytes, remark::Remarks};
use crate::{
    config::{
        Settings, parse_toml,
        schema::Schema,
        sources::{Source, SourceKind},
    },
    error::{Failure, Kind},
    model::{entry_name::EntryName, limits::MAX_CONFIG_BYTES, manifest::Manifest, written::utf8},
    source::sqlite::{
        judge,
        verdict::{CheckDepth, CheckExtent, SqliteVerdict},
    },
};

/// Checks the content of a configuration file; returns every fault if it is not good. `config.toml` gives its schema.
pub fn check(source: &Source, bytes: &[u8]) -> Result<Option<Schema>, Vec<String>> {
    let text = || {
        if bytes.len() as u64 > MAX_CONFIG_BYTES {
            return Err(vec!["larger than 1 MiB".to_owned()]);
        }
        utf8(bytes).map_err(|fault| vec![fault])
    };
    match source.content {
        SourceKind::Config(_) => Schema::parse(text()?).map(Some),
        SourceKind::Toml(_) => parse_toml(text()?)
            .map(|_| None)
            .map_err(|fault| vec![fault]),
        _ => Ok(None),
    }
}

/// Checks an archived SQLite database in the file at `place`. Whether its indexes match its tables is asked unless the
/// export that is `known` has asked it.
pub fn judge_sqlite(
    place: &Path,
    known: Option<&CheckExtent>,
    step: &OnBytes<'_>,
) -> Result<SqliteVerdict> {
    if let Some(known) = known.filter(|checked| checked.check == CheckDepth::Integrity) {
        return Ok(judge::verdict(place, CheckDepth::Quick, step)?.with_known(known));
    }
    let bytes = place.metadata().map_or(0, |metadata| metadata.len());
    judge::verdict(place, CheckDepth::of_size(bytes), step)
}

/// Says what was not checked of the SQLite database `name`, which messages call `shown`, and what else is worth
/// knowing.
pub fn say_checked(checked: &CheckExtent, name: &EntryName, shown: &str, remarks: &mut Remarks) {
    for message in checked.left_out(shown) {
        remarks.undone("check", name, message);
    }
    for message in checked.notes(shown) {
        remarks.warning("check", name, message);
    }
}

/// Returns true if the entry of `source` has to hold something that [`check`] looks for.
pub fn is_checked(source: &Source) -> bool {
    matches!(source.content, SourceKind::Config(_) | SourceKind::Toml(_))
}

/// Refuses configuration files that are too large to be looked at, before anything of them is unpacked.
pub fn check_sizes(
    settings: &Settings,
    manifest: &Manifest,
    wanted: impl Fn(&EntryName) -> bool,
) -> Result<()> {
    let sources = settings.sources.iter();
    for source in sources.filter(|source| is_checked(source) && wanted(&source.name)) {
        if manifest
            .files
            .get(&source.name)
            .is_some_and(|file| file.size > MAX_CONFIG_BYTES)
        {
            let message = format!(
                "{} in the archive is larger than 1 MiB, which no configuration is",
                source.name
            );
            return Err(Failure::new(Kind::Refused, message)
                .hint("leave the file out with --only, or use another archive")
                .into());
        }
    }
    Ok(())
}

/// Fails with [`Kind::Usage`] if an import would refuse this machine's `path`.
pub fn require(source: &Source, bytes: &[u8], path: &Path) -> Result<()> {
    match check(source, bytes) {
        Ok(_) => Ok(()),
        Err(faults) => {
            let first = faults.first().map(String::as_str).unwrap_or_default();
            let message = format!(
                "{} is not good, and an import would refuse it: {first}",
                path.display()
            );
            Err(Failure::new(Kind::Usage, message)
                .hint("correct the file; `hookshot validate` names every fault")
                .faults(faults)
                .into())
        }
    }
}
