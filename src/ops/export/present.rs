//! The present state, read as an export reads it, without an archive: its digest, or its databases.

use anyhow::Result;
use serde::Serialize;

use super::{
    Attempt, Attempted, Goal,
    around::Around,
    once,
    request::{ExportRequest, Reuse},
    untouched,
};
use crate::{
    context::Context,
    error::{Failure, Kind},
    machine::{app_version, enter::Entered},
    model::{
        archive_name::ArchiveName, copy_form::CopyForm, digest::Digest, state_digest::state_digest,
    },
    source::{
        sqlite::verdict::{CheckDepth, CheckExtent},
        tree,
    },
    work::remarks::Remarks,
};

/// The state of this machine, as an export would find it.
#[derive(Debug, Serialize)]
pub struct PresentState {
    /// The databases, by name: each was copied and checked as an export does.
    pub databases: Vec<PresentDatabase>,
    /// The number of files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Remarks about what an export would leave undone, and what is worth knowing.
    #[serde(flatten)]
    pub remarks: Remarks,
}

/// A database that was read and is good.
#[derive(Debug, Serialize)]
pub struct PresentDatabase {
    /// Its name in an archive.
    pub name: String,
    /// The size of its copy in bytes.
    pub bytes: u64,
    /// The check that SQLite made: `integrity` or `quick`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckDepth>,
}

/// Reads the state that was entered. Fails as an export does, with [`Kind::Snapshot`] for a database that is not good.
/// Nothing but temporary copies is written, but commands of sources run.
pub fn read_state(context: &Context, entered: &Entered) -> Result<PresentState> {
    entered.settings.mask_secrets(&context.runner.masks);
    let Attempted {
        manifest,
        mut gathered,
        ..
    } = read(context, entered, CopyForm::Compact)?;
    let mut about_version = context.remarks();
    app_version::for_archive(context, &entered.settings, &mut about_version)?;
    gathered.remarks.extend(about_version);
    untouched::note(&entered.settings, &manifest, &mut gathered.remarks);
    let records = manifest.files.iter().chain(&gathered.listed_databases);
    let databases = records.filter(|(_, record)| record.snapshot.is_some());
    let mut databases: Vec<PresentDatabase> = databases
        .map(|(name, record)| PresentDatabase {
            name: name.to_string(),
            bytes: record.size,
            check: CheckExtent::of(record).map(|extent| extent.check),
        })
        .collect();
    databases.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(PresentState {
        databases,
        files: manifest.count(),
        bytes: manifest.total_bytes(),
        remarks: gathered.remarks.take(),
    })
}

/// Returns the digest of the present state ([`state_digest`]), read as an export reads it that copies databases in this
/// `form`; `None` if a file changes each time it is read. Nothing but temporary copies is written, but commands of
/// sources run.
pub fn present_state(
    context: &Context,
    entered: &Entered,
    form: CopyForm,
) -> Result<Option<Digest>> {
    let manifest = read(context, entered, form)?.manifest;
    Ok((manifest.torn_count() == 0).then(|| state_digest(&manifest)))
}

fn read(context: &Context, entered: &Entered, form: CopyForm) -> Result<Attempted> {
    let settings = &entered.settings;
    let name = ArchiveName::new(&settings.schema.prefix, context.now)
        .map_err(|fault| Failure::new(Kind::Usage, fault))?;
    let mut around = Around::enter(context, settings)?;
    around.prepare(None)?;
    let request = ExportRequest {
        reuse: Reuse::Nothing,
        ..ExportRequest::new(Vec::new())
    };
    let read = once(
        &mut around,
        Attempt {
            request: &request,
            name: &name,
            level: settings.schema.level,
            form,
            app_version: None,
            quiet: tree::QUIET,
            goal: Goal::Manifest,
        },
    );
    around.end_all();
    let mut read = read?;
    read.gathered.remarks.extend(around.remarks.take());
    Ok(read)
}
