//! Requests of HTTP to servers that the configuration names: through our proxies, with our authorities, and without
//! following redirects.
//!
//! A URL may hold a secret in its path or its query, so only scheme, host and port are ever shown. Not for callers
//! inside an async runtime.

mod address;

use std::{
    io::Read as _,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use reqwest::{
    Certificate, Method,
    blocking::{Client, Response},
    header::{HeaderMap, HeaderName, HeaderValue, LOCATION},
    redirect::Policy,
};

pub use self::address::WebAddress;
use super::{
    authorities::{self, Authorities},
    distrust::{KeyNames, distrust},
    environment::Environment,
    proxy::{self, Proxies, Proxy, Server},
    rest::asked_rest,
    secret::Secret,
    text::{quoted, root, texts},
};
use crate::{
    error::{Failure, Kind},
    work::panics::caught,
};

/// The most bytes of an answer that are read.
const MOST_BYTES: u64 = 4 << 10;

const KEYS: KeyNames = KeyNames {
    ca_file: "`ca_file`",
    address: "`url`",
    plain: "http://",
};

/// A request.
#[derive(Debug, Clone)]
pub struct WebRequest {
    /// Its address.
    pub address: WebAddress,
    /// Its headers, of which each value may be a secret.
    pub headers: Vec<(String, Secret)>,
    /// The content to post; without it, the request asks (GET).
    pub body: Option<Vec<u8>>,
    /// The answers whose text is read.
    pub reads: Reads,
}

/// The answers whose text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// Those that are not a success.
    Refusals,
    /// Successes, too: the service says in their text what became of the request.
    Successes,
}

/// The answer of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebAnswer {
    /// The status.
    pub status: u16,
    /// The beginning of its text, if that is read. It may repeat a secret.
    pub text: String,
    /// The pause that it asks for.
    pub rest: Option<Duration>,
    /// The server to which it redirects.
    pub leads_to: Option<String>,
}

/// The reason why a request had no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebFault {
    /// The failure, lower case, without a secret.
    pub what: String,
    /// The advice to the user.
    pub hint: String,
    /// True if a retry may end otherwise, and does not give the server the content twice.
    pub may_pass: bool,
}

/// A client of one server.
pub struct WebClient {
    client: Client,
    server: Server,
    proxy: Option<Proxy>,
}

/// Checks the file of authorities, without a request.
pub fn check_authorities(ca_file: Option<&Path>) -> Result<()> {
    authorities::look_over(ca_file, parse)
}

/// Checks the proxy of a server, or the key `proxy` alone if the server is unknown, without a request.
pub fn check_proxy(
    address: Option<&WebAddress>,
    proxy: Option<&Secret>,
    environment: &Environment,
) -> Result<()> {
    require_proxy(proxy)?;
    match address {
        Some(address) => proxy_of(&address.server(), proxy, environment).map(drop),
        None => Ok(()),
    }
}

impl WebClient {
    /// Makes a client of an address's server, which waits for a connection at most `patience`. `ca_file` names
    /// authorities to trust beside the system's, `proxy` takes the place of the variables.
    pub fn new(
        address: &WebAddress,
        ca_file: Option<&Path>,
        proxy: Option<&Secret>,
        environment: &Environment,
        patience: Duration,
    ) -> Result<WebClient> {
        let server = address.server();
        let proxy = proxy_of(&server, proxy, environment)?;
        // Frames of HTTP/2 would be logged with the path.
        let mut builder = Client::builder()
            .user_agent(concat!("hookshot/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .connect_timeout(patience)
            .http1_only()
            .no_proxy();
        let has_tls = |proxy: &Proxy| proxy.url().starts_with("https://");
        if server.is_tls || proxy.as_ref().is_some_and(has_tls) {
            let authorities = Authorities::read(ca_file, None, environment, parse)?;
            builder = match authorities.has_system {
                true => builder.tls_certs_only(authorities.named),
                false => builder.tls_certs_merge(authorities.named),
            };
        } else {
            // Nothing needs the authorities of the system, which may be missing.
            builder = builder.tls_certs_only([]);
        }
        let made = caught(|| match &proxy {
            Some(proxy) => builder.proxy(reqwest::Proxy::all(proxy.url())?).build(),
            None => builder.build(),
        });
        let client = made.context("no client can be made")?;
        let client = client.map_err(|error| unusable(&root(&error.without_url())))?;
        Ok(WebClient {
            client,
            server,
            proxy,
        })
    }

    /// Sends a request, and waits for the answer at most `limit`.
    pub fn send(&self, request: &WebRequest, limit: Duration) -> Result<WebAnswer, WebFault> {
        let begun = Instant::now();
        let headers = headers(&request.headers).ok_or_else(|| WebFault {
            what: "a header's value has characters that no header has".to_owned(),
            hint: "look at `headers` and `token`".to_owned(),
            may_pass: false,
        })?;
        let method = match request.body {
            Some(_) => Method::POST,
            None => Method::GET,
        };
        // The library panics at some hosts.
        let sent = caught(|| {
            let builder = self.client.request(method, request.address.url());
            let builder = builder.headers(headers).timeout(limit);
            match &request.body {
                Some(body) => builder.body(body.clone()).send(),
                None => builder.send(),
            }
        });
        let sent = sent.map_err(|caught| WebFault {
            what: caught.to_string(),
            hint: "look at `url`".to_owned(),
            may_pass: false,
        })?;
        match sent {
            Ok(answer) => Ok(self.read(request, answer, begun, limit)),
            Err(error) => Err(self.fault(error)),
        }
    }

    fn read(
        &self,
        request: &WebRequest,
        mut answer: Response,
        begun: Instant,
        limit: Duration,
    ) -> WebAnswer {
        let status = answer.status();
        let header = |name: &str| answer.headers().get(name)?.to_str().ok();
        let rest = asked_rest(header);
        let location = header(LOCATION.as_str());
        let leads_to =
            location.and_then(|location| Some(request.address.leading_to(location)?.shown()));
        let is_read = match request.reads {
            Reads::Refusals => !status.is_success(),
            Reads::Successes => true,
        };
        let is_read = is_read && !status.is_redirection();
        let mut text = Vec::new();
        while is_read && begun.elapsed() < limit && (text.len() as u64) < MOST_BYTES {
            let mut piece = [0; 1024];
            match answer.read(&mut piece) {
                Ok(count) if count > 0 => text.extend_from_slice(&piece[..count]),
                _ => break,
            }
        }
        WebAnswer {
            status: status.as_u16(),
            text: String::from_utf8_lossy(&text).into_owned(),
            rest,
            leads_to: leads_to.filter(|_| status.is_redirection()),
        }
    }

    /// Explains why no answer came.
    fn fault(&self, error: reqwest::Error) -> WebFault {
        let error = error.without_url();
        let (text, shown) = (texts(&error), self.server.words());
        let around = format!("NO_PROXY={} goes around it", self.server.host);
        let fault = |what: String, hint: String, may_pass: bool| WebFault {
            what,
            hint,
            may_pass,
        };
        if let Some((what, hint)) = distrust(&text, &shown, &KEYS) {
            let hint = match &self.proxy {
                Some(proxy) => format!("{hint}; requests go through {}", proxy.words()),
                None => hint,
            };
            return fault(what, hint, false);
        }
        if text.contains("tls handshake eof") {
            let what = format!("{shown} ended the connection while TLS began");
            let hint = "a server without TLS is written http://; look at `url`";
            return fault(what, hint.to_owned(), true);
        }
        let why = quoted(&root(&error));
        if let Some(proxy) = &self.proxy {
            let words = proxy.words();
            if text.contains("proxy authorization required") {
                return self.no_login(proxy);
            }
            if text.contains("tunnel error: unsuccessful") {
                let hint = format!("ask for {shown} to be allowed there; {around}");
                return fault(
                    format!("{words} does not let us through to {shown}"),
                    hint,
                    true,
                );
            }
            let hint = format!("look at the proxy; {around}");
            return match error.is_timeout() {
                true => fault(
                    format!("no answer in time through {words}"),
                    hint,
                    error.is_connect(),
                ),
                false if error.is_connect() => {
                    fault(format!("no connection to {words}: {why}"), hint, true)
                }
                false => fault(
                    format!("the connection through {words} broke: {why}"),
                    hint,
                    true,
                ),
            };
        }
        let hint = "look at `url` and at the network".to_owned();
        match error.is_timeout() {
            // The content may have arrived.
            true => fault(
                format!("{shown} gave no answer in time"),
                hint,
                error.is_connect(),
            ),
            false if error.is_connect() => {
                fault(format!("no connection to {shown}: {why}"), hint, true)
            }
            false => fault(
                format!("the connection to {shown} broke: {why}"),
                hint,
                !error.is_builder(),
            ),
        }
    }

    fn no_login(&self, proxy: &Proxy) -> WebFault {
        let (what, hint) = proxy.login_fault();
        WebFault {
            what,
            hint: hint.to_owned(),
            may_pass: false,
        }
    }

    /// Returns the fault of a proxy that asks for a login, if it sent an answer in place of the server.
    pub fn proxy_fault(&self, answer: &WebAnswer) -> Option<WebFault> {
        let proxy = self.proxy.as_ref()?;
        (answer.status == 407).then(|| self.no_login(proxy))
    }

    /// Returns the server, for messages.
    pub fn shown(&self) -> String {
        self.server.words()
    }

    /// Returns the server or the proxy that may have answered in its place, for messages.
    pub fn answering(&self) -> String {
        match &self.proxy {
            // Through a tunnel the server itself answers.
            Some(proxy) if !self.server.is_tls => {
                format!("{}, or {}", self.shown(), proxy.words())
            }
            _ => self.shown(),
        }
    }
}

/// Refuses a value of the key `proxy` that names none.
fn require_proxy(key: Option<&Secret>) -> Result<(), Failure> {
    if let Some(url) = key
        && url.reveal() != proxy::NONE
        && let Err(fault) = Proxy::parse(url.reveal(), "`proxy`")
    {
        let message = format!("`proxy` cannot be used: {fault}");
        return Err(Failure::new(Kind::Usage, message));
    }
    Ok(())
}

/// Returns the proxy of a server. An invalid one is refused.
fn proxy_of(
    server: &Server,
    key: Option<&Secret>,
    environment: &Environment,
) -> Result<Option<Proxy>> {
    require_proxy(key)?;
    let proxies = Proxies::new(key, environment);
    match proxies.of(server) {
        Ok(proxy) => Ok(proxy.cloned()),
        Err(fault) => {
            let message = format!("{} cannot be reached: {fault}", server.words());
            Err(Failure::new(Kind::Usage, message)
                .hint("fix it, or name the host in NO_PROXY, or set `proxy = \"none\"`")
                .into())
        }
    }
}

/// Returns the failure of a client that cannot be made.
fn unusable(why: &str) -> Failure {
    if why.contains("No CA certificates were loaded") {
        return Failure::new(Kind::Usage, "this machine trusts no authority").hint(
            "install the package ca-certificates, or name a file of certificates by `ca_file` or SSL_CERT_FILE",
        );
    }
    let why = quoted(why);
    Failure::new(Kind::Usage, format!("no client can be made: {why}"))
}

fn headers(written: &[(String, Secret)]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in written {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let mut value = HeaderValue::from_bytes(value.reveal().as_bytes()).ok()?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Some(headers)
}

fn parse(pem: &[u8]) -> Option<Vec<Certificate>> {
    Certificate::from_pem_bundle(pem).ok()
}
