//! Addresses of folders on SSH servers.

use std::fmt;

/// A folder of an SSH server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAddress {
    /// The user of the login; if none, as ssh is configured.
    pub user: Option<String>,
    /// The server, or a name that ssh's configuration knows.
    pub host: String,
    /// Its port; if none, as ssh is configured.
    pub port: Option<u16>,
    /// The folder, relative to the folder in which the login begins unless it starts with a slash.
    pub folder: String,
}

impl ServerAddress {
    /// Reads the host and the path of a URL.
    pub(super) fn parse(host: &str, path: &str) -> Result<ServerAddress, String> {
        let (user, host) = match host.rsplit_once('@') {
            Some((user, host)) => (Some(user.to_owned()), host),
            None => (None, host),
        };
        let (host, port) = host_and_port(host)?;
        if user.as_deref().is_some_and(|user| !is_ssh_word(user)) {
            return Err("sftp://USER@HOST/FOLDER names no user that ssh could take".to_owned());
        }
        // The path begins at the root, unless it is `~` or begins with `~/`: `~` is the folder in which the login begins.
        let folder = match path.strip_prefix("~/") {
            Some(below) => below.to_owned(),
            None if path == "~" => ".".to_owned(),
            None => format!("/{path}"),
        };
        let folder = match folder.trim_end_matches('/') {
            "" => "/".to_owned(),
            folder => folder.to_owned(),
        };
        Ok(ServerAddress {
            user,
            host,
            port,
            folder,
        })
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ServerAddress {
            user,
            host,
            port,
            folder,
        } = self;
        f.write_str("sftp://")?;
        if let Some(user) = user {
            write!(f, "{user}@")?;
        }
        match host.contains(':') {
            true => write!(f, "[{}]", host.replacen('%', "%25", 1))?,
            false => f.write_str(host)?,
        }
        if let Some(port) = port {
            write!(f, ":{port}")?;
        }
        match folder.strip_prefix('/') {
            Some(below) => write!(f, "/{below}"),
            None if folder == "." => f.write_str("/~"),
            None => write!(f, "/~/{folder}"),
        }
    }
}

/// Returns true for a word that ssh takes as a host or a user. ssh_config(5) may give both to a shell (`ProxyCommand`,
/// `Match exec`), and a word that begins with `-` would be an option.
pub fn is_ssh_word(word: &str) -> bool {
    let is_plain = |letter: char| {
        letter.is_alphanumeric() || matches!(letter, '.' | '_' | '-' | ':' | '@' | '+' | '%')
    };
    !word.is_empty() && !word.starts_with('-') && word.chars().all(is_plain)
}

/// Reads the host and the port of a URL of sftp.
fn host_and_port(text: &str) -> Result<(String, Option<u16>), String> {
    let nowhere = || "sftp://USER@HOST/FOLDER names no host that ssh could take".to_owned();
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let closed = rest.split_once(']');
        let host = closed.and_then(|(host, _)| ipv6(host));
        let behind = closed.map_or("", |(_, behind)| behind);
        let host = host.ok_or_else(|| {
            "brackets are for IPv6 addresses: sftp://USER@[2001:db8::1]:22/FOLDER".to_owned()
        })?;
        match behind.strip_prefix(':') {
            None if behind.is_empty() => (host, None),
            port => (host, Some(port.ok_or_else(nowhere)?)),
        }
    } else if text.matches(':').count() > 1 {
        return Err(
            "an IPv6 address stands in brackets: sftp://USER@[2001:db8::1]:22/FOLDER".to_owned(),
        );
    } else {
        match text.rsplit_once(':') {
            Some((host, port)) => (host.to_owned(), Some(port)),
            None => (text.to_owned(), None),
        }
    };
    if !is_ssh_word(&host) {
        return Err(nowhere());
    }
    let port = port.map(|port| {
        let number: Option<std::num::NonZeroU16> = port.parse().ok();
        let number = number.filter(|_| port.bytes().all(|byte| byte.is_ascii_digit()));
        number.ok_or_else(|| format!("{port:?} is not a port: sftp://USER@HOST:PORT/FOLDER"))
    });
    Ok((host, port.transpose()?.map(std::num::NonZeroU16::get)))
}

/// Reads an IPv6 address, which stands in brackets in a URL, with its zone (RFC 4007, RFC 6874).
fn ipv6(text: &str) -> Option<String> {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone.strip_prefix("25").unwrap_or(zone))),
        None => (text, None),
    };
    let address: std::net::Ipv6Addr = address.parse().ok()?;
    match zone {
        None => Some(address.to_string()),
        Some(zone) => {
            let is_name =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
            let is_zone = !zone.is_empty() && zone.bytes().all(is_name);
            is_zone.then(|| format!("{address}%{zone}"))
        }
    }
}
