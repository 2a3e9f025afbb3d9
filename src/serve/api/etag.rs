//! Tags of answers: a program that has an answer already is told so, and gets it not again (RFC 9110, 13.1.2).

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use crate::model::digest::Digest;

/// Adds the tag of an answer in JSON or text, and leaves the answer out if the program has it.
pub async fn etag(request: Request, next: Next) -> Response {
    let is_get = matches!(*request.method(), Method::GET | Method::HEAD);
    let known = request.headers().clone();
    let response = next.run(request).await;
    if !is_get || response.status() != StatusCode::OK || !is_whole(&response) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let tag = format!("\"{}\"", &Digest::of(&bytes).to_string()[..32]);
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        parts.headers.insert(header::ETAG, tag);
    }
    if has(&known, &tag) {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.headers.remove(header::CONTENT_TYPE);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(bytes))
}

/// Returns true if all of the answer is in memory already. Downloads and events are not.
fn is_whole(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind != "application/octet-stream" && kind != "text/event-stream")
}

/// Returns true if a program says that it has the answer of this tag.
pub fn has(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).into_iter();
    let values = values.filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(|value| value.trim().trim_start_matches("W/"))
        .any(|value| value == tag || value == "*")
}

#[cfg(test)]
mod tests {
    use axum::{Router, middleware::from_fn, routing::get};
    use tower::ServiceExt as _;

    use super::*;

    async fn answer(path: &str, known: Option<&str>) -> (StatusCode, Option<String>, usize) {
        let json = async || axum::Json(serde_json::json!({"a": 1}));
        let content = async || ([(header::CONTENT_TYPE, "application/octet-stream")], "abc");
        let router = Router::new()
            .route("/json", get(json))
            .route("/content", get(content))
            .layer(from_fn(etag));
        let mut request = Request::get(path);
        if let Some(known) = known {
            request = request.header(header::IF_NONE_MATCH, known);
        }
        let request = request.body(Body::empty()).expect("a request");
        let response = router.oneshot(request).await.expect("an answer");
        let tag = response.headers().get(header::ETAG);
        let tag = tag.map(|tag| tag.to_str().expect("text").to_owned());
        let status = response.status();
        let body = to_bytes(response.into_body(), 1000).await.expect("a body");
        (status, tag, body.len())
    }

    #[tokio::test]
    async fn an_answer_that_is_known_is_not_sent_again() {
        let (status, tag, bytes) = answer("/json", None).await;
        let tag = tag.expect("a tag");
        assert_eq!((status, bytes), (StatusCode::OK, 7));
        for known in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
            let again = answer("/json", Some(&known)).await;
            assert_eq!(again, (StatusCode::NOT_MODIFIED, Some(tag.clone()), 0));
        }
        assert_eq!(answer("/json", Some("\"x\"")).await.0, StatusCode::OK);
        assert_eq!(
            answer("/content", Some("*")).await,
            (StatusCode::OK, None, 3)
        );
    }
}
