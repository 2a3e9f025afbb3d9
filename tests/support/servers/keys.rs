//! Servers of Amazon's temporary keys: EC2's metadata, a container's role, STS; and a store whose keys expire.

use std::{
    io::Read as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{
    http::{self, Head},
    listening::{Listening, locked},
    s3::S3,
};

/// The behaviour of a metadata service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metadata {
    /// It gives a new key each time.
    Gives,
    /// It takes connections and says nothing.
    Silent,
    /// It answers everything with this status.
    Status(u16),
}

/// A service that gives keys, by all three protocols. Every key is S3's own, with a token of its own: `token-1`, `token-2`.
pub struct KeyService {
    listening: Listening,
    asked: Arc<AtomicUsize>,
    given: Arc<AtomicUsize>,
}

impl KeyService {
    /// The header that a container has to send.
    pub const AUTHORIZATION: &str = "Bearer of-the-container";
    /// The token of a role.
    pub const IDENTITY: &str = "identity.of-the.role";

    pub fn start(metadata: Metadata) -> KeyService {
        let (asked, given) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counts = (Arc::clone(&asked), Arc::clone(&given));
        let listening = Listening::start(move |stream, open| {
            counts.0.fetch_add(1, Ordering::AcqRel);
            if metadata == Metadata::Silent {
                // Until the client goes, or the service.
                while open.rest(Duration::from_millis(100)) {
                    stream.set_read_timeout(Some(Duration::from_millis(1)))?;
                    if matches!((&mut &*stream).read(&mut [0; 512]), Ok(0)) {
                        break;
                    }
                }
                return Ok(());
            }
            http::serve(stream, |request| {
                let mut head = Head::answer(200);
                head.set("Date", "Thu, 01 Jan 2026 00:00:00 GMT");
                if let Metadata::Status(status) = metadata {
                    return (Head::answer(status), b"<html>no</html>".to_vec());
                }
                let body = String::from_utf8_lossy(&request.body).into_owned();
                let next = || counts.1.fetch_add(1, Ordering::AcqRel) + 1;
                let answer = match (request.head.method(), request.head.path()) {
                    ("PUT", "/latest/api/token") => Some("session".to_owned()),
                    ("GET", "/latest/meta-data/iam/security-credentials/") => {
                        Some("the-role".to_owned())
                    }
                    ("GET", "/latest/meta-data/iam/security-credentials/the-role") => {
                        let session = request.head.header("x-aws-ec2-metadata-token");
                        (session == Some("session")).then(|| json(next()))
                    }
                    ("GET", "/container") => {
                        let said = request.head.header("authorization");
                        (said == Some(KeyService::AUTHORIZATION)).then(|| json(next()))
                    }
                    ("POST", "/sts") => {
                        let identity = format!("WebIdentityToken={}", KeyService::IDENTITY);
                        body.contains(&identity).then(|| xml(next()))
                    }
                    _ => None,
                };
                match answer {
                    Some(answer) => (head, answer.into_bytes()),
                    None => (Head::answer(403), Vec::new()),
                }
            })
        });
        KeyService {
            listening,
            asked,
            given,
        }
    }

    pub fn endpoint(&self) -> String {
        self.listening.endpoint()
    }

    /// Counts the connections.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Acquire)
    }

    /// Counts the keys that were given.
    pub fn given(&self) -> usize {
        self.given.load(Ordering::Acquire)
    }
}

fn json(number: usize) -> String {
    let (id, secret) = (S3::ACCESS_KEY, S3::SECRET_KEY);
    format!(
        r#"{{"Code":"Success","AccessKeyId":"{id}","SecretAccessKey":"{secret}","Token":"token-{number}","Expiration":"2026-01-01T06:00:00Z"}}"#
    )
}

fn xml(number: usize) -> String {
    let (id, secret) = (S3::ACCESS_KEY, S3::SECRET_KEY);
    format!(
        "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
         <AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>\
         <SessionToken>token-{number}</SessionToken><Expiration>2026-01-01T06:00:00Z</Expiration>\
         </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    )
}

/// A store in which every key is good for so many requests only.
pub struct Expiring {
    listening: Listening,
    refused: Arc<AtomicUsize>,
}

impl Expiring {
    /// Stands in front of an S3 server; only the newest token is good, for `uses` requests.
    pub fn in_front_of(s3: &S3, uses: usize) -> Expiring {
        let refused = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&refused);
        let address = s3.endpoint();
        let address = address
            .trim_start_matches("http://")
            .parse()
            .expect("an address");
        // The newest token, and how often it came.
        let newest = Mutex::new((0, 0));
        let listening = Listening::start(move |stream, _| {
            http::serve(stream, |request| {
                let token = request.head.header("x-amz-security-token");
                let token = token.and_then(|token| token.strip_prefix("token-")?.parse().ok());
                let is_good = {
                    let mut newest = locked(&newest);
                    let token: usize = token.unwrap_or(0);
                    if token > newest.0 {
                        *newest = (token, 0);
                    }
                    newest.1 += usize::from(token == newest.0);
                    token == newest.0 && token > 0 && newest.1 <= uses
                };
                if !is_good {
                    count.fetch_add(1, Ordering::AcqRel);
                    let text = "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>";
                    let text = match request.head.method() {
                        "HEAD" => "",
                        _ => text,
                    };
                    return (Head::answer(400), text.as_bytes().to_vec());
                }
                forward(address, request)
            })
        });
        Expiring { listening, refused }
    }

    pub fn endpoint(&self) -> String {
        self.listening.endpoint()
    }

    /// Counts the requests that were refused.
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::Acquire)
    }
}

/// Sends a request on as it is; what is signed stays so.
pub fn forward(address: std::net::SocketAddr, request: &http::Request) -> (Head, Vec<u8>) {
    let hop = [
        "connection",
        "content-length",
        "proxy-authorization",
        "transfer-encoding",
    ];
    let headers: Vec<(&str, &str)> = (request.head.headers.iter())
        .filter(|(name, _)| !hop.contains(&name.to_ascii_lowercase().as_str()))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let method = request.head.method();
    let target = &request.head.line[1];
    match http::call(address, method, target, &headers, &request.body) {
        Ok((mut head, mut content)) => {
            if method == "HEAD" {
                // Only its length goes out.
                let length = head.header("content-length");
                let length = length.and_then(|length| length.parse().ok());
                content = vec![0; length.unwrap_or(0)];
            }
            head.remove("connection");
            head.remove("transfer-encoding");
            (head, content)
        }
        Err(_) => (Head::answer(502), Vec::new()),
    }
}
