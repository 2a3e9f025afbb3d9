//! `hookshot repo`.

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
};

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::{
    catalog::vault::ReadContent,
    cli::{app::App, render},
    model::chunks::Chunks,
    ops::repo,
};

/// Make a repository in restic's format, check it, and care for it
///
/// Each state in it is stored as what is new. A destination is a repository if its URL begins with `restic:`.
#[derive(Debug, Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "Examples:\n  \
    hookshot repo init @vault\n  \
    hookshot repo init restic:s3://bucket/vault --chunk 16KiB\n  \
    hookshot repo check @vault --read-data=1/7\n  \
    hookshot repo key add @vault --password-file /root/second-password"
)]
pub struct RepoArguments {
    #[command(subcommand)]
    verb: RepoVerb,
}

/// The verbs below `repo`.
#[derive(Debug, Subcommand)]
enum RepoVerb {
    /// Make it, and its password if the configuration names a file that does not exist
    Init(InitFlags),
    /// Check that it has all that its states need; exit code 13 if not
    Check(CheckFlags),
    /// Show its properties, and how much it holds
    Stats(Repository),
    /// List, add and remove passwords that open it
    Key(KeyArguments),
    /// Remove locks that dead processes of this machine left behind
    Unlock(UnlockFlags),
    /// Bring it to the newest version of the format, and to the configured `level`
    Upgrade(Repository),
}

#[derive(Debug, Args)]
struct Repository {
    /// @NAME, or `restic:` and a URL or a path [default: the only one of the configuration, else RESTIC_REPOSITORY]
    repository: Option<OsString>,
}

#[derive(Debug, Args)]
struct InitFlags {
    #[command(flatten)]
    repository: Repository,
    /// The size of the chunks that are stored once, or `content`: some MiB each, cut by what is in them [default: `chunk` of the destination, else one that fits the state]
    #[arg(long, value_name = "SIZE")]
    chunk: Option<Chunks>,
}

#[derive(Debug, Args)]
struct CheckFlags {
    #[command(flatten)]
    repository: Repository,
    /// Read content, too: all of it, about so much of it at random (5%), or one of several parts (1/7)
    #[arg(long, value_name = "PART", num_args = 0..=1, require_equals = true, default_missing_value = "all")]
    read_data: Option<ReadContent>,
}

#[derive(Debug, Args)]
struct UnlockFlags {
    #[command(flatten)]
    repository: Repository,
    /// Remove the locks of every process: none may be at work
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Args)]
#[command(disable_help_subcommand = true)]
struct KeyArguments {
    #[command(subcommand)]
    verb: KeyVerb,
}

/// The verbs below `repo key`.
#[derive(Debug, Subcommand)]
enum KeyVerb {
    /// Let one more password open it
    Add(KeyAddFlags),
    /// List its keys: one for each password
    List(Repository),
    /// Remove a key, whose password then opens nothing there; that in use stays
    Remove(KeyRemoveFlags),
}

#[derive(Debug, Args)]
struct KeyAddFlags {
    #[command(flatten)]
    repository: Repository,
    /// The file with the new password, which only its owner can read
    #[arg(long, value_name = "FILE")]
    password_file: PathBuf,
}

#[derive(Debug, Args)]
struct KeyRemoveFlags {
    /// The ID of the key, or its beginning
    id: String,
    #[command(flatten)]
    repository: Repository,
}

impl Repository {
    fn word(&self) -> Option<&OsStr> {
        self.repository.as_deref()
    }
}

impl RepoArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        let (context, settings) = (&app.context, app.settings()?);
        match self.verb {
            RepoVerb::Init(flags) => {
                let report = repo::init(context, settings, flags.repository.word(), flags.chunk)?;
                render::repo::made(&app.printer, &report)
            }
            RepoVerb::Check(flags) => {
                let read = flags.read_data.unwrap_or(ReadContent::Nothing);
                let report = repo::check(context, settings, flags.repository.word(), read)?;
                render::repo::checked(&app.printer, &report)
            }
            RepoVerb::Stats(repository) => {
                let report = repo::stats(context, settings, repository.word())?;
                render::repo::measured(&app.printer, &report)
            }
            RepoVerb::Key(key) => key.run(app),
            RepoVerb::Unlock(flags) => {
                let report = repo::unlock(context, settings, flags.repository.word(), flags.all)?;
                render::repo::unlocked(&app.printer, &report)
            }
            RepoVerb::Upgrade(repository) => {
                let report = repo::upgrade(context, settings, repository.word())?;
                render::repo::upgraded(&app.printer, &report)
            }
        }
    }
}

impl KeyArguments {
    fn run(self, app: &App) -> Result<u8> {
        let (context, settings) = (&app.context, app.settings()?);
        match self.verb {
            KeyVerb::Add(flags) => {
                let (word, file) = (flags.repository.word(), &flags.password_file);
                let report = repo::add_key(context, settings, word, file)?;
                render::repo::key_added(&app.printer, &report)
            }
            KeyVerb::List(repository) => {
                let report = repo::keys(context, settings, repository.word())?;
                render::repo::keys(&app.printer, &report)
            }
            KeyVerb::Remove(flags) => {
                let word = flags.repository.word();
                let report = repo::remove_key(context, settings, word, &flags.id)?;
                render::repo::key_removed(&app.printer, &report)
            }
        }
    }
}
