//! `hookshot backup`.

use std::{ffi::OsString, path::PathBuf};

use anyhow::Result;
use clap::{Args, builder::NonEmptyStringValueParser};

use super::export::{labels, parse_tag};
use crate::{
    catalog::target::Target,
    cli::{app::App, render},
    jobs::{
        backup::{BackupMode, BackupRequest, IfUnchanged, OldArchives, backup, backup_all, plan},
        configs,
    },
    model::{quantity::TimeLimit, retention::Mark},
    work::events::ExportEvent,
};

/// Run the nightly job: export once, deliver everywhere, prune
///
/// Hooks run around it, archives that earlier runs did not deliver are delivered, and the policy is applied at each
/// destination that proved to hold this run's archive. The run is recorded for `hookshot history` and `hookshot status`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    hookshot backup                               # to every destination that [backup] to names\n  \
    hookshot backup @offsite                      # to this one alone\n  \
    hookshot backup --if-changed                  # no archive if nothing changed\n  \
    hookshot backup --dry-run                     # what a run would do\n  \
    hookshot backup --lock-wait 1h                # wait for a run that is at work\n  \
    hookshot backup --all-configs /etc/hookshot   # several services, with one summary")]
pub struct BackupArguments {
    /// `@DESTINATION`, URLs or folders [env: HOOKSHOT_TO] [default: [backup] to]
    #[arg(value_name = "DESTINATION")]
    destinations: Vec<OsString>,
    /// Make no archive if every destination holds the present state
    #[arg(long)]
    if_changed: bool,
    /// Add a label to the manifest; may be given several times
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = parse_tag)]
    tags: Vec<(String, String)>,
    /// Name the archive: the label `name`. `@DESTINATION/name=NAME` finds it again
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    name: Option<String>,
    /// Describe the archive: the label `description`
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    description: Option<String>,
    /// Mark the archive at every destination, so that no policy removes it: for good, or until this day begins (UTC)
    #[arg(long, value_name = "DATE", num_args = 0..=1, require_equals = true, default_missing_value = "forever")]
    keep: Option<Mark>,
    /// Remove no old archives
    #[arg(long)]
    no_prune: bool,
    /// Show what a run would do, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Run the job of each configuration in this folder, one after the other: *.toml with a section [backup], and
    /// */config.toml
    #[arg(long, value_name = "DIR", conflicts_with_all = ["dry_run", "destinations"])]
    all_configs: Option<PathBuf>,
    /// Wait this long for a run of this configuration that is at work: 10m, 1h
    #[arg(long, value_name = "TIME", default_value = "0s")]
    lock_wait: TimeLimit,
}

impl BackupArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        // The run itself says what is wrong with a configuration.
        if let ([], Ok(settings)) = (&self.destinations[..], app.settings()) {
            for destination in Target::disabled(settings) {
                app.context
                    .tell(ExportEvent::DestinationDisabled { destination });
            }
        }
        let request = BackupRequest {
            destinations: self.destinations,
            if_unchanged: if self.if_changed {
                IfUnchanged::Skip
            } else {
                IfUnchanged::Export
            },
            tags: labels(
                self.tags,
                [("name", self.name), ("description", self.description)],
            )?,
            keep: self.keep,
            old_archives: if self.no_prune {
                OldArchives::Keep
            } else {
                OldArchives::Prune
            },
            mode: if self.dry_run {
                BackupMode::Plan
            } else {
                BackupMode::Run
            },
            lock_wait: self.lock_wait.duration(),
        };
        if let Some(folder) = &self.all_configs {
            let configs = configs::find(std::slice::from_ref(folder))?;
            let report = backup_all(&app.context, &app.choices, &configs, &request)?;
            return render::backup::show_all(&app.printer, &report);
        }
        match request.mode {
            BackupMode::Plan => {
                let plan = plan(&app.context, &app.choices, &request)?;
                render::backup::show_plan(&app.printer, &plan)
            }
            BackupMode::Run => {
                let report = backup(&app.context, &app.choices, &request)?;
                render::backup::show(&app.printer, &report)
            }
        }
    }
}
