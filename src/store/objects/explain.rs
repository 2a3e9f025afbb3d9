//! Explanations of an object store's errors: what failed and what to do, without XML, URLs and secrets.

use std::time::Duration;

use object_store::{Error, client::HttpErrorKind};

use super::{
    answers::RejectedAnswer,
    codes::{BAD_KEY, COLD, CONFLICT, EXPIRED, NO_BUCKET, OTHER_REGION, is_full},
    fault::RequestFault,
    judge::http_error,
    text::{element, quoted, root, status, texts, words},
};
use crate::{
    error::{Failure, Kind},
    store::failures::FROZEN,
};

/// Words in refusals of a feature that a key of the destination requests, with that key.
const KEYS: [(&str, &str); 9] = [
    // Google's answer to a header that it does not know.
    ("ExcessHeaderValues", CHECKSUMS),
    ("x-amz-checksum", CHECKSUMS),
    ("checksum-algorithm", CHECKSUMS),
    ("x-amz-tagging", "leave out the destination's `tags`"),
    (
        "InvalidTag",
        "leave out the destination's `tags`, or look at them",
    ),
    (
        "storage-class",
        "leave out the destination's `storage_class`",
    ),
    (
        "StorageClass",
        "leave out the destination's `storage_class`",
    ),
    (
        "server-side-encryption",
        "leave out the destination's `sse`",
    ),
    ("InvalidEncryption", "leave out the destination's `sse`"),
];
/// The answers of TLS servers to a request without TLS (Go's, nginx, Apache), in lower case.
const WANTS_TLS: [&str; 3] = [
    "http request to an https server",
    "plain http request was sent to https port",
    "speaking plain http to an ssl-enabled",
];
const CHECKSUMS: &str =
    "set the destination's `checksums = \"none\"`: then what is sent is read back instead";

/// Returns the failure of an answer that is not of the protocol; `what` describes it.
pub fn foreign(doing: &str, what: &str) -> Failure {
    let message = format!("{doing}: what answers is not an object store: it sent {what}");
    Failure::new(Kind::Unproven, message).hint(
        "look at `endpoint`: the address and port of the store's S3, Google or Azure interface, without the bucket; \
         a console, a proxy or a login page may answer in its place",
    )
}

/// Returns the failure of the action that `doing` names; `timeout` is the longest time for one request.
pub fn explain(error: &Error, doing: &str, timeout: Duration) -> Failure {
    if let Some(RejectedAnswer::Foreign(what)) = http_error(error).and_then(RejectedAnswer::of) {
        return foreign(doing, what);
    }
    if let Some(RequestFault {
        what, hint, kind, ..
    }) = RequestFault::of(error)
    {
        return Failure::new(*kind, format!("{doing}: {what}")).hint(hint.as_str());
    }
    let text = texts(error);
    let code = element(&text, "Code").unwrap_or_default();
    let status = status(&text);
    let said = words(&text);
    let is_one_of = |codes: &[&str]| codes.contains(&code.as_str());
    let named = |what: &str| {
        let what = match (code.is_empty(), status) {
            (false, _) => format!("{what} ({code})"),
            (true, Some(status)) => format!("{what} (status {status})"),
            (true, None) => what.to_owned(),
        };
        match &said {
            Some(said) => format!("{what}: {said}"),
            None => what,
        }
    };
    let fail_as =
        |kind, what: &str, hint: &str| Failure::new(kind, format!("{doing}: {what}")).hint(hint);
    let fail = |what: &str, hint: &str| fail_as(Kind::Failed, what, hint);
    let forbidden = |what: &str, hint: &str| fail_as(Kind::Forbidden, what, hint);
    let unreachable = |what: &str, hint: &str| fail_as(Kind::Unreachable, what, hint);
    if is_one_of(&NO_BUCKET) {
        let hint = "make the bucket, or look at its name, `endpoint` and `region`";
        return fail_as(Kind::NotFound, &named("no such bucket"), hint);
    }
    if is_one_of(&COLD) {
        let hint = "thaw it first: `aws s3api restore-object --bucket BUCKET --key KEY --restore-request Days=7`, or \
            `az storage blob set-tier --tier Hot`; that takes minutes to days, then try again";
        return fail(&format!("{FROZEN} ({code})"), hint);
    }
    if is_full(&text, status) {
        let hint = "make room there, or have the quota raised; `hookshot prune` removes what the policy does not keep";
        return fail_as(Kind::Space, &named("the store is full"), hint);
    }
    if is_one_of(&OTHER_REGION) || text.contains("redirect without LOCATION") {
        let hint = "set the destination's `region` to that of the bucket, and look at `endpoint`";
        return fail(&named("the bucket is in another region"), hint);
    }
    if let Some(status @ (301 | 302 | 303 | 307 | 308)) = status {
        return foreign(doing, &format!("us elsewhere (status {status})"));
    }
    if text.contains("error following redirect") {
        return foreign(doing, "us elsewhere, again and again");
    }
    let lower = text.to_ascii_lowercase();
    if WANTS_TLS.iter().any(|part| lower.contains(part)) {
        let hint = "write https:// in place of http:// in `endpoint`, or in the variable that names the server";
        return fail(&named("the server wants TLS"), hint);
    }
    if code == "RequestTimeTooSkewed" || text.contains("date header") {
        return fail(
            &named("the store refuses: the clocks differ"),
            "set this machine's clock",
        );
    }
    if is_one_of(&EXPIRED) || text.contains("not valid in the specified time frame") {
        let hint = "renew the key: `session_token` and the two that go with it, or the SAS token; look at the environment, too";
        return forbidden(&named("the key's time is over"), hint);
    }
    if is_one_of(&BAD_KEY) {
        let hint = "look at the destination's key and its secret, and at the environment";
        return forbidden(&named("the store does not accept the key"), hint);
    }
    let refused = KEYS.iter().find(|(part, _)| {
        code.contains(part) || said.as_ref().is_some_and(|said| said.contains(part))
    });
    if let Some((_, hint)) = refused
        && status.is_some_and(|status| status < 500 || status == 501)
    {
        return fail(&named("the store says no"), hint);
    }
    let is_denied = matches!(
        error,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. }
    );
    if is_denied || matches!(status, Some(401 | 403)) {
        let hint = "look at the destination's key, and at what the bucket's policy allows it";
        return forbidden(&named("the store refuses"), hint);
    }
    if text.contains("scheme is not allowed") || text.contains("BadScheme") {
        let hint = "use https, or set the destination's `allow_http = true`";
        return fail("the endpoint has no TLS", hint);
    }
    if let Some(http) = http_error(error).filter(|http| RejectedAnswer::of(http).is_none()) {
        let cause = quoted(&root(http));
        return match http.kind() {
            HttpErrorKind::Timeout => unreachable(
                &format!("no answer within {timeout:?}"),
                "look at the network; raise `timeout`, or take a smaller `chunk_size`",
            ),
            HttpErrorKind::Connect => unreachable(
                &format!("no connection: {cause}"),
                "look at `endpoint` and at the network",
            ),
            _ => unreachable(
                &format!("the connection broke: {cause}"),
                "look at the network, and try again",
            ),
        };
    }
    if code == "NotImplemented" || status == Some(501) {
        if !doing.starts_with("cannot send") {
            let hint = "look at `endpoint`: hookshot needs the store's S3, Google or Azure interface, with listings \
                (for S3, ListObjectsV2), reads and deletions";
            return fail(&named("the store does not know how to do it"), hint);
        }
        let hint = "leave out the keys of the destination that the store does not know: `tags`, `storage_class`, `sse`";
        return fail(&named("the store does not know how to do it"), hint);
    }
    if matches!(status, Some(408 | 429 | 500..)) {
        return fail(
            &named("the store cannot do it now"),
            "try again later, or raise `retry_attempts`; on a slow line set `parallel_uploads = 1`",
        );
    }
    if is_one_of(&CONFLICT) {
        return fail(
            &named("the store was busy with another request for the same name"),
            "try again",
        );
    }
    if let Error::Precondition { .. } = error {
        return replaced(doing);
    }
    if text.contains("non-partial response") {
        let hint = "archives are read piece by piece: look at `endpoint`, and whether a proxy or a gateway there drops the header `Range`";
        return fail("the store sent all of it where a piece was asked for", hint);
    }
    let what = match (&said, status) {
        (Some(_), _) | (None, Some(_)) => named("the store says no"),
        (None, None) => quoted(&root(error)),
    };
    Failure::new(Kind::Failed, format!("{doing}: {what}"))
}

/// Returns the failure of a read whose object was replaced.
pub fn replaced(doing: &str) -> Failure {
    let message = format!("{doing}: it was replaced while it was read");
    Failure::new(Kind::Failed, message).hint("try again with what is there now")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> Error {
        Error::Generic {
            store: "S3",
            source: text.to_owned().into(),
        }
    }

    fn told(text: &str) -> Failure {
        explain(&generic(text), "cannot look", Duration::from_secs(3))
    }

    #[test]
    fn what_is_shown_is_short_and_says_what_to_do() {
        for (text, what, hint) in [
            (
                "status code: 404 Not Found: <Error><Code>NoSuchBucket</Code><Key>x</Key></Error>",
                "no such bucket",
                "make the bucket",
            ),
            (
                "status code: 403 Forbidden: <Error><Code>AccessDenied</Code></Error>",
                "refuses (AccessDenied)",
                "policy",
            ),
            (
                "status code: 403 Forbidden: <Error><Code>SignatureDoesNotMatch</Code></Error>",
                "does not accept the key",
                "secret",
            ),
            (
                "status code: 503 Slow Down: <Error><Code>SlowDown</Code></Error>",
                "cannot do it now (SlowDown)",
                "later",
            ),
            (
                "Received redirect without LOCATION",
                "another region",
                "`region`",
            ),
            ("URL scheme is not allowed", "no TLS", "`allow_http = true`"),
            (
                "Received non-partial response when range requested",
                "where a piece was asked for",
                "`Range`",
            ),
        ] {
            let failure = told(text);
            assert!(failure.message.contains(what), "{}", failure.message);
            let kind = match text.contains("403") {
                true => Kind::Forbidden,
                false if text.contains("404") => Kind::NotFound,
                false => Kind::Failed,
            };
            assert_eq!(failure.kind, kind, "{text}");
            let told = failure.hint.unwrap_or_default();
            assert!(told.contains(hint), "{told}");
        }
    }

    #[test]
    fn keys_are_blamed_for_what_a_store_does_not_know_only_if_something_was_sent() {
        let text = "status code: 501 Not Implemented: <Error><Code>NotImplemented</Code></Error>";
        for (doing, blames) in [
            ("cannot send a to s3://b", true),
            ("cannot list s3://b", false),
            ("cannot remove a from s3://b", false),
            ("cannot look at a in s3://b", false),
        ] {
            let failure = explain(&generic(text), doing, Duration::from_secs(3));
            let hint = failure.hint.unwrap_or_default();
            assert_eq!(hint.contains("`storage_class`"), blames, "{doing}: {hint}");
            assert_eq!(hint.contains("`endpoint`"), !blames, "{doing}: {hint}");
        }
    }

    #[test]
    fn neither_xml_nor_urls_are_repeated() {
        let long = "y".repeat(5_000);
        for text in [
            format!(
                "status code: 400 Bad: <E><Code>Odd</Code><Message>m {long}</Message><S>hunter2</S></E>"
            ),
            format!("it broke at https://x/?sig=hunter2 {long}"),
        ] {
            let message = told(&text).message;
            assert!(
                !message.contains("hunter2") && !message.contains('<'),
                "{message}"
            );
            assert!(message.len() < 300, "{message}");
        }
    }
}
