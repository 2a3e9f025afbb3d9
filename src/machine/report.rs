//! The report of an import or a rollback.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{kept::Fed, obstacle::Obstacle, planned::PlanReport, rehearsal::Rehearsal};
use crate::{
    context::Context,
    disk::transaction::{Change, New, names::volume_of},
    error::{Failure, Kind},
    model::{
        digest::Digest,
        plan::{Action, PlanStep},
        written::{ShownPath, escaped},
    },
    work::remarks::Remarks,
};

/// The outcome of an import or a rollback, or of its rehearsal.
#[derive(Debug, Serialize)]
pub struct ApplyReport {
    /// True if it was only a rehearsal.
    pub dry_run: bool,
    /// True if the state is now the new one.
    pub applied: bool,
    /// The action on each target.
    pub steps: Vec<StepReport>,
    /// The obstacles because of which nothing happens.
    pub blocked: Vec<Obstacle>,
    /// Remarks about what was left undone, and what is worth knowing.
    #[serde(flatten)]
    pub remarks: Remarks,
    /// The reason why nothing was to be done: `present`, because the state is here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<&'static str>,
    /// The archive of an import.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// The path of the archive, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive_escaped: Option<String>,
    /// The path at which the unpacked archive was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staging: Option<String>,
    /// The same, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staging_escaped: Option<String>,
    /// The plan, if the caller asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanReport>,
    /// The machine that the archive of an import was exported on.
    #[serde(skip)]
    pub hostname: Option<String>,
    /// The version of the application that the archive of an import names.
    #[serde(skip)]
    pub app_version: Option<String>,
    /// The digest of the state in the archive of an import ([`state_digest`](crate::model::state_digest::state_digest)).
    #[serde(skip)]
    pub state_digest: Option<Digest>,
    /// The number of changes of files and folders.
    #[serde(skip)]
    pub changed: usize,
}

/// One line of the report.
#[derive(Debug, Serialize)]
pub struct StepReport {
    /// The entry.
    pub entry: String,
    /// The file on this machine.
    pub target: Option<String>,
    /// The same, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_escaped: Option<String>,
    /// The action on it.
    pub action: Action,
    /// The file whose content a rollback brings back.
    #[serde(skip)]
    pub origin: Option<PathBuf>,
    /// The path at which the old file stays.
    pub backup: Option<String>,
    /// The same, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_escaped: Option<String>,
}

impl StepReport {
    fn keep(&mut self, backup: Option<ShownPath>) {
        let (text, escaped) = backup.map(|backup| (backup.text, backup.escaped)).unzip();
        (self.backup, self.backup_escaped) = (text, escaped.flatten());
    }
}

impl ApplyReport {
    /// Returns the report of a plan that is not carried out yet. [`ApplyReport::name_backups`] adds the paths of the old
    /// files.
    pub fn new(
        context: &Context,
        rehearsal: Rehearsal,
        steps: &[PlanStep],
        found: Vec<Obstacle>,
    ) -> ApplyReport {
        // Several targets may have one obstacle.
        let mut blocked: Vec<Obstacle> = Vec::new();
        for obstacle in found {
            if !blocked.contains(&obstacle) {
                blocked.push(obstacle);
            }
        }
        let step = |step: &PlanStep| StepReport {
            entry: step.entry.as_str().to_owned(),
            target: step
                .target
                .as_ref()
                .map(|target| target.display().to_string()),
            target_escaped: step.target.as_deref().and_then(escaped),
            action: step.action,
            origin: None,
            backup: None,
            backup_escaped: None,
        };
        ApplyReport {
            dry_run: rehearsal == Rehearsal::DryRun,
            applied: false,
            steps: steps.iter().map(step).collect(),
            blocked,
            remarks: context.remarks(),
            skipped: None,
            archive: None,
            archive_escaped: None,
            staging: None,
            staging_escaped: None,
            plan: None,
            hostname: None,
            app_version: None,
            state_digest: None,
            changed: 0,
        }
    }

    /// Adds to each step the path at which the old file stays.
    pub fn name_backups(&mut self, changes: &[Change<'_>]) {
        let mut backups: BTreeMap<ShownPath, ShownPath> = BTreeMap::new();
        let mut name = |target: &Path, backup: &Path| {
            backups.insert(ShownPath::path(target), ShownPath::path(backup));
        };
        for change in changes {
            let backup = change.backup();
            if change.before.is_some() {
                name(&change.target, &backup);
                // Of a mount point, the children stay in one folder there.
                if let (Some(volume), Some(kept)) = (volume_of(&backup), backup.parent()) {
                    name(volume, kept);
                }
            }
            if let New::Folder { within, .. } = &change.new {
                // The old file of a target within the folder stays in the folder's backup.
                for inner in within.iter().filter(|inner| inner.before.is_some()) {
                    if let Ok(inside) = inner.target.strip_prefix(&change.target) {
                        name(&inner.target, &backup.join(inside));
                    }
                }
            }
        }
        for step in &mut self.steps {
            let target = step.target.clone().map(|text| ShownPath {
                text,
                escaped: step.target_escaped.clone(),
            });
            step.keep(target.and_then(|target| backups.get(&target).cloned()));
        }
    }

    /// Adds to the step of each command the path at which the command's earlier content stays.
    pub fn name_kept(&mut self, commands: &[Fed<'_>]) {
        for fed in commands {
            let mut steps = self.steps.iter_mut();
            let step = steps.find(|step| step.target.is_none() && step.entry == fed.entry.as_str());
            if let Some(step) = step {
                step.keep(fed.kept.as_deref().map(ShownPath::path));
            }
        }
    }

    /// Returns the failure that the verb ends in, if there were obstacles or something is left undone.
    pub fn failure(&self) -> Option<Failure> {
        self.refusal().or_else(|| self.remarks.failure())
    }

    /// Returns the obstacles as one failure, if there are any; the worst of them decides the exit code.
    pub fn refusal(&self) -> Option<Failure> {
        let rank = |blocked: &&Obstacle| match blocked.kind.failure() {
            Kind::Refused => 2,
            Kind::Version => 1,
            _ => 0,
        };
        let worst = self.blocked.iter().rev().max_by_key(rank)?;
        let messages: Vec<String> = self
            .blocked
            .iter()
            .map(|blocked| blocked.message.clone())
            .collect();
        // The hint of one obstacle does not help against another: all are given, that of the worst obstacle first.
        let mut hints = vec![worst.hint];
        for blocked in &self.blocked {
            if !hints.contains(&blocked.hint) {
                hints.push(blocked.hint);
            }
        }
        let is_stubborn = |hint: &&&str| !hint.contains("the same with --force");
        let hint = match (hints.len(), hints.iter().filter(is_stubborn).count()) {
            (1, _) => hints.join(""),
            (_, 0) => hints.join("; "),
            _ => format!(
                "{} (--force alone does not suffice: it does not override every reason)",
                hints.join("; ")
            ),
        };
        Some(
            Failure::new(worst.kind.failure(), messages.join("; "))
                .hint(hint)
                .faults(messages),
        )
    }
}
