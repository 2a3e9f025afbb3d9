//! Checks every answer before object_store reads it. object_store accepts too much: web pages, listings without the
//! token of the next page, and refusals that it would retry.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use futures_util::future::BoxFuture;
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    },
};

use super::{
    codes::{NO_BUCKET, is_full},
    fault::RequestFault,
    listing::{Page, root},
    once,
    patience::Patience,
    single_delete,
    text::element,
};
use crate::{model::written::rfc3339, store::address::Provider};

/// An answer that is kept from object_store.
#[derive(Debug)]
pub enum RejectedAnswer {
    /// An answer that is not of the protocol; the words describe it.
    Foreign(String),
    /// A refusal that no retry would change.
    Final {
        /// The status of the answer.
        status: u16,
        /// Its body.
        body: String,
    },
}

impl RejectedAnswer {
    /// Finds it among the causes of an error of object_store's client.
    pub fn of(error: &HttpError) -> Option<&RejectedAnswer> {
        std::error::Error::source(error)?.downcast_ref()
    }
}

impl fmt::Display for RejectedAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RejectedAnswer::Foreign(what) => f.write_str(what),
            RejectedAnswer::Final { status, body } => write!(f, "status code: {status}: {body}"),
        }
    }
}

impl std::error::Error for RejectedAnswer {}

impl From<RejectedAnswer> for HttpError {
    fn from(said: RejectedAnswer) -> HttpError {
        // A kind of error that is not retried.
        HttpError::new(HttpErrorKind::Decode, said)
    }
}

/// A counter of the changes that a store made, or may have made without an answer: all but those that it refused
/// because of the name. If a name is taken, it can be ours only if the count grew since before the first attempt.
#[derive(Debug, Clone, Default)]
pub struct Changes(Arc<AtomicU64>);

impl Changes {
    /// Returns the number of changes so far.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn add(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// The maker of clients whose answers are checked.
#[derive(Debug)]
pub struct Answers {
    provider: Provider,
    connection: Arc<dyn HttpConnector>,
    changes: Changes,
    patience: Patience,
}

impl Answers {
    /// Checks the answers of a store that `connection` reaches.
    pub fn new(
        provider: Provider,
        connection: impl HttpConnector,
        changes: Changes,
        patience: Patience,
    ) -> Answers {
        Answers {
            provider,
            connection: Arc::new(connection),
            changes,
            patience,
        }
    }
}

impl HttpConnector for Answers {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = self.connection.connect(options)?;
        Ok(HttpClient::new(InspectingClient {
            provider: self.provider,
            client,
            changes: self.changes.clone(),
            patience: self.patience.clone(),
        }))
    }
}

/// A client that inspects every answer.
#[derive(Debug)]
struct InspectingClient {
    provider: Provider,
    client: HttpClient,
    changes: Changes,
    patience: Patience,
}

/// The beginnings of hosts that give keys to the machines of a cloud.
const KEY_HOSTS: [&str; 4] = ["169.254.", "metadata.", "[fd00:", "sts."];
/// Parts of the paths of requests for keys.
const KEY_PATHS: [&str; 6] = [
    "/latest/",
    "/computeMetadata/",
    "/metadata/",
    "/oauth2/",
    "/token",
    "/credentials",
];

/// The kinds of requests, by the answers that they must get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// A page of a listing.
    Listing,
    /// An object, or its metadata.
    Object,
    /// A change.
    Change,
    /// A request to another server, for a key.
    Elsewhere,
}

impl HttpService for InspectingClient {
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> BoxFuture<'b, Result<HttpResponse, HttpError>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let asked = Asked::of(&request);
            if asked == Asked::Elsewhere {
                return self.answer(asked, request).await;
            }
            let which = self.patience.before(&request).await;
            let result = self.answer(asked, request).await;
            self.patience.after(which, result)
        })
    }
}

/// Returns when the shared access signature of a request ends; `None` if it has none.
/// <https://learn.microsoft.com/rest/api/storageservices/create-service-sas#specify-the-signature-validity-interval>
fn signature_end(query: &str) -> Option<DateTime<Utc>> {
    let value = |key: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find_map(|(name, value)| (name == key).then_some(value))
    };
    value("sig")?;
    let end = value("se")?.replace("%3A", ":").replace("%3a", ":");
    let whole = DateTime::parse_from_rfc3339(&end).ok();
    let minutes = || NaiveDateTime::parse_from_str(&end, "%Y-%m-%dT%H:%MZ").ok();
    let day = || NaiveDate::parse_from_str(&end, "%Y-%m-%d").ok();
    whole
        .map(|end| end.to_utc())
        .or_else(|| minutes().map(|end| end.and_utc()))
        .or_else(|| day().map(|end| end.and_time(NaiveTime::MIN).and_utc()))
}

/// Returns the fault of a refusal if the signature expired before the time of the answer by the store's own clock.
fn expired(end: DateTime<Utc>, answer: &HttpResponse) -> Option<RequestFault> {
    let is_refused = matches!(answer.status().as_u16(), 401 | 403);
    let date = answer.headers().get("date").filter(|_| is_refused)?;
    let now = DateTime::parse_from_rfc2822(date.to_str().ok()?).ok()?;
    (end <= now).then(|| {
        RequestFault::refusal(
            format!(
                "the shared access signature (SAS) expired at {}",
                rfc3339(end)
            ),
            "make a new one, and set it in AZURE_STORAGE_SAS_TOKEN or in the connection string, whichever has it",
        )
    })
}

impl InspectingClient {
    async fn answer(&self, asked: Asked, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let signature_ends = request.uri().query().and_then(signature_end);
        let range = request.headers().get("range");
        let range = range.and_then(|range| Some(range.to_str().ok()?.to_owned()));
        let answer = if self.provider == Provider::S3 && once::is_completion(&request) {
            once::complete(&self.client, request).await
        } else if self.provider == Provider::Azure && single_delete::is_batch(&request) {
            return self.delete(request).await;
        } else {
            self.client.execute(request).await
        };
        let status = answer.as_ref().map(|answer| answer.status().as_u16());
        if asked == Asked::Change && !matches!(status, Ok(304 | 409 | 412)) {
            self.changes.add();
        }
        let mut answer = answer?;
        if let Some(fault) = signature_ends.and_then(|end| expired(end, &answer)) {
            return Err(HttpError::new(HttpErrorKind::Decode, fault));
        }
        if let Some(range) = range
            && asked == Asked::Object
        {
            as_piece(&range, &mut answer);
        }
        self.inspect(asked, answer).await
    }

    async fn delete(&self, batch: HttpRequest) -> Result<HttpResponse, HttpError> {
        let Some(request) = single_delete::single(&batch) else {
            return self.client.execute(batch).await;
        };
        let answer = self.client.execute(request).await?;
        match answer.status().as_u16() {
            404 => Ok(single_delete::answer(404)),
            _ if answer.status().is_success() => {
                self.inspect(Asked::Change, answer).await?;
                Ok(single_delete::answer(202))
            }
            _ => self.inspect(Asked::Change, answer).await,
        }
    }

    /// Returns an answer that is of the protocol; any other becomes an error.
    async fn inspect(&self, asked: Asked, answer: HttpResponse) -> Result<HttpResponse, HttpError> {
        let status = answer.status();
        match asked {
            Asked::Elsewhere => Ok(answer),
            _ if status.is_client_error() || status.is_server_error() => {
                refusal(asked, answer).await
            }
            _ if status.is_redirection() => match in_region(&answer) {
                Some(said) => Err(said.into()),
                None => Ok(answer),
            },
            _ if !status.is_success() => Ok(answer),
            Asked::Listing => self.page(answer).await,
            // The body passes on as it arrives.
            Asked::Object if is_html(&answer) => Err(web_page().into()),
            Asked::Object => Ok(answer),
            Asked::Change => {
                let (parts, body) = answer.into_parts();
                let body = body.bytes().await?;
                let text = String::from_utf8_lossy(&body);
                match root(&text).as_deref() {
                    Some(root) if root.eq_ignore_ascii_case("html") => {
                        return Err(web_page().into());
                    }
                    // object_store retries the codes that it knows (S3, CompleteMultipartUpload).
                    Some("Error")
                        if !["InternalError", "SlowDown"]
                            .iter()
                            .any(|known| text.contains(known)) =>
                    {
                        let (status, body) = (parts.status.as_u16(), text.into_owned());
                        return Err(RejectedAnswer::Final { status, body }.into());
                    }
                    _ => {}
                }
                Ok(HttpResponse::from_parts(parts, body.into()))
            }
        }
    }

    /// Reads a page of a listing, and attaches it to the answer. object_store finds the answer's body empty.
    async fn page(&self, answer: HttpResponse) -> Result<HttpResponse, HttpError> {
        let (mut parts, body) = answer.into_parts();
        let body = body.bytes().await?;
        let text = String::from_utf8_lossy(&body);
        let page = Page::read(self.provider, &text).map_err(RejectedAnswer::Foreign)?;
        parts.extensions.insert(Arc::new(page));
        let empty = Page::empty(self.provider).to_owned();
        Ok(HttpResponse::from_parts(parts, empty.into()))
    }
}

impl Asked {
    fn of(request: &HttpRequest) -> Asked {
        let query = request.uri().query().unwrap_or_default();
        let has = |pair: &str| query.split('&').any(|given| given.starts_with(pair));
        match request.method().as_str() {
            "GET" if has("list-type=2") || has("comp=list") => Asked::Listing,
            _ if !request.headers().contains_key("authorization")
                && !has("sig=")
                && is_about_keys(request) =>
            {
                Asked::Elsewhere
            }
            "GET" | "HEAD" => Asked::Object,
            _ => Asked::Change,
        }
    }
}

/// Returns true if an unsigned request is for a key: from the machine's own services, or in exchange for a token.
fn is_about_keys(request: &HttpRequest) -> bool {
    let uri = request.uri();
    let (host, path) = (uri.host().unwrap_or_default(), uri.path());
    let query = uri.query().unwrap_or_default();
    KEY_HOSTS.iter().any(|start| host.starts_with(start))
        || KEY_PATHS.iter().any(|part| path.contains(part))
        || query.contains("Action=")
        || query.contains("api-version=")
}

/// Returns the words for S3's redirection without an address: the region of the bucket.
fn in_region(answer: &HttpResponse) -> Option<RejectedAnswer> {
    let region = answer.headers().get("x-amz-bucket-region")?.to_str().ok()?;
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if region.is_empty() || !region.bytes().all(is_of_name) {
        return None;
    }
    let message = format!("the bucket's region is {region}");
    let body = format!("<Error><Code>PermanentRedirect</Code><Message>{message}</Message></Error>");
    let status = answer.status().as_u16();
    Some(RejectedAnswer::Final { status, body })
}

/// Turns an answer that is the whole object into a range, if the whole object was requested: some servers then answer
/// 200.
fn as_piece(range: &str, answer: &mut HttpResponse) {
    let length = answer.headers().get("content-length");
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let Some(length) = length.filter(|length| is_all(range, *length)) else {
        return;
    };
    let shown = format!("bytes 0-{}/{length}", length - 1).parse();
    if let (200, Ok(shown), Ok(piece)) = (answer.status().as_u16(), shown, 206.try_into()) {
        answer.headers_mut().insert("content-range", shown);
        *answer.status_mut() = piece;
    }
}

/// Returns true if a range covers an object of that length completely; the object has at least one byte.
fn is_all(range: &str, length: u64) -> bool {
    let Some((first, last)) =
        (range.strip_prefix("bytes=")).and_then(|range| range.split_once('-'))
    else {
        return false;
    };
    let is_past =
        |number: &str, least: u64| number.parse().is_ok_and(|number: u64| number >= least);
    length > 0
        && match (first, last) {
            ("0", "") => true,
            ("0", last) => is_past(last, length - 1),
            ("", count) => is_past(count, length),
            _ => false,
        }
}

fn web_page() -> RejectedAnswer {
    RejectedAnswer::Foreign("a web page".to_owned())
}

fn is_html(answer: &HttpResponse) -> bool {
    let kind = answer.headers().get("content-type");
    kind.is_some_and(|kind| {
        kind.as_bytes()
            .to_ascii_lowercase()
            .starts_with(b"text/html")
    })
}

/// Passes a refusal on. It adds the error code that some servers send as a header, and sets a status that says if a
/// retry makes sense.
async fn refusal(asked: Asked, answer: HttpResponse) -> Result<HttpResponse, HttpError> {
    let (mut parts, body) = answer.into_parts();
    let body = body.bytes().await?;
    let mut text = String::from_utf8_lossy(&body).into_owned();
    if text.trim().is_empty() {
        // An answer to HEAD has no body: Azure and MinIO send the code in a header.
        let header = |name: &str| parts.headers.get(name)?.to_str().ok();
        let code = header("x-ms-error-code").or_else(|| header("x-minio-error-code"));
        if let Some(code) = code {
            let message = header("x-minio-error-desc").unwrap_or_default();
            text = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
        }
    }
    let status = parts.status.as_u16();
    let code = element(&text, "Code").unwrap_or_default();
    let is_bucket = NO_BUCKET.contains(&code.as_str());
    let is_html = root(&text).is_some_and(|root| root.eq_ignore_ascii_case("html"));
    match status {
        // A network that requires a login (RFC 6585).
        511 => return Err(web_page().into()),
        400..=499 if is_html && asked == Asked::Listing => return Err(web_page().into()),
        // The server waited too long for the body: the request may be sent again.
        400 if code == "RequestTimeout" => {
            if let Ok(status) = 408.try_into() {
                parts.status = status;
            }
        }
        404 | 405 if asked == Asked::Listing && !is_bucket => {
            let code = match code.as_str() {
                "" => format!("status {status}"),
                code => code.to_owned(),
            };
            let what = format!("a refusal that a bucket's listing never has ({code})");
            return Err(RejectedAnswer::Foreign(what).into());
        }
        501 | 505 | 507 => return Err(RejectedAnswer::Final { status, body: text }.into()),
        500.. if code == "NotImplemented" || is_full(&text, Some(status)) => {
            return Err(RejectedAnswer::Final { status, body: text }.into());
        }
        _ => {}
    }
    Ok(HttpResponse::from_parts(parts, text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_is_all_of_an_object_is_told_from_a_piece() {
        for range in [
            "bytes=0-",
            "bytes=0-9",
            "bytes=0-99",
            "bytes=-10",
            "bytes=-99",
        ] {
            assert!(is_all(range, 10), "{range}");
        }
        for range in [
            "bytes=0-8",
            "bytes=1-",
            "bytes=1-9",
            "bytes=-9",
            "items=0-9",
            "bytes=0-x",
            "",
        ] {
            assert!(!is_all(range, 10), "{range}");
        }
        assert!(!is_all("bytes=0-", 0));
    }
}
