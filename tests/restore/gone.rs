//! "The machine is gone": the commands of README.md and docs/recovery.md, run where nothing is left.

use support::{Machine, Run, finish};

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The lines of a document between a heading and the next one of the same depth, that a user types as root.
fn commands(document: &str, heading: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
    let text = fs::read_to_string(path).expect("the document");
    let section = text.split(&format!("\n{heading}\n")).nth(1);
    let section = section.unwrap_or_else(|| panic!("{document}: {heading}"));
    let section = section.split("\n## ").next().expect("some text");
    let typed = section
        .lines()
        .filter_map(|line| line.trim().strip_prefix("# "));
    let without_remark = |line: &str| line.split("  #").next().unwrap_or(line).trim().to_owned();
    typed.map(without_remark).collect()
}

/// A machine that lost everything: its own /etc, /root, /srv, /var/lib and /var/backups, with `archive` at `at`.
/// `commands` run in it one after the other; the first that fails ends it.
fn in_a_new_machine(machine: &Machine, archive: &str, at: &str, commands: &[String]) -> Run {
    let mut script = String::from("set -eu\n");
    let new = machine.path("new-etc");
    script.push_str(&format!(
        "cp -a /etc {0}; rm -rf {0}/hookshot; mount --bind {0} /etc\n",
        new.display()
    ));
    script.push_str(&format!(
        "cp {archive} {}/the-archive\n",
        machine.path("tmp").display()
    ));
    for folder in ["/root", "/srv", "/var/lib", "/var/backups"] {
        script.push_str(&format!("mount -t tmpfs tmpfs {folder}\n"));
    }
    script.push_str(&format!(
        "cp {}/the-archive {at}\n",
        machine.path("tmp").display()
    ));
    for command in commands {
        let shown = command.replace('\'', "");
        script.push_str(&format!("echo '+ {shown}' >&2\n{command}\n"));
    }
    let mut command = Command::new("unshare");
    let binary = Path::new(env!("CARGO_BIN_EXE_hookshot"))
        .parent()
        .map(Path::to_owned);
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .args(["-m", "bash", "-c", &script])
        .env(
            "PATH",
            format!("{}:{path}", binary.expect("a folder").display()),
        )
        .env("TMPDIR", machine.path("tmp"))
        .env_remove("HOOKSHOT_CONFIG")
        .current_dir(machine.path("out"));
    finish(command, b"")
}

/// Returns true if namespaces can be made here.
fn can_unshare() -> bool {
    let is_able = Command::new("unshare")
        .args(["-m", "mount", "-t", "tmpfs", "tmpfs", "/srv"])
        .output()
        .is_ok_and(|output| output.status.success());
    assert!(
        is_able || std::env::var_os("HOOKSHOT_TESTS_COMPLETE").is_none(),
        "no mount namespace can be made"
    );
    if !is_able {
        println!("skipped: this needs root, and a mount namespace");
    }
    is_able
}

const README_ARCHIVE: &str = "/root/hookshot-state-20261121-045031.tar.gz";

/// Those of a document's commands that work on hookshot and on the service's user.
fn typed(document: &str, heading: &str) -> Vec<String> {
    let all = commands(document, heading);
    let wanted = all
        .into_iter()
        .filter(|line| line.starts_with("hookshot ") || line.starts_with("useradd "));
    wanted
        .map(|line| line.replace("useradd", "useradd -M"))
        .collect()
}

#[test]
fn the_commands_for_a_lost_machine_bring_a_hookshot_service_back() {
    if !can_unshare() {
        return;
    }
    for (document, heading) in [
        ("README.md", "## The machine is gone"),
        ("docs/recovery.md", "## The machine is lost"),
    ] {
        let machine = Machine::new();
        machine.write(
            "etc/config.toml",
            "[storage]\ndata_dir = \"/var/lib/hookshot\"\n",
            0o640,
        );
        let data = machine.path("data").display().to_string();
        machine
            .run(&["--data-dir", &data, "export", "a.tar.gz"])
            .exits(0);
        let mut commands: Vec<String> = typed(document, heading);
        commands.retain(|line| !line.contains("vaultwarden"));
        assert!(
            commands
                .iter()
                .any(|line| line.ends_with(".tar.gz") && line.contains("import")),
            "{commands:?}"
        );
        commands.push("test -f /var/lib/hookshot/state.redb".to_owned());
        commands.push("grep -q main /etc/hookshot/services.toml".to_owned());
        let archive = machine.path("out/a.tar.gz").display().to_string();
        in_a_new_machine(&machine, &archive, README_ARCHIVE, &commands).exits(0);
    }
}

/// An archive of the ready-made vaultwarden configuration, made where it says that its data is.
fn vaultwarden(machine: &Machine) -> PathBuf {
    let config = "/etc/hookshot/vaultwarden/config.toml";
    let make = [
        "mkdir -p /var/lib/vaultwarden/attachments".to_owned(),
        "sqlite3 /var/lib/vaultwarden/db.sqlite3 'CREATE TABLE users (name); INSERT INTO users VALUES (1)'".to_owned(),
        "openssl genrsa -out /var/lib/vaultwarden/rsa_key.pem 512 2>/dev/null || echo key > /var/lib/vaultwarden/rsa_key.pem".to_owned(),
        "echo '{}' > /var/lib/vaultwarden/config.json; echo a > /var/lib/vaultwarden/attachments/a".to_owned(),
        format!("hookshot init --app vaultwarden --config {config} --data-dir /var/lib/vaultwarden"),
        format!("hookshot --config {config} export {}", machine.path("out/vw.tar.gz").display()),
    ];
    machine.write("tmp/none", "", 0o600);
    let nothing = machine.path("tmp/none").display().to_string();
    in_a_new_machine(machine, &nothing, "/root/none", &make).exits(0);
    machine.path("out/vw.tar.gz")
}

#[test]
fn the_commands_for_a_lost_machine_bring_a_service_with_sources_of_its_own_back() {
    if !can_unshare() {
        return;
    }
    let maker = Machine::empty();
    let archive = vaultwarden(&maker).display().to_string();
    for (document, heading) in [
        ("README.md", "## The machine is gone"),
        ("docs/recovery.md", "## The machine is lost"),
    ] {
        let machine = Machine::empty();
        let mut commands: Vec<String> = typed(document, heading);
        commands.retain(|line| line.contains("vaultwarden"));
        assert!(
            commands
                .iter()
                .any(|line| line.contains("--use-archive-config")),
            "{commands:?}"
        );
        let second = commands
            .iter()
            .find(|line| line.contains("import") && !line.contains("dry-run"))
            .cloned();
        commands.push(second.expect("an import"));
        commands.push(
            "test \"$(sqlite3 /var/lib/vaultwarden/db.sqlite3 'SELECT name FROM users')\" = 1"
                .to_owned(),
        );
        commands.push("test -f /var/lib/vaultwarden/attachments/a".to_owned());
        commands
            .push("hookshot --config /etc/hookshot/vaultwarden/config.toml validate".to_owned());
        in_a_new_machine(
            &machine,
            &archive,
            "/root/vaultwarden-20261121-045031.tar.gz",
            &commands,
        )
        .exits(0);
    }
}

/// The hint is a command line that works as it stands.
#[test]
fn an_archive_that_only_its_own_configuration_can_place_ends_before_any_change_and_names_the_command()
 {
    if !can_unshare() {
        return;
    }
    let maker = Machine::empty();
    let archive = vaultwarden(&maker).display().to_string();
    for (verb, place) in [
        (
            "import /root/vw.tar.gz",
            "/etc/hookshot/vaultwarden/config.toml",
        ),
        (
            "import /root/vw.tar.gz --dry-run",
            "/etc/hookshot/vaultwarden/config.toml",
        ),
        (
            "--config /etc/hookshot/other/config.toml import /root/vw.tar.gz",
            "/etc/hookshot/other/config.toml",
        ),
        (
            "--config /etc/hookshot/other/config.toml --data-dir /srv/vw import /root/vw.tar.gz --only config.toml",
            "/etc/hookshot/other/config.toml",
        ),
        (
            "--config /etc/hookshot/other/config.toml --data-dir /srv/vw import - < /root/vw.tar.gz",
            "/etc/hookshot/other/config.toml",
        ),
    ] {
        let machine = Machine::empty();
        let hinted =
            format!("hookshot --config {place} import /root/vw.tar.gz --use-archive-config");
        let commands = [
            format!("hookshot {verb} 2>said && exit 9; test $? -eq 2"),
            "test ! -e /etc/hookshot -a ! -e /var/lib/hookshot -a ! -e /srv/vw".to_owned(),
            "grep -q use-archive-config said; grep -q '/etc/hookshot[^ ]* does not exist' said".to_owned(),
            "sed -n 's/.*`\\(hookshot [^`]*\\)`.*/\\1/p' said | sed 's# FILE # /root/vw.tar.gz #' > hinted; cat hinted said >&2".to_owned(),
            format!("test \"$(cat hinted)\" = '{hinted}'"),
            "sh hinted; sh hinted".to_owned(),
            "test -f /var/lib/vaultwarden/attachments/a".to_owned(),
        ];
        in_a_new_machine(&machine, &archive, "/root/vw.tar.gz", &commands).exits(0);
    }
}
