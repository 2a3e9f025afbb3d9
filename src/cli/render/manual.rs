//! Manual pages, from what the command line says of itself.

use anyhow::Result;
use clap::{Arg, Command};
use serde_json::json;

use super::{
    printer::Printer,
    roff::{Roff, bold, escaped, sentence},
};
use crate::{
    cli::exit_codes,
    error::{Failure, Kind},
};

/// The day of the manual's last change, which is that of the release in a release. It is the same in every build.
const DATE: &str = "2026-11-29";

const ENVIRONMENT: [(&str, &str); 15] = [
    (
        "HOOKSHOT_CONFIG",
        "The service's configuration, unless --config names one.",
    ),
    (
        "HOOKSHOT_SERVICES",
        "The services file, unless --services names one.",
    ),
    (
        "HOOKSHOT_SECRETS",
        "The secrets file, unless --secrets names one.",
    ),
    (
        "HOOKSHOT_DATA_DIR",
        "The folder of state.redb, unless --data-dir names one.",
    ),
    (
        "HOOKSHOT_TO",
        "Destinations in place of [backup] to, separated by commas or blanks: names, URLs, or paths with a slash. It \
            counts if the command line names none.",
    ),
    (
        "HOOKSHOT_JSON, HOOKSHOT_QUIET, HOOKSHOT_NO_CACHE",
        "true or false: --json, --quiet and --no-cache.",
    ),
    ("HOOKSHOT_VERBOSE", "A number: --verbose that many times."),
    ("HOOKSHOT_THREADS", "The number of --threads."),
    (
        "HOOKSHOT_PROGRESS, HOOKSHOT_COLOR, HOOKSHOT_LOG_FORMAT",
        "The words of --progress, --color and --log-format. An option of the command line wins over its variable.",
    ),
    (
        "TMPDIR",
        "The folder for temporary files, /tmp by default. It needs room for the largest database, and 400 \
            bytes for each file of a large directory.",
    ),
    ("NO_COLOR", "Turns colour off if it is not empty."),
    (
        "CLICOLOR, CLICOLOR_FORCE, FORCE_COLOR",
        "Turn colour on or off if NO_COLOR does not.",
    ),
    (
        "TERM",
        "If it is dumb or not set, neither colour nor a progress bar is shown.",
    ),
    ("COLUMNS", "The most columns that the progress bar takes."),
    (
        "LC_ALL, LC_CTYPE, LANG",
        "In a locale of UTF-8 the bar is made of blocks.",
    ),
];

const FILES: [(&str, &str); 6] = [
    (
        "/etc/hookshot/config.toml",
        "The service's configuration; hookshot's own part of it is [backup].",
    ),
    (
        "/etc/hookshot/services.toml, /etc/hookshot/secrets",
        "The services and the secrets, beside the configuration unless it names other files.",
    ),
    ("/var/lib/hookshot/state.redb", "The service's database."),
    ("PREFIX-YYYYMMDD-HHMMSS.tar.gz", "An archive."),
    (
        "ARCHIVE.keep",
        "The mark of an archive that no policy removes.",
    ),
    (
        "FILE.bak",
        "The file that the last import replaced; rollback brings it back.",
    ),
];

/// Shows the page of hookshot or of one verb, and returns the exit code.
pub fn show(printer: &Printer, command: Command, verb: Option<&str>) -> Result<u8> {
    let page = page(command, verb)?;
    printer.report(&json!({ "man": page }), || page.clone())
}

fn page(mut root: Command, verb: Option<&str>) -> Result<String, Failure> {
    root.build();
    let Some(verb) = verb else {
        return Ok(Page::of(&root, &root));
    };
    let found = root
        .find_subcommand(verb)
        .filter(|verb| !verb.is_hide_set());
    match found {
        Some(command) => Ok(Page::of(&root, command)),
        None => Err(
            Failure::new(Kind::Usage, format!("no verb is called {verb:?}"))
                .hint("`hookshot --help` lists them"),
        ),
    }
}

fn verbs(command: &Command) -> impl Iterator<Item = &Command> {
    let shown = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    shown.filter(|verb| verb.get_name() != "help")
}

/// A page that is being written.
struct Page(Roff);

impl Page {
    fn of(root: &Command, command: &Command) -> String {
        let is_root = command.get_name() == root.get_name();
        let name = match is_root {
            true => "hookshot".to_owned(),
            false => format!("hookshot-{}", command.get_name()),
        };
        let mut page = Page(Roff::default());
        let title = escaped(&name.to_uppercase());
        let version = env!("CARGO_PKG_VERSION");
        page.0.raw(&format!(
            ".TH {title} 1 {DATE} \"hookshot {version}\" \"hookshot\"\n"
        ));
        page.0.section("NAME");
        page.0.text(&format!("{name} - {}", about(command)));
        page.0.section("SYNOPSIS");
        page.usage(command);
        page.0.section("DESCRIPTION");
        page.0.paragraphs(&description(command));
        if is_root {
            page.0.section("COMMANDS");
            for verb in verbs(root) {
                page.0.item(
                    &format!(
                        "\\fB{}\\fR(1)",
                        escaped(&format!("hookshot-{}", verb.get_name()))
                    ),
                    &about(verb),
                );
            }
        }
        page.options(command);
        for verb in verbs(command).filter(|_| !is_root) {
            page.0
                .section(&format!("{} {}", command.get_name(), verb.get_name()).to_uppercase());
            page.usage(verb);
            page.0.raw(".PP\n");
            page.0.paragraphs(&description(verb));
            page.arguments(verb, |argument| argument.get_help_heading().is_none());
        }
        page.0.section("EXIT STATUS");
        for (code, meaning) in exit_codes::ALL {
            page.0.item(&bold(code), &sentence(meaning));
        }
        page.0.section("ENVIRONMENT");
        for (variable, meaning) in ENVIRONMENT {
            page.0.item(&bold(variable), meaning);
        }
        page.0.text_after(
            "Destinations read the variables of their providers, AWS_ACCESS_KEY_ID and others.",
        );
        page.0.section("FILES");
        for (file, meaning) in FILES {
            page.0.item(&format!("\\fI{}\\fR", escaped(file)), meaning);
        }
        page.examples(command);
        page.0.section("SEE ALSO");
        let mut others: Vec<String> = verbs(root)
            .filter(|verb| verb.get_name() != command.get_name())
            .map(|verb| format!("hookshot-{}", verb.get_name()))
            .collect();
        if !is_root {
            others.insert(0, "hookshot".to_owned());
        }
        others.sort();
        let last = others.len().saturating_sub(1);
        for (at, other) in others.iter().enumerate() {
            let comma = if at == last { "" } else { "," };
            page.0.raw(&format!(".BR {} (1){comma}\n", escaped(other)));
        }
        page.0.finish()
    }

    fn usage(&mut self, command: &Command) {
        let usage = command.clone().render_usage().to_string();
        let lines = usage
            .lines()
            .map(|line| line.trim().trim_start_matches("Usage:").trim());
        for (at, line) in lines.filter(|line| !line.is_empty()).enumerate() {
            if at > 0 {
                self.0.raw(".br\n");
            }
            self.0.text(line);
        }
    }

    fn options(&mut self, command: &Command) {
        self.0.section("OPTIONS");
        self.arguments(command, |argument| argument.get_help_heading().is_none());
        let mut headings = Vec::new();
        let shown = command
            .get_arguments()
            .filter(|argument| !argument.is_hide_set());
        for heading in shown.filter_map(Arg::get_help_heading) {
            if !headings.contains(&heading) {
                headings.push(heading);
            }
        }
        for heading in headings {
            self.0.section(&heading.to_uppercase());
            self.arguments(command, |argument| {
                argument.get_help_heading() == Some(heading)
            });
        }
    }

    fn arguments(&mut self, command: &Command, is_wanted: impl Fn(&Arg) -> bool) {
        let shown = command
            .get_arguments()
            .filter(|argument| !argument.is_hide_set());
        let (positionals, options): (Vec<_>, Vec<_>) = shown
            .filter(|argument| is_wanted(argument))
            .partition(|argument| argument.is_positional());
        for argument in positionals.into_iter().chain(options) {
            let help = argument.get_long_help().or_else(|| argument.get_help());
            let mut help = help
                .map(|help| sentence(&help.to_string()))
                .unwrap_or_default();
            let values: Vec<_> = argument.get_possible_values();
            let values: Vec<_> = values.iter().filter(|value| !value.is_hide_set()).collect();
            let defaults = argument.get_default_values();
            if let Some(default) = defaults.first().filter(|_| takes_value(argument)) {
                help.push_str(&format!(" [default: {}]", default.to_string_lossy()));
            }
            self.0.item(&head(argument), &help);
            if values.is_empty() || !takes_value(argument) {
                continue;
            }
            self.0.raw(".RS\n");
            for value in values {
                let meaning = value.get_help().map(ToString::to_string);
                let meaning = meaning.unwrap_or_else(|| "One of the values.".to_owned());
                self.0.item(&bold(value.get_name()), &sentence(&meaning));
            }
            self.0.raw(".RE\n");
        }
    }

    /// Adds the examples of the help, as they are typed.
    fn examples(&mut self, command: &Command) {
        let help = command
            .get_after_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        let mut lines = help
            .lines()
            .skip_while(|line| *line != "Examples:")
            .skip(1)
            .peekable();
        let root = [
            "hookshot demo",
            "hookshot export /var/backups/hookshot/",
            "hookshot import state.tar.gz --dry-run",
        ];
        let lines: Vec<&str> = match lines.peek() {
            Some(_) => lines.map(str::trim).collect(),
            None => root.to_vec(),
        };
        self.0.section("EXAMPLES");
        self.0.raw(".nf\n");
        for line in lines {
            let (command, remark) = line.split_once("  #").unwrap_or((line, ""));
            if !remark.is_empty() {
                self.0.line(&escaped(&format!("# {}", remark.trim())));
            }
            self.0.line(&escaped(command.trim()));
        }
        self.0.raw(".fi\n");
    }
}

fn takes_value(argument: &Arg) -> bool {
    argument
        .get_num_args()
        .is_some_and(|range| range.takes_values())
}

/// Returns an option with its names and its value, or an argument.
fn head(argument: &Arg) -> String {
    let values = argument.get_value_names().unwrap_or_default();
    let mut values: Vec<String> = values
        .iter()
        .map(|name| format!("\\fI{}\\fR", escaped(name)))
        .collect();
    if values.is_empty() && argument.is_positional() {
        values.push(format!(
            "\\fI{}\\fR",
            escaped(&argument.get_id().as_str().to_uppercase())
        ));
    }
    let short = argument.get_short().map(|short| bold(&format!("-{short}")));
    let long = argument.get_long().map(|long| bold(&format!("--{long}")));
    let names: Vec<_> = short.into_iter().chain(long).collect();
    let mut head = names.join(", ");
    if takes_value(argument) {
        if !head.is_empty() {
            head.push(' ');
        }
        head.push_str(&values.join(" "));
    }
    head
}

fn about(command: &Command) -> String {
    let about = command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default();
    about.lines().next().unwrap_or_default().to_owned()
}

/// Returns the description of a verb: its first line as a sentence, then the rest of its long help.
fn description(command: &Command) -> String {
    let long = command.get_long_about().map(ToString::to_string);
    let long = long.unwrap_or_else(|| about(command));
    let short = about(command);
    let rest = long.strip_prefix(&short).unwrap_or(&long).trim();
    match rest {
        "" => sentence(&short),
        rest => format!("{}\n\n{rest}", sentence(&short)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_that_of_the_release_once_there_is_one() {
        let changes = include_str!("../../../CHANGELOG.md");
        let heading = format!("## {} - ", env!("CARGO_PKG_VERSION"));
        let line = changes.lines().find_map(|line| line.strip_prefix(&heading));
        let date = line.expect("the version has a heading");
        assert!(date == "unreleased" || date == DATE, "{date}");
        chrono::NaiveDate::parse_from_str(DATE, "%Y-%m-%d").expect("a date");
    }
}
