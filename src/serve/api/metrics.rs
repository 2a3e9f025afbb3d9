//! `GET metrics`: the health of all destinations, as Prometheus reads it.

use std::sync::Arc;

use axum::{
    extract::State as Shared,
    http::header,
    response::{IntoResponse, Response},
};
use serde_json::Value;

use crate::serve::{Server, answer::Trouble, database::Look, index::FRESH_SECONDS, person::Viewer};

/// The format of the text (Prometheus, exposition formats).
const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The health of all destinations, as metrics for Prometheus
///
/// The destinations are asked at most once a minute. Not for tokens that see some services only.
#[utoipa::path(
    get, path = "/metrics", tag = "health", security(("token" = ["viewer"])),
    responses((status = 200, description = "The metrics of `hookshot status --prometheus`", body = String, content_type = "text/plain"))
)]
pub async fn metrics(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
) -> Result<Response, Trouble> {
    person.require_all("this")?;
    let mut text = String::new();
    for config in &server.configs {
        let name = config.display().to_string();
        let now = server.now().timestamp();
        let look = server.database.look(&name, "metrics")?;
        // A clock that was set back makes nothing fresh.
        let look = look.filter(|look| (look.at..look.at + FRESH_SECONDS).contains(&now));
        if let Some(known) = look.as_ref().and_then(|look| look.answer.as_str()) {
            text.push_str(known);
            continue;
        }
        let told = server.program.metrics(config).await?;
        text.push_str(&told);
        let look = Look {
            at: now,
            exit_code: 0,
            answer: Value::from(told),
        };
        server.database.keep_look(&name, "metrics", &look)?;
    }
    Ok(([(header::CONTENT_TYPE, FORMAT)], text).into_response())
}
