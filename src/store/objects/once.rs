//! A name is given once: the condition that S3 takes with the end of an upload in parts, and object_store does not send.

use futures_util::future::BoxFuture;
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService,
        ReqwestConnector,
    },
};

/// Makes clients that complete an upload only where its name is free (S3, CompleteMultipartUpload, `If-None-Match: *`).
///
/// Not promised: that a server minds. Of those that speak S3's protocol some do not know the condition: they leave it
/// unread, or refuse it, and are asked again without.
#[derive(Debug)]
pub struct Once;

impl HttpConnector for Once {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Conditional(client)))
    }
}

#[derive(Debug)]
struct Conditional(HttpClient);

impl HttpService for Conditional {
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> BoxFuture<'b, Result<HttpResponse, HttpError>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            if !is_completion(&request) {
                return self.0.execute(request).await;
            }
            let plain = request.clone();
            let mut request = request;
            // It is no part of what is signed, like every header that is not Amazon's own.
            let any = "*".parse().expect("a header's value");
            request.headers_mut().insert("if-none-match", any);
            let answer = self.0.execute(request).await?;
            // NotImplemented.
            if answer.status().as_u16() == 501 {
                return self.0.execute(plain).await;
            }
            Ok(answer)
        })
    }
}

fn is_completion(request: &HttpRequest) -> bool {
    let query = request.uri().query().unwrap_or_default();
    let names_upload = query.split('&').any(|pair| pair.starts_with("uploadId="));
    request.method().as_str() == "POST" && names_upload
}
