//! `hookshot timer`: units that systemd accepts, as tight as the configuration permits.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use support::service::Service;

use super::{root::Root, service, shows};

fn has_systemd() -> bool {
    let found = Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_ok();
    assert!(
        found || std::env::var_os("HOOKSHOT_TESTS_COMPLETE").is_none(),
        "systemd-analyze is missing"
    );
    found
}

/// Fails unless systemd accepts the units without a word.
fn verify(root: &Root) {
    let units = root.names().0;
    let output = Command::new("systemd-analyze")
        .arg("verify")
        .args(units.iter().map(|unit| root.folder().join(unit)))
        .output()
        .expect("systemd-analyze");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

/// Returns the exposure of a unit, in tenths.
fn exposure(unit: &Path) -> u32 {
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true"])
        .arg(unit)
        .output()
        .expect("systemd-analyze");
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said
        .lines()
        .find(|line| line.contains("Overall exposure"))
        .expect("a line");
    let number = line
        .rsplit(": ")
        .next()
        .and_then(|rest| rest.split(' ').next());
    let digits: String = number
        .expect("a number")
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    digits.parse().expect("a number")
}

/// Five kinds of configuration, with the highest exposure and the lines that their units have.
const KINDS: [(&str, &str, u32, &[&str]); 5] = [
    (
        "local",
        "",
        15,
        &["PrivateNetwork=true", "ProtectSystem=strict"],
    ),
    (
        "network",
        "[backup.destinations.offsite]\nurl = \"s3://bucket/prefix\"\naccess_key_id = \"credential:s3-id\"\n\
         secret_access_key = \"credential:s3-key\"\n",
        25,
        &[
            "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
            "LoadCredential=s3-id",
            "LoadCredential=s3-key",
            "After=network-online.target",
        ],
    ),
    (
        "notified",
        "[[backup.notify]]\nname = \"ops\"\nkind = \"ntfy\"\nurl = \"https://ntfy.example.org/ops\"\n\
         [backup.timer]\non_failure = \"alarm@%n.service\"\n",
        25,
        &[
            "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
            "OnFailure=alarm@%n.service",
        ],
    ),
    (
        "hooked",
        "[[backup.hooks]]\nstage = \"before\"\nrun = \"systemctl stop shop\"\n",
        100,
        &[
            "NoNewPrivileges=true",
            "PrivateTmp=true",
            "no further sandbox",
        ],
    ),
    (
        "strict",
        "[[backup.hooks]]\nstage = \"before\"\nrun = \"true\"\n[backup.timer]\nsandbox = \"strict\"\n",
        25,
        &["ProtectSystem=strict"],
    ),
];

#[test]
fn systemd_accepts_the_units_of_five_kinds_of_configuration() {
    if !has_systemd() {
        return;
    }
    for (app, further, most, lines) in KINDS {
        let schedule = "[backup.schedule]\nbackup = [\"02:00\", \"sun 14:30\"]\nprune = \"04:00\"\n\
            verify = \"0 5 13 * fri\"\nstatus = \"hourly\"\njitter = \"30m\"\ntimezone = \"Europe/Madrid\"\n";
        let service = service(app, &format!("{further}{schedule}"));
        let root = Root::of(&service);
        service.run(&["timer", "install", "--root", root.path()], 0);
        let (units, enabled) = root.names();
        assert_eq!((units.len(), enabled.len()), (8, 4), "{units:?}");
        verify(&root);
        for unit in units.iter().filter(|unit| unit.ends_with(".service")) {
            let found = exposure(&root.folder().join(unit));
            assert!(found <= most, "{unit}: {found}, at most {most}");
            if app == "hooked" {
                assert!(!root.text(unit).contains("ProtectSystem"), "{unit}");
            }
        }
        let backup = root.text(&format!("hookshot-{app}-backup.service"));
        for line in lines {
            assert!(backup.contains(line), "{line}: {backup}");
        }
        let config = service.config.display();
        assert!(
            backup.contains(&format!(
                " --config {config} --progress never backup --lock-wait 1h\n"
            )),
            "{backup}"
        );
        assert!(
            backup.contains("Environment=HOOKSHOT_JOB=backup\n"),
            "{backup}"
        );
        let mode = fs::metadata(root.folder().join(&units[0]))
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o644);
        let timer = root.text(&format!("hookshot-{app}-backup.timer"));
        for line in [
            "OnCalendar=*-*-* 02:00:00 Europe/Madrid\n",
            "OnCalendar=Sun *-*-* 14:30:00 Europe/Madrid\n",
            "-03-28 03:00:00 Europe/Madrid\n",
            "RandomizedDelaySec=1800\nFixedRandomDelay=true\n",
            "Persistent=true\n",
        ] {
            assert!(timer.contains(line), "{line}: {timer}");
        }
    }
}

#[test]
fn a_probe_opens_the_sandbox_of_drills_alone() {
    let further = "[backup.import]\nstop = \"true\"\nstart = \"true\"\nhealth = \"http://127.0.0.1:1/\"\n\
        [backup.drill]\nprobe = \"true\"\n\
        [backup.schedule]\nbackup = \"02:00\"\nstatus = \"hourly\"\ndrill = \"sun 05:00\"\n";
    let service = service("probed", further);
    let root = Root::of(&service);
    let run = service.run(&["timer", "install", "--root", root.path()], 0);
    shows(
        &run,
        &[
            "sandbox of backup, status: tight, without the network",
            "sandbox of drill: none but",
            "`probe` under [backup.drill]",
        ],
    );
    for job in ["backup", "status"] {
        let unit = format!("hookshot-probed-{job}.service");
        let text = root.text(&unit);
        assert!(text.contains("PrivateNetwork=true"), "{text}");
        if has_systemd() {
            let found = exposure(&root.folder().join(&unit));
            assert!(found <= 15, "{unit}: {found}");
        }
    }
    let drill = root.text("hookshot-probed-drill.service");
    assert!(!drill.contains("ProtectSystem"), "{drill}");
    let report = service.run(&["timer", "show", "--root", root.path(), "--json"], 0);
    let report = report.json();
    assert_eq!(report["sandbox"], "open");
    assert_eq!(report["sandboxes"]["backup"], "local");
}

#[test]
fn a_unit_has_a_folder_for_copies_if_a_repository_lies_elsewhere() {
    let schedule = "[backup.schedule]\nbackup = \"02:00\"\n";
    let vault = |url: &str, further: &str| {
        let vault =
            format!("[backup.destinations.vault]\nurl = \"{url}\"\npassword = \"file:key\"\n");
        let service = service("shop", &format!("{schedule}{vault}{further}"));
        let root = Root::of(&service);
        service.run(&["timer", "install", "--root", root.path()], 0);
        (root.text("hookshot-shop-backup.service"), service, root)
    };
    let (text, ..) = vault("restic:s3://bucket/vault", "");
    let lines = "\nCacheDirectory=hookshot\nCacheDirectoryMode=0700\n";
    assert!(text.contains(lines), "{text}");
    let (text, ..) = vault("restic:/srv/vault", "");
    assert!(!text.contains("Cache"), "{text}");
    let (text, service, root) = vault("restic:s3://bucket/vault", "cache_dir = \"copies\"\n");
    let folder = service.config.with_file_name("copies");
    let line = format!("ReadWritePaths=-{}\n", folder.display());
    assert!(text.contains(&line) && !text.contains("Cache"), "{text}");
    let made = root.0.join(folder.strip_prefix("/").expect("absolute"));
    assert_eq!(
        fs::metadata(made).expect("made").permissions().mode() & 0o777,
        0o700
    );
}

#[test]
fn folders_that_a_sandbox_cannot_make_are_made_at_the_installation() {
    let schedule = "[backup.schedule]\nbackup = \"02:00\"\ndrill = \"sun 05:00\"\n";
    let service = service("shop", schedule);
    let file = service.machine.path("node/collector/shop.prom");
    let text = fs::read_to_string(&service.config).expect("there");
    let key = format!("[backup]\nprometheus_file = \"{}\"\n", file.display());
    fs::write(&service.config, text.replace("[backup]\n", &key)).expect("written");
    let root = Root::of(&service);
    let run = service.run(&["timer", "install", "--root", root.path()], 0);
    shows(&run, &["tight, without the network"]);
    let home = service.config.with_file_name(".hookshot");
    let text = root.text("hookshot-shop-backup.service");
    let collector = service.machine.path("node/collector");
    let mode = |path: &Path| {
        let path = root.0.join(path.strip_prefix("/").expect("absolute"));
        let metadata = fs::metadata(&path).unwrap_or_else(|_| panic!("{path:?}"));
        metadata.permissions().mode() & 0o777
    };
    for (folder, expected) in [
        (&home, 0o700),
        (&service.machine.path("archives"), 0o700),
        (&collector, 0o755),
        (&service.machine.path("node"), 0o755),
    ] {
        assert_eq!(mode(folder), expected, "{folder:?}");
    }
    for folder in [&home, &service.machine.path("archives"), &collector] {
        let line = format!("ReadWritePaths=-{}\n", folder.display());
        assert!(text.contains(&line), "{text}");
    }
    // A drill only reads the archives.
    let drill = root.text("hookshot-shop-drill.service");
    let writes = |folder: &Path| drill.contains(&format!("ReadWritePaths=-{}\n", folder.display()));
    assert!(writes(&home) && writes(&collector), "{drill}");
    assert!(!writes(&service.machine.path("archives")), "{drill}");
    // Those of this machine are not those of the other.
    assert!(!collector.exists() && !home.exists());
    // Without a zone in the configuration, systemd follows the machine's.
    assert!(
        root.text("hookshot-shop-backup.timer")
            .contains("OnCalendar=*-*-* 02:00:00\n")
    );
}

#[test]
fn an_installation_is_repeated_changed_and_removed_without_leftovers() {
    let schedule = "[backup.schedule]\nbackup = \"02:00\"\nprune = \"04:00\"\n";
    let mut service = service("my-shop", schedule);
    let root = Root::of(&service);
    let rooted =
        |verb: &'static str| ["timer", verb, "--root", root.path(), "--json"].map(str::to_owned);
    let run = |service: &Service, verb: &'static str, code: i32| {
        let words = rooted(verb);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        service.run(&words, code).json()
    };
    assert_eq!(run(&service, "status", 10)["error"]["kind"], "not_found");
    let first = run(&service, "install", 0);
    assert_eq!(first["started"], false);
    // Nothing is started that belongs to another machine.
    assert_eq!(first["to_run"], serde_json::json!([]));
    assert_eq!(first["root"], root.path());
    let actions = |report: &serde_json::Value| {
        let units = report["units"].as_array().expect("units").iter();
        units
            .map(|unit| unit["action"].as_str().expect("a word").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(actions(&first), ["written"; 4]);
    assert_eq!(actions(&run(&service, "install", 0)), ["unchanged"; 4]);
    let names = root.names();
    assert_eq!(
        names.1,
        [
            "hookshot-my\\x2dshop-backup.timer",
            "hookshot-my\\x2dshop-prune.timer"
        ]
    );
    let status = run(&service, "status", 0);
    let timers = status["timers"].as_array().expect("timers");
    assert_eq!(timers.len(), 2);
    for timer in timers {
        assert_eq!(
            (&timer["installed"], &timer["enabled"], &timer["current"]),
            (&true.into(), &true.into(), &true.into())
        );
    }
    // Units of others stay.
    fs::write(
        root.folder().join("hookshot-mine.service"),
        "[Service]\nExecStart=/bin/true\n",
    )
    .expect("written");
    let text = fs::read_to_string(&service.config).expect("there");
    fs::write(
        &service.config,
        text.replace("prune = \"04:00\"", "verify = \"weekly\""),
    )
    .expect("written");
    service.set("TZ", "UTC");
    let status = run(&service, "status", 0);
    let states: Vec<_> = status["timers"]
        .as_array()
        .expect("timers")
        .iter()
        .map(|timer| {
            (
                timer["job"].as_str().expect("a job"),
                timer["installed"] == true,
                timer["current"] == true,
            )
        })
        .collect();
    assert_eq!(
        states,
        [
            ("backup", true, true),
            ("prune", true, false),
            ("verify", false, false)
        ]
    );
    let changed = run(&service, "install", 0);
    let mut all = actions(&changed);
    all.sort();
    assert_eq!(
        all,
        [
            "removed",
            "removed",
            "unchanged",
            "unchanged",
            "written",
            "written"
        ]
    );
    assert!(!root.names().0.iter().any(|unit| unit.contains("prune")));
    assert_eq!(actions(&run(&service, "remove", 0)), ["removed"; 4]);
    assert_eq!(
        root.names(),
        (vec!["hookshot-mine.service".to_owned()], vec![])
    );
    assert_eq!(actions(&run(&service, "remove", 0)), [""; 0]);
}

#[test]
fn two_configurations_of_one_name_do_not_share_units() {
    let (one, other) = (service("shop", ""), service("shop", ""));
    let root = Root::of(&one);
    one.run(&["timer", "install", "--root", root.path()], 0);
    other
        .run(&["timer", "install", "--root", root.path()], 2)
        .says("belongs to")
        .says("a name of its own");
    other.run(&["timer", "remove", "--root", root.path()], 0);
    assert_eq!(root.names().0.len(), 2);
}

#[test]
fn what_stands_in_the_way_is_said() {
    let hooks = "prepare = \"true\"\n";
    let service = service("shop", "");
    let text = fs::read_to_string(&service.config).expect("there");
    let text = text.replace("[backup]\n", &format!("[backup]\n{hooks}"));
    let secret = "[backup.destinations.far]\nurl = \"s3://a/b\"\nsecret_access_key = \"env:S3_KEY\"\naccess_key_id = \"id\"\n";
    fs::write(&service.config, text + secret).expect("written");
    let root = Root::of(&service);
    let wants = root.folder().join("timers.target.wants");
    fs::create_dir_all(&wants).expect("a folder");
    fs::write(wants.join("hookshot-export.timer"), "").expect("written");
    let run = service.run(&["timer", "install", "--root", root.path()], 0);
    shows(
        &run,
        &[
            "`prepare` under [backup]",
            "`sandbox = \"strict\"`",
            "the units do not have the variable S3_KEY",
            "hookshot-export.timer is enabled and exports as well",
        ],
    );
}

#[test]
fn a_running_systemd_is_told() {
    let service = service("shop", "[backup.schedule]\nbackup = \"02:00\"\n");
    let root = Root::of(&service);
    fs::create_dir_all(root.0.join("run/systemd/system")).expect("a folder");
    let (folder, said) = (service.machine.path("bin"), service.machine.path("said"));
    fs::create_dir_all(&folder).expect("a folder");
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> '{}'\ncase \"$2\" in\n\
         *.timer) echo ActiveState=active; echo 'NextElapseUSecRealtime=Mon 2026-11-30 02:00:00 UTC';;\n\
         *.service) echo Result=exit-code; echo ExecMainStatus=17; echo 'ExecMainStartTimestamp=Sun 2026-11-29 02:00:00 UTC';;\n\
         esac\n",
        said.display()
    );
    let systemctl = folder.join("systemctl");
    fs::write(&systemctl, script).expect("written");
    fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).expect("made executable");
    let mut service = service;
    service.set(
        "PATH",
        format!(
            "{}:{}",
            folder.display(),
            std::env::var("PATH").expect("a path")
        ),
    );
    let calls = || {
        let text = fs::read_to_string(&said).unwrap_or_default();
        fs::write(&said, "").expect("written");
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    service.run(&["timer", "install", "--root", root.path()], 0);
    assert_eq!(
        calls(),
        ["daemon-reload", "restart hookshot-shop-backup.timer"]
    );
    // An earlier install may have failed between the units and the manager.
    service.run(&["timer", "install", "--root", root.path()], 0);
    assert_eq!(
        calls(),
        ["daemon-reload", "restart hookshot-shop-backup.timer"]
    );
    let status = service
        .run(&["timer", "status", "--root", root.path(), "--json"], 0)
        .json();
    let timer = &status["timers"][0];
    assert_eq!(
        (&timer["active"], &timer["result"]),
        (&"active".into(), &"exit-code".into())
    );
    assert_eq!(
        (&timer["exit_code"], &timer["next"]),
        (&17.into(), &"2026-11-30T02:00:00Z".into())
    );
    calls();
    service.run(&["timer", "remove", "--root", root.path()], 0);
    assert_eq!(
        calls(),
        ["stop hookshot-shop-backup.timer", "daemon-reload"]
    );
}

#[test]
fn the_user_has_units_of_its_own() {
    let mut service = service("shop", "");
    let home = service.machine.path("home");
    service.set("HOME", &home);
    service.set("XDG_RUNTIME_DIR", "");
    service.set("XDG_CONFIG_HOME", "");
    let shown = service
        .run(&["timer", "show", "--user", "--json"], 0)
        .json();
    assert_eq!(shown["scope"], "user");
    assert!(!home.exists(), "nothing is written");
    let run = service.run(&["timer", "install", "--user"], 3);
    shows(&run, &["lingering is off for", "`loginctl enable-linger"]);
    run.says("with your next session, or now by: systemctl --user daemon-reload");
    let unit = home.join(".config/systemd/user/hookshot-shop-backup.service");
    assert!(unit.exists());
    if has_systemd() {
        let output = Command::new("systemd-analyze")
            .args(["--user", "verify"])
            .arg(&unit)
            .env("XDG_RUNTIME_DIR", &home)
            .output()
            .expect("systemd-analyze");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("hookshot"), "{said}");
    }
    // The agent leaves to the timer what the timer starts.
    service
        .run(&["agent"], 2)
        .says("Left out")
        .says("timers of systemd start every job");
    service.run(&["timer", "remove", "--user"], 0);
    assert!(!unit.exists());
}
