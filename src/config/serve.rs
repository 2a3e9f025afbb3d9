//! `[backup.serve]` and `[[serve.configs]]`: the server of pages and of the REST API, and what it looks after.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use toml::Table;

use super::reader::{self, Completeness, Section};

/// The choices for the server. What the file does not say is `None` or empty; flags of `serve` win.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServeSettings {
    /// The file of its state; a relative path counts from the configuration's folder.
    pub state: Option<PathBuf>,
    /// The address and port to listen on.
    pub listen: Option<SocketAddr>,
    /// The origin that browsers see, if it is another one.
    pub public_url: Option<String>,
    /// The addresses of proxies that are trusted.
    pub trusted_proxies: Vec<IpAddr>,
    /// The files of a certificate and of its key, in PEM; relative paths count from the configuration's folder.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// The settings of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Served {
    /// `[backup.serve]`.
    pub own: ServeSettings,
    /// `[[serve.configs]]`: further configurations of this machine, absolute.
    pub configs: Vec<PathBuf>,
}

impl Served {
    /// Reads these settings alone: a fault elsewhere in the file is not theirs.
    pub fn read(table: &Table) -> Result<Served, Vec<String>> {
        reader::read_table(table, Completeness::Whole, |root| {
            root.share();
            let own = root.section("backup", |backup| {
                backup.share();
                backup.section("serve", read)
            });
            Served {
                own: own.flatten().unwrap_or_default(),
                configs: read_configs(root),
            }
        })
    }
}

/// Reads `[backup.serve]`.
pub(super) fn read(section: &Section<'_>) -> ServeSettings {
    let public_url = section.text("public_url").and_then(|url| {
        let origin = origin(&url);
        if origin.is_none() {
            let says = "must be scheme and name alone, such as \"https://backup.example\"";
            section.fault("public_url", says);
        }
        origin
    });
    let (certificate, key) = (section.path("tls_cert"), section.path("tls_key"));
    if !section.is_part() && certificate.is_some() != key.is_some() {
        section.fault("tls_cert", "and `tls_key` belong together");
    }
    ServeSettings {
        state: section.path("state"),
        listen: section.written(
            "listen",
            "an address and a port, such as \"127.0.0.1:7878\"",
            |_| true,
        ),
        public_url,
        trusted_proxies: read_proxies(section),
        tls: certificate.zip(key),
    }
}

fn read_proxies(section: &Section<'_>) -> Vec<IpAddr> {
    let words = section.list("trusted_proxies").into_iter();
    let address = |word: String| {
        let address = word.parse().ok();
        if address.is_none() {
            section.fault(
                "trusted_proxies",
                "must be addresses, such as \"127.0.0.1\"",
            );
        }
        address
    };
    words.filter_map(address).collect()
}

/// Reads `[[serve.configs]]`.
pub(super) fn read_configs(root: &Section<'_>) -> Vec<PathBuf> {
    let configs = root.section("serve", |section| {
        section.share();
        section.repeated("configs", |one| {
            let path = one.required_path("path")?;
            if !path.is_absolute() {
                one.fault("path", "must be absolute: it begins with `/`");
                return None;
            }
            Some(path)
        })
    });
    let configs = configs.flatten().unwrap_or_default();
    let distinct: BTreeSet<&Path> = configs.iter().map(PathBuf::as_path).collect();
    if distinct.len() < configs.len() {
        root.refuse("a configuration under [[serve.configs]] is named twice");
    }
    configs
}

/// Returns the origin of a URL (RFC 6454): scheme, host, and port if it is not the scheme's.
pub fn origin(url: &str) -> Option<String> {
    let trimmed = url.trim_end_matches('/');
    let (scheme, host) = trimmed.split_once("://").unwrap_or_default();
    let is_host = !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']);
    if !matches!(scheme, "http" | "https") || !is_host {
        return None;
    }
    let port = if scheme == "https" { ":443" } else { ":80" };
    Some(trimmed.strip_suffix(port).unwrap_or(trimmed).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_toml;

    fn parse(text: &str) -> Result<Served, Vec<String>> {
        Served::read(&parse_toml(text).expect("TOML"))
    }

    const GOOD: &str = "[backup]\nprefix = 7\n[backup.serve]\nstate = \"s.sqlite\"\nlisten = \"[::1]:80\"\n\
        public_url = \"https://b.example:443/\"\ntrusted_proxies = [\"127.0.0.1\"]\ntls_cert = \"c\"\n\
        tls_key = \"k\"\n[[serve.configs]]\npath = \"/a\"\n[[serve.configs]]\npath = \"/b\"\n";

    #[test]
    fn the_settings_of_a_server_are_read_whatever_the_other_sections_say() {
        let served = parse(GOOD).expect("good");
        assert_eq!(served.configs, [Path::new("/a"), Path::new("/b")]);
        assert_eq!(served.own.public_url.as_deref(), Some("https://b.example"));
        assert_eq!(served.own.listen, "[::1]:80".parse().ok());
        assert_eq!(served.own.tls, Some(("c".into(), "k".into())));
        assert_eq!(served.own.trusted_proxies.len(), 1);
        assert_eq!(parse("[backup]\n"), Ok(Served::default()));
    }

    #[test]
    fn every_fault_is_named() {
        let bad = "[backup.serve]\nlisten = \"here\"\npublic_url = \"https://a/b\"\ntrusted_proxies = [\"x\"]\n\
            tls_cert = \"c\"\nstat = \"s\"\n[[serve.configs]]\npath = \"b.toml\"\n[[serve.configs]]\n\
            [[serve.configs]]\npath = \"/a\"\n[[serve.configs]]\npath = \"/a\"\n";
        let faults = parse(bad).expect_err("bad");
        let all = faults.join("\n");
        for says in [
            "`listen` under [backup.serve] must be an address and a port",
            "`public_url` under",
            "`trusted_proxies` under",
            "`tls_cert` under [backup.serve] and `tls_key` belong together",
            "unknown key `stat` under [backup.serve]; did you mean `state`?",
            "`path` under [serve.configs 1] must be absolute",
            "`path` is missing under [serve.configs 2]",
            "is named twice",
        ] {
            assert!(all.contains(says), "{says}: {all}");
        }
        assert_eq!(faults.len(), 8, "{faults:?}");
    }
}
