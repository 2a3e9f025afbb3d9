//! Style, script and icon. Each has the digest of its content in its path, so browsers keep it for ever.

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
    routing::get,
};

use super::Server;
use crate::model::digest::Digest;

/// The digits of the digest in a path.
const DIGITS: usize = 12;

/// A file that pages load.
#[derive(Clone, Copy)]
pub struct Asset {
    stem: &'static str,
    ending: &'static str,
    kind: &'static str,
    content: &'static [u8],
}

/// The style of all pages.
pub const STYLE: Asset = Asset {
    stem: "style",
    ending: "css",
    kind: "text/css; charset=utf-8",
    content: include_bytes!("style.css"),
};
/// The work that pages do by themselves, if a browser runs scripts.
pub const SCRIPT: Asset = Asset {
    stem: "script",
    ending: "js",
    kind: "text/javascript; charset=utf-8",
    content: include_bytes!("script.js"),
};
/// The icon of tabs.
pub const ICON: Asset = Asset {
    stem: "icon",
    ending: "svg",
    kind: "image/svg+xml",
    content: include_bytes!("icon.svg"),
};

impl Asset {
    /// Returns its path on this server.
    pub fn path(&self) -> String {
        let mut digest = Digest::of(self.content).to_string();
        digest.truncate(DIGITS);
        format!("/assets/{}-{digest}.{}", self.stem, self.ending)
    }

    fn response(&self) -> Response {
        let mut response = self.content.into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        let lasting = HeaderValue::from_static("public, max-age=31536000, immutable");
        headers.insert(header::CACHE_CONTROL, lasting);
        response
    }
}

/// Returns the routes of the files.
pub fn routes() -> Router<Arc<Server>> {
    [STYLE, SCRIPT, ICON]
        .into_iter()
        .fold(Router::new(), |router, asset| {
            router.route(&asset.path(), get(move || async move { asset.response() }))
        })
}
