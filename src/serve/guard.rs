//! The guard that every request passes, and the headers of every answer.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, HttpBody as _, to_bytes},
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use tokio::time::timeout;

use super::{Server, answer::Trouble, standing::Standing};
use crate::error::{Failure, Kind};

/// The most bytes of the body of a request: every connection may hold as many, and forms are small.
const MOST_BODY_BYTES: usize = 64 << 10;
/// The time for the body of a request.
const LONGEST_BODY: Duration = Duration::from_secs(15);

/// The headers of every answer. Pages load what this server gives and nothing else, and stand in no frame (CSP 3).
const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
         frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Refuses requests for other hosts and changes that pages of others ask for, and adds the headers of every answer.
pub async fn guard(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let mut response = match refusal(&server, &request) {
        Some(trouble) => trouble.into_response(),
        None => match whole(request).await {
            Ok(request) => {
                // From here on, its connection makes no room for others.
                if let Some(standing) = request.extensions().get::<Arc<Standing>>() {
                    standing.work();
                }
                next.run(request).await
            }
            Err(trouble) => trouble.into_response(),
        },
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    if server.origin.is_secure() {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000"),
        );
    }
    response
}

/// Reads the body of a request, so that nothing works on one that is too large, or waits for one that never comes.
async fn whole(request: Request) -> Result<Request, Trouble> {
    let (parts, body) = request.into_parts();
    let large = || {
        let failure = Failure::new(Kind::Usage, "the body of this request is too large");
        Trouble {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            failure: failure.hint(format!("send {MOST_BODY_BYTES} bytes at most")),
        }
    };
    if body.size_hint().lower() > MOST_BODY_BYTES as u64 {
        return Err(large());
    }
    match timeout(LONGEST_BODY, to_bytes(body, MOST_BODY_BYTES)).await {
        Ok(Ok(body)) => Ok(Request::from_parts(parts, Body::from(body))),
        // The client broke off, or sent more; only the latter reads the answer.
        Ok(Err(_)) => Err(large()),
        Err(_) => Err(Trouble {
            status: StatusCode::REQUEST_TIMEOUT,
            failure: Failure::new(Kind::Usage, "the body of this request did not come in time"),
        }),
    }
}

fn refusal(server: &Server, request: &Request) -> Option<Trouble> {
    let headers = request.headers();
    let mut hosts = headers.get_all(header::HOST).into_iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok(),
        _ => None,
    };
    // A request for a proxy names its server a second time, and that one counts (RFC 9112, 3.2.2).
    let authority = request.uri().authority();
    let is_ours = |host: &str| server.origin.serves(host);
    if !host.is_some_and(is_ours) || authority.is_some_and(|name| !is_ours(name.as_str())) {
        let failure = Failure::new(Kind::Forbidden, "this server has another name");
        return Some(Trouble {
            status: StatusCode::MISDIRECTED_REQUEST,
            failure: failure
                .hint("a name that a proxy or a certificate gives it goes into --public-url"),
        });
    }
    // Programs send no cookies, and a browser adds no token by itself.
    let is_api = request.uri().path().starts_with("/api/");
    if !is_api && !server.origin.is_own(request.method(), headers) {
        let trouble = Trouble::forbidden(
            "this request does not come from a page of this server: its `Sec-Fetch-Site` or `Origin` does not say so",
        );
        return Some(trouble);
    }
    None
}
