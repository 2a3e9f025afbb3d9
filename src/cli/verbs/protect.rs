//! `hookshot protect`.

use std::ffi::OsString;

use anyhow::Result;
use clap::Args;

use crate::{
    cli::{app::App, render},
    config::import::HealthCheck,
    jobs::protect::{CommandOutput, ProtectRequest, WayBack, protect},
    model::quantity::TimeLimit,
};

/// Run an upgrade with a safety net: an archive first, and back if it fails
///
/// What would block the way back is found first. Then the state is exported, and COMMAND has the terminal. If it fails, or the
/// service is not healthy after it, the state comes back from the archive. [backup.import] says how the service is stopped,
/// started, and asked for its health.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    hookshot protect -- apt-get install app\n  \
    hookshot protect --health http://127.0.0.1:8080/health -- docker compose up -d --pull always\n  \
    hookshot protect --health 'systemctl is-active app' --health-timeout 3m -- ./upgrade.sh\n  \
    hookshot protect --keep -- ./migrate.sh   # never roll back: exit code 19 if it is not healthy")]
pub struct ProtectArguments {
    /// Ask this for the health of the service: a command, or a URL [default: `health` under [backup.import]]
    #[arg(long, value_name = "COMMAND|URL", value_parser = HealthCheck::parse)]
    health: Option<HealthCheck>,
    /// Give the service this time to become healthy [default: `health_timeout` under [backup.import], else 60s]
    #[arg(long, value_name = "TIME")]
    health_timeout: Option<TimeLimit>,
    /// Never roll back: the state stays as COMMAND left it
    #[arg(long)]
    keep: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl ProtectArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        let request = ProtectRequest {
            command: self.command,
            health: self.health,
            health_timeout: self.health_timeout.map(TimeLimit::duration),
            way_back: if self.keep {
                WayBack::Left
            } else {
                WayBack::Taken
            },
            output: if app.printer.is_json() {
                CommandOutput::ToErrors
            } else {
                CommandOutput::Inherited
            },
        };
        let report = protect(&app.context, &app.choices, &request)?;
        render::protect::show(&app.printer, &report)
    }
}
