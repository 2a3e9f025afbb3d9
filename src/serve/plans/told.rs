//! The report of a dry run, as far as plans show it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    error::{Failure, Kind},
    serve::database::Plan,
};

/// The action on one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// The entry.
    pub entry: String,
    /// The file or folder on the machine; null if a command takes the entry, or nothing does.
    pub target: Option<String>,
    /// `create`, `replace`, `unchanged`, `remove` or `skip`.
    pub action: String,
    /// The place at which the old content stays.
    pub backup: Option<String>,
}

/// A reason why a plan cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Blocked {
    /// Its kind, for programs.
    pub kind: String,
    /// The reason in words.
    pub message: String,
    /// The remedy.
    #[serde(default)]
    pub hint: String,
}

/// Something that is left undone, or worth knowing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Remark {
    /// Its kind, for programs.
    pub kind: String,
    /// It in words.
    pub message: String,
}

/// The import or rollback that a rollback undoes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Undone {
    /// `import` or `rollback`.
    pub verb: String,
    /// Its time.
    pub time: String,
    /// The archive that it was of.
    pub archive: Option<String>,
}

/// The report of a dry run.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Told {
    /// The action on each target.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// The reasons why nothing can be done.
    #[serde(default)]
    pub blocked: Vec<Blocked>,
    /// The parts that would be left undone.
    #[serde(default)]
    pub left_undone: Vec<Remark>,
    /// Everything else that is worth knowing.
    #[serde(default)]
    pub warnings: Vec<Remark>,
    /// The plan itself.
    pub plan: Option<ToldPlan>,
}

/// The plan that a dry run names.
#[derive(Debug, Clone, Deserialize)]
pub struct ToldPlan {
    /// The digest of all that decides the result.
    pub digest: String,
    /// `contents`, or `steps` if the service works until it is stopped.
    pub scope: String,
    /// The machine that the archive was exported on.
    pub hostname: Option<String>,
    /// The import or rollback that is undone.
    pub undoes: Option<Undone>,
    /// The remedies, by the messages of the obstacles.
    #[serde(default)]
    pub remedies: Value,
}

impl Told {
    /// Returns the machine of the archive, if it is another one than this.
    pub fn other_host(&self, host: &str) -> Option<&str> {
        let plan = self.plan.as_ref();
        let archived = plan.and_then(|plan| plan.hostname.as_deref());
        archived.filter(|archived| *archived != host)
    }

    /// Returns true if the service is stopped for the work, and started again.
    pub fn is_guarded(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.scope == "steps")
    }

    /// Returns all obstacles as one failure, if there are any.
    pub fn obstacle(&self) -> Option<Failure> {
        let first = self.blocked.first()?;
        let messages = self.blocked.iter().map(|blocked| blocked.message.clone());
        let messages: Vec<String> = messages.collect();
        Some(
            Failure::new(Kind::Blocked, messages.join("; "))
                .hint(first.hint.clone())
                .faults(messages),
        )
    }
}

/// The state of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PlanState {
    /// It may be applied.
    Open,
    /// Something stands in the way.
    Blocked,
    /// It is too old.
    Expired,
    /// It was applied.
    Applied,
}

impl PlanState {
    /// Returns the state of a plan at a time in Unix seconds.
    pub fn of(plan: &Plan, now: i64) -> PlanState {
        // A clock that was set back makes no plan young again.
        let is_young = (plan.made_at..plan.expires_at).contains(&now);
        match &plan.applied {
            Some(_) => PlanState::Applied,
            None if !told(&plan.report).blocked.is_empty() => PlanState::Blocked,
            None if is_young => PlanState::Open,
            None => PlanState::Expired,
        }
    }
}

/// Reads the report of a dry run.
pub fn told(report: &Value) -> Told {
    let mut told = Told::deserialize(report).unwrap_or_else(|error| Told {
        blocked: vec![Blocked {
            kind: "unreadable".to_owned(),
            message: format!("the report of the dry run cannot be read: {error}"),
            hint: String::new(),
        }],
        ..Told::default()
    });
    let remedies = told.plan.as_ref().map(|plan| &plan.remedies);
    let remedies = remedies.and_then(Value::as_object);
    for blocked in &mut told.blocked {
        let remedy = remedies.and_then(|remedies| remedies.get(&blocked.message));
        if let Some(remedy) = remedy.and_then(Value::as_str) {
            blocked.hint = remedy.to_owned();
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_report_that_cannot_be_read_blocks() {
        for report in [json!({"steps": 1}), json!(null), json!([])] {
            assert_eq!(told(&report).blocked.len(), 1, "{report}");
        }
        let report = json!({"steps": [], "blocked": [{"kind": "file_held", "message": "m"}],
            "plan": {"digest": "d", "scope": "contents", "hostname": null, "undoes": null, "remedies": {"m": "stop it"}}});
        assert_eq!(told(&report).blocked[0].hint, "stop it");
    }
}
