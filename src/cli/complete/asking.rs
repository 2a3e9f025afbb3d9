//! Candidates for the last word of a line.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::{Arg, Command};

use super::{
    completion::Completion,
    options::{option, options, positional, takes_value, verbs},
};
use crate::{
    catalog::input::ArchiveInput,
    config::{Choices, Settings, elsewhere::tidy},
    context::Context,
    disk::folder_of,
    store::Address,
};

/// The most files of a folder that are read.
const MOST_FILES: usize = 10_000;

/// The kind of files that are candidates.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Files {
    Archives,
    Any,
    None,
}

/// A question for candidates, with the settings that it needs.
pub struct Asking<'a> {
    /// The places of the state.
    pub choices: Choices,
    /// The folder that `~` stands for.
    pub home: Option<&'a str>,
    /// Called if an archive has to be inspected.
    pub context: &'a dyn Fn() -> Option<Context>,
}

impl Asking<'_> {
    /// Returns the words that `current` may become after those before it.
    pub fn candidates(
        mut self,
        mut root: Command,
        before: &[String],
        current: &str,
    ) -> Vec<Completion> {
        root.build();
        let mut command = &root;
        let mut positionals: Vec<&str> = Vec::new();
        let mut awaited: Option<&Arg> = None;
        let mut has_ended = false;
        for word in before {
            if let Some(option) = awaited.take() {
                self.learn(option, word);
            } else if has_ended || !word.starts_with('-') || word == "-" {
                match command.find_subcommand(word) {
                    Some(verb) if positionals.is_empty() => command = verb,
                    _ => positionals.push(word),
                }
            } else if word == "--" {
                has_ended = true;
            } else if let Some((name, value)) = word.split_once('=') {
                if let Some(option) = option(command, name) {
                    self.learn(option, value);
                }
            } else {
                awaited = option(command, word).filter(|option| takes_value(option));
            }
        }
        let mut found = if let Some(option) = awaited {
            self.values(&root, command, option, &positionals, current)
        } else if let Some((name, value)) = current
            .split_once('=')
            .filter(|_| current.starts_with("--") && !has_ended)
        {
            let Some(option) = option(command, name) else {
                return Vec::new();
            };
            let mut found = self.values(&root, command, option, &positionals, value);
            for one in &mut found {
                one.value = format!("{name}={}", one.value);
            }
            found
        } else if current.starts_with('-') && !has_ended {
            options(command, current)
        } else {
            let mut found = match positionals.is_empty() {
                true => verbs(command, current),
                false => Vec::new(),
            };
            if let Some(argument) = positional(command, positionals.len()) {
                found.extend(self.values(&root, command, argument, &positionals, current));
            }
            found
        };
        found.retain(|one| one.value.starts_with(current) && !one.value.contains(char::is_control));
        found
    }

    /// Notes the value of an option that says where the configuration is.
    fn learn(&mut self, option: &Arg, value: &str) {
        let expanded = self.expand(value);
        let place = match option.get_id().as_str() {
            "config" => &mut self.choices.config,
            "services" => &mut self.choices.services,
            "secrets" => &mut self.choices.secrets,
            "data_dir" => &mut self.choices.data_dir,
            _ => return,
        };
        *place = Some(expanded);
    }

    fn values(
        &self,
        root: &Command,
        command: &Command,
        argument: &Arg,
        positionals: &[&str],
        current: &str,
    ) -> Vec<Completion> {
        let possible = argument.get_possible_values();
        if !possible.is_empty() {
            let shown = possible.iter().filter(|value| !value.is_hide_set());
            let word = |value: &clap::builder::PossibleValue| {
                let help = value.get_help().map(ToString::to_string);
                Completion::word(value.get_name(), help.unwrap_or_default())
            };
            return shown.map(word).collect();
        }
        let name = argument.get_value_names().and_then(<[_]>::first);
        let name = name.map_or("", |name| name.as_str());
        match (command.get_name(), argument.get_id().as_str()) {
            (_, "archive" | "archives" | "other" | "since") | ("copy", "from") => {
                self.places(current, Files::Archives)
            }
            ("export", "outputs") => self.places(current, Files::Archives),
            (_, "destination" | "destinations") | ("copy", "to") => {
                self.places(current, Files::None)
            }
            (_, "entries" | "only" | "except") => {
                self.entries(positionals.first().copied(), current)
            }
            ("man", _) => verbs(root, current),
            _ if name == "FILE" => self.files(current, Files::Any),
            _ if name == "DIR" || argument.get_id() == "dir" => self.files(current, Files::None),
            _ => Vec::new(),
        }
    }

    /// Returns files or folders, and the destinations of the configuration.
    fn places(&self, current: &str, wanted: Files) -> Vec<Completion> {
        let mut found = Vec::new();
        if current.is_empty() || current.starts_with('@') {
            found.extend(self.destinations(current, wanted));
        }
        if !current.starts_with('@') {
            found.extend(self.files(current, wanted));
        }
        found
    }

    fn destinations(&self, current: &str, wanted: Files) -> Vec<Completion> {
        let Ok(settings) = Settings::load(&self.choices) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for (name, destination) in &settings.schema.destinations {
            let help = destination.address.to_string();
            found.push(Completion::word(format!("@{name}"), &help));
            let within = format!("@{name}/");
            if wanted == Files::None || !current.starts_with(&format!("@{name}")) {
                continue;
            }
            found.push(Completion::word(
                format!("{within}latest"),
                "the newest good archive",
            ));
            if let Address::Folder(folder) = &destination.address {
                let folder = tidy(&folder_of(&settings.config).join(folder));
                let archives = names(&folder)
                    .into_iter()
                    .filter(|(name, _)| is_archive(name));
                let word = |(name, _)| Completion::word(format!("{within}{name}"), "");
                found.extend(archives.map(word));
            }
        }
        found
    }

    /// Returns the entries of an archive on this machine, up to the next `/`. Without an archive, returns the sources
    /// of the configuration.
    fn entries(&self, archive: Option<&str>, current: &str) -> Vec<Completion> {
        let Some(archive) = archive else {
            let settings = Settings::load(&self.choices);
            let sources = settings
                .map(|settings| settings.sources)
                .unwrap_or_default();
            let word = |name: &dyn ToString| Completion::word(name.to_string(), "");
            return sources.iter().map(|source| word(&source.name)).collect();
        };
        let path = self.expand(archive);
        if !path.is_file() {
            return Vec::new();
        }
        let manifest =
            (self.context)().and_then(|context| ArchiveInput::File(path).manifest(&context).ok());
        let Some(manifest) = manifest else {
            return Vec::new();
        };
        // A directory of many files is offered by its own name: its listing is not read, and is not an entry that
        // an import selects.
        let entries = manifest
            .files
            .keys()
            .filter(|name| !manifest.is_listing(name));
        let names = entries.chain(manifest.directories.keys());
        let mut found: Vec<String> = names
            .filter_map(|name| {
                let rest = name.as_str().strip_prefix(current)?;
                let end = rest.find('/').unwrap_or(rest.len());
                Some(name.as_str()[..current.len() + end].to_owned())
            })
            .collect();
        found.sort();
        found.dedup();
        found
            .into_iter()
            .map(|name| Completion::word(name, ""))
            .collect()
    }

    /// Returns a path with the home folder in place of `~`.
    fn expand(&self, word: &str) -> PathBuf {
        match (word.strip_prefix("~/"), self.home) {
            (Some(rest), Some(home)) => Path::new(home).join(rest),
            _ => PathBuf::from(word),
        }
    }

    /// Returns folders, and files of a kind, whose paths begin with `current`.
    fn files(&self, current: &str, wanted: Files) -> Vec<Completion> {
        let at = current.rfind('/').map_or(0, |slash| slash + 1);
        let (folder, begun) = current.split_at(at);
        let path = if folder.is_empty() {
            PathBuf::from(".")
        } else {
            self.expand(folder)
        };
        let mut all = names(&path);
        all.retain(|(name, _)| {
            name.starts_with(begun) && (begun.starts_with('.') || !name.starts_with('.'))
        });
        let is_wanted = |name: &str| match wanted {
            Files::Archives => is_archive(name),
            Files::Any => true,
            Files::None => false,
        };
        let candidate = |(name, is_folder): &(String, bool)| Completion {
            kind: if *is_folder { 'd' } else { 'f' },
            value: format!("{folder}{name}"),
            help: String::new(),
        };
        let found: Vec<_> = all
            .iter()
            .filter(|(name, is_folder)| *is_folder || is_wanted(name))
            .map(candidate)
            .collect();
        // An archive may have any name: if no name looks like one, every file is a candidate.
        if found.is_empty() && wanted == Files::Archives {
            return all.iter().map(candidate).collect();
        }
        found
    }
}

fn is_archive(name: &str) -> bool {
    [".tar.gz", ".tar.gz.age", ".tgz", ".tar"]
        .iter()
        .any(|end| name.ends_with(end))
}

/// Returns the names in a folder, each with true if it is a folder. Returns none if the folder cannot be read.
fn names(folder: &Path) -> Vec<(String, bool)> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let name = |entry: fs::DirEntry| {
        let is_folder = entry.path().is_dir();
        Some((entry.file_name().into_string().ok()?, is_folder))
    };
    let mut names: Vec<_> = entries
        .flatten()
        .take(MOST_FILES)
        .filter_map(name)
        .collect();
    names.sort();
    names
}
