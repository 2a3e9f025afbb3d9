//! The second face: a REST API and pages, for people and programs that look after archives.
//!
//! Backups never depend on it, and it decides nothing by itself: it asks the verbs (`program`), keeps what they told (`database`),
//! and shows how old that is. Only this room knows axum and maud.

pub mod agent;
mod answer;
mod api;
mod assets;
mod confirm;
mod content;
mod cursor;
mod database;
mod guard;
mod health;
mod history;
mod identity;
mod index;
mod inert;
mod inspected;
mod listen;
mod orders;
mod origin;
mod pages;
mod parts;
mod password;
mod patient;
mod person;
mod plans;
pub mod policies;
mod program;
mod role;
mod runs;
mod server;
mod services;
mod standing;
mod task;
mod tries;

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::Result;
use axum::{Router, middleware};
use chrono::{DateTime, Utc};

pub use self::{
    agent::{GATED_WORD, become_gated},
    api::document,
    database::{ByHand, Database, Token, User},
    password::{random_secret, stretched},
    program::RECORDED_WORD,
    role::Role,
    runs::run_recorded,
};
use self::{
    listen::Tls,
    origin::Origin,
    password::Checks,
    program::Program,
    runs::Runs,
    server::{Looking, Server},
    tries::Tries,
};
use crate::{
    context::Context,
    error::{Failure, Kind},
    work::wake::Wake,
};

/// The request to serve.
pub struct ServeRequest<'a> {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The files of a certificate and of its key, in PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// The origin that browsers see, if it is another one.
    pub public_url: Option<String>,
    /// The addresses of proxies that are trusted.
    pub trusted_proxies: Vec<IpAddr>,
    /// The file of the state.
    pub state: PathBuf,
    /// True to read everything from the destinations anew.
    pub rebuild: bool,
    /// The configurations.
    pub configs: Vec<PathBuf>,
    /// This program.
    pub program: PathBuf,
    /// The socket of the agent that runs the verbs; without it, this user does.
    pub agent: Option<PathBuf>,
    /// The clock.
    pub clock: fn() -> DateTime<Utc>,
    /// Ends the work when a signal comes.
    pub wake: &'a mut Wake,
    /// Takes the word that it is ready, with its address.
    pub ready: &'a mut dyn FnMut(&str) -> Result<()>,
}

/// Serves until a signal comes.
///
/// Errors: [`Kind::Usage`] if it would be open to others: no account, or beyond this machine without TLS.
pub fn serve(context: &Context, request: ServeRequest<'_>) -> Result<()> {
    let database = Database::open(&request.state)?;
    require_closed(&request, &database)?;
    let tls = request
        .tls
        .as_ref()
        .map(|(certificate, key)| Tls::read(certificate, key));
    let tls = tls.transpose()?;
    if request.rebuild {
        database.forget_looks()?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // Passwords are stretched there, few at a time.
        .max_blocking_threads(2)
        .enable_all()
        .build()?;
    let listener = runtime.block_on(listen::bind(request.listen))?;
    let address = listener.local_addr()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let public = request.public_url.clone();
    let shown = match &public {
        Some(public) => format!("{public}, on {address}"),
        None => format!("{scheme}://{address}"),
    };
    let origin = Origin::new(address, tls.is_some(), public, request.trusted_proxies);
    let server = Arc::new(Server {
        database,
        program: Program::new(&request.program, request.agent),
        origin,
        configs: request.configs,
        checks: Checks::new()?,
        runs: Runs::new(&request.state),
        tries: Tries::default(),
        looking: Looking::default(),
        clock: request.clock,
        host: context
            .hostname
            .clone()
            .unwrap_or_else(|| "localhost".to_owned()),
        applying: tokio::sync::Mutex::new(()),
    });
    {
        let _entered = runtime.enter();
        runs::adopt(&server)?;
        server.database.release_plans()?;
    }
    let served = runtime.spawn(listen::serve(listener, tls, router(server)));
    (request.ready)(&shown)?;
    while context.stop.check().is_ok() && !served.is_finished() {
        request.wake.sleep(Duration::from_secs(24 * 3600))?;
    }
    let has_ended = served.is_finished() && context.stop.check().is_ok();
    served.abort();
    // Whatever works still is a process of its own.
    runtime.shutdown_timeout(Duration::from_secs(5));
    if has_ended {
        let message = format!("the server does not listen on {address} any more");
        return Err(Failure::new(Kind::Failed, message).into());
    }
    Ok(())
}

fn router(server: Arc<Server>) -> Router {
    Router::new()
        .merge(pages::routes())
        .merge(assets::routes())
        .merge(api::routes())
        .layer(middleware::map_response(inert::inert))
        .route("/livez", axum::routing::get(async || "ok\n"))
        .fallback(pages::wrong::missing)
        .layer(middleware::from_fn_with_state(server.clone(), guard::guard))
        .with_state(server)
}

/// Fails if the server would be open to others.
fn require_closed(request: &ServeRequest<'_>, database: &Database) -> Result<()> {
    if !database
        .users()?
        .iter()
        .any(|user| user.role == Role::Admin)
    {
        return Err(Failure::new(Kind::Usage, "no account is an admin")
            .hint("make one first: hookshot serve user add NAME --role admin")
            .into());
    }
    let public = request.public_url.as_deref();
    // A login over plain HTTP would tell the password to the network.
    let is_secret = public.is_some_and(|public| public.starts_with("https://"));
    let is_proxied = is_secret && !request.trusted_proxies.is_empty();
    if request.listen.ip().is_loopback() || request.tls.is_some() || is_proxied {
        return Ok(());
    }
    let message = format!("{} is open to other machines, without TLS", request.listen);
    Err(Failure::new(Kind::Usage, message)
        .hint("give --tls-cert and --tls-key; or --trusted-proxy and --public-url https://..., if a proxy has the certificate")
        .into())
}
