//! `hookshot export`.

use std::{collections::BTreeMap, ffi::OsString, io::IsTerminal as _, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum, builder::NonEmptyStringValueParser};

use crate::{
    archive::writer::Level,
    catalog::{destination::ReadBack, output::ArchiveOutput, target::Target},
    cli::{app::App, render},
    crypt::{PublicKey, Recipients},
    error::{Failure, Kind},
    model::{method::Method, quantity::TimeLimit, retention::Mark},
    ops::export::{Encryption, ExportRequest, Overwrite, Reuse, Secrets},
    verbs,
    work::{events::ExportEvent, stdout::ensure_open},
};

/// Make an archive of this machine's state
///
/// The archive holds the databases, files and folders under [[backup.sources]] and the configuration; without sources,
/// the state of a hookshot service: state.redb, config.toml, services.toml and the secrets file. `hookshot init --source
/// PATH` writes a configuration with sources. The archive is read back and verified before it gets its name, with mode
/// 0600. An archive of the same name is replaced in one step; any other file is not.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    hookshot export /var/backups/hookshot/             # a file with the default name in that folder\n  \
    hookshot export                                    # to every destination that [backup] to names\n  \
    hookshot export @offsite s3://bucket/prefix /mnt/usb/\n  \
    hookshot export before-upgrade.tar.gz --tag why=upgrade\n  \
    hookshot export @offsite --name before-2.0 --keep=2027-12-31\n  \
    hookshot export - | ssh backup 'cat > state.tar.gz'")]
pub struct ExportArguments {
    /// Files, folders (existing, or with a `/` at the end), URLs, `@DESTINATION`, or `-` for standard output
    /// [env: HOOKSHOT_TO] [default: [backup] to]
    #[arg(value_name = "OUTPUT")]
    outputs: Vec<PathBuf>,
    /// Replace a file that is not an archive
    #[arg(long)]
    overwrite: bool,
    /// Leave out the secrets file
    #[arg(long)]
    exclude_secrets: bool,
    /// Add a label to the manifest; may be given several times
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = parse_tag)]
    tags: Vec<(String, String)>,
    /// Compress with this level, 0 (store) to 12 (smallest) [default: [backup] level, else 5, and 6 for entries below
    /// 512 KiB]
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=i64::from(Level::MAX)))]
    level: Option<u8>,
    /// Name the archive: the label `name`. `@DESTINATION/name=NAME` finds it again
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    name: Option<String>,
    /// Describe the archive: the label `description`
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    description: Option<String>,
    /// Mark the archive at every destination, so that no policy removes it: for good, or until this day begins (UTC)
    #[arg(long, value_name = "DATE", num_args = 0..=1, require_equals = true, default_missing_value = "forever")]
    keep: Option<Mark>,
    /// Seal the archive for this public key (age1... or ssh-ed25519 ...); may be given several times
    /// [default: `recipients` under [backup.encryption]]
    #[arg(long = "recipient", value_name = "KEY", conflicts_with = "no_encrypt")]
    recipients: Vec<String>,
    /// Do not seal the archive, whatever the configuration says
    #[arg(long)]
    no_encrypt: bool,
    /// Reuse what this earlier archive has already compressed [default: the newest one in the folder]
    #[arg(
        long,
        alias = "since",
        value_name = "ARCHIVE",
        conflicts_with = "no_reuse"
    )]
    reuse: Option<PathBuf>,
    /// Compress everything anew
    #[arg(long, alias = "no-since")]
    no_reuse: bool,
    /// Read back what destinations hold, even if they tell a checksum of their own
    #[arg(long)]
    read_back: bool,
    /// Copy the database by this method [default: [backup] snapshot, else auto]
    #[arg(long, value_name = "METHOD")]
    snapshot: Option<Snapshot>,
    /// Limit the time to copy a database that a service writes to: 90s, 5m; a number alone is seconds
    #[arg(long, value_name = "TIME", default_value = "60s")]
    snapshot_timeout: TimeLimit,
}

/// The methods of copying the database.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Snapshot {
    /// Under a lock if no process has it open, else along its checksums while the service works, else from a clone.
    Auto,
    /// Under a lock, or not at all.
    Locked,
    /// Along its checksums while the service works.
    Walk,
    /// From a clone that the file system makes in a moment (btrfs, xfs).
    Reflink,
    /// Along its checksums; the service is stopped for a moment to copy the last changes (SIGSTOP).
    Pause,
}

impl Snapshot {
    fn method(self) -> Method {
        match self {
            Snapshot::Auto => Method::Auto,
            Snapshot::Locked => Method::Locked,
            Snapshot::Walk => Method::Walk,
            Snapshot::Reflink => Method::Reflink,
            Snapshot::Pause => Method::Pause,
        }
    }
}

/// Reads `KEY=VALUE`.
pub fn parse_tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a tag is KEY=VALUE".to_owned()),
    }
}

/// Returns the labels of the archive: those of `--tag`, and the ones that have options of their own.
pub fn labels<const N: usize>(
    tags: Vec<(String, String)>,
    named: [(&str, Option<String>); N],
) -> Result<BTreeMap<String, String>, Failure> {
    let mut labels: BTreeMap<String, String> = tags.into_iter().collect();
    for (key, value) in named {
        let Some(value) = value else { continue };
        if labels.insert(key.to_owned(), value).is_some() {
            let message = format!("the label `{key}` is given twice, by --{key} and by --tag");
            return Err(Failure::new(Kind::Usage, message).hint("leave out one of them"));
        }
    }
    Ok(labels)
}

impl ExportArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        let context = &app.context;
        let read_back = if self.read_back {
            ReadBack::Always
        } else {
            ReadBack::AsConfigured
        };
        let words: Vec<OsString> = match self.outputs.is_empty() {
            true => {
                let settings = app.settings()?;
                for destination in Target::disabled(settings) {
                    context.tell(ExportEvent::DestinationDisabled { destination });
                }
                Target::configured(settings)?
            }
            false => self.outputs.into_iter().map(OsString::from).collect(),
        };
        if words.is_empty() {
            return Err(Target::none_named(app.settings()?).into());
        }
        let outputs: Vec<ArchiveOutput> = words
            .iter()
            .map(|word| Target::read(word)?.output(context, || app.settings(), read_back))
            .collect::<Result<_>>()?;
        let stdout = |output: &&ArchiveOutput| matches!(output, ArchiveOutput::Stdout);
        let to_stdout = outputs.iter().filter(stdout).count();
        if to_stdout > 1 {
            return Err(Failure::new(Kind::Usage, "there is one standard output").into());
        }
        if to_stdout == 1 && app.printer.is_json() {
            let failure = Failure::new(
                Kind::Usage,
                "standard output cannot be both the archive and JSON",
            );
            return Err(failure.hint("export to a file, or leave out --json").into());
        }
        if to_stdout == 1 && std::io::stdout().is_terminal() {
            let failure = Failure::new(Kind::Usage, "an archive is nothing for a terminal");
            return Err(failure
                .hint("send it on with a pipe or a redirection: hookshot export - > state.tar.gz")
                .into());
        }
        if to_stdout == 1 {
            ensure_open().context("cannot write to standard output")?;
        }
        let request = ExportRequest {
            outputs,
            overwrite: if self.overwrite {
                Overwrite::AnyFile
            } else {
                Overwrite::Archives
            },
            secrets: if self.exclude_secrets {
                Secrets::Excluded
            } else {
                Secrets::Included
            },
            reuse: match self.reuse {
                _ if self.no_reuse => Reuse::Nothing,
                Some(archive) => Reuse::Archive(archive),
                None => Reuse::Newest,
            },
            tags: labels(
                self.tags,
                [("name", self.name), ("description", self.description)],
            )?,
            keep: self.keep,
            encryption: match self.recipients.is_empty() {
                _ if self.no_encrypt => Encryption::Never,
                true => Encryption::AsConfigured,
                false => {
                    let keys = PublicKey::parse_all("--recipient", &self.recipients)?;
                    Encryption::For(Recipients::keys(keys)?)
                }
            },
            level: self.level.and_then(Level::new),
            snapshot: self.snapshot.map(Snapshot::method),
            snapshot_timeout: self.snapshot_timeout.duration(),
        };
        let report = verbs::export(&app.context, &app.choices, request)?;
        match to_stdout {
            0 => render::export::show(&app.printer, &report),
            _ => Ok(render::export::log_faults(&report)),
        }
    }
}
