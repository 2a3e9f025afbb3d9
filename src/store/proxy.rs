//! Proxies between this machine and a store: the proxy of a request, and the setting that names it.
//!
//! The variables are those that curl(1) and most programs read: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and
//! `NO_PROXY`, in upper or lower case. An empty one counts as absent.

use std::net::IpAddr;

use super::{environment::Environment, secret::Secret};

/// An HTTP proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    url: Secret,
    /// Its URL, without user and password.
    pub shown: String,
    /// The variable or the key that names it.
    pub named_by: String,
    /// True if the URL has a user.
    pub has_login: bool,
}

/// The value of the key `proxy` that bypasses all proxies.
pub const NONE: &str = "none";

impl Proxy {
    /// Reads the URL of a proxy. The fault repeats nothing of it, because it may contain a password.
    pub fn parse(text: &str, named_by: &str) -> Result<Proxy, String> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let scheme = scheme.to_ascii_lowercase();
        if scheme.starts_with("socks") {
            return Err(
                "it names a SOCKS proxy, and hookshot goes through HTTP proxies only: http://HOST:PORT"
                    .to_owned(),
            );
        }
        if scheme != "http" && scheme != "https" {
            return Err("it is not the URL of a proxy: http://HOST:PORT".to_owned());
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let is_plain =
            |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:%@[]".contains(&byte);
        let (login, server) = match authority.rsplit_once('@') {
            Some((login, server)) => (Some(login), server),
            None => (None, authority),
        };
        let is_escaped = login.is_none_or(|login| !login.contains(['@', '[', ']']));
        if !authority.bytes().all(is_plain) || !is_escaped {
            return Err(
                "its user or password has characters that must be written as %XX (%40 for @)"
                    .to_owned(),
            );
        }
        let after_host = server.rfind(']').map_or(0, |end| end + 1);
        let (host, port) = match server[after_host..].split_once(':') {
            Some((host, port)) => (&server[..after_host + host.len()], Some(port)),
            None => (server, None),
        };
        let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
        if host.is_empty() || !port.is_none_or(is_port) {
            return Err("it is not the URL of a proxy: http://HOST:PORT".to_owned());
        }
        let login_at = login.map(|login| format!("{login}@")).unwrap_or_default();
        Ok(Proxy {
            url: Secret::new(format!("{scheme}://{login_at}{server}")),
            shown: format!("{scheme}://{server}"),
            named_by: named_by.to_owned(),
            has_login: login.is_some(),
        })
    }

    /// Returns its whole URL.
    pub fn url(&self) -> &str {
        self.url.reveal()
    }

    /// Returns its description for messages.
    pub fn words(&self) -> String {
        format!("the proxy {} ({})", self.shown, self.named_by)
    }

    /// Returns the fault of a proxy that asks for a login, and the advice about it.
    pub fn login_fault(&self) -> (String, &'static str) {
        let words = self.words();
        match self.has_login {
            true => (
                format!("{words} does not accept its user and password"),
                "look at both; characters such as @ and : are written as %40 and %3A",
            ),
            false => (
                format!("{words} wants a user and a password"),
                "write them into its URL: http://USER:PASSWORD@HOST:PORT",
            ),
        }
    }
}

/// The server of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// True for `https`.
    pub is_tls: bool,
    /// The host, an IPv6 address in brackets.
    pub host: String,
    /// The port, if it is not the scheme's own.
    pub port: Option<u16>,
}

impl Server {
    /// Reads the server from a URL.
    pub fn of_url(url: &str) -> Option<Server> {
        let (scheme, rest) = url.trim().split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let server = authority
            .rsplit_once('@')
            .map_or(authority, |(_, server)| server);
        let (host, port) = match server.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
            _ => (server, None),
        };
        (!host.is_empty()).then(|| Server {
            is_tls: !scheme.eq_ignore_ascii_case("http"),
            host: host.to_owned(),
            port,
        })
    }

    /// Returns its description for messages.
    pub fn words(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }
}

/// The proxy of a variable or a key: none, one, or a fault.
type Named = Option<Result<Proxy, String>>;

/// The proxies of a destination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    http: Named,
    https: Named,
    excluded: Vec<String>,
}

impl Proxies {
    /// Reads the key `proxy`, or without it the variables.
    pub fn new(key: Option<&Secret>, environment: &Environment) -> Proxies {
        if let Some(key) = key {
            let named = (key.reveal() != NONE).then(|| parse(key.reveal(), "`proxy`"));
            return Proxies {
                http: named.clone(),
                https: named,
                excluded: Vec::new(),
            };
        }
        // In CGI, HTTP_PROXY is a header of the client (httpoxy, CVE-2016-5385).
        if environment.get("REQUEST_METHOD").is_some() {
            return Proxies::default();
        }
        let first = |names: [&'static str; 2]| {
            let found = names.into_iter().find_map(|name| {
                let value = environment.get(name)?;
                Some((name, value))
            });
            found.map(|(name, value)| parse(value, name))
        };
        let all = first(["ALL_PROXY", "all_proxy"]);
        let excluded = ["NO_PROXY", "no_proxy"]
            .into_iter()
            .find_map(|name| environment.get(name))
            .unwrap_or_default();
        Proxies {
            http: first(["HTTP_PROXY", "http_proxy"]).or_else(|| all.clone()),
            https: first(["HTTPS_PROXY", "https_proxy"]).or(all),
            excluded: excluded
                .split([',', ' '])
                .map(str::trim)
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect(),
        }
    }

    /// Returns all usable proxies, each once.
    pub fn every(&self) -> Vec<&Proxy> {
        let mut every: Vec<&Proxy> = Vec::new();
        for proxy in [&self.http, &self.https].into_iter().flatten().flatten() {
            if !every.iter().any(|known| known.url == proxy.url) {
                every.push(proxy);
            }
        }
        every
    }

    /// Returns the proxy for requests to `server`, or the fault of a wrong proxy URL.
    pub fn of(&self, server: &Server) -> Result<Option<&Proxy>, &str> {
        let named = match server.is_tls {
            true => &self.https,
            false => &self.http,
        };
        match named {
            Some(named) if !self.excludes(server) => {
                named.as_ref().map(Some).map_err(String::as_str)
            }
            _ => Ok(None),
        }
    }

    fn excludes(&self, server: &Server) -> bool {
        let host = server.host.trim_start_matches('[').trim_end_matches(']');
        let port = server.port.unwrap_or(if server.is_tls { 443 } else { 80 });
        self.excluded.iter().any(|word| is_host(word, host, port))
    }
}

fn parse(text: &str, named_by: &str) -> Result<Proxy, String> {
    Proxy::parse(text, named_by).map_err(|fault| format!("{named_by}: {fault}"))
}

/// Returns true if a word of `NO_PROXY` covers a host: `*`, an address, a network, or a domain with everything below
/// it. A port may follow.
fn is_host(word: &str, host: &str, port: u16) -> bool {
    if word == "*" {
        return true;
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        if let Some((network, bits)) = word.split_once('/') {
            return is_in(address, network, bits);
        }
        let bare = |word: &str| {
            let word = word.trim_start_matches('[').trim_end_matches(']');
            word.parse::<IpAddr>().ok()
        };
        if bare(word) == Some(address) {
            return true;
        }
        return word
            .rsplit_once(':')
            .is_some_and(|(word, at)| at == port.to_string() && bare(word) == Some(address));
    }
    let (domain, at) = match word.rsplit_once(':') {
        Some((domain, at)) => (domain, Some(at)),
        None => (word, None),
    };
    if at.is_some_and(|at| at != port.to_string()) {
        return false;
    }
    let domain = domain.trim_start_matches("*.").trim_start_matches('.');
    let (domain, host) = (domain.to_ascii_lowercase(), host.to_ascii_lowercase());
    let host = host.trim_end_matches('.');
    host.strip_suffix(domain.as_str())
        .is_some_and(|before| !domain.is_empty() && (before.is_empty() || before.ends_with('.')))
}

fn is_in(address: IpAddr, network: &str, bits: &str) -> bool {
    let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else {
        return false;
    };
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        (IpAddr::V6(address), IpAddr::V6(network)) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let variables = variables.iter();
        Environment::of(
            variables
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    fn server(url: &str) -> Server {
        Server::of_url(url).expect("a URL")
    }

    #[test]
    fn each_scheme_has_its_proxy_and_an_empty_variable_is_none() {
        let proxies = Proxies::new(
            None,
            &environment(&[
                ("HTTP_PROXY", ""),
                ("http_proxy", "http://plain:3128/"),
                ("ALL_PROXY", "all:1080"),
                ("NO_PROXY", ""),
            ]),
        );
        let of = |url: &str| {
            let proxy = proxies.of(&server(url)).expect("good").expect("a proxy");
            (proxy.shown.clone(), proxy.named_by.clone())
        };
        let owned = |shown: &str, by: &str| (shown.to_owned(), by.to_owned());
        assert_eq!(of("http://x"), owned("http://plain:3128", "http_proxy"));
        assert_eq!(of("https://x"), owned("http://all:1080", "ALL_PROXY"));
        let cgi = environment(&[("REQUEST_METHOD", "GET"), ("HTTP_PROXY", "http://x")]);
        assert_eq!(Proxies::new(None, &cgi), Proxies::default());
        let none = Secret::new(NONE);
        let set = environment(&[("HTTPS_PROXY", "http://x")]);
        let around = Proxies::new(Some(&none), &set);
        assert_eq!(around.of(&server("https://x")), Ok(None));
    }

    #[test]
    fn hosts_that_go_around_the_proxy() {
        let no = "localhost, .internal,example.org:9000,10.0.0.0/8,192.0.2.7,fd00::/8,[::1]";
        let proxies = Proxies::new(
            None,
            &environment(&[("https_proxy", "http://p:1"), ("no_proxy", no)]),
        );
        for (url, goes_around) in [
            ("https://localhost", true),
            ("https://LOCALHOST:1", true),
            ("https://a.internal", true),
            ("https://internal", true),
            ("https://notinternal", false),
            ("https://example.org:9000", true),
            ("https://s3.example.org:9000", true),
            ("https://example.org", false),
            ("https://10.200.0.1", true),
            ("https://11.0.0.1", false),
            ("https://192.0.2.7:9", true),
            ("https://[fd12::1]:9", true),
            ("https://[::1]", true),
            ("https://[::2]", false),
        ] {
            let found = proxies.of(&server(url)).expect("good");
            assert_eq!(found.is_none(), goes_around, "{url}");
        }
        let all = environment(&[("https_proxy", "http://p:1"), ("NO_PROXY", "*")]);
        let all = Proxies::new(None, &all);
        assert_eq!(all.of(&server("https://192.0.2.1")), Ok(None));
    }

    #[test]
    fn a_url_that_names_no_proxy_is_a_fault_and_no_password_is_repeated() {
        for (url, says) in [
            ("socks5://me:hunter2@h:1080", "SOCKS"),
            ("ftp://h", "not the URL"),
            ("http://", "not the URL"),
            ("http://me:hunter2@h:99999", "not the URL"),
            ("http://me:hunt er2@h:1", "%XX"),
            ("http://me:hunter2@x@h:1", "%XX"),
            ("http://me:hunter2^@h:1", "%XX"),
        ] {
            let fault = Proxy::parse(url, "HTTPS_PROXY").expect_err(url);
            assert!(fault.contains(says), "{url}: {fault}");
            assert!(!fault.contains("hunter2"), "{fault}");
        }
        let proxy = Proxy::parse(" http://me:hunter2@h:3128/ ", "`proxy`").expect("good");
        assert_eq!(proxy.words(), "the proxy http://h:3128 (`proxy`)");
        assert_eq!(proxy.url(), "http://me:hunter2@h:3128");
        assert!(!format!("{proxy:?}").contains("hunter2"));
    }
}
