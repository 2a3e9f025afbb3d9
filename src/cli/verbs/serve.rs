//! `hookshot serve`.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{
    serve_agent::{AgentArguments, AskArguments},
    serve_policy::PolicyArguments,
    serve_settings::{LISTEN, STATE, beside, looked_after, origin_of, served},
};
use crate::{
    cli::{app::App, render},
    config::serve::Served,
    crypt::ExposeSecret as _,
    error::{Failure, Kind},
    model::quantity::TimeLimit,
    serve::{ByHand, Database, Role, ServeRequest, Token, User, random_secret, serve, stretched},
    store::Secret,
};

/// Show archives and their health on pages and over a REST API
///
/// It looks after every destination of the configuration. Backups never depend on it. Make an account first; with a
/// certificate, or behind a proxy that has one, it may listen beyond this machine.
#[derive(Debug, Args)]
#[command(
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  \
    hookshot serve user add anna --role admin\n  \
    hookshot serve                                         # http://127.0.0.1:7878\n  \
    hookshot serve --listen 0.0.0.0:7878 --tls-cert cert.pem --tls-key key.pem\n  \
    hookshot serve --public-url https://backup.example --trusted-proxy 127.0.0.1\n  \
    hookshot serve token add grafana --role viewer --expires 90d"
)]
pub struct ServeArguments {
    #[command(subcommand)]
    verb: Option<ServeVerb>,
    #[command(flatten)]
    flags: ServeFlags,
    /// Keep the state of the server in this file [default: that of [backup.serve], else .hookshot/serve.sqlite beside the
    /// configuration]
    #[arg(long, global = true, value_name = "FILE")]
    state: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ServeFlags {
    /// Listen on this address and port [default: that of [backup.serve], else 127.0.0.1:7878]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Prove the server with this certificate, in PEM, with its chain
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The address that browsers show, if it is another one: scheme, name, and port
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Believe this proxy the addresses of its clients; may be given more than once
    #[arg(long, value_name = "ADDRESS")]
    trusted_proxy: Vec<IpAddr>,
    /// Read everything that destinations hold anew
    #[arg(long)]
    rebuild: bool,
    /// Have verbs run by the agent at this socket, as its user
    #[arg(long, value_name = "SOCKET")]
    agent: Option<PathBuf>,
}

/// The verbs below `serve`.
#[derive(Debug, Subcommand)]
enum ServeVerb {
    /// Add, change, remove and list users
    #[command(subcommand)]
    User(UserVerb),
    /// Add, revoke and list tokens, by which programs log in
    #[command(subcommand)]
    Token(TokenVerb),
    Policy(PolicyArguments),
    Agent(AgentArguments),
    /// Have the agent run a verb
    #[command(hide = true)]
    Ask(AskArguments),
}

#[derive(Debug, Subcommand)]
enum UserVerb {
    /// Add a user; asks for a password
    Add(NewUser),
    /// Give a user a new password, and end all sessions of that user
    Passwd(Password),
    /// Give a user another role
    Role(RoleOf),
    /// Remove a user
    Remove(Name),
    /// List users
    List,
}

#[derive(Debug, Subcommand)]
enum TokenVerb {
    /// Make a token, and print it once
    Add(NewToken),
    /// Accept a token no more
    Revoke(Name),
    /// List tokens
    List,
}

#[derive(Debug, Args)]
struct Name {
    /// The name
    name: String,
}

#[derive(Debug, Args)]
struct RoleOf {
    /// The name
    name: String,
    /// The rights of the user: viewer, operator or admin
    #[arg(long, value_name = "ROLE")]
    role: Role,
}

#[derive(Debug, Args)]
struct Password {
    /// The name
    name: String,
    /// Read the password from the first line of this file
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct NewUser {
    #[command(flatten)]
    password: Password,
    /// The rights of the user: viewer, operator or admin
    #[arg(long, value_name = "ROLE", default_value = "viewer")]
    role: Role,
}

#[derive(Debug, Args)]
struct NewToken {
    /// The name
    name: String,
    /// The rights of the program: viewer, operator or admin
    #[arg(long, value_name = "ROLE", default_value = "viewer")]
    role: Role,
    /// Show it the archives of these services alone: the whole prefix of their names, such as shop
    #[arg(long, value_name = "PREFIX", value_delimiter = ',')]
    hosts: Option<Vec<String>>,
    /// Accept it for this long, such as 12h or 90d [default: for ever]
    #[arg(long, value_name = "DURATION")]
    expires: Option<TimeLimit>,
}

/// The report of a change.
#[derive(Debug, Serialize)]
struct Changed<'a> {
    /// The user or token.
    name: &'a str,
    /// The change.
    done: &'static str,
    /// The token, which nothing tells again.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl ServeArguments {
    pub fn run(self, app: &App) -> Result<u8> {
        let config = app.choices.config_path()?;
        let user = user_name();
        let by = ByHand {
            user: &user,
            now: (app.clock)(),
        };
        let written = |flag: Option<PathBuf>| -> Result<(PathBuf, Served)> {
            let served = served(app, &config)?;
            // An agent may read it in place of the server; a file of its own may be in place of the one beside it.
            if !self.flags.has_agent() && flag.is_none() {
                require_config(&config)?;
            }
            let state = flag.or_else(|| {
                served
                    .own
                    .state
                    .as_ref()
                    .map(|state| beside(&config, state))
            });
            let state = state.unwrap_or_else(|| beside(&config, STATE.as_ref()));
            Ok((state, served))
        };
        match self.verb {
            None => {
                let (state, served) = written(self.state)?;
                self.flags.run(app, state, config, served)
            }
            Some(ServeVerb::Policy(verb)) => verb.run(app),
            Some(ServeVerb::Agent(verb)) => verb.run(app),
            Some(ServeVerb::Ask(verb)) => verb.run(app),
            Some(ServeVerb::User(verb)) => {
                let (state, _) = written(self.state)?;
                let database = match &verb {
                    UserVerb::Add(_) => Database::open(&state)?,
                    _ => Database::open_old(&state)?,
                };
                verb.run(app, &database, by)
            }
            Some(ServeVerb::Token(verb)) => {
                let (state, _) = written(self.state)?;
                verb.run(app, &Database::open_old(&state)?, by)
            }
        }
    }

    /// Returns true if it serves, or works for a server: it leaves the state of the service to verbs.
    pub fn serves(&self) -> bool {
        !matches!(
            self.verb,
            Some(ServeVerb::User(_) | ServeVerb::Token(_) | ServeVerb::Policy(_))
        )
    }
}

impl ServeFlags {
    fn has_agent(&self) -> bool {
        self.agent.is_some()
    }

    fn run(self, app: &App, state: PathBuf, config: PathBuf, served: Served) -> Result<u8> {
        let mut wake = app.wake.borrow_mut();
        let Served { own, configs } = served;
        let public_url = self.public_url.map(|url| origin_of(&url)).transpose()?;
        let place = |path: PathBuf| beside(&config, &path);
        let tls = own
            .tls
            .map(|(certificate, key)| (place(certificate), place(key)));
        let mut ready = |address: &str| {
            tracing::info!("Serving at {address}");
            Ok(())
        };
        let request = ServeRequest {
            listen: self.listen.or(own.listen).unwrap_or(LISTEN),
            tls: self.tls_cert.zip(self.tls_key).or(tls),
            public_url: public_url.or(own.public_url),
            trusted_proxies: match self.trusted_proxy.is_empty() {
                true => own.trusted_proxies,
                false => self.trusted_proxy,
            },
            state,
            rebuild: self.rebuild,
            configs: looked_after(config, configs),
            agent: self.agent,
            program: app
                .context
                .program
                .clone()
                .context("this program has no file")?,
            clock: app.clock,
            wake: wake.as_mut().context("signals are not watched")?,
            ready: &mut ready,
        };
        serve(&app.context, request)?;
        Ok(0)
    }
}

impl UserVerb {
    fn run(self, app: &App, database: &Database, by: ByHand<'_>) -> Result<u8> {
        let done = |name: &str, done| {
            let report = Changed {
                name,
                done,
                token: None,
            };
            app.printer.report(&report, || format!("{name}: {done}\n"))
        };
        match self {
            UserVerb::Add(new) => {
                require_name(&new.password.name)?;
                let user = User {
                    password: stretched(&new.password.read(app)?)?,
                    name: new.password.name,
                    role: new.role,
                    changed_at: by.now.timestamp(),
                };
                database.add_user(&user, by)?;
                done(&user.name, "added")
            }
            UserVerb::Passwd(password) => {
                let text = stretched(&password.read(app)?)?;
                database.change_password(&password.name, &text, by)?;
                done(&password.name, "has a new password; all sessions are over")
            }
            UserVerb::Role(of) => {
                database.change_role(&of.name, of.role, by)?;
                done(&of.name, "has another role; all sessions are over")
            }
            UserVerb::Remove(name) => {
                database.remove_user(&name.name, by)?;
                done(&name.name, "removed")
            }
            UserVerb::List => render::serve::users(&app.printer, &database.users()?),
        }
    }
}

impl Password {
    /// Reads the password from its file, or asks for it twice.
    fn read(&self, app: &App) -> Result<Secret> {
        if let Some(file) = &self.password_file {
            let text = std::fs::read_to_string(file);
            let text = text.with_context(|| format!("cannot read {}", file.display()))?;
            return Ok(Secret::new(text.lines().next().unwrap_or_default()));
        }
        let failure = Failure::new(
            Kind::Usage,
            "a password cannot be asked for without a terminal",
        );
        let ask = app
            .ask
            .as_ref()
            .ok_or_else(|| failure.hint("give --password-file FILE"))?;
        let asked = |prompt: &str| -> Result<Secret> {
            let given = ask(prompt)?.context("no password was given")?;
            Ok(Secret::new(given.expose_secret()))
        };
        let password = asked(&format!("Password of {}", self.name))?;
        if asked("The same again")? != password {
            let failure = Failure::new(Kind::Usage, "the two passwords differ");
            return Err(failure.hint("nothing was changed").into());
        }
        Ok(password)
    }
}

impl TokenVerb {
    fn run(self, app: &App, database: &Database, by: ByHand<'_>) -> Result<u8> {
        match self {
            TokenVerb::Add(new) => {
                require_name(&new.name)?;
                let (mut id, secret) = (random_secret()?, random_secret()?);
                id.truncate(12);
                let limit = new.expires.map(|limit| limit.duration().as_secs());
                let end = limit.map(|limit| {
                    by.now
                        .timestamp()
                        .saturating_add(i64::try_from(limit).unwrap_or(i64::MAX))
                });
                let token = Token {
                    id,
                    name: new.name,
                    role: new.role,
                    hosts: new.hosts,
                    made_at: by.now.timestamp(),
                    expires_at: end,
                    used_at: None,
                };
                database.add_token(&token, &secret, by)?;
                let text = format!("hs_{}_{secret}", token.id);
                let report = Changed {
                    name: &token.name,
                    done: "added",
                    token: Some(text.clone()),
                };
                app.printer.report(&report, || format!("{text}\n"))
            }
            TokenVerb::Revoke(name) => {
                database.revoke_token(&name.name, by)?;
                let report = Changed {
                    name: &name.name,
                    done: "revoked",
                    token: None,
                };
                app.printer
                    .report(&report, || format!("{}: revoked\n", name.name))
            }
            TokenVerb::List => render::serve::tokens(&app.printer, &database.tokens()?),
        }
    }
}

/// Fails if the configuration does not exist: a mistake named it.
fn require_config(config: &Path) -> Result<(), Failure> {
    match config.metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let message = format!("the configuration {} does not exist", config.display());
            Err(Failure::new(Kind::NotFound, message)
                .hint("name it with --config; `hookshot init` makes one"))
        }
        _ => Ok(()),
    }
}

/// Returns the name of the user that runs this program, or its number.
fn user_name() -> String {
    let id = nix::unistd::getuid();
    let user = nix::unistd::User::from_uid(id).ok().flatten();
    user.map_or_else(|| id.to_string(), |user| user.name)
}

/// Fails if a name is empty, long, or would not be one word in a log.
fn require_name(name: &str) -> Result<(), Failure> {
    let is_word = |symbol: char| symbol.is_alphanumeric() || "._-@".contains(symbol);
    if (1..=64).contains(&name.chars().count())
        && name.chars().all(is_word)
        && !name.starts_with('-')
    {
        return Ok(());
    }
    let message = format!("{name:?} cannot be a name");
    Err(Failure::new(Kind::Usage, message)
        .hint("take letters, digits, dots, hyphens, underscores and @, 64 at most"))
}
