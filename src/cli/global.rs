//! The options that all verbs share.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use clap::{ArgAction, Args, ValueEnum};

use crate::{config::Choices, context::Copies, work::Threads};

/// The options of every verb.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArguments {
    /// Read the service's configuration from this file [env: HOOKSHOT_CONFIG] [default: /etc/hookshot/config.toml]
    #[arg(short, long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Use this services file [env: HOOKSHOT_SERVICES] [default: services.toml beside the configuration]
    #[arg(long, value_name = "FILE", global = true)]
    pub services: Option<PathBuf>,
    /// Use this secrets file [env: HOOKSHOT_SECRETS] [default: [secrets] file, else `secrets` beside the configuration]
    #[arg(long, value_name = "FILE", global = true)]
    pub secrets: Option<PathBuf>,
    /// Use the state.redb in this folder [env: HOOKSHOT_DATA_DIR] [default: [storage] data_dir, else /var/lib/hookshot]
    #[arg(long, value_name = "DIR", global = true)]
    pub data_dir: Option<PathBuf>,
    /// Open sealed archives with the private keys in this file; may be given several times [env: HOOKSHOT_IDENTITY]
    /// [default: `identity_file` under [backup.encryption]]
    #[arg(long = "identity", value_name = "FILE", global = true)]
    pub identities: Vec<PathBuf>,
    /// Use this many threads to compress and inflate [env: HOOKSHOT_THREADS] [default: one for each processor]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..), global = true)]
    pub threads: Option<u16>,
    /// Keep no copies of the indexes of repositories on this machine, and read none [env: HOOKSHOT_NO_CACHE]
    #[arg(long, global = true, overrides_with = "no_cache")]
    pub no_cache: bool,
    /// Print the result as JSON on standard output, errors too [env: HOOKSHOT_JSON]
    #[arg(long, global = true, overrides_with = "json")]
    pub json: bool,
    /// Show the progress of long work [env: HOOKSHOT_PROGRESS] [default: auto]
    #[arg(long, value_name = "WHEN", global = true)]
    pub progress: Option<ProgressWhen>,
    /// Use colour in messages [env: HOOKSHOT_COLOR] [default: auto]
    #[arg(long, value_name = "WHEN", global = true)]
    pub color: Option<ColorWhen>,
    /// Log more; given twice, log everything [env: HOOKSHOT_VERBOSE]
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub verbose: u8,
    /// Log warnings and errors only [env: HOOKSHOT_QUIET]
    #[arg(
        short,
        long,
        global = true,
        conflicts_with = "verbose",
        overrides_with = "quiet"
    )]
    pub quiet: bool,
    /// Write messages in this format [env: HOOKSHOT_LOG_FORMAT] [default: [logging] format, else text]
    #[arg(long, value_name = "FORMAT", global = true)]
    pub log_format: Option<LogFormat>,
}

/// The choices of `--progress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgressWhen {
    /// On a terminal.
    Auto,
    /// Never.
    Never,
}

/// The choices of `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The formats of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl GlobalArguments {
    /// Returns the threads that compress and inflate.
    pub fn threads(&self) -> Threads {
        let asked = self.threads.and_then(|count| Threads::new(count.into()));
        asked.unwrap_or_else(Threads::available)
    }

    /// Returns the use of copies of the indexes of repositories.
    pub fn copies(&self) -> Copies {
        match self.no_cache {
            true => Copies::Unused,
            false => Copies::Kept,
        }
    }

    /// Returns the options that the processes of the agent's jobs get, too; variables they have anyway.
    pub fn for_jobs(&self) -> Vec<OsString> {
        let mut options: Vec<OsString> = Vec::new();
        options.extend((0..self.verbose).map(|_| "--verbose".into()));
        if self.quiet {
            options.push("--quiet".into());
        }
        for identity in &self.identities {
            options.extend(["--identity".into(), identity.into()]);
        }
        if self.no_cache {
            options.push("--no-cache".into());
        }
        if let Some(threads) = self.threads {
            options.extend(["--threads".into(), threads.to_string().into()]);
        }
        if let Some(format) = self.log_format {
            let format = match format {
                LogFormat::Text => "text",
                LogFormat::Json => "json",
            };
            options.extend(["--log-format".into(), format.into()]);
        }
        options
    }

    /// Returns the paths of the state that the command line names, else those of `environment`. An empty path counts as
    /// none. Blanks and line breaks at the ends of a variable are not part of it.
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
            to: environment.to.clone(),
            identities: match self.identities.is_empty() {
                true => {
                    let paths = environment.identities.iter().map(|path| trimmed(path));
                    paths.filter(|path| !path.as_os_str().is_empty()).collect()
                }
                false => self.identities.clone(),
            },
            ..Choices::default()
        }
    }
}

/// Returns a path without blanks and line breaks at its ends.
fn trimmed(path: &Path) -> PathBuf {
    let bytes = path.as_os_str().as_bytes().trim_ascii();
    PathBuf::from(OsStr::from_bytes(bytes))
}
