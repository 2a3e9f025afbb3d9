//! The routes for programs. Each answers what a verb prints with `--json`; one without a description does not compile.

mod access;
mod acts;
mod audit;
mod body;
mod configurations;
mod content;
mod describe;
mod destinations;
mod diff;
mod entries;
pub mod etag;
mod events;
mod flat;
mod health;
mod metrics;
mod plans;
mod policies;
mod proposed;
mod runs;
mod simulation;
mod snapshots;
mod words;

use std::sync::Arc;

use axum::{Extension, Router, middleware};
use serde_json::Value;
use utoipa_axum::{router::OpenApiRouter, routes};

pub use self::{
    content::download,
    destinations::place,
    simulation::simulated,
    snapshots::{readable, seen},
};
use super::Server;

/// The folder of all routes.
pub const BASE: &str = "/api/v1/backup";

/// Returns all routes.
pub fn routes() -> Router<Arc<Server>> {
    let (router, _) = described().split_for_parts();
    router
        .method_not_allowed_fallback(words::wrong_method)
        .layer(middleware::from_fn(etag::etag))
        .layer(Extension(describe::Document::new(document())))
}

/// Returns the OpenAPI document.
pub fn document() -> Value {
    let (_, document) = described().split_for_parts();
    describe::finished(document)
}

fn described() -> OpenApiRouter<Arc<Server>> {
    let routes = OpenApiRouter::new()
        .routes(routes!(describe::openapi))
        .routes(routes!(health::health))
        .routes(routes!(metrics::metrics))
        .routes(routes!(destinations::destinations))
        .routes(routes!(destinations::retention))
        .routes(routes!(proposed::s3))
        .routes(routes!(proposed::local))
        .routes(routes!(proposed::sftp))
        .routes(routes!(proposed::gcs))
        .routes(routes!(proposed::azure))
        .routes(routes!(acts::check))
        .routes(routes!(
            configurations::configurations,
            configurations::enable
        ))
        .routes(routes!(configurations::change))
        .routes(routes!(policies::policies, policies::add))
        .routes(routes!(policies::change, policies::remove))
        .routes(routes!(policies::preview))
        .routes(routes!(configurations::backup))
        .routes(routes!(snapshots::snapshots))
        .routes(routes!(snapshots::snapshot))
        .routes(routes!(acts::verify))
        .routes(routes!(acts::drill))
        .routes(routes!(acts::keep, acts::release))
        .routes(routes!(entries::entries))
        .routes(routes!(content::content))
        .routes(routes!(diff::diff_here))
        .routes(routes!(diff::diff))
        .routes(routes!(runs::runs))
        .routes(routes!(runs::run, runs::cancel))
        .routes(routes!(runs::log))
        .routes(routes!(events::events))
        .routes(routes!(plans::plan))
        .routes(routes!(plans::restore))
        .routes(routes!(plans::rollback))
        .routes(routes!(plans::show))
        .routes(routes!(plans::apply_plan))
        .routes(routes!(audit::audit))
        .routes(routes!(access::users))
        .routes(routes!(access::tokens));
    OpenApiRouter::new().nest(BASE, routes)
}
