//! Answers to the scripts that complete a line.
//!
//! A script for bash, zsh or fish passes the words of the line after the hidden word `complete`. The answer has one
//! candidate a line: kind, value and help, separated by tabs. Candidates include aliases, the destinations of the
//! configuration, and the entries of an archive. No network is asked. A failure gives an empty answer.

mod asking;
mod completion;
mod line;
mod options;

use clap::Command;

use self::{asking::Asking, completion::Completion, line::split};
use crate::{config::Choices, context::Context};

/// The hidden first word.
pub const WORD: &str = "complete";

/// Answers a script: `line TEXT [PIECE]` or `words WORD...`. The last word is still being written. `context` is called
/// if an archive has to be inspected.
pub fn answer(
    asked: &[String],
    command: Command,
    choices: &Choices,
    home: Option<&str>,
    context: &dyn Fn() -> Option<Context>,
) -> String {
    let (words, kept) = match asked {
        [how, line, piece @ ..] if how == "line" => {
            let (words, raw) = split(line);
            // The shell replaces only this piece of the word.
            let piece = piece.first().map_or(raw.as_str(), String::as_str);
            let kept = raw.strip_suffix(piece).unwrap_or_default().to_owned();
            (words.into_iter().skip(1).collect(), kept)
        }
        [how, words @ ..] if how == "words" => (words.to_vec(), String::new()),
        _ => return String::new(),
    };
    let Some((current, before)) = words.split_last() else {
        return String::new();
    };
    let asking = Asking {
        choices: choices.clone(),
        home,
        context,
    };
    let found = asking.candidates(command, before, current);
    let line = |one: Completion| {
        let value = one
            .value
            .strip_prefix(&kept)
            .unwrap_or(&one.value)
            .to_owned();
        let help = one.help.lines().next().unwrap_or_default().to_owned();
        format!("{}\t{value}\t{help}\n", one.kind)
    };
    found.into_iter().map(line).collect()
}
