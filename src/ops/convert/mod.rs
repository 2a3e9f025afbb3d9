//! `convert`: an archive out of what another program packed or backed up.

mod collected;
mod paths;
mod report;
mod snapshot;
mod tar_content;
mod tar_file;

use std::{collections::BTreeMap, ffi::OsString, io::Read};

use anyhow::Result;
use chrono::{DateTime, Utc};

use self::{
    collected::Collected,
    report::Written,
    snapshot::is_ours,
    tar_content::{collect, compare},
    tar_file::open,
};
pub use self::{
    report::{ConvertReport, TimeFrom},
    snapshot::ForeignSnapshot,
};
use super::{
    copy_words,
    packed::{Packed, There, there},
    snapshots,
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
    work::remarks::Remarks,
};

/// The label with the kind and the name of what was converted.
const ORIGIN: &str = "origin";
/// The label with the SHA-256 of a tar.
const ORIGIN_DIGEST: &str = "origin-sha256";
/// The label with the identifier of a repository.
const ORIGIN_REPOSITORY: &str = "origin-repository";
/// The label with the identifier of a snapshot.
const ORIGIN_SNAPSHOT: &str = "origin-snapshot";
/// The label with the path in a snapshot.
const ORIGIN_PATH: &str = "origin-path";

/// The request for a conversion.
pub struct ConvertRequest {
    /// The format.
    pub from: Format,
    /// A tar: a path, or `-`. Or a repository: `@NAME`, a URL or a path.
    pub input: OsString,
    /// The destination.
    pub to: OsString,
    /// The archive.
    pub wanted: Wanted,
}

/// The format of what is converted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// A tar.
    Tar,
    /// A repository in restic's format.
    Restic {
        /// The identifier of the snapshot, or its beginning; `None` or `latest` for the newest one.
        snapshot: Option<String>,
        /// The path in the snapshot; `None` for all of it.
        path: Option<String>,
    },
}

/// The archive that something is converted to.
#[derive(Debug, Default)]
pub struct Wanted {
    /// The time of the state; `None` for that of the snapshot, or of the newest change in the tar.
    pub time: Option<DateTime<Utc>>,
    /// The directory that gets everything; `None` if each folder at the top is a directory of its own.
    pub directory: Option<EntryName>,
    /// Labels of the archive.
    pub tags: BTreeMap<String, String>,
}

/// The description of what is converted.
struct Described<'a> {
    from: String,
    collected: &'a Collected,
    time: (DateTime<Utc>, TimeFrom),
    hostname: Option<String>,
    tags: BTreeMap<String, String>,
}

/// Makes an archive out of what another program packed, and sends it to a destination. All of it is read twice and
/// compared.
pub fn convert(
    context: &Context,
    settings: &Settings,
    request: ConvertRequest,
) -> Result<ConvertReport> {
    let to = copy_words::target(context, settings, &request.to)?;
    to.require_enabled()?;
    let (snapshot, path) = match request.from {
        Format::Tar => return convert_tar(context, settings, &request.input, &to, request.wanted),
        Format::Restic { snapshot, path } => (snapshot, path),
    };
    let from = snapshots::repository(context, settings, &request.input)?;
    let snapshot = snapshots::chosen(&from, snapshot.as_deref())?;
    if let Some(failure) = is_ours(&from, &snapshot) {
        return Err(failure.into());
    }
    let snapshot = ForeignSnapshot {
        from: &from,
        snapshot: &snapshot,
        path: path.as_deref(),
    };
    convert_snapshot(context, settings, &snapshot, &to, request.wanted)
}

fn convert_tar(
    context: &Context,
    settings: &Settings,
    input: &OsString,
    to: &Destination,
    wanted: Wanted,
) -> Result<ConvertReport> {
    let tar = open(context, input)?;
    let mut remarks = context.remarks();
    context.begin("reading", Some(tar.bytes));
    let content = collect(context, &tar, wanted.directory.as_ref(), &mut remarks)?;
    context.begin("comparing", Some(tar.bytes));
    compare(context, &tar, &content)?;
    let time = match (wanted.time, content.collected.newest) {
        (Some(time), _) => (time, TimeFrom::Option),
        (None, newest) => (newest_time(context, newest), TimeFrom::NewestChange),
    };
    let mut tags = wanted.tags;
    tags.insert(ORIGIN.to_owned(), format!("tar {}", tar.shown));
    tags.insert(ORIGIN_DIGEST.to_owned(), content.origin.to_string());
    let described = Described {
        from: tar.shown.clone(),
        collected: &content.collected,
        time,
        hostname: None,
        tags,
    };
    finish(context, settings, to, described, remarks, &|name| {
        Ok(Box::new(content.content(name)?))
    })
}

/// Makes an archive out of a snapshot of another program. Its content is read for the records, and once more while it is
/// packed; the reader of the archive compares both.
pub fn convert_snapshot(
    context: &Context,
    settings: &Settings,
    snapshot: &ForeignSnapshot<'_>,
    to: &Destination,
    wanted: Wanted,
) -> Result<ConvertReport> {
    let mut remarks = context.remarks();
    context.begin("reading", None);
    let content = snapshot.collect(context, wanted.directory.as_ref(), &mut remarks)?;
    let time = match wanted.time {
        Some(time) => (time, TimeFrom::Option),
        None => (snapshot.time(context), TimeFrom::Snapshot),
    };
    let repository = snapshots::vault_of(snapshot.from)?.identifier()?;
    let mut tags = wanted.tags;
    let short = repository.get(..8).unwrap_or(&repository);
    let origin = format!("restic {short}/{}", snapshot.snapshot.short_id());
    tags.insert(ORIGIN.to_owned(), origin);
    tags.insert(ORIGIN_REPOSITORY.to_owned(), repository);
    tags.insert(ORIGIN_SNAPSHOT.to_owned(), snapshot.snapshot.id.clone());
    let path = snapshot.path.map(str::to_owned);
    tags.extend(path.map(|path| (ORIGIN_PATH.to_owned(), path)));
    let hostname = Some(snapshot.snapshot.hostname.clone());
    let described = Described {
        from: snapshot.shown(),
        collected: &content.collected,
        time,
        hostname: hostname.filter(|name| !name.is_empty()),
        tags,
    };
    finish(context, settings, to, described, remarks, &|name| {
        content.content(name)
    })
}

/// Sends the archive of what was collected. `open` gives the content of each entry.
fn finish(
    context: &Context,
    settings: &Settings,
    to: &Destination,
    described: Described<'_>,
    remarks: Remarks,
    open: Open<'_>,
) -> Result<ConvertReport> {
    let seal = to.recipients(context, settings)?;
    let (time, _) = described.time;
    let name = ArchiveName::new(&settings.schema.prefix, time)
        .map_err(|fault| Failure::new(Kind::Usage, fault))?;
    let level = settings.schema.level;
    let manifest = Manifest {
        root: Some(name.to_string()),
        hostname: described.hostname,
        app: Some(settings.schema.app.clone()),
        compression: Some(level.name()),
        tags: described.tags,
        trees: described.collected.trees.clone(),
        ..Manifest::new(
            time.timestamp(),
            context.version.clone(),
            described.collected.files.clone(),
        )
    };
    require_good(&described.from, &manifest)?;
    let written = send(
        context,
        (&described.from, open),
        (&manifest, level),
        (to, &name, seal),
    )?;
    Ok(ConvertReport::new(
        &described.from,
        &manifest,
        described.time,
        written,
        remarks,
    ))
}

/// Opens the content of an entry.
type Open<'a> = &'a dyn Fn(&EntryName) -> Result<Box<dyn Read>>;

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
    (from, open): (&str, Open<'_>),
    (manifest, level): (&Manifest, Level),
    (to, name, seal): (&Destination, &ArchiveName, Option<Recipients>),
) -> Result<Written> {
    for number in 0..=MOST_NUMBER {
        let file = name.file_name(number, ending(seal.as_ref()));
        let packed = Packed {
            from,
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
            writer::write(out, manifest, level, threads, None, open).map(drop)
        })?;
        return Ok(Written::sent(location, file, delivered));
    }
    let message = format!("{} has {MOST_NUMBER} archives of {name}", to.shown());
    Err(Failure::new(Kind::Failed, message)
        .hint("remove those that are not needed")
        .into())
}
