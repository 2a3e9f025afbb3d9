//! Scripts for shells that ask this program what comes next (`cli::complete` answers them).

use anyhow::Result;
use clap::{Arg, Command};
use clap_complete::Shell;
use serde_json::json;

use super::printer::Printer;

const BASH: &str = include_str!("completions/hookshot.bash");
const ZSH: &str = include_str!("completions/hookshot.zsh");
const FISH: &str = include_str!("completions/hookshot.fish");

/// Shows the script of a shell for this command line, and returns the exit code.
pub fn show(printer: &Printer, command: Command, shell: Shell) -> Result<u8> {
    let script = script(&without_hidden(&command), shell)?;
    printer.report(&json!({ "completions": script }), || script.clone())
}

fn script(command: &Command, shell: Shell) -> Result<String> {
    let asks = |script: &str| Ok(script.replace("@WORDS@", &every_word(command)));
    match shell {
        Shell::Bash => asks(BASH),
        Shell::Zsh => asks(ZSH),
        Shell::Fish => asks(FISH),
        _ => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command.clone(), "hookshot", &mut script);
            Ok(String::from_utf8(script)?)
        }
    }
}

/// Returns the command line without its hidden verbs.
fn without_hidden(all: &Command) -> Command {
    let verbs = all.get_subcommands().filter(|verb| !verb.is_hide_set());
    Command::new("hookshot")
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .args(all.get_arguments().cloned())
        .subcommands(verbs.cloned())
}

/// Returns every verb and option, for a shell that does not find this program.
fn every_word(all: &Command) -> String {
    let names = all.get_subcommands().map(|verb| verb.get_name().to_owned());
    let arguments = all.get_subcommands().flat_map(Command::get_arguments);
    let options = all
        .get_arguments()
        .chain(arguments)
        .filter_map(Arg::get_long);
    let mut options: Vec<_> = options.map(|long| format!("--{long}")).collect();
    options.sort();
    options.dedup();
    names.chain(options).collect::<Vec<_>>().join(" ")
}
