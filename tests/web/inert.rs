//! Names and messages that would run, forge or turn text around are inert on pages and in JSON.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt as _};

use crate::{
    client::Answer,
    site::{API, Site},
};

/// Markup, quotes, marks of right to left, and what terminals obey.
const EVIL: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;\u{202e}\u{2066}\u{1b}[2J\r\nX-Evil: 1";

#[track_caller]
fn is_inert(answer: &Answer, what: &str) {
    let text = answer.text();
    for live in [
        "<script>alert",
        "<img",
        "onerror=alert(2)>&amp;\u{202e}",
        "\"'><",
    ] {
        let is_page = answer.header("content-type").starts_with("text/html");
        assert!(!is_page || !text.contains(live), "{what}: {live} in {text}");
    }
    let drives = |symbol: &char| {
        symbol.is_control() && *symbol != '\n'
            || matches!(symbol, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let driving: Vec<char> = text.chars().filter(drives).collect();
    assert_eq!(driving, Vec::<char>::new(), "{what}: {text:?}");
    assert!(answer.headers("x-evil").is_empty(), "{what}");
    // A line feed on a page is a space.
    let is_page = answer.header("content-type").starts_with("text/html");
    let mut lines = text.lines();
    assert!(
        is_page || !lines.any(|line| line.starts_with("X-Evil")),
        "{what}: {text}"
    );
}

#[test]
fn names_in_archives_are_inert() {
    let site = Site::with_admin();
    // A name may have every byte but a slash.
    let name = EVIL.replace('/', "\u{2044}");
    fs::create_dir_all(
        site.machine
            .path("srv/data")
            .join(OsStr::from_bytes(name.as_bytes())),
    )
    .expect("a folder");
    let file = site.machine.path("srv/data").join(&name).join(&name);
    fs::write(file, "evil").expect("written");
    let config = fs::read_to_string(site.machine.path("etc/config.toml")).expect("it");
    let config = config.replace(
        "app = \"shop\"",
        "app = '<script>alert(1)</script><img src=x>'",
    );
    site.machine.write("etc/config.toml", config, 0o600);
    let label = format!("{name}={name}");
    let run = site.machine.run(&["export", "--tag", &label]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let token = site.token("grafana", "admin", &[]);
    let serving = site.start(&[]);
    let (anna, program) = (serving.login("anna"), serving.program(&token));
    let id = serving.snapshots(&program)[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let page = anna.get(&format!("/archives/{id}")).is(200);
    is_inert(&page, "the archive");
    let page = page.says("&lt;script&gt;alert(1)");
    assert!(
        page.text().contains("shop") || page.text().contains("&lt;img"),
        "{}",
        page.text()
    );
    let answer = program.get(&format!("{API}/snapshots/{id}")).is(200);
    is_inert(&answer, "the archive in JSON");
    // It is the same name for programs.
    let told = answer.json().to_string();
    assert!(told.contains("alert(1)"), "{told}");
    for path in ["/", "/archives", "/runs"] {
        is_inert(&anna.get(path).is(200), path);
    }
}

#[test]
fn destinations_and_failures_are_inert() {
    let site = Site::with_admin();
    let folder = EVIL.replace(['/', '\r', '\n'], "");
    site.configure(&["near", &folder], "");
    site.machine.run(&["export"]).exits(0);
    let token = site.token("grafana", "admin", &[]);
    let Some(serving) = site.start_with_clock(&[]) else {
        return;
    };
    let (anna, program) = (serving.login("anna"), serving.program(&token));
    let id = serving.snapshots(&program)[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let everything = |what: &str| {
        for path in ["/", "/archives", "/runs", &format!("/archives/{id}")] {
            is_inert(&anna.get(path), &format!("{what}: {path}"));
        }
        for path in ["health", "snapshots", &format!("snapshots/{id}")] {
            is_inert(
                &program.get(&format!("{API}/{path}")),
                &format!("{what}: {path}"),
            );
        }
    };
    serving.until(&anna, "/", |answer| answer.text().contains("told this"));
    everything("destinations");
    fs::remove_dir_all(site.machine.path(&folder)).expect("removed");
    fs::write(site.machine.path(&folder), "no folder").expect("written");
    site.leap(100);
    serving.until(&anna, "/", |answer| answer.text().contains("needs work"));
    everything("a failure");
    let broken = format!(
        "[backup]\n\"{}\" = 1\n",
        folder.replace(['"', '\u{1b}'], "")
    );
    site.machine.write("etc/config.toml", broken, 0o600);
    site.leap(200);
    serving.until(&anna, "/", |answer| answer.text().contains("config.toml"));
    everything("a configuration");
}

#[test]
fn names_that_are_given_at_a_login_are_inert() {
    let site = Site::with_admin();
    let serving = site.start(&[]);
    let encoded: String = EVIL.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let answer = serving.try_login(&encoded, "wrong-password").is(403);
    is_inert(&answer, "the answer");
    let long = format!("{}{}", "x".repeat(5000), encoded);
    serving.try_login(&long, "wrong-password").is(403);
    let anna = serving.login("anna");
    // What was typed as a name may be a password: the trail keeps the names of accounts alone.
    let page = anna.get("/settings").is(200).says("unknown");
    assert!(!page.text().contains("alert(1)"), "{}", page.text());
    is_inert(&page, "the trail");
    let audit = site.audit();
    assert!(
        audit.iter().all(|(actor, ..)| actor.chars().count() <= 64),
        "{audit:?}"
    );
    // Names of accounts are words.
    let file = site.machine.path("password").display().to_string();
    for name in ["<b>", "a b", "a\nb", "", "\u{202e}eve", "-x", "a/b"] {
        let run = site.serve(&["user", "add", "--password-file", &file, "--", name]);
        assert_eq!(run.code, 2, "{name}: {}", run.stderr);
        let run = site.serve(&["token", "add", "--", name]);
        assert_eq!(run.code, 2, "{name}: {}", run.stderr);
    }
}
