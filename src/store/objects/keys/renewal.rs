//! Connections on which a request is signed anew if the store says that its key expired.

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    },
};

use super::aws::AwsKeys;
use crate::store::objects::{
    codes::EXPIRED, connection::Connection, signature::Signed, text::element,
};

/// The most times that a request is signed anew.
const RENEWALS: u32 = 2;

/// The maker of clients that take a new key if one expired.
#[derive(Debug)]
pub struct Renewing {
    connection: Connection,
    keys: Arc<AwsKeys>,
}

impl Renewing {
    /// Connects as `connection` does; `keys` provides new keys.
    pub fn new(connection: Connection, keys: Arc<AwsKeys>) -> Renewing {
        Renewing { connection, keys }
    }
}

impl HttpConnector for Renewing {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(RenewingClient {
            client: self.connection.connect(options)?,
            keys: Arc::clone(&self.keys),
        }))
    }
}

struct RenewingClient {
    client: HttpClient,
    keys: Arc<AwsKeys>,
}

// Clients contain the passwords of their proxies.
impl fmt::Debug for RenewingClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RenewingClient")
    }
}

impl HttpService for RenewingClient {
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> BoxFuture<'b, Result<HttpResponse, HttpError>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            // Only requests signed by one of these keys can be signed again.
            let Some(signed) = Signed::of(&request) else {
                return self.client.execute(request).await;
            };
            let mut request = request;
            let mut key_id = signed.key_id.clone();
            for _ in 0..RENEWALS {
                let token = request.headers().get("x-amz-security-token");
                let token = token.and_then(|token| token.to_str().ok());
                let token = token.map(str::to_owned);
                let again = request.clone();
                let answer = self.client.execute(request).await?;
                let (answer, has_expired) = has_expired(&again, answer).await?;
                if !has_expired {
                    return Ok(answer);
                }
                request = again;
                match self.keys.another(&key_id, token.as_deref()).await {
                    Ok(Some(key)) if signed.sign(&mut request, &key).is_ok() => {
                        key_id.clone_from(&key.key_id);
                    }
                    Ok(_) => return Ok(answer),
                    Err(fault) => return Err(HttpError::new(HttpErrorKind::Unknown, fault)),
                }
            }
            self.client.execute(request).await
        })
    }
}

/// Checks if an answer says that the key expired; returns the answer, and true if so. An answer to HEAD has no body
/// that would say it.
async fn has_expired(
    request: &HttpRequest,
    answer: HttpResponse,
) -> Result<(HttpResponse, bool), HttpError> {
    if !matches!(answer.status().as_u16(), 400 | 401 | 403) {
        return Ok((answer, false));
    }
    if request.method().as_str() == "HEAD" {
        return Ok((answer, true));
    }
    let (head, body) = answer.into_parts();
    let bytes = body.bytes().await?;
    let code = element(&String::from_utf8_lossy(&bytes), "Code");
    let has_expired = code.is_some_and(|code| EXPIRED.contains(&code.as_str()));
    Ok((HttpResponse::from_parts(head, bytes.into()), has_expired))
}
