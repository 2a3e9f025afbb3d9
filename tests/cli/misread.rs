//! Words that look like a place elsewhere: read if they are known, refused with the right spelling if not, and never made a
//! folder of this machine.

use support::servers::{S3, s3::BUCKET};
use support::{Machine, finish};

use std::fs;

/// Words that look like another place, each with its message.
const WORDS: [(&str, &str); 20] = [
    ("backup@vault:/backups", "write sftp://backup@vault/backups"),
    ("user@host:backups/", "write sftp://user@host/~/backups/"),
    ("vault:backups", "write sftp://vault/~/backups"),
    ("s3:/b", "write s3://b"),
    ("s3//b", "write s3://b"),
    (
        "s3:https://minio.example:9000/b/x",
        "`endpoint = \"https://minio.example:9000\"`",
    ),
    (
        "s3:minio.example/b/x",
        "`endpoint = \"https://minio.example\"`",
    ),
    ("sftp:host/srv", "write sftp://host/srv"),
    ("b2:bucket:path", "s3://BUCKET/PREFIX"),
    ("minio:bucket/path", "s3://BUCKET/PREFIX"),
    ("rclone:remote:path", "mount it"),
    ("rest:https://host:8000/", "mount it"),
    ("swift:container:/path", "mount it"),
    ("dropbox:backups", "mount it"),
    ("ssh://me@host/srv", "write sftp://me@host/srv"),
    ("https://minio.example/b", "AWS_ENDPOINT_URL"),
    ("C:\\backups", "Windows"),
    ("D:/backups/", "Windows"),
    ("~/x", "is not expanded"),
    ("$HOME/x", "is not expanded"),
];

fn names(machine: &Machine, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(machine.path(folder)).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

#[test]
fn a_word_that_looks_like_another_place_is_refused_by_every_verb() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    for (word, says) in WORDS {
        for arguments in [
            &["export", word][..],
            &["list", word],
            &["prune", word, "--keep-last", "1"],
            &["check", word],
            &["copy", &archive, word],
            &["copy", word, "."],
            &["keep", word],
            &["verify", word],
            &["inspect", word],
            &["diff", word],
            &["import", word, "--dry-run"],
            &["extract", word, "config.toml"],
        ] {
            let run = machine.run(arguments);
            assert_eq!(run.code, 2, "{arguments:?}: {}{}", run.text(), run.stderr);
            assert!(
                format!("{}{}", run.text(), run.stderr).contains(says),
                "{arguments:?}: {}",
                run.stderr
            );
        }
    }
    assert_eq!(names(&machine, "out"), ["a.tar.gz"]);
}

#[test]
fn a_folder_that_looks_like_another_place_is_not_made() {
    let machine = Machine::new();
    let archive = machine.export("a.tar.gz");
    let word = "user@host:/x";
    for arguments in [
        &["extract", &archive, "config.toml", "-o", word][..],
        &["import", &archive, "--root", word],
        &["import", &archive, "--map", &format!("/x={word}")],
        &["--data-dir", word, "--config", "c.toml", "init"],
        &["--config", "user@host:c.toml", "init"],
        &["demo", word],
    ] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hookshot"));
        command
            .args(arguments)
            .env("TMPDIR", machine.path("tmp"))
            .current_dir(machine.path("out"));
        if !arguments.contains(&"--config") {
            command.env("HOOKSHOT_CONFIG", machine.path("etc/config.toml"));
        }
        let run = finish(command, b"").exits(2);
        assert!(run.stderr.contains("./"), "{arguments:?}: {}", run.stderr);
    }
    assert_eq!(names(&machine, "out"), ["a.tar.gz"]);
}

#[test]
fn a_destination_that_looks_like_another_place_is_found_by_validate() {
    for (word, says) in WORDS {
        let machine = Machine::new();
        let url = toml::Value::String(word.to_owned());
        let text = format!("[backup]\nto = [\"x\"]\n[backup.destinations.x]\nurl = {url}\n");
        machine.write("etc/config.toml", machine.config_text(&text), 0o600);
        let before = names(&machine, "etc");
        for verb in ["validate", "export", "check", "list"] {
            machine
                .run(&[verb])
                .exits(2)
                .says("backup.destinations.x")
                .says(says);
        }
        assert_eq!(names(&machine, "etc").len(), before.len(), "{word}");
    }
    for to in ["user@host:/backups", "@x", "/srv/backups"] {
        let machine = Machine::new();
        let text = format!("[backup]\nto = [\"{to}\"]\n[backup.destinations.x]\nurl = \"/x\"\n");
        machine.write("etc/config.toml", machine.config_text(&text), 0o600);
        machine.run(&["validate"]).exits(2).says("`url`");
    }
    let machine = Machine::new();
    machine.write("etc/config.toml", "[storage]\ndata_dir = \"s3:b\"\n", 0o600);
    machine
        .run(&["validate"])
        .exits(2)
        .says("with ./ before it");
}

#[test]
fn what_restic_and_rclone_write_is_the_same_place() {
    let store = S3::start();
    let machine = Machine::new();
    let run = |arguments: &[&str]| {
        let mut command = machine.command();
        command.args(arguments).envs([
            ("AWS_ENDPOINT_URL", store.endpoint()),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", S3::ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", S3::SECRET_KEY.to_owned()),
        ]);
        finish(command, b"")
    };
    let short = format!("s3:{BUCKET}/host");
    run(&["export", &short]).exits(0);
    let list = run(&["--json", "list", &format!("s3://{BUCKET}/host")])
        .exits(0)
        .json();
    let name = list["archives"][0]["name"].as_str().expect("an archive");
    run(&["verify", &format!("{short}/{name}")]).exits(0);
    run(&["verify", &format!("{short}/latest")]).exits(0);
    run(&["copy", &format!("{short}/{name}"), "copied/"]).exits(0);
    assert_eq!(names(&machine, "out"), ["copied"]);
}

#[test]
fn a_server_or_an_arn_is_no_bucket() {
    let machine = Machine::new();
    for (word, says) in [
        ("s3://b.s3.amazonaws.com/x", "write s3://b/x in"),
        ("s3:b.s3.amazonaws.com/x/", "write s3://b/x,"),
        ("s3:s3.amazonaws.com/b/x", "write s3://b/x,"),
        (
            "s3:https://b.s3.eu-west-1.amazonaws.com/x",
            "write s3://b/x,",
        ),
        (
            "https://b.s3.amazonaws.com/x?X-Amz-Signature=hunter2",
            "write s3://b/x,",
        ),
        ("https:/x/", "https:/x/ is not understood"),
        ("s3://b.s3.eu-west-1.amazonaws.com/x", "write s3://b/x in"),
        ("s3://my.b.s3-eu-west-1.amazonaws.com", "write s3://my.b in"),
        (
            "s3://s3.eu-west-1.amazonaws.com/b/x",
            "write s3://b/x in place of s3://s3.eu-west-1.amazonaws.com/b/x,",
        ),
        ("s3://s3.amazonaws.com", "write s3://BUCKET/PREFIX in"),
        (
            "s3://b.us-west.amazonaws.com/x",
            "write s3://BUCKET/PREFIX in",
        ),
        ("s3://arn:aws:s3:::b/x", "write s3://b in"),
        ("s3://minio.example:9000/b/x", "`endpoint`"),
        ("gs://127.0.0.1:4443/b", "`endpoint`"),
    ] {
        for verb in ["list", "export", "check"] {
            let run = machine.run(&[verb, word]).exits(2).says(says);
            assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
        }
    }
}

#[test]
fn a_path_that_is_meant_stays_one() {
    let machine = Machine::new();
    machine.run(&["export", "./s3:b/"]).exits(0);
    assert_eq!(names(&machine, "out/s3:b").len(), 1);
    machine.run(&["list", "./s3:b"]).exits(0);
    // A file that is there is one, whatever its name.
    for name in ["host:a.tar.gz", "state-12:30:00.tar.gz"] {
        machine.run(&["export", &format!("./{name}")]).exits(0);
        for verb in ["verify", "inspect", "export"] {
            machine.run(&[verb, name]).exits(0);
        }
        machine.run(&["import", name, "--dry-run"]).exits(0);
    }
    let archive = machine.export("hookshot-state-20261121-030000.tar.gz");
    machine.run(&["copy", &archive, "./co:pied/"]).exits(0);
    let copied = "./co:pied/hookshot-state-20261121-030000.tar.gz";
    machine.run(&["keep", copied]).exits(0);
    machine.run(&["copy", copied, "again/"]).exits(0);
    // A time is not a server.
    machine
        .run(&["export", "state-2026-11-29T03:00:00Z.tar.gz"])
        .exits(0);
}
