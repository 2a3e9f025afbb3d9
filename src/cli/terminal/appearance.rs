//! The look of hookshot: colour, progress and characters. The command line, the environment and the terminal decide it
//! once.

use crate::cli::global::{ColorWhen, GlobalArguments, ProgressWhen};

/// The surroundings that decide about the look, besides the options.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The variables of the environment.
    pub variables: &'a [(String, String)],
    /// True if standard error is a terminal.
    pub is_terminal: bool,
}

/// A way to show progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgressDisplay {
    /// A bar in the last line.
    Bar(Cells),
    /// A line now and then.
    Lines,
    /// On request alone (SIGUSR1).
    OnRequest,
}

/// The characters of a bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cells {
    /// `█` and `░`.
    Blocks,
    /// `#` and `-`.
    Ascii,
}

/// The look of this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appearance {
    /// True if messages are coloured.
    pub is_colored: bool,
    /// The way in which progress is shown.
    pub progress: ProgressDisplay,
    /// The most columns that `COLUMNS` leaves to a line.
    pub columns: Option<usize>,
}

impl Appearance {
    /// Returns the look: options decide first, then variables, then the terminal.
    pub fn new(global: &GlobalArguments, surroundings: Surroundings<'_>) -> Appearance {
        let terminal = Terminal(surroundings);
        let progress = match global.progress.unwrap_or(ProgressWhen::Auto) {
            ProgressWhen::Never => ProgressDisplay::OnRequest,
            ProgressWhen::Auto if global.quiet => ProgressDisplay::OnRequest,
            ProgressWhen::Auto if terminal.is_capable() => ProgressDisplay::Bar(terminal.cells()),
            ProgressWhen::Auto => ProgressDisplay::Lines,
        };
        Appearance {
            is_colored: match global.color.unwrap_or(ColorWhen::Auto) {
                ColorWhen::Always => true,
                ColorWhen::Never => false,
                ColorWhen::Auto => terminal.is_colored(),
            },
            progress,
            columns: terminal.columns(),
        }
    }
}

/// The conventions of terminals.
struct Terminal<'a>(Surroundings<'a>);

impl<'a> Terminal<'a> {
    /// Returns a variable; an empty one counts as unset.
    fn variable(&self, name: &str) -> Option<&'a str> {
        let mut variables = self.0.variables.iter();
        let found = variables.find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Returns true if standard error is a terminal that knows more than lines. `TERM=dumb` (Emacs, some consoles of CI)
    /// does not, and without TERM nothing is known.
    fn is_capable(&self) -> bool {
        self.0.is_terminal && self.variable("TERM").is_some_and(|term| term != "dumb")
    }

    /// Follows no-color.org, then bixense.com/clicolors and force-color.org, then the terminal.
    fn is_colored(&self) -> bool {
        let is_on = |name: &str| {
            let value = self.variable(name);
            value.is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
        };
        if self.variable("NO_COLOR").is_some() {
            return false;
        }
        if is_on("CLICOLOR_FORCE") || is_on("FORCE_COLOR") {
            return true;
        }
        let is_off =
            self.variable("CLICOLOR") == Some("0") || self.variable("FORCE_COLOR").is_some();
        !is_off && self.is_capable()
    }

    /// Returns blocks if the locale has them, one column each: `LC_ALL` wins, then `LC_CTYPE`, then `LANG` (locale(7)).
    fn cells(&self) -> Cells {
        let names = ["LC_ALL", "LC_CTYPE", "LANG"];
        let locale = names.iter().find_map(|name| self.variable(name));
        let locale = locale.unwrap_or_default().to_ascii_lowercase();
        let is_unicode = locale.contains("utf-8") || locale.contains("utf8");
        // In the fonts of East Asia a block may be two columns wide (Unicode Annex 11).
        let is_wide = ["ja", "ko", "zh"]
            .iter()
            .any(|language| locale.starts_with(language));
        match is_unicode && !is_wide {
            true => Cells::Blocks,
            false => Cells::Ascii,
        }
    }

    fn columns(&self) -> Option<usize> {
        let columns = self.variable("COLUMNS")?.trim().parse().ok();
        columns.filter(|columns| *columns > 0)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::command_line::CommandLine;

    fn seen(words: &str, variables: &str, is_terminal: bool) -> Appearance {
        let words = ["hookshot"].into_iter().chain(words.split_whitespace());
        let words = words.chain(["version"]);
        let arguments = CommandLine::try_parse_from(words).expect("good words");
        let variables: Vec<_> = variables
            .split_whitespace()
            .filter_map(|word| word.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let surroundings = Surroundings {
            variables: &variables,
            is_terminal,
        };
        Appearance::new(&arguments.global, surroundings)
    }

    #[test]
    fn colour_follows_the_conventions() {
        let on = "TERM=xterm";
        for (words, variables, is_terminal, is_colored) in [
            ("", on, true, true),
            ("", on, false, false),
            ("", "TERM=dumb", true, false),
            ("", "TERM=", true, false),
            ("", "", true, false),
            ("", "TERM=xterm NO_COLOR=1", true, false),
            ("", "TERM=xterm NO_COLOR=0", true, false),
            ("", "TERM=xterm NO_COLOR=", true, true),
            ("", "TERM=xterm CLICOLOR=0", true, false),
            ("", "TERM=xterm CLICOLOR=1", true, true),
            ("", "CLICOLOR=1", false, false),
            ("", "CLICOLOR_FORCE=1", false, true),
            ("", "CLICOLOR_FORCE=0", false, false),
            ("", "TERM=dumb CLICOLOR_FORCE=1", true, true),
            ("", "TERM=xterm CLICOLOR=0 CLICOLOR_FORCE=1", true, true),
            ("", "NO_COLOR=1 CLICOLOR_FORCE=1", false, false),
            ("", "NO_COLOR=1 FORCE_COLOR=1", false, false),
            ("", "FORCE_COLOR=1", false, true),
            ("", "FORCE_COLOR=3", false, true),
            ("", "TERM=xterm FORCE_COLOR=0", true, false),
            ("", "TERM=xterm FORCE_COLOR=false", true, false),
            ("", "TERM=xterm FORCE_COLOR=", true, true),
            ("--color always", "NO_COLOR=1 TERM=dumb", false, true),
            ("--color never", "TERM=xterm CLICOLOR_FORCE=1", true, false),
        ] {
            let seen = seen(words, variables, is_terminal);
            let case = format!("{words:?} {variables:?} {is_terminal}");
            assert_eq!(seen.is_colored, is_colored, "{case}");
        }
    }

    #[test]
    fn progress_follows_the_terminal_and_the_locale() {
        let blocks = ProgressDisplay::Bar(Cells::Blocks);
        let ascii = ProgressDisplay::Bar(Cells::Ascii);
        for (words, variables, is_terminal, shown) in [
            ("", "TERM=xterm LANG=en_US.UTF-8", true, blocks),
            ("", "TERM=xterm LANG=en_US.utf8", true, blocks),
            ("", "TERM=linux LC_CTYPE=C.UTF-8 LANG=C", true, blocks),
            ("", "TERM=xterm LC_ALL=C LANG=en_US.UTF-8", true, ascii),
            ("", "TERM=xterm LC_ALL= LANG=en_US.UTF-8", true, blocks),
            ("", "TERM=xterm LC_ALL=POSIX", true, ascii),
            ("", "TERM=xterm LANG=de_DE.ISO-8859-1", true, ascii),
            ("", "TERM=xterm LANG=ja_JP.UTF-8", true, ascii),
            ("", "TERM=xterm", true, ascii),
            ("", "TERM=dumb LANG=C.UTF-8", true, ProgressDisplay::Lines),
            ("", "LANG=C.UTF-8", true, ProgressDisplay::Lines),
            ("", "TERM=xterm LANG=C.UTF-8", false, ProgressDisplay::Lines),
            (
                "--progress never",
                "TERM=xterm",
                true,
                ProgressDisplay::OnRequest,
            ),
            ("--quiet", "TERM=xterm", true, ProgressDisplay::OnRequest),
            ("--quiet", "", false, ProgressDisplay::OnRequest),
        ] {
            let seen = seen(words, variables, is_terminal);
            let case = format!("{words:?} {variables:?} {is_terminal}");
            assert_eq!(seen.progress, shown, "{case}");
        }
    }

    #[test]
    fn columns_are_a_number_above_zero_or_none() {
        for (variables, columns) in [
            ("COLUMNS=45", Some(45)),
            ("COLUMNS=0", None),
            ("COLUMNS=-3", None),
            ("COLUMNS=wide", None),
            ("", None),
        ] {
            assert_eq!(seen("", variables, true).columns, columns, "{variables}");
        }
    }
}
