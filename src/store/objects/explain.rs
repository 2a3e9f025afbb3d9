//! What an error of an object store means to people: what failed, and what to do; without XML, URLs and secrets.

use std::{error::Error as _, time::Duration};

use object_store::{
    Error,
    client::{HttpError, HttpErrorKind},
};

use crate::error::{Failure, Kind};

/// The most that is repeated of what a server says.
const MAX_QUOTED_CHARS: usize = 160;

/// Codes of stores that do not know the bucket or container.
const NO_BUCKET: [&str; 3] = ["NoSuchBucket", "ContainerNotFound", "BucketNotFound"];
/// Codes of stores that do not know the key, or whose secret it is not.
const BAD_KEY: [&str; 7] = [
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "AuthenticationFailed",
    "ExpiredToken",
    "InvalidToken",
    "InvalidAuthenticationInfo",
    "InvalidSecurity",
];
/// Codes of stores whose bucket is somewhere else.
const OTHER_REGION: [&str; 4] = [
    "PermanentRedirect",
    "TemporaryRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
];

/// Whether nobody knows if the store has done it: the answer did not come.
pub fn is_lost(error: &Error) -> bool {
    http_error(error).is_some()
}

/// Whether the store has said no, and would say it again.
pub fn is_refused(error: &Error) -> bool {
    matches!(
        error,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. }
    )
}

/// The failure of what `doing` names; `timeout` is how long one request may take.
pub fn explain(error: &Error, doing: &str, timeout: Duration) -> Failure {
    let text = texts(error);
    let code = element(&text, "Code").unwrap_or_default();
    let status = status(&text);
    let is_one_of = |codes: &[&str]| codes.contains(&code.as_str());
    let fail =
        |what: &str, hint: &str| Failure::new(Kind::Failed, format!("{doing}: {what}")).hint(hint);
    let named = |what: &str| match (code.is_empty(), status) {
        (false, _) => format!("{what} ({code})"),
        (true, Some(status)) => format!("{what} (status {status})"),
        (true, None) => what.to_owned(),
    };
    if is_one_of(&NO_BUCKET) {
        let message = format!("{doing}: {}", named("there is no such bucket"));
        return Failure::new(Kind::NotFound, message)
            .hint("make the bucket, or look at its name, `endpoint` and `region`");
    }
    if is_one_of(&OTHER_REGION) || text.contains("redirect without LOCATION") {
        let hint = "set the destination's `region` to that of the bucket";
        return fail(&named("the bucket is in another region"), hint);
    }
    if code == "RequestTimeTooSkewed" {
        return fail(
            "the store refuses: the clocks differ",
            "set this machine's clock",
        );
    }
    if is_one_of(&BAD_KEY) {
        let hint = "look at the destination's key and its secret, and at the environment";
        return fail(&named("the store does not accept the key"), hint);
    }
    if is_refused(error) || matches!(status, Some(401 | 403)) {
        let hint = "look at the destination's key, and at what the bucket's policy allows it";
        return fail(&named("the store refuses"), hint);
    }
    if text.contains("scheme is not allowed") || text.contains("BadScheme") {
        let hint = "use https, or set the destination's `allow_http = true`";
        return fail("the endpoint has no TLS", hint);
    }
    if is_about_credentials(&text) {
        let hint =
            "set the destination's key and its secret, or those of the provider in the environment";
        return fail("there is no key for the store", hint);
    }
    if let Some(http) = http_error(error) {
        let cause = quoted(&root(http));
        return match http.kind() {
            HttpErrorKind::Timeout => fail(
                &format!("no answer within {timeout:?}"),
                "look at the network; raise `timeout`, or take a smaller `chunk_size`",
            ),
            HttpErrorKind::Connect => fail(
                &format!("no connection: {cause}"),
                "look at `endpoint` and at the network",
            ),
            _ => fail(
                &format!("the connection broke: {cause}"),
                "look at the network, and try again",
            ),
        };
    }
    if matches!(status, Some(429 | 500..)) {
        return fail(
            &named("the store cannot do it now"),
            "try again later, or raise `retry_attempts`",
        );
    }
    if let Error::Precondition { .. } = error {
        return replaced(doing);
    }
    let message = element(&text, "Message").map(|message| quoted(&message));
    let what = match (message, status) {
        (Some(message), _) => format!("{}: {message}", named("the store says no")),
        (None, Some(_)) => named("the store says no"),
        (None, None) => quoted(&root(error)),
    };
    Failure::new(Kind::Failed, format!("{doing}: {what}"))
}

/// The failure of reading something that is another thing by now.
pub fn replaced(doing: &str) -> Failure {
    let message = format!("{doing}: it was replaced while it was read");
    Failure::new(Kind::Failed, message).hint("try again with what is there now")
}

fn http_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a HttpError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(http) = error.downcast_ref() {
            return Some(http);
        }
        cause = error.source();
    }
    None
}

/// What all causes say; only ever searched, never shown.
fn texts(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push('\n');
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// What the first cause says.
fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut root = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    root.to_string()
}

/// Whether it was the key that was asked for, of the machine that a cloud tells its keys to.
fn is_about_credentials(text: &str) -> bool {
    [
        "169.254.169.254",
        "metadata.google.internal",
        "instance metadata",
    ]
    .iter()
    .any(|word| text.contains(word))
}

fn element(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (inner, _) = rest.split_once(&format!("</{name}>"))?;
    Some(inner.trim().to_owned()).filter(|inner| !inner.is_empty())
}

fn status(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// A few words of somebody else: one line, and no URL, because there are URLs that are keys.
fn quoted(text: &str) -> String {
    let words = text
        .split_whitespace()
        .map(|word| if word.contains("://") { "(URL)" } else { word });
    let line = words.collect::<Vec<_>>().join(" ");
    let is_plain = |letter: &char| !letter.is_control();
    line.chars()
        .filter(is_plain)
        .take(MAX_QUOTED_CHARS)
        .collect()
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
        ] {
            let failure = told(text);
            assert!(failure.message.contains(what), "{}", failure.message);
            let told = failure.hint.unwrap_or_default();
            assert!(told.contains(hint), "{told}");
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
