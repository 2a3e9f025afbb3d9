//! Makes plans: a dry run of the verb, kept with its digest. Nothing on the machine changes.

use std::path::Path;

use serde_json::{Value, json};

use super::{
    choices::{choices, literal},
    told::{Blocked, Told, told},
};
use crate::{
    error::{Failure, Kind},
    model::digest::Digest,
    serve::{
        Server,
        answer::{Trouble, require_told},
        database::{Archive, Copy, Deed, LIFE, Plan, PlanKind, PlannedArchive},
        identity::Person,
        password::random,
        program::Asked,
    },
};

/// The bytes of the identifier of a plan.
const ID_BYTES: usize = 10;
/// The remarks of each kind that are kept.
const MOST_REMARKS: usize = 500;

/// The wish of a person for an import.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// The machine whose state is replaced; this one if it is `None`.
    pub host: Option<String>,
    /// The entries; all if it is empty.
    pub entries: Vec<String>,
    /// The reasons why it cannot be granted, before anything is looked at.
    pub blocked: Vec<Blocked>,
}

/// Makes and keeps the plan of an import.
pub async fn plan_import(
    server: &Server,
    person: &Person,
    archive: &Archive,
    wish: Wish,
) -> Result<Plan, Trouble> {
    let made = make_import(server, person, archive, wish).await;
    kept(server, person, &archive.name, made)
}

/// Makes and keeps the plan of a rollback.
pub async fn plan_rollback(
    server: &Server,
    person: &Person,
    host: &str,
    config: &Path,
) -> Result<Plan, Trouble> {
    let made = make_rollback(server, person, host, config).await;
    kept(server, person, &config.display().to_string(), made)
}

/// Keeps a plan, and records that it was made, or why not.
fn kept(
    server: &Server,
    person: &Person,
    target: &str,
    made: Result<Plan, Trouble>,
) -> Result<Plan, Trouble> {
    let made = made.and_then(|plan| {
        server.database.add_plan(&plan)?;
        Ok(plan)
    });
    let outcome = match &made {
        Ok(_) => "done",
        Err(trouble) => trouble.failure.kind.name(),
    };
    let deed = Deed {
        actor: &person.name,
        address: &person.address.to_string(),
        action: "plan",
        target,
        outcome,
    };
    server.database.record(deed, server.now())?;
    made
}

async fn make_import(
    server: &Server,
    person: &Person,
    archive: &Archive,
    wish: Wish,
) -> Result<Plan, Trouble> {
    require_host(server, wish.host.as_deref())?;
    let config = server.config(&archive.config);
    let config = config.ok_or_else(|| Trouble::missing("configuration"))?;
    let copy = archive.best_copy();
    let copy = copy.ok_or_else(|| Trouble::missing("copy"))?;
    let mut plan = Plan {
        archive: Some(PlannedArchive {
            id: archive.id.clone(),
            name: archive.name.clone(),
            prefix: archive.prefix.clone(),
            location: copy.location.clone(),
        }),
        entries: wish.entries,
        ..empty(server, person, PlanKind::Import, config)?
    };
    if !wish.blocked.is_empty() {
        plan.report = json!({"steps": [], "blocked": wish.blocked});
        plan.digest = Digest::of(plan.id.as_bytes()).to_string();
        return Ok(plan);
    }
    require_entries(server, config, copy, &plan.entries).await?;
    rehearsed(server, plan).await
}

async fn make_rollback(
    server: &Server,
    person: &Person,
    host: &str,
    config: &Path,
) -> Result<Plan, Trouble> {
    require_host(server, Some(host))?;
    let plan = empty(server, person, PlanKind::Rollback, config)?;
    rehearsed(server, plan).await
}

/// Refuses another machine: this server looks after its own one.
fn require_host(server: &Server, host: Option<&str>) -> Result<(), Trouble> {
    if host.is_none_or(|host| host == server.host) {
        return Ok(());
    }
    let failure = Failure::new(Kind::NotFound, "this server does not look after that host");
    Err(failure
        .hint(format!("its own host is {}", server.host))
        .into())
}

/// Refuses entries that the archive does not offer.
async fn require_entries(
    server: &Server,
    config: &Path,
    copy: &Copy,
    entries: &[String],
) -> Result<(), Trouble> {
    if entries.is_empty() {
        return Ok(());
    }
    let (choices, _) = choices(server, config, copy).await?;
    let is_offered = |entry: &&String| choices.iter().any(|choice| choice.entry == **entry);
    let unknown: Vec<String> = entries
        .iter()
        .filter(|entry| !is_offered(entry))
        .cloned()
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let message = format!("the archive does not offer {}", unknown.join(", "));
    let failure = Failure::new(Kind::NotFound, message).faults(unknown);
    Err(failure
        .hint("a directory is restored as one: name it, not the files in it")
        .into())
}

fn empty(server: &Server, person: &Person, kind: PlanKind, config: &Path) -> Result<Plan, Trouble> {
    let mut id = [0; ID_BYTES];
    random(&mut id)?;
    let now = server.now();
    Ok(Plan {
        id: hex::encode(id),
        kind,
        config: config.display().to_string(),
        archive: None,
        host: server.host.clone(),
        entries: Vec::new(),
        digest: String::new(),
        report: Value::Null,
        actor: person.name.clone(),
        made_at: now.timestamp(),
        expires_at: (now + LIFE).timestamp(),
        applied: None,
    })
}

/// Adds the report of the dry run to a plan.
async fn rehearsed(server: &Server, mut plan: Plan) -> Result<Plan, Trouble> {
    let mut report = rehearse(server, &plan).await?;
    plan.digest = digest(&told(&report))?;
    for list in ["left_undone", "warnings"] {
        if let Some(Value::Array(remarks)) = report.get_mut(list) {
            bound(remarks);
        }
    }
    plan.report = report;
    // A long dry run takes nothing from the time that the reader of the plan has.
    let now = server.now();
    (plan.made_at, plan.expires_at) = (now.timestamp(), (now + LIFE).timestamp());
    Ok(plan)
}

/// Leaves the first remarks: there may be a million.
fn bound(remarks: &mut Vec<Value>) {
    let more = remarks.len().saturating_sub(MOST_REMARKS);
    remarks.truncate(MOST_REMARKS);
    if more > 0 {
        remarks.push(json!({"kind": "more", "message": format!("{more} more of them")}));
    }
}

/// Makes the dry run of a plan, and returns its report.
///
/// Errors: the failure of the verb, if it has no plan.
pub async fn rehearse(server: &Server, plan: &Plan) -> Result<Value, Trouble> {
    let config = server.config(&plan.config);
    let config = config.ok_or_else(|| Trouble::missing("configuration"))?;
    let only = patterns(plan);
    let asked = match &plan.archive {
        Some(archive) => Asked::PlanImport(&archive.location, &only),
        None => Asked::PlanRollback,
    };
    let answer = server.program.ask(config, &asked).await?;
    require_told(answer.report, "steps")
}

/// Returns the entries of a plan as the verb takes them.
pub fn patterns(plan: &Plan) -> Vec<String> {
    plan.entries.iter().map(|entry| literal(entry)).collect()
}

/// Returns the digest that a dry run told.
pub fn digest(told: &Told) -> Result<String, Trouble> {
    let plan = told.plan.as_ref();
    let plan = plan.ok_or_else(|| {
        Failure::new(Kind::Failed, "the dry run told no plan")
            .hint("the log of the server says more")
    })?;
    Ok(plan.digest.clone())
}
