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
    ops::convert::{ConvertRequest, convert},
};

/// Make an archive out of what another program packed
///
/// A tar is read twice and compared. Each folder at its top becomes a directory, each file there an entry. The archive is
/// read back while it is sent, and has the SHA-256 of the tar among its labels.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    hookshot convert --from tar old-backup.tar.gz @local\n  \
    hookshot convert --from tar app.tar /var/backups/ --directory app --time 2026-11-21\n  \
    zstd -dc old.tar.zst | hookshot convert --from tar - @offsite")]
pub struct ConvertArguments {
    /// The format of what is converted: tar, packed with gzip or not
    #[arg(long, value_name = "FORMAT")]
    from: Format,
    /// A file, or `-` for standard input
    input: OsString,
    /// The destination: @NAME, a URL or a folder
    to: OsString,
    /// The time of the state: a date, or a time of RFC 3339 [default: that of the newest change in it]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    time: Option<DateTime<Utc>>,
    /// Put everything into one directory of this name
    #[arg(long, value_name = "NAME", value_parser = parse_directory)]
    directory: Option<EntryName>,
    /// A label of the archive; may be given several times
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = parse_tag)]
    tags: Vec<(String, String)>,
}

/// The format of what is converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Tar,
    #[value(hide = true)]
    Ghostsnap,
}

impl ConvertArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        if self.from == Format::Ghostsnap {
            let message = "repositories of ghostsnap are not read: restore with it to a folder, and convert a tar of that";
            return Err(Failure::new(Kind::Usage, message).into());
        }
        let settings = app.settings()?;
        let request = ConvertRequest {
            input: self.input,
            to: self.to,
            time: self.time,
            directory: self.directory,
            tags: self.tags.into_iter().collect(),
        };
        let report = convert(&app.context, settings, request)?;
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
