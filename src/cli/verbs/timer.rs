//! `hookshot timer`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::{
    cli::{app::App, render},
    jobs::timer::{TimerUnits, installed::Scope, remove},
};

/// Let systemd start the jobs of [backup.schedule]
///
/// Each job gets a service and a timer, named after `app` under [backup]: hookshot-APP-backup.timer. Their sandbox is as
/// tight as the configuration permits.
#[derive(Debug, Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "Examples:\n  \
    hookshot timer show                 # the units, without writing them\n  \
    hookshot timer install\n  \
    hookshot --config /etc/hookshot/shop/config.toml timer install\n  \
    hookshot timer status"
)]
pub struct TimerArguments {
    #[command(subcommand)]
    verb: TimerVerb,
}

/// The verbs below `timer`.
#[derive(Debug, Subcommand)]
enum TimerVerb {
    /// Write the units and start the timers; remove those of jobs that are not scheduled any more
    Install(TimerFlags),
    /// Print the units, and write nothing
    Show(TimerFlags),
    /// Show for each job whether its timer is installed, when it started last and when it starts next
    Status(TimerFlags),
    /// Stop the timers and remove the units, even if the configuration is gone
    Remove(TimerFlags),
}

/// The options of every verb below `timer`.
#[derive(Debug, Args)]
struct TimerFlags {
    /// Use the units of the user, in ~/.config/systemd/user, not those of the system
    #[arg(long)]
    user: bool,
    /// Use this folder in place of /, as for an image that another machine starts
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

impl TimerFlags {
    fn scope(&self) -> Scope {
        match self.user {
            true => Scope::User,
            false => Scope::System,
        }
    }

    fn units(&self, app: &App) -> Result<TimerUnits> {
        TimerUnits::of(
            &app.context,
            &app.choices,
            app.settings()?,
            self.scope(),
            self.root.as_deref(),
        )
    }
}

impl TimerArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        let (printer, context) = (&app.printer, &app.context);
        match self.verb {
            TimerVerb::Install(flags) => {
                let report = flags.units(app)?.install(context, app.settings()?)?;
                render::timer::installed(printer, &report)
            }
            TimerVerb::Show(flags) => render::timer::units(printer, &flags.units(app)?),
            TimerVerb::Status(flags) => {
                let report = flags.units(app)?.status(context)?;
                render::timer::status(printer, &report)
            }
            TimerVerb::Remove(flags) => {
                // The configuration may be bad or gone.
                let config = app.choices.config_path()?;
                let report = remove(context, flags.scope(), flags.root.as_deref(), &config)?;
                render::timer::removed(printer, &report)
            }
        }
    }
}
