//! Checks every answer before object_store reads it. object_store accepts too much: web pages, listings without the
//! token of the next page, and refusals that it would retry.

mod asked;
mod ranges;
mod refusals;
mod rejected;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use futures_util::future::BoxFuture;
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    },
};

pub use self::rejected::RejectedAnswer;
use self::{
    asked::Asked,
    ranges::as_piece,
    refusals::{expired, in_region, is_html, refusal, signature_end, web_page},
};
use super::{
    listing::{Page, root},
    once,
    patience::Patience,
    single_delete,
};
use crate::store::address::Provider;

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
