//! The address of a request, which holds a secret.

use std::fmt;

use reqwest::Url;

use crate::{model::secret_url::secret_parts, store::proxy::Server};

/// The length from which a part of a URL is masked in the answer to it.
const LEAST_PART_BYTES: usize = 3;

/// The address of a request.
#[derive(Clone, PartialEq, Eq)]
pub struct WebAddress(Url);

impl WebAddress {
    /// Reads a URL of HTTP. The fault repeats nothing of it.
    pub fn parse(text: &str) -> Result<WebAddress, &'static str> {
        let url = Url::parse(text.trim()).map_err(|_| "is not a URL")?;
        if !["http", "https"].contains(&url.scheme()) {
            return Err("must begin with https:// or http://");
        }
        match url.host_str() {
            Some(host) if !host.is_empty() => Ok(WebAddress(url)),
            _ => Err("names no host"),
        }
    }

    /// Returns the address of something below this one, as `/start` is.
    #[must_use]
    pub fn below(&self, segment: &str) -> WebAddress {
        let mut url = self.0.clone();
        let path = format!("{}/{segment}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        WebAddress(url)
    }

    /// Returns the address with one more parameter.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> WebAddress {
        let mut url = self.0.clone();
        url.query_pairs_mut().append_pair(name, value);
        WebAddress(url)
    }

    /// Returns the address to which a redirect from here leads, if it has a host.
    pub(super) fn leading_to(&self, location: &str) -> Option<WebAddress> {
        let url = self.0.join(location).ok()?;
        url.host_str()?;
        Some(WebAddress(url))
    }

    /// Returns its whole URL.
    pub(super) fn url(&self) -> Url {
        self.0.clone()
    }

    /// Returns the last part of its path.
    pub fn last_segment(&self) -> &str {
        let path = self.0.path().trim_end_matches('/');
        path.rsplit('/').next().unwrap_or_default()
    }

    /// Returns its server.
    pub fn server(&self) -> Server {
        Server {
            is_tls: self.0.scheme() == "https",
            host: self.0.host_str().unwrap_or_default().to_owned(),
            port: self.0.port(),
        }
    }

    /// Returns scheme, host and port, for messages.
    pub fn shown(&self) -> String {
        format!("{}://{}", self.0.scheme(), self.server().words())
    }

    /// Returns the parts that are secrets by themselves.
    pub fn secrets(&self) -> Vec<String> {
        secret_parts(self.0.as_str())
    }

    /// Returns every part of path and query, secret or not: a server may repeat them.
    pub fn parts(&self) -> Vec<String> {
        let whole = [self.0.path(), self.0.query().unwrap_or_default()];
        let pieces = whole.iter().flat_map(|text| text.split(['/', '&', '=']));
        let parts = whole.iter().copied().chain(pieces);
        let parts = parts.filter(|part| part.len() >= LEAST_PART_BYTES);
        parts.map(str::to_owned).collect()
    }
}

impl fmt::Debug for WebAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_shows_its_server_alone() {
        let hook = "https://me:hunter2@Hooks.example.org:8443/services/T0001/B0002/AbcDef123456?token=xyzXYZ123";
        let address = WebAddress::parse(hook).expect("a URL");
        assert_eq!(address.shown(), "https://hooks.example.org:8443");
        assert_eq!(format!("{address:?}"), address.shown());
        let secrets = ["AbcDef123456", "xyzXYZ123", "hunter2", "bWU6aHVudGVyMg=="];
        assert_eq!(address.secrets(), secrets);
        assert!(address.parts().iter().any(|part| part == "T0001"));
        assert_eq!(address.last_segment(), "AbcDef123456");
        for wrong in [
            "hunter2",
            "ftp://hunter2",
            "https://",
            "https://hunter2 x/",
            "mailto:hunter2",
        ] {
            let fault = WebAddress::parse(wrong).expect_err(wrong);
            assert!(!fault.contains("hunter2"), "{fault}");
        }
    }

    #[test]
    fn a_ping_keeps_the_parameters_of_its_address() {
        let of = |url: &str| WebAddress::parse(url).expect("a URL");
        for (url, ping) in [
            ("https://h/uuid", "https://h/uuid/start?rid=r"),
            ("https://h/uuid/", "https://h/uuid/start?rid=r"),
            (
                "https://h/key/slug?create=1",
                "https://h/key/slug/start?create=1&rid=r",
            ),
        ] {
            let address = of(url).below("start").with("rid", "r");
            assert_eq!(address.0.as_str(), ping);
        }
    }
}
