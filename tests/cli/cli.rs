//! One story for each verb, through the real binary: what it does, what it says, what it refuses.

use support::{self, Content, Machine, SECRET};

use std::{fs, os::unix::fs::symlink, process::Command};

use hookshot::model::{digest::Digest, entry_name::EntryName, manifest::Manifest};

#[test]
fn export_makes_one_private_archive_and_says_what_it_did() {
    let machine = Machine::new();
    let path = machine.path("out/a.tar.gz").display().to_string();
    let run = machine
        .run(&["export", &path, "--tag", "why=upgrade"])
        .exits(0);
    for line in [
        "INFO Starting state export\n",
        "INFO Added database to backup\n",
        "INFO Added system config to backup\n",
        "INFO Added services config to backup\n",
        "INFO Added secrets file to backup\n",
        &format!("INFO Backup created successfully, output={path}, files=4, size_bytes="),
    ] {
        assert!(run.stderr.contains(line), "{line}: {}", run.stderr);
    }
    assert!(run.stdout.is_empty());
    assert_eq!(machine.mode("out/a.tar.gz"), 0o600);
    let run = machine.run(&["inspect", &path, "--json"]).exits(0).json();
    assert_eq!(run["manifest"]["tags"]["why"], "upgrade");
    assert_eq!(run["manifest"]["version"], "1.1");
    assert_eq!(run["manifest"]["files"]["secrets"]["mode"], "0600");
    assert_eq!(
        run["manifest"]["files"]["state.redb"]["snapshot"]["check_integrity"],
        true
    );
    assert!(
        machine
            .run(&["show", &path])
            .exits(0)
            .text()
            .contains("tag       why=upgrade")
    );
}

#[test]
fn export_reports_as_json() {
    let machine = Machine::new();
    let path = machine.path("out/a.tar.gz").display().to_string();
    let json = machine.run(&["export", &path, "--json"]).exits(0).json();
    assert_eq!(json["archive"], path.as_str());
    assert_eq!(json["files"], 4);
    assert_eq!(json["verified"], true);
    assert_eq!(json["size_bytes"], machine.read("out/a.tar.gz").len());
    assert_eq!(json["snapshot"]["method"], "locked-copy");
    assert!(json["duration_seconds"].as_f64().expect("a number") > 0.0);
    let sum = Command::new("sha256sum")
        .arg(&path)
        .output()
        .expect("sha256sum");
    assert!(
        String::from_utf8_lossy(&sum.stdout)
            .starts_with(json["sha256"].as_str().expect("a digest"))
    );
}

#[test]
fn export_to_a_folder_gives_default_names_that_never_collide() {
    let machine = Machine::new();
    let folder = machine.path("out/new/").display().to_string();
    for _ in 0..5 {
        machine.run(&["export", &folder]).exits(0);
    }
    let mut names: Vec<String> = fs::read_dir(&folder)
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect();
    names.sort();
    assert_eq!(names.len(), 5, "{names:?}");
    assert!(
        names
            .iter()
            .all(|name| name.starts_with("hookshot-state-2") && name.ends_with(".tar.gz")),
        "{names:?}"
    );
    assert_eq!(machine.mode("out/new"), 0o700);
    machine
        .run(&[
            "verify",
            &format!("{folder}{}", names[0]),
            &format!("{folder}{}", names[4]),
        ])
        .exits(0);
}

#[test]
fn export_to_standard_output_is_the_archive_and_nothing_else() {
    let machine = Machine::new();
    let run = machine.run(&["export", "-"]).exits(0);
    assert!(run.stdout.starts_with(&[0x1f, 0x8b]));
    machine.run_with(&["verify", "-"], &run.stdout).exits(0);
    machine.run(&["export", "-", "--json"]).exits(2);
}

#[test]
fn export_replaces_archives_and_nothing_else() {
    let machine = Machine::new();
    let path = machine.export("a.tar.gz");
    let before = machine.read("out/a.tar.gz");
    machine.run(&["export", &path, "--tag", "a=b"]).exits(0);
    assert_ne!(before, machine.read("out/a.tar.gz"));
    machine.write("out/notes.txt", "precious", 0o644);
    machine
        .run(&["export", "notes.txt"])
        .exits(2)
        .says("is not a hookshot archive")
        .says("--overwrite");
    assert_eq!(machine.read("out/notes.txt"), b"precious");
    machine
        .run(&["export", "notes.txt", "--overwrite"])
        .exits(0);
    // What belongs to the state is never an output.
    let database = machine.path("data/state.redb").display().to_string();
    machine
        .run(&["export", &database, "--overwrite"])
        .exits(2)
        .says("this machine's state");
    machine
        .run(&["export", "/dev/null", "--overwrite"])
        .exits(2)
        .says("not a regular file");
    machine
        .run(&["export", "no/such/folder/a.tar.gz"])
        .exits(10)
        .says("mkdir -p");
}

#[test]
fn export_writes_over_nothing_that_an_import_or_a_rollback_needs() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    machine.write("etc/services.toml", "old = 1\n", 0o640);
    machine.run(&["import", &archive]).exits(0);
    fs::remove_file(machine.path("etc/secrets")).expect("removed");
    let state = machine.state();
    for place in [
        "etc/.hookshot/journal.json",
        "etc/.hookshot/last-import.json",
        "etc/.hookshot/new/",
        "etc/services.toml.bak",
        "etc/secrets",
    ] {
        let place = machine.path("").join(place).display().to_string();
        machine
            .run(&["export", &place, "--overwrite"])
            .exits(2)
            .says("is a place of this machine's state");
    }
    assert_eq!(machine.state(), state);
}

#[test]
fn a_slip_in_the_path_of_the_configuration_restores_nothing_elsewhere() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookshot"));
    command
        .arg("--config")
        .arg(machine.path("etc/confg.toml"))
        .args(["import", &archive, "--dry-run"])
        .env_remove("HOOKSHOT_DATA_DIR");
    support::finish(command, b"")
        .exits(2)
        .says("name the right --config");
}

#[test]
fn export_without_secrets_says_where_it_looked() {
    let machine = Machine::new();
    let path = machine.path("out/a.tar.gz").display().to_string();
    machine
        .run(&["export", &path, "--exclude-secrets"])
        .exits(0)
        .says("files=3");
    fs::remove_file(machine.path("etc/secrets")).expect("removed");
    machine
        .run(&["export", &path])
        .exits(0)
        .says("WARN")
        .says(&machine.path("etc/secrets").display().to_string())
        .says("files=3");
    let listed = machine.run(&["inspect", &path, "--json"]).json();
    assert!(listed["manifest"]["files"].get("secrets").is_none());
}

#[test]
fn export_of_a_database_that_is_open_goes_along_its_checksums() {
    let machine = Machine::new();
    for how in ["write", "ranges"] {
        let holder = machine.holder(how);
        let report = machine
            .run(&["export", "a.tar.gz", "--json"])
            .exits(0)
            .json();
        assert_eq!(report["snapshot"]["method"], "merkle-walk", "{how}");
        assert_eq!(report["snapshot"]["rounds"], 1);
        assert_eq!(report["snapshot"]["writer_pid"], holder.pid());
        machine.run(&["verify", "a.tar.gz"]).exits(0);
    }
    let _reader = machine.holder("read");
    let report = machine
        .run(&["export", "a.tar.gz", "--json"])
        .exits(0)
        .json();
    assert_eq!(report["snapshot"]["method"], "locked-copy");
    let report = machine
        .run(&["export", "a.tar.gz", "--json", "--snapshot", "walk"])
        .exits(0)
        .json();
    assert_eq!(report["snapshot"]["method"], "merkle-walk");
}

#[test]
fn export_under_a_lock_alone_names_the_process_that_has_it() {
    let machine = Machine::new();
    for how in ["write", "ranges"] {
        let holder = machine.holder(how);
        let run = machine
            .run(&["export", "a.tar.gz", "--snapshot", "locked"])
            .exits(15);
        assert!(
            run.stderr.contains(&format!("process {}", holder.pid())),
            "{how}: {}",
            run.stderr
        );
        assert!(run.stderr.contains("stop the service"), "{}", run.stderr);
        let error = machine
            .run(&["export", "a.tar.gz", "--snapshot", "locked", "--json"])
            .exits(15)
            .json();
        assert_eq!(error["error"]["kind"], "no_snapshot");
    }
    assert!(!machine.path("out/a.tar.gz").exists());
}

#[test]
fn what_a_crashed_service_left_is_exported_as_it_is_and_not_repaired() {
    let machine = Machine::new();
    machine.crash_service();
    let before = machine.read("data/state.redb");
    let archive = machine.export("a.tar.gz");
    assert!(
        machine.read("data/state.redb") == before,
        "the original stays as it is"
    );
    let listed = machine.run(&["inspect", &archive, "--json"]).json();
    assert_eq!(
        listed["manifest"]["files"]["state.redb"]["snapshot"]["repaired"],
        true
    );
    fs::remove_file(machine.path("data/state.redb")).expect("removed");
    machine.run(&["import", &archive]).exits(0);
    let mut db = redb::Database::open(machine.path("data/state.redb")).expect("it is good");
    db.check_integrity().expect("whole");
}

#[test]
fn export_refuses_what_is_no_good_database() {
    let machine = Machine::new();
    machine.write("data/state.redb", "", 0o600);
    machine
        .run(&["export", "a.tar.gz"])
        .exits(15)
        .says("not a redb database");
    machine.write("data/state.redb", "redb or not redb".repeat(1000), 0o600);
    machine
        .run(&["export", "a.tar.gz"])
        .exits(15)
        .says("not a redb database");
    fs::remove_file(machine.path("data/state.redb")).expect("removed");
    machine
        .run(&["export", "a.tar.gz"])
        .exits(10)
        .says("state.redb is missing");
    machine.fill_database(2000);
    let mut bytes = machine.read("data/state.redb");
    let middle = bytes.len() / 4;
    bytes[middle..middle + 60_000].fill(0x5a);
    machine.write("data/state.redb", bytes, 0o600);
    machine
        .run(&["export", "a.tar.gz"])
        .exits(15)
        .says("is damaged");
    assert!(!machine.path("out/a.tar.gz").exists());
}

#[test]
fn a_database_without_the_tables_of_hookshot_is_exported_all_the_same() {
    let machine = Machine::new();
    fs::remove_file(machine.path("data/state.redb")).expect("removed");
    let table: redb::TableDefinition<u64, u64> = redb::TableDefinition::new("locks");
    let db = redb::Database::create(machine.path("data/state.redb")).expect("a database");
    let tx = db.begin_write().expect("a transaction");
    tx.open_table(table)
        .expect("a table")
        .insert(1, 2)
        .expect("a row");
    tx.commit().expect("committed");
    drop(db);
    let archive = machine.export("a.tar.gz");
    // On import it cannot be told what is active.
    machine.write("etc/services.toml", "", 0o644);
    machine
        .run(&["import", &archive])
        .exits(11)
        .says("cannot tell whether deployments are active");
    machine.run(&["import", &archive, "--force"]).exits(0);
}

#[test]
fn import_restores_what_was_exported_and_keeps_what_was_there() {
    let machine = Machine::new();
    let exported = machine.targets();
    let archive = machine.export("a.tar.gz");
    machine.fill_database(60);
    machine.write("etc/config.toml", machine.config_text("[server2]\n"), 0o600);
    fs::remove_file(machine.path("etc/secrets")).expect("removed");
    let before = machine.targets();
    let report = machine.run(&["import", &archive, "--json"]).exits(0).json();
    assert_eq!(report["applied"], true);
    assert_eq!(report["dry_run"], false);
    let actions: Vec<&str> = report["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .map(|step| step["action"].as_str().expect("an action"))
        .collect();
    assert_eq!(actions, ["replace", "create", "unchanged", "replace"]);
    assert_eq!(machine.targets(), exported);
    for name in ["etc/config.toml", "data/state.redb"] {
        assert_eq!(
            Some((
                machine.mode(&format!("{name}.bak")),
                Content(machine.read(&format!("{name}.bak")))
            )),
            before[name]
        );
    }
    assert!(!machine.path("etc/services.toml.bak").exists());
    // A second import of the same archive changes nothing.
    let report = machine.run(&["import", &archive, "--json"]).exits(0).json();
    assert!(
        report["steps"]
            .as_array()
            .expect("steps")
            .iter()
            .all(|step| step["action"] == "unchanged")
    );
}

/// The archive with another content of one entry: good, though export would not have made it.
fn with_other_content(machine: &Machine, archive: &str, name: &str, content: &[u8]) -> String {
    let mut manifest =
        machine.run(&["inspect", archive, "--json"]).exits(0).json()["manifest"].clone();
    manifest["files"][name]["size"] = content.len().into();
    manifest["files"][name]["checksum"] = Digest::of(content).to_string().into();
    let manifest = Manifest::parse(manifest.to_string().as_bytes()).expect("a good manifest");
    let path = machine.path("out/other.tar.gz");
    let file = fs::File::create(&path).expect("a file");
    let open = |entry: &EntryName| {
        let bytes = if entry.as_str() == name {
            content.to_vec()
        } else {
            machine
                .run(&["extract", archive, entry.as_str(), "-o", "-"])
                .exits(0)
                .stdout
        };
        Ok(std::io::Cursor::new(bytes))
    };
    let written = hookshot::archive::writer::write(
        file,
        &manifest,
        hookshot::archive::writer::Level::DEFAULT,
        hookshot::work::Threads::ONE,
        None,
        open,
    );
    written.expect("written");
    path.display().to_string()
}

#[test]
fn export_refuses_what_an_import_would_refuse() {
    let machine = Machine::new();
    machine.write("etc/services.toml", "not toml\n", 0o640);
    machine
        .run(&["export", "a.tar.gz"])
        .exits(2)
        .says("an import would refuse it: line 1");
    machine.write("etc/services.toml", "#".repeat(2 << 20), 0o640);
    machine
        .run(&["export", "a.tar.gz"])
        .exits(2)
        .says("larger than 1 MiB");
    assert!(!machine.path("out/a.tar.gz").exists());
}

#[test]
fn a_configuration_of_any_size_in_an_archive_costs_nothing() {
    let machine = Machine::new();
    let good = machine.export("good.tar.gz");
    let archive = with_other_content(&machine, &good, "services.toml", &vec![b'\n'; 64 << 20]);
    let state = machine.state();
    machine
        .run(&["import", &archive])
        .exits(13)
        .says("larger than 1 MiB");
    assert_eq!(machine.state(), state);
}

#[test]
fn export_does_not_take_every_tar_for_an_archive() {
    let machine = Machine::new();
    for script in [
        "mkdir photos && echo 1 > photos/1.jpg && tar -czf photos.tar.gz photos",
        "mkdir -p app && echo '{}' > app/manifest.json && tar -czf app.tar.gz app/manifest.json",
    ] {
        assert!(
            Command::new("sh")
                .args(["-c", script])
                .current_dir(machine.path("out"))
                .status()
                .expect("sh")
                .success()
        );
    }
    for name in ["photos.tar.gz", "app.tar.gz"] {
        let before = machine.read(&format!("out/{name}"));
        machine
            .run(&["export", name])
            .exits(2)
            .says("is not a hookshot archive");
        assert!(machine.read(&format!("out/{name}")) == before);
    }
}

#[test]
fn a_verb_that_is_refused_leaves_no_folder() {
    let machine = Machine::new();
    let holder = machine.holder("write");
    machine
        .run(&["export", "new/folder/", "--snapshot", "locked"])
        .exits(15);
    drop(holder);
    assert!(!machine.path("out/new").exists());
}

#[test]
fn rollback_does_not_follow_a_backup_that_became_a_link() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    machine.write("etc/services.toml", "old = 1\n", 0o640);
    machine.run(&["import", &archive]).exits(0);
    fs::rename(
        machine.path("etc/services.toml.bak"),
        machine.path("out/moved"),
    )
    .expect("moved");
    machine
        .run(&["rollback"])
        .exits(11)
        .says("services.toml.bak is gone");
    symlink(
        machine.path("out/moved"),
        machine.path("etc/services.toml.bak"),
    )
    .expect("a link");
    machine
        .run(&["rollback"])
        .exits(11)
        .says("is not a regular file");
}

#[test]
fn only_the_places_of_selected_entries_matter() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    fs::remove_file(machine.path("etc/secrets")).expect("removed");
    symlink("/none/where", machine.path("etc/secrets")).expect("a link");
    machine.write("etc/services.toml", "old = 1\n", 0o640);
    machine
        .run(&["import", &archive])
        .exits(2)
        .says("is a link to /none/where");
    machine
        .run(&["import", &archive, "--only", "services.toml"])
        .exits(0);
    // Two names of one file are one place.
    symlink(machine.path("etc"), machine.path("etc2")).expect("a link");
    let same = machine.path("etc2/services.toml").display().to_string();
    machine
        .run(&["--secrets", &same, "import", &archive])
        .exits(2)
        .says("cannot both be kept");
}

#[test]
fn import_reads_standard_input() {
    let machine = Machine::new();
    let exported = machine.targets();
    machine.export("a.tar.gz");
    let archive = machine.read("out/a.tar.gz");
    machine.write("etc/services.toml", "x = 1\n", 0o640);
    machine.run_with(&["import", "-"], &archive).exits(0);
    assert_eq!(machine.targets(), exported);
}

#[test]
fn import_works_on_a_machine_that_has_nothing_but_a_configuration() {
    let old = Machine::new();
    let archive = old.export("a.tar.gz");
    let new = Machine::empty();
    fs::remove_dir(new.path("data")).expect("removed");
    new.write("etc/config.toml", old.config_text(""), 0o644);
    let data = new.path("deep/data").display().to_string();
    new.run(&["--data-dir", &data, "import", &archive])
        .exits(0)
        .says("names another data_dir");
    assert_eq!(
        new.read("deep/data/state.redb"),
        old.read("data/state.redb")
    );
    assert_eq!(new.read("etc/secrets"), old.read("etc/secrets"));
    assert_eq!(new.mode("etc/secrets"), 0o600);
    assert_eq!(new.mode("deep/data"), 0o750);
}

#[test]
fn a_dry_run_prints_the_plan_and_touches_nothing() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    machine.write("etc/services.toml", "x = 1\n", 0o640);
    fs::remove_file(machine.path("etc/secrets")).expect("removed");
    let stamps = |machine: &Machine| {
        let list = Command::new("find")
            .args(["etc", "data", "tmp"])
            .args(["-printf", "%p %T@ %C@ %i %m\n"])
            .current_dir(machine.path("."))
            .output();
        String::from_utf8(list.expect("find").stdout).expect("UTF-8")
    };
    let (before, state) = (stamps(&machine), machine.state());
    let run = machine.run(&["import", &archive, "--dry-run"]).exits(0);
    let database = machine.path("data/state.redb");
    for line in [
        "INFO Backup validated successfully, version=",
        "INFO DRY RUN MODE - No changes will be made\n",
        "would be restored:\n",
        &format!("INFO   state.redb -> {} (unchanged)\n", database.display()),
        &format!(
            "INFO   services.toml -> {} (changed)\n",
            machine.path("etc/services.toml").display()
        ),
        &format!(
            "INFO   secrets -> {} (new)\n",
            machine.path("etc/secrets").display()
        ),
        "INFO DRY RUN COMPLETE - No changes were made\n",
    ] {
        assert!(run.stderr.contains(line), "{line}: {}", run.stderr);
    }
    assert!(run.stdout.is_empty(), "the plan stands in log lines");
    // A quiet run has no log lines, so its plan is on standard output.
    let quiet = machine
        .run(&["-q", "import", &archive, "--dry-run"])
        .exits(0);
    let plan = String::from_utf8(quiet.stdout).expect("UTF-8");
    for line in [
        " would be restored:\n".to_owned(),
        format!("  state.redb -> {} (unchanged)\n", database.display()),
        format!(
            "  services.toml -> {} (changed)\n",
            machine.path("etc/services.toml").display()
        ),
    ] {
        assert!(plan.contains(&line), "{line}: {plan}");
    }
    assert!(plan.starts_with("The following files of "), "{plan}");
    assert_eq!(plan.lines().count(), 5, "{plan}");
    assert_eq!(quiet.stderr, "");
    assert_eq!(machine.state(), state);
    // The folder for temporary files is the only one whose time may change.
    let without_tmp = |text: &str| {
        text.lines()
            .filter(|line| !line.starts_with("tmp "))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(without_tmp(&stamps(&machine)), without_tmp(&before));
    let report = machine
        .run(&["import", &archive, "--dry-run", "--json"])
        .exits(0)
        .json();
    assert_eq!(
        (report["dry_run"].as_bool(), report["applied"].as_bool()),
        (Some(true), Some(false))
    );
}

#[test]
fn a_dry_run_removes_what_a_killed_one_left_and_nothing_else() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    let mut gone = Command::new("true").spawn().expect("true");
    gone.wait().expect("an end");
    let dead = machine.path(&format!("tmp/.hookshot-{:x}-1.rehearsal", gone.id()));
    let alive = machine.path(&format!(
        "tmp/.hookshot-{:x}-1.rehearsal",
        std::process::id()
    ));
    for folder in [&dead, &alive] {
        fs::create_dir(folder).expect("a folder");
        fs::write(folder.join("secrets"), SECRET).expect("written");
    }
    machine.run(&["import", &archive, "--dry-run"]).exits(0);
    assert!(!dead.exists() && alive.join("secrets").exists());
}

#[test]
fn what_is_no_regular_file_is_refused_and_not_waited_for() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    for name in [
        "data/state.redb",
        "etc/services.toml",
        "etc/secrets",
        "etc/config.toml",
    ] {
        let kept = machine.path("kept");
        fs::rename(machine.path(name), &kept).expect("moved");
        let made = Command::new("mkfifo")
            .arg(machine.path(name))
            .status()
            .expect("mkfifo");
        assert!(made.success());
        for verb in [
            &["export", "b.tar.gz"][..],
            &["import", &archive],
            &["import", &archive, "--dry-run"],
            &["diff", &archive],
        ] {
            machine.run(verb).exits(2).says("not a regular file");
        }
        fs::rename(&kept, machine.path(name)).expect("moved back");
    }
    machine.run(&["diff", &archive]).exits(0);
}

#[test]
fn import_names_every_reason_at_once_and_changes_nothing() {
    let machine = Machine::new();
    let good = machine.export("good.tar.gz");
    let archive = with_other_content(&machine, &good, "services.toml", b"not toml\n");
    machine.write("etc/services.toml", "", 0o640);
    machine.put_deployment("d77", "running");
    machine.put_lock("api", "d78");
    let state = machine.state();
    for dry in [&["--dry-run"][..], &[]] {
        let report = machine
            .run(&[&["import", &archive, "--json"], dry].concat())
            .exits(13)
            .json();
        let blocked = report["blocked"].as_array().expect("reasons");
        let kinds: Vec<&str> = blocked
            .iter()
            .map(|reason| reason["kind"].as_str().expect("a kind"))
            .collect();
        assert_eq!(kinds, ["configuration", "active_deployments"]);
        let message = blocked[1]["message"].as_str().expect("a message");
        assert!(
            message.contains("d77")
                && message.contains("d78")
                && message.contains("(use --force to override)"),
            "{message}"
        );
        assert_eq!(report["error"]["code"], 13);
        assert_eq!(report["applied"], false);
        assert_eq!(machine.state(), state);
    }
    // Without the broken file, only the deployments stand in the way, and they can be overridden.
    machine
        .run(&["import", &archive, "--only", "state.redb"])
        .exits(11)
        .says("active deployments present");
    machine
        .run(&["import", &archive, "--only", "state.redb", "--force"])
        .exits(0);
    assert_eq!(machine.read("etc/services.toml"), b"");
}

#[test]
fn import_never_replaces_a_database_that_a_process_has_open() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    machine.fill_database(50);
    for how in ["write", "read", "ranges"] {
        let holder = machine.holder(how);
        let state = machine.state();
        for extra in [&[][..], &["--force"], &["--dry-run"]] {
            let run = machine
                .run(&[&["import", &archive], extra].concat())
                .exits(11);
            assert!(
                run.stderr
                    .contains(&format!("process {} (holder)", holder.pid())),
                "{how}: {}",
                run.stderr
            );
        }
        assert_eq!(machine.state(), state, "{how}");
    }
    // What does not touch the database does not mind.
    let _holder = machine.holder("write");
    machine.write("etc/services.toml", "", 0o640);
    machine
        .run(&["import", &archive, "--only", "services.toml"])
        .exits(0);
}

#[test]
fn import_of_another_major_version_is_refused() {
    let machine = Machine::new();
    machine.export("a.tar.gz");
    let unpack = "mkdir u && tar -xzf a.tar.gz -C u && cd u/* && sed -i 's/\"hookshot_version\": \"[^\"]*\"/\"hookshot_version\": \"7.0.0\"/' manifest.json && cd .. && tar -czf ../b.tar.gz *";
    let status = Command::new("sh")
        .args(["-c", unpack])
        .current_dir(machine.path("out"))
        .status()
        .expect("sh");
    assert!(status.success());
    let expected = format!(
        "version incompatibility: backup version 7.0.0 cannot be restored to {}",
        env!("CARGO_PKG_VERSION")
    );
    machine
        .run(&["import", "b.tar.gz", "--force"])
        .exits(14)
        .says(&expected);
    machine
        .run(&["import", "b.tar.gz", "--dry-run"])
        .exits(14)
        .says(&expected);
    // It is a good archive all the same.
    machine.run(&["verify", "b.tar.gz"]).exits(0);
}

#[test]
fn import_takes_single_entries_and_keeps_staging_when_asked() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    machine.write("etc/services.toml", "", 0o640);
    machine.write("etc/secrets", "other", 0o600);
    machine
        .run(&["import", &archive, "--only", "nothing"])
        .exits(10)
        .says("has no entry nothing");
    machine
        .run(&["import", &archive, "--only", "../etc"])
        .exits(2);
    let report = machine
        .run(&[
            "import",
            &archive,
            "--only",
            "services.toml",
            "--keep-staging",
            "--json",
        ])
        .exits(0)
        .json();
    let staging = report["staging"].as_str().expect("a folder");
    assert_eq!(
        fs::read(format!("{staging}/services.toml")).expect("kept"),
        machine.read("etc/services.toml")
    );
    assert_eq!(machine.read("etc/secrets"), b"other");
}

#[test]
fn import_follows_links_and_keeps_them() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    fs::create_dir(machine.path("real")).expect("a folder");
    fs::rename(
        machine.path("etc/services.toml"),
        machine.path("real/services.toml"),
    )
    .expect("moved");
    symlink(
        machine.path("real/services.toml"),
        machine.path("etc/services.toml"),
    )
    .expect("a link");
    machine.write("real/services.toml", "old = 1\n", 0o640);
    machine.run(&["import", &archive]).exits(0);
    assert!(machine.path("etc/services.toml").is_symlink());
    assert_eq!(machine.read("real/services.toml.bak"), b"old = 1\n");
    assert_ne!(machine.read("real/services.toml"), b"old = 1\n");
}

#[test]
fn rollback_undoes_an_import_and_is_undone_itself() {
    let machine = Machine::new();
    machine
        .run(&["rollback"])
        .exits(10)
        .says("no import to undo");
    let archive = machine.export("a.tar.gz");
    machine.fill_database(60);
    fs::remove_file(machine.path("etc/secrets")).expect("removed");
    let before = machine.targets();
    machine.run(&["import", &archive]).exits(0);
    let after = machine.targets();
    let state = machine.state();
    machine
        .run(&["rollback", "--dry-run"])
        .exits(0)
        .says("DRY RUN MODE");
    let quiet = machine.run(&["-q", "rollback", "--dry-run"]).exits(0);
    let plan = String::from_utf8(quiet.stdout).expect("UTF-8");
    let (secrets, database) = (machine.path("etc/secrets"), machine.path("data/state.redb"));
    let (secrets, database) = (secrets.display(), database.display());
    let wanted = format!(
        "  {secrets} would go (it stays as {secrets}.bak)\n  {database}.bak -> {database}\n"
    );
    assert_eq!((plan, quiet.stderr), (wanted, String::new()));
    assert_eq!(machine.state(), state);
    for _ in 0..2 {
        let report = machine.run(&["rollback", "--json"]).exits(0).json();
        let actions: Vec<&str> = report["steps"]
            .as_array()
            .expect("steps")
            .iter()
            .map(|step| step["action"].as_str().expect("an action"))
            .collect();
        assert_eq!(actions, ["remove", "replace"]);
        assert_eq!(machine.targets(), before);
        machine.run(&["rollback"]).exits(0);
        assert_eq!(machine.targets(), after);
    }
    // A backup that was changed is not the old state.
    machine.write("data/state.redb.bak", "changed", 0o600);
    machine
        .run(&["rollback"])
        .exits(11)
        .says("is not the file that the last rollback replaced");
    assert_eq!(machine.targets(), after);
}

#[test]
fn an_import_that_changes_nothing_is_the_last_one_and_leaves_nothing_to_undo() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    machine.write("etc/services.toml", "old = 1\n", 0o640);
    machine.run(&["import", &archive]).exits(0);
    machine
        .run(&["import", &archive])
        .exits(0)
        .says("Nothing to restore");
    // What the import before it replaced is still there, and is named.
    machine
        .run(&["rollback"])
        .exits(10)
        .says("there is nothing to undo: the last import")
        .says("etc/services.toml.bak");
    assert_eq!(machine.read("etc/services.toml.bak"), b"old = 1\n");
    // It is still known to be a backup, which a further import replaces.
    machine.write("etc/services.toml", "newer = 1\n", 0o640);
    machine.run(&["import", &archive]).exits(0);
    assert_eq!(machine.read("etc/services.toml.bak"), b"newer = 1\n");
    assert!(!machine.path("etc/services.toml.bak.1").exists());
}

#[test]
fn rollback_brings_back_a_database_that_was_broken_before() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    machine.write("data/state.redb", "noise", 0o600);
    machine
        .run(&["import", &archive])
        .exits(11)
        .says("cannot tell whether deployments are active");
    machine.run(&["import", &archive, "--force"]).exits(0);
    machine.run(&["rollback"]).exits(0);
    assert_eq!(machine.read("data/state.redb"), b"noise");
}

#[test]
fn paths_on_the_command_line_hold_in_any_folder() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    machine.write("etc/services.toml", "old = 1\n", 0o640);
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookshot"));
    command
        .args(["--config", "etc/config.toml", "import", &archive])
        .current_dir(machine.path("."));
    support::finish(command, b"").exits(0);
    machine.run(&["rollback"]).exits(0);
    assert_eq!(machine.read("etc/services.toml"), b"old = 1\n");
}

#[test]
fn what_somebody_else_keeps_beside_the_journal_stays() {
    let machine = Machine::new();
    fs::create_dir_all(machine.path("etc/.hookshot/notes")).expect("a folder");
    machine.export("a.tar.gz");
    machine.run(&["import", "a.tar.gz"]).exits(0);
    assert!(machine.path("etc/.hookshot/notes").is_dir());
}

#[test]
fn rollback_does_not_touch_a_database_that_is_open() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    machine.fill_database(60);
    machine.run(&["import", &archive]).exits(0);
    let holder = machine.holder("write");
    let state = machine.state();
    machine
        .run(&["rollback", "--force"])
        .exits(11)
        .says(&holder.pid().to_string());
    assert_eq!(machine.state(), state);
}

#[test]
fn diff_tells_what_differs_and_never_shows_secrets() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    let same = machine.run(&["diff", &archive, "--json"]).exits(0).json();
    assert!(
        same["entries"]
            .as_array()
            .expect("entries")
            .iter()
            .all(|entry| entry["state"] == "unchanged")
    );
    machine.write(
        "etc/services.toml",
        "[services.web]\nbranch = \"next\"\napi_token = \"tok-12345\"\n",
        0o640,
    );
    machine.write("etc/secrets", "hmac_key = other-secret-value\n", 0o600);
    let run = machine.run(&["diff", &archive, "--text"]).exits(1);
    let text = run.text();
    assert!(
        text.contains("-services.web.branch = \"next\"")
            && text.contains("+services.web.branch = \"main\""),
        "{text}"
    );
    for hidden in [SECRET, "other-secret-value", "tok-12345"] {
        assert!(
            !text.contains(hidden) && !run.stderr.contains(hidden),
            "{text}"
        );
    }
    fs::remove_file(machine.path("etc/secrets")).expect("removed");
    let second = machine.path("out/b.tar.gz").display().to_string();
    machine.run(&["export", &second]).exits(0);
    let two = machine
        .run(&["diff", &archive, &second, "--json"])
        .exits(1)
        .json();
    let states: Vec<&str> = two["entries"]
        .as_array()
        .expect("entries")
        .iter()
        .map(|entry| entry["state"].as_str().expect("a state"))
        .collect();
    assert_eq!(states, ["unchanged", "only_here", "changed", "unchanged"]);
    machine.run(&["diff", &archive, "no.tar.gz"]).exits(10);
}

#[test]
fn extract_gives_single_entries_with_their_modes() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    machine
        .run(&["extract", &archive, "config.toml", "secrets", "-o", "x/y"])
        .exits(0);
    assert_eq!(
        machine.read("out/x/y/config.toml"),
        machine.read("etc/config.toml")
    );
    assert_eq!(
        (
            machine.mode("out/x/y/config.toml"),
            machine.mode("out/x/y/secrets")
        ),
        (0o644, 0o600)
    );
    machine
        .run(&["extract", &archive, "config.toml", "-o", "x/y"])
        .exits(2)
        .says("exists already");
    machine
        .run(&[
            "extract",
            &archive,
            "config.toml",
            "-o",
            "x/y",
            "--overwrite",
        ])
        .exits(0);
    let run = machine
        .run(&["extract", &archive, "state.redb", "-o", "-"])
        .exits(0);
    assert!(run.stdout == machine.read("data/state.redb"));
    machine
        .run(&["extract", &archive, "nothing"])
        .exits(10)
        .says("has no entry nothing");
    let report = machine
        .run(&["extract", &archive, "services.toml", "--json"])
        .exits(0)
        .json();
    assert_eq!(report["entries"][0]["entry"], "services.toml");
}

#[test]
fn extract_of_many_entries_has_few_files_open() {
    let machine = Machine::empty();
    let config = "[backup]\nprefix = \"x\"\n[[backup.sources]]\nname = \"data\"\nkind = \"directory\"\npath = \"../data\"\n";
    machine.write("etc/config.toml", config, 0o600);
    let names: Vec<String> = (0..400).map(|number| format!("data/{number}")).collect();
    for name in &names {
        machine.write(name, name, 0o640);
    }
    let archive = machine.export("a.tar.gz");
    let plain = machine.command();
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -n 200 && exec \"$@\"", "sh"])
        .arg(plain.get_program())
        .args(plain.get_args())
        .args(["extract", &archive, "-o", "x"])
        .args(&names)
        .current_dir(plain.get_current_dir().expect("a folder"));
    for (key, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(key, value),
            None => command.env_remove(key),
        };
    }
    support::finish(command, b"").exits(0);
    for name in &names {
        let path = format!("out/x/{name}");
        assert_eq!(machine.read(&path), name.as_bytes());
        assert_eq!(machine.mode(&path), 0o640);
    }
    let folder = machine.path("out/x/data").read_dir().expect("a folder");
    assert_eq!(folder.count(), names.len());
}

#[test]
fn verify_names_every_archive_and_every_fault() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    let mut bytes = machine.read("out/a.tar.gz");
    bytes.truncate(bytes.len() - 1);
    machine.write("out/cut.tar.gz", &bytes, 0o600);
    let report = machine
        .run(&["verify", &archive, "cut.tar.gz", "none.tar.gz", "--json"])
        .exits(13)
        .json();
    let archives = report["archives"].as_array().expect("archives");
    assert_eq!(
        archives
            .iter()
            .map(|archive| archive["good"].as_bool().expect("a bool"))
            .collect::<Vec<_>>(),
        [true, false, false]
    );
    assert!(
        archives[1]["faults"][0]
            .as_str()
            .expect("a fault")
            .contains("truncated"),
        "{report}"
    );
    machine.run(&["verify", "none.tar.gz"]).exits(10);
    machine.run(&["verify", &archive]).exits(0);
    machine.run(&["inspect", "."]).exits(10).says("is a folder");
}

#[test]
fn validate_names_every_fault_of_the_configuration() {
    let machine = Machine::new();
    machine.run(&["validate"]).exits(0);
    machine.write(
        "etc/config.toml",
        machine.config_text("[backup]\nprefx = \"x\"\nlevel = 99\n"),
        0o644,
    );
    let run = machine
        .run(&["validate"])
        .exits(2)
        .says("did you mean `prefix`?")
        .says("`level`");
    assert!(!run.stderr.contains("panicked"));
    let json = machine.run(&["validate", "--json"]).exits(2).json();
    assert_eq!(json["good"], false);
    assert_eq!(json["faults"].as_array().expect("faults").len(), 2);
    machine
        .run(&["export", "a.tar.gz"])
        .exits(2)
        .says("did you mean `prefix`?");
    machine
        .run(&["--config", "/none/config.toml", "validate"])
        .exits(2);
}

#[test]
fn init_makes_a_state_that_can_be_exported_and_never_touches_one() {
    let machine = Machine::empty();
    let data = machine.path("state").display().to_string();
    machine.run(&["--data-dir", &data, "init"]).exits(0);
    machine.run(&["validate"]).exits(0);
    assert_eq!(
        (
            machine.mode("etc/config.toml"),
            machine.mode("state/state.redb")
        ),
        (0o600, 0o600)
    );
    machine
        .run(&["export", "a.tar.gz"])
        .exits(3)
        .says("files=3");
    let inspected = machine.run(&["inspect", "a.tar.gz", "--json"]).exits(0);
    let level = hookshot::archive::writer::Level::DEFAULT.name();
    assert!(inspected.text().contains(&format!("\"{level}\"")));
    let state = machine.state();
    machine
        .run(&["--data-dir", &data, "init"])
        .exits(2)
        .says("exists already");
    assert_eq!(machine.state(), state);
}

#[test]
fn demo_shows_an_export_and_an_import() {
    let machine = Machine::empty();
    let run = machine.run(&["demo", "play"]).exits(0);
    assert!(
        run.text().contains("$ hookshot") && run.text().contains("every row is what it was"),
        "{}",
        run.text()
    );
    assert!(machine.path("out/play/state.tar.gz").exists());
    machine
        .run(&["demo", "play"])
        .exits(2)
        .says("not an empty folder");
    let json = machine.run(&["demo", "--json"]).exits(0).json();
    assert_eq!(json["restored"], true);
    assert_eq!(
        fs::read_dir(machine.path("tmp")).expect("a folder").count(),
        0
    );
}

#[test]
fn the_small_verbs_print_what_they_are_for() {
    let machine = Machine::empty();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        machine.run(&["version"]).exits(0).text(),
        format!("hookshot {version}\n")
    );
    assert_eq!(
        machine.run(&["version", "--json"]).exits(0).json()["version"],
        version
    );
    for shell in ["bash", "zsh", "fish"] {
        let script = machine.run(&["completions", shell]).exits(0).text();
        assert!(script.contains("rollback") && script.contains("snapshot-timeout"));
        // `--guarded` is another word.
        let offers = script.replace("guarded", "").contains("guard");
        assert!(!offers, "a hidden verb is not offered");
    }
    assert!(
        machine.run(&["man"]).exits(0).text().starts_with(".ie")
            || machine.run(&["man"]).text().contains(".TH")
    );
    assert!(
        machine
            .run(&["man", "import"])
            .exits(0)
            .text()
            .contains("dry")
    );
}

#[test]
fn every_verb_has_help_with_an_example() {
    let machine = Machine::empty();
    let help = machine.run(&["--help"]).exits(0).text();
    let verbs = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    let verbs: Vec<&str> = verbs
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .collect();
    assert!(verbs.len() >= 13, "{verbs:?}");
    for verb in verbs {
        let text = machine.run(&[verb, "--help"]).exits(0).text();
        assert!(text.contains("Examples:\n  hookshot "), "{verb}: {text}");
    }
}

#[test]
fn wrong_usage_is_exit_2_and_json_when_asked() {
    let machine = Machine::new();
    machine.run(&[]).exits(2);
    machine.run(&["frobnicate"]).exits(2);
    machine.run(&["export"]).exits(2);
    machine
        .run(&["export", "a.tar.gz", "--level", "13"])
        .exits(2);
    let error = machine
        .run(&["export", "a.tar.gz", "--tag", "x", "--json"])
        .exits(2)
        .json();
    assert_eq!(
        (
            error["error"]["code"].as_u64(),
            error["error"]["kind"].as_str()
        ),
        (Some(2), Some("usage"))
    );
    let error = machine
        .run(&["import", "none.tar.gz", "--json"])
        .exits(10)
        .json();
    assert_eq!(error["error"]["kind"], "not_found");
    assert!(error["error"]["hint"].is_string());
}

#[test]
fn the_command_line_stands_above_the_environment_and_that_above_the_file() {
    let machine = Machine::new();
    fs::create_dir(machine.path("other")).expect("a folder");
    fs::rename(machine.path("etc/secrets"), machine.path("other/secrets")).expect("moved");
    let with = |variable: &str, arguments: &[&str]| {
        let mut command = machine.command();
        command.env("HOOKSHOT_SECRETS", variable).args(arguments);
        support::finish(command, b"")
    };
    let good = machine.path("other/secrets").display().to_string();
    with(&good, &["export", "a.tar.gz"])
        .exits(0)
        .says("files=4");
    with("/none", &["export", "a.tar.gz", "--secrets", &good])
        .exits(0)
        .says("files=4");
    with("", &["export", "a.tar.gz"]).exits(0).says("files=3");
    machine.write(
        "etc/config.toml",
        machine.config_text("[secrets]\nfile = \"../other/secrets\"\n"),
        0o644,
    );
    with("", &["export", "a.tar.gz"]).exits(0).says("files=4");
}

#[test]
fn logging_follows_flags_and_configuration() {
    let machine = Machine::new();
    assert_eq!(
        machine.run(&["-q", "export", "a.tar.gz"]).exits(0).stderr,
        ""
    );
    let run = machine
        .run(&["--log-format", "json", "export", "a.tar.gz"])
        .exits(0);
    for line in run.stderr.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("a JSON line");
        assert!(line["level"].is_string(), "{line}");
    }
    machine.write(
        "etc/config.toml",
        machine.config_text("[logging]\nlevel = \"warn\"\nformat = \"json\"\n"),
        0o644,
    );
    let run = machine.run(&["export", "a.tar.gz"]).exits(0);
    assert!(
        run.stderr.lines().all(|line| line.starts_with('{')),
        "{}",
        run.stderr
    );
    assert!(
        machine
            .run(&[
                "export",
                "a.tar.gz",
                "--color",
                "always",
                "--log-format",
                "text"
            ])
            .stderr
            .contains("\u{1b}[32mINFO")
    );
}
