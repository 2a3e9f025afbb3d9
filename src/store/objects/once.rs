//! A name is given once: the condition that S3 takes with the end of an upload in parts, and object_store does not send.

use object_store::client::{HttpClient, HttpError, HttpRequest, HttpResponse};

use super::explain::element;

/// Returns true for the request that completes an upload in parts.
pub fn is_completion(request: &HttpRequest) -> bool {
    let query = request.uri().query().unwrap_or_default();
    let names_upload = query.split('&').any(|pair| pair.starts_with("uploadId="));
    request.method().as_str() == "POST" && names_upload
}

/// Completes an upload only if its name is free (S3, CompleteMultipartUpload, `If-None-Match: *`).
///
/// Not promised: that a server minds. Of those that speak S3's protocol some do not know the condition: they leave it
/// unread, or refuse it, and are asked again without.
pub async fn complete(
    client: &HttpClient,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let plain = request.clone();
    let mut request = request;
    // It is no part of what is signed, like every header that is not Amazon's own.
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
