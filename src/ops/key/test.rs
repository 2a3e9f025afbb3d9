//! `key test`: which key opens which archive, by the headers alone.

use std::{ffi::OsString, path::Path, sync::Arc};

use anyhow::Result;
use serde::Serialize;

use crate::{
    catalog::{
        each::{FailedDestination, Hosts, failure_of, for_each_word},
        folder_tree::is_archive,
        opening::try_keys,
        repository::{Manifests, Repository},
        target::Target,
    },
    config::Settings,
    context::Context,
    crypt::{KeyName, Keyring, Trial},
    disk::open_regular,
    error::{Failure, Kind},
    model::{archive_name::Ending, written::escaped},
    work::ReadAt,
};

/// The keys, and the archives that they open.
#[derive(Debug, Serialize)]
pub struct TestReport {
    /// The keys that were tried.
    pub keys: Vec<FoundKey>,
    /// The archives, in the order in which they were named; those of a destination with the newest first.
    pub archives: Vec<TestedArchive>,
    /// The number of sealed archives that no key opens.
    pub unopened: usize,
    /// The words whose archives could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<FailedDestination>,
    /// The failure of the test.
    #[serde(skip)]
    pub failure: Option<Failure>,
}

/// A key that was tried.
#[derive(Debug, Clone, Serialize)]
pub struct FoundKey {
    /// Its origin: its file, for example.
    pub key: String,
    /// Its public key, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// The number of archives that it opens.
    pub opens: usize,
}

/// An archive, and the keys that open it.
#[derive(Debug, Serialize)]
pub struct TestedArchive {
    /// The archive, as messages name it.
    pub archive: String,
    /// The path, percent-encoded, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive_escaped: Option<String>,
    /// True if it is sealed. The others need no key.
    pub sealed: bool,
    /// The kinds of keys for which it is sealed.
    pub recipients: Vec<String>,
    /// The positions in `keys` of those that open it.
    pub opened_by: Vec<usize>,
    /// The reasons why its header, or a key that seemed to fit, is of no use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
    #[serde(skip)]
    failure: Option<Failure>,
}

impl TestedArchive {
    /// Returns true if no key is known to open it.
    pub fn is_shut(&self) -> bool {
        self.sealed && self.opened_by.is_empty()
    }
}

/// The means of a test.
struct Test<'a> {
    context: &'a Context,
    hosts: Hosts,
    ring: Arc<Keyring>,
    /// The keys that the user named, then those that the user typed.
    names: Vec<KeyName>,
    found: Vec<TestedArchive>,
}

/// Tries the keys of the run on the archives that `words` name, or on those of every configured destination. Of each
/// archive, only the header is read. `settings` are read for destinations.
pub fn test<'a>(
    context: &Context,
    settings: &dyn Fn() -> Result<&'a Settings>,
    words: &[OsString],
    hosts: Hosts,
) -> Result<TestReport> {
    let words = match words.is_empty() {
        true => configured(settings()?)?,
        false => words.to_vec(),
    };
    let ring = context.keys.ring()?;
    let mut test = Test {
        context,
        hosts,
        names: ring.names().cloned().collect(),
        ring,
        found: Vec::new(),
    };
    let (_, failed) = for_each_word(context, &words, |word| test.at(word, settings))?;
    Ok(test.report(failed, words.len()))
}

/// Returns the words for every enabled destination.
fn configured(settings: &Settings) -> Result<Vec<OsString>, Failure> {
    let all = settings.schema.destinations.iter();
    let enabled = all.filter(|(_, destination)| destination.enabled);
    let words: Vec<OsString> = enabled.map(|(name, _)| format!("@{name}").into()).collect();
    if words.is_empty() {
        let message = "no archive is named, and no destination configured";
        let hint = "name an archive, a folder, a URL or an @destination";
        return Err(Failure::new(Kind::Usage, message).hint(hint));
    }
    Ok(words)
}

impl Test<'_> {
    fn at<'a>(
        &mut self,
        word: &OsString,
        settings: &dyn Fn() -> Result<&'a Settings>,
    ) -> Result<()> {
        let target = Target::read(word)?;
        match &target {
            Target::Standard => {
                let message = "the archives of `key test` are files or those of a destination";
                return Err(Failure::new(Kind::Usage, message)
                    .hint("`hookshot verify -` reads standard input with the keys of the run")
                    .into());
            }
            Target::Path(path) if !path.is_dir() => return self.file(path),
            // What is unpacked needs no key.
            Target::Path(path) if is_archive(self.context, path)? => {
                let shown = path.display().to_string();
                self.found.push(plain(shown, escaped(path)));
                return Ok(());
            }
            _ => {}
        }
        let settings = settings()?;
        if let Some(destination) = target.place(self.context, settings)? {
            let prefix = self.hosts.prefix(settings);
            let listing = destination.repository.list(prefix, Manifests::OfNone)?;
            let named = listing.archives.iter().map(|listed| &listed.stored);
            let others = match self.hosts {
                Hosts::Ours => &[][..],
                Hosts::All => &listing.other_names,
            };
            let before = self.found.len();
            for stored in named.chain(others) {
                self.stored(&*destination.repository, &stored.name)?;
            }
            return match self.found.len() > before {
                true => Ok(()),
                // A test of nothing would look like one that was passed.
                false => Err(has_none(&destination.shown(), prefix).into()),
            };
        }
        match target.archive(self.context, settings)? {
            Some((destination, name)) => self.stored(&*destination.repository, &name),
            None => Err(Failure::new(Kind::Usage, "the word names no archive").into()),
        }
    }

    fn file(&mut self, path: &Path) -> Result<()> {
        let shown = path.display().to_string();
        if !path.exists() {
            let message = format!("the archive {shown} does not exist");
            let hint = "look at the path; `hookshot list` shows what a destination has";
            return Err(Failure::new(Kind::NotFound, message).hint(hint).into());
        }
        let opened = open_regular(path).map_err(anyhow::Error::from);
        let opened = opened.map(|file| Arc::new(file) as Arc<dyn ReadAt + Send + Sync>);
        self.try_on(shown, escaped(path), opened)
    }

    fn stored(&mut self, repository: &dyn Repository, name: &str) -> Result<()> {
        let shown = format!("{}/{name}", repository.shown());
        // For others this costs no request.
        if Ending::of_file(name) == Some(Ending::Plain) {
            self.found.push(plain(shown, None));
            return Ok(());
        }
        self.try_on(shown, None, repository.open(name))
    }

    /// Tries the keys on one archive. If it cannot be read, the others still follow.
    fn try_on(
        &mut self,
        shown: String,
        escaped: Option<String>,
        opened: Result<Arc<dyn ReadAt + Send + Sync>>,
    ) -> Result<()> {
        self.context.stop.check()?;
        let tried = opened.and_then(|source| try_keys(&self.ring, &shown, source));
        let archive = match tried {
            Ok(None) => plain(shown, escaped),
            Ok(Some(trial)) => TestedArchive {
                opened_by: self.positions(&trial),
                recipients: trial.recipients,
                faults: trial.faults,
                sealed: true,
                ..plain(shown, escaped)
            },
            Err(error) => {
                let failure = Failure::of(&error);
                if matches!(failure.kind, Kind::Interrupted(_)) {
                    return Err(error);
                }
                TestedArchive {
                    sealed: true,
                    faults: vec![failure.message.clone()],
                    failure: Some(failure),
                    ..plain(shown, escaped)
                }
            }
        };
        self.found.push(archive);
        Ok(())
    }

    fn positions(&mut self, trial: &Trial) -> Vec<usize> {
        for name in &trial.opened_by {
            if !self.names.contains(name) {
                self.names.push(name.clone());
            }
        }
        let names = self.names.iter().enumerate();
        let opens = names.filter(|(_, name)| trial.opened_by.contains(name));
        opens.map(|(at, _)| at).collect()
    }

    fn report(self, failed: Vec<FailedDestination>, words: usize) -> TestReport {
        let key = |(at, name): (usize, &KeyName)| FoundKey {
            key: name.shown.clone(),
            public_key: name.public.clone(),
            opens: {
                let opened = self.found.iter();
                opened.filter(|one| one.opened_by.contains(&at)).count()
            },
        };
        let shut: Vec<&TestedArchive> = self.found.iter().filter(|one| one.is_shut()).collect();
        let unread = shut.iter().find_map(|one| one.failure.clone());
        let shut: Vec<&TestedArchive> = shut
            .into_iter()
            .filter(|one| one.failure.is_none())
            .collect();
        let failure = none_opens(&shut, self.names.is_empty(), self.found.len());
        TestReport {
            keys: self.names.iter().enumerate().map(key).collect(),
            unopened: shut.len(),
            failure: failure.or(unread).or_else(|| failure_of(&failed, words)),
            archives: self.found,
            failed,
        }
    }
}

/// Returns the failure of a place that has nothing to test.
fn has_none(shown: &str, prefix: Option<&str>) -> Failure {
    let of = prefix.map(|prefix| format!(" of {prefix}"));
    let message = format!("{shown} has no archive{}", of.unwrap_or_default());
    Failure::new(Kind::NotFound, message).hint("`hookshot list --all-hosts` shows what is there")
}

fn plain(archive: String, archive_escaped: Option<String>) -> TestedArchive {
    TestedArchive {
        archive,
        archive_escaped,
        sealed: false,
        recipients: Vec::new(),
        opened_by: Vec::new(),
        faults: Vec::new(),
        failure: None,
    }
}

/// Returns the failure of sealed archives that no key opens.
fn none_opens(shut: &[&TestedArchive], has_no_key: bool, count: usize) -> Option<Failure> {
    let first = shut.first()?;
    let keys = match has_no_key {
        true => "no key is given",
        false => "no key opens them",
    };
    let message = match shut {
        [only] => format!(
            "1 of {count} archives stays shut ({keys}): {}",
            only.archive
        ),
        _ => format!(
            "{} of {count} archives stay shut ({keys}): {} is the first",
            shut.len(),
            first.archive
        ),
    };
    let faults = shut.iter().map(|one| {
        let recipients = one.recipients.join(", ");
        format!("{} is sealed for {recipients}", one.archive)
    });
    let failure = Failure::new(Kind::Key, message).hint(
        "name further keys with --identity FILE; if their private keys are lost, so is their content: export anew",
    );
    Some(failure.faults(faults.collect()))
}
