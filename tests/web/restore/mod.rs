//! Restores by plans: made, applied, undone, and refused, with the real server and the real program.

mod killed;
mod pages;
mod refused;

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use support::{Tree, tree};

use crate::{
    client::{Answer, Client},
    site::{API, Serving, Site},
};

/// The longest wait for the end of a run.
const PATIENCE: Duration = Duration::from_secs(120);

/// A machine whose state changed since its archive was made, and programs that may restore it.
struct Restoring {
    site: Site,
    tokens: [String; 3],
    host: String,
}

impl Restoring {
    fn new() -> Restoring {
        Restoring::of(Site::new())
    }

    fn of(site: Site) -> Restoring {
        let tokens = ["viewer", "operator", "admin"].map(|role| site.token(role, role, &[]));
        site.machine.write("srv/page", "second", 0o644);
        site.machine.write("srv/data/new", "new", 0o600);
        fs::remove_file(site.machine.path("srv/data/a/x")).expect("removed");
        let host = nix::unistd::gethostname().expect("a name");
        Restoring {
            site,
            tokens,
            host: host.into_string().expect("UTF-8"),
        }
    }

    /// The state, without what the server keeps of itself.
    fn state(&self) -> Tree {
        let mut state = tree(&self.site.machine.path("srv"));
        state.retain(|path, _| !path.to_string_lossy().contains(".bak"));
        state
    }

    /// Makes an archive of the present state, and removes all others.
    fn export_anew(&self) {
        for folder in ["near", "far"] {
            fs::remove_dir_all(self.site.machine.path(folder)).expect("removed");
        }
        self.site.machine.run(&["export"]).exits(0);
    }

    /// Everything of the machine but the records of the server, of the program, and its scratch.
    fn everything(&self) -> Tree {
        let mut all = tree(&self.site.machine.path("srv"));
        for folder in ["near", "far"] {
            let found = tree(&self.site.machine.path(folder)).into_iter();
            all.extend(found.map(|(path, node)| (std::path::Path::new(folder).join(path), node)));
        }
        all
    }

    fn program(&self, serving: &Serving, role: &str) -> Client {
        let number = ["viewer", "operator", "admin"]
            .iter()
            .position(|one| *one == role);
        let program = serving.program(&self.tokens[number.expect("a role")]);
        program.with("Content-Type: application/json")
    }

    /// Makes the plan of an import of the newest archive.
    #[track_caller]
    fn plan(&self, serving: &Serving, body: &Value) -> Value {
        let id = self.newest(serving);
        let program = self.program(serving, "operator");
        let path = format!("{API}/snapshots/{id}/plan");
        program
            .send("POST", &path, &body.to_string())
            .is(200)
            .json()
    }

    #[track_caller]
    fn newest(&self, serving: &Serving) -> String {
        let archives = serving.snapshots(&serving.program(&self.tokens[0]));
        archives[0]["id"].as_str().expect("an id").to_owned()
    }

    /// Asks for the application of a plan, with these changes of the confirmation.
    #[track_caller]
    fn apply(&self, serving: &Serving, plan: &Value, change: Value) -> Answer {
        let mut body = json!({"digest": plan["digest"], "host_name": self.host});
        for (key, value) in change.as_object().expect("an object") {
            body[key] = value.clone();
        }
        let path = format!("{API}/plans/{}/apply", plan["id"].as_str().expect("an id"));
        let admin = self.program(serving, "admin");
        admin.send("POST", &path, &body.to_string())
    }

    /// Waits for the end of a run, and returns it.
    #[track_caller]
    fn ended(&self, serving: &Serving, answer: &Value) -> Value {
        let path = format!("{API}/runs/{}", answer["id"].as_str().expect("an id"));
        let end = Instant::now() + PATIENCE;
        loop {
            let run = serving.program(&self.tokens[0]).get(&path).is(200).json();
            if run["state"] != "running" {
                return run;
            }
            assert!(Instant::now() < end, "{run}\n{}", serving.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The acts of plans and of their applications in the trail, each with its outcome.
    fn acts(&self) -> Vec<(String, String)> {
        let acts = self.site.audit().into_iter();
        acts.map(|(_, _, action, outcome)| (action, outcome))
            .filter(|(action, _)| action == "plan" || action == "apply")
            .collect()
    }
}

/// The action on each target of a plan.
fn actions(plan: &Value) -> Vec<(String, String)> {
    let steps = plan["steps"].as_array().expect("steps").iter();
    let text = |step: &Value, key: &str| step[key].as_str().expect("a text").to_owned();
    steps
        .map(|step| (text(step, "entry"), text(step, "action")))
        .collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(one, other): &(&str, &str)| ((*one).to_owned(), (*other).to_owned());
    pairs.iter().map(own).collect()
}

#[test]
fn a_plan_is_applied_and_undone_and_the_state_is_that_of_before() {
    let restoring = Restoring::new();
    let serving = restoring.site.start(&[]);
    let (before, everything) = (restoring.state(), restoring.everything());
    let plan = restoring.plan(&serving, &json!({}));
    assert_eq!(
        actions(&plan),
        pairs(&[("data", "replace"), ("page", "replace")])
    );
    assert_eq!(plan["state"], "open");
    assert_eq!(plan["blocked"], json!([]));
    assert_eq!(plan["host"], restoring.host.as_str());
    assert!(
        plan["steps"][1]["backup"]
            .as_str()
            .expect("a backup")
            .ends_with("page.bak")
    );
    // Planning changes nothing, however often.
    let again = restoring.plan(&serving, &json!({"host": restoring.host}));
    assert_eq!(again["digest"], plan["digest"]);
    assert_ne!(again["id"], plan["id"]);
    assert_eq!(restoring.everything(), everything);

    let answer = restoring.apply(&serving, &plan, json!({})).is(202).json();
    let run = restoring.ended(&serving, &answer);
    assert_eq!(run["state"], "done", "{run}");
    assert_eq!(restoring.site.machine.read("srv/page"), b"first");
    assert!(restoring.site.machine.path("srv/data/a/x").exists());
    assert!(!restoring.site.machine.path("srv/data/new").exists());
    let operator = restoring.program(&serving, "operator");
    let id = plan["id"].as_str().expect("an id");
    let shown = operator.get(&format!("{API}/plans/{id}")).is(200).json();
    assert_eq!(
        (&shown["state"], &shown["run"]),
        (&json!("applied"), &answer["id"])
    );
    assert_eq!(shown["steps"], plan["steps"]);

    let path = format!("{API}/hosts/{}/rollback", restoring.host);
    let undo = operator.send("POST", &path, "{}").is(200).json();
    assert_eq!(
        (&undo["kind"], &undo["state"]),
        (&json!("rollback"), &json!("open"))
    );
    assert_eq!(undo["undoes"]["archive"], plan["location"]);
    let answer = restoring.apply(&serving, &undo, json!({})).is(202).json();
    let run = restoring.ended(&serving, &answer);
    assert_eq!(run["state"], "done", "{run}");
    assert_eq!(restoring.state(), before);
    let acts = pairs(&[
        ("plan", "done"),
        ("plan", "done"),
        ("apply", "begun"),
        ("plan", "done"),
        ("apply", "begun"),
    ]);
    assert_eq!(restoring.acts(), acts);
    let host = operator.send("POST", &format!("{API}/hosts/elsewhere/rollback"), "{}");
    host.is(404);
}

#[test]
fn only_the_entries_that_are_chosen_are_restored() {
    let restoring = Restoring::new();
    let serving = restoring.site.start(&[]);
    let plan = restoring.plan(&serving, &json!({"entries": ["page"]}));
    assert_eq!(actions(&plan), pairs(&[("page", "replace")]));
    assert_eq!(plan["entries"], json!(["page"]));
    let answer = restoring.apply(&serving, &plan, json!({})).is(202).json();
    assert_eq!(restoring.ended(&serving, &answer)["state"], "done");
    assert_eq!(restoring.site.machine.read("srv/page"), b"first");
    assert!(restoring.site.machine.path("srv/data/new").exists());
    // A program of this service sees the run, and one of another service does not.
    for (service, status) in [("x", 200), ("y", 404)] {
        let token = restoring
            .site
            .token(service, "viewer", &["--hosts", service]);
        let path = format!("{API}/runs/{}", answer["id"].as_str().expect("an id"));
        serving.program(&token).get(&path).is(status);
    }
    // The form offers no part of a directory, no pattern and no option.
    let id = restoring.newest(&serving);
    let operator = restoring.program(&serving, "operator");
    let path = format!("{API}/snapshots/{id}/plan");
    for entry in ["data/a-b", "*", "--force", "nothing", ""] {
        let body = json!({"entries": ["page", entry]}).to_string();
        operator
            .send("POST", &path, &body)
            .is(404)
            .says("does not offer");
    }
    operator.send("POST", &path, r#"{"entries": []}"#).is(400);
}

#[test]
fn two_applies_at_once_and_a_repeated_one_import_once() {
    let restoring = Restoring::new();
    let serving = restoring.site.start(&[]);
    let plan = restoring.plan(&serving, &json!({}));
    let answers: Vec<Answer> = thread::scope(|scope| {
        let apply = || restoring.apply(&serving, &plan, json!({}));
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(apply)).collect();
        let ended = threads
            .into_iter()
            .map(|thread| thread.join().expect("an answer"));
        ended.collect()
    });
    let ids: Vec<Value> = answers
        .into_iter()
        .map(|answer| answer.is(202).json()["id"].clone())
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    restoring.ended(&serving, &json!({"id": ids[0]}));
    let again = restoring.apply(&serving, &plan, json!({})).is(202).json();
    assert_eq!(again["id"], ids[0]);
    assert_eq!(again["state"], "done");
    let imports = restoring
        .site
        .rows("SELECT id FROM runs WHERE verb = 'import'");
    assert_eq!(imports.len(), 1, "{imports:?}");
    let outcomes: Vec<String> = restoring
        .acts()
        .into_iter()
        .map(|(_, outcome)| outcome)
        .collect();
    assert_eq!(
        outcomes,
        [
            "done", "begun", "repeated", "repeated", "repeated", "repeated"
        ]
    );
    // It imported once: the first rollback brings back what was there before.
    restoring.site.machine.run(&["rollback"]).exits(0);
    assert_eq!(restoring.site.machine.read("srv/page"), b"second");
}

#[test]
fn the_restore_of_older_clients_is_a_plan() {
    let restoring = Restoring::new();
    let serving = restoring.site.start(&[]);
    let everything = restoring.everything();
    let path = format!("{API}/snapshots/{}/restore", restoring.newest(&serving));
    let operator = restoring.program(&serving, "operator");
    let seed = json!({"target_device_id": "uuid", "target_path": "/tmp/restore",
        "files": ["path/to/file1", "path/to/file2"]});
    let answer = operator
        .send("POST", &path, &seed.to_string())
        .is(202)
        .json();
    assert_eq!(
        (&answer["success"], &answer["restored_path"]),
        (&json!(false), &Value::Null)
    );
    assert_eq!(answer["state"], "blocked");
    assert_eq!(
        answer["blocked"].as_array().map(Vec::len),
        Some(4),
        "{answer}"
    );
    restoring.apply(&serving, &answer, json!({})).is(409);
    let answer = operator
        .send("POST", &path, r#"{"files": ["page"]}"#)
        .is(202)
        .json();
    assert_eq!(
        (&answer["success"], &answer["state"]),
        (&json!(false), &json!("open"))
    );
    assert_eq!(actions(&answer), pairs(&[("page", "replace")]));
    assert_eq!(restoring.everything(), everything);
}

#[test]
fn a_guarded_service_is_stopped_and_started_and_an_ill_one_gets_its_state_back() {
    let restoring = Restoring::new();
    let machine = &restoring.site.machine;
    let log = machine.path("log").display().to_string();
    let configure = |health: &str| {
        let more = format!(
            "[backup.import]\nstop = \"echo stop >> {log}\"\nstart = \"echo start >> {log}\"\n\
             health = \"{health}\"\nhealth_timeout = \"1s\"\nhealthy_for = \"0s\"\n"
        );
        restoring.site.configure(&["near", "far"], &more);
    };
    configure("true");
    let serving = restoring.site.start(&[]);
    let plan = restoring.plan(&serving, &json!({}));
    assert_eq!(plan["guarded"], true, "{plan}");
    // The service works until it is stopped: its files may change.
    machine.write("srv/page", "third", 0o644);
    let answer = restoring.apply(&serving, &plan, json!({})).is(202).json();
    assert_eq!(restoring.ended(&serving, &answer)["state"], "done");
    assert_eq!(machine.read("srv/page"), b"first");
    assert_eq!(machine.read("log"), b"stop\nstart\n");
    machine.write("srv/page", "fourth", 0o644);
    configure("false");
    let before = restoring.state();
    let plan = restoring.plan(&serving, &json!({}));
    let answer = restoring.apply(&serving, &plan, json!({})).is(202).json();
    assert_eq!(restoring.ended(&serving, &answer)["state"], "failed");
    assert_eq!(restoring.state(), before);
}
