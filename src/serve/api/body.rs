//! The bodies of requests in JSON, and the keys by which a program may repeat a request.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::{StatusCode, header, request::Parts},
};
use serde::{
    Deserialize as _, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::{Map, Value};
use utoipa::IntoParams;

use crate::{
    error::{Failure, Kind},
    serve::answer::Trouble,
};

/// The most characters of a key.
const MOST_KEY: usize = 200;

/// The body of a request, in JSON. A missing one is `{}`.
pub struct Given<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Given<T> {
    type Rejection = Trouble;

    async fn from_request(request: Request, state: &S) -> Result<Self, Trouble> {
        let kind = request.headers().get(header::CONTENT_TYPE).cloned();
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|error| Trouble::misread(error.body_text().to_lowercase()))?;
        if body.is_empty() {
            return read(b"{}");
        }
        let kind = kind.as_ref().and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next());
        // A form of another page cannot send this type without being asked first.
        if kind.is_none_or(|kind| !kind.trim().eq_ignore_ascii_case("application/json")) {
            let failure = Failure::new(Kind::Usage, "the body of this request is not JSON");
            return Err(Trouble {
                status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
                failure: failure.hint("send `Content-Type: application/json`"),
            });
        }
        read(&body)
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<Given<T>, Trouble> {
    // A list of values in the order of the fields would be read, too.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Trouble::misread("the body is not an object of JSON"));
    }
    let given = serde_json::from_slice(body);
    let given =
        given.map_err(|error| Trouble::misread(format!("the body cannot be read: {error}")))?;
    Ok(Given(given))
}

/// Reads an object below a body, and no list of values in the order of its fields.
pub fn object<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<T, D::Error> {
    let object = Map::<String, Value>::deserialize(from)?;
    serde_json::from_value(object.into()).map_err(D::Error::custom)
}

/// The name of a request, which a program may repeat within a day: `Idempotency-Key`.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct RequestKey {
    /// A name for this request: the same one within 24 hours gets the same run
    #[param(
        rename = "Idempotency-Key",
        min_length = 1,
        max_length = 200,
        pattern = "^[!-~]+$"
    )]
    pub name: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for RequestKey {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Trouble> {
        let mut values = parts.headers.get_all("idempotency-key").into_iter();
        let (first, second) = (values.next(), values.next());
        let Some(value) = first else {
            return Ok(RequestKey { name: None });
        };
        let name = value.to_str().ok().filter(|_| second.is_none());
        // A space at an end would not come through.
        let is_plain = |name: &&str| name.bytes().all(|byte| byte.is_ascii_graphic());
        let name = name.filter(is_plain);
        let name = name.filter(|name| (1..=MOST_KEY).contains(&name.len()));
        let name = name.ok_or_else(|| {
            let message = format!(
                "`Idempotency-Key` is not 1 to {MOST_KEY} characters of ASCII without spaces"
            );
            Trouble::misread(message)
        })?;
        Ok(RequestKey {
            name: Some(name.to_owned()),
        })
    }
}

/// The state that a change is meant for: `If-Match` (RFC 9110, 13.1.1).
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct Generation {
    /// The `generation` of what is changed, as it was seen
    #[param(rename = "If-Match", pattern = "^\"?[0-9a-f]{1,64}\"?$")]
    name: String,
}

impl Generation {
    /// Returns it in words.
    pub fn word(&self) -> &str {
        &self.name
    }

    /// Returns it as a number. Another word is that of no state.
    pub fn number(&self) -> i64 {
        self.name.parse().unwrap_or(-1)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Generation {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Trouble> {
        let mut values = parts.headers.get_all(header::IF_MATCH).into_iter();
        let (first, second) = (values.next(), values.next());
        let name = first.filter(|_| second.is_none());
        let name = name.and_then(|name| name.to_str().ok()).map(str::trim);
        let failure = Failure::new(Kind::Usage, "this change needs one `If-Match`");
        // RFC 6585, 3: the client would overwrite what it has not seen.
        let required = || Trouble {
            status: StatusCode::PRECONDITION_REQUIRED,
            failure: failure.hint("send the `generation` that you have seen"),
        };
        let name = name.ok_or_else(required)?.trim_matches('"');
        Ok(Generation {
            name: name.to_owned(),
        })
    }
}
