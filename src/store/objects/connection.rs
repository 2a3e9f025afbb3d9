//! Connections to servers: directly or through a proxy, with readable faults.

use std::net::{Ipv4Addr, Ipv6Addr};

use futures_util::future::BoxFuture;
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
        HttpService, ReqwestConnector,
    },
};

use super::{
    fault::RequestFault,
    text::{cause_of, quoted, texts},
    tls,
};
use crate::store::proxy::{Proxies, Proxy, Server};

/// A `NO_PROXY` for everything: hosts by name, and all addresses of both kinds.
const ALL_HOSTS: &str = "*,0.0.0.0/0,::/0";
/// A placeholder for a proxy that no request uses.
const NO_PROXY: &str = "http://127.0.0.1:9";

/// The advice about a variable that contains an invalid proxy.
pub const BAD_PROXY: &str =
    "fix it, or name the store's host in NO_PROXY, or set the destination's `proxy = \"none\"`";

/// The maker of clients that connect to each server directly or through its proxy.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    proxies: Proxies,
}

impl Connection {
    /// Connects through `proxies`.
    pub fn new(proxies: Proxies) -> Connection {
        Connection { proxies }
    }

    /// Connects to every server directly, as to a machine's own metadata service.
    pub fn direct() -> Connection {
        Connection::default()
    }
}

impl HttpConnector for Connection {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = |options: ClientOptions| ReqwestConnector::default().connect(&options);
        let direct = options.clone().with_proxy_url(NO_PROXY);
        let direct = client(direct.with_proxy_excludes(ALL_HOSTS))?;
        let mut through = Vec::new();
        for proxy in self.proxies.every() {
            let made = client(options.clone().with_proxy_url(proxy.url()))?;
            through.push((proxy.clone(), made));
        }
        Ok(HttpClient::new(Way {
            connection: self.clone(),
            direct,
            through,
        }))
    }
}

struct Way {
    connection: Connection,
    direct: HttpClient,
    through: Vec<(Proxy, HttpClient)>,
}

// Clients contain the passwords of their proxies.
impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Way")
    }
}

impl HttpService for Way {
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> BoxFuture<'b, Result<HttpResponse, HttpError>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(self.send(request))
    }
}

impl Way {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let uri = request.uri();
        if !is_address(&request) {
            let host = quoted(uri.host().unwrap_or_default());
            let fault = RequestFault::standing(
                format!("{host} is not a host that can be asked, or its port is not one"),
                "look at `endpoint`, and at the addresses in the environment",
            );
            return Err(HttpError::new(HttpErrorKind::Unknown, fault));
        }
        let server = Server {
            is_tls: uri.scheme_str() == Some("https"),
            host: uri.host().unwrap_or_default().to_owned(),
            port: uri.port_u16(),
        };
        let proxy = self.connection.proxies.of(&server).map_err(|fault| {
            HttpError::new(
                HttpErrorKind::Unknown,
                RequestFault::standing(fault, BAD_PROXY),
            )
        })?;
        let client = proxy
            .and_then(|proxy| (self.through.iter()).find(|(known, _)| known.url() == proxy.url()))
            .map_or(&self.direct, |(_, client)| client);
        match client.execute(request).await {
            Ok(answer) if answer.status().as_u16() == 407 => {
                let fault = match proxy {
                    Some(proxy) => no_login(proxy),
                    None => RequestFault::standing(
                        format!(
                            "a proxy before {} wants a user and a password",
                            server.words()
                        ),
                        "name it in HTTPS_PROXY or by the destination's `proxy`, with both of them",
                    ),
                };
                Err(HttpError::new(HttpErrorKind::Unknown, fault))
            }
            Ok(answer) => match proxy {
                Some(proxy) if !server.is_tls && is_of_proxy(&answer) => {
                    Err(not_through(proxy, &server, answer.status().as_u16()))
                }
                _ => Ok(answer),
            },
            Err(error) => Err(told(error, &server, proxy)),
        }
    }
}

/// Returns true if a request names a host and a port that the client accepts: it panics at others. The last part of an
/// IPv4 address is a number, and no other name ends in one.
fn is_address(request: &HttpRequest) -> bool {
    let uri = request.uri();
    let (Some(authority), Some(host)) = (uri.authority(), uri.host()) else {
        return false;
    };
    let after_host = authority.as_str().rsplit_once(host);
    let after_host = after_host.map_or("", |(_, after)| after);
    let is_port = |port: &str| port.is_empty() || port.parse::<u16>().is_ok();
    if !after_host.strip_prefix(':').is_none_or(is_port) {
        return false;
    }
    if host.starts_with('[') {
        let inner = host.trim_start_matches('[').trim_end_matches(']');
        return inner.parse::<Ipv6Addr>().is_ok();
    }
    let last = host.trim_end_matches('.').rsplit('.').next();
    let is_number = last.is_some_and(|last| match last.strip_prefix("0x") {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()),
    });
    !host.is_empty() && !host.contains('%') && (!is_number || host.parse::<Ipv4Addr>().is_ok())
}

/// Returns true if a proxy, rather than a store, refused a request without TLS: stores send no web pages with these
/// answers.
fn is_of_proxy(answer: &HttpResponse) -> bool {
    let kind = answer.headers().get("content-type");
    let kind = kind.map(|kind| kind.as_bytes().to_ascii_lowercase());
    matches!(answer.status().as_u16(), 403 | 502..=504)
        && kind.is_some_and(|kind| kind.starts_with(b"text/html"))
}

fn not_through(proxy: &Proxy, server: &Server, status: u16) -> HttpError {
    let (words, shown, host) = (proxy.words(), server.words(), &server.host);
    let what = format!("{words} does not let us through to {shown} (status {status})");
    let hint = format!(
        "ask for {shown} to be allowed there, or look at `endpoint`; NO_PROXY={host} goes around it"
    );
    match status {
        403 => HttpError::new(HttpErrorKind::Unknown, RequestFault::standing(what, hint)),
        _ => HttpError::new(
            HttpErrorKind::Interrupted,
            RequestFault::passing(what, hint),
        ),
    }
}

fn no_login(proxy: &Proxy) -> RequestFault {
    let (what, hint) = proxy.login_fault();
    RequestFault::refusal(what, hint)
}

/// Translates a connection error about certificates or proxies into words that say more than the error.
fn told(error: HttpError, server: &Server, proxy: Option<&Proxy>) -> HttpError {
    let text = texts(&error);
    if let Some(mut fault) = tls::fault(&text, server) {
        if let Some(proxy) = proxy {
            fault.hint += &format!("; requests go through {}", proxy.words());
        }
        return HttpError::new(HttpErrorKind::Unknown, fault);
    }
    let Some(proxy) = proxy else {
        if error.kind() != HttpErrorKind::Connect {
            return error;
        }
        // The message names the host, because a host that contains provider or bucket does not appear in the
        // configuration.
        let what = format!("no connection to {}: {}", server.words(), cause_of(&error));
        let fault = RequestFault::passing(what, "look at `endpoint` and at the network");
        return HttpError::new(HttpErrorKind::Connect, fault);
    };
    let (words, shown) = (proxy.words(), server.words());
    let around = format!("NO_PROXY={} goes around it", server.host);
    let kind = error.kind();
    if text.contains("proxy authorization required") {
        return HttpError::new(HttpErrorKind::Unknown, no_login(proxy));
    }
    let cause = cause_of(&error);
    let fault = if text.contains("tunnel error: unsuccessful") {
        let hint = format!("ask for {shown} to be allowed there, or look at `endpoint`; {around}");
        RequestFault::passing(format!("{words} does not let us through to {shown}"), hint)
    } else if kind == HttpErrorKind::Connect {
        let hint = format!("look at the proxy; {around}");
        RequestFault::passing(format!("no connection to {words}: {cause}"), hint)
    } else if kind == HttpErrorKind::Timeout {
        let hint = format!("look at the proxy, and at `timeout`; {around}");
        RequestFault::passing(format!("no answer in time through {words}"), hint)
    } else {
        let hint = format!("look at the proxy, and try again; {around}");
        RequestFault::passing(
            format!("the connection through {words} broke: {cause}"),
            hint,
        )
    };
    HttpError::new(kind, fault)
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::client::HttpRequestBody;

    #[test]
    fn hosts_and_ports_that_a_client_would_panic_at_are_found() {
        for (url, is_good) in [
            ("http://store.example.org:9000/b", true),
            ("https://127.0.0.1", true),
            ("http://[::1]:9/b", true),
            ("http://h:99999/", false),
            ("http://1.2.3.256/", false),
            ("http://h1.2a:/", true),
            ("http://minio-0/", true),
        ] {
            let mut request = HttpRequest::new(HttpRequestBody::empty());
            *request.uri_mut() = url.parse().expect(url);
            assert_eq!(is_address(&request), is_good, "{url}");
        }
    }
}
