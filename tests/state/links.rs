//! Links, set-id bits, capabilities and attributes of directories: what does not come back is said, by the dry run too,
//! and an import that is run twice is one that is run once.

use support::{Machine, Run, finish, is_root};

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// A machine with a directory `srv/data` as its source, and what stands beside it in the configuration.
fn machine(more: &str) -> Machine {
    let machine = Machine::empty();
    fs::create_dir_all(machine.path("srv/data")).expect("made");
    machine.write("srv/data/f", "f", 0o644);
    configure(&machine, "", more);
    machine
}

fn configure(machine: &Machine, of_data: &str, more: &str) {
    let text = format!(
        "[backup]\nprefix = \"x\"\ninclude_config = false\n{more}\n[[backup.sources]]\nname = \"data\"\nkind = \"directory\"\npath = \"../srv/data\"\n{of_data}\n"
    );
    machine.write("etc/config.toml", text, 0o600);
}

fn kinds(report: &Value, list: &str) -> Vec<String> {
    let remarks = report[list].as_array();
    let kind = |remark: &Value| remark["kind"].as_str().expect("a kind").to_owned();
    remarks.into_iter().flatten().map(kind).collect()
}

fn said(report: &Value, list: &str) -> String {
    let remarks = report[list].as_array();
    let message = |remark: &Value| remark["message"].as_str().expect("words").to_owned();
    let said: Vec<String> = remarks.into_iter().flatten().map(message).collect();
    said.join("\n")
}

/// Runs a verb as JSON, first as a dry run: both say the same of what is left undone, and end the same.
fn import(machine: &Machine, archive: &str, code: i32) -> Value {
    let dry = machine
        .run(&["import", "--json", "--dry-run", archive])
        .exits(code)
        .json();
    let real = machine
        .run(&["import", "--json", archive])
        .exits(code)
        .json();
    for list in ["left_undone", "warnings"] {
        assert_eq!(dry[list], real[list], "{list}");
    }
    assert_eq!(dry["steps"], real["steps"]);
    real
}

fn action(report: &Value) -> &str {
    let steps = report["steps"].as_array().expect("steps");
    let step = steps.iter().find(|step| step["entry"] == "data");
    step.expect("a step")["action"].as_str().expect("an action")
}

fn target(machine: &Machine, link: &str) -> Option<PathBuf> {
    fs::read_link(machine.path(link)).ok()
}

#[test]
fn a_database_behind_a_link_is_whole_after_an_import_and_the_link_is_there() {
    let machine = machine(
        "[[backup.sources]]\nname = \"app.db\"\nkind = \"sqlite\"\npath = \"../srv/data/app.db\"\n",
    );
    fs::create_dir(machine.path("srv/real")).expect("made");
    let database = machine.path("srv/real/app.db");
    let connection = rusqlite(&database, "create table t(a); insert into t values (1)");
    assert!(connection, "made");
    symlink("../real/app.db", machine.path("srv/data/app.db")).expect("a link");
    let report = machine
        .run(&["export", "a.tar.gz", "--json"])
        .exits(0)
        .json();
    assert_eq!(kinds(&report, "warnings"), ["link"]);
    assert!(said(&report, "warnings").contains("to ../real/app.db"));
    machine.write("srv/data/f", "old", 0o644);
    assert!(rusqlite(&database, "delete from t"));
    import(&machine, "a.tar.gz", 0);
    assert_eq!(
        target(&machine, "srv/data/app.db"),
        Some("../real/app.db".into())
    );
    assert_eq!(machine.read("srv/data/f"), b"f");
    assert_eq!(count(&database), "1");
    let report = import(&machine, "a.tar.gz", 0);
    assert_eq!(action(&report), "unchanged");
    assert_eq!(machine.read("srv/data.bak/f"), b"old");
    machine.write("srv/data/f", "newer", 0o644);
    assert!(rusqlite(&database, "delete from t"));
    import(&machine, "a.tar.gz", 0);
    machine.run(&["rollback"]).exits(0);
    assert_eq!(machine.read("srv/data/f"), b"newer");
    assert_eq!(count(&database), "0");
    assert!(target(&machine, "srv/data/app.db").is_some());
}

/// A machine whose directory has a link to a database elsewhere, which is a source of its own at `path`, before the
/// directory or after it; exported as `a.tar.gz`.
fn linked(links: &str, path: &str, is_first: bool) -> Machine {
    let machine = Machine::empty();
    let database = format!(
        "[[backup.sources]]\nname = \"app.db\"\nkind = \"sqlite\"\npath = \"../srv/{path}\"\n"
    );
    fs::create_dir_all(machine.path("srv/data")).expect("made");
    fs::create_dir(machine.path("srv/real")).expect("made");
    machine.write("srv/data/f", "f", 0o644);
    match is_first {
        true => configure(&machine, links, &database),
        false => configure(&machine, &format!("{links}\n{database}"), ""),
    }
    let rows = "create table t(a); insert into t values (1)";
    assert!(rusqlite(&machine.path("srv/real/app.db"), rows), "made");
    symlink("../real/app.db", machine.path("srv/data/app.db")).expect("a link");
    machine.export("a.tar.gz");
    assert!(
        rusqlite(&machine.path("srv/real/app.db"), "delete from t"),
        "emptied"
    );
    machine
}

#[test]
fn a_database_whose_link_is_gone_lies_in_the_link_s_place() {
    for is_first in [true, false] {
        let machine = linked("links = \"keep\"", "data/app.db", is_first);
        fs::remove_dir_all(machine.path("srv")).expect("lost");
        fs::create_dir(machine.path("srv")).expect("made");
        let report = import(&machine, "a.tar.gz", 3);
        assert_eq!(kinds(&report, "left_undone"), ["link"]);
        assert!(said(&report, "left_undone").contains("`links = \"all\"`"));
        assert_eq!(count(&machine.path("srv/data/app.db")), "1");
        assert!(target(&machine, "srv/data/app.db").is_none());
        let report = import(&machine, "a.tar.gz", 3);
        assert_eq!(action(&report), "unchanged");
    }
    // Where its source names it by its own place, it is restored there.
    let machine = linked("links = \"keep\"", "real/app.db", true);
    fs::remove_file(machine.path("srv/data/app.db")).expect("lost");
    let report = import(&machine, "a.tar.gz", 3);
    assert_eq!(kinds(&report, "left_undone"), ["link"]);
    assert_eq!(count(&machine.path("srv/real/app.db")), "1");
}

#[test]
fn a_database_behind_a_link_that_is_restored_lies_where_the_link_leads() {
    // Named by its own place, it is behind no link of the configuration.
    let all = ["all", "link", "replaced", "other"];
    for (path, losses) in [("data/app.db", &all[..]), ("real/app.db", &all[1..2])] {
        for is_first in [true, false] {
            for loss in losses.iter().copied() {
                let what = format!("{path} {is_first} {loss}");
                let machine = linked("links = \"all\"", path, is_first);
                let link = machine.path("srv/data/app.db");
                match loss {
                    "all" => fs::remove_dir_all(machine.path("srv")).expect("lost"),
                    _ => fs::remove_file(&link).expect("lost"),
                }
                match loss {
                    "replaced" => assert!(rusqlite(&link, "create table other(a)")),
                    "other" => {
                        let other = machine.path("srv/other.db");
                        assert!(rusqlite(&other, "create table t(a)"));
                        symlink("../other.db", &link).expect("a link");
                    }
                    _ => {}
                }
                let report = import(&machine, "a.tar.gz", 0);
                assert_eq!(kinds(&report, "warnings"), ["link"], "{what}");
                let leads = target(&machine, "srv/data/app.db");
                assert_eq!(leads, Some("../real/app.db".into()), "{what}");
                assert_eq!(count(&machine.path("srv/real/app.db")), "1", "{what}");
                assert_eq!(machine.read("srv/data/f"), b"f");
                if loss == "replaced" {
                    let tables = "select * from other";
                    assert!(rusqlite(&machine.path("srv/data.bak/app.db"), tables));
                    machine.run(&["rollback"]).exits(0);
                    assert!(rusqlite(&link, tables), "{what}");
                    assert!(target(&machine, "srv/data/app.db").is_none());
                    assert_eq!(count(&machine.path("srv/real/app.db")), "0");
                    import(&machine, "a.tar.gz", 0);
                }
                let report = import(&machine, "a.tar.gz", 0);
                assert_eq!(action(&report), "unchanged", "{what}");
                if loss == "other" {
                    assert_eq!(count(&machine.path("srv/other.db")), "0", "{what}");
                }
            }
        }
    }
}

#[test]
fn a_part_of_an_archive_moves_no_database_behind_a_link() {
    let machine = linked("links = \"all\"", "data/app.db", true);
    let link = machine.path("srv/data/app.db");
    fs::remove_file(&link).expect("lost");
    let rows = "create table t(a); insert into t values (1), (2)";
    assert!(rusqlite(&link, rows), "made");
    // The database stays where it is: the link would take it away from its service.
    machine.write("srv/data/f", "old", 0o644);
    let only = ["import", "--json", "--only", "data", "a.tar.gz"];
    let report = machine.run(&only).exits(3).json();
    assert!(said(&report, "left_undone").contains("import all entries together"));
    assert_eq!(machine.read("srv/data/f"), b"f");
    assert_eq!(count(&link), "2");
    let only = ["import", "--json", "--only", "app.db", "a.tar.gz"];
    machine.run(&only).exits(0);
    assert_eq!(count(&link), "1");
    assert!(target(&machine, "srv/data/app.db").is_none());
}

#[test]
fn a_folder_behind_a_link_that_is_restored_lies_where_the_link_leads() {
    let media = |links: &str, is_first: bool| {
        let machine = Machine::empty();
        let media = "[[backup.sources]]\nname = \"media\"\nkind = \"directory\"\npath = \"../srv/data/media\"\n";
        fs::create_dir_all(machine.path("srv/data/sub")).expect("made");
        fs::create_dir(machine.path("srv/big")).expect("made");
        match is_first {
            true => configure(&machine, links, media),
            false => configure(&machine, &format!("{links}\n{media}"), ""),
        }
        machine.write("srv/big/film", "film", 0o644);
        // Through a link that stays inside.
        symlink("sub/there", machine.path("srv/data/media")).expect("a link");
        symlink("../../big", machine.path("srv/data/sub/there")).expect("a link");
        machine.export("a.tar.gz");
        fs::remove_dir_all(machine.path("srv")).expect("lost");
        machine
    };
    for is_first in [true, false] {
        let machine = media("links = \"all\"", is_first);
        machine.run(&["validate"]).exits(0);
        import(&machine, "a.tar.gz", 0);
        assert_eq!(machine.read("srv/big/film"), b"film");
        assert_eq!(machine.read("srv/data/media/film"), b"film");
        assert_eq!(target(&machine, "srv/data/media"), Some("sub/there".into()));
        import(&machine, "a.tar.gz", 0);
        fs::remove_dir_all(machine.path("srv")).expect("lost");
        let root = machine.path("disk").display().to_string();
        fs::create_dir(machine.path("disk")).expect("made");
        let run = machine.run(&["import", "--root", &root, "a.tar.gz"]);
        run.exits(0);
        let below = format!("{root}{}", machine.path("srv/big/film").display());
        assert_eq!(fs::read(below).expect("it"), b"film");
        // A folder in the link's place is a part of the directory.
        fs::create_dir_all(machine.path("srv/data/media")).expect("made");
        let run = machine.run(&["import", "a.tar.gz"]).exits(2);
        run.says("the directory media lies in the directory data");
    }
    let machine = media("links = \"keep\"", true);
    let run = machine.run(&["import", "a.tar.gz"]).exits(2);
    run.says("was a link to another folder, make it again, or set `links = \"all\"` for data");
}

#[test]
fn links_that_lead_out_are_announced_and_only_restored_if_the_user_says_so() {
    let machine = machine("");
    fs::create_dir(machine.path("srv/media")).expect("made");
    machine.write("srv/media/film", "film", 0o644);
    symlink("../media", machine.path("srv/data/media")).expect("a link");
    symlink("f", machine.path("srv/data/inside")).expect("a link");
    let report = machine
        .run(&["export", "a.tar.gz", "--json"])
        .exits(0)
        .json();
    assert_eq!(kinds(&report, "warnings"), ["link"]);

    // The link is here: it stays.
    machine.write("srv/data/f", "old", 0o644);
    let report = import(&machine, "a.tar.gz", 0);
    assert_eq!(kinds(&report, "warnings"), ["link"]);
    assert_eq!(target(&machine, "srv/data/media"), Some("../media".into()));

    // It is not here: it stays away, and that is said each time; the second import changes nothing.
    fs::remove_file(machine.path("srv/data/media")).expect("removed");
    machine.write("srv/data/f", "older", 0o644);
    let report = import(&machine, "a.tar.gz", 3);
    assert_eq!(kinds(&report, "left_undone"), ["link"]);
    assert!(target(&machine, "srv/data/media").is_none());
    assert!(target(&machine, "srv/data/inside").is_some());
    let report = import(&machine, "a.tar.gz", 3);
    assert_eq!(action(&report), "unchanged");
    assert_eq!(machine.read("srv/data.bak/f"), b"older");
    let diff = machine.run(&["diff", "a.tar.gz", "--json"]).exits(1).json();
    let entries = diff["entries"].as_array().expect("entries");
    let state = |name: &str| {
        let entry = entries.iter().find(|entry| entry["entry"] == name);
        entry.expect(name)["state"]
            .as_str()
            .expect("a state")
            .to_owned()
    };
    assert_eq!(state("data/media"), "only_there");
    assert_eq!(state("data/inside"), "unchanged");

    // The user says so.
    configure(&machine, "links = \"all\"", "");
    let report = import(&machine, "a.tar.gz", 0);
    assert_eq!(action(&report), "replace");
    assert_eq!(kinds(&report, "warnings"), ["link"]);
    assert_eq!(target(&machine, "srv/data/media"), Some("../media".into()));
    assert_eq!(action(&import(&machine, "a.tar.gz", 0)), "unchanged");
    let diff = machine.run(&["diff", "a.tar.gz", "--json"]).json();
    let mut states = diff["entries"].as_array().expect("entries").iter();
    assert!(states.all(|entry| entry["state"] == "unchanged"), "{diff}");
    assert_eq!(
        fs::read(machine.path("srv/media/film")).expect("it"),
        b"film"
    );
}

#[test]
fn verify_and_inspect_name_the_links_that_lead_out() {
    let machine = machine("");
    symlink("../media", machine.path("srv/data/media")).expect("a link");
    symlink("f", machine.path("srv/data/inside")).expect("a link");
    symlink("/mnt/big", machine.path("srv/data/big")).expect("a link");
    machine.export("a.tar.gz");
    let expected = serde_json::json!([
        {"entry": "data", "path": "big", "target": "/mnt/big"},
        {"entry": "data", "path": "media", "target": "../media"},
    ]);
    let report = machine.run(&["verify", "a.tar.gz", "--json"]).exits(0);
    assert_eq!(report.json()["archives"][0]["links"], expected);
    let report = machine.run(&["inspect", "a.tar.gz", "--json"]).exits(0);
    assert_eq!(report.json()["links"], expected);
    for verb in ["verify", "inspect"] {
        let shown = machine.run(&[verb, "a.tar.gz"]).exits(0).text();
        let lines = shown.lines().filter(|line| line.contains("leads out of"));
        assert_eq!(lines.count(), 2, "{shown}");
        assert!(
            shown.contains("data/media leads out of the directory, to ../media"),
            "{shown}"
        );
    }
    for number in 0..30 {
        let link = machine.path(&format!("srv/data/more{number}"));
        symlink("../media", link).expect("a link");
    }
    machine.export("b.tar.gz");
    let shown = machine.run(&["verify", "b.tar.gz"]).exits(0).text();
    assert!(shown.contains("and 12 more (--json lists all)"), "{shown}");
}

#[test]
fn a_link_of_this_machine_to_another_place_stays() {
    let machine = machine("");
    symlink("/mnt/there", machine.path("srv/data/media")).expect("a link");
    machine.export("a.tar.gz");
    fs::remove_file(machine.path("srv/data/media")).expect("removed");
    symlink("/mnt/here", machine.path("srv/data/media")).expect("a link");
    machine.write("srv/data/f", "old", 0o644);
    for expected in ["replace", "unchanged"] {
        let report = import(&machine, "a.tar.gz", 3);
        assert_eq!(action(&report), expected);
        assert!(said(&report, "left_undone").contains("to /mnt/here, stays"));
        assert_eq!(target(&machine, "srv/data/media"), Some("/mnt/here".into()));
    }
    assert_eq!(machine.read("srv/data.bak/f"), b"old");
    let diff = machine.run(&["diff", "a.tar.gz"]).exits(1);
    assert!(diff.text().contains("data/media"), "{}", diff.text());
}

#[test]
fn a_directory_behind_a_link_is_a_source_of_its_own() {
    let machine = machine(
        "[[backup.sources]]\nname = \"media\"\nkind = \"directory\"\npath = \"../srv/data/media\"\n",
    );
    fs::create_dir(machine.path("srv/big")).expect("made");
    machine.write("srv/big/film", "film", 0o644);
    symlink("../big", machine.path("srv/data/media")).expect("a link");
    machine.export("a.tar.gz");
    machine.write("srv/big/film", "worse", 0o644);
    machine.write("srv/data/f", "worse", 0o644);
    import(&machine, "a.tar.gz", 0);
    assert_eq!(target(&machine, "srv/data/media"), Some("../big".into()));
    assert_eq!(machine.read("srv/data/media/film"), b"film");
    assert_eq!(machine.read("srv/big/film"), b"film");
}

#[test]
fn what_is_excluded_here_does_not_make_a_directory_another() {
    let machine = machine("");
    machine.write("srv/data/a.log", "log", 0o644);
    machine.export("a.tar.gz");
    configure(&machine, "exclude = [\"*.log\"]", "");
    machine.write("srv/data/f", "old", 0o644);
    let only = |code| {
        let arguments = ["import", "--json", "--only", "data", "a.tar.gz"];
        machine.run(&arguments).exits(code).json()
    };
    assert_eq!(action(&only(0)), "replace");
    assert_eq!(action(&only(0)), "unchanged");
    assert_eq!(machine.read("srv/data.bak/f"), b"old");
}

#[test]
fn set_id_bits_and_the_attributes_of_root_come_back_by_root() {
    if !is_root("set-id bits and trusted attributes") {
        return;
    }
    let machine = machine("");
    let data = machine.path("srv/data");
    machine.write("srv/data/tool", "#!/bin/sh\n", 0o4755);
    machine.write("srv/data/ping", "ping", 0o755);
    let capability = [
        1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    let flags = rustix::fs::XattrFlags::empty();
    for (name, value) in [
        ("security.capability", &capability[..]),
        ("trusted.app", b"yes"),
    ] {
        rustix::fs::setxattr(data.join("ping"), name, value, flags).expect(name);
    }
    machine.export("a.tar.gz");
    for file in ["tool", "ping"] {
        fs::remove_file(data.join(file)).expect("removed");
        machine.write(&format!("srv/data/{file}"), "other", 0o755);
    }
    import(&machine, "a.tar.gz", 0);
    assert_eq!(machine.mode("srv/data/tool"), 0o4755);
    let attribute = |name: &str| {
        let mut value = [0; 100];
        let length = rustix::fs::getxattr(data.join("ping"), name, &mut value[..]);
        value[..length.expect(name)].to_vec()
    };
    assert_eq!(attribute("security.capability"), capability);
    assert_eq!(attribute("trusted.app"), b"yes");
    assert_eq!(action(&import(&machine, "a.tar.gz", 0)), "unchanged");
    // A change of an owner or of an attribute is a change.
    rustix::fs::removexattr(data.join("ping"), "trusted.app").expect("removed");
    assert_eq!(action(&import(&machine, "a.tar.gz", 0)), "replace");
    std::os::unix::fs::chown(data.join("f"), Some(1234), None).expect("given");
    assert_eq!(action(&import(&machine, "a.tar.gz", 0)), "replace");
    assert_eq!(data.join("f").metadata().expect("it").uid(), 0);

    // After an extract, every user could read them.
    let run = machine.run(&["extract", "a.tar.gz", "data", "-o", "look", "--json"]);
    let report = run.exits(3).json();
    assert_eq!(kinds(&report, "left_undone"), ["attribute"; 3]);
    assert_eq!(machine.mode("out/look/data/tool"), 0o755);
}

#[test]
fn set_id_bits_of_an_owner_whom_this_machine_does_not_know_stay_away() {
    if !is_root("owners") {
        return;
    }
    let machine = machine("");
    machine.write("srv/data/tool", "#!/bin/sh\n", 0o600);
    let tool = machine.path("srv/data/tool");
    std::os::unix::fs::chown(&tool, Some(4321), Some(0)).expect("given");
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o4755)).expect("set");
    // The user has a name while the export runs, and none when the import does.
    let passwd = machine.path("passwd");
    let known = fs::read_to_string("/etc/passwd").expect("it");
    fs::write(
        &passwd,
        format!("{known}hookshottest:x:4321:0::/:/bin/sh\n"),
    )
    .expect("written");
    let mut command = Command::new("unshare");
    command.args([
        "-m",
        "sh",
        "-c",
        "mount --bind \"$1\" /etc/passwd && shift && exec \"$@\"",
        "sh",
    ]);
    command.arg(&passwd).arg(env!("CARGO_BIN_EXE_hookshot"));
    command.arg("--config").arg(machine.path("etc/config.toml"));
    command
        .args(["export", "a.tar.gz"])
        .current_dir(machine.path("out"));
    finish(command, b"").exits(0);
    fs::remove_file(&tool).expect("removed");
    for expected in ["replace", "unchanged"] {
        let report = import(&machine, "a.tar.gz", 3);
        assert_eq!(action(&report), expected);
        assert_eq!(kinds(&report, "left_undone"), ["attribute"]);
        assert_eq!(machine.mode("srv/data/tool"), 0o755);
    }
}

/// Runs hookshot as a user other than root, on a machine that belongs to that user.
fn as_user(machine: &Machine, arguments: &[&str]) -> Run {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "1234", "--regid", "1234", "--clear-groups"]);
    command.arg(machine.path("out/hookshot"));
    command.arg("--config").arg(machine.path("etc/config.toml"));
    command.args(arguments).current_dir(machine.path("out"));
    command.env("TMPDIR", machine.path("tmp"));
    finish(command, b"")
}

#[test]
fn a_user_is_told_what_only_root_restores_and_imports_twice_as_once() {
    if !is_root("another user") {
        return;
    }
    let machine = machine("");
    machine.write("srv/data/tool", "#!/bin/sh\n", 0o755);
    let tool = machine.path("srv/data/tool");
    let capability = [
        1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    // The folder of the program that is tested may be closed to another user.
    let program = machine.path("out/hookshot");
    fs::copy(env!("CARGO_BIN_EXE_hookshot"), program).expect("copied");
    let status = Command::new("chown")
        .args(["-R", "1234:1234"])
        .arg(machine.path(""))
        .status();
    assert!(status.expect("chown").success());
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o4755)).expect("set");
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&tool, "security.capability", &capability, flags).expect("set");
    as_user(&machine, &["export", "a.tar.gz"]).exits(0);
    machine.write("srv/data/f", "old", 0o644);
    fs::remove_file(&tool).expect("removed");
    for expected in ["replace", "unchanged"] {
        let dry = as_user(&machine, &["import", "--dry-run", "--json", "a.tar.gz"])
            .exits(3)
            .json();
        let report = as_user(&machine, &["import", "--json", "a.tar.gz"])
            .exits(3)
            .json();
        assert_eq!(dry["left_undone"], report["left_undone"]);
        assert_eq!(kinds(&report, "left_undone"), ["attribute"; 2]);
        let words = said(&report, "left_undone");
        assert!(words.contains("4755 becomes 0755"), "{words}");
        assert!(words.contains("security.capability"), "{words}");
        assert_eq!(action(&report), expected);
        assert_eq!(machine.mode("srv/data/tool"), 0o755);
    }
    assert_eq!(machine.read("srv/data.bak/f"), b"old");
}

fn rusqlite(database: &Path, text: &str) -> bool {
    let connection = rusqlite::Connection::open(database).expect("a database");
    connection.execute_batch(text).is_ok()
}

fn count(database: &Path) -> String {
    let connection = rusqlite::Connection::open(database).expect("a database");
    let count = connection.query_row("select count(*) from t", [], |row| row.get::<_, i64>(0));
    count.expect("a table").to_string()
}
