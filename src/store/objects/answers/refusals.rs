//! Refusals of stores: what each of them means, and whether a retry makes sense.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use object_store::client::{HttpError, HttpResponse};

use super::{asked::Asked, rejected::RejectedAnswer};
use crate::{
    model::written::rfc3339,
    store::objects::{
        codes::{NO_BUCKET, is_full},
        fault::RequestFault,
        listing::root,
        text::element,
    },
};

/// Returns when the shared access signature of a request ends; `None` if it has none.
/// <https://learn.microsoft.com/rest/api/storageservices/create-service-sas#specify-the-signature-validity-interval>
pub(super) fn signature_end(query: &str) -> Option<DateTime<Utc>> {
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
pub(super) fn expired(end: DateTime<Utc>, answer: &HttpResponse) -> Option<RequestFault> {
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

/// Returns the words for S3's redirection without an address: the region of the bucket.
pub(super) fn in_region(answer: &HttpResponse) -> Option<RejectedAnswer> {
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

/// Returns the rejection of a web page.
pub(super) fn web_page() -> RejectedAnswer {
    RejectedAnswer::Foreign("a web page".to_owned())
}

/// Returns true for a web page.
pub(super) fn is_html(answer: &HttpResponse) -> bool {
    let kind = answer.headers().get("content-type");
    kind.is_some_and(|kind| {
        kind.as_bytes()
            .to_ascii_lowercase()
            .starts_with(b"text/html")
    })
}

/// Passes a refusal on. It adds the error code that some servers send as a header, and sets a status that says if a
/// retry makes sense.
pub(super) async fn refusal(asked: Asked, answer: HttpResponse) -> Result<HttpResponse, HttpError> {
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
