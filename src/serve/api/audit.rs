//! `GET audit`: the audit trail.

use std::sync::Arc;

use axum::{Json, extract::State as Shared};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::words::Words;
use crate::serve::{Server, answer::Trouble, cursor, database::AuditRecord, person::Admin};

/// The records of an answer.
const ROWS: u32 = 500;

/// The records that are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditWords {
    /// `next` of the answer before
    cursor: Option<String>,
}

/// A page of the audit trail.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditAnswer {
    /// Records, the newest first.
    records: Vec<AuditRecord>,
    /// The number of the first record that is not as it was written; null if all are, and none is missing.
    fault: Option<i64>,
    /// The cursor of the next page; null on the last one.
    next: Option<String>,
}

/// The audit trail, the newest record first
///
/// Not for tokens that see some services only.
#[utoipa::path(
    get, path = "/audit", tag = "access", security(("token" = ["admin"])), params(AuditWords),
    responses((status = 200, description = "A page of the trail", body = AuditAnswer))
)]
pub async fn audit(
    Shared(server): Shared<Arc<Server>>,
    Admin(person): Admin,
    Words(words): Words<AuditWords>,
) -> Result<Json<AuditAnswer>, Trouble> {
    person.require_all("this")?;
    let number = |text: &str| text.parse().ok().filter(|number: &i64| *number > 0);
    let before = cursor::given(words.cursor.as_deref(), number)?;
    let records = server.database.audit(before, ROWS)?;
    let last = records.last().map(|record| record.number);
    Ok(Json(AuditAnswer {
        records,
        fault: server.database.audit_fault()?,
        next: last
            .filter(|number| *number > 1)
            .map(|number| number.to_string()),
    }))
}
