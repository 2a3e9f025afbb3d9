//! What places hold: their archives by one listing each, with the marks that stand beside them.

use std::{cmp::Reverse, collections::BTreeSet};

use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tracing::warn;

use super::{
    Context,
    destination::{Destination, archive_name},
};
use crate::{
    config::Settings,
    error::{Failure, Kind},
    model::{
        archive_name::{ArchiveName, number},
        limits::{MAX_MARK_BYTES, MIN_ARCHIVE_BYTES},
        retention::{self, Mark, Standing},
    },
    store::{Store, Stored},
};

/// What the name of a mark has behind that of its archive.
const MARK_SUFFIX: &str = ".keep";

/// Whose archives are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hosts {
    /// Those whose names begin with `[backup] prefix`.
    Ours,
    /// Everybody's.
    All,
}

/// What a place holds.
pub struct Catalog {
    /// Its archives, the newest first; those of the same time by name.
    pub archives: Vec<Listed>,
    /// Names of archives that have a mark and are not there.
    pub strays: Vec<String>,
    /// How many archives of other hosts there are beside these.
    pub others: usize,
}

/// One archive. There may be many: what its name says is kept as a number where that does.
pub struct Listed {
    /// What the listing says.
    pub stored: Stored,
    /// Whether somebody said that it stays.
    pub mark: Option<Mark>,
    time: DateTime<Utc>,
    prefix_bytes: usize,
}

impl Listed {
    /// An archive without a mark, whose name was read as `name`.
    fn new(name: &ArchiveName, stored: Stored) -> Listed {
        Listed {
            stored,
            mark: None,
            time: name.time(),
            prefix_bytes: name.prefix().len(),
        }
    }

    /// What its name starts with: the host or the service that it is of.
    pub fn prefix(&self) -> &str {
        &self.stored.name[..self.prefix_bytes]
    }

    /// When its snapshot was taken, as its name says.
    pub fn time(&self) -> DateTime<Utc> {
        self.time
    }

    /// The archive as retention sees it, where nobody has looked into it.
    pub fn archive(&self) -> retention::Archive {
        retention::Archive {
            name: self.stored.name.clone(),
            time: self.time,
            standing: if self.stored.size_bytes < MIN_ARCHIVE_BYTES {
                Standing::Incomplete
            } else {
                Standing::Unproven
            },
            mark: self.mark,
        }
    }
}

impl Catalog {
    /// Lists a place, and reads the marks of the archives that are meant.
    pub fn read(destination: &Destination, prefix: &str, hosts: Hosts) -> Result<Catalog> {
        let is_meant = |name: &ArchiveName| hosts == Hosts::All || name.prefix() == prefix;
        let (mut archives, mut marks, mut others) = (Vec::new(), BTreeSet::new(), 0);
        destination.store.list(&mut |stored| {
            if let Some(name) = archive_name(&stored.name) {
                if is_meant(&name) {
                    archives.push(Listed::new(&name, stored));
                } else {
                    others += 1;
                }
            } else if let Some(archive) = stored.name.strip_suffix(MARK_SUFFIX)
                && archive_name(archive).is_some_and(|name| is_meant(&name))
            {
                marks.insert(archive.to_owned());
            }
            Ok(())
        })?;
        for listed in &mut archives {
            if marks.remove(&listed.stored.name) {
                listed.mark = read_mark(&*destination.store, &listed.stored.name)?;
            }
        }
        archives.sort_by(|one, other| {
            let key = |listed: &Listed| Reverse((listed.time, number(&listed.stored.name)));
            key(one)
                .cmp(&key(other))
                .then_with(|| one.stored.name.cmp(&other.stored.name))
        });
        Ok(Catalog {
            archives,
            strays: marks.into_iter().collect(),
            others,
        })
    }
}

/// The name of the object that marks an archive.
pub fn mark_name(archive: &str) -> String {
    format!("{archive}{MARK_SUFFIX}")
}

/// The mark of an archive. One that cannot be understood holds for good: somebody wanted the archive to stay.
pub fn read_mark(store: &dyn Store, archive: &str) -> Result<Option<Mark>> {
    let name = mark_name(archive);
    let source = match store.open(&name) {
        Err(error) if Failure::of(&error).kind == Kind::NotFound => return Ok(None),
        source => source?,
    };
    let reading = || format!("cannot read {name} in {}", store.shown());
    let length = source.length().with_context(reading)?;
    let mut text = vec![0; length.min(MAX_MARK_BYTES) as usize];
    source.read_exact_at(&mut text, 0).with_context(reading)?;
    let text = String::from_utf8_lossy(&text);
    Ok(Some(text.trim().parse().unwrap_or_else(|_| {
        warn!(mark = %name, place = %store.shown(), "A mark is neither `forever` nor a date; its archive stays");
        Mark::Forever
    })))
}

/// A place that something could not be done at.
#[derive(Debug, Serialize)]
pub struct Failed {
    /// The place, as it was named.
    pub destination: String,
    /// What failed.
    pub message: String,
    /// The same, with its kind.
    #[serde(skip)]
    pub failure: Failure,
}

/// Does something at each of the places that `words` name, or else `[backup] to`. Where it fails at one, the others still
/// have their turn; where it fails at the only one, that failure is the whole one's. An interruption ends everything.
pub fn at_each<T>(
    context: &Context,
    settings: &Settings,
    words: &[String],
    mut act: impl FnMut(Destination) -> Result<T>,
) -> Result<(Vec<T>, Vec<Failed>)> {
    let configured: Vec<String>;
    let words = if words.is_empty() {
        configured = settings
            .schema
            .to
            .iter()
            .map(|to| format!("@{to}"))
            .collect();
        &configured
    } else {
        words
    };
    if words.is_empty() {
        let message = "no destination is named, and none configured";
        return Err(Failure::new(Kind::Usage, message)
            .hint("name a folder, a URL or an @destination, or set `to` under [backup]")
            .into());
    }
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for word in words {
        context.stop.check()?;
        match Destination::open(context, settings, word).and_then(&mut act) {
            Ok(value) => done.push(value),
            Err(error) => {
                let failure = Failure::of(&error);
                if words.len() == 1 || matches!(failure.kind, Kind::Interrupted(_)) {
                    return Err(error);
                }
                failed.push(Failed {
                    destination: word.clone(),
                    message: failure.message.clone(),
                    failure,
                });
            }
        }
    }
    Ok((done, failed))
}

/// What it comes to that some of `places` could not be worked at: the kind of the first where none could.
pub fn failure_of(failed: &[Failed], places: usize) -> Option<Failure> {
    let first = &failed.first()?.failure;
    let kind = if failed.len() < places {
        Kind::Partial
    } else {
        first.kind
    };
    let message = format!(
        "{} of {places} destinations failed: {}: {}",
        failed.len(),
        failed[0].destination,
        first.message
    );
    let named = |failed: &Failed| format!("{}: {}", failed.destination, failed.message);
    Some(Failure {
        kind,
        message,
        hint: first.hint.clone(),
        faults: failed.iter().map(named).collect(),
    })
}
