//! Completions: what bash, zsh and fish offer in a folder with archives, and what they leave out.

use crate::terminal::has;
use support::Machine;

use std::{fs, process::Command};

/// A machine with an archive, a folder, and a file that is none, in the current folder; and a destination that has another.
fn machine() -> Machine {
    let machine = Machine::new();
    let more = format!(
        "[backup.destinations.offsite]\nurl = \"{}\"\n[backup.destinations.bucket]\nurl = \"s3://bucket/prefix\"\n",
        machine.path("kept").display()
    );
    machine.write("etc/config.toml", machine.config_text(&more), 0o644);
    machine.export("my state.tar.gz");
    fs::write(machine.path("out/notes.txt"), "x").expect("written");
    fs::create_dir(machine.path("out/folder")).expect("a folder");
    fs::create_dir(machine.path("kept")).expect("a folder");
    fs::copy(
        machine.path("out/my state.tar.gz"),
        machine.path("kept/hookshot-state-20260101-000000.tar.gz"),
    )
    .expect("copied");
    machine
}

/// Returns the output of a script that runs in the current folder, with hookshot first in PATH.
fn said(machine: &Machine, shell: &[&str], script: &str) -> Vec<String> {
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_hookshot"));
    let folder = binary.parent().expect("a folder").display();
    let path = std::env::var("PATH").expect("a path");
    let output = Command::new(shell[0])
        .args(&shell[1..])
        .arg(script)
        .env("PATH", format!("{folder}:{path}"))
        .env("HOOKSHOT_CONFIG", machine.path("etc/config.toml"))
        .env("HOME", machine.path(""))
        .env("TMPDIR", machine.path("tmp"))
        .current_dir(machine.path("out"))
        .output()
        .expect("a shell");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.is_empty(), "{errors}");
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(str::to_owned).collect()
}

/// Lines of the command line with all that is offered.
fn cases() -> [(&'static str, &'static [&'static str]); 22] {
    [
        ("ls --lo", &["--log-format", "--long"]),
        (
            "show ",
            &["@bucket", "@offsite", "folder", "my state.tar.gz"],
        ),
        ("forget --keep-l", &["--keep-last"]),
        ("sh", &["show"]),
        ("verify m", &["my state.tar.gz"]),
        ("verify -- m", &["my state.tar.gz"]),
        ("verify 'my state.tar.gz' fo", &["folder"]),
        ("verify @", &["@bucket", "@offsite"]),
        (
            "inspect @offsite",
            &[
                "@offsite",
                "@offsite/hookshot-state-20260101-000000.tar.gz",
                "@offsite/latest",
            ],
        ),
        ("list @", &["@bucket", "@offsite"]),
        ("list fo", &["folder"]),
        (
            "copy ~/kept/",
            &["~/kept/hookshot-state-20260101-000000.tar.gz"],
        ),
        ("man ex", &["export", "extract"]),
        (
            "completions ",
            &["bash", "elvish", "fish", "powershell", "zsh"],
        ),
        (
            "import 'my state.tar.gz' --only s",
            &["secrets", "services.toml", "state.redb"],
        ),
        ("extract 'my state.tar.gz' co", &["config.toml"]),
        ("import --except se", &["secrets", "services.toml"]),
        ("export --snapshot r", &["reflink"]),
        ("prune s", &["simulate"]),
        ("keep --until ", &[]),
        ("export --tag ", &[]),
        ("gu", &[]),
    ]
}

fn sorted(mut words: Vec<String>) -> Vec<String> {
    words.sort();
    words
}

#[test]
fn bash_offers_aliases_archives_destinations_verbs_and_entries() {
    let machine = machine();
    for (line, offered) in cases() {
        // As readline calls it; the pieces of a line with `@` or `=` are tried in the next test.
        let script = "source <(hookshot completions bash); COMP_LINE=$1; COMP_POINT=${#1}; COMP_WORDS=($1); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); \
             _hookshot hookshot \"${1##* }\"; [[ ${#COMPREPLY[@]} = 0 ]] || printf '%s\\n' \"${COMPREPLY[@]}\"";
        let line = format!("hookshot {line}");
        let script = format!("set -- \"{line}\"; {script}");
        let found = said(&machine, &["bash", "--norc", "-c"], &script);
        assert_eq!(sorted(found), offered, "{line}");
    }
}

#[test]
fn bash_replaces_no_more_than_the_piece_that_it_asks_for() {
    let machine = machine();
    for (line, piece, offered) in [
        ("hookshot verify @off", "off", "offsite"),
        ("hookshot verify @offsite/l", "offsite/l", "offsite/latest"),
        ("hookshot --color=al", "al", "always"),
        ("hookshot --color=al", "--color=al", "--color=always"),
        ("hookshot verify my\\ s", "my\\ s", "my state.tar.gz"),
        ("hookshot verify 'my s", "my s", "my state.tar.gz"),
    ] {
        let script = format!(
            "source <(hookshot completions bash); COMP_LINE=\"{line}\"; COMP_POINT=${{#COMP_LINE}}; _hookshot hookshot \"{piece}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        let found = said(&machine, &["bash", "--norc", "-c"], &script);
        assert!(
            found.contains(&offered.to_owned()),
            "{line} {piece}: {found:?}"
        );
    }
    // Without readline's variables, and without the program, there is an answer too.
    let script = "source <(hookshot completions bash); COMP_WORDS=(hookshot ls --lo); COMP_CWORD=2; _hookshot; echo \"${COMPREPLY[@]}\"; \
                  builtin_path=$PATH; PATH=/nowhere; COMP_WORDS=(hookshot rollb); COMP_CWORD=1; _hookshot; echo \"${COMPREPLY[@]}\"";
    let found = said(&machine, &["bash", "--norc", "-c"], script);
    assert_eq!(found, ["--long --log-format", "rollback"]);
}

#[test]
fn zsh_offers_the_same() {
    if !has("zsh") {
        return;
    }
    let machine = machine();
    for (line, offered) in cases() {
        // The builtins of a completion are replaced by functions that print what they get.
        let script = format!(
            "compdef() {{ :; }}; source <(hookshot completions zsh); _describe() {{ print -r -l -- ${{${{(P)3}}%%:*}} }}; \
             compadd() {{ while [[ $1 != -- ]]; do shift; done; shift; print -r -l -- ${{${{(Q)@}}%/}} }}; \
             words=(hookshot {line}''); CURRENT=$#words; PREFIX=${{(Q)words[-1]}}; _hookshot || true"
        );
        let found = said(&machine, &["zsh", "-fc"], &script);
        // A tilde is the shell's.
        let home = machine.path("").display().to_string();
        let found = found
            .into_iter()
            .map(|word| word.replace(&home, "~/"))
            .collect();
        if line.contains('~') {
            continue;
        }
        assert_eq!(sorted(found), offered, "{line}");
    }
}

#[test]
fn fish_offers_the_same() {
    if !has("fish") {
        return;
    }
    let machine = machine();
    for (line, offered) in cases() {
        let script = format!(
            "hookshot completions fish | source; complete -C \"hookshot {line}\" | string replace -r '\\t.*' '' | string replace -r '/$' ''"
        );
        let found = said(
            &machine,
            &["fish", "--no-config", "--private", "-c"],
            &script,
        );
        assert_eq!(sorted(found), offered, "{line}");
    }
}

#[test]
fn a_completion_changes_nothing_and_is_silent_about_what_is_wrong() {
    let machine = machine();
    machine.write("etc/config.toml", "[backup\n", 0o600);
    let before = machine.state();
    for words in [
        &["verify", "@"][..],
        &["import", "notes.txt", "--only", ""],
        &["import", "/nowhere", "--only", ""],
        &["--no-such-option=x", "nothing", ""],
        &["verify", "/proc/self/fd/9/"],
        &[],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_hookshot"))
            .args(["complete", "words"])
            .args(words)
            .env("HOOKSHOT_CONFIG", machine.path("etc/config.toml"))
            .current_dir(machine.path("out"))
            .output()
            .expect("it");
        assert!(
            output.stderr.is_empty() && output.stdout.is_empty(),
            "{words:?}"
        );
    }
    assert!(machine.state() == before);
}
