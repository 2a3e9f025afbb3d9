//! `hookshot convert`.

use std::ffi::OsString;

use anyhow::Result;
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::{Args, ValueEnum};

use super::export::parse_tag;
use crate::{
    cli::{app::App, render},
    error::{Failure, Kind},
    model::{entry_name::EntryName, relative::is_tree_name},
    ops::convert::{self, ConvertRequest, Wanted},
};

/// Make an archive out of what another program packed or backed up
///
/// A tar, or a snapshot of restic, is read twice and compared. Each folder at its top becomes a directory, each file there
/// an entry. The archive is read back while it is sent, and its labels say where it comes from.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    hookshot convert --from tar old-backup.tar.gz @local\n  \
    hookshot convert --from tar app.tar /var/backups/ --directory app --time 2026-11-21\n  \
    xz -dc old.tar.xz | hookshot convert --from tar - @offsite\n  \
    hookshot convert --from restic /srv/restic @local --snapshot 590c8fc8 --path /srv/app")]
pub struct ConvertArguments {
    /// The format of what is converted: tar, packed with gzip, zstd or not at all, or a repository of restic
    #[arg(long, value_name = "FORMAT")]
    from: Format,
    /// A tar (`-` for standard input), or a repository: @NAME, a URL or a path
    input: OsString,
    /// The destination: @NAME, a URL or a folder
    to: OsString,
    /// The time of the state: a date, or a time of RFC 3339 [default: that of the snapshot, or of the newest change in the
    /// tar]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    time: Option<DateTime<Utc>>,
    /// Put everything into one directory of this name
    #[arg(long, value_name = "NAME", value_parser = parse_directory)]
    directory: Option<EntryName>,
    /// The snapshot of restic, by its ID or the beginning of it [default: the newest, if all are of one machine and its
    /// paths]
    #[arg(long, value_name = "ID")]
    snapshot: Option<String>,
    /// The folder or file in the snapshot [default: all of it]
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// A label of the archive; may be given several times
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = parse_tag)]
    tags: Vec<(String, String)>,
}

/// The format of what is converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Tar,
    Restic,
    #[value(hide = true)]
    Ghostsnap,
}

impl ConvertArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        let from = match self.from {
            Format::Ghostsnap => {
                let message = "repositories of ghostsnap are not read: restore with it to a folder, and convert a tar of that";
                return Err(Failure::new(Kind::Usage, message).into());
            }
            Format::Tar if self.snapshot.is_some() || self.path.is_some() => {
                let message =
                    "--snapshot and --path are for --from restic: a tar is converted whole";
                return Err(Failure::new(Kind::Usage, message).into());
            }
            Format::Tar => convert::Format::Tar,
            Format::Restic => convert::Format::Restic {
                snapshot: self.snapshot,
                path: self.path,
            },
        };
        let settings = app.settings()?;
        let request = ConvertRequest {
            from,
            input: self.input,
            to: self.to,
            wanted: Wanted {
                time: self.time,
                directory: self.directory,
                tags: self.tags.into_iter().collect(),
            },
        };
        let report = convert::convert(&app.context, settings, request)?;
        render::convert::show(&app.printer, &report)
    }
}

fn parse_time(text: &str) -> Result<DateTime<Utc>, String> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    date.map(|date| date.and_time(NaiveTime::MIN).and_utc())
        .or_else(|| Some(DateTime::parse_from_rfc3339(text).ok()?.to_utc()))
        .filter(|time| time.timestamp() >= 0)
        .ok_or_else(|| "name a date such as `2026-11-21`, or a time of RFC 3339".to_owned())
}

fn parse_directory(text: &str) -> Result<EntryName, String> {
    let name = EntryName::new(text).map_err(|fault| format!("the name {fault}"))?;
    match is_tree_name(&name) {
        true => Ok(name),
        false => Err(
            "a directory has a name without slashes that is not one of hookshot's own".to_owned(),
        ),
    }
}
