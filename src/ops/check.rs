//! `check`: can a destination be reached, written, found in, read, listed, and deleted from? Tried with an object of its own.

use std::{
    io::Write,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use chrono::TimeDelta;
use serde::Serialize;
use tracing::warn;

use super::{Context, context::Stop, destination::Destination};
use crate::{
    archive::ReadAt,
    config::Settings,
    error::{Failure, Kind},
    model::digest::Digest,
    store::{self, Maker, Pages, Store, Upload},
};

/// What the names of probes begin with; no archive has such a name.
const PROBE: &str = "hookshot-check-";
/// After this long a probe counts as left behind.
const PATIENCE: TimeDelta = TimeDelta::hours(24);
/// How long removing the probe may take after an interruption.
const CLEANUP: Duration = Duration::from_secs(15);
/// Why most is not tried where a probe cannot be written.
const UNWRITTEN: &str = "nothing could be written";
/// How many lines a probe has.
const LINES: usize = 64;

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// One for each destination, in the order in which they were named.
    pub destinations: Vec<Checked>,
    /// What all of that comes down to, where something is not good.
    #[serde(skip)]
    pub failure: Option<Failure>,
}

/// What was found of one destination.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// Its name in the configuration, if it was named by that.
    pub name: Option<String>,
    /// Where it is.
    pub location: String,
    /// Whether it can do everything that it is there for.
    pub good: bool,
    /// Each thing that was tried.
    pub capabilities: Vec<Capability>,
    /// What dead uploads and checks had left, and what was removed now.
    pub swept: Vec<String>,
}

/// One thing that a destination must be able to do.
#[derive(Debug, Serialize)]
pub struct Capability {
    /// `open`, `sweep`, `write`, `find`, `read`, `list`, `create_once` or `delete`.
    pub name: &'static str,
    /// Whether it can.
    pub good: bool,
    /// How long that took; none where it was not tried.
    pub seconds: Option<f64>,
    /// What there is to say.
    pub message: Option<String>,
}

/// Checks the destinations that `texts` name, or else all that the configuration sends archives to.
pub fn check(context: &Context, settings: &Settings, texts: &[String]) -> Result<Report> {
    let configured: Vec<String> = settings
        .schema
        .to
        .iter()
        .map(|name| format!("@{name}"))
        .collect();
    let texts = if texts.is_empty() { &configured } else { texts };
    if texts.is_empty() {
        let message = format!(
            "`to` under [backup] in {} names no destination",
            settings.config.display()
        );
        return Err(Failure::new(Kind::Usage, message)
            .hint("name one: hookshot check @NAME, a URL or a folder")
            .into());
    }
    let mut destinations = Vec::new();
    let mut failures = Vec::new();
    for text in texts {
        context.stop.check()?;
        let (checked, failure) = examine(context, settings, text)?;
        failures.extend(failure.map(|failure| (checked.location.clone(), failure)));
        destinations.push(checked);
    }
    Ok(Report {
        failure: summary(&failures, destinations.len()),
        destinations,
    })
}

/// What the failures of some of `all` destinations come down to.
fn summary(failures: &[(String, Failure)], all: usize) -> Option<Failure> {
    let (_, first) = failures.first()?;
    if all == 1 {
        return Some(first.clone());
    }
    let count = failures.len();
    let kind = if count == all {
        first.kind
    } else {
        Kind::Partial
    };
    let faults = failures
        .iter()
        .map(|(place, failure)| format!("{place}: {}", failure.message));
    let failure = Failure::new(kind, format!("{count} of {all} destinations are not good"));
    Some(Failure {
        hint: first.hint.clone(),
        ..failure.faults(faults.collect())
    })
}

/// Looks at one destination; an error is an interruption.
fn examine(
    context: &Context,
    settings: &Settings,
    text: &str,
) -> Result<(Checked, Option<Failure>)> {
    context.begin("checking", None);
    let mut examination = Examination {
        stop: context.stop.clone(),
        capabilities: Vec::new(),
        swept: Vec::new(),
        is_written: false,
        failure: None,
    };
    let name = text
        .strip_prefix('@')
        .map(|name| name.trim_end_matches('/'));
    let word = name.map_or_else(|| text.to_owned(), |name| format!("@{name}"));
    let opened = examination.attempt("open", || {
        Ok((Destination::open(context, settings, &word)?, None))
    })?;
    let mut location = word.clone();
    if let Some(destination) = opened {
        location = destination.store.shown();
        // Nothing was asked of it yet: that is no news.
        examination.capabilities.clear();
        let probe = format!("{PROBE}{}", context.unique);
        if let Err(error) = examination.run(context, &*destination.store, &probe) {
            if examination.is_written {
                remove_at_last(context, settings, &word, &probe);
            }
            return Err(error);
        }
    }
    let checked = Checked {
        name: name.map(str::to_owned),
        location,
        good: examination.failure.is_none(),
        capabilities: examination.capabilities,
        swept: examination.swept,
    };
    Ok((checked, examination.failure))
}

/// Removes the probe although we are to stop; for that the destination is opened anew, by one that is not to stop yet.
fn remove_at_last(context: &Context, settings: &Settings, word: &str, probe: &str) {
    let stop = Stop::default();
    let signal = stop.signal();
    let patience = thread::Builder::new().spawn(move || {
        thread::sleep(CLEANUP);
        signal.store(usize::MAX, std::sync::atomic::Ordering::Relaxed);
    });
    let context = Context {
        stop,
        ..context.clone()
    };
    let removed = patience.map_err(anyhow::Error::from).and_then(|_| {
        Destination::open(&context, settings, word)?
            .store
            .remove(probe)
    });
    if let Err(error) = removed {
        let failure = Failure::of(&error);
        warn!(
            probe,
            "The probe stays: {}; a check after a day removes it", failure.message
        );
    }
}

/// What was tried so far.
struct Examination {
    stop: Stop,
    capabilities: Vec<Capability>,
    swept: Vec<String>,
    is_written: bool,
    failure: Option<Failure>,
}

impl Examination {
    /// Tries something, and notes what came of it. An error is an interruption.
    fn attempt<T>(
        &mut self,
        name: &'static str,
        work: impl FnOnce() -> Result<(T, Option<String>)>,
    ) -> Result<Option<T>> {
        self.stop.check()?;
        let begun = Instant::now();
        let result = work();
        let seconds = Some(begun.elapsed().as_secs_f64());
        let (found, good, message) = match result {
            Ok((found, message)) => (Some(found), true, message),
            Err(error) => {
                let failure = Failure::of(&error);
                if matches!(failure.kind, Kind::Interrupted(_)) {
                    return Err(error);
                }
                let message = failure.message.clone();
                self.failure.get_or_insert(failure);
                (None, false, Some(message))
            }
        };
        self.capabilities.push(Capability {
            name,
            good,
            seconds,
            message,
        });
        Ok(found)
    }

    fn is_nowhere(&self) -> bool {
        matches!(&self.failure, Some(failure) if failure.kind == Kind::NotFound)
    }

    fn not_tried(&mut self, name: &'static str, why: &str) {
        self.capabilities.push(Capability {
            name,
            good: false,
            seconds: None,
            message: Some(format!("not tried: {why}")),
        });
    }

    fn run(&mut self, context: &Context, store: &dyn Store, probe: &str) -> Result<()> {
        let maker = context.maker();
        let swept = self.attempt("sweep", || Ok((store.sweep(&maker)?, None)))?;
        if swept.is_none() && self.is_nowhere() {
            for name in ["write", "find", "read", "list", "create_once", "delete"] {
                self.not_tried(name, "there is no such place");
            }
            return Ok(());
        }
        self.swept = swept.unwrap_or_default();
        let (content, other) = (content(probe, "first"), content(probe, "second"));
        // Of one run there is one upload of a name.
        let another = Maker {
            run: format!("second-{}", maker.run),
            ..maker.clone()
        };
        let begin = |maker: &Maker| store.create(probe, content.len() as u64, maker);
        let second = self.attempt("write", || {
            // Both begin before either ends: so the store has to tell them apart, not we.
            let (first, second) = (begin(&maker)?, begin(&another)?);
            let proof = finish(first, &content)?;
            Ok((second, Some(format!("proven by {}", proof.name()))))
        })?;
        self.is_written = second.is_some();
        if self.is_written {
            self.attempt("find", || Ok((find(store, probe, content.len())?, None)))?;
            self.attempt("read", || match reads(store, probe, &content)? {
                true => Ok(((), None)),
                false => Err(anyhow!(
                    "what {} gives is not what was written",
                    store.shown()
                )),
            })?;
        } else {
            self.not_tried("find", UNWRITTEN);
            self.not_tried("read", UNWRITTEN);
        }
        let listed = self.attempt("list", || {
            let listed = list(context, store, probe)?;
            if second.is_some() && !listed.has_probe {
                return Err(anyhow!(
                    "the list of {} does not show {probe}",
                    store.shown()
                ));
            }
            let message = format!("{} objects", listed.count);
            Ok((listed.left, Some(message)))
        })?;
        let Some(second) = second else {
            self.not_tried("create_once", UNWRITTEN);
            self.not_tried("delete", UNWRITTEN);
            return Ok(());
        };
        self.attempt("create_once", || {
            Ok((create_once(store, probe, second, &content, &other)?, None))
        })?;
        self.attempt("delete", || {
            store.remove(probe)?;
            match store.find(probe)? {
                None => Ok(((), None)),
                Some(_) => Err(anyhow!("{probe} is still in {}", store.shown())),
            }
        })?;
        for name in listed.unwrap_or_default() {
            match store.remove(&name) {
                Ok(()) => self.swept.push(name),
                Err(error) => warn!(name, "The probe of an earlier check stays: {error:#}"),
            }
        }
        Ok(())
    }
}

/// The content of a probe: lines of text, so that whoever finds one knows what it is.
fn content(probe: &str, which: &str) -> Vec<u8> {
    let line = format!("{probe}: the {which} upload of a check; it can be removed\n");
    line.repeat(LINES).into_bytes()
}

fn finish(mut upload: Box<dyn Upload>, content: &[u8]) -> Result<store::Proof> {
    upload.write_all(content)?;
    upload.finish(&Digest::of(content))
}

fn find(store: &dyn Store, probe: &str, length: usize) -> Result<()> {
    let found = store.find(probe)?;
    let place = store.shown();
    match found.map(|stored| stored.size_bytes) {
        None => Err(anyhow!("{probe} is not in {place}")),
        Some(size) if size != length as u64 => {
            Err(anyhow!("{probe} in {place} has {size} bytes of {length}"))
        }
        Some(_) => Ok(()),
    }
}

/// Whether a part from the middle, and all of it, are what was written.
fn reads(store: &dyn Store, probe: &str, content: &[u8]) -> Result<bool> {
    let source: Arc<dyn ReadAt + Send + Sync> = Arc::from(store.open(probe)?);
    let reading = || format!("cannot read {probe} in {}", store.shown());
    let (from, to) = (content.len() / 3, content.len() / 2);
    let mut part = vec![0; to - from];
    source
        .read_exact_at(&mut part, from as u64)
        .with_context(reading)?;
    let (whole, _) = Pages::new(source)
        .and_then(Digest::of_reader)
        .with_context(reading)?;
    Ok(part == content[from..to] && whole == Digest::of(content))
}

struct Listed {
    count: usize,
    has_probe: bool,
    /// Probes of checks that ended long ago.
    left: Vec<String>,
}

fn list(context: &Context, store: &dyn Store, probe: &str) -> Result<Listed> {
    let mut listed = Listed {
        count: 0,
        has_probe: false,
        left: Vec::new(),
    };
    store.list(&mut |stored| {
        listed.count += 1;
        listed.has_probe |= stored.name == probe;
        let is_old = |at| context.now - at > PATIENCE;
        let is_earlier = stored.name.starts_with(PROBE) && stored.name != probe;
        if is_earlier && stored.modified.is_some_and(is_old) {
            listed.left.push(stored.name);
        }
        Ok(())
    })?;
    Ok(listed)
}

/// Ends the second upload of the name, which must be refused, and change nothing.
fn create_once(
    store: &dyn Store,
    probe: &str,
    second: Box<dyn Upload>,
    content: &[u8],
    other: &[u8],
) -> Result<()> {
    let place = store.shown();
    let taken = store::taken(&place, probe).message;
    let is_refused = match finish(second, other) {
        Err(error) if Failure::of(&error).message.ends_with(&taken) => true,
        Err(error) => return Err(error),
        Ok(_) => false,
    };
    if is_refused && reads(store, probe, content)? {
        return Ok(());
    }
    let message =
        format!("{place} lets a second upload replace the first: it knows no conditional writes");
    Err(Failure::new(Kind::Failed, message)
        .hint("let no two machines export to one prefix, or use another store")
        .into())
}

#[cfg(test)]
mod tests;
