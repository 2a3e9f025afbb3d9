//! `hookshot validate`.

use anyhow::Result;
use clap::Args;

use crate::{
    cli::{app::App, render},
    ops::validate::validate,
};

/// Check the configuration
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  hookshot validate\n  hookshot validate --config ./config.toml"
)]
pub struct ValidateArguments {}

impl ValidateArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        let report = validate(&app.context, &app.choices)?;
        render::validate::show(&app.printer, &report)
    }
}
