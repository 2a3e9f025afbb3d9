//! `repo init`: the password, the size of chunks, and the words that name a repository.

use support::{
    Machine, Run, finish,
    restic::{GUESSABLE, PASSWORD, Restic},
    vaults::{configure, machine, vault, with_vault},
};

use std::fs;

#[test]
fn init_makes_a_missing_password_that_restic_takes() {
    let machine = machine("");
    fs::remove_file(machine.path("etc/vault.key")).expect("removed");
    let made = machine.run(&["repo", "init", "@vault"]).exits(0);
    let path = machine.path("etc/vault.key");
    let text = made.text();
    assert!(text.contains(&path.display().to_string()), "{text}");
    assert!(text.contains("keep a copy elsewhere"), "{text}");
    assert_eq!(machine.mode("etc/vault.key"), 0o600);
    let password = String::from_utf8(machine.read("etc/vault.key")).expect("text");
    let digits = password.strip_suffix('\n').expect("a line");
    assert_eq!(digits.len(), 64, "32 bytes");
    assert!(digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert!(!format!("{text}{}", made.stderr).contains(digits));
    machine.run(&["export", "@vault"]).exits(0);
    if let Some(restic) = Restic::of_the_system() {
        let restic = restic.with_key(path);
        restic.run(&machine.path("vault"), &["check"]).exits(0);
    }
}

#[test]
fn init_twice_is_refused_and_makes_no_password() {
    let machine = with_vault("");
    let config = machine.read("vault/config");
    fs::remove_file(machine.path("etc/vault.key")).expect("removed");
    let again = machine.run(&["repo", "init", "@vault"]).exits(2);
    assert!(
        again.stderr.contains("has a repository already"),
        "{}",
        again.stderr
    );
    assert!(!machine.path("etc/vault.key").exists());
    assert_eq!(machine.read("vault/config"), config);
    // A password that is there is used as it is.
    machine.write("etc/vault.key", PASSWORD, 0o600);
    machine.run(&["repo", "check", "@vault"]).exits(0);
}

#[test]
fn a_password_is_not_made_for_a_folder_that_does_not_exist() {
    let machine = Machine::new();
    let text = vault(&machine, "").replace("file:vault.key", "file:keys/vault.key");
    configure(&machine, &text);
    let run = machine.run(&["repo", "init", "@vault"]).exits(1);
    assert!(run.stderr.contains("mkdir"), "{}", run.stderr);
    assert!(!machine.path("vault/config").exists());
}

#[track_caller]
fn chunk(machine: &Machine, arguments: &[&str]) -> (String, String) {
    drop(fs::remove_dir_all(machine.path("vault")));
    let all: Vec<&str> = ["repo", "init", "@vault", "--json"]
        .iter()
        .chain(arguments)
        .copied()
        .collect();
    let report = machine.run(&all).exits(0).json();
    let text = |key: &str| report[key].as_str().expect("text").to_owned();
    (text("chunk"), text("chunk_reason"))
}

#[test]
fn the_size_of_chunks_is_that_of_the_command_line_else_of_the_configuration_else_of_the_state() {
    let machine = machine("chunk = \"32 KiB\"\n");
    let (size, reason) = chunk(&machine, &["--chunk", "4KiB"]);
    assert_eq!((&*size, &*reason), ("4 KiB", "--chunk"));
    let (size, reason) = chunk(&machine, &[]);
    assert_eq!(size, "32 KiB");
    assert!(reason.contains("`chunk`"), "{reason}");
    configure(&machine, &vault(&machine, ""));
    let (size, reason) = chunk(&machine, &[]);
    assert_eq!(size, "8 KiB");
    assert!(reason.starts_with("the state has "), "{reason}");
    // Files with holes are as large as they say.
    for (bytes, expected) in [
        (300_u64 << 20, "16 KiB"),
        (2 << 30, "64 KiB"),
        (17 << 30, "content"),
    ] {
        let file = fs::File::create(machine.path("etc/secrets")).expect("a file");
        file.set_len(bytes).expect("a length");
        let (size, reason) = chunk(&machine, &[]);
        assert_eq!(size, expected, "{reason}");
    }
}

#[test]
fn without_a_state_chunks_are_small() {
    let machine = Machine::empty();
    let text = format!(
        "[backup]\ninclude_config = false\n[[backup.sources]]\nname = \"x.db\"\nkind = \"file\"\npath = \"{}\"\n{}",
        machine.path("nothing").display(),
        vault(&machine, "")
    );
    machine.write("etc/config.toml", text, 0o644);
    let (size, reason) = chunk(&machine, &[]);
    assert_eq!((&*size, &*reason), ("8 KiB", "the state cannot be read"));
}

#[test]
fn another_chunk_of_the_configuration_is_said_and_changes_nothing() {
    let machine = with_vault("");
    configure(&machine, &vault(&machine, "chunk = \"64 KiB\"\n"));
    let checked = machine.run(&["repo", "check", "@vault"]).exits(0);
    assert!(
        checked.text().contains("`chunk` asks for 64 KiB"),
        "{}",
        checked.text()
    );
    let report = machine.run(&["check", "@vault", "--json"]).exits(0).json();
    let all = report["destinations"][0]["capabilities"]
        .as_array()
        .expect("all");
    let found = all
        .iter()
        .find(|one| one["name"] == "repository")
        .expect("it");
    assert!(
        found["message"]
            .as_str()
            .expect("text")
            .contains("never changes"),
        "{found}"
    );
    let stats = machine
        .run(&["repo", "stats", "@vault", "--json"])
        .exits(0)
        .json();
    assert_eq!(stats["chunk"], "8 KiB", "{stats}");
}

#[test]
fn a_wrong_chunk_or_level_is_a_fault_of_the_configuration() {
    let machine = machine("");
    for (line, says) in [
        ("chunk = \"5 KiB\"", "power of two"),
        ("chunk = \"8 MiB\"", "power of two"),
        ("level = 0", "from 1 to 22"),
        ("level = \"3\"", "from 1 to 22"),
        ("append_only = 1", "true or false"),
    ] {
        configure(&machine, &vault(&machine, &format!("{line}\n")));
        machine.run(&["repo", "init", "@vault"]).exits(2).says(says);
    }
    // They are keys of repositories alone.
    let text = format!(
        "[backup.destinations.disk]\nurl = \"{}\"\nappend_only = true\n",
        machine.path("disk").display()
    );
    configure(&machine, &text);
    machine
        .run(&["check", "@disk"])
        .exits(2)
        .says("append_only");
    assert!(!machine.path("vault/config").exists());
}

/// Runs `hookshot` with variables of restic.
fn run_with(machine: &Machine, variables: &[(&str, &str)], arguments: &[&str]) -> Run {
    let mut command = machine.command();
    command.args(arguments).envs(variables.iter().copied());
    finish(command, b"")
}

#[test]
fn without_a_word_it_is_the_only_repository_else_that_of_restics_variable() {
    let machine = machine("");
    machine.run(&["repo", "init"]).exits(0);
    assert!(machine.path("vault/config").exists());
    // What is configured wins.
    let other = machine.path("other").display().to_string();
    let variables = [
        ("RESTIC_REPOSITORY", &*other),
        ("RESTIC_PASSWORD", GUESSABLE),
    ];
    run_with(&machine, &variables, &["repo", "check"]).exits(0);
    assert!(!machine.path("other").exists());
    configure(&machine, "");
    run_with(&machine, &variables, &["repo", "init"]).exits(0);
    assert!(machine.path("other/config").exists());
    let checked = run_with(&machine, &variables, &["repo", "check"]).exits(0);
    assert!(checked.text().contains("other"), "{}", checked.text());
    machine
        .run(&["repo", "check"])
        .exits(2)
        .says("RESTIC_REPOSITORY");
    let two = format!(
        "{}[backup.destinations.second]\nurl = \"restic:{other}\"\n",
        vault(&machine, "")
    );
    configure(&machine, &two);
    machine
        .run(&["repo", "check"])
        .exits(2)
        .says("@second, @vault");
}

#[test]
fn the_password_file_of_restics_variable_lies_where_restic_looks_for_it() {
    let machine = with_vault("");
    let url = format!("restic:{}", machine.path("vault").display());
    let mut command = machine.command();
    command
        .args(["repo", "check", &url])
        .current_dir(machine.path("etc"))
        .env("RESTIC_PASSWORD_FILE", "./vault.key");
    finish(command, b"").exits(0);
    let command = format!("echo {PASSWORD}");
    let variables = [("RESTIC_PASSWORD_COMMAND", &*command)];
    run_with(&machine, &variables, &["repo", "check", &url]).exits(0);
    machine.run(&["repo", "check", &url]).exits(12);
}

#[test]
fn a_wrong_password_is_the_failure_of_its_destination_alone() {
    let machine = with_vault("");
    let text = format!(
        "[backup]\nto = [\"vault\", \"disk\"]\n{}[backup.destinations.disk]\nurl = \"{}\"\n",
        vault(&machine, ""),
        machine.path("disk").display()
    );
    configure(&machine, &text);
    machine.run(&["backup"]).exits(0);
    for (key, others) in [("another\n", true), ("", false)] {
        match others {
            true => machine.write("etc/vault.key", key, 0o600),
            false => fs::remove_file(machine.path("etc/vault.key")).expect("removed"),
        }
        machine.put_deployment(&format!("new-{others}"), "finished");
        let report = machine.run(&["export", "--json"]);
        let exported = report.exits(17).json();
        let outputs = exported["outputs"].as_array().expect("two");
        let good = outputs.iter().filter(|output| output["good"] == true);
        assert_eq!(good.count(), 1, "{exported}");
        let before = support::archives_in(&machine.path("disk")).len();
        machine.run(&["backup"]).exits(17);
        assert_eq!(
            support::archives_in(&machine.path("disk")).len(),
            before + 1
        );
        // Alone, it has the code of a key.
        let code = if others { 12 } else { 2 };
        machine.run(&["export", "@vault"]).exits(code);
    }
}
