//! The pages of a restore, as a browser without scripts uses them.

use serde_json::json;

use super::Restoring;
use crate::{
    client::{Answer, Client},
    site::{PASSWORD, Serving},
};

/// Returns the value of a hidden field.
#[track_caller]
fn hidden(page: &Answer, name: &str) -> String {
    let text = page.text();
    let start = format!("name=\"{name}\" value=\"");
    let rest = text
        .split_once(&start)
        .unwrap_or_else(|| panic!("{name}: {text}"))
        .1;
    rest.split('"').next().expect("a value").to_owned()
}

/// Makes a plan by the form, and returns its path.
#[track_caller]
fn planned(restoring: &Restoring, serving: &Serving, user: &str, form: &str) -> String {
    let id = restoring.newest(serving);
    let answer = serving
        .login(user)
        .post(&format!("/archives/{id}/plan"), form);
    answer.is(303).header("location").to_owned()
}

#[test]
fn a_restore_by_forms_is_planned_applied_and_undone() {
    let restoring = Restoring::new();
    let serving = restoring.site.start(&[]);
    let before = restoring.state();
    let id = restoring.newest(&serving);
    let anna = serving.login("anna");
    let page = anna.get(&format!("/archives/{id}/restore")).is(200);
    let page = page.says(&restoring.host).says("Show what would happen");
    assert_eq!(page.text().matches("type=\"checkbox\"").count(), 2);
    assert_eq!(page.text().matches(" checked").count(), 2);
    let plan = planned(&restoring, &serving, "anna", "entry=data&entry=page");
    let page = anna.get(&plan).is(200).says("Nothing has changed yet");
    let page = page.says("page.bak").says("is replaced");
    assert!(!page.text().contains("--only"), "{}", page.text());
    assert_eq!(restoring.state(), before);
    let digest = hidden(&page, "digest");
    let form = |host: &str, password: &str| {
        format!("digest={digest}&host_name={host}&password={password}")
    };
    let apply = format!("{plan}/apply");
    let wrong = anna.post(&apply, &form("elsewhere", PASSWORD)).is(422);
    wrong.says("This was refused").says("name of this machine");
    anna.post(&apply, &form(&restoring.host, "wrong-password"))
        .is(403)
        .says("password is wrong");
    anna.post(&apply, &form(&restoring.host, "")).is(403);
    assert_eq!(restoring.state(), before);
    let run = anna.post(&apply, &form(&restoring.host, PASSWORD)).is(303);
    let run = run.header("location").to_owned();
    let page = serving.until(&anna, &run, |page| page.text().contains("action=\"/undo\""));
    assert_eq!(restoring.site.machine.read("srv/page"), b"first");
    anna.get(&plan).is(200).says("To its run").says(&run);
    let configuration = hidden(&page, "configuration").replace('/', "%2F");
    let undo = anna
        .post("/undo", &format!("configuration={configuration}"))
        .is(303);
    let undo = undo.header("location").to_owned();
    let page = anna.get(&undo).is(200).says("Undo the last restore on");
    let digest = hidden(&page, "digest");
    let form = format!(
        "digest={digest}&host_name={}&password={PASSWORD}",
        restoring.host
    );
    let run = anna.post(&format!("{undo}/apply"), &form).is(303);
    serving.until(&anna, run.header("location"), |page| {
        page.text().contains("action=\"/undo\"")
    });
    assert_eq!(restoring.state(), before);
    let outcomes: Vec<String> = restoring
        .acts()
        .into_iter()
        .map(|(_, outcome)| outcome)
        .collect();
    let wanted = [
        "done",
        "usage",
        "forbidden",
        "forbidden",
        "begun",
        "done",
        "begun",
    ];
    assert_eq!(outcomes, wanted);
}

#[test]
fn tries_of_the_password_are_limited_and_recorded() {
    let restoring = Restoring::new();
    let serving = restoring.site.start(&[]);
    let before = restoring.state();
    let anna = serving.login("anna");
    let plan = planned(&restoring, &serving, "anna", "entry=page");
    let digest = hidden(&anna.get(&plan), "digest");
    let try_with = |password: &str| {
        let form = format!(
            "digest={digest}&host_name={}&password={password}",
            restoring.host
        );
        anna.post(&format!("{plan}/apply"), &form)
    };
    for _ in 0..5 {
        try_with("wrong-password").is(403);
    }
    // Even the right one is not looked at any more, here and at the login.
    try_with(PASSWORD).is(429);
    serving.try_login("anna", PASSWORD).is(429);
    assert_eq!(restoring.state(), before);
    let acts = restoring.acts();
    assert_eq!(
        acts.iter()
            .filter(|(_, outcome)| outcome == "forbidden")
            .count(),
        5
    );
    assert_eq!(
        acts.last().map(|(_, outcome)| outcome.as_str()),
        Some("too_many")
    );
}

#[test]
fn a_viewer_sees_no_restore_and_an_operator_plans_without_applying() {
    let restoring = Restoring::new();
    let serving = restoring.site.start(&[]);
    let before = restoring.state();
    let id = restoring.newest(&serving);
    let plan = planned(&restoring, &serving, "olga", "entry=page");
    let (vera, olga) = (serving.login("vera"), serving.login("olga"));
    for path in [&format!("/archives/{id}/restore"), &plan] {
        vera.get(path).is(403);
        olga.get(path).is(200);
        serving.stranger().get(path).is(303);
    }
    let leads = |person: &Client| {
        let page = person.get(&format!("/archives/{id}")).is(200).text();
        page.contains(&format!("/archives/{id}/restore"))
    };
    assert!(leads(&olga) && !leads(&vera));
    vera.post(&format!("/archives/{id}/plan"), "entry=page")
        .is(403);
    vera.post("/undo", "configuration=x").is(403);
    let page = olga.get(&plan).is(200).says("An admin can apply this plan");
    assert!(!page.text().contains("name=\"password\""));
    let form = format!("digest=x&host_name={}&password={PASSWORD}", restoring.host);
    for person in [vera, olga] {
        person.post(&format!("{plan}/apply"), &form).is(403);
    }
    // A page of another server makes no plan, and a page without a choice neither.
    let anna = serving.login("anna");
    let foreign = anna.with("Sec-Fetch-Site: cross-site");
    foreign
        .send("POST", &format!("/archives/{id}/plan"), "entry=page")
        .is(403);
    foreign
        .send("POST", &format!("{plan}/apply"), &form)
        .is(403);
    anna.post(&format!("/archives/{id}/plan"), "x=y")
        .is(400)
        .says("no entry is chosen");
    anna.post("/undo", "configuration=%2Fetc%2Fpasswd").is(404);
    assert_eq!(restoring.state(), before);
}

#[test]
fn a_page_says_what_blocks_and_what_an_undo_cannot_bring_back() {
    let restoring = Restoring::new();
    let serving = restoring.site.start(&[]);
    let anna = serving.login("anna");
    let held = std::fs::OpenOptions::new()
        .append(true)
        .open(restoring.site.machine.path("srv/page"))
        .expect("opened");
    let plan = planned(&restoring, &serving, "anna", "entry=page");
    let page = anna
        .get(&plan)
        .is(200)
        .says("cannot be done now")
        .says("Do this: ");
    assert!(!page.text().contains("name=\"password\""));
    page.says("Make a new plan");
    drop(held);
    let plan = restoring.plan(&serving, &json!({"entries": ["page"]}));
    let first = restoring.apply(&serving, &plan, json!({})).is(202).json();
    restoring.ended(&serving, &first);
    restoring.site.machine.write("srv/page", "later", 0o644);
    let plan = restoring.plan(&serving, &json!({"entries": ["page"]}));
    let second = restoring.apply(&serving, &plan, json!({})).is(202).json();
    restoring.ended(&serving, &second);
    let page = |run: &serde_json::Value| {
        anna.get(&format!("/runs/{}", run["id"].as_str().expect("an id")))
    };
    page(&first).is(200).says("only the last one can be undone");
    let last = page(&second).is(200).says("Show what undo would do");
    drop(last);
}
