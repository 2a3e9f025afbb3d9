//! Messages of failures: the place, the cause, and the remedy.

use support::{self, Machine, Run, finish, is_root};

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    process::Command,
};

/// A service of a directory and a file, whose configuration is `sources` under `[backup]`.
fn configured(sources: &str) -> Machine {
    let machine = Machine::empty();
    machine.write(
        "etc/config.toml",
        format!("[backup]\nprefix = \"x\"\n{sources}"),
        0o600,
    );
    machine.write("data/f", "content\n", 0o640);
    machine
}

fn source(kind: &str, path: &str) -> String {
    format!("[[backup.sources]]\nname = \"s\"\nkind = \"{kind}\"\npath = \"{path}\"\n")
}

/// Fails unless `run` ends with `code` and says every one of `words`.
#[track_caller]
fn tells(run: Run, code: i32, words: &[&str]) {
    let said = format!("{}{}", run.text(), run.stderr);
    assert_eq!(run.code, code, "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
}

#[test]
fn what_only_a_shell_expands_is_refused_in_the_configuration() {
    let destination = |url: &str| format!("[backup.destinations.d]\nurl = \"{url}\"\n");
    let not_expanded = "is not expanded in the configuration: write the whole path";
    for (text, what) in [
        (source("directory", "~/data"), "`~`"),
        (source("file", "~app/data"), "`~app`"),
        (source("sqlite", "$HOME/app.db"), "`$HOME`"),
        (source("redb", "/home/${USER}/app.redb"), "`${USER}`"),
        (destination("~/backups"), "`~`"),
        (destination("$HOME/backups"), "`$HOME`"),
        ("[storage]\ndata_dir = \"~/data\"\n".to_owned(), "`~`"),
        (
            "[secrets]\nfile = \"$HOME/secrets\"\n".to_owned(),
            "`$HOME`",
        ),
    ] {
        let machine = configured(&text);
        tells(machine.run(&["validate"]), 2, &[what, not_expanded]);
        tells(
            machine.run(&["export", "a.tar.gz"]),
            2,
            &[what, not_expanded],
        );
        assert!(!machine.path("etc/~").exists());
    }
    // A folder that is really called so.
    let text = format!(
        "{}{}",
        source("directory", "../data"),
        destination("./~/backups")
    );
    let machine = configured(&text);
    machine.run(&["validate"]).exits(0);
}

#[test]
fn what_only_a_shell_expands_is_refused_on_the_command_line() {
    let machine = configured(&source("directory", "../data"));
    for verb in [
        ["export", "~/a.tar.gz"],
        ["export", "~/backups/"],
        ["export", "$HOME/backups/"],
        ["list", "~/backups"],
    ] {
        tells(
            machine.run(&verb),
            2,
            &["is not expanded", "write the whole path"],
        );
    }
    assert_eq!(machine.path("out").read_dir().expect("a folder").count(), 0);
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookshot"));
    command
        .args(["--config", "~/config.toml", "validate"])
        .current_dir(machine.path("out"));
    tells(finish(command, b""), 2, &["`~` is not expanded"]);
    tells(
        machine.run(&["verify", "~/a.tar.gz"]),
        2,
        &["`~` is not expanded", "without quotes"],
    );
}

#[test]
fn a_misspelt_key_is_named_and_not_called_missing() {
    for (text, says) in [
        (
            "[[backup.sources]]\nname = \"s\"\nknid = \"file\"\npath = \"/x\"\n",
            "did you mean `kind`?",
        ),
        (
            "[[backup.sources]]\nnmae = \"s\"\nkind = \"file\"\npath = \"/x\"\n",
            "did you mean `name`?",
        ),
        (
            "[[backup.sources]]\nname = \"s\"\nkind = \"file\"\npaht = \"/x\"\n",
            "did you mean `path`?",
        ),
        (
            "[[backup.sources]]\nname = \"s\"\nkind = \"command\"\nexprot = \"date\"\n",
            "did you mean `export`?",
        ),
        (
            "[backup.destinations.d]\nulr = \"/x\"\n",
            "did you mean `url`?",
        ),
    ] {
        let run = configured(text).run(&["validate"]);
        assert!(!run.stderr.contains("is missing"), "{}", run.stderr);
        tells(run, 2, &["unknown key", says]);
    }
    let run = configured("[[backup.sources]]\nname = \"s\"\npath = \"/x\"\n").run(&["validate"]);
    tells(run, 2, &["`kind` is missing under [backup.sources s]"]);
}

#[test]
fn a_byte_of_another_encoding_is_told_by_its_line() {
    let machine = configured("");
    machine.write(
        "etc/config.toml",
        b"[backup]\nprefix = \"x\"\napp = \"\xe4\"\n",
        0o600,
    );
    for verb in ["validate", "export"] {
        tells(
            machine.run(&[verb]),
            2,
            &["etc/config.toml is not UTF-8: line 3", "iconv"],
        );
    }
    machine.write("etc/config.toml", b"\xff\xfe[\0b\0]\0", 0o600);
    tells(machine.run(&["validate"]), 2, &["UTF-16"]);
}

#[test]
fn a_link_that_leads_to_nothing_is_called_one() {
    for kind in ["file", "directory", "sqlite", "redb"] {
        for slash in ["", "/"] {
            let machine = configured(&source("file", "../data/f"));
            let archive = machine.export("a.tar.gz");
            symlink("nowhere", machine.path("data/link")).expect("a link");
            let path = machine.path("data/link").display().to_string();
            let text = source(kind, &format!("{path}{slash}"));
            machine.write("etc/config.toml", format!("[backup]\n{text}"), 0o600);
            let says = [
                &*format!("{path} is a link to nowhere"),
                "is its disk mounted?",
            ];
            tells(machine.run(&["export", "b.tar.gz"]), 2, &says);
            tells(machine.run(&["import", &archive, "--dry-run"]), 2, &says);
            tells(machine.run(&["import", &archive]), 2, &says);
            tells(machine.run(&["validate"]), 0, &says[..1]);
        }
    }
    let machine = configured("");
    fs::remove_file(machine.path("etc/config.toml")).expect("removed");
    symlink("/nowhere/config.toml", machine.path("etc/config.toml")).expect("a link");
    for verb in ["validate", "export"] {
        tells(
            machine.run(&[verb]),
            2,
            &["etc/config.toml is a link to /nowhere/config.toml"],
        );
    }
}

#[test]
fn a_temporary_folder_that_cannot_be_used_is_named_with_its_variable() {
    let machine = configured(&source("directory", "../data"));
    let archive = machine.export("a.tar.gz");
    let without = |verb: &[&str]| {
        let mut command = machine.command();
        command.args(verb).env("TMPDIR", machine.path("nowhere"));
        finish(command, b"")
    };
    for verb in [
        ["export", "b.tar.gz"].as_slice(),
        &["diff", &archive],
        &["verify", "--deep", &archive],
    ] {
        tells(without(verb), 1, &["nowhere", "as TMPDIR says"]);
    }
    let deep = without(&["verify", "--deep", &archive]);
    let said = String::from_utf8_lossy(&deep.stdout);
    assert!(!said.contains("nothing is known"), "{said}");
    // An import stages beside the state, and so does its rehearsal then.
    without(&["import", &archive, "--dry-run"]).exits(0);
    if !is_root("a file system of its own for TMPDIR") {
        return;
    }
    machine.write("data/large", vec![7; 3 << 20], 0o600);
    let archive = machine.export("large.tar.gz");
    let full = support::Mounted::tmpfs(&machine.path("tmp"), "1m");
    machine.run(&["import", &archive, "--dry-run"]).exits(0);
    let other = Machine::new();
    let database = other.export("a.tar.gz");
    for verb in [
        ["extract", &archive, "config.toml", "-o", "-"].as_slice(),
        &["verify", "--deep", &database],
    ] {
        tells(
            machine.run(verb),
            18,
            &["not enough space", "as TMPDIR says"],
        );
    }
    drop(full);
}

#[test]
fn without_processes_nothing_is_replaced_and_archives_are_still_read() {
    let machine = configured(&source("directory", "../data"));
    let archive = machine.export("a.tar.gz");
    let binary = env!("CARGO_BIN_EXE_hookshot");
    let config = machine.path("etc/config.toml").display().to_string();
    let without = |verb: &str| {
        let mut command = Command::new("unshare");
        let script =
            format!("mount -t tmpfs tmpfs /proc && exec {binary} --config {config} {verb}");
        command
            .args(["-m", "sh", "-c", &script])
            .current_dir(machine.path("out"));
        finish(command, b"")
    };
    if !is_root("a namespace without /proc") {
        return;
    }
    for verb in ["export b/", &format!("import {archive}"), "rollback"] {
        tells(
            without(verb),
            1,
            &["/proc is not mounted", "mount -t proc proc /proc"],
        );
    }
    assert!(!machine.path("out/b").exists());
    without(&format!("verify {archive}")).exits(0);
    without(&format!("extract {archive} s -o taken")).exits(0);
    assert_eq!(machine.read("out/taken/s/f"), b"content\n");
}

#[test]
fn an_archive_that_cannot_be_read_is_not_called_bad() {
    let machine = configured(&source("directory", "../data"));
    machine.export("a.tar.gz");
    tells(
        machine.run(&["verify", "no.tar.gz"]),
        10,
        &["cannot be read, so nothing is known"],
    );
    let report = machine
        .run(&["verify", "a.tar.gz", "no.tar.gz", "--json"])
        .exits(10)
        .json();
    assert_eq!(report["archives"][0]["read"], true, "{report}");
    assert_eq!(report["archives"][1]["read"], false, "{report}");
    if !is_root("another user") {
        return;
    }
    let mode = |name: &str, mode| {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(machine.path(name), permissions).expect("a mode");
    };
    for name in ["", "out", "tmp"] {
        mode(name, 0o755);
    }
    // The folder of the program that is tested may be closed to another user.
    let program = machine.path("out/hookshot");
    fs::copy(env!("CARGO_BIN_EXE_hookshot"), &program).expect("copied");
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(program)
        .args(["verify", "a.tar.gz"])
        .current_dir(machine.path("out"));
    let run = finish(command, b"");
    assert!(!run.text().contains("NOT GOOD"), "{}", run.text());
    tells(run, 1, &["Permission denied", "cannot be read"]);
}

/// Changes to an archive on its way, each by a shell command that makes `b` of `a.tar.gz`.
#[test]
fn files_that_others_packed_are_named_as_what_they_are() {
    let machine = configured(&source("directory", "../data"));
    machine.export("a.tar.gz");
    for (make, code, words) in [
        ("gzip -dc a.tar.gz > b", 0, "plain tar"),
        (
            "mkdir u && tar xzf a.tar.gz -C u && tar cf b -C u $(ls u)",
            0,
            "plain tar",
        ),
        ("gzip -dc a.tar.gz | head -c 3000 > b", 13, "damaged tar"),
        (
            "echo 'a line' | gzip > b",
            13,
            "a gzip of something that is not a tar",
        ),
        (
            "seq 1000 | gzip > b",
            13,
            "a gzip of something that is not a tar",
        ),
        ("gzip < /dev/null > b", 13, "a gzip of nothing"),
        ("gzip -c a.tar.gz > b", 13, "gzip twice"),
        ("gzip -dc a.tar.gz | xz > b", 13, "packed with xz: `xz -dc"),
        ("gzip -dc a.tar.gz | bzip2 > b", 13, "packed with bzip2"),
        ("gzip -dc a.tar.gz | zstd -q > b", 13, "packed with zstd"),
        ("echo '<!DOCTYPE html><html>' > b", 13, "HTML"),
        ("echo '{\"error\":1}' > b", 13, "JSON"),
        ("head -c 5000 /dev/zero > b", 13, "zeros"),
        (
            "printf 'age-encryption.org/v1\\n' > b",
            13,
            "cannot be decrypted",
        ),
        ("printf 'PK\\003\\004xxxx' > b", 13, "a zip"),
        (
            "mkdir v && tar xzf a.tar.gz -C v && cd v/* && tar czf ../../b .",
            13,
            "no root folder",
        ),
        ("cd v/* && tar czf ../../b *", 13, "no root folder"),
        (
            "mkdir w && tar xzf a.tar.gz -C w && tar czf b -C w $(ls w)",
            0,
            "good",
        ),
    ] {
        let tool = make
            .split("| ")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        if let Some(tool) = tool
            && Command::new(tool).arg("--version").output().is_err()
        {
            assert!(
                std::env::var_os("HOOKSHOT_TESTS_COMPLETE").is_none(),
                "{tool} is missing"
            );
            println!("skipped: {tool} is missing");
            continue;
        }
        let status = Command::new("bash")
            .args(["-c", &format!("set -o pipefail; {make} || test $? = 141")])
            .current_dir(machine.path("out"))
            .status();
        assert!(status.expect("bash").success(), "{make}");
        let archive = machine.path("out/b").display().to_string();
        tells(machine.run(&["verify", &archive]), code, &[words]);
        let words = if words == "good" { "" } else { words };
        let bytes = machine.read("out/b");
        tells(machine.run_with(&["verify", "-"], &bytes), code, &[words]);
        tells(
            machine.run(&["import", &archive, "--dry-run"]),
            code,
            &[words],
        );
        fs::remove_file(archive).expect("removed");
    }
}

#[test]
fn a_hint_does_not_promise_that_force_overrides_what_it_does_not() {
    let machine = Machine::new();
    let sources = "[[backup.sources]]\nname = \"f\"\nkind = \"file\"\npath = \"../data/f\"\nactive_command = \"echo busy\"\n";
    machine.write("etc/config.toml", format!("[backup]\n{sources}"), 0o600);
    machine.write("data/f", "archived\n", 0o640);
    let archive = machine.export("a.tar.gz");
    machine.write("data/f", "here\n", 0o640);
    let run = machine.run(&["import", &archive]).exits(11);
    assert!(
        run.stderr.contains("all the same with --force"),
        "{}",
        run.stderr
    );
    assert!(!run.stderr.contains("does not suffice"), "{}", run.stderr);
    let file = fs::OpenOptions::new()
        .append(true)
        .open(machine.path("data/f"))
        .expect("open");
    let mut writer = Command::new("sleep")
        .arg("600")
        .stdin(file)
        .spawn()
        .expect("sleep");
    let run = machine.run(&["import", &archive]);
    writer.kill().expect("killed");
    writer.wait().expect("gone");
    tells(
        run,
        11,
        &[
            "f is in use",
            "is open in",
            "--force alone does not suffice",
            "stop the service first",
        ],
    );
}

#[test]
fn validate_tells_how_much_each_source_holds() {
    let command =
        "[[backup.sources]]\nname = \"dump\"\nkind = \"command\"\nexport = \"echo secret-word\"\n";
    let machine = configured(&format!("{}{command}", source("directory", "../data")));
    fs::create_dir(machine.path("data/deep")).expect("a folder");
    machine.write("data/deep/g", vec![1; 2000], 0o600);
    let shown = machine.path("data").display().to_string();
    let run = machine.run(&["validate"]).exits(0);
    let text = run.text();
    assert!(
        text.contains(&format!("s: directory {shown}, 2 files, 2.0 KiB")),
        "{text}"
    );
    assert!(
        text.contains("dump: command, and no import command takes it"),
        "{text}"
    );
    assert!(!text.contains("secret-word"), "{text}");
    let report = machine.run(&["validate", "--json"]).exits(0).json();
    assert_eq!(report["sources"][0]["files"], 2, "{report}");
    assert_eq!(report["sources"][0]["bytes"], 2008, "{report}");
    assert_eq!(report["sources"][1]["has_import"], false, "{report}");
}

#[test]
fn paths_are_shown_without_dots() {
    let machine = configured(&format!(
        "to = [\"d\"]\n{}[backup.destinations.d]\nurl = \"../backups\"\n",
        source("directory", "../data")
    ));
    fs::create_dir(machine.path("backups")).expect("a folder");
    let report = machine.run(&["export", "--json"]).exits(0).json();
    assert!(!report.to_string().contains(".."), "{report}");
    let listed = machine.run(&["list", "@d", "--json"]).exits(0).json();
    assert!(!listed.to_string().contains(".."), "{listed}");
    let archive = report["outputs"][0]["archive"].as_str().expect("a name");
    let inspected = machine.run(&["inspect", archive, "--json"]).exits(0).json();
    assert!(!inspected.to_string().contains("/../"), "{inspected}");
}

/// Returns what a terminal shows in the end of what was written to it: carriage returns, line feeds, cleared lines, and
/// the cursor one line up, which is all that bars use.
fn screen(written: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut row = 0;
    let mut column = 0;
    let mut rest = written;
    while let Some(next) = rest.chars().next() {
        if let Some(sequence) = rest.strip_prefix("\x1b[") {
            let end = sequence
                .find(|c: char| c.is_ascii_alphabetic())
                .expect("an end");
            match &sequence[..=end] {
                "2K" => lines[row].clear(),
                "K" | "0K" => lines[row] = lines[row].chars().take(column).collect(),
                "J" | "0J" => {
                    lines[row] = lines[row].chars().take(column).collect();
                    lines.truncate(row + 1);
                }
                up if up.ends_with('A') => row = row.saturating_sub(1),
                _ => {}
            }
            rest = &sequence[end + 1..];
            continue;
        }
        match next {
            '\r' => column = 0,
            '\n' => {
                row += 1;
                column = 0;
                lines.resize(lines.len().max(row + 1), String::new());
            }
            other => {
                let mut line: Vec<char> = lines[row].chars().collect();
                line.resize(line.len().max(column + 1), ' ');
                line[column] = other;
                lines[row] = line.into_iter().collect();
                column += 1;
            }
        }
        rest = &rest[next.len_utf8()..];
    }
    lines
}

#[test]
fn on_a_terminal_no_bar_stays_above_the_result() {
    let machine = configured(&source("file", "../data/large"));
    let mut noise = 1u64;
    let mut word = || {
        noise = noise
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        noise.to_le_bytes()
    };
    let large: Vec<u8> = (0..1 << 18).flat_map(|_| word()).collect();
    machine.write("data/large", large, 0o600);
    let archive = machine.export("a.tar.gz");
    let binary = env!("CARGO_BIN_EXE_hookshot");
    let config = machine.path("etc/config.toml").display().to_string();
    let mut drawn = 0;
    for verb in [
        format!("verify {archive}"),
        format!("inspect {archive}"),
        format!("extract {archive} s -o taken"),
        format!("diff {archive}"),
        format!("import {archive} --dry-run"),
        "export b.tar.gz".to_owned(),
        format!("verify {archive} missing.tar.gz"),
    ] {
        let mut command = Command::new("script");
        command
            .args([
                "-qec",
                &format!("stty cols 100; {binary} --config {config} {verb}"),
                "/dev/null",
            ])
            .env("TERM", "xterm")
            .env_remove("NO_COLOR")
            .current_dir(machine.path("out"));
        let Ok(output) = command.output() else {
            assert!(
                std::env::var_os("HOOKSHOT_TESTS_COMPLETE").is_none(),
                "script is missing"
            );
            println!("skipped: script is missing");
            return;
        };
        let written = String::from_utf8_lossy(&output.stdout);
        // The first piece of work draws a bar, however fast the rest is.
        drawn += usize::from(written.contains("B/s"));
        let shown = screen(&written);
        let bars: Vec<&String> = shown
            .iter()
            .filter(|line| line.contains("iB/s") || line.contains("░") || line.contains("█"))
            .collect();
        assert!(bars.is_empty(), "{verb}: {shown:#?}");
    }
    assert!(drawn > 2, "no bar was ever drawn: the test shows nothing");
}

#[test]
fn a_configuration_that_is_not_there_is_named_where_it_would_have_named_a_destination() {
    let machine = Machine::empty();
    for verb in [
        "list", "prune", "check", "export", "backup", "status", "drill",
    ] {
        let run = Command::new(env!("CARGO_BIN_EXE_hookshot"))
            .args(["--config", "/nowhere/config.toml", verb])
            .current_dir(machine.path("out"))
            .output()
            .expect("hookshot");
        let said = String::from_utf8_lossy(&run.stderr);
        assert_eq!(run.status.code(), Some(2), "{verb}: {said}");
        let expected = "no destination is named, and /nowhere/config.toml does not exist";
        assert!(said.contains(expected), "{verb}: {said}");
        assert!(said.contains("the right --config"), "{verb}: {said}");
    }
}

#[test]
fn a_configuration_that_is_not_there_names_those_in_folders_beside_it() {
    let machine = Machine::empty();
    fs::create_dir_all(machine.path("etc/shop")).expect("a folder");
    machine.write("etc/shop/config.toml", "[backup]\n", 0o600);
    let missing = machine.path("etc/config.toml").display().to_string();
    let other = machine.path("etc/shop/config.toml").display().to_string();
    let run = |config: &str| {
        let run = Command::new(env!("CARGO_BIN_EXE_hookshot"))
            .args(["--config", config, "backup"])
            .output()
            .expect("hookshot");
        assert_eq!(run.status.code(), Some(2));
        String::from_utf8_lossy(&run.stderr).into_owned()
    };
    let said = run(&missing);
    assert!(
        said.contains(&format!("the right --config; there is {other}")),
        "{said}"
    );
    let said = run(&other);
    assert!(said.contains(&format!("{other} configures none")), "{said}");
}

#[test]
fn too_few_open_files_are_no_damage() {
    let machine = Machine::new();
    let archive = machine.export("whole.tar.gz");
    let config = machine.path("etc/config.toml").display().to_string();
    let data = machine.path("data").display().to_string();
    let mut failures = 0;
    for verb in ["export few.tar.gz", &format!("import --dry-run {archive}")] {
        for most in 7..16 {
            let script = format!(
                "ulimit -n {most}; exec {} --config {config} --data-dir {data} {verb}",
                env!("CARGO_BIN_EXE_hookshot")
            );
            let mut command = Command::new("bash");
            command
                .args(["-c", &script])
                .current_dir(machine.path("out"));
            let run = command.output().expect("bash");
            let said = String::from_utf8_lossy(&run.stderr);
            if run.status.success() {
                continue;
            }
            failures += 1;
            assert_eq!(run.status.code(), Some(1), "{most}: {said}");
            assert!(said.contains("Too many open files"), "{most}: {said}");
            assert!(said.contains("ulimit -n"), "{most}: {said}");
            assert!(!said.contains("damaged"), "{most}: {said}");
        }
    }
    assert!(
        failures > 2,
        "the limits were no limits: the test shows nothing"
    );
}

#[test]
fn an_unreadable_path_names_the_limit_and_not_the_user() {
    let machine = configured(&source("directory", "../data"));
    // Deeper than any path that a system call takes.
    let script = "n=$(printf 'x%.0s' $(seq 250)); for i in $(seq 18); do mkdir $n && cd $n; done; echo deep > f";
    let status = Command::new("bash")
        .args(["-c", script])
        .current_dir(machine.path("data"))
        .status();
    assert!(status.expect("bash").success());
    let run = machine.run(&["export", "a.tar.gz"]);
    let left = Command::new("rm")
        .arg("-rf")
        .arg(machine.path("data"))
        .status();
    assert!(left.expect("rm").success());
    assert!(!run.stderr.contains("run as a user"), "{}", run.stderr);
    tells(
        run,
        1,
        &[
            "is longer than 4095 bytes",
            "exclude what has a longer path",
        ],
    );
}

#[test]
fn a_key_of_another_kind_is_told_from_one_that_no_kind_has() {
    for (text, says) in [
        (
            format!("{}links = \"all\"\n", source("file", "../data/f")),
            "`links` under [backup.sources s] is a key of sources of the kind `directory`, and this one is of the kind `file`",
        ),
        (
            format!("{}export = \"date\"\n", source("directory", "../data")),
            "is a key of sources of the kind `command`, and this one is of the kind `directory`",
        ),
        (
            "[backup.destinations.d]\nurl = \"/x\"\nregion = \"eu\"\n".to_owned(),
            "`region` under [backup.destinations.d] is a key of destinations of the kind `s3`, and this one is of the kind `folder`",
        ),
        (
            "[backup.destinations.d]\nurl = \"s3://x\"\nmounted = true\n".to_owned(),
            "is a key of destinations of the kind `folder`, and this one is of the kind `s3`",
        ),
    ] {
        let run = configured(&text).run(&["validate"]);
        assert!(!run.stderr.contains("unknown key"), "{}", run.stderr);
        tells(run, 2, &[says]);
    }
}

#[test]
fn archives_that_lie_in_what_is_exported_are_warned_of() {
    let destination = |url: &str| format!("[backup.destinations.d]\nurl = \"{url}\"\n");
    let says = "the destination d, ";
    for (more, url, is_warned) in [
        ("", "../data/backups", true),
        ("", "../data", true),
        ("exclude = [\"/backups/\"]\n", "../data/backups", false),
        ("exclude = [\"*.tar.gz\"]\n", "../data/backups", false),
        ("", "../data-backups", false),
        ("", "../out", false),
    ] {
        let text = format!(
            "{}{more}{}",
            source("directory", "../data"),
            destination(url)
        );
        let run = configured(&text).run(&["validate"]).exits(0);
        let said = format!("{}{}", run.text(), run.stderr);
        assert_eq!(said.contains(says), is_warned, "{more} {url}: {said}");
        assert_eq!(
            said.contains("lies in the directory s"),
            is_warned,
            "{said}"
        );
    }
}

/// A disk that fails, a share without locks, and what refuses even root: each by the system call that says so.
#[test]
fn what_the_system_refuses_is_told_with_its_path_and_what_to_do() {
    let has_strace = Command::new("strace").arg("-V").output();
    if has_strace.is_err() {
        assert!(
            std::env::var_os("HOOKSHOT_TESTS_COMPLETE").is_none(),
            "this needs strace"
        );
        println!("skipped: this needs strace");
        return;
    }
    let machine = configured(&source("file", "../data/f"));
    let archive = machine.export("good.tar.gz");
    let file = machine.path("data/f").display().to_string();
    let folder = machine.path("etc").display().to_string();
    let refused = |calls: &str, error: &str, path: Option<&str>, verb: &[&str]| {
        let mut command = Command::new("strace");
        command.args(["-qq", "-f", "-o", "/dev/null"]);
        command.args(path.map(|path| ["-P", path]).into_iter().flatten());
        command.arg("-e").arg(format!("trace={calls}"));
        command
            .arg("-e")
            .arg(format!("inject={calls}:error={error}"));
        command.arg(env!("CARGO_BIN_EXE_hookshot"));
        command
            .arg("--config")
            .arg(machine.path("etc/config.toml"))
            .args(verb)
            .env("TMPDIR", machine.path("tmp"))
            .current_dir(machine.path("out"));
        finish(command, b"")
    };
    let run = refused("read,pread64", "EIO", Some(&file), &["export", "b.tar.gz"]);
    tells(run, 1, &[&file, "Input/output error", "look at `dmesg`"]);
    for verb in [["export", "b.tar.gz"], ["import", &archive]] {
        let run = refused("flock", "ENOLCK", None, &verb);
        let says = [&*folder, "No locks available", "on a local disk"];
        tells(run, 1, &says);
    }
    assert!(!machine.path("out/b.tar.gz").exists());

    // Root may not do this, and nothing is immutable.
    if !is_root("/proc and immutable files") {
        return;
    }
    let other = configured(&source("file", "/proc/1/f"));
    let run = other.run(&["import", &archive, "--dry-run", "--only", "s"]);
    assert!(!run.stderr.contains("immutable"), "{}", run.stderr);
    tells(run, 11, &["nothing can be made in /proc/1"]);
    let attribute = |change: &str| {
        let path = machine.path("out");
        let run = Command::new("chattr").arg(change).arg(path).output();
        run.is_ok_and(|run| run.status.success())
    };
    if !attribute("+i") {
        println!("skipped: the file system has no immutable files");
        return;
    }
    let run = machine.run(&["export", "b.tar.gz"]);
    let import = {
        let mut text = fs::read_to_string(machine.path("etc/config.toml")).expect("it");
        text = text.replace("../data/f", "../out/f");
        machine.write("etc/config.toml", text, 0o600);
        machine.run(&["import", &archive, "--dry-run", "--only", "s"])
    };
    assert!(attribute("-i"));
    tells(
        run,
        1,
        &["cannot write in", "Operation not permitted", "chattr -i"],
    );
    tells(import, 11, &["out is immutable", "chattr -i"]);
}

#[test]
fn a_folder_or_an_absent_file_in_the_folder_for_temporary_files_is_not_blamed_on_tmpdir() {
    let machine = Machine::new();
    let folder = machine.path("out");
    for verb in ["import", "inspect", "extract", "diff"] {
        for (word, says) in [
            (folder.clone(), "name one of the archives in it"),
            (folder.join(".tmp-absent"), "look at the path"),
        ] {
            let mut command = machine.command();
            command.arg(verb).arg(&word).env("TMPDIR", &folder);
            if verb == "extract" {
                command.arg("config.toml");
            }
            let run = finish(command, b"");
            assert!(!run.stderr.contains("TMPDIR"), "{}", run.stderr);
            assert!(run.stderr.contains(says), "{}", run.stderr);
            assert_ne!(run.code, 0);
        }
    }
}

#[test]
fn standard_input_that_gives_nothing_is_named_and_it_gives_one_archive_only() {
    let machine = Machine::new();
    for verb in ["verify", "inspect", "import"] {
        let run = machine.run_with(&[verb, "-"], b"");
        assert!(!run.stderr.contains("fetch it again"), "{}", run.stderr);
        tells(run, 13, &["nothing came on standard input"]);
    }
    for verb in ["verify", "diff"] {
        tells(
            machine.run_with(&[verb, "-", "-"], b""),
            2,
            &["named twice"],
        );
    }
}

#[test]
fn a_flag_given_twice_counts_once() {
    let machine = Machine::new();
    machine.run(&["-q", "-q", "validate"]).exits(0);
    machine.run(&["-q", "validate", "-q"]).exits(0);
    machine
        .run(&["--json", "validate", "--json"])
        .exits(0)
        .json();
}

#[test]
fn a_password_is_not_repeated_though_a_slash_is_in_it() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    for word in [
        "me:a/hunter2@host:x",
        "sftp:me:a/hunter2@host:x",
        "sftp://me:a/hunter2@host/x",
        "sftp://me:hunter2@host/x",
    ] {
        let map = format!("/srv={word}");
        for arguments in [
            &["list", word][..],
            &["check", word],
            &["export", word],
            &["import", &archive, "--map", &map],
            &["--json", "import", &archive, "--map", &map],
        ] {
            let run = machine.run(arguments).exits(2);
            let said = format!("{}{}", run.text(), run.stderr);
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
}

#[test]
fn one_faulty_destination_is_one_fault() {
    let machine = configured("to = [\"d\"]\n[backup.destinations.d]\nurl = \"https://store/x\"\n");
    let run = machine.run(&["validate"]).exits(2);
    assert!(
        !run.stderr.contains("names no destination"),
        "{}",
        run.stderr
    );
    let machine = Machine::new();
    tells(
        machine.run(&["list", "s3://bu\u{1b}[31mme"]),
        2,
        &["has no control characters"],
    );
}

#[test]
fn a_difference_of_texts_is_never_said_with_nothing() {
    let machine = Machine::new();
    let text = "[services.web]\nbranch = \"main\"\npassword = \"hunter2\"\n";
    machine.write("etc/services.toml", text, 0o640);
    let archive = machine.export("a.tar.gz");
    for (now, says, not) in [
        (
            format!("{text}[services.two]\n"),
            "-services.two = {}",
            "only",
        ),
        (
            format!("{text}ports = []\n"),
            "-services.web.ports = []",
            "only",
        ),
        (
            format!("# of us\n{text}"),
            "only layout or comments differ",
            "---",
        ),
        (
            text.replace("hunter2", "hunter3"),
            "only values that are not shown differ",
            "---",
        ),
    ] {
        machine.write("etc/services.toml", &now, 0o640);
        let run = machine.run(&["diff", &archive, "--text"]).exits(1);
        let shown = run.text();
        assert!(shown.contains(says), "{now}: {shown}");
        assert!(
            !shown.contains(not) && !shown.contains("hunter"),
            "{now}: {shown}"
        );
    }
}

#[test]
fn a_check_counts_what_is_there_without_its_own_probe() {
    let machine = Machine::new();
    for count in ["0 objects", "1 object", "2 objects"] {
        let run = machine.run(&["check", "."]).exits(0);
        let shown = run.text();
        assert!(shown.contains(&format!("  {count}")), "{shown}");
        let name = format!("hookshot-state-2026010{}-000000.tar.gz", &count[..1]);
        machine.export(&name.replace("20260100", "20260109"));
    }
}
