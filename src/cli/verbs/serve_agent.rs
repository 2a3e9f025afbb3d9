//! `hookshot serve agent`, and the hidden `hookshot serve ask`, which a server starts in place of a verb.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::{
    cli::app::App,
    config::absolute,
    serve::agent::{AgentRequest, Place, relay, run_agent},
};

/// Run verbs for a server that has a user of its own
///
/// The server asks over a socket (`hookshot serve --agent SOCKET`). The agent runs verbs that look, and those that `allow`
/// under [backup.agent] names: by default backup, verify, check and drill. Archives have to be of destinations that have
/// a name.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    hookshot serve agent --socket /run/hookshot/agent.sock --user hookshot-serve\n  \
    hookshot serve --agent /run/hookshot/agent.sock")]
pub struct AgentArguments {
    /// Listen at this file, or at the socket that systemd passes as standard input: `-`
    #[arg(long, value_name = "FILE")]
    socket: PathBuf,
    /// The user of the server [default: the agent's own]
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Run verbs of this configuration, too; may be given more than once
    #[arg(long, value_name = "FILE")]
    also: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub struct AskArguments {
    /// The socket of the agent
    #[arg(long, value_name = "FILE")]
    socket: PathBuf,
    /// The request
    request: String,
}

impl AgentArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        let mut wake = app.wake.borrow_mut();
        let mut configs = vec![app.choices.config_path()?];
        for config in &self.also {
            configs.push(absolute(config)?);
        }
        let request = AgentRequest {
            place: match self.socket.as_os_str() == "-" {
                true => Place::Passed,
                false => Place::File(self.socket),
            },
            user: self.user,
            configs,
            program: app
                .context
                .program
                .clone()
                .context("this program has no file")?,
            wake: wake.as_mut().context("signals are not watched")?,
        };
        run_agent(&app.context, request)?;
        Ok(0)
    }
}

impl AskArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        relay(&app.context, &self.socket, &self.request)
    }
}
