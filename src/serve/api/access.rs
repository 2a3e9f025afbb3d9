//! `GET users` and `GET tokens`: people and programs, with their rights.

use std::sync::Arc;

use axum::{Json, extract::State as Shared};
use serde::Serialize;
use utoipa::ToSchema;

use crate::serve::{
    Server,
    answer::Trouble,
    database::{Token, User},
    person::Admin,
};

/// The users.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsersAnswer {
    /// All users, by name.
    users: Vec<User>,
}

/// The tokens, without their secrets.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokensAnswer {
    /// All tokens, by name.
    tokens: Vec<Token>,
}

/// The users, as `hookshot serve user list` prints them
///
/// Not for tokens that see some services only.
#[utoipa::path(
    get, path = "/users", tag = "access", security(("token" = ["admin"])),
    responses((status = 200, description = "The users", body = UsersAnswer))
)]
pub async fn users(
    Shared(server): Shared<Arc<Server>>,
    Admin(person): Admin,
) -> Result<Json<UsersAnswer>, Trouble> {
    person.require_all("this")?;
    let users = server.database.users()?;
    Ok(Json(UsersAnswer { users }))
}

/// The tokens, as `hookshot serve token list` prints them
///
/// Not for tokens that see some services only.
#[utoipa::path(
    get, path = "/tokens", tag = "access", security(("token" = ["admin"])),
    responses((status = 200, description = "The tokens", body = TokensAnswer))
)]
pub async fn tokens(
    Shared(server): Shared<Arc<Server>>,
    Admin(person): Admin,
) -> Result<Json<TokensAnswer>, Trouble> {
    person.require_all("this")?;
    let tokens = server.database.tokens()?;
    Ok(Json(TokensAnswer { tokens }))
}
