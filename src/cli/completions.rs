//! `hookshot completions`: scripts that ask this program what comes next, and its answers.
//!
//! A script for bash, zsh or fish hands the words of the line to the hidden first word `complete`; the answer has one candidate a
//! line: kind, value and help, with tabs between. So aliases, the destinations of the configuration, and the entries of an archive
//! are known. Nothing is asked of a network, and nothing is an error: without an answer there are no candidates.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use clap::{Arg, ArgAction, Args, Command, CommandFactory as _};
use clap_complete::Shell;
use serde_json::json;

use super::{App, arguments::Arguments};
use crate::{
    catalog::input::ArchiveInput,
    config::{Choices, Settings, elsewhere::tidy},
    context::Context,
    disk::folder_of,
    store::Address,
};

/// The hidden first word.
pub const WORD: &str = "complete";
/// More files of a folder are not looked at.
const MOST_FILES: usize = 10_000;

const BASH: &str = r#"_hookshot() {
    local kind value help program asked has_files=
    COMPREPLY=()
    program=${COMP_WORDS[0]-hookshot}
    program=${program/#\~\//$HOME/}
    type -P -- "$program" >/dev/null || program=hookshot
    if [[ -n ${COMP_LINE-} ]]; then
        asked=(line "${COMP_LINE:0:${COMP_POINT-${#COMP_LINE}}}" "${@:2:1}")
    else
        asked=(words "${COMP_WORDS[@]:1:COMP_CWORD}")
    fi
    if ! type -P -- "$program" >/dev/null; then
        COMPREPLY=($(compgen -W "@WORDS@" -- "${COMP_WORDS[COMP_CWORD]}"))
        return
    fi
    while IFS=$'\t' read -r kind value help; do
        COMPREPLY+=("$value")
        case $kind in f|d) has_files=1 ;; esac
    done < <("$program" complete "${asked[@]}" 2>/dev/null)
    # Not known outside of a completion.
    [[ -z $has_files ]] || compopt -o filenames 2>/dev/null
}

complete -o nosort -F _hookshot hookshot 2>/dev/null || complete -F _hookshot hookshot
"#;

const ZSH: &str = r#"#compdef hookshot

_hookshot() {
    local line kind value program=${words[1]-hookshot}
    local -a described files folders homely
    program=${program/#\~\//$HOME/}
    whence -p -- $program >/dev/null || program=hookshot
    if ! whence -p -- $program >/dev/null; then
        compadd -- @WORDS@
        return
    fi
    for line in "${(@f)$("$program" complete words "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}"; do
        kind=${line%%$'\t'*}
        line=${line#*$'\t'}
        value=${line%%$'\t'*}
        case $kind in
            w) described+=("${value//:/\\:}:${line#*$'\t'}") ;;
            # A tilde stays as it is; everything else is quoted as the line is.
            f) [[ $value == \~* ]] && homely+=("~${(q)value#\~}") || files+=("$value") ;;
            d) [[ $value == \~* ]] && homely+=("~${(q)value#\~}/") || folders+=("$value/") ;;
        esac
    done
    (( ! $#described )) || _describe -V hookshot described
    (( ! $#files )) || compadd -f -- $files
    (( ! $#folders )) || compadd -f -S '' -- $folders
    (( ! $#homely )) || compadd -Q -f -S '' -- $homely
}

if [ "$funcstack[1]" = "_hookshot" ]; then
    _hookshot "$@"
else
    compdef _hookshot hookshot
fi
"#;

const FISH: &str = r#"function __hookshot_candidates
    set -l before (commandline -opc)
    set -l current (commandline -ct)
    set -l program (string replace -r '^~/' "$HOME/" -- $before[1])
    type -q -- $program; or set program hookshot
    if not type -q -- $program
        string split ' ' -- '@WORDS@'
        return
    end
    for line in ($program complete words $before[2..-1] "$current" 2>/dev/null)
        set -l parts (string split \t -- $line)
        switch $parts[1]
            case d
                printf '%s/\n' $parts[2]
            case '*'
                printf '%s\t%s\n' $parts[2] $parts[3]
        end
    end
end

complete -c hookshot -f -k -a '(__hookshot_candidates)'
"#;

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  hookshot completions bash > /etc/bash_completion.d/hookshot\n  hookshot completions zsh > ~/.zfunc/_hookshot\n  hookshot completions fish > ~/.config/fish/completions/hookshot.fish"
)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub fn run(self, app: &App) -> Result<u8> {
        let asks = |script: &str| script.replace("@WORDS@", &every_word());
        let script = match self.shell {
            Shell::Bash => asks(BASH),
            Shell::Zsh => asks(ZSH),
            Shell::Fish => asks(FISH),
            _ => {
                let mut script = Vec::new();
                clap_complete::generate(self.shell, &mut shown(), "hookshot", &mut script);
                String::from_utf8(script)?
            }
        };
        app.output
            .report(&json!({ "completions": script }), || script.clone())?;
        Ok(0)
    }
}

/// The command line without what only hookshot itself calls.
fn shown() -> Command {
    let all = Arguments::command();
    let verbs = all.get_subcommands().filter(|verb| !verb.is_hide_set());
    Command::new("hookshot")
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .args(all.get_arguments().cloned())
        .subcommands(verbs.cloned())
}

/// Every verb and option, for a shell that does not find this program.
fn every_word() -> String {
    let all = shown();
    let names = all.get_subcommands().map(|verb| verb.get_name().to_owned());
    let arguments = all.get_subcommands().flat_map(Command::get_arguments);
    let options = all
        .get_arguments()
        .chain(arguments)
        .filter_map(Arg::get_long);
    let mut options: Vec<_> = options.map(|long| format!("--{long}")).collect();
    options.sort();
    options.dedup();
    names.chain(options).collect::<Vec<_>>().join(" ")
}

/// Answers a script: `line TEXT [PIECE]` or `words WORD...`, the last of which is still being written. `context` is asked for if
/// an archive has to be looked into.
pub fn answer(
    asked: &[String],
    choices: &Choices,
    home: Option<&str>,
    context: &dyn Fn() -> Option<Context>,
) -> String {
    let (words, kept) = match asked {
        [how, line, piece @ ..] if how == "line" => {
            let (words, raw) = split(line);
            // The shell replaces no more than this piece of the word.
            let piece = piece.first().map_or(raw.as_str(), String::as_str);
            let kept = raw.strip_suffix(piece).unwrap_or_default().to_owned();
            (words.into_iter().skip(1).collect(), kept)
        }
        [how, words @ ..] if how == "words" => (words.to_vec(), String::new()),
        _ => return String::new(),
    };
    let Some((current, before)) = words.split_last() else {
        return String::new();
    };
    let asking = Asking {
        choices: choices.clone(),
        home,
        context,
    };
    let found = asking.candidates(before, current);
    let line = |one: Candidate| {
        let value = one
            .value
            .strip_prefix(&kept)
            .unwrap_or(&one.value)
            .to_owned();
        let help = one.help.lines().next().unwrap_or_default().to_owned();
        format!("{}\t{value}\t{help}\n", one.kind)
    };
    found.into_iter().map(line).collect()
}

/// Splits a line as a shell does, quotes and backslashes apart; the last word, which may be empty, also as it is written.
fn split(line: &str) -> (Vec<String>, String) {
    let (mut words, mut word, mut raw) = (Vec::new(), String::new(), String::new());
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if quote.is_none() && character.is_whitespace() {
            if !raw.is_empty() {
                words.push(std::mem::take(&mut word));
                raw.clear();
            }
            continue;
        }
        raw.push(character);
        match (quote, character) {
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (None | Some('"'), '\\') => {
                let next = characters.next();
                raw.extend(next);
                word.extend(next);
            }
            _ => word.push(character),
        }
    }
    words.push(word);
    (words, raw)
}

struct Candidate {
    /// `w` a word, `f` a file, `d` a folder.
    kind: char,
    value: String,
    help: String,
}

impl Candidate {
    fn word(value: impl Into<String>, help: impl ToString) -> Candidate {
        Candidate {
            kind: 'w',
            value: value.into(),
            help: help.to_string(),
        }
    }
}

/// The kind of files that are meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Files {
    Archives,
    Any,
    None,
}

struct Asking<'a> {
    choices: Choices,
    /// The folder that `~` stands for.
    home: Option<&'a str>,
    context: &'a dyn Fn() -> Option<Context>,
}

impl Asking<'_> {
    fn candidates(mut self, before: &[String], current: &str) -> Vec<Candidate> {
        let mut root = Arguments::command();
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

    /// Takes notice of an option that says where the configuration is.
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
    ) -> Vec<Candidate> {
        let possible = argument.get_possible_values();
        if !possible.is_empty() {
            let shown = possible.iter().filter(|value| !value.is_hide_set());
            let word = |value: &clap::builder::PossibleValue| {
                let help = value.get_help().map(ToString::to_string);
                Candidate::word(value.get_name(), help.unwrap_or_default())
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

    /// Files or folders, and the destinations of the configuration.
    fn places(&self, current: &str, wanted: Files) -> Vec<Candidate> {
        let mut found = Vec::new();
        if current.is_empty() || current.starts_with('@') {
            found.extend(self.destinations(current, wanted));
        }
        if !current.starts_with('@') {
            found.extend(self.files(current, wanted));
        }
        found
    }

    fn destinations(&self, current: &str, wanted: Files) -> Vec<Candidate> {
        let Ok(settings) = Settings::load(&self.choices) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for (name, destination) in &settings.schema.destinations {
            let help = destination.address.to_string();
            found.push(Candidate::word(format!("@{name}"), &help));
            let within = format!("@{name}/");
            if wanted == Files::None || !current.starts_with(&format!("@{name}")) {
                continue;
            }
            found.push(Candidate::word(
                format!("{within}latest"),
                "the newest good archive",
            ));
            if let Address::Folder(folder) = &destination.address {
                let folder = tidy(&folder_of(&settings.config).join(folder));
                let archives = names(&folder)
                    .into_iter()
                    .filter(|(name, _)| is_archive(name));
                let word = |(name, _)| Candidate::word(format!("{within}{name}"), "");
                found.extend(archives.map(word));
            }
        }
        found
    }

    /// Entries of an archive that is a file here, as far as the next `/`; without one, the sources of the configuration.
    fn entries(&self, archive: Option<&str>, current: &str) -> Vec<Candidate> {
        let Some(archive) = archive else {
            let settings = Settings::load(&self.choices);
            let sources = settings
                .map(|settings| settings.sources)
                .unwrap_or_default();
            let word = |name: &dyn ToString| Candidate::word(name.to_string(), "");
            return sources.iter().map(|source| word(&source.name)).collect();
        };
        let path = self.expand(archive);
        if !path.is_file() {
            return Vec::new();
        }
        let manifest = (self.context)()
            .and_then(|context| ArchiveInput::File(path).manifest(&context).ok())
            .map(|manifest| manifest.to_json());
        let files = manifest
            .as_ref()
            .and_then(|manifest| manifest["files"].as_object());
        let names = files.into_iter().flat_map(|files| files.keys());
        let mut found: Vec<String> = names
            .filter_map(|name| {
                let rest = name.strip_prefix(current)?;
                let end = rest.find('/').unwrap_or(rest.len());
                Some(name[..current.len() + end].to_owned())
            })
            .collect();
        found.sort();
        found.dedup();
        found
            .into_iter()
            .map(|name| Candidate::word(name, ""))
            .collect()
    }

    /// A path as the shell would give it.
    fn expand(&self, word: &str) -> PathBuf {
        match (word.strip_prefix("~/"), self.home) {
            (Some(rest), Some(home)) => Path::new(home).join(rest),
            _ => PathBuf::from(word),
        }
    }

    /// Folders, and files of a kind, that a word may become.
    fn files(&self, current: &str, wanted: Files) -> Vec<Candidate> {
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
        let candidate = |(name, is_folder): &(String, bool)| Candidate {
            kind: if *is_folder { 'd' } else { 'f' },
            value: format!("{folder}{name}"),
            help: String::new(),
        };
        let found: Vec<_> = all
            .iter()
            .filter(|(name, is_folder)| *is_folder || is_wanted(name))
            .map(candidate)
            .collect();
        // An archive may have any name: without one that looks so, everything is offered.
        if found.is_empty() && wanted == Files::Archives {
            return all.iter().map(candidate).collect();
        }
        found
    }
}

fn takes_value(option: &Arg) -> bool {
    matches!(option.get_action(), ArgAction::Set | ArgAction::Append)
}

/// The option that a word names, `-c` or `--config`; of several letters, `-qc`, the last one.
fn option<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let mut all = command.get_arguments();
    match word.strip_prefix("--") {
        Some(long) => all.find(|option| {
            option.get_long() == Some(long)
                || option
                    .get_all_aliases()
                    .is_some_and(|aliases| aliases.contains(&long))
        }),
        None => {
            let letter = word.chars().next_back();
            all.find(|option| option.get_short().is_some() && option.get_short() == letter)
        }
    }
}

fn options(command: &Command, current: &str) -> Vec<Candidate> {
    let shown = command
        .get_arguments()
        .filter(|option| !option.is_hide_set());
    let mut found = Vec::new();
    for option in shown {
        let help = option
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        if let Some(long) = option.get_long() {
            found.push(Candidate::word(format!("--{long}"), &help));
        }
        if let Some(short) = option.get_short().filter(|_| !current.starts_with("--")) {
            found.push(Candidate::word(format!("-{short}"), &help));
        }
    }
    found
}

/// The verbs of a command; their aliases once something is written that begins like one.
fn verbs(command: &Command, current: &str) -> Vec<Candidate> {
    let shown = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    let mut found = Vec::new();
    for verb in shown {
        let help = verb
            .get_about()
            .map(ToString::to_string)
            .unwrap_or_default();
        found.push(Candidate::word(verb.get_name(), &help));
        if !current.is_empty() {
            found.extend(
                verb.get_all_aliases()
                    .map(|alias| Candidate::word(alias, &help)),
            );
        }
    }
    found
}

/// The argument without a name that comes after `count` others.
fn positional(command: &Command, count: usize) -> Option<&Arg> {
    let mut all: Vec<&Arg> = command.get_positionals().collect();
    all.sort_by_key(|argument| argument.get_index());
    let last = all.last().filter(|last| {
        let several = last
            .get_num_args()
            .is_some_and(|range| range.max_values() > 1);
        several || matches!(last.get_action(), ArgAction::Append)
    });
    all.get(count).or(last).copied()
}

fn is_archive(name: &str) -> bool {
    [".tar.gz", ".tgz", ".tar"]
        .iter()
        .any(|end| name.ends_with(end))
}

/// The names in a folder, each with true for a folder; of a folder that cannot be read, none.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_as_a_shell_does() {
        for (line, words, raw) in [
            ("hookshot ", &["hookshot", ""][..], ""),
            ("hookshot ver", &["hookshot", "ver"], "ver"),
            ("h verify my\\ a", &["h", "verify", "my a"], "my\\ a"),
            ("h verify 'my a", &["h", "verify", "my a"], "'my a"),
            ("h \"a \\\"b\" c", &["h", "a \"b", "c"], "c"),
            ("h ''  x", &["h", "", "x"], "x"),
            ("", &[""], ""),
        ] {
            let (found, end) = split(line);
            assert_eq!(found, words, "{line}");
            assert_eq!(end, raw, "{line}");
        }
    }
}
