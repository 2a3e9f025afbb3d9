//! A library that panics ends a request, not the program, and other rules of the store as a whole.

use super::{answers::Changes, uploads::Uploads, *};
use std::io::Write as _;

use futures_util::future::BoxFuture;
use object_store::{
    ClientOptions,
    aws::AmazonS3Builder,
    client::{
        HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpResponseBody,
        HttpService,
    },
};

use crate::{model::digest::Digest, store::address::Provider};

/// A library that panics at every request, except those that begin an upload in parts.
#[derive(Debug, Clone, Copy)]
enum Panics {
    Always,
    AtTheFirstPart,
}

impl HttpConnector for Panics {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(*self))
    }
}

impl HttpService for Panics {
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> BoxFuture<'b, Result<HttpResponse, HttpError>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let answer = |status: u16, body: &str| {
                let body = HttpResponseBody::from(body.to_owned());
                let mut response = HttpResponse::new(body);
                *response.status_mut() = status.try_into().expect("a status");
                let tag = "\"tag\"".parse().expect("a header's value");
                response.headers_mut().insert("etag", tag);
                Ok(response)
            };
            let query = request.uri().query().unwrap_or_default().to_owned();
            let begun = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
            match (self, request.method().as_str()) {
                (Panics::AtTheFirstPart, "HEAD") => answer(404, ""),
                (Panics::AtTheFirstPart, "POST") if query.starts_with("uploads") => {
                    answer(200, begun)
                }
                (Panics::AtTheFirstPart, "PUT") if query.is_empty() => answer(200, ""),
                (Panics::AtTheFirstPart, "DELETE") => answer(204, ""),
                _ => panic!("hunter2"),
            }
        })
    }
}

fn place(panics: Panics) -> Objects {
    let client = AmazonS3Builder::new()
        .with_bucket_name("b")
        .with_access_key_id("AK")
        .with_secret_access_key("SK")
        .with_http_connector(panics)
        .build();
    let address = BucketAddress {
        provider: Provider::S3,
        bucket: "b".to_owned(),
        prefix: "x".to_owned(),
    };
    let opened = Opened {
        client: Arc::new(client.expect("a client")),
        kind: Provider::S3,
        prefix: "x".to_owned(),
        changes: Changes::default(),
        uploads: Uploads {
            conditional_writes: true,
            ..Uploads::default()
        },
    };
    let place = Objects::of(opened, &address, &Transfer::default(), Arc::new(|| Ok(())));
    place.expect("a place")
}

fn maker() -> Maker {
    Maker {
        host: "host".to_owned(),
        pid: 1,
        begun: chrono::DateTime::UNIX_EPOCH,
        run: "run".to_owned(),
        life: None,
        folders: Vec::new(),
    }
}

#[track_caller]
fn is_a_failure<T>(result: Result<T>, doing: &str) {
    let failure = Failure::of(&result.err().expect("it panics"));
    let message = &failure.message;
    assert!(message.starts_with(doing), "{message}");
    assert!(message.contains("a defect of a library, in "), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
    assert!(failure.hint.is_some_and(|hint| hint.contains("report it")));
}

#[test]
fn a_library_that_panics_is_a_failure_of_every_verb() {
    let place = place(Panics::Always);
    is_a_failure(place.list(&mut |_| Ok(())), "cannot list s3://b/x");
    is_a_failure(place.find("a"), "cannot ");
    is_a_failure(place.open("a").map(drop), "cannot ");
    is_a_failure(place.remove("a"), "cannot ");
    is_a_failure(place.sweep(&maker()), "cannot list s3://b/x");
    is_a_failure(place.create("a", 1, &maker()).map(drop), "cannot ");
}

#[test]
fn a_library_that_panics_in_a_task_ends_the_upload() {
    let place = place(Panics::AtTheFirstPart);
    // Until then it answers like an object store.
    place.inner.has_listed.store(true, Ordering::Relaxed);
    place.inner.is_honest.store(true, Ordering::Relaxed);
    let mut upload = place.create_in_parts("a", &maker()).expect("begun");
    let sent = upload.write_all(&vec![7; 3 * MIN_CHUNK_BYTES]);
    let sent = match sent {
        Ok(()) => upload.finish(&Digest::of(b"")).map(drop),
        Err(error) => Err(error.into()),
    };
    is_a_failure(sent, "cannot send a to s3://b/x");
}
