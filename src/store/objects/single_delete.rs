//! The removal of one object by one plain DELETE. object_store sends Azure a batch of requests, which needs rights that
//! a shared access signature may not have.

use object_store::client::{HttpRequest, HttpRequestBody, HttpResponse};

/// The headers of a request in a batch.
const HEADERS: [&str; 5] = [
    "authorization",
    "content-length",
    "date",
    "x-ms-date",
    "x-ms-version",
];

/// The text between the parts of an answer.
const BOUNDARY: &str = "hookshot";

/// Returns true for a batch of requests (Azure, Blob Batch).
pub fn is_batch(request: &HttpRequest) -> bool {
    let query = request.uri().query().unwrap_or_default();
    request.method().as_str() == "POST" && query.split('&').any(|pair| pair == "comp=batch")
}

/// Extracts the only request of a batch, which is signed as if it were sent alone. `None` if the batch must be sent as
/// it is.
pub fn single(batch: &HttpRequest) -> Option<HttpRequest> {
    let text = std::str::from_utf8(batch.body().as_bytes()?).ok()?;
    let (_, rest) = text.split_once("\r\nDELETE ")?;
    if rest.contains("\r\nDELETE ") {
        return None;
    }
    let (target, rest) = rest.split_once(" HTTP/1.1\r\n")?;
    let (headers, _) = rest.split_once("\r\n\r\n")?;
    let uri = batch.uri();
    let (scheme, host) = (uri.scheme_str()?, uri.authority()?);
    // The batch goes to the container. The target begins with the container, or with the account if the path contains
    // it.
    let (account, container) = uri.path().trim_end_matches('/').rsplit_once('/')?;
    let target = target.trim_start_matches('/');
    let is_below = |folder: &str| {
        let rest = target.strip_prefix(folder.trim_start_matches('/'));
        rest.is_some_and(|rest| rest.starts_with('/'))
    };
    let path = if is_below(&format!("{account}/{container}")) {
        format!("/{target}")
    } else if is_below(container) {
        format!("{account}/{target}")
    } else {
        return None;
    };
    let mut request = HttpRequest::new(HttpRequestBody::empty());
    *request.method_mut() = "DELETE".parse().ok()?;
    *request.uri_mut() = format!("{scheme}://{host}{path}").parse().ok()?;
    for line in headers.lines() {
        let (name, value) = line.split_once(':')?;
        let known = HEADERS
            .iter()
            .find(|known| known.eq_ignore_ascii_case(name));
        if let Some(known) = known {
            let value = value.trim().parse().ok()?;
            request.headers_mut().insert(*known, value);
        }
    }
    Some(request)
}

/// Returns the result in the form of an answer to a batch.
pub fn answer(status: u16) -> HttpResponse {
    let body = format!(
        "--{BOUNDARY}\r\nContent-Type: application/http\r\nContent-ID: 0\r\n\r\nHTTP/1.1 {status} \
        Answer\r\nContent-Length: 0\r\n\r\n\r\n--{BOUNDARY}--\r\n"
    );
    let mut response = HttpResponse::new(body.into());
    if let Ok(status) = 202.try_into() {
        *response.status_mut() = status;
    }
    let kind = format!("multipart/mixed; boundary={BOUNDARY}");
    if let Ok(kind) = kind.parse() {
        response.headers_mut().insert("content-type", kind);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(path: &str, target: &str) -> HttpRequest {
        let body = format!(
            "--b\r\nContent-ID: 0\r\n\r\nDELETE {target} HTTP/1.1\r\nx-ms-date: today\r\nauthorization: SharedKey a:b\r\n\r\n\r\n--b--\r\n"
        );
        let mut batch = HttpRequest::new(body.into());
        *batch.method_mut() = "POST".parse().expect("a method");
        let uri = format!("https://h:1{path}?restype=container&comp=batch");
        *batch.uri_mut() = uri.parse().expect("a URI");
        batch
    }

    #[test]
    fn the_request_of_a_batch_of_one_goes_alone() {
        for (path, target, uri) in [
            ("/c/", "/c/x/y?sig=1", "https://h:1/c/x/y?sig=1"),
            ("/account/c/", "/account/c/x", "https://h:1/account/c/x"),
            ("/account/c", "/c/x", "https://h:1/account/c/x"),
        ] {
            let batch = batch(path, target);
            assert!(is_batch(&batch));
            let request = single(&batch).expect(path);
            assert_eq!(request.method().as_str(), "DELETE");
            assert_eq!(request.uri().to_string(), uri);
            assert_eq!(request.headers()["authorization"], "SharedKey a:b");
            assert_eq!(request.headers()["x-ms-date"], "today");
        }
        assert!(single(&batch("/c/", "/elsewhere/x")).is_none());
        assert_eq!(answer(404).status().as_u16(), 202);
    }
}
