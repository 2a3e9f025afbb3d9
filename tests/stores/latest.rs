//! `@NAME/latest` is the newest archive that is good: what is damaged gives way to the next older one, and says so; what
//! fails for another reason does not.

use support::forge::{self, ENTRIES};
use support::servers::{self, Fault, Faults, Rule, S3};
use support::{Machine, Run, Tree, finish, tree};

use std::fs;

/// Archives of three days, the newest first.
const NAMES: [&str; 3] = [
    "hookshot-state-20260103-030000.tar.gz",
    "hookshot-state-20260102-030000.tar.gz",
    "hookshot-state-20260101-030000.tar.gz",
];

/// A machine with a folder called `local`, and archives there, each of a state that its services file tells.
fn machine() -> Machine {
    let machine = Machine::new();
    let destinations = "[backup.destinations.local]\nurl = \"../local\"\n";
    machine.write("etc/config.toml", machine.config_text(destinations), 0o600);
    fs::create_dir(machine.path("local")).expect("a folder");
    for name in NAMES {
        machine.write("etc/services.toml", services(name), 0o600);
        let path = machine.path("local").join(name).display().to_string();
        machine.run(&["export", "--no-since", &path]).exits(0);
    }
    machine.write("etc/services.toml", "[services.now]\n", 0o600);
    machine
}

fn services(name: &str) -> String {
    format!("[services.web]\nbranch = \"{name}\"\n")
}

/// Damages an archive so that no index shows it: the bytes of an entry differ, and everything fits together.
fn damage(machine: &Machine, name: &str) {
    let mut manifest = forge::manifest(&ENTRIES);
    manifest["files"]["secrets"]["checksum"] = forge::digest(b"others").into();
    let packed = forge::Tar::packed(&forge::text(&manifest), &ENTRIES).gzip();
    machine.write(&format!("local/{name}"), packed, 0o600);
}

fn truncate(machine: &Machine, name: &str) {
    let bytes = machine.read(&format!("local/{name}"));
    let half = &bytes[..bytes.len() / 2];
    machine.write(&format!("local/{name}"), half, 0o600);
}

/// Everything on the machine but the archives and the log of rehearsals.
fn state(machine: &Machine) -> Tree {
    let mut all = machine.state();
    all.extend(tree(&machine.path("tmp")));
    all
}

#[test]
fn an_import_of_the_newest_takes_the_newest_that_is_good_and_names_the_others() {
    let machine = machine();
    damage(&machine, NAMES[0]);
    let before = state(&machine);
    for verb in [
        &["import", "@local/latest", "--dry-run"][..],
        &["import", "@local"],
    ] {
        if verb.len() == 2 {
            assert!(state(&machine) == before, "a rehearsal changed something");
        }
        let run = machine.run(&[verb, &["--json"]].concat()).exits(0);
        let run = run.says("WARN").says("trying the next older one");
        let run = run
            .says(NAMES[0])
            .says("checksum mismatch for file secrets");
        let said = run.json();
        assert_eq!(said["archive"], format!("@local/{}", NAMES[1]), "{said}");
    }
    assert_eq!(
        machine.read("etc/services.toml"),
        services(NAMES[1]).as_bytes()
    );
    let record = machine.read("etc/.hookshot/last-import.json");
    assert!(String::from_utf8_lossy(&record).contains(NAMES[1]));
    machine.run(&["rollback"]).exits(0);
    assert_eq!(machine.read("etc/services.toml"), b"[services.now]\n");
}

#[test]
fn an_archive_whose_database_does_not_open_gives_way_to_an_older_one() {
    let machine = machine();
    let entries = [
        ENTRIES[0],
        ENTRIES[1],
        ("state.redb", b"no database".as_slice()),
    ];
    machine.write(
        &format!("local/{}", NAMES[0]),
        forge::written(&entries),
        0o600,
    );
    truncate(&machine, NAMES[1]);
    machine.write(
        &format!("local/{}", NAMES[1].replace("02-03", "02-04")),
        "",
        0o600,
    );
    let run = machine.run(&["import", "@local/latest", "--json"]).exits(0);
    let run = run
        .says(NAMES[0])
        .says("does not open cleanly")
        .says(NAMES[1]);
    assert_eq!(run.json()["archive"], format!("@local/{}", NAMES[2]));
    assert_eq!(
        machine.read("etc/services.toml"),
        services(NAMES[2]).as_bytes()
    );
}

#[test]
fn where_no_archive_is_good_the_newest_says_why_and_nothing_changes() {
    let machine = machine();
    damage(&machine, NAMES[0]);
    truncate(&machine, NAMES[1]);
    truncate(&machine, NAMES[2]);
    let before = state(&machine);
    for more in [
        &["--dry-run"][..],
        &[],
        &["--force"],
        &["--only", "secrets"],
    ] {
        let run = machine.run(&[&["import", "@local/latest", "--json"], more].concat());
        let run = run.exits(13).says("no older one is left");
        let said = run.json();
        let message = said["error"]["message"].as_str().expect("a message");
        assert!(message.contains(NAMES[0]), "{message}");
        assert!(message.contains("checksum mismatch"), "{message}");
        assert!(state(&machine) == before, "{more:?}: something changed");
    }
    for name in NAMES {
        fs::remove_file(machine.path("local").join(name)).expect("removed");
    }
    machine.run(&["import", "@local/latest"]).exits(10);
}

#[test]
fn what_is_no_damage_does_not_make_an_older_archive_the_newest() {
    let machine = machine();
    let good = machine.read(&format!("local/{}", NAMES[0]));
    let before = state(&machine);
    let fails = |code: i32, arguments: &[&str], says: &str| {
        let run = machine.run(&[&["import", "@local/latest"], arguments].concat());
        let run = run.exits(code).says(says);
        assert!(!run.stderr.contains("trying the next"), "{}", run.stderr);
        assert!(state(&machine) == before, "{says}: something changed");
    };
    fails(10, &["--only", "none"], "has no entry none");
    for (format, hookshot) in [("2.0", "0.1.0"), ("1.0", "7.0.0")] {
        let mut manifest = forge::manifest(&ENTRIES);
        manifest["version"] = format.into();
        manifest["hookshot_version"] = hookshot.into();
        let packed = forge::Tar::packed(&forge::text(&manifest), &ENTRIES).gzip();
        machine.write(&format!("local/{}", NAMES[0]), packed, 0o600);
        fails(14, &[], "version incompatibility");
        fails(14, &["--dry-run"], "version incompatibility");
    }
    machine.write(&format!("local/{}", NAMES[0]), good, 0o600);
    let holder = machine.holder("write");
    let run = machine.run(&["import", "@local/latest"]).exits(11);
    assert!(!run.stderr.contains("trying the next"), "{}", run.stderr);
    holder.end();
    machine.run(&["import", "@local/latest"]).exits(0);
}

#[test]
fn a_store_that_cannot_be_read_does_not_make_an_older_archive_the_newest() {
    let s3 = S3::start();
    let faults = Faults::in_front_of(&s3.endpoint());
    let machine = machine();
    let bucket = format!(
        "[backup.destinations.bucket]\nurl = \"s3://{}/host\"\nendpoint = \"{}\"\n\
         region = \"us-east-1\"\nallow_http = true\nretry_attempts = 0\ntimeout = \"10s\"\n\
         access_key_id = \"{}\"\nsecret_access_key = \"env:SECRET\"\n\
         [backup.destinations.local]\nurl = \"../local\"\n",
        servers::s3::BUCKET,
        faults.endpoint(),
        S3::ACCESS_KEY,
    );
    machine.write("etc/config.toml", machine.config_text(&bucket), 0o600);
    let run = |arguments: &[&str]| -> Run {
        let mut command = machine.command();
        command.args(arguments).env("SECRET", S3::SECRET_KEY);
        finish(command, b"")
    };
    run(&["copy", "@local", "@bucket"]).exits(0);
    let is_read = |head: &servers::http::Head| head.line[1].contains(NAMES[0]);
    for rule in [
        Rule::on("GET", Fault::Answer(503)).whose(is_read),
        Rule::on("GET", Fault::Answer(403)).whose(is_read),
        Rule::on("HEAD", Fault::Answer(403)).whose(is_read),
        Rule::on("GET", Fault::TruncateAnswer { after_bytes: 100 }).whose(is_read),
    ] {
        faults.add(rule.always());
        for verb in [
            &["import", "@bucket/latest"][..],
            &["verify", "@bucket"],
            &["inspect", "@bucket"],
        ] {
            let run = run(verb).exits(1);
            assert!(!run.stderr.contains("trying the next"), "{}", run.stderr);
            assert!(!run.text().contains(NAMES[1]), "{}", run.text());
        }
        faults.clear();
    }
    // Of what arrived whole, and is not what it was, the next older one is taken. The destinations of this machine have
    // changed since, and stay.
    damage(&machine, NAMES[0]);
    fs::copy(
        machine.path("local").join(NAMES[0]),
        s3.file(&format!("host/{}", NAMES[0])),
    )
    .expect("damaged");
    let run = run(&["import", "@bucket/latest", "--json"]).exits(3);
    assert_eq!(run.json()["archive"], format!("@bucket/{}", NAMES[1]));
}

#[test]
fn verify_tells_of_each_archive_that_it_read_until_one_was_good() {
    let machine = machine();
    damage(&machine, NAMES[0]);
    let run = machine
        .run(&["verify", "@local/latest", "--json"])
        .exits(13);
    let said = run.json();
    let archives = said["archives"].as_array().expect("archives");
    let found: Vec<_> = archives
        .iter()
        .map(|one| {
            (
                one["archive"].as_str().expect("a name"),
                one["good"] == true,
            )
        })
        .collect();
    let names = NAMES.map(|name| format!("@local/{name}"));
    assert_eq!(found, [(&*names[0], false), (&*names[1], true)]);
    let text = machine.run(&["verify", "@local"]).exits(13).text();
    assert!(
        text.contains("NOT GOOD") && text.contains(": good, "),
        "{text}"
    );
    machine
        .run(&["verify", &format!("@local/{}", NAMES[0])])
        .exits(13);
    fs::remove_file(machine.path("local").join(NAMES[0])).expect("removed");
    machine.run(&["verify", "@local/latest"]).exits(0);
}

#[test]
fn entries_and_manifests_come_from_the_newest_archive_that_is_good() {
    let machine = machine();
    damage(&machine, NAMES[0]);
    let second = format!("@local/{}", NAMES[1]);
    let shown = machine.run(&["inspect", "@local", "--json"]).exits(0);
    assert_eq!(shown.says(NAMES[0]).json()["archive"], second);
    for _ in 0..2 {
        let arguments = [
            "extract",
            "@local/latest",
            "services.toml",
            "-o",
            "new",
            "--overwrite",
        ];
        let taken = machine
            .run(&[&arguments[..], &["--json"]].concat())
            .exits(0);
        assert_eq!(taken.says(NAMES[0]).json()["archive"], second);
        assert_eq!(
            machine.read("out/new/services.toml"),
            services(NAMES[1]).as_bytes()
        );
    }
    let out = machine
        .run(&["extract", "@local", "services.toml", "-o", "-"])
        .exits(0);
    assert_eq!(out.stdout, services(NAMES[1]).as_bytes());
    machine.write("etc/services.toml", services(NAMES[1]), 0o600);
    machine
        .run(&["diff", "@local/latest"])
        .exits(0)
        .says(NAMES[0]);
    // A missing entry is not damage: it is looked for nowhere else.
    let run = machine.run(&["extract", &second, "none"]).exits(10);
    assert!(!run.stderr.contains("trying the next"), "{}", run.stderr);
}

#[test]
fn what_an_import_takes_from_the_archive_comes_from_the_one_that_is_good() {
    let machine = machine();
    damage(&machine, NAMES[0]);
    let staged = machine.run(&["import", "@local/latest", "--keep-staging", "--json"]);
    let staged = staged.exits(0).json();
    let folder = staged["staging"].as_str().expect("a folder");
    let kept = fs::read_to_string(format!("{folder}/services.toml")).expect("kept");
    assert_eq!(kept, services(NAMES[1]));
}

#[test]
fn of_archives_that_are_damaged_no_unpacked_folder_stays() {
    let staged = |machine: &Machine| -> Vec<String> {
        let folders = ["data", "tmp"].map(|name| fs::read_dir(machine.path(name)));
        let entries = folders.into_iter().flat_map(|folder| folder.expect("read"));
        entries
            .map(|entry| entry.expect("an entry").path().display().to_string())
            .filter(|path| path.contains("staging"))
            .collect()
    };
    let broken = [
        ENTRIES[0],
        ENTRIES[1],
        ("state.redb", b"no database".as_slice()),
    ];
    for real in [true, false] {
        let rehearsal = [&["--dry-run"][..], &[]][usize::from(real)];
        let keeping = |archive: &str, machine: &Machine| {
            let verb = ["import", archive, "--keep-staging", "--json"];
            machine.run(&[&verb, rehearsal].concat())
        };
        let machine = machine();
        machine.write(
            &format!("local/{}", NAMES[0]),
            forge::written(&broken),
            0o600,
        );
        truncate(&machine, NAMES[1]);
        let report = keeping("@local/latest", &machine).exits(0).json();
        let folder = report["staging"].as_str().expect("a folder");
        assert_eq!(staged(&machine), [folder]);
        fs::remove_dir_all(folder).expect("removed");
        // None is good: of none of them.
        machine.write(
            &format!("local/{}", NAMES[2]),
            forge::written(&broken),
            0o600,
        );
        let report = keeping("@local/latest", &machine).exits(13).json();
        assert!(report["staging"].is_null(), "{report}");
        assert_eq!(staged(&machine), [""; 0]);
        // One that is damaged was not unpacked; one whose database does not open can be looked at.
        keeping(&format!("@local/{}", NAMES[1]), &machine).exits(13);
        assert_eq!(staged(&machine), [""; 0]);
        let named = format!("@local/{}", NAMES[0]);
        let report = keeping(&named, &machine).exits(13).json();
        assert_eq!(staged(&machine), [report["staging"].as_str().expect("one")]);
    }
}

#[test]
fn a_machine_without_a_configuration_takes_the_newest_of_a_url() {
    let machine = machine();
    damage(&machine, NAMES[0]);
    let url = format!("file://{}/latest", machine.path("local").display());
    let is_second = |run: Run| {
        let said = run.exits(0).says(NAMES[0]).json();
        let archive = said["archive"].as_str().expect("an archive").to_owned();
        assert!(archive.ends_with(NAMES[1]), "{archive}");
    };
    is_second(machine.run(&["inspect", &url, "--json"]));
    for file in ["etc/config.toml", "etc/services.toml", "etc/secrets"] {
        fs::remove_file(machine.path(file)).expect("removed");
    }
    let verb = ["import", &url, "--use-archive-config", "--json"];
    is_second(machine.run(&verb));
    assert_eq!(
        machine.read("etc/services.toml"),
        services(NAMES[1]).as_bytes()
    );
}

#[test]
fn the_newest_of_a_bucket_is_one_archive_to_a_copy() {
    let server = S3::start();
    let machine = machine();
    for name in NAMES {
        let key = server.file(&format!("host/{name}"));
        fs::create_dir_all(key.parent().expect("a folder")).expect("a folder");
        fs::copy(machine.path("local").join(name), key).expect("copied");
    }
    let mut command = machine.command();
    command
        .args(["copy", "s3://bucket/host/latest", "there", "--json"])
        .env("AWS_ENDPOINT_URL", server.endpoint())
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", S3::ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", S3::SECRET_KEY);
    let said = finish(command, b"").exits(0).json();
    let copied = said["copied"].as_array().expect("a list");
    assert_eq!(copied.len(), 1, "{said}");
    assert_eq!(copied[0]["name"], NAMES[0], "{said}");
}

#[test]
fn of_one_second_the_newest_is_the_one_with_the_highest_number() {
    let machine = machine();
    for number in [1, 2, 10] {
        let numbered = NAMES[0].replace(".tar.gz", &format!(".{number}.tar.gz"));
        fs::copy(
            machine.path("local").join(NAMES[0]),
            machine.path("local").join(&numbered),
        )
        .expect("copied");
        let said = machine.run(&["inspect", "@local", "--json"]).exits(0);
        assert_eq!(said.json()["archive"], format!("@local/{numbered}"));
        let run = machine.run(&["keep", "@local/latest", "--json"]).exits(0);
        assert_eq!(run.json()["name"], numbered);
    }
}
