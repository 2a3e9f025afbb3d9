//! The pages, one file each. All of them are whole without scripts.

mod archive;
mod archives;
mod home;
mod login;
mod runs;
mod settings;
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
        .route("/runs", get(runs::show))
        .route("/settings", get(settings::show))
        .route("/login", get(login::show).post(login::begin))
        .route("/logout", post(login::end))
}
