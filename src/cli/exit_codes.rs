//! The exit codes, for help and manual pages; docs/cli.md explains each.

/// Every code with its meaning, the numbers of one meaning together.
pub const ALL: [(&str, &str); 15] = [
    ("0", "done"),
    ("1", "failed (diff: something differs)"),
    ("2", "wrong usage or configuration"),
    ("3", "done in part (what is left undone is named)"),
    ("10", "not found"),
    ("11", "blocked"),
    ("12", "wrong or missing key"),
    ("13", "archive refused"),
    ("14", "version incompatible"),
    ("15", "no consistent snapshot"),
    ("17", "not proven by a destination"),
    ("18", "not enough space"),
    ("19", "not healthy"),
    ("20", "import failed and the old state is back"),
    ("129, 130 and 143", "interrupted (SIGHUP, SIGINT, SIGTERM)"),
];

/// Returns the end of the help.
pub fn help() -> String {
    let codes: Vec<_> = ALL
        .iter()
        .map(|(code, meaning)| format!("{code} {meaning}"))
        .collect();
    format!(
        "Exit codes: {}.\n\nSee it work: hookshot demo\n\
        An application of your own: hookshot init --source PATH --to URL\n\
        More: hookshot man VERB, or man hookshot-VERB; the Debian package has the documents in /usr/share/doc/hookshot",
        codes.join(", ")
    )
}
