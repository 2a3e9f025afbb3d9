//! docs/coming-from.md: each command that it names is one of hookshot's, with these options.

use support::Machine;

/// Returns the commands in the second columns of the document's tables.
fn commands() -> Vec<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/coming-from.md");
    let text = std::fs::read_to_string(path).expect("the document");
    let rows = text
        .lines()
        .filter(|line| line.starts_with("| `") || line.starts_with("| a"));
    let cells = rows.filter_map(|row| row.split(" | ").nth(1).map(str::to_owned));
    let words = cells.flat_map(|cell| {
        let words = cell.split('`').skip(1).step_by(2);
        words.map(str::to_owned).collect::<Vec<_>>()
    });
    words.collect()
}

#[test]
fn every_command_for_those_that_come_from_other_tools_is_there() {
    let machine = Machine::empty();
    let commands = commands();
    assert!(commands.len() > 28, "{commands:#?}");
    for command in &commands {
        let words = command.split_whitespace();
        let words: Vec<&str> = words.take_while(|word| *word != "--").collect();
        assert_eq!(words[0], "hookshot", "{command}");
        // The options before it are read, and a wrong one is refused.
        let arguments = [&words[1..], &["--help"]].concat();
        let help = machine.run(&arguments).exits(0).text();
        assert!(
            help.contains(&format!("hookshot {}", verb(words[1]))),
            "{command}: {help}"
        );
        let wrong = [&words[1..], &["--nothing-like-it", "--help"]].concat();
        machine.run(&wrong).exits(2);
    }
}

/// Returns the verb that an alias stands for.
fn verb(word: &str) -> &str {
    match word {
        "ls" => "list",
        "show" => "inspect",
        "forget" => "prune",
        verb => verb,
    }
}

#[test]
fn the_words_of_other_tools_that_are_missing_are_said_to_be() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/coming-from.md");
    let text = std::fs::read_to_string(path).expect("the document");
    let missing = text.split("## What is missing").nth(1).expect("a section");
    for word in ["snapshot create", "/api/v1/backup"] {
        assert!(missing.contains(word), "{word}");
    }
}
