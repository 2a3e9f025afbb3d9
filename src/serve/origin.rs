//! The origin of a request, and the server that it wants: names of this server, addresses of proxies, and pages of others.
//!
//! The browser of a user that is logged in sends the cookie with every request to this server, whatever page asked for it. So a
//! request that changes something has to come from a page of this server (Fetch Metadata, RFC 6454).

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, Method, header};

/// The names and addresses by which this server is reached.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Its address.
    listen: SocketAddr,
    /// `https` or `http`, by itself.
    scheme: &'static str,
    /// The origin that browsers see, if a proxy or a name of ours stands before it.
    public: Option<String>,
    /// The addresses of proxies whose words about their clients are believed.
    proxies: Vec<IpAddr>,
}

impl Origin {
    /// Describes a server. `public` is an origin: scheme, host, and port unless it is the scheme's.
    pub fn new(
        listen: SocketAddr,
        has_tls: bool,
        public: Option<String>,
        proxies: Vec<IpAddr>,
    ) -> Origin {
        let scheme = if has_tls { "https" } else { "http" };
        Origin {
            listen,
            scheme,
            public,
            proxies,
        }
    }

    /// Returns true if browsers reach it over TLS.
    pub fn is_secure(&self) -> bool {
        match &self.public {
            Some(public) => public.starts_with("https://"),
            None => self.scheme == "https",
        }
    }

    /// Returns true if a request may name this host. Only names can be turned to another address by their owner (DNS
    /// rebinding), so every address is fine.
    pub fn serves(&self, host: &str) -> bool {
        if self.is_public(host) {
            return true;
        }
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name, port.parse().ok()),
            _ => (host, Some(self.default_port())),
        };
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let is_ours = name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok();
        is_ours && port == Some(self.listen.port())
    }

    fn default_port(&self) -> u16 {
        if self.scheme == "https" { 443 } else { 80 }
    }

    /// Returns true if a browser may send this request with a cookie: nothing but a page of this server makes it.
    pub fn is_own(&self, method: &Method, headers: &HeaderMap) -> bool {
        if method.is_safe() {
            return true;
        }
        let text = |name| {
            headers
                .get(name)
                .and_then(|value: &header::HeaderValue| value.to_str().ok())
        };
        if let Some(site) = text(header::HeaderName::from_static("sec-fetch-site")) {
            return matches!(site, "same-origin" | "none");
        }
        let (Some(origin), Some(host)) = (text(header::ORIGIN), text(header::HOST)) else {
            return false;
        };
        match &self.public {
            // A page that came to this name without TLS may be that of another server.
            Some(public) if self.is_public(host) => origin.eq_ignore_ascii_case(public),
            _ => origin.eq_ignore_ascii_case(&format!("{}://{host}", self.scheme)),
        }
    }

    /// Returns true if this is the host of the origin that browsers see.
    fn is_public(&self, host: &str) -> bool {
        let public = self.public.as_deref();
        let public = public.and_then(|public| public.split("://").nth(1));
        public.is_some_and(|public| public.eq_ignore_ascii_case(host))
    }

    /// Returns the address of a client: what a trusted proxy says of it, else that of the connection.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer;
        let told = headers.get_all("x-forwarded-for").into_iter();
        let told: Vec<&str> = told
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect();
        // The last word is that of the nearest proxy; a client may write those before it.
        for word in told.into_iter().rev() {
            if !self.proxies.contains(&client) {
                break;
            }
            match word.trim().parse() {
                Ok(address) => client = address,
                Err(_) => break,
            }
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(public: Option<&str>) -> Origin {
        let proxies = vec!["10.0.0.1".parse().expect("an address")];
        let listen = "127.0.0.1:7878".parse().expect("an address");
        Origin::new(listen, false, public.map(str::to_owned), proxies)
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let value = value.parse().expect("a value");
            (header::HeaderName::from_static(name), value)
        });
        pairs.collect()
    }

    #[test]
    fn only_names_of_this_server_are_served() {
        let plain = at(None);
        for host in [
            "localhost:7878",
            "127.0.0.1:7878",
            "[::1]:7878",
            "192.168.1.9:7878",
        ] {
            assert!(plain.serves(host), "{host}");
        }
        for host in [
            "",
            "evil.example:7878",
            "localhost",
            "localhost:80",
            "localhost.evil.example:7878",
            "127.0.0.1.evil.example:7878",
            "127.0.0.1:x",
            "[::1",
        ] {
            assert!(!plain.serves(host), "{host}");
        }
        let public = at(Some("https://backup.example"));
        assert!(public.serves("backup.example") && public.is_secure());
        assert!(!public.serves("backup.example:8443"));
    }

    #[test]
    fn a_change_comes_from_a_page_of_this_server() {
        let plain = at(None);
        let own = |pairs: &[(&'static str, &str)]| plain.is_own(&Method::POST, &headers(pairs));
        assert!(own(&[("sec-fetch-site", "same-origin")]));
        assert!(own(&[("sec-fetch-site", "none")]));
        assert!(own(&[
            ("origin", "http://localhost:7878"),
            ("host", "localhost:7878")
        ]));
        for refused in [
            &[][..],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("origin", "null"), ("host", "localhost:7878")],
            &[
                ("origin", "http://localhost:9999"),
                ("host", "localhost:7878"),
            ],
            &[
                ("origin", "https://localhost:7878"),
                ("host", "localhost:7878"),
            ],
            &[("host", "localhost:7878")],
            &[
                ("sec-fetch-site", "cross-site"),
                ("origin", "http://localhost:7878"),
                ("host", "localhost:7878"),
            ],
        ] {
            assert!(!own(refused), "{refused:?}");
        }
        assert!(plain.is_own(&Method::GET, &headers(&[("sec-fetch-site", "cross-site")])));
    }

    #[test]
    fn only_a_trusted_proxy_tells_of_its_client() {
        let plain = at(None);
        let told = headers(&[("x-forwarded-for", "6.6.6.6, 7.7.7.7")]);
        let client = |peer: &str| {
            plain
                .client(peer.parse().expect("an address"), &told)
                .to_string()
        };
        assert_eq!(client("10.0.0.2"), "10.0.0.2");
        assert_eq!(client("10.0.0.1"), "7.7.7.7");
    }
}
