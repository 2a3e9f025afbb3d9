//! `hookshot demo --serve`: a made-up shop with sixty nights of archives, to click through.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::{
    cli::app::App,
    error::{Failure, Kind},
    jobs::demo_nights::{MISSED, NIGHTS, live},
    ops::demo_shop::Shop,
    serve::{ByHand, Database, Role, ServeRequest, User, random_secret, serve, stretched},
    store::Secret,
};

/// The name of the demo's user.
const USER: &str = "demo";
/// The symbols of its password.
const PASSWORD_LENGTH: usize = 16;

/// Makes the shop in `folder`, and serves until a signal comes. `kept` is the folder that the user named.
pub fn run(app: &App, folder: &Path, kept: Option<&PathBuf>, listen: SocketAddr) -> Result<u8> {
    require_no_paths(app)?;
    if !listen.ip().is_loopback() {
        let message = format!("the demo serves only this machine, and {listen} is open to others");
        return Err(Failure::new(Kind::Usage, message)
            .hint("take 127.0.0.1 and a port")
            .into());
    }
    let shop = Shop::create(folder)?;
    say(
        app,
        &format!("Making a shop and {NIGHTS} nights of backups ...\n"),
    )?;
    live(&app.context, &shop)?;
    let state = shop.folder().join("etc/.hookshot/serve.sqlite");
    let password = add_user(app, &state)?;
    let mut wake = app.wake.borrow_mut();
    let mut ready = |address: &str| tell(app, &shop, kept, address, &password);
    let request = ServeRequest {
        listen,
        tls: None,
        public_url: None,
        trusted_proxies: Vec::new(),
        state,
        rebuild: false,
        configs: vec![shop.config()],
        agent: None,
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

/// Fails if variables or options name places of another service: the demo's verbs would work there.
fn require_no_paths(app: &App) -> Result<(), Failure> {
    let choices = &app.choices;
    let named = [
        (choices.services.is_some(), "HOOKSHOT_SERVICES"),
        (choices.secrets.is_some(), "HOOKSHOT_SECRETS"),
        (choices.data_dir.is_some(), "HOOKSHOT_DATA_DIR"),
        (choices.to.is_some(), "HOOKSHOT_TO"),
    ];
    match named.iter().find(|(is_named, _)| *is_named) {
        None => Ok(()),
        Some((_, name)) => {
            let message = format!("{name}, or its option, names a place outside of the demo");
            Err(Failure::new(Kind::Usage, message).hint("run the demo without it"))
        }
    }
}

/// Adds the admin of the demo, and returns the password.
fn add_user(app: &App, state: &Path) -> Result<String> {
    let mut password = random_secret()?;
    password.truncate(PASSWORD_LENGTH);
    let user = User {
        name: USER.to_owned(),
        role: Role::Admin,
        password: stretched(&Secret::new(&password))?,
        changed_at: (app.clock)().timestamp(),
    };
    let by = ByHand {
        user: "the demo",
        now: (app.clock)(),
    };
    Database::open(state)?.add_user(&user, by)?;
    Ok(password)
}

/// Tells where it is, and how to enter and to end it.
fn tell(
    app: &App,
    shop: &Shop,
    kept: Option<&PathBuf>,
    address: &str,
    password: &str,
) -> Result<()> {
    let config = shop.config();
    if app.printer.is_json() {
        let report = json!({
            "url": address, "user": USER, "password": password, "config": config,
            "folder": shop.folder(), "kept": kept.is_some(),
        });
        app.printer.report(&report, String::new)?;
        return Ok(());
    }
    let end = match kept {
        Some(_) => "Ctrl-C ends it; the folder stays.",
        None => "Ctrl-C ends it, and removes its folder.",
    };
    app.printer.tell(&format!(
        "\n    Open      {address}\n    Name      {USER}\n    Password  {password}\n\n\
        In the last {MISSED} nights one destination got nothing: the first page says so. A backup mends it.\n\
        The same on the command line: hookshot --config {} status\n{end}\n",
        config.display()
    ))
}

fn say(app: &App, text: &str) -> Result<()> {
    match app.printer.is_json() || app.is_quiet {
        true => Ok(()),
        false => app.printer.tell(text),
    }
}
