//! The agent behind a socket: it runs verbs as root for a server that has another user, and believes that server nothing.

mod activated;
mod apart;
mod applied;
mod backup;
mod killed;

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use support::signals;

use self::apart::{Apart, PATIENCE, SERVER, STRANGER};
use crate::site::API;

fn look(verb: &str) -> Value {
    json!({"look": {"verb": verb}})
}

#[test]
fn a_server_without_rights_shows_everything_by_its_agent() {
    let Some(apart) = Apart::new() else { return };
    let _agent = apart.agent();
    let mode = fs::metadata(apart.socket())
        .expect("a socket")
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o660);
    let serving = apart.serve();
    let anna = serving.login("anna");
    serving.until(&anna, "/", |page| {
        page.text().contains("Everything is protected")
    });
    let page = serving.until(&anna, "/archives", |page| {
        page.text().contains("/archives/")
    });
    let id = page.text();
    let id = id
        .split("href=\"/archives/")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let id = id.expect("an archive").to_owned();
    anna.get(&format!("/archives/{id}")).is(200).says("data");
    // The content of entries needs a word in the configuration.
    let content = format!("{API}/snapshots/{id}/entries/page/content");
    let program = serving.program(&apart.token);
    let answer = program.get(&content).is(403);
    assert!(answer.text().contains("allow"), "{}", answer.text());
    apart
        .site
        .configure(&["near", "far"], "[backup.agent]\nallow = [\"content\"]\n");
    let bytes = program.get(&content).is(200).body;
    let page = fs::read(apart.site.machine.path("srv/page")).expect("a page");
    assert_eq!(bytes, page);
}

#[test]
fn others_than_the_server_are_refused() {
    let Some(apart) = Apart::new() else { return };
    let agent = apart.agent();
    apart.ask(SERVER, &look("list")).exits(0);
    let run = apart.ask(STRANGER, &look("list"));
    assert_ne!(run.code, 0);
    assert!(run.text().contains("does not answer"), "{}", run.text());
    // A socket that is open to all admits no other user, either.
    let open = fs::Permissions::from_mode(0o666);
    fs::set_permissions(apart.socket(), open).expect("changed");
    let run = apart.ask(STRANGER, &look("list"));
    assert_ne!(run.code, 0);
    assert!(!run.text().contains("archives"), "{}", run.text());
    agent.says("is refused: it is not the server's");
}

#[test]
fn only_verbs_archives_and_configurations_of_the_list_pass() {
    let Some(apart) = Apart::new() else { return };
    let _agent = apart.agent();
    let list = apart.ask(SERVER, &look("list")).exits(0).json();
    let location = list["archives"][0]["location"]
        .as_str()
        .expect("a location");
    let inspect = |location: &str| json!({"look": {"verb": "inspect", "location": location}});
    apart.ask(SERVER, &inspect(location)).exits(0);
    let near = apart.site.machine.path("near");
    let file = fs::read_dir(&near).expect("archives").flatten().next();
    let file = file.expect("an archive").path().display().to_string();
    let forbidden = [
        inspect(&file),
        inspect("/etc/shadow"),
        inspect("--help"),
        inspect(&format!(
            "{}/../x",
            location.split('/').next().expect("a name")
        )),
        json!({"look": {"verb": "prune", "destination": near}}),
        json!({"task": {"verb": "check", "destination": "http://127.0.0.1/"}}),
        json!({"task": {"verb": "import", "location": location, "entries": [], "plan": "0"}}),
        json!({"task": {"verb": "rollback", "plan": "0"}}),
        json!({"look": {"verb": "import", "location": location, "entries": []}}),
        json!({"look": {"verb": "rollback"}}),
    ];
    for wanted in forbidden {
        let run = apart.ask(SERVER, &wanted);
        let error = run.json()["error"].clone();
        assert_eq!(error["kind"], "forbidden", "{wanted}: {error}");
    }
    let run = apart.ask_about(SERVER, "/etc/passwd", &look("status"));
    assert_eq!(run.json()["error"]["kind"], "forbidden");
    // What is none of our requests does not even leave the relay.
    for wanted in [
        look("delete"),
        json!({"words": ["prune"]}),
        json!({"task": {"verb": "prune"}}),
    ] {
        apart.ask(SERVER, &wanted).exits(2);
    }
    // A server that is broken into writes what it likes.
    for bytes in [
        &b"{\"config\": \"x\"}\n"[..],
        b"nonsense\n",
        &[b'x'; 300_000],
        b"{\"config\": \"x\", \"wanted\": {\"look\": {\"verb\": \"list\"}}}\n",
    ] {
        let mut stream = UnixStream::connect(apart.socket()).expect("an agent");
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.is_empty() || said.contains("cannot be read"), "{said}");
    }
    apart.ask(SERVER, &look("list")).exits(0);
    assert!(!near.join("x").exists());
}

#[test]
fn an_import_has_to_be_allowed_by_the_configuration() {
    let Some(apart) = Apart::new() else { return };
    let _agent = apart.agent();
    let list = apart.ask(SERVER, &look("list")).exits(0).json();
    let location = list["archives"][0]["location"].clone();
    let import = |plan: &Value| json!({"task": {"verb": "import", "location": location, "entries": [], "plan": plan}});
    let plan = json!({"look": {"verb": "import", "location": location, "entries": []}});
    let page = apart.site.machine.path("srv/page");
    fs::write(&page, "changed").expect("written");
    let zeros = Value::from("0".repeat(64));
    for wanted in [&import(&zeros), &plan] {
        let run = apart.ask(SERVER, wanted);
        assert!(run.text().contains("allow"), "{}", run.text());
    }
    assert_eq!(fs::read_to_string(&page).expect("a page"), "changed");
    apart
        .site
        .configure(&["near", "far"], "[backup.agent]\nallow = [\"import\"]\n");
    let plan = apart.ask(SERVER, &plan).exits(0).json();
    assert_eq!(fs::read_to_string(&page).expect("a page"), "changed");
    apart.ask(SERVER, &import(&zeros)).exits(11);
    assert_eq!(fs::read_to_string(&page).expect("a page"), "changed");
    apart.ask(SERVER, &import(&plan["plan"]["digest"])).exits(0);
    assert_eq!(fs::read_to_string(&page).expect("a page"), "first");
}

#[test]
fn without_its_agent_pages_say_so_and_reading_goes_on() {
    let Some(apart) = Apart::new() else { return };
    let mut agent = apart.agent();
    let serving = apart.serve();
    let anna = serving.login("anna");
    serving.until(&anna, "/", |page| {
        page.text().contains("Everything is protected")
    });
    let archives = serving.until(&anna, "/archives", |page| {
        page.text().contains("href=\"/archives/")
    });
    signals::send(Signal::SIGKILL, &agent.child);
    agent.child.wait().expect("an end");
    let serving = apart.serve();
    let anna = serving.login("anna");
    serving.until(&anna, "/", |page| page.text().contains("does not answer"));
    let after = anna.get("/archives").is(200).text();
    assert!(
        after.contains("href=\"/archives/"),
        "{after}\n{}",
        archives.text()
    );
    anna.get("/settings").is(200);
    // Its socket is still there; another agent takes its place.
    assert!(apart.socket().exists());
    let _agent = apart.agent();
    apart.ask(SERVER, &look("status")).exits(0);
}

#[test]
fn the_agent_removes_its_socket_at_its_end() {
    let Some(apart) = Apart::new() else { return };
    let mut agent = apart.agent();
    signals::send(Signal::SIGTERM, &agent.child);
    let status = agent.child.wait().expect("an end");
    assert_eq!(status.code(), Some(0), "{status}");
    assert!(!apart.socket().exists());
}

#[test]
fn a_backup_outlives_a_killed_agent_and_its_end_is_told() {
    let Some(apart) = Apart::new() else { return };
    let (begun, go) = (
        apart.seen.path().join("begun"),
        apart.seen.path().join("go"),
    );
    let script = format!(
        "touch {}; while [ ! -e {} ]; do sleep 0.05; done",
        begun.display(),
        go.display()
    );
    let hooks = format!(
        "[[backup.hooks]]\nstage = \"before\"\nrun = {}\n",
        json!(["sh", "-c", script])
    );
    apart.site.configure(&["near", "far"], &hooks);
    let mut agent = apart.agent();
    let report = apart.seen.path().join("report");
    let wanted = json!({"task": {"verb": "backup"}});
    let mut command = apart.asking(SERVER, &apart.config(), &wanted);
    command.stdout(fs::File::create(&report).expect("a file"));
    let owner = Command::new("chown").arg(SERVER).arg(&report).status();
    assert!(owner.expect("chown").success());
    let mut relay = command.stdin(Stdio::null()).spawn().expect("a relay");
    let end = Instant::now() + PATIENCE;
    while !begun.exists() {
        assert!(
            Instant::now() < end,
            "no backup: {}",
            agent.log.lock().expect("a log")
        );
        thread::sleep(Duration::from_millis(20));
    }
    signals::send(Signal::SIGKILL, &agent.child);
    agent.child.wait().expect("an end");
    assert!(
        relay.try_wait().expect("asked").is_none(),
        "the relay ends before the verb"
    );
    fs::write(&go, "").expect("written");
    let status = relay.wait().expect("an end");
    assert_eq!(status.code(), Some(0), "{status}");
    let report: Value =
        serde_json::from_slice(&fs::read(&report).expect("a report")).expect("JSON");
    assert_eq!(report["result"], "success");
    let archives = fs::read_dir(apart.site.machine.path("near")).expect("archives");
    assert_eq!(archives.count(), 2);
}

#[test]
fn a_task_ends_when_its_caller_asks_for_that() {
    let Some(apart) = Apart::new() else { return };
    let begun = apart.seen.path().join("begun");
    let script = format!("touch {}; exec sleep 600", begun.display());
    let hooks = format!(
        "[[backup.hooks]]\nstage = \"before\"\nrun = {}\n",
        json!(["sh", "-c", script])
    );
    apart.site.configure(&["near", "far"], &hooks);
    let agent = apart.agent();
    let wanted = json!({"task": {"verb": "backup"}});
    let mut command = apart.asking(SERVER, &apart.config(), &wanted);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut relay = command.spawn().expect("a relay");
    let end = Instant::now() + PATIENCE;
    while !begun.exists() {
        assert!(
            Instant::now() < end,
            "no backup: {}",
            agent.log.lock().expect("a log")
        );
        thread::sleep(Duration::from_millis(20));
    }
    signals::send(Signal::SIGTERM, &relay);
    let status = relay.wait().expect("an end");
    assert!(matches!(status.code(), Some(1..)), "{status}");
    agent.says("backup of");
    let archives = fs::read_dir(apart.site.machine.path("near")).expect("archives");
    assert_eq!(archives.count(), 1);
}
