//! The policy of each configuration, compared with the values in force there.

use std::{path::Path, sync::Arc};

use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::values::PolicyValues;
use crate::{
    error::{Failure, Kind},
    serve::{
        Server,
        answer::{Trouble, require_told},
        database::{Assignment, Deed, Policy, ServeRun},
        identity::Person,
        index::look_again,
        program::Asked,
        runs::{self, Order},
        task::Task,
    },
};

/// The way by which a configuration has its policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// It was given to it.
    Own,
    /// It has none of its own, and its file says neither schedule nor retention: the default policy is meant.
    Inherited,
    /// Its file decides.
    Configuration,
}

/// The policy that is meant for a configuration.
#[derive(Debug, Clone)]
pub struct Desired {
    /// The way by which it has it.
    pub how: How,
    /// The policy, unless its file decides.
    pub policy: Option<Policy>,
    /// The values of the configuration in place of those of the policy.
    pub overrides: PolicyValues,
    /// All values.
    pub values: PolicyValues,
}

/// A value that a policy means otherwise than it is in force.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Difference {
    /// The key, with its sections.
    pub key: String,
    /// The value in force.
    pub in_force: Value,
    /// The value that the policy means.
    pub meant: Value,
}

/// Returns the policy that is meant for a configuration. `report` is that of `serve policy show`.
pub fn desired(server: &Server, config: &str, report: &Value) -> Result<Desired, Trouble> {
    let assignment = server.database.assignment(config)?;
    let (how, policy) = match &assignment {
        Some(Assignment { policy: None, .. }) => (How::Configuration, None),
        Some(Assignment {
            policy: Some(id), ..
        }) => (How::Own, server.database.policy(id)?),
        None if says_some(report) => (How::Configuration, None),
        None => {
            let mut all = server.database.policies()?.into_iter();
            (How::Inherited, all.find(|policy| policy.is_default))
        }
    };
    let overrides = assignment.map(|one| one.overrides).unwrap_or_default();
    let values = policy.as_ref().map(|policy| policy.values.with(&overrides));
    Ok(Desired {
        how,
        policy,
        overrides,
        values: values.unwrap_or_default(),
    })
}

/// Returns the values in force, by their keys.
fn in_force(report: &Value) -> impl Iterator<Item = &Value> {
    report["values"].as_array().into_iter().flatten()
}

/// Returns true if the files of a configuration say a schedule or rules of retention.
fn says_some(report: &Value) -> bool {
    // One that cannot be read may say all of it.
    report["values"].is_null()
        || in_force(report).any(|one| {
            let key = one["key"].as_str().unwrap_or_default();
            let is_rule = key.starts_with("backup.retention.keep_");
            let is_said = one["from"] == "file" || one["from"] == "included";
            is_said && (is_rule || key == "backup.schedule.backup")
        })
}

/// Returns the values that are meant and not in force.
pub fn differences(values: &PolicyValues, report: &Value) -> Vec<Difference> {
    let found = |key: &str| {
        let mut all = in_force(report);
        all.find(|one| one["key"] == key)
            .map(|one| one["value"].clone())
            .unwrap_or_default()
    };
    let written = values.written();
    let mut all: Vec<Difference> = Vec::new();
    for (section, key, value) in &written {
        let dot = if section.is_empty() { "" } else { "." };
        let key = format!("backup{dot}{section}.{key}");
        let meant = serde_json::to_value(value).unwrap_or_default();
        let in_force = found(&key);
        if in_force != meant {
            all.push(Difference {
                key,
                in_force,
                meant,
            });
        }
    }
    if values.rules().is_empty() {
        return all;
    }
    for one in in_force(report) {
        let full = one["key"].as_str().unwrap_or_default();
        let rule = full.strip_prefix("backup.retention.").unwrap_or_default();
        let is_named = written.iter().any(|(_, key, _)| *key == rule);
        let is_rule = rule.starts_with("keep_") && !one["value"].is_null();
        if is_rule && !is_named && one["value"] != 0 {
            all.push(Difference {
                key: full.to_owned(),
                in_force: one["value"].clone(),
                meant: Value::Null,
            });
        }
    }
    all
}

/// Returns the report of `serve policy show`, asked for now.
pub async fn shown(server: &Server, config: &Path) -> Result<Value, Trouble> {
    let answer = server.program.ask(config, &Asked::Policy).await?;
    require_told(answer.report, "values")
}

/// Returns the answer to values with faults, of a policy or a destination.
pub fn no_good(of: &str, faults: Vec<String>) -> Trouble {
    let first = faults.first().map(String::as_str).unwrap_or_default();
    let failure = Failure::new(Kind::Usage, format!("a value of {of} is not good: {first}"));
    Trouble {
        status: StatusCode::UNPROCESSABLE_ENTITY,
        failure: failure.hint("nothing was changed").faults(faults),
    }
}

/// Writes the values of a policy into a configuration that has this digest, and waits for that.
///
/// Errors: 422 for faults; 409 if the file changed, or cannot be written: then the hint has the lines to write by hand.
pub async fn force(
    server: &Arc<Server>,
    person: &Person,
    config: &Path,
    (values, digest): (&PolicyValues, &str),
) -> Result<ServeRun, Trouble> {
    let faults = values.faults();
    if !faults.is_empty() {
        return Err(no_good("the policy", faults));
    }
    let order = Order {
        config: config.to_owned(),
        task: Task::Policy {
            values: Box::new(values.clone()),
            digest: digest.to_owned(),
        },
        target: config.display().to_string(),
        person,
        action: "write policy",
        key: None,
    };
    let begun = runs::start(server, order)?;
    let run = runs::end_of(server, &begun.id).await?;
    let (run, log) = run.ok_or_else(|| Trouble::missing("run"))?;
    if let Some(failure) = runs::failure(run.report.as_ref(), &log, run.exit_code) {
        let mut trouble = Trouble::from(failure);
        // The values are refused, not the form of the request.
        if trouble.status == StatusCode::BAD_REQUEST {
            trouble.status = StatusCode::UNPROCESSABLE_ENTITY;
        }
        return Err(trouble);
    }
    if run.exit_code != Some(0) {
        let message = format!("the run {} has not ended yet", run.id);
        return Err(Failure::new(Kind::Blocked, message).into());
    }
    look_again(server, config).await?;
    Ok(run)
}

/// Gives a configuration a policy and writes its values there, if the file has this digest.
pub async fn assign(
    server: &Arc<Server>,
    person: &Person,
    config: &Path,
    (assignment, digest): (Assignment, &str),
) -> Result<(), Trouble> {
    let name = config.display().to_string();
    let policy = match &assignment.policy {
        Some(id) => {
            let policy = server.database.policy(id)?;
            Some(policy.ok_or_else(|| Trouble::missing("policy"))?)
        }
        None => None,
    };
    let words = policy.as_ref().map_or("none", |policy| &policy.name);
    if let Some(policy) = &policy {
        let values = policy.values.with(&assignment.overrides);
        force(server, person, config, (&values, digest)).await?;
    } else if shown(server, config).await?["digest"] != digest {
        let message = format!("{name} has changed since it was looked at");
        return Err(Failure::new(Kind::Blocked, message)
            .hint("look at it again")
            .into());
    }
    let deed = Deed {
        actor: &person.name,
        address: &person.address.to_string(),
        action: "assign policy",
        target: &format!("{name}: {words}"),
        outcome: "done",
    };
    server
        .database
        .assign(&name, &assignment, deed, server.now())?;
    Ok(())
}

/// Returns the configurations for which a policy is meant, with their reports as they are known.
pub fn decided(server: &Server, id: &str) -> Result<Vec<(String, Desired)>, Trouble> {
    let mut all = Vec::new();
    for config in &server.configs {
        let config = config.display().to_string();
        let look = server.database.look(&config, "policy")?;
        let report = look.map(|look| look.answer).unwrap_or_default();
        let desired = desired(server, &config, &report)?;
        if desired
            .policy
            .as_ref()
            .is_some_and(|policy| policy.id == id)
        {
            all.push((config, desired));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_that_is_meant_otherwise_is_a_difference_and_so_is_a_rule_too_many() {
        let report = json!({"values": [
            {"key": "backup.schedule.backup", "value": "02:00", "from": "default"},
            {"key": "backup.retention.keep_daily", "value": 7, "from": "file"},
            {"key": "backup.retention.keep_last", "value": 3, "from": "file"},
            {"key": "backup.retention.keep_yearly", "value": 0, "from": "default"},
        ]});
        let values =
            serde_json::from_value(json!({"schedule": "02:00", "keep_daily": 7, "keep_weekly": 4}));
        let found = differences(&values.expect("values"), &report);
        let keys: Vec<&str> = found.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(
            keys,
            ["backup.retention.keep_weekly", "backup.retention.keep_last"]
        );
        assert_eq!(
            (&found[1].in_force, &found[1].meant),
            (&json!(3), &Value::Null)
        );
        assert!(says_some(&report) && says_some(&json!({})) && !says_some(&json!({"values": []})));
        assert!(differences(&PolicyValues::default(), &report).is_empty());
    }
}
