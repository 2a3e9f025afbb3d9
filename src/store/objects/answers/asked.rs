//! The kinds of requests.

use object_store::client::HttpRequest;

/// The beginnings of hosts that give keys to the machines of a cloud.
const KEY_HOSTS: [&str; 4] = ["169.254.", "metadata.", "[fd00:", "sts."];
/// Parts of the paths of requests for keys.
const KEY_PATHS: [&str; 6] = [
    "/latest/",
    "/computeMetadata/",
    "/metadata/",
    "/oauth2/",
    "/token",
    "/credentials",
];

/// The kinds of requests, by the answers that they must get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// A page of a listing.
    Listing,
    /// An object, or its metadata.
    Object,
    /// A change.
    Change,
    /// A request to another server, for a key.
    Elsewhere,
}

impl Asked {
    /// Returns the kind of a request.
    pub(super) fn of(request: &HttpRequest) -> Asked {
        let query = request.uri().query().unwrap_or_default();
        let has = |pair: &str| query.split('&').any(|given| given.starts_with(pair));
        match request.method().as_str() {
            "GET" if has("list-type=2") || has("comp=list") => Asked::Listing,
            _ if !request.headers().contains_key("authorization")
                && !has("sig=")
                && is_about_keys(request) =>
            {
                Asked::Elsewhere
            }
            "GET" | "HEAD" => Asked::Object,
            _ => Asked::Change,
        }
    }
}

/// Returns true if an unsigned request is for a key: from the machine's own services, or in exchange for a token.
fn is_about_keys(request: &HttpRequest) -> bool {
    let uri = request.uri();
    let (host, path) = (uri.host().unwrap_or_default(), uri.path());
    let query = uri.query().unwrap_or_default();
    KEY_HOSTS.iter().any(|start| host.starts_with(start))
        || KEY_PATHS.iter().any(|part| path.contains(part))
        || query.contains("Action=")
        || query.contains("api-version=")
}
