//! The settings of `hookshot serve`: those of the configuration, which need not be readable.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    path::{Path, PathBuf},
};

use anyhow::Result;
use tracing::warn;

use crate::{
    cli::app::App,
    config::{
        parse_toml, read_text,
        serve::{Served, origin},
    },
    error::{Failure, Kind},
};

/// The address unless something else is said: this machine alone.
pub const LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 7878));
/// The state unless something else is said, beside the configuration.
pub const STATE: &str = ".hookshot/serve.sqlite";

/// Returns the settings of the server. A configuration that cannot be read is told, and says nothing: the server has a user of
/// its own, which need not read it.
///
/// Errors: [`Kind::Usage`] if these settings themselves have faults.
pub fn served(app: &App, config: &Path) -> Result<Served> {
    let error = match app.settings() {
        Ok(settings) => {
            return Ok(Served {
                own: settings.schema.serve.clone(),
                configs: settings.schema.served.clone(),
            });
        }
        Err(error) => error,
    };
    // Other sections may have faults; the verbs tell them.
    let text = read_text(config).ok().flatten();
    let table = text.and_then(|text| parse_toml(&text).ok());
    let faults = match table.map(|table| Served::read(&table)) {
        Some(Ok(served)) => return Ok(served),
        Some(Err(faults)) => faults,
        None => {
            warn!(
                "{error:#}; what it says under [backup.serve] and [[serve.configs]] does not count"
            );
            return Ok(Served::default());
        }
    };
    let first = faults.first().map(String::as_str).unwrap_or_default();
    let message = format!("{} is not a good configuration: {first}", config.display());
    Err(Failure::new(Kind::Usage, message).faults(faults).into())
}

/// Returns a path of the configuration, which counts from its folder.
pub fn beside(config: &Path, path: &Path) -> PathBuf {
    config.parent().unwrap_or(Path::new(".")).join(path)
}

/// Returns the configurations that are looked after: this one, and each further one once.
pub fn looked_after(config: PathBuf, further: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut configs = vec![config];
    for one in further {
        if configs.contains(&one) {
            continue;
        }
        if let Err(error) = File::open(&one) {
            warn!("Cannot read {}: {error}; the others go on", one.display());
        }
        configs.push(one);
    }
    configs
}

/// Returns the origin of a URL that a flag says.
pub fn origin_of(url: &str) -> Result<String, Failure> {
    origin(url).ok_or_else(|| {
        let message = format!("{url} is not the address of a server");
        Failure::new(Kind::Usage, message)
            .hint("give scheme and name alone, such as https://backup.example")
    })
}
