//! The check of an entry's content. Export checks before it archives, and import before it replaces. One rule serves
//! both, so that import never refuses the content of an entry that export called good.

use std::path::Path;

use anyhow::Result;

use crate::work::{remark::RemarkKind, remarks::Remarks};
use crate::{
    config::{Settings, parse_toml, schema::Schema, sources::Source},
    error::{Failure, Kind},
    model::{entry_name::EntryName, limits::MAX_CONFIG_BYTES, manifest::Manifest, written::utf8},
    source::{behavior::TextRule, sqlite::verdict::CheckExtent},
};

/// Checks the content of a configuration file; returns every fault if it is not good. `config.toml` gives its schema.
pub fn check(rule: TextRule, bytes: &[u8]) -> Result<Option<Schema>, Vec<String>> {
    let text = || {
        if bytes.len() as u64 > MAX_CONFIG_BYTES {
            return Err(vec!["larger than 1 MiB".to_owned()]);
        }
        utf8(bytes).map_err(|fault| vec![fault])
    };
    match rule {
        TextRule::Configuration => Schema::parse(text()?).map(Some),
        TextRule::Toml => parse_toml(text()?)
            .map(|_| None)
            .map_err(|fault| vec![fault]),
        TextRule::Anything => Ok(None),
    }
}

/// Says what was not checked of the SQLite database `name`, which messages call `shown`, and what else is worth
/// knowing.
pub fn say_checked(checked: &CheckExtent, name: &EntryName, shown: &str, remarks: &mut Remarks) {
    for message in checked.left_out(shown) {
        remarks.undone(RemarkKind::Check, name, message);
    }
    for message in checked.notes(shown) {
        remarks.warning(RemarkKind::Check, name, message);
    }
}

/// Returns true if the entry of `source` has to hold something that [`check`] looks for.
pub fn is_checked(source: &Source) -> bool {
    source.kind.text_rule() != TextRule::Anything
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
    match check(source.kind.text_rule(), bytes) {
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
