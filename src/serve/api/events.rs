//! `GET runs/{id}/events`: the states of a run as they change, for programs (server-sent events).

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::State as Shared,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

use super::{runs::found, words::Place};
use crate::{
    error::{Failure, Kind},
    model::entry_name::printable_json,
    serve::{
        Server,
        answer::Trouble,
        identity::Person,
        person::{Viewer, by_token},
    },
};

/// The time between two looks at a run, and at the token of its reader.
const STEP: Duration = Duration::from_millis(500);
/// The steps after which a connection without news gets a sign of life: it ends if its reader is gone.
const QUIET_STEPS: u32 = 30;

/// A stream of events.
struct Listening {
    server: Arc<Server>,
    headers: HeaderMap,
    person: Person,
    id: String,
    last: String,
    has_ended: bool,
    _permit: OwnedSemaphorePermit,
}

/// The states of a run as they change, until it ends
///
/// Each event is called `run`, and its data is the run in JSON. The stream ends with the run, and with the token of its
/// reader. 503 if too many programs listen.
#[utoipa::path(
    get, path = "/runs/{id}/events", tag = "runs", security(("token" = ["viewer"])),
    params(("id" = String, Path, description = "The identifier of the run")),
    responses((status = 200, description = "Events", body = Value, content_type = "text/event-stream"))
)]
pub async fn events(
    Shared(server): Shared<Arc<Server>>,
    Viewer(person): Viewer,
    Place(id): Place<String>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    found(&server, &person, &id)?;
    let permit = server.runs.listeners.clone().try_acquire_owned();
    let permit = permit.map_err(|_| Trouble {
        status: StatusCode::SERVICE_UNAVAILABLE,
        failure: Failure::new(Kind::Blocked, "too many programs listen").hint("try again later"),
    })?;
    let listening = Listening {
        server,
        headers,
        person,
        id,
        last: String::new(),
        has_ended: false,
        _permit: permit,
    };
    let stream = futures_util::stream::unfold(listening, async |mut listening| {
        let event = listening.next().await?;
        Some((Ok::<_, Infallible>(event), listening))
    });
    let kind = [(header::CONTENT_TYPE, "text/event-stream")];
    Ok((kind, Body::from_stream(stream)).into_response())
}

impl Listening {
    /// Returns the next event; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        for _ in 0..QUIET_STEPS {
            if self.has_ended || !self.may_read() {
                return None;
            }
            let answer = found(&self.server, &self.person, &self.id).ok()?;
            self.has_ended = answer.has_ended();
            let text = printable_json(&serde_json::to_string(&answer).ok()?);
            if text != self.last {
                let event = format!("event: run\ndata: {text}\n\n");
                self.last = text;
                return Some(event.into());
            }
            // The end of any run wakes it.
            let _ = timeout(STEP, self.server.runs.ends.notified()).await;
        }
        Some(Bytes::from_static(b": \n\n"))
    }

    /// Returns true if the token of the reader is valid still.
    fn may_read(&self) -> bool {
        let person = by_token(&self.headers, self.person.address, &self.server);
        person.is_ok_and(|person| person.is_some())
    }
}
