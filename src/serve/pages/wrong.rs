//! The page of a request that failed.

use axum::{
    http::{StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use maud::html;

use crate::serve::{
    answer::Trouble,
    parts::{actions, link, plain_page, prose},
};

/// A failure that becomes a page.
pub struct Wrong(Trouble);

impl<T: Into<Trouble>> From<T> for Wrong {
    fn from(error: T) -> Wrong {
        Wrong(error.into())
    }
}

impl axum::response::IntoResponse for Wrong {
    fn into_response(self) -> Response {
        page(self.0)
    }
}

/// Returns the page of a failure.
pub fn page(trouble: Trouble) -> Response {
    let title = match trouble.status {
        StatusCode::NOT_FOUND => "This page does not exist",
        StatusCode::FORBIDDEN => "This is not for you",
        StatusCode::TOO_MANY_REQUESTS => "Wait a moment",
        _ => "This did not work",
    };
    let content = html! {
        h1 { (title) }
        p { (trouble.failure.message) "." }
        @for fault in &trouble.failure.faults { p { (fault) } }
        @if let Some(hint) = &trouble.failure.hint { p .quiet { (prose(hint)) } }
        (actions(&[link("/", "To the first page")]))
    };
    let mut response = plain_page(title, &content);
    *response.status_mut() = trouble.status;
    response
}

/// Answers requests for what is not there.
pub async fn missing(uri: Uri) -> Response {
    let trouble = Trouble::missing("page");
    match uri.path().starts_with("/api/") {
        true => trouble.into_response(),
        false => page(trouble),
    }
}
