//! The pages, one file each. All of them are whole without scripts.

mod act;
mod addresses;
mod archive;
mod archives;
mod destination;
mod destinations;
mod diff;
mod home;
mod hosts;
mod login;
mod needs;
mod plan;
mod policies;
mod policy;
mod restore;
mod run;
mod runs;
mod service;
mod settings;
mod tree;
mod undo;
pub mod wrong;

use std::sync::Arc;

use axum::{
    Router,
    middleware::from_fn,
    routing::{get, post},
};

use super::{Server, api::etag::etag};

/// Returns the routes of all pages.
pub fn routes() -> Router<Arc<Server>> {
    Router::new()
        .route("/", get(home::show))
        .route("/archives", get(archives::show))
        .route("/archives/{id}", get(archive::show))
        .route("/archives/{id}/content", get(archive::content))
        .route("/archives/{id}/diff", get(diff::show))
        .route("/hosts", get(hosts::show))
        .route("/services/{prefix}", get(service::show))
        .route("/destinations", get(destinations::show))
        .route("/destinations/{id}", get(destination::show))
        .route("/runs", get(runs::show))
        .route("/runs/{id}", get(run::show))
        .route("/runs/{id}/part", get(run::refreshed).layer(from_fn(etag)))
        .route("/runs/{id}/cancel", post(act::cancel))
        .route("/archives/{id}/verify", post(act::verify))
        .route("/archives/{id}/drill", post(act::drill))
        .route("/archives/{id}/mark", post(act::mark))
        .route("/destinations/{id}/check", post(act::check))
        .route("/configurations/{id}/backup", post(act::backup))
        .route("/archives/{id}/restore", get(restore::show))
        .route("/archives/{id}/plan", post(restore::plan))
        .route("/plans/{id}", get(plan::show))
        .route("/plans/{id}/apply", post(plan::act))
        .route("/undo", post(undo::plan))
        .route("/policies", get(policies::show))
        .route("/policies/{id}", get(policy::show).post(policy::act))
        .route("/configurations/{id}/policy", post(policies::act))
        .route("/settings", get(settings::show))
        .route("/login", get(login::show).post(login::begin))
        .route("/logout", post(login::end))
}
