//! The person or program that makes a request, with its role. A handler names the role that it needs as an argument, so it cannot
//! forget the check.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, FromRequestParts, OriginalUri},
    http::{HeaderMap, header, request::Parts},
    response::{IntoResponse as _, Redirect, Response},
};

use tracing::warn;

pub use super::identity::Person;
use super::{Server, answer::Trouble, database::Deed, pages::wrong, role::Role};

/// The cookie of a session. Browsers accept the first name from this host alone, and over TLS alone (RFC 6265bis, 4.1.3).
const SECURE_COOKIE: &str = "__Host-hookshot";
const PLAIN_COOKIE: &str = "hookshot";

/// The most characters of the target of a refusal in the audit trail.
const MOST_TARGET: usize = 200;

/// A person that sees everything but the content of archives.
pub struct Viewer(pub Person);
/// A person that reads archives, starts backups and checks, and sets marks.
pub struct Operator(pub Person);
/// A person that restores, and changes settings and users.
pub struct Admin(pub Person);

macro_rules! needs {
    ($extractor:ident) => {
        impl FromRequestParts<Arc<Server>> for $extractor {
            type Rejection = Response;

            async fn from_request_parts(
                parts: &mut Parts,
                server: &Arc<Server>,
            ) -> Result<Self, Response> {
                let person = require(parts, server, Role::$extractor)?;
                Ok($extractor(person))
            }
        }
    };
}

needs!(Viewer);
needs!(Operator);
needs!(Admin);

/// Returns true for the routes of programs: they log in by tokens, and pages by sessions.
fn is_api(parts: &Parts) -> bool {
    // A router below a folder sees the rest of the path alone.
    let original = parts.extensions.get::<OriginalUri>();
    let uri = original.map_or(&parts.uri, |original| &original.0);
    uri.path().starts_with("/api/")
}

#[expect(
    clippy::result_large_err,
    reason = "the refusal is the answer itself, made once a request"
)]
fn require(parts: &Parts, server: &Server, role: Role) -> Result<Person, Response> {
    let person = match is_api(parts) {
        true => by_token(&parts.headers, address(parts, server), server),
        false => by_session(parts, server),
    };
    let person = person.map_err(|error| Trouble::from(error).into_response())?;
    let Some(person) = person else {
        return Err(match is_api(parts) {
            true => Trouble::stranger().into_response(),
            false => Redirect::to("/login").into_response(),
        });
    };
    if person.role >= role {
        return Ok(person);
    }
    let message = format!(
        "this needs the role {role}, and {} is {}",
        person.name, person.role
    );
    if !parts.method.is_safe() {
        record_refusal(parts, server, &person);
    }
    let trouble = Trouble::forbidden(message);
    Err(match is_api(parts) {
        true => trouble.into_response(),
        false => wrong::page(trouble),
    })
}

/// Records that a person may not do what it asked for.
fn record_refusal(parts: &Parts, server: &Server, person: &Person) {
    let original = parts.extensions.get::<OriginalUri>();
    let uri = original.map_or(&parts.uri, |original| &original.0);
    let target: String = uri.path().chars().take(MOST_TARGET).collect();
    let deed = Deed {
        actor: &person.name,
        address: &person.address.to_string(),
        action: parts.method.as_str(),
        target: &target,
        outcome: "forbidden",
    };
    if let Err(error) = server.database.record(deed, server.now()) {
        warn!("Cannot record a refusal: {error:#}");
    }
}

/// Returns the program whose token these headers have.
pub fn by_token(
    headers: &HeaderMap,
    address: IpAddr,
    server: &Server,
) -> anyhow::Result<Option<Person>> {
    let mut values = headers.get_all(header::AUTHORIZATION).into_iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Ok(None);
    };
    let token = value
        .to_str()
        .ok()
        .and_then(|value| value.strip_prefix("Bearer hs_"));
    let Some((id, secret)) = token.and_then(|token| token.split_once('_')) else {
        return Ok(None);
    };
    let token = server.database.token(id, secret, server.now())?;
    Ok(token.map(|token| Person {
        name: token.name,
        role: token.role,
        address,
        prefixes: token.hosts,
        session: None,
    }))
}

fn by_session(parts: &Parts, server: &Server) -> anyhow::Result<Option<Person>> {
    let Some(secret) = session(parts, server) else {
        return Ok(None);
    };
    let user = server.database.session(&secret, server.now())?;
    Ok(user.map(|user| Person {
        name: user.name,
        role: user.role,
        address: address(parts, server),
        prefixes: None,
        session: Some(secret),
    }))
}

/// Returns the secret of the session that a browser sends, whatever it is worth.
pub fn session(parts: &Parts, server: &Server) -> Option<String> {
    cookie(&parts.headers, name_of_cookie(server))
}

/// Returns the address that a request comes from.
pub fn address(parts: &Parts, server: &Server) -> IpAddr {
    let peer = parts.extensions.get::<ConnectInfo<std::net::SocketAddr>>();
    let peer = peer.map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0.ip());
    server.origin.client(peer, &parts.headers)
}

fn name_of_cookie(server: &Server) -> &'static str {
    match server.origin.is_secure() {
        true => SECURE_COOKIE,
        false => PLAIN_COOKIE,
    }
}

/// Returns the value of a cookie, if there is exactly one of that name.
fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let values = headers.get_all(header::COOKIE).into_iter();
    let pairs = values.filter_map(|value| value.to_str().ok());
    let pairs = pairs.flat_map(|value| value.split(';'));
    let mut found = pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(found, _)| *found == name);
    match (found.next(), found.next()) {
        (Some((_, value)), None) => Some(value.to_owned()),
        _ => None,
    }
}

/// Returns the header that gives a browser the secret of a session, or takes it away.
pub fn cookie_of(server: &Server, secret: Option<&str>) -> String {
    let name = name_of_cookie(server);
    let secure = if server.origin.is_secure() {
        "; Secure"
    } else {
        ""
    };
    let (value, end) = match secret {
        Some(secret) => (secret, ""),
        None => ("", "; Max-Age=0"),
    };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{end}")
}
