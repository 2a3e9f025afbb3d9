//! Failures as answers over HTTP: the object that the command line prints, with a status.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::error::{Failure, Kind};

/// The kinds of failures of verbs.
const KINDS: [Kind; 17] = [
    Kind::Failed,
    Kind::Forbidden,
    Kind::Unreachable,
    Kind::ToolMissing,
    Kind::Differs,
    Kind::Usage,
    Kind::Partial,
    Kind::NotFound,
    Kind::Blocked,
    Kind::Key,
    Kind::Refused,
    Kind::Version,
    Kind::Snapshot,
    Kind::Unproven,
    Kind::Space,
    Kind::Unhealthy,
    Kind::RolledBack,
];

/// A failure with its status.
#[derive(Debug)]
pub struct Trouble {
    /// The status of the answer (RFC 9110).
    pub status: StatusCode,
    /// The failure.
    pub failure: Failure,
}

/// A request that failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorAnswer<'a> {
    error: Told<'a>,
}

/// The failure, as the command line prints it with `--json`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Failure)]
struct Told<'a> {
    /// The exit code that the command line has for it.
    code: u8,
    /// The kind of the failure.
    #[schema(examples("not_found"))]
    kind: &'a str,
    /// The failure in words.
    message: &'a str,
    /// The remedy.
    hint: Option<&'a str>,
    /// Every single fault, if there can be several.
    faults: &'a [String],
}

impl Trouble {
    /// Returns the answer to a client that is not logged in.
    pub fn stranger() -> Trouble {
        let failure = Failure::new(Kind::Forbidden, "log in first");
        Trouble {
            status: StatusCode::UNAUTHORIZED,
            failure: failure
                .hint("send `Authorization: Bearer hs_...`; `hookshot serve token add` makes one"),
        }
    }

    /// Returns the answer to a request that only others may make.
    pub fn forbidden(message: impl Into<String>) -> Trouble {
        Trouble {
            status: StatusCode::FORBIDDEN,
            failure: Failure::new(Kind::Forbidden, message),
        }
    }

    /// Returns the answer to a request whose words cannot be read.
    pub fn misread(message: impl Into<String>) -> Trouble {
        Failure::new(Kind::Usage, message).into()
    }

    /// Returns the answer if something is not there, or not for this person.
    pub fn missing(what: &str) -> Trouble {
        Failure::new(Kind::NotFound, format!("this {what} does not exist")).into()
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        let status = match failure.kind {
            Kind::Usage => StatusCode::BAD_REQUEST,
            Kind::Forbidden => StatusCode::FORBIDDEN,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Blocked | Kind::Differs => StatusCode::CONFLICT,
            Kind::Refused | Kind::Version | Kind::Key => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::Unproven | Kind::Unreachable => StatusCode::BAD_GATEWAY,
            Kind::Space => StatusCode::INSUFFICIENT_STORAGE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Trouble { status, failure }
    }
}

impl From<anyhow::Error> for Trouble {
    fn from(error: anyhow::Error) -> Trouble {
        Failure::of(&error).into()
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let failure = &self.failure;
        let told = Told {
            code: failure.kind.code(),
            kind: failure.kind.name(),
            message: &failure.message,
            hint: failure.hint.as_deref(),
            faults: &failure.faults,
        };
        let mut response = (self.status, Json(ErrorAnswer { error: told })).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// Returns the failure that a verb told, in its report or its log.
pub fn told(error: &Value) -> Option<Failure> {
    let kind = error["kind"].as_str()?;
    let kind = KINDS.into_iter().find(|known| known.name() == kind);
    let faults = error["faults"].as_array().into_iter().flatten();
    let faults = faults.filter_map(|fault| Some(fault.as_str()?.to_owned()));
    let mut failure = Failure::new(kind.unwrap_or(Kind::Failed), error["message"].as_str()?);
    failure.hint = error["hint"].as_str().map(str::to_owned);
    Some(failure.faults(faults.collect()))
}

/// Returns the report, or the failure if the report has no `key`.
pub fn require_told(report: Value, key: &str) -> Result<Value, Trouble> {
    match told(&report["error"]) {
        Some(failure) if report.get(key).is_none() => Err(failure.into()),
        _ => Ok(report),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_failure_of_a_verb_keeps_its_kind_unless_there_is_a_report() {
        let error = json!({"code": 13, "kind": "archive_refused", "message": "m", "hint": "h", "faults": ["f"]});
        let trouble = require_told(json!({ "error": error }), "entries").expect_err("failed");
        assert_eq!(trouble.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(trouble.failure.faults, ["f"]);
        assert_eq!(trouble.failure.hint.as_deref(), Some("h"));
        let report = json!({"entries": [], "error": error});
        assert!(require_told(report, "entries").is_ok());
        assert!(require_told(json!({ "error": null }), "entries").is_ok());
    }
}
