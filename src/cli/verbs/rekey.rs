//! `hookshot rekey`.

use std::ffi::OsString;

use anyhow::Result;
use clap::Args;

use super::consent;
use crate::{
    cli::{app::App, render},
    crypt::PublicKey,
    error::{Failure, Kind},
    jobs::lock::lock,
    model::quantity::TimeLimit,
    ops::rekey::{RekeyRequest, Rekeying},
};

/// Seal the archives of a destination anew, for other recipients
///
/// The new recipients are those of the configuration, with --add and without --remove. Each sealed archive of this prefix
/// is opened with a key of --identity, sealed anew under the next free number of its name, and proven there. Then the old
/// one is removed. Nothing is decrypted to a disk.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    hookshot rekey @offsite --identity old.key --dry-run\n  \
    hookshot rekey @offsite --identity old.key              # for the recipients of the configuration\n  \
    hookshot rekey @offsite --identity recovery.key --add age1... --remove age1...")]
pub struct RekeyArguments {
    /// The destination: @NAME, a URL or a folder
    destination: OsString,
    /// Seal for this public key too; may be given several times
    #[arg(long, value_name = "KEY")]
    add: Vec<String>,
    /// Do not seal for this public key; may be given several times
    #[arg(long, value_name = "KEY")]
    remove: Vec<String>,
    /// Look at the beginning and the end of every archive, say what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(short, long, conflicts_with = "dry_run")]
    yes: bool,
    /// Wait this long for a run of this configuration that is at work: 10m, 1h
    #[arg(long, value_name = "TIME", default_value = "0s")]
    lock_wait: TimeLimit,
}

impl RekeyArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        let (context, settings) = (&app.context, app.settings()?);
        let request = RekeyRequest {
            destination: self.destination,
            add: PublicKey::parse_all("--add", &self.add)?,
            remove: PublicKey::parse_all("--remove", &self.remove)?,
        };
        // A rehearsal only reads. Two runs at once would seal each archive twice.
        let _lock = match self.dry_run || !settings.config_exists {
            true => None,
            false => Some(lock(context, settings, self.lock_wait.duration())?),
        };
        let rekeying = Rekeying::plan(context, settings, &request)?;
        let report = if self.dry_run {
            rekeying.rehearse()
        } else {
            if rekeying.is_needed() && !self.yes {
                agree(app, &rekeying)?;
            }
            rekeying.apply(context)?
        };
        render::rekey::show(&app.printer, &report)
    }
}

/// Asks the user on the terminal. Fails if the answer is not yes.
fn agree(app: &App, rekeying: &Rekeying) -> Result<()> {
    let recipients = render::rekey::recipients(rekeying.described().2);
    let what = render::rekey::what(rekeying);
    let message = format!(
        "nothing is sealed anew without --yes: {what} {}",
        recipients.join(", ")
    );
    let failure = Failure::new(Kind::Usage, message)
        .hint("without a terminal the user cannot be asked; --yes seals them anew and removes the old ones");
    let question = render::rekey::question(rekeying);
    consent::ask(app, &question, failure, "nothing is sealed anew")
}
