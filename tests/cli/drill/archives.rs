//! The archives of a drill: the newest of each destination, all of them, damaged ones, sealed ones, and remote ones.

use std::{fs, path::Path, process::Command};

use hookshot::crypt::{ExposeSecret as _, generate};
use serde_json::Value;
use support::{Mounted, is_root, servers::moto::Moto, service::write};

use super::{Shop, archives, facts, flip, names};

/// The names, destinations and verdicts of a report.
fn verdicts(report: &Value) -> Vec<(&str, &str, bool)> {
    let drills = report["drills"].as_array().expect("drills").iter();
    let all = drills.map(|drill| {
        (
            drill["destination"].as_str().unwrap_or(""),
            drill["archive"].as_str().unwrap_or(""),
            drill["good"].as_bool().expect("a verdict"),
        )
    });
    all.collect()
}

fn name(path: &Path) -> &str {
    path.file_name().expect("a name").to_str().expect("UTF-8")
}

#[test]
fn the_newest_archive_of_each_destination_is_restored_and_the_state_is_not_touched() {
    let shop = Shop::empty("");
    shop.backup_before(2);
    flip(&archives(&shop.one)[0]);
    shop.service.run(&["backup"], 0);
    // The folder of the history is there, and its lock was taken.
    shop.json(&[], 0);
    let machine = &shop.service.machine;
    let config = shop.service.config.clone();
    let before = facts(&shop.service.folder);
    let stored = (facts(&shop.one), facts(&shop.two));
    let config_before = (fs::read(&config).expect("read"), modified(&config));
    let report = shop.json(&[], 0);
    assert_eq!(facts(&shop.service.folder), before);
    assert_eq!((facts(&shop.one), facts(&shop.two)), stored);
    assert_eq!(
        (fs::read(&config).expect("read"), modified(&config)),
        config_before
    );
    assert_eq!(
        names(config.parent().expect("a folder")),
        [".hookshot", "config.toml"]
    );
    let hidden = names(&config.parent().expect("a folder").join(".hookshot"));
    assert!(
        hidden.iter().all(|name| name.ends_with(".jsonl")),
        "{hidden:?}"
    );
    shop.left_nothing();
    let (one, two) = (archives(&shop.one), archives(&shop.two));
    assert_eq!(
        verdicts(&report),
        [("one", name(&one[1]), true), ("two", name(&two[1]), true)]
    );
    let drill = &report["drills"][0];
    assert_eq!(
        drill["bytes"],
        one[1].metadata().expect("there").len(),
        "{drill}"
    );
    let seconds = |key: &str| drill["seconds"][key].as_f64().expect("seconds");
    let sum = seconds("fetch") + seconds("verify") + seconds("restore");
    let rto = drill["rto_seconds"].as_f64().expect("seconds");
    assert!((sum - rto).abs() < 1e-6, "{drill}");
    for (key, value) in [("probe", Value::Null), ("error", Value::Null)] {
        assert_eq!(drill[key], value, "{drill}");
    }
    assert!(drill["seconds"]["probe"].is_null(), "{drill}");
    assert_eq!(report["result"], "success");
    // `--all` meets the damaged one.
    let report = shop.json(&["--all"], 13);
    assert_eq!(
        verdicts(&report),
        [
            ("one", name(&one[1]), true),
            ("one", name(&one[0]), false),
            ("two", name(&two[1]), true),
            ("two", name(&two[0]), true)
        ]
    );
    assert_eq!(report["error"]["code"], 13, "{report}");
    assert!(drill["rto_seconds"].is_f64());
    // A destination is good if all of its archives are.
    let record = shop.history().pop().expect("a record");
    let good = |at: usize| record["destinations"][at]["good"].clone();
    assert_eq!((good(0), good(1)), (false.into(), true.into()), "{record}");
    assert_eq!(record["destinations"].as_array().map(Vec::len), Some(2));
    assert!(report["drills"][1]["rto_seconds"].is_null());
    shop.left_nothing();
    assert_eq!(names(&machine.path("tmp")), [""; 0]);
}

fn modified(path: &Path) -> std::time::SystemTime {
    let metadata = path.metadata().expect("metadata");
    metadata.modified().expect("a time")
}

#[test]
fn a_flipped_byte_in_the_newest_archive_is_found_and_no_older_one_is_taken() {
    let shop = Shop::empty("");
    shop.backup_before(2);
    shop.service.run(&["backup"], 0);
    flip(&archives(&shop.one)[1]);
    let report = shop.json(&[], 13);
    let (one, two) = (archives(&shop.one), archives(&shop.two));
    assert_eq!(
        verdicts(&report),
        [("one", name(&one[1]), false), ("two", name(&two[1]), true)]
    );
    let error = report["drills"][0]["error"].as_str().expect("a reason");
    assert!(error.contains(name(&one[1])), "{error}");
    shop.left_nothing();
    let run = shop.run(&[], 13);
    let text = run.text();
    assert!(
        text.contains("NOT GOOD") && text.contains("good, "),
        "{text}"
    );
    assert!(
        run.stderr.contains("1 of 2 restores failed"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_database_that_does_not_open_is_found_wherever_it_lies() {
    let torn = |path: &Path| {
        let mut bytes = fs::read(path).expect("read");
        bytes[4096..12_288].fill(7);
        fs::write(path, bytes).expect("written");
    };
    // As a source: it was exported as a plain file.
    let shop = Shop::empty("");
    let file = shop.text("file", "");
    let database = shop.text("sqlite", "");
    torn(&shop.path("app.db"));
    fs::write(&shop.service.config, file).expect("written");
    shop.service.run(&["backup"], 0);
    fs::write(&shop.service.config, database).expect("written");
    let report = shop.json(&["@one"], 13);
    let error = report["drills"][0]["error"].as_str().expect("a reason");
    assert!(
        error.contains("app.db in the archive does not open"),
        "{error}"
    );
    assert_eq!(report["drills"][0]["good"], false);
    assert!(!report.to_string().contains("--force"), "{report}");
    // As a file of a plain kind: the import puts it in place as it is.
    fs::write(&shop.service.config, shop.text("file", "")).expect("written");
    let report = shop.json(&["@one"], 13);
    let error = report["drills"][0]["error"].as_str().expect("a reason");
    assert!(
        error.contains("app.db in the archive does not open"),
        "{error}"
    );
    shop.left_nothing();
    // Among the files of a directory.
    let shop = Shop::empty("");
    torn(&shop.path("data/inner.db"));
    shop.service.run(&["backup"], 3);
    let report = shop.json(&["@two"], 13);
    let error = report["drills"][0]["error"].as_str().expect("a reason");
    assert!(error.contains("data/inner.db in the archive"), "{error}");
    shop.left_nothing();
}

#[test]
fn a_sealed_archive_is_restored_with_its_key_and_with_no_other() {
    let (pair, other) = (generate(), generate());
    let sealed = format!("[backup.encryption]\nrecipients = [\"{}\"]\n", pair.public);
    let shop = Shop::new(&sealed);
    let machine = &shop.service.machine;
    machine.write("key.txt", pair.secret.expose_secret(), 0o600);
    machine.write("other.txt", other.secret.expose_secret(), 0o600);
    let key = machine.path("key.txt").display().to_string();
    let wrong = machine.path("other.txt").display().to_string();
    let report = shop.json(&["--identity", &key], 0);
    assert_eq!(report["drills"].as_array().map(Vec::len), Some(2));
    for keys in [&[][..], &["--identity", &wrong]] {
        let report = shop.json(keys, 12);
        assert_eq!(report["drills"][0]["good"], false);
        assert!(report["drills"][1]["error"].is_string(), "{report}");
        assert_eq!(report["error"]["kind"], "wrong_key");
    }
    // The configuration names the key.
    shop.configure(&format!("{sealed}identity_file = \"{key}\"\n"));
    let run = shop.run(&["--json"], 0);
    let secret = pair.secret.expose_secret().trim().to_owned();
    assert!(!format!("{}{}", run.text(), run.stderr).contains(&secret));
    shop.left_nothing();
    // A schedule on a host that has none is a fault.
    let schedule = "[backup.schedule]\ndrill = \"sun 05:00\"\n";
    shop.configure(&format!("{sealed}{schedule}"));
    let run = shop.service.run(&["validate"], 2);
    run.says("`drill` under [backup.schedule] opens archives")
        .says("@one, @two");
    shop.service.run(&["validate", "--identity", &key], 0);
    shop.configure(&format!("{sealed}identity_file = \"{key}\"\n{schedule}"));
    shop.service.run(&["validate"], 0);
    shop.configure(schedule);
    shop.service.run(&["validate"], 0);
}

#[test]
fn a_destination_that_is_broken_or_empty_stops_no_other() {
    let shop = Shop::new("");
    fs::remove_dir_all(&shop.one).expect("removed");
    fs::write(&shop.one, "no folder").expect("written");
    let report = shop.json(&[], 10);
    let archives = archives(&shop.two);
    assert_eq!(
        verdicts(&report),
        [("one", "", false), ("two", name(&archives[0]), true)]
    );
    assert!(report["drills"][0]["error"].is_string());
    assert!(report["drills"][0]["archive"].is_null());
    fs::remove_file(&shop.one).expect("removed");
    fs::create_dir(&shop.one).expect("a folder");
    let report = shop.json(&[], 10);
    let error = report["drills"][0]["error"].as_str().expect("a reason");
    assert!(error.contains("@one has no archive of shop"), "{error}");
    assert_eq!(report["drills"][1]["good"], true);
    // A damaged archive is worse than a missing one.
    flip(&archives[0]);
    shop.json(&[], 13);
    shop.run(&["@three"], 10).says("@three");
}

#[test]
fn archives_are_named_as_other_verbs_name_them() {
    let shop = Shop::empty("");
    shop.backup_before(2);
    shop.service.run(&["backup"], 0);
    let one = archives(&shop.one);
    let (old, new) = (name(&one[0]), name(&one[1]));
    let path = one[0].display().to_string();
    let folder = shop.one.display().to_string();
    let elsewhere = shop.service.machine.path("out/other.tar.gz");
    fs::copy(&one[0], &elsewhere).expect("copied");
    let elsewhere = elsewhere.display().to_string();
    for (word, destination, archive) in [
        ("@one", "one", new),
        ("@one/", "one", new),
        ("@one/latest", "one", new),
        (&*format!("@one/{old}"), "one", old),
        (&path, "one", old),
        (&folder, &folder, new),
        (
            &elsewhere,
            &*shop.service.machine.path("out").display().to_string(),
            "other.tar.gz",
        ),
    ] {
        let report = shop.json(&[word], 0);
        assert_eq!(verdicts(&report), [(destination, archive, true)], "{word}");
    }
    let bytes = fs::read(&path).expect("read");
    let mut command = Command::new(support::program());
    command.arg("--config").arg(&shop.service.config);
    command.args(["drill", "--json", "-"]);
    command.env("TMPDIR", shop.service.machine.path("tmp"));
    let report = support::finish(command, &bytes).exits(0).json();
    assert_eq!(verdicts(&report), [("", "-", true)]);
    let report = shop.json(&["@two", &path, "/nowhere.tar.gz"], 10);
    let good: Vec<bool> = verdicts(&report).iter().map(|one| one.2).collect();
    assert_eq!(good, [true, true, false]);
    shop.left_nothing();
    // On a machine that has nothing, the archive says where things go, and nothing is recorded.
    let new = support::Machine::empty();
    let mut command = Command::new(support::program());
    let nowhere = new.path("etc/config.toml");
    command.arg("--config").arg(&nowhere);
    command.args(["drill", "--json", &path]);
    command.env("TMPDIR", new.path("tmp"));
    let report = support::finish(command, b"").exits(3).json();
    assert_eq!(report["drills"][0]["good"], true);
    // The user names a configuration, and it is not there.
    let error = report["error"]["message"].as_str().expect("a message");
    assert!(
        error.contains("config.toml does not exist: no probe"),
        "{error}"
    );
    assert_eq!(names(&new.path("etc")), [""; 0]);
    assert_eq!(names(&new.path("tmp")), [""; 0]);
}

/// The sources lie behind `..`, behind a restored link with an absolute target, and on a mount point.
#[test]
fn links_and_mounts_of_the_state_lead_nowhere_in_the_sandbox() {
    let shop = Shop::empty("");
    let mount = is_root("a mount point in the state").then(|| {
        let folder = shop.path("mounted");
        fs::create_dir(&folder).expect("a folder");
        let mounted = Mounted::tmpfs(&folder, "1m");
        write(&folder.join("file"), "mounted");
        mounted
    });
    let elsewhere = shop.path("elsewhere");
    write(&elsewhere.join("behind"), "behind");
    std::os::unix::fs::symlink(&elsewhere, shop.path("data/out")).expect("a link");
    let text = shop.text("sqlite", "links = \"all\"\n");
    let notes = shop.path("notes").display().to_string();
    let text = text.replace(&format!("\"{notes}\""), "\"../../srv/data/../notes\"");
    let mounted = match &mount {
        Some(_) => format!(
            "[[backup.sources]]\nname = \"mounted\"\nkind = \"directory\"\npath = \"{}\"\nmounted = true\n",
            shop.path("mounted").display()
        ),
        None => String::new(),
    };
    let probe = "set -eu\n\
        test \"$(cat \"$HOOKSHOT_ENTRY_BEHIND\")\" = behind\n\
        test \"$(cat \"$HOOKSHOT_ENTRY_NOTES\")\" = first\n\
        test -L \"$HOOKSHOT_ENTRY_DATA/out\"\n\
        if [ -n \"${HOOKSHOT_ENTRY_MOUNTED-}\" ]; then cat \"$HOOKSHOT_ENTRY_MOUNTED/file\"; fi\n\
        case \"$HOOKSHOT_ENTRY_BEHIND\" in \"$HOOKSHOT_SANDBOX\"/*) ;; *) exit 7 ;; esac\n";
    let text = format!(
        "{text}[[backup.sources]]\nname = \"behind\"\nkind = \"file\"\npath = \"{}\"\n{mounted}\
        [backup.drill]\nprobe = '''{probe}'''\n",
        shop.path("data/out/behind").display()
    );
    fs::write(&shop.service.config, text).expect("written");
    shop.service.run(&["backup"], 0);
    shop.json(&["@one"], 0);
    let before = facts(&shop.service.folder);
    let report = shop.json(&["@one"], 0);
    let output = match mount {
        Some(_) => "mounted",
        None => "",
    };
    assert_eq!(report["drills"][0]["probe"]["output"], output);
    assert_eq!(facts(&shop.service.folder), before);
    shop.left_nothing();
}

#[test]
fn a_bucket_is_drilled_and_a_server_that_is_gone_is_told() {
    let Some(moto) = Moto::start() else { return };
    let shop = Shop::empty("");
    let bucket = format!("[backup.destinations.bucket]\n{}\n", moto.destination());
    let text = shop.text("sqlite", &bucket);
    let text = text.replace("to = [\"one\", \"two\"]", "to = [\"bucket\", \"two\"]");
    fs::write(&shop.service.config, &text).expect("written");
    shop.service.run(&["backup"], 0);
    let report = shop.json(&["@bucket", "@two"], 0);
    let drill = &report["drills"][0];
    assert_eq!(drill["destination"], "bucket");
    assert_eq!(drill["good"], true);
    assert!(drill["seconds"]["fetch"].as_f64() > Some(0.0), "{drill}");
    assert!(drill["bytes"].as_u64() > Some(1000), "{drill}");
    shop.left_nothing();
    drop(moto);
    let text = text.replace(
        "[backup.destinations.bucket]\n",
        "[backup.destinations.bucket]\ntimeout = \"2s\"\nretry_attempts = 1\n",
    );
    fs::write(&shop.service.config, text).expect("written");
    let report = shop.json(&["@bucket", "@two"], 1);
    let good: Vec<bool> = verdicts(&report).iter().map(|one| one.2).collect();
    assert_eq!(good, [false, true]);
    assert_eq!(report["error"]["kind"], "unreachable", "{report}");
}
