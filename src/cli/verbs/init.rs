//! `hookshot init`.

use anyhow::Result;
use clap::{Args, builder::PossibleValuesParser};

use crate::{
    cli::{app::App, render},
    ops::init::{apps, init},
};

/// Write a starter configuration and an empty database
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        hookshot init\n  \
        hookshot init --config ./etc/config.toml --data-dir ./data\n  \
        hookshot init --app vaultwarden --config /etc/hookshot/vaultwarden/config.toml --data-dir /srv/vaultwarden")]
pub struct InitArguments {
    /// Write the configuration of a well-known service instead; --data-dir says where its data is
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(apps::names()))]
    app: Option<String>,
}

impl InitArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        let report = match &self.app {
            Some(name) => apps::init(&app.choices, name)?,
            None => init(&app.choices)?,
        };
        render::init::show(&app.printer, &report)
    }
}
