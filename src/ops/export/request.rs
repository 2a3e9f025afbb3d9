//! The request for an export.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use crate::{
    archive::writer::Level,
    catalog::output::ArchiveOutput,
    config::Settings,
    context::Context,
    crypt::Recipients,
    error::{Failure, Kind},
    model::{copy_form::CopyForm, method::Method, retention::Mark},
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
    pub reuse: Reuse,
    /// The mark that the archive gets at every destination.
    pub keep: Option<Mark>,
    /// For whom the archive is sealed.
    pub encryption: Encryption,
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
            reuse: Reuse::Newest,
            keep: None,
            encryption: Encryption::AsConfigured,
            level: None,
            snapshot: None,
            snapshot_timeout: Duration::from_secs(60),
        }
    }

    /// Returns the form in which databases are copied for its outputs. If the archives of any of them share their
    /// content, the others get the same copies, which are larger.
    pub fn copy_form(&self) -> CopyForm {
        match self.outputs.iter().any(ArchiveOutput::shares_content) {
            true => CopyForm::PageExact,
            false => CopyForm::Compact,
        }
    }

    /// Fails with [`Kind::Usage`] if no run can do what is requested: without an output, if standard output is named
    /// twice, or a service is to be paused by another program than hookshot.
    pub(super) fn require_feasible(
        &self,
        context: &Context,
        settings: &Settings,
    ) -> Result<(), Failure> {
        let is_stdout = |output: &&ArchiveOutput| matches!(output, ArchiveOutput::Stdout);
        let method = self.snapshot.unwrap_or(settings.schema.snapshot);
        let (message, hint) = if self.outputs.is_empty() {
            (
                "where does the archive go?",
                "name a file, a folder, a URL or a destination",
            )
        } else if self.outputs.iter().filter(is_stdout).count() > 1 {
            ("standard output is named twice", "name it once")
        } else if self.keep.is_some() && self.outputs.iter().any(|one| is_stdout(&one)) {
            (
                "an archive on standard output cannot be marked",
                "leave out --keep, or name a file, a folder or a destination",
            )
        } else if self.keep.is_some_and(|mark| !mark.holds(context.now)) {
            (
                "the mark of the archive would have ended already",
                "name a later date",
            )
        } else if method == Method::Pause && context.program.is_none() {
            (
                "a service is paused by the program hookshot alone",
                "choose another method for the copy of the database",
            )
        } else {
            return Ok(());
        };
        Err(Failure::new(Kind::Usage, message).hint(hint))
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

/// For whom the archive is sealed.
#[derive(Debug, Clone)]
pub enum Encryption {
    /// For those that the configuration names for each output.
    AsConfigured,
    /// For these at every output.
    For(Recipients),
    /// The archive is not sealed.
    Never,
}

/// The earlier archive whose compressed content is reused for unchanged files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reuse {
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
