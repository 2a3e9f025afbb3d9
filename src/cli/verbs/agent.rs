//! `hookshot agent`.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{ArgAction, Args};

use crate::{
    cli::app::App,
    jobs::agent::{AgentRequest, GRACE, agent},
};

/// Start the jobs of [backup.schedule] in the foreground
///
/// For containers, and machines without systemd. SIGTERM ends it after the jobs that run, or interrupts them after 30 s.
/// SIGHUP reads the configurations again. What an enabled timer of systemd starts is left out.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    hookshot agent\n  \
    hookshot agent --config /etc/shop.toml --config /etc/wiki.toml\n  \
    hookshot agent --config /etc/hookshot --parallel 2     # every configuration in a folder")]
pub struct AgentArguments {
    /// Follow the schedule of this configuration, or of each in this folder; may be given more than once
    #[arg(short, long, value_name = "PATH", action = ArgAction::Append)]
    config: Vec<PathBuf>,
    /// Run at most this many jobs at once [default: the highest [backup.agent] parallel, else 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    parallel: Option<u16>,
}

impl AgentArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        let mut configs = self.config;
        configs.retain(|config| !config.as_os_str().is_empty());
        if configs.is_empty() {
            configs.extend(app.choices.config.clone());
        }
        let mut wake = app.wake.borrow_mut();
        let report = agent(
            &app.context,
            AgentRequest {
                configs,
                choices: app.choices.clone(),
                parallel: self.parallel.map(usize::from),
                options: app.job_options.clone(),
                clock: &app.clock,
                wake: wake.as_mut().context("signals are not watched")?,
                grace: GRACE,
            },
        )?;
        app.printer.report(&report, String::new)
    }
}
