//! What an entry must hold to be of use: asked by export before it archives, and by import before it replaces. One
//! rule for both, so that what export calls good is never refused for its content.

use anyhow::Result;

use crate::{
    config::{
        Settings,
        schema::{Schema, parse_toml},
        sources::{Content, Source},
    },
    error::{Failure, Kind},
    model::{entry_name::EntryName, limits::MAX_CONFIG_BYTES, manifest::Manifest},
};

/// Checks the content of a configuration file; every fault where it is not good. `config.toml` gives its schema.
pub fn check(source: &Source, bytes: &[u8]) -> Result<Option<Schema>, Vec<String>> {
    let text = || {
        if bytes.len() as u64 > MAX_CONFIG_BYTES {
            return Err(vec!["larger than 1 MiB".to_owned()]);
        }
        std::str::from_utf8(bytes).map_err(|_| vec!["not UTF-8".to_owned()])
    };
    match source.content {
        Content::Config(_) => Schema::parse(text()?).map(Some),
        Content::Toml(_) => parse_toml(text()?)
            .map(|_| None)
            .map_err(|fault| vec![fault]),
        _ => Ok(None),
    }
}

/// Whether an entry has to hold something that [`check`] looks for.
pub fn is_checked(source: &Source) -> bool {
    matches!(source.content, Content::Config(_) | Content::Toml(_))
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

/// Fails with [`Kind::Usage`] where this machine's `path` would not be imported again.
pub fn require(source: &Source, bytes: &[u8], path: &std::path::Path) -> Result<()> {
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
