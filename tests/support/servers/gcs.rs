//! A Google Cloud Storage server in memory: as much of the XML API as object_store's client speaks, with its conditions.
//!
//! Written from <https://cloud.google.com/storage/docs/xml-api/reference-methods>; no token is asked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::SystemTime,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::{DateTime, Utc};
use md5::{Digest as _, Md5};
use serde_json::json;

use super::{
    http::{self, Head, Request, elements, escaped, percent_decoded},
    listening::{Listening, locked},
    s3::BUCKET,
};

/// The least size of a part that is not the last one.
const PART_BYTES: usize = 5 << 20;

/// Headers of an object that its reader gets back.
const KEPT: [&str; 5] = [
    "content-type",
    "cache-control",
    "content-encoding",
    "content-disposition",
    "content-language",
];

type Answer = (Head, Vec<u8>);

/// A Google Cloud Storage server with one bucket.
pub struct Gcs {
    listening: Listening,
    bucket: Arc<Mutex<Bucket>>,
}

impl Gcs {
    pub fn start() -> Gcs {
        Gcs::with_page_size(1000)
    }

    /// A server whose lists have at most so many names on a page, also when the client asks for more.
    pub fn with_page_size(page_size: usize) -> Gcs {
        let bucket = Arc::new(Mutex::new(Bucket {
            page_size,
            generation: 1_700_000_000_000_000,
            objects: BTreeMap::new(),
            uploads: BTreeMap::new(),
        }));
        let listening = {
            let bucket = Arc::clone(&bucket);
            Listening::start(move |client, _| {
                http::serve(client, |request| locked(&bucket).answer(request))
            })
        };
        Gcs { listening, bucket }
    }

    pub fn endpoint(&self) -> String {
        self.listening.endpoint()
    }

    pub fn bucket(&self) -> &'static str {
        BUCKET
    }

    /// The service account, as JSON, of a client that goes to `endpoint` and asks no server for a token.
    pub fn service_account(endpoint: &str) -> String {
        json!({
            "gcs_base_url": endpoint,
            "disable_oauth": true,
            "client_email": "",
            "private_key": "",
            "private_key_id": "",
        })
        .to_string()
    }

    /// The names of all objects, with their sizes.
    pub fn objects(&self) -> BTreeMap<String, u64> {
        let bucket = locked(&self.bucket);
        let sizes =
            (bucket.objects.iter()).map(|(name, object)| (name.clone(), object.bytes.len() as u64));
        sizes.collect()
    }

    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let bucket = locked(&self.bucket);
        bucket.objects.get(name).map(|object| object.bytes.clone())
    }

    /// The names of all multipart uploads that are neither completed nor aborted.
    pub fn uploads(&self) -> Vec<String> {
        let bucket = locked(&self.bucket);
        bucket
            .uploads
            .values()
            .map(|upload| upload.name.clone())
            .collect()
    }
}

struct Bucket {
    page_size: usize,
    /// The number of the youngest object; each gets a higher one.
    generation: u64,
    objects: BTreeMap<String, Object>,
    uploads: BTreeMap<String, Upload>,
}

#[derive(Clone)]
struct Object {
    bytes: Vec<u8>,
    etag: String,
    /// The value of `x-goog-hash`; an object of several parts has no MD5.
    hash: String,
    generation: u64,
    modified: DateTime<Utc>,
    headers: Vec<(String, String)>,
}

struct Upload {
    name: String,
    headers: Vec<(String, String)>,
    parts: BTreeMap<usize, Vec<u8>>,
}

impl Bucket {
    fn answer(&mut self, request: &Request) -> Answer {
        let path = request.head.path().trim_start_matches('/');
        let (bucket, name) = path.split_once('/').unwrap_or((path, ""));
        if percent_decoded(bucket) != BUCKET {
            return refusal(404, "NoSuchBucket");
        }
        let name = percent_decoded(name);
        let head = &request.head;
        let (uploads, upload) = (head.parameter("uploads"), head.parameter("uploadId"));
        match (head.method(), name.is_empty()) {
            ("GET", true) => self.list(head),
            ("GET" | "HEAD", false) => self.get(head, &name),
            ("POST", false) if uploads.is_some() => self.initiate(head, name),
            ("POST", false) => self.complete(request, name, &upload.unwrap_or_default()),
            ("PUT", false) => match upload {
                Some(upload) => self.put_part(request, &name, &upload),
                None => self.put(request, name),
            },
            ("DELETE", false) => match upload {
                Some(upload) => self.abort(&name, &upload),
                None => self.delete(head, &name),
            },
            _ => refusal(405, "MethodNotAllowed"),
        }
    }

    /// Returns true if the object's generation is the requested one; 0 means that the object is missing.
    fn is_wanted(&self, head: &Head, name: &str) -> bool {
        let is = self.objects.get(name).map_or(0, |object| object.generation);
        let wanted = head.header("x-goog-if-generation-match");
        wanted.is_none_or(|wanted| wanted == is.to_string())
    }

    fn put(&mut self, request: &Request, name: String) -> Answer {
        let head = &request.head;
        if !self.is_wanted(head, &name) {
            return refusal(412, "PreconditionFailed");
        }
        if let Some(source) = head.header("x-goog-copy-source") {
            let source = percent_decoded(source);
            let source = source.trim_start_matches('/').trim_start_matches(BUCKET);
            let Some(object) = self.objects.get(source.trim_start_matches('/')) else {
                return refusal(404, "NoSuchKey");
            };
            let object = object.clone();
            let content = format!("<ETag>{}</ETag>", escaped(&object.etag));
            let head = self.insert(name, object);
            return (
                head,
                format!("<CopyObjectResult>{content}</CopyObjectResult>").into(),
            );
        }
        let hash = hash_of(&request.body);
        let claimed = head.header("x-goog-hash").unwrap_or_default();
        if !claimed.split(',').all(|claim| hash.contains(claim.trim())) {
            return refusal(400, "BadDigest");
        }
        let object = Object {
            etag: etag_of(&request.body),
            hash,
            bytes: request.body.clone(),
            generation: 0,
            modified: now(),
            headers: kept(head),
        };
        (self.insert(name, object), Vec::new())
    }

    /// Stores the object as the youngest one.
    fn insert(&mut self, name: String, object: Object) -> Head {
        self.generation += 1;
        let object = Object {
            generation: self.generation,
            modified: now(),
            ..object
        };
        let mut head = Head::answer(200);
        head.set("ETag", &object.etag);
        head.set("x-goog-generation", object.generation);
        head.set("x-goog-hash", &object.hash);
        self.objects.insert(name, object);
        head
    }

    fn get(&self, head: &Head, name: &str) -> Answer {
        let Some(object) = self.objects.get(name) else {
            return refusal(404, "NoSuchKey");
        };
        let generation = object.generation.to_string();
        if head
            .parameter("generation")
            .is_some_and(|wanted| wanted != generation)
        {
            return refusal(404, "NoSuchKey");
        }
        let names_it =
            |tags: &str| tags == "*" || tags.split(',').any(|tag| tag.trim() == object.etag);
        if head.header("if-match").is_some_and(|tags| !names_it(tags)) {
            return refusal(412, "PreconditionFailed");
        }
        if head.header("if-none-match").is_some_and(names_it) {
            return (Head::answer(304), Vec::new());
        }
        let total = object.bytes.len();
        let (mut answer, content) = match head.header("range").map(|range| bytes_of(range, total)) {
            None => (Head::answer(200), object.bytes.clone()),
            Some(None) => return refusal(416, "InvalidRange"),
            Some(Some((first, end))) => {
                let mut answer = Head::answer(206);
                answer.set(
                    "Content-Range",
                    format!("bytes {first}-{}/{total}", end - 1),
                );
                (answer, object.bytes[first..end].to_vec())
            }
        };
        answer.headers.extend(object.headers.iter().cloned());
        answer.set("ETag", &object.etag);
        answer.set(
            "Last-Modified",
            object.modified.format("%a, %d %b %Y %H:%M:%S GMT"),
        );
        answer.set("x-goog-generation", generation);
        answer.set("x-goog-hash", &object.hash);
        answer.set("x-goog-stored-content-length", total);
        (answer, content)
    }

    fn delete(&mut self, head: &Head, name: &str) -> Answer {
        if !self.is_wanted(head, name) {
            return refusal(412, "PreconditionFailed");
        }
        match self.objects.remove(name) {
            Some(_) => (Head::answer(204), Vec::new()),
            None => refusal(404, "NoSuchKey"),
        }
    }

    /// Names and common prefixes in one order, a page of them, and the last one as the token of the next page.
    fn list(&self, head: &Head) -> Answer {
        let parameter = |name| head.parameter(name).filter(|value| !value.is_empty());
        let prefix = parameter("prefix").unwrap_or_default();
        let delimiter = parameter("delimiter");
        let asked = parameter("max-keys").and_then(|count| count.parse().ok());
        let page_size = asked.unwrap_or(usize::MAX).min(self.page_size);
        let after = parameter("continuation-token").max(parameter("start-after"));
        let listed: BTreeSet<String> = (self.objects.keys())
            .filter(|name| name.starts_with(&prefix))
            .map(|name| {
                let inner = &name[prefix.len()..];
                let end = delimiter.as_ref().and_then(|delimiter| {
                    inner
                        .find(delimiter)
                        .map(|at| prefix.len() + at + delimiter.len())
                });
                name[..end.unwrap_or(name.len())].to_owned()
            })
            .filter(|listed| after.as_ref().is_none_or(|after| listed > after))
            .collect();
        let page: Vec<&String> = listed.iter().take(page_size).collect();
        let mut xml = format!("<Name>{BUCKET}</Name><Prefix>{}</Prefix>", escaped(&prefix));
        if let Some(last) = page.last().filter(|_| page.len() < listed.len()) {
            let token = escaped(last);
            xml += &format!("<NextContinuationToken>{token}</NextContinuationToken>");
        }
        xml += &format!("<IsTruncated>{}</IsTruncated>", page.len() < listed.len());
        for name in page {
            let escaped_name = escaped(name);
            xml += &match self
                .objects
                .get(name)
                .filter(|_| !is_prefix(name, &prefix, delimiter.as_deref()))
            {
                None => format!("<CommonPrefixes><Prefix>{escaped_name}</Prefix></CommonPrefixes>"),
                Some(object) => format!(
                    "<Contents><Key>{escaped_name}</Key><LastModified>{}</LastModified>\
                     <ETag>{}</ETag><Size>{}</Size></Contents>",
                    object.modified.format("%Y-%m-%dT%H:%M:%S%.3fZ"),
                    escaped(&object.etag),
                    object.bytes.len(),
                ),
            };
        }
        answer_xml("ListBucketResult", &xml)
    }

    fn initiate(&mut self, head: &Head, name: String) -> Answer {
        self.generation += 1;
        let id = format!("upload-{}", self.generation);
        let xml = format!(
            "<Bucket>{BUCKET}</Bucket><Key>{}</Key><UploadId>{id}</UploadId>",
            escaped(&name)
        );
        let upload = Upload {
            name,
            headers: kept(head),
            parts: BTreeMap::new(),
        };
        self.uploads.insert(id, upload);
        answer_xml("InitiateMultipartUploadResult", &xml)
    }

    fn put_part(&mut self, request: &Request, name: &str, id: &str) -> Answer {
        let Some(upload) = self
            .uploads
            .get_mut(id)
            .filter(|upload| upload.name == name)
        else {
            return refusal(404, "NoSuchUpload");
        };
        let number = request.head.parameter("partNumber");
        let Some(number @ 1..=10_000) = number.and_then(|number| number.parse().ok()) else {
            return refusal(400, "InvalidArgument");
        };
        upload.parts.insert(number, request.body.clone());
        let mut answer = Head::answer(200);
        answer.set("ETag", etag_of(&request.body));
        answer.set("x-goog-hash", hash_of(&request.body));
        (answer, Vec::new())
    }

    fn complete(&mut self, request: &Request, name: String, id: &str) -> Answer {
        let Some(upload) = self.uploads.get(id).filter(|upload| upload.name == name) else {
            return refusal(404, "NoSuchUpload");
        };
        if !self.is_wanted(&request.head, &name) {
            return refusal(412, "PreconditionFailed");
        }
        let xml = String::from_utf8_lossy(&request.body);
        let numbers = elements(&xml, "PartNumber")
            .into_iter()
            .map(|number| number.parse().unwrap_or(0));
        let named: Vec<(usize, String)> = numbers.zip(elements(&xml, "ETag")).collect();
        if named.is_empty() || !named.is_sorted_by(|(one, _), (next, _)| one < next) {
            return refusal(400, "InvalidPartOrder");
        }
        let mut bytes = Vec::new();
        for (index, (number, etag)) in named.iter().enumerate() {
            match upload
                .parts
                .get(number)
                .filter(|part| etag_of(part) == *etag)
            {
                None => return refusal(400, "InvalidPart"),
                Some(part) if part.len() < PART_BYTES && index + 1 < named.len() => {
                    return refusal(400, "EntityTooSmall");
                }
                Some(part) => bytes.extend(part),
            }
        }
        let object = Object {
            etag: format!("\"{}-{}\"", hex::encode(Md5::digest(id)), named.len()),
            hash: crc32c_of(&bytes),
            bytes,
            generation: 0,
            modified: now(),
            headers: upload.headers.clone(),
        };
        self.uploads.remove(id);
        let inner = format!(
            "<Key>{}</Key><ETag>{}</ETag>",
            escaped(&name),
            escaped(&object.etag)
        );
        let head = self.insert(name, object);
        let (_, content) = answer_xml("CompleteMultipartUploadResult", &inner);
        (head, content)
    }

    fn abort(&mut self, name: &str, id: &str) -> Answer {
        match self
            .uploads
            .get(id)
            .is_some_and(|upload| upload.name == name)
        {
            true => {
                self.uploads.remove(id);
                (Head::answer(204), Vec::new())
            }
            false => refusal(404, "NoSuchUpload"),
        }
    }
}

/// Returns true if a listed name stands for all that begin with it.
fn is_prefix(name: &str, prefix: &str, delimiter: Option<&str>) -> bool {
    delimiter.is_some_and(|delimiter| name.len() > prefix.len() && name.ends_with(delimiter))
}

fn refusal(status: u16, code: &str) -> Answer {
    let content = format!("<Error><Code>{code}</Code><Message>refused</Message></Error>");
    (Head::answer(status), content.into())
}

fn answer_xml(name: &str, inner: &str) -> Answer {
    let mut head = Head::answer(200);
    head.set("Content-Type", "application/xml; charset=UTF-8");
    let xml = format!("<?xml version='1.0' encoding='UTF-8'?><{name}>{inner}</{name}>");
    (head, xml.into())
}

fn kept(head: &Head) -> Vec<(String, String)> {
    let is_kept = |name: &str| KEPT.contains(&name) || name.starts_with("x-goog-meta-");
    let headers = head.headers.iter();
    let headers = headers.filter(|(name, _)| is_kept(&name.to_ascii_lowercase()));
    headers.cloned().collect()
}

fn etag_of(bytes: &[u8]) -> String {
    format!("\"{}\"", hex::encode(Md5::digest(bytes)))
}

/// The value of `x-goog-hash` of an object that was put in one piece.
fn hash_of(bytes: &[u8]) -> String {
    let md5 = BASE64_STANDARD.encode(Md5::digest(bytes));
    format!("{},md5={md5}", crc32c_of(bytes))
}

fn crc32c_of(bytes: &[u8]) -> String {
    let sum = crc32c::crc32c(bytes).to_be_bytes();
    format!("crc32c={}", BASE64_STANDARD.encode(sum))
}

/// The bytes that a Range header (RFC 9110, 14.1.2) means: the first, and the one behind the last.
fn bytes_of(range: &str, total: usize) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (first, end) = match (first.parse().ok(), last.parse::<usize>().ok()) {
        (Some(first), Some(last)) => (first, last.saturating_add(1).min(total)),
        (Some(first), None) => (first, total),
        (None, Some(suffix)) => (total.saturating_sub(suffix), total),
        (None, None) => return None,
    };
    (first < end).then_some((first, end))
}

fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}
