//! A page of text, 80 columns wide, for printers and for people that copy from it.

use super::qr;
use crate::{model::entry_name::printable, ops::key::Command};

/// The columns of a page.
const COLUMNS: usize = 80;
/// The columns before the further lines of a command.
const FURTHER: &str = "      ";

/// A page that is being written.
#[derive(Default)]
pub struct Page(String);

impl Page {
    /// Returns the text of the page.
    pub fn finish(self) -> String {
        self.0
    }

    /// Adds an empty line.
    pub fn gap(&mut self) {
        self.0.push('\n');
    }

    /// Adds a line as it is.
    pub fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    /// Adds a title, underlined.
    pub fn title(&mut self, title: &str) {
        self.gap();
        self.line(title);
        self.line(&"-".repeat(title.len()));
    }

    /// Adds a paragraph, broken between words.
    pub fn text(&mut self, text: &str) {
        let mut line = String::new();
        for word in text.split(' ') {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > COLUMNS {
                self.line(&line);
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.line(&line);
    }

    /// Adds commands, apart from what stands around them.
    pub fn commands(&mut self, commands: &[Command]) {
        self.gap();
        commands.iter().for_each(|command| self.command(command));
        self.gap();
    }

    /// Adds a command. A long one goes on after a backslash, as a shell takes it.
    pub fn command(&mut self, words: &Command) {
        let mut line = "   ".to_owned();
        let mut is_begun = false;
        for word in words {
            let word = printable(word);
            let is_full = line.chars().count() + 1 + word.chars().count() > COLUMNS - 2;
            if is_full && is_begun {
                self.line(&format!("{line} \\"));
                line = FURTHER.to_owned();
            }
            line.push(' ');
            line.push_str(&word);
            is_begun = true;
        }
        self.line(&line);
    }

    /// Adds the code of a text, if one holds it.
    pub fn code(&mut self, text: &str) {
        if let Some(code) = qr::code(text.trim_end()) {
            self.gap();
            self.0.push_str(&code);
        }
    }
}
