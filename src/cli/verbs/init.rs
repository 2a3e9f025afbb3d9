//! `hookshot init`.

use std::{ffi::OsString, path::PathBuf};

use anyhow::Result;
use clap::{Args, builder::PossibleValuesParser};

use crate::{
    cli::{app::App, render},
    ops::{
        check::check,
        import::quoted,
        init::{Nightly, apps, init, own},
    },
};

/// Write a starter configuration: for an application of your own, a well-known one, or a new hookshot service
///
/// With --source, archives hold the databases, files and folders of an application of your own. With --app, those of a
/// well-known service. With neither, archives hold the state of a new hookshot service, and its empty database is made.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        hookshot init\n  \
        hookshot init --config ./etc/config.toml --data-dir ./data\n  \
        hookshot init --to s3://bucket/web1 --schedule 02:00\n  \
        hookshot init --source /var/lib/shop --config /etc/hookshot/shop/config.toml --to s3://bucket/shop\n  \
        hookshot init --app vaultwarden --config /etc/hookshot/vaultwarden/config.toml --data-dir /srv/vaultwarden")]
pub struct InitArguments {
    /// Write the configuration of a well-known service instead; --data-dir says where its data is
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(apps::names()))]
    app: Option<String>,
    /// Write the configuration of an application of your own: archives hold this database, file or folder
    #[arg(long = "source", value_name = "PATH", conflicts_with = "app")]
    sources: Vec<PathBuf>,
    /// Send archives to this URL or folder, keep 7 daily, 4 weekly and 6 monthly ones, and check it
    #[arg(long, value_name = "URL")]
    to: Option<OsString>,
    /// Start the backup at this time, as [backup.schedule] has it [default: 02:00]
    #[arg(long, value_name = "TIME", requires = "to")]
    schedule: Option<String>,
}

impl InitArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        let to = self.to.as_ref();
        let nightly = to.map(|to| Nightly::new(to, self.schedule.as_deref()));
        let nightly = nightly.transpose()?;
        let mut report = match &self.app {
            Some(name) => apps::init(&app.choices, name, nightly.as_ref())?,
            None if !self.sources.is_empty() => {
                own::init(&app.choices, &self.sources, nightly.as_ref())?
            }
            None => init(&app.choices, nightly.as_ref())?,
        };
        if let Some(nightly) = nightly {
            let destination = format!("@{}", nightly.destination()).into();
            report.check = Some(check(&app.context, app.settings()?, &[destination])?);
            let config = app
                .choices
                .config
                .as_ref()
                .map(|_| app.choices.config_path());
            let config = config.transpose()?;
            let config =
                config.map(|path| format!("--config {} ", quoted(&path.display().to_string())));
            report.next = Some(format!(
                "hookshot {}timer install",
                config.unwrap_or_default()
            ));
        }
        render::init::show(&app.printer, &report)
    }
}
