//! Every verb over a repository whose store drops, cuts, flips or delays what passes: none ends well with a wrong result,
//! and nothing stays broken afterwards.
//!
//! `tests/run slow` tries every fault of every part for every verb. Elsewhere a sample stands for them, in which each verb, each
//! part and each fault occurs.

mod reading;
mod writing;

pub use self::{
    reading::verbs_that_read,
    writing::{verbs_of_properties, verbs_of_states},
};

use std::{sync::Arc, thread, time::Duration};

use support::{
    Run,
    servers::{Fault, Rule, Words, http::Head},
};

/// A fault of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Broken {
    /// Requests are refused: try later.
    Unavailable,
    /// Objects that were listed are gone.
    Missing,
    /// Requests or answers end early.
    Cut,
    /// One bit of them is another.
    Flipped,
    /// Everything takes a while.
    Late,
    /// The store says that it has done what it has not.
    Swallowed,
    /// The store does it, and its answer does not arrive.
    Unanswered,
}

/// A part of a repository, and the requests for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    method: &'static str,
    name: &'static str,
}

impl Part {
    const fn new(method: &'static str, name: &'static str) -> Part {
        Part { method, name }
    }

    fn is_meant(self, head: &Head) -> bool {
        let target = &head.line[1];
        // What is read may be asked for by its head first.
        let is_method = head.method() == self.method || (self.is_read() && head.method() == "HEAD");
        if !is_method {
            return false;
        }
        match self.name {
            "list" => target.contains("list-type="),
            "config" => head.path().ends_with("/vault/config"),
            "config.before" => head.path().ends_with("/vault/config.before"),
            folder => head.path().contains(&format!("/vault/{folder}/")),
        }
    }

    fn is_read(self) -> bool {
        self.method == "GET"
    }

    /// Returns the rule by which requests for this part are broken.
    fn broken(self, broken: Broken) -> Rule {
        let pause = || Arc::new(|| thread::park_timeout(Duration::from_millis(100)));
        let gone = |_: &Head| Words::refusal(404, "NoSuchKey", "it is gone");
        let fault = match (broken, self.is_read()) {
            (Broken::Unavailable, _) => Fault::Answer(503),
            (Broken::Missing, _) => Fault::Tell(Arc::new(gone)),
            (Broken::Cut, true) => Fault::TruncateAnswer { after_bytes: 60 },
            (Broken::Cut, false) => Fault::ResetRequest { after_bytes: 20 },
            (Broken::Flipped, true) => Fault::FlipAnswerByte { at: 60 },
            (Broken::Flipped, false) => Fault::FlipRequestByte { at: 30 },
            (Broken::Late, true) => Fault::AtAnswerByte {
                at: 0,
                hook: pause(),
            },
            // A request to delete has no bytes.
            (Broken::Late, false) => Fault::AtAnswerByte {
                at: 0,
                hook: pause(),
            },
            (Broken::Swallowed, _) => Fault::Swallow,
            (Broken::Unanswered, _) => Fault::LoseAnswer,
        };
        let rule = Rule::on("*", fault).whose(move |head| self.is_meant(head));
        match broken {
            Broken::Unanswered => rule,
            _ => rule.always(),
        }
    }
}

/// Returns the message of the failure that a run ended in, without what it warns of.
fn message(run: &Run) -> String {
    let lines = run.stderr.lines();
    let lines = lines.filter(|line| !line.trim_start().starts_with("WARN"));
    format!("{} {}", lines.collect::<Vec<&str>>().join("; "), run.text())
}

/// Returns a case that went wrong, and tells it at once: all of them take minutes.
fn noted(case: String) -> String {
    println!("{case}");
    case
}
