//! Applies that are refused: nothing changes, and the trail says so.

use std::fs;

use serde_json::{Value, json};
use support::{finish, is_root};

use super::Restoring;
use crate::site::{API, Site};

#[test]
fn a_plan_that_is_not_the_one_that_was_shown_is_refused() {
    let restoring = Restoring::new();
    let serving = restoring.site.start(&[]);
    let before = restoring.state();
    let plan = restoring.plan(&serving, &json!({}));
    let other = restoring.plan(&serving, &json!({"entries": ["page"]}));
    assert_ne!(plan["digest"], other["digest"]);
    let missing = json!({"id": "0123456789abcdef0123", "digest": plan["digest"]});
    restoring.apply(&serving, &missing, json!({})).is(404);
    let swapped = restoring.apply(&serving, &plan, json!({"digest": other["digest"]}));
    swapped.is(409).says("another plan");
    restoring
        .apply(&serving, &plan, json!({"host_name": "elsewhere"}))
        .is(422)
        .says("the name that was typed is not that of this machine");
    restoring
        .apply(&serving, &plan, json!({"host_name": ""}))
        .is(422);
    // Words that a plan does not have, such as force, are refused rather than ignored.
    for more in ["force", "dry_run", "password"] {
        restoring
            .apply(&serving, &plan, json!({more: true}))
            .is(400);
    }
    let path = format!("{API}/plans/{}/apply", plan["id"].as_str().expect("an id"));
    let admin = serving.program(&restoring.tokens[2]);
    let json = json!({"digest": plan["digest"], "host_name": restoring.host}).to_string();
    admin.send("POST", &path, "").is(400);
    admin.send("POST", &path, &json).is(415);
    let form = format!(
        "digest={}&host_name={}",
        plan["digest"].as_str().expect("a digest"),
        restoring.host
    );
    admin.send("POST", &path, &form).is(415);
    for role in ["viewer", "operator"] {
        restoring
            .program(&serving, role)
            .send("POST", &path, &json)
            .is(403);
    }
    assert_eq!(restoring.state(), before);
    let refused: Vec<String> = restoring
        .acts()
        .into_iter()
        .map(|(_, outcome)| outcome)
        .collect();
    let outcomes = ["done", "done", "not_found", "blocked", "usage", "usage"];
    assert_eq!(refused, outcomes);
    // The plan is as good as before.
    restoring.apply(&serving, &plan, json!({})).is(202);
}

#[test]
fn a_plan_that_is_older_than_15_minutes_is_refused() {
    let restoring = Restoring::new();
    let Some(serving) = restoring.site.start_with_clock(&[]) else {
        return;
    };
    let before = restoring.state();
    let plan = restoring.plan(&serving, &json!({}));
    restoring.site.leap(15 * 60 + 1);
    let refused = restoring.apply(&serving, &plan, json!({})).is(409);
    refused.says("older than 15 minutes");
    let id = plan["id"].as_str().expect("an id");
    let operator = restoring.program(&serving, "operator");
    let shown = operator.get(&format!("{API}/plans/{id}")).is(200).json();
    assert_eq!(shown["state"], "expired");
    // A clock that was set back makes no plan young again.
    restoring.site.leap(-3600);
    restoring.apply(&serving, &plan, json!({})).is(409);
    assert_eq!(restoring.state(), before);
}

#[test]
fn a_target_or_an_archive_that_changed_since_is_refused() {
    let restoring = Restoring::new();
    let machine = &restoring.site.machine;
    let serving = restoring.site.start(&[]);
    let apply = |plan: &Value, changed: &str| {
        let before = restoring.state();
        let refused = restoring.apply(&serving, plan, json!({}));
        assert_eq!(refused.status, 409, "{changed}: {}", refused.text());
        assert_eq!(restoring.state(), before, "{changed}");
    };
    let harms: [(&str, &dyn Fn()); 5] = [
        ("the content of a file", &|| {
            machine.write("srv/page", "third!", 0o644)
        }),
        ("the content of a file of the same size", &|| {
            machine.write("srv/page", "THIRD!", 0o644)
        }),
        ("a file of a directory", &|| {
            machine.write("srv/data/a-b", "?", 0o755)
        }),
        ("a new file", &|| {
            machine.write("srv/data/a/later", "?", 0o600)
        }),
        ("a target that is gone", &|| {
            fs::remove_file(machine.path("srv/page")).expect("removed")
        }),
    ];
    for (changed, harm) in harms {
        let plan = restoring.plan(&serving, &json!({}));
        harm();
        apply(&plan, changed);
    }
    machine.write("srv/page", "fourth", 0o644);
    // The plan reads one of two copies.
    let plan = restoring.plan(&serving, &json!({}));
    let location = plan["location"].as_str().expect("a location");
    let name = location.rsplit('/').next().expect("a name");
    let folder = if location.starts_with("@d1") {
        "near"
    } else {
        "far"
    };
    let copy = machine.path(folder).join(name);
    let good = fs::read(&copy).expect("an archive");
    let mut damaged = good.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(&copy, damaged).expect("written");
    apply(&plan, "a damaged archive");
    machine.run(&["export", "other.tar.gz"]).exits(0);
    fs::copy(machine.path("out/other.tar.gz"), &copy).expect("copied");
    apply(&plan, "another archive of the same name");
    fs::remove_file(&copy).expect("removed");
    apply(&plan, "an archive that is gone");
    fs::write(&copy, good).expect("written");
    restoring.apply(&serving, &plan, json!({})).is(202);
}

#[test]
fn a_plan_says_what_blocks_it_and_is_not_applied() {
    let restoring = Restoring::new();
    let machine = &restoring.site.machine;
    let serving = restoring.site.start(&[]);
    let held = fs::OpenOptions::new()
        .append(true)
        .open(machine.path("srv/page"))
        .expect("opened");
    let before = restoring.state();
    let plan = restoring.plan(&serving, &json!({}));
    assert_eq!(plan["state"], "blocked");
    assert_eq!(plan["blocked"][0]["kind"], "file_held", "{plan}");
    let message = plan["blocked"][0]["message"].as_str().expect("a message");
    assert!(
        message.contains(&std::process::id().to_string()),
        "{message}"
    );
    assert_ne!(plan["blocked"][0]["hint"], "", "{plan}");
    let refused = restoring.apply(&serving, &plan, json!({})).is(409);
    assert_eq!(refused.json()["error"]["message"], message);
    drop(held);
    // What blocked is gone: another plan is to be looked at.
    restoring.apply(&serving, &plan, json!({})).is(409);
    assert_eq!(restoring.state(), before);
    let plan = restoring.plan(&serving, &json!({}));
    let held = fs::OpenOptions::new()
        .append(true)
        .open(machine.path("srv/page"))
        .expect("opened");
    restoring
        .apply(&serving, &plan, json!({}))
        .is(409)
        .says("page");
    assert_eq!(restoring.state(), before);
    drop(held);
    restoring.apply(&serving, &plan, json!({})).is(202);
}

#[test]
fn an_archive_of_another_machine_needs_both_names() {
    if !is_root("a machine of another name") {
        return;
    }
    let site = Site::new();
    for folder in ["near", "far"] {
        fs::remove_dir_all(site.machine.path(folder)).expect("removed");
    }
    let inner = site.machine.command();
    let mut command = std::process::Command::new("unshare");
    let named = "hostname other-box; exec \"$0\" \"$@\"";
    command.args(["--uts", "sh", "-c", named]);
    command.arg(inner.get_program()).args(inner.get_args());
    command.arg("export").current_dir(site.machine.path("out"));
    command.env("TMPDIR", site.machine.path("tmp"));
    finish(command, b"").exits(0);
    let restoring = Restoring::of(site);
    let serving = restoring.site.start(&[]);
    let before = restoring.state();
    let archives = serving.snapshots(&serving.program(&restoring.tokens[0]));
    assert_eq!(archives.len(), 1);
    let plan = restoring.plan(&serving, &json!({}));
    assert_eq!(plan["archive_host"], "other-box", "{plan}");
    assert_eq!(plan["is_of_other_host"], true);
    for names in [
        json!({}),
        json!({"archive_host_name": restoring.host}),
        json!({"host_name": "other-box"}),
        json!({"host_name": "other-box", "archive_host_name": restoring.host}),
    ] {
        restoring.apply(&serving, &plan, names).is(422);
    }
    assert_eq!(restoring.state(), before);
    let names = json!({"archive_host_name": "other-box"});
    let answer = restoring.apply(&serving, &plan, names).is(202).json();
    assert_eq!(restoring.ended(&serving, &answer)["state"], "done");
    assert_eq!(restoring.site.machine.read("srv/page"), b"first");
}

#[test]
fn a_token_of_some_services_makes_and_sees_no_plans() {
    let restoring = Restoring::new();
    let own = restoring.site.token("own", "admin", &["--hosts", "x"]);
    let other = restoring.site.token("other", "admin", &["--hosts", "y"]);
    let serving = restoring.site.start(&[]);
    let plan = restoring.plan(&serving, &json!({}));
    let id = plan["id"].as_str().expect("an id");
    let archive = restoring.newest(&serving);
    for (token, status) in [(own, 403), (other, 404)] {
        let program = serving
            .program(&token)
            .with("Content-Type: application/json");
        for path in ["plan", "restore"] {
            let path = format!("{API}/snapshots/{archive}/{path}");
            program.send("POST", &path, "{}").is(status);
        }
        let body = json!({"digest": plan["digest"], "host_name": restoring.host}).to_string();
        let path = format!("{API}/plans/{id}/apply");
        program.send("POST", &path, &body).is(403);
        let path = format!("{API}/hosts/{}/rollback", restoring.host);
        program.send("POST", &path, "{}").is(403);
    }
}
