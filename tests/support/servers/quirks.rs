//! Known quirks of servers that speak S3's protocol, and of others: as rules of the proxy in front of a store.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::{
    faults::{Fault, Rule, Words},
    http::Head,
};

/// Something that a server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quirk {
    /// Every answer is a page of the web: a console's port, a login page of a network.
    Html200,
    /// The same to everything but listings.
    HtmlObjects,
    /// Every answer is JSON.
    Json200,
    /// Everything is elsewhere.
    Redirect,
    /// A listing is answered as if it were an object: the endpoint ends with the bucket.
    ListingIsKey,
    /// A listing is one of buckets: the endpoint knows no host with a bucket in front.
    ListingOfBuckets,
    /// A listing says that it goes on, without a token.
    TruncatedWithoutToken,
    /// A listing gives the same token for ever.
    SameToken,
    /// A listing has other tokens and the same objects for ever.
    SamePage,
    /// HEAD finds everything.
    HeadFindsAll,
    /// The first part is answered 400 RequestTimeout.
    Part400,
    /// The same for what goes at once.
    Put400,
    /// The first write is answered 409, because of another request.
    Put409,
    /// The same for the completion of an upload.
    Complete409,
    /// The same for the first note of an upload, which is not an archive.
    Marker409,
    /// The first write, of whatever kind, has a signature that is too old.
    PutSkew,
    /// The same for the first listing.
    ListSkew,
    /// Every signature is too old: the clocks differ.
    Skew,
    /// The session is over.
    Expired,
    /// Several objects cannot be removed at once.
    Del501,
    /// No checksum in a header.
    Sum400,
    /// No conditions.
    Cond501,
    /// No tags.
    Tags501,
    /// No writing at all.
    Put501,
    /// The bucket's quota is used up.
    Quota,
    /// The disks are full.
    Full507,
    /// The completion of an upload is answered 200, with an error in it, and not done.
    CompleteErrorOnce,
    /// The same, always.
    CompleteError,
    /// Two parts are answered 503.
    Part503,
    /// Two parts end in a reset.
    PartReset,
    /// The object to be read lies in cold storage.
    Cold,
    /// Listings have a key with two slashes, and a time that is none.
    OddKeys,
}

impl Quirk {
    /// All of them.
    pub const ALL: [Quirk; 32] = [
        Quirk::Html200,
        Quirk::HtmlObjects,
        Quirk::Json200,
        Quirk::Redirect,
        Quirk::ListingIsKey,
        Quirk::ListingOfBuckets,
        Quirk::TruncatedWithoutToken,
        Quirk::SameToken,
        Quirk::SamePage,
        Quirk::HeadFindsAll,
        Quirk::Part400,
        Quirk::Put400,
        Quirk::Put409,
        Quirk::Complete409,
        Quirk::Marker409,
        Quirk::PutSkew,
        Quirk::ListSkew,
        Quirk::Skew,
        Quirk::Expired,
        Quirk::Del501,
        Quirk::Sum400,
        Quirk::Cond501,
        Quirk::Tags501,
        Quirk::Put501,
        Quirk::Quota,
        Quirk::Full507,
        Quirk::CompleteErrorOnce,
        Quirk::CompleteError,
        Quirk::Part503,
        Quirk::PartReset,
        Quirk::Cold,
        Quirk::OddKeys,
    ];

    /// The rules that make the proxy behave so.
    pub fn rules(self) -> Vec<Rule> {
        let say = |words: Words| Fault::Say(words);
        let no = |status, code, message| Fault::Say(Words::refusal(status, code, message));
        let timeout = || {
            let message = "Your socket connection to the server was not read from or written to";
            no(400, "RequestTimeout", message)
        };
        let conflict = || {
            let message = "A conflicting conditional operation is currently in progress";
            no(409, "ConditionalRequestConflict", message)
        };
        let skew = || {
            let message =
                "The difference between the request time and the server's time is too large";
            no(403, "RequestTimeTooSkewed", message)
        };
        let unknown = || {
            no(
                501,
                "NotImplemented",
                "A header you provided implies functionality that is not implemented",
            )
        };
        let write = |fault: Fault| Rule::on("PUT", fault).whose(is_archive);
        match self {
            Quirk::Html200 => vec![Rule::on("*", say(Words::page())).always()],
            Quirk::HtmlObjects => vec![
                Rule::on("*", say(Words::page()))
                    .whose(|head| !is_listing(head))
                    .always(),
            ],
            Quirk::Json200 => {
                let words = Words {
                    status: 200,
                    headers: vec![("Content-Type", "application/json".to_owned())],
                    body: "{\"status\": \"ok\"}".to_owned(),
                };
                vec![Rule::on("*", say(words)).always()]
            }
            Quirk::Redirect => {
                let words = Words {
                    status: 302,
                    headers: vec![("Location", "/login".to_owned())],
                    body: String::new(),
                };
                vec![
                    Rule::on("*", say(Words::page()))
                        .whose(|head| head.path() == "/login")
                        .always(),
                    Rule::on("*", say(words)).always(),
                ]
            }
            Quirk::ListingIsKey => vec![listing(no(404, "NoSuchKey", "no such key"))],
            Quirk::ListingOfBuckets => {
                let words = Words {
                    status: 200,
                    headers: Vec::new(),
                    body: "<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>".to_owned(),
                };
                vec![listing(say(words))]
            }
            Quirk::TruncatedWithoutToken => vec![rewritten(|page| truncated(page, ""))],
            Quirk::SameToken => vec![listing(Fault::Tell(Arc::new(|_| page("again", "other"))))],
            Quirk::SamePage => {
                let count = AtomicUsize::new(0);
                vec![listing(Fault::Tell(Arc::new(move |_| {
                    let number = count.fetch_add(1, Ordering::Relaxed);
                    page(&number.to_string(), "other")
                })))]
            }
            Quirk::HeadFindsAll => {
                let words = Words {
                    status: 200,
                    headers: vec![
                        ("Last-Modified", "Sat, 21 Nov 2026 03:00:00 GMT".to_owned()),
                        ("ETag", "\"1\"".to_owned()),
                    ],
                    body: String::new(),
                };
                vec![Rule::on("HEAD", say(words)).always()]
            }
            Quirk::Part400 => vec![write(timeout()).whose(is_part)],
            Quirk::Put400 => vec![write(timeout())],
            Quirk::Put409 => {
                vec![write(conflict()).whose(|head| is_archive(head) && !is_part(head))]
            }
            Quirk::Complete409 => vec![completion(conflict())],
            Quirk::Marker409 => vec![Rule::on("PUT", conflict()).whose(|head| !is_archive(head))],
            Quirk::PutSkew => vec![write(skew())],
            Quirk::ListSkew => vec![Rule::on("GET", skew()).whose(is_listing)],
            Quirk::Skew => vec![Rule::on("*", skew()).always()],
            Quirk::Expired => vec![
                Rule::on(
                    "*",
                    no(400, "ExpiredToken", "The provided token has expired."),
                )
                .always(),
            ],
            Quirk::Del501 => vec![
                Rule::on("POST", unknown())
                    .whose(|head| head.parameter("delete").is_some())
                    .always(),
            ],
            Quirk::Sum400 => {
                let message =
                    "Unsupported header 'x-amz-checksum-sha256' received for this API call.";
                let has_one = |head: &Head| {
                    head.header("x-amz-checksum-sha256").is_some()
                        || head.header("x-amz-checksum-algorithm").is_some()
                };
                vec![
                    Rule::on("*", no(400, "InvalidArgument", message))
                        .whose(has_one)
                        .always(),
                ]
            }
            Quirk::Cond501 => vec![
                Rule::on("*", unknown())
                    .whose(|head| head.header("if-none-match").is_some())
                    .always(),
            ],
            Quirk::Tags501 => vec![
                Rule::on("*", unknown())
                    .whose(|head| head.header("x-amz-tagging").is_some())
                    .always(),
            ],
            Quirk::Put501 => vec![write(unknown()).always(), completion(unknown()).always()],
            Quirk::Quota => {
                let fault = || no(403, "QuotaExceeded", "The bucket's quota is exceeded");
                vec![write(fault()).always(), begin(fault()).always()]
            }
            Quirk::Full507 => {
                let message = "Storage backend has reached its minimum free drive threshold.";
                let fault = || no(507, "XMinioStorageFull", message);
                vec![write(fault()).always(), begin(fault()).always()]
            }
            Quirk::CompleteErrorOnce => vec![completion(internal())],
            Quirk::CompleteError => vec![completion(internal()).always()],
            Quirk::Part503 => {
                vec![
                    write(no(503, "SlowDown", "Reduce your request rate"))
                        .times(2)
                        .whose(is_part),
                ]
            }
            Quirk::PartReset => vec![
                write(Fault::ResetRequest {
                    after_bytes: 70_000,
                })
                .times(2)
                .whose(is_part),
            ],
            Quirk::Cold => {
                let message = "The operation is not valid for the object's storage class";
                vec![
                    Rule::on("GET", no(403, "InvalidObjectState", message))
                        .whose(|head| is_archive(head) && !is_listing(head))
                        .always(),
                ]
            }
            Quirk::OddKeys => vec![rewritten(|page| {
                let odd = "<Contents><Key>odd//key</Key><Size>1</Size><LastModified>never</LastModified></Contents>\
                           <CommonPrefixes><Prefix>odd//</Prefix></CommonPrefixes></ListBucketResult>";
                page.replace("</ListBucketResult>", odd)
            })],
        }
    }
}

fn internal() -> Fault {
    Fault::Say(Words {
        status: 200,
        ..Words::refusal(200, "InternalError", "We encountered an internal error.")
    })
}

fn listing(fault: Fault) -> Rule {
    Rule::on("GET", fault).whose(is_listing).always()
}

fn rewritten(change: impl Fn(&str) -> String + Send + Sync + 'static) -> Rule {
    listing(Fault::Rewrite(Arc::new(change)))
}

fn completion(fault: Fault) -> Rule {
    Rule::on("POST", fault).whose(|head| head.parameter("uploadId").is_some())
}

fn begin(fault: Fault) -> Rule {
    Rule::on("POST", fault).whose(|head| head.parameter("uploads").is_some())
}

/// A page with one object, and a way on.
fn page(token: &str, key: &str) -> Words {
    let body = format!(
        "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>\
         <Contents><Key>{key}</Key><Size>1</Size></Contents></ListBucketResult>"
    );
    Words {
        status: 200,
        headers: Vec::new(),
        body,
    }
}

/// The page, with a way on that is `token`.
fn truncated(page: &str, token: &str) -> String {
    let page = page.replace("<IsTruncated>false</IsTruncated>", "");
    let end = format!("<IsTruncated>true</IsTruncated>{token}</ListBucketResult>");
    page.replace("</ListBucketResult>", &end)
}

pub fn is_listing(head: &Head) -> bool {
    head.method() == "GET" && head.parameter("list-type").is_some()
}

/// Not one of hookshot's own notes.
pub fn is_archive(head: &Head) -> bool {
    !head.path().contains("/.hookshot-")
}

fn is_part(head: &Head) -> bool {
    head.parameter("partNumber").is_some()
}
