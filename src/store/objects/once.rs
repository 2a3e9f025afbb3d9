//! The rule that a name is given once: object_store does not send the condition that S3 accepts at the end of an upload
//! in parts.

use object_store::client::{HttpClient, HttpError, HttpRequest, HttpResponse};

use super::text::element;

/// Returns true for the request that completes an upload in parts.
pub fn is_completion(request: &HttpRequest) -> bool {
    let query = request.uri().query().unwrap_or_default();
    let names_upload = query.split('&').any(|pair| pair.starts_with("uploadId="));
    request.method().as_str() == "POST" && names_upload
}

/// Completes an upload only if its name is free (S3, CompleteMultipartUpload, `If-None-Match: *`).
///
/// Not promised: that a server obeys. Some that speak S3's protocol do not know the condition: they ignore it, or
/// refuse it. After a refusal the request is sent again without it.
pub async fn complete(
    client: &HttpClient,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let plain = request.clone();
    let mut request = request;
    // The signature does not cover it, because it is not one of Amazon's own headers.
    let any = "*".parse().expect("a header's value");
    request.headers_mut().insert("if-none-match", any);
    let answer = client.execute(request).await?;
    match answer.status().as_u16() {
        501 => client.execute(plain).await,
        400 => {
            let (parts, body) = answer.into_parts();
            let body = body.bytes().await?;
            let text = String::from_utf8_lossy(&body);
            if is_unknown_condition(&text) {
                return client.execute(plain).await;
            }
            Ok(HttpResponse::from_parts(parts, body.into()))
        }
        _ => Ok(answer),
    }
}

/// Returns true if a refusal is about a condition that the server does not know.
pub fn is_unknown_condition(text: &str) -> bool {
    element(text, "Code").is_some_and(|code| code == "NotImplemented")
        || text.to_ascii_lowercase().contains("if-none-match")
}
