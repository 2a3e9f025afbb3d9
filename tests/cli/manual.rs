//! The manual pages, the help, and the words for users of other programs and for odd places.

use crate::terminal::{has, in_terminal, output};
use support::Machine;

use std::{
    fs,
    process::{Command, Stdio},
};

use hookshot::error::Kind;

fn verbs(machine: &Machine) -> Vec<String> {
    let help = machine.run(&["--help"]).exits(0).text();
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    lines
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_manual_page_has_all_sections_and_no_fault() {
    let machine = Machine::empty();
    let verbs = verbs(&machine);
    assert!(verbs.len() > 16, "{verbs:?}");
    let calls = verbs
        .iter()
        .map(|verb| vec!["man", verb])
        .chain([vec!["man"]]);
    for call in calls {
        let page = machine.run(&call).exits(0).text();
        for section in [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "OPTIONS",
            "\"EXIT STATUS\"",
            "ENVIRONMENT",
            "FILES",
            "EXAMPLES",
            "\"SEE ALSO\"",
        ] {
            assert!(
                page.contains(&format!(".SH {section}\n")),
                "{call:?} {section}"
            );
        }
        let title = page
            .lines()
            .find(|line| line.starts_with(".TH "))
            .expect("a title");
        let date = title.split_whitespace().nth(3).expect("a date");
        chrono::NaiveDate::parse_from_str(date, "%Y-%m-%d").expect("a date");
        if has("mandoc") {
            let path = machine.path("page.1");
            fs::write(&path, &page).expect("written");
            let output = Command::new("mandoc")
                .arg("-Tlint")
                .arg(path)
                .output()
                .expect("mandoc");
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(
                output.status.success() && said.is_empty(),
                "{call:?}: {said}"
            );
        }
    }
    let page = |verb| machine.run(&["man", verb]).exits(0).text();
    assert_eq!(
        page("ls"),
        page("list"),
        "an alias has the page of its verb"
    );
    for verb in ["guard", "nonsense"] {
        machine.run(&["man", verb]).exits(2);
    }
}

#[test]
fn the_help_has_every_exit_code_whatever_the_width() {
    let machine = Machine::empty();
    let codes = [
        Kind::Failed,
        Kind::Usage,
        Kind::Partial,
        Kind::NotFound,
        Kind::Blocked,
        Kind::Refused,
        Kind::Version,
        Kind::Snapshot,
        Kind::Unproven,
        Kind::Space,
        Kind::RolledBack,
        Kind::Interrupted(1),
        Kind::Interrupted(2),
        Kind::Interrupted(15),
    ];
    for columns in ["60", "80", "200"] {
        let output = machine
            .command()
            .env("COLUMNS", columns)
            .arg("--help")
            .output()
            .expect("it");
        let text = String::from_utf8(output.stdout).expect("text");
        let list = &text[text.find("Exit codes: ").expect("a list")..];
        let list = &list[..list.find("\n\n").expect("an end")];
        let numbers: Vec<&str> = list.split(|next: char| !next.is_ascii_digit()).collect();
        for code in codes {
            assert!(
                numbers.contains(&code.code().to_string().as_str()),
                "{code:?}: {list}"
            );
        }
        // No line ends long before the width: it is wrapped once.
        let lines: Vec<&str> = list.lines().collect();
        let width: usize = columns.parse().expect("a number");
        for line in &lines[..lines.len() - 1] {
            assert!(line.len() + 25 > width.min(120), "{columns}: {list}");
        }
    }
}

#[test]
fn verbs_of_other_programs_lead_to_ours() {
    let machine = Machine::empty();
    for (word, ours) in [
        ("restore", "hookshot import"),
        ("create", "hookshot export"),
        ("Snapshots", "hookshot list"),
        ("health", "hookshot status"),
        ("remove", "hookshot delete"),
        ("undo", "hookshot rollback"),
        ("sync", "hookshot copy"),
        ("cat", "hookshot extract"),
        ("unlock", "no lock"),
    ] {
        machine.run(&[word]).exits(2).says(ours);
        let error = machine.run(&["--json", word]).exits(2).json();
        let message = error["error"]["message"].as_str().expect("text").to_owned();
        assert!(message.contains(ours), "{word}: {message}");
    }
    machine.run(&["exprot"]).exits(2).says("export");
}

#[test]
fn a_quiet_demo_says_nothing() {
    let machine = Machine::empty();
    let run = machine.run(&["-q", "demo"]).exits(0);
    assert_eq!((run.text().as_str(), run.stderr.as_str()), ("", ""));
}

#[test]
fn an_archive_from_a_terminal_is_waited_for_with_a_word() {
    let machine = Machine::new();
    let config = machine.path("etc/config.toml");
    for verb in [
        "verify -",
        "inspect -",
        "import - --dry-run",
        "diff -",
        "extract - config.toml",
    ] {
        let script = format!(
            "{} --config {} {verb}",
            env!("CARGO_BIN_EXE_hookshot"),
            config.display()
        );
        // Ctrl-D at the beginning of a line ends the input.
        let mut command = in_terminal(80, &script, &["TERM=xterm", "TYPED=\u{4}"]);
        let (text, code) = output(command.stdin(Stdio::null()));
        let text = text.replace("\r\n", " ");
        assert!(
            text.contains("Waiting for an archive on standard input"),
            "{verb}: {text}"
        );
        assert_eq!(code, Some(13), "{verb}: {text}");
    }
    // A pipe is not waited for with a word.
    let run = machine.run_with(&["verify", "-"], b"").exits(13);
    assert!(!run.stderr.contains("Waiting"), "{}", run.stderr);
}

#[test]
fn a_working_folder_that_was_removed_is_named_by_every_verb() {
    let machine = Machine::new();
    for words in [
        "export a.tar.gz",
        "export sub/",
        "verify a.tar.gz",
        "demo sub",
        "extract a.tar.gz x",
    ] {
        fs::create_dir(machine.path("out/gone")).expect("a folder");
        let script = format!(
            "cd gone && rmdir ../gone && exec {} --config {} {words}",
            env!("CARGO_BIN_EXE_hookshot"),
            machine.path("etc/config.toml").display()
        );
        let output = Command::new("sh")
            .args(["-c", &script])
            .current_dir(machine.path("out"))
            .output()
            .expect("sh");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{words}");
        assert!(
            said.contains("the working folder was removed"),
            "{words}: {said}"
        );
    }
    // What needs no folder works there.
    fs::create_dir(machine.path("out/gone")).expect("a folder");
    let archive = machine.export("a.tar.gz");
    let script = format!(
        "cd gone && rmdir ../gone && exec {} verify {archive}",
        env!("CARGO_BIN_EXE_hookshot")
    );
    let status = Command::new("sh")
        .args(["-c", &script])
        .current_dir(machine.path("out"))
        .status();
    assert!(status.expect("sh").success());
}

#[test]
fn a_path_among_the_views_of_the_kernel_is_named_as_such() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    for words in [
        &["extract", "-o", "/proc/x", &archive, "config.toml"][..],
        &["extract", "-o", "/proc/x/y", &archive, "config.toml"],
        &["extract", "-o", "/sys/x", &archive, "config.toml"],
        &["export", "/proc/x.tar.gz"],
        &["export", "/proc/x/"],
        &["export", "/sys/x/"],
        &["demo", "/proc/x"],
    ] {
        let run = machine.run(words).exits(1);
        assert!(
            run.stderr.contains("a view of the kernel"),
            "{words:?}: {}",
            run.stderr
        );
        assert!(!run.stderr.contains("space"), "{words:?}: {}", run.stderr);
    }
}
