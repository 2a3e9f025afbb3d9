//! The verbs, options and arguments of a command.

use clap::{Arg, ArgAction, Command};

use super::completion::Completion;

pub fn takes_value(option: &Arg) -> bool {
    matches!(option.get_action(), ArgAction::Set | ArgAction::Append)
}

/// Finds the option that a word names: `-c`, `--config`, or of several letters, as in `-qc`, the last one.
pub fn option<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let mut all = command.get_arguments();
    match word.strip_prefix("--") {
        Some(long) => all.find(|option| {
            option.get_long() == Some(long)
                || option
                    .get_all_aliases()
                    .is_some_and(|aliases| aliases.contains(&long))
        }),
        None => {
            let letter = word.chars().next_back();
            all.find(|option| option.get_short().is_some() && option.get_short() == letter)
        }
    }
}

pub fn options(command: &Command, current: &str) -> Vec<Completion> {
    let shown = command
        .get_arguments()
        .filter(|option| !option.is_hide_set());
    let mut found = Vec::new();
    for option in shown {
        let help = option
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        if let Some(long) = option.get_long() {
            found.push(Completion::word(format!("--{long}"), &help));
        }
        if let Some(short) = option.get_short().filter(|_| !current.starts_with("--")) {
            found.push(Completion::word(format!("-{short}"), &help));
        }
    }
    found
}

/// Returns the verbs of a command, with their aliases if `current` is not empty.
pub fn verbs(command: &Command, current: &str) -> Vec<Completion> {
    let shown = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    let mut found = Vec::new();
    for verb in shown {
        let help = verb
            .get_about()
            .map(ToString::to_string)
            .unwrap_or_default();
        found.push(Completion::word(verb.get_name(), &help));
        if !current.is_empty() {
            found.extend(
                verb.get_all_aliases()
                    .map(|alias| Completion::word(alias, &help)),
            );
        }
    }
    found
}

/// Returns the positional argument that comes after `count` others.
pub fn positional(command: &Command, count: usize) -> Option<&Arg> {
    let mut all: Vec<&Arg> = command.get_positionals().collect();
    all.sort_by_key(|argument| argument.get_index());
    let last = all.last().filter(|last| {
        let several = last
            .get_num_args()
            .is_some_and(|range| range.max_values() > 1);
        several || matches!(last.get_action(), ArgAction::Append)
    });
    all.get(count).or(last).copied()
}
