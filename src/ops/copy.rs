//! `copy`: archives from one place to another, proven good on the way and held by the other in the end.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write},
    path::Path,
    sync::Arc,
};

use anyhow::{Context as _, Result};
use serde::Serialize;
use tracing::{info, warn};

use super::{
    Context,
    destination::{ArchiveAt, Destination, archive_name},
    shipment::Shipment,
};
use crate::{
    archive::ReadAt,
    config::Settings,
    disk::folder_of,
    error::{Failure, Kind},
    model::{archive_name::SUFFIX, limits::BUFFER_BYTES},
    store::{Address, Pages, address::is_url},
};

/// What is asked for.
pub struct Request {
    /// An archive, or a place: `@NAME`, a URL or a path.
    pub from: String,
    /// A place.
    pub to: String,
    /// Whose archives of a place.
    pub whose: Whose,
}

/// Whose archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Those whose names begin with this configuration's prefix.
    Ours,
    /// All.
    Everybodys,
}

/// What was done.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What the other place holds now.
    pub copied: Vec<Copied>,
    /// What it had already.
    pub skipped: Vec<Skipped>,
    /// What it does not hold.
    pub failed: Vec<Failed>,
    /// What all of that comes down to, where something failed.
    #[serde(skip)]
    pub failure: Option<Failure>,
}

/// An archive that was copied.
#[derive(Debug, Serialize)]
pub struct Copied {
    /// Its name.
    pub name: String,
    /// Where it was read.
    pub from: String,
    /// Where it is now, too.
    pub to: String,
    /// Its size.
    pub size_bytes: u64,
    /// SHA-256 of the whole file.
    pub sha256: String,
    /// How the other place proved that it holds it.
    pub proof: &'static str,
}

/// An archive that was there already, by name and size.
#[derive(Debug, Serialize)]
pub struct Skipped {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub to: String,
    /// Its size.
    pub size_bytes: u64,
}

/// An archive that was not copied.
#[derive(Debug, Serialize)]
pub struct Failed {
    /// Its name.
    pub name: String,
    /// What kind of failure that is.
    pub kind: &'static str,
    /// Why.
    pub message: String,
}

/// Copies an archive, or all of a place that the other one does not have.
pub fn copy(context: &Context, settings: &Settings, request: &Request) -> Result<Report> {
    let (from, named) = source(context, settings, &request.from)?;
    let to = target(context, settings, &request.to)?;
    let copying = Copying { context, from, to };
    copying.sweep();
    let mut report = Report {
        copied: Vec::new(),
        skipped: Vec::new(),
        failed: Vec::new(),
        failure: None,
    };
    match named {
        Some(name) => {
            let there = copying.to.store.find(&name)?;
            copying.one(&name, there.map(|stored| stored.size_bytes), &mut report)?;
            if archive_name(&name).is_none() {
                warn!(
                    archive = name,
                    "The name tells no prefix and no time: list, prune and @NAME/latest do not see this archive"
                );
            }
        }
        None => copying.all(settings, request.whose, &mut report)?,
    }
    Ok(report)
}

/// The place that is read, and the name of the one archive there that is meant, if it is one.
fn source(
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
    if is_url(text) {
        let is_place = match Address::parse(text).map_err(usage)? {
            Address::Folder(path) => path.is_dir(),
            _ => !text.ends_with(SUFFIX),
        };
        return if is_place {
            place()
        } else {
            archive(context, settings, text)
        };
    }
    let path = Path::new(text);
    if path.is_dir() || text.ends_with('/') {
        return place();
    }
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| usage(format!("{text:?} names no archive")))?;
    let folder = folder_of(path);
    let folder = folder.to_str().unwrap_or(".");
    // A path stays one, whatever it looks like.
    let folder = match folder.starts_with('@') {
        true => format!("./{folder}"),
        false => folder.to_owned(),
    };
    let folder = Destination::open(context, settings, &folder)?;
    Ok((folder, Some(name.to_owned())))
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
fn target(context: &Context, settings: &Settings, text: &str) -> Result<Destination> {
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

struct Copying<'a> {
    context: &'a Context,
    from: Destination,
    to: Destination,
}

impl Copying<'_> {
    /// Removes what earlier uploads left. That this fails is no reason not to copy.
    fn sweep(&self) {
        match self.to.store.sweep(&self.context.maker()) {
            Ok(swept) => {
                for name in swept {
                    info!(place = %self.to.shown(), name, "Removed what an upload left that did not end");
                }
            }
            Err(error) => {
                warn!(place = %self.to.shown(), "What earlier uploads may have left stays: {}", Failure::of(&error).message);
            }
        }
    }

    /// Copies what the other place does not have, the newest first.
    fn all(&self, settings: &Settings, whose: Whose, report: &mut Report) -> Result<()> {
        let prefix = match whose {
            Whose::Ours => Some(settings.schema.prefix.as_str()),
            Whose::Everybodys => None,
        };
        let archives = self.from.archives(prefix)?;
        if archives.is_empty() {
            let whose = prefix.map(|prefix| format!(" of {prefix}"));
            let message = format!(
                "there is no archive{} in {}",
                whose.unwrap_or_default(),
                self.from.shown()
            );
            return Err(Failure::new(Kind::NotFound, message)
                .hint("`hookshot list --all-hosts` shows what is there; `hookshot copy --all-hosts` copies all of it")
                .into());
        }
        let there = match self.to.archives(prefix) {
            Ok(archives) => archives
                .into_iter()
                .map(|(_, stored)| (stored.name, stored.size_bytes))
                .collect(),
            // A folder that is not there yet is made when something is written to it.
            Err(error) if Failure::of(&error).kind == Kind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        let mut failures = Vec::new();
        for (_, stored) in &archives {
            let name = &stored.name;
            self.context.stop.check()?;
            if let Err(error) = self.one(name, there.get(name).copied(), report) {
                let failure = Failure::of(&error);
                if matches!(failure.kind, Kind::Interrupted(_)) {
                    return Err(error);
                }
                report.failed.push(Failed {
                    name: name.clone(),
                    kind: failure.kind.name(),
                    message: failure.message.clone(),
                });
                failures.push(failure);
            }
        }
        report.failure = summary(&failures, archives.len());
        Ok(())
    }

    /// Copies one archive, unless the other place has one of the same name and size.
    fn one(&self, name: &str, there: Option<u64>, report: &mut Report) -> Result<()> {
        let from = location(&self.from, name);
        let source: Arc<dyn ReadAt + Send + Sync> = Arc::from(self.from.store.open(name)?);
        let size_bytes = source
            .length()
            .with_context(|| format!("cannot read {from}"))?;
        let to = location(&self.to, name);
        if there == Some(size_bytes) {
            info!(archive = name, place = %self.to.shown(), "There already, with the same name and size");
            report.skipped.push(Skipped {
                name: name.to_owned(),
                to,
                size_bytes,
            });
            return Ok(());
        }
        self.context.begin("copying", Some(size_bytes));
        let maker = self.context.maker();
        let upload = self.to.store.create(name, size_bytes, &maker);
        let uploads = [(self.to.shown(), upload)];
        let mut shipment = Shipment::begin(self.context, &from, uploads)?;
        self.send(source, &from, &mut shipment)?;
        let proven = shipment.prove()?;
        self.context.stop.check()?;
        self.context.begin("proving", None);
        let (sha256, size_bytes) = (proven.digest().to_string(), proven.size_bytes());
        for arrival in proven.deliver() {
            let proof = arrival.result?.name();
            info!(archive = name, to, size_bytes, proof, "Copied");
            report.copied.push(Copied {
                name: name.to_owned(),
                from: from.clone(),
                to: to.clone(),
                size_bytes,
                sha256: sha256.clone(),
                proof,
            });
        }
        Ok(())
    }

    fn send(
        &self,
        source: Arc<dyn ReadAt + Send + Sync>,
        from: &str,
        to: &mut dyn Write,
    ) -> Result<()> {
        let mut pages = self.context.watch(Pages::new(source)?);
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let count = match pages.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).with_context(|| format!("cannot read {from}")),
            };
            to.write_all(&buffer[..count])?;
        }
    }
}

/// Where an archive is, in full.
fn location(place: &Destination, name: &str) -> String {
    format!("{}/{name}", place.store.shown().trim_end_matches('/'))
}

/// What the failures of some of `all` archives come down to.
fn summary(failures: &[Failure], all: usize) -> Option<Failure> {
    let (first, others) = failures.split_first()?;
    if others.is_empty() && all == 1 {
        return Some(first.clone());
    }
    let count = failures.len();
    let kind = if count == all {
        first.kind
    } else {
        Kind::Partial
    };
    let message = format!("{count} of {all} archives were not copied");
    let hint = "what was copied is proven; copying again goes on with the others";
    Some(
        Failure::new(kind, message)
            .hint(first.hint.as_deref().unwrap_or(hint))
            .faults(
                failures
                    .iter()
                    .map(|failure| failure.message.clone())
                    .collect(),
            ),
    )
}
