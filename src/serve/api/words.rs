//! The words of a request. What cannot be read is told like every failure.

use axum::{
    extract::{FromRequestParts, Path, Query},
    http::{Method, StatusCode, Uri, request::Parts},
};
use serde::de::DeserializeOwned;

use crate::{
    error::{Failure, Kind},
    serve::answer::Trouble,
};

/// The parts of the path of a request, percent-decoded.
pub struct Place<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Place<T> {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Trouble> {
        let place = Path::<T>::from_request_parts(parts, state).await;
        let place = place.map_err(|error| Trouble::misread(error.body_text().to_lowercase()))?;
        Ok(Place(place.0))
    }
}

/// The words behind the question mark of a request. Unknown ones are ignored.
pub struct Words<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Words<T> {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Trouble> {
        let words = Query::<T>::try_from_uri(&parts.uri);
        let words = words.map_err(|error| Trouble::misread(error.body_text().to_lowercase()))?;
        Ok(Words(words.0))
    }
}

/// Answers a request with a method that its route does not have.
pub async fn wrong_method(method: Method, uri: Uri) -> Trouble {
    let message = format!("{} does not take {method}", uri.path());
    Trouble {
        status: StatusCode::METHOD_NOT_ALLOWED,
        failure: Failure::new(Kind::Usage, message),
    }
}
