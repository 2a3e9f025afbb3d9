//! Applies a plan: once, as it was shown, for a person that names the machine and gives the password again.

use std::sync::Arc;

use axum::http::StatusCode;
use tracing::warn;

use super::{
    make::{digest, patterns, rehearse},
    seen::seen,
    told::{Told, told},
};
use crate::{
    error::{Failure, Kind},
    serve::{
        Server,
        answer::Trouble,
        confirm::{Unconfirmed, confirm},
        database::{Deed, Plan, PlanKind, ServeRun},
        identity::Person,
        runs::{self, Order},
        task::Task,
    },
    store::Secret,
};

/// The remedy for every plan that cannot be applied any more.
const AGAIN: &str = "nothing was changed; make a new plan, and look at its steps";

/// The words by which a person confirms a plan.
#[derive(Debug)]
pub struct Confirmation {
    /// The digest of the plan that was shown.
    pub digest: String,
    /// The name of the machine whose state is replaced.
    pub host_name: String,
    /// The name of the machine that the archive is of, if that is another one.
    pub archive_host_name: Option<String>,
    /// The password of a person with a session.
    pub password: Option<Secret>,
}

/// Starts the run of a plan, and returns it. A plan that was applied before has its run already.
pub async fn apply(
    server: &Arc<Server>,
    person: &Person,
    id: &str,
    said: Confirmation,
) -> Result<ServeRun, Trouble> {
    // One at a time: a second request for the same plan gets the run of the first.
    let _turn = server.applying.lock().await;
    let applied = try_apply(server, person, id, said).await;
    let outcome = match &applied {
        // The run that begins has a record of its own.
        Ok((_, Outcome::Begun)) => None,
        Ok((_, Outcome::Repeated)) => Some("repeated"),
        Err(refused) => refused.outcome,
    };
    if let Some(outcome) = outcome {
        let deed = Deed {
            actor: &person.name,
            address: &person.address.to_string(),
            action: "apply",
            target: &id.chars().take(64).collect::<String>(),
            outcome,
        };
        server.database.record(deed, server.now())?;
    }
    match applied {
        Ok((run, _)) => Ok(run),
        Err(refused) => Err(refused.trouble),
    }
}

/// The way in which an apply ended well.
enum Outcome {
    Begun,
    Repeated,
}

/// An apply that was refused.
struct Refused {
    trouble: Trouble,
    /// The outcome in the trail; `None` for one of many that are alike: a flood of tries fills no disk.
    outcome: Option<&'static str>,
}

impl<T: Into<Trouble>> From<T> for Refused {
    fn from(error: T) -> Refused {
        let trouble = error.into();
        Refused {
            outcome: Some(trouble.failure.kind.name()),
            trouble,
        }
    }
}

/// Returns the refusal of a password.
fn unconfirmed(unconfirmed: Unconfirmed) -> Refused {
    let is_first = matches!(unconfirmed, Unconfirmed::TooMany { is_first: true });
    let is_flood = matches!(unconfirmed, Unconfirmed::TooMany { .. });
    let refused = Refused::from(unconfirmed);
    Refused {
        outcome: match is_flood {
            true => is_first.then_some("too_many"),
            false => refused.outcome,
        },
        ..refused
    }
}

async fn try_apply(
    server: &Arc<Server>,
    person: &Person,
    id: &str,
    said: Confirmation,
) -> Result<(ServeRun, Outcome), Refused> {
    let plan = seen(server, person, id)?;
    let shown = told(&plan.report);
    require_names(&plan, &shown, &said)?;
    if said.digest != plan.digest {
        return Err(conflict("this is the digest of another plan", AGAIN).into());
    }
    if plan.applied.is_none() {
        require_open(server, &plan, &shown)?;
    }
    confirm(server, person, said.password)
        .await
        .map_err(unconfirmed)?;
    if let Some(applied) = &plan.applied {
        let run = applied.run.clone();
        let run = run.ok_or_else(|| {
            // The server ended between the claim and the run.
            let message = "this plan was applied, and nothing tells of its run";
            conflict(message, "look at the runs, and make a new plan")
        })?;
        let found = server.database.run(&run)?;
        let (run, _) = found.ok_or_else(|| Trouble::missing("run"))?;
        return Ok((run, Outcome::Repeated));
    }
    require_same(server, &plan).await?;
    if !server
        .database
        .claim_plan(&plan.id, &person.name, server.now())?
    {
        return Err(conflict("this plan is being applied", AGAIN).into());
    }
    match start(server, person, &plan) {
        Ok(run) => {
            // The run works, and its key names it as well.
            if let Err(error) = server.database.name_run(&plan.id, &run.id) {
                warn!("Cannot name the run of the plan {}: {error:#}", plan.id);
            }
            Ok((run, Outcome::Begun))
        }
        Err(trouble) => {
            server.database.release_plan(&plan.id)?;
            // The refusal has a record of its own.
            Err(Refused {
                outcome: None,
                trouble,
            })
        }
    }
}

/// Refuses other names than those of the machines.
fn require_names(plan: &Plan, shown: &Told, said: &Confirmation) -> Result<(), Trouble> {
    if said.host_name.trim() != plan.host {
        return Err(misnamed(
            "the name that was typed is not that of this machine",
            "type the name of the machine whose state is replaced, as the plan shows it",
        ));
    }
    let other = shown.other_host(&plan.host);
    let typed = said.archive_host_name.as_deref().unwrap_or_default();
    if other.is_some_and(|other| typed.trim() != other) {
        let message = "the archive is of another machine, and the second name is not that of it";
        let hint = "type both names: this machine gets the state of the other one";
        return Err(misnamed(message, hint));
    }
    Ok(())
}

/// Refuses a plan that is too old, or that something blocks.
fn require_open(server: &Server, plan: &Plan, shown: &Told) -> Result<(), Trouble> {
    let now = server.now().timestamp();
    if let Some(failure) = shown.obstacle() {
        return Err(failure.into());
    }
    // A clock that was set back makes no plan young again.
    if !(plan.made_at..plan.expires_at).contains(&now) {
        return Err(conflict("this plan is older than 15 minutes", AGAIN));
    }
    Ok(())
}

/// Makes the dry run again, and refuses the plan if it is not the same.
async fn require_same(server: &Server, plan: &Plan) -> Result<(), Trouble> {
    let report = rehearse(server, plan).await.map_err(|trouble| Trouble {
        status: StatusCode::CONFLICT,
        failure: trouble.failure,
    })?;
    let now = told(&report);
    if let Some(failure) = now.obstacle() {
        return Err(failure.into());
    }
    if digest(&now)? != plan.digest {
        let message = "something changed since the plan was made: its archive, or what it replaces";
        return Err(conflict(message, AGAIN));
    }
    Ok(())
}

fn start(server: &Arc<Server>, person: &Person, plan: &Plan) -> Result<ServeRun, Trouble> {
    let config = server.config(&plan.config);
    let config = config.ok_or_else(|| Trouble::missing("configuration"))?;
    let (task, target) = match (plan.kind, &plan.archive) {
        (PlanKind::Import, Some(archive)) => (
            Task::Import {
                location: archive.location.clone(),
                entries: patterns(plan),
                plan: plan.digest.clone(),
            },
            archive.name.clone(),
        ),
        _ => (
            Task::Rollback {
                plan: plan.digest.clone(),
            },
            plan.host.clone(),
        ),
    };
    let order = Order {
        config: config.to_owned(),
        task,
        target,
        person,
        action: "apply",
        key: Some(plan.key()),
    };
    runs::start(server, order)
}

fn misnamed(message: &str, hint: &str) -> Trouble {
    Trouble {
        status: StatusCode::UNPROCESSABLE_ENTITY,
        failure: Failure::new(Kind::Usage, message).hint(hint),
    }
}

fn conflict(message: &str, hint: &str) -> Trouble {
    Failure::new(Kind::Blocked, message).hint(hint).into()
}
