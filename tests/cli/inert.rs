//! Output drives no terminal and forges no line, and output that cannot be written is a failure.

use support::{Machine, Run, clock, finish};

use std::{
    ffi::OsStr,
    fs::{self, File},
    os::unix::ffi::OsStrExt as _,
    process::{Command, Stdio},
};

/// A piece of a name that would clear the screen, ring, forge lines, and turn text around.
const EVIL: &str =
    "a\u{1b}[2J\u{7}\r\nERROR all is lost\nINFO forged \u{9b}31m \u{202e}\u{2066}\u{7f}";

/// Everything that a terminal obeys, but line feeds and tabs.
fn driving(text: &str) -> Vec<char> {
    let drives = |character: &char| {
        character.is_control() && !matches!(character, '\n' | '\t')
            || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().filter(drives).collect()
}

#[track_caller]
fn is_inert(run: &Run, what: &str) {
    for text in [&run.text(), &run.stderr] {
        assert_eq!(driving(text), Vec::<char>::new(), "{what}: {text:?}");
        for line in text.lines() {
            assert!(!line.starts_with("INFO forged"), "{what}: {text:?}");
            assert!(!line.starts_with("ERROR all"), "{what}: {text:?}");
        }
    }
}

#[test]
fn names_and_paths_forge_no_line_and_drive_no_terminal() {
    let machine = Machine::new();
    let good = machine.export("good.tar.gz");
    let bytes = fs::read(&good).expect("read");
    fs::create_dir(machine.path(EVIL)).expect("a folder");
    let here = machine.path(EVIL).join(format!("{EVIL}.tar.gz"));
    fs::write(&here, &bytes).expect("written");
    let damaged = machine.path(EVIL).join(format!("{EVIL}-damaged.tar.gz"));
    fs::write(&damaged, &bytes[..bytes.len() / 2]).expect("written");
    let tag = format!("{EVIL}={EVIL}");
    let tagged = machine.path("out").join("tagged.tar.gz");
    let tagged = tagged.to_str().expect("UTF-8");
    machine.run(&["export", tagged, "--tag", &tag]).exits(0);
    let folder = machine.path(EVIL).display().to_string();
    let (here, damaged) = (here.display().to_string(), damaged.display().to_string());
    let missing = format!("{folder}/nothing.tar.gz");
    let bucket = format!("s3://{EVIL}");
    let destination = format!("@{EVIL}");
    let folder_slash = format!("{folder}/");
    let calls: [&[&str]; 27] = [
        &["verify", &here],
        &["verify", &damaged],
        &["verify", &missing],
        &["verify", &folder],
        &["inspect", &here],
        &["inspect", tagged],
        &["diff", &here],
        &["diff", &missing],
        &["extract", &here, EVIL],
        &["extract", &here, "config.toml", "-o", &folder],
        &["import", &here, "--dry-run"],
        &["import", &here, "--root", &folder, "--dry-run"],
        &["list", &folder],
        &["list", &folder, "--long"],
        &["list", &bucket],
        &["list", &destination],
        &["prune", &folder, "--keep-last", "1", "--dry-run"],
        &["keep", &here],
        &["copy", &here, "copies"],
        &["copy", &folder, "copies"],
        &["check", &folder],
        &["check", &bucket],
        &["export", &folder_slash],
        &["init", "--data-dir", &folder],
        &["man", EVIL],
        &[EVIL],
        &["list", "--bogus", EVIL, EVIL],
    ];
    for call in calls {
        for more in [&[][..], &["--json"], &["--log-format", "json"], &["-vv"]] {
            let run = machine.run(&[call, more].concat());
            assert_ne!(run.code, 101, "{call:?}");
            is_inert(&run, &format!("{call:?} {more:?}"));
            if more.contains(&"--json") {
                run.json();
            }
        }
    }
    let inspected = machine.run(&["inspect", tagged, "--json"]).exits(0).json();
    assert_eq!(
        inspected["manifest"]["tags"][EVIL], EVIL,
        "JSON keeps the text"
    );
}

#[test]
fn what_commands_say_is_logged_line_by_line_and_inert() {
    let machine = Machine::new();
    let text = format!(
        "[backup]\n[[backup.sources]]\nname = \"c\"\nkind = \"command\"\nexport = \"\"\"printf 'INFO x\\\\n\\\\033[2Jy\\\\rz\\\\n' >&2; echo dump\"\"\"\nimport = \"cat\"\n{}",
        ""
    );
    machine.write("etc/config.toml", machine.config_text(&text), 0o600);
    let run = machine.run(&["export", "a.tar.gz"]).exits(0);
    is_inert(&run, "export");
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert!(lines.contains(&"WARN A command says: INFO x"), "{lines:?}");
    assert!(
        lines.contains(&"WARN A command says: \\u{1b}[2Jy\\rz"),
        "{lines:?}"
    );
}

#[test]
fn data_on_standard_output_stays_as_it_is() {
    let machine = Machine::new();
    let text = "# \u{1b}[2J\u{202e}\n[services.web]\nbranch = \"main\"\n";
    // TOML takes no control character, so the secrets file has them.
    machine.write("etc/secrets", text, 0o600);
    let path = machine.export("a.tar.gz");
    let run = machine
        .run(&["extract", &path, "secrets", "-o", "-"])
        .exits(0);
    assert_eq!(run.stdout, text.as_bytes());
}

/// Runs a shell line in which `$H` is hookshot for this machine.
fn shell(machine: &Machine, line: &str) -> Run {
    let mut command = Command::new("bash");
    let program = machine.command();
    let mut hookshot = program.get_program().to_os_string();
    for argument in program.get_args() {
        hookshot.push(" ");
        hookshot.push(argument);
    }
    command
        .args(["-o", "pipefail", "-c", line])
        .current_dir(machine.path("out"))
        .env("TMPDIR", machine.path("tmp"))
        .env("H", hookshot);
    finish(command, b"")
}

#[test]
fn a_closed_standard_output_is_a_failure_of_what_was_to_go_there() {
    let machine = Machine::new();
    machine.export("a.tar.gz");
    fs::create_dir(machine.path("out/b")).expect("a folder");
    fs::copy(machine.path("out/a.tar.gz"), machine.path("out/b/a.tar.gz")).expect("copied");
    for call in [
        "export -",
        "extract -o - a.tar.gz config.toml",
        "list b",
        "--json list b",
        "verify a.tar.gz",
        "--version",
        "--help",
        "export --help",
        "--json --version",
        "version",
        "man",
        "completions bash",
        "prune simulate --keep-last 2",
    ] {
        for closed in [">&-", "<&- >&-", ">/dev/null <&- 1>&-", "1</dev/null"] {
            let run = shell(&machine, &format!("$H {call} {closed}")).exits(1);
            assert!(
                run.stderr.contains("cannot write to standard output"),
                "{call} {closed}: {}",
                run.stderr
            );
        }
        shell(&machine, &format!("$H {call} >/dev/full")).exits(18);
        // Also as other programs start their children (Python's DEVNULL, daemon(3)).
        for open in [">/dev/null", "1<>/dev/null", ">>/dev/null 2>&-"] {
            shell(&machine, &format!("$H {call} {open}")).exits(0);
        }
    }
    // What does not speak there has nothing to lose.
    shell(&machine, "$H export c.tar.gz >&-").exits(0);
    shell(&machine, "$H export d.tar.gz <&- >&- 2>&-").exits(0);
    for name in ["c", "d"] {
        shell(&machine, &format!("$H verify {name}.tar.gz")).exits(0);
    }
}

#[test]
fn a_reader_that_ends_early_has_no_archive_and_no_entry_but_has_read_enough_of_a_list() {
    let machine = Machine::new();
    // More than a pipe holds.
    let large: Vec<u8> = (0..300_000u32)
        .flat_map(|at| (at ^ at << 7).to_le_bytes())
        .collect();
    machine.write("etc/secrets", &large, 0o600);
    machine.export("a.tar.gz");
    for call in ["extract -o - a.tar.gz secrets", "export -"] {
        let run = shell(&machine, &format!("$H {call} | head -c 9 >/dev/null")).exits(1);
        assert!(run.stderr.contains("Broken pipe"), "{call}: {}", run.stderr);
    }
    for call in ["man", "completions zsh", "--help", "inspect a.tar.gz"] {
        let run = shell(&machine, &format!("$H {call} | head -c 1 >/dev/null")).exits(0);
        assert_eq!(run.stderr, "", "{call}");
    }
}

#[test]
fn a_file_that_is_not_text_is_named_and_can_be_used() {
    let machine = Machine::new();
    let good = machine.export("good.tar.gz");
    let odd = OsStr::from_bytes(b"n\xff%.tar.gz");
    let path = machine.path("out").join(odd);
    let run = |arguments: &[&OsStr]| {
        let mut command = machine.command();
        command.args(arguments).arg("--json");
        finish(command, b"")
    };
    let escaped =
        |text: &serde_json::Value| text.as_str().expect("a path").ends_with("n%FF%25.tar.gz");
    let exported = run(&["export".as_ref(), path.as_os_str()]).exits(0).json();
    assert!(escaped(&exported["archive_escaped"]), "{exported}");
    assert!(
        escaped(&exported["outputs"][0]["archive_escaped"]),
        "{exported}"
    );
    let verified = run(&["verify".as_ref(), path.as_os_str()]).exits(0).json();
    assert!(
        escaped(&verified["archives"][0]["archive_escaped"]),
        "{verified}"
    );
    let inspected = run(&["inspect".as_ref(), path.as_os_str()]).exits(0).json();
    assert!(escaped(&inspected["archive_escaped"]), "{inspected}");
    let imported = run(&["import".as_ref(), path.as_os_str(), "--dry-run".as_ref()]);
    assert!(escaped(&imported.exits(0).json()["archive_escaped"]));
    let into = machine.path("out").join(OsStr::from_bytes(b"into\xfe"));
    let extracted = run(&[
        "extract".as_ref(),
        path.as_os_str(),
        "secrets".as_ref(),
        "-o".as_ref(),
        into.as_os_str(),
    ]);
    let extracted = extracted.exits(0).json();
    let said = extracted["entries"][0]["path_escaped"]
        .as_str()
        .expect("a path");
    assert!(said.ends_with("/into%FE/secrets"), "{said}");
    assert!(into.join("secrets").exists());
    let listed = run(&["list".as_ref(), ".".as_ref()]).exits(0);
    assert!(
        listed.stderr.contains("its name is not UTF-8"),
        "{}",
        listed.stderr
    );
    let folder = run(&["verify".as_ref(), ".".as_ref()]).exits(0).json();
    assert_eq!(folder["archives"].as_array().map(Vec::len), Some(2));
    let plain = run(&["verify".as_ref(), good.as_ref()]).exits(0).json();
    assert!(plain["archives"][0].get("archive_escaped").is_none());
}

#[test]
fn a_clock_before_1970_is_named() {
    if clock::library().is_none() {
        return;
    }
    let machine = Machine::new();
    let mut command = machine.command();
    clock::set(&mut command, "@1969-12-31 12:00:00");
    command
        .args(["export", "a.tar.gz"])
        .current_dir(machine.path("out"))
        .env("TMPDIR", machine.path("tmp"))
        .env("TZ", "UTC");
    let run = finish(command, b"").exits(1);
    assert!(
        run.stderr.contains("clock says 1969-12-31"),
        "{}",
        run.stderr
    );
    assert!(!machine.path("out/a.tar.gz").exists());
}

#[test]
fn a_working_folder_that_was_removed_is_named() {
    let machine = Machine::new();
    let good = machine.export("good.tar.gz");
    for call in [
        "export a.tar.gz".to_owned(),
        "init --data-dir data".to_owned(),
        "verify a.tar.gz".to_owned(),
        "list .".to_owned(),
        format!("extract {good} secrets -o out"),
        format!("import {good} --root there"),
        "demo there".to_owned(),
    ] {
        let line = format!("mkdir gone; cd gone; rmdir ../gone; $H {call}");
        let run = shell(&machine, &line);
        assert_ne!(run.code, 0, "{call}: {}", run.stderr);
        let says = "the working folder was removed";
        assert!(run.stderr.contains(says), "{call}: {}", run.stderr);
    }
    // A path that is absolute needs no working folder.
    let line = format!("mkdir gone; cd gone; rmdir ../gone; $H verify {good}");
    shell(&machine, &line).exits(0);
}

#[test]
fn an_output_that_appears_meanwhile_is_another_hookshot_at_work() {
    let machine = Machine::new();
    let exports = (0..4).map(|_| {
        let mut command = machine.command();
        command.args(["export", "same.tar.gz"]);
        command
            .stdout(Stdio::null())
            .stderr(File::create("/dev/null").expect("a device"));
        command.spawn().expect("the binary")
    });
    let exports: Vec<_> = exports.collect();
    let codes: Vec<Option<i32>> = exports
        .into_iter()
        .map(|mut child| child.wait().expect("an end").code())
        .collect();
    assert!(codes.contains(&Some(0)), "{codes:?}");
    // One that began after another had ended replaces its archive.
    assert!(
        codes.iter().all(|code| matches!(code, Some(0 | 11))),
        "{codes:?}"
    );
    machine.run(&["verify", "same.tar.gz"]).exits(0);
}
