//! The stores that other tests run against, and the proxy that breaks them: each does what those tests rely on.

use support::servers::{self, Azurite, Fault, Faults, Gcs, Moto, Rule, S3, Sshd, http};

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::TryStreamExt as _;
use object_store::{
    BackoffConfig, ClientOptions, Error, MultipartUpload as _, ObjectStore, ObjectStoreExt as _,
    PutMode, PutPayload, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    azure::{MicrosoftAzure, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder},
    list::{PaginatedListOptions, PaginatedListStore},
    multipart::MultipartStore,
    path::Path,
};

/// The least size of a part.
const PART_BYTES: usize = 5 << 20;

/// Returns the settings of a client that retries `count` times, with next to no pause.
fn retries(count: usize) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(1),
            max_backoff: Duration::from_millis(10),
            base: 2.,
        },
        max_retries: count,
        retry_timeout: Duration::from_secs(30),
    }
}

fn s3_client(endpoint: &str) -> AmazonS3 {
    s3_client_with(endpoint, ClientOptions::new())
}

fn s3_client_with(endpoint: &str, options: ClientOptions) -> AmazonS3 {
    AmazonS3Builder::new()
        .with_client_options(options)
        .with_endpoint(endpoint)
        .with_region("us-east-1")
        .with_bucket_name(servers::s3::BUCKET)
        .with_access_key_id(S3::ACCESS_KEY)
        .with_secret_access_key(S3::SECRET_KEY)
        .with_allow_http(true)
        .with_retry(retries(3))
        .build()
        .expect("a client")
}

fn gcs_client(endpoint: &str) -> GoogleCloudStorage {
    GoogleCloudStorageBuilder::new()
        .with_service_account_key(Gcs::service_account(endpoint))
        .with_bucket_name(servers::s3::BUCKET)
        .with_client_options(ClientOptions::new().with_allow_http(true))
        .with_retry(retries(3))
        .build()
        .expect("a client")
}

fn azure_client(endpoint: &str) -> MicrosoftAzure {
    MicrosoftAzureBuilder::new()
        .with_endpoint(Azurite::account_endpoint(endpoint))
        .with_account(Azurite::ACCOUNT)
        .with_access_key(Azurite::KEY)
        .with_container_name(servers::s3::BUCKET)
        .with_allow_http(true)
        .with_retry(retries(3))
        .build()
        .expect("a client")
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().expect("a runtime");
    runtime.block_on(work)
}

/// Bytes of which no two neighbourhoods are the same.
fn bytes(count: usize, seed: u8) -> Vec<u8> {
    let byte = |at: usize| (at % 251) as u8 ^ (at / 251 % 241) as u8 ^ seed;
    (0..count).map(byte).collect()
}

fn path(name: &str) -> Path {
    Path::from(name)
}

async fn content(store: &impl ObjectStore, name: &str) -> Result<Vec<u8>, Error> {
    Ok(store.get(&path(name)).await?.bytes().await?.to_vec())
}

/// Checks the behaviour of a store that hookshot relies on.
async fn conforms(store: &(impl ObjectStore + MultipartStore + PaginatedListStore)) {
    puts_and_gets(store).await;
    lists_in_pages(store).await;
    uploads_in_parts(store).await;
}

async fn puts_and_gets(store: &impl ObjectStore) {
    let one = bytes(70_000, 1);
    let name = path("host/one.tar.gz");
    let put = store.put(&name, one.clone().into()).await.expect("put");
    assert_eq!(content(store, "host/one.tar.gz").await.expect("got"), one);
    let head = store.head(&name).await.expect("a head");
    assert_eq!((head.size, head.e_tag), (70_000, put.e_tag));

    let again = store
        .put_opts(&name, "other".into(), PutMode::Create.into())
        .await;
    assert!(
        matches!(again, Err(Error::AlreadyExists { .. })),
        "{again:?}"
    );
    assert_eq!(content(store, "host/one.tar.gz").await.expect("got"), one);
    let new = store
        .put_opts(&path("new"), "n".into(), PutMode::Create.into())
        .await;
    new.expect("created");

    let range = store.get_range(&name, 251..60_000).await.expect("a range");
    assert_eq!(range, one[251..60_000]);

    for name in [&name, &path("new")] {
        store.delete(name).await.expect("deleted");
        let gone = store.head(name).await;
        assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
    }
}

async fn lists_in_pages(store: &(impl ObjectStore + PaginatedListStore)) {
    let names = [
        "list/a", "list/b", "list/c/1", "list/c/2", "list/d", "list/e", "listed",
    ];
    for name in names {
        store
            .put(&path(name), name.to_owned().into())
            .await
            .expect("put");
    }
    let all: Vec<_> = store
        .list(Some(&path("list")))
        .try_collect()
        .await
        .expect("a list");
    let mut all: Vec<_> = all
        .into_iter()
        .map(|object| object.location.to_string())
        .collect();
    all.sort();
    assert_eq!(all, names[..6]);

    let folder = store
        .list_with_delimiter(Some(&path("list")))
        .await
        .expect("a list");
    let objects = folder.objects.iter().map(|object| object.location.as_ref());
    assert_eq!(
        objects.collect::<Vec<_>>(),
        ["list/a", "list/b", "list/d", "list/e"]
    );
    assert_eq!(folder.common_prefixes, [path("list/c")]);

    let (mut listed, mut pages, mut page_token) = (Vec::new(), 0, None);
    loop {
        let options = PaginatedListOptions {
            max_keys: Some(4),
            page_token,
            ..PaginatedListOptions::default()
        };
        let page = store
            .list_paginated(Some("list/"), options)
            .await
            .expect("a page");
        assert!(page.result.objects.len() <= 4, "{page:?}");
        pages += 1;
        listed.extend(
            page.result
                .objects
                .into_iter()
                .map(|object| object.location.to_string()),
        );
        page_token = page.page_token;
        if page_token.is_none() {
            break;
        }
    }
    assert_eq!((pages, listed), (2, all));
    for name in names {
        store.delete(&path(name)).await.expect("deleted");
    }
}

async fn uploads_in_parts(store: &(impl ObjectStore + MultipartStore)) {
    let parts: Vec<Vec<u8>> = (0..3).map(|part| bytes(PART_BYTES, part)).collect();
    let name = path("host/large.tar.gz");
    let mut upload = store.put_multipart(&name).await.expect("an upload");
    for part in &parts {
        upload.put_part(part.clone().into()).await.expect("a part");
    }
    let early = store.head(&name).await;
    assert!(matches!(early, Err(Error::NotFound { .. })), "{early:?}");
    upload.complete().await.expect("complete");
    let stored = content(store, "host/large.tar.gz").await.expect("got");
    assert!(stored == parts.concat(), "{} bytes came back", stored.len());
    store.delete(&name).await.expect("deleted");

    let id = store.create_multipart(&name).await.expect("an upload");
    let part = PutPayload::from(parts[0].clone());
    store.put_part(&name, &id, 0, part).await.expect("a part");
    store.abort_multipart(&name, &id).await.expect("aborted");
    let aborted = store.head(&name).await;
    assert!(
        matches!(aborted, Err(Error::NotFound { .. })),
        "{aborted:?}"
    );
}

#[test]
fn s3_in_the_test_is_a_store() {
    let s3 = S3::start();
    run(conforms(&s3_client(&s3.endpoint())));
    assert_eq!(s3.objects(), Default::default());
    assert_eq!(s3.leftovers(), [""; 0]);
}

#[test]
fn s3_shows_its_objects_and_what_an_upload_leaves() {
    let s3 = S3::start();
    let store = s3_client(&s3.endpoint());
    run(async {
        store
            .put(&path("host/a"), "four".into())
            .await
            .expect("put");
        let id = store
            .create_multipart(&path("host/b"))
            .await
            .expect("an upload");
        let part = PutPayload::from(bytes(PART_BYTES, 0));
        store
            .put_part(&path("host/b"), &id, 0, part)
            .await
            .expect("a part");
        assert_eq!(s3.objects(), [("host/a".to_owned(), 4)].into());
        let left = s3.leftovers();
        assert!(
            left.iter().any(|name| name.ends_with(".part-1")),
            "{left:?}"
        );
        store
            .abort_multipart(&path("host/b"), &id)
            .await
            .expect("aborted");
        assert_eq!(s3.leftovers(), [""; 0]);
        fs::write(s3.file("host/a"), "five!").expect("written");
        assert_eq!(content(&store, "host/a").await.expect("got"), b"five!");
    });
}

#[test]
fn s3_refuses_a_wrong_secret() {
    let s3 = S3::start();
    let builder = AmazonS3Builder::new()
        .with_endpoint(s3.endpoint())
        .with_allow_http(true);
    let builder = builder
        .with_bucket_name(s3.bucket())
        .with_region("us-east-1");
    let builder = builder
        .with_access_key_id(S3::ACCESS_KEY)
        .with_secret_access_key("wrong");
    let store = builder.build().expect("a client");
    let put = run(store.put(&path("a"), "a".into()));
    assert!(
        matches!(put, Err(Error::PermissionDenied { .. })),
        "{put:?}"
    );
}

#[test]
fn moto_is_a_store_and_lists_uploads() {
    let Some(moto) = Moto::start() else { return };
    let store = s3_client(&moto.endpoint());
    run(async {
        conforms(&store).await;
        store.put(&path("host/a"), "a".into()).await.expect("put");
        let id = store
            .create_multipart(&path("host/b"))
            .await
            .expect("an upload");
        assert_eq!(
            (moto.objects(), moto.uploads()),
            (vec!["host/a".into()], vec!["host/b".into()])
        );
        store
            .abort_multipart(&path("host/b"), &id)
            .await
            .expect("aborted");
        assert_eq!(moto.uploads(), [""; 0]);
    });
}

#[test]
fn azurite_is_a_store_and_lists_uncommitted_blobs() {
    let Some(azurite) = Azurite::start() else {
        return;
    };
    let store = azure_client(&azurite.endpoint());
    run(async {
        conforms(&store).await;
        assert_eq!(azurite.blobs(), [""; 0]);
        store.put(&path("host/a"), "a".into()).await.expect("put");
        let id = store
            .create_multipart(&path("host/b"))
            .await
            .expect("an upload");
        store
            .put_part(&path("host/b"), &id, 0, "part".into())
            .await
            .expect("a part");
        assert_eq!(azurite.blobs(), ["host/a"]);
        // Azure's client aborts nothing: blocks that were never committed stay until the server forgets them.
        let with_uploads = ["host/a", "host/b", "host/large.tar.gz"];
        assert_eq!(azurite.blobs_and_uploads(), with_uploads);
    });
}

#[test]
fn azure_goes_through_the_proxy() {
    let Some(azurite) = Azurite::start() else {
        return;
    };
    let faults = Faults::in_front_of(&azurite.endpoint());
    faults.add(Rule::on("PUT", Fault::Answer(503)));
    faults.add(Rule::on("PUT", Fault::Swallow).after(1));
    let store = azure_client(&faults.endpoint());
    run(async {
        store.put(&path("kept"), "a".into()).await.expect("put");
        store
            .put(&path("lost"), "a".into())
            .await
            .expect("put, says the answer");
    });
    assert_eq!(azurite.blobs(), ["kept"]);
    assert_eq!(faults.count("PUT"), 3, "{:?}", faults.seen());
}

#[test]
fn gcs_is_a_store_and_shows_what_it_has() {
    let gcs = Gcs::start();
    let store = gcs_client(&gcs.endpoint());
    run(async {
        conforms(&store).await;
        assert_eq!((gcs.objects(), gcs.uploads()), Default::default());
        store.put(&path("host/a"), "a".into()).await.expect("put");
        store
            .create_multipart(&path("host/b"))
            .await
            .expect("an upload");
    });
    assert_eq!(gcs.objects(), [("host/a".to_owned(), 1)].into());
    assert_eq!(gcs.content("host/a").expect("an object"), b"a");
    assert_eq!(gcs.uploads(), ["host/b"]);
}

#[test]
fn gcs_lists_in_pages_of_its_own_choice() {
    let gcs = Gcs::with_page_size(2);
    let faults = Faults::in_front_of(&gcs.endpoint());
    let store = gcs_client(&faults.endpoint());
    run(async {
        for name in ["a", "b/1", "b/2", "c", "d/1"] {
            store.put(&path(name), "x".into()).await.expect("put");
        }
        let all: Vec<_> = store.list(None).try_collect().await.expect("a list");
        assert_eq!((all.len(), faults.count("GET")), (5, 3));
        let top = store.list_with_delimiter(None).await.expect("a list");
        assert_eq!(
            (
                top.objects.len(),
                top.common_prefixes.len(),
                faults.count("GET")
            ),
            (2, 2, 5)
        );
    });
}

#[test]
fn gcs_checks_generations_and_parts_and_names_digests() {
    let gcs = Gcs::start();
    let address: SocketAddr = gcs
        .endpoint()
        .trim_start_matches("http://")
        .parse()
        .expect("one");
    let call = |method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]| {
        let (head, body) = http::call(address, method, target, headers, body).expect("an answer");
        (
            head.status(),
            head,
            String::from_utf8_lossy(&body).into_owned(),
        )
    };
    let first = [("x-goog-if-generation-match", "0")];
    let (status, head, _) = call("PUT", "/bucket/check", &first, b"123456789");
    // The check value of CRC-32C (RFC 3720, B.4 names the polynomial), and the MD5 of the same text.
    let hash = "crc32c=4waSgw==,md5=JfnnlDI7RTiF9RgfG2JNCw==";
    assert_eq!((status, head.header("x-goog-hash")), (200, Some(hash)));
    let generation = head.header("x-goog-generation").expect("one").to_owned();
    assert_eq!(call("PUT", "/bucket/check", &first, b"x").0, 412);
    assert_eq!(
        call(
            "PUT",
            "/bucket/new",
            &[("x-goog-if-generation-match", "7")],
            b"x"
        )
        .0,
        412
    );
    let same = [("x-goog-if-generation-match", generation.as_str())];
    assert_eq!(call("PUT", "/bucket/check", &same, b"x").0, 200);
    assert_eq!(call("DELETE", "/bucket/check", &same, b"").0, 412);
    assert_eq!(
        call(
            "PUT",
            "/bucket/bad",
            &[("x-goog-hash", "crc32c=AAAAAA==")],
            b"x"
        )
        .0,
        400
    );
    assert_eq!(
        call("GET", "/bucket/check", &[("Range", "bytes=9-")], b"").0,
        416
    );
    assert_eq!(call("GET", "/other/check", &[], b"").0, 404);

    let (_, _, xml) = call("POST", "/bucket/large?uploads", &[], b"");
    let id = http::elements(&xml, "UploadId").remove(0);
    let mut named = String::new();
    for number in 1..=2 {
        let target = format!("/bucket/large?partNumber={number}&uploadId={id}");
        let (_, head, _) = call("PUT", &target, &[], b"small");
        let etag = head.header("etag").expect("an etag");
        named += &format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>");
    }
    let target = format!("/bucket/large?uploadId={id}");
    let wrong = named.replace("<ETag>\"", "<ETag>\"0");
    assert!(
        call("POST", &target, &[], wrong.as_bytes())
            .2
            .contains("InvalidPart<")
    );
    assert!(
        call("POST", &target, &[], named.as_bytes())
            .2
            .contains("EntityTooSmall")
    );
    assert_eq!(call("DELETE", &target, &[], b"").0, 204);
    assert_eq!(call("DELETE", &target, &[], b"").0, 404);
}

/// An S3 server with one object, `large`, behind the proxy.
struct Broken {
    s3: S3,
    faults: Faults,
    store: AmazonS3,
    large: Vec<u8>,
}

impl Broken {
    fn by(rule: Rule) -> Broken {
        Broken::by_with(rule, ClientOptions::new())
    }

    fn by_with(rule: Rule, options: ClientOptions) -> Broken {
        let s3 = S3::start();
        let large = bytes(1 << 20, 3);
        fs::write(s3.file("large"), &large).expect("written");
        let faults = Faults::in_front_of(&s3.endpoint());
        faults.add(rule);
        let store = s3_client_with(&faults.endpoint(), options);
        Broken {
            s3,
            faults,
            store,
            large,
        }
    }

    /// Puts the large object under another name.
    fn put(&self) -> Result<Option<String>, Error> {
        let name = path("new");
        let put = self.store.put(&name, self.large.clone().into());
        run(put).map(|result| result.e_tag)
    }

    fn get(&self) -> Result<Vec<u8>, Error> {
        run(content(&self.store, "large"))
    }

    fn has_new(&self) -> bool {
        let size = self.s3.objects().get("new").copied();
        assert!([None, Some(1 << 20)].contains(&size), "{size:?}");
        size.is_some()
    }
}

#[test]
fn fault_answers_instead_of_the_store() {
    let broken = Broken::by(Rule::on("PUT", Fault::Answer(503)).times(2));
    broken.put().expect("the third time");
    let statuses: Vec<_> = broken
        .faults
        .seen()
        .iter()
        .map(|seen| seen.status)
        .collect();
    assert_eq!(statuses, [Some(503), Some(503), Some(200)]);
    let sizes: Vec<_> = broken
        .faults
        .seen()
        .iter()
        .map(|seen| seen.body_bytes)
        .collect();
    assert_eq!(sizes, [1 << 20; 3]);
    assert!(broken.has_new());

    let broken = Broken::by(Rule::on("PUT", Fault::Answer(429)).always());
    assert!(broken.put().is_err());
    assert_eq!((broken.faults.count("PUT"), broken.has_new()), (4, false));

    let broken = Broken::by(Rule::on("PUT", Fault::Answer(403)).always());
    assert!(matches!(broken.put(), Err(Error::PermissionDenied { .. })));
    assert_eq!((broken.faults.count("PUT"), broken.has_new()), (1, false));
    broken.faults.clear();
    broken.put().expect("no fault any more");
}

#[test]
fn fault_strikes_the_requests_that_are_meant() {
    let is_new = |head: &http::Head| head.path() == "/bucket/new";
    let broken = Broken::by(Rule::on("*", Fault::Answer(403)).whose(is_new).after(1));
    assert_eq!(broken.get().expect("not meant"), broken.large);
    broken.put().expect("the first one");
    assert!(broken.put().is_err());
    broken.put().expect("the third one");
    assert_eq!(broken.faults.struck(), 1);
    assert_eq!(
        (broken.faults.count("GET"), broken.faults.count("DELETE")),
        (1, 0)
    );
    let signed = broken
        .faults
        .seen()
        .iter()
        .all(|seen| seen.head.header("authorization").is_some());
    assert!(signed, "{:?}", broken.faults.seen());
}

#[test]
fn fault_resets_a_request_in_its_middle() {
    let broken = Broken::by(Rule::on(
        "PUT",
        Fault::ResetRequest {
            after_bytes: 300_000,
        },
    ));
    broken.put().expect("tried again");
    let seen = broken.faults.seen();
    assert_eq!(
        (seen[0].body_bytes, seen[0].status),
        (300_000, None),
        "{seen:?}"
    );
    assert_eq!((seen.len(), broken.has_new()), (2, true));

    let broken = Broken::by(
        Rule::on(
            "PUT",
            Fault::ResetRequest {
                after_bytes: 300_000,
            },
        )
        .always(),
    );
    let error = broken.put().expect_err("reset").to_string();
    assert_eq!(
        (broken.faults.struck(), broken.has_new()),
        (4, false),
        "{error}"
    );
}

#[test]
fn fault_resets_instead_of_closing() {
    for fault in [Fault::ResetRequest { after_bytes: 2 }, Fault::LoseAnswer] {
        let gcs = Gcs::start();
        let faults = Faults::in_front_of(&gcs.endpoint());
        faults.add(Rule::on("PUT", fault));
        let mut client = connected(&faults);
        let request = b"PUT /bucket/new HTTP/1.1\r\nContent-Length: 2\r\n\r\nxy";
        client.write_all(request).expect("sent");
        let error = client.read(&mut [0]).expect_err("a reset");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
}

#[test]
fn fault_loses_the_answer_of_what_was_done() {
    let broken = Broken::by(Rule::on("PUT", Fault::LoseAnswer).always());
    assert!(broken.put().is_err());
    assert!(broken.has_new() && broken.faults.struck() > 0);
}

#[test]
fn fault_truncates_an_answer() {
    let broken = Broken::by(Rule::on(
        "GET",
        Fault::TruncateAnswer {
            after_bytes: 400_000,
        },
    ));
    // The client asks for what is missing.
    assert!(broken.get().expect("resumed") == broken.large);
    let seen = broken.faults.seen();
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert_eq!(seen[1].head.header("range"), Some("bytes=400000-1048575"));

    let broken = Broken::by(Rule::on("GET", Fault::TruncateAnswer { after_bytes: 9 }).always());
    assert!(broken.get().is_err());
}

#[test]
fn fault_swallows_what_it_says_is_stored() {
    let broken = Broken::by(Rule::on("*", Fault::Swallow).always());
    let etag = broken.put().expect("stored, says the answer");
    assert_eq!(etag.expect("an etag").len(), 34);
    run(async {
        let mut upload = broken
            .store
            .put_multipart(&path("new"))
            .await
            .expect("an upload");
        upload
            .put_part(bytes(PART_BYTES, 0).into())
            .await
            .expect("a part");
        upload.complete().await.expect("complete, says the answer");
    });
    assert!(!broken.has_new() && broken.s3.leftovers().is_empty());
}

#[test]
fn fault_changes_a_header_of_the_answer() {
    let value = "\"0123\"".to_owned();
    let broken = Broken::by(Rule::on(
        "PUT",
        Fault::AnswerHeader {
            name: "ETag",
            value,
        },
    ));
    let etags = [broken.put(), broken.put()].map(|etag| etag.expect("put").expect("an etag"));
    assert_eq!(etags[0], "\"0123\"");
    assert_ne!(etags[1], etags[0]);
}

#[test]
fn fault_flips_a_byte_of_the_request() {
    // S3 is given a digest and refuses.
    let broken = Broken::by(Rule::on("PUT", Fault::FlipRequestByte { at: 70_001 }).always());
    let error = broken.put().expect_err("damaged").to_string();
    assert!(!broken.has_new() && broken.faults.struck() > 0, "{error}");

    // GCS is given none and keeps what it gets.
    let gcs = Gcs::start();
    let faults = Faults::in_front_of(&gcs.endpoint());
    faults.add(Rule::on("PUT", Fault::FlipRequestByte { at: 70_001 }));
    let put = gcs_client(&faults.endpoint());
    let put = run(async move {
        put.put(&path("new"), broken.large.clone().into())
            .await
            .map(|_| broken.large)
    });
    let mut damaged = put.expect("put");
    damaged[70_001] ^= 1;
    assert!(gcs.content("new").expect("an object") == damaged);
}

#[test]
fn fault_flips_a_byte_of_the_answer() {
    let broken = Broken::by(Rule::on("GET", Fault::FlipAnswerByte { at: 0 }));
    let mut damaged = broken.large.clone();
    damaged[0] ^= 1;
    assert!(broken.get().expect("got") == damaged);
    assert!(broken.get().expect("got") == broken.large);
}

#[test]
fn fault_trickles_an_answer() {
    let (piece_bytes, pause) = (100_000, Duration::from_millis(10));
    let broken = Broken::by(Rule::on("GET", Fault::Trickle { piece_bytes, pause }));
    let start = Instant::now();
    assert!(broken.get().expect("got") == broken.large);
    assert!(start.elapsed() >= 11 * pause, "{:?}", start.elapsed());
}

#[test]
fn fault_hangs_until_the_client_gives_up_or_the_proxy_is_dropped() {
    let options = ClientOptions::new().with_timeout(Duration::from_millis(200));
    let broken = Broken::by_with(Rule::on("PUT", Fault::Hang).always(), options);
    let start = Instant::now();
    let error = broken.put().expect_err("no answer").to_string();
    assert!(start.elapsed() >= 4 * Duration::from_millis(200), "{error}");
    assert_eq!(
        (broken.faults.struck(), broken.has_new()),
        (4, false),
        "{error}"
    );

    let mut client = connected(&broken.faults);
    client
        .write_all(b"PUT /bucket/new HTTP/1.1\r\nContent-Length: 1\r\n\r\nx")
        .expect("sent");
    within_20_s(|| (broken.faults.struck() == 5).then_some(()));
    drop(broken.faults);
    assert_eq!(client.read(&mut [0]).expect("closed"), 0);
}

fn connected(faults: &Faults) -> TcpStream {
    let address = faults.endpoint();
    TcpStream::connect(address.trim_start_matches("http://")).expect("the proxy")
}

#[test]
fn fault_calls_the_test_in_the_middle_of_a_request() {
    let gcs = Gcs::start();
    let faults = Faults::in_front_of(&gcs.endpoint());
    let mut client = connected(&faults);
    let killed = client.try_clone().expect("a second handle");
    let called = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&called);
    let hook = Arc::new(move || {
        flag.store(true, Ordering::Relaxed);
        let both = std::net::Shutdown::Both;
        killed.shutdown(both).expect("connected");
    });
    faults.add(Rule::on("PUT", Fault::AtRequestByte { at: 250_000, hook }));
    let head = b"PUT /bucket/new HTTP/1.1\r\nContent-Length: 300000\r\n\r\n";
    client.write_all(head).expect("sent");
    client.write_all(&bytes(280_000, 0)).expect("sent");
    assert_eq!(client.read(&mut [0]).unwrap_or(0), 0);
    assert!(called.load(Ordering::Relaxed));
    assert!((250_000..=280_000).contains(&faults.seen()[0].body_bytes));
    assert_eq!((faults.struck(), gcs.objects().len()), (1, 0));
}

#[test]
fn fault_calls_the_test_in_the_middle_of_an_answer() {
    let called = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&called);
    let hook = Arc::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let broken = Broken::by(Rule::on("GET", Fault::AtAnswerByte { at: 500_000, hook }));
    for _ in 0..2 {
        assert!(broken.get().expect("got") == broken.large);
    }
    assert_eq!(called.load(Ordering::Relaxed), 1);
    // A body that ends before the byte is not struck.
    let called = Arc::new(AtomicBool::new(false));
    let count = Arc::clone(&called);
    let hook = Arc::new(move || count.store(true, Ordering::Relaxed));
    broken
        .faults
        .add(Rule::on("GET", Fault::AtAnswerByte { at: 2 << 20, hook }));
    broken.get().expect("got");
    assert!(!called.load(Ordering::Relaxed) && broken.faults.struck() == 1);
}

#[test]
fn bodies_in_chunks_pass_through_the_proxy() {
    let gcs = Gcs::start();
    let faults = Faults::in_front_of(&gcs.endpoint());
    let mut client = connected(&faults);
    let request = "PUT /bucket/new HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n\
                   5\r\nfirst\r\n6;x=y\r\nsecond\r\n0\r\n\r\nGET /bucket/new HTTP/1.1\r\n\r\n";
    client.write_all(request.as_bytes()).expect("sent");
    let mut reader = BufReader::new(&client);
    for (status, body) in [(100, ""), (200, ""), (200, "firstsecond")] {
        let head = http::Head::read(&mut reader)
            .expect("a head")
            .expect("an answer");
        let mut content = String::new();
        let framing = head.framing_of_request().expect("a framing");
        let mut reader = http::BodyReader::new(&mut reader, framing);
        reader.read_to_string(&mut content).expect("a body");
        assert_eq!((head.status(), content.as_str()), (status, body));
    }
    assert_eq!(faults.seen()[0].body_bytes, 11);
}

#[test]
fn servers_are_gone_when_they_are_dropped() {
    let (s3, gcs) = (S3::start(), Gcs::start());
    let faults = Faults::in_front_of(&s3.endpoint());
    let mut endpoints = vec![s3.endpoint(), gcs.endpoint(), faults.endpoint()];
    let moto = Moto::start();
    endpoints.extend(moto.as_ref().map(Moto::endpoint));
    let connects = |endpoint: &String| TcpStream::connect(endpoint.trim_start_matches("http://"));
    assert!(endpoints.iter().all(|endpoint| connects(endpoint).is_ok()));
    drop((s3, gcs, faults, moto));
    assert!(endpoints.iter().all(|endpoint| connects(endpoint).is_err()));
}

#[test]
fn sshd_takes_files_through_its_config() {
    let Some(sshd) = Sshd::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let local = |name: &str| folder.path().join(name);
    fs::write(local("one"), bytes(300_000, 5)).expect("written");
    let batch = format!(
        "mkdir host\nput {0}/one host/.part\nrename host/.part host/one\nget host/one {0}/back\n",
        folder.path().display()
    );
    fs::write(local("batch"), batch).expect("written");
    let mut sftp = Command::new("sftp");
    sftp.arg("-F")
        .arg(sshd.config())
        .arg("-b")
        .arg(local("batch"))
        .arg(Sshd::HOST);
    let output = sftp.output().expect("sftp");
    assert!(output.status.success(), "{output:?}\n{}", sshd.log());
    let stored = fs::read(sshd.files().join("host/one")).expect("a file");
    assert!(stored == bytes(300_000, 5) && fs::read(local("back")).expect("a file") == stored);
}

#[test]
fn sshd_refuses_strangers_and_is_refused_as_a_stranger() {
    let Some(sshd) = Sshd::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("config");
    let fails = |from: &str, to: &str| {
        let text = sshd.client_config();
        let changed = text.replace(from, to);
        assert_ne!(changed, text);
        fs::write(&config, changed).expect("written");
        let mut ssh = Command::new("ssh");
        let output = ssh
            .arg("-F")
            .arg(&config)
            .args([Sshd::HOST, "true"])
            .output()
            .expect("ssh");
        assert_eq!(output.status.code(), Some(255), "{output:?}");
        String::from_utf8(output.stderr).expect("text")
    };
    let known_hosts = sshd.known_hosts().display().to_string();
    let stranger = fails(&known_hosts, "/dev/null");
    assert!(
        stranger.contains("Host key verification failed"),
        "{stranger}"
    );
    let identity = sshd.identity_file().display().to_string();
    let stranger = fails(&identity, "/dev/null");
    assert!(stranger.contains("Permission denied"), "{stranger}");
}

#[test]
fn sshd_ends_with_everything_that_its_sessions_started() {
    let Some(sshd) = Sshd::start() else { return };
    let session = || {
        let mut ssh = Command::new("ssh");
        ssh.arg("-F")
            .arg(sshd.config())
            .args([Sshd::HOST, "echo $$; setsid sleep 1000 & echo $!; wait"]);
        let mut child = ssh
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("ssh");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let processes = [(); 2].map(|()| lines.next().expect("a line").expect("a line"));
        (child, processes)
    };
    let (mut first, of_first) = session();
    sshd.cut_connections();
    assert_eq!(ended(&mut first), Some(255));
    let (mut second, of_second) = session();
    drop(sshd);
    assert_eq!(ended(&mut second), Some(255));
    for process in of_first.iter().chain(&of_second) {
        within_20_s(|| (!is_alive(process)).then_some(()));
    }
}

/// The exit code of a client whose server went away.
fn ended(client: &mut Child) -> Option<i32> {
    within_20_s(|| client.try_wait().expect("a child of ours")).code()
}

/// Waits for a value, and fails after 20 s.
fn within_20_s<T>(mut what: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(it) = what() {
            return it;
        }
        assert!(Instant::now() < end, "nothing happens");
        std::thread::yield_now();
    }
}

/// Returns true if the process runs; one that ended may stay in the list until its parent asks for its exit code.
fn is_alive(process: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.split_whitespace().next());
    !matches!(state, None | Some("Z" | "X"))
}
