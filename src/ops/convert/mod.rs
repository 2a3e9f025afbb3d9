//! `convert`: an archive out of what another program packed.

mod collected;
mod paths;
mod report;
mod tar_file;

use std::{collections::BTreeMap, ffi::OsString};

use anyhow::Result;
use chrono::{DateTime, Utc};

pub use self::report::{ConvertReport, TimeFrom};
use self::{
    collected::{Collected, collect, compare},
    report::Written,
    tar_file::{TarFile, open},
};
use super::{
    copy::words,
    packed::{Packed, There, there},
};
use crate::{
    archive::{
        manifest_text,
        writer::{self, Level},
    },
    catalog::{destination::Destination, output::ending},
    config::Settings,
    context::Context,
    crypt::Recipients,
    error::{Failure, Kind},
    model::{
        archive_name::{ArchiveName, MOST_NUMBER},
        entry_name::EntryName,
        limits::LAST_SECOND,
        manifest::{Manifest, ManifestFault},
    },
};

/// The label with the kind and the name of what was converted.
const ORIGIN: &str = "origin";
/// The label with its SHA-256.
const ORIGIN_DIGEST: &str = "origin-sha256";

/// The request for a conversion.
pub struct ConvertRequest {
    /// A tar: a path, or `-`.
    pub input: OsString,
    /// The destination.
    pub to: OsString,
    /// The time of the state; `None` for that of the newest change in the tar.
    pub time: Option<DateTime<Utc>>,
    /// The directory that gets everything; `None` if each folder at the top is a directory of its own.
    pub directory: Option<EntryName>,
    /// Labels of the archive.
    pub tags: BTreeMap<String, String>,
}

/// Makes an archive out of a tar, and sends it to a destination. The tar is read twice and compared.
pub fn convert(
    context: &Context,
    settings: &Settings,
    request: ConvertRequest,
) -> Result<ConvertReport> {
    let to = words::target(context, settings, &request.to)?;
    to.require_enabled()?;
    let seal = to.recipients(context, settings)?;
    let tar = open(context, &request.input)?;
    let mut remarks = context.remarks();
    context.begin("reading", Some(tar.bytes));
    let collected = collect(context, &tar, request.directory.as_ref(), &mut remarks)?;
    context.begin("comparing", Some(tar.bytes));
    compare(context, &tar, &collected)?;
    let (time, time_from) = match (request.time, collected.newest) {
        (Some(time), _) => (time, TimeFrom::Option),
        (None, newest) => (newest_time(context, newest), TimeFrom::NewestChange),
    };
    let name = ArchiveName::new(&settings.schema.prefix, time)
        .map_err(|fault| Failure::new(Kind::Usage, fault))?;
    let mut tags = request.tags;
    tags.insert(ORIGIN.to_owned(), format!("tar {}", tar.shown));
    tags.insert(ORIGIN_DIGEST.to_owned(), collected.origin.to_string());
    let level = settings.schema.level;
    let manifest = Manifest {
        root: Some(name.to_string()),
        app: Some(settings.schema.app.clone()),
        compression: Some(level.name()),
        tags,
        trees: collected.trees.clone(),
        ..Manifest::new(
            time.timestamp(),
            context.version.clone(),
            collected.files.clone(),
        )
    };
    require_good(&tar.shown, &manifest)?;
    let written = send(
        context,
        (&tar, &collected),
        (&manifest, level),
        (&to, &name, seal),
    )?;
    Ok(ConvertReport::new(
        &tar.shown,
        &manifest,
        (time, time_from),
        written,
        remarks,
    ))
}

/// Returns the time of the newest change, as far as an archive can have it.
fn newest_time(context: &Context, newest: Option<i64>) -> DateTime<Utc> {
    let newest = newest.map(|newest| newest.clamp(0, LAST_SECOND));
    let time = newest.and_then(|newest| DateTime::from_timestamp(newest, 0));
    time.unwrap_or(context.now)
}

/// Fails if no reader would take the archive.
fn require_good(shown: &str, manifest: &Manifest) -> Result<(), Failure> {
    let text = manifest_text::of(manifest)?;
    let Err(faults) = Manifest::parse(&text) else {
        return Ok(());
    };
    let faults: Vec<String> = faults
        .into_iter()
        .map(|fault| match fault {
            ManifestFault::Malformed(reason) | ManifestFault::Version(reason) => reason,
        })
        .collect();
    let first = faults.first().cloned().unwrap_or_default();
    let message = format!("{shown} cannot become an archive: {first}");
    Err(Failure::new(Kind::Refused, message)
        .hint("unpack it, and pack again what is to be kept")
        .faults(faults))
}

/// Sends the archive under the first name that is free, unless the destination holds it already.
fn send(
    context: &Context,
    (tar, collected): (&TarFile, &Collected),
    (manifest, level): (&Manifest, Level),
    (to, name, seal): (&Destination, &ArchiveName, Option<Recipients>),
) -> Result<Written> {
    for number in 0..=MOST_NUMBER {
        let file = name.file_name(number, ending(seal.as_ref()));
        let packed = Packed {
            from: &tar.shown,
            manifest,
            to,
            name: &file,
            seal: seal.clone(),
        };
        match there(context, to, &file, manifest)? {
            There::Nothing => {}
            There::Another => continue,
            There::Same(size_bytes) => {
                return Ok(Written::held(packed.location(), file, size_bytes));
            }
        }
        let location = packed.location();
        let delivered = packed.send(context, |out| {
            let threads = context.threads;
            writer::write(out, manifest, level, threads, None, |name| {
                collected.content(name)
            })
            .map(drop)
        })?;
        return Ok(Written::sent(location, file, delivered));
    }
    let message = format!("{} has {MOST_NUMBER} archives of {name}", to.shown());
    Err(Failure::new(Kind::Failed, message)
        .hint("remove those that are not needed")
        .into())
}
