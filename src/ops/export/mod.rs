//! `export`: the whole state into one archive, read back and proven before it has its name.

mod amount;
mod around;
mod making;
mod place;
mod stage;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Result;
use chrono::DateTime;
use serde::Serialize;
use serde_json::Value;

use self::{
    around::Around,
    making::{Made, Making},
    place::Outputs,
    stage::{Gathered, describe, look_back, stage},
};
use crate::work::events::ExportEvent;
use crate::{
    archive::writer::Level,
    error::{Failure, Kind},
    model::{
        archive_name::ArchiveName,
        entry_name::{EntryName, printable},
        manifest::Manifest,
        method::Method,
    },
    source::{
        sqlite::verdict::{CheckDepth, CheckExtent},
        tree::{self, ContentChanged},
    },
    store::Proof,
};
use crate::{
    catalog::output::ArchiveOutput,
    context::Context,
    machine::{app_version, enter::Entered},
    model::written::rfc3339,
    work::remarks::Remarks,
};

/// The request for an export.
pub struct ExportRequest {
    /// The destinations of the archive; at least one.
    pub outputs: Vec<ArchiveOutput>,
    /// The permission to replace an existing file.
    pub overwrite: Overwrite,
    /// The choice to include the secrets or not.
    pub secrets: Secrets,
    /// Further labels.
    pub tags: BTreeMap<String, String>,
    /// The earlier archive whose compressed content is reused for unchanged files.
    pub since: Since,
    /// The level of compression; `None` as configured.
    pub level: Option<Level>,
    /// The method that copies the database; `None` as configured.
    pub snapshot: Option<Method>,
    /// The time that its copy beside a writing service may take.
    pub snapshot_timeout: Duration,
}

impl ExportRequest {
    /// Returns a request for an export to these outputs, as configured for the rest.
    pub fn new(outputs: Vec<ArchiveOutput>) -> ExportRequest {
        ExportRequest {
            outputs,
            overwrite: Overwrite::Archives,
            secrets: Secrets::Included,
            tags: BTreeMap::new(),
            since: Since::Newest,
            level: None,
            snapshot: None,
            snapshot_timeout: Duration::from_secs(60),
        }
    }
}

/// The permission to replace an existing file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// Only an archive is replaced.
    Archives,
    /// Any regular file is replaced.
    AnyFile,
}

/// The earlier archive whose compressed content is reused for unchanged files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// The newest one in the folder that the new one goes to.
    Newest,
    /// This one.
    Archive(PathBuf),
    /// None.
    Nothing,
}

/// The choice to include the secrets or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// The secrets file, if there is one.
    Included,
    /// None.
    Excluded,
}

/// The results of an export.
#[derive(Debug, Serialize)]
pub struct ExportReport {
    /// The archive, `-` for standard output; with several outputs the first that holds it.
    pub archive: String,
    /// Its path, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive_escaped: Option<String>,
    /// The result of each output.
    pub outputs: Vec<OutputReport>,
    /// The number of its entries.
    pub files: usize,
    /// Its size.
    pub size_bytes: u64,
    /// SHA-256 of the whole file.
    pub sha256: String,
    /// Its root folder.
    pub root: String,
    /// Bytes of content that were not compressed again, because an earlier archive had them.
    pub reused_bytes: u64,
    /// The method that copied the database.
    pub snapshot: Value,
    /// Entries of directories that are databases, and were copied as such.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<String>,
    /// The check that SQLite made of each of its databases: `integrity` or `quick`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<String, CheckDepth>,
    /// Entries that changed each time they were read: the archive has them as they were read last, which may be no
    /// state that they ever had.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub torn: Vec<String>,
    /// Remarks about what was left undone, and what is worth knowing.
    #[serde(flatten)]
    pub remarks: Remarks,
    /// True if every output is proven to hold the archive. The archive itself is good: one that is not is an error.
    pub verified: bool,
    /// The duration of the export in seconds.
    pub duration_seconds: f64,
}

/// The result of one output.
#[derive(Debug, Serialize)]
pub struct OutputReport {
    /// The archive there.
    pub archive: String,
    /// Its path, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive_escaped: Option<String>,
    /// True if the archive is proven to be there.
    pub good: bool,
    /// The proof.
    pub proof: Option<Proof>,
    /// The message of the failure.
    pub error: Option<String>,
    /// The advice to the user.
    #[serde(skip)]
    pub hint: Option<String>,
    /// True if another archive of the same second got its name first.
    #[serde(skip)]
    pub outrun: bool,
    /// True if the place has no room for it.
    #[serde(skip)]
    pub is_full: bool,
}

impl ExportReport {
    /// Returns the failure that the export ends in, if an output does not hold the archive or something is not in it.
    pub fn failure(&self) -> Option<Failure> {
        let missing = self.outputs.iter().filter_map(|one| one.error.as_ref());
        let mut faults: Vec<String> = missing.cloned().collect();
        let undone = self.remarks.failure();
        let torn = self.torn.iter().map(|entry| {
            let entry = printable(entry);
            format!("{entry} is torn: it changed each time it was read")
        });
        if let Some(first) = faults.first() {
            let (count, all) = (faults.len(), self.outputs.len());
            let message =
                format!("{count} of {all} outputs are not proven to hold the archive: {first}");
            faults.extend(torn);
            faults.extend(undone.into_iter().flat_map(|undone| undone.faults));
            return Some(
                Failure::new(Kind::Unproven, message)
                    .hint(format!(
                        "the archive is good, and the other outputs hold it; {}",
                        advice(&self.outputs)
                    ))
                    .faults(faults),
            );
        }
        let faults: Vec<String> = torn.collect();
        match (undone, faults.first()) {
            (Some(mut undone), _) => {
                undone.faults.extend(faults);
                Some(undone)
            }
            (None, Some(first)) => {
                let message = format!("finished, with parts left undone: {first}");
                Some(Failure::new(Kind::Partial, message).faults(faults))
            }
            (None, None) => None,
        }
    }
}

/// Returns what can be done about the first output that does not hold the archive.
fn advice(outputs: &[OutputReport]) -> &str {
    let missing = outputs.iter().find(|output| output.error.is_some());
    let hint = missing.and_then(|output| output.hint.as_deref());
    hint.unwrap_or("`hookshot check` tells what the destination can do")
}

/// The failure of an archive that no destination holds.
fn nowhere(outputs: &[OutputReport]) -> Failure {
    let faults = outputs.iter().filter_map(|arrival| arrival.error.clone());
    let faults: Vec<String> = faults.collect();
    let first = faults.first().cloned().unwrap_or_default();
    let kind = match outputs.iter().all(|arrival| arrival.is_full) {
        true => Kind::Space,
        false => Kind::Unproven,
    };
    let hint = match kind {
        Kind::Space => "no archive was stored; free some space there, or prune".to_owned(),
        _ => format!("no archive was stored; {}", advice(outputs)),
    };
    Failure::new(kind, first).hint(hint).faults(faults)
}

/// Exports the state that was entered.
///
/// With a file or folder of this machine among the outputs, the archive is proven there before it goes anywhere else;
/// without one it is sent while it is made, and has no name anywhere before it is proven.
pub fn export(
    context: &Context,
    entered: &Entered,
    request: ExportRequest,
) -> Result<ExportReport> {
    entered.settings.mask_secrets(&context.runner.masks);
    if context.now < DateTime::UNIX_EPOCH {
        let message = format!(
            "this machine's clock says {}, before 1970",
            rfc3339(context.now)
        );
        return Err(Failure::new(Kind::Failed, message)
            .hint("set the clock (a board without a battery has none at its start: wait for NTP), and export again; nothing was written")
            .into());
    }
    context.tell(ExportEvent::Begun);
    let settings = &entered.settings;
    if !settings.config_exists {
        return Err(no_config(&settings.config).into());
    }
    let name = ArchiveName::new(&settings.schema.prefix, context.now)
        .map_err(|fault| Failure::new(Kind::Usage, fault))?;
    let level = request.level.unwrap_or(settings.schema.level);
    let mut about_version = context.remarks();
    let app_version = app_version::for_archive(context, settings, &mut about_version)?;
    let mut around = Around::enter(context, settings)?;
    around.prepare(None)?;
    let mut further = FURTHER_ATTEMPTS.into_iter();
    let mut quiet = tree::QUIET;
    let (made, manifest, gathered) = loop {
        let (started, app_version) = (Instant::now(), app_version.clone());
        let made = once(&mut around, &request, &name, level, app_version, quiet);
        around.end_sources();
        match (made, further.next()) {
            (Err(error), Some(times)) if ContentChanged::of(&error).is_some() => {
                quiet = quiet.max(started.elapsed().saturating_mul(times));
                let reason = format!("{error:#}");
                context.tell(ExportEvent::StartedOver { reason });
            }
            (made, _) => break made?,
        }
    };
    around.end_all();
    let mut remarks = gathered.remarks;
    remarks.extend(around.remarks.take());
    remarks.extend(about_version);
    let named = |entries: &[EntryName]| entries.iter().map(ToString::to_string).collect();
    // The database of the service comes before those that lie in its directories.
    let snapshot_of = |is_apart: bool| {
        let mut files = manifest.files.iter();
        files.find_map(|(name, file)| {
            let is_it = gathered.databases.contains(name) != is_apart;
            file.snapshot.clone().filter(|_| is_it)
        })
    };
    let snapshot = snapshot_of(true).or_else(|| snapshot_of(false));
    let checks = manifest.files.iter().filter_map(|(name, record)| {
        let checked = CheckExtent::of(record)?;
        Some((name.to_string(), checked.check))
    });
    let checks = checks.collect();
    let arrived = made.outputs.iter().find(|arrival| arrival.good);
    let archive_escaped = arrived.and_then(|arrival| arrival.archive_escaped.clone());
    let archive = arrived.map(|arrival| arrival.archive.clone());
    let archive = archive.ok_or_else(|| nowhere(&made.outputs))?;
    Ok(ExportReport {
        archive,
        archive_escaped,
        verified: made.outputs.iter().all(|arrival| arrival.good),
        outputs: made.outputs,
        files: manifest.files.len(),
        size_bytes: made.size_bytes,
        sha256: made.digest.to_string(),
        root: name.to_string(),
        reused_bytes: made.reused_bytes,
        snapshot: snapshot.unwrap_or(Value::Null),
        checks,
        databases: named(&gathered.databases),
        torn: named(&gathered.torn),
        remarks,
        duration_seconds: context.begun.elapsed().as_secs_f64(),
    })
}

/// Retry factors. If a file changes before it is packed, the export starts over. In each retry, files modified within
/// this factor times the duration of the last attempt are first copied aside, because they may change again.
const FURTHER_ATTEMPTS: [u32; 2] = [20, 400];

/// Makes the archive of the present state. Fails with [`ContentChanged`] if a file of a directory is replaced or modified
/// before it is packed. A file that was not modified for `quiet` is read in place.
fn once(
    around: &mut Around<'_>,
    request: &ExportRequest,
    name: &ArchiveName,
    level: Level,
    app_version: Option<String>,
    quiet: Duration,
) -> Result<(Made, Manifest, Gathered)> {
    let (context, settings) = (around.context, around.settings);
    let Outputs { here, away, missed } = Outputs::find(settings, request)?;
    let prefix = &settings.schema.prefix;
    let earlier = place::earlier(here.first(), context, &request.since, level, prefix)?;
    let read;
    let newest = match &earlier {
        Some(earlier) => Some(earlier.manifest()),
        None => {
            read = place::newest_manifest(here.first(), &request.since, prefix);
            read.as_ref()
        }
    };
    let mut gathered = stage(context, settings, request, quiet, newest, around)?;
    // Other destinations are asked when they have proven that they can be: nothing waits for one that cannot.
    let asked = away.first().filter(|_| newest.is_none()).cloned();
    let manifest = describe(
        context,
        settings,
        request,
        name,
        level,
        &mut gathered,
        app_version,
    );
    let making = Making {
        context,
        name,
        manifest: &manifest,
        level,
        contents: &gathered.contents,
        earlier,
    };
    let mut made = making.make(here, away)?;
    if let Some(before) = asked.and_then(|slot| place::manifest_before(&slot, prefix, &manifest)) {
        look_back(settings, request, &manifest, &before, &mut gathered.remarks);
    }
    made.outputs.extend(missed);
    // The copies are in the archive now.
    gathered.contents.clear();
    Ok((made, manifest, gathered))
}

fn no_config(path: &Path) -> Failure {
    Failure::new(
        Kind::NotFound,
        format!("config.toml is missing: there is no {}", path.display()),
    )
    .hint("name it with --config, or make a first one with `hookshot init`")
}
