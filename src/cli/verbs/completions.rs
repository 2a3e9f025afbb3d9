//! `hookshot completions`.

use anyhow::Result;
use clap::Args;
use clap_complete::Shell;

use crate::cli::{app::App, render};

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        hookshot completions bash > /etc/bash_completion.d/hookshot\n  \
        hookshot completions zsh > ~/.zfunc/_hookshot\n  \
        hookshot completions fish > ~/.config/fish/completions/hookshot.fish")]
pub struct CompletionsArguments {
    /// The shell
    shell: Shell,
}

impl CompletionsArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        render::completions::show(&app.printer, (app.command)(), self.shell)
    }
}
