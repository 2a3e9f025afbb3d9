//! The pages, one file each. All of them are whole without scripts.

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
mod runs;
mod service;
mod settings;
mod tree;
pub mod wrong;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};

use super::Server;

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
        .route("/settings", get(settings::show))
        .route("/login", get(login::show).post(login::begin))
        .route("/logout", post(login::end))
}
