//! Every route keeps to its description, and none fails by itself: schemathesis sends what the OpenAPI document permits, and
//! what it does not.

use std::{env, process::Command};

use support::servers::program::{find, leave_out};

use crate::site::{API, Site};

/// Seconds of a run.
const SECONDS: &str = "60";
/// The beginning of its choices in an ordinary run. Runs of another length choose by chance.
const SEED: &str = "1";

#[test]
fn no_route_lies_about_its_schema_or_fails_by_itself() {
    let Some(program) = find("schemathesis") else {
        let _: Option<()> = leave_out("schemathesis (sends requests by the OpenAPI document)");
        return;
    };
    let site = Site::new();
    site.machine.run(&["export"]).exits(0);
    let token = site.token("tester", "admin", &[]);
    let serving = site.start(&[]);
    serving.snapshots(&serving.program(&token));
    let seconds = env::var("HOOKSHOT_SCHEMA_SECONDS");
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/web/schemathesis.toml");
    let mut command = Command::new(program);
    command
        .args(["--config-file", config, "run"])
        .arg(format!("http://{}{API}/openapi.json", serving.address))
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--checks", "all", "--no-color"])
        // A path of pages answers other methods too, and not by this document.
        .args(["--exclude-checks", "unsupported_method"])
        .current_dir(site.machine.path("out"));
    match seconds {
        Ok(seconds) => command.args(["--max-time", &seconds]),
        Err(_) => command.args(["--max-time", SECONDS, "--seed", SEED]),
    };
    let run = command.output().expect("schemathesis");
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}\n{}", serving.log());
    // All of it was tried.
    let tested = said.lines().find(|line| line.contains("Tested:"));
    println!("{}\n{said}", tested.unwrap_or_default());
    let document = hookshot::serve::document();
    let paths = document["paths"].as_object().expect("paths");
    let routes: usize = paths
        .values()
        .map(|methods| methods.as_object().expect("methods").len())
        .sum();
    let tested = tested.and_then(|line| line.split_whitespace().last());
    assert_eq!(tested, Some(routes.to_string().as_str()), "{said}");
    assert!(!serving.log().contains("panicked"), "{}", serving.log());
}
