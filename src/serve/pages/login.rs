//! Logging in and out.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Form,
    extract::{FromRequestParts, State},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Redirect, Response},
};
use maud::html;
use serde::Deserialize;
use tracing::warn;

use super::wrong::Wrong;
use crate::{
    error::{Failure, Kind},
    serve::{
        Server,
        database::Deed,
        parts::plain_page,
        password::random_secret,
        person::{self, Viewer},
        tries::Verdict,
    },
    store::Secret,
};

/// The actor of a login in the audit trail if no account has the name.
const UNKNOWN: &str = "unknown";

/// The fields of the form.
#[derive(Deserialize)]
pub struct Login {
    name: String,
    password: String,
}

/// The address that a request comes from, and the secret of the session that its browser has.
pub struct Asking {
    address: IpAddr,
    session: Option<String>,
}

impl FromRequestParts<Arc<Server>> for Asking {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, server: &Arc<Server>) -> Result<Self, Response> {
        Ok(Asking {
            address: person::address(parts, server),
            session: person::session(parts, server),
        })
    }
}

/// Shows the form.
pub async fn show() -> Response {
    form(None, StatusCode::OK)
}

fn form(fault: Option<&str>, status: StatusCode) -> Response {
    let content = html! {
        div .login .card {
            h1 { "Log in" small { "hookshot looks after the archives of this machine" } }
            @if let Some(fault) = fault { p .fault role="alert" { (fault) } }
            form method="post" action="/login" {
                label for="name" { "Name" }
                input #name name="name" autocomplete="username" autocapitalize="none" required autofocus;
                label for="password" { "Password" }
                input #password name="password" type="password" autocomplete="current-password" required;
                button .main type="submit" { "Log in" }
            }
        }
    };
    let mut response = plain_page("Log in", &content);
    *response.status_mut() = status;
    response
}

/// Begins a session if name and password are right. A wrong name and a wrong password are told alike, after the same time.
pub async fn begin(
    State(server): State<Arc<Server>>,
    Asking { address, session }: Asking,
    Form(login): Form<Login>,
) -> Response {
    let begun = try_begin(&server, address, session, login).await;
    begun.unwrap_or_else(|error| {
        // Strangers read this: the files of the server are in its log alone.
        warn!("Cannot log in a user: {error:#}");
        let full = Failure::of(&error).kind == Kind::Space;
        let (fault, status) = match full {
            true => (
                "The disk of the server is full. Free some space on it, then try again.",
                StatusCode::INSUFFICIENT_STORAGE,
            ),
            false => (
                "The server cannot log you in now. Its log says why.",
                StatusCode::INTERNAL_SERVER_ERROR,
            ),
        };
        form(Some(fault), status)
    })
}

async fn try_begin(
    server: &Server,
    address: IpAddr,
    old: Option<String>,
    login: Login,
) -> anyhow::Result<Response> {
    let now = server.now();
    let (name, password) = (login.name, Secret::new(login.password));
    let from = address.to_string();
    let user = server.database.user(&name)?;
    // A password that was typed in the wrong field stays out of the trail.
    let shown = user.as_ref().map_or(UNKNOWN, |user| user.name.as_str());
    let note = |outcome: &str| {
        let deed = Deed {
            actor: shown,
            address: &from,
            action: "login",
            target: "",
            outcome,
        };
        server.database.record(deed, now)
    };
    let busy = "Too many tries. Wait a minute, then try again.";
    let verdict = server.tries.count(&name, address, now);
    if verdict != Verdict::Allowed {
        // One record a minute: a flood of tries fills no disk.
        if verdict == Verdict::FirstRefused {
            note("too_many")?;
        }
        return Ok(form(Some(busy), StatusCode::TOO_MANY_REQUESTS));
    }
    let stretched = user.as_ref().map(|user| user.password.clone());
    let Some(is_right) = server.checks.is_right(password, stretched).await else {
        return Ok(form(Some(busy), StatusCode::TOO_MANY_REQUESTS));
    };
    if !is_right {
        note("forbidden")?;
        let fault = "Name or password is wrong.";
        return Ok(form(Some(fault), StatusCode::FORBIDDEN));
    }
    server.tries.forget(&name, address);
    let secret = random_secret()?;
    // A browser has one session: the cookie of an older one is of no use to a thief.
    if let Some(old) = old {
        server.database.end_session(&old)?;
    }
    server.database.begin_session(&name, &secret, now)?;
    note("done")?;
    Ok(with_cookie(
        Redirect::to("/"),
        &person::cookie_of(server, Some(&secret)),
    ))
}

/// Ends the session.
pub async fn end(
    State(server): State<Arc<Server>>,
    Viewer(person): Viewer,
) -> Result<Response, Wrong> {
    if let Some(secret) = &person.session {
        server.database.end_session(secret)?;
    }
    let deed = Deed {
        actor: &person.name,
        address: &person.address.to_string(),
        action: "logout",
        target: "",
        outcome: "done",
    };
    server.database.record(deed, server.now())?;
    Ok(with_cookie(
        Redirect::to("/login"),
        &person::cookie_of(&server, None),
    ))
}

fn with_cookie(redirect: Redirect, cookie: &str) -> Response {
    let mut response = redirect.into_response();
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}
