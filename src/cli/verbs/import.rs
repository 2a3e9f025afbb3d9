//! `hookshot import`.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Result;
use clap::Args;

use super::{
    flags::{demand, force, is_controlled, rehearsal, root},
    hooked::hooked,
};
use crate::{
    catalog::input::{self, ArchiveInput},
    cli::{app::App, render},
    config::{Choices, Settings, elsewhere::Elsewhere, hooks::Operation, read_text},
    context::Context,
    error::{Failure, Kind},
    jobs::guard::{GuardedReport, GuardedWork, guarded, imported, plan},
    machine::{
        enter::{Need, recover},
        planned::PlanScope,
        preflight::Force,
        rehearsal::Rehearsal,
        report::ApplyReport,
    },
    model::{digest::Digest, quantity::TimeLimit},
    ops::{
        import::{
            Archived, ImportRequest, KeepStaging, Selection, archived_config, damage_of, is_busy,
            is_present, quoted, wait_until_idle,
        },
        patterns::{EntryPatterns, Parts},
    },
    verbs::{self, for_attempt, import_archive},
    work::events::RestoreEvent,
};

/// Replace this machine's state with an archive's: all of it, or nothing
///
/// Everything is checked first: digests, version, whether the database opens, which processes have the old one open,
/// and whether deployments are active. Each replaced file stays beside the new one as .bak. This machine's
/// configuration decides where files go. If it has none, --use-archive-config lets the archive's decide.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    hookshot import state.tar.gz --dry-run             # what would happen\n  \
    hookshot import state.tar.gz                       # undo it with: hookshot rollback\n  \
    hookshot import state.tar.gz --only config.toml --only services.toml\n  \
    hookshot import state.tar.gz --except state.redb\n  \
    hookshot import state.tar.gz --root /tmp/rehearsal\n  \
    hookshot import state.tar.gz --map /srv/app=/mnt/new/app --dry-run\n  \
    hookshot import state.tar.gz --use-archive-config  # on a machine that has nothing yet\n  \
    hookshot import @offsite/latest --if-missing       # when a container starts\n  \
    hookshot import state.tar.gz --guarded             # stop the service, import, start it, roll back if it is not healthy\n  \
    ssh backup cat state.tar.gz | hookshot import -")]
pub struct ImportArguments {
    /// A file, an unpacked archive, a URL, `@DESTINATION/ARCHIVE`, `@DESTINATION/latest`, or `-` for standard
    /// input
    archive: PathBuf,
    /// Check everything, show the plan, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Replace the state even if deployments are active or the old database cannot be read
    #[arg(long)]
    force: bool,
    /// Import this entry only, a name or a pattern as in gitignore(5); may be given several times
    #[arg(long, value_name = "ENTRY")]
    only: Vec<String>,
    /// Leave out this entry, a name or a pattern; may be given several times
    #[arg(long, value_name = "ENTRY")]
    except: Vec<String>,
    /// Import config.toml even if this machine's says something else under [backup]
    #[arg(long)]
    with_config: bool,
    /// Let the archive's configuration say where files go, on a machine without one
    #[arg(long)]
    use_archive_config: bool,
    /// Put everything below this folder, as if it were /, for a rehearsal or for another machine's disk
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Put files of OLD, and below it, at NEW; may be given several times
    #[arg(long, value_name = "OLD=NEW", value_parser = Elsewhere::parse_map)]
    map: Vec<(PathBuf, PathBuf)>,
    /// Keep the folder with the unpacked archive
    #[arg(long)]
    keep_staging: bool,
    /// Wait this long while deployments or another hookshot are at work: 90s, 5m; a number alone is seconds
    #[arg(long, value_name = "TIME", conflicts_with_all = ["dry_run", "force"])]
    wait: Option<TimeLimit>,
    /// Do nothing if the state is here already, as when a container starts
    #[arg(long)]
    if_missing: bool,
    /// Stop the service, import, start it, and roll back if it is not healthy ([backup.import])
    #[arg(long, conflicts_with_all = ["root", "use_archive_config", "keep_staging"])]
    guarded: bool,
    /// Tell the digest of the plan, or carry out that plan alone; guarded if [backup.import] says how
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true)]
    #[arg(conflicts_with_all = ["if_missing", "wait", "use_archive_config", "root", "keep_staging"])]
    plan: Option<Option<Digest>>,
}

/// The outcome of an attempt at an import.
enum Attempted {
    Plain(Box<ApplyReport>),
    Guarded(Box<GuardedReport>),
}

impl Attempted {
    fn report(&self) -> &ApplyReport {
        match self {
            Attempted::Plain(report) => report,
            Attempted::Guarded(guarded) => &guarded.report,
        }
    }
}

impl ImportArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        // No destination is asked if the state is here, and no hook runs.
        if self.if_missing && self.is_present(app)? {
            let report = nothing_to_do(&app.context, rehearsal(self.dry_run));
            return render::import::show(&app.printer, &report, app.is_quiet);
        }
        if self.dry_run {
            return self.import(app);
        }
        // A killed import may still have to restore the configuration.
        recover(
            &app.choices.config_path()?,
            Need::State,
            &app.context.events,
        )?;
        hooked(app, Operation::Import, || self.import(app))
    }

    fn import(&self, app: &App) -> Result<u8> {
        let mut attempts = 0;
        let is_damaged = |result: &Result<Attempted>| match result {
            Ok(attempted) => damage_of(attempted.report()),
            Err(_) => input::damage(result),
        };
        let attempted =
            app.input(&self.archive)?
                .first_good(&app.context, is_damaged, |archive| {
                    let context = for_attempt(&app.context, attempts);
                    attempts += 1;
                    self.attempt(app, &context, archive)
                })?;
        match attempted {
            Attempted::Plain(report) => render::import::show(&app.printer, &report, app.is_quiet),
            Attempted::Guarded(guarded) => render::import::show_guarded(&app.printer, &guarded),
        }
    }

    fn attempt(&self, app: &App, context: &Context, archive: &ArchiveInput) -> Result<Attempted> {
        let choices = self.choices(app, context, archive)?;
        let (only, except) = (
            EntryPatterns::new(&self.only)?,
            EntryPatterns::new(&self.except)?,
        );
        let has_patterns = only.plain().is_none() || except.plain().is_none();
        let is_guarded = self.guarded || self.plan.is_some() && is_controlled(&choices)?;
        let is_read_twice = has_patterns || self.wait.is_some() || is_guarded;
        let archive = match is_read_twice {
            true => archive.repeatable(context)?,
            false => archive.clone(),
        };
        let named = |words: &EntryPatterns| match words.is_empty() {
            true => Ok(Vec::new()),
            false => words.resolve(context, &archive, Parts::Whole),
        };
        let selection = Selection {
            only: named(&only)?,
            except: named(&except)?,
            ..Selection::default()
        };
        if self.if_missing && choices.archived.is_some() && is_present(&Settings::load(&choices)?)?
        {
            let report = nothing_to_do(context, rehearsal(self.dry_run));
            return Ok(Attempted::Plain(Box::new(report)));
        }
        let request = ImportRequest {
            archive,
            expected: None,
            plan: demand(self.plan, PlanScope::Contents),
            rehearsal: rehearsal(self.dry_run),
            force: force(self.force),
            selection,
            archived: if self.with_config {
                Archived::Put
            } else {
                Archived::Beside
            },
            said_config: app.choices.config.clone(),
            said_places: self.said_options(app),
            staging: if self.keep_staging {
                KeepStaging::Yes
            } else {
                KeepStaging::No
            },
        };
        if is_guarded {
            return self.guarded(context, &choices, &request);
        }
        let report = self.import_when_idle(context, &choices, &request)?;
        let is_whole = request.selection.only.is_empty() && request.selection.except.is_empty();
        if report.applied && is_whole {
            imported(context, &choices)?;
        }
        render::import::log_import(&report);
        Ok(Attempted::Plain(Box::new(report)))
    }

    /// Imports while the service is stopped, as soon as nothing else is at work on the state.
    fn guarded(
        &self,
        context: &Context,
        choices: &Choices,
        request: &ImportRequest,
    ) -> Result<Attempted> {
        let settings = Settings::load(choices)?;
        let import = |context: &Context, rehearsal| {
            // After the service was stopped, another plan may do the same.
            let plan = match rehearsal {
                Rehearsal::DryRun => demand(self.plan, PlanScope::Steps),
                Rehearsal::Real => None,
            };
            let request = ImportRequest {
                rehearsal,
                plan,
                ..request.clone()
            };
            import_archive(context, choices, request)
        };
        let work = GuardedWork {
            verb: "import",
            rehearse: &|context| import(context, Rehearsal::DryRun),
            act: &|context| {
                let report = import(context, Rehearsal::Real)?;
                render::import::log_import(&report);
                Ok(report)
            },
            undo: &|context| {
                let report = verbs::rollback(context, choices, Rehearsal::Real, Force::Rollback)?;
                render::import::log_rollback(&report);
                Ok(report)
            },
        };
        if self.dry_run {
            let report = plan(context, &settings, &work)?;
            render::import::log_import(&report);
            return Ok(Attempted::Plain(Box::new(report)));
        }
        if let Some(limit) = self.wait {
            wait_until_idle(context, choices, Instant::now() + limit.duration())?;
        }
        let report = guarded(context, &settings, &work)?;
        Ok(Attempted::Guarded(Box::new(report)))
    }

    /// Imports as soon as nothing is at work on the state, if the user gives time for that.
    fn import_when_idle(
        &self,
        context: &Context,
        choices: &Choices,
        request: &ImportRequest,
    ) -> Result<ApplyReport> {
        let Some(limit) = self.wait else {
            return import_archive(context, choices, request.clone());
        };
        let deadline = Instant::now() + limit.duration();
        let mut attempts = 0;
        loop {
            wait_until_idle(context, choices, deadline)?;
            let is_last = Instant::now() >= deadline;
            let result = import_archive(&for_attempt(context, attempts), choices, request.clone());
            if is_last || !is_busy(&result) {
                return result;
            }
            attempts += 1;
        }
    }

    /// Returns true if this machine's configuration describes a state that is here.
    fn is_present(&self, app: &App) -> Result<bool> {
        let mut choices = app.choices.clone();
        choices.elsewhere.root = root(self.root.as_deref())?;
        choices.elsewhere.maps.clone_from(&self.map);
        recover(&choices.config_path()?, Need::State, &app.context.events)?;
        let settings = Settings::load(&choices)?;
        Ok(settings.is_described && is_present(&settings)?)
    }

    /// Returns the options that move targets elsewhere, quoted for a shell.
    fn said_options(&self, app: &App) -> String {
        let root = self
            .root
            .iter()
            .map(|root| format!(" --root {}", quoted(&root.display().to_string())));
        let maps = self.map.iter().map(|(old, new)| {
            let map = format!("{}={}", old.display(), new.display());
            format!(" --map {}", quoted(&map))
        });
        let keys = app
            .choices
            .identities
            .iter()
            .map(|key| format!(" --identity {}", quoted(&key.display().to_string())));
        keys.chain(root).chain(maps).collect()
    }

    /// Returns the choices that say where files go: by this machine's configuration, else by the archive's if the user
    /// says so. Refuses an import of less than the whole archive before anything is created.
    fn choices(&self, app: &App, context: &Context, archive: &ArchiveInput) -> Result<Choices> {
        let mut choices = app.choices.clone();
        choices.elsewhere.root = root(self.root.as_deref())?;
        choices.elsewhere.maps.clone_from(&self.map);
        let config = choices.config_path()?;
        choices.elsewhere.stays_inside(&config)?;
        // A killed import may still have to restore it.
        recover(&config, Need::State, &context.events)?;
        let here = read_text(&config)?;
        if self.use_archive_config {
            let archived = archived_config(context, archive)?;
            // A second run finds the configuration that the first one restored.
            if here.as_ref().is_some_and(|here| *here != archived.text) {
                let message = format!(
                    "this machine has a configuration, {}, and it is not the archive's",
                    config.display()
                );
                let hint = "leave out --use-archive-config: this machine's says where files go; or name with \
                    --config where the archive's own is to go";
                return Err(Failure::new(Kind::Usage, message).hint(hint).into());
            }
            let said = app.choices.config.is_some();
            let elsewhere = archived.target.as_deref().map(Path::new).filter(|target| {
                target.is_absolute() && *target != config && !said && self.map.is_empty()
            });
            if let (Some(target), None) = (elsewhere, &self.root) {
                context.tell(RestoreEvent::OtherConfig {
                    archived: target.to_owned(),
                    here: config,
                });
            }
            choices.archived = Some(archived.text);
            return Ok(choices);
        }
        // Below another root, this machine's own configuration serves if there is none.
        let is_rooted = choices.elsewhere.root.is_some();
        if here.is_some() || is_rooted && read_text(&choices.said_config()?)?.is_some() {
            return Ok(choices);
        }
        let said = app.choices.config.as_deref();
        // The configuration of an archive on standard input is known once it is unpacked.
        if !matches!(archive, ArchiveInput::Stdin) {
            let archived = match archived_config(context, archive) {
                Ok(archived) => Some(archived),
                Err(error) if Failure::of(&error).kind == Kind::NotFound => None,
                Err(error) => return Err(error),
            };
            let needed = archived.and_then(|config| {
                config.is_needed(said, &archive.shown(), &self.said_options(app))
            });
            if let Some(failure) = needed {
                return Err(failure.into());
            }
        }
        Ok(choices)
    }
}

/// Returns the report of an import that finds the state in place.
fn nothing_to_do(context: &Context, rehearsal: Rehearsal) -> ApplyReport {
    context.tell(RestoreEvent::Present);
    ApplyReport {
        skipped: Some("present"),
        ..ApplyReport::new(context, rehearsal, &[], Vec::new())
    }
}
