//! What the words of a copy name: where it reads, and where it writes.

use std::path::Path;

use anyhow::Result;

use crate::{
    catalog::destination::{ArchiveAt, Destination, LATEST, as_path},
    config::Settings,
    context::Context,
    disk::folder_of,
    error::{Failure, Kind},
    model::archive_name::SUFFIX,
    store::{Address, Word, address::word},
};

/// The place that is read, and the name of the one archive there that is meant, if it is one.
pub fn source(
    context: &Context,
    settings: &Settings,
    text: &str,
) -> Result<(Destination, Option<String>)> {
    let place = || Ok((Destination::open(context, settings, text)?, None));
    if let Some(named) = text.strip_prefix('@') {
        return match named.split_once('/') {
            None => place(),
            Some((name, "")) => Ok((
                Destination::open(context, settings, &format!("@{name}"))?,
                None,
            )),
            Some(_) => archive(context, settings, text),
        };
    }
    if let Word::Url(text) = word(text).map_err(usage)? {
        let is_place = match Address::parse(&text).map_err(usage)? {
            Address::Folder(path) => path.is_dir(),
            _ => !text.ends_with(SUFFIX) && !names_latest(&text),
        };
        return if is_place {
            Ok((Destination::open(context, settings, &text)?, None))
        } else {
            archive(context, settings, &text)
        };
    }
    let path = Path::new(text);
    if path.is_dir() || text.ends_with('/') {
        return place();
    }
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| usage(format!("{text:?} names no archive")))?;
    let folder = folder_of(path);
    let folder = as_path(folder.to_str().unwrap_or("."));
    let folder = Destination::open(context, settings, &folder)?;
    Ok((folder, Some(name.to_owned())))
}

/// Whether a URL ends in the word for the newest archive, below a bucket or a host.
fn names_latest(url: &str) -> bool {
    matches!(Address::parse_archive(url), Ok(Some((_, name))) if name == LATEST)
}

fn archive(
    context: &Context,
    settings: &Settings,
    text: &str,
) -> Result<(Destination, Option<String>)> {
    let at = ArchiveAt::parse(text).map_err(usage)?;
    let at = at.ok_or_else(|| usage(format!("{text} names no archive")))?;
    let (place, name) = at.open(context, settings)?;
    Ok((place, Some(name)))
}

/// The place that is written to.
pub fn target(context: &Context, settings: &Settings, text: &str) -> Result<Destination> {
    let text = match text.strip_prefix('@') {
        Some(_) => text.strip_suffix('/').unwrap_or(text),
        None => text,
    };
    let names_archive = text.starts_with('@') && text.contains('/') || text.ends_with(SUFFIX);
    if names_archive && !Path::new(text).is_dir() {
        let fault = format!("{text} names an archive, and an archive is copied to a place");
        return Err(usage(fault)
            .hint("name the destination, the bucket with its prefix, or the folder; the archive keeps its name")
            .into());
    }
    Destination::open(context, settings, text)
}

fn usage(fault: impl Into<String>) -> Failure {
    Failure::new(Kind::Usage, fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_may_be_called_latest() {
        for url in ["s3://latest", "s3://bucket/latest/", "s3://bucket/x-latest"] {
            assert!(!names_latest(url), "{url}");
        }
        assert!(names_latest("s3://bucket/latest"));
    }
}
