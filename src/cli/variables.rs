//! Variables of the environment that stand for options of every verb.

use clap::ValueEnum;

use super::global::GlobalArguments;
use crate::error::{Failure, Kind};

/// The variables of the environment, and the faults of those that were read.
struct Variables<'a> {
    all: &'a [(String, String)],
    faults: Vec<String>,
}

impl GlobalArguments {
    /// Takes from `variables` what the command line does not say. An empty variable counts as none.
    ///
    /// Fails with [`Kind::Usage`], and names each variable with a wrong value; such a variable has no effect.
    pub fn complete(&mut self, variables: &[(String, String)]) -> Result<(), Failure> {
        let mut variables = Variables {
            all: variables,
            faults: Vec::new(),
        };
        self.json = self.json || variables.flag("HOOKSHOT_JSON");
        self.no_cache = self.no_cache || variables.flag("HOOKSHOT_NO_CACHE");
        if self.threads.is_none() {
            let number = |text: &str| text.parse().ok().filter(|count| *count > 0);
            let says = "must be a number from 1 to 65535";
            self.threads = variables.read("HOOKSHOT_THREADS", says, number);
        }
        if self.progress.is_none() {
            self.progress = variables.word("HOOKSHOT_PROGRESS");
        }
        if self.color.is_none() {
            self.color = variables.word("HOOKSHOT_COLOR");
        }
        if self.log_format.is_none() {
            self.log_format = variables.word("HOOKSHOT_LOG_FORMAT");
        }
        if !self.quiet && self.verbose == 0 {
            let says = "must be a number: 0, 1 (more) or 2 (everything)";
            let number = |text: &str| text.parse().ok();
            self.quiet = variables.flag("HOOKSHOT_QUIET");
            self.verbose = variables
                .read("HOOKSHOT_VERBOSE", says, number)
                .unwrap_or(0);
            if self.quiet && self.verbose > 0 {
                let fault = "`HOOKSHOT_QUIET` and `HOOKSHOT_VERBOSE` of the environment contradict each other";
                variables.faults.push(fault.to_owned());
            }
        }
        variables.finish()
    }
}

/// Returns true if a variable asks for JSON, for messages about a command line that cannot be read.
pub fn wants_json(variables: &[(String, String)]) -> bool {
    let mut variables = Variables {
        all: variables,
        faults: Vec::new(),
    };
    variables.flag("HOOKSHOT_JSON")
}

impl Variables<'_> {
    /// Returns the value of a variable as `read` understands it. `says` is the fault of any other value.
    fn read<T>(
        &mut self,
        name: &str,
        says: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let mut all = self.all.iter();
        let (_, text) = all.find(|(known, _)| known == name)?;
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        let value = read(text);
        if value.is_none() {
            self.faults
                .push(format!("`{name}` of the environment {says}"));
        }
        value
    }

    /// Returns one of the choices of an option.
    fn word<T: ValueEnum>(&mut self, name: &str) -> Option<T> {
        let choices = T::value_variants().iter();
        let choices = choices.filter_map(T::to_possible_value);
        let choices: Vec<String> = choices.map(|one| one.get_name().to_owned()).collect();
        let says = format!("must be one of {}", choices.join(", "));
        self.read(name, &says, |text| T::from_str(text, true).ok())
    }

    /// Returns true or false.
    fn flag(&mut self, name: &str) -> bool {
        let flag = |text: &str| match text.to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => Some(true),
            "0" | "false" | "no" | "off" => Some(false),
            _ => None,
        };
        let says = "must be true or false (1 or 0, yes or no, on or off)";
        self.read(name, says, flag).unwrap_or(false)
    }

    fn finish(self) -> Result<(), Failure> {
        let Some(first) = self.faults.first() else {
            return Ok(());
        };
        Err(Failure::new(Kind::Usage, first.clone())
            .hint("correct the variable, or unset it; an empty one counts as none")
            .faults(self.faults))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{
        command_line::CommandLine,
        global::{ColorWhen, LogFormat, ProgressWhen},
    };
    use clap::Parser as _;

    fn global(line: &[&str], variables: &[(&str, &str)]) -> (GlobalArguments, Result<(), Failure>) {
        let line = ["hookshot"].iter().chain(line).chain(&["version"]);
        let mut global = CommandLine::try_parse_from(line)
            .expect("a command line")
            .global;
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let variables: Vec<(String, String)> = variables.iter().map(owned).collect();
        let result = global.complete(&variables);
        (global, result)
    }

    #[test]
    fn a_variable_stands_for_an_option_and_the_option_wins() {
        let all = [
            ("HOOKSHOT_JSON", "Yes"),
            ("HOOKSHOT_NO_CACHE", "on"),
            ("HOOKSHOT_THREADS", " 3\n"),
            ("HOOKSHOT_PROGRESS", "never"),
            ("HOOKSHOT_COLOR", "ALWAYS"),
            ("HOOKSHOT_VERBOSE", "2"),
            ("HOOKSHOT_QUIET", ""),
            ("HOOKSHOT_LOG_FORMAT", "json"),
        ];
        let (global, result) = global(&[], &all);
        result.expect("good");
        assert!(global.json && global.no_cache && !global.quiet);
        assert_eq!((global.threads, global.verbose), (Some(3), 2));
        assert_eq!(global.progress, Some(ProgressWhen::Never));
        assert_eq!(global.color, Some(ColorWhen::Always));
        assert_eq!(global.log_format, Some(LogFormat::Json));
        let flags = [
            "--threads=5",
            "--progress=auto",
            "--color=never",
            "-q",
            "--log-format=text",
        ];
        let (global, result) = super::tests::global(&flags, &all);
        result.expect("good");
        assert_eq!((global.threads, global.verbose), (Some(5), 0));
        assert!(global.quiet);
        assert_eq!(global.progress, Some(ProgressWhen::Auto));
        assert_eq!(global.color, Some(ColorWhen::Never));
        assert_eq!(global.log_format, Some(LogFormat::Text));
    }

    #[test]
    fn every_wrong_value_is_named_by_its_variable_and_not_repeated() {
        let all = [
            ("HOOKSHOT_JSON", "hunter2"),
            ("HOOKSHOT_NO_CACHE", "hunter2"),
            ("HOOKSHOT_THREADS", "0"),
            ("HOOKSHOT_PROGRESS", "hunter2"),
            ("HOOKSHOT_COLOR", "hunter2"),
            ("HOOKSHOT_VERBOSE", "-1"),
            ("HOOKSHOT_QUIET", "2"),
            ("HOOKSHOT_LOG_FORMAT", "hunter2"),
        ];
        let failure = global(&[], &all).1.expect_err("wrong");
        assert_eq!(failure.kind, Kind::Usage);
        assert_eq!(failure.faults.len(), all.len());
        let said = failure.faults.join("\n");
        assert!(all.iter().all(|(name, _)| said.contains(name)), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
        let both = [("HOOKSHOT_QUIET", "1"), ("HOOKSHOT_VERBOSE", "1")];
        assert!(global(&[], &both).1.is_err());
        assert!(global(&["-v"], &both).1.is_ok());
    }
}
