//! `GET snapshots/{id}/entries/{name}/content`: an entry, as a download that no browser shows.

use std::sync::Arc;

use axum::{
    extract::State as Shared,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};

use super::{
    etag::has,
    snapshots::{readable, seen},
    words::Place,
};
use crate::{
    model::written::percent_encoded,
    serve::{
        Server,
        answer::Trouble,
        inspected::{Wanted, inspect},
        person::{Operator, Person},
    },
};

/// The rules for a browser that opens it all the same: nothing in it runs (CSP 3).
const SANDBOX: &str = "default-src 'none'; sandbox";

/// The content of an entry
///
/// The name is percent-encoded, its slashes as `%2F`. The entry is verified before the first byte. If it cannot be read
/// to its end, the connection breaks.
#[utoipa::path(
    get, path = "/snapshots/{id}/entries/{name}/content", tag = "snapshots", security(("token" = ["operator"])),
    params(
        ("id" = String, Path, description = "The identifier of the archive"),
        ("name" = String, Path, description = "The name of the entry")
    ),
    responses((status = 200, description = "The content", body = [u8], content_type = "application/octet-stream"))
)]
pub async fn content(
    Shared(server): Shared<Arc<Server>>,
    Operator(person): Operator,
    Place((id, name)): Place<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    download(&server, &person, (&id, &name), &headers).await
}

/// Returns an entry of an archive as a download.
pub async fn download(
    server: &Server,
    person: &Person,
    (id, name): (&str, &str),
    headers: &HeaderMap,
) -> Result<Response, Trouble> {
    let archive = seen(server, person, id)?;
    let (config, copy) = readable(server, &archive)?;
    let inspected = inspect(&server.program, config, copy, Wanted::one(name)).await?;
    let mut entries = inspected.entries.into_iter();
    let entry = entries.find(|entry| entry.entry == name);
    let entry = entry.ok_or_else(|| Trouble::missing("entry"))?;
    let tag = entry.sha256.map(|digest| format!("\"{digest}\""));
    let tag = tag.unwrap_or_default();
    if !tag.is_empty() && has(headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let content = server.program.content(config, copy, &entry.entry).await?;
    let answered = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_DISPOSITION, attachment(name)),
        (header::CONTENT_SECURITY_POLICY, SANDBOX.to_owned()),
        (header::ETAG, tag),
    ];
    Ok((answered, content.body()).into_response())
}

/// Returns the header that makes it a download of this name (RFC 6266).
fn attachment(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or_default();
    let is_plain = |symbol: char| symbol.is_ascii_alphanumeric() || "._-".contains(symbol);
    let plain = last.replace(|symbol| !is_plain(symbol), "_");
    let exact = percent_encoded(last.as_bytes());
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_download_is_inert() {
        for (name, header) in [
            (
                "data/a.txt",
                "attachment; filename=\"a.txt\"; filename*=UTF-8''a.txt",
            ),
            (
                "x\"\r\nSet-Cookie: a\u{202e}b",
                "attachment; filename=\"x___Set-Cookie__a_b\"; filename*=UTF-8''x%22%0D%0ASet-Cookie%3A%20a%E2%80%AEb",
            ),
        ] {
            assert_eq!(attachment(name), header);
        }
    }
}
