//! A program that restores an archive and undoes that, over and over, and looks at the state each time.

use std::{
    fmt, thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use support::Tree;

use super::{PATIENCE, Shared, state};
use crate::{
    client::{Answer, Client},
    site::{API, Serving, Site},
};

/// The program, and what it has done.
pub struct Restorer<'a> {
    site: &'a Site,
    program: Client,
    host: String,
    archive: String,
    archived: Tree,
    count: usize,
    restored: usize,
    undone: usize,
    refused: usize,
    log: &'a Serving,
}

impl fmt::Display for Restorer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Restorer {
            restored,
            undone,
            refused,
            ..
        } = self;
        write!(f, "{restored} restores, {undone} undone, {refused} refused")
    }
}

impl<'a> Restorer<'a> {
    pub fn new(
        site: &'a Site,
        serving: &'a Serving,
        program: Client,
        archived: Tree,
        archive: String,
    ) -> Restorer<'a> {
        let host = nix::unistd::gethostname().expect("a name");
        Restorer {
            site,
            program: program.with("Content-Type: application/json"),
            host: host.into_string().expect("UTF-8"),
            archive,
            archived,
            count: 0,
            restored: 0,
            undone: 0,
            refused: 0,
            log: serving,
        }
    }

    /// Restores and undoes until all stop.
    pub fn work(&mut self, shared: &Shared) {
        while !shared.has_ended() {
            self.count += 1;
            let content = format!("changed {}", self.count);
            self.site.machine.write("srv/page", content, 0o644);
            let before = state(self.site);
            let plan = format!("{API}/snapshots/{}/plan", self.archive);
            let (archived, old) = (self.archived.clone(), before.clone());
            if !self.change(shared, &plan, (&old, &archived)) {
                continue;
            }
            self.restored += 1;
            let undo = format!("{API}/hosts/{}/rollback", self.host);
            while !self.change(shared, &undo, (&archived, &before)) {
                if shared.has_ended() {
                    return;
                }
            }
            self.undone += 1;
        }
    }

    /// Makes a plan and applies it. Returns false if another one was at work; then the state is as before.
    fn change(&mut self, shared: &Shared, plan: &str, (old, new): (&Tree, &Tree)) -> bool {
        let Some(plan) = self.ask(shared, plan, "{}", 200) else {
            return false;
        };
        let said = json!({"digest": plan["digest"], "host_name": self.host});
        let path = format!("{API}/plans/{}/apply", plan["id"].as_str().unwrap_or("-"));
        let Some(run) = self.ask(shared, &path, &said.to_string(), 202) else {
            return false;
        };
        let run = self.ended(&run);
        let is_done = run["state"] == "done";
        let expected = if is_done { new } else { old };
        if state(self.site) != *expected {
            shared.fault(format!("the state is another one: {run:#}"));
        }
        let message = run["message"].as_str().unwrap_or_default();
        // Another person may have cancelled it.
        let is_refused =
            run["state"] == "cancelled" || message.contains("another hookshot is at work");
        if !is_done && !is_refused {
            shared.fault(format!("a restore failed: {run:#}"));
        }
        self.refused += usize::from(!is_done);
        is_done
    }

    /// Sends a request; none if another one is at work.
    fn ask(&mut self, shared: &Shared, path: &str, body: &str, status: u16) -> Option<Value> {
        let start = Instant::now();
        let answer: Answer = self.program.send("POST", path, body);
        shared.count("restore", answer.status, start.elapsed());
        if answer.status == status {
            return Some(answer.json());
        }
        self.refused += 1;
        let text = answer.text();
        if answer.status != 409 {
            shared.fault(format!("POST {path}: {} {text}", answer.status));
        }
        None
    }

    fn ended(&self, run: &Value) -> Value {
        let path = format!("{API}/runs/{}", run["id"].as_str().unwrap_or("-"));
        let end = Instant::now() + PATIENCE;
        loop {
            let run = self.program.get(&path).is(200).json();
            if run["state"] != "running" {
                return run;
            }
            assert!(Instant::now() < end, "{run}\n{}", self.log.log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Fails the test unless it has restored and undone something.
    #[track_caller]
    pub fn has_worked(&self) {
        assert!(self.restored > 0 && self.undone > 0, "{self}");
    }
}
