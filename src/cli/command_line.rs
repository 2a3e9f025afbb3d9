//! The command line: a verb, and the options that all verbs share.

use clap::{CommandFactory as _, Parser};

use super::{exit_codes, global::GlobalArguments, verbs::Verb};

/// The whole state of a service in one file that you can trust.
#[derive(Debug, Parser)]
#[command(
    name = "hookshot",
    version,
    propagate_version = true,
    max_term_width = 120,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(
    after_help = exit_codes::help()
)]
pub struct CommandLine {
    #[command(flatten)]
    pub global: GlobalArguments,
    #[command(subcommand)]
    pub verb: Verb,
}

/// Returns the command line with every verb and option, from which documents are made.
pub fn command() -> clap::Command {
    CommandLine::command()
}
