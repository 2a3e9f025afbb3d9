//! Plans of imports and rollbacks: made, looked at, and applied. Making one changes nothing on the machine.

use std::sync::Arc;

use axum::{Json, extract::State as Shared, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{body::Given, health::written, runs::RunAnswer, snapshots, words::Place};
use crate::{
    error::{Failure, Kind},
    serve::{
        Server,
        answer::Trouble,
        database::{Plan, PlanKind},
        person::{Admin, Operator},
        plans::{
            self, Blocked, Confirmation, PlanState, Remark, Step, Undone, Wish, apply, plan_import,
            plan_rollback, told,
        },
    },
};

/// The wish for a plan.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PlanBody {
    /// The name of the machine whose state is replaced; this one without it.
    host: Option<String>,
    /// The entries, directories as a whole; all without it.
    #[schema(min_items = 1)]
    entries: Option<Vec<String>>,
}

/// The wish for a restore, in the words of older clients.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RestoreBody {
    /// The name of the machine whose state is replaced.
    target_device_id: Option<String>,
    /// A folder. None is allowed: the configuration says where files go.
    target_path: Option<String>,
    /// The entries.
    files: Option<Vec<String>>,
}

/// The wish for the plan of a rollback.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RollbackBody {
    /// The identifier of the configuration whose last import is undone, if there are several.
    configuration: Option<String>,
}

/// The confirmation of a plan.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyBody {
    /// `digest` of the plan.
    digest: String,
    /// `host` of the plan: the name of the machine whose state is replaced.
    host_name: String,
    /// `archive_host` of the plan, if that is another machine.
    archive_host_name: Option<String>,
}

/// A plan.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanAnswer {
    /// Its identifier.
    id: String,
    /// The work: `import`, or `rollback` to undo the last one.
    kind: PlanKind,
    /// The state: `open`, `blocked`, `expired` or `applied`.
    state: PlanState,
    /// The configuration that says where files go.
    configuration: String,
    /// The archive of an import.
    snapshot: Option<String>,
    /// The copy that is read, as verbs take it.
    location: Option<String>,
    /// The machine whose state is replaced.
    host: String,
    /// The machine that the archive is of.
    archive_host: Option<String>,
    /// True if the archive is of another machine: then both names are typed.
    is_of_other_host: bool,
    /// The entries that are asked for; null for all.
    entries: Option<Vec<String>>,
    /// The action on each target.
    steps: Vec<Step>,
    /// The reasons why it cannot be applied.
    blocked: Vec<Blocked>,
    /// The parts that would be left undone.
    left_undone: Vec<Remark>,
    /// Everything else that is worth knowing.
    warnings: Vec<Remark>,
    /// True if the service is stopped for it, and started again.
    guarded: bool,
    /// The import or rollback that is undone.
    undoes: Option<Undone>,
    /// The digest of all that decides the result.
    digest: String,
    /// The user or token that made it.
    actor: String,
    /// The time at which it was made.
    #[schema(format = DateTime)]
    made_at: Option<String>,
    /// The time from which it cannot be applied any more.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// The run that carries it out.
    run: Option<String>,
}

/// A plan in the place of a restore.
#[derive(Debug, Serialize, ToSchema)]
pub struct RestoreAnswer {
    /// False: nothing is restored yet.
    success: bool,
    /// The next thing to do.
    message: String,
    /// Null: nothing is restored yet.
    restored_path: Option<String>,
    #[serde(flatten)]
    plan: PlanAnswer,
}

/// Make the plan of an import: nothing changes
///
/// Not for tokens that see some services only.
#[utoipa::path(
    post, path = "/snapshots/{id}/plan", tag = "plans", security(("token" = ["operator"])),
    params(("id" = String, Path, description = "The identifier of the archive")), request_body = PlanBody,
    responses((status = 200, description = "The plan", body = PlanAnswer))
)]
pub async fn plan(
    Shared(server): Shared<Arc<Server>>,
    Operator(person): Operator,
    Place(id): Place<String>,
    Given(body): Given<PlanBody>,
) -> Result<Json<PlanAnswer>, Trouble> {
    let archive = snapshots::seen(&server, &person, &id)?;
    person.require_all("this machine's state")?;
    let wish = Wish {
        host: body.host,
        entries: entries(body.entries)?,
        blocked: Vec::new(),
    };
    let plan = plan_import(&server, &person, &archive, wish).await?;
    Ok(Json(PlanAnswer::of(plan, server.now().timestamp())))
}

/// Make the plan of an import, in the words of older clients: nothing is restored before it is applied
///
/// A `target_path`, and entries that the archive does not have, block the plan.
#[utoipa::path(
    post, path = "/snapshots/{id}/restore", tag = "plans", security(("token" = ["operator"])),
    params(("id" = String, Path, description = "The identifier of the archive")), request_body = RestoreBody,
    responses((status = 202, description = "The plan", body = RestoreAnswer))
)]
pub async fn restore(
    Shared(server): Shared<Arc<Server>>,
    Operator(person): Operator,
    Place(id): Place<String>,
    Given(body): Given<RestoreBody>,
) -> Result<(StatusCode, Json<RestoreAnswer>), Trouble> {
    let archive = snapshots::seen(&server, &person, &id)?;
    person.require_all("this machine's state")?;
    let (mut wish, mut blocked) = (Wish::default(), Vec::new());
    let mut block = |kind: &str, message: String, hint: &str| {
        blocked.push(Blocked {
            kind: kind.to_owned(),
            message,
            hint: hint.to_owned(),
        });
    };
    if let Some(path) = body.target_path {
        let message = format!("`target_path` {path:?} is not allowed");
        let hint = "leave it out: the configuration says where files go; `hookshot extract` takes files elsewhere";
        block("target_path", message, hint);
    }
    if let Some(host) = body.target_device_id.filter(|host| *host != server.host) {
        let message = format!("`target_device_id` {host:?} is not this machine");
        block(
            "target_device",
            message,
            "leave it out, or give the name of this machine",
        );
    }
    if let Some(files) = body.files.filter(|files| !files.is_empty()) {
        let (config, copy) = snapshots::readable(&server, &archive)?;
        let (choices, _) = plans::choices(&server, config, copy).await?;
        for file in files {
            match choices.iter().any(|choice| choice.entry == file) {
                true => wish.entries.push(file),
                false => {
                    let message = format!("the archive does not offer {file:?}");
                    block("entry", message, "a directory is restored as one: name it");
                }
            }
        }
    }
    wish.blocked = blocked;
    let plan = plan_import(&server, &person, &archive, wish).await?;
    let plan = PlanAnswer::of(plan, server.now().timestamp());
    let message = match plan.state {
        PlanState::Open => "nothing is restored yet: look at `steps`, then POST plans/{id}/apply",
        _ => "nothing is restored, and nothing can be: `blocked` says why",
    };
    let answer = RestoreAnswer {
        success: false,
        message: message.to_owned(),
        restored_path: None,
        plan,
    };
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// Make the plan of a rollback, which undoes the last import: nothing changes
///
/// Not for tokens that see some services only.
#[utoipa::path(
    post, path = "/hosts/{id}/rollback", tag = "plans", security(("token" = ["operator"])),
    params(("id" = String, Path, description = "The name of the machine")), request_body = RollbackBody,
    responses((status = 200, description = "The plan", body = PlanAnswer))
)]
pub async fn rollback(
    Shared(server): Shared<Arc<Server>>,
    Operator(person): Operator,
    Place(host): Place<String>,
    Given(body): Given<RollbackBody>,
) -> Result<Json<PlanAnswer>, Trouble> {
    person.require_all("this machine's state")?;
    let config = match (body.configuration, server.configs.as_slice()) {
        (Some(name), _) => server.config_of(&name).or_else(|| server.config(&name)),
        (None, [one]) => Some(one.as_path()),
        (None, _) => {
            let failure = Failure::new(Kind::Usage, "there are several configurations");
            return Err(failure
                .hint("name one as `configuration`: `configurations` tells their identifiers")
                .into());
        }
    };
    let config = config.ok_or_else(|| Trouble::missing("configuration"))?;
    let plan = plan_rollback(&server, &person, &host, config).await?;
    Ok(Json(PlanAnswer::of(plan, server.now().timestamp())))
}

/// A plan
#[utoipa::path(
    get, path = "/plans/{id}", tag = "plans", security(("token" = ["operator"])),
    params(("id" = String, Path, description = "The identifier of the plan")),
    responses((status = 200, description = "The plan", body = PlanAnswer))
)]
pub async fn show(
    Shared(server): Shared<Arc<Server>>,
    Operator(person): Operator,
    Place(id): Place<String>,
) -> Result<Json<PlanAnswer>, Trouble> {
    let plan = plans::seen(&server, &person, &id)?;
    Ok(Json(PlanAnswer::of(plan, server.now().timestamp())))
}

/// Apply a plan: the state of the machine is replaced
///
/// 409 if the digest is that of another plan, if the plan is too old or blocked, or if anything changed since. 422 if a
/// name is not that of its machine. A plan that was applied answers its run again.
#[utoipa::path(
    post, path = "/plans/{id}/apply", tag = "plans", security(("token" = ["admin"])),
    params(("id" = String, Path, description = "The identifier of the plan")), request_body = ApplyBody,
    responses((status = 202, description = "The run", body = RunAnswer))
)]
pub async fn apply_plan(
    Shared(server): Shared<Arc<Server>>,
    Admin(person): Admin,
    Place(id): Place<String>,
    Given(body): Given<ApplyBody>,
) -> Result<(StatusCode, Json<RunAnswer>), Trouble> {
    person.require_all("this machine's state")?;
    let said = Confirmation {
        digest: body.digest,
        host_name: body.host_name,
        archive_host_name: body.archive_host_name,
        password: None,
    };
    let run = apply(&server, &person, &id, said).await?;
    Ok((StatusCode::ACCEPTED, Json(RunAnswer::of(&server, run)?)))
}

/// Refuses an empty list: it could be read as all entries.
fn entries(entries: Option<Vec<String>>) -> Result<Vec<String>, Trouble> {
    match entries {
        None => Ok(Vec::new()),
        Some(entries) if entries.is_empty() => {
            let failure = Failure::new(Kind::Usage, "`entries` names none");
            Err(failure.hint("leave it out for all entries").into())
        }
        Some(entries) => Ok(entries),
    }
}

impl PlanAnswer {
    fn of(plan: Plan, now: i64) -> PlanAnswer {
        let shown = told(&plan.report);
        PlanAnswer {
            state: PlanState::of(&plan, now),
            guarded: shown.is_guarded(),
            is_of_other_host: shown.other_host(&plan.host).is_some(),
            archive_host: shown.plan.as_ref().and_then(|plan| plan.hostname.clone()),
            undoes: shown.plan.and_then(|plan| plan.undoes),
            steps: shown.steps,
            blocked: shown.blocked,
            left_undone: shown.left_undone,
            warnings: shown.warnings,
            made_at: written(plan.made_at),
            expires_at: written(plan.expires_at),
            run: plan.applied.and_then(|applied| applied.run),
            id: plan.id,
            kind: plan.kind,
            configuration: plan.config,
            snapshot: plan.archive.as_ref().map(|archive| archive.id.clone()),
            location: plan.archive.map(|archive| archive.location),
            host: plan.host,
            entries: Some(plan.entries).filter(|entries| !entries.is_empty()),
            digest: plan.digest,
            actor: plan.actor,
        }
    }
}
