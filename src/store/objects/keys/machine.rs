//! Temporary keys from Amazon's services: for a role's token (STS), for containers (ECS, EKS), for machines (EC2).
//!
//! The protocols: "AssumeRoleWithWebIdentity" of the STS API Reference, "Container credential provider" and "IMDS
//! credential provider" of the AWS SDKs and Tools Reference Guide.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    answer::{FreshKey, KeyAnswer, Trouble, assumed, given},
    limits::{LONG_PATIENCE, PATIENCE},
    profile,
};
use crate::store::{
    environment::Environment,
    objects::{
        connection::Connection,
        fault::RequestFault,
        text::{cause_of, element, quoted},
    },
    small_file,
};
use chrono::DateTime;
use object_store::{
    ClientOptions,
    client::{HttpClient, HttpConnector as _, HttpRequest, HttpRequestBody},
};

/// The time that one request to a machine's own service may take: two of them fit into [`PATIENCE`].
const ONE_REQUEST: Duration = Duration::from_millis(1500);
/// The most times that a request is sent.
const ATTEMPTS: u32 = 2;
/// The hosts, other than this machine, that containers may ask without TLS (ECS, and EKS by IPv4 and IPv6).
const CONTAINER_HOSTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"];

/// A service that issues keys.
pub struct KeySource {
    kind: Kind,
    client: HttpClient,
    /// The places that were searched before.
    looked_in: String,
}

enum Kind {
    WebIdentity {
        token_file: PathBuf,
        role: String,
        session: String,
        endpoint: String,
    },
    Container {
        url: String,
        /// A file with the token that authorizes the request.
        token_file: Option<PathBuf>,
        token: Option<String>,
    },
    Instance {
        endpoint: String,
        may_use_v1: bool,
    },
    /// No service, for this reason.
    None(&'static str),
}

impl KeySource {
    /// Selects from the environment the service that issues keys. `client` has the options for services on the network;
    /// those of the machine are asked without proxies.
    pub fn new(
        environment: &Environment,
        region: &str,
        client: &ClientOptions,
        connection: &Connection,
    ) -> object_store::Result<KeySource> {
        let kind = Kind::of(environment, region);
        let client = match &kind {
            Kind::WebIdentity { endpoint, .. } => {
                let is_near = has_host(endpoint, &[]);
                let client = client.clone().with_timeout(LONG_PATIENCE / 3);
                connection.connect(&match is_near {
                    true => client.with_allow_http(true),
                    false => client,
                })?
            }
            _ => Connection::direct().connect(
                &client
                    .clone()
                    .with_allow_http(true)
                    .with_timeout(ONE_REQUEST)
                    .with_connect_timeout(ONE_REQUEST),
            )?,
        };
        let looked_in = format!(
            "the destination's keys, AWS_ACCESS_KEY_ID, {}, AWS_WEB_IDENTITY_TOKEN_FILE, the container's role (ECS, EKS)",
            profile::looked_in(environment)
        );
        Ok(KeySource {
            kind,
            client,
            looked_in,
        })
    }

    /// Returns the address of the machine's metadata service, if keys come from it.
    pub fn metadata(&self) -> Option<&str> {
        match &self.kind {
            Kind::Instance { endpoint, .. } => Some(endpoint),
            _ => None,
        }
    }

    /// Returns the longest time that the first key may take.
    pub fn patience(&self) -> Duration {
        match self.kind {
            Kind::WebIdentity { .. } => LONG_PATIENCE,
            _ => PATIENCE,
        }
    }

    /// Returns the fault of missing keys; `why` is the reason.
    pub fn fault(&self, why: &str) -> RequestFault {
        let (from, hint) = match &self.kind {
            Kind::WebIdentity { endpoint, role, .. } => (
                format!("STS ({}, for {role})", host(endpoint)),
                "look at AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE, and at whom the role trusts",
            ),
            Kind::Container { url, .. } => (
                format!("the container's role ({})", host(url)),
                "look at the role of the task or of the pod, and at AWS_CONTAINER_CREDENTIALS_FULL_URI",
            ),
            Kind::Instance { .. } | Kind::None(_) => {
                let looked_in = &self.looked_in;
                let what = format!(
                    "no key for the store was found: looked in {looked_in}, and EC2's metadata ({why})"
                );
                let hint = "set the destination's `access_key_id` and `secret_access_key`, or AWS_ACCESS_KEY_ID and \
                    AWS_SECRET_ACCESS_KEY; a container on EC2 reaches the metadata with a hop limit of 2";
                return RequestFault::standing(what, hint);
            }
        };
        let what = format!("{from} gives no key for the store: {why}");
        RequestFault::standing(what, hint)
    }

    /// Asks for a key.
    pub async fn fetch(&self) -> Result<FreshKey, RequestFault> {
        let fetched = match &self.kind {
            Kind::WebIdentity {
                token_file,
                role,
                session,
                endpoint,
            } => {
                let token = read(token_file).map_err(|why| self.fault(&why))?;
                let parameters = [
                    ("Action", "AssumeRoleWithWebIdentity"),
                    ("DurationSeconds", "3600"),
                    ("RoleArn", role),
                    ("RoleSessionName", session),
                    ("Version", "2011-06-15"),
                    ("WebIdentityToken", &token),
                ];
                let body = parameters.map(|(name, value)| format!("{name}={}", encoded(value)));
                let form = ("content-type", "application/x-www-form-urlencoded");
                let answer = self.ask("POST", endpoint, &[form], &body.join("&")).await;
                answer.and_then(|answer| assumed(&answer))
            }
            Kind::Container {
                url,
                token_file,
                token,
            } => {
                let token = match token_file {
                    Some(path) => Some(read(path).map_err(|why| self.fault(&why))?),
                    None => token.clone(),
                };
                let header = token.as_deref().map(|token| ("authorization", token));
                let answer = self.ask("GET", url, header.as_slice(), "").await;
                answer.and_then(|answer| given(&answer))
            }
            Kind::Instance {
                endpoint,
                may_use_v1,
            } => self.of_instance(endpoint, *may_use_v1).await,
            Kind::None(why) => return Err(self.fault(why)),
        };
        fetched.map_err(|trouble| {
            let why = match (trouble, &self.kind) {
                (Trouble::Status(403, _), Kind::Instance { .. }) => {
                    "status 403: it is switched off".to_owned()
                }
                (Trouble::Status(404, _), Kind::Instance { .. }) => {
                    "status 404: the machine has no role".to_owned()
                }
                (Trouble::Status(status, body), _) => match element(&body, "Code") {
                    Some(code) => {
                        let said = element(&body, "Message").unwrap_or_default();
                        format!("{}: {}", quoted(&code), quoted(&said))
                    }
                    None => format!("status {status}"),
                },
                (Trouble::Broken(why), _) => why,
            };
            self.fault(&why)
        })
    }

    /// Asks EC2's metadata service: for a token, for the role's name, for its key.
    async fn of_instance(&self, endpoint: &str, may_use_v1: bool) -> Result<FreshKey, Trouble> {
        let token_url = format!("{endpoint}/latest/api/token");
        let life = [("x-aws-ec2-metadata-token-ttl-seconds", "600")];
        let token = match self.ask("PUT", &token_url, &life, "").await {
            Ok(answer) => Some(answer.text),
            Err(Trouble::Status(403..=405, _)) if may_use_v1 => None,
            Err(trouble) => return Err(trouble),
        };
        let token = token.as_deref().map(str::trim);
        let header = token.map(|token| ("x-aws-ec2-metadata-token", token));
        let roles = format!("{endpoint}/latest/meta-data/iam/security-credentials/");
        let role = self.ask("GET", &roles, header.as_slice(), "").await?;
        let role = role.text.lines().next().unwrap_or_default().trim();
        if role.is_empty() || role.contains(['<', ' ']) {
            return Err(Trouble::Broken("it names no role".to_owned()));
        }
        let url = format!("{roles}{}", encoded(role));
        given(&self.ask("GET", &url, header.as_slice(), "").await?)
    }

    async fn ask(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<KeyAnswer, Trouble> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let request = request(method, url, headers, body).ok_or_else(|| {
                Trouble::Broken(
                    "its address is not a URL, or its token holds a line break".to_owned(),
                )
            })?;
            let trouble = match self.client.execute(request).await {
                Err(error) => Trouble::Broken(cause_of(&error)),
                Ok(answer) => {
                    let time = answer.headers().get("date");
                    let time = time.and_then(|time| time.to_str().ok());
                    let time = time.and_then(|time| DateTime::parse_from_rfc2822(time).ok());
                    let (status, body) = (answer.status().as_u16(), answer.into_body());
                    match body.bytes().await {
                        Err(error) => Trouble::Broken(cause_of(&error)),
                        Ok(bytes) => {
                            let text = String::from_utf8_lossy(&bytes).into_owned();
                            match status {
                                200..300 => return Ok(KeyAnswer { text, time }),
                                429 | 500.. => Trouble::Status(status, text),
                                _ => return Err(Trouble::Status(status, text)),
                            }
                        }
                    }
                }
            };
            if attempts >= ATTEMPTS {
                return Err(trouble);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Kind {
    fn of(environment: &Environment, region: &str) -> Kind {
        let get = |name: &str| environment.get(name);
        if let (Some(file), Some(role)) = (get("AWS_WEB_IDENTITY_TOKEN_FILE"), get("AWS_ROLE_ARN"))
        {
            let domain = match region.starts_with("cn-") {
                true => "amazonaws.com.cn",
                false => "amazonaws.com",
            };
            let endpoint = get("AWS_ENDPOINT_URL_STS").map(str::to_owned);
            return Kind::WebIdentity {
                token_file: PathBuf::from(file),
                role: role.to_owned(),
                session: get("AWS_ROLE_SESSION_NAME")
                    .unwrap_or("hookshot")
                    .to_owned(),
                endpoint: endpoint.unwrap_or_else(|| format!("https://sts.{region}.{domain}")),
            };
        }
        let relative = get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        let relative = relative.map(|path| format!("http://{}{path}", CONTAINER_HOSTS[0]));
        let full = get("AWS_CONTAINER_CREDENTIALS_FULL_URI").map(str::to_owned);
        if let Some(url) = relative.or(full) {
            if !url.starts_with("https://") && !has_host(&url, &CONTAINER_HOSTS) {
                return Kind::None(
                    "not asked; AWS_CONTAINER_CREDENTIALS_FULL_URI names another host without TLS",
                );
            }
            let file = get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
            return Kind::Container {
                url,
                token_file: file.map(PathBuf::from),
                token: get("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(str::to_owned),
            };
        }
        let is_true = |name: &str| get(name).is_some_and(|text| text.eq_ignore_ascii_case("true"));
        if is_true("AWS_EC2_METADATA_DISABLED") {
            return Kind::None("not asked, because of AWS_EC2_METADATA_DISABLED");
        }
        let by_mode = match get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE") {
            Some(mode) if mode.eq_ignore_ascii_case("ipv6") => "http://[fd00:ec2::254]",
            _ => "http://169.254.169.254",
        };
        let endpoint = get("AWS_EC2_METADATA_SERVICE_ENDPOINT")
            .or_else(|| get("AWS_METADATA_ENDPOINT"))
            .unwrap_or(by_mode);
        Kind::Instance {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            may_use_v1: is_true("AWS_IMDSV1_FALLBACK"),
        }
    }
}

fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Option<HttpRequest> {
    let body = match body {
        "" => HttpRequestBody::empty(),
        body => HttpRequestBody::from(body.to_owned()),
    };
    let mut request = HttpRequest::new(body);
    *request.method_mut() = method.parse().ok()?;
    *request.uri_mut() = url.parse().ok()?;
    let scheme = request.uri().scheme_str()?;
    if !["http", "https"].contains(&scheme) || request.uri().host()?.is_empty() {
        return None;
    }
    for (name, value) in headers {
        // The names are those that hookshot itself sets.
        let name: &'static str = match *name {
            "authorization" => "authorization",
            "content-type" => "content-type",
            "x-aws-ec2-metadata-token" => "x-aws-ec2-metadata-token",
            _ => "x-aws-ec2-metadata-token-ttl-seconds",
        };
        request
            .headers_mut()
            .insert(name, value.trim().parse().ok()?);
    }
    Some(request)
}

fn read(path: &Path) -> Result<String, String> {
    let text = small_file::read(path).and_then(|bytes| {
        String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8"))
    });
    match text {
        Ok(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        Ok(_) => Err(format!("{} is empty", path.display())),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}

/// Percent-encodes all bytes except letters, digits, `-`, `.`, `_` and `~` (RFC 3986, 2.3).
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                encoded.push(char::from(byte));
            }
            byte => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}

/// Returns the host and the port of a URL, for a message.
fn host(url: &str) -> &str {
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let authority = &rest[..end];
    authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host)
}

/// Returns true if the host of a URL is this machine, or one of `others`.
fn has_host(url: &str, others: &[&str]) -> bool {
    let host = host(url);
    let end = match host.find(']') {
        Some(end) => end + 1,
        None => host.find(':').unwrap_or(host.len()),
    };
    let host = &host[..end];
    let is_loopback = |address: std::net::Ipv4Addr| address.is_loopback();
    host == "localhost"
        || host == "[::1]"
        || host.parse().is_ok_and(is_loopback)
        || others.contains(&host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_may_be_asked_without_tls() {
        for (url, is_near) in [
            ("http://127.0.0.1:9/x", true),
            ("http://localhost/x", true),
            ("http://[::1]:9/x", true),
            ("http://169.254.170.23/x", true),
            ("http://127.0.0.1.example.org/", false),
            ("http://example.org/127.0.0.1", false),
            ("http://127.0.0.1@example.org/", false),
        ] {
            assert_eq!(has_host(url, &CONTAINER_HOSTS), is_near, "{url}");
        }
        assert_eq!(encoded("arn:a/b c"), "arn%3Aa%2Fb%20c");
    }
}
