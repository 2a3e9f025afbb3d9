//! Restores through the agent: a server without rights on the state plans, applies and undoes them.

use std::fs;

use serde_json::{Value, json};
use support::{Tree, tree};

use super::apart::Apart;
use crate::{
    client::Client,
    site::{API, Serving, cookie},
};

/// The verbs that the configuration of these tests allows.
const ALLOWED: &str = "[backup.agent]\nallow = [\"backup\", \"check\", \"import\", \"rollback\"]\n";

/// A machine with an archive, whose state can be changed and restored through the agent.
pub struct Applying {
    pub apart: Apart,
    /// The state that the archive has.
    pub archived: Tree,
    host: String,
}

impl Applying {
    /// Returns none without the rights for it. `files` is the number of further files of the state: they give an import moments.
    pub fn new(files: usize) -> Option<Applying> {
        let apart = Apart::new()?;
        let machine = &apart.site.machine;
        apart.site.configure(&["near", "far"], ALLOWED);
        for number in 0..files {
            machine.write(&format!("srv/data/many-{number}"), vec![7; 20_000], 0o600);
        }
        for folder in ["near", "far"] {
            fs::remove_dir_all(machine.path(folder)).expect("removed");
        }
        machine.run(&["export"]).exits(0);
        let host = nix::unistd::gethostname().expect("a name");
        let archived = state(&apart);
        let host = host.into_string().expect("UTF-8");
        Some(Applying {
            apart,
            archived,
            host,
        })
    }

    /// Changes the state, and returns it.
    pub fn change(&self, word: &str) -> Tree {
        let machine = &self.apart.site.machine;
        machine.write("srv/page", word, 0o644);
        machine.write("srv/data/new", word, 0o600);
        let _ = fs::remove_file(machine.path("srv/data/a/x"));
        self.state()
    }

    /// Returns the state, without what an import keeps of the one before.
    pub fn state(&self) -> Tree {
        state(&self.apart)
    }

    /// Returns true if the state is the archive's.
    pub fn is_restored(&self) -> bool {
        self.state() == self.archived
    }

    fn program(&self, serving: &Serving) -> Client {
        let program = serving.program(&self.apart.token);
        program.with("Content-Type: application/json")
    }

    /// Makes the plan of an import of the archive.
    #[track_caller]
    pub fn plan(&self, serving: &Serving) -> Value {
        let program = self.program(serving);
        let archives = serving.snapshots(&program);
        let id = archives[0]["id"].as_str().expect("an id");
        let path = format!("{API}/snapshots/{id}/plan");
        program.send("POST", &path, "{}").is(200).json()
    }

    /// Makes the plan of a rollback.
    #[track_caller]
    pub fn undo(&self, serving: &Serving) -> Value {
        let path = format!("{API}/hosts/{}/rollback", self.host);
        let program = self.program(serving);
        program.send("POST", &path, "{}").is(200).json()
    }

    /// Applies a plan, and returns its run.
    #[track_caller]
    pub fn apply(&self, serving: &Serving, plan: &Value) -> Value {
        let body = json!({"digest": plan["digest"], "host_name": self.host});
        let path = format!("{API}/plans/{}/apply", plan["id"].as_str().expect("an id"));
        let program = self.program(serving);
        program
            .send("POST", &path, &body.to_string())
            .is(202)
            .json()
    }

    /// Returns a run as it is now.
    #[track_caller]
    pub fn seen(&self, serving: &Serving, run: &Value) -> Value {
        let path = format!("{API}/runs/{}", run["id"].as_str().expect("an id"));
        self.program(serving).get(&path).is(200).json()
    }

    /// Waits until a run has ended, and returns it.
    #[track_caller]
    pub fn ended(&self, serving: &Serving, run: &Value) -> Value {
        let path = format!("{API}/runs/{}", run["id"].as_str().expect("an id"));
        let answer = serving.until(&self.program(serving), &path, |answer| {
            answer.status == 200 && answer.json()["state"] != "running"
        });
        answer.json()
    }
}

fn state(apart: &Apart) -> Tree {
    let mut state = tree(&apart.site.machine.path("srv"));
    state.retain(|path, _| !path.to_string_lossy().contains(".bak"));
    state
}

#[test]
fn an_import_through_the_agent_brings_the_state_back_and_a_rollback_undoes_it() {
    let Some(applying) = Applying::new(0) else {
        return;
    };
    let _agent = applying.apart.agent();
    let serving = applying.apart.serve();
    let changed = applying.change("second");
    assert_ne!(changed, applying.archived);
    let plan = applying.plan(&serving);
    assert_eq!(plan["state"], "open", "{plan}");
    assert_eq!(applying.state(), changed, "a plan changes nothing");
    let run = applying.apply(&serving, &plan);
    let run = applying.ended(&serving, &run);
    assert_eq!(run["state"], "done", "{run:#}\n{}", serving.log());
    assert_eq!(applying.state(), applying.archived);
    let undo = applying.undo(&serving);
    assert_eq!(
        (&undo["kind"], &undo["state"]),
        (&json!("rollback"), &json!("open"))
    );
    let run = applying.apply(&serving, &undo);
    let run = applying.ended(&serving, &run);
    assert_eq!(
        (&run["verb"], &run["state"]),
        (&json!("rollback"), &json!("done"))
    );
    assert_eq!(applying.state(), changed);
}

#[test]
fn a_person_restores_and_undoes_by_pages_through_the_agent() {
    let Some(applying) = Applying::new(0) else {
        return;
    };
    let _agent = applying.apart.agent();
    let serving = applying.apart.serve();
    let answer = serving.try_login("anna", crate::site::PASSWORD).is(303);
    let anna = serving
        .stranger()
        .with(format!("Cookie: {}", cookie(&answer)));
    let changed = applying.change("second");
    let archives = serving.snapshots(&applying.program(&serving));
    let id = archives[0]["id"].as_str().expect("an id").to_owned();
    let plan = anna
        .post(&format!("/archives/{id}/plan"), "entry=page&entry=data")
        .is(303);
    let run = applied(&applying, &serving, &anna, plan.header("location"));
    assert_eq!(applying.state(), applying.archived);
    let page = anna.get(&run).is(200).text();
    let (_, rest) = page.split_once("action=\"/undo\"").expect("an undo");
    let configuration = value_of(rest, "configuration");
    let plan = anna
        .post("/undo", &format!("configuration={configuration}"))
        .is(303);
    applied(&applying, &serving, &anna, plan.header("location"));
    assert_eq!(applying.state(), changed);
}

/// Applies a plan by its page, and waits for the page of its run to tell its end. Returns the address of that page.
#[track_caller]
fn applied(applying: &Applying, serving: &Serving, anna: &Client, plan: &str) -> String {
    let digest = value_of(&anna.get(plan).is(200).text(), "digest");
    let form = format!(
        "digest={digest}&host_name={}&password={}",
        applying.host,
        crate::site::PASSWORD
    );
    let answer = anna.post(&format!("{plan}/apply"), &form).is(303);
    let run = answer.header("location").to_owned();
    let page = serving.until(anna, &run, |page| page.text().contains("data-over"));
    assert!(page.text().contains(">done<"), "{}", page.text());
    run
}

/// Returns the value of a hidden field.
#[track_caller]
fn value_of(page: &str, name: &str) -> String {
    let field = page.split_once(&format!("name=\"{name}\""));
    let (_, rest) = field.unwrap_or_else(|| panic!("no {name} in {page}"));
    let value = rest
        .split_once("value=\"")
        .and_then(|(_, rest)| rest.split_once('"'));
    value.expect("a value").0.to_owned()
}
