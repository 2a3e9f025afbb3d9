//! A drill says `good` only of an archive that brings back all of the state, and `status` only of a destination whose
//! newest drill was good.

use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::Path,
    process::{Command, Stdio},
};

use nix::{sys::stat::Mode, unistd::mkfifo};
use serde_json::Value;
use support::{Run, finish, forge::Tar, program, service::write};

use super::{Shop, archives, flip};

/// The kinds of the problems with drills, of each destination and of the runs.
#[track_caller]
fn problems(shop: &Shop, code: i32) -> Vec<(String, Vec<String>)> {
    let report = shop.service.run(&["status", "--json"], code).json();
    let kinds = |one: &Value| -> Vec<String> {
        let details = one["details"].as_array().expect("details").iter();
        let problems = details.filter(|one| one["unhealthy"] == true);
        let kind = |one: &Value| one["kind"].as_str().expect("a kind").to_owned();
        let kinds = problems.map(kind);
        kinds.filter(|kind| kind.starts_with("drill")).collect()
    };
    let rows = report["destinations"].as_array().expect("rows").iter();
    let name = |one: &Value| one["name"].as_str().expect("a name").to_owned();
    let all = rows.map(|row| (name(row), kinds(row)));
    let all = all.chain([("runs".to_owned(), kinds(&report))]);
    all.filter(|(_, kinds)| !kinds.is_empty()).collect()
}

fn failed(name: &str) -> (String, Vec<String>) {
    (name.to_owned(), vec!["drill_failed".to_owned()])
}

/// Runs a drill with another TMPDIR, in the folder above the usual one.
fn with_tmp(shop: &Shop, tmp: &OsStr, arguments: &[&str]) -> Run {
    let mut command = Command::new(program());
    command.arg("--config").arg(&shop.service.config);
    command.arg("drill").args(arguments).env("TMPDIR", tmp);
    command.current_dir(shop.service.machine.path("out"));
    command.stdin(Stdio::null());
    finish(command, b"")
}

#[test]
fn an_archive_that_does_not_bring_back_all_of_the_state_is_not_good() {
    let shop = Shop::new("");
    write(&shop.path("more"), "more");
    let source = format!(
        "[[backup.sources]]\nname = \"more\"\nkind = \"file\"\npath = \"{}\"\n",
        shop.path("more").display()
    );
    shop.configure(&source);
    let gap = "more is a part of the state, and is not in the archive";
    let report = shop.json(&["@one"], 3);
    let drill = &report["drills"][0];
    assert_eq!(drill["good"], false, "{drill}");
    assert!(drill["unknown"].is_null() && drill["rto_seconds"].is_f64());
    let error = drill["error"].as_str().expect("a reason");
    assert!(error.contains(gap), "{error}");
    assert_eq!(report["result"], "partial");
    assert_eq!(problems(&shop, 19), [failed("one")]);
    let run = shop.run(&["@one"], 3).says(gap);
    assert!(run.text().contains("NOT WHOLE"), "{}", run.text());
    // It is good for a configuration that does not name it.
    shop.configure("");
    shop.json(&["@one"], 0);
    assert_eq!(problems(&shop, 0), []);
    // An entry that the configuration has no place for.
    let text = shop.text("sqlite", "");
    let notes = text
        .find("[[backup.sources]]\nname = \"notes\"")
        .expect("it");
    let end = text
        .find("[[backup.sources]]\nname = \"app.db\"")
        .expect("it");
    let without = format!("{}{}", &text[..notes], &text[end..]);
    fs::write(&shop.service.config, without).expect("written");
    let report = shop.json(&["@two"], 3);
    let error = report["drills"][0]["error"].as_str().expect("a reason");
    assert!(error.contains("notes was not restored"), "{error}");
    // The failure of a probe counts more.
    shop.configure(&format!("{source}[backup.drill]\nprobe = \"exit 1\"\n"));
    let report = shop.json(&["@one"], 19);
    let warnings = report["drills"][0]["warnings"].to_string();
    assert!(warnings.contains(gap), "{warnings}");
    // An archive of nothing.
    shop.configure("");
    let empty = shop.service.machine.path("out/empty.tar.gz");
    fs::write(&empty, Tar::good(&[]).gzip()).expect("written");
    let report = shop.json(&[empty.to_str().expect("UTF-8")], 3);
    let drill = &report["drills"][0];
    assert_eq!(drill["good"], false, "{drill}");
    assert!(
        drill["warnings"]
            .to_string()
            .contains("data is a part of the state")
    );
    shop.left_nothing();
}

#[test]
fn the_archive_of_a_service_without_its_database_is_not_good() {
    let service = support::service::Service::with_config("plain", "");
    let empty = service.machine.path("out/empty.tar.gz");
    fs::write(&empty, Tar::good(&[]).gzip()).expect("written");
    let empty = empty.to_str().expect("UTF-8");
    let report = service.run(&["drill", "--json", empty], 3).json();
    let error = report["drills"][0]["error"].as_str().expect("a reason");
    assert!(
        error.contains("state.redb is a part of the state"),
        "{report}"
    );
}

#[test]
fn the_newest_drill_of_each_destination_decides_about_its_health() {
    let metrics = |shop: &Shop| {
        let run = shop.service.run(&["status", "--prometheus"], 19);
        let text = run.text().to_owned();
        let lines = text.lines().map(str::to_owned);
        let lines = lines.filter(|line| line.starts_with("hookshot_last_drill_success"));
        lines.collect::<Vec<String>>()
    };
    let shop = Shop::new("");
    let good = fs::read(&archives(&shop.one)[0]).expect("read");
    let elsewhere = shop.service.machine.path("out/k.tar.gz");
    fs::write(&elsewhere, good).expect("written");
    flip(&archives(&shop.one)[0]);
    shop.json(&["@one"], 13);
    assert_eq!(problems(&shop, 19), [failed("one")]);
    assert!(metrics(&shop)[0].ends_with(",destination=\"one\"} 0"));
    let skips =
        "[[backup.hooks]]\nstage = \"before\"\nrun = \"exit 75\"\noperations = [\"drill\"]\n";
    shop.configure(skips);
    shop.json(&["@one"], 0);
    assert_eq!(problems(&shop, 19), [failed("one")], "a hook skipped one");
    shop.configure("");
    shop.json(&[elsewhere.to_str().expect("UTF-8")], 0);
    assert_eq!(problems(&shop, 19), [failed("one")], "of a mere file");
    shop.json(&["@two"], 0);
    assert_eq!(
        problems(&shop, 19),
        [failed("one")],
        "of another destination"
    );
    assert_eq!(metrics(&shop).len(), 2);
    // And one of a mere file that is damaged says nothing of any.
    flip(&elsewhere);
    shop.json(&[elsewhere.to_str().expect("UTF-8")], 13);
    assert_eq!(problems(&shop, 19), [failed("one")]);
    shop.service.run(&["backup"], 0);
    shop.json(&["@one"], 0);
    assert_eq!(problems(&shop, 0), []);
}

#[test]
fn something_with_the_name_of_the_newest_archive_hides_no_older_one() {
    let shop = Shop::new("");
    let odd = shop.one.join("shop-20990101-000000.tar.gz");
    let is_told = |words: &str| {
        let report = shop.json(&["@one"], 13);
        let drill = &report["drills"][0];
        assert_eq!(drill["archive"], "shop-20990101-000000.tar.gz", "{report}");
        let error = drill["error"].as_str().expect("a reason");
        assert!(error.contains(words), "{error}");
        // All of them are drilled.
        let report = shop.json(&["--all", "@one"], 13);
        let drills = report["drills"].as_array().expect("drills").iter();
        let good: Vec<&Value> = drills.map(|one| &one["good"]).collect();
        assert_eq!(good, [false, true]);
    };
    std::os::unix::fs::symlink("/nowhere", &odd).expect("a link");
    is_told("is a link to /nowhere, and there is nothing");
    fs::remove_file(&odd).expect("removed");
    fs::create_dir(&odd).expect("a folder");
    is_told("is a folder, not an archive");
    fs::remove_dir(&odd).expect("removed");
    mkfifo(&odd, Mode::S_IRWXU).expect("a fifo");
    is_told("is not a file, and not an archive");
    fs::remove_file(&odd).expect("removed");
    shop.json(&["@one"], 0);
}

#[test]
fn messages_name_paths_of_the_state_wherever_the_sandbox_lies() {
    let shop = Shop::new("[backup.drill]\nprobe = \"echo $HOOKSHOT_SANDBOX\"\n");
    let tmp = shop.service.machine.path("tmp");
    let link = shop.service.machine.path("out/link");
    std::os::unix::fs::symlink(&tmp, &link).expect("a link");
    for name in [tmp.as_os_str(), link.as_os_str(), OsStr::new("../tmp")] {
        let report = with_tmp(&shop, name, &["--json", "@one"]).exits(0).json();
        let drill = &report["drills"][0];
        let warnings = drill["warnings"].to_string();
        let absolute = shop.path("data/absolute").display().to_string();
        assert!(warnings.contains(&absolute), "{warnings}");
        assert!(!warnings.contains(".hookshot-"), "{warnings}");
        let path = Path::new(name).parent().expect("a folder");
        assert!(!warnings.contains(&format!("{}/{absolute}", path.display())));
        let sandbox = drill["probe"]["output"].as_str().expect("a path");
        assert!(sandbox.starts_with('/'), "{sandbox}");
    }
    shop.left_nothing();
    let run = with_tmp(&shop, OsStr::new("/nowhere/tmp"), &["@one"]);
    let text = run.text();
    assert!(text.contains("NOT RESTORED"), "{text}\n{}", run.stderr);
    assert!(!text.contains("NOT GOOD"), "{text}");
}

#[test]
fn a_probe_gets_paths_with_their_bytes() {
    let check = "set -e; test \"$(cat \"$HOOKSHOT_ENTRY_NOTES\")\" = first\n\
        test \"$(cat \"$(find \"$HOOKSHOT_SANDBOX\" -name notes)\")\" = first";
    let shop = Shop::new(&format!("[backup.drill]\nprobe = '''{check}'''\n"));
    let tmp = shop
        .service
        .machine
        .path("out")
        .join(OsStr::from_bytes(b"t\xff\xfe"));
    fs::create_dir(&tmp).expect("a folder");
    let run = with_tmp(&shop, tmp.as_os_str(), &["--json", "--keep", "@one"]);
    let report = run.exits(0).json();
    let escaped = report["drills"][0]["sandbox_escaped"].as_str();
    let escaped = escaped.expect("a path that is not UTF-8");
    assert!(
        escaped.contains("/out/t%FF%FE/hookshot-drill-"),
        "{escaped}"
    );
}

#[test]
fn a_probe_that_prints_without_end_does_not_fill_the_log() {
    let shop = Shop::new("[backup.drill]\nprobe = \"seq 20000\"\n");
    let run = shop.run(&["--json", "@one"], 0);
    let lines = run.stderr.lines().filter(|line| line.contains("probe: "));
    assert_eq!(lines.count(), 1001);
    assert!(run.stderr.contains("probe: further lines are not logged"));
    let report = run.json();
    let output = report["drills"][0]["probe"]["output"].as_str();
    assert!(output.is_some_and(|output| output.ends_with("19999\n20000")));
}

#[test]
fn a_source_without_an_import_command_is_told_as_it_is() {
    let dump = "[[backup.sources]]\nname = \"dump\"\nkind = \"command\"\nexport = \"echo rows\"\n";
    let shop = Shop::new(dump);
    for commands in ["true", "false"] {
        shop.configure(&format!("{dump}[backup.drill]\ncommands = {commands}\n"));
        let report = shop.json(&["@one"], 0);
        let warnings = report["drills"][0]["warnings"].to_string();
        assert!(
            warnings.contains("dump was not restored: its source has no import command"),
            "{warnings}"
        );
        assert!(!warnings.contains("lets it"), "{warnings}");
    }
}
