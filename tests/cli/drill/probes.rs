//! Probes: what they get, how they fail, and commands of sources in the sandbox.

use std::fs;

use serde_json::Value;
use support::service::write;

use super::{Shop, archives, names};

/// `[backup.drill]` with a probe in a shell.
fn probe(shell: &str, further: &str) -> String {
    format!("[backup.drill]\nprobe = '''{shell}'''\n{further}\n")
}

#[test]
fn a_probe_gets_the_restored_entries_and_the_sandbox() {
    let secret = "hunter2-of-a-probe";
    let check = "set -eu\n\
        test \"$(cat \"$HOOKSHOT_ENTRY_NOTES\")\" = first\n\
        test \"$(cat \"$HOOKSHOT_ENTRY_DATA/deep/text\")\" = deep\n\
        test ! -e \"$HOOKSHOT_ENTRY_DATA/absolute\"\n\
        test -s \"$HOOKSHOT_ENTRY_APP_DB\"\n\
        grep -q 'app = \"shop\"' \"$HOOKSHOT_ENTRY_CONFIG_TOML\"\n\
        case \"$HOOKSHOT_ENTRY_NOTES\" in \"$HOOKSHOT_SANDBOX\"/*) ;; *) exit 7 ;; esac\n\
        test \"$(stat -c %a \"$HOOKSHOT_SANDBOX\")\" = 700\n\
        echo \"$HOOKSHOT_OPERATION $HOOKSHOT_STAGE $HOOKSHOT_APP $HOOKSHOT_ARCHIVE $HOOKSHOT_RUN_ID\"\n\
        test -z \"$(cat)\"\n\
        echo \"$AWS_SECRET_ACCESS_KEY\" >&2\n";
    let mut shop = Shop::new(&probe(check, ""));
    shop.service.set("AWS_SECRET_ACCESS_KEY", secret);
    let run = shop.run(&["--json", "@one"], 0);
    let report = run.json();
    let drill = &report["drills"][0];
    assert_eq!(drill["probe"]["exit_code"], 0, "{drill}");
    let archive = drill["archive"].as_str().expect("a name");
    let id = report["run_id"].as_str().expect("an identity");
    assert_eq!(
        drill["probe"]["output"],
        format!("drill probe shop {archive} {id}\n***")
    );
    assert!(!format!("{}{}", run.text(), run.stderr).contains(secret));
    assert!(
        run.stderr.contains("probe: drill probe shop"),
        "{}",
        run.stderr
    );
    assert!(drill["seconds"]["probe"].as_f64() > Some(0.0));
    shop.left_nothing();
    // A list of words is run without a shell.
    shop.configure(
        "[backup.drill]\nprobe = [\"/usr/bin/test\", \"$HOOKSHOT_SANDBOX\", \"=\", \"x\"]\n",
    );
    let report = shop.json(&["@one"], 19);
    assert_eq!(report["drills"][0]["probe"]["exit_code"], 1);
}

#[test]
fn a_probe_that_fails_is_told_and_a_damaged_archive_gets_none() {
    let shop = Shop::new(&probe("echo no orders >&2; exit 3", ""));
    let report = shop.json(&[], 19);
    for drill in report["drills"].as_array().expect("drills") {
        assert_eq!(drill["good"], true, "the archive itself is good: {drill}");
        assert_eq!(drill["probe"]["exit_code"], 3);
        assert_eq!(drill["probe"]["output"], "no orders");
        assert!(drill["rto_seconds"].is_f64());
        let error = drill["error"].as_str().expect("a reason");
        assert!(error.contains("ended with exit status: 3"), "{error}");
    }
    assert_eq!(report["error"]["kind"], "not_healthy");
    let run = shop.run(&[], 19);
    assert!(run.text().contains("probe: FAILED"), "{}", run.text());
    assert!(run.text().contains("    no orders"), "{}", run.text());
    shop.left_nothing();
    super::flip(&archives(&shop.one)[0]);
    let report = shop.json(&[], 13);
    assert_eq!(report["drills"][0]["probe"], Value::Null);
    assert_eq!(report["drills"][1]["probe"]["exit_code"], 3);
    // One that cannot start is one that fails.
    shop.configure("[backup.drill]\nprobe = [\"/nowhere/probe\"]\n");
    let report = shop.json(&["@two"], 19);
    assert_eq!(report["drills"][0]["good"], true, "{report}");
    shop.left_nothing();
}

#[test]
fn a_probe_that_hangs_is_ended_with_its_children() {
    let shop = Shop::new("");
    let pid = shop.service.machine.path("out/pid");
    let hangs = format!("sleep 1000 & echo $! > {}; echo waits; wait", pid.display());
    shop.configure(&probe(&hangs, "timeout = \"1s\""));
    let report = shop.json(&["@one"], 19);
    let drill = &report["drills"][0];
    assert_eq!(drill["probe"]["exit_code"], Value::Null, "{drill}");
    assert_eq!(drill["probe"]["output"], "waits");
    let error = drill["error"].as_str().expect("a reason");
    assert!(error.contains("takes longer than 1 s"), "{error}");
    let child = fs::read_to_string(pid).expect("a number");
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.trim()));
    assert!(stat.is_err() || stat.expect("read").contains(") Z"));
    shop.left_nothing();
}

#[test]
fn a_sandbox_stays_if_the_user_keeps_it() {
    let shop = Shop::new(&probe("echo changed > \"$HOOKSHOT_ENTRY_NOTES\"", ""));
    let report = shop.json(&["--keep", "@one"], 0);
    let sandbox = report["drills"][0]["sandbox"].as_str().expect("a folder");
    let tmp = shop.service.machine.path("tmp");
    assert!(
        sandbox.starts_with(tmp.to_str().expect("UTF-8")),
        "{sandbox}"
    );
    let notes = format!("{sandbox}{}", shop.path("notes").display());
    assert_eq!(fs::read_to_string(&notes).expect("there"), "changed\n");
    assert_eq!(
        fs::read_to_string(shop.path("notes")).expect("there"),
        "first"
    );
    assert_eq!(names(&tmp).len(), 1);
    // The next ones leave it alone.
    let run = shop.run(&["--keep", "@one"], 0);
    assert!(
        run.text().contains("the restored state stays in"),
        "{}",
        run.text()
    );
    assert!(fs::exists(&notes).expect("known"));
    assert_eq!(names(&tmp).len(), 2);
}

#[test]
fn entries_of_similar_names_have_variables_of_their_own() {
    let sources = |shop: &Shop| {
        let source = |name: &str| {
            let path = shop.path(name);
            write(&path, name);
            format!(
                "[[backup.sources]]\nname = \"{name}\"\nkind = \"file\"\npath = \"{}\"\n",
                path.display()
            )
        };
        source("a.b") + &source("a-b")
    };
    let shop = Shop::empty("");
    let check = "cat \"$HOOKSHOT_ENTRY_A_B\" \"$HOOKSHOT_ENTRY_A_B_2\"";
    shop.configure(&(sources(&shop) + &probe(check, "")));
    shop.service.run(&["backup"], 0);
    let report = shop.json(&["@one"], 0);
    let drill = &report["drills"][0];
    assert_eq!(drill["probe"]["output"], "a-ba.b");
    let warnings = drill["warnings"].to_string();
    assert!(
        warnings
            .contains("another entry has the variable HOOKSHOT_ENTRY_A_B of the probe: a.b has"),
        "{warnings}"
    );
}

#[test]
fn import_commands_run_only_if_the_configuration_lets_them() {
    let shop = Shop::empty("");
    let real = shop.service.machine.path("out/real");
    let source = format!(
        "service = \"true\"\n[[backup.sources]]\nname = \"dump\"\nkind = \"command\"\nexport = \"echo rows; echo >> {0}\"\n\
        import = 'cat > \"$HOOKSHOT_SANDBOX/dump-$HOOKSHOT_OPERATION\"'\n",
        real.display()
    );
    // The service runs: it does not hinder a rehearsal.
    let configure = |drill: &str| {
        let text = shop.text(
            "sqlite",
            &format!("{}{drill}", source.split_once('\n').expect("lines").1),
        );
        let text = text.replace(
            "prefix = \"shop\"\n",
            "prefix = \"shop\"\nservice = \"true\"\n",
        );
        fs::write(&shop.service.config, text).expect("written");
    };
    configure("");
    shop.service.run(&["backup"], 0);
    let exported = fs::read(&real).expect("there");
    let report = shop.json(&["@one", "--keep"], 0);
    let drill = &report["drills"][0];
    let warnings = drill["warnings"].to_string();
    assert!(
        warnings.contains("the import command of dump did not run: `commands = true`"),
        "{warnings}"
    );
    let sandbox = drill["sandbox"].as_str().expect("a folder");
    assert!(!fs::exists(format!("{sandbox}/dump-drill")).expect("known"));
    configure(
        "[backup.drill]\ncommands = true\nprobe = 'grep rows \"$HOOKSHOT_SANDBOX/dump-drill\"'\n",
    );
    let report = shop.json(&["@one"], 0);
    let drill = &report["drills"][0];
    assert_eq!(drill["probe"]["output"], "rows", "{drill}");
    let warnings = drill["warnings"].to_string();
    assert!(!warnings.contains("dump"), "{warnings}");
    // What the service holds is not exported once more.
    assert_eq!(fs::read(&real).expect("there"), exported);
    // A command that fails: the archive cannot be restored.
    let text = fs::read_to_string(&shop.service.config).expect("read");
    let text = text.replace("import = 'cat >", "import = 'exit 4; cat >");
    fs::write(&shop.service.config, text).expect("written");
    let report = shop.json(&["@one"], 13);
    assert_eq!(report["drills"][0]["good"], false);
    let error = report["drills"][0]["error"].as_str().expect("a reason");
    assert!(
        error.contains("the import command of dump failed"),
        "{error}"
    );
}

#[test]
fn a_temporary_folder_within_the_state_is_refused() {
    let mut shop = Shop::new("");
    let inside = shop.path("data/tmp");
    fs::create_dir(&inside).expect("a folder");
    let before = super::facts(&shop.service.folder);
    let mut command = std::process::Command::new(support::program());
    command.arg("--config").arg(&shop.service.config);
    command.arg("drill").env("TMPDIR", &inside);
    support::finish(command, b"")
        .exits(2)
        .says("lies in the directory data");
    assert_eq!(super::facts(&shop.service.folder), before);
    shop.service.set("TMPDIR", "");
}
