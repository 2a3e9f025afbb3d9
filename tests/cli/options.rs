//! The tables of verbs and options in docs/cli.md and docs/cli/ are made from the command line itself.
//!
//! A comment `<!-- options of `hookshot VERB` -->` or `<!-- verbs -->` begins a table and `<!-- end -->` ends it. With HOOKSHOT_WRITE_DOCS=1 the test
//! writes what it otherwise compares: `HOOKSHOT_WRITE_DOCS=1 cargo nextest run --test cli -E 'test(option_tables)'`.

use clap::{Arg, Command};

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const BEGIN: &str = "<!-- options of `";
const VERBS: &str = "<!-- verbs -->";
const END: &str = "<!-- end -->";

#[test]
fn the_option_tables_of_the_documents_are_those_of_the_command_line() {
    let mut hookshot = hookshot::cli::command();
    hookshot.build();
    let writes = std::env::var_os("HOOKSHOT_WRITE_DOCS").is_some();
    let mut found = BTreeSet::new();
    let mut stale = Vec::new();
    for page in pages() {
        let before = fs::read_to_string(&page).expect("a page");
        let after = renewed(&before, &hookshot, &mut found);
        if after != before {
            if writes {
                fs::write(&page, after).expect("written");
            } else {
                stale.push(page);
            }
        }
    }
    assert!(
        stale.is_empty(),
        "run this test with HOOKSHOT_WRITE_DOCS=1: {stale:?}"
    );
    let mut wanted = BTreeSet::new();
    names(&hookshot, "", &mut wanted);
    assert_eq!(found, wanted);
}

/// Returns docs/cli.md and the pages of docs/cli/.
fn pages() -> Vec<PathBuf> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut pages = vec![docs.join("cli.md")];
    for entry in fs::read_dir(docs.join("cli")).expect("docs/cli") {
        pages.push(entry.expect("an entry").path());
    }
    pages.sort();
    pages
}

/// Collects the names of `command` and of all that it has, but for those that are hidden.
fn names(command: &Command, above: &str, wanted: &mut BTreeSet<String>) {
    let name = format!("{above}{}", command.get_name());
    for verb in command.get_subcommands() {
        if !verb.is_hide_set() && verb.get_name() != "help" {
            names(verb, &format!("{name} "), wanted);
        }
    }
    wanted.insert(name);
}

/// Returns the page with every table made anew.
fn renewed(page: &str, hookshot: &Command, found: &mut BTreeSet<String>) -> String {
    let mut out = String::new();
    let mut is_table = false;
    for line in page.split_inclusive('\n') {
        let words = line.trim_end();
        if let Some(name) = words
            .strip_prefix(BEGIN)
            .and_then(|rest| rest.strip_suffix("` -->"))
        {
            is_table = true;
            out.push_str(line);
            out.push_str(&table(find(hookshot, name)));
            assert!(found.insert(name.to_owned()), "{name} has two tables");
        } else if words == VERBS {
            is_table = true;
            out.push_str(line);
            out.push_str(&verbs(hookshot));
        } else if words == END {
            is_table = false;
        }
        if !is_table {
            out.push_str(line);
        }
    }
    out
}

/// Returns a row for each verb, with its aliases.
fn verbs(hookshot: &Command) -> String {
    let mut out = "\n| verb | what it does |\n|---|---|\n".to_owned();
    let shown = hookshot
        .get_subcommands()
        .filter(|verb| !verb.is_hide_set());
    for verb in shown.filter(|verb| verb.get_name() != "help") {
        let name = verb.get_name();
        let aliases = verb.get_all_aliases();
        let aliases: String = aliases.map(|alias| format!(", `{alias}`")).collect();
        let about = verb.get_about().expect("every verb says what it does");
        out.push_str(&format!(
            "| [`{name}`](cli/{name}.md){aliases} | {about} |\n"
        ));
    }
    out + "\n"
}

/// Finds the command that the words name, the program first.
fn find<'a>(hookshot: &'a Command, name: &str) -> &'a Command {
    name.split(' ').skip(1).fold(hookshot, |command, verb| {
        command
            .find_subcommand(verb)
            .unwrap_or_else(|| panic!("no verb is called {verb}"))
    })
}

/// Returns how `command` is used, and a row for each of its arguments. The program's own options are those of all verbs.
fn table(command: &Command) -> String {
    let is_program = command.get_name() == "hookshot";
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    let usage: Vec<_> = usage.lines().map(str::trim).collect();
    let mut out = format!("\n```text\n{}\n```\n", usage.join("\n"));
    let rows: Vec<_> = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set())
        .filter(|argument| argument.is_global_set() == is_program)
        .filter(|argument| !["help", "version"].contains(&argument.get_id().as_str()))
        .map(row)
        .collect();
    if rows.is_empty() {
        return out + "\n";
    }
    if is_program {
        out.push_str("\n| option | environment | meaning | default |\n|---|---|---|---|\n");
    } else {
        out.push_str("\n| argument | meaning | default |\n|---|---|---|\n");
    }
    for Row {
        name,
        variable,
        meaning,
        default,
    } in rows
    {
        let (variable, default) = match (is_program, variable.as_str()) {
            (true, variable) => (format!(" {variable} |"), default),
            (false, "") => (String::new(), default),
            (false, variable) => (String::new(), format!("{variable}, else {default}")),
        };
        out.push_str(&format!("| {name} |{variable} {meaning} | {default} |\n"));
    }
    out + "\n"
}

struct Row {
    name: String,
    variable: String,
    meaning: String,
    default: String,
}

/// Returns the row of an argument. Its help may end with `[env: NAME]` and `[default: WORDS]`.
fn row(argument: &Arg) -> Row {
    let help = argument.get_help().map(ToString::to_string);
    let help = help.unwrap_or_default().replace('|', "\\|");
    let (help, default) = last(&help, " [default: ");
    let (help, variable) = last(&help, " [env: ");
    let default = default.or_else(|| {
        let values = argument.get_default_values();
        let values: Vec<_> = values.iter().map(|value| value.to_string_lossy()).collect();
        (!values.is_empty() && argument.get_action().takes_values())
            .then(|| format!("`{}`", values.join(" ")))
    });
    let values: Vec<_> = argument
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    let mut meaning = help;
    if !values.is_empty() && argument.get_action().takes_values() {
        meaning.push_str(&format!(": {}", values.join(", ")));
    }
    Row {
        name: name(argument),
        variable: variable.map(|name| format!("`{name}`")).unwrap_or_default(),
        meaning,
        default: default.unwrap_or_default(),
    }
}

/// Splits `[KEY: WORDS]` off the end of a help text.
fn last(help: &str, key: &str) -> (String, Option<String>) {
    match help.split_once(key) {
        Some((before, rest)) => {
            let rest = rest.strip_suffix(']').unwrap_or(rest);
            (before.to_owned(), Some(rest.to_owned()))
        }
        None => (help.to_owned(), None),
    }
}

/// Returns how an argument is written: `-o`, `--output DIR`, or `ARCHIVE`.
fn name(argument: &Arg) -> String {
    let values = argument.get_value_names().unwrap_or_default();
    let values: Vec<_> = values.iter().map(ToString::to_string).collect();
    let values = values.join(" ");
    let Some(long) = argument.get_long() else {
        return format!("`{values}`");
    };
    let short = argument.get_short();
    let short = short
        .map(|short| format!("`-{short}`, "))
        .unwrap_or_default();
    if argument.get_action().takes_values() {
        format!("{short}`--{long} {values}`")
    } else {
        format!("{short}`--{long}`")
    }
}
