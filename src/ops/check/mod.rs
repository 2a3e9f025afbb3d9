//! `check`: can a destination be reached, written, found in, read, listed, and deleted from? Tried with objects of its
//! own.

mod connection;
mod parts;
mod probe;
mod report;

use std::{
    ffi::{OsStr, OsString},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};

pub use self::report::{Ability, Capability, CheckReport, Connection, DestinationCheck};
use self::{
    connection::connection_of,
    probe::{PROBE, content, create_once, find, finish, list, reads},
};
use crate::{
    catalog::{
        target::Target,
        vault::{ReadContent, Vault},
    },
    context::Context,
    work::{
        cancel::Stop,
        events::{ArchiveEvent, Events},
    },
};
use crate::{
    config::Settings,
    error::{Failure, Kind},
    ops::repo::damaged,
    store::{Maker, Store, address::masked, require_room},
};

/// The time that removing the probe may take after an interruption.
const CLEANUP: Duration = Duration::from_secs(15);
/// The reason why most is not tried if a probe cannot be written.
const UNWRITTEN: &str = "nothing could be written";

/// Checks the destinations that `texts` name, or else all that the configuration sends archives to.
pub fn check(context: &Context, settings: &Settings, texts: &[OsString]) -> Result<CheckReport> {
    let configured = Target::configured(settings)?;
    let texts = if texts.is_empty() { &configured } else { texts };
    if texts.is_empty() {
        return Err(Target::none_named(settings).into());
    }
    let mut destinations = Vec::new();
    let mut failures = Vec::new();
    for text in texts {
        context.stop.check()?;
        let (checked, failure) = examine(context, settings, text)?;
        failures.extend(failure.map(|failure| (checked.location.clone(), failure)));
        destinations.push(checked);
    }
    Ok(CheckReport {
        failure: summary(&failures, destinations.len()),
        destinations,
    })
}

/// Returns the summary of the failures of some of `all` destinations.
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
    text: &OsStr,
) -> Result<(DestinationCheck, Option<Failure>)> {
    context.begin("checking", None);
    let mut examination = Examination {
        stop: context.stop.clone(),
        events: context.events.clone(),
        capabilities: Vec::new(),
        swept: Vec::new(),
        written: Vec::new(),
        failure: None,
    };
    let name = (text.to_str())
        .and_then(|text| text.strip_prefix('@'))
        .map(|name| name.trim_end_matches('/'));
    let word = name.map_or_else(|| text.to_owned(), |name| format!("@{name}").into());
    let opened = examination.attempt(Ability::Open, || {
        Ok((Target::read(&word)?.destination(context, settings)?, None))
    })?;
    // A word that cannot be read as a destination may hold a password.
    let mut location = masked(&word.to_string_lossy()).into_owned();
    let mut location_escaped = None;
    let mut connection = None;
    if let Some(destination) = opened {
        location = destination.store.shown();
        location_escaped = destination.path_escaped();
        connection = Some(connection_of(settings, &destination));
        // Nothing was asked of the destination yet, so its opening is not reported.
        examination.capabilities.clear();
        let probe = format!("{PROBE}{}", context.unique);
        if let Err(error) = examination.run(context, &*destination.store, &probe) {
            if !examination.written.is_empty() {
                remove_at_last(context, settings, &word, &examination.written);
            }
            return Err(error);
        }
        if let Some(vault) = destination.repository.vault() {
            let shown = destination.shown();
            examination.attempt(Ability::Repository, || whole(vault, &shown))?;
        }
    }
    let checked = DestinationCheck {
        name: name.map(str::to_owned),
        location,
        location_escaped,
        connection,
        good: examination.failure.is_none(),
        capabilities: examination.capabilities,
        swept: examination.swept,
    };
    Ok((checked, examination.failure))
}

/// Fails if something is missing in a repository, or damaged. Returns a remark on its properties.
fn whole(vault: &dyn Vault, shown: &str) -> Result<((), Option<String>)> {
    let facts = vault.facts()?;
    let faults = vault.check(ReadContent::Nothing)?;
    if let Some(first) = faults.first() {
        let failure = damaged(shown, &faults);
        let message = format!("{}: {first}", failure.message);
        return Err(Failure { message, ..failure }.into());
    }
    let mut remark = format!("version {}, chunks: {}", facts.version, facts.chunks);
    for note in facts.notes {
        remark.push_str("; ");
        remark.push_str(&note);
    }
    Ok(((), Some(remark)))
}

/// Removes probes although we are to stop; for that the destination is opened anew, by one that is not to stop yet.
fn remove_at_last(context: &Context, settings: &Settings, word: &OsStr, probes: &[String]) {
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
        let store = Target::read(word)?.destination(&context, settings)?.store;
        probes.iter().try_for_each(|probe| store.remove(probe))
    });
    if let Err(error) = removed {
        let failure = Failure::of(&error);
        context.tell(ArchiveEvent::ProbesStay {
            probes: probes.to_vec(),
            reason: failure.message,
        });
    }
}

/// The results so far of an examination.
struct Examination {
    stop: Stop,
    events: Events,
    capabilities: Vec<Capability>,
    swept: Vec<String>,
    /// The probes that may be there.
    written: Vec<String>,
    failure: Option<Failure>,
}

impl Examination {
    /// Tries something, and notes what came of it. An error is an interruption.
    fn attempt<T>(
        &mut self,
        name: Ability,
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
        matches!(&self.failure, Some(failure) if matches!(failure.kind, Kind::NotFound | Kind::Unproven))
    }

    fn not_tried(&mut self, name: Ability, why: &str) {
        self.capabilities.push(Capability {
            name,
            good: false,
            seconds: None,
            message: Some(format!("not tried: {why}")),
        });
    }

    fn run(&mut self, context: &Context, store: &dyn Store, probe: &str) -> Result<()> {
        let maker = context.maker();
        let swept = self.attempt(Ability::Sweep, || Ok((store.sweep(&maker)?, None)))?;
        if swept.is_none() && self.is_nowhere() {
            let all = [
                Ability::Write,
                Ability::Find,
                Ability::Read,
                Ability::List,
                Ability::CreateOnce,
                Ability::Delete,
            ];
            let parts = store
                .part_bytes()
                .map(|_| [Ability::Parts, Ability::AbortParts]);
            for name in all.into_iter().chain(parts.into_iter().flatten()) {
                self.not_tried(name, "the place does not exist, or another server answered");
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
        let second = self.attempt(Ability::Write, || {
            // Both begin before either ends: so the store has to tell them apart, not we.
            require_room(store, content.len() as u64)?;
            let (first, second) = (begin(&maker)?, begin(&another)?);
            let proof = finish(first, &content)?;
            let free = store.room().ok().flatten();
            let free = free.map_or(String::new(), |free| format!(", {} MiB free", free >> 20));
            Ok((second, Some(format!("proven by {}{free}", proof.name()))))
        })?;
        if second.is_some() {
            self.written.push(probe.to_owned());
            self.attempt(Ability::Find, || {
                Ok((find(store, probe, content.len())?, None))
            })?;
            self.attempt(Ability::Read, || match reads(store, probe, &content)? {
                true => Ok(((), None)),
                false => Err(anyhow!(
                    "what {} gives is not what was written",
                    store.shown()
                )),
            })?;
        } else {
            self.not_tried(Ability::Find, UNWRITTEN);
            self.not_tried(Ability::Read, UNWRITTEN);
        }
        let listed = self.attempt(Ability::List, || {
            let listed = list(context, store, probe)?;
            if second.is_some() && !listed.has_probe {
                return Err(anyhow!(
                    "the list of {} does not show {probe}",
                    store.shown()
                ));
            }
            let message = match listed.count {
                1 => "1 object".to_owned(),
                count => format!("{count} objects"),
            };
            Ok((listed.left, Some(message)))
        })?;
        let Some(second) = second else {
            self.not_tried(Ability::CreateOnce, UNWRITTEN);
            self.not_tried(Ability::Delete, UNWRITTEN);
            if store.part_bytes().is_some() {
                self.not_tried(Ability::Parts, UNWRITTEN);
                self.not_tried(Ability::AbortParts, UNWRITTEN);
            }
            return Ok(());
        };
        self.attempt(Ability::CreateOnce, || {
            create_once(store, probe, second, &content, &other)?;
            let by_a_look = "by a look right before each write: the store knows no conditional writes, so let no two \
                machines export to one prefix";
            let message = (!store.knows_conditions()).then(|| by_a_look.to_owned());
            Ok(((), message))
        })?;
        let deleted = self.attempt(Ability::Delete, || {
            store.remove(probe)?;
            match store.find(probe)? {
                None => Ok(((), None)),
                Some(_) => Err(anyhow!("{probe} is still in {}", store.shown())),
            }
        })?;
        if deleted.is_some() {
            self.written.clear();
        }
        self.parts(store, &maker, probe, deleted.is_some())?;
        for name in listed.unwrap_or_default() {
            match store.remove(&name) {
                Ok(()) => self.swept.push(name),
                Err(error) => self.events.send(ArchiveEvent::EarlierProbeStays {
                    probe: name.clone(),
                    reason: format!("{error:#}"),
                }),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
