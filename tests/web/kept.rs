//! The state of the server is a source like others: it is exported while the server works, and brought back.

use std::fs;

use nix::sys::signal::Signal;

use crate::site::{API, Site};

#[test]
fn the_state_of_a_server_at_work_is_exported_and_comes_back_with_users_tokens_and_the_trail() {
    let site = Site::new();
    let source = "[[backup.sources]]\nname = \"serve\"\nkind = \"sqlite\"\npath = \".hookshot/serve.sqlite\"\n";
    site.configure(&["near"], source);
    let token = site.token("grafana", "viewer", &[]);
    let mut serving = site.start(&[]);
    let anna = serving.login("anna");
    let cookie = anna.request("GET", "/", "");
    let cookie = cookie.lines().find(|line| line.starts_with("Cookie: "));
    let cookie = cookie.expect("a cookie").to_owned();
    serving.snapshots(&serving.program(&token));
    let report = site.machine.run(&["export", "--json"]).exits(0).json();
    let path = report["outputs"][0]["archive"].as_str();
    let path = path.unwrap_or_else(|| panic!("{report}"));
    let (_, name) = path.rsplit_once('/').expect("a path");
    let trail = site.rows("SELECT number, digest FROM audit ORDER BY number");
    site.user("zenobia", "viewer");
    serving.end(Signal::SIGKILL);
    for ending in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{ending}", site.state().display()));
    }
    site.serve(&["user", "list"]).exits(10);
    let location = format!("@d1/{name}");
    let import = site.machine.run(&["import", &location, "--only", "serve"]);
    import.exits(0);
    assert_eq!(
        site.rows("SELECT number, digest FROM audit ORDER BY number"),
        trail
    );
    let serving = site.start(&["--rebuild"]);
    let program = serving.program(&token);
    // The archive in which it was is known, too.
    let known = serving.until(&program, &format!("{API}/snapshots"), |answer| {
        answer.text().contains(name)
    });
    assert_eq!(known.json()["snapshots"].as_array().map(Vec::len), Some(2));
    let settings = serving.stranger().with(cookie).get("/settings").is(200);
    let settings = settings.says("vera").says("whole");
    assert!(!settings.text().contains("zenobia"), "{}", settings.text());
}
