//! `hookshot validate`.

use anyhow::Result;
use clap::Args;

use crate::{
    cli::{app::App, render},
    jobs::{guard, notify},
    machine::enter::{StateAccess, enter},
    ops::{export::read_state, shown::settings_in_force, validate::validate},
};

/// Check the configuration
///
/// With --deep, this machine's state is read as an export reads it: databases are copied and checked, commands of
/// sources run, and no archive is made.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  hookshot validate\n  hookshot validate --show\n  hookshot validate --deep      # would an export be good?\n  hookshot validate --config ./config.toml"
)]
pub struct ValidateArguments {
    /// Show every setting in force and where it comes from, with secrets masked
    #[arg(long)]
    show: bool,
    /// Read every database and file as an export does, without making an archive
    #[arg(long)]
    deep: bool,
}

impl ValidateArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        let mut report = validate(&app.context, &app.choices)?;
        if report.good {
            let checked = notify::check(&app.context, app.settings()?)?;
            report.good = checked.faults.is_empty();
            report.faults.extend(checked.faults);
            report.warnings.extend(checked.warnings);
            if let Some(fault) = guard::fault(&app.context, app.settings()?) {
                report.good = false;
                report.faults.push(fault);
            }
        }
        if self.show {
            report.settings = Some(settings_in_force(&app.context, &app.choices)?);
        }
        if self.deep && report.good {
            let entered = enter(&app.choices, StateAccess::Read, &app.context.events)?;
            report.state = Some(read_state(&app.context, &entered)?);
        }
        render::validate::show(&app.printer, &report)
    }
}
