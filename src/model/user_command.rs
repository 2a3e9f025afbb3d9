//! A command of the user: a line for a shell, or a program with its arguments.

/// A command of the user, as the configuration has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserCommand {
    /// A line for `/bin/sh -c`.
    Line(String),
    /// A program and its arguments, run without a shell; not empty.
    Words(Vec<String>),
}

impl UserCommand {
    /// Returns the command as text, for messages. It may hold a secret: mask it before it is shown.
    pub fn text(&self) -> String {
        match self {
            UserCommand::Line(line) => line.clone(),
            UserCommand::Words(words) => words.join(" "),
        }
    }
}
