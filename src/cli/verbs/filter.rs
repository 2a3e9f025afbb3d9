//! The options that select archives, of the verbs that take several.

use std::num::NonZeroUsize;

use clap::Args;

use super::{export::parse_tag, flags::hosts};
use crate::{
    catalog::{
        each::Hosts,
        filter::{ArchiveFilter, Moment},
    },
    context::Context,
};

/// The options that select archives.
#[derive(Debug, Args)]
pub struct FilterArguments {
    /// Only archives of this day (UTC) or time, and later ones; or an age: 7d, 12h, 30m (minutes)
    #[arg(long, value_name = "WHEN")]
    since: Option<Moment>,
    /// Only archives of this day (UTC) or time, and earlier ones; or an age: 7d, 12h, 30m (minutes)
    #[arg(long, value_name = "WHEN")]
    until: Option<Moment>,
    /// Only archives with this label; may be given several times
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = parse_tag)]
    tags: Vec<(String, String)>,
    /// Only archives of this application, whatever their prefix
    #[arg(long, value_name = "NAME")]
    app: Option<String>,
    /// Only archives of this machine, whatever their prefix
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// Only the newest ones of each destination, this many
    #[arg(long, value_name = "COUNT", value_parser = parse_count)]
    last: Option<NonZeroUsize>,
}

impl FilterArguments {
    /// Returns the filter, with ages counted from the present time.
    pub fn filter(&self, context: &Context) -> ArchiveFilter {
        ArchiveFilter {
            since: self.since.map(|moment| moment.begins(context.now)),
            until: self.until.map(|moment| moment.ends(context.now)),
            tags: self.tags.clone(),
            app: self.app.clone(),
            host: self.host.clone(),
            last: self.last,
        }
    }

    /// Returns the hosts whose archives are asked for, with or without `--all-hosts`.
    pub fn hosts(&self, all_hosts: bool) -> Hosts {
        hosts(all_hosts || self.app.is_some() || self.host.is_some())
    }
}

/// Parses a number of archives.
fn parse_count(text: &str) -> Result<NonZeroUsize, &'static str> {
    text.parse()
        .map_err(|_| "the number of archives is 1 or more")
}
