//! JSON that drives no terminal: programs print it, and names in archives are those of others.

use axum::{
    body::{Body, to_bytes},
    http::{HeaderValue, header},
    response::Response,
};

use crate::model::entry_name::printable_json;

/// Escapes every character of JSON that could drive a terminal. The values stay the same.
pub async fn inert(response: Response) -> Response {
    let json = HeaderValue::from_static("application/json");
    if response.headers().get(header::CONTENT_TYPE) != Some(&json) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // The body is in memory already: an answer of JSON is made at once.
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let body = match std::str::from_utf8(&body) {
        Ok(text) if !text.is_ascii() => Body::from(printable_json(text)),
        _ => Body::from(body),
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, body)
}
