//! The options that all verbs share.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use clap::{ArgAction, Args, ValueEnum};

use crate::{config::Choices, work::Threads};

/// Options of every verb.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArguments {
    /// The service's configuration [env: HOOKSHOT_CONFIG] [default: /etc/hookshot/config.toml]
    #[arg(short, long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// The services file [env: HOOKSHOT_SERVICES] [default: services.toml beside the configuration]
    #[arg(long, value_name = "FILE", global = true)]
    pub services: Option<PathBuf>,
    /// The secrets file [env: HOOKSHOT_SECRETS] [default: [secrets] file, else `secrets` beside the configuration]
    #[arg(long, value_name = "FILE", global = true)]
    pub secrets: Option<PathBuf>,
    /// The folder of state.redb [env: HOOKSHOT_DATA_DIR] [default: [storage] data_dir, else /var/lib/hookshot]
    #[arg(long, value_name = "DIR", global = true)]
    pub data_dir: Option<PathBuf>,
    /// How many threads compress and inflate [default: one for each processor]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..), global = true)]
    pub threads: Option<u16>,
    /// Print the result as JSON on standard output, errors too
    #[arg(long, global = true, overrides_with = "json")]
    pub json: bool,
    /// Show how far long work is
    #[arg(long, value_name = "WHEN", default_value = "auto", global = true)]
    pub progress: ProgressWhen,
    /// Use colour in messages
    #[arg(long, value_name = "WHEN", default_value = "auto", global = true)]
    pub color: ColorWhen,
    /// Say more; twice for everything
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub verbose: u8,
    /// Say only what is wrong
    #[arg(
        short,
        long,
        global = true,
        conflicts_with = "verbose",
        overrides_with = "quiet"
    )]
    pub quiet: bool,
    /// How messages look [default: [logging] format, else text]
    #[arg(long, value_name = "FORMAT", global = true)]
    pub log_format: Option<LogFormat>,
}

/// When to show progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgressWhen {
    /// On a terminal.
    Auto,
    /// Never.
    Never,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How messages look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl GlobalArguments {
    /// How many threads compress and inflate.
    pub fn threads(&self) -> Threads {
        let asked = self.threads.and_then(|count| Threads::new(count.into()));
        asked.unwrap_or_else(Threads::available)
    }

    /// Returns the places of the state that the command line names, or else `environment`. Something empty says nothing, and
    /// blanks and line breaks at the ends of a variable are not part of it.
    pub fn choices(&self, environment: &Choices) -> Choices {
        let said = |flag: &Option<PathBuf>, variable: &Option<PathBuf>| {
            let variable = variable.as_deref().map(trimmed);
            let mut said = [flag.clone(), variable].into_iter().flatten();
            said.find(|path| !path.as_os_str().is_empty())
        };
        Choices {
            config: said(&self.config, &environment.config),
            services: said(&self.services, &environment.services),
            secrets: said(&self.secrets, &environment.secrets),
            data_dir: said(&self.data_dir, &environment.data_dir),
            ..Choices::default()
        }
    }
}

/// A path without blanks and line breaks at its ends.
fn trimmed(path: &Path) -> PathBuf {
    let bytes = path.as_os_str().as_bytes().trim_ascii();
    PathBuf::from(OsStr::from_bytes(bytes))
}
