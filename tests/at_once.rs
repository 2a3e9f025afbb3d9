//! Exports at the same moment are as many archives, wherever they go.
#![expect(
    clippy::disallowed_methods,
    reason = "tests may do what hookshot may not"
)]

#[path = "support/servers/mod.rs"]
mod servers;
mod support;

use std::{collections::BTreeSet, fs};

use servers::S3;
use support::{Machine, Run, finish};

/// How many at once.
const MANY: usize = 6;

/// Begins exports to `output` so that they name their archives at the same moment: each waits for a file in a command of
/// its own. Returns what came of each.
fn at_once(machine: &Machine, output: &str, prefixes: &[&str]) -> Vec<Run> {
    let destination = format!(
        r#"
[backup.destinations.s3]
url = "s3://{}/host"
endpoint = "{}"
region = "us-east-1"
path_style = true
allow_http = true
access_key_id = "{}"
secret_access_key = "env:TEST_S3_SECRET"
timeout = "20s"
"#,
        servers::s3::BUCKET,
        output.strip_prefix("@s3 ").unwrap_or("http://127.0.0.1:1"),
        S3::ACCESS_KEY,
    );
    for prefix in prefixes {
        let text = format!(
            "[backup]\nprefix = \"{prefix}\"\n{destination}\n[[backup.sources]]\nname = \"d\"\nkind = \"command\"\nexport = \"echo $$; while [ ! -e {} ]; do sleep 0.01; done\"\n",
            machine.path("tmp/go").display()
        );
        machine.write(&format!("etc/{prefix}.toml"), text, 0o600);
    }
    let output = output.split(' ').next().expect("a word");
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..MANY)
            .map(|number| {
                let prefix = prefixes[number % prefixes.len()];
                let mut command = machine.command();
                command
                    .args(["export", output, "--json", "--config"])
                    .arg(machine.path(&format!("etc/{prefix}.toml")))
                    .env("TEST_S3_SECRET", S3::SECRET_KEY);
                scope.spawn(move || finish(command, b""))
            })
            .collect();
        // All of them wait by then, or come a little later: the test cannot fail by that.
        std::thread::sleep(std::time::Duration::from_millis(700));
        fs::write(machine.path("tmp/go"), "").expect("written");
        runs.into_iter()
            .map(|run| run.join().expect("an end"))
            .collect()
    })
}

fn names(runs: Vec<Run>) -> BTreeSet<String> {
    let name = |run: Run| {
        let report = run.exits(0).json();
        let archive = report["archive"].as_str().expect("a name").to_owned();
        let root = report["root"].as_str().expect("a root");
        let file = archive.rsplit('/').next().expect("a name");
        assert!(file.starts_with(root), "{report}");
        archive
    };
    runs.into_iter().map(name).collect()
}

#[test]
fn six_exports_at_once_into_one_folder_are_six_archives() {
    let machine = Machine::empty();
    let names = names(at_once(&machine, "all/", &["x"]));
    assert_eq!(names.len(), MANY, "{names:?}");
    for name in &names {
        machine.run(&["verify", name]).exits(0);
    }
    let folder = machine.path("out/all").read_dir().expect("a folder");
    assert_eq!(folder.count(), MANY);
}

#[test]
fn six_exports_at_once_under_two_prefixes_are_six_archives() {
    let machine = Machine::empty();
    let names = names(at_once(&machine, "all/", &["x", "y"]));
    assert_eq!(names.len(), MANY, "{names:?}");
}

#[test]
fn six_exports_at_once_to_one_store_are_six_archives() {
    let machine = Machine::empty();
    let s3 = S3::start();
    let output = format!("@s3 {}", s3.endpoint());
    let names = names(at_once(&machine, &output, &["x"]));
    assert_eq!(names.len(), MANY, "{names:?}");
    let kept = s3.objects();
    assert_eq!(kept.len(), MANY, "{kept:?}");
}
