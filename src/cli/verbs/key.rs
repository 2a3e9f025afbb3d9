//! `hookshot key`.

use std::{ffi::OsString, path::PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand};

use super::flags::hosts;
use crate::{
    cli::{app::App, render},
    error::{Failure, Kind},
    ops::key::{PrivateKeys, generate, recovery_kit, show, test},
};

/// Make keys that open sealed archives, show their public keys, and test which archive they open
///
/// Archives are sealed for public keys, and opened with private ones.
#[derive(Debug, Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "Examples:\n  \
    hookshot key generate -o /root/hookshot.key\n  \
    hookshot key show /root/hookshot.key\n  \
    hookshot key test @offsite --identity /root/hookshot.key\n  \
    hookshot key test                   # every archive of every destination\n  \
    hookshot key export --paper | lp    # the recovery kit"
)]
pub struct KeyArguments {
    #[command(subcommand)]
    verb: KeyVerb,
}

/// The verbs below `key`.
#[derive(Debug, Subcommand)]
enum KeyVerb {
    /// Make a key pair; the private key goes to a new file, or to standard output
    Generate(GenerateFlags),
    /// Print the public keys of a file
    Show(ShowFlags),
    /// Say which key opens which archive, by the first bytes of each; exit code 12 if none opens one of them
    Test(TestFlags),
    /// Print the recovery kit, a page to keep off the machine: destinations, public keys, commands, missing secrets
    Export(ExportFlags),
}

#[derive(Debug, Args)]
struct GenerateFlags {
    /// Write the private key to this new file, 0600, and print the public key
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ShowFlags {
    /// An identity file, a private key of OpenSSH, or a file of public keys
    file: PathBuf,
}

#[derive(Debug, Args)]
struct TestFlags {
    /// @NAME or folders for all archives there, files, URLs, or `@NAME/ARCHIVE` [default: every destination]
    #[arg(value_name = "ARCHIVE")]
    archives: Vec<OsString>,
    /// Test the archives of other hosts and services, too
    #[arg(long)]
    all_hosts: bool,
}

#[derive(Debug, Args)]
struct ExportFlags {
    /// As text that prints well, 80 columns wide
    #[arg(long, required = true)]
    paper: bool,
    /// Print the private keys of --identity or `identity_file`, too: lock the page up
    #[arg(long)]
    with_secret: bool,
}

impl KeyArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        match self.verb {
            KeyVerb::Generate(flags) => {
                if flags.output.is_none() && app.printer.is_json() {
                    return Err(no_json("name a file for it: --output FILE").into());
                }
                let report = generate(&app.context, flags.output.as_deref())?;
                render::key::generated(&app.printer, &report)
            }
            KeyVerb::Show(flags) => {
                let report = show(&flags.file, app.ask.as_ref())?;
                render::key::shown(&app.printer, &report)
            }
            KeyVerb::Test(flags) => {
                let (words, hosts) = (&flags.archives, hosts(flags.all_hosts));
                let report = test(&app.context, &|| app.settings(), words, hosts)?;
                render::key::tested(&app.printer, &report)
            }
            KeyVerb::Export(flags) => {
                let private = match flags.with_secret {
                    true if app.printer.is_json() => {
                        return Err(no_json("leave out --json, or --with-secret").into());
                    }
                    true => PrivateKeys::Included,
                    false => PrivateKeys::LeftOut,
                };
                let kit = recovery_kit(&app.context, &app.choices, app.settings()?, private)?;
                render::paper::show(&app.printer, &kit)
            }
        }
    }
}

/// Returns the failure of a report in JSON that would hold a private key.
fn no_json(hint: &str) -> Failure {
    let message = "a private key is not part of a report in JSON";
    Failure::new(Kind::Usage, message).hint(hint)
}
